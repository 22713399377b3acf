//! Tests of the database: whole or not there.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;

const NOW: &str = "2030-06-10T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn open(dir: &Path) -> Database {
    Database::open(dir, Freshness { now: now(), age_days_max: 7 }).unwrap().unwrap()
}

fn osv(id: &str, modified: &str, affected: &[(&str, &str, &str)]) -> String {
    let entry = |(ecosystem, name, fixed): &(&str, &str, &str)| {
        serde_json::json!({"package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}]})
    };
    let affected: Vec<_> = affected.iter().map(entry).collect();
    serde_json::json!({"id": id, "schema_version": "1.6.0", "modified": modified, "affected": affected}).to_string()
}

fn zip(path: &Path, members: &[(&str, &str)]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, text) in members {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

fn plan(from: &Path) -> Plan {
    Plan {
        origin: Origin::Folder(from.to_owned()),
        only: Vec::new(),
        complete: false,
        nvd_api_key: None,
        now: now(),
    }
}

fn load(dir: &Path, from: &Path) -> UpdateReport {
    folder::load(dir, from, &plan(from), &(), Arc::new(AtomicBool::new(false))).unwrap()
}

fn ids(db: &Database, ecosystem: &str, name: &str) -> Vec<String> {
    db.records(ecosystem, name).unwrap().into_iter().map(|r| r.id).collect()
}

/// A folder with an export of Debian in it, and one for the database.
fn sample() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let (feeds, dir) = (root.path().join("feeds"), root.path().join("db"));
    let first = osv(
        "CVE-2030-1",
        "2030-06-01T00:00:00Z",
        &[("Debian:12", "zlib", "1.2-3"), ("Alpine:v3.20", "zlib", "1.3-r0")],
    );
    let second = osv(
        "CVE-2030-2",
        "2030-06-02T00:00:00Z",
        &[("Debian:12", "zlib", "1.2-4"), ("Debian:11", "zlib", "1.1-4")],
    );
    zip(
        &feeds.join("Debian/all.zip"),
        &[("a.json", &first), ("b.json", &second), ("c.json", "{\"id\": 5,"), ("README", "x")],
    );
    (root, feeds, dir)
}

#[test]
fn a_folder_becomes_a_database_that_answers() {
    let (_root, feeds, dir) = sample();
    let kev = r#"{"catalogVersion": "1", "count": 1, "vulnerabilities": [{"cveID": "CVE-2030-1", "dateAdded": "2030-01-01"}]}"#;
    std::fs::write(feeds.join("k"), kev).unwrap();
    std::fs::write(feeds.join("e"), "#model_version:v1,score_date:2030-06-09T00:00:00+0000\ncve,epss,percentile\nCVE-2030-1,0.5,0.9\n").unwrap();
    std::fs::write(feeds.join("note.txt"), "hello").unwrap();
    let report = load(&dir, &feeds);
    let names: Vec<&str> = report.sources.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["epss", "kev", "osv/Debian"]);
    assert!(report.sources.iter().all(|s| s.outcome == Outcome::Updated), "{report:?}");
    assert_eq!(report.unrecognised_count, 1);
    let meta = report.sources[2].meta.as_ref().unwrap();
    assert_eq!((meta.records, meta.broken), (2, 1));
    assert_eq!(meta.broken_examples[0].0, "c.json");
    let db = open(&dir);
    assert_eq!(ids(&db, "Debian:12", "zlib"), ["CVE-2030-1", "CVE-2030-2"]);
    assert_eq!(ids(&db, "Debian:11", "zlib"), ["CVE-2030-2"]);
    assert_eq!(ids(&db, "Debian:12", "curl"), Vec::<String>::new());
    assert!(db.knows("Debian:12") && !db.knows("Debian:13"));
    let details =
        |ecosystem: &str| db.details("CVE-2030-1", &[ecosystem.to_owned()]).unwrap().len();
    assert_eq!((details("Debian:12"), details("npm")), (1, 0));
    assert_eq!(db.exploited("CVE-2030-1").unwrap().unwrap().added, "2030-01-01");
    assert_eq!(db.epss("CVE-2030-1").unwrap().unwrap().percentile, 0.9);
    assert_eq!(db.epss("CVE-2030-2").unwrap(), None);
}

#[test]
fn what_an_export_says_aside_is_not_taken_for_a_whole_ecosystem() {
    let (_root, feeds, dir) = sample();
    load(&dir, &feeds);
    assert!(!open(&dir).knows("Alpine:v3.20"));
    // Nor does it replace or outdate what the ecosystem's own export says.
    let own = osv(
        "CVE-2030-1",
        "2030-05-01T00:00:00Z",
        &[("Alpine:v3.20", "zlib", "1.3-r0"), ("Debian:12", "zlib", "1.2-3")],
    );
    let other = osv("CVE-2030-9", "2030-05-01T00:00:00Z", &[("Alpine:v3.20", "apk", "2")]);
    zip(&feeds.join("Alpine/all.zip"), &[("a.json", &own), ("b.json", &other)]);
    load(&dir, &feeds);
    let db = open(&dir);
    assert_eq!(ids(&db, "Alpine:v3.20", "zlib"), ["CVE-2030-1"]);
    assert_eq!(ids(&db, "Debian:12", "zlib"), ["CVE-2030-1", "CVE-2030-2"]);
}

#[test]
fn of_two_with_one_id_the_newer_counts_as_a_whole() {
    let root = tempfile::tempdir().unwrap();
    let old = osv("GHSA-1", "2030-01-01T00:00:00Z", &[("npm", "a", "1"), ("npm", "b", "1")]);
    let new = osv("GHSA-1", "2030-02-01T00:00:00Z", &[("npm", "a", "2")]);
    zip(&root.path().join("feeds/x.zip"), &[("1.json", &old)]);
    zip(&root.path().join("feeds/y.zip"), &[("1.json", &new)]);
    let dir = root.path().join("db");
    load(&dir, &root.path().join("feeds"));
    let db = open(&dir);
    assert_eq!(db.records("npm", "a").unwrap().len(), 1);
    assert_eq!(db.records("npm", "b").unwrap(), []);
}

#[test]
fn a_broken_feed_leaves_the_old_data() {
    let (_root, feeds, dir) = sample();
    load(&dir, &feeds);
    let tar = |cut: usize| {
        let mut tar = tar::Builder::new(Vec::new());
        for i in 0..20 {
            let text =
                osv(&format!("CVE-2030-{i}"), "2030-06-03T00:00:00Z", &[("Debian:12", "new", "1")]);
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, format!("{i}.json"), text.as_bytes()).unwrap();
        }
        let mut bytes = tar.into_inner().unwrap();
        bytes.truncate(bytes.len() - cut);
        bytes
    };
    std::fs::remove_file(feeds.join("Debian/all.zip")).unwrap();
    std::fs::write(feeds.join("Debian/all.tar"), tar(3000)).unwrap();
    let report = load(&dir, &feeds);
    assert!(matches!(report.sources[0].outcome, Outcome::Failed(_)), "{report:?}");
    assert_eq!(ids(&open(&dir), "Debian:12", "zlib").len(), 2);
    std::fs::write(feeds.join("Debian/all.tar"), tar(0)).unwrap();
    load(&dir, &feeds);
    assert_eq!(ids(&open(&dir), "Debian:12", "new").len(), 20);
}

#[test]
fn an_update_that_is_killed_or_cancelled_leaves_the_old_data() {
    let (_root, feeds, dir) = sample();
    load(&dir, &feeds);
    let before = std::fs::read(dir.join("osv-Debian.redb")).unwrap();
    // As if killed between writing and renaming, or in the middle of writing.
    std::fs::write(dir.join(".new-osv-Debian.redb"), before.get(..before.len() / 2).unwrap())
        .unwrap();
    assert_eq!(ids(&open(&dir), "Debian:12", "zlib").len(), 2);
    let cancelled = Arc::new(AtomicBool::new(true));
    let done = folder::load(&dir, &feeds, &plan(&feeds), &(), cancelled);
    assert!(matches!(done, Err(DbError::Cancelled)), "{done:?}");
    assert!(std::fs::read(dir.join("osv-Debian.redb")).unwrap() == before);
    assert!(!dir.join(".new-osv-Debian.redb").exists());
    // And the next one works.
    load(&dir, &feeds);
    assert_eq!(ids(&open(&dir), "Debian:12", "zlib").len(), 2);
}

#[test]
fn a_damaged_file_is_named_and_its_ecosystems_are_unknown() {
    let (_root, feeds, dir) = sample();
    let tracker = r#"{"zlib": {"CVE-2030-7": {"releases": {"bookworm": {"status": "open"}}}}}"#;
    std::fs::write(feeds.join("t.json"), tracker).unwrap();
    load(&dir, &feeds);
    let path = dir.join("osv-Debian.redb");
    let whole = std::fs::read(&path).unwrap();
    for len in [0, 100, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        std::fs::write(&path, whole.get(..len).unwrap()).unwrap();
        let db = open(&dir);
        let status = db.status();
        let refused = status.iter().find(|s| s.name == "osv/Debian").unwrap();
        assert!(refused.error.is_some(), "cut to {len} of {}", whole.len());
        assert!(!db.knows("Debian:12"), "cut to {len}");
        // The tracker still answers.
        assert_eq!(ids(&db, "Debian:12", "zlib"), ["CVE-2030-7"]);
    }
    std::fs::write(&path, "not a database").unwrap();
    assert!(!open(&dir).knows("Debian:12"));
    // A source under the name of another one is refused.
    std::fs::write(&path, &whole).unwrap();
    std::fs::rename(&path, dir.join("osv-npm.redb")).unwrap();
    assert!(open(&dir).status().iter().any(|s| s.name == "osv/npm" && s.error.is_some()));
}

#[test]
fn one_update_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _first = lock::Lock::take(dir.path()).unwrap();
    assert!(matches!(lock::Lock::take(dir.path()), Err(DbError::Locked(_))));
}

#[test]
fn age_counts_from_what_can_be_trusted() {
    let meta = |as_of: &str| Meta { as_of: as_of.into(), ..Meta::default() };
    assert_eq!(age(&meta("2030-06-01T00:00:00Z"), now()), Some(9));
    assert_eq!(age(&meta(""), now()), None);
    assert_eq!(age(&meta("2031-01-01T00:00:00Z"), now()), None);
    let (_root, feeds, dir) = sample();
    // The content is of 2 June, and today is the 10th: it does not matter that it was read today.
    load(&dir, &feeds);
    let status = open(&dir).status();
    assert_eq!((status[0].age_days, status[0].too_old), (Some(8), true));
}

#[test]
fn a_part_of_a_feed_is_one_until_it_is_declared_complete() {
    let (root, feeds, dir) = sample();
    let load = |complete: bool| {
        let plan = Plan { complete, ..plan(&feeds) };
        folder::load(&dir, &feeds, &plan, &(), Arc::new(AtomicBool::new(false))).unwrap();
        open(&dir).sources().remove(0)
    };
    let part = load(false);
    assert_eq!((part.name.as_str(), part.completeness), ("osv/Debian", Completeness::Partial));
    assert!(part.shortfall.starts_with("has 2 records"), "{}", part.shortfall);
    let declared = load(true);
    assert_eq!(
        (declared.completeness, declared.shortfall),
        (Completeness::Declared, part.shortfall)
    );
    // A bundle keeps it, the next update does not, nor does it touch what it does not replace.
    let (bundle, other) = (root.path().join("bundle"), root.path().join("other"));
    export(&dir, &bundle, None, now()).unwrap();
    import(&other, &bundle, Trust::Anyone).unwrap();
    assert_eq!(open(&other).sources()[0].completeness, Completeness::Declared);
    let only = Plan { only: vec!["kev".into()], ..plan(&feeds) };
    folder::load(&other, &feeds, &only, &(), Arc::new(AtomicBool::new(false))).unwrap();
    assert_eq!(open(&other).sources()[0].completeness, Completeness::Declared);
    assert_eq!(load(false).completeness, Completeness::Partial);
}

#[test]
fn years_of_nvd_are_counted_and_its_broken_entries_not_forgotten() {
    let root = tempfile::tempdir().unwrap();
    let (feeds, dir) = (root.path().join("feeds"), root.path().join("db"));
    std::fs::create_dir_all(&feeds).unwrap();
    let cve = |id: &str| {
        serde_json::json!({"cve": {"id": id, "lastModified": "2030-06-09T00:00:00.000",
        "descriptions": [{"lang": "en", "value": "d"}]}})
    };
    let page = |cves: Vec<serde_json::Value>| {
        let page = serde_json::json!({"format": "NVD_CVE", "version": "2.0", "resultsPerPage": cves.len(),
            "startIndex": 0, "totalResults": cves.len(), "vulnerabilities": cves});
        std::fs::write(feeds.join("n.json"), page.to_string()).unwrap();
    };
    page(vec![cve("CVE-2019-1"), cve("CVE-2019-2"), cve("CVE-2020-1"), serde_json::json!({})]);
    load(&dir, &feeds);
    let meta = open(&dir).status().remove(0).meta;
    assert_eq!(meta.years, [(2019, 2), (2020, 1)].into());
    assert_eq!(meta.broken, 1);
    // What has changed since completes it.
    let old = Store::open(&dir.join("nvd.redb")).unwrap();
    let mut builder = build::Builder::new(&dir, now(), Arc::new(AtomicBool::new(false)));
    builder.route(build::Route::One("nvd".into()));
    crate::feed::nvd::one(&cve("CVE-2021-1")["cve"], &mut builder).unwrap();
    builder.keep_old(&old).unwrap();
    folder::write(builder, &dir, &plan(&feeds), Via::Mirror, &mut UpdateReport::default()).unwrap();
    let meta = open(&dir).status().remove(0).meta;
    assert_eq!((meta.years, meta.broken), ([(2019, 2), (2020, 1), (2021, 1)].into(), 1));
}

#[test]
fn names_of_sources_lead_nowhere_else() {
    for name in ["osv/../../etc/passwd", "osv/a/b", "osv/Rocky Linux", "../x", ".x"] {
        let file = store::file_name(name);
        assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
    }
    assert_eq!(store::file_name("alpine-secdb/v3.20"), "alpine-secdb-v3.20.redb");
}

#[test]
fn a_bundle_is_taken_only_as_it_was_signed() {
    let (root, feeds, dir) = sample();
    load(&dir, &feeds);
    let (secret, public) = keygen().unwrap();
    let key = signing_key(&secret).unwrap();
    let trusted = [verifying_key(&public).unwrap()];
    let stranger = [verifying_key(&keygen().unwrap().1).unwrap()];
    assert!(signing_key(&public).is_err() && verifying_key(&secret).is_err());
    let (signed, plain) = (root.path().join("signed"), root.path().join("plain"));
    export(&dir, &signed, Some(&key), now()).unwrap();
    export(&dir, &plain, None, now()).unwrap();
    let other = root.path().join("other");
    for (bundle, trust) in [
        (&signed, Trust::Keys(&stranger)),
        (&plain, Trust::Keys(&trusted)),
        (&signed, Trust::Keys(&[])),
    ] {
        assert!(import(&other, bundle, trust).is_err());
        assert!(
            Database::open(&other, Freshness { now: now(), age_days_max: 7 }).unwrap().is_none()
        );
    }
    // A source that was changed after signing.
    let mut tar = Vec::new();
    zstd::stream::copy_decode(std::fs::File::open(&signed).unwrap(), &mut tar).unwrap();
    let last = tar.len() - 20_000;
    tar[last] ^= 1;
    let changed = root.path().join("changed");
    std::fs::write(&changed, zstd::encode_all(tar.as_slice(), 1).unwrap()).unwrap();
    assert!(import(&other, &changed, Trust::Keys(&trusted)).is_err());
    // One that is cut.
    let whole = std::fs::read(&signed).unwrap();
    std::fs::write(&changed, whole.get(..whole.len() / 2).unwrap()).unwrap();
    assert!(import(&other, &changed, Trust::Anyone).is_err());
    let metas = import(&other, &signed, Trust::Keys(&trusted)).unwrap();
    assert_eq!(metas[0].name, "osv/Debian");
    assert_eq!(ids(&open(&other), "Debian:12", "zlib").len(), 2);
    import(&other, &plain, Trust::Anyone).unwrap();
}
