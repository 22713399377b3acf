//! Kernel audit: whether it is on, the rules that are loaded, and the rules on disk.
//!
//! The state comes from the kernel over netlink, never from auditctl. A rule says what it covers: a
//! rule with conditions besides path and access is `limited`, because it sees only part of what
//! happens.

mod kernel;
mod loaded;
mod rules;

use std::io;

use haechi_core::facts::{Audit, AuditRule};
use haechi_core::finding::{Cause, SubjectKind};

use super::glob;
use super::view::View;
use crate::gaps::{Gaps, Observed};
use crate::root::{Root, RootError};

const FILE: &str = "/etc/audit/audit.rules";
const FOLDER: &str = "/etc/audit/rules.d/*.rules";

/// Collects the audit facts.
pub(super) fn collect(root: &Root, view: &View, gaps: &Gaps) -> Audit {
    let mut audit = Audit { on_disk: on_disk(root, gaps), ..Audit::default() };
    let both = |cause, detail: &str| {
        for fact in ["audit.enabled", "audit.loaded"] {
            gaps.record(SubjectKind::Host, fact, cause, detail);
        }
    };
    if !view.same_boot {
        let detail = "the files below ROOT are not known to be of the machine that this runs on; \
                      mount the host's /proc at ROOT/proc";
        both(Cause::Missing, detail);
        return audit;
    }
    match kernel::Connection::open(view.initial_user) {
        Err(kernel::Error::NoAudit) => {
            audit.enabled = Some(false);
            audit.loaded = Some(Vec::new());
        }
        Err(error) => both(error.gap_cause(), &error.to_string()),
        Ok(mut connection) => {
            audit.enabled = gaps.keep(SubjectKind::Host, "audit.enabled", connection.enabled());
            audit.loaded = gaps.keep(SubjectKind::Host, "audit.loaded", connection.rules());
        }
    }
    if let Some(rules) = &mut audit.loaded {
        pair_architectures(rules);
    }
    audit
}

/// Rules in files; a host without audit files has none.
fn on_disk(root: &Root, gaps: &Gaps) -> Option<Vec<AuditRule>> {
    let read = || -> Result<Vec<AuditRule>, RootError> {
        let mut files = glob::expand(root, FOLDER)?;
        files.insert(0, FILE.to_owned());
        let mut all = Vec::new();
        for file in files {
            let text = match root.read_text(&file) {
                Ok(text) => text,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            all.extend(rules::parse(&text, &file, &|path| {
                root.metadata(path).is_ok_and(|meta| meta.kind == "directory")
            }));
        }
        Ok(all)
    };
    let mut rules = gaps.keep(SubjectKind::Host, "audit.on_disk", read())?;
    pair_architectures(&mut rules);
    Some(rules)
}

/// Which system calls a rule's architecture leaves out, as a mark in `text`: `arch=b64` and
/// `arch=b32`.
const ARCHITECTURES: [(&str, &str); 2] =
    [("-F arch=b64", "-F arch=b32"), ("-F arch=b32", "-F arch=b64")];

/// A rule for one architecture alone misses programs of the other. Where the same rule is there for
/// both, neither is limited by it; where its mate is missing, it is.
fn pair_architectures(rules: &mut [AuditRule]) {
    let covers = |rule: &AuditRule| {
        (
            rule.action.clone(),
            rule.list.clone(),
            rule.path.clone(),
            rule.dir.clone(),
            rule.permissions.clone(),
        )
    };
    let has = |rule: &AuditRule, mark: &str| {
        let text = rule.text.as_deref().unwrap_or_default();
        text.contains(&format!("{mark} ")) || text.ends_with(mark)
    };
    let single: Vec<bool> = rules
        .iter()
        .map(|rule| {
            ARCHITECTURES.iter().any(|(own, mate)| {
                let mated = |other: &AuditRule| {
                    other.limited == Some(false)
                        && has(other, mate)
                        && covers(other) == covers(rule)
                };
                has(rule, own) && !rules.iter().any(mated)
            })
        })
        .collect();
    for (rule, single) in rules.iter_mut().zip(single) {
        if single {
            rule.limited = Some(true);
        }
    }
}

impl Observed for kernel::Error {
    fn gap_cause(&self) -> Cause {
        match self {
            Self::Permission | Self::Namespace => Cause::Permission,
            Self::Io(error) if error.kind() == io::ErrorKind::WouldBlock => Cause::TimedOut,
            Self::Io(_) | Self::NoAudit | Self::NotUnderstood(_) => Cause::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn rule(text: &str) -> AuditRule {
        rules::parse(text, "f", &|_| false).remove(0)
    }

    fn paired(texts: &[&str]) -> Vec<bool> {
        let mut rules: Vec<_> = texts.iter().map(|text| rule(text)).collect();
        pair_architectures(&mut rules);
        rules.iter().map(|rule| rule.limited.unwrap()).collect()
    }

    #[test]
    fn one_architecture_alone_is_limited() {
        let b64 = "-a always,exit -F arch=b64 -F path=/x -F perm=wa -k a";
        let b32 = "-a always,exit -F arch=b32 -F path=/x -F perm=wa";
        assert_eq!(paired(&[b64]), [true]);
        assert_eq!(paired(&[b64, b32]), [false, false]);
        assert_eq!(
            paired(&[b64, "-a always,exit -F arch=b32 -F path=/y -F perm=wa"]),
            [true, true]
        );
        assert_eq!(
            paired(&[b64, "-a always,exit -F arch=b32 -S open -F path=/x -F perm=wa"]),
            [true, true]
        );
        assert_eq!(paired(&["-a always,exit -F path=/x -F perm=wa"]), [false]);
    }

    #[test]
    fn rules_on_disk_are_read_in_order_with_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let gaps = Gaps::default();
        assert_eq!(on_disk(&root, &gaps), Some(vec![]));
        fs::create_dir_all(dir.path().join("etc/audit/rules.d")).unwrap();
        fs::create_dir_all(dir.path().join("etc/docker")).unwrap();
        fs::write(dir.path().join("etc/audit/audit.rules"), "-D\n-w /etc/docker -p wa\n").unwrap();
        fs::write(dir.path().join("etc/audit/rules.d/b.rules"), "-w /b\n").unwrap();
        fs::write(dir.path().join("etc/audit/rules.d/a.rules"), "\n-w /a\n").unwrap();
        fs::write(dir.path().join("etc/audit/rules.d/a.txt"), "-w /t\n").unwrap();
        let seen: Vec<_> = on_disk(&root, &gaps)
            .unwrap()
            .into_iter()
            .map(|r| format!("{}|{}|{}", r.path.unwrap(), r.dir.unwrap(), r.source.unwrap()))
            .collect();
        assert_eq!(
            seen,
            [
                "|/etc/docker|/etc/audit/audit.rules:2",
                "/a||/etc/audit/rules.d/a.rules:2",
                "/b||/etc/audit/rules.d/b.rules:1"
            ]
        );
        fs::remove_file(dir.path().join("etc/audit/audit.rules")).unwrap();
        fs::create_dir(dir.path().join("etc/audit/audit.rules")).unwrap();
        assert_eq!(on_disk(&root, &gaps), None);
        assert_eq!(gaps.into_sorted()[0].fact, "audit.on_disk");
    }

    #[test]
    fn another_machine_s_files_say_nothing_of_this_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let gaps = Gaps::default();
        let seen = collect(&Root::new(dir.path()), &View::default(), &gaps);
        assert_eq!((seen.enabled, seen.loaded), (None, None));
        assert_eq!(gaps.into_sorted().len(), 2);
    }
}
