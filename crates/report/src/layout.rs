//! Text by its width on a terminal: measuring, wrapping, padding, and grids of columns.
//!
//! Korean letters are two columns wide, and lines are broken at spaces, as Korean is.
//! Nothing here writes; colour is added last, so that it never counts as width.

use std::borrow::Cow;

use haechi_core::text::visible;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The lines of a text that may have several, each safe to show; trailing blank lines are dropped.
pub(crate) fn visible_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.trim_end().split('\n').map(|line| visible(line.trim_end_matches('\r')))
}

/// A line as words and code: what stands between two backticks is code. A lone backtick is a
/// letter.
pub(crate) fn pieces(line: &str) -> Vec<(bool, &str)> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('`') {
        let Some((code, after)) = after.split_once('`') else { break };
        out.extend([(false, before), (true, code)]);
        rest = after;
    }
    out.push((false, rest));
    out.retain(|(_, text)| !text.is_empty());
    out
}

/// Breaks one line at spaces so that no piece is wider than `columns`; a longer word is broken
/// anywhere.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let wide = width(word);
        if used > 0 && used + 1 + wide > columns {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        if wide <= columns {
            line.push_str(word);
            used += wide;
            continue;
        }
        for letter in word.chars() {
            let wide = letter.width().unwrap_or(0);
            if used + wide > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(letter);
            used += wide;
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Shortens a text to `columns` with `…`.
pub(crate) fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += letter.width().unwrap_or(0);
        if used > columns {
            break;
        }
        out.push(letter);
    }
    out.push('…');
    Cow::Owned(out)
}

/// Spaces that fill a text of `used` columns up to `columns`.
pub(crate) fn fill(used: usize, columns: usize) -> String {
    " ".repeat(columns.saturating_sub(used))
}

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A bar of `columns` cells, `share` of them (0 to 1) filled.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a handful of cells, clamped"
)]
pub(crate) fn bar(share: f64, columns: usize) -> (String, String) {
    let full = (share.clamp(0.0, 1.0) * columns as f64).round() as usize;
    ("█".repeat(full), "░".repeat(columns.saturating_sub(full)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn korean_is_two_columns_wide_and_breaks_at_spaces() {
        assert_eq!(
            wrap("특권 컨테이너를 사용하지 않는다", 16),
            ["특권 컨테이너를", "사용하지 않는다"]
        );
        assert_eq!(cut("컨테이너", 5), "컨테…");
    }

    #[test]
    fn code_stands_between_two_backticks() {
        assert_eq!(
            pieces("run `a b`, then `c"),
            [(false, "run "), (true, "a b"), (false, ", then `c")]
        );
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked_and_no_letter_is_lost(text in "\\PC{0,80}", columns in 8usize..60) {
            let lines = wrap(&text, columns);
            // A letter's width can depend on its neighbours (emoji); the sum of single widths is
            // the bound.
            let wide = |line: &String| line.chars().map(|c| c.width().unwrap_or(0)).sum::<usize>();
            prop_assert!(lines.iter().all(|line| wide(line) <= columns.max(8) || width(line) <= columns.max(8)));
            let letters = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
