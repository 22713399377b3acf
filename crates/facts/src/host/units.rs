//! Systemd units of the engine and of containerd, from their files.
//!
//! What is read is what systemd would load next, not what it has loaded: a unit that was changed
//! without `daemon-reload` is shown as changed. Only the unit's own drop-ins count, not those of
//! its type or template.

use std::collections::BTreeMap;

use haechi_core::facts::Unit;
use haechi_core::finding::SubjectKind;

use crate::gaps::Gaps;
use crate::redact;
use crate::root::{Root, RootError};

/// The units that matter to an engine.
const UNITS: [&str; 3] = ["docker.service", "docker.socket", "containerd.service"];
/// Where units are, the strongest place first (systemd.unit(5)).
const PLACES: [&str; 11] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// The units that exist, in the order of the list above.
pub(super) fn collect(root: &Root, gaps: &Gaps) -> Option<Vec<Unit>> {
    let mut units = Vec::new();
    for name in UNITS {
        let unit = gaps.keep(SubjectKind::Host, "units", unit(root, name))?;
        units.extend(unit);
    }
    Some(units)
}

fn unit(root: &Root, name: &str) -> Result<Option<Unit>, RootError> {
    let Some(path) = first_existing(root, name)? else { return Ok(None) };
    let drop_ins = drop_ins(root, name)?;
    let mut exec_start = Vec::new();
    let mut environment_files = Vec::new();
    // A masked unit has no content, and systemd does not look at its drop-ins either.
    if !is_masked(root, &path)? {
        for file in std::iter::once(&path).chain(&drop_ins) {
            for (key, value) in service_settings(&root.read_text(file)?) {
                let list = match key.as_str() {
                    "ExecStart" => &mut exec_start,
                    "EnvironmentFile" => &mut environment_files,
                    _ => continue,
                };
                if value.is_empty() {
                    list.clear();
                } else {
                    list.push(value);
                }
            }
        }
    }
    let plain = |path: String| path.strip_prefix('-').map(str::to_owned).unwrap_or(path);
    Ok(Some(Unit {
        name: Some(name.to_owned()),
        path: Some(path),
        drop_ins: Some(drop_ins),
        environment_files: Some(environment_files.into_iter().map(plain).collect()),
        exec_start: Some(redact::text(&exec_start.join(" ; "))),
    }))
}

fn first_existing(root: &Root, name: &str) -> Result<Option<String>, RootError> {
    for place in PLACES {
        let path = format!("{place}/{name}");
        match root.read_link(&path) {
            Ok(_) => return Ok(Some(path)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A link to /dev/null, or an empty file.
fn is_masked(root: &Root, path: &str) -> Result<bool, RootError> {
    if root.read_link(path)?.as_deref() == Some("/dev/null") {
        return Ok(true);
    }
    Ok(root.metadata(path)?.real_path == "/dev/null" || root.read(path)?.is_empty())
}

/// Drop-ins in the order in which they apply: by name, the strongest place winning where names are
/// the same.
fn drop_ins(root: &Root, name: &str) -> Result<Vec<String>, RootError> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for place in PLACES {
        let dir = format!("{place}/{name}.d");
        let names = match root.list(&dir) {
            Ok(names) => names,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        for file in names.iter().filter_map(|n| n.to_str()).filter(|n| n.ends_with(".conf")) {
            found.entry(file.to_owned()).or_insert_with(|| format!("{dir}/{file}"));
        }
    }
    let mut paths = Vec::new();
    for path in found.into_values() {
        if !is_masked(root, &path)? {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// Settings of the `[Service]` section, in order, continued lines joined.
fn service_settings(text: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut in_service = false;
    let mut joined = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(start) = line.strip_suffix('\\') {
            joined.push_str(start);
            joined.push(' ');
            continue;
        }
        joined.push_str(line);
        let whole = std::mem::take(&mut joined);
        if whole.starts_with('[') {
            in_service = whole.trim() == "[Service]";
        } else if let (true, Some((key, value))) = (in_service, whole.split_once('=')) {
            settings.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    settings
}

/// Variables of a unit file's `Environment=` lines.
pub(super) fn environment(text: &str) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for (key, value) in service_settings(text) {
        if key != "Environment" {
            continue;
        }
        for word in words(&value) {
            if let Some((name, value)) = word.split_once('=') {
                variables.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    variables
}

/// Words of a setting; quotes of both kinds keep blanks.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            (_, '\\') => word.get_or_insert_default().push(chars.next().unwrap_or(c)),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn put(dir: &Path, path: &str, text: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_strongest_file_and_all_drop_ins_count() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let base = "[Unit]\nExecStart=not this\n[Service]\n# x\n\
                    EnvironmentFile=-/etc/default/docker\n\
                    ExecStart=/usr/bin/dockerd \\\n  # between\n  -H fd:// $OPTS\n";
        put(dir.path(), "usr/lib/systemd/system/docker.service", base);
        put(dir.path(), "lib/systemd/system/docker.service", "[Service]\nExecStart=/weaker\n");
        let seen = collect(&root, &Gaps::default()).unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].path.as_deref(), Some("/usr/lib/systemd/system/docker.service"));
        assert_eq!(seen[0].exec_start.as_deref(), Some("/usr/bin/dockerd  -H fd:// $OPTS"));
        assert_eq!(seen[0].environment_files.as_deref().unwrap(), ["/etc/default/docker"]);

        let drop = "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:2375\n";
        put(dir.path(), "etc/systemd/system/docker.service.d/override.conf", drop);
        put(
            dir.path(),
            "lib/systemd/system/docker.service.d/override.conf",
            "[Service]\nExecStart=\n",
        );
        put(dir.path(), "lib/systemd/system/docker.service.d/10-x.conf", "");
        put(dir.path(), "lib/systemd/system/docker.service.d/README", "");
        let seen = collect(&root, &Gaps::default()).unwrap();
        assert_eq!(seen[0].exec_start.as_deref(), Some("/usr/bin/dockerd -H tcp://0.0.0.0:2375"));
        let drop_ins = seen[0].drop_ins.as_deref().unwrap();
        assert_eq!(drop_ins, ["/etc/systemd/system/docker.service.d/override.conf"]);
    }

    #[test]
    fn a_masked_unit_is_named_with_its_link() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "lib/systemd/system/docker.socket", "[Socket]\n");
        fs::create_dir_all(dir.path().join("etc/systemd/system")).unwrap();
        symlink("/dev/null", dir.path().join("etc/systemd/system/docker.socket")).unwrap();
        let seen = collect(&Root::new(dir.path()), &Gaps::default()).unwrap();
        assert_eq!(seen[0].path.as_deref(), Some("/etc/systemd/system/docker.socket"));
        assert_eq!(seen[0].exec_start.as_deref(), Some(""));
    }

    #[test]
    fn a_host_without_systemd_has_none_and_a_folder_is_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        assert_eq!(collect(&root, &Gaps::default()), Some(vec![]));
        fs::create_dir_all(dir.path().join("etc/systemd/system/docker.service")).unwrap();
        let gaps = Gaps::default();
        assert_eq!(collect(&root, &gaps), None);
        assert_eq!(gaps.into_sorted()[0].fact, "units");
    }

    #[test]
    fn environment_lines_are_split_like_systemd_s() {
        let text = "[Service]\nEnvironment=A=1 \"B=x y\" 'C=\\'' D\n\
                    Environment=E=\n[Install]\nEnvironment=F=1\n";
        let seen: Vec<_> = environment(text).into_iter().map(|(n, v)| format!("{n}:{v}")).collect();
        assert_eq!(seen, ["A:1", "B:x y", "C:'", "E:"]);
    }
}
