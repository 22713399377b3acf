//! The report for a terminal: the areas first, then what fails, what could not be verified, and
//! why.
//!
//! Calm by design: one block per check, subjects with equal evidence on one line, nothing wider
//! than the terminal except commands, which must be copied unbroken. Without `verbose`, long lists
//! say how much more there is.

mod blocks;
mod summary;

pub(crate) use summary::{host_parts, policy_name};

use std::io::Write;

use haechi_core::text::visible;
use haechi_core::{Lang, Report, Severity, Status};

use crate::group::{ReasonGroup, by_cause, by_check};
use crate::labels::{Labels, key};
use crate::layout::{Align, visible_lines};
use crate::sheet::{Grid, Sheet, Style, cell, symbol};
use crate::{Options, RenderError};

/// Subjects shown of one check, gaps shown of all.
const SUBJECTS_MAX: usize = 8;
const UNVERIFIED_SUBJECTS_MAX: usize = 2;
const GAPS_MAX: usize = 12;
/// Images shown.
const IMAGES_MAX: usize = 20;
/// Lines shown of one piece of evidence.
const SEEN_LINES_MAX: usize = 3;
/// Commands shown of one check, moved checks shown of the score.
const FIXES_MAX: usize = 3;
const MOVED_MAX: usize = 5;

struct Table<'a> {
    report: &'a Report<String>,
    labels: Labels,
    verbose: bool,
    sheet: Sheet<'a>,
}

type Done = Result<(), RenderError>;

/// Writes the report as text for a terminal.
///
/// # Errors
/// The writer refused.
pub fn write(report: &Report<String>, lang: Lang, options: &Options, out: &mut dyn Write) -> Done {
    let sheet = Sheet::new(out, options);
    let mut table = Table { report, labels: Labels::new(lang), verbose: options.verbose, sheet };
    table.head()?;
    table.areas()?;
    table.movement()?;
    table.failures()?;
    table.images()?;
    table.unverified()?;
    table.excepted()?;
    table.passes()?;
    table.gaps()?;
    table.defaults()
}

impl Table<'_> {
    fn failures(&mut self) -> Done {
        let groups = by_check(self.report, |f| f.status == Status::Fail);
        if groups.is_empty() {
            self.sheet.heading(self.labels.get(key::FAILURES), Style::Good, "")?;
            return self.sheet.text(2, self.labels.get(key::FAILURES_NONE), Style::Plain);
        }
        for severity in Severity::WORST_FIRST {
            let of_severity = || groups.iter().filter(move |g| g.severity == severity);
            let checks = of_severity().count() as u64;
            if checks == 0 {
                continue;
            }
            let findings: u64 = of_severity().map(|g| g.findings.len() as u64).sum();
            let about = format!(
                "{} · {}",
                self.labels.count(key::CHECKS_ONE, key::CHECKS, checks),
                self.labels.count(key::FINDINGS_ONE, key::FINDINGS, findings)
            );
            let title =
                self.labels.with(key::FAILURES_OF, &[("severity", self.labels.severity(severity))]);
            self.sheet.heading(&title, Style::Of(severity), &about)?;
            for (n, group) in of_severity().enumerate() {
                if n > 0 {
                    self.sheet.blank()?;
                }
                self.failing(group)?;
            }
        }
        Ok(())
    }

    fn images(&mut self) -> Done {
        let images = &self.report.images;
        if images.is_empty() {
            return Ok(());
        }
        let about = images.len().to_string();
        self.sheet.heading(self.labels.get(key::IMAGE_LIST), Style::Plain, &about)?;
        let shown = if self.verbose { images.len() } else { IMAGES_MAX.min(images.len()) };
        let lines = images.get(..shown).unwrap_or_default();
        // The upgrade that removes most, and what could not be read.
        crate::image::list::rows(&mut self.sheet, lines, &self.labels, |image| {
            let problem = image
                .problems
                .first()
                .map(|problem| format!("{}: {}", self.labels.get(key::OPEN), visible(problem)));
            let fix = image.fixes.first().map(|fix| {
                let upgrade =
                    crate::image::words::upgrade(&fix.package, &fix.installed, &fix.fixed);
                format!("{upgrade}: {}", self.labels.ratings(&fix.removes))
            });
            [fix, problem].into_iter().flatten().collect()
        })?;
        self.more(0, images.len().saturating_sub(shown))
    }

    fn unverified(&mut self) -> Done {
        let causes = by_cause(self.report);
        if causes.is_empty() {
            return Ok(());
        }
        let all: u64 = causes.iter().map(|(_, count, _)| count).sum();
        let about = self.labels.count(key::FINDINGS_ONE, key::FINDINGS, all);
        self.sheet.heading(self.labels.get(key::UNVERIFIED), Style::Open, &about)?;
        self.sheet.text(2, self.labels.get(key::UNVERIFIED_MEANS), Style::Dim)?;
        for (cause, count, reasons) in causes {
            self.sheet.blank()?;
            let count = self.labels.count(key::FINDINGS_ONE, key::FINDINGS, count);
            let title = format!("{} ({count})", self.labels.cause(cause));
            let symbol = symbol(Status::Unverified);
            self.sheet.field(0, symbol, 2, Style::Open, &title, Style::Bold)?;
            self.sheet.field(2, "→", 2, Style::Dim, self.labels.cause_mend(cause), Style::Plain)?;
            for reason in &reasons {
                self.reason(reason)?;
            }
        }
        Ok(())
    }

    fn reason(&mut self, reason: &ReasonGroup<'_>) -> Done {
        for line in visible_lines(&reason.reason).filter(|line| !line.is_empty()) {
            self.sheet.text(2, &line, Style::Dim)?;
        }
        let rows = reason.checks.iter().map(|group| {
            let names = self.subjects_line(&group.findings, UNVERIFIED_SUBJECTS_MAX);
            vec![
                cell(visible(&group.items.join(" ")), Style::Dim),
                cell(format!("{} ({names})", visible(&group.title)), Style::Plain),
            ]
        });
        let rows = rows.collect();
        self.sheet.grid(4, &Grid { columns: &[Align::Left; 2], flexible: 1, rows })
    }

    fn excepted(&mut self) -> Done {
        let groups = by_check(self.report, |f| f.status == Status::Excepted);
        if groups.is_empty() {
            return Ok(());
        }
        let all: u64 = groups.iter().map(|g| g.findings.len() as u64).sum();
        let about = self.labels.count(key::FINDINGS_ONE, key::FINDINGS, all);
        self.sheet.heading(self.labels.get(key::EXCEPTED), Style::Accepted, &about)?;
        for group in &groups {
            self.check_title(Status::Excepted, group)?;
            for same in crate::group::by_evidence(&group.findings) {
                self.sheet.text(
                    4,
                    &self.subjects_line(&same.findings, SUBJECTS_MAX),
                    Style::Plain,
                )?;
                let Some(accepted) = &same.first.accepted else { continue };
                let line = self.labels.with(
                    key::ACCEPTED,
                    &[
                        ("owner", &visible(&accepted.owner)),
                        ("expires", &accepted.expires.to_string()),
                        ("reason", &visible(&accepted.reason)),
                    ],
                );
                self.sheet.text(6, &line, Style::Dim)?;
            }
        }
        Ok(())
    }

    fn passes(&mut self) -> Done {
        for (status, title) in
            [(Status::Pass, key::PASSES), (Status::NotApplicable, key::NOT_APPLICABLE)]
        {
            let groups = by_check(self.report, |f| f.status == status);
            if groups.is_empty() || !self.verbose {
                continue;
            }
            let about = self.labels.count(key::CHECKS_ONE, key::CHECKS, groups.len() as u64);
            self.sheet.heading(self.labels.get(title), Style::of(status), &about)?;
            for group in &groups {
                self.check_title(status, group)?;
                self.evidence(group, usize::MAX)?;
            }
        }
        Ok(())
    }

    fn gaps(&mut self) -> Done {
        let gaps = &self.report.gaps;
        if gaps.is_empty() {
            return Ok(());
        }
        let about = self.labels.count(key::FACTS_ONE, key::FACTS, gaps.len() as u64);
        self.sheet.heading(self.labels.get(key::GAPS), Style::Plain, &about)?;
        let shown = if self.verbose { usize::MAX } else { GAPS_MAX };
        for gap in gaps.iter().take(shown) {
            let name = [self.labels.kind(gap.kind), &gap.id, &gap.fact]
                .iter()
                .filter(|part| !part.is_empty())
                .map(|part| visible(part))
                .collect::<Vec<_>>()
                .join(" ");
            let title = format!("{name} ({})", self.labels.cause(gap.cause));
            self.sheet.field(2, "·", 2, Style::Dim, &title, Style::Plain)?;
            for line in visible_lines(&gap.detail).filter(|line| !line.is_empty()) {
                self.sheet.text(4, &line, Style::Dim)?;
            }
        }
        self.more(2, gaps.len().saturating_sub(shown))
    }

    fn defaults(&mut self) -> Done {
        let defaults = &self.report.policy_defaults;
        if defaults.is_empty() {
            return Ok(());
        }
        let about = self.labels.count(key::KEYS_ONE, key::KEYS, defaults.len() as u64);
        self.sheet.heading(self.labels.get(key::DEFAULTS), Style::Plain, &about)?;
        self.sheet.text(2, self.labels.get(key::DEFAULTS_MEANS), Style::Dim)?;
        let keys: Vec<_> = defaults.iter().map(|key| visible(key)).collect();
        self.sheet.text(2, &keys.join("  "), Style::Plain)
    }

    /// Says how many more there are, and how to see them.
    fn more(&mut self, indent: usize, more: usize) -> Done {
        if more == 0 {
            return Ok(());
        }
        let text = self.labels.with(key::MORE_VERBOSE, &[("n", &more.to_string())]);
        self.sheet.text(indent, &text, Style::Dim)
    }
}
