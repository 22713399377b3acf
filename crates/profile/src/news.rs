//! What is new against what a workload is known to do, and how urgent that is.
//!
//! Promises that nothing is new twice, and that a file whose content is not that of the image any more is another file. It does
//! not tell right from wrong: new is what was not seen before. What is named by chance is not new by its name alone: files in
//! a folder that is used, folders made in one, another address or port of many.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::Lang;
use haechi_core::alert::Priority;
use haechi_core::profile::{Entry, Kind};
use jiff::Timestamp;

use crate::calls;
use crate::coverage::what;
use crate::texts;

/// Where a file lies that did not come with the image.
const FOREIGN: [&str; 4] = ["changed", "mounted", "memory", REPLACED];
/// Of one that lies where another lay that had not come with the image either.
const REPLACED: &str = "replaced";
/// What code that is read is called: to the kernel it is data.
const CODE: [&str; 20] = [
    "py", "pyc", "pyw", "js", "mjs", "cjs", "rb", "php", "phtml", "phar", "pl", "pm", "sh", "bash",
    "jar", "war", "ear", "class", "lua", "tcl",
];
/// Compiled modules of Python beside their sources: it makes them itself, and they count for those.
const COMPILED: &str = "/__pycache__/";
/// A port of which so many addresses are known has many, and so has an address of ports.
const MANY: usize = 8;
/// Ports that a client is given from here on.
const CLIENTS: u16 = 32_768;

/// Something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct New<'a> {
    /// What.
    pub entry: &'a Entry,
    /// In which way.
    pub why: Why,
}

/// In which way something is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was not seen before.
    First,
    /// Code that did not come with the image, where none was read before; or that is there in the place of such code.
    Code,
    /// A library of the image, by a program that is new itself.
    OfNew,
    /// It was the image's, and is not any more.
    Rewritten {
        /// Whether it is a program or code, by its name or because it was executed.
        is_code: bool,
    },
}

/// What was seen until a moment.
#[derive(Debug, Default)]
struct Seen<'a> {
    origins: BTreeMap<(Kind, &'a str), BTreeSet<&'a str>>,
    /// Files that were the image's when they were used.
    of_image: BTreeSet<&'a str>,
    executed: BTreeSet<&'a str>,
    /// Programs that are new.
    new_programs: BTreeSet<&'a str>,
    /// Whether all that is taken is known.
    is_known: bool,
    /// Where code is known that is not of the image: folders, and whether it takes the place of other such code.
    code: BTreeSet<(&'a str, bool)>,
    /// Names that were written: of folders as well.
    made: BTreeSet<&'a str>,
    /// How many addresses there are of a port, and how many ports of an address.
    ports: BTreeMap<(&'a str, u16), usize>,
    addresses: BTreeMap<(&'a str, &'a str), usize>,
    takes_datagrams: bool,
}

impl<'a> Seen<'a> {
    /// In which way something is new, if it is; after that it is not any more.
    fn take(&mut self, entry: &'a Entry) -> Option<Why> {
        let (value, what) = (entry.value.as_str(), what(entry));
        let origins = self.origins.entry((entry.kind, what)).or_default();
        let is_first = origins.is_empty();
        let is_other = origins.insert(&entry.origin);
        let first = is_first.then_some(Why::First);
        if entry.kind == Kind::Executed {
            self.executed.insert(value);
        }
        if entry.origin == "image" && entry.kind != Kind::Written {
            self.of_image.insert(value);
        }
        match entry.kind {
            Kind::Executed | Kind::Mapped if is_foreign(entry) => {
                let was_of_image = self.of_image.contains(value);
                if entry.kind == Kind::Executed && !self.is_known {
                    self.new_programs.insert(value);
                }
                let why = if was_of_image { Why::Rewritten { is_code: true } } else { Why::First };
                is_other.then_some(why)
            }
            Kind::Mapped => {
                let is_of_new = self.new_programs.contains(entry.program.as_str());
                first.map(|why| if is_of_new { Why::OfNew } else { why })
            }
            Kind::Executed => {
                if is_first && !self.is_known {
                    self.new_programs.insert(value);
                }
                first
            }
            Kind::Read if is_foreign(entry) => {
                let is_code = is_code(value);
                let place = (what, entry.origin == REPLACED);
                // What is changed once more is told as code.
                if self.of_image.contains(value) && entry.origin != REPLACED {
                    Some(Why::Rewritten { is_code: is_code || self.executed.contains(value) })
                } else if is_code && self.is_known {
                    self.code.insert(place);
                    None
                } else if is_code && !self.code.contains(&place) {
                    Some(Why::Code)
                } else {
                    first
                }
            }
            // A folder that was made is told when it is made, if that is new.
            Kind::Written => {
                let is_in_made = self.made.contains(what);
                self.made.insert(value);
                first.filter(|_| !is_in_made)
            }
            Kind::Call => first.filter(|_| !calls::is_everybodys(value)),
            Kind::Peer => self.peer(value, first),
            Kind::Listening => {
                self.takes_datagrams |= value.starts_with("udp");
                first
            }
            _ => first,
        }
    }

    fn peer(&mut self, value: &'a str, first: Option<Why>) -> Option<Why> {
        let Some((protocol, address, port)) = parts(value) else { return first };
        // Whoever takes datagrams answers where they came from.
        if protocol.starts_with("udp") && port >= CLIENTS && self.takes_datagrams {
            return None;
        }
        let addresses = self.ports.entry((protocol, port)).or_default();
        let ports = self.addresses.entry((protocol, address)).or_default();
        *addresses += usize::from(first.is_some());
        *ports += usize::from(first.is_some());
        first.filter(|_| *addresses.max(ports) <= MANY)
    }
}

/// Of what was seen later, what is new against what is known and what came before it, the oldest first.
pub fn found<'a>(
    known: impl IntoIterator<Item = &'a Entry>,
    later: impl IntoIterator<Item = &'a Entry>,
) -> Vec<New<'a>> {
    let mut seen = Seen { is_known: true, ..Seen::default() };
    for entry in known {
        seen.take(entry);
    }
    seen.is_known = false;
    let mut later: Vec<&Entry> = later.into_iter().collect();
    later.sort_by_key(|entry| entry.first_at);
    later.into_iter().filter_map(|entry| Some(New { entry, why: seen.take(entry)? })).collect()
}

/// The same, without in which way.
pub fn news<'a>(
    known: impl IntoIterator<Item = &'a Entry>,
    later: impl IntoIterator<Item = &'a Entry>,
) -> Vec<&'a Entry> {
    found(known, later).into_iter().map(|new| new.entry).collect()
}

impl New<'_> {
    /// How urgent it is; `None` if nobody needs to be told at once.
    pub fn priority(&self) -> Option<Priority> {
        match (self.entry.kind, self.why) {
            (Kind::Executed | Kind::Mapped, _) if is_foreign(self.entry) => Some(Priority::Error),
            (_, Why::OfNew) => None,
            (Kind::Executed | Kind::Mapped | Kind::Capability | Kind::Listening, _)
            | (Kind::Read, Why::Code | Why::Rewritten { is_code: true }) => Some(Priority::Warning),
            (Kind::Peer | Kind::Call | Kind::Written, _)
            | (Kind::Read, Why::Rewritten { is_code: false }) => Some(Priority::Notice),
            _ => None,
        }
    }

    /// What is new, and what makes it unusual: nothing new had come since `quiet_since`.
    pub fn say(&self, quiet_since: Option<Timestamp>, lang: Lang) -> String {
        let entry = self.entry;
        let key = match (entry.kind, self.why) {
            (Kind::Read, Why::Code) => "news-read-code".to_owned(),
            (Kind::Read, Why::Rewritten { .. }) => "news-read-rewritten".to_owned(),
            _ => format!("news-{}", entry.kind.name()),
        };
        let kind = texts::say(lang, &key, &[("value", &entry.value)]);
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
}

/// Whether no new build of an image explains that a container of it does this: it is not of the image, or no matter of its files.
pub fn is_unexplained(entry: &Entry) -> bool {
    match entry.kind {
        Kind::Executed | Kind::Mapped => is_foreign(entry),
        Kind::Capability | Kind::Listening => true,
        _ => false,
    }
}

/// Whether a file is code that an interpreter reads, by its name.
pub fn is_code(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| CODE.contains(&ending.as_str())) && !path.contains(COMPILED)
}

/// `tcp`, `10.0.0.1` and 443 of `tcp 10.0.0.1:443`.
fn parts(peer: &str) -> Option<(&str, &str, u16)> {
    let (protocol, place) = peer.split_once(' ').filter(|(protocol, _)| *protocol != "unix")?;
    let (address, port) = place.rsplit_once(':')?;
    Some((protocol, address, port.parse().ok()?))
}

/// Whether a file did not come with the image, or lay where one lay that had not.
pub(crate) fn is_foreign(entry: &Entry) -> bool {
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
        let priority =
            |kind, origin| New { entry: &of(kind, "/x", 0, origin), why: Why::First }.priority();
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
            let origins = ["", "image", "changed", "mounted", "memory", "replaced"];
            let ways = [Why::First, Why::Code, Why::OfNew, Why::Rewritten { is_code: true }];
            for (origin, why) in origins.iter().flat_map(|origin| ways.map(|why| (*origin, why))) {
                let entry = of(kind, "/x\n\u{1b}[2Jy", 0, origin);
                let [en, ko] = [Lang::En, Lang::Ko]
                    .map(|lang| New { entry: &entry, why }.say(Some(Timestamp::UNIX_EPOCH), lang));
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

    fn said(known: &[Entry], later: &[Entry]) -> Vec<(String, Option<Priority>)> {
        let found = found(known, later);
        found.iter().map(|new| (new.entry.value.clone(), new.priority())).collect()
    }

    #[test]
    fn libraries_of_a_new_program_are_told_with_it_and_what_everybody_calls_is_no_news() {
        let known = [of(Kind::Executed, "/bin/sh", 0, "image"), of(Kind::Call, "read", 0, "")];
        let mapped = |program: &str, value: &str, origin: &str| Entry {
            program: program.into(),
            ..of(Kind::Mapped, value, 2, origin)
        };
        let later = [
            of(Kind::Executed, "/bin/curl", 1, "image"),
            mapped("/bin/curl", "/lib/curl.so", "image"),
            mapped("/bin/curl", "/tmp/evil.so", "changed"),
            mapped("/bin/sh", "/lib/other.so", "image"),
            of(Kind::Call, "exit_group", 3, ""),
            of(Kind::Call, "bpf", 3, ""),
        ];
        assert_eq!(
            said(&known, &later),
            [
                ("/bin/curl".into(), Some(Priority::Warning)),
                ("/lib/curl.so".into(), None),
                ("/tmp/evil.so".into(), Some(Priority::Error)),
                ("/lib/other.so".into(), Some(Priority::Warning)),
                ("bpf".into(), Some(Priority::Notice)),
            ]
        );
    }

    #[test]
    fn code_that_is_read_is_told_where_none_was_and_where_it_was_the_images() {
        let known = [
            of(Kind::Executed, "/app/run", 0, ""),
            of(Kind::Read, "/app/run", 0, "image"),
            of(Kind::Read, "/app/app.py", 0, "image"),
            of(Kind::Read, "/app/app.ini", 0, "image"),
            of(Kind::Read, "/cache/1.php", 0, "changed"),
            of(Kind::Read, "/app/__pycache__/app.cpython-311.pyc", 0, "changed"),
        ];
        let later = [
            of(Kind::Read, "/app/run", 1, "changed"),
            of(Kind::Read, "/app/app.py", 2, "changed"),
            of(Kind::Read, "/app/app.ini", 3, "changed"),
            of(Kind::Read, "/app/evil.PY", 4, "changed"),
            of(Kind::Read, "/app/evil2.py", 5, "changed"),
            of(Kind::Read, "/app/other.py", 6, "image"),
            of(Kind::Read, "/cache/2.php", 7, "changed"),
            of(Kind::Read, "/app/__pycache__/b.cpython-311.pyc", 8, "changed"),
            of(Kind::Read, "/app/data", 9, "changed"),
            of(Kind::Read, "/app/app.py", 10, "replaced"),
            of(Kind::Read, "/new/data", 11, "changed"),
        ];
        let warning = Some(Priority::Warning);
        assert_eq!(
            said(&known, &later),
            [
                ("/app/run".into(), warning),
                ("/app/app.py".into(), warning),
                ("/app/app.ini".into(), Some(Priority::Notice)),
                ("/app/evil.PY".into(), warning),
                ("/app/evil2.py".into(), warning),
                ("/app/app.py".into(), warning),
                ("/new/data".into(), None),
            ]
        );
    }

    #[test]
    fn what_was_not_of_the_image_and_is_another_now_is_new() {
        let known = [
            of(Kind::Executed, "/tmp/x", 0, "changed"),
            of(Kind::Executed, "/tmp/build", 0, "changed"),
            of(Kind::Executed, "/tmp/build", 0, "replaced"),
        ];
        let later = [
            of(Kind::Executed, "/tmp/x", 1, "replaced"),
            of(Kind::Executed, "/tmp/build", 1, "replaced"),
        ];
        assert_eq!(said(&known, &later), [("/tmp/x".into(), Some(Priority::Error))]);
    }

    #[test]
    fn folders_that_are_made_where_it_writes_anyway_are_nothing_new() {
        let known = [of(Kind::Written, "/data/first", 0, "")];
        let later = [
            of(Kind::Written, "/data/2026", 1, ""),
            of(Kind::Written, "/data/2026/11", 2, ""),
            of(Kind::Written, "/data/2026/11/x", 3, ""),
            of(Kind::Written, "/evil", 4, ""),
            of(Kind::Written, "/evil/x", 5, ""),
            of(Kind::Written, "/etc/cron.d/x", 6, ""),
        ];
        let notice = Some(Priority::Notice);
        assert_eq!(
            said(&known, &later),
            [("/evil".into(), notice), ("/etc/cron.d/x".into(), notice)]
        );
    }

    #[test]
    fn the_next_of_many_addresses_and_an_answer_to_a_client_are_nothing_new() {
        let peer = |value: String, at| of(Kind::Peer, &value, at, "");
        let known: Vec<Entry> = (0..8)
            .map(|number| peer(format!("tcp 10.0.0.{number}:443"), 0))
            .chain([peer("tcp [fe80::1]:5432".into(), 0), of(Kind::Listening, "udp 8125", 0, "")])
            .collect();
        let later = [
            peer("tcp 10.9.9.9:443".into(), 1),
            peer("udp 10.9.9.9:443".into(), 2),
            peer("tcp [fe80::2]:5432".into(), 3),
            peer("udp 10.0.0.7:40123".into(), 4),
            peer("udp 10.0.0.7:53".into(), 5),
            peer("tcp 10.0.0.7:40123".into(), 6),
            peer("unix /run/x:8".into(), 7),
        ];
        let values: Vec<String> =
            said(&known, &later).into_iter().map(|(value, _)| value).collect();
        assert_eq!(
            values,
            [
                "udp 10.9.9.9:443",
                "tcp [fe80::2]:5432",
                "udp 10.0.0.7:53",
                "tcp 10.0.0.7:40123",
                "unix /run/x:8"
            ]
        );
        // A scan is told, and not a hundred times.
        let scan: Vec<Entry> =
            (1..100).map(|port| peer(format!("tcp 127.0.0.1:{port}"), port)).collect();
        assert_eq!(said(&known, &scan).len(), 8);
    }
}
