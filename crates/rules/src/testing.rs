//! For tests: a small catalog, events made of pairs, rules made of conditions.

use crate::{Arg, Catalog, Field, Kind, Loaded, Rules, Subject, Value};

const FIELDS: &[(&str, Kind)] = &[
    ("proc.name", Kind::Text),
    ("proc.pname", Kind::Text),
    ("proc.cmdline", Kind::Text),
    ("fd.name", Kind::Text),
    ("evt.arg", Kind::Text),
    ("evt.res", Kind::Text),
    ("evt.num", Kind::Number),
    ("fd.num", Kind::Number),
    ("fd.port", Kind::Number),
    ("evt.is_open_write", Kind::Bool),
    ("fd.sip", Kind::Ip),
    ("fd.ip", Kind::Ip),
    ("proc.aname", Kind::List),
];

const CALLS: &[&str] = &["open", "openat", "execve", "connect", "dup"];

/// Knows a few fields and calls.
pub(crate) struct Known;

impl Catalog for Known {
    fn field(&self, name: &str, arg: Option<&str>) -> Option<Field> {
        let id = FIELDS.iter().position(|(known, _)| *known == name)?;
        let kind = FIELDS.get(id)?.1;
        let arg = arg.map(|arg| arg.parse().map_or_else(|_| Arg::Name(arg.into()), Arg::Index));
        let kind = if arg.is_some() { Kind::Text } else { kind };
        Some(Field { id: u16::try_from(id).ok()?, arg, kind })
    }

    fn call(&self, name: &str) -> bool {
        CALLS.contains(&name)
    }
}

/// An event of fields as they are written, with their values.
pub(crate) struct Pairs(pub Vec<(&'static str, Value<'static>)>);

impl Subject for Pairs {
    fn value<'a>(&'a self, field: &Field) -> Option<Value<'a>> {
        let name = FIELDS.get(usize::from(field.id))?.0;
        let written = match &field.arg {
            None => name.to_owned(),
            Some(Arg::Index(i)) => format!("{name}[{i}]"),
            Some(Arg::Name(arg)) => format!("{name}.{arg}"),
        };
        self.0.iter().find(|(known, _)| *known == written).map(|(_, value)| value.clone())
    }
}

/// A rules file with one rule.
pub(crate) fn rule(condition: &str) -> String {
    let condition = condition.replace('\'', "''");
    format!("- rule: r\n  desc: d\n  output: o\n  priority: INFO\n  condition: '{condition}'\n")
}

/// Loads files named `0`, `1` …
pub(crate) fn load(files: &[&str]) -> Loaded {
    let files: Vec<(String, &str)> =
        files.iter().enumerate().map(|(i, text)| (i.to_string(), *text)).collect();
    Rules::load(&files, &Known)
}

/// Loads files that nothing but notes may be told about.
pub(crate) fn good(files: &[&str]) -> Rules {
    let loaded = load(files);
    let bad: Vec<_> =
        loaded.problems.iter().filter(|p| p.severity != crate::Severity::Note).collect();
    assert!(bad.is_empty(), "{bad:?}");
    loaded.rules
}

/// What problems say, each with its place.
pub(crate) fn problems(files: &[&str]) -> Vec<String> {
    load(files).problems.iter().map(ToString::to_string).collect()
}

/// Whether a condition is true for an event.
pub(crate) fn holds(
    condition: &str,
    call: &str,
    values: &[(&'static str, Value<'static>)],
) -> bool {
    let subject = Pairs(values.to_vec());
    good(&[&rule(condition)]).matching(call, &subject).count() == 1
}
