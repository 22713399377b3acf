//! One check on the terminal: its title, its subjects with their evidence, and what to do about it.

use haechi_core::text::visible;
use haechi_core::{Finding, Severity, Status};

use super::{Done, FIXES_MAX, SEEN_LINES_MAX, SUBJECTS_MAX, Table};
use crate::group::{CheckGroup, EvidenceGroup, by_evidence, distinct_texts, fixes, same_ground};
use crate::labels::key;
use crate::layout::{cut, visible_lines, width};
use crate::sheet::{Style, span, symbol};

impl Table<'_> {
    /// A failing check in full.
    pub(super) fn failing(&mut self, group: &CheckGroup<'_>) -> Done {
        self.check_title(Status::Fail, group)?;
        let subjects = self.count_subjects(&group.findings);
        let line =
            format!("{} · {} · {subjects}", visible(group.check), self.labels.area(group.area));
        self.sheet.text(2, &line, Style::Dim)?;
        self.evidence(group, if self.verbose { usize::MAX } else { SUBJECTS_MAX })?;
        self.mend(group)
    }

    /// The symbol, title and benchmark items of a check.
    pub(super) fn check_title(&mut self, status: Status, group: &CheckGroup<'_>) -> Done {
        let style =
            if status == Status::Fail { Style::Of(group.severity) } else { Style::of(status) };
        let items = visible(&group.items.join(" ")).into_owned();
        let title = visible(&group.title).into_owned();
        let room = self.sheet.width().saturating_sub(2 + width(&title));
        if room > width(&items) + 1 {
            let gap = " ".repeat(room.saturating_sub(width(&items)));
            return self.sheet.line(&[
                span(symbol(status), style),
                span(" ", Style::Plain),
                span(title, Style::Bold),
                span(gap, Style::Plain),
                span(items, Style::Dim),
            ]);
        }
        self.sheet.field(0, symbol(status), 2, style, &title, Style::Bold)?;
        self.sheet.text(2, &items, Style::Dim)
    }

    /// Subjects with what was seen, then what was expected and where it was read.
    pub(super) fn evidence(&mut self, group: &CheckGroup<'_>, subjects_max: usize) -> Done {
        let ground = same_ground(&group.findings);
        let mut left = subjects_max;
        for same in by_evidence(&group.findings) {
            if left == 0 {
                break;
            }
            self.same_evidence(&same, left, ground.is_some())?;
            left = left.saturating_sub(same.findings.len());
        }
        let more = group.findings.len().saturating_sub(subjects_max);
        self.more(4, more)?;
        let Some(ground) = ground else { return Ok(()) };
        self.labelled(2, self.labels.get(key::EXPECTED), &ground.expected, Style::Plain)?;
        self.labelled(2, self.labels.get(key::SOURCE), &ground.source, Style::Dim)
    }

    fn same_evidence(&mut self, same: &EvidenceGroup<'_>, max: usize, grounded: bool) -> Done {
        let names: Vec<_> =
            same.findings.iter().take(max).map(|f| visible(&f.subject.name)).collect();
        self.sheet.text(4, &names.join(", "), Style::Plain)?;
        for reason in same.first.reason.iter().flat_map(|reason| visible_lines(reason)) {
            self.sheet.text(6, &reason, Style::Dim)?;
        }
        for evidence in &same.first.evidence {
            let style = match same.first.status {
                Status::Fail => Style::Of(Severity::Medium),
                _ => Style::Dim,
            };
            let seen = visible(&evidence.seen);
            let room = SEEN_LINES_MAX * self.sheet.width().saturating_sub(8);
            let seen = if self.verbose { seen } else { cut(&seen, room).into_owned().into() };
            self.sheet.text(6, &seen, style)?;
            if !grounded {
                self.labelled(6, self.labels.get(key::EXPECTED), &evidence.expected, Style::Plain)?;
                self.labelled(6, self.labels.get(key::SOURCE), &evidence.source, Style::Dim)?;
            }
        }
        Ok(())
    }

    /// What to do, and the commands.
    fn mend(&mut self, group: &CheckGroup<'_>) -> Done {
        for text in distinct_texts(&group.findings, |f| &f.remediation) {
            self.labelled(2, self.labels.get(key::REMEDIATION), &text, Style::Plain)?;
        }
        let fixes = fixes(&group.findings);
        let shown = if self.verbose { usize::MAX } else { FIXES_MAX };
        let columns = self.label_columns();
        for (n, fix) in fixes.iter().take(shown).enumerate() {
            let label = if n == 0 { self.labels.get(key::FIX) } else { "" };
            self.sheet.verbatim(2, label, columns, &visible(fix))?;
        }
        self.more(2 + columns, fixes.len().saturating_sub(shown))
    }

    fn labelled(&mut self, indent: usize, label: &str, text: &str, style: Style) -> Done {
        let columns = self.label_columns();
        for (n, line) in visible_lines(text).enumerate() {
            let label = if n == 0 { label } else { "" };
            self.sheet.field(indent, label, columns, Style::Dim, &line, style)?;
        }
        Ok(())
    }

    fn label_columns(&self) -> usize {
        [key::EXPECTED, key::SOURCE, key::REMEDIATION, key::FIX]
            .map(|k| width(self.labels.get(k)))
            .into_iter()
            .max()
            .unwrap_or(0)
            + 2
    }

    /// Names of subjects, at most `max` of them.
    pub(super) fn subjects_line(&self, findings: &[&Finding<String>], max: usize) -> String {
        let max = if self.verbose { usize::MAX } else { max };
        let mut names: Vec<_> =
            findings.iter().take(max).map(|f| visible(&f.subject.name).into_owned()).collect();
        names.extend(self.labels.more(findings.len().saturating_sub(names.len())));
        names.join(", ")
    }

    fn count_subjects(&self, findings: &[&Finding<String>]) -> String {
        findings
            .first()
            .map(|f| self.labels.subjects(f.subject.kind, findings.len() as u64))
            .unwrap_or_default()
    }
}
