//! The full checklist: sections, items, their checks, and subjects grouped by equal evidence.

use std::collections::BTreeSet;

use haechi_core::report::{Counts, Item};
use haechi_core::{Area, Evidence, Finding, Severity, Status, SubjectKind};

use super::{Fixes, Prose, View, paragraph, remediation, shown};
use crate::group::{EvidenceGroup, by_evidence, same_ground, shared};
use crate::labels::key;

/// A section of the benchmark.
pub(crate) struct SectionView {
    pub(crate) title: String,
    pub(crate) counts: Vec<(Status, u64)>,
    pub(crate) items: Vec<ItemView>,
}

/// An item.
pub(crate) struct ItemView {
    pub(crate) anchor: String,
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) status: Status,
    /// The worst severity of its findings of that status; for what is open or accepted.
    pub(crate) severity: Option<Severity>,
    /// Its areas, separated by spaces, for the filter.
    pub(crate) areas: String,
    /// How many of its findings have its status; for what is open or accepted, where there are
    /// several.
    pub(crate) share: Option<String>,
    pub(crate) checks: Vec<CheckView>,
}

/// A check of an item.
pub(crate) struct CheckView {
    pub(crate) check: String,
    /// Its title, where it differs from the item's.
    pub(crate) title: Option<String>,
    pub(crate) area: Area,
    pub(crate) severity: Severity,
    /// What fails, could not be verified, or was accepted.
    pub(crate) open: Vec<BlockView>,
    /// What passes or does not apply.
    pub(crate) quiet: Vec<BlockView>,
    pub(crate) quiet_counts: Vec<(Status, u64)>,
    /// What is expected and where it was read, where that is the same for all.
    pub(crate) ground: Option<GroundView>,
    pub(crate) remediation: Vec<Prose>,
    pub(crate) fix: Fixes,
}

/// Subjects with the same status and evidence.
pub(crate) struct BlockView {
    pub(crate) status: Status,
    pub(crate) kind: &'static str,
    pub(crate) names: Vec<String>,
    /// The id of a lone subject, where it says more than its name.
    pub(crate) id: Option<String>,
    pub(crate) reason: Vec<Prose>,
    pub(crate) accepted: Option<String>,
    pub(crate) evidence: Vec<EvidenceView>,
}

/// One line of evidence.
pub(crate) struct EvidenceView {
    pub(crate) seen: String,
    pub(crate) ground: Option<GroundView>,
}

/// What was expected, and where the fact was read.
pub(crate) struct GroundView {
    pub(crate) expected: Vec<Prose>,
    pub(crate) source: String,
}

impl View<'_> {
    /// All sections, in the benchmark's order.
    pub(crate) fn sections(&self) -> Vec<SectionView> {
        let sections = self.report.items.chunk_by(|a, b| a.section == b.section).map(|items| {
            let mut counts = Counts::default();
            items.iter().for_each(|item| counts.add(item.status));
            SectionView {
                title: items.first().map(|item| shown(&item.section)).unwrap_or_default(),
                counts: some(&counts),
                items: items.iter().map(|item| self.item(item)).collect(),
            }
        });
        sections.collect()
    }

    fn item(&self, item: &Item<String>) -> ItemView {
        let of_status: Vec<_> = item.findings.iter().filter(|f| f.status == item.status).collect();
        let areas: BTreeSet<_> = item.findings.iter().map(|f| f.area.name()).collect();
        let weighed = matches!(item.status, Status::Fail | Status::Unverified | Status::Excepted);
        let (count, all) = (of_status.len().to_string(), item.findings.len().to_string());
        let share = self.labels.with(key::SHARE, &[("n", &count), ("all", &all)]);
        ItemView {
            anchor: self.anchor(&item.id),
            id: shown(&item.id),
            title: shown(&item.title),
            status: item.status,
            severity: of_status.iter().map(|f| f.severity).max().filter(|_| weighed),
            areas: areas.into_iter().collect::<Vec<_>>().join(" "),
            share: Some(share).filter(|_| weighed && item.findings.len() > 1),
            checks: self.checks(item),
        }
    }

    fn checks(&self, item: &Item<String>) -> Vec<CheckView> {
        let mut order = Vec::new();
        for finding in &item.findings {
            if !order.contains(&finding.check.as_str()) {
                order.push(finding.check.as_str());
            }
        }
        let checks = order.into_iter().filter_map(|check| {
            let findings: Vec<_> = item.findings.iter().filter(|f| f.check == check).collect();
            self.check(item, &findings)
        });
        checks.collect()
    }

    fn check(&self, item: &Item<String>, findings: &[&Finding<String>]) -> Option<CheckView> {
        let first = findings.first()?;
        let ground = same_ground(findings);
        let title =
            shared(findings, |f| &f.title).map_or_else(|| shown(&first.title), |t| shown(&t));
        let (open, quiet): (Vec<_>, Vec<_>) = by_evidence(findings)
            .iter()
            .map(|same| self.block(same, ground.is_some()))
            .partition(|block| !is_quiet(block.status));
        let mut counts = Counts::default();
        findings.iter().for_each(|f| counts.add(f.status));
        let failing: Vec<_> =
            findings.iter().copied().filter(|f| f.status == Status::Fail).collect();
        Some(CheckView {
            check: shown(&first.check),
            title: Some(title).filter(|title| *title != shown(&item.title)),
            area: first.area,
            severity: first.severity,
            open,
            quiet,
            quiet_counts: some(&counts).into_iter().filter(|(s, _)| is_quiet(*s)).collect(),
            ground: ground.map(ground_of),
            remediation: remediation(findings),
            fix: self.fixes(&failing),
        })
    }

    fn block(&self, same: &EvidenceGroup<'_>, grounded: bool) -> BlockView {
        let first = same.first;
        // There is one host, engine and swarm; everything else can be told apart by its id.
        let told = !matches!(
            first.subject.kind,
            SubjectKind::Host | SubjectKind::Engine | SubjectKind::Swarm
        );
        let id = Some(&first.subject.id).filter(|id| {
            told && same.findings.len() == 1 && !id.is_empty() && **id != first.subject.name
        });
        BlockView {
            status: first.status,
            kind: self.labels.kind(first.subject.kind),
            names: same.findings.iter().map(|f| shown(&f.subject.name)).collect(),
            id: id.map(|id| shown(id)),
            reason: first.reason.as_deref().map(paragraph).unwrap_or_default(),
            accepted: first.accepted.as_ref().map(|accepted| {
                let (owner, reason) = (shown(&accepted.owner), shown(&accepted.reason));
                let expires = accepted.expires.to_string();
                let values = [("owner", &*owner), ("reason", &*reason), ("expires", &*expires)];
                self.labels.with(key::ACCEPTED, &values)
            }),
            evidence: first
                .evidence
                .iter()
                .map(|evidence| EvidenceView {
                    seen: shown(&evidence.seen),
                    ground: (!grounded).then(|| ground_of(evidence)),
                })
                .collect(),
        }
    }
}

fn ground_of(evidence: &Evidence<String>) -> GroundView {
    GroundView { expected: paragraph(&evidence.expected), source: shown(&evidence.source) }
}

fn is_quiet(status: Status) -> bool {
    matches!(status, Status::Pass | Status::NotApplicable)
}

fn some(counts: &Counts) -> Vec<(Status, u64)> {
    let counts = Status::WORST_FIRST.into_iter().map(|status| (status, counts.of(status)));
    counts.filter(|(_, count)| *count > 0).collect()
}
