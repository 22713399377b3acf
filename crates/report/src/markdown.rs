//! The report for a pull request or a wiki: the areas as a table, then what fails, with details to
//! open.
//!
//! Names and evidence are code spans, everything else is escaped, so that a name can neither mark
//! up nor mention anybody. Without `verbose`, long lists say how much more there is.

use std::io::Write;

use haechi_core::text::visible;
use haechi_core::{Area, Finding, Lang, Report, Severity, Status};

use crate::group::{
    CheckGroup, by_cause, by_check, by_evidence, distinct_texts, fixes, same_ground,
};
use crate::labels::{Labels, key, points};
use crate::layout::{pieces, visible_lines};
use crate::table::{host_parts, policy_name};
use crate::{Options, RenderError};

const SUBJECTS_MAX: usize = 12;
const FIXES_MAX: usize = 5;

type Done = Result<(), RenderError>;

struct Page<'a> {
    report: &'a Report<String>,
    labels: Labels,
    verbose: bool,
    out: &'a mut dyn Write,
}

/// Writes the report as GitHub-flavoured Markdown.
///
/// # Errors
/// The writer refused.
pub fn write(report: &Report<String>, lang: Lang, options: &Options, out: &mut dyn Write) -> Done {
    let mut page = Page { report, labels: Labels::new(lang), verbose: options.verbose, out };
    page.head()?;
    page.areas()?;
    page.failures()?;
    crate::image::markdown::images(&report.images, page.labels, options, page.out)?;
    crate::profiles::markdown(&report.profiles, page.labels, options, page.out)?;
    page.unverified()?;
    page.excepted()?;
    page.defaults()
}

impl Page<'_> {
    fn head(&mut self) -> Done {
        let (report, labels) = (self.report, self.labels);
        writeln!(
            self.out,
            "# {} · {}\n",
            labels.get(key::PRODUCT),
            escape(&report.benchmark_title)
        )?;
        let parts: Vec<_> = host_parts(report, &labels).map(|part| escape(&part)).collect();
        writeln!(self.out, "{}  ", parts.join(" · "))?;
        let line = labels.with(
            key::TAKEN,
            &[
                ("time", &labels.time(&report.taken_at)),
                ("collect", &labels.span(report.collect_ms)),
                ("evaluate", &labels.span(report.evaluate_ms)),
                ("policy", &policy_name(report, &labels)),
            ],
        );
        writeln!(self.out, "{}\n", escape(&line))?;
        write!(self.out, "**{}: {}**", labels.get(key::SCORE), labels.score(report.score.total))?;
        if let Some(movement) = &report.movement
            && let (Some(before), Some(now)) = (movement.before, report.score.total)
        {
            let since = labels.with(key::SINCE, &[("time", &labels.time(&movement.since))]);
            write!(self.out, " ({} {})", points(now - before), escape(&since))?;
        }
        Ok(writeln!(self.out, "\n")?)
    }

    fn areas(&mut self) -> Done {
        let labels = self.labels;
        let heads: Vec<_> = Status::WORST_FIRST.iter().map(|s| labels.status(*s)).collect();
        writeln!(
            self.out,
            "| {} | {} | {} | {} |",
            labels.get(key::AREA),
            labels.get(key::SCORE),
            heads.join(" | "),
            labels.get(key::WORST)
        )?;
        writeln!(self.out, "|---|--:|--:|--:|--:|--:|--:|---|")?;
        for area in Area::ALL {
            let summary = &self.report.summary;
            let counts = summary.areas.get(&area).copied().unwrap_or_default();
            let counts: Vec<_> =
                Status::WORST_FIRST.iter().map(|s| counts.of(*s).to_string()).collect();
            let worst = summary.failing_by_area.get(&area).and_then(|s| s.keys().next_back());
            writeln!(
                self.out,
                "| {} | {} | {} | {} |",
                labels.area(area),
                labels.score(self.report.score.areas.get(&area).copied().flatten()),
                counts.join(" | "),
                worst.map_or("–", |severity| labels.severity(*severity))
            )?;
        }
        Ok(writeln!(self.out)?)
    }

    fn failures(&mut self) -> Done {
        let groups = by_check(self.report, |f| f.status == Status::Fail);
        writeln!(self.out, "## {}\n", self.labels.get(key::FAILURES))?;
        if groups.is_empty() {
            return Ok(writeln!(self.out, "{}\n", self.labels.get(key::FAILURES_NONE))?);
        }
        for severity in Severity::WORST_FIRST {
            let mut of_severity = groups.iter().filter(|g| g.severity == severity).peekable();
            if of_severity.peek().is_some() {
                writeln!(self.out, "### {}\n", self.labels.severity(severity))?;
            }
            for group in of_severity {
                self.failing(group)?;
            }
        }
        Ok(())
    }

    fn failing(&mut self, group: &CheckGroup<'_>) -> Done {
        let labels = self.labels;
        let first = group.findings.first().map(|f| f.subject.kind);
        let subjects = first.map(|kind| labels.subjects(kind, group.findings.len() as u64));
        // GitHub reads the words of a summary as HTML, not as Markdown.
        writeln!(
            self.out,
            "<details><summary>✗ <b>{} {}</b> · {} · {}</summary>\n",
            html(&group.items.join(" ")),
            html(&group.title),
            labels.area(group.area),
            subjects.unwrap_or_default()
        )?;
        writeln!(self.out, "{}\n", code(group.check))?;
        let ground = same_ground(&group.findings);
        for same in by_evidence(&group.findings) {
            writeln!(self.out, "- {}", self.names(&same.findings))?;
            for evidence in &same.first.evidence {
                writeln!(self.out, "  - {}: {}", labels.get(key::SEEN), code(&evidence.seen))?;
                if ground.is_none() {
                    self.ground("  - ", &evidence.expected, &evidence.source)?;
                }
            }
        }
        if let Some(ground) = ground {
            self.ground("- ", &ground.expected, &ground.source)?;
        }
        for remediation in distinct_texts(&group.findings, |f| &f.remediation) {
            let text: Vec<_> = visible_lines(&remediation).map(|line| prose(&line)).collect();
            writeln!(self.out, "\n{}", text.join("  \n"))?;
        }
        let fixes = fixes(&group.findings);
        let shown = if self.verbose { usize::MAX } else { FIXES_MAX };
        let shown: Vec<_> = fixes.iter().take(shown).map(|fix| visible(fix)).collect();
        if !shown.is_empty() {
            let text = shown.join("\n");
            let fence = "`".repeat(longest_run(&text).max(2) + 1);
            writeln!(self.out, "\n{fence}\n{text}\n{fence}")?;
        }
        if let Some(more) = labels.more(fixes.len().saturating_sub(shown.len())) {
            writeln!(self.out, "\n{more}")?;
        }
        Ok(writeln!(self.out, "\n</details>\n")?)
    }

    fn ground(&mut self, bullet: &str, expected: &str, source: &str) -> Done {
        let labels = self.labels;
        writeln!(self.out, "{bullet}{}: {}", labels.get(key::EXPECTED), prose(expected))?;
        Ok(writeln!(self.out, "{bullet}{}: {}", labels.get(key::SOURCE), code(source))?)
    }

    fn unverified(&mut self) -> Done {
        let causes = by_cause(self.report);
        if causes.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "## {}\n", self.labels.get(key::UNVERIFIED))?;
        writeln!(self.out, "{}\n", self.labels.get(key::UNVERIFIED_MEANS))?;
        for (cause, count, reasons) in causes {
            let mend = self.labels.cause_mend(cause);
            writeln!(self.out, "- **{}** ({count}): {mend}", self.labels.cause(cause))?;
            for group in reasons.iter().flat_map(|reason| &reason.checks) {
                let (items, title) = (escape(&group.items.join(" ")), escape(&group.title));
                writeln!(self.out, "  - {items} {title} ({})", self.names(&group.findings))?;
            }
        }
        Ok(writeln!(self.out)?)
    }

    fn excepted(&mut self) -> Done {
        let groups = by_check(self.report, |f| f.status == Status::Excepted);
        if groups.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "## {}\n", self.labels.get(key::EXCEPTED))?;
        for group in &groups {
            for same in by_evidence(&group.findings) {
                let Some(accepted) = &same.first.accepted else { continue };
                let values = [
                    ("owner", escape(&accepted.owner)),
                    ("expires", accepted.expires.to_string()),
                    ("reason", escape(&accepted.reason)),
                ];
                let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
                let line = self.labels.with(key::ACCEPTED, &values);
                let names = self.names(&same.findings);
                writeln!(self.out, "- {} ({names}): {line}", escape(&group.title))?;
            }
        }
        Ok(writeln!(self.out)?)
    }

    fn defaults(&mut self) -> Done {
        if self.report.policy_defaults.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "## {}\n", self.labels.get(key::DEFAULTS))?;
        let keys: Vec<_> = self.report.policy_defaults.iter().map(|key| code(key)).collect();
        Ok(writeln!(self.out, "{}\n\n{}", self.labels.get(key::DEFAULTS_MEANS), keys.join(" "))?)
    }

    fn names(&self, findings: &[&Finding<String>]) -> String {
        let max = if self.verbose { usize::MAX } else { SUBJECTS_MAX };
        let mut names: Vec<_> = findings.iter().take(max).map(|f| code(&f.subject.name)).collect();
        names.extend(self.labels.more(findings.len().saturating_sub(names.len())));
        names.join(", ")
    }
}

/// Text in which nothing is markup.
pub(crate) fn escape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for letter in visible(raw).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(letter);
            }
            _ => out.push(letter),
        }
    }
    out
}

/// One line of words and code.
fn prose(line: &str) -> String {
    let shown = |(is_code, text): (bool, &str)| if is_code { code(text) } else { escape(text) };
    pieces(line).into_iter().map(shown).collect()
}

/// Text for inside an HTML element.
fn html(raw: &str) -> String {
    visible(raw).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A code span, fenced by more backticks than the text has in a row.
pub(crate) fn code(raw: &str) -> String {
    let shown = visible(raw);
    let fence = "`".repeat(longest_run(&shown) + 1);
    let space =
        if shown.starts_with('`') || shown.ends_with('`') || shown.is_empty() { " " } else { "" };
    format!("{fence}{space}{shown}{space}{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_mark_up() {
        assert_eq!(escape("<b>*x*|y</b>"), "&lt;b&gt;\\*x\\*\\|y&lt;/b&gt;");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`"), "`` ` ``");
    }
}
