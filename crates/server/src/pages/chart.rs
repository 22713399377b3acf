//! The drawings: the course of the score and the share of each status, as numbers for the templates' SVG.

use haechi_core::Status;
use haechi_core::report::Counts;
use haechi_core::report::profiles::ProfileLine;
use haechi_protocol::TrendPoint;

/// The course of the score in a box of 600 by 120.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The line, in the language of SVG's paths; it has gaps where there was no score.
    pub(super) line: String,
    /// The surface below the line.
    pub(super) surface: String,
    /// The points: where, when, how much.
    pub(super) points: Vec<Point>,
    /// The lowest and the highest score that the box shows.
    pub(super) range: (f64, f64),
}

/// A point of the course.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) taken_at: String,
    pub(super) score: f64,
    /// Whether everything could be seen then.
    pub(super) complete: bool,
}

const WIDE: f64 = 600.0;
const HIGH: f64 = 120.0;

impl Course {
    /// The course of these scores, the oldest first.
    #[expect(clippy::cast_precision_loss, reason = "a few dozen points")]
    pub(super) fn of(trend: &[TrendPoint]) -> Self {
        let scores = || trend.iter().filter_map(|point| point.score);
        let low = scores().fold(100.0_f64, f64::min);
        let high = scores().fold(0.0_f64, f64::max);
        // Never less than twenty points high, so that a tenth does not look like a cliff.
        let bottom = ((low - 5.0) / 10.0).floor() * 10.0;
        let top = ((high + 5.0) / 10.0).ceil() * 10.0;
        let (bottom, top) = (bottom.clamp(0.0, 80.0), top.clamp(20.0, 100.0));
        let (bottom, top) =
            if top - bottom < 20.0 { ((top - 20.0).max(0.0), top) } else { (bottom, top) };
        let step = WIDE / (trend.len().max(2) - 1) as f64;
        let mut course = Self { range: (bottom, top), ..Self::default() };
        let mut pen = false;
        for (place, point) in trend.iter().enumerate() {
            let Some(score) = point.score else {
                pen = false;
                continue;
            };
            let x = place as f64 * step;
            let y = HIGH - (score - bottom) / (top - bottom) * HIGH;
            let word = if pen { 'L' } else { 'M' };
            course.line.push_str(&format!("{word}{x:.1} {y:.1}"));
            pen = true;
            let (taken_at, complete) = (point.taken_at.clone(), point.complete);
            course.points.push(Point { x, y, taken_at, score, complete });
        }
        if let (Some(first), Some(last), 1) =
            (course.points.first(), course.points.last(), course.line.matches('M').count())
        {
            course.surface = format!("{}L{:.1} {HIGH}L{:.1} {HIGH}Z", course.line, last.x, first.x);
        }
        course
    }

    /// The end of the line, as a line without length: its round ends make a dot.
    pub(super) fn end(&self) -> Option<String> {
        let (_, place) = self.line.rsplit_once(['M', 'L'])?;
        Some(format!("M{place}h0"))
    }

    /// The points at which not everything could be seen, as dots of lines without length; none if there are none.
    pub(super) fn holes(&self) -> Option<String> {
        let dot = |point: &Point| format!("M{:.1} {:.1}h0", point.x, point.y);
        let dots: String = self.points.iter().filter(|point| !point.complete).map(dot).collect();
        (!dots.is_empty()).then_some(dots)
    }

    /// Whether there is a course at all.
    pub(super) fn is_one(&self) -> bool {
        self.points.len() > 1
    }
}

/// What was learned over the time watched, in a box of [`Learned::wide`] by 100.
#[derive(Debug, Default)]
pub(super) struct Learned {
    pub(super) wide: f64,
    /// New things: where, how wide, how high.
    pub(super) bars: Vec<(f64, f64, f64, f64)>,
    /// All that is known, in the language of SVG's paths.
    pub(super) line: String,
}

impl Learned {
    #[expect(clippy::cast_precision_loss, reason = "a drawing")]
    pub(super) fn of(line: &ProfileLine) -> Self {
        let columns = line.columns(60);
        let most = columns.iter().map(|column| column.new).max().unwrap_or(0).max(1) as f64;
        let all = columns.last().map_or(0, |last| last.total).max(1) as f64;
        let mut learned =
            Self { wide: columns.len() as f64 * 10.0, line: "M0 100".into(), ..Self::default() };
        for (place, column) in columns.iter().enumerate() {
            let x = place as f64 * 10.0;
            if column.new > 0 {
                // What is there is seen, however little it is.
                let high = (column.new as f64 / most * 100.0).max(3.0);
                learned.bars.push((x + 1.0, 100.0 - high, 8.0, high));
            }
            let y = 100.0 - column.total as f64 / all * 100.0;
            learned.line.push_str(&format!("L{:.0} {y:.1}", x + 10.0));
        }
        learned
    }
}

/// A part of a bar of 100.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) status: Status,
    pub(super) count: u64,
    pub(super) at: f64,
    pub(super) wide: f64,
}

/// The parts of a bar: each status by its share, the worst first.
#[expect(clippy::cast_precision_loss, reason = "counts of findings are far below 2^52")]
pub(super) fn bar(counts: &Counts) -> Vec<Part> {
    let total = counts.total().max(1) as f64;
    let mut at = 0.0;
    let parts = Status::WORST_FIRST.map(|status| {
        let count = counts.of(status);
        let wide = count as f64 * 100.0 / total;
        let part = Part { status, count, at, wide };
        at += wide;
        part
    });
    parts.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(score: Option<f64>) -> TrendPoint {
        let taken_at = "2026-05-01T00:00:00Z".into();
        TrendPoint { verification: 1, taken_at, score, complete: true }
    }

    #[test]
    fn a_missing_score_is_a_gap_and_no_point_leaves_the_box() {
        let scores = [Some(0.0), Some(100.0), None, Some(37.5)];
        let course = Course::of(&scores.map(point));
        assert_eq!(course.line.matches('M').count(), 2, "{}", course.line);
        assert!(course.surface.is_empty(), "no surface below a gap");
        let ys =
            course.line.split(['M', 'L']).filter_map(|p| p.split_once(' ')?.1.parse::<f64>().ok());
        assert_eq!(ys.filter(|y| (0.0..=HIGH).contains(y)).count(), 3, "{course:?}");
        for few in [&[][..], &[point(Some(81.0))], &[point(None)]] {
            assert!(!Course::of(few).is_one());
        }
    }

    #[test]
    fn a_point_at_which_not_everything_was_seen_is_marked() {
        let mut trend = [81.0, 85.0, 90.0].map(|score| point(Some(score)));
        assert_eq!(Course::of(&trend).holes(), None);
        trend[1].complete = false;
        let course = Course::of(&trend);
        assert_eq!(course.holes().unwrap().matches('M').count(), 1);
        assert!(course.holes().unwrap().starts_with("M300.0 "), "{course:?}");
    }

    #[test]
    fn small_moves_stay_small() {
        let course = Course::of(&[point(Some(84.0)), point(Some(84.1))]);
        assert!(course.range.1 - course.range.0 >= 20.0, "{:?}", course.range);
    }
}
