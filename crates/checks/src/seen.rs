//! What was seen, as lines for people: values of the expression language as text, cut where it is too much.
//!
//! Nothing is decided here.

use cel::{Context, Value};

use crate::check::Expression;
use crate::places::dotted;

/// Longer evidence is cut: it is for people.
const SEEN_MAX: usize = 2000;
/// More lines of evidence than this are counted instead of listed.
pub(crate) const LINES_MAX: usize = 20;

/// A text or list of texts, as lines; `None` if the expression fails.
pub(crate) fn lines(expression: &Expression, context: &Context<'_, '_>) -> Option<Vec<String>> {
    match expression.program.execute(context).ok()? {
        Value::String(line) => Some(vec![line.as_str().to_owned()]),
        Value::List(list) => {
            let mut lines: Vec<String> = list.iter().take(LINES_MAX).map(plain).collect();
            if let Some(more) = list.len().checked_sub(LINES_MAX).filter(|more| *more > 0) {
                lines.push(format!("… +{more}"));
            }
            Some(lines)
        }
        _ => None,
    }
}

/// The facts that an expression reads, as `name = value`.
pub(crate) fn facts(expression: &Expression, context: &Context<'_, '_>) -> Vec<String> {
    expression
        .reads
        .places
        .iter()
        .filter(|(variable, _)| variable != "policy")
        .take(LINES_MAX)
        .map(|place| {
            let (variable, path) = place;
            let shown =
                lookup(context, variable, path).map_or_else(|| "?".to_owned(), |v| plain(&v));
            format!("{} = {shown}", dotted(place))
        })
        .collect()
}

fn lookup(context: &Context<'_, '_>, variable: &str, path: &[String]) -> Option<Value> {
    let mut value = Value::try_from(context.get_variable(variable)?.as_ref()).ok()?;
    for field in path {
        let Value::Map(map) = &value else { return None };
        value = map.get(&cel::objects::KeyRef::String(field))?.clone();
    }
    Some(value)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.as_str().to_owned(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null => "null".into(),
        Value::List(list) => {
            let shown: Vec<String> = list.iter().take(LINES_MAX).map(plain).collect();
            format!("[{}]", shown.join(", "))
        }
        Value::Map(map) => {
            let mut shown: Vec<String> = map
                .map
                .iter()
                .take(LINES_MAX)
                .map(|(key, value)| format!("{key}: {}", plain(value)))
                .collect();
            shown.sort();
            format!("{{{}}}", shown.join(", "))
        }
        other => format!("{other:?}"),
    }
}

/// The text, cut if it is longer than people read.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > SEEN_MAX {
        let end = (0..=SEEN_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
