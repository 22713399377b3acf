//! What is new against what a workload is known to do, and how urgent that is.
//!
//! Promises that nothing is new twice, and that a file whose content is not that of the image any more is another file. It does
//! not tell right from wrong: new is what was not seen before.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::Lang;
use haechi_core::alert::Priority;
use haechi_core::profile::{Entry, Kind};
use jiff::Timestamp;

use crate::coverage::what;
use crate::texts;

/// Where a file lies that did not come with the image.
const FOREIGN: [&str; 3] = ["changed", "mounted", "memory"];

/// Of what was seen later, what is new against what is known and what came before it. A file that is only read or written is new
/// if its folder is; a program or library also if it was the image's and is not any more.
pub fn news<'a>(
    known: impl IntoIterator<Item = &'a Entry>,
    later: impl IntoIterator<Item = &'a Entry>,
) -> Vec<&'a Entry> {
    let mut seen: BTreeMap<(Kind, &str), BTreeSet<&str>> = BTreeMap::new();
    for entry in known {
        seen.entry((entry.kind, what(entry))).or_default().insert(&entry.origin);
    }
    let mut later: Vec<&Entry> = later.into_iter().collect();
    later.sort_by_key(|entry| entry.first_at);
    later.retain(|entry| {
        let origins = seen.entry((entry.kind, what(entry))).or_default();
        let is_first = origins.is_empty();
        let is_other = origins.insert(&entry.origin);
        is_first || is_other && is_code(entry.kind) && is_foreign(entry)
    });
    later
}

/// How urgent it is that this is new; `None` if nobody needs to be told at once.
pub fn priority(entry: &Entry) -> Option<Priority> {
    match entry.kind {
        Kind::Executed | Kind::Mapped if is_foreign(entry) => Some(Priority::Error),
        Kind::Executed | Kind::Mapped | Kind::Capability | Kind::Listening => {
            Some(Priority::Warning)
        }
        Kind::Peer | Kind::Call | Kind::Written => Some(Priority::Notice),
        Kind::Read | Kind::RefusedCall | Kind::RefusedCapability | Kind::Argument => None,
    }
}

/// What is new, and what makes it unusual: nothing new had come since `quiet_since`.
pub fn say(entry: &Entry, quiet_since: Option<Timestamp>, lang: Lang) -> String {
    let kind = texts::say(lang, &format!("news-{}", entry.kind.name()), &[("value", &entry.value)]);
    let origin = match entry.origin.as_str() {
        origin if is_foreign(entry) => texts::say(lang, &format!("news-origin-{origin}"), &[]),
        _ => String::new(),
    };
    let by = match entry.program.as_str() {
        // A program that was just executed is itself who did it.
        program if program.is_empty() || program == entry.value => String::new(),
        program => texts::say(lang, "news-by", &[("program", program)]),
    };
    let since = quiet_since.map(|at| {
        let at = at.strftime("%Y-%m-%d %H:%M UTC").to_string();
        texts::say(lang, "news-since", &[("at", &at)])
    });
    [kind, origin, by, since.unwrap_or_default()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(texts::say(lang, "news-between", &[]).as_str())
}

fn is_code(kind: Kind) -> bool {
    matches!(kind, Kind::Executed | Kind::Mapped)
}

fn is_foreign(entry: &Entry) -> bool {
    FOREIGN.contains(&entry.origin.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::entry;

    fn of(kind: Kind, value: &str, second: i64, origin: &str) -> Entry {
        Entry { origin: origin.into(), ..entry(kind, value, second) }
    }

    #[test]
    fn what_was_not_seen_before_is_new_once() {
        let known = [
            of(Kind::Executed, "/bin/a", 0, "image"),
            of(Kind::Executed, "/tmp/b", 0, "changed"),
            of(Kind::Written, "/tmp/1", 0, "changed"),
            of(Kind::Call, "read", 0, ""),
        ];
        let later = [
            of(Kind::Call, "bpf", 9, ""),
            of(Kind::Written, "/var/2", 8, ""),
            of(Kind::Written, "/var/1", 7, ""),
            of(Kind::Written, "/tmp/2", 7, ""),
            of(Kind::Executed, "/bin/a", 6, "changed"),
            of(Kind::Executed, "/bin/a", 7, "changed"),
            of(Kind::Executed, "/bin/a", 5, ""),
            of(Kind::Executed, "/tmp/b", 5, "image"),
            of(Kind::Read, "/bin/a", 5, ""),
        ];
        let values: Vec<(Kind, &str)> = news(&known, &later)
            .into_iter()
            .map(|entry| (entry.kind, entry.value.as_str()))
            .collect();
        assert_eq!(
            values,
            [
                (Kind::Read, "/bin/a"),
                (Kind::Executed, "/bin/a"),
                (Kind::Written, "/var/1"),
                (Kind::Call, "bpf"),
            ]
        );
        assert!(news(&known, &known).is_empty());
    }

    #[test]
    fn foreign_programs_are_the_most_urgent_and_what_is_only_read_is_not() {
        let priority = |kind, origin| priority(&of(kind, "/x", 0, origin));
        for origin in FOREIGN {
            assert_eq!(priority(Kind::Executed, origin), Some(Priority::Error));
            assert_eq!(priority(Kind::Mapped, origin), Some(Priority::Error));
            assert_eq!(priority(Kind::Written, origin), Some(Priority::Notice));
        }
        assert_eq!(priority(Kind::Executed, "image"), Some(Priority::Warning));
        assert_eq!(priority(Kind::Executed, ""), Some(Priority::Warning));
        assert_eq!(priority(Kind::Read, "changed"), None);
    }

    #[test]
    fn all_kinds_are_said_in_both_languages_and_names_forge_nothing() {
        for kind in Kind::ALL {
            for origin in ["", "image", "changed", "mounted", "memory"] {
                let entry = of(kind, "/x\n\u{1b}[2Jy", 0, origin);
                let [en, ko] =
                    [Lang::En, Lang::Ko].map(|lang| say(&entry, Some(Timestamp::UNIX_EPOCH), lang));
                assert!(en != ko && !en.contains("news-") && !ko.contains("news-"), "{en}: {ko}");
                assert!(
                    !en.contains(['\n', '\u{1b}'])
                        && !en.contains("{value}")
                        && en.contains("/bin/a"),
                    "{en}"
                );
                assert!(en.contains("1970-01-01 00:00 UTC"), "{en}");
            }
        }
    }
}
