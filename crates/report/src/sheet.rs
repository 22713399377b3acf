//! A sheet of terminal text: lines, headings, fields with hanging indents, and grids, with or
//! without colour.
//!
//! Meaning is always in words or symbols; colour only repeats it. Nothing here knows what a report
//! is.

use std::io::Write;

use haechi_core::{Severity, Status};

use crate::layout::{Align, fill, width, wrap};
use crate::{Options, RenderError};

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Open,
    Accepted,
    Command,
    Of(Severity),
}

impl Style {
    /// The style of a status.
    pub(crate) fn of(status: Status) -> Self {
        match status {
            Status::Fail => Self::Of(Severity::Critical),
            Status::Unverified => Self::Open,
            Status::Excepted => Self::Accepted,
            Status::Pass => Self::Good,
            Status::NotApplicable => Self::Dim,
        }
    }

    // The terminal's own sixteen colours, so that its theme decides.
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Open => "35",
            Self::Accepted => "34",
            Self::Command => "36",
            Self::Of(Severity::Critical) => "1;31",
            Self::Of(Severity::High) => "31",
            Self::Of(Severity::Medium) => "33",
            Self::Of(Severity::Low) => "34",
        }
    }
}

/// The symbol of a status.
pub(crate) fn symbol(status: Status) -> &'static str {
    match status {
        Status::Fail => "✗",
        Status::Unverified => "?",
        Status::Excepted => "◇",
        Status::Pass => "✓",
        Status::NotApplicable => "–",
    }
}

/// A piece of text in one style; it must be safe to show and hold no line break.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    text: String,
    style: Style,
}

/// A piece of text in one style.
pub(crate) fn span(text: impl Into<String>, style: Style) -> Span {
    Span { text: text.into(), style }
}

/// A cell of a grid: spans side by side. Only a cell of one span is wrapped.
pub(crate) type Cell = Vec<Span>;

/// A cell of one span.
pub(crate) fn cell(text: impl Into<String>, style: Style) -> Cell {
    vec![span(text, style)]
}

/// Rows of cells in columns.
pub(crate) struct Grid<'a> {
    /// Where each column's text stands.
    pub(crate) columns: &'a [Align],
    /// The column that is wrapped if the rows are too wide.
    pub(crate) flexible: usize,
    /// The rows.
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// Writes lines no wider than the terminal.
pub(crate) struct Sheet<'a> {
    out: &'a mut dyn Write,
    color: bool,
    width: usize,
}

type Done = Result<(), RenderError>;

impl<'a> Sheet<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, options: &Options) -> Self {
        // Narrower than 40 nothing can be laid out; wider than 120 nobody reads a sentence.
        Self { out, color: options.color, width: options.width.clamp(40, 120) }
    }

    /// The columns that are used.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// An empty line.
    pub(crate) fn blank(&mut self) -> Done {
        Ok(writeln!(self.out)?)
    }

    /// Spans side by side.
    pub(crate) fn line(&mut self, spans: &[Span]) -> Done {
        for piece in spans {
            self.paint(&piece.text, piece.style)?;
        }
        Ok(writeln!(self.out)?)
    }

    /// A heading with words about it, and a rule up to the right margin.
    pub(crate) fn heading(&mut self, title: &str, style: Style, about: &str) -> Done {
        let used = width(title) + width(about) + if about.is_empty() { 1 } else { 3 };
        self.blank()?;
        let style = if style == Style::Plain { Style::Bold } else { style };
        if used > self.width {
            self.text(0, title, style)?;
            return self.text(0, about, Style::Dim);
        }
        let rule = "─".repeat(self.width.saturating_sub(used));
        self.line(&[
            span(title, style),
            span(format!(" {rule}"), Style::Dim),
            span(if about.is_empty() { String::new() } else { format!(" {about}") }, Style::Dim),
        ])
    }

    /// A text wrapped behind `indent` columns.
    pub(crate) fn text(&mut self, indent: usize, text: &str, style: Style) -> Done {
        self.field(indent, "", 0, Style::Plain, text, style)
    }

    /// Parts separated by `·`; a line is broken only between them.
    pub(crate) fn parts(&mut self, indent: usize, text: &str, style: Style) -> Done {
        let glued: Vec<_> = text.split(" · ").map(|part| part.replace(' ', "\u{a0}")).collect();
        self.text(indent, &glued.join("\u{a0}· "), style)
    }

    /// A label of `columns`, and a text that is wrapped beside it; a no-break space is where it
    /// never breaks.
    pub(crate) fn field(
        &mut self,
        indent: usize,
        label: &str,
        columns: usize,
        label_style: Style,
        text: &str,
        style: Style,
    ) -> Done {
        let at = indent + columns;
        for (n, line) in wrap(text, self.width.saturating_sub(at)).into_iter().enumerate() {
            let shown = if n == 0 { label } else { "" };
            let gap = fill(width(shown), columns);
            self.line(&[
                span(fill(0, indent), Style::Plain),
                span(shown, label_style),
                span(gap, Style::Plain),
                span(line.replace('\u{a0}', " "), style),
            ])?;
        }
        Ok(())
    }

    /// A text that must be copied as it is: never broken by a line feed, the terminal wraps it.
    pub(crate) fn verbatim(
        &mut self,
        indent: usize,
        label: &str,
        columns: usize,
        text: &str,
    ) -> Done {
        self.line(&[
            span(fill(0, indent), Style::Plain),
            span(label, Style::Dim),
            span(fill(width(label), columns), Style::Plain),
            span(text, Style::Command),
        ])
    }

    /// The columns that a grid of these rows takes.
    pub(crate) fn width_of(rows: &[Vec<Cell>]) -> usize {
        let columns = columns_of(rows);
        columns.iter().sum::<usize>() + 2 * columns.len().saturating_sub(1)
    }

    /// Rows of cells, two columns apart.
    pub(crate) fn grid(&mut self, indent: usize, grid: &Grid<'_>) -> Done {
        for row in Self::rows(grid, self.width.saturating_sub(indent)) {
            for mut spans in row {
                spans.insert(0, span(fill(0, indent), Style::Plain));
                self.line(&spans)?;
            }
        }
        Ok(())
    }

    /// Rows of cells, two columns apart, no wider than `room`: the lines of each row.
    pub(crate) fn rows(grid: &Grid<'_>, room: usize) -> Vec<Vec<Vec<Span>>> {
        let mut columns = columns_of(&grid.rows);
        let all = Self::width_of(&grid.rows);
        if let Some(flexible) = columns.get_mut(grid.flexible) {
            let left = flexible.saturating_sub(all.saturating_sub(room));
            *flexible = left.max(12).min(*flexible);
        }
        grid.rows.iter().map(|row| lines_of(grid, &columns, row)).collect()
    }

    fn paint(&mut self, text: &str, style: Style) -> Done {
        if self.color && style != Style::Plain && !text.is_empty() {
            Ok(write!(self.out, "\x1b[{}m{text}\x1b[0m", style.code())?)
        } else {
            Ok(write!(self.out, "{text}")?)
        }
    }
}

/// The lines of one row.
fn lines_of(grid: &Grid<'_>, columns: &[usize], row: &[Cell]) -> Vec<Vec<Span>> {
    let mut lines: Vec<Vec<Cell>> = Vec::new();
    for (cell, columns) in row.iter().zip(columns) {
        lines.push(match cell.as_slice() {
            [one] => {
                wrap(&one.text, *columns).into_iter().map(|l| vec![span(l, one.style)]).collect()
            }
            _ => vec![cell.clone()],
        });
    }
    let height = lines.iter().map(Vec::len).max().unwrap_or(0);
    let one = |n: usize| {
        let mut spans = Vec::new();
        // Spaces are owed, not written, so that no line ends in them.
        let mut owed = 0;
        for ((cell, columns), align) in lines.iter().zip(columns).zip(grid.columns) {
            let empty = Cell::new();
            let cell = cell.get(n).unwrap_or(&empty);
            let used = cell.iter().map(|s| width(&s.text)).sum::<usize>();
            let room = columns.saturating_sub(used);
            if *align == Align::Right {
                owed += room;
            }
            if used > 0 {
                spans.push(span(fill(0, owed), Style::Plain));
                spans.extend(cell.iter().cloned());
                owed = 0;
            } else {
                owed += used;
            }
            if *align == Align::Left {
                owed += room;
            }
            owed += 2;
        }
        spans
    };
    (0..height).map(one).collect()
}

/// The widest cell of each column.
fn columns_of(rows: &[Vec<Cell>]) -> Vec<usize> {
    let mut columns = Vec::new();
    for row in rows {
        columns.resize(columns.len().max(row.len()), 0);
        for (column, cell) in columns.iter_mut().zip(row) {
            let wide: usize = cell.iter().map(|span| width(&span.text)).sum();
            *column = wide.max(*column);
        }
    }
    columns
}
