//! Against a small server of its own, which answers from a list.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Mutex;

use super::*;

/// Decides an answer: status line, headers, body; a body that is shorter than its stated length breaks off.
type Answer = (&'static str, Vec<String>, Vec<u8>);
type Decide = dyn Fn(&str, &str, usize) -> Answer + Send;

/// A server that gives `decide` path, head and number of each request; its address and the requests so far.
fn server(decide: Box<Decide>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            while lines.read_line(&mut head).unwrap_or(0) > 2 {}
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let number = log.lock().unwrap().len();
            log.lock().unwrap().push(head.clone());
            let (status, headers, body) = decide(&path, &head, number);
            let length = if headers.iter().any(|h| h.starts_with("content-length")) {
                String::new()
            } else {
                format!("content-length: {}\r\n", body.len())
            };
            let headers: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
            let _ = stream.write_all(
                format!("HTTP/1.1 {status}\r\nconnection: close\r\n{length}{headers}\r\n")
                    .as_bytes(),
            );
            let _ = stream.write_all(&body);
        }
    });
    (address, seen)
}

const KEV: &str = r#"{"catalogVersion": "1", "count": 1, "dateReleased": "2030-06-09T00:00:00Z", "vulnerabilities": [{"cveID": "CVE-2030-1", "dateAdded": "2030-01-01"}]}"#;

fn run(dir: &Path, base: &str, only: &[&str], now: &str) -> UpdateReport {
    let plan = Plan {
        origin: Origin::Mirror(base.to_owned()),
        only: only.iter().map(|s| (*s).to_owned()).collect(),
        complete: false,
        nvd_api_key: None,
        now: now.parse().unwrap(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(crate::db::update(dir, &plan, Arc::new(()))).unwrap()
}

#[test]
fn only_what_has_changed_is_fetched_and_what_is_absent_stays() {
    let (base, seen) = server(Box::new(|path, head, _| match path {
        "/kev.json" if head.contains("if-none-match: \"a\"") => {
            ("304 Not Modified", vec![], vec![])
        }
        "/kev.json" => ("200 OK", vec!["etag: \"a\"".into()], KEV.into()),
        _ => ("404 Not Found", vec![], vec![]),
    }));
    let dir = tempfile::tempdir().unwrap();
    let report = run(dir.path(), &base, &["kev", "epss", "nvd"], "2030-06-10T00:00:00Z");
    let outcomes: Vec<_> = report.sources.iter().map(|s| (s.name.as_str(), &s.outcome)).collect();
    assert_eq!(
        outcomes,
        [("epss", &Outcome::Absent), ("kev", &Outcome::Updated), ("nvd", &Outcome::Absent)]
    );
    let report = run(dir.path(), &base, &["kev"], "2030-06-11T00:00:00Z");
    assert_eq!(report.sources[0].outcome, Outcome::Unchanged);
    let meta = report.sources[0].meta.as_ref().unwrap();
    assert_eq!(meta.fetched_at, "2030-06-11T00:00:00Z");
    // A mirror that says nothing new does not become newer by being asked.
    assert_eq!(meta.as_of, "2030-06-09T00:00:00Z");
    assert!(seen.lock().unwrap().iter().any(|r| r.contains("/kev.json.sha256")));
}

#[test]
fn a_download_that_breaks_off_is_taken_up_again() {
    let (base, seen) = server(Box::new(|path, head, number| match path {
        "/kev.json" if number == 0 => ("503 Busy", vec!["retry-after: 0".into()], vec![]),
        "/kev.json" if head.contains("range: bytes=50-") => (
            "206 Partial Content",
            vec![
                format!("content-range: bytes 50-{}/{}", KEV.len() - 1, KEV.len()),
                "etag: \"a\"".into(),
            ],
            KEV.as_bytes()[50..].to_vec(),
        ),
        "/kev.json" => (
            "200 OK",
            vec![format!("content-length: {}", KEV.len()), "etag: \"a\"".into()],
            KEV.as_bytes()[..50].to_vec(),
        ),
        _ => ("404 Not Found", vec![], vec![]),
    }));
    let dir = tempfile::tempdir().unwrap();
    let report = run(dir.path(), &base, &["kev"], "2030-06-10T00:00:00Z");
    assert_eq!(
        report.sources[0].outcome,
        Outcome::Updated,
        "{report:?} {:?}",
        seen.lock().unwrap()
    );
    assert!(seen.lock().unwrap().iter().any(|r| r.contains("if-range: \"a\"")));
}

#[test]
fn a_wrong_digest_is_refused() {
    let (base, _) = server(Box::new(|path, _, _| match path {
        "/kev.json" => ("200 OK", vec![], KEV.into()),
        "/kev.json.sha256" => ("200 OK", vec![], format!("{}  kev.json\n", "0".repeat(64)).into()),
        _ => ("404 Not Found", vec![], vec![]),
    }));
    let dir = tempfile::tempdir().unwrap();
    let report = run(dir.path(), &base, &["kev"], "2030-06-10T00:00:00Z");
    assert!(
        matches!(&report.sources[0].outcome, Outcome::Failed(why) if why.contains("SHA-256")),
        "{report:?}"
    );
}

#[test]
fn nvd_is_read_page_by_page_and_then_only_what_changed() {
    let cve = |id: &str, text: &str, day: &str| {
        format!(
            r#"{{"cve": {{"id": "{id}", "lastModified": "{day}T00:00:00.000", "descriptions": [{{"lang": "en", "value": "{text}"}}]}}}}"#
        )
    };
    let page = |total: u64, entries: &str| {
        format!(r#"{{"totalResults": {total}, "vulnerabilities": [{entries}]}}"#).into_bytes()
    };
    let (base, seen) = server(Box::new(move |path, _, _| {
        let body = if path.contains("lastModStartDate=2030-06-09T23:00:00.000Z") {
            page(1, &cve("CVE-2030-2", "new", "2030-06-11"))
        } else if path.contains("startIndex=0") {
            page(2, &cve("CVE-2030-1", "one", "2030-01-01"))
        } else {
            page(2, &cve("CVE-2030-2", "two", "2030-01-02"))
        };
        if path.starts_with("/nvd/rest/") {
            ("200 OK", vec![], body)
        } else {
            ("404 Not Found", vec![], vec![])
        }
    }));
    let dir = tempfile::tempdir().unwrap();
    let report = run(dir.path(), &base, &["nvd"], "2030-06-10T00:00:00Z");
    assert_eq!(report.sources[0].outcome, Outcome::Updated, "{report:?}");
    assert_eq!(report.sources[0].meta.as_ref().unwrap().records, 2);
    let report = run(dir.path(), &base, &["nvd"], "2030-06-12T00:00:00Z");
    assert_eq!(
        report.sources[0].meta.as_ref().unwrap().records,
        2,
        "{report:?} {:?}",
        seen.lock().unwrap()
    );
    let freshness =
        crate::db::Freshness { now: "2030-06-12T00:00:00Z".parse().unwrap(), age_days_max: 7 };
    let db = crate::db::Database::open(dir.path(), freshness).unwrap().unwrap();
    let text =
        |id: &str| crate::advisory::Lookup::details(&db, id, &[]).unwrap()[0].description.clone();
    assert_eq!((text("CVE-2030-1").as_str(), text("CVE-2030-2").as_str()), ("one", "new"));
}
