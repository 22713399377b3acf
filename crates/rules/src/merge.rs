//! Items of several files become lists, macros and rules: later items replace earlier ones of their name or change them
//! (`append`, `override`, `enabled` alone). Conditions stay text here, because what is appended is text.
//!
//! Source: <https://falco.org/docs/concepts/rules/overriding/>

use std::collections::{BTreeMap, HashMap};

use crate::document::{Exception, Item};
use haechi_core::alert::Priority;

/// The rule language's version that this is written after; files say which one they need at least.
const ENGINE: [u64; 3] = [0, 57, 0];

/// Most exceptions of one rule: each that is appended is looked for among them.
const EXCEPTIONS_MAX: usize = 1_000;

/// Where an item is: which file, which line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub file: usize,
    pub line: usize,
}

/// What a name of a list or macro stands for, and what changed it last.
#[derive(Debug)]
pub(crate) struct Defined<T> {
    pub value: T,
    pub place: Place,
}

/// A rule after all changes.
#[derive(Debug)]
pub(crate) struct Definition {
    pub name: String,
    pub description: String,
    pub condition: String,
    pub output: String,
    pub priority: Priority,
    pub tags: Vec<String>,
    pub source: String,
    pub enabled: bool,
    pub warn: bool,
    pub exceptions: Vec<Exception>,
    pub place: Place,
}

/// All that files define.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub lists: BTreeMap<String, Defined<Vec<String>>>,
    pub macros: BTreeMap<String, Defined<String>>,
    /// In the order in which they came first.
    pub rules: Vec<Definition>,
    index: HashMap<String, usize>,
}

/// How a key of an item changes what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Append,
    Replace,
}

impl Definitions {
    /// Adds an item. What it says that has no effect is a note; an error leaves all as it was or half changed: the
    /// caller begins anew without the file.
    pub(crate) fn add(
        &mut self,
        item: Item,
        place: Place,
        mut note: impl FnMut(String),
    ) -> Result<(), String> {
        for key in &item.unknown {
            note(format!("unknown key `{key}`"));
        }
        let kinds = [item.list.is_some(), item.macro_.is_some(), item.rule.is_some()];
        let kinds = kinds.into_iter().filter(|is| *is).count();
        if let Some(version) = &item.engine {
            if kinds > 0 || item.plugins.is_some() {
                return Err("an item of two kinds".into());
            }
            if engine(version)? > ENGINE {
                note(format!("written for a later version of the language ({version})"));
            }
            return Ok(());
        }
        if let Some(plugins) = &item.plugins {
            if kinds > 0 {
                return Err("an item of two kinds".into());
            }
            // What Falco's plugin of this name adds are fields of containers, which are the catalog's.
            for plugin in plugins.iter().filter(|p| p.name != "container") {
                note(format!("needs the plugin {:?}, which is not there", plugin.name));
            }
            return Ok(());
        }
        if kinds != 1 {
            return Err("an item is one of list, macro and rule".into());
        }
        if let Some(name) = item.list.clone() {
            self.list(name, item, place)
        } else if let Some(name) = item.macro_.clone() {
            self.macro_(name, item, place)
        } else if let Some(name) = item.rule.clone() {
            self.rule(name, item, place, note)
        } else {
            Ok(())
        }
    }

    fn list(&mut self, name: String, item: Item, place: Place) -> Result<(), String> {
        let way = item.ways(&["items"], &["items"])?.first().map(|(_, way)| *way);
        let items = item.items.ok_or_else(|| format!("list {name:?} without items"))?;
        match way {
            None => {
                self.lists.insert(name, Defined { value: items, place });
            }
            Some(way) => {
                let list = self.lists.get_mut(&name).ok_or_else(|| missing("list", &name))?;
                put_all(&mut list.value, items, way);
                list.place = place;
            }
        }
        Ok(())
    }

    fn macro_(&mut self, name: String, item: Item, place: Place) -> Result<(), String> {
        let way = item.ways(&["condition"], &["condition"])?.first().map(|(_, way)| *way);
        let condition =
            item.condition.ok_or_else(|| format!("macro {name:?} without condition"))?;
        match way {
            None => {
                self.macros.insert(name, Defined { value: condition, place });
            }
            Some(way) => {
                let known = self.macros.get_mut(&name).ok_or_else(|| missing("macro", &name))?;
                put(&mut known.value, &condition, way);
                known.place = place;
            }
        }
        Ok(())
    }

    fn rule(
        &mut self,
        name: String,
        mut item: Item,
        place: Place,
        mut note: impl FnMut(String),
    ) -> Result<(), String> {
        if item.append {
            for key in item.given().filter(|key| !["condition", "exceptions", "tags"].contains(key))
            {
                note(format!("`{key}` beside `append` has no effect"));
            }
            item.keep_only_appendable();
        }
        let mut ways = item.ways(
            &["condition", "output", "desc", "tags", "exceptions"],
            &[
                "condition",
                "output",
                "desc",
                "tags",
                "exceptions",
                "priority",
                "enabled",
                "warn_evttypes",
                "skip-if-unknown-filter",
            ],
        )?;
        if ways.is_empty() && item.given().eq(["enabled"]) {
            ways.push(("enabled", Way::Replace));
        }
        let at = self.index.get(&name).copied();
        if ways.is_empty() {
            let rule = Definition::new(name.clone(), item, place)?;
            match at.and_then(|i| self.rules.get_mut(i)) {
                Some(known) => *known = rule,
                None => {
                    self.index.insert(name, self.rules.len());
                    self.rules.push(rule);
                }
            }
            return Ok(());
        }
        let rule = at.and_then(|i| self.rules.get_mut(i)).ok_or_else(|| missing("rule", &name))?;
        let way = |key| ways.iter().find(|(k, _)| *k == key).map_or(Way::Replace, |(_, way)| *way);
        let texts = [
            (&mut rule.condition, item.condition, "condition"),
            (&mut rule.output, item.output, "output"),
            (&mut rule.description, item.description, "desc"),
        ];
        for (known, new, key) in texts {
            if let Some(new) = new {
                put(known, &new, way(key));
            }
        }
        if let Some(tags) = item.tags {
            put_all(&mut rule.tags, tags, way("tags"));
        }
        if let Some(priority) = item.priority {
            rule.priority = priority.parse()?;
        }
        rule.enabled = item.enabled.unwrap_or(rule.enabled);
        rule.warn = item.warn.unwrap_or(rule.warn);
        if let Some(exceptions) = item.exceptions {
            match way("exceptions") {
                Way::Replace => rule.exceptions = exceptions,
                Way::Append => append_exceptions(&mut rule.exceptions, exceptions)?,
            }
        }
        rule.place = place;
        Ok(())
    }
}

impl Definition {
    fn new(name: String, item: Item, place: Place) -> Result<Self, String> {
        let need = |value: Option<String>, key| {
            value.ok_or_else(|| format!("rule {name:?} without `{key}`"))
        };
        Ok(Definition {
            description: need(item.description, "desc")?,
            condition: need(item.condition, "condition")?,
            output: need(item.output, "output")?,
            priority: need(item.priority, "priority")?.parse()?,
            tags: item.tags.unwrap_or_default(),
            source: item.source.unwrap_or_else(|| "syscall".into()),
            enabled: item.enabled.unwrap_or(true),
            warn: item.warn.unwrap_or(true),
            exceptions: item.exceptions.unwrap_or_default(),
            place,
            name,
        })
    }
}

impl Item {
    /// Keys that say something about the item, apart from its kind.
    fn given(&self) -> impl Iterator<Item = &'static str> + use<> {
        let keys = [
            ("items", self.items.is_some()),
            ("condition", self.condition.is_some()),
            ("output", self.output.is_some()),
            ("desc", self.description.is_some()),
            ("priority", self.priority.is_some()),
            ("tags", self.tags.is_some()),
            ("source", self.source.is_some()),
            ("enabled", self.enabled.is_some()),
            ("warn_evttypes", self.warn.is_some()),
            ("skip-if-unknown-filter", self.skip.is_some()),
            ("exceptions", self.exceptions.is_some()),
        ];
        keys.into_iter().filter(|(_, given)| *given).map(|(key, _)| key)
    }

    /// How each given key changes what is there; empty if the item defines something new.
    fn ways(&self, append: &[&str], replace: &[&str]) -> Result<Vec<(&'static str, Way)>, String> {
        let Some(overrides) = &self.overrides else {
            let way = self.append.then_some(Way::Append);
            return Ok(way
                .map(|way| self.given().map(|key| (key, way)).collect())
                .unwrap_or_default());
        };
        if self.append {
            return Err("`append` beside `override`".into());
        }
        let mut ways = Vec::new();
        for key in self.given() {
            let (way, allowed) = match overrides.get(key).map(String::as_str) {
                Some("append") => (Way::Append, append),
                Some("replace") => (Way::Replace, replace),
                Some(other) => return Err(format!("`override` cannot {other:?} `{key}`")),
                None => return Err(format!("`{key}` is given, but `override` does not name it")),
            };
            if !allowed.contains(&key) {
                return Err(format!("`override` cannot do this to `{key}`"));
            }
            ways.push((key, way));
        }
        match overrides.keys().find(|key| !ways.iter().any(|(given, _)| given == key)) {
            Some(key) => Err(format!("`override` names `{key}`, which is not given")),
            None if ways.is_empty() => Err("`override` of nothing".into()),
            None => Ok(ways),
        }
    }

    fn keep_only_appendable(&mut self) {
        (self.output, self.description, self.priority, self.source) = (None, None, None, None);
        (self.enabled, self.warn, self.skip, self.items) = (None, None, None, None);
    }
}

fn put(known: &mut String, new: &str, way: Way) {
    match way {
        Way::Replace => known.clear(),
        Way::Append => known.push(' '),
    }
    known.push_str(new);
}

fn put_all(known: &mut Vec<String>, new: Vec<String>, way: Way) {
    if way == Way::Replace {
        known.clear();
    }
    known.extend(new);
}

fn append_exceptions(known: &mut Vec<Exception>, new: Vec<Exception>) -> Result<(), String> {
    for exception in new {
        let Some(same) = known.iter_mut().find(|e| e.name == exception.name) else {
            if known.len() >= EXCEPTIONS_MAX {
                return Err(format!("more than {EXCEPTIONS_MAX} exceptions"));
            }
            known.push(exception);
            continue;
        };
        let other = |a: &Option<_>, b: &Option<_>| b.is_some() && a != b;
        if other(&same.fields, &exception.fields) || other(&same.comps, &exception.comps) {
            return Err(format!("exception {:?} has other fields or comps", exception.name));
        }
        same.values.get_or_insert_default().extend(exception.values.unwrap_or_default());
    }
    Ok(())
}

fn missing(kind: &str, name: &str) -> String {
    format!("changes the {kind} {name:?}, which is not there")
}

/// A version as files give it: `0.57.0` (semver.org; what is behind `-` or `+` does not matter here), or the older `26`
/// for `0.26.0`.
fn engine(text: &str) -> Result<[u64; 3], String> {
    let bad = || format!("{text:?} is no version");
    let release = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<u64> =
        release.split('.').map(|part| part.parse().map_err(|_| bad())).collect::<Result<_, _>>()?;
    match numbers.as_slice() {
        [minor] => Ok([0, *minor, 0]),
        [major, minor, patch] => Ok([*major, *minor, *patch]),
        _ => Err(bad()),
    }
}
