//! A rule's output: text with `%fields` in it, filled for an event.
//!
//! What comes from an event is shown as it is, except that control characters and what reorders text become visible
//! escapes: a process chooses its own name and arguments.

use std::borrow::Cow;
use std::fmt::Write as _;

use haechi_core::text::visible;

use crate::compile::LACKING_MAX;
use crate::field::{Catalog, Field, Subject, Value, split};

/// The longest output in bytes, as written: fifty times Falco's longest, because all of it is gone through for an alert.
pub(crate) const LENGTH_MAX: usize = 64 * 1024;

/// What is shown for a value that an event does not have.
const ABSENT: &str = "<NA>";

/// The most bytes that are shown of one value, as much as a path or an argument list of a process has at most.
const SHOWN_MAX: usize = 4096;

/// A rule's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field { name: String, field: Option<Field> },
}

impl Output {
    /// Reads an output; the names of fields that the catalog does not have come beside it.
    pub(crate) fn parse(text: &str, catalog: &dyn Catalog) -> (Self, Vec<String>) {
        let mut output = Output { parts: Vec::new() };
        let mut unknown = Vec::new();
        let mut rest = text.trim();
        while let Some((before, after)) = rest.split_once('%') {
            output.text(before);
            // `%*field` is Falco's way to show the rest even if the field is absent: here that is always so.
            let named = after.strip_prefix('*').unwrap_or(after);
            rest = match reference(named) {
                Some((name, arg, behind)) => {
                    let (base, given) = split(name, arg);
                    let field = catalog.field(base, given);
                    let name = arg.map_or(name.to_owned(), |arg| format!("{name}[{arg}]"));
                    if field.is_none() && unknown.len() < LACKING_MAX && !unknown.contains(&name) {
                        unknown.push(name.clone());
                    }
                    output.parts.push(Part::Field { name, field });
                    behind
                }
                None => {
                    output.text("%");
                    after.strip_prefix('%').unwrap_or(after)
                }
            };
        }
        output.text(rest);
        (output, unknown)
    }

    fn text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Appends the output for an event to `into`; `<NA>` stands for what the event does not have.
    pub fn render(&self, subject: &dyn Subject, into: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => into.push_str(&visible(text)),
                Part::Field { field, .. } => {
                    show(field.as_ref().and_then(|f| subject.value(f)), into)
                }
            }
        }
    }

    /// The fields that are shown, with their values as text; `None` for what the event does not have.
    pub fn fields<'a>(
        &'a self,
        subject: &'a dyn Subject,
    ) -> impl Iterator<Item = (&'a str, Option<String>)> {
        self.parts.iter().filter_map(move |part| match part {
            Part::Text(_) => None,
            Part::Field { name, field } => {
                let value = field.as_ref().and_then(|f| subject.value(f)).map(|value| {
                    let mut text = String::new();
                    show(Some(value), &mut text);
                    text
                });
                Some((name.as_str(), value))
            }
        })
    }
}

/// A field's name and argument at the beginning of a text, and what is behind it.
fn reference(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let end = text.find(|c| !part(c)).unwrap_or(text.len());
    // A full stop behind the name ends a sentence.
    let name = text.get(..end)?.trim_end_matches('.');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.contains('.') {
        return None;
    }
    let rest = text.get(name.len()..)?;
    match rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((arg, behind)) => Some((name, Some(arg), behind)),
        None => Some((name, None, rest)),
    }
}

fn show(value: Option<Value<'_>>, into: &mut String) {
    let text: Cow<'_, str> = match value {
        None => Cow::Borrowed(ABSENT),
        Some(Value::Text(text)) => text,
        Some(Value::Number(n)) => Cow::Owned(n.to_string()),
        Some(Value::Bool(b)) => Cow::Borrowed(if b { "true" } else { "false" }),
        Some(Value::Ip(ip)) => Cow::Owned(ip.to_string()),
        Some(Value::List(items)) => Cow::Owned(items.join(",")),
        Some(Value::Numbers(numbers)) => Cow::Owned(joined(&numbers)),
        Some(Value::Ips(ips)) => Cow::Owned(joined(&ips)),
    };
    let end = text.floor_char_boundary(SHOWN_MAX);
    into.push_str(&visible(text.get(..end).unwrap_or_default()));
    if end < text.len() {
        // Writing to a string cannot fail.
        let _ = write!(into, "…({} bytes more)", text.len() - end);
    }
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}
