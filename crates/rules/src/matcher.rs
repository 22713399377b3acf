//! The right side of a comparison, made ready: sets are hash sets, networks are bits, patterns are automata.
//!
//! A value that is not of the kind that the comparison is about is read as such (`"80"` for a number), and the
//! comparison is false if it cannot be.

use std::borrow::Cow;
use std::net::IpAddr;

use aho_corasick::AhoCorasick;
use foldhash::HashSet;
use memchr::memmem::Finder;
use regex::Regex;

use crate::condition::{Fault, Op};
use crate::field::{Kind, Value};

mod pattern;

use pattern::Prefixes;

/// What a value is compared with, and how.
#[derive(Debug)]
pub(crate) enum Matcher {
    Exists,
    Number(Order, i64),
    Numbers(HashSet<i64>),
    Bools(Vec<bool>),
    Nets(Vec<Net>),
    Text(Box<str>),
    Texts(HashSet<Box<str>>),
    Ordered(Order, Box<str>),
    Contains(Box<Finder<'static>>),
    /// ASCII letters of either case.
    ContainsAnyCase(AhoCorasick),
    ContainsBytes(Box<Finder<'static>>),
    StartsWith(Box<[u8]>),
    EndsWith(Box<str>),
    Pattern(Regex),
    Prefixes(Prefixes),
}

/// An order of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    pub(crate) fn of(op: Op) -> Option<Self> {
        Some(match op {
            Op::Lt => Self::Less,
            Op::Le => Self::LessOrEqual,
            Op::Gt => Self::Greater,
            Op::Ge => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds<T: Ord + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }

    /// Texts that are numbers are compared as such.
    pub(crate) fn holds_texts(self, left: &str, right: &str) -> bool {
        match (number(left), number(right)) {
            (Some(left), Some(right)) => self.holds(&left, &right),
            _ => self.holds(left, right),
        }
    }
}

/// One value of those that a field has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scalar<'v> {
    Text(&'v str),
    Number(i64),
    Bool(bool),
    Ip(IpAddr),
}

impl<'v> Scalar<'v> {
    pub(crate) fn text(self) -> Cow<'v, str> {
        match self {
            Scalar::Text(text) => Cow::Borrowed(text),
            Scalar::Number(n) => Cow::Owned(n.to_string()),
            Scalar::Bool(b) => Cow::Borrowed(if b { "true" } else { "false" }),
            Scalar::Ip(ip) => Cow::Owned(ip.to_string()),
        }
    }

    fn number(self) -> Option<i64> {
        match self {
            Scalar::Number(n) => Some(n),
            Scalar::Text(text) => number(text),
            Scalar::Bool(b) => Some(i64::from(b)),
            Scalar::Ip(_) => None,
        }
    }

    fn bool(self) -> Option<bool> {
        match self {
            Scalar::Bool(b) => Some(b),
            Scalar::Number(n) => Some(n != 0),
            Scalar::Text(text) => truth(text),
            Scalar::Ip(_) => None,
        }
    }

    fn ip(self) -> Option<IpAddr> {
        match self {
            Scalar::Ip(ip) => Some(ip),
            Scalar::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// Whether it is true for one of a field's values; `None` if there is none.
pub(crate) fn any(value: &Value<'_>, mut test: impl FnMut(Scalar<'_>) -> bool) -> Option<bool> {
    fn each<T>(items: &[T], test: impl FnMut(&T) -> bool) -> Option<bool> {
        (!items.is_empty()).then(|| items.iter().any(test))
    }
    match value {
        Value::Text(text) => Some(test(Scalar::Text(text))),
        Value::Number(n) => Some(test(Scalar::Number(*n))),
        Value::Bool(b) => Some(test(Scalar::Bool(*b))),
        Value::Ip(ip) => Some(test(Scalar::Ip(*ip))),
        Value::List(items) => each(items, |text| test(Scalar::Text(text))),
        Value::Numbers(numbers) => each(numbers, |n| test(Scalar::Number(*n))),
        Value::Ips(ips) => each(ips, |ip| test(Scalar::Ip(*ip))),
    }
}

impl Matcher {
    /// Makes the matcher of an operator for values of a kind. `!=` is `=` here, the caller turns it round.
    pub(crate) fn new(op: Op, kind: Kind, words: &[&str]) -> Result<Self, Fault> {
        if op == Op::Exists {
            return Ok(Matcher::Exists);
        }
        let lacking = |what: String| Fault::Lacking(what);
        let one = words.first().copied().unwrap_or_default();
        if let Some(order) = Order::of(op) {
            return match kind {
                Kind::Number => Ok(Matcher::Number(order, needed(one, number, "whole number")?)),
                Kind::Text | Kind::List => Ok(Matcher::Ordered(order, one.into())),
                Kind::Bool | Kind::Ip => {
                    Err(lacking(format!("`{}` is not for this kind of field", op.text())))
                }
            };
        }
        Ok(match op {
            Op::Eq | Op::Ne | Op::In | Op::Intersects => match kind {
                Kind::Number => Matcher::Numbers(all(words, number, "whole number")?),
                Kind::Bool => Matcher::Bools(all(words, truth, "`true` or `false`")?),
                Kind::Ip => Matcher::Nets(all(words, Net::parse, "address or network")?),
                Kind::Text | Kind::List if words.len() == 1 => Matcher::Text(one.into()),
                Kind::Text | Kind::List => {
                    Matcher::Texts(words.iter().map(|word| (*word).into()).collect())
                }
            },
            Op::Contains => Matcher::Contains(Box::new(Finder::new(one).into_owned())),
            Op::IContains => Matcher::ContainsAnyCase(
                AhoCorasick::builder()
                    .ascii_case_insensitive(true)
                    .build([one])
                    .map_err(|e| lacking(e.to_string()))?,
            ),
            Op::BContains => {
                let bytes = needed(one, hex, "sequence of bytes in hexadecimal")?;
                Matcher::ContainsBytes(Box::new(Finder::new(&bytes).into_owned()))
            }
            Op::BStartsWith => {
                Matcher::StartsWith(needed(one, hex, "sequence of bytes in hexadecimal")?.into())
            }
            Op::StartsWith => Matcher::StartsWith(one.as_bytes().into()),
            Op::EndsWith => Matcher::EndsWith(one.into()),
            Op::Glob => Matcher::Pattern(pattern::glob(one, false)?),
            Op::IGlob => Matcher::Pattern(pattern::glob(one, true)?),
            Op::Regex => Matcher::Pattern(pattern::regex(one)?),
            Op::PMatch => Matcher::Prefixes(Prefixes::new(words)?),
            Op::Exists | Op::Lt | Op::Le | Op::Gt | Op::Ge => Matcher::Exists,
        })
    }

    /// Whether it is true for a value; `None` if the value is an empty list.
    pub(crate) fn test(&self, value: &Value<'_>) -> Option<bool> {
        any(value, |scalar| self.holds(scalar))
    }

    fn holds(&self, value: Scalar<'_>) -> bool {
        match self {
            Matcher::Exists => true,
            Matcher::Number(order, than) => value.number().is_some_and(|n| order.holds(&n, than)),
            Matcher::Numbers(set) => value.number().is_some_and(|n| set.contains(&n)),
            Matcher::Bools(set) => value.bool().is_some_and(|b| set.contains(&b)),
            Matcher::Nets(nets) => {
                value.ip().is_some_and(|ip| nets.iter().any(|net| net.contains(ip)))
            }
            _ => self.holds_text(&value.text()),
        }
    }

    fn holds_text(&self, text: &str) -> bool {
        match self {
            Matcher::Text(word) => text == &**word,
            Matcher::Texts(words) => words.contains(text),
            Matcher::Ordered(order, than) => order.holds_texts(text, than),
            Matcher::Contains(finder) | Matcher::ContainsBytes(finder) => {
                finder.find(text.as_bytes()).is_some()
            }
            Matcher::ContainsAnyCase(finder) => finder.is_match(text),
            Matcher::StartsWith(start) => text.as_bytes().starts_with(start),
            Matcher::EndsWith(end) => text.ends_with(&**end),
            Matcher::Pattern(regex) => regex.is_match(text),
            Matcher::Prefixes(prefixes) => prefixes.cover(text),
            Matcher::Exists
            | Matcher::Number(..)
            | Matcher::Numbers(_)
            | Matcher::Bools(_)
            | Matcher::Nets(_) => false,
        }
    }

    /// How many automata it has: these take memory.
    pub(crate) fn automata(&self) -> usize {
        match self {
            Matcher::ContainsAnyCase(_) | Matcher::Pattern(_) => 1,
            Matcher::Prefixes(prefixes) => prefixes.automata(),
            _ => 0,
        }
    }

    /// The texts that alone it can be true for; `None` if it is not about single texts.
    pub(crate) fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Matcher::Text(word) => Some(vec![word]),
            Matcher::Texts(words) => Some(words.iter().map(|word| &**word).collect()),
            _ => None,
        }
    }
}

/// Compares two fields; true if it is for one pair of their values, `None` if one of them has none.
pub(crate) fn compare(op: Op, left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
    let mut present = false;
    let found = any(left, |left| {
        any(right, |right| compare_scalars(op, left, right))
            .inspect(|_| present = true)
            .unwrap_or(false)
    })?;
    present.then_some(found)
}

fn compare_scalars(op: Op, left: Scalar<'_>, right: Scalar<'_>) -> bool {
    if let (Scalar::Number(left), Scalar::Number(right), Some(order)) = (left, right, Order::of(op))
    {
        return order.holds(&left, &right);
    }
    if let (Scalar::Ip(left), Scalar::Ip(right)) = (left, right)
        && matches!(op, Op::Eq | Op::Ne | Op::In | Op::Intersects)
    {
        return left.to_canonical() == right.to_canonical();
    }
    let (left, right) = (left.text(), right.text());
    match op {
        Op::Contains => left.contains(&*right),
        Op::IContains => left.to_ascii_lowercase().contains(&right.to_ascii_lowercase()),
        Op::StartsWith => left.starts_with(&*right),
        Op::EndsWith => left.ends_with(&*right),
        _ => match Order::of(op) {
            Some(order) => order.holds_texts(&left, &right),
            None => left == right,
        },
    }
}

/// Reads all words or says which cannot be.
fn all<T, C: FromIterator<T>>(
    words: &[&str],
    read: impl Fn(&str) -> Option<T>,
    what: &str,
) -> Result<C, Fault> {
    words.iter().map(|word| needed(word, &read, what)).collect()
}

fn needed<T>(word: &str, read: impl Fn(&str) -> Option<T>, what: &str) -> Result<T, Fault> {
    read(word).ok_or_else(|| Fault::Lacking(format!("{word:?} is no {what}")))
}

/// A whole number, decimal or hexadecimal.
fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if !digits.starts_with(['+', '-']) => i64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "1" => Some(true),
        "false" | "False" | "FALSE" | "0" => Some(false),
        _ => None,
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect()
}

/// A network, or a single address as one with all bits given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Net {
    v4: bool,
    address: u128,
    /// Bits behind the prefix.
    free: u32,
}

impl Net {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let ip: IpAddr = address.parse().ok()?;
        let width: u32 = if ip.is_ipv4() { 32 } else { 128 };
        let free = width.checked_sub(prefix.unwrap_or(width))?;
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
        let (v4, address) = bits(ip);
        (!v4 || free <= 32).then_some(Net { v4, address, free })
    }

    fn contains(self, ip: IpAddr) -> bool {
        let (v4, address) = bits(ip);
        v4 == self.v4 && (address ^ self.address).checked_shr(self.free).unwrap_or(0) == 0
    }
}

/// An address as a number; an IPv4 address in IPv6 clothes is the IPv4 address.
fn bits(ip: IpAddr) -> (bool, u128) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => (true, u128::from(u32::from(ip))),
        IpAddr::V6(ip) => (false, u128::from(ip)),
    }
}
