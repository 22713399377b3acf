//! Many images, one line each, worst first.

use std::io::Write;

use haechi_core::Lang;
use haechi_core::report::images::ImageLine;
use haechi_core::text::visible;
use haechi_core::verdict::ImageReport;
use haechi_core::vulnerability::Rating;
use serde_json::{Value, json};

use super::words::{rating_style, safety_mark, size};
use crate::labels::{Labels, key};
use crate::layout::{Align, cut};
use crate::sheet::{Cell, Grid, Sheet, Style, cell};
use crate::{Options, RenderError};

/// Containers named on one line.
const CONTAINERS_MAX: usize = 3;
/// Columns of a reason, before it is cut.
const REASON_MAX: usize = 160;
/// Columns for a name; with fewer, an image takes lines instead of columns.
const NAME_MIN: usize = 16;
/// The ratings that have a column.
const RATINGS: [Rating; 4] = [Rating::Critical, Rating::High, Rating::Medium, Rating::Low];

/// Writes the images as a table for a terminal, worst first.
///
/// # Errors
/// The writer refused.
pub fn list(
    reports: &[ImageReport],
    lang: Lang,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), RenderError> {
    let labels = Labels::new(lang);
    let mut sheet = Sheet::new(out, options);
    if reports.is_empty() {
        return sheet.text(0, labels.get(key::IMAGE_LIST_NONE), Style::Plain);
    }
    let mut lines: Vec<ImageLine> = Vec::new();
    let mut reasons = std::collections::BTreeMap::new();
    for report in reports {
        let line = ImageLine::of_report(report);
        let (first, more) = labels.reasons(&report.verdict, 1);
        if let Some(reason) = first.first() {
            let more = labels.more(usize::try_from(more).unwrap_or(usize::MAX));
            let parts = [Some(cut(reason, REASON_MAX).into_owned()), more];
            let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
            reasons.insert((line.name.clone(), line.id.clone()), text);
        }
        lines.push(line);
    }
    haechi_core::report::images::sort(&mut lines);
    rows(&mut sheet, &lines, &labels, |line| {
        reasons.get(&(line.name.clone(), line.id.clone())).cloned().into_iter().collect()
    })
}

/// Writes lines of images; below each what `about` says of it.
pub(crate) fn rows(
    sheet: &mut Sheet<'_>,
    lines: &[ImageLine],
    labels: &Labels,
    about: impl Fn(&ImageLine) -> Vec<String>,
) -> Result<(), RenderError> {
    let wide = sheet.width() >= 90;
    let mut head = vec![cell("", Style::Dim), cell(labels.get(key::IMAGE_NAME), Style::Dim)];
    head.push(cell(labels.get(key::SAFETY), Style::Dim));
    head.extend(RATINGS.map(|rating| cell(cut(labels.rating(rating), 8), Style::Dim)));
    head.push(cell(labels.get(key::FIXABLE), Style::Dim));
    if wide {
        head.extend([key::SIZE, key::AGE].map(|head| cell(labels.get(head), Style::Dim)));
    }
    let mut table = vec![head];
    for line in lines {
        let (symbol, style) = safety_mark(line.safety);
        let mut row = vec![
            cell(symbol, style),
            cell(name(line), Style::Bold),
            cell(labels.safety(line.safety), style),
        ];
        row.extend(RATINGS.map(|rating| match &line.ratings {
            None => cell("?", Style::Open),
            Some(ratings) => {
                let n = ratings.get(&rating).copied().unwrap_or(0);
                number(n, line.undecided, rating_style(rating))
            }
        }));
        row.push(if line.ratings.is_some() {
            number(line.fixable, line.undecided, Style::Plain)
        } else {
            cell("?", Style::Open)
        });
        if wide {
            row.push(cell(size(line.size), Style::Dim));
            row.push(cell(
                labels.days(line.age_days).unwrap_or_else(|| "–".to_owned()),
                Style::Dim,
            ));
        }
        table.push(row);
    }
    use Align::{Left, Right};
    let columns = [Left, Left, Left, Right, Right, Right, Right, Right, Right, Right];
    let fixed = table.iter().map(|row| {
        row.iter().enumerate().filter(|(n, _)| *n != 1).map(|(_, c)| c.clone()).collect()
    });
    if Sheet::width_of(&fixed.collect::<Vec<_>>()) + 2 + NAME_MIN > sheet.width() {
        return narrow(sheet, lines, labels, about);
    }
    // Each image is laid out in the common columns, with what there is to say below it.
    let rows = Sheet::rows(&Grid { columns: &columns, flexible: 1, rows: table }, sheet.width());
    for (n, row) in rows.into_iter().enumerate() {
        for spans in row {
            sheet.line(&spans)?;
        }
        let Some(line) = n.checked_sub(1).and_then(|n| lines.get(n)) else { continue };
        below(sheet, line, labels, &about(line))?;
    }
    Ok(())
}

/// What there is to say of one image besides its numbers.
fn below(
    sheet: &mut Sheet<'_>,
    line: &ImageLine,
    labels: &Labels,
    about: &[String],
) -> Result<(), RenderError> {
    let others: Vec<_> = line.tags.iter().skip(1).map(|tag| visible(tag).into_owned()).collect();
    if !others.is_empty() {
        sheet.text(3, &others.join(", "), Style::Dim)?;
    }
    for text in about {
        sheet.text(3, text, Style::Plain)?;
    }
    let mut more = Vec::new();
    for (label, n) in [(key::MALWARE, line.malware), (key::SECRETS, line.secrets)] {
        if n > 0 {
            more.push(format!("{}: {n}", labels.get(label)));
        }
    }
    if !line.containers.is_empty() {
        let shown = line.containers.iter().take(CONTAINERS_MAX).map(|c| visible(c).into_owned());
        let mut names: Vec<_> = shown.collect();
        names.extend(labels.more(line.containers.len().saturating_sub(CONTAINERS_MAX)));
        more.push(format!("{}: {}", labels.get(key::CONTAINERS_OF), names.join(", ")));
    }
    if !more.is_empty() {
        sheet.parts(3, &more.join(" · "), Style::Dim)?;
    }
    Ok(())
}

/// Images as lines, where there is no room for columns.
fn narrow(
    sheet: &mut Sheet<'_>,
    lines: &[ImageLine],
    labels: &Labels,
    about: impl Fn(&ImageLine) -> Vec<String>,
) -> Result<(), RenderError> {
    for line in lines {
        let (symbol, style) = safety_mark(line.safety);
        sheet.field(0, symbol, 3, style, &name(line), Style::Bold)?;
        let ratings = line.ratings.as_ref().map_or_else(|| "?".to_owned(), |r| labels.ratings(r));
        let parts = [labels.safety(line.safety).to_owned(), ratings, size(line.size)];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        sheet.parts(3, &parts.join(" · "), Style::Plain)?;
        below(sheet, line, labels, &about(line))?;
    }
    Ok(())
}

fn name(line: &ImageLine) -> String {
    visible(short_id(&line.name)).into_owned()
}

/// An id as engines shorten it; a name as it is.
pub(crate) fn short_id(name: &str) -> &str {
    name.strip_prefix("sha256:").and_then(|hex| hex.get(..12)).unwrap_or(name)
}

/// A count. None at all, where something was not decided, is not known to be none.
fn number(n: u64, undecided: bool, style: Style) -> Cell {
    match (n, undecided) {
        (0, true) => cell("?", Style::Open),
        (0, false) => cell("0", Style::Dim),
        _ => cell(n.to_string(), style),
    }
}

/// Writes the images as a JSON array, in the order given: the verdict with all its reasons, and counts.
///
/// # Errors
/// The writer refused.
pub fn list_json(reports: &[ImageReport], out: &mut dyn Write) -> Result<(), RenderError> {
    let rows: Vec<Value> = reports.iter().map(row).collect();
    serde_json::to_writer_pretty(&mut *out, &rows)?;
    Ok(writeln!(out)?)
}

fn row(report: &ImageReport) -> Value {
    let line = ImageLine::of_report(report);
    let ratings: serde_json::Map<String, Value> = report
        .counts()
        .into_iter()
        .map(|(rating, n)| (rating.name().to_owned(), json!(n)))
        .collect();
    json!({
        "id": line.id,
        "reference": line.name,
        "tags": line.tags,
        "digest": report.scan.subject.digest,
        "verdict": report.verdict,
        "distro": line.distro,
        "size": line.size,
        "created_at": report.scan.subject.created_at,
        "age_days": line.age_days,
        "data_age_days": line.data_age_days,
        // Without a database nothing was counted.
        "vulnerabilities": line.ratings.is_some().then_some(ratings),
        "fixable": line.fixable,
        "exploited": line.exploited,
        "undecided": report.assessment.undecided.len(),
        "problems": report.scan.problems.len(),
        "secrets": line.secrets,
        "malware": line.malware,
        "containers": line.containers,
    })
}
