//! One check as it is written, and the same compiled.
//!
//! The format is documented in `docs/checks.md`. Compiling refuses expressions that do not parse and names that
//! no fact has; it evaluates nothing.

use std::sync::Arc;

use cel::{Env, Program};
use haechi_core::facts::{
    Container, Engine, File, Gap, History, Host, Image, Monitor, Network, Service, Swarm, Volume,
};
use haechi_core::text::visible;
use haechi_core::{Area, Cause, Policy, Severity, Status, SubjectKind, Text};
use serde::Deserialize;

use crate::places::{Places, Reads};

/// Longest expression: the parser and evaluator recurse, and no requirement needs more.
const EXPRESSION_SIZE_MAX: usize = 8 << 10;

/// One requirement, decided for each of its subjects.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its id: lower case, digits and dashes.
    pub id: String,
    /// What it asks for.
    pub title: Text,
    /// The area it belongs to.
    pub area: Area,
    /// The kind of its subjects.
    pub subject: SubjectKind,
    /// How bad a failure is.
    pub severity: Severity,
    /// CEL: which subjects of the kind it is about; all if absent.
    #[serde(default, rename = "where")]
    pub only: Option<String>,
    /// CEL: false makes the finding not-applicable.
    #[serde(default)]
    pub applies_when: Option<String>,
    /// CEL and cause: true makes the finding unverified.
    #[serde(default)]
    pub unverified_when: Option<UnverifiedWhen>,
    /// CEL: whether the subject is as it should be.
    pub pass_when: String,
    /// Which room collects the facts that `pass_when` reads, where that room may not have been there: the cause if they are missing.
    #[serde(default)]
    pub needs: Option<Cause>,
    /// CEL: what was seen. The facts that `pass_when` reads if absent.
    #[serde(default)]
    pub seen: Option<String>,
    /// What should be seen.
    pub expected: Text,
    /// Where the facts come from.
    pub source: String,
    /// Why it does not apply.
    #[serde(default)]
    pub not_applicable: Option<Text>,
    /// What to do about a failure.
    pub remediation: Text,
    /// CEL: the command or setting that mends the subject.
    #[serde(default)]
    pub fix: Option<String>,
    /// Facts with the status that they must give.
    #[serde(default)]
    pub examples: Vec<Example>,
}

/// A condition under which a check cannot be decided although its facts are there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnverifiedWhen {
    /// CEL.
    pub when: String,
    /// Why it cannot be decided then.
    pub cause: Cause,
    /// The same in words.
    pub reason: Text,
}

/// Facts with the status that a check must give for them. What is not given was not observed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "each field is the variable of its name, documented in docs/checks.md"
)]
pub struct Example {
    pub expect: Option<Status>,
    pub host: Host,
    pub engine: Engine,
    pub swarm: Swarm,
    pub history: History,
    pub monitor: Monitor,
    pub policy: Policy,
    pub container: Option<Container>,
    pub image: Option<Image>,
    pub network: Option<Network>,
    pub volume: Option<Volume>,
    pub service: Option<Service>,
    pub file: Option<File>,
    pub containers: Option<Vec<Container>>,
    pub images: Option<Vec<Image>>,
    pub networks: Option<Vec<Network>>,
    pub volumes: Option<Vec<Volume>>,
    pub services: Option<Vec<Service>>,
    pub files: Option<Vec<File>>,
    pub gaps: Vec<Gap>,
}

/// A check with its expressions compiled and the facts that they read.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) check: Check,
    pub(crate) only: Option<Expression>,
    pub(crate) applies_when: Option<Expression>,
    pub(crate) unverified_when: Option<Expression>,
    pub(crate) pass_when: Option<Expression>,
    pub(crate) seen: Option<Expression>,
    pub(crate) fix: Option<Expression>,
}

/// A compiled expression and the facts that it reads.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) program: Program,
    pub(crate) reads: Reads,
}

impl Compiled {
    /// Compiles a check; errors are sentences that name the field.
    pub(crate) fn new(check: Check, env: &Arc<Env>) -> Result<Self, Vec<String>> {
        let mut errors = check.complaints();
        let places = Places::for_subject(check.subject);
        let mut compile = |field: &str, source: &Option<String>| -> Option<Expression> {
            let source = source.as_ref()?;
            if source.len() > EXPRESSION_SIZE_MAX {
                errors.push(format!("{field}: longer than {EXPRESSION_SIZE_MAX} bytes"));
                return None;
            }
            let program = match env.compile(source) {
                Ok(program) => program,
                Err(error) => {
                    errors.push(format!("{field}: {}", error.to_string().trim()));
                    return None;
                }
            };
            let reads = places.reads(program.expression());
            errors.extend(
                reads.unknown.iter().map(|name| format!("{field}: no fact is called `{name}`")),
            );
            Some(Expression { program, reads })
        };
        let only = compile("where", &check.only);
        let applies_when = compile("applies_when", &check.applies_when);
        let when = check.unverified_when.as_ref().map(|u| u.when.clone());
        let unverified_when = compile("unverified_when", &when);
        let pass_when = compile("pass_when", &Some(check.pass_when.clone()));
        let seen = compile("seen", &check.seen);
        let fix = compile("fix", &check.fix);
        if errors.is_empty() {
            Ok(Self { check, only, applies_when, unverified_when, pass_when, seen, fix })
        } else {
            Err(errors)
        }
    }
}

/// What a check says about one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// What it asks for.
    pub title: Text,
    /// What should be seen.
    pub expected: Text,
    /// What to do about a failure.
    pub remediation: Text,
}

impl Check {
    /// What it says about the subject of this name.
    pub fn words(&self, name: &str) -> Words {
        // Inside a sentence a name must not break the line or reorder it.
        let name = visible(name);
        let fill = |text: &Text| text.fill(&[("name", &name)]);
        Words {
            title: fill(&self.title),
            expected: fill(&self.expected),
            remediation: fill(&self.remediation),
        }
    }

    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let id_ok = !self.id.is_empty()
            && self.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !id_ok {
            complaints.push("id: only lower-case letters, digits and dashes".to_owned());
        }
        let needs_reason = self.applies_when.is_some() || self.only.is_some();
        if needs_reason && self.not_applicable.is_none() {
            complaints.push("not_applicable: missing, although it may not apply".to_owned());
        }
        let texts = [
            ("title", Some(&self.title)),
            ("expected", Some(&self.expected)),
            ("remediation", Some(&self.remediation)),
            ("not_applicable", self.not_applicable.as_ref()),
        ];
        for (field, text) in texts {
            if text.is_some_and(|t| t.en.trim().is_empty() || t.ko.trim().is_empty()) {
                complaints.push(format!("{field}: empty in one language"));
            }
        }
        complaints
    }
}
