//! What the page shows, as plain values: every string in words and safe to show, every number
//! counted.
//!
//! The template adds markup only.

mod checklist;
mod picture;

use haechi_core::text::visible;
use haechi_core::{Area, Finding, Report, Severity, Status};

use crate::group::{CheckGroup, by_cause, by_check, distinct_texts, fixes};
use crate::labels::{Labels, key};
use crate::layout::{pieces, visible_lines};

pub(super) use checklist::SectionView;
pub(super) use picture::{AreaView, MovementView};

/// Checks under "what to do first"; names and commands of one of them that are shown at once.
const TODO_MAX: usize = 6;
const NAMES_MAX: usize = 6;

/// Makes the page's values of a report.
pub(super) struct View<'a> {
    pub(super) report: &'a Report<String>,
    pub(super) labels: Labels,
}

/// A failing check, with what mends it.
pub(super) struct TodoView {
    pub(super) severity: Severity,
    pub(super) area: Area,
    pub(super) title: String,
    pub(super) check: String,
    pub(super) items: Vec<ItemLink>,
    /// How many subjects it mends, in words.
    pub(super) mends: String,
    pub(super) names: Names,
    pub(super) remediation: Vec<Prose>,
    pub(super) fix: Fixes,
}

/// A benchmark item and where it is on the page.
pub(super) struct ItemLink {
    pub(super) id: String,
    pub(super) anchor: String,
}

/// A line of words and code.
pub(super) type Prose = Vec<Piece>;

/// A piece of a line.
pub(super) struct Piece {
    pub(super) code: bool,
    pub(super) text: String,
}

/// The first names of subjects, and how many more there are, in words.
pub(super) struct Names {
    pub(super) shown: Vec<String>,
    pub(super) more: Option<String>,
}

/// Commands that mend something: the first, and, if there are more, all of them under a label.
pub(super) struct Fixes {
    pub(super) first: Option<String>,
    pub(super) all: Option<(String, String)>,
}

/// What could not be verified for one cause.
pub(super) struct CauseView {
    pub(super) word: &'static str,
    pub(super) mend: &'static str,
    pub(super) count: u64,
    pub(super) reasons: Vec<ReasonView>,
}

/// What could not be verified for one reason.
pub(super) struct ReasonView {
    pub(super) text: Vec<Prose>,
    pub(super) checks: Vec<UnverifiedView>,
}

/// A check that could not be verified.
pub(super) struct UnverifiedView {
    pub(super) items: Vec<ItemLink>,
    pub(super) title: String,
    pub(super) names: Names,
}

/// A fact that could not be observed.
pub(super) struct GapView {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) fact: String,
    pub(super) cause: &'static str,
    pub(super) detail: Vec<Prose>,
}

impl View<'_> {
    /// What to do first, and what after that.
    pub(super) fn todo(&self) -> (Vec<TodoView>, Vec<TodoView>) {
        let groups = by_check(self.report, |f| f.status == Status::Fail);
        let mut all: Vec<_> = groups.iter().map(|group| self.todo_of(group, NAMES_MAX)).collect();
        let rest = all.split_off(all.len().min(TODO_MAX));
        (all, rest)
    }

    fn todo_of(&self, group: &CheckGroup<'_>, names_max: usize) -> TodoView {
        let subjects = self.count_subjects(&group.findings);
        TodoView {
            severity: group.severity,
            area: group.area,
            title: shown(&group.title),
            check: shown(group.check),
            items: self.links(&group.items),
            mends: self.labels.with(key::MENDS, &[("subjects", &subjects)]),
            names: self.names(&group.findings, names_max),
            remediation: remediation(&group.findings),
            fix: self.fixes(&group.findings),
        }
    }

    /// What could not be verified, by cause.
    pub(super) fn causes(&self) -> Vec<CauseView> {
        let causes = by_cause(self.report).into_iter().map(|(cause, count, reasons)| CauseView {
            word: self.labels.cause(cause),
            mend: self.labels.cause_mend(cause),
            count,
            reasons: reasons
                .iter()
                .map(|reason| ReasonView {
                    text: paragraph(&reason.reason),
                    checks: reason.checks.iter().map(|group| self.unverified_of(group)).collect(),
                })
                .collect(),
        });
        causes.collect()
    }

    fn unverified_of(&self, group: &CheckGroup<'_>) -> UnverifiedView {
        UnverifiedView {
            items: self.links(&group.items),
            title: shown(&group.title),
            names: self.names(&group.findings, NAMES_MAX),
        }
    }

    /// What could not be observed.
    pub(super) fn gaps(&self) -> Vec<GapView> {
        let gaps = self.report.gaps.iter().map(|gap| GapView {
            kind: self.labels.kind(gap.kind),
            id: shown(&gap.id),
            fact: shown(&gap.fact),
            cause: self.labels.cause(gap.cause),
            detail: paragraph(&gap.detail),
        });
        gaps.collect()
    }

    fn links(&self, items: &[&str]) -> Vec<ItemLink> {
        let links = items.iter().map(|id| ItemLink { id: shown(id), anchor: self.anchor(id) });
        links.collect()
    }

    /// The place of an item on the page: its number, because an id may hold anything.
    fn anchor(&self, id: &str) -> String {
        let place = self.report.items.iter().position(|item| item.id == id);
        format!("item-{}", place.map_or(0, |place| place + 1))
    }

    fn count_subjects(&self, findings: &[&Finding<String>]) -> String {
        findings
            .first()
            .map(|f| self.labels.subjects(f.subject.kind, findings.len() as u64))
            .unwrap_or_default()
    }

    fn names(&self, findings: &[&Finding<String>], max: usize) -> Names {
        let shown: Vec<_> = findings.iter().take(max).map(|f| shown(&f.subject.name)).collect();
        let more = self.labels.more(findings.len().saturating_sub(shown.len()));
        Names { shown, more }
    }

    fn fixes(&self, findings: &[&Finding<String>]) -> Fixes {
        let all: Vec<_> = fixes(findings).into_iter().map(shown).collect();
        let label = self.labels.with(key::FIXES_ALL, &[("n", &all.len().to_string())]);
        Fixes { first: all.first().cloned(), all: (all.len() > 1).then(|| (label, all.join("\n"))) }
    }
}

fn shown(raw: &str) -> String {
    visible(raw).into_owned()
}

/// The lines of a text, without empty ones; what stands between backticks is code.
fn paragraph(text: &str) -> Vec<Prose> {
    visible_lines(text).filter(|line| !line.is_empty()).map(|line| prose(&line)).collect()
}

/// A line as words and code.
pub(super) fn prose(line: &str) -> Prose {
    pieces(line).into_iter().map(|(code, text)| Piece { code, text: text.to_owned() }).collect()
}

fn remediation(findings: &[&Finding<String>]) -> Vec<Prose> {
    distinct_texts(findings, |f| &f.remediation).iter().flat_map(|text| paragraph(text)).collect()
}
