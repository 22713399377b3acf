//! sshd_config as OpenSSH reads it: the first value counts, `Include` is followed, `Match` blocks
//! are kept apart.
//!
//! Only the keywords that decide who may log in how are looked at. A value that the server would
//! refuse is an error, because then nobody knows what it does.

use std::collections::BTreeMap;

use haechi_core::finding::Cause;

use super::super::glob;
use crate::gaps::Observed;
use crate::root::Root;

/// How deep the server itself follows `Include`.
const DEPTH_MAX: usize = 16;
/// Files in all; a file that includes itself twice would otherwise be read 2^16 times.
const FILES_MAX: usize = 1_000;

/// The keywords that are kept, and the names that they are kept under.
const KEYWORDS: [(&str, &str); 7] = [
    ("permitrootlogin", "permitrootlogin"),
    ("passwordauthentication", "passwordauthentication"),
    ("kbdinteractiveauthentication", "kbdinteractiveauthentication"),
    ("challengeresponseauthentication", "kbdinteractiveauthentication"),
    ("skeyauthentication", "kbdinteractiveauthentication"),
    ("permitemptypasswords", "permitemptypasswords"),
    ("usepam", "usepam"),
];

/// Why the configuration is not known.
pub(super) type Unknown = (Cause, String);

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// Files that were read, in order.
    pub files: Vec<String>,
    /// First value of each keyword outside of `Match`, with its place.
    global: BTreeMap<&'static str, (String, String)>,
    /// Settings in `Match` blocks: the block's words, the keyword as written, its name, the value,
    /// its place.
    matched: Vec<Matched>,
}

#[derive(Debug)]
struct Matched {
    criteria: String,
    keyword: String,
    name: &'static str,
    value: String,
    place: String,
}

/// Who may log in how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub root_login: RootLogin,
    pub passwords: bool,
    pub empty_passwords: bool,
    /// What `Match` blocks allow beyond that.
    pub overrides: Vec<String>,
}

impl Settings {
    /// The laxest of two servers.
    pub(super) fn laxer(self, other: Self) -> Self {
        let mut overrides = self.overrides;
        overrides.extend(other.overrides);
        overrides.dedup();
        Self {
            root_login: self.root_login.max(other.root_login),
            passwords: self.passwords || other.passwords,
            empty_passwords: self.empty_passwords || other.empty_passwords,
            overrides,
        }
    }
}

/// `PermitRootLogin`, strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RootLogin {
    No,
    ForcedCommandsOnly,
    ProhibitPassword,
    Yes,
}

impl RootLogin {
    fn parse(value: &str) -> Option<Self> {
        match value.to_ascii_lowercase().as_str() {
            "no" => Some(Self::No),
            "forced-commands-only" => Some(Self::ForcedCommandsOnly),
            "prohibit-password" | "without-password" => Some(Self::ProhibitPassword),
            "yes" => Some(Self::Yes),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::ForcedCommandsOnly => "forced-commands-only",
            Self::ProhibitPassword => "prohibit-password",
            Self::Yes => "yes",
        }
    }
}

impl Config {
    /// Reads one line as if it stood before everything else (`-o` on the command line).
    pub(super) fn line(&mut self, line: &str) {
        if let Some((keyword, values)) = split(line) {
            self.keep(None, &keyword, &values, "the server's command line");
        }
    }

    /// Reads a file and what it includes.
    pub(super) fn file(&mut self, root: &Root, path: &str) -> Result<(), Unknown> {
        self.read(root, path, None, 0)
    }

    fn read(
        &mut self,
        root: &Root,
        path: &str,
        within: Option<&str>,
        depth: usize,
    ) -> Result<(), Unknown> {
        if depth > DEPTH_MAX || self.files.len() >= FILES_MAX {
            return Err((Cause::Missing, format!("{path}: included too deep or too often")));
        }
        let text = root.read_text(path).map_err(|e| (e.gap_cause(), e.to_string()))?;
        self.files.push(path.to_owned());
        // A `Match` ends with the file that it stands in; what includes the file goes on as it was.
        let mut criteria = within.map(str::to_owned);
        for (index, line) in text.lines().enumerate() {
            let Some((keyword, values)) = split(line) else { continue };
            match keyword.to_ascii_lowercase().as_str() {
                "match" => {
                    let own = values.join(" ");
                    criteria = Some(match within {
                        Some(outer) => format!("{outer} {own}"),
                        None => own,
                    });
                }
                "include" => {
                    for pattern in &values {
                        let pattern = match pattern.starts_with('/') {
                            true => pattern.clone(),
                            false => format!("/etc/ssh/{pattern}"),
                        };
                        let files = glob::expand(root, &pattern)
                            .map_err(|e| (e.gap_cause(), e.to_string()))?;
                        for file in files {
                            self.read(root, &file, criteria.as_deref(), depth + 1)?;
                        }
                    }
                }
                _ => {
                    let place = format!("{path}:{}", index + 1);
                    self.keep(criteria.as_deref(), &keyword, &values, &place);
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, criteria: Option<&str>, keyword: &str, values: &[String], place: &str) {
        let lower = keyword.to_ascii_lowercase();
        let Some((_, name)) = KEYWORDS.iter().find(|(known, _)| *known == lower) else { return };
        let value = values.first().cloned().unwrap_or_default();
        match criteria {
            None => {
                self.global.entry(name).or_insert((value, place.to_owned()));
            }
            Some(criteria) => self.matched.push(Matched {
                criteria: criteria.to_owned(),
                keyword: keyword.to_owned(),
                name,
                value,
                place: place.to_owned(),
            }),
        }
    }

    /// What it all comes to, with OpenSSH's own defaults.
    pub(super) fn settings(&self) -> Result<Settings, Unknown> {
        let flag = |name: &str, default: bool| match self.global.get(name) {
            Some((value, place)) => yes_or_no(value, place),
            None => Ok(default),
        };
        let root_login = match self.global.get("permitrootlogin") {
            Some((value, place)) => RootLogin::parse(value).ok_or_else(|| refused(value, place))?,
            None => RootLogin::ProhibitPassword,
        };
        let pam = flag("usepam", false)?;
        // Keyboard-interactive asks PAM, and PAM asks for the password.
        let passwords = flag("passwordauthentication", true)?
            || (flag("kbdinteractiveauthentication", true)? && pam);
        let empty_passwords = flag("permitemptypasswords", false)?;
        let mut overrides = Vec::new();
        for setting in &self.matched {
            let lax = match setting.name {
                "permitrootlogin" => {
                    RootLogin::parse(&setting.value)
                        .ok_or_else(|| refused(&setting.value, &setting.place))?
                        > root_login
                }
                "passwordauthentication" => {
                    yes_or_no(&setting.value, &setting.place)? && !passwords
                }
                "kbdinteractiveauthentication" => {
                    yes_or_no(&setting.value, &setting.place)? && pam && !passwords
                }
                "permitemptypasswords" => {
                    yes_or_no(&setting.value, &setting.place)? && !empty_passwords
                }
                _ => false,
            };
            if lax {
                let Matched { criteria, keyword, value, .. } = setting;
                overrides.push(format!("Match {criteria}: {keyword} {value}"));
            }
        }
        Ok(Settings { root_login, passwords, empty_passwords, overrides })
    }
}

fn yes_or_no(value: &str, place: &str) -> Result<bool, Unknown> {
    match value.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(refused(value, place)),
    }
}

fn refused(value: &str, place: &str) -> Unknown {
    (Cause::Missing, format!("{place}: the server does not know the value {value:?}"))
}

/// Keyword and values of a line; `None` for blank lines and comments.
fn split(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    // The keyword ends at a blank or at an equals sign, of which one may follow.
    let line = line.strip_prefix('"').unwrap_or(line);
    let end = line.find(|c: char| c.is_whitespace() || c == '=' || c == '"').unwrap_or(line.len());
    let (keyword, rest) = line.split_at_checked(end)?;
    let rest = rest.strip_prefix('"').unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Some((keyword.to_owned(), words(rest)))
}

/// Values: blanks separate, quotes keep blanks, a backslash protects a quote, and a `#` ends the
/// line.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            (_, '\\') if chars.peek().is_some_and(|next| "\"'\\".contains(*next)) => {
                word.get_or_insert_default().extend(chars.next());
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn settings(files: &[(&str, &str)]) -> Result<Settings, Unknown> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join("etc/ssh").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut config = Config::default();
        config.file(&Root::new(dir.path()), "/etc/ssh/sshd_config")?;
        config.settings()
    }

    fn one(text: &str) -> Settings {
        settings(&[("sshd_config", text)]).unwrap()
    }

    #[test]
    fn defaults_are_the_server_s_own() {
        let seen = one("# nothing\n\n");
        assert_eq!(seen.root_login, RootLogin::ProhibitPassword);
        assert!(seen.passwords && !seen.empty_passwords && seen.overrides.is_empty());
    }

    #[test]
    fn the_first_value_counts_however_it_is_written() {
        let seen =
            one("  permitROOTlogin=\"no\" # c\nPermitRootLogin yes\nPasswordAuthentication = no\n");
        assert_eq!(seen.root_login, RootLogin::No);
        assert!(!seen.passwords, "keyboard-interactive without PAM has nobody to ask");
        assert!(one("PasswordAuthentication no\nUsePAM yes\n").passwords);
        assert!(
            !one("PasswordAuthentication no\nUsePAM yes\nKbdInteractiveAuthentication no")
                .passwords
        );
        assert!(
            !one("PasswordAuthentication no\nUsePAM yes\nChallengeResponseAuthentication no")
                .passwords
        );
        assert_eq!(one("PermitRootLogin without-password").root_login.name(), "prohibit-password");
        assert_eq!(one("\"PermitRootLogin\" 'yes'").root_login, RootLogin::Yes);
        assert_eq!(
            one("PermitRootLogin\t=\tforced-commands-only\r\n").root_login.name(),
            "forced-commands-only"
        );
    }

    #[test]
    fn included_files_come_where_they_are_included() {
        let seen = settings(&[
            ("sshd_config", "Include sshd_config.d/*.conf none/*\nPermitRootLogin no\n"),
            ("sshd_config.d/20.conf", "PermitRootLogin no\n"),
            ("sshd_config.d/10.conf", "Match User x\n PermitEmptyPasswords yes\n"),
            ("sshd_config.d/15.conf", "PermitRootLogin yes\n"),
            ("sshd_config.d/05.conf.off", "PermitRootLogin forced-commands-only\n"),
        ])
        .unwrap();
        assert_eq!(seen.root_login, RootLogin::Yes, "a Match ends with its file");
        assert_eq!(seen.overrides, ["Match User x: PermitEmptyPasswords yes"]);
    }

    #[test]
    fn only_laxer_overrides_are_named() {
        let seen = one("PermitRootLogin no\nPasswordAuthentication no\nUsePAM yes\n\
                        KbdInteractiveAuthentication no\nMatch Address 10.0.0.0/8 User root\n\
                        PermitRootLogin Yes\n PasswordAuthentication no\nMatch all\n\
                        KbdInteractiveAuthentication yes\nInclude x.conf\n");
        let expected = [
            "Match Address 10.0.0.0/8 User root: PermitRootLogin Yes",
            "Match all: KbdInteractiveAuthentication yes",
        ];
        assert_eq!(seen.overrides, expected);
        assert!(
            one("PermitRootLogin yes\nMatch User x\nPermitRootLogin no\n").overrides.is_empty()
        );
        let seen = settings(&[
            ("sshd_config", "PermitRootLogin no\nMatch User x\nInclude in.conf\n"),
            ("in.conf", "PermitRootLogin yes\n"),
        ])
        .unwrap();
        assert_eq!(seen.overrides, ["Match User x: PermitRootLogin yes"]);
    }

    #[test]
    fn broken_configurations_are_not_guessed() {
        assert!(settings(&[("sshd_config", "PermitRootLogin maybe\n")]).is_err());
        assert!(settings(&[("sshd_config", "PermitRootLogin\n")]).is_err());
        assert!(settings(&[("sshd_config", "Match all\nPasswordAuthentication true\n")]).is_err());
        assert!(settings(&[]).is_err());
        let ring = settings(&[("sshd_config", "Include sshd_config\nInclude sshd_config\n")]);
        assert_eq!(ring.unwrap_err().0, Cause::Missing);
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_the_first_line_counts(text in "(?s).{0,200}") {
            let text = format!("PermitRootLogin yes\n{text}");
            if let Ok(seen) = settings(&[("sshd_config", &text)]) {
                prop_assert_eq!(seen.root_login, RootLogin::Yes);
            }
        }
    }
}
