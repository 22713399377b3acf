//! The vulnerability database: what is put in comes out as matches, what is broken is said, and nothing that happens to
//! an update makes a scan wrong.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use haechi_core::finding::Cause;
use haechi_core::verdict::Safety;
use haechi_core::vulnerability::{FixState, Rating, Vulnerability};
use haechi_tests::{Compression, Done, Feeds, Haechi, Image, Layer, Reply, Scanned, Server, scan};
use serde_json::json;
use tempfile::TempDir;

const WORST: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
const MEDIUM: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N";

fn db(words: &[&str], data: &Path) -> Done {
    Haechi::new(&[&["db"], words].concat()).data(data).run()
}

/// An image with a package of each of three kinds.
fn image(tool: &str) -> (TempDir, String) {
    let status = format!(
        "Package: acme-tool\nStatus: install ok installed\nArchitecture: all\nVersion: {tool}\nDescription: d\n\n"
    );
    let layer = Layer::new()
        .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n")
        .file("var/lib/dpkg/status", status)
        .file(
            "usr/lib/python3/dist-packages/acme_web-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: acme-web\nVersion: 1.0\n",
        )
        .file(
            "srv/node_modules/acme-left/package.json",
            r#"{"name": "acme-left", "version": "1.4.0"}"#,
        );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar");
    fs::write(&path, Image::of([layer]).docker_archive()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

fn feeds(days: i64) -> Feeds {
    let feeds = Feeds::of(days);
    let mut web = feeds.osv("GHSA-aaaa-bbbb-cccc", "PyPI", "acme-web", "2.0");
    web["aliases"] = json!(["CVE-2026-0001"]);
    web["severity"] = json!([{"type": "CVSS_V3", "score": MEDIUM}]);
    let broken = ("broken.json".to_owned(), "{\"id\": 5,".to_owned());
    feeds.put("PyPI/all.zip", Feeds::zipped(&[("web.json".into(), web.to_string()), broken]));
    let mut left = feeds.critical("GHSA-dddd-eeee-ffff", "npm", "acme-left", "1.4.1");
    left["aliases"] = json!(["CVE-2026-0002"]);
    feeds.put("npm/left.json", left.to_string());
    feeds.put(
        "npm/other.json",
        feeds.osv("GHSA-0000-0000-0000", "npm", "acme-other", "9").to_string(),
    );
    feeds.put("tracker.json", json!({"acme-tool": {
        "CVE-2026-0003": {"description": "d", "releases": {"bookworm": {"status": "resolved", "fixed_version": "1.0-2", "urgency": "medium", "repositories": {}}}},
        "CVE-2026-0004": {"description": "d", "releases": {"bookworm": {"status": "open", "urgency": "unimportant", "repositories": {}}}},
    }}).to_string());
    feeds.put(
        "secdb/main.json",
        json!({
            "distroversion": "v3.20", "reponame": "main", "urlprefix": "https://example.org/alpine",
            "packages": [{"pkg": {"name": "acme-apk", "secfixes": {"1.2-r3": ["CVE-2026-0005"]}}}],
        })
        .to_string(),
    );
    feeds.put("nvd-page", feeds.nvd(1, &[("CVE-2026-0003", "It falls over.", WORST)]));
    feeds.put("known", feeds.kev(&["CVE-2026-0002"]));
    feeds.put("epss.csv", feeds.epss(&["CVE-2026-0001,0.25,0.9", "CVE-2026-0003,0.01,0.2"]));
    feeds
}

/// A database of it, declared complete: so few advisories look like a part.
fn loaded(feeds: &Feeds) -> (TempDir, Done) {
    let data = tempfile::tempdir().unwrap();
    let done = db(&["update", "--complete", "--from", feeds.path().to_str().unwrap()], data.path());
    (data, done)
}

fn found<'s>(scanned: &'s Scanned, id: &str) -> &'s Vulnerability {
    let all = &scanned.report.assessment.vulnerabilities;
    let names: Vec<&String> = all.iter().map(|v| &v.id).collect();
    all.iter().find(|v| v.id == id).unwrap_or_else(|| panic!("{id} is not among {names:?}"))
}

#[test]
fn what_is_put_in_comes_out() {
    let feeds = feeds(0);
    let (data, done) = loaded(&feeds);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("left out of osv/PyPI: 1 record."), "{}", done.stdout);
    let status = db(&["status", "--format", "json"], data.path()).must_end_with(0).json();
    let counts: Vec<(String, u64, u64)> = status
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            (
                s["name"].as_str().unwrap().into(),
                s["records"].as_u64().unwrap(),
                s["broken"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("alpine-secdb/v3.20", 1, 0),
        ("debian-tracker", 2, 0),
        ("epss", 2, 0),
        ("kev", 1, 0),
        ("nvd", 1, 0),
        ("osv/PyPI", 1, 1),
        ("osv/npm", 2, 0),
    ];
    assert_eq!(counts, expected.map(|(name, records, broken)| (name.to_owned(), records, broken)));

    let (_dir, path) = image("1.0-1");
    let scanned = scan(&["--archive", &path], Some(data.path()));
    assert_eq!((scanned.done.code, scanned.report.verdict.safety), (1, Safety::Unsafe));
    let ids: Vec<&str> =
        scanned.report.assessment.vulnerabilities.iter().map(|v| v.id.as_str()).collect();
    // Exploited first; of two that are medium, the likelier one.
    assert_eq!(ids, ["CVE-2026-0002", "CVE-2026-0001", "CVE-2026-0003", "CVE-2026-0004"]);
    assert_eq!(scanned.report.assessment.undecided, []);

    let left = found(&scanned, "CVE-2026-0002");
    assert_eq!(
        (left.fixed.as_str(), left.command.as_str()),
        ("1.4.1", "npm install acme-left@1.4.1")
    );
    assert_eq!(left.aliases, ["GHSA-dddd-eeee-ffff"]);
    assert!(left.exploited.as_ref().is_some_and(|e| e.ransomware && e.added == "2026-01-05"));
    assert_eq!((left.rating, left.state), (Rating::Critical, FixState::Fixed));
    let web = found(&scanned, "CVE-2026-0001");
    assert_eq!(web.command, "pip install 'acme-web>=2.0'");
    assert_eq!(web.epss.map(|e| (e.score, e.percentile)), Some((0.25, 0.9)));
    assert_eq!((web.rating, web.exploited.is_some()), (Rating::Medium, false));
    // Medium 20, √0.25 of 12, and 8 for a fix.
    assert_eq!(web.rank, 34.0);
    let tool = found(&scanned, "CVE-2026-0003");
    assert_eq!((tool.fixed.as_str(), tool.description.as_str()), ("1.0-2", "d"));
    assert_eq!(tool.command, "apt-get update && apt-get install --only-upgrade acme-tool");
    // The distribution's own rating counts before NVD's.
    assert_eq!((tool.rating, tool.rank), (Rating::Medium, 29.2));
    assert!(
        tool.scores.iter().any(|s| s.by == "nvd" && (s.score - 9.8).abs() < 0.01),
        "{:?}",
        tool.scores
    );
    let open = found(&scanned, "CVE-2026-0004");
    assert_eq!((open.rating, open.fixed.as_str()), (Rating::Negligible, ""));

    // The fixed version has it no more.
    let (_dir, path) = image("1.0-2");
    let fixed = scan(&["--archive", &path], Some(data.path()));
    assert!(!fixed.report.assessment.vulnerabilities.iter().any(|v| v.id == "CVE-2026-0003"));
}

#[test]
fn what_cannot_be_decided_is_not_safe() {
    let (_dir, path) = image("1.0-9");
    let none = scan(&["--archive", &path], None);
    assert_eq!((none.done.code, none.report.verdict.safety), (2, Safety::Undecided));
    assert_eq!(none.report.assessment.undecided.len(), 3);
    assert!(none.report.assessment.undecided.iter().all(|u| u.cause == Cause::NeedsDatabase));

    // Data that is older than the policy allows.
    let old = Feeds::of(60);
    let vulnerable = old.osv("CVE-2026-0009", "Debian:12", "acme-none", "1");
    let zip = old.zip("Debian/all.zip", &[vulnerable]);
    let times = fs::FileTimes::new()
        .set_modified(std::time::SystemTime::now() - Duration::from_secs(60 * 86_400));
    fs::File::options().write(true).open(zip).unwrap().set_times(times).unwrap();
    let (data, _) = loaded(&old);
    let status = db(&["status", "--format", "json"], data.path()).must_end_with(2).json();
    assert_eq!(
        (status[0]["too_old"].as_bool(), status[0]["age_days"].as_i64()),
        (Some(true), Some(60))
    );
    let aged = scan(&["--archive", &path], Some(data.path()));
    assert_eq!(aged.report.verdict.safety, Safety::Undecided);
    let tool = aged.report.assessment.undecided.iter().find(|u| u.name == "acme-tool").unwrap();
    assert_eq!(tool.cause, Cause::DataTooOld, "{tool:?}");

    // A version that no rule reads.
    let feeds = feeds(0);
    let (data, _) = loaded(&feeds);
    let (_dir, path) = image("not!a(version");
    let odd = scan(&["--archive", &path], Some(data.path()));
    let tool = odd.report.assessment.undecided.iter().find(|u| u.name == "acme-tool");
    assert!(
        tool.is_some_and(|u| u.detail.contains("not!a(version")),
        "{:?}",
        odd.report.assessment.undecided
    );
}

/// The advisories of a few packages are not all that there is, unless somebody says so who knows.
#[test]
fn a_part_of_a_feed_decides_nothing_until_it_is_declared_complete() {
    let feeds = Feeds::new();
    let other = feeds.critical("CVE-2026-0001", "Debian:12", "acme-other", "2");
    let bad = feeds.critical("CVE-2026-0002", "Debian:12", "acme-bad", "2");
    feeds.zip("Debian/all.zip", &[other, bad]);
    let from = feeds.path().to_str().unwrap();
    let data = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let image = |name: &str| {
        let status = format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nDescription: d\n\n"
        );
        let layer = Layer::new()
            .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n")
            .file("var/lib/dpkg/status", status);
        let path = dir.path().join(name);
        fs::write(&path, Image::of([layer]).docker_archive()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, bad) = (image("acme-good"), image("acme-bad"));
    let judged = |path: &str| scan(&["--archive", path], Some(data.path()));
    let status = |code| {
        let done = db(&["status", "--format", "json"], data.path()).must_end_with(code);
        done.json()[0]["completeness"].as_str().unwrap().to_owned()
    };

    let done = db(&["update", "--from", from], data.path()).must_end_with(0);
    assert!(done.stdout.contains("PARTIAL: it has 2 records"), "{}", done.stdout);
    assert_eq!(status(2), "partial");
    let part = judged(&good);
    assert_eq!((part.done.code, part.report.verdict.safety), (2, Safety::Undecided));
    let undecided = &part.report.assessment.undecided[0];
    assert_eq!(undecided.cause, Cause::NeedsDatabase);
    for words in ["`osv/Debian`", "has 2 records", "--complete"] {
        assert!(undecided.detail.contains(words), "{}", undecided.detail);
    }
    // What it knows, it knows.
    let hit = judged(&bad);
    assert_eq!((hit.done.code, hit.report.verdict.safety), (1, Safety::Unsafe));

    db(&["update", "--complete", "--from", from], data.path()).must_end_with(0);
    assert_eq!(status(0), "declared");
    let declared = judged(&good);
    assert_eq!((declared.done.code, declared.report.verdict.safety), (0, Safety::Safe));
    assert_eq!(judged(&bad).done.code, 1);
    // In a bundle it goes along; the next update must declare it again.
    let bundle = dir.path().join("bundle");
    let bundle = bundle.to_str().unwrap();
    db(&["export", bundle], data.path()).must_end_with(0);
    db(&["update", "--from", from], data.path()).must_end_with(0);
    assert_eq!((status(2).as_str(), judged(&good).done.code), ("partial", 2));
    db(&["import", bundle, "--unsigned"], data.path()).must_end_with(0);
    assert_eq!((status(0).as_str(), judged(&good).done.code), ("declared", 0));
    // Of the publishers nobody here can say it.
    db(&["update", "--complete"], data.path()).must_end_with(2);
}

#[test]
fn carried_into_a_closed_network() {
    let feeds = feeds(0);
    let (data, _) = loaded(&feeds);
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for key in ["ours", "theirs"] {
        db(&["keygen", &at(key)], data.path()).must_end_with(0);
    }
    assert_eq!(db(&["keygen", &at("ours")], data.path()).code, 2, "no key is overwritten");
    db(&["export", &at("bundle"), "--key", &at("ours")], data.path()).must_end_with(0);
    db(&["export", &at("plain")], data.path()).must_end_with(0);
    let mut bytes = zstd_of(&at("bundle"));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(at("tampered"), Compression::Zstd.of(&bytes)).unwrap();
    let whole = fs::read(at("bundle")).unwrap();
    fs::write(at("cut"), &whole[..whole.len() / 2]).unwrap();

    let (_dir, path) = image("1.0-1");
    let closed = tempfile::tempdir().unwrap();
    let refused = [
        vec![at("bundle"), "--key".into(), at("theirs.pub")],
        vec![at("bundle")],
        vec![at("plain")],
        vec![at("plain"), "--key".into(), at("ours.pub")],
        vec![at("tampered"), "--key".into(), at("ours.pub")],
        vec![at("tampered"), "--unsigned".into()],
        vec![at("cut"), "--key".into(), at("ours.pub")],
    ];
    for words in refused {
        let words: Vec<&str> =
            ["import"].into_iter().chain(words.iter().map(String::as_str)).collect();
        let done = db(&words, closed.path());
        assert_eq!(done.code, 2, "{words:?}: {done:?}");
        assert_eq!(db(&["status"], closed.path()).code, 2, "nothing of it is taken: {words:?}");
    }
    db(
        &["import", &at("bundle"), "--key", &at("theirs.pub"), "--key", &at("ours.pub")],
        closed.path(),
    )
    .must_end_with(0);
    let there = scan(&["--archive", &path], Some(closed.path()));
    let here = scan(&["--archive", &path], Some(data.path()));
    assert_eq!(there.report.assessment.vulnerabilities, here.report.assessment.vulnerabilities);
    let open = tempfile::tempdir().unwrap();
    db(&["import", &at("plain"), "--unsigned"], open.path()).must_end_with(0);
    db(&["status"], open.path()).must_end_with(0);
}

fn zstd_of(path: &str) -> Vec<u8> {
    zstd::decode_all(fs::File::open(path).unwrap()).unwrap()
}

#[test]
fn a_mirror_that_limits_and_remembers() {
    static BUSY: AtomicUsize = AtomicUsize::new(0);
    let feeds = Feeds::new();
    let zip =
        fs::read(feeds.zip("z", &[feeds.critical("CVE-2026-0001", "PyPI", "acme-web", "2.0")]))
            .unwrap();
    let (kev, epss) = (feeds.kev(&["CVE-2026-0001"]), feeds.epss(&["CVE-2026-0001,0.25,0.9"]));
    let first = feeds.nvd(3, &[("CVE-2026-0001", "one", MEDIUM), ("CVE-2026-0002", "two", WORST)]);
    let second = feeds.nvd(3, &[("CVE-2026-0003", "three", WORST)]);
    let none = feeds.nvd(0, &[]);
    let server = Server::start(move |path, head| {
        let tagged = |body: Vec<u8>| {
            if head.to_ascii_lowercase().contains("if-none-match: \"same\"") {
                Reply::status(304)
            } else {
                Reply::body(body).header("etag: \"same\"")
            }
        };
        match path {
            "/osv/PyPI/all.zip" => tagged(zip.clone()),
            "/kev.json" => tagged(kev.clone().into_bytes()),
            "/epss.csv.gz" => tagged(Compression::Gzip.of(epss.as_bytes())),
            path if path.starts_with("/nvd/rest/json/cves/2.0?") => {
                match BUSY.fetch_add(1, Ordering::SeqCst) {
                    0 => Reply::status(403).header("retry-after: 1"),
                    2 => Reply::status(429).header("retry-after: 0"),
                    3 => Reply::status(503),
                    _ if path.contains("lastModStartDate") => Reply::body(none.clone()),
                    _ if path.contains("startIndex=0") => Reply::body(first.clone()),
                    _ if path.contains("startIndex=2") => Reply::body(second.clone()),
                    _ => Reply::status(400),
                }
            }
            _ => Reply::status(404),
        }
    });
    let data = tempfile::tempdir().unwrap();
    let update =
        ["update", "--complete", "--from", &server.url, "--source", "osv/PyPI,nvd,kev,epss"];
    let done = db(&update, data.path()).must_end_with(0);
    assert_eq!(
        done.stdout.lines().filter(|l| l.starts_with("updated")).count(),
        4,
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("nvd  3 records"), "{}", done.stdout);
    assert!(done.took >= Duration::from_secs(1), "it waits as long as it is asked to");
    let (_dir, path) = image("1.0-1");
    let scanned = scan(&["--archive", &path], Some(data.path()));
    let web = found(&scanned, "CVE-2026-0001");
    assert!(web.exploited.is_some() && web.epss.is_some(), "{web:?}");
    let again = db(&update, data.path()).must_end_with(0);
    assert_eq!(
        again.stdout.lines().filter(|l| l.starts_with("unchanged")).count(),
        3,
        "{}",
        again.stdout
    );
    assert!(
        again.stdout.contains("nvd  3 records"),
        "only changes are asked for: {}",
        again.stdout
    );
    assert_eq!(server.count("lastModStartDate"), 1);
    // All ecosystems: those that the mirror lacks are absent, and that is said.
    let absent = db(&["update", "--from", &server.url, "--source", "osv/npm"], data.path());
    assert!(absent.stdout.contains("absent"), "{absent:?}");
    // A server that is gone leaves what is there.
    let gone = db(&["update", "--from", "http://127.0.0.1:9", "--source", "kev"], data.path())
        .must_end_with(2);
    assert!(gone.stdout.contains("FAILED"), "{}", gone.stdout);
    let after = scan(&["--archive", &path], Some(data.path()));
    assert_eq!(after.report.assessment.vulnerabilities, scanned.report.assessment.vulnerabilities);
}

/// A feed so long that its loading can be killed in the middle; only the first advisory differs.
fn long(fixed: &str) -> Feeds {
    let feeds = Feeds::new();
    let mut all = vec![feeds.critical("CVE-2026-0001", "PyPI", "acme-web", fixed)];
    all.extend(
        (0..8000)
            .map(|n| feeds.osv(&format!("CVE-2025-{n:05}"), "PyPI", &format!("filler-{n}"), "1")),
    );
    feeds.zip("PyPI/all.zip", &all);
    feeds
}

#[test]
fn an_update_that_is_killed_twenty_times() {
    let versions = ["2.0", "3.0"];
    let feeds = versions.map(long);
    let data = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let sbom = dir.path().join("sbom.json");
    let component = json!({"type": "library", "name": "acme-web", "version": "1.0", "purl": "pkg:pypi/acme-web@1.0"});
    fs::write(&sbom, json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": [component]}).to_string()).unwrap();
    let answer = || {
        let scanned = scan(&["--sbom", sbom.to_str().unwrap()], Some(data.path()));
        assert_eq!(scanned.done.code, 1, "{:?}", scanned.done);
        assert_eq!(scanned.report.assessment.vulnerabilities.len(), 1);
        found(&scanned, "CVE-2026-0001").fixed.clone()
    };
    let update = |which: usize| {
        let from = feeds[which].path().to_str().unwrap();
        Haechi::new(&["db", "update", "--complete", "--from", from]).data(data.path())
    };
    let took = update(0).run().must_end_with(0).took;
    let mut now = answer();
    assert_eq!(now, "2.0");
    let mut kept = 0;
    for round in 1..=20_u32 {
        let other = usize::from(now == versions[0]);
        let mut haechi = update(other);
        let running = haechi.begin();
        // Moments from the beginning to the end, not in order.
        std::thread::sleep(took * (round * 7 % 20 + 1) / 20);
        running.kill();
        db(&["status"], data.path()).must_end_with(0);
        let after = answer();
        assert!(after == now || after == versions[other], "round {round}: {after}");
        kept += usize::from(after == now);
        now = after;
    }
    assert!(kept >= 5, "only {kept} of 20 were killed before their end: the feed is too short");
    // And nothing that they left behind is in the way.
    let other = usize::from(now == versions[0]);
    update(other).run().must_end_with(0);
    assert_eq!(answer(), versions[other]);
    let left: Vec<_> =
        fs::read_dir(data.path().join("vulns")).unwrap().map(|e| e.unwrap().file_name()).collect();
    let temporary = left.iter().filter(|n| n.to_string_lossy().starts_with(".new")).count();
    assert_eq!(temporary, 0, "{left:?}");
}

#[test]
fn quiet_says_nothing_of_what_went_well() {
    let (feeds, data) = (feeds(1), tempfile::tempdir().unwrap());
    let from = feeds.path().to_str().unwrap();
    let words = ["--quiet", "db", "update", "--from", from];
    let done = Haechi::new(&words).data(data.path()).run().must_end_with(0);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
    let korean = Haechi::new(&["--lang", "ko", "db", "status"]).data(data.path()).run();
    let partial = korean.stdout.lines().find(|line| line.contains("불완전함")).unwrap();
    assert!(!partial.contains("has "), "{partial}");
}

#[test]
fn an_update_that_brings_nothing_is_no_success() {
    let empty = tempfile::tempdir().unwrap();
    let from = empty.path().to_str().unwrap();
    let done = Haechi::new(&["db", "update", "--from", from]).run().must_end_with(2);
    assert!(done.stderr.contains("No source was updated"), "{}", done.stderr);
    // A folder that is no system is not a clean one.
    let done = Haechi::new(&["image", "scan", "--rootfs", from]).run().must_end_with(2);
    assert!(done.stdout.contains("root of a system"), "{}", done.stdout);
}
