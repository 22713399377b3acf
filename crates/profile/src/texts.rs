//! Words about profiles, in both languages (`texts/profile.yaml`).

use std::collections::BTreeSet;
use std::sync::LazyLock;

use haechi_core::Lang;
use haechi_core::text::{Catalog, Text, visible};
use serde::Serialize;

static TEXTS: LazyLock<Catalog> = LazyLock::new(|| {
    Catalog::parse(include_str!("../../../texts/profile.yaml")).unwrap_or_default()
});

/// A sentence; values cannot move a cursor or forge a line.
pub fn say(lang: Lang, key: &str, values: &[(&str, &str)]) -> String {
    let shown: Vec<_> = values.iter().map(|(name, value)| (*name, visible(value))).collect();
    let shown: Vec<(&str, &str)> = shown.iter().map(|(name, value)| (*name, &**value)).collect();
    TEXTS.with(lang, key, &shown).into_owned()
}

/// The same sentence in both languages.
pub fn both(key: &str, values: &[(&str, &str)]) -> Text {
    Text::new(&say(Lang::En, key, values), &say(Lang::Ko, key, values))
}

/// A sentence about names; none without one.
pub(crate) fn named(lang: Lang, key: &str, names: &BTreeSet<String>) -> Option<String> {
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    (!all.is_empty()).then(|| say(lang, key, &[("names", &all.join(" "))]))
}

/// The last part of a key of something that has a name in data.
pub fn key(of: &impl Serialize) -> String {
    serde_json::to_value(of)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// So many seconds, in the two largest units.
pub fn duration(lang: Lang, seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let parts = match (days, hours, minutes) {
        (0, 0, 0) => [(seconds, "second"), (0, "")],
        (0, 0, _) => [(minutes, "minute"), (seconds % 60, "second")],
        (0, _, _) => [(hours, "hour"), (minutes, "minute")],
        _ => [(days, "day"), (hours, "hour")],
    };
    let said = parts.into_iter().enumerate().filter(|(at, (count, _))| *at == 0 || *count > 0);
    let said: Vec<String> = said
        .map(|(_, (count, unit))| {
            say(lang, &format!("unit-{unit}"), &[("count", &count.to_string())])
        })
        .collect();
    said.join(" ")
}

/// So many bytes, in MiB.
pub fn bytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (seconds, en, ko) in [
            (0, "0 s", "0초"),
            (59, "59 s", "59초"),
            (61, "1 min 1 s", "1분 1초"),
            (7200, "2 h", "2시간"),
            (90_000, "1 d 1 h", "1일 1시간"),
        ] {
            assert_eq!(duration(Lang::En, seconds), en);
            assert_eq!(duration(Lang::Ko, seconds), ko);
        }
    }
}
