//! Proves each check by its own examples: at least one that passes and one that fails.
//!
//! An example is a small snapshot; it is judged by the very same code as a real one.

use haechi_core::facts::Snapshot;
use haechi_core::policy::Loaded;
use haechi_core::{Status, SubjectKind};

use crate::check::{Check, Example};
use crate::content::{Content, ContentError};
use crate::evaluate::Evaluator;

/// How the examples of one check came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Id of the check.
    pub check: String,
    /// How many examples it has.
    pub examples: usize,
    /// What is wrong; empty if all came out as they should and none is lacking.
    pub complaints: Vec<String>,
}

/// Runs the examples of all checks.
///
/// # Errors
/// A check does not compile.
pub fn run(content: &Content) -> Result<Vec<Outcome>, Vec<ContentError>> {
    content.compile_all()?;
    content.checks().map(|check| outcome(content, check).map_err(|e| vec![e])).collect()
}

fn outcome(content: &Content, check: &Check) -> Result<Outcome, ContentError> {
    let compiled = content.compiled(&check.id)?;
    let mut complaints = Vec::new();
    for (number, example) in check.examples.iter().enumerate() {
        let number = number + 1;
        let Some(expect) = example.expect else {
            complaints.push(format!("example {number}: `expect` is missing"));
            continue;
        };
        let snapshot = snapshot(check.subject, example);
        let policy = Loaded { policy: example.policy.clone(), ..Loaded::defaults() };
        let findings = Evaluator::new(content, &snapshot, &policy).all(&[compiled]);
        let findings = findings.into_values().flatten().collect::<Vec<_>>();
        let worst = findings.iter().max_by_key(|finding| finding.status);
        let Some(finding) = worst else {
            complaints.push(format!("example {number}: no finding"));
            continue;
        };
        if finding.status != expect {
            let why = finding.reason.as_ref().map(|r| format!(" ({})", r.en)).unwrap_or_default();
            complaints
                .push(format!("example {number}: {} instead of {expect}{why}", finding.status));
        }
        let fell_back = check.seen.is_some()
            && matches!(finding.status, Status::Pass | Status::Fail)
            && finding.evidence.iter().any(|e| e.seen.contains(" = ?"));
        if fell_back {
            complaints.push(format!("example {number}: `seen` cannot be evaluated"));
        }
    }
    let has = |status| check.examples.iter().any(|example| example.expect == Some(status));
    for status in [Status::Pass, Status::Fail].into_iter().filter(|status| !has(*status)) {
        complaints.push(format!("no example that gives {status}"));
    }
    Ok(Outcome { check: check.id.clone(), examples: check.examples.len(), complaints })
}

fn snapshot(subject: SubjectKind, example: &Example) -> Snapshot {
    let example = example.clone();
    fn one<T>(list: Option<Vec<T>>, single: Option<T>) -> Option<Vec<T>> {
        single.map(|single| vec![single]).or(list)
    }
    let mut snapshot = Snapshot {
        taken_at: "2026-01-01T00:00:00Z".into(),
        host: example.host,
        engine: example.engine,
        swarm: example.swarm,
        history: example.history,
        monitor: example.monitor,
        files: one(example.files, example.file),
        containers: example.containers,
        images: example.images,
        networks: one(example.networks, example.network),
        volumes: one(example.volumes, example.volume),
        services: one(example.services, example.service),
        gaps: example.gaps,
        ..Snapshot::default()
    };
    // Joins need ids: an example that gives a container with its image means that they belong together.
    let joined = "example".to_owned();
    if let Some(mut image) = example.image {
        image.id.get_or_insert_with(|| joined.clone());
        snapshot.images = Some(vec![image]);
    }
    if let Some(mut container) = example.container {
        container.image_id.get_or_insert_with(|| joined.clone());
        snapshot.containers = Some(vec![container]);
    }
    if subject == SubjectKind::Image
        && let Some(containers) = &mut snapshot.containers
    {
        for container in containers {
            container.image_id.get_or_insert_with(|| joined.clone());
        }
    }
    snapshot
}
