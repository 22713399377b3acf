//! Decides a condition for one event. A comparison with a field that the event does not have is false, whatever the
//! operator: `not fd.name = x` is then true, `fd.name != x` is not.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::condition::{Op, Transform};
use crate::field::{Field, Subject, Value};
use crate::matcher::{Matcher, compare};

/// A condition, ready to be decided.
#[derive(Debug)]
pub(crate) enum Node {
    Const(bool),
    Not(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    /// A field against fixed words; `negate` for `!=`.
    Test {
        source: Source,
        negate: bool,
        matcher: Arc<Matcher>,
    },
    /// Two fields.
    Pair {
        left: Source,
        op: Op,
        right: Source,
    },
}

/// Where a value is from and what is done with it before it is compared, in that order.
#[derive(Debug)]
pub(crate) struct Source {
    pub origin: Origin,
    pub transforms: Box<[Transform]>,
}

/// Where a value is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The event's call (`evt.type`).
    Call,
    /// A field: its place among those that rules use.
    Field(usize),
}

/// An event, with the values of its fields that were asked for: each is asked for once, however many rules do.
pub(crate) struct Event<'e> {
    call: Value<'e>,
    subject: &'e dyn Subject,
    fields: &'e [Field],
    values: Box<[OnceCell<Option<Value<'e>>>]>,
}

impl<'e> Event<'e> {
    pub(crate) fn new(call: &'e str, subject: &'e dyn Subject, fields: &'e [Field]) -> Self {
        let values = fields.iter().map(|_| OnceCell::new()).collect();
        Event { call: call.into(), subject, fields, values }
    }

    fn value(&self, origin: Origin) -> Option<&Value<'e>> {
        match origin {
            Origin::Call => Some(&self.call),
            Origin::Field(i) => {
                let field = self.fields.get(i)?;
                self.values.get(i)?.get_or_init(|| self.subject.value(field)).as_ref()
            }
        }
    }
}

impl Node {
    /// Whether the condition is true. How deep it is was limited when it was compiled.
    pub(crate) fn holds(&self, event: &Event<'_>) -> bool {
        match self {
            Node::Const(value) => *value,
            Node::Not(node) => !node.holds(event),
            Node::And(nodes) => nodes.iter().all(|node| node.holds(event)),
            Node::Or(nodes) => nodes.iter().any(|node| node.holds(event)),
            Node::Test { source, negate, matcher } => event
                .value(source.origin)
                .and_then(|value| source.test(value, matcher))
                .is_some_and(|found| found != *negate),
            Node::Pair { left, op, right } => {
                let value = |source: &Source| {
                    event.value(source.origin).and_then(|value| source.transformed(value))
                };
                // Values of the transformers live here.
                let (Some(left), Some(right)) = (value(left), value(right)) else { return false };
                compare(*op, &left, &right).is_some_and(|found| found != (*op == Op::Ne))
            }
        }
    }
}

impl Source {
    /// Tests a value after the transformers; `None` if nothing is left of it.
    pub(crate) fn test(&self, value: &Value<'_>, matcher: &Matcher) -> Option<bool> {
        if self.transforms.is_empty() {
            matcher.test(value)
        } else {
            matcher.test(&self.transformed(value)?)
        }
    }

    fn transformed<'v>(&self, value: &'v Value<'_>) -> Option<Value<'v>> {
        let mut value = borrowed(value);
        for transform in &self.transforms {
            value = apply(*transform, value)?;
        }
        Some(value)
    }
}

fn borrowed<'v>(value: &'v Value<'_>) -> Value<'v> {
    match value {
        Value::Text(text) => Value::Text(Cow::Borrowed(text)),
        Value::List(items) => Value::List(items.iter().map(|i| Cow::Borrowed(&**i)).collect()),
        Value::Number(n) => Value::Number(*n),
        Value::Bool(b) => Value::Bool(*b),
        Value::Ip(ip) => Value::Ip(*ip),
        Value::Numbers(numbers) => Value::Numbers(numbers.clone()),
        Value::Ips(ips) => Value::Ips(ips.clone()),
    }
}

/// A transformer applied to a value; of several values to each. `None` where it makes no sense.
fn apply(transform: Transform, value: Value<'_>) -> Option<Value<'_>> {
    if transform == Transform::Len {
        let length = match &value {
            Value::Text(text) => text.len(),
            Value::List(items) => items.len(),
            Value::Numbers(numbers) => numbers.len(),
            Value::Ips(ips) => ips.len(),
            Value::Number(_) | Value::Bool(_) | Value::Ip(_) => return None,
        };
        return i64::try_from(length).ok().map(Value::Number);
    }
    match value {
        Value::Text(text) => apply_text(transform, text).map(Value::Text),
        Value::List(items) => Some(Value::List(
            items.into_iter().filter_map(|item| apply_text(transform, item)).collect(),
        )),
        other => (transform == Transform::Val).then_some(other),
    }
}

fn apply_text(transform: Transform, text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    match transform {
        Transform::Val | Transform::Len => Some(text),
        Transform::Lower => Some(Cow::Owned(text.to_ascii_lowercase())),
        Transform::Upper => Some(Cow::Owned(text.to_ascii_uppercase())),
        Transform::Base64 => {
            let bytes = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
            Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Transform::Basename => Some(match text {
            Cow::Borrowed(path) => Cow::Borrowed(basename(path)),
            Cow::Owned(path) => Cow::Owned(basename(&path).to_owned()),
        }),
    }
}

fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
