//! One image on the terminal: the verdict, then what could not be read, what to upgrade, and every danger.

use std::collections::BTreeMap;
use std::io::Write;

use haechi_core::inventory::PackageKind;
use haechi_core::report::images::ImageLine;
use haechi_core::text::visible;
use haechi_core::verdict::ImageReport;
use haechi_core::vulnerability::{Completeness, DataSource, Undecided, Vulnerability};
use haechi_core::{Cause, Lang};

use super::danger::dangers;
use super::words::{percent, rating_style, safety_mark, size, upgrade};
use crate::labels::{Key, Labels, key};
use crate::layout::{Align, width};
use crate::sheet::{Cell, Grid, Sheet, Style, cell, span};
use crate::{Options, RenderError};

/// What is shown without `verbose`.
const REASONS_MAX: usize = 5;
const PROBLEMS_MAX: usize = 10;
const FIXES_MAX: usize = 10;
const FLAWS_MAX: usize = 20;
const ROWS_MAX: usize = 10;
const NAMES_MAX: usize = 8;
/// Columns for a package with its versions; with fewer, a vulnerability takes lines of its own.
const PACKAGE_MIN: usize = 22;

type Done = Result<(), RenderError>;

struct Table<'a> {
    report: &'a ImageReport,
    line: ImageLine,
    labels: Labels,
    verbose: bool,
    sheet: Sheet<'a>,
}

pub(super) fn write(
    report: &ImageReport,
    lang: Lang,
    options: &Options,
    out: &mut dyn Write,
) -> Done {
    let sheet = Sheet::new(out, options);
    let (line, labels) = (ImageLine::of_report(report), Labels::new(lang));
    let mut table = Table { report, line, labels, verbose: options.verbose, sheet };
    table.head()?;
    table.facts()?;
    table.problems()?;
    table.fixes()?;
    table.vulnerabilities()?;
    table.dangers()?;
    table.undecided()?;
    table.suppressed()?;
    table.sources()
}

impl Table<'_> {
    fn most(&self, most: usize) -> usize {
        if self.verbose { usize::MAX } else { most }
    }

    fn more(&mut self, indent: usize, all: usize, shown: usize) -> Done {
        let more = all.saturating_sub(shown);
        if more == 0 {
            return Ok(());
        }
        let text = self.labels.with(key::MORE_VERBOSE, &[("n", &more.to_string())]);
        self.sheet.text(indent, &text, Style::Dim)
    }

    fn head(&mut self) -> Done {
        let verdict = &self.report.verdict;
        let (symbol, style) = safety_mark(Some(verdict.safety));
        self.sheet.text(0, &visible(&self.report.scan.subject.reference), Style::Bold)?;
        let word = self.labels.safety(Some(verdict.safety));
        let label = format!("{symbol} {word}");
        let means = self.labels.safety_means(verdict.safety);
        self.sheet.field(0, &label, width(&label) + 2, style, means, Style::Plain)?;
        let most = self.most(REASONS_MAX);
        let (reasons, more) = self.labels.reasons(verdict, most);
        for reason in reasons {
            self.sheet.field(2, "·", 2, Style::Dim, &reason, Style::Plain)?;
        }
        let more = usize::try_from(more).unwrap_or(usize::MAX);
        match self.labels.more(more) {
            Some(text) if self.verbose => self.sheet.text(2, &text, Style::Dim),
            _ => self.more(2, more, 0),
        }
    }

    fn facts(&mut self) -> Done {
        self.sheet.blank()?;
        let facts = facts(self.report, &self.line, &self.labels);
        let columns = facts.iter().map(|(label, _)| width(label)).max().unwrap_or(0) + 2;
        for (label, text) in facts {
            self.sheet.field(0, label, columns, Style::Dim, &text, Style::Plain)?;
        }
        Ok(())
    }

    fn problems(&mut self) -> Done {
        let problems = &self.report.scan.problems;
        if problems.is_empty() {
            return Ok(());
        }
        let about = problems.len().to_string();
        self.sheet.heading(self.labels.get(key::PROBLEMS), Style::Open, &about)?;
        self.sheet.text(2, self.labels.get(key::PROBLEMS_MEANS), Style::Dim)?;
        let most = self.most(PROBLEMS_MAX);
        for problem in problems.iter().take(most) {
            let title =
                format!("{} ({})", visible(&problem.place), self.labels.problem(problem.kind));
            self.sheet.field(0, "?", 2, Style::Open, &title, Style::Bold)?;
            let affects = self.labels.affects(&problem.affects);
            let parts = [
                Some(visible(&problem.detail).into_owned()),
                self.labels.layer(problem.layer),
                affects,
            ];
            let line = parts.into_iter().flatten().collect::<Vec<_>>().join(" · ");
            self.sheet.text(2, &line, Style::Dim)?;
        }
        self.more(2, problems.len(), most)
    }

    fn fixes(&mut self) -> Done {
        let all: Vec<_> = self.report.assessment.vulnerabilities.iter().map(Into::into).collect();
        let fixes = haechi_core::report::fixes::fixes(&all);
        if fixes.is_empty() {
            return Ok(());
        }
        let about = fixes_about(&self.line, fixes.len(), &self.labels);
        self.sheet.heading(self.labels.get(key::FIXES), Style::Plain, &about)?;
        let most = self.most(FIXES_MAX);
        for fix in fixes.iter().take(most) {
            let title = upgrade(&fix.package, &fix.installed, &fix.fixed);
            let mut removes: Vec<(String, Style)> = Vec::new();
            if fix.exploited > 0 {
                removes.push((
                    format!("{} KEV", fix.exploited),
                    rating_style(haechi_core::vulnerability::Rating::Critical),
                ));
            }
            removes.extend(super::words::counted(&fix.removes).map(|(rating, n)| {
                let words =
                    [("n", n.to_string()), ("rating", self.labels.rating(rating).to_owned())];
                let words = words.each_ref().map(|(name, value)| (*name, value.as_str()));
                (self.labels.with(key::RATING_COUNT, &words), rating_style(rating))
            }));
            let mut spans = Vec::new();
            for (n, (text, style)) in removes.iter().enumerate() {
                if n > 0 {
                    spans.push(span(" · ", Style::Dim));
                }
                spans.push(span(text.as_str(), *style));
            }
            let used: usize = removes.iter().map(|(text, _)| width(text) + 3).sum();
            let gap = self.sheet.width().saturating_sub(width(&title) + used.saturating_sub(3));
            if gap >= 2 {
                spans.insert(0, span(" ".repeat(gap), Style::Plain));
                spans.insert(0, span(title, Style::Bold));
                self.sheet.line(&spans)?;
            } else {
                self.sheet.text(0, &title, Style::Bold)?;
                let words: Vec<_> = removes.into_iter().map(|(text, _)| text).collect();
                self.sheet.parts(2, &words.join(" · "), Style::Plain)?;
            }
            if !fix.command.is_empty() {
                self.sheet.verbatim(2, "$", 2, &visible(&fix.command))?;
            }
        }
        self.more(0, fixes.len(), most)
    }

    fn vulnerabilities(&mut self) -> Done {
        let all = &self.report.assessment.vulnerabilities;
        let ratings = self.line.ratings.clone().unwrap_or_default();
        let title = self.labels.get(key::VULNERABILITIES);
        if all.is_empty() {
            self.sheet.heading(title, Style::Plain, "")?;
            return self.sheet.text(2, self.labels.get(none_found(self.report)), Style::Plain);
        }
        self.sheet.heading(title, Style::Plain, &self.labels.ratings(&ratings))?;
        let most = self.most(FLAWS_MAX);
        let shown: Vec<&Vulnerability> = all.iter().take(most).collect();
        let rows = self.rows(&shown);
        let fixed = rows
            .iter()
            .map(|row| row.split_last().map(|(_, row)| row.to_vec()).unwrap_or_default());
        if Sheet::width_of(&fixed.collect::<Vec<_>>()) + 2 + PACKAGE_MIN > self.sheet.width() {
            for flaw in shown {
                self.narrow(flaw)?;
            }
        } else {
            use Align::{Left, Right};
            let columns = [Left, Left, Right, Left, Right, Right, Left];
            self.sheet.grid(0, &Grid { columns: &columns, flexible: 6, rows })?;
        }
        self.more(0, all.len(), most)?;
        self.sheet.text(0, self.labels.get(key::LEGEND), Style::Dim)
    }

    fn rows(&self, shown: &[&Vulnerability]) -> Vec<Vec<Cell>> {
        let labels = self.labels;
        let heads = [
            key::ID,
            key::RATING,
            key::SCORE_HEAD,
            key::KEV,
            key::EPSS,
            key::LAYER_HEAD,
            key::PACKAGE,
        ];
        let mut rows: Vec<Vec<Cell>> =
            vec![heads.map(|head| cell(labels.get(head), Style::Dim)).into()];
        rows.extend(shown.iter().map(|flaw| {
            let dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
            vec![
                cell(visible(&flaw.id), Style::Plain),
                cell(labels.rating(flaw.rating), rating_style(flaw.rating)),
                cell(dash(score(flaw)), Style::Plain),
                cell(
                    if flaw.exploited.is_some() { "KEV" } else { "" },
                    rating_style(haechi_core::vulnerability::Rating::Critical),
                ),
                cell(dash(flaw.epss.map(|epss| percent(epss.score))), Style::Dim),
                cell(dash(flaw.layer.map(|n| (u64::from(n) + 1).to_string())), Style::Dim),
                cell(self.affected(flaw), Style::Plain),
            ]
        }));
        rows
    }

    fn narrow(&mut self, flaw: &Vulnerability) -> Done {
        let kev = flaw.exploited.as_ref().map(|_| "KEV".to_owned());
        let epss = flaw.epss.map(|epss| format!("EPSS {}", percent(epss.score)));
        let rating = self.labels.rating(flaw.rating).to_owned();
        let rating =
            [Some(rating), score(flaw)].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let parts = [Some(rating), kev, epss, self.labels.layer(flaw.layer)];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        self.sheet.text(0, &visible(&flaw.id), rating_style(flaw.rating))?;
        self.sheet.parts(2, &parts.join(" · "), Style::Plain)?;
        self.sheet.text(2, &self.affected(flaw), Style::Plain)
    }

    fn affected(&self, flaw: &Vulnerability) -> String {
        affected(flaw, self.report, &self.labels)
    }

    fn dangers(&mut self) -> Done {
        for danger in dangers(&self.report.scan, &self.labels) {
            self.sheet.heading(danger.title, danger.style, &danger.rows.len().to_string())?;
            let most = self.most(ROWS_MAX);
            for row in danger.rows.iter().take(most) {
                let title = format!("{}  {}", row.place, row.what);
                self.sheet.field(0, "·", 2, Style::Dim, &title, Style::Plain)?;
                if !row.note.is_empty() {
                    self.sheet.text(4, &row.note, Style::Dim)?;
                }
            }
            self.more(2, danger.rows.len(), most)?;
        }
        Ok(())
    }

    fn undecided(&mut self) -> Done {
        let undecided = &self.report.assessment.undecided;
        if undecided.is_empty() {
            return Ok(());
        }
        let about = undecided.len().to_string();
        self.sheet.heading(self.labels.get(key::UNDECIDED), Style::Open, &about)?;
        let groups = by_detail(undecided);
        let (most, names_most) = (self.most(ROWS_MAX), self.most(NAMES_MAX));
        for (cause, detail, names) in groups.iter().take(most) {
            let title = format!("{} ({})", visible(detail), self.labels.cause(*cause));
            self.sheet.field(0, "?", 2, Style::Open, &title, Style::Plain)?;
            let mut shown: Vec<_> =
                names.iter().take(names_most).map(|name| visible(name).into_owned()).collect();
            shown.extend(self.labels.more(names.len().saturating_sub(names_most)));
            self.sheet.text(4, &shown.join(", "), Style::Dim)?;
        }
        self.more(2, groups.len(), most)
    }

    fn suppressed(&mut self) -> Done {
        let suppressed = &self.report.assessment.suppressed;
        if suppressed.is_empty() {
            return Ok(());
        }
        let about = suppressed.len().to_string();
        self.sheet.heading(self.labels.get(key::SUPPRESSED), Style::Accepted, &about)?;
        let most = self.most(ROWS_MAX);
        for (flaw, why) in suppressed.iter().take(most) {
            let title = format!(
                "{} {} {}",
                visible(&flaw.id),
                visible(&flaw.name),
                visible(&flaw.installed)
            );
            self.sheet.field(0, "◇", 2, Style::Accepted, &title, Style::Plain)?;
            let line = format!(
                "{} ({}): {}",
                visible(&why.status),
                visible(&why.by),
                visible(&why.reason)
            );
            self.sheet.text(4, &line, Style::Dim)?;
        }
        self.more(2, suppressed.len(), most)
    }

    fn sources(&mut self) -> Done {
        let labels = self.labels;
        let sources = &self.report.assessment.sources;
        self.sheet.heading(labels.get(key::SOURCES), Style::Plain, "")?;
        if sources.is_empty() {
            return self.sheet.text(2, labels.get(key::SOURCES_NONE), Style::Plain);
        }
        for source in sources {
            let (text, style) = (
                source_line(source, &self.report.taken_at, &labels),
                if is_doubtful(source) { Style::Open } else { Style::Dim },
            );
            self.sheet.field(2, "·", 2, Style::Dim, &text, style)?;
        }
        Ok(())
    }
}

/// Packages that could not be decided, by cause and detail.
pub(super) fn by_detail(undecided: &[Undecided]) -> Vec<(Cause, &str, Vec<String>)> {
    let mut groups: BTreeMap<(Cause, &str), Vec<String>> = BTreeMap::new();
    for one in undecided {
        let name = format!("{} {}", one.name, one.version).trim().to_owned();
        groups.entry((one.cause, &one.detail)).or_default().push(name);
    }
    groups.into_iter().map(|((cause, detail), names)| (cause, detail, names)).collect()
}

/// The facts of an image, as labels and values.
pub(super) fn facts(
    report: &ImageReport,
    line: &ImageLine,
    labels: &Labels,
) -> Vec<(&'static str, String)> {
    let subject = &report.scan.subject;
    let shown = |text: &str| visible(text).into_owned();
    let kinds: Vec<_> = PackageKind::ALL
        .iter()
        .filter_map(|kind| {
            let n = report.scan.packages.iter().filter(|package| package.kind == *kind).count();
            (n > 0).then(|| format!("{n} {}", kind.name()))
        })
        .collect();
    let packages = match report.scan.packages.len() {
        0 => "0".to_owned(),
        n => format!("{n} ({})", kinds.join(", ")),
    };
    let platform = [&subject.os, &subject.architecture];
    let platform: Vec<_> =
        platform.into_iter().filter(|part| !part.is_empty()).map(|p| shown(p)).collect();
    let user = if subject.user.is_empty() { "root".to_owned() } else { shown(&subject.user) };
    let user = match subject.uid {
        Some(uid) if uid.to_string() != user => format!("{user} ({uid})"),
        _ => user,
    };
    // A folder and an SBOM say nothing of who runs what is in them, nor of layers.
    let user = if is_image(&subject.kind) { user } else { String::new() };
    let layers = match report.scan.layers.len() {
        0 if !is_image(&subject.kind) => String::new(),
        n if line.size < 0 => n.to_string(),
        n => format!("{n} · {}", size(line.size)),
    };
    let made = match labels.days(line.age_days) {
        Some(days) => format!("{} ({days})", labels.time(&subject.created_at)),
        None => labels.time(&subject.created_at).into_owned(),
    };
    let others: Vec<_> =
        subject.tags.iter().filter(|tag| **tag != subject.reference).map(|t| shown(t)).collect();
    let containers: Vec<_> = report.containers.iter().map(|name| shown(name)).collect();
    let facts = [
        (key::DISTRO, shown(&line.distro)),
        (key::PLATFORM, platform.join("/")),
        (key::PACKAGES, packages),
        (key::LAYERS, layers),
        (key::USER, user),
        (key::MADE, made),
        (key::TAGS, others.join(", ")),
        (key::CONTAINERS_OF, containers.join(", ")),
        (key::IMAGE_ID, shown(&subject.id)),
        (key::DIGEST, shown(&subject.digest)),
        (key::SCANNED, labels.time(&report.taken_at).into_owned()),
    ];
    let facts = facts.into_iter().filter(|(_, text)| !text.is_empty());
    facts.map(|(label, text)| (labels.get(label), text)).collect()
}

/// Whether a subject is an image, and not something that has packages only.
fn is_image(kind: &str) -> bool {
    !matches!(kind, "rootfs" | "sbom")
}

/// How much the upgrades remove, in words.
pub(super) fn fixes_about(line: &ImageLine, fixes: usize, labels: &Labels) -> String {
    let numbers = [fixes as u64, line.fixable, line.total().unwrap_or(0)].map(|n| n.to_string());
    let [n, fixable, all] = &numbers;
    let words = if fixes == 1 { key::FIXES_ABOUT_ONE } else { key::FIXES_ABOUT };
    labels.with(words, &[("n", n), ("fixable", fixable), ("all", all)])
}

/// The sentence where no vulnerability was found: it depends on whether everything could be decided.
pub(super) fn none_found(report: &ImageReport) -> Key {
    let whole = report.is_whole(haechi_core::inventory::Part::Packages);
    if whole && report.assessment.undecided.is_empty() && !report.assessment.sources.is_empty() {
        key::VULNERABILITIES_NONE
    } else {
        key::VULNERABILITIES_UNKNOWN
    }
}

/// A package with its versions, or why there is no fix; and what was seen of it.
pub(super) fn affected(flaw: &Vulnerability, report: &ImageReport, labels: &Labels) -> String {
    let mut text = upgrade(
        &flaw.name,
        &flaw.installed,
        std::slice::from_ref(&flaw.fixed)
            .get(usize::from(flaw.fixed.is_empty())..)
            .unwrap_or_default(),
    );
    if flaw.fixed.is_empty() {
        text.push_str(&format!(" ({})", labels.fix_state(flaw.state)));
    }
    if let Some(seen) = report.seen_of(flaw) {
        text.push_str(&format!(" · {}", labels.package_state(seen)));
    }
    text
}

/// The first score.
pub(super) fn score(flaw: &Vulnerability) -> Option<String> {
    flaw.scores.first().map(|score| format!("{:.1}", score.score))
}

/// Whether a source proves nothing by saying nothing.
pub(super) fn is_doubtful(source: &DataSource) -> bool {
    source.too_old || source.completeness == Completeness::Partial
}

/// A source of data: how much it holds and how old it is.
pub(super) fn source_line(source: &DataSource, taken_at: &str, labels: &Labels) -> String {
    let at = source.of();
    let seconds = |time: &str| time.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
    let days = seconds(taken_at).zip(seconds(at)).map(|(now, then)| (now - then).max(0) / 86_400);
    let records = labels.count(key::RECORDS_ONE, key::RECORDS, source.records);
    let broken = (source.broken > 0)
        .then(|| labels.with(key::RECORDS_BROKEN, &[("n", &source.broken.to_string())]));
    let whole = match source.completeness {
        Completeness::Plausible => None,
        Completeness::Declared => Some(labels.get(key::DECLARED_COMPLETE).to_owned()),
        Completeness::Partial => Some(labels.get(key::PARTIAL).to_owned()),
    };
    let old = source.too_old.then(|| labels.get(key::TOO_OLD).to_owned());
    let parts = [
        Some(visible(&source.name).into_owned()),
        Some(records),
        broken,
        whole,
        Some(labels.time(at).into_owned()),
        days.and_then(|days| labels.days(days)),
        old,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}
