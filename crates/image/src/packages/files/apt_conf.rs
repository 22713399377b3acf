//! apt.conf(5): options in nested scopes, `APT::Get::X "true";` or `APT { Get { X "true"; }; };`.
//!
//! Gives each option with its full name. Does not follow `#include`, whose files are read on their own if they lie where
//! apt reads them anyway.

/// Deepest nesting: apt's own options have five levels.
const DEPTH_MAX: usize = 32;

/// Longest name of an option with its scopes.
const NAME_MAX: usize = 1024;

/// One option: line (from 1), full name in lower case, value.
pub(super) struct Setting {
    pub line: u32,
    pub name: String,
    pub value: String,
}

/// Calls `each` for every option.
pub(super) fn settings(content: &str, mut each: impl FnMut(Setting)) {
    let mut scopes: Vec<String> = Vec::new();
    // Scopes beyond the limit are counted only, so that their ends match.
    let mut too_deep = 0_usize;
    let mut words: Vec<(u32, String)> = Vec::new();
    for token in tokens(content) {
        match token {
            Token::Word(line, word) => {
                if words.len() < 3 {
                    words.push((line, word));
                }
            }
            Token::Open => {
                let name = words.first().map(|(_, word)| word.clone()).unwrap_or_default();
                words.clear();
                if scopes.len() < DEPTH_MAX { scopes.push(name) } else { too_deep += 1 }
            }
            Token::End | Token::Close => {
                if let [(line, name), (_, value), ..] = words.as_slice() {
                    let parts = scopes.iter().chain([name]).filter(|part| !part.is_empty());
                    let name = parts.map(String::as_str).collect::<Vec<_>>().join("::");
                    if name.len() <= NAME_MAX {
                        let name = name.to_ascii_lowercase();
                        each(Setting { line: *line, name, value: value.clone() });
                    }
                }
                words.clear();
                if matches!(token, Token::Close) {
                    match too_deep.checked_sub(1) {
                        Some(less) => too_deep = less,
                        None => drop(scopes.pop()),
                    }
                }
            }
        }
    }
}

enum Token {
    Word(u32, String),
    Open,
    Close,
    End,
}

fn tokens(content: &str) -> impl Iterator<Item = Token> + '_ {
    let mut chars = content.chars().peekable();
    let mut line = 1_u32;
    let mut fresh = true;
    std::iter::from_fn(move || {
        loop {
            let c = chars.next()?;
            let at_start = std::mem::replace(&mut fresh, c == '\n');
            match c {
                '\n' => line = line.saturating_add(1),
                c if c.is_whitespace() => fresh = at_start,
                '{' => return Some(Token::Open),
                '}' => return Some(Token::Close),
                ';' => return Some(Token::End),
                // `#clear` and `#include` are no settings either.
                '#' if at_start => while chars.next_if(|c| *c != '\n').is_some() {},
                '/' if chars.peek() == Some(&'/') => {
                    while chars.next_if(|c| *c != '\n').is_some() {}
                }
                '/' if chars.peek() == Some(&'*') => {
                    let mut last = ' ';
                    for c in chars.by_ref() {
                        if c == '\n' {
                            line = line.saturating_add(1);
                        }
                        if last == '*' && c == '/' {
                            break;
                        }
                        last = c;
                    }
                }
                '"' => {
                    let begun = line;
                    let mut word = String::new();
                    for c in chars.by_ref() {
                        match c {
                            '"' => break,
                            '\n' => line = line.saturating_add(1),
                            c => word.push(c),
                        }
                    }
                    return Some(Token::Word(begun, word));
                }
                c => {
                    let mut word = String::from(c);
                    while let Some(c) =
                        chars.next_if(|c| !c.is_whitespace() && !matches!(c, '{' | '}' | ';' | '"'))
                    {
                        word.push(c);
                    }
                    return Some(Token::Word(line, word));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &str) -> Vec<(u32, String, String)> {
        let mut out = Vec::new();
        settings(content, |s| out.push((s.line, s.name, s.value)));
        out
    }

    #[test]
    fn flat_and_nested_are_the_same() {
        let content = "// c\nAPT::Get::X \"true\";\n/* a\n b */ APT { Get { X true; Y \"1\" }; };\n# Z \"1\";\nQ \"http://x\";";
        let seen = all(content);
        let expected = [
            (2, "apt::get::x", "true"),
            (4, "apt::get::x", "true"),
            (4, "apt::get::y", "1"),
            (6, "q", "http://x"),
        ];
        assert!(seen.iter().map(|(l, n, v)| (*l, n.as_str(), v.as_str())).eq(expected), "{seen:?}");
    }

    #[test]
    fn depth_has_a_limit() {
        let content = format!("{}X \"1\";{}Y \"2\";", "a{".repeat(100_000), "};".repeat(100_000));
        let seen = all(&content);
        assert_eq!(seen.last().map(|(_, name, _)| name.as_str()), Some("y"));
    }
}
