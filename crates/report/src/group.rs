//! Groups findings for layout: one block per check, and inside it one line per equal evidence.
//!
//! Grouping never drops a finding and never decides one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use haechi_core::report::distinct;
use haechi_core::{Area, Cause, Evidence, Finding, Report, Severity, Status};

/// Findings of one check.
pub(crate) struct CheckGroup<'a> {
    /// Id of the check.
    pub(crate) check: &'a str,
    /// Its title; where it holds the subject's name, that is replaced by `…`.
    pub(crate) title: Cow<'a, str>,
    /// Its area.
    pub(crate) area: Area,
    /// Its severity.
    pub(crate) severity: Severity,
    /// Ids of the benchmark items that it serves.
    pub(crate) items: Vec<&'a str>,
    /// The findings, in the order of the report; never empty.
    pub(crate) findings: Vec<&'a Finding<String>>,
}

/// Findings of one check with the same status and evidence.
pub(crate) struct EvidenceGroup<'a> {
    /// One of them, for what they share.
    pub(crate) first: &'a Finding<String>,
    /// All of them.
    pub(crate) findings: Vec<&'a Finding<String>>,
}

/// Findings with the same cause and words about it.
pub(crate) struct ReasonGroup<'a> {
    /// Why, in words; where it holds the subject's name, that is replaced by `…`.
    pub(crate) reason: Cow<'a, str>,
    /// Their checks.
    pub(crate) checks: Vec<CheckGroup<'a>>,
}

/// The findings that `wanted` keeps, by check: the most severe first, then those with most
/// subjects.
pub(crate) fn by_check<'a>(
    report: &'a Report<String>,
    wanted: impl Fn(&Finding<String>) -> bool,
) -> Vec<CheckGroup<'a>> {
    group_checks(report, distinct(&report.items).filter(|finding| wanted(finding)))
}

fn group_checks<'a>(
    report: &'a Report<String>,
    findings: impl Iterator<Item = &'a Finding<String>>,
) -> Vec<CheckGroup<'a>> {
    let served = items_of_checks(report);
    let mut groups: BTreeMap<&str, CheckGroup<'a>> = BTreeMap::new();
    for finding in findings {
        groups
            .entry(&finding.check)
            .or_insert_with(|| CheckGroup {
                check: &finding.check,
                title: Cow::Borrowed(&finding.title),
                area: finding.area,
                severity: finding.severity,
                items: served.get(finding.check.as_str()).cloned().unwrap_or_default(),
                findings: Vec::new(),
            })
            .findings
            .push(finding);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    for group in &mut groups {
        if let Some(title) = shared(&group.findings, |f| &f.title) {
            group.title = title;
        }
    }
    groups.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then(b.findings.len().cmp(&a.findings.len()))
            .then_with(|| a.check.cmp(b.check))
    });
    groups
}

/// Ids of the items that each check serves.
pub(crate) fn items_of_checks(report: &Report<String>) -> HashMap<&str, Vec<&str>> {
    let mut served: HashMap<&str, Vec<&str>> = HashMap::new();
    for item in &report.items {
        for finding in &item.findings {
            let ids = served.entry(&finding.check).or_default();
            if ids.last() != Some(&item.id.as_str()) {
                ids.push(&item.id);
            }
        }
    }
    served
}

/// Findings of one check by equal status, evidence and reason, in the order of their first.
pub(crate) fn by_evidence<'a>(findings: &[&'a Finding<String>]) -> Vec<EvidenceGroup<'a>> {
    let mut places = HashMap::new();
    let mut groups: Vec<EvidenceGroup<'a>> = Vec::new();
    for finding in findings {
        let key =
            (finding.status, finding.cause, &finding.evidence, &finding.reason, &finding.accepted);
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.findings.push(finding),
            None => groups.push(EvidenceGroup { first: finding, findings: vec![finding] }),
        }
    }
    groups
}

/// What could not be verified, by cause and then by the words about it.
pub(crate) fn by_cause(report: &Report<String>) -> Vec<(Cause, u64, Vec<ReasonGroup<'_>>)> {
    let mut causes: BTreeMap<Cause, BTreeMap<Cow<'_, str>, Vec<&Finding<String>>>> =
        BTreeMap::new();
    for finding in distinct(&report.items).filter(|f| f.status == Status::Unverified) {
        let reason = finding.reason.as_deref().unwrap_or_default();
        let reason = without_name(reason, &finding.subject.name);
        let cause = finding.cause.unwrap_or(Cause::Missing);
        causes.entry(cause).or_default().entry(reason).or_default().push(finding);
    }
    causes
        .into_iter()
        .map(|(cause, reasons)| {
            let count = reasons.values().map(|findings| findings.len() as u64).sum();
            let reasons = reasons
                .into_iter()
                .map(|(reason, findings)| ReasonGroup {
                    reason,
                    checks: group_checks(report, findings.into_iter()),
                })
                .collect();
            (cause, count, reasons)
        })
        .collect()
}

/// Where all evidence of some findings asks for the same and was read at the same place: these two.
pub(crate) fn same_ground<'a>(findings: &[&'a Finding<String>]) -> Option<&'a Evidence<String>> {
    let mut all = findings.iter().flat_map(|finding| &finding.evidence);
    let first = all.next()?;
    all.all(|e| e.expected == first.expected && e.source == first.source).then_some(first)
}

/// A text that all findings share, if need be with the subject's name replaced by `…`.
pub(crate) fn shared<'a>(
    findings: &[&'a Finding<String>],
    pick: impl Fn(&'a Finding<String>) -> &'a String,
) -> Option<Cow<'a, str>> {
    let first = *findings.first()?;
    if findings.iter().all(|f| pick(f) == pick(first)) {
        return Some(Cow::Borrowed(pick(first)));
    }
    let general = without_name(pick(first), &first.subject.name);
    findings.iter().all(|f| without_name(pick(f), &f.subject.name) == general).then_some(general)
}

/// The distinct texts of some findings, in their order; one where a name is all that differs.
pub(crate) fn distinct_texts<'a>(
    findings: &[&'a Finding<String>],
    pick: impl Fn(&'a Finding<String>) -> &'a String,
) -> Vec<Cow<'a, str>> {
    if let Some(text) = shared(findings, &pick) {
        return vec![text];
    }
    let mut seen = std::collections::HashSet::new();
    findings.iter().map(|f| pick(f)).filter(|text| seen.insert(*text)).map(|t| t.into()).collect()
}

/// The distinct fixes of some findings, in their order. Each is one line: a line break in one would
/// let a name from outside pass for a command of its own, so renderers show it as an escape.
pub(crate) fn fixes<'a>(findings: &[&'a Finding<String>]) -> Vec<&'a str> {
    let mut seen = std::collections::HashSet::new();
    findings.iter().filter_map(|f| f.fix.as_deref()).filter(|fix| seen.insert(*fix)).collect()
}

fn without_name<'a>(text: &'a str, name: &str) -> Cow<'a, str> {
    // A name of one or two letters would be found inside words.
    if name.chars().count() < 3 || !text.contains(name) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(name, "…"))
}
