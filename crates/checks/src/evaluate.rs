//! Decides checks for their subjects.
//!
//! The order is fixed: did the monitor see it violated, does it apply, can it be decided, is it as it should be.
//! Whatever goes wrong on the way is `unverified` with a cause; there is no other way out.

use std::collections::{BTreeMap, BTreeSet};

use cel::{Context, ExecutionError, Value};
use haechi_core::facts::{Gap, Snapshot};
use haechi_core::finding::Evidence;
use haechi_core::policy::Loaded;
use haechi_core::report::{HostLine, Item, REPORT_SCHEMA, Summary, distinct, images};
use haechi_core::score::Score;
use haechi_core::text::visible;
use haechi_core::{Cause, Finding, Report, Status, Subject, Text};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::alerts::{self, Alerts};
use crate::check::{Compiled, Expression};
use crate::content::{Content, ContentError};
use crate::seen::{LINES_MAX, cut, facts, lines};
use crate::texts;
use crate::world::{Entry, World};
use crate::{Benchmark, functions};

/// Decides every item of a benchmark.
///
/// # Errors
/// A check of the benchmark does not compile.
pub fn verify(
    content: &Content,
    benchmark: &Benchmark,
    snapshot: &Snapshot,
    policy: &Loaded,
) -> Result<Report, Vec<ContentError>> {
    let started = std::time::Instant::now();
    content.compile(benchmark)?;
    let ids: BTreeSet<&String> = benchmark.items().flat_map(|(_, item)| &item.checks).collect();
    let checks: Vec<&Compiled> =
        ids.iter().map(|id| content.compiled(id)).collect::<Result<_, _>>().map_err(|e| vec![e])?;
    let mut findings = Evaluator::new(content, snapshot, policy).all(&checks);
    let items: Vec<Item> = benchmark
        .items()
        .map(|(section, item)| {
            let of_item =
                item.checks.iter().flat_map(|id| findings.get(id).cloned().unwrap_or_default());
            Item::new(item.id.clone(), item.title.clone(), section.title.clone(), of_item.collect())
        })
        .collect();
    findings.clear();
    let policy_defaults: BTreeSet<String> = distinct(&items)
        .filter(|finding| matches!(finding.status, Status::Pass | Status::Fail))
        .flat_map(|finding| finding.policy_defaults.iter().cloned())
        .collect();
    Ok(Report {
        schema: REPORT_SCHEMA.into(),
        haechi_version: env!("CARGO_PKG_VERSION").into(),
        benchmark: benchmark.id.clone(),
        benchmark_title: benchmark.title.clone(),
        host: host_line(snapshot),
        taken_at: snapshot.taken_at.clone(),
        collect_ms: snapshot.took_ms,
        evaluate_ms: i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX),
        policy: policy.source.clone(),
        policy_defaults: policy_defaults.into_iter().collect(),
        summary: Summary::of(&items),
        score: Score::of(items.iter().flat_map(|item| &item.findings)),
        movement: None,
        gaps: snapshot.gaps.clone(),
        images: images::lines(snapshot),
        profiles: Vec::new(),
        items,
    })
}

fn host_line(snapshot: &Snapshot) -> HostLine {
    fn count<T>(list: Option<&Vec<T>>) -> i64 {
        list.map_or(-1, |list| i64::try_from(list.len()).unwrap_or(i64::MAX))
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (host, engine) = (&snapshot.host, &snapshot.engine);
    let running = snapshot.containers.as_ref().map_or(-1, |all| {
        let running = all.iter().filter(|c| c.state.as_ref().and_then(|s| s.running) == Some(true));
        i64::try_from(running.count()).unwrap_or(i64::MAX)
    });
    HostLine {
        name: host.hostname.clone().or_else(|| engine.name.clone()).unwrap_or_default(),
        os: host
            .os
            .as_ref()
            .and_then(|os| os.name.clone())
            .unwrap_or_else(|| text(&engine.operating_system)),
        kernel: host.kernel.clone().unwrap_or_else(|| text(&engine.kernel)),
        engine: format!("{} {}", text(&engine.kind), text(&engine.version)).trim().to_owned(),
        containers: count(snapshot.containers.as_ref()),
        running,
        images: count(snapshot.images.as_ref()),
    }
}

/// Evaluates checks over one snapshot.
pub(crate) struct Evaluator<'a> {
    content: &'a Content,
    world: World<'a>,
    alerts: Alerts<'a>,
    policy: &'a Loaded,
    today: Date,
}

/// What was decided for a subject, before it becomes a finding.
struct Verdict {
    status: Status,
    cause: Option<Cause>,
    reason: Option<Text>,
}

impl Verdict {
    fn new(status: Status) -> Self {
        Self { status, cause: None, reason: None }
    }

    fn unverified(cause: Cause, detail: &Text) -> Self {
        Self {
            status: Status::Unverified,
            cause: Some(cause),
            reason: Some(texts::cause(cause, detail)),
        }
    }

    fn of_gap(gap: &Gap) -> Self {
        Self::unverified(gap.cause, &Text::new(&gap.detail, &gap.detail))
    }
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(content: &'a Content, snapshot: &'a Snapshot, policy: &'a Loaded) -> Self {
        // Exceptions count on the day of the facts, so that a snapshot gives the same report everywhere.
        let taken: Timestamp = snapshot.taken_at.parse().unwrap_or_else(|_| Timestamp::now());
        let today = taken.to_zoned(TimeZone::UTC).date();
        let (world, alerts) = (World::new(snapshot, &policy.policy), Alerts::new(snapshot));
        Self { content, world, alerts, policy, today }
    }

    /// The findings of each check, by its id.
    pub(crate) fn all(&self, checks: &[&Compiled]) -> BTreeMap<String, Vec<Finding>> {
        let mut root = Context::with_env(self.content.env().clone());
        if let Err(error) = functions::declare(&mut root) {
            // A function that is not declared makes its checks unverified.
            tracing::error!(%error, "expression functions are missing");
        }
        self.world.bind(&mut root);
        let mut findings: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
        let kinds: BTreeSet<_> = checks.iter().map(|compiled| compiled.check.subject).collect();
        for kind in kinds {
            let of_kind: Vec<_> = checks.iter().filter(|c| c.check.subject == kind).collect();
            let subjects = self.world.subjects(kind);
            for entry in &subjects.entries {
                let mut context = root.new_inner_scope();
                for (name, value) in &entry.variables {
                    context.add_variable_from_value(*name, value.clone());
                }
                for compiled in &of_kind {
                    if let Some(finding) = self.decide(compiled, entry, &context) {
                        findings.entry(compiled.check.id.clone()).or_default().push(finding);
                    }
                }
            }
            for compiled in &of_kind {
                let list = findings.entry(compiled.check.id.clone()).or_default();
                if kind_is_listed(kind)
                    && let Some(gap) = &subjects.gap
                {
                    list.push(self.without_subject(compiled, Verdict::of_gap(gap)));
                } else if list.is_empty() {
                    let mut verdict = Verdict::new(Status::NotApplicable);
                    let reason = compiled.check.not_applicable.clone();
                    verdict.reason = reason.or_else(|| Some(texts::text("no-subject", &[])));
                    list.push(self.without_subject(compiled, verdict));
                }
            }
        }
        findings
    }

    fn decide(
        &self,
        compiled: &Compiled,
        entry: &Entry,
        context: &Context<'_, '_>,
    ) -> Option<Finding> {
        let said = self.alerts.said(&compiled.check.id, &entry.subject);
        let only = compiled.only.as_ref().map(|only| truth(only, context).map_err(|e| (only, e)));
        let verdict = match only {
            Some(Ok(false)) if said.is_empty() => return None,
            Some(Ok(false)) => Verdict::new(Status::NotApplicable),
            Some(Err((expression, error))) => self.undecided(compiled, expression, entry, &error),
            Some(Ok(true)) | None => self.verdict(compiled, entry, context),
        };
        let verdict = self.with_alerts(compiled, entry, verdict, &said);
        Some(self.finding(compiled, entry, context, verdict, said))
    }

    /// The verdict with what the monitor saw, or may have missed.
    fn with_alerts(
        &self,
        compiled: &Compiled,
        entry: &Entry,
        verdict: Verdict,
        said: &[String],
    ) -> Verdict {
        if !said.is_empty() {
            return Verdict::new(Status::Fail);
        }
        let missed = (verdict.status == Status::Pass)
            .then(|| self.alerts.missed(&compiled.check.id, &entry.subject));
        missed.flatten().map_or(verdict, Verdict::of_gap)
    }

    fn verdict(&self, compiled: &Compiled, entry: &Entry, context: &Context<'_, '_>) -> Verdict {
        let applies = match &compiled.applies_when {
            Some(expression) => match truth(expression, context) {
                Ok(applies) => applies,
                Err(error) => return self.undecided(compiled, expression, entry, &error),
            },
            None => true,
        };
        if !applies {
            if let Some(gap) = self.incomplete(compiled.applies_when.as_ref(), entry) {
                return Verdict::of_gap(gap);
            }
            let mut verdict = Verdict::new(Status::NotApplicable);
            verdict.reason.clone_from(&compiled.check.not_applicable);
            return verdict;
        }
        if let (Some(expression), Some(unverified)) =
            (&compiled.unverified_when, &compiled.check.unverified_when)
        {
            match truth(expression, context) {
                Ok(true) => return Verdict::unverified(unverified.cause, &unverified.reason),
                Ok(false) => {}
                Err(error) => return self.undecided(compiled, expression, entry, &error),
            }
        }
        if let Some(expression) = &compiled.pass_when {
            match truth(expression, context) {
                Ok(false) => return Verdict::new(Status::Fail),
                Ok(true) => {}
                Err(error) => return self.undecided(compiled, expression, entry, &error),
            }
        }
        match self.incomplete(compiled.pass_when.as_ref(), entry) {
            Some(gap) => Verdict {
                status: Status::Unverified,
                cause: Some(gap.cause),
                reason: Some(texts::text("incomplete", &[("detail", &gap.detail)])),
            },
            None => Verdict::new(Status::Pass),
        }
    }

    /// A gap of facts that the expression reads, although it could be evaluated.
    fn incomplete<'s>(
        &'s self,
        expression: Option<&'s Expression>,
        entry: &'s Entry,
    ) -> Option<&'s Gap> {
        self.world.gaps(entry, expression?.reads.places.iter()).next()
    }

    /// The verdict when an expression failed: the recorded gap behind it, else the room that was not there,
    /// else the fact that is missing.
    fn undecided(
        &self,
        compiled: &Compiled,
        expression: &Expression,
        entry: &Entry,
        error: &Failure,
    ) -> Verdict {
        let missing = error.key();
        let gaps: Vec<&Gap> = self.world.gaps(entry, expression.reads.places.iter()).collect();
        let named = missing.and_then(|key| {
            gaps.iter()
                .find(|gap| gap.fact.is_empty() || gap.fact.split('.').any(|part| part == key))
        });
        match (named.or(gaps.first()), compiled.check.needs) {
            (Some(gap), _) => Verdict::of_gap(gap),
            (None, Some(needs)) if missing.is_some() => {
                Verdict::unverified(needs, &texts::text("not-examined", &[]))
            }
            (None, _) => {
                let error = error.to_string();
                Verdict::unverified(Cause::Missing, &Text::new(&error, &error))
            }
        }
    }

    fn without_subject(&self, compiled: &Compiled, verdict: Verdict) -> Finding {
        let reason = verdict.reason.as_ref().map(|reason| reason.en.to_string());
        let seen = vec![reason.unwrap_or_default()];
        self.assemble(compiled, self.world.host.clone(), seen, None, verdict)
    }

    fn finding(
        &self,
        compiled: &Compiled,
        entry: &Entry,
        context: &Context<'_, '_>,
        mut verdict: Verdict,
        said: Vec<String>,
    ) -> Finding {
        let check = &compiled.check;
        let mut accepted = None;
        if verdict.status == Status::Fail {
            accepted = self.policy.policy.exception(&check.id, &entry.subject, self.today);
            if accepted.is_some() {
                verdict.status = Status::Excepted;
            }
        }
        let seen =
            compiled.seen.as_ref().and_then(|seen| lines(seen, context)).unwrap_or_else(|| {
                let expressions = [&compiled.pass_when, &compiled.applies_when];
                expressions.into_iter().flatten().flat_map(|e| facts(e, context)).collect()
            });
        let fix = match verdict.status {
            Status::Fail | Status::Excepted => compiled.fix.as_ref().and_then(|fix| {
                lines(fix, context).map(|lines| lines.join("\n")).filter(|fix| !fix.is_empty())
            }),
            _ => None,
        };
        let mut finding = self.assemble(compiled, entry.subject.clone(), seen, fix, verdict);
        finding.accepted = accepted;
        if let Some(expected) = finding.evidence.first().map(|first| first.expected.clone()) {
            let evidence = |line: String| Evidence {
                seen: cut(line),
                expected: expected.clone(),
                source: alerts::SOURCE.into(),
            };
            let watched = self.alerts.watched(&check.id, &entry.subject).map(evidence);
            finding.evidence.extend(watched.filter(|_| finding.status != Status::NotApplicable));
            finding.evidence.splice(..0, said.into_iter().take(LINES_MAX).map(evidence));
        }
        finding
    }

    fn assemble(
        &self,
        compiled: &Compiled,
        subject: Subject,
        mut seen: Vec<String>,
        fix: Option<String>,
        verdict: Verdict,
    ) -> Finding {
        let check = &compiled.check;
        let words = check.words(&subject.name);
        let name = visible(&subject.name);
        let reason = verdict.reason.as_ref().map(|reason| reason.fill(&[("name", &name)]));
        seen.retain(|line| !line.is_empty());
        if seen.is_empty() {
            let reason = verdict.reason.as_ref().map(|reason| reason.en.to_string());
            seen.push(reason.unwrap_or_else(|| texts::text("nothing", &[]).en.to_string()));
        }
        let evidence = seen
            .into_iter()
            .map(|seen| Evidence {
                seen: cut(seen),
                expected: words.expected.clone(),
                source: check.source.clone(),
            })
            .collect();
        Finding {
            check: check.id.clone(),
            title: words.title,
            area: check.area,
            severity: check.severity,
            status: verdict.status,
            evidence,
            cause: verdict.cause,
            reason,
            accepted: None,
            remediation: words.remediation,
            fix,
            policy_defaults: self.policy_defaults(compiled),
            subject: subject.clone(),
        }
    }

    fn policy_defaults(&self, compiled: &Compiled) -> Vec<String> {
        let expressions = [&compiled.applies_when, &compiled.unverified_when, &compiled.pass_when];
        let keys: BTreeSet<String> = expressions
            .into_iter()
            .flatten()
            .flat_map(|expression| &expression.reads.places)
            .filter(|(variable, path)| variable == "policy" && !path.is_empty())
            .map(|(_, path)| path.join("."))
            .filter(|key| self.policy.is_default(key))
            .collect();
        keys.into_iter().collect()
    }
}

/// Kinds whose subjects come in lists that may be unknown.
fn kind_is_listed(kind: haechi_core::SubjectKind) -> bool {
    use haechi_core::SubjectKind::{Engine, Host, Swarm};
    !matches!(kind, Host | Engine | Swarm)
}

/// Why an expression gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{}", explain(.0))]
    Execution(ExecutionError),
    #[error("the expression gave {0} instead of a yes or no")]
    NotBool(String),
}

fn explain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("`{key}` was not observed"),
        ExecutionError::UndeclaredReference(name) => format!("`{name}` was not observed"),
        other => cut(other.to_string()),
    }
}

impl Failure {
    fn key(&self) -> Option<&str> {
        match self {
            Self::Execution(ExecutionError::NoSuchKey(key)) => Some(key),
            _ => None,
        }
    }
}

fn truth(expression: &Expression, context: &Context<'_, '_>) -> Result<bool, Failure> {
    match expression.program.execute(context) {
        Ok(Value::Bool(truth)) => Ok(truth),
        Ok(other) => Err(Failure::NotBool(cut(format!("{other:?}")))),
        Err(error) => Err(Failure::Execution(error)),
    }
}
