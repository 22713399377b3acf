//! What containers were seen to do, as plain values for the page, and for Markdown.
//!
//! What is not known is said in words, and never shown as a zero.

use std::collections::BTreeSet;
use std::io::Write;

use haechi_core::report::profiles::{PackageState, ProfileLine};
use haechi_core::text::visible;

use crate::labels::{Key, Labels, key};
use crate::markdown::{code, escape};
use crate::{Options, RenderError};

/// Columns of the drawing.
const COLUMNS: u64 = 60;
/// Its height, and the width of a column.
const HIGH: f64 = 100.0;
const WIDE: f64 = 10.0;
/// Letters of a command; names of containers.
const COMMAND_MAX: usize = 200;
const NAMES_MAX: usize = 24;
/// Workloads in Markdown without `verbose`.
const ROWS_MAX: usize = 30;

/// A workload.
pub(crate) struct ProfileView {
    pub(crate) name: String,
    pub(crate) settled: bool,
    pub(crate) image: String,
    pub(crate) command: String,
    pub(crate) watched: String,
    pub(crate) quiet: String,
    /// Why it is not settled: parts, and the reason.
    pub(crate) open: Vec<(String, String)>,
    pub(crate) curve: Curve,
    /// What the drawing shows, in words.
    pub(crate) says: String,
    /// Packages by what was seen of them; absent if the image was not taken apart.
    pub(crate) packages: Option<Vec<PackagesView>>,
    pub(crate) calls: String,
    pub(crate) capabilities: String,
    /// Capabilities that were used; those that are held and never were, if it is known what was used.
    pub(crate) used: Vec<String>,
    pub(crate) unused: Vec<String>,
    pub(crate) news: String,
}

/// Packages of one state; place and width of 100.
pub(crate) struct PackagesView {
    pub(crate) state: PackageState,
    pub(crate) count: u64,
    pub(crate) at: f64,
    pub(crate) wide: f64,
}

/// New things over time, in a box of [`Curve::wide`] by 100.
pub(crate) struct Curve {
    pub(crate) wide: f64,
    /// New things: where, how wide, how high.
    pub(crate) bars: Vec<(f64, f64, f64, f64)>,
    /// All that is known, in the language of SVG's paths.
    pub(crate) line: String,
}

impl Curve {
    #[expect(clippy::cast_precision_loss, reason = "a drawing")]
    fn of(line: &ProfileLine) -> Self {
        let columns = line.columns(COLUMNS);
        let most = columns.iter().map(|column| column.new).max().unwrap_or(0).max(1) as f64;
        let all = columns.last().map_or(0, |last| last.total).max(1) as f64;
        let mut path = format!("M0 {HIGH:.0}");
        let mut bars = Vec::new();
        for (place, column) in columns.iter().enumerate() {
            let x = place as f64 * WIDE;
            if column.new > 0 {
                // What is there is seen, however little it is.
                let high = (column.new as f64 / most * HIGH).max(3.0);
                bars.push((x + 1.0, HIGH - high, WIDE - 2.0, high));
            }
            path.push_str(&format!(
                "L{:.0} {:.1}",
                x + WIDE,
                HIGH - column.total as f64 / all * HIGH
            ));
        }
        Self { wide: columns.len() as f64 * WIDE, bars, line: path }
    }
}

impl ProfileView {
    pub(crate) fn of(line: &ProfileLine, t: &Labels) -> Self {
        let used = line.capabilities_used.iter().flatten();
        let unused = line.capabilities_today.iter().flatten();
        let unused = unused.filter(|name| {
            line.capabilities_used.as_ref().is_some_and(|used| !used.contains(*name))
        });
        let shown = |name: &String| visible(name).into_owned();
        Self {
            name: name(line),
            settled: line.settled,
            image: visible(&line.image).into_owned(),
            command: command(line),
            watched: t.lasting(line.watched),
            quiet: t.lasting(line.quiet),
            open: open(line, t),
            curve: Curve::of(line),
            says: says(line, t),
            packages: packages(line),
            calls: calls(line, t),
            capabilities: capabilities(line, t),
            used: used.map(shown).collect(),
            unused: unused.map(shown).collect(),
            news: news(line, t),
        }
    }
}

/// Names of its containers, else of its image.
fn name(line: &ProfileLine) -> String {
    if line.containers.is_empty() {
        return visible(&line.image).into_owned();
    }
    let names: Vec<&str> = line.containers.iter().take(NAMES_MAX).map(String::as_str).collect();
    visible(&names.join(", ")).into_owned()
}

fn command(line: &ProfileLine) -> String {
    let all = line.command.join(" ");
    let shown: String = all.chars().take(COMMAND_MAX).collect();
    let end = if shown.len() < all.len() { "…" } else { "" };
    format!("{}{end}", visible(&shown))
}

fn open(line: &ProfileLine, t: &Labels) -> Vec<(String, String)> {
    let part = |name: &String| {
        let label: Option<Key> = match name.as_str() {
            "calls" => Some(key::PROFILE_PART_CALLS),
            "capabilities" => Some(key::PROFILE_PART_CAPABILITIES),
            "programs" => Some(key::PROFILE_PART_PROGRAMS),
            "files" => Some(key::PROFILE_PART_FILES),
            "network" => Some(key::PROFILE_PART_NETWORK),
            _ => None,
        };
        label.map_or_else(|| visible(name).into_owned(), |label| t.get(label).to_owned())
    };
    let one = |open: &haechi_core::report::profiles::OpenLine| {
        let parts: Vec<String> = open.parts.iter().map(part).collect();
        (parts.join(", "), visible(t.say(&open.why)).into_owned())
    };
    line.open.iter().map(one).collect()
}

/// The drawing in words.
fn says(line: &ProfileLine, t: &Labels) -> String {
    if line.entries == 0 {
        return t.get(key::PROFILE_CURVE_NONE).to_owned();
    }
    t.with(
        key::PROFILE_CURVE_SAYS,
        &[
            ("n", &line.entries.to_string()),
            ("watched", &t.lasting(line.watched)),
            ("learned", &t.lasting(line.learned_in)),
        ],
    )
}

#[expect(clippy::cast_precision_loss, reason = "a drawing")]
fn packages(line: &ProfileLine) -> Option<Vec<PackagesView>> {
    let counts = line.packages.as_ref()?;
    let all = counts.values().sum::<u64>().max(1) as f64;
    let mut at = 0.0;
    let views = PackageState::ALL.map(|state| {
        let count = line.packages_of(state);
        let wide = count as f64 * 100.0 / all;
        let view = PackagesView { state, count, at, wide };
        at += wide;
        view
    });
    Some(views.into())
}

fn known(number: Option<u64>, t: &Labels) -> String {
    number.map_or_else(|| t.get(key::PROFILE_UNKNOWN).to_owned(), |number| number.to_string())
}

fn calls(line: &ProfileLine, t: &Labels) -> String {
    t.with(
        key::PROFILE_CALLS_OF,
        &[
            ("used", &line.calls_used.to_string()),
            ("needed", &line.calls_needed.to_string()),
            ("today", &known(line.calls_today, t)),
        ],
    )
}

fn capabilities(line: &ProfileLine, t: &Labels) -> String {
    let count = |names: &Option<BTreeSet<String>>| names.as_ref().map(|names| names.len() as u64);
    t.with(
        key::PROFILE_CAPABILITIES_OF,
        &[
            ("used", &known(count(&line.capabilities_used), t)),
            ("today", &known(count(&line.capabilities_today), t)),
        ],
    )
}

fn news(line: &ProfileLine, t: &Labels) -> String {
    line.news.map_or_else(|| t.get(key::PROFILE_NEWS_LEARNING).to_owned(), |n| n.to_string())
}

/// All of them for Markdown; without any, how to make one.
pub(crate) fn markdown(
    lines: &[ProfileLine],
    t: Labels,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), RenderError> {
    writeln!(out, "## {}\n", t.get(key::PROFILE_LIST))?;
    if lines.is_empty() {
        return Ok(writeln!(out, "{}\n", t.get(key::PROFILE_NONE))?);
    }
    writeln!(out, "{}\n", t.get(key::PROFILE_LEAD))?;
    let most = if options.verbose { usize::MAX } else { ROWS_MAX };
    for line in lines.iter().take(most) {
        let state = if line.settled { key::PROFILE_SETTLED } else { key::PROFILE_OPEN };
        writeln!(out, "### {} ({})\n", escape(&name(line)), t.get(state))?;
        let row = |out: &mut dyn Write, label: Key, value: &str| {
            writeln!(out, "- {}: {value}", t.get(label))
        };
        if !line.image.is_empty() {
            row(out, key::IMAGE_NAME, &code(&line.image))?;
        }
        if !line.command.is_empty() {
            row(out, key::PROFILE_COMMAND, &code(&command(line)))?;
        }
        row(out, key::PROFILE_CURVE, &escape(&says(line, &t)))?;
        row(out, key::PROFILE_QUIET, &t.lasting(line.quiet))?;
        row(out, key::PROFILE_CALLS, &calls(line, &t))?;
        row(out, key::PROFILE_CAPABILITIES, &capabilities(line, &t))?;
        let packages = match packages(line) {
            None => t.get(key::PROFILE_PACKAGES_UNREAD).to_owned(),
            Some(all) => {
                let counts =
                    all.iter().map(|one| format!("{} {}", t.package_state(one.state), one.count));
                counts.collect::<Vec<_>>().join(", ")
            }
        };
        row(out, key::PROFILE_PACKAGES, &packages)?;
        row(out, key::PROFILE_NEWS, &news(line, &t))?;
        for (parts, why) in open(line, &t) {
            row(out, key::PROFILE_WHY, &format!("{}: {}", escape(&parts), escape(&why)))?;
        }
        writeln!(out)?;
    }
    match t.more(lines.len().saturating_sub(most)) {
        Some(more) => Ok(writeln!(out, "{more}\n")?),
        None => Ok(()),
    }
}
