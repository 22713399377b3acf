//! Patterns of texts: globs, regular expressions, path prefixes. All take time in proportion to the text.

use foldhash::{HashSet, HashSetExt};
use regex::{Regex, RegexBuilder};

use crate::condition::Fault;

/// The largest automaton in bytes, so that no pattern takes much memory; those of Falco's rules take a few kilobytes.
const AUTOMATON_MAX: usize = 256 * 1024;

/// A regular expression that has to match the whole text, as RE2's `FullMatch` does. Other than there, `.` stands for a
/// line break too: else an argument with one would hide a command line.
pub(super) fn regex(pattern: &str) -> Result<Regex, Fault> {
    build(&format!(r"\A(?:{pattern})\z"), false, pattern)
}

/// A shell pattern as fnmatch(3) without flags reads it: `*` and `?` stand for slashes too.
pub(super) fn glob(pattern: &str, any_case: bool) -> Result<Regex, Fault> {
    build(&format!(r"\A{}\z", translate(pattern, ".")?), any_case, pattern)
}

fn build(regex: &str, any_case: bool, pattern: &str) -> Result<Regex, Fault> {
    RegexBuilder::new(regex)
        .case_insensitive(any_case)
        .dot_matches_new_line(true)
        .size_limit(AUTOMATON_MAX)
        .build()
        .map_err(|_| Fault::Lacking(format!("pattern {pattern:?} is wrong or too large")))
}

/// A shell pattern as a regular expression; `any` is what `?` stands for.
fn translate(pattern: &str, any: &str) -> Result<String, Fault> {
    let mut regex = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if matches!(c, '?' | '*' | '+' | '@' | '!') && rest.starts_with('(') {
            return Err(Fault::Lacking(format!("no extended pattern {pattern:?}")));
        }
        match c {
            '*' => regex.extend([any, "*"]),
            '?' => regex.push_str(any),
            '[' => match class(rest) {
                Some((class, behind)) => {
                    regex.push_str(&class);
                    rest = behind;
                }
                None => regex.push_str(r"\["),
            },
            '\\' => {
                let literal = rest.chars().next().unwrap_or('\\');
                rest = rest.get(literal.len_utf8()..).unwrap_or_default();
                regex.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
            }
            _ => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    Ok(regex)
}

/// The rest of `[…]` as a class of a regular expression, and what is behind it; `None` if it is not closed.
fn class(text: &str) -> Option<(String, &str)> {
    let (not, inner) = match text.strip_prefix(['!', '^']) {
        Some(inner) => ("^", inner),
        None => ("", text),
    };
    let mut class = format!("[{not}");
    let mut chars = inner.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            ']' if i > 0 => {
                class.push(']');
                return Some((class, inner.get(i + 1..)?));
            }
            '-' => class.push('-'),
            '\\' => class.push_str(&regex::escape(chars.next()?.1.encode_utf8(&mut [0; 4]))),
            // `[:alpha:]` is written the same way in both.
            '[' if inner.get(i + 1..)?.starts_with(':') => {
                let name = inner.get(i..)?;
                let end = name.find(":]")? + 2;
                class.push_str(name.get(..end)?);
                chars.nth(end - 2);
            }
            '~' | '&' | '[' | ']' | '^' => class.extend(['\\', c]),
            _ => class.push(c),
        }
    }
    None
}

/// Paths below which a path may be (`pmatch`): `/etc` is for `/etc` and `/etc/passwd`, not for `/etcetera`.
#[derive(Debug)]
pub(crate) struct Prefixes {
    plain: HashSet<Box<str>>,
    /// Bytes of the longest one: no longer beginning of a path has to be looked up.
    longest: usize,
    /// Those with patterns in their parts.
    patterns: Vec<Regex>,
}

impl Prefixes {
    pub(super) fn new(words: &[&str]) -> Result<Self, Fault> {
        let mut prefixes = Prefixes { plain: HashSet::new(), longest: 0, patterns: Vec::new() };
        for word in words {
            let path = word.trim_end_matches('/');
            if path.contains(['*', '?', '[']) {
                let regex = format!(r"\A{}(?:/|\z)", translate(path, "[^/]")?);
                prefixes.patterns.push(build(&regex, false, word)?);
            } else {
                prefixes.longest = prefixes.longest.max(path.len());
                prefixes.plain.insert(path.into());
            }
        }
        Ok(prefixes)
    }

    pub(super) fn automata(&self) -> usize {
        self.patterns.len()
    }

    /// Whether a path is one of them or below one.
    pub(super) fn cover(&self, path: &str) -> bool {
        let begins = |end: usize| path.get(..end).is_some_and(|start| self.plain.contains(start));
        begins(path.len())
            || memchr::memchr_iter(b'/', path.as_bytes())
                .take_while(|end| *end <= self.longest)
                .any(begins)
            || self.patterns.iter().any(|pattern| pattern.is_match(path))
    }
}
