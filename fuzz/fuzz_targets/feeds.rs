//! Readers of vulnerability feeds, and the database itself. The first byte picks a reader, the whole way from files
//! into a database, a damaged database, or a bundle.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use haechi_fuzz::choice;
use haechi_vulns::advisory::Lookup;
use haechi_vulns::db::{Database, Freshness, Origin, Plan, Trust, import, update, verifying_key};
use haechi_vulns::feed::{FeedError, Parcel, Sink, debian, epss, kev, nvd, osv, secdb, shape};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

/// Remembers everything.
#[derive(Default, Debug, PartialEq)]
struct Basket {
    parcels: Vec<Parcel>,
    broken: Vec<(String, String)>,
    dates: Vec<String>,
}

impl Sink for Basket {
    fn take(&mut self, parcel: Parcel) -> Result<(), FeedError> {
        self.parcels.push(parcel);
        Ok(())
    }
    fn broken(&mut self, name: &str, why: &str) {
        self.broken.push((name.to_owned(), why.to_owned()));
    }
    fn dated(&mut self, when: &str) {
        self.dates.push(when.to_owned());
    }
}

/// Two records of one source, from which the database is made that is then damaged.
const FEED: &str = r#"{"id":"DSA-1-1","modified":"2026-01-01T00:00:00Z","aliases":["CVE-2026-0001"],
"summary":"one","affected":[{"package":{"ecosystem":"Debian:12","name":"one"},"ranges":[{"type":"ECOSYSTEM",
"events":[{"introduced":"0"},{"fixed":"1.2-3"}]}]},{"package":{"ecosystem":"Debian:12","name":"two"},
"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}"#;

fn now() -> Timestamp {
    "2026-02-01T00:00:00Z".parse().expect("a moment")
}

/// A folder in memory: databases are synced to disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::TempDir::new_in(place).expect("a folder")
}

fn load(feed: &[u8], name: &str) -> tempfile::TempDir {
    let folder = folder();
    let (from, dir) = (folder.path().join("from"), folder.path().join("db"));
    fs::create_dir_all(&from).expect("a folder");
    fs::create_dir_all(&dir).expect("a folder");
    fs::write(from.join(name), feed).expect("memory takes it");
    let plan = Plan {
        origin: Origin::Folder(from),
        only: Vec::new(),
        complete: false,
        nvd_api_key: None,
        now: now(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let report =
        runtime.block_on(update(&dir, &plan, Arc::new(()))).expect("the folder can be read");
    let told = report.sources.len() + report.failures.len() + report.skipped.len();
    assert!(told > 0 || report.unrecognised_count > 0, "a file is passed over in silence");
    folder
}

static WHOLE: LazyLock<(String, Vec<u8>)> = LazyLock::new(|| {
    let folder = load(FEED.as_bytes(), "DSA-1-1.json");
    let file = fs::read_dir(folder.path().join("db"))
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "redb"))
        .expect("a source");
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (name, fs::read(file).expect("it can be read"))
});

fuzz_target!(
    init: {
        // redb panics on damaged files, and the database takes that for an error; what nobody takes still ends in a
        // crash.
        std::panic::set_hook(Box::new(|what| {
            let place = what.location().map(|l| l.file().to_owned()).unwrap_or_default();
            if !place.contains("redb") {
                eprintln!("{what}");
            }
        }));
    },
    |data: &[u8]| {
        let Some((first, content)) = choice(data) else { return };
        match first % 14 {
            0 | 1 => {
                let read = |out: &mut Basket| osv::read(content, "a.json", out);
                let basket = strict(content, read);
                if let Some(basket) = basket {
                    assert!(!basket.parcels.is_empty() || !basket.broken.is_empty(), "in silence");
                }
            }
            2 => drop(strict(content, |out| debian::read(content, out))),
            3 => {
                if let Ok(owner) = secdb::owner(content) {
                    strict(content, |out| secdb::read(content, &owner, out));
                }
            }
            4 | 5 => drop(strict(content, |out| nvd::read(content, out).map(drop))),
            6 => drop(strict(content, |out| kev::read(content, out))),
            7 => {
                let _ = epss::read(content, &mut Basket::default());
            }
            8 => {
                let (head, rest) = content.split_at(content.len().min(512));
                let found = shape::of(head, rest);
                assert_eq!(shape::of(head, rest), found);
            }
            9 | 10 => {
                let folder = load(content, "feed");
                opened(&folder.path().join("db"));
            }
            11 | 12 => damaged(content),
            _ => bundle(content),
        }
    }
);

/// Reads twice; what is read without an error must be JSON.
fn strict(content: &[u8], read: impl Fn(&mut Basket) -> Result<(), FeedError>) -> Option<Basket> {
    let (mut basket, mut again) = (Basket::default(), Basket::default());
    let result = read(&mut basket);
    assert_eq!(read(&mut again).is_ok(), result.is_ok());
    assert_eq!(again, basket);
    if result.is_err() {
        return None;
    }
    let text = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let valid = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
    assert!(valid || !basket.broken.is_empty(), "what is no JSON was taken");
    Some(basket)
}

fn opened(dir: &Path) {
    let freshness = Freshness { now: now(), age_days_max: 30 };
    let Ok(Some(database)) = Database::open(dir, freshness) else { return };
    for status in database.status() {
        assert!(status.error.is_none(), "{status:?}: what was just written cannot be read");
    }
    ask(&database);
}

/// Asks for what may be there. Errors are answers.
fn ask(database: &Database) {
    for (ecosystem, name) in [("Debian:12", "one"), ("Debian:12", "two"), ("npm", "a")] {
        let _ = database.records(ecosystem, name);
    }
    for id in ["DSA-1-1", "CVE-2026-0001", "a"] {
        let _ = (database.details(id, &[]), database.exploited(id), database.epss(id));
    }
    let _ = (database.products("a", "b"), database.sources(), database.sources_of("Debian:12"));
}

/// A few bytes of a whole database are others, or it ends too early: an empty answer for what was there would be a
/// false pass.
fn damaged(content: &[u8]) {
    let (name, whole) = &*WHOLE;
    let mut bytes = whole.clone();
    for change in content.chunks_exact(4).take(64) {
        let [high, middle, low, value] = change else { continue };
        let at = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        let length = bytes.len().max(1);
        match (value, bytes.get_mut(at % length)) {
            (0xfe, _) => bytes.truncate(at % length),
            (_, Some(byte)) => *byte ^= value,
            _ => {}
        }
    }
    let folder = folder();
    fs::write(folder.path().join(name), &bytes).expect("memory takes it");
    let freshness = Freshness { now: now(), age_days_max: 60 };
    let Ok(Some(database)) = Database::open(folder.path(), freshness) else {
        panic!("the folder has a source");
    };
    ask(&database);
    if bytes == *whole {
        assert!(database.knows("Debian:12"));
        assert_eq!(database.records("Debian:12", "one").map(|r| r.len()).ok(), Some(1));
    }
    if database.knows("Debian:12") {
        for package in ["one", "two"] {
            let records = database.records("Debian:12", package);
            assert!(
                records.is_err() || records.is_ok_and(|r| !r.is_empty()),
                "`{package}` is lost in silence"
            );
        }
    }
}

fn bundle(content: &[u8]) {
    let folder = folder();
    let (dir, file): (PathBuf, PathBuf) = (folder.path().join("db"), folder.path().join("bundle"));
    fs::create_dir_all(&dir).expect("a folder");
    fs::write(&file, content).expect("memory takes it");
    let key = "haechi-public-key:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let keys = [verifying_key(key).expect("a key")];
    assert!(import(&dir, &file, Trust::Keys(&keys)).is_err(), "nobody signed it");
    let packed = haechi_fuzz::make::zstd(content);
    fs::write(&file, packed).expect("memory takes it");
    let _ = import(&dir, &file, Trust::Anyone);
}
