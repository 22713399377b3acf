//! `haechi alerts`, `haechi actions` and `haechi activity`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use haechi_core::alert::Priority;
use haechi_core::response::Response;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Which of what is on record, and how it is written.
#[derive(Debug, Args)]
pub struct Recorded {
    /// From then on: `1h`, `30m`, `7d` ago, a date (2026-07-28), or a time (RFC 3339)
    #[arg(long, env = "HAECHI_SINCE", value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Before then, written the same way
    #[arg(long, env = "HAECHI_UNTIL", value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// Only of this container: name, pattern of names with `*` and `?`, id, or the beginning of its id (12 characters or more)
    #[arg(long, env = "HAECHI_CONTAINER", value_name = "NAME")]
    pub container: Option<String>,
    /// Most to show, the newest; 0 shows all
    #[arg(long, env = "HAECHI_LIMIT", default_value_t = 100)]
    pub limit: u64,
    /// Format
    #[arg(long, env = "HAECHI_RECORD_FORMAT", value_enum, default_value = "text")]
    pub format: RecordFormat,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    /// A line for each
    Text,
    /// A JSON object on a line for each
    Json,
    /// A table for spreadsheets
    Csv,
}

#[derive(Debug, Args)]
pub struct Alerts {
    #[command(flatten)]
    pub which: Recorded,
    /// Only of this rule, or of those that a pattern with `*` and `?` fits
    #[arg(long, env = "HAECHI_RULE", value_name = "NAME")]
    pub rule: Option<String>,
    /// Only as urgent as this, or more
    #[arg(long, env = "HAECHI_PRIORITY", value_parser = priority())]
    pub priority: Option<Priority>,
    /// Only evidence for this check
    #[arg(long, env = "HAECHI_CHECK", value_name = "ID")]
    pub check: Option<String>,
}

#[derive(Debug, Args)]
pub struct Actions {
    #[command(flatten)]
    pub which: Recorded,
    /// Only those that answer this rule, or those that a pattern with `*` and `?` fits
    #[arg(long, env = "HAECHI_RULE", value_name = "NAME")]
    pub rule: Option<String>,
    /// Only of this kind
    #[arg(long, env = "HAECHI_RESPONSE", value_parser = response())]
    pub response: Option<Response>,
}

#[derive(Debug, Args)]
pub struct Activity {
    #[command(flatten)]
    pub which: Recorded,
    /// Only of this kind: exec_create, exec_start, create, start, kill, die, pull, mount …
    #[arg(long, env = "HAECHI_ACTION", value_name = "NAME")]
    pub action: Option<String>,
}

fn priority() -> impl TypedValueParser<Value = Priority> {
    const ALL: [Priority; 8] = [
        Priority::Emergency,
        Priority::Alert,
        Priority::Critical,
        Priority::Error,
        Priority::Warning,
        Priority::Notice,
        Priority::Informational,
        Priority::Debug,
    ];
    PossibleValuesParser::new(ALL.map(Priority::name))
        .try_map(|name| ALL.into_iter().find(|one| one.name() == name).ok_or("no such priority"))
}

fn response() -> impl TypedValueParser<Value = Response> {
    PossibleValuesParser::new(Response::ALL.map(Response::name)).try_map(|name| {
        Response::ALL.into_iter().find(|one| one.name() == name).ok_or("no such response")
    })
}

/// A moment: so long ago, a date (its first moment, UTC), or a time.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(date) = text.parse::<Date>() {
        let start = date.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
        return Ok(start.timestamp());
    }
    let span: Span = text.parse().map_err(|_| {
        "say how long ago (30m, 1h, 7d), a date (2026-07-28) or a time (2026-07-28T09:30:00Z)"
            .to_owned()
    })?;
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let then = now.checked_sub(span.abs()).map_err(|error| error.to_string())?;
    Ok(then.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_understood_in_three_ways() {
        assert_eq!(moment("2026-07-28").unwrap().to_string(), "2026-07-28T00:00:00Z");
        assert_eq!(moment("2026-07-28T09:30:00Z").unwrap().to_string(), "2026-07-28T09:30:00Z");
        for (text, seconds) in [("30m", 1800), ("1h", 3600), ("7d", 7 * 86_400), ("1h 30m", 5400)] {
            let ago = Timestamp::now().as_second() - moment(text).unwrap().as_second();
            assert!((seconds..seconds + 5).contains(&ago), "{text}: {ago}");
        }
        for odd in ["", "yesterday", "5", "1x", "99999999999d"] {
            assert!(moment(odd).is_err(), "{odd}");
        }
    }
}
