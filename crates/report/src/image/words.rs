//! Words about images: ratings, verdicts, reasons, states of fixes, problems, sizes and ages.

use haechi_core::Severity;
use haechi_core::inventory::{Part, ProblemKind};
use haechi_core::report::images::Ratings;
use haechi_core::text::visible;
use haechi_core::verdict::{Reason, Safety, Verdict};
use haechi_core::vulnerability::{FixState, Rating};

use crate::labels::{Key, Labels, key};
use crate::sheet::Style;

impl Labels {
    /// A rating in words.
    pub(crate) fn rating(&self, rating: impl std::borrow::Borrow<Rating>) -> &'static str {
        self.get(match rating.borrow() {
            Rating::Critical => key::SEVERITY_CRITICAL,
            Rating::High => key::SEVERITY_HIGH,
            Rating::Medium => key::SEVERITY_MEDIUM,
            Rating::Low => key::SEVERITY_LOW,
            Rating::Negligible => key::RATING_NEGLIGIBLE,
            Rating::Unknown => key::RATING_UNKNOWN,
        })
    }

    /// What is thought of an image, in words; nothing is thought of one that was not scanned.
    pub(crate) fn safety(&self, safety: Option<Safety>) -> &'static str {
        self.get(match safety {
            Some(Safety::Safe) => key::SAFETY_SAFE,
            Some(Safety::Undecided) => key::SAFETY_UNDECIDED,
            Some(Safety::Unsafe) => key::SAFETY_UNSAFE,
            None => key::SAFETY_UNSCANNED,
        })
    }

    /// The name of a verdict in the style sheet.
    pub(crate) fn safety_name(&self, safety: &Option<Safety>) -> &'static str {
        safety.map_or("unscanned", Safety::name)
    }

    /// The icon of a verdict.
    pub(crate) fn safety_icon(&self, safety: &Option<Safety>) -> &'static str {
        match safety {
            Some(Safety::Safe) => "pass",
            Some(Safety::Unsafe) => "fail",
            Some(Safety::Undecided) => "unverified",
            None => "not-applicable",
        }
    }

    /// The icon of a rating.
    pub(crate) fn rating_icon(&self, rating: &Rating) -> &'static str {
        match rating {
            Rating::Unknown => "unverified",
            Rating::Negligible => "not-applicable",
            rated => rated.name(),
        }
    }

    /// What that means.
    pub(crate) fn safety_means(&self, safety: Safety) -> &'static str {
        self.get(match safety {
            Safety::Safe => key::SAFETY_SAFE_MEANS,
            Safety::Undecided => key::SAFETY_UNDECIDED_MEANS,
            Safety::Unsafe => key::SAFETY_UNSAFE_MEANS,
        })
    }

    /// Why an image is not safe, on one line that is safe to show.
    pub(crate) fn reason(&self, reason: &Reason) -> String {
        let say = |name: Key, values: &[(&str, &str)]| {
            let shown: Vec<_> =
                values.iter().map(|(name, value)| (*name, visible(value))).collect();
            let shown: Vec<_> = shown.iter().map(|(name, value)| (*name, &**value)).collect();
            self.with(name, &shown)
        };
        match reason {
            Reason::Vulnerability { id, package, fixed } if fixed.is_empty() => {
                say(key::REASON_VULNERABILITY_UNFIXED, &[("id", id), ("package", package)])
            }
            Reason::Vulnerability { id, package, fixed } => say(
                key::REASON_VULNERABILITY,
                &[("id", id), ("package", package), ("fixed", fixed)],
            ),
            Reason::Exploited { id, package } => {
                say(key::REASON_EXPLOITED, &[("id", id), ("package", package)])
            }
            Reason::Malware { rule, path } => {
                say(key::REASON_MALWARE, &[("rule", rule), ("path", path)])
            }
            Reason::Secret { detector, place } => {
                say(key::REASON_SECRET, &[("detector", detector), ("place", place)])
            }
            Reason::Unread { place, detail } => {
                say(key::REASON_UNREAD, &[("place", place), ("detail", detail)])
            }
            Reason::Undecided { package, detail } => {
                say(key::REASON_UNDECIDED, &[("package", package), ("detail", detail)])
            }
        }
    }

    /// Why an image is not safe, at most `most` lines with something of every kind, and how many reasons are not
    /// among them.
    pub(crate) fn reasons(&self, verdict: &Verdict, most: usize) -> (Vec<String>, u64) {
        // Packages that are undecided for the same reason are one line.
        let mut lines: Vec<(&Reason, u64)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for reason in &verdict.reasons {
            if let Reason::Undecided { detail, .. } = reason {
                let place = *places.entry(detail).or_insert(lines.len());
                if let Some((_, n)) = lines.get_mut(place) {
                    *n += 1;
                    continue;
                }
            }
            lines.push((reason, 1));
        }
        let mut seen = std::collections::HashSet::new();
        let (firsts, others): (Vec<_>, Vec<_>) = lines
            .iter()
            .enumerate()
            .partition(|(_, (reason, _))| seen.insert(std::mem::discriminant(*reason)));
        let mut shown: Vec<_> = firsts.into_iter().chain(others).take(most).collect();
        shown.sort_by_key(|(place, _)| *place);
        let covered: u64 = shown.iter().map(|(_, (_, n))| n).sum();
        let words = shown.into_iter().map(|(_, (reason, n))| match reason {
            Reason::Undecided { package, detail } if *n > 1 => self.with(
                key::REASON_UNDECIDED_MANY,
                &[
                    ("n", &n.to_string()),
                    ("package", &visible(package)),
                    ("detail", &visible(detail)),
                ],
            ),
            reason => self.reason(reason),
        });
        let all = verdict.reasons.len() as u64 + verdict.more;
        (words.collect(), all.saturating_sub(covered))
    }

    /// What is known about a fix, in words.
    pub(crate) fn fix_state(&self, state: FixState) -> &'static str {
        self.get(match state {
            FixState::Fixed => key::FIX_FIXED,
            FixState::Affected => key::FIX_AFFECTED,
            FixState::Deferred => key::FIX_DEFERRED,
            FixState::WillNotFix => key::FIX_WILL_NOT_FIX,
            FixState::EndOfLife => key::FIX_END_OF_LIFE,
            FixState::UnderInvestigation => key::FIX_UNDER_INVESTIGATION,
        })
    }

    /// Why something could not be read, in words.
    pub(crate) fn problem(&self, kind: ProblemKind) -> &'static str {
        self.get(match kind {
            ProblemKind::Truncated => key::PROBLEM_TRUNCATED,
            ProblemKind::Corrupt => key::PROBLEM_CORRUPT,
            ProblemKind::DigestMismatch => key::PROBLEM_DIGEST_MISMATCH,
            ProblemKind::Limit => key::PROBLEM_LIMIT,
            ProblemKind::Escape => key::PROBLEM_ESCAPE,
            ProblemKind::Unsupported => key::PROBLEM_UNSUPPORTED,
            ProblemKind::Absent => key::PROBLEM_ABSENT,
            ProblemKind::TimedOut => key::PROBLEM_TIMED_OUT,
            ProblemKind::Crashed => key::PROBLEM_CRASHED,
            ProblemKind::UnknownDistro => key::PROBLEM_UNKNOWN_DISTRO,
        })
    }

    /// What a problem makes doubtful, in words.
    pub(crate) fn affects(&self, parts: &[Part]) -> Option<String> {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| {
                self.get(match part {
                    Part::Packages => key::PART_PACKAGES,
                    Part::Files => key::PART_FILES,
                    Part::Secrets => key::PART_SECRETS,
                    Part::Malware => key::PART_MALWARE,
                })
            })
            .collect();
        (!parts.is_empty()).then(|| self.with(key::AFFECTS, &[("parts", &parts.join(", "))]))
    }

    /// Counts by rating, those that there are, worst first: `2 critical · 5 high`.
    pub(crate) fn ratings(&self, ratings: &Ratings) -> String {
        let parts: Vec<_> = counted(ratings)
            .map(|(rating, n)| {
                self.with(
                    key::RATING_COUNT,
                    &[("n", &n.to_string()), ("rating", self.rating(rating))],
                )
            })
            .collect();
        parts.join(" · ")
    }

    /// A layer by its number, counted from 1 as people do.
    pub(crate) fn layer(&self, layer: Option<u32>) -> Option<String> {
        layer.map(|n| self.with(key::LAYER, &[("n", &(u64::from(n) + 1).to_string())]))
    }

    /// Days, in words; nothing if unknown.
    pub(crate) fn days(&self, days: i64) -> Option<String> {
        let days = u64::try_from(days).ok()?;
        Some(self.count(key::DAYS_ONE, key::DAYS, days))
    }
}

/// The ratings that there are, worst first.
pub(crate) fn counted(ratings: &Ratings) -> impl Iterator<Item = (Rating, u64)> {
    Rating::WORST_FIRST
        .into_iter()
        .filter_map(|rating| ratings.get(&rating).map(|n| (rating, *n)))
        .filter(|(_, n)| *n > 0)
}

/// The style of a rating; unknown is as open as what could not be verified.
pub(crate) fn rating_style(rating: Rating) -> Style {
    match rating {
        Rating::Critical => Style::Of(Severity::Critical),
        Rating::High => Style::Of(Severity::High),
        Rating::Medium => Style::Of(Severity::Medium),
        Rating::Low => Style::Of(Severity::Low),
        Rating::Negligible => Style::Dim,
        Rating::Unknown => Style::Open,
    }
}

/// The symbol and the style of a verdict.
pub(crate) fn safety_mark(safety: Option<Safety>) -> (&'static str, Style) {
    match safety {
        Some(Safety::Unsafe) => ("✗", Style::Of(Severity::Critical)),
        Some(Safety::Safe) => ("✓", Style::Good),
        Some(Safety::Undecided) | None => ("?", Style::Open),
    }
}

/// Bytes in decimal units, as engines show them: `77.8 MB`; a dash if unknown.
pub(crate) fn size(bytes: i64) -> String {
    let Ok(bytes) = u64::try_from(bytes) else { return "–".to_owned() };
    let mut unit = 1_u64;
    for name in ["B", "kB", "MB", "GB", "TB"] {
        if bytes / unit < 1000 || name == "TB" {
            let (whole, tenths) = (bytes / unit, bytes % unit / (unit / 10).max(1));
            return if unit == 1 || whole >= 100 {
                format!("{whole} {name}")
            } else {
                format!("{whole}.{tenths} {name}")
            };
        }
        unit *= 1000;
    }
    bytes.to_string()
}

/// A probability in percent; what is not even a thousandth is said to be less.
pub(crate) fn percent(probability: f64) -> String {
    if probability < 0.0005 {
        "< 0.1 %".to_owned()
    } else {
        format!("{:.1} %", probability * 100.0)
    }
}

/// A package with its version, and the versions that fix it.
pub(crate) fn upgrade(package: &str, installed: &str, fixed: &[String]) -> String {
    let mut text = format!("{} {}", visible(package), visible(installed));
    if let [first, rest @ ..] = fixed {
        text.push_str(&format!(" → {}", visible(first)));
        for version in rest {
            text.push_str(&format!(", {}", visible(version)));
        }
    }
    text
}

/// A build step as its Dockerfile had it.
pub(crate) fn step(created_by: &str) -> String {
    let step = created_by.trim();
    let step = step.strip_prefix("/bin/sh -c #(nop)").unwrap_or(step).trim();
    let step = step.strip_suffix("# buildkit").unwrap_or(step).trim();
    match step.strip_prefix("/bin/sh -c ") {
        Some(command) => visible(&format!("RUN {}", command.trim())).into_owned(),
        None => visible(step).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_steps_read_well() {
        assert_eq!(
            [0, 999, 1500, 77_840_000, 1_200_000_000, -1].map(size),
            ["0 B", "999 B", "1.5 kB", "77.8 MB", "1.2 GB", "–"]
        );
        assert_eq!(step("/bin/sh -c #(nop)  CMD [\"sh\"]"), "CMD [\"sh\"]");
        assert_eq!(
            step("RUN /bin/sh -c apt-get update # buildkit"),
            "RUN /bin/sh -c apt-get update"
        );
        assert_eq!(step("/bin/sh -c echo \x1b[2J"), "RUN echo \\u{1b}[2J");
    }
}
