//! One image for a pull request or a wiki, and the images of a verification as a table.
//!
//! Names are code spans, everything else is escaped. Without `verbose`, long lists say how much more there is.

use std::io::Write;

use haechi_core::Lang;
use haechi_core::report::fixes::{FixLine, fixes};
use haechi_core::report::images::ImageLine;
use haechi_core::text::visible;
use haechi_core::verdict::ImageReport;
use haechi_core::vulnerability::Rating;

use super::danger::dangers;
use super::list::short_id;
use super::table::{affected, by_detail, facts, fixes_about, none_found, score, source_line};
use super::words::{percent, safety_mark, upgrade};
use crate::labels::{Labels, key};
use crate::markdown::{code, escape};
use crate::{Options, RenderError};

const REASONS_MAX: usize = 8;
const FIXES_MAX: usize = 10;
const FLAWS_MAX: usize = 20;
const ROWS_MAX: usize = 12;
const IMAGES_MAX: usize = 50;

type Done = Result<(), RenderError>;

struct Page<'a> {
    labels: Labels,
    verbose: bool,
    out: &'a mut dyn Write,
}

pub(super) fn write(
    report: &ImageReport,
    lang: Lang,
    options: &Options,
    out: &mut dyn Write,
) -> Done {
    let mut page = Page { labels: Labels::new(lang), verbose: options.verbose, out };
    let line = ImageLine::of_report(report);
    page.head(report, &line)?;
    page.problems(report)?;
    let all: Vec<_> = report.assessment.vulnerabilities.iter().map(Into::into).collect();
    let fixes = fixes(&all);
    if !fixes.is_empty() {
        let about = fixes_about(&line, fixes.len(), &page.labels);
        writeln!(page.out, "## {}\n\n{}\n", page.labels.get(key::FIXES), escape(&about))?;
        page.fixes(&fixes, fixes.len())?;
    }
    page.vulnerabilities(report)?;
    page.dangers(report)?;
    page.rest(report)
}

/// The images of a verification; nothing if none was scanned.
pub(crate) fn images(
    images: &[ImageLine],
    labels: Labels,
    options: &Options,
    out: &mut dyn Write,
) -> Done {
    if images.is_empty() {
        return Ok(());
    }
    let mut page = Page { labels, verbose: options.verbose, out };
    writeln!(page.out, "## {}\n", labels.get(key::IMAGE_LIST))?;
    let mut head = vec![labels.get(key::IMAGE_NAME), labels.get(key::SAFETY)];
    let ratings = [Rating::Critical, Rating::High, Rating::Medium, Rating::Low];
    head.extend(ratings.map(|rating| labels.rating(rating)));
    head.extend([labels.get(key::FIXABLE), labels.get(key::CONTAINERS_OF)]);
    writeln!(page.out, "| {} |\n|---|---|--:|--:|--:|--:|--:|---|", head.join(" | "))?;
    let most = page.most(IMAGES_MAX);
    for image in images.iter().take(most) {
        let (symbol, _) = safety_mark(image.safety);
        let count = |rating| match &image.ratings {
            None => "?".to_owned(),
            Some(ratings) => ratings.get(&rating).copied().unwrap_or(0).to_string(),
        };
        let mut row =
            vec![cell(short_id(&image.name)), format!("{symbol} {}", labels.safety(image.safety))];
        row.extend(ratings.map(count));
        row.push(if image.ratings.is_some() { image.fixable.to_string() } else { "?".to_owned() });
        row.push(page.names(&image.containers));
        writeln!(page.out, "| {} |", row.join(" | "))?;
    }
    writeln!(page.out)?;
    page.more(images.len(), most)?;
    for image in images.iter().take(most) {
        if image.fixes.is_empty() && image.problems.is_empty() {
            continue;
        }
        let name = visible(short_id(&image.name)).replace('&', "&amp;").replace('<', "&lt;");
        writeln!(page.out, "<details><summary>{name}</summary>\n")?;
        for problem in &image.problems {
            writeln!(page.out, "- {}: {}", labels.get(key::OPEN), escape(problem))?;
        }
        writeln!(page.out)?;
        let all = image.fixes.len() + usize::try_from(image.fixes_more).unwrap_or(usize::MAX);
        page.fixes(&image.fixes, all)?;
        writeln!(page.out, "</details>\n")?;
    }
    Ok(())
}

/// A code span in a table, where a bar would end the cell.
fn cell(raw: &str) -> String {
    if raw.contains('|') { escape(raw) } else { code(raw) }
}

impl Page<'_> {
    fn most(&self, most: usize) -> usize {
        if self.verbose { usize::MAX } else { most }
    }

    fn more(&mut self, all: usize, shown: usize) -> Done {
        if let Some(more) = self.labels.more(all.saturating_sub(shown)) {
            writeln!(self.out, "{more}\n")?;
        }
        Ok(())
    }

    fn names(&self, names: &[String]) -> String {
        let most = self.most(ROWS_MAX);
        let mut shown: Vec<_> = names.iter().take(most).map(|name| cell(name)).collect();
        shown.extend(self.labels.more(names.len().saturating_sub(most)));
        shown.join(", ")
    }

    fn head(&mut self, report: &ImageReport, line: &ImageLine) -> Done {
        let labels = self.labels;
        let verdict = &report.verdict;
        let (symbol, _) = safety_mark(Some(verdict.safety));
        writeln!(
            self.out,
            "# {} · {}\n",
            labels.get(key::PRODUCT),
            escape(&report.scan.subject.reference)
        )?;
        writeln!(
            self.out,
            "**{symbol} {}** {}\n",
            labels.safety(Some(verdict.safety)),
            labels.safety_means(verdict.safety)
        )?;
        let most = self.most(REASONS_MAX);
        let (reasons, left) = labels.reasons(verdict, most);
        for reason in reasons {
            writeln!(self.out, "- {}", escape(&reason))?;
        }
        if let Some(more) = labels.more(usize::try_from(left).unwrap_or(usize::MAX)) {
            writeln!(self.out, "- {more}")?;
        }
        writeln!(self.out)?;
        for (label, text) in facts(report, line, &labels) {
            writeln!(self.out, "- {label}: {}", escape(&text))?;
        }
        Ok(writeln!(self.out)?)
    }

    fn problems(&mut self, report: &ImageReport) -> Done {
        let problems = &report.scan.problems;
        if problems.is_empty() {
            return Ok(());
        }
        let labels = self.labels;
        writeln!(
            self.out,
            "## {}\n\n{}\n",
            labels.get(key::PROBLEMS),
            labels.get(key::PROBLEMS_MEANS)
        )?;
        let most = self.most(ROWS_MAX);
        for problem in problems.iter().take(most) {
            let (place, detail) = (code(&problem.place), escape(&problem.detail));
            writeln!(self.out, "- {place} ({}): {detail}", labels.problem(problem.kind))?;
        }
        writeln!(self.out)?;
        self.more(problems.len(), most)
    }

    fn fixes(&mut self, fixes: &[FixLine], all: usize) -> Done {
        if fixes.is_empty() {
            return Ok(());
        }
        let labels = self.labels;
        writeln!(
            self.out,
            "| {} | {} | {} |\n|---|---|---|",
            labels.get(key::PACKAGE),
            labels.get(key::REMOVES),
            labels.get(key::FIX)
        )?;
        let most = self.most(FIXES_MAX);
        for fix in fixes.iter().take(most) {
            let kev = if fix.exploited > 0 {
                format!("{} KEV · ", fix.exploited)
            } else {
                String::new()
            };
            let package = escape(&upgrade(&fix.package, &fix.installed, &fix.fixed));
            let command = if fix.command.is_empty() { String::new() } else { cell(&fix.command) };
            writeln!(
                self.out,
                "| {package} | {kev}{} | {command} |",
                labels.ratings(&fix.removes)
            )?;
        }
        writeln!(self.out)?;
        self.more(all, most.min(fixes.len()))
    }

    fn vulnerabilities(&mut self, report: &ImageReport) -> Done {
        let labels = self.labels;
        let all = &report.assessment.vulnerabilities;
        writeln!(self.out, "## {}\n", labels.get(key::VULNERABILITIES))?;
        if all.is_empty() {
            return Ok(writeln!(self.out, "{}\n", labels.get(none_found(report)))?);
        }
        let heads = [
            key::ID,
            key::RATING,
            key::SCORE_HEAD,
            key::PACKAGE,
            key::KEV,
            key::EPSS,
            key::LAYER_HEAD,
        ];
        writeln!(
            self.out,
            "| {} |\n|---|---|--:|---|---|--:|--:|",
            heads.map(|head| labels.get(head)).join(" | ")
        )?;
        let most = self.most(FLAWS_MAX);
        for flaw in all.iter().take(most) {
            let row = [
                escape(&flaw.id),
                labels.rating(flaw.rating).to_owned(),
                score(flaw).unwrap_or_default(),
                escape(&affected(flaw, report, &labels)),
                if flaw.exploited.is_some() { "KEV".to_owned() } else { String::new() },
                flaw.epss.map(|epss| escape(&percent(epss.score))).unwrap_or_default(),
                flaw.layer.map(|n| (u64::from(n) + 1).to_string()).unwrap_or_default(),
            ];
            writeln!(self.out, "| {} |", row.join(" | "))?;
        }
        writeln!(self.out)?;
        self.more(all.len(), most)
    }

    fn dangers(&mut self, report: &ImageReport) -> Done {
        let most = self.most(ROWS_MAX);
        for danger in dangers(&report.scan, &self.labels) {
            writeln!(self.out, "## {} ({})\n", danger.title, danger.rows.len())?;
            for row in danger.rows.iter().take(most) {
                let note = if row.note.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", escape(&row.note))
                };
                writeln!(self.out, "- {} {}{note}", code(&row.place), escape(&row.what))?;
            }
            writeln!(self.out)?;
            self.more(danger.rows.len(), most)?;
        }
        Ok(())
    }

    fn rest(&mut self, report: &ImageReport) -> Done {
        let labels = self.labels;
        let most = self.most(ROWS_MAX);
        let undecided = &report.assessment.undecided;
        if !undecided.is_empty() {
            writeln!(self.out, "## {} ({})\n", labels.get(key::UNDECIDED), undecided.len())?;
            let groups = by_detail(undecided);
            for (cause, detail, names) in groups.iter().take(most) {
                let names = self.names(names);
                writeln!(self.out, "- {} ({}): {names}", escape(detail), labels.cause(*cause))?;
            }
            writeln!(self.out)?;
            self.more(groups.len(), most)?;
        }
        let suppressed = report.assessment.suppressed.len();
        if suppressed > 0 {
            writeln!(self.out, "{}: {suppressed}\n", labels.get(key::SUPPRESSED))?;
        }
        writeln!(self.out, "## {}\n", labels.get(key::SOURCES))?;
        let sources = &report.assessment.sources;
        if sources.is_empty() {
            writeln!(self.out, "{}", labels.get(key::SOURCES_NONE))?;
        }
        for source in sources {
            let text = source_line(source, &report.taken_at, &labels);
            writeln!(self.out, "- {}", escape(&text))?;
        }
        Ok(())
    }
}
