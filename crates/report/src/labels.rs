//! The renderers' own words in two languages, named by constants, and numbers and dates in words.
//!
//! Every sentence lies in `texts/report.yaml`; a constant without a sentence fails a test here, a
//! sentence without a constant, too, and a constant that nobody uses is a compiler warning.

use std::borrow::{Borrow, Cow};
use std::sync::LazyLock;

use haechi_core::report::profiles::PackageState;
use haechi_core::text::{Catalog, Text, visible};
use haechi_core::{Area, Cause, Lang, Severity, Status, SubjectKind};
use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(crate) use crate::keys as key;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    // A broken file shows as keys instead of words; a test proves that it is not broken.
    Catalog::parse(include_str!("../../../texts/report.yaml")).unwrap_or_default()
});

/// The name of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) &'static str);

/// The renderers' words in one language.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels {
    lang: Lang,
}

impl Labels {
    pub(crate) fn new(lang: Lang) -> Self {
        Self { lang }
    }

    /// A sentence that comes in both languages.
    pub(crate) fn say<'a>(&self, text: &'a Text) -> &'a str {
        text.get(self.lang)
    }

    /// The sentence of a key.
    pub(crate) fn get(&self, key: Key) -> &'static str {
        CATALOG.get(self.lang, key.0)
    }

    /// The sentence of a key with `{name}` replaced.
    pub(crate) fn with(&self, key: Key, values: &[(&str, &str)]) -> String {
        CATALOG.with(self.lang, key.0, values).into_owned()
    }

    /// The sentence of a key about a number, `{n}`; English has a second one for one thing.
    pub(crate) fn count(&self, one: Key, many: Key, n: impl Borrow<u64>) -> String {
        let n = *n.borrow();
        self.with(if n == 1 { one } else { many }, &[("n", &n.to_string())])
    }

    /// How many more there are; nothing if there are none.
    pub(crate) fn more(&self, n: usize) -> Option<String> {
        (n > 0).then(|| self.with(key::MORE, &[("n", &n.to_string())]))
    }

    /// A status in words.
    pub(crate) fn status(&self, status: impl Borrow<Status>) -> &'static str {
        self.get(match status.borrow() {
            Status::Pass => key::STATUS_PASS,
            Status::Fail => key::STATUS_FAIL,
            Status::Excepted => key::STATUS_EXCEPTED,
            Status::Unverified => key::STATUS_UNVERIFIED,
            Status::NotApplicable => key::STATUS_NOT_APPLICABLE,
        })
    }

    /// What a status means.
    pub(crate) fn status_means(&self, status: impl Borrow<Status>) -> &'static str {
        self.get(match status.borrow() {
            Status::Pass => key::STATUS_PASS_MEANS,
            Status::Fail => key::STATUS_FAIL_MEANS,
            Status::Excepted => key::STATUS_EXCEPTED_MEANS,
            Status::Unverified => key::STATUS_UNVERIFIED_MEANS,
            Status::NotApplicable => key::STATUS_NOT_APPLICABLE_MEANS,
        })
    }

    /// A severity in words.
    pub(crate) fn severity(&self, severity: impl Borrow<Severity>) -> &'static str {
        self.get(match severity.borrow() {
            Severity::Critical => key::SEVERITY_CRITICAL,
            Severity::High => key::SEVERITY_HIGH,
            Severity::Medium => key::SEVERITY_MEDIUM,
            Severity::Low => key::SEVERITY_LOW,
        })
    }

    /// What a severity means.
    pub(crate) fn severity_means(&self, severity: impl Borrow<Severity>) -> &'static str {
        self.get(match severity.borrow() {
            Severity::Critical => key::SEVERITY_CRITICAL_MEANS,
            Severity::High => key::SEVERITY_HIGH_MEANS,
            Severity::Medium => key::SEVERITY_MEDIUM_MEANS,
            Severity::Low => key::SEVERITY_LOW_MEANS,
        })
    }

    /// An area in words.
    pub(crate) fn area(&self, area: impl Borrow<Area>) -> &'static str {
        self.get(match area.borrow() {
            Area::Environment => key::AREA_ENVIRONMENT,
            Area::Image => key::AREA_IMAGE,
            Area::Instance => key::AREA_INSTANCE,
        })
    }

    /// What belongs to an area.
    pub(crate) fn area_means(&self, area: impl Borrow<Area>) -> &'static str {
        self.get(match area.borrow() {
            Area::Environment => key::AREA_ENVIRONMENT_MEANS,
            Area::Image => key::AREA_IMAGE_MEANS,
            Area::Instance => key::AREA_INSTANCE_MEANS,
        })
    }

    /// A kind of subject in words.
    pub(crate) fn kind(&self, kind: SubjectKind) -> &'static str {
        self.get(match kind {
            SubjectKind::Host => key::KIND_HOST,
            SubjectKind::Engine => key::KIND_ENGINE,
            SubjectKind::File => key::KIND_FILE,
            SubjectKind::Swarm => key::KIND_SWARM,
            SubjectKind::Service => key::KIND_SERVICE,
            SubjectKind::Network => key::KIND_NETWORK,
            SubjectKind::Volume => key::KIND_VOLUME,
            SubjectKind::Image => key::KIND_IMAGE,
            SubjectKind::Container => key::KIND_CONTAINER,
        })
    }

    /// A cause in words.
    pub(crate) fn cause(&self, cause: Cause) -> &'static str {
        self.get(match cause {
            Cause::Permission => key::CAUSE_PERMISSION,
            Cause::Unreachable => key::CAUSE_UNREACHABLE,
            Cause::Missing => key::CAUSE_MISSING,
            Cause::TimedOut => key::CAUSE_TIMED_OUT,
            Cause::NotObserved => key::CAUSE_NOT_OBSERVED,
            Cause::EventsLost => key::CAUSE_EVENTS_LOST,
            Cause::DataTooOld => key::CAUSE_DATA_TOO_OLD,
            Cause::NeedsImageScan => key::CAUSE_NEEDS_IMAGE_SCAN,
            Cause::NeedsDatabase => key::CAUSE_NEEDS_DATABASE,
            Cause::NeedsMonitor => key::CAUSE_NEEDS_MONITOR,
        })
    }

    /// What to do about a cause.
    pub(crate) fn cause_mend(&self, cause: Cause) -> &'static str {
        self.get(match cause {
            Cause::Permission => key::CAUSE_PERMISSION_MEND,
            Cause::Unreachable => key::CAUSE_UNREACHABLE_MEND,
            Cause::Missing => key::CAUSE_MISSING_MEND,
            Cause::TimedOut => key::CAUSE_TIMED_OUT_MEND,
            Cause::NotObserved => key::CAUSE_NOT_OBSERVED_MEND,
            Cause::EventsLost => key::CAUSE_EVENTS_LOST_MEND,
            Cause::DataTooOld => key::CAUSE_DATA_TOO_OLD_MEND,
            Cause::NeedsImageScan => key::CAUSE_NEEDS_IMAGE_SCAN_MEND,
            Cause::NeedsDatabase => key::CAUSE_NEEDS_DATABASE_MEND,
            Cause::NeedsMonitor => key::CAUSE_NEEDS_MONITOR_MEND,
        })
    }

    /// So many subjects of a kind: `3 containers`, `컨테이너 3개`.
    pub(crate) fn subjects(&self, kind: SubjectKind, n: u64) -> String {
        let kind = match self.lang {
            Lang::En if n != 1 => self.get(match kind {
                SubjectKind::Host => key::KINDS_HOST,
                SubjectKind::Engine => key::KINDS_ENGINE,
                SubjectKind::File => key::KINDS_FILE,
                SubjectKind::Swarm => key::KINDS_SWARM,
                SubjectKind::Service => key::KINDS_SERVICE,
                SubjectKind::Network => key::KINDS_NETWORK,
                SubjectKind::Volume => key::KINDS_VOLUME,
                SubjectKind::Image => key::KINDS_IMAGE,
                SubjectKind::Container => key::KINDS_CONTAINER,
            }),
            _ => self.kind(kind),
        };
        self.with(key::SUBJECTS, &[("n", &n.to_string()), ("kind", kind)])
    }

    /// A time (RFC 3339) to the minute, in UTC; what is no time is shown as it is.
    pub(crate) fn time<'a>(&self, rfc3339: &'a str) -> Cow<'a, str> {
        let Ok(time) = rfc3339.parse::<Timestamp>() else { return visible(rfc3339) };
        let format = match self.lang {
            Lang::En => "%Y-%m-%d %H:%M UTC",
            Lang::Ko => "%Y년 %-m월 %-d일 %H:%M UTC",
        };
        Cow::Owned(time.to_zoned(TimeZone::UTC).strftime(format).to_string())
    }

    /// What was seen of a package, in words.
    pub(crate) fn package_state(&self, state: impl Borrow<PackageState>) -> &'static str {
        self.get(match state.borrow() {
            PackageState::Executed => key::PACKAGE_STATE_EXECUTED,
            PackageState::Loaded => key::PACKAGE_STATE_LOADED,
            PackageState::Present => key::PACKAGE_STATE_PRESENT,
            PackageState::Unknown => key::PACKAGE_STATE_UNKNOWN,
        })
    }

    /// So many seconds, in the two largest units.
    pub(crate) fn lasting(&self, seconds: u64) -> String {
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        let [first, second] = match (days, hours, minutes) {
            (0, 0, 0) => return self.with(key::UNIT_SECOND, &[("n", &seconds.to_string())]),
            (0, 0, _) => [(minutes, key::UNIT_MINUTE), (seconds % 60, key::UNIT_SECOND)],
            (0, ..) => [(hours, key::UNIT_HOUR), (minutes, key::UNIT_MINUTE)],
            _ => [(days, key::UNIT_DAY), (hours, key::UNIT_HOUR)],
        };
        let say = |(n, unit): (u64, Key)| self.with(unit, &[("n", &n.to_string())]);
        if second.0 == 0 { say(first) } else { format!("{} {}", say(first), say(second)) }
    }

    /// A score, or a dash where there is none.
    pub(crate) fn score(&self, score: Option<f64>) -> String {
        score.map_or_else(|| "–".to_owned(), |score| format!("{score:.1}"))
    }

    /// A time span: below a second in milliseconds, else in seconds.
    pub(crate) fn span(&self, ms: i64) -> String {
        if ms < 1000 {
            return self.with(key::MILLISECONDS, &[("n", &ms.to_string())]);
        }
        let (whole, tenths) = (ms / 1000, ms % 1000 / 100);
        self.with(key::SECONDS, &[("n", &format!("{whole}.{tenths}"))])
    }
}

/// Points with their sign: `+1.5`, `−2.0` (a true minus), `±0.0`.
pub(crate) fn points(points: f64) -> String {
    if points >= 0.05 {
        format!("+{points:.1}")
    } else if points <= -0.05 {
        format!("−{:.1}", points.abs())
    } else {
        "±0.0".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_has_a_sentence_and_every_sentence_a_key() {
        let catalog =
            Catalog::parse(include_str!("../../../texts/report.yaml")).expect("valid YAML");
        let there: BTreeSet<&str> = catalog.keys().collect();
        let used: BTreeSet<&str> = key::ALL.iter().copied().collect();
        assert_eq!(there, used);
        assert_eq!(used.len(), key::ALL.len(), "a key is listed twice");
    }

    #[test]
    fn sentences_fill_the_same_names_in_both_languages() {
        for name in key::ALL {
            let names = |lang| -> BTreeSet<String> {
                let text = CATALOG.get(lang, name);
                text.split('{')
                    .skip(1)
                    .filter_map(|s| s.split_once('}'))
                    .map(|(n, _)| n.to_owned())
                    .collect()
            };
            assert_eq!(names(Lang::En), names(Lang::Ko), "{name}");
        }
    }

    #[test]
    fn times_and_points_are_in_words() {
        let ko = Labels::new(Lang::Ko);
        assert_eq!(ko.time("2026-05-01T09:12:33Z"), "2026년 5월 1일 09:12 UTC");
        assert_eq!(ko.time("\x1b[2J"), "\\u{1b}[2J");
        assert_eq!(
            (points(1.25), points(-2.0), points(-0.0)),
            ("+1.2".into(), "−2.0".into(), "±0.0".into())
        );
    }
}
