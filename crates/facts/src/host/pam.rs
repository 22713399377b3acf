//! Password rules of PAM: who lets an empty password in, who slows guessing down.
//!
//! Stacks are followed through `@include`, `include` and `substack`. Whether a line is reached at
//! log-in is not worked out: a `nullok` anywhere in a service's `auth` stack counts.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::facts::Pam;
use haechi_core::finding::{Cause, SubjectKind};

use crate::gaps::Gaps;
use crate::root::{Root, RootError, RootErrorKind};

/// Where services are, the strongest place first.
const PLACES: [&str; 4] =
    ["/etc/pam.d", "/usr/local/etc/pam.d", "/usr/etc/pam.d", "/usr/lib/pam.d"];
/// As deep as Linux-PAM itself follows includes.
const DEPTH_MAX: usize = 32;
/// What package managers and editors leave behind; no program asks for such a service.
const LEFT_OVER: [&str; 9] = [
    ".dpkg-old",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-bak",
    ".rpmsave",
    ".rpmnew",
    ".rpmorig",
    ".pam-old",
    "~",
];

/// Collects the rules of all services.
pub(super) fn collect(root: &Root, gaps: &Gaps) -> Option<Pam> {
    let result = services(root).and_then(|services| {
        let mut nullok = Vec::new();
        let mut lockout = Vec::new();
        for (service, path) in &services {
            let mut stack =
                Stack { root, services: &services, seen: BTreeSet::new(), found: (false, false) };
            stack.read(path, 0)?;
            nullok.extend(stack.found.0.then(|| service.clone()));
            lockout.extend(stack.found.1.then(|| service.clone()));
        }
        Ok(Pam { nullok: Some(nullok), lockout: Some(lockout) })
    });
    match result {
        // The old single file counts only where there is no folder.
        Ok(pam)
            if pam == empty() && root.metadata("/etc/pam.conf").is_ok() && !has_folder(root) =>
        {
            let detail = "/etc/pam.conf is in use instead of /etc/pam.d, and is not understood";
            gaps.record(SubjectKind::Host, "pam", Cause::Missing, detail);
            None
        }
        other => gaps.keep(SubjectKind::Host, "pam", other),
    }
}

fn empty() -> Pam {
    Pam { nullok: Some(Vec::new()), lockout: Some(Vec::new()) }
}

fn has_folder(root: &Root) -> bool {
    PLACES.iter().any(|place| root.metadata(place).is_ok())
}

/// Files of services by name.
fn services(root: &Root) -> Result<BTreeMap<String, String>, RootError> {
    let mut services = BTreeMap::new();
    for place in PLACES {
        let names = match root.list(place) {
            Ok(names) => names,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        for name in names.iter().filter_map(|name| name.to_str()) {
            let path = format!("{place}/{name}");
            let left_over =
                LEFT_OVER.iter().any(|end| name.ends_with(end)) || name.starts_with('.');
            if !left_over && !root.metadata(&path).is_ok_and(|meta| meta.kind == "directory") {
                services.entry(name.to_owned()).or_insert(path);
            }
        }
    }
    Ok(services)
}

/// One service's stack while it is followed.
struct Stack<'a> {
    root: &'a Root,
    services: &'a BTreeMap<String, String>,
    /// Files that were read: a ring is walked once.
    seen: BTreeSet<String>,
    /// `nullok`, lock-out.
    found: (bool, bool),
}

impl Stack<'_> {
    /// Takes the `auth` lines of a file and of what it includes.
    fn read(&mut self, path: &str, depth: usize) -> Result<(), RootError> {
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        if depth > DEPTH_MAX {
            return Err(RootError { path: path.to_owned(), kind: RootErrorKind::TooLarge });
        }
        let text = match self.root.read_text(path) {
            Ok(text) => text,
            // A missing part makes the service refuse everybody.
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        for line in joined(&text) {
            let mut words = words(&line);
            let Some(kind) = words.next() else { continue };
            if kind == "@include" {
                if let Some(file) = words.next() {
                    self.read(&self.path(file), depth + 1)?;
                }
                continue;
            }
            if !kind.trim_start_matches('-').eq_ignore_ascii_case("auth") {
                continue;
            }
            let (Some(control), Some(module)) = (words.next(), words.next()) else { continue };
            if ["include", "substack"].iter().any(|word| control.eq_ignore_ascii_case(word)) {
                self.read(&self.path(module), depth + 1)?;
                continue;
            }
            let module = module.rsplit('/').next().unwrap_or(module);
            let module = module.strip_suffix(".so").unwrap_or(module);
            if module.starts_with("pam_unix") {
                self.found.0 |= words.any(|word| word == "nullok" || word == "nullok_secure");
            } else if ["pam_faillock", "pam_tally2", "pam_tally"].contains(&module) {
                self.found.1 = true;
            }
        }
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        match self.services.get(name) {
            Some(path) => path.clone(),
            None if name.starts_with('/') => name.to_owned(),
            None => format!("/etc/pam.d/{name}"),
        }
    }
}

/// Lines without comments, continued ones joined. A comment ends with its line even if a backslash
/// ends it.
fn joined(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let (part, goes_on) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        if let Some(last) = lines.last_mut() {
            last.push_str(part);
            last.push(' ');
        }
        if !goes_on {
            lines.push(String::new());
        }
    }
    lines
}

/// Words of a line; `[…]` is one.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let end = match rest.strip_prefix('[') {
            Some(inside) => inside.find(']').map_or(rest.len(), |end| end + 2),
            None => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at_checked(end)?;
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn look(files: &[(&str, &str)]) -> (Option<Pam>, Gaps) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let gaps = Gaps::default();
        (collect(&Root::new(dir.path()), &gaps), gaps)
    }

    #[test]
    fn stacks_are_followed() {
        let (pam, gaps) = look(&[
            ("etc/pam.d/common-auth", "auth [success=1 default=ignore] pam_unix.so \\\n nullok\n"),
            ("etc/pam.d/login", "# c\n-auth optional pam_faildelay.so\n@include common-auth\n"),
            ("etc/pam.d/sshd", "auth substack password-auth\npassword include common-auth\n"),
            (
                "etc/pam.d/password-auth",
                "AUTH required /lib/pam_faillock.so preauth\nauth required pam_unix.so # nullok\n",
            ),
            ("etc/pam.d/passwd", "password required pam_unix.so nullok\n"),
            ("etc/pam.d/old.dpkg-old", "auth required pam_unix.so nullok\n"),
            ("etc/pam.d/su", "# comment \\\nauth required pam_unix.so nullok\n"),
            ("etc/pam.d/ring", "auth include ring\n@include ring\nauth include none\n"),
            ("usr/lib/pam.d/vendor", "auth required pam_unix.so nullok_secure\n"),
            ("usr/lib/pam.d/passwd", "auth required pam_unix.so nullok\n"),
        ]);
        let pam = pam.unwrap();
        assert_eq!(pam.nullok.unwrap(), ["common-auth", "login", "su", "vendor"]);
        assert_eq!(pam.lockout.unwrap(), ["password-auth", "sshd"]);
        assert!(gaps.into_sorted().is_empty());
    }

    #[test]
    fn no_pam_is_explicit_and_the_old_file_is_a_gap() {
        assert_eq!(look(&[]).0, Some(empty()));
        let (pam, gaps) = look(&[("etc/pam.conf", "login auth required pam_unix.so nullok\n")]);
        assert_eq!(pam, None);
        assert_eq!(gaps.into_sorted()[0].fact, "pam");
        let (pam, _) =
            look(&[("etc/pam.d/x", "auth [a=1\nauth\n]\n[ [ [\n"), ("etc/pam.conf", "")]);
        assert_eq!(pam, Some(empty()));
    }
}
