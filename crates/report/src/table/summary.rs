//! The top of the terminal report: what was verified, the three areas, the score and what moved it.

use haechi_core::report::Counts;
use haechi_core::text::visible;
use haechi_core::{Area, Report, Severity, Status};

use super::{Done, MOVED_MAX, Table};
use crate::labels::{Labels, key, points};
use crate::layout::{Align, bar, width};
use crate::sheet::{Cell, Grid, Sheet, Style, cell, span, symbol};

/// Narrower, a bar says nothing; wider, it takes the eye from the numbers.
const BAR_MIN: usize = 5;
const BAR_MAX: usize = 24;

/// A line of the summary.
struct AreaRow {
    name: &'static str,
    score: Option<f64>,
    counts: Counts,
    worst: Option<Severity>,
}

impl Table<'_> {
    pub(super) fn head(&mut self) -> Done {
        let report = self.report;
        let product = self.labels.get(key::PRODUCT);
        let title = visible(&report.benchmark_title);
        self.sheet.field(0, product, width(product) + 2, Style::Bold, &title, Style::Plain)?;
        let parts: Vec<_> = host_parts(report, &self.labels).collect();
        self.sheet.parts(0, &parts.join(" · "), Style::Plain)?;
        let line = self.labels.with(
            key::TAKEN,
            &[
                ("time", &self.labels.time(&report.taken_at)),
                ("collect", &self.labels.span(report.collect_ms)),
                ("evaluate", &self.labels.span(report.evaluate_ms)),
                ("policy", &policy_name(report, &self.labels)),
            ],
        );
        self.sheet.parts(0, &line, Style::Dim)?;
        self.sheet.blank()
    }

    pub(super) fn areas(&mut self) -> Done {
        let summary = &self.report.summary;
        let mut rows: Vec<_> = Area::ALL
            .iter()
            .map(|area| AreaRow {
                name: self.labels.area(*area),
                score: self.report.score.areas.get(area).copied().flatten(),
                counts: summary.areas.get(area).copied().unwrap_or_default(),
                worst: summary
                    .failing_by_area
                    .get(area)
                    .and_then(|by_severity| by_severity.keys().next_back().copied()),
            })
            .collect();
        rows.push(AreaRow {
            name: self.labels.get(key::TOTAL),
            score: self.report.score.total,
            counts: summary.findings,
            worst: summary.failing.keys().next_back().copied(),
        });
        // The bar takes what the other columns leave; without room for these, lines are written.
        let without_bar = self.area_rows(&rows, 0);
        let taken = Sheet::width_of(&without_bar);
        let left = self.sheet.width().saturating_sub(taken).min(BAR_MAX);
        if taken > self.sheet.width() {
            return self.area_lines(&rows);
        }
        let rows = if left < BAR_MIN { without_bar } else { self.area_rows(&rows, left) };
        use Align::{Left, Right};
        let columns = [Left, Right, Left, Right, Right, Right, Right, Right, Left];
        self.sheet.grid(0, &Grid { columns: &columns, flexible: 8, rows })
    }

    fn area_rows(&self, rows: &[AreaRow], bar: usize) -> Vec<Vec<Cell>> {
        let mut head = vec![
            cell("", Style::Dim),
            cell(self.labels.get(key::SCORE), Style::Dim),
            cell("", Style::Dim),
        ];
        head.extend(Status::WORST_FIRST.map(|s| cell(self.short(s), Style::Dim)));
        head.push(cell(self.labels.get(key::WORST), Style::Dim));
        let mut grid = vec![head];
        for (n, area) in rows.iter().enumerate() {
            let style = if n + 1 == rows.len() { Style::Bold } else { Style::Plain };
            let mut row = vec![
                cell(area.name, style),
                cell(self.labels.score(area.score), style),
                self.score_bar(area.score, bar),
            ];
            row.extend(Status::WORST_FIRST.map(|s| count_cell(&area.counts, s)));
            row.push(self.worst(area.worst));
            grid.push(row);
        }
        grid
    }

    fn area_lines(&mut self, rows: &[AreaRow]) -> Done {
        for AreaRow { name, score, counts, worst } in rows {
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
            self.sheet.parts(2, &counts.join(" · "), Style::Plain)?;
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
        let grid = Grid {
            columns: &[Align::Right, Align::Left, Align::Left],
            flexible: 1,
            rows: rows.collect(),
        };
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
    [some(&host.name), some(&host.os), kernel, Some(engine), containers, images]
        .into_iter()
        .flatten()
}

/// The policy in words.
pub(crate) fn policy_name(report: &Report<String>, labels: &Labels) -> String {
    if report.policy == "defaults" {
        labels.get(key::POLICY_DEFAULTS).to_owned()
    } else {
        visible(&report.policy).into_owned()
    }
}
