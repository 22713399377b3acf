//! The top of the terminal report: what was verified, the three areas, the score and what moved it.

use haechi_core::report::Counts;
use haechi_core::text::visible;
use haechi_core::{Area, Report, Severity, Status};

use super::{Done, MOVED_MAX, Table};
use crate::labels::{Labels, key, points};
use crate::layout::{Align, bar, width};
use crate::sheet::{Cell, Grid, Style, cell, span, symbol};

/// Below this width the areas are written as lines, not as columns.
const COLUMNS_FROM: usize = 76;
const BAR_MAX: usize = 24;

impl Table<'_> {
    pub(super) fn head(&mut self) -> Done {
        let report = self.report;
        let product = self.labels.get(key::PRODUCT);
        let title = visible(&report.benchmark_title);
        self.sheet.field(0, product, width(product) + 2, Style::Bold, &title, Style::Plain)?;
        // Glued, so that a line is broken only between the parts.
        let parts = host_parts(report, &self.labels).map(|part| part.replace(' ', "\u{a0}"));
        let parts: Vec<_> = parts.collect();
        self.sheet.text(0, &parts.join("\u{a0}· "), Style::Plain)?;
        let line = self.labels.with(
            key::TAKEN,
            &[
                ("time", &self.labels.time(&report.taken_at)),
                ("collect", &self.labels.span(report.collect_ms)),
                ("evaluate", &self.labels.span(report.evaluate_ms)),
                ("policy", &policy_name(report, &self.labels)),
            ],
        );
        self.sheet.text(0, &line, Style::Dim)?;
        self.sheet.blank()
    }

    pub(super) fn areas(&mut self) -> Done {
        let total = self.report.score.total;
        let findings = self.report.summary.findings;
        let worst = self.report.summary.failing.keys().next_back().copied();
        let mut rows: Vec<_> = Area::ALL
            .iter()
            .map(|area| {
                let summary = &self.report.summary;
                (
                    self.labels.area(*area),
                    self.report.score.areas.get(area).copied().flatten(),
                    summary.areas.get(area).copied().unwrap_or_default(),
                    summary.failing_by_area.get(area).and_then(|s| s.keys().next_back().copied()),
                )
            })
            .collect();
        rows.push((self.labels.get(key::TOTAL), total, findings, worst));
        if self.sheet.width() < COLUMNS_FROM { self.area_lines(&rows) } else { self.area_grid(&rows) }
    }

    fn area_grid(&mut self, rows: &[(&str, Option<f64>, Counts, Option<Severity>)]) -> Done {
        let columns = self.sheet.width().saturating_sub(COLUMNS_FROM - 4).min(BAR_MAX);
        let mut head = vec![
            cell("", Style::Dim),
            cell(self.labels.get(key::SCORE), Style::Dim),
            cell("", Style::Dim),
        ];
        head.extend(Status::WORST_FIRST.map(|s| cell(self.short(s), Style::Dim)));
        head.push(cell(self.labels.get(key::WORST), Style::Dim));
        let mut grid = vec![head];
        for (n, (name, score, counts, worst)) in rows.iter().enumerate() {
            let style = if n + 1 == rows.len() { Style::Bold } else { Style::Plain };
            let mut row = vec![
                cell(*name, style),
                cell(self.labels.score(*score), style),
                self.score_bar(*score, columns),
            ];
            row.extend(Status::WORST_FIRST.map(|s| count_cell(counts, s)));
            row.push(self.worst(*worst));
            grid.push(row);
        }
        use Align::{Left, Right};
        let align = [Left, Right, Left, Right, Right, Right, Right, Right, Left];
        self.sheet.grid(0, &Grid { columns: &align, flexible: 8, rows: grid })
    }

    fn area_lines(&mut self, rows: &[(&str, Option<f64>, Counts, Option<Severity>)]) -> Done {
        for (name, score, counts, worst) in rows {
            let mut spans = vec![
                span(*name, Style::Bold),
                span("  ", Style::Plain),
                span(self.labels.score(*score), Style::Bold),
                span("  ", Style::Plain),
            ];
            spans.extend(self.worst(*worst));
            self.sheet.line(&spans)?;
            let counts: Vec<_> = Status::WORST_FIRST
                .iter()
                .filter(|s| counts.of(**s) > 0)
                .map(|s| format!("{} {} {}", symbol(*s), self.short(*s), counts.of(*s)))
                .collect();
            self.sheet.text(2, &counts.join("  "), Style::Plain)?;
        }
        Ok(())
    }

    pub(super) fn movement(&mut self) -> Done {
        let Some(movement) = &self.report.movement else { return Ok(()) };
        let change = match (movement.before, self.report.score.total) {
            (Some(before), Some(now)) => now - before,
            _ => 0.0,
        };
        let arrow = if change >= 0.05 {
            "▲"
        } else if change <= -0.05 {
            "▼"
        } else {
            "="
        };
        let line = self.labels.with(
            key::MOVEMENT,
            &[
                ("arrow", arrow),
                ("points", &points(change)),
                ("time", &self.labels.time(&movement.since)),
                ("before", &self.labels.score(movement.before)),
            ],
        );
        self.sheet.blank()?;
        self.sheet.text(0, &line, Style::Bold)?;
        let shown = if self.verbose { usize::MAX } else { MOVED_MAX };
        let pair = |pair: Option<(u64, u64)>| {
            pair.map_or_else(|| "–".to_owned(), |(passing, all)| format!("{passing}/{all}"))
        };
        let rows = movement.moved.iter().take(shown).map(|moved| {
            let style = if moved.points < 0.0 { Style::Of(Severity::High) } else { Style::Good };
            vec![
                cell(points(moved.points), style),
                cell(visible(&moved.check), Style::Plain),
                cell(format!("{} → {}", pair(moved.before), pair(moved.after)), Style::Dim),
            ]
        });
        let grid = Grid { columns: &[Align::Right, Align::Left, Align::Left], flexible: 1, rows: rows.collect() };
        self.sheet.grid(2, &grid)?;
        self.more(2, movement.moved.len().saturating_sub(shown))
    }

    fn worst(&self, severity: Option<Severity>) -> Cell {
        match severity {
            Some(severity) => cell(self.labels.severity(severity), Style::Of(severity)),
            None => cell("–", Style::Dim),
        }
    }

    fn score_bar(&self, score: Option<f64>, columns: usize) -> Cell {
        let (full, empty) = bar(score.unwrap_or(0.0) / 100.0, columns);
        vec![span(full, Style::Plain), span(empty, Style::Dim)]
    }

    /// A status as a short column head.
    fn short(&self, status: Status) -> &'static str {
        match status {
            Status::NotApplicable => self.labels.get(key::STATUS_NOT_APPLICABLE_SHORT),
            _ => self.labels.status(status),
        }
    }
}

fn count_cell(counts: &Counts, status: Status) -> Cell {
    let count = counts.of(status);
    let style = if count == 0 { Style::Dim } else { Style::of(status) };
    cell(count.to_string(), style)
}

/// The host and what runs on it, part by part.
pub(crate) fn host_parts(report: &Report<String>, labels: &Labels) -> impl Iterator<Item = String> {
    let host = &report.host;
    let some = |text: &str| (!text.is_empty()).then(|| visible(text).into_owned());
    let engine = some(&host.engine).unwrap_or_else(|| labels.get(key::NO_ENGINE).to_owned());
    let containers = (host.containers >= 0).then(|| {
        let (all, running) = (host.containers.to_string(), host.running.to_string());
        let words = if host.running >= 0 { key::CONTAINERS_RUNNING } else { key::CONTAINERS };
        labels.with(words, &[("n", &all), ("running", &running)])
    });
    let kernel = some(&host.kernel).map(|k| labels.with(key::KERNEL, &[("release", &k)]));
    let images =
        (host.images >= 0).then(|| labels.with(key::IMAGES, &[("n", &host.images.to_string())]));
    [some(&host.name), some(&host.os), kernel, Some(engine), containers, images].into_iter().flatten()
}

/// The policy in words.
pub(crate) fn policy_name(report: &Report<String>, labels: &Labels) -> String {
    if report.policy == "defaults" {
        labels.get(key::POLICY_DEFAULTS).to_owned()
    } else {
        visible(&report.policy).into_owned()
    }
}
