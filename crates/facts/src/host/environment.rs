//! Where content trust could be switched on: login environments, the engine's unit, and whoever
//! calls Haechi.
//!
//! Shell scripts are not run. A line that switches it on counts only if it stands alone, unindented
//! and exported; one that switches it off, or takes it away, counts wherever it stands. So a
//! condition that is not understood cannot make it look better than it is.

use std::cell::Cell;

use haechi_core::facts::{EnvSetting, Unit};
use haechi_core::finding::SubjectKind;

use super::units;
use crate::gaps::Gaps;
use crate::root::{Root, RootError};

const NAME: &str = "DOCKER_CONTENT_TRUST";

/// All places where it is set.
pub(super) fn collect(root: &Root, units: &[Unit], gaps: &Gaps) -> Option<Vec<EnvSetting>> {
    let mut settings = Vec::new();
    let complete = Cell::new(true);
    let missed = |error: RootError| {
        complete.set(false);
        gaps.keep::<(), _>(SubjectKind::Host, "content_trust", Err(error));
    };
    let read = |path: &str| match root.read_text(path) {
        Ok(text) => text,
        Err(error) => {
            if !error.is_not_found() {
                missed(error);
            }
            String::new()
        }
    };
    let found = |scope: &str, source: &str, values: Vec<String>| {
        let (scope, source) = (scope.to_owned(), source.to_owned());
        values.into_iter().map(move |value| EnvSetting {
            name: Some(NAME.into()),
            value: Some(value),
            scope: Some(scope.clone()),
            source: Some(source.clone()),
        })
    };
    for path in ["/etc/environment", "/etc/security/pam_env.conf"] {
        settings.extend(found("login", path, assigned(&read(path), path.ends_with(".conf"))));
    }
    let mut scripts = vec!["/etc/profile".to_owned(), "/etc/bash.bashrc".to_owned()];
    match super::glob::expand(root, "/etc/profile.d/*.sh") {
        Ok(paths) => scripts.extend(paths),
        Err(error) => missed(error),
    }
    for path in &scripts {
        settings.extend(found("login", path, in_script(&read(path))));
    }
    if let Some(unit) = units.iter().find(|unit| unit.name.as_deref() == Some("docker.service")) {
        for path in unit.path.iter().chain(unit.drop_ins.iter().flatten()) {
            let assignments = units::environment(&read(path));
            let values = assignments.into_iter().filter(|(name, _)| name == NAME);
            settings.extend(found("service", path, values.map(|(_, value)| value).collect()));
        }
        for path in unit.environment_files.iter().flatten() {
            settings.extend(found("service", path, assigned(&read(path), false)));
        }
    }
    if root.is_whole_machine()
        && let Ok(value) = std::env::var(NAME)
    {
        settings.extend(found("caller", "environment", vec![value]));
    }
    complete.get().then_some(settings)
}

/// Values in a file of plain assignments. pam_env.conf has its own form: `NAME DEFAULT=value
/// OVERRIDE=value`.
fn assigned(text: &str, pam: bool) -> Vec<String> {
    let value = |line: &str| {
        let (name, value) = assignment(line)?;
        (name == NAME).then_some(value)
    };
    let pam_value = |line: &str| {
        let rest = line.trim().strip_prefix(NAME)?;
        let get = |key: &str| {
            let value = rest.split_whitespace().find_map(|word| word.strip_prefix(key))?;
            Some(unquote(value)).filter(|value| !value.is_empty())
        };
        get("OVERRIDE=").or_else(|| get("DEFAULT="))
    };
    text.lines()
        .filter_map(|line| value(line).or_else(|| pam_value(line).filter(|_| pam)))
        .collect()
}

/// Values that a login script leaves in the environment, and those that it may.
fn in_script(text: &str) -> Vec<String> {
    let exported = |line: &str| -> Option<String> {
        let rest = ["export ", "declare -x ", "typeset -x "]
            .iter()
            .find_map(|command| line.trim_start().strip_prefix(command));
        rest.map(|rest| rest.trim_start().to_owned())
    };
    let exports_all = text.lines().any(|line| line.trim() == "set -a");
    let exported_alone = text
        .lines()
        .filter_map(exported)
        .any(|rest| rest.split_whitespace().any(|word| word == NAME));
    let mut values = Vec::new();
    for line in text.lines() {
        let bare = line.trim();
        let export = exported(line);
        let reaches = export.is_some() || exported_alone || exports_all;
        let indented = line.starts_with([' ', '\t']);
        if bare.starts_with("unset ") && bare.split_whitespace().any(|word| word == NAME) {
            values.push(String::new());
            continue;
        }
        let alone = assignment(export.as_deref().unwrap_or(bare)).filter(|(name, _)| name == NAME);
        // A value with more shell behind it (`1; fi`) is not a plain one.
        let plain = alone
            .filter(|(_, value)| value.chars().all(|c| c.is_ascii_alphanumeric()))
            .map(|(_, value)| value);
        match plain {
            Some(value) if is_off(&value) || (reaches && !indented) => values.push(value),
            Some(_) => {}
            None => values.extend(off_somewhere(bare)),
        }
    }
    values
}

/// What Docker takes for "off"; everything else it takes for "on".
fn is_off(value: &str) -> bool {
    ["", "0", "f", "F", "false", "FALSE", "False"].contains(&value)
}

/// An "off" that stands in the middle of a line.
fn off_somewhere(line: &str) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut words = line.split([' ', '\t', ';', '&', '|', '(', ')']);
    let value = words.find_map(|word| word.strip_prefix(NAME)?.strip_prefix('='))?;
    let value = unquote(value);
    is_off(&value).then_some(value)
}

/// A line `NAME=value`, with or without quotes; `None` for comments and everything else.
pub(super) fn assignment(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let (name, value) = line.split_once('=')?;
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| (name.to_owned(), unquote(value.trim())))
}

/// Takes one pair of quotes off; in double ones a backslash protects the next character.
fn unquote(value: &str) -> String {
    if let Some(inner) = value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')) {
        return inner.to_owned();
    }
    let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn scripts_count_only_where_it_is_certain() {
        for (script, expected) in [
            ("export DOCKER_CONTENT_TRUST=1\n", vec!["1"]),
            ("export DOCKER_CONTENT_TRUST=\"1\"\n", vec!["1"]),
            ("declare -x DOCKER_CONTENT_TRUST=1\n", vec!["1"]),
            ("DOCKER_CONTENT_TRUST=1\n", vec![]),
            ("DOCKER_CONTENT_TRUST=1\nexport DOCKER_CONTENT_TRUST\n", vec!["1"]),
            ("# export DOCKER_CONTENT_TRUST=1\n", vec![]),
            ("if x; then\n  export DOCKER_CONTENT_TRUST=1\nfi\n", vec![]),
            ("false && export DOCKER_CONTENT_TRUST=1\n", vec![]),
            ("export DOCKER_CONTENT_TRUST=$X\n", vec![]),
            ("export DOCKER_CONTENT_TRUST=1; unset OTHER\n", vec![]),
            ("export DOCKER_CONTENT_TRUST=1\n  DOCKER_CONTENT_TRUST=0\n", vec!["1", "0"]),
            ("x && export DOCKER_CONTENT_TRUST=0\n", vec!["0"]),
            ("export DOCKER_CONTENT_TRUST=1\nunset DOCKER_CONTENT_TRUST\n", vec!["1", ""]),
            ("export DOCKER_CONTENT_TRUST_SERVER=1\n", vec![]),
        ] {
            assert_eq!(in_script(script), expected, "{script}");
        }
    }

    #[test]
    fn settings_are_found_with_scope_and_source() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("etc/environment", "PATH=/bin\nDOCKER_CONTENT_TRUST=1\n");
        put("etc/security/pam_env.conf", "# x\nDOCKER_CONTENT_TRUST DEFAULT=0 OVERRIDE=\n");
        put("etc/profile.d/docker.sh", "export DOCKER_CONTENT_TRUST=1\n");
        put("etc/unit", "[Service]\nEnvironment=\"DOCKER_CONTENT_TRUST=true\" X=1\n");
        put("etc/env", "DOCKER_CONTENT_TRUST=0\n");
        let unit = Unit {
            name: Some("docker.service".into()),
            path: Some("/etc/unit".into()),
            environment_files: Some(vec!["/etc/env".into(), "/etc/none".into()]),
            ..Unit::default()
        };
        let gaps = Gaps::default();
        let seen: Vec<_> = collect(&root, &[unit], &gaps)
            .unwrap()
            .into_iter()
            .map(|s| format!("{} {} {}", s.value.unwrap(), s.scope.unwrap(), s.source.unwrap()))
            .collect();
        assert_eq!(
            seen,
            [
                "1 login /etc/environment",
                "0 login /etc/security/pam_env.conf",
                "1 login /etc/profile.d/docker.sh",
                "true service /etc/unit",
                "0 service /etc/env"
            ]
        );
        assert!(gaps.into_sorted().is_empty());
        let gaps = Gaps::default();
        fs::remove_file(dir.path().join("etc/environment")).unwrap();
        fs::create_dir(dir.path().join("etc/environment")).unwrap();
        assert_eq!(collect(&root, &[], &gaps), None, "a place that cannot be read leaves it open");
    }
}
