//! Audit rules as text: lines of audit.rules(7) files.
//!
//! Blanks separate words, as for `auditctl -R`; there are no quotes. What is not understood makes a
//! rule limited, so that it cannot count as covering something. Control lines (`-D`, `-e`, `-b` …)
//! are no rules.

use haechi_core::facts::AuditRule;

/// Fields that name what is watched, or are only a label: they do not limit a rule.
const PLAIN_FIELDS: [&str; 4] = ["path", "dir", "perm", "key"];
/// Options that make a rule and take a value.
const OPTIONS: [&str; 8] = ["-w", "-a", "-A", "-F", "-S", "-p", "-k", "-C"];
/// Operators, longest first.
const OPERATORS: [&str; 8] = ["!=", ">=", "<=", "&=", "=", ">", "<", "&"];

/// All rules of a file. `is_dir` tells whether a watched path is a directory.
pub(super) fn parse(text: &str, file: &str, is_dir: &dyn Fn(&str) -> bool) -> Vec<AuditRule> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let mut rule = parse_line(line, is_dir)?;
            rule.source = Some(format!("{file}:{}", index + 1));
            Some(rule)
        })
        .collect()
}

#[derive(Default)]
struct Draft {
    action: String,
    list: String,
    path: String,
    dir: String,
    permissions: Option<String>,
    limited: bool,
    watch: bool,
}

fn parse_line(line: &str, is_dir: &dyn Fn(&str) -> bool) -> Option<AuditRule> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let written = words(line);
    let mut rule = Draft::default();
    let mut words = written.iter().copied();
    let mut is_rule = false;
    while let Some(word) = words.next() {
        match word {
            "-w" => {
                is_rule = true;
                rule.watch = true;
                let path = trim_slashes(words.next().unwrap_or_default());
                let place = if is_dir(path) { &mut rule.dir } else { &mut rule.path };
                rule.limited |= !place.is_empty() || !path.starts_with('/');
                *place = path.to_owned();
            }
            "-a" | "-A" => {
                is_rule = true;
                rule.limited |= !rule.list(words.next().unwrap_or_default());
            }
            "-F" => rule.field(words.next().unwrap_or_default()),
            // Every system call by name or number is a choice; only `all` is none.
            "-S" => rule.limited |= words.next() != Some("all"),
            "-p" => rule.permissions(words.next().unwrap_or_default()),
            "-k" => {
                words.next();
            }
            _ if is_rule || word.starts_with("-C") => rule.limited = true,
            // A control line, or a deletion.
            _ => return None,
        }
    }
    if !is_rule {
        return None;
    }
    if rule.watch {
        // A watch is always this; a line that says both is refused by auditctl.
        rule.limited |= !rule.action.is_empty();
        (rule.action, rule.list) = ("always".into(), "exit".into());
    }
    rule.limited |= !rule.path.is_empty() && !rule.dir.is_empty();
    Some(AuditRule {
        action: Some(rule.action),
        list: Some(rule.list),
        path: Some(rule.path),
        dir: Some(rule.dir),
        permissions: Some(rule.permissions.unwrap_or_else(|| "rwxa".into())),
        limited: Some(rule.limited),
        text: Some(written.join(" ")),
        source: None,
    })
}

/// Words of a line, options and their values apart also where they are written as one
/// (`-w/etc/docker`).
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        match word.split_at_checked(2) {
            Some((option, value)) if !value.is_empty() && OPTIONS.contains(&option) => {
                words.extend([option, value]);
            }
            _ => words.push(word),
        }
    }
    words
}

impl Draft {
    /// `always,exit`, in either order; whether it was understood.
    fn list(&mut self, word: &str) -> bool {
        let mut known = true;
        for part in word.split(',') {
            match part {
                "always" | "never" if self.action.is_empty() => self.action = part.into(),
                "task" | "exit" | "user" | "exclude" | "filesystem" | "io_uring"
                    if self.list.is_empty() =>
                {
                    self.list = part.into();
                }
                _ => known = false,
            }
        }
        known && !self.action.is_empty() && !self.list.is_empty()
    }

    fn field(&mut self, word: &str) {
        let found = OPERATORS.iter().find_map(|operator| {
            let (name, value) = word.split_once(operator)?;
            // The operator comes right after the name; a later one belongs to the value.
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_')
                .then_some((name, *operator, value))
        });
        let Some((name, operator, value)) = found else {
            self.limited = true;
            return;
        };
        match name {
            "path" | "dir" => {
                let path = trim_slashes(value);
                let place = if name == "path" { &mut self.path } else { &mut self.dir };
                self.limited |= operator != "=" || !place.is_empty() || !path.starts_with('/');
                *place = path.to_owned();
            }
            "perm" => {
                self.limited |= operator != "=";
                self.permissions(value);
            }
            // Without `-S` an architecture takes all of its system calls; whether the other one is
            // missing is decided over all rules.
            "arch" => self.limited |= operator != "=" || !["b32", "b64"].contains(&value),
            _ => self.limited |= !PLAIN_FIELDS.contains(&name),
        }
    }

    fn permissions(&mut self, letters: &str) {
        // Several `perm` conditions must all hold, which none of them says alone.
        let known = !letters.is_empty() && letters.chars().all(|c| "rwxa".contains(c));
        self.limited |= !known || self.permissions.is_some();
        let sorted = "rwxa".chars().filter(|letter| letters.contains(*letter)).collect();
        self.permissions = Some(sorted);
    }
}

/// `auditctl` takes slashes off the end, too.
fn trim_slashes(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() && path.starts_with('/') { "/" } else { trimmed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(line: &str) -> Option<String> {
        let rule = parse_line(line, &|path| path.starts_with("/dir"))?;
        Some(format!(
            "{},{} path={} dir={} {}{}",
            rule.action.unwrap(),
            rule.list.unwrap(),
            rule.path.unwrap(),
            rule.dir.unwrap(),
            rule.permissions.unwrap(),
            if rule.limited.unwrap() { " limited" } else { "" }
        ))
    }

    #[test]
    fn rules_say_what_they_cover() {
        for (line, expected) in [
            ("-w /x -p wa -k docker", "always,exit path=/x dir= wa"),
            ("  -w\t/dir/  ", "always,exit path= dir=/dir rwxa"),
            ("-w / -p ar", "always,exit path=/ dir= ra"),
            ("-a always,exit -F path=/x -F perm=wa -F key=k", "always,exit path=/x dir= wa"),
            ("-a exit,always -S all -F dir=/dir", "always,exit path= dir=/dir rwxa"),
            ("-A never,exit -F path=/x", "never,exit path=/x dir= rwxa"),
            ("-a never,task", "never,task path= dir= rwxa"),
            ("-a always,exit -F arch=b64 -S all -F path=/x", "always,exit path=/x dir= rwxa"),
            (
                "-a always,exit -F arch=b64 -S open,openat -F dir=/x",
                "always,exit path= dir=/x rwxa limited",
            ),
            ("-a always,exit -F arch!=b64 -F dir=/x", "always,exit path= dir=/x rwxa limited"),
            ("-a always,exit -F path=/x -F auid>=1000", "always,exit path=/x dir= rwxa limited"),
            ("-a always,exit -F path=/x -F auid!=unset", "always,exit path=/x dir= rwxa limited"),
            ("-a always,exit -F path=/x -F success=0", "always,exit path=/x dir= rwxa limited"),
            ("-a always,exit -F path!=/x", "always,exit path=/x dir= rwxa limited"),
            ("-a always,exit -F path=/x -F path=/y", "always,exit path=/y dir= rwxa limited"),
            ("-a always,exit -F path=/x -F dir=/y", "always,exit path=/x dir=/y rwxa limited"),
            ("-a always,exit -F path=/x -F perm=w -F perm=a", "always,exit path=/x dir= a limited"),
            ("-a always,exit -F path=/x -C uid!=euid", "always,exit path=/x dir= rwxa limited"),
            ("-a always,exit -F path=x=y", "always,exit path=x=y dir= rwxa limited"),
            ("-a always,exit -F path=/x=y!=z", "always,exit path=/x=y!=z dir= rwxa"),
            ("-w/x -pwa -kdocker", "always,exit path=/x dir= wa"),
            ("-anever,exit -Fpath=/x", "never,exit path=/x dir= rwxa"),
            ("-w /x -p wz", "always,exit path=/x dir= w limited"),
            ("-w /x -F auid=0", "always,exit path=/x dir= rwxa limited"),
            ("-w /x -a never,exit", "always,exit path=/x dir= rwxa limited"),
            ("-w /x unexpected", "always,exit path=/x dir= rwxa limited"),
            ("-a sometimes,exit -F path=/x", ",exit path=/x dir= rwxa limited"),
            ("-a always", "always, path= dir= rwxa limited"),
            ("-w", "always,exit path= dir= rwxa limited"),
        ] {
            assert_eq!(one(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn control_lines_and_deletions_are_no_rules() {
        for line in [
            "",
            "# -w /x",
            "-D",
            "-e 2",
            "-b 8192",
            "-f 1",
            "-i",
            "-c",
            "-W /x",
            "-d always,exit",
            "--backlog_wait_time 60000",
            "--loginuid-immutable",
            "nonsense",
            "-F path=/x",
        ] {
            assert_eq!(one(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_no_condition_is_lost(
            line in "(-[waFSpkCAD] )?[ -~]{0,60}",
            field in "(auid|uid|exe|success|exit|msgtype)(=|!=|>=)[a-z0-9/]{1,8}",
        ) {
            let text = format!("{line}\n-a always,exit -F path=/x {line} -F {field}\n");
            let rules = parse(&text, "f", &|_| false);
            if let Some(rule) = rules.iter().find(|rule| rule.source.as_deref() == Some("f:2")) {
                // The condition may have become the value of an option that had none, which is
                // understood as little.
                let swallowed = ["-k", "-w"].iter().any(|word| line.trim_end().ends_with(word));
                prop_assert!(rule.limited == Some(true) || swallowed);
            }
        }
    }
}
