//! The pages' words in one language, and numbers, times and sizes in words.
//!
//! Sentences lie in `texts/web.yaml`; words that reports have as well (statuses, severities, areas, causes) in
//! `texts/report.yaml`. A hole is `{n}` for a number and `{x}`, `{y}` for anything else.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::LazyLock;

use askama::filters::Safe;
use haechi_core::Lang;
use haechi_core::text::{Catalog, Text, visible};
use jiff::Timestamp;
use jiff::tz::TimeZone;

const WEB: &str = include_str!("../../../../texts/web.yaml");
const REPORT: &str = include_str!("../../../../texts/report.yaml");

static CATALOG: LazyLock<[Catalog; 2]> = LazyLock::new(|| {
    // A broken file shows as keys instead of words; a test proves that neither is broken.
    [WEB, REPORT].map(|yaml| Catalog::parse(yaml).unwrap_or_default())
});

/// A number that is counted; one below 0 counts as 0.
pub trait Count {
    /// As it is counted.
    fn count(&self) -> u64;
}

/// A number of bytes; one below 0 is unknown.
pub trait Bytes {
    /// How many, if that is known.
    fn bytes(&self) -> Option<u64>;
}

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Count for $type {
            fn count(&self) -> u64 {
                u64::try_from(*self).unwrap_or(0)
            }
        }
        impl Bytes for $type {
            fn bytes(&self) -> Option<u64> {
                u64::try_from(*self).ok()
            }
        }
    )+};
}
numbers!(u32, u64, usize, i64);

impl<T: Count> Count for &T {
    fn count(&self) -> u64 {
        (*self).count()
    }
}

impl<T: Bytes> Bytes for &T {
    fn bytes(&self) -> Option<u64> {
        (*self).bytes()
    }
}

/// The pages' words in one language.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// The language.
    pub lang: Lang,
}

impl Words {
    /// The sentence of a key: the pages' own, else the reports'.
    pub fn get<'a>(&self, key: &'a str) -> &'a str {
        let [web, report] = &*CATALOG;
        let own = web.get(self.lang, key);
        if std::ptr::eq(own, key) { report.get(self.lang, key) } else { own }
    }

    /// The sentence of a key that is a family and a name in it, as `status` and `fail`.
    pub fn of(&self, family: &str, name: impl Display) -> String {
        self.get(&format!("{family}.{name}")).to_owned()
    }

    /// What a word of a closed list means.
    pub fn means(&self, family: &str, name: impl Display) -> String {
        self.of(family, format!("{name}.means"))
    }

    /// A sentence that comes in both languages.
    pub fn say<'a>(&self, text: &'a Text) -> &'a str {
        text.get(self.lang)
    }

    /// Whether there is such a sentence.
    pub fn knows(&self, key: &str) -> bool {
        !std::ptr::eq(self.get(key), key)
    }

    /// The sentence with `{x}` replaced.
    pub fn x(&self, key: &str, x: impl Display) -> String {
        self.fill(key, &[("x", &x.to_string())])
    }

    /// The sentence with `{x}` and `{y}` replaced.
    pub fn xy(&self, key: &str, x: impl Display, y: impl Display) -> String {
        self.fill(key, &[("x", &x.to_string()), ("y", &y.to_string())])
    }

    /// The sentence about a number, `{n}`; English has a second one, `KEY.one`, for one thing.
    pub fn n(&self, key: &str, n: impl Count) -> String {
        let n = n.count();
        let one = format!("{key}.one");
        let key = if n == 1 && self.knows(&one) { &one } else { key };
        self.fill(key, &[("n", &self.number(n))])
    }

    /// The sentence with its holes filled by their names.
    pub fn fill(&self, key: &str, values: &[(&str, &str)]) -> String {
        let [web, report] = &*CATALOG;
        let own = web.get(self.lang, key);
        let from = if std::ptr::eq(own, key) { report } else { web };
        from.with(self.lang, key, values).into_owned()
    }

    /// A number with its thousands apart.
    pub fn number(&self, n: impl Count) -> String {
        let digits = n.count().to_string();
        let mut out = String::with_capacity(digits.len() + digits.len() / 3);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        out
    }

    /// A score, or a dash where there is none.
    pub fn score(&self, score: &Option<f64>) -> String {
        score.map_or_else(|| "–".to_owned(), |score| format!("{score:.1}"))
    }

    /// A factor, without zeros that say nothing.
    pub fn times(&self, times: &f64) -> String {
        let text = format!("{times:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// A rank as a whole number; what is not 0 never looks like it.
    pub fn rank(&self, rank: &f64) -> String {
        if *rank > 0.0 { format!("{:.0}", rank.max(1.0)) } else { "0".to_owned() }
    }

    /// Points with their sign and a true minus.
    pub fn points(&self, points: &f64) -> String {
        if *points >= 0.05 {
            format!("+{points:.1}")
        } else if *points <= -0.05 {
            format!("−{:.1}", points.abs())
        } else {
            "±0.0".to_owned()
        }
    }

    /// A share of one in percent.
    pub fn percent(&self, share: &f64) -> String {
        let percent = share * 100.0;
        if percent < 1.0 { format!("{percent:.2} %") } else { format!("{percent:.0} %") }
    }

    /// So many seconds, in the two largest units.
    pub fn lasting(&self, seconds: &u64) -> String {
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        let [first, second] = match (days, hours, minutes) {
            (0, 0, 0) => [(*seconds, "second"), (0, "second")],
            (0, 0, _) => [(minutes, "minute"), (seconds % 60, "second")],
            (0, ..) => [(hours, "hour"), (minutes, "minute")],
            _ => [(days, "day"), (hours, "hour")],
        };
        let say =
            |(n, unit): (u64, &str)| self.fill(&format!("unit.{unit}"), &[("n", &self.number(n))]);
        if second.0 == 0 { say(first) } else { format!("{} {}", say(first), say(second)) }
    }

    /// Bytes; unknown (below 0) as a question mark.
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    pub fn bytes(&self, bytes: impl Bytes) -> String {
        let Some(bytes) = bytes.bytes() else { return "?".to_owned() };
        match bytes {
            0..1_000 => format!("{bytes} B"),
            1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
            1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
            _ => format!("{:.1} GB", bytes as f64 / 1e9),
        }
    }

    /// A moment to the minute, exact in `datetime`; the page's script shows it in the reader's own zone.
    pub fn time(&self, at: &Timestamp) -> Safe<String> {
        let format = match self.lang {
            Lang::En => "%Y-%m-%d %H:%M UTC",
            Lang::Ko => "%Y년 %-m월 %-d일 %H:%M UTC",
        };
        let shown = at.to_zoned(TimeZone::UTC).strftime(format);
        Safe(format!("<time datetime=\"{at}\">{shown}</time>"))
    }

    /// A moment to the second, where the order of things matters.
    pub fn exact(&self, at: &Timestamp) -> Safe<String> {
        let format = match self.lang {
            Lang::En => "%Y-%m-%d %H:%M:%S UTC",
            Lang::Ko => "%Y년 %-m월 %-d일 %H:%M:%S UTC",
        };
        let shown = at.to_zoned(TimeZone::UTC).strftime(format);
        Safe(format!("<time class=\"exact\" datetime=\"{at}\">{shown}</time>"))
    }

    /// A moment in RFC 3339; what is none is shown as it is.
    pub fn moment(&self, rfc3339: &str) -> Safe<String> {
        match rfc3339.parse::<Timestamp>() {
            Ok(at) => self.time(&at),
            Err(_) => Safe(
                askama::filters::escape(visible(rfc3339), askama::filters::Html)
                    .map_or_else(|never| match never {}, |escaped| escaped.to_string()),
            ),
        }
    }

    /// A day of a moment in RFC 3339, for the narrow places of charts and tables.
    pub fn day<'a>(&self, rfc3339: &'a str) -> &'a str {
        rfc3339.get(..10).unwrap_or(rfc3339)
    }

    /// The lines of a text, without empty ones at its end.
    pub fn lines<'a>(&self, text: &'a str) -> Vec<&'a str> {
        text.trim_end().split('\n').map(|line| line.trim_end_matches('\r')).collect()
    }

    /// The lines of a text as words and code: what stands between two backticks is code.
    pub fn prose<'a>(&self, text: &'a str) -> Vec<Vec<(bool, &'a str)>> {
        let lines = self.lines(text).into_iter().filter(|line| !line.is_empty());
        lines.map(pieces).collect()
    }

    /// The beginning of a text that may be very long.
    pub fn short<'a>(&self, text: &'a str, letters: usize) -> Cow<'a, str> {
        match text.char_indices().nth(letters) {
            None => Cow::Borrowed(text),
            Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        }
    }

    /// A name that somebody else chose: its beginning, if it is longer than any honest one. The name of an image without
    /// a reference is its id.
    pub fn name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match name.strip_prefix("sha256:") {
            Some(digest) if is_digest(digest) => Cow::Borrowed(self.id(name)),
            _ => self.short(name, 160),
        }
    }

    /// An id as people write it: without the kind of digest, twelve letters.
    pub fn id<'a>(&self, id: &'a str) -> &'a str {
        let bare = id.strip_prefix("sha256:").unwrap_or(id);
        bare.get(..12).unwrap_or(bare)
    }
}

/// Whether this is a SHA-256 in hexadecimal.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn pieces(line: &str) -> Vec<(bool, &str)> {
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
