//! All rules of one load: which run, which do not and why, and which are true for an event.

use std::collections::BTreeSet;

use crate::calls::Calls;
use crate::compile::Compiler;
use crate::condition::Fault;
use crate::document;
use crate::evaluate::Event;
use crate::field::{Catalog, Field, Subject};
use crate::merge::{Definition, Definitions, Place};
use crate::needs::{Needed, needs};
use crate::output::{self, Output};
use crate::problem::{Problem, Severity};
use crate::rule::Rule;
use foldhash::HashMap;
use haechi_core::alert::Priority;

/// How often loading begins anew without files that turned out wrong: one wrong file seldom shows another, and a folder
/// of many that do must not take forever.
const ROUNDS_MAX: usize = 8;

/// What came of loading.
#[derive(Debug)]
pub struct Loaded {
    /// The rules of all files that are not refused.
    pub rules: Rules,
    /// What is wrong, in the order of files and lines.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// Whether a file was refused: who has rules already keeps those.
    pub fn refused(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// Rules, ready to be asked.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    listed: Vec<Listed>,
    fields: Vec<Field>,
    /// Places of rules by the call they can be true for, for each call that a rule names.
    by_call: HashMap<Box<str>, Box<[usize]>>,
    /// Places of rules that can be true for any other call.
    others: Box<[usize]>,
}

/// A rule as it is listed, whether it runs or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it finds.
    pub description: String,
    /// How urgent that is.
    pub priority: Priority,
    /// Its tags.
    pub tags: Vec<String>,
    /// Name of the file that defines it or changed it last.
    pub file: String,
    /// Line there, the first is 1.
    pub line: usize,
    /// Whether it runs.
    pub state: State,
}

/// Whether a rule runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Runs,
    /// A file says that it shall not.
    Disabled,
    /// It cannot: what is missing.
    LeftOut(String),
}

impl Rules {
    /// Loads files, each a name (for problems) and its text; later ones change what earlier ones define.
    ///
    /// A file with an error is refused as a whole, and the rest is loaded without it. A rule that asks for a field, an
    /// operator or an event that is not there is left out. Both are told.
    pub fn load<N: AsRef<str>, T: AsRef<str>>(files: &[(N, T)], catalog: &dyn Catalog) -> Loaded {
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (name.as_ref(), text.as_ref())).collect();
        let mut refused = BTreeSet::new();
        let mut problems = Vec::new();
        let mut rules = Rules::default();
        for _ in 0..ROUNDS_MAX {
            let mut round = Round { files: &files, found: Vec::new() };
            let loaded = round.load(&refused, catalog);
            let is_error = |(_, found): &&(Place, Problem)| found.severity == Severity::Error;
            let wrong: Vec<usize> =
                round.found.iter().filter(is_error).map(|(place, _)| place.file).collect();
            if wrong.is_empty() {
                problems.extend(round.found);
                rules = loaded;
                break;
            }
            problems.extend(round.found.into_iter().filter(|found| is_error(&found)));
            refused.extend(wrong);
        }
        problems.sort_by_key(|(place, _)| (place.file, place.line));
        Loaded { rules, problems: problems.into_iter().map(|(_, problem)| problem).collect() }
    }

    /// The rules that are true for an event, in the order in which they are defined. `call` is its `evt.type`.
    pub fn matching<'a>(
        &'a self,
        call: &'a str,
        subject: &'a dyn Subject,
    ) -> impl Iterator<Item = &'a Rule> + use<'a> {
        let places = self.by_call.get(call).unwrap_or(&self.others);
        let event = (!places.is_empty()).then(|| Event::new(call, subject, &self.fields));
        places.iter().filter_map(move |place| {
            let rule = self.rules.get(*place)?;
            event.as_ref().is_some_and(|event| rule.node.holds(event)).then_some(rule)
        })
    }

    /// Whether a rule can be true for this call: events of others need not be made.
    pub fn wants(&self, call: &str) -> bool {
        !self.by_call.get(call).unwrap_or(&self.others).is_empty()
    }

    /// Names without which a rule is not true; `None` if its condition does not say. `name` turns one comparison into
    /// names, or `None` if the field has nothing to do with them.
    pub fn needs(
        &self,
        rule: &Rule,
        name: &dyn Fn(&Field, Needed<'_>) -> Option<Vec<String>>,
    ) -> Option<BTreeSet<String>> {
        needs(&rule.node, &self.fields, name)
    }

    /// Whether a rule can be true for this call.
    pub fn can_match(&self, rule: &Rule, call: &str) -> bool {
        let places = self.by_call.get(call).unwrap_or(&self.others);
        places.iter().filter_map(|place| self.rules.get(*place)).any(|one| one.name == rule.name)
    }

    /// The rules that run.
    pub fn running(&self) -> &[Rule] {
        &self.rules
    }

    /// The fields that the rules that run ask for, each once; those that only outputs show are not among them.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All rules, those that do not run too, in the order in which they are defined.
    pub fn list(&self) -> &[Listed] {
        &self.listed
    }
}

/// One attempt to load.
struct Round<'f> {
    files: &'f [(&'f str, &'f str)],
    found: Vec<(Place, Problem)>,
}

impl Round<'_> {
    fn load(&mut self, refused: &BTreeSet<usize>, catalog: &dyn Catalog) -> Rules {
        let definitions = self.definitions(refused);
        let mut compiler = Compiler::new(&definitions, catalog);
        for (what, place) in compiler.check() {
            self.tell(Severity::Error, place, None, what);
        }
        let mut rules = Rules::default();
        if self.found.iter().any(|(_, problem)| problem.severity == Severity::Error) {
            return rules;
        }
        let mut calls = Vec::new();
        for definition in &definitions.rules {
            let state = match self.rule(definition, &mut compiler, catalog) {
                Ok(None) => State::Disabled,
                Ok(Some((rule, seen))) => {
                    rules.rules.push(rule);
                    calls.push(seen);
                    State::Runs
                }
                Err(what) => State::LeftOut(what),
            };
            rules.listed.push(Listed {
                name: definition.name.clone(),
                description: definition.description.trim().to_owned(),
                priority: definition.priority,
                tags: definition.tags.clone(),
                file: self.file(definition.place).to_owned(),
                line: definition.place.line,
                state,
            });
        }
        rules.fields = compiler.into_fields();
        rules.index(&calls, catalog);
        rules
    }

    fn definitions(&mut self, refused: &BTreeSet<usize>) -> Definitions {
        let mut definitions = Definitions::default();
        for (file, (_, text)) in self.files.iter().enumerate() {
            if refused.contains(&file) {
                continue;
            }
            let items = document::read(text).unwrap_or_else(|broken| {
                self.tell(Severity::Error, Place { file, line: broken.line }, None, broken.what);
                Vec::new()
            });
            for item in items {
                let place = Place { file, line: item.line };
                let rule = item.rule.clone();
                let added = definitions
                    .add(item, place, |what| self.tell(Severity::Note, place, rule.clone(), what));
                if let Err(what) = added {
                    self.tell(Severity::Error, place, rule, what);
                }
            }
        }
        definitions
    }

    /// A rule with the calls it can be true for; `None` if it is disabled, an error says why it cannot run.
    fn rule(
        &mut self,
        definition: &Definition,
        compiler: &mut Compiler<'_>,
        catalog: &dyn Catalog,
    ) -> Result<Option<(Rule, Calls)>, String> {
        let place = definition.place;
        let name = || Some(definition.name.clone());
        let node = if definition.source == "syscall" {
            compiler.rule(definition)
        } else {
            Err(Fault::Lacking(format!("no events of the source {:?}", definition.source)))
        };
        let node = match definition.output.len() {
            0..=output::LENGTH_MAX => node,
            _ => Err(Fault::Error(format!("output of more than {} bytes", output::LENGTH_MAX))),
        };
        let decided = match node {
            // What is wrong with a disabled rule is told, what it lacks does not matter.
            Err(Fault::Error(what)) => {
                self.tell(Severity::Error, place, name(), what.clone());
                return Err(what);
            }
            _ if !definition.enabled => return Ok(None),
            Err(Fault::Lacking(what)) => Err(what),
            Ok(node) => {
                let calls = Calls::of(&node);
                calls.seen(catalog).map(|unseen| (node, calls, unseen))
            }
        };
        let (node, calls, unseen) = decided.inspect_err(|what| {
            self.tell(Severity::LeftOut, place, name(), format!("does not run: {what}"));
        })?;
        if !unseen.is_empty() {
            let what = format!("sees no {}: there are no such events", unseen.join(", "));
            self.tell(Severity::Note, place, name(), what);
        }
        if calls.others && definition.warn {
            let what = "is looked at for each event: its condition does not say which `evt.type`";
            self.tell(Severity::Note, place, name(), what.to_owned());
        }
        let (output, unknown) = Output::parse(&definition.output, catalog);
        if !unknown.is_empty() {
            let what = format!("its output shows <NA> for {}", unknown.join(", "));
            self.tell(Severity::Note, place, name(), what);
        }
        let rule = Rule {
            name: definition.name.clone(),
            description: definition.description.trim().to_owned(),
            priority: definition.priority,
            tags: definition.tags.clone(),
            output,
            condition: definition.condition.trim().to_owned(),
            node,
        };
        Ok(Some((rule, calls)))
    }

    fn tell(&mut self, severity: Severity, place: Place, rule: Option<String>, what: String) {
        let file = self.file(place).to_owned();
        self.found.push((place, Problem { severity, file, line: place.line, rule, what }));
    }

    fn file(&self, place: Place) -> &str {
        self.files.get(place.file).map_or("", |(name, _)| name)
    }
}

impl Rules {
    fn index(&mut self, calls: &[Calls], catalog: &dyn Catalog) {
        let named: BTreeSet<&String> =
            calls.iter().flat_map(|c| c.can.iter().chain(&c.cannot)).collect();
        let of = |can: &dyn Fn(&Calls) -> bool| -> Box<[usize]> {
            calls.iter().enumerate().filter(|(_, c)| can(c)).map(|(place, _)| place).collect()
        };
        // Others never come.
        for call in named.into_iter().filter(|call| catalog.call(call)) {
            self.by_call.insert(call.as_str().into(), of(&|c| c.include(call)));
        }
        self.others = of(&|c| c.others);
    }
}

#[cfg(test)]
mod tests;
