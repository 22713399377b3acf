//! Which package commands a shell command line has, as far as reading it tells.
//!
//! Splits a script into simple commands at `&&`, `;`, pipes, newlines and parentheses, looks through
//! variables, `sudo`, `env` and `sh -c '…'`, and names what package managers are told to do. It runs nothing
//! and follows no script file or variable; where a command stands in one, the script's words are taken for it.

use super::packages::{self, Packages};

/// Shells within shells that are looked into.
const DEPTH_MAX: usize = 5;

/// Words that stand before a command and leave it what it is.
const PREFIXES: [&str; 22] = [
    "sudo",
    "env",
    "exec",
    "command",
    "time",
    "nice",
    "nohup",
    "eatmydata",
    "if",
    "then",
    "else",
    "elif",
    "do",
    "while",
    "until",
    "!",
    "{",
    "builtin",
    "timeout",
    "xargs",
    "doas",
    "chroot",
];

/// The last part of a path.
pub(super) fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Whether a word is a shell's program.
pub(super) fn is_shell(word: &str) -> bool {
    let shells =
        ["sh", "bash", "dash", "ash", "zsh", "ksh", "busybox", "cmd", "powershell", "pwsh"];
    shells.contains(&base(word))
}

/// What a command line does with packages.
pub(super) fn packages(text: &str) -> Packages {
    let mut found = Packages::default();
    read(text, 0, &mut found);
    if found.opaque {
        packages::guess(text, &mut found);
    }
    found
}

/// How a simple command follows the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Joint {
    #[default]
    Next,
    /// Behind `||`: it runs only if the one before fails.
    Or,
    /// Behind `|`: it reads what the one before writes.
    Pipe,
}

/// A simple command: its words without quotes.
#[derive(Debug, Default)]
struct Simple {
    words: Vec<String>,
    joint: Joint,
}

fn read(text: &str, depth: usize, found: &mut Packages) {
    if depth > DEPTH_MAX {
        return;
    }
    let mut updated = false;
    for command in commands(text) {
        let mut own = Packages::default();
        simple(&command.words, command.joint, depth, &mut own);
        // `apt-get update || yum install x` installs where the update fails, so not from what it fetched.
        own.installs &= !(updated && command.joint == Joint::Or);
        updated = own.updates;
        found.updates |= own.updates;
        found.installs |= own.installs;
        found.opaque |= own.opaque;
    }
}

/// The simple commands of a script.
fn commands(text: &str) -> Vec<Simple> {
    let mut commands = vec![Simple::default()];
    let mut word: Option<String> = None;
    let mut characters = text.chars().peekable();
    let mut quote = None;
    // What opened each substitution or group, and the quote that it stands in.
    let mut nesting: Vec<(char, Option<char>)> = Vec::new();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(c),
            (_, '\\') => match characters.next() {
                // A backslash at the end of a line joins it with the next one.
                Some('\n') | None => {}
                Some(next) => word.get_or_insert_default().push(next),
            },
            // Substitutions run inside double quotes as well.
            (_, '`') => {
                end_command(&mut commands, &mut word);
                match nesting.pop_if(|(opened, _)| *opened == '`') {
                    Some((_, outer)) => quote = outer,
                    None => nesting.push(('`', quote.take())),
                }
            }
            (Some(_), '$') if characters.next_if_eq(&'(').is_some() => {
                end_command(&mut commands, &mut word);
                nesting.push(('(', quote.take()));
            }
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => {
                // A comment to the end of the line.
                while characters.next_if(|c| *c != '\n').is_some() {}
            }
            (None, '(') => {
                end_command(&mut commands, &mut word);
                nesting.push(('(', None));
            }
            (None, ')') => {
                end_command(&mut commands, &mut word);
                quote = nesting.pop().and_then(|(_, outer)| outer);
            }
            (None, '|') => {
                let or = characters.next_if_eq(&'|').is_some();
                let joint = if or { Joint::Or } else { Joint::Pipe };
                end_command_with(&mut commands, &mut word, joint);
            }
            // `2>&1` and `&>log` are redirections and end nothing.
            (None, '&')
                if word.as_ref().is_some_and(|word| word.ends_with(['>', '<']))
                    || characters.peek() == Some(&'>') =>
            {
                word.get_or_insert_default().push(c);
            }
            (None, ';' | '&' | '\n') => end_command(&mut commands, &mut word),
            (None, c) if c.is_whitespace() => end_word(&mut commands, &mut word),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    end_word(&mut commands, &mut word);
    commands
}

fn end_word(commands: &mut [Simple], word: &mut Option<String>) {
    if let (Some(word), Some(command)) = (word.take(), commands.last_mut()) {
        command.words.push(word);
    }
}

fn end_command(commands: &mut Vec<Simple>, word: &mut Option<String>) {
    end_command_with(commands, word, Joint::Next);
}

fn end_command_with(commands: &mut Vec<Simple>, word: &mut Option<String>, joint: Joint) {
    end_word(commands, word);
    if commands.last().is_some_and(|command| !command.words.is_empty()) {
        commands.push(Simple { words: Vec::new(), joint });
    }
}

/// Whether a word redirects input or output, and where to: `2>&1`, `>/log`, `&>log`.
fn is_redirection(word: &str) -> bool {
    word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&').starts_with(['>', '<'])
}

/// Whether a word sets a variable for the command behind it.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

fn simple(words: &[String], joint: Joint, depth: usize, found: &mut Packages) {
    let mut operand = false;
    // A redirection may stand anywhere, and its file apart from its sign.
    let is_word = move |word: &&str| {
        let behind = std::mem::take(&mut operand);
        let redirects = is_redirection(word);
        operand = redirects && word.ends_with(['>', '<']);
        !redirects && !behind
    };
    let mut words = words.iter().map(String::as_str).filter(is_word).peekable();
    let mut prefixed = false;
    // What stands before the command: variables, `sudo -E`, `env -i`, `timeout 60`, `chroot /x`.
    while let Some(word) = words.peek().copied() {
        let name = base(word);
        let number = word.starts_with(|c: char| c.is_ascii_digit());
        let path = word.starts_with('/') && !is_shell(word) && !packages::is_package_manager(word);
        if PREFIXES.contains(&name) {
            prefixed = true;
        } else if !(is_assignment(word) || prefixed && (word.starts_with('-') || number || path)) {
            break;
        }
        words.next();
    }
    let Some(program) = words.next().map(base) else { return };
    let rest: Vec<&str> = words.collect();
    let no_words = rest.iter().all(|word| word.starts_with('-'));
    // A command in a variable, and one whose words come through a pipe.
    found.opaque |= program.contains('$')
        || (joint == Joint::Pipe
            && no_words
            && (is_shell(program) || packages::is_package_manager(program)));
    if is_shell(program) {
        return shell(&rest, depth, found);
    }
    if program == "eval" {
        return read(&rest.join(" "), depth + 1, found);
    }
    packages::read(program, &rest, found);
}

/// The script of `sh -c '…'`, or the words behind it where the quotes were lost in the history.
fn shell(rest: &[&str], depth: usize, found: &mut Packages) {
    let at = rest.iter().position(|word| {
        let letters = word.strip_prefix('-').is_some_and(|rest| !rest.starts_with('-'));
        (letters && word.ends_with('c')) || word.eq_ignore_ascii_case("/c")
    });
    let (script, words) = match at {
        Some(at) => (rest.get(at + 1), rest.get(at + 1..).unwrap_or_default()),
        // `busybox apt-get …`, `sh script`: the words themselves.
        None => (None, rest),
    };
    match script {
        Some(script) if script.contains(char::is_whitespace) => read(script, depth + 1, found),
        _ if depth <= DEPTH_MAX => {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            simple(&words, Joint::Next, depth + 1, found);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(text: &str) -> (bool, bool) {
        let found = packages(text);
        (found.updates, found.installs)
    }

    #[test]
    fn updates_and_installs_are_found_in_real_command_lines() {
        let cases = [
            ("/bin/sh -c apt-get update", (true, false)),
            ("/bin/sh -c apt-get -y -qq update && rm -rf /x", (true, false)),
            ("/bin/sh -c apt-get update && apt-get install -y curl", (true, true)),
            ("/bin/sh -c apt-get update;apt-get install -y curl", (true, true)),
            (
                "/bin/sh -c set -eux; \tapt-get update; \tapt-get -o X::Y=1 install -y --no-install-recommends a",
                (true, true),
            ),
            ("/bin/sh -c DEBIAN_FRONTEND=noninteractive apt-get -o Debug=1 update", (true, false)),
            ("/bin/bash -o pipefail -c apt update", (true, false)),
            ("/bin/sh -c sudo -E /usr/bin/apt-get update", (true, false)),
            ("/bin/sh -c bash -c 'apt-get update && true'", (true, false)),
            ("/bin/sh -c if true; then apt-get update; fi", (true, false)),
            ("/bin/sh -c (apt-get update)", (true, false)),
            ("/bin/sh -c echo apt-get update", (false, false)),
            ("/bin/sh -c echo 'x && apt-get update'", (false, false)),
            ("/bin/sh -c # apt-get update\ntrue", (false, false)),
            ("/bin/sh -c apt-get \\\n  update", (true, false)),
            ("/bin/sh -c x=\"$(apt-get update)\"", (true, false)),
            ("/bin/sh -c x=\"$(date)\" && apt-get update", (true, false)),
            ("/bin/sh -c x=\"`date`\" && apt-get update", (true, false)),
            ("apk update", (true, false)),
            ("/bin/sh -c apk add --no-cache curl", (false, true)),
            ("/bin/sh -c apk --no-cache -X http://m update", (true, false)),
            ("/bin/sh -c yum makecache fast", (true, false)),
            ("/bin/sh -c dnf -y --setopt x=y install a", (false, true)),
            ("/bin/sh -c zypper --non-interactive refresh", (true, false)),
            ("/bin/sh -c pacman -Sy", (true, false)),
            ("/bin/sh -c pacman -Syu --noconfirm", (true, true)),
            ("/bin/sh -c pacman --noconfirm -S git", (false, true)),
            ("/bin/sh -c apt-get update && pip install x", (true, true)),
            ("/bin/sh -c timeout 60 apt-get update || true", (true, false)),
            ("/bin/sh -c apt-get update | tee /log", (true, false)),
            ("/bin/sh -c ./update install", (false, false)),
            // What only running it would tell.
            ("/bin/sh -c x=apt-get; $x update", (true, false)),
            ("/bin/sh -c x=apt-get; $x update && $x install -y curl", (true, true)),
            ("/bin/sh -c for i in update; do apt-get $i; done", (true, false)),
            ("/bin/sh -c apt-get ${N} update", (true, false)),
            ("/bin/sh -c apt-get update && apt-get $OPTIONS install curl", (true, true)),
            ("/bin/sh -c echo \"apt-get update\" | sh", (true, false)),
            ("/bin/sh -c echo update | xargs apt-get", (true, false)),
            ("/bin/sh -c $(echo apt-get) update", (true, false)),
            ("/bin/sh -c $HOME/configure && make", (false, false)),
            // An alternative is no installation from what was fetched.
            ("/bin/sh -c apt-get update || yum install x", (true, false)),
            ("/bin/sh -c apt-get update >/dev/null 2>&1 || yum install x", (true, false)),
            ("/bin/sh -c apt-get >/dev/null update", (true, false)),
            ("/bin/sh -c apt-get > /dev/null update", (true, false)),
            ("/bin/sh -c apt-get update || true && apt-get install -y x", (true, true)),
        ];
        for (text, expected) in cases {
            assert_eq!(seen(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,300}") {
            let _ = packages(&text);
        }

        #[test]
        fn an_update_is_found_behind_anything_that_ends(before in "[a-z/ -]{0,30}", sign in "(&&|;|\\|\\||\n|\\|)") {
            let text = format!("/bin/sh -c {before} {sign} apt-get -qq update");
            prop_assert!(seen(&text).0, "{}", text);
        }
    }
}
