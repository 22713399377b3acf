//! Alpine: `number{.number}[letter]{_suffix[number]}[~hash][-rnumber]` in the order of apk-tools 3.
//!
//! apk-tools orders invalid versions too: up to the place where they stop being valid, where they are less than the
//! same version that goes on or ends. Two that stop at the same place are ordered as text if that is within the
//! numbers or letters, and are equal if it is behind them.

use std::cmp::Ordering;

use super::scan;

/// What comes next in a version. Declared in the order in which they compare at the same place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Token<'a> {
    /// `_alpha`, `_beta`, `_pre`, `_rc`.
    Before(u8),
    /// Not valid from here on. Within the numbers and the letter, with the rest.
    Invalid(&'a str),
    End,
    /// `-r`.
    Revision(&'a str),
    /// `~`, lower-case hexadecimal.
    Hash(&'a str),
    /// The number of a suffix.
    SuffixNumber(&'a str),
    /// `_cvs`, `_svn`, `_git`, `_hg`, `_p`.
    After(u8),
    Letter(&'a str),
    /// A number behind a dot.
    Number(&'a str),
    /// The first number.
    First(&'a str),
}

/// Where in a version we are: what may still come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Start,
    Numbers,
    Letter,
    Suffix,
    SuffixNumber,
    Hash,
    Done,
}

/// Whether it is valid to its end.
pub(super) fn is_valid(s: &str) -> bool {
    let mut tokens = Tokens { rest: s, place: Place::Start };
    loop {
        match tokens.next() {
            Token::End => return true,
            Token::Invalid(_) => return false,
            _ => {}
        }
    }
}

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) =
        (Tokens { rest: a, place: Place::Start }, Tokens { rest: b, place: Place::Start });
    loop {
        let (x, y) = (a.next(), b.next());
        let order = match (x, y) {
            // As Gentoo: behind a dot, numbers with leading zeros are fractions.
            (Token::Number(m), Token::Number(n)) if m.starts_with('0') || n.starts_with('0') => {
                m.cmp(n)
            }
            (Token::Number(m), Token::Number(n))
            | (Token::First(m), Token::First(n))
            | (Token::SuffixNumber(m), Token::SuffixNumber(n))
            | (Token::Revision(m), Token::Revision(n)) => scan::numbers(m, n),
            _ => x.cmp(&y),
        };
        if order.is_ne() || matches!(x, Token::End | Token::Invalid(_)) {
            return order;
        }
    }
}

struct Tokens<'a> {
    rest: &'a str,
    place: Place,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Token<'a> {
        let behind = self.place > Place::Letter || self.rest.starts_with('-');
        let invalid = Token::Invalid(if behind { "" } else { self.rest });
        let (token, rest, place) = self.valid().unwrap_or((invalid, "", Place::Done));
        (self.rest, self.place) = (rest, place);
        token
    }

    fn valid(&self) -> Option<(Token<'a>, &'a str, Place)> {
        let rest = self.rest;
        if self.place == Place::Start {
            let (number, rest) = scan::digits(rest);
            return (!number.is_empty()).then_some((Token::First(number), rest, Place::Numbers));
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => Some((Token::End, "", Place::Done)),
            Some('.') if self.place == Place::Numbers => {
                let (number, rest) = scan::digits(chars.as_str());
                (!number.is_empty()).then_some((Token::Number(number), rest, Place::Numbers))
            }
            Some('a'..='z') if self.place == Place::Numbers => {
                let letter = rest.get(..1)?;
                Some((Token::Letter(letter), chars.as_str(), Place::Letter))
            }
            Some('0'..='9') if self.place == Place::Suffix => {
                let (number, rest) = scan::digits(rest);
                Some((Token::SuffixNumber(number), rest, Place::SuffixNumber))
            }
            Some('_') if self.place <= Place::SuffixNumber => {
                let (name, rest) = scan::take(chars.as_str(), |b| b.is_ascii_lowercase());
                Some((suffix(name)?, rest, Place::Suffix))
            }
            Some('~') if self.place <= Place::SuffixNumber => {
                let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
                let (hash, rest) = scan::take(chars.as_str(), hex);
                (!hash.is_empty()).then_some((Token::Hash(hash), rest, Place::Hash))
            }
            Some('-') if self.place <= Place::Hash => {
                let (number, rest) = scan::digits(chars.as_str().strip_prefix('r')?);
                // `-r` is `-r0`; but with something behind it, it is no revision at all.
                let revision = rest.is_empty() || !scan::is_zero(number);
                revision.then_some((Token::Revision(number), rest, Place::Done))
            }
            Some(_) => None,
        }
    }
}

fn suffix(name: &str) -> Option<Token<'static>> {
    Some(match name {
        "alpha" => Token::Before(0),
        "beta" => Token::Before(1),
        "pre" => Token::Before(2),
        "rc" => Token::Before(3),
        "cvs" => Token::After(0),
        "svn" => Token::After(1),
        "git" => Token::After(2),
        "hg" => Token::After(3),
        "p" => Token::After(4),
        _ => return None,
    })
}
