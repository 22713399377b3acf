//! Exceptions of a rule as conditions: `fields`, `comps` and `values` say what must not be true besides.
//!
//! Source: <https://falco.org/docs/concepts/rules/exceptions/>

use crate::condition::{Expr, Fault, Op, Operand, Right, Test, Word, unquote};
use crate::document::{Exception, Words};

/// The conditions of those exceptions that have values.
pub(super) fn exprs(exceptions: &[Exception]) -> Result<Vec<Expr>, Fault> {
    let mut exprs = Vec::new();
    for exception in exceptions {
        let read = expr(exception).map_err(|fault| match fault {
            Fault::Error(what) => Fault::Error(format!("exception {:?}: {what}", exception.name)),
            Fault::Lacking(what) => {
                Fault::Lacking(format!("exception {:?}: {what}", exception.name))
            }
        })?;
        exprs.extend(read);
    }
    Ok(exprs)
}

fn expr(exception: &Exception) -> Result<Option<Expr>, Fault> {
    let values = exception.values.as_deref().unwrap_or_default();
    let fields = match &exception.fields {
        None => return Err(error("no `fields`")),
        Some(Words::One(field)) => {
            let comp = match &exception.comps {
                None => "in",
                Some(Words::One(comp)) => comp,
                Some(Words::Many(_)) => return Err(error("a list of `comps` for a single field")),
            };
            return single(field, comp, values);
        }
        Some(Words::Many(fields)) => fields.iter().map(one).collect::<Result<Vec<_>, _>>()?,
    };
    let comps = match &exception.comps {
        None => vec!["="; fields.len()],
        Some(Words::Many(comps)) => comps.iter().map(one).collect::<Result<Vec<_>, _>>()?,
        Some(Words::One(_)) => return Err(error("a single `comps` for a list of fields")),
    };
    if comps.len() != fields.len() {
        return Err(error("`fields` and `comps` of different lengths"));
    }
    let heads: Vec<(Operand, Op)> = fields
        .iter()
        .zip(comps)
        .map(|(field, comp)| Ok((operand(field)?, operator(comp)?)))
        .collect::<Result<_, Fault>>()?;
    let mut rows = Vec::new();
    for row in values {
        let Words::Many(row) = row else { return Err(error("values have to be lists")) };
        if row.len() != heads.len() {
            return Err(error("`fields` and a list of values of different lengths"));
        }
        let tests = heads.iter().zip(row).map(|((left, op), value)| {
            Ok(Expr::Test(Test { left: left.clone(), op: *op, right: right(*op, value)? }))
        });
        rows.push(joined(tests.collect::<Result<_, Fault>>()?, Expr::And));
    }
    Ok(rows.pop().map(|last| {
        rows.push(last);
        joined(rows, Expr::Or)
    }))
}

/// One field and a list of its values.
fn single(field: &str, comp: &str, values: &[Words]) -> Result<Option<Expr>, Fault> {
    let (left, op) = (operand(field)?, operator(comp)?);
    let words = values.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    if words.is_empty() {
        return Ok(None);
    }
    if op.takes_list() {
        let words = words.into_iter().map(unquote).collect::<Result<_, _>>()?;
        return Ok(Some(Expr::Test(Test { left, op, right: Right::List(words) })));
    }
    let tests = words.into_iter().map(|word| {
        Ok(Expr::Test(Test { left: left.clone(), op, right: Right::Word(unquote(word)?) }))
    });
    Ok(Some(joined(tests.collect::<Result<_, Fault>>()?, Expr::Or)))
}

/// The right side of a comparison: a word, a list, or a list written as text: `(a, b)`.
fn right(op: Op, value: &Words) -> Result<Right, Fault> {
    match value {
        Words::Many(words) if op.takes_list() => {
            let words = words.iter().map(|word| one(word).and_then(unquote));
            Ok(Right::List(words.collect::<Result<_, _>>()?))
        }
        Words::Many(_) => Err(error("a list of values where one is needed")),
        Words::One(text) if op.takes_list() && text.starts_with('(') => {
            match Expr::parse(&format!("a.b in {text}"))? {
                Expr::Test(test) => Ok(test.right),
                _ => Err(error("not a list of values")),
            }
        }
        Words::One(text) if op.takes_list() => Ok(Right::List(vec![unquote(text)?])),
        Words::One(text) => Ok(Right::Word(Word { bare: false, ..unquote(text)? })),
    }
}

fn operand(field: &str) -> Result<Operand, Fault> {
    match Expr::parse(&format!("{field} exists"))? {
        Expr::Test(test) => Ok(test.left),
        _ => Err(error("not a field")),
    }
}

fn operator(comp: &str) -> Result<Op, Fault> {
    Op::of(if comp == "==" { "=" } else { comp })
        .filter(|op| *op != Op::Exists)
        .ok_or_else(|| Fault::Lacking(format!("no operator `{comp}`")))
}

fn one(words: &Words) -> Result<&str, Fault> {
    match words {
        Words::One(text) => Ok(text),
        Words::Many(_) => Err(error("a list where a single value is needed")),
    }
}

fn joined(mut parts: Vec<Expr>, make: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            make(parts)
        }
    }
}

fn error(what: &str) -> Fault {
    Fault::Error(what.to_owned())
}
