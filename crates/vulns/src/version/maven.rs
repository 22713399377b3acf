//! Maven, in the order of its version specification (maven.apache.org/pom.html, "Version Order Specification") and of
//! `ComparableVersion` in Maven 3.9.
//!
//! At the same place: `alpha` < `beta` < `milestone` < `rc`, `cr` < `snapshot` < the end, `ga`, `final`, `release` < `sp`
//! < other words by name < a number behind a hyphen < a number behind a dot. What is null (0 and the words for a
//! release) does not count before a word, a hyphen or the end. Every text has an order.

use std::cmp::Ordering;

use super::scan;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A known word, by its place.
    Known(u8),
    /// `sp` and others, which come after the end.
    Sp,
    Word(&'a str),
    /// A number behind a hyphen, or where a word turns into a number.
    Hyphen(&'a str),
    /// A number behind a dot.
    Dot(&'a str),
}

impl Token<'_> {
    fn rank(self) -> u8 {
        match self {
            Self::Known(rank) => rank,
            Self::Sp => END + 1,
            Self::Word(_) => END + 2,
            Self::Hyphen(_) => END + 3,
            Self::Dot(_) => END + 4,
        }
    }

    fn is_null(self) -> bool {
        matches!(self, Self::Known(END))
            || matches!(self, Self::Hyphen(n) | Self::Dot(n) if scan::is_zero(n))
    }
}

/// The place of the end and of `ga`, `final` and `release`.
const END: u8 = 5;

/// Tokens, each with the number of zeros left out before a word behind a dot: the last resort to tell apart what
/// is otherwise equal (`2.0.a` < `2.0.0.a`).
type Tokens<'a> = Vec<(Token<'a>, u16)>;

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (tokens(a), tokens(b));
    let (mut x, mut y) = (a.iter(), b.iter());
    loop {
        let (m, n) = (x.next().map(|t| t.0), y.next().map(|t| t.0));
        let order = match (m, n) {
            (None, None) => break,
            (Some(Token::Word(m)), Some(Token::Word(n))) => scan::ignoring_case(m, n),
            (Some(Token::Hyphen(m)), Some(Token::Hyphen(n)))
            | (Some(Token::Dot(m)), Some(Token::Dot(n))) => scan::numbers(m, n),
            (m, n) => m.map_or(END, Token::rank).cmp(&n.map_or(END, Token::rank)),
        };
        if order.is_ne() {
            return order;
        }
    }
    a.iter().map(|t| t.1).cmp(b.iter().map(|t| t.1))
}

fn tokens(s: &str) -> Tokens<'_> {
    let mut tokens: Tokens<'_> = Vec::with_capacity(8);
    let mut rest = s;
    // What is before the token: `.`, `-`, or a change between letters and digits, which is like `-`.
    let mut dot = true;
    loop {
        let (text, after) = match scan::digits(rest) {
            ("", _) => {
                let end = rest.find(|c: char| c == '.' || c == '-' || c.is_ascii_digit());
                rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""))
            }
            number => number,
        };
        let token = if text.is_empty() || scan::is_number(text) {
            if dot { Token::Dot(text) } else { Token::Hyphen(text) }
        } else {
            let next = after.strip_prefix('-').unwrap_or(after);
            word(text, next.starts_with(|c: char| c.is_ascii_digit()))
        };
        let number = matches!(token, Token::Dot(_) | Token::Hyphen(_));
        let mut zeros = 0;
        if !number || !dot {
            let removed = trim(&mut tokens);
            if !number && dot {
                zeros = removed;
            }
        }
        tokens.push((token, zeros));
        let Some(separator) = after.chars().next() else { break };
        dot = separator == '.';
        rest =
            if matches!(separator, '.' | '-') { after.get(1..).unwrap_or_default() } else { after };
    }
    trim(&mut tokens);
    tokens
}

/// Takes null tokens away from the end, and says how many.
fn trim(tokens: &mut Tokens<'_>) -> u16 {
    let mut removed = 0;
    // The first number stays: `0` is a version.
    while tokens.len() > 1 && tokens.last().is_some_and(|t| t.0.is_null()) {
        tokens.pop();
        removed += 1;
    }
    removed
}

fn word(text: &str, before_number: bool) -> Token<'_> {
    const WORDS: [(&str, u8); 9] = [
        ("alpha", 0),
        ("beta", 1),
        ("milestone", 2),
        ("rc", 3),
        ("cr", 3),
        ("snapshot", 4),
        ("ga", END),
        ("final", END),
        ("release", END),
    ];
    const SHORT: [(&str, u8); 3] = [("a", 0), ("b", 1), ("m", 2)];
    let find = |words: &[(&str, u8)]| {
        words.iter().find(|(known, _)| text.eq_ignore_ascii_case(known)).map(|&(_, rank)| rank)
    };
    if let Some(rank) = find(&WORDS) {
        return Token::Known(rank);
    }
    match before_number.then(|| find(&SHORT)).flatten() {
        Some(rank) => Token::Known(rank),
        None if text.eq_ignore_ascii_case("sp") => Token::Sp,
        None => Token::Word(text),
    }
}
