//! One rules file: its items as written, each with the line where it begins. What they mean together is not known here.
//!
//! Source: <https://falco.org/docs/reference/rules/rule-fields/>

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The largest file in bytes: sixty times Falco's own, so that a file cannot fill the memory.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most items of one file; Falco's own has about 250.
const ITEMS_MAX: usize = 20_000;

/// Most keys of one item, three times as many as there are.
const KEYS_MAX: usize = 60;

/// An item: a list, a macro, a rule or a requirement; which keys it may have is decided by who merges items.
#[derive(Debug, Default)]
pub(crate) struct Item {
    pub line: usize,
    pub list: Option<String>,
    pub macro_: Option<String>,
    pub rule: Option<String>,
    pub engine: Option<String>,
    pub plugins: Option<Vec<Plugin>>,
    pub items: Option<Vec<String>>,
    pub condition: Option<String>,
    pub output: Option<String>,
    pub description: Option<String>,
    pub priority: Option<String>,
    pub tags: Option<Vec<String>>,
    pub source: Option<String>,
    pub enabled: Option<bool>,
    pub warn: Option<bool>,
    pub skip: Option<bool>,
    pub exceptions: Option<Vec<Exception>>,
    pub append: bool,
    pub overrides: Option<BTreeMap<String, String>>,
    /// Keys that are not known here.
    pub unknown: Vec<String>,
}

/// A plugin that a file needs; alternatives to it are not looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Plugin {
    pub name: String,
}

/// An exception of a rule: when its fields have these values, the rule is not true.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    pub name: String,
    pub fields: Option<Words>,
    pub comps: Option<Words>,
    pub values: Option<Vec<Words>>,
}

/// A scalar or a list of such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Words {
    One(String),
    Many(Vec<Words>),
}

/// Why a file cannot be read, and in which line (1 is the first).
#[derive(Debug)]
pub(crate) struct Broken {
    pub line: usize,
    pub what: String,
}

/// Reads a file: YAML documents that are lists of items.
pub(crate) fn read(text: &str) -> Result<Vec<Item>, Broken> {
    if text.len() > BYTES_MAX {
        return Err(Broken { line: 1, what: format!("larger than {BYTES_MAX} bytes") });
    }
    let mut items = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        // An empty document is `null`.
        let read: Option<Vec<Item>> = Deserialize::deserialize(document).map_err(|e| Broken {
            line: e.location().map_or(1, |at| at.line()),
            what: e.to_string(),
        })?;
        items.extend(read.unwrap_or_default());
        if items.len() > ITEMS_MAX {
            return Err(Broken { line: 1, what: format!("more than {ITEMS_MAX} items") });
        }
    }
    // One line for all is the best that can be said of a list in brackets.
    for (item, line) in items.iter_mut().zip(lines(text).chain(std::iter::repeat(1))) {
        item.line = line;
    }
    Ok(items)
}

/// Lines where the items of the top-level list begin: the parser of YAML does not tell.
fn lines(text: &str) -> impl Iterator<Item = usize> {
    let mut column = None;
    text.lines().enumerate().filter_map(move |(i, line)| {
        let rest = line.trim_start_matches(' ');
        let begins = rest == "-" || rest.starts_with("- ");
        let indent = line.len() - rest.len();
        (begins && *column.get_or_insert(indent) == indent).then_some(i + 1)
    })
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a list, macro, rule, required_engine_version or required_plugin_versions")
    }

    /// Strings are read as they are written: a list's `1.10` stays that, not the number 1.1.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let mut item = Item::default();
        let mut seen = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.len() == KEYS_MAX {
                return Err(de::Error::custom(format!("more than {KEYS_MAX} keys")));
            }
            if seen.contains(&key) {
                return Err(de::Error::custom(format!("`{key}` twice")));
            }
            match key.as_str() {
                "list" => item.list = Some(map.next_value()?),
                "macro" => item.macro_ = Some(map.next_value()?),
                "rule" => item.rule = Some(map.next_value()?),
                "required_engine_version" => item.engine = Some(map.next_value()?),
                "required_plugin_versions" => item.plugins = map.next_value()?,
                "items" => item.items = Some(map.next_value::<Option<_>>()?.unwrap_or_default()),
                "condition" => item.condition = Some(map.next_value()?),
                "output" => item.output = Some(map.next_value()?),
                "desc" => item.description = Some(map.next_value()?),
                "priority" => item.priority = Some(map.next_value()?),
                "tags" => item.tags = Some(map.next_value::<Option<_>>()?.unwrap_or_default()),
                "source" => item.source = Some(map.next_value()?),
                "enabled" => item.enabled = Some(map.next_value()?),
                "warn_evttypes" => item.warn = Some(map.next_value()?),
                "skip-if-unknown-filter" => item.skip = Some(map.next_value()?),
                "exceptions" => {
                    item.exceptions = Some(map.next_value::<Option<_>>()?.unwrap_or_default());
                }
                "append" => item.append = map.next_value()?,
                "override" => item.overrides = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    item.unknown.push(key.clone());
                }
            }
            seen.push(key);
        }
        Ok(item)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list of values")
    }

    fn visit_str<E>(self, text: &str) -> Result<Words, E> {
        Ok(Words::One(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Words, E> {
        Ok(Words::One(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Words, E> {
        Ok(Words::One(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Words, E> {
        Ok(Words::One(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Words, E> {
        Ok(Words::One(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Words, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = seq.next_element()? {
            words.push(word);
        }
        Ok(Words::Many(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_with_their_lines_and_words_as_written() {
        let text = "# first\n\n- list: a\n  items:\n  - 1.10\n  - on\n  - 0x1F\n---\n- rule: r\n  condition: |\n    - x\n  new: {a: [1]}\n";
        let items = read(text).unwrap();
        assert_eq!(items[0].items, Some(vec!["1.10".into(), "on".into(), "0x1F".into()]));
        assert_eq!(items[1].unknown, ["new"]);
        assert_eq!(items.iter().map(|i| i.line).collect::<Vec<_>>(), [3, 9]);
        let brackets = read("[{list: a,\nitems: []}, {list: b, items: []}]").unwrap();
        assert_eq!(brackets.iter().map(|i| i.line).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn what_is_not_a_list_of_items_is_named_with_its_line() {
        assert_eq!(read("- list: a\n- rule: b\n  tags: 1\n").unwrap_err().line, 3);
        assert!(read("- list: a\n  list: b\n").unwrap_err().what.contains("`list` twice"));
        assert!(read("a: b").is_err());
        assert!(read("- [").is_err());
        assert!(read(&"#".repeat(BYTES_MAX + 1)).unwrap_err().what.contains("larger"));
        assert!(read("").unwrap().is_empty());
        assert!(read(&format!("- {}", "[".repeat(100_000))).is_err());
    }
}
