//! Fields: what a condition may ask about an event, and what it gets for an answer.
//!
//! The caller gives both sides: a [`Catalog`] that says which fields and calls there are, asked once when rules are
//! loaded, and a [`Subject`] that answers for one event. Nothing here knows what a field means.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// What values a field has; decides how a condition's words are read (`"10"` is a number for a number).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text, compared byte by byte.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Bool,
    /// An address; compared with addresses and networks (CIDR).
    Ip,
    /// Several texts.
    List,
}

/// The argument of a field: `2` of `proc.aname[2]`, `flags` of `evt.arg.flags`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Arg {
    /// A position.
    Index(u32),
    /// A name.
    Name(Arc<str>),
}

/// A field as the caller knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// The caller's number for it.
    pub id: u16,
    /// Its argument, if it has one.
    pub arg: Option<Arg>,
    /// What values it has.
    pub kind: Kind,
}

/// The value of a field in one event. Of several values a comparison is true if it is true for one of them, and `!=`
/// if none is equal; an empty list is an absent value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A number.
    Number(i64),
    /// True or false.
    Bool(bool),
    /// An address.
    Ip(IpAddr),
    /// Several texts.
    List(Vec<Cow<'a, str>>),
    /// Several numbers (both ports of a connection); the field's kind is [`Kind::Number`].
    Numbers(Vec<i64>),
    /// Several addresses (both ends of a connection); the field's kind is [`Kind::Ip`].
    Ips(Vec<IpAddr>),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

/// The fields and calls that the caller provides.
pub trait Catalog {
    /// The field of this name, or `None` if there is none or it does not take this argument. The argument is what is
    /// in brackets, or the last part of `evt.arg.NAME` and `evt.rawarg.NAME`.
    fn field(&self, name: &str, arg: Option<&str>) -> Option<Field>;

    /// Whether events of this call (`evt.type`) can come.
    fn call(&self, name: &str) -> bool;
}

/// One event.
pub trait Subject {
    /// The value of a field that the catalog gave out; `None` if the event has none.
    fn value<'a>(&'a self, field: &Field) -> Option<Value<'a>>;
}

/// Fields whose last part is an argument: `evt.arg.flags` is `flags` of `evt.arg`.
const WITH_NAMED_ARG: [&str; 2] = ["evt.arg", "evt.rawarg"];

/// Splits `evt.arg.flags` into the field and its argument; any other name is as it is.
pub(crate) fn split<'a>(name: &'a str, arg: Option<&'a str>) -> (&'a str, Option<&'a str>) {
    match name.rsplit_once('.') {
        Some((field, last)) if arg.is_none() && WITH_NAMED_ARG.contains(&field) => {
            (field, Some(last))
        }
        _ => (name, arg),
    }
}
