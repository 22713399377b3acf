//! Which facts an expression reads, found in its syntax tree.
//!
//! Used for three things: refusing names that no fact has when a check is loaded, finding the recorded gap
//! behind a missing fact, and naming the policy keys that a finding depends on. Nothing is evaluated here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue};
use haechi_core::facts::{
    Container, Engine, File, History, Host, Image, Network, Service, Swarm, Volume,
};
use haechi_core::{Policy, SubjectKind};
use serde_json::Value as Json;

/// A fact as a variable and the fields below it: `container`, [`host_config`, `privileged`].
pub(crate) type Place = (String, Vec<String>);

/// What an expression reads.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Reads {
    /// Facts, longest paths only.
    pub(crate) places: BTreeSet<Place>,
    /// Names that no fact has.
    pub(crate) unknown: BTreeSet<String>,
}

/// The variables that a check of some subject may read, with the shape of each.
pub(crate) struct Places {
    subject: SubjectKind,
}

static SHAPES: LazyLock<BTreeMap<&'static str, Json>> = LazyLock::new(|| {
    fn shape<T: schemars::JsonSchema>() -> Json {
        schemars::schema_for!(T).to_value()
    }
    BTreeMap::from([
        ("host", shape::<Host>()),
        ("engine", shape::<Engine>()),
        ("swarm", shape::<Swarm>()),
        ("history", shape::<History>()),
        ("policy", shape::<Policy>()),
        ("container", shape::<Container>()),
        ("image", shape::<Image>()),
        ("network", shape::<Network>()),
        ("volume", shape::<Volume>()),
        ("service", shape::<Service>()),
        ("file", shape::<File>()),
    ])
});

/// The type name of a list variable's elements: `containers` holds `container`s.
fn element(variable: &str) -> Option<&'static str> {
    Some(match variable {
        "containers" => "container",
        "images" => "image",
        "networks" => "network",
        "volumes" => "volume",
        "services" => "service",
        "files" => "file",
        _ => return None,
    })
}

/// The variables that a check of `subject` may read.
pub(crate) fn variables(subject: SubjectKind) -> &'static [&'static str] {
    match subject {
        SubjectKind::Host | SubjectKind::Engine | SubjectKind::Swarm => &[
            "host",
            "engine",
            "swarm",
            "history",
            "policy",
            "containers",
            "images",
            "networks",
            "volumes",
            "services",
            "files",
        ],
        SubjectKind::Container => {
            &["host", "engine", "swarm", "history", "policy", "container", "image"]
        }
        SubjectKind::Image => {
            &["host", "engine", "swarm", "history", "policy", "image", "containers"]
        }
        SubjectKind::Network => &["host", "engine", "swarm", "history", "policy", "network"],
        SubjectKind::Volume => &["host", "engine", "swarm", "history", "policy", "volume"],
        SubjectKind::Service => &["host", "engine", "swarm", "history", "policy", "service"],
        SubjectKind::File => &["host", "engine", "swarm", "history", "policy", "file"],
    }
}

impl Places {
    pub(crate) fn for_subject(subject: SubjectKind) -> Self {
        Self { subject }
    }

    /// The facts that `expression` reads.
    pub(crate) fn reads(&self, expression: &IdedExpr) -> Reads {
        let mut walk = Walk { places: self, bound: Vec::new(), reads: Reads::default() };
        walk.expression(expression);
        let mut reads = walk.reads;
        // Only the longest path says what is really read: `container.state` goes with `container.state.running`.
        let all = reads.places.clone();
        reads.places.retain(|(variable, path)| {
            !all.iter().any(|(v, longer)| {
                v == variable && longer.len() > path.len() && longer.starts_with(path)
            })
        });
        reads
    }

    /// Whether the facts have this place.
    fn exists(&self, (variable, path): &Place) -> bool {
        if !variables(self.subject).contains(&variable.as_str()) {
            return false;
        }
        let kind = element(variable).unwrap_or(variable.as_str());
        let Some(root) = SHAPES.get(kind) else { return false };
        let mut shape = resolve(root, root);
        for field in path {
            shape = match below(root, shape, field) {
                Below::Field(next) => next,
                Below::Anything => return true,
                Below::Nothing => return false,
            };
        }
        true
    }
}

enum Below<'a> {
    Field(&'a Json),
    Anything,
    Nothing,
}

/// Follows `$ref`, "or null" and list elements to the shape behind.
fn resolve<'a>(root: &'a Json, mut shape: &'a Json) -> &'a Json {
    // Shapes are ours and finite; the bound only keeps a mistake in them from looping.
    for _ in 0..16 {
        if let Some(name) = shape.get("$ref").and_then(Json::as_str) {
            match root.pointer(name.trim_start_matches('#')) {
                Some(target) => shape = target,
                None => return shape,
            }
        } else if let Some(variants) = shape.get("anyOf").and_then(Json::as_array) {
            let not_null = variants.iter().find(|v| v.get("type") != Some(&Json::from("null")));
            match not_null {
                Some(variant) => shape = variant,
                None => return shape,
            }
        } else if let Some(items) = shape.get("items") {
            shape = items;
        } else {
            return shape;
        }
    }
    shape
}

fn below<'a>(root: &'a Json, shape: &'a Json, field: &str) -> Below<'a> {
    if let Some(next) = shape.get("properties").and_then(|p| p.get(field)) {
        return Below::Field(resolve(root, next));
    }
    match shape.get("additionalProperties") {
        Some(Json::Object(_)) => shape
            .get("additionalProperties")
            .map_or(Below::Anything, |values| Below::Field(resolve(root, values))),
        Some(Json::Bool(true)) => Below::Anything,
        _ => Below::Nothing,
    }
}

struct Walk<'a> {
    places: &'a Places,
    /// Variables that macros bind, innermost last; `None` is a value that is no fact.
    bound: Vec<(String, Option<Place>)>,
    reads: Reads,
}

impl Walk<'_> {
    /// Walks an expression and says which fact it denotes, if it denotes one.
    fn expression(&mut self, expression: &IdedExpr) -> Option<Place> {
        match &expression.expr {
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                let (variable, mut path) = self.expression(&select.operand)?;
                path.push(select.field.clone());
                Some(self.record((variable, path)))
            }
            Expr::Call(call) => {
                let target = call.target.as_ref().map(|target| self.expression(target));
                let mut arguments = Vec::new();
                for argument in &call.args {
                    arguments.push(self.expression(argument));
                }
                self.index(&call.func_name, &call.args, arguments, target)
            }
            Expr::Comprehension(c) => {
                let range = self.expression(&c.iter_range);
                self.expression(&c.accu_init);
                let depth = self.bound.len();
                self.bound.push((c.iter_var.clone(), range.clone()));
                if let Some(second) = &c.iter_var2 {
                    self.bound.push((second.clone(), range.clone()));
                }
                self.bound.push((c.accu_var.clone(), None));
                self.expression(&c.loop_cond);
                self.expression(&c.loop_step);
                self.expression(&c.result);
                self.bound.truncate(depth);
                // `filter` keeps elements as they are, so what follows still reads the same facts.
                keeps_elements(&c.loop_step, &c.iter_var).then_some(range).flatten()
            }
            Expr::List(list) => {
                for element in &list.elements {
                    self.expression(element);
                }
                None
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    self.entry(&entry.expr);
                }
                None
            }
            Expr::Struct(fields) => {
                for entry in &fields.entries {
                    self.entry(&entry.expr);
                }
                None
            }
            Expr::Literal(_) | Expr::Unspecified => None,
        }
    }

    fn entry(&mut self, entry: &EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => {
                self.expression(&field.value);
            }
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key);
                self.expression(&entry.value);
            }
        }
    }

    fn index(
        &mut self,
        function: &str,
        arguments: &[IdedExpr],
        mut denoted: Vec<Option<Place>>,
        target: Option<Option<Place>>,
    ) -> Option<Place> {
        if function != "_[_]" {
            return None;
        }
        let (base, key) = match target {
            Some(base) => (base?, arguments.first()?),
            None => (denoted.drain(..).next()??, arguments.get(1)?),
        };
        let (variable, mut path) = base;
        if let Expr::Literal(LiteralValue::String(key)) = &key.expr {
            path.push(key.inner().to_owned());
        }
        Some(self.record((variable, path)))
    }

    fn variable(&mut self, name: &str) -> Option<Place> {
        if let Some((_, place)) = self.bound.iter().rev().find(|(bound, _)| bound == name) {
            return place.clone();
        }
        if name.starts_with('@') || name.starts_with("__") {
            return None;
        }
        Some(self.record((name.to_owned(), Vec::new())))
    }

    fn record(&mut self, place: Place) -> Place {
        if self.places.exists(&place) {
            self.reads.places.insert(place.clone());
        } else {
            self.reads.unknown.insert(dotted(&place));
        }
        place
    }
}

/// Whether a comprehension's step appends the element itself, as `filter` does.
fn keeps_elements(step: &IdedExpr, variable: &str) -> bool {
    fn appends(expression: &IdedExpr, variable: &str) -> bool {
        match &expression.expr {
            Expr::Call(call) => call.args.iter().any(|argument| appends(argument, variable)),
            Expr::List(list) => match list.elements.as_slice() {
                [one] => matches!(&one.expr, Expr::Ident(name) if name == variable),
                _ => false,
            },
            _ => false,
        }
    }
    // `map` builds lists of something else; `all` and `exists` build no list.
    appends(step, variable)
}

/// A place as it is written: `container.host_config.privileged`.
pub(crate) fn dotted((variable, path): &Place) -> String {
    let mut name = variable.clone();
    for field in path {
        name.push('.');
        name.push_str(field);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use cel::Program;

    fn reads(subject: SubjectKind, source: &str) -> (Vec<String>, Vec<String>) {
        let program = Program::compile(source).unwrap();
        let reads = Places::for_subject(subject).reads(program.expression());
        (reads.places.iter().map(dotted).collect(), reads.unknown.into_iter().collect())
    }

    #[test]
    fn paths_through_macros_and_indexes_are_found() {
        let (places, unknown) = reads(
            SubjectKind::Container,
            "!container.mounts.filter(m, m.writable).exists(m, m.host_path in policy.mounts.sensitive) && container.state.running",
        );
        assert_eq!(
            places,
            [
                "container.mounts.host_path",
                "container.mounts.writable",
                "container.state.running",
                "policy.mounts.sensitive"
            ]
        );
        assert!(unknown.is_empty(), "{unknown:?}");
        let (places, unknown) =
            reads(SubjectKind::Host, "host.sysctls['kernel.kptr_restrict'] == '1'");
        assert_eq!(places, ["host.sysctls.kernel.kptr_restrict"]);
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn names_that_no_fact_has_are_refused() {
        let refused = [
            (SubjectKind::Container, "!container.hostconfig.privileged", "container.hostconfig"),
            (
                SubjectKind::Container,
                "container.mounts.all(m, m.sauce == '')",
                "container.mounts.sauce",
            ),
            (SubjectKind::Container, "size(containers) == 0", "containers"),
            (SubjectKind::Host, "hots.kernel == ''", "hots"),
            (
                SubjectKind::Host,
                "containers.all(c, c.host_config.privilegd)",
                "containers.host_config.privilegd",
            ),
            (SubjectKind::Engine, "engine.config.icc.valu", "engine.config.icc.valu"),
        ];
        for (subject, source, name) in refused {
            let (_, unknown) = reads(subject, source);
            assert!(unknown.contains(&name.to_owned()), "{source}: {unknown:?}");
        }
    }
}
