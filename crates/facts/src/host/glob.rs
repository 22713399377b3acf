//! Shell patterns over the host's files: `*`, `?` and `[…]`, as ssh's `Include` takes them.
//!
//! A leading dot is matched only by a dot. There are no braces and no `**`.

use crate::root::{Root, RootError, RootErrorKind};

/// More paths than this come from no sane pattern; the rest would only cost time.
const PATHS_MAX: usize = 10_000;

/// Whether one name (no `/`) matches one part of a pattern.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (mut rest, mut left) = (pattern, name);
    // Where to go on after the last `*`, should it have to take one character more.
    let mut star: Option<(&str, &str)> = None;
    loop {
        if let Some(after) = rest.strip_prefix('*') {
            star = Some((after, left));
            rest = after;
            continue;
        }
        let Some(next) = left.chars().next() else {
            return rest.is_empty();
        };
        if let Some(after) = one(rest, next) {
            rest = after;
            left = left.get(next.len_utf8()..).unwrap_or_default();
        } else if let Some((after, from)) = star {
            let skipped = from.chars().next().map_or(0, char::len_utf8);
            left = from.get(skipped..).unwrap_or_default();
            rest = after;
            star = Some((after, left));
        } else {
            return false;
        }
    }
}

/// Takes one character off the pattern, if it matches.
fn one(pattern: &str, next: char) -> Option<&str> {
    let mut chars = pattern.chars();
    match chars.next()? {
        '?' => Some(chars.as_str()),
        '[' => match set(chars.as_str()) {
            Some((inside, after)) => in_set(inside, next).then_some(after),
            None => (next == '[').then_some(chars.as_str()),
        },
        '\\' => (chars.next()? == next).then_some(chars.as_str()),
        literal => (literal == next).then_some(chars.as_str()),
    }
}

/// What is between `[` and its `]`, and what comes after; a `]` that comes first belongs to the
/// set.
fn set(pattern: &str) -> Option<(&str, &str)> {
    let negation = usize::from(pattern.starts_with(['!', '^']));
    let end = pattern.get(negation + 1..)?.find(']')? + negation + 1;
    Some((pattern.get(..end)?, pattern.get(end + 1..)?))
}

fn in_set(set: &str, next: char) -> bool {
    let negated = set.strip_prefix(['!', '^']);
    let members: Vec<char> = negated.unwrap_or(set).chars().collect();
    let mut members = members.as_slice();
    let mut found = false;
    loop {
        members = match members {
            [from, '-', to, rest @ ..] => {
                found |= (*from..=*to).contains(&next);
                rest
            }
            [one, rest @ ..] => {
                found |= *one == next;
                rest
            }
            [] => return found != negated.is_some(),
        };
    }
}

/// Existing paths that match an absolute pattern, sorted.
///
/// # Errors
/// A directory on the way may not be listed, or there are more than [`PATHS_MAX`].
pub(super) fn expand(root: &Root, pattern: &str) -> Result<Vec<String>, RootError> {
    let mut paths = vec![String::new()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for base in paths {
            if !part.contains(['*', '?', '[']) {
                next.push(format!("{base}/{part}"));
                continue;
            }
            let dir = if base.is_empty() { "/" } else { &base };
            match root.list(dir) {
                Ok(names) => next.extend(
                    names
                        .iter()
                        .filter_map(|name| name.to_str())
                        .filter(|name| matches(part, name))
                        .map(|name| format!("{base}/{name}")),
                ),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
            // Looking at some of them would pass the others unseen.
            if next.len() > PATHS_MAX {
                let (path, kind) = (pattern.to_owned(), RootErrorKind::TooLarge);
                return Err(RootError { path, kind });
            }
        }
        paths = next;
    }
    paths.retain(|path| !root.metadata(path).is_err_and(|error| error.is_not_found()));
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "10-a.conf", true),
            ("*.conf", ".hidden.conf", false),
            (".*", ".hidden", true),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[0-9]*", "7x", true),
            ("[!0-9]*", "7x", false),
            ("[]x]", "]", true),
            ("[ab", "[ab", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("한*", "한글", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        assert!(!matches(&format!("{}b", "a*".repeat(30)), &"a".repeat(2000)));
    }

    #[test]
    fn paths_are_found_below_the_root_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        for file in ["etc/x/b.conf", "etc/x/a.conf", "etc/y/c.conf", "etc/x/d"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = expand(&root, "/etc/*/*.conf").unwrap();
        assert_eq!(found, ["/etc/x/a.conf", "/etc/x/b.conf", "/etc/y/c.conf"]);
        assert_eq!(expand(&root, "/etc/x/d").unwrap(), ["/etc/x/d"]);
        assert!(expand(&root, "/none/*").unwrap().is_empty());
        assert!(expand(&root, "/etc/x/none").unwrap().is_empty());
    }
}
