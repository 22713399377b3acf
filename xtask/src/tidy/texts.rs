//! What people read exists in English and in Korean.

use anyhow::{Context, Result};
use serde_norway::Value;

use super::Complaints;
use super::files::texts;

pub(super) fn complaints() -> Result<Complaints> {
    let mut complaints = Vec::new();
    for (name, text) in texts()? {
        let read =
            ["checks/", "benchmarks/", "texts/"].iter().any(|folder| name.starts_with(folder));
        if read && name.ends_with(".yaml") {
            let value: Value = serde_norway::from_str(&text).with_context(|| name.clone())?;
            look(&value, &name, &mut complaints);
        }
    }
    Ok(complaints)
}

/// Looks at everything that has one of the languages.
fn look(value: &Value, place: &str, complaints: &mut Complaints) {
    match value {
        Value::Sequence(list) => {
            for (number, entry) in list.iter().enumerate() {
                let id = entry.get("id").and_then(Value::as_str);
                let place = match id {
                    Some(id) => format!("{place}: {id}"),
                    None => format!("{place}[{number}]"),
                };
                look(entry, &place, complaints);
            }
        }
        Value::Mapping(map) => {
            let languages = ["en", "ko"].map(|lang| map.get(lang).and_then(Value::as_str));
            match languages {
                [None, None] => {}
                [Some(en), Some(ko)] => {
                    if en.trim().is_empty() || ko.trim().is_empty() {
                        complaints.push(format!("{place}: an empty text"));
                    }
                    if en.chars().any(is_korean) {
                        complaints.push(format!("{place}: Korean in the English text"));
                    }
                }
                _ => complaints.push(format!("{place}: only one of English and Korean")),
            }
            for (key, entry) in map {
                let key = key.as_str().unwrap_or_default();
                look(entry, &format!("{place}.{key}"), complaints);
            }
        }
        _ => {}
    }
}

fn is_korean(c: char) -> bool {
    ('가'..='힣').contains(&c)
}
