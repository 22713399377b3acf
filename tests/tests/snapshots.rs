//! Snapshots: the same facts give the same findings anywhere, missing facts never become a pass, and what is
//! truncated, newer or hostile is refused or shown harmlessly.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::{Report, Status};
use haechi_tests::{Haechi, Snapshot, container_named, docker, findings, lab, verify_text};
use serde_json::{Value, json};

const FORMATS: [&str; 7] = ["table", "json", "html", "sarif", "junit", "csv", "markdown"];
const CIS: &str = "cis-docker-1.6.0";

type Decided = BTreeMap<(String, String), (Status, Vec<String>)>;

/// What was decided, by check and subject, with what was seen.
fn decided(report: &Report<String>) -> Decided {
    let all = report.items.iter().flat_map(|item| &item.findings);
    all.map(|f| {
        let seen = f.evidence.iter().map(|e| e.seen.clone()).collect();
        ((f.check.clone(), format!("{} {}", f.subject.name, f.subject.id)), (f.status, seen))
    })
    .collect()
}

#[test]
fn the_same_facts_give_the_same_findings_anywhere() {
    let facts = Snapshot::real().json.to_string();
    let here = verify_text(&facts, &["--format", "json"]).report();
    // Another user, who could collect nothing of it, in another place, language and time zone.
    let mut other = Haechi::as_nobody(&["verify", "--snapshot", "other.json", "--format", "json"])
        .env("TZ", "Asia/Seoul")
        .env("LC_ALL", "POSIX")
        .env("DOCKER_HOST", "tcp://127.0.0.1:1");
    std::fs::write(other.dir().join("other.json"), &facts).unwrap();
    let there = other.report();
    assert_eq!(decided(&here), decided(&there));
    assert_eq!(
        (here.score, here.summary, here.taken_at),
        (there.score, there.summary, there.taken_at)
    );
}

#[test]
fn a_verification_of_this_host_and_one_of_its_snapshot_agree() {
    // Each at a moment of its own: what happens between them may differ, what is set up may not.
    let steady = |report: &Report<String>| -> BTreeMap<(String, String), Status> {
        let all = decided(report).into_iter().map(|(key, (status, _))| (key, status));
        all.filter(|((check, _), _)| {
            !["host-verified-recently", "host-listeners-approved"].contains(&check.as_str())
        })
        .filter(|((_, subject), _)| {
            subject.starts_with("haechi-lab-") || !subject.contains("sha256")
        })
        .collect()
    };
    let mut collect = Haechi::new(&["collect", "-o", "facts.json"]).lab_policy();
    collect.run().must_end_with(0);
    let path = collect.dir().join("facts.json").display().to_string();
    let of_snapshot =
        Haechi::new(&["verify", "--snapshot", &path, "--format", "json"]).lab_policy().report();
    assert_eq!(steady(&lab().report), steady(&of_snapshot));
}

#[test]
fn a_snapshot_is_read_from_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("facts.json");
    std::fs::write(&path, Snapshot::real().json.to_string()).unwrap();
    let program = haechi_tests::binary();
    let line =
        format!("'{}' verify --snapshot - --format json < '{}'", program.display(), path.display());
    let done = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Report<String> = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report.items.len(), 104);
}

#[test]
fn what_is_cut_off_or_not_a_snapshot_is_refused() {
    let whole = Snapshot::real().json.to_string();
    let mut texts: Vec<(String, &str)> =
        [0, 1, 20, whole.len() / 3, whole.len() / 2, whole.len() - 1]
            .map(|end| (whole.get(..end).unwrap_or_default().to_owned(), "line"))
            .to_vec();
    let with = |pointer: &str, fact: Value| Snapshot::real().with(pointer, fact).json.to_string();
    texts.extend([
        (with("/schema", json!("haechi/snapshot/v2")), "haechi/snapshot/v2"),
        (with("/schema", json!("\u{1b}[31mevil")), "evil"),
        (with("/hots", json!({})), "hots"),
        (with("/engine/versoin", json!("1")), "versoin"),
        (with("/engine/config/icc/vlaue", json!(true)), "vlaue"),
        (with("/taken_at", json!("yesterday")), "taken_at"),
        (with("/engine/version_major", json!(1.5)), "1.5"),
        (whole.replacen("\"gaps\"", "\"took_ms\":99999999999999999999999999,\"gaps\"", 1), "line"),
        ("[".repeat(1_000_000), "line"),
        (format!("{{\"schema\":{}1", "{\"a\":".repeat(500_000)), "line"),
        ("\u{0}\u{1}\u{2}".into(), "line"),
        ("null".into(), "line"),
    ]);
    for (text, word) in texts {
        let done = verify_text(&text, &["--format", "json"]).must_end_with(2);
        let start: String = text.chars().take(60).collect();
        assert_eq!(done.stdout, "", "nothing is reported for {start:?}");
        assert!(done.stderr.contains("given.json"), "{start:?}: {}", done.stderr);
        assert!(done.stderr.contains(word), "{start:?}: {word} is not in {}", done.stderr);
        assert!(!done.stderr.contains('\u{1b}'), "{start:?}: {}", done.stderr);
        assert!(done.stderr.len() < 2000, "{start:?}: {} bytes", done.stderr.len());
    }
    Haechi::new(&["verify", "--snapshot", "not-there.json"]).run().must_end_with(2);
}

#[test]
fn a_snapshot_without_facts_passes_nothing() {
    let empty = json!({
        "schema": "haechi/snapshot/v1", "haechi_version": "0", "taken_at": "2026-01-01T00:00:00Z", "took_ms": 0,
    });
    for benchmark in ["cis-docker-1.13.0", CIS, "nist-sp-800-190"] {
        let arguments = ["--benchmark", benchmark, "--format", "json"];
        let report = verify_text(&empty.to_string(), &arguments).must_end_with(2).report();
        for finding in report.items.iter().flat_map(|item| &item.findings) {
            assert_eq!(finding.status, Status::Unverified, "{}", haechi_tests::seen(finding));
        }
    }
}

/// This host with just two containers and two images, so that it is decided fast.
fn small() -> Snapshot {
    let mut small = Snapshot::real();
    let wanted = ["haechi-lab-exemplary", "haechi-lab-careless"];
    let keep = |list: &mut Value, is: &dyn Fn(&Value) -> bool| {
        list.as_array_mut().unwrap().retain(|entry| is(entry));
    };
    keep(&mut small.json["containers"], &|c| wanted.iter().any(|name| c["name"] == *name));
    keep(&mut small.json["images"], &|i| {
        i["tags"].as_array().is_some_and(|t| {
            t.contains(&json!("haechi-lab-good:1")) || t.contains(&json!("haechi-lab-careless:1"))
        })
    });
    small
}

/// Every fact of the engine, the host, a container and an image is taken away, one of each at a time: what was
/// not a pass before is none without it either.
#[test]
fn a_fact_that_is_missing_never_makes_a_pass() {
    let whole = small();
    let before = decided(&whole.verify(CIS));
    let at = whole.container("haechi-lab-careless");
    let mut places: Vec<String> =
        ["/host", "/engine", "/engine/config", "/swarm", "/images/0", "/networks/0"]
            .map(Into::into)
            .into();
    let of_container = ["", "/state", "/config", "/host_config", "/security", "/effective"];
    places.extend(of_container.iter().map(|part| format!("{at}{part}")));
    let keys_of = |place: &String| -> Vec<String> {
        let object = whole.json.pointer(place).and_then(Value::as_object).unwrap();
        // Names and ids are how findings are told apart.
        object.keys().filter(|key| !["name", "id"].contains(&key.as_str())).cloned().collect()
    };
    let facts: Vec<(String, Vec<String>)> =
        places.into_iter().map(|p| (p.clone(), keys_of(&p))).collect();
    assert!(facts.iter().map(|(_, keys)| keys.len()).sum::<usize>() > 120);
    let rounds = facts.iter().map(|(_, keys)| keys.len()).max().unwrap();
    let wrong: Vec<String> = std::thread::scope(|threads| {
        let jobs: Vec<_> = (0..2)
            .map(|half| {
                let (whole, facts, before) = (&whole, &facts, &before);
                let round = move |round| new_passes(whole, facts, round, before);
                threads.spawn(move || (half..rounds).step_by(2).flat_map(round).collect::<Vec<_>>())
            })
            .collect();
        jobs.into_iter().flat_map(|job| job.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn new_passes(
    whole: &Snapshot,
    facts: &[(String, Vec<String>)],
    round: usize,
    before: &Decided,
) -> Vec<String> {
    let mut without = whole.clone();
    let mut gone = Vec::new();
    // The deeper ones first: what holds them may be taken away, too.
    for (place, keys) in facts.iter().rev() {
        let Some(key) = keys.get(round) else { continue };
        if let Some(object) = without.json.pointer_mut(place).and_then(Value::as_object_mut) {
            object.remove(key);
            gone.push(format!("{place}/{key}"));
        }
    }
    let after = decided(&without.verify(CIS));
    let is_new = |(key, (status, _)): &(&(String, String), &(Status, Vec<String>))| {
        *status == Status::Pass && before.get(*key).is_some_and(|(was, _)| *was != Status::Pass)
    };
    after.iter().filter(is_new).map(|(key, _)| format!("{key:?} passes without {gone:?}")).collect()
}

#[test]
fn extreme_numbers_are_only_numbers() {
    for number in [i64::MAX, i64::MIN, -1, 0] {
        let mut facts = small();
        let at = facts.container("haechi-lab-careless");
        for fact in
            ["memory", "nano_cpus", "cpu_shares", "cpu_quota", "pids_limit", "restart_retries"]
        {
            facts = facts.with(&format!("{at}/host_config/{fact}"), json!(number));
        }
        let facts = facts
            .with(&format!("{at}/state/idle_days"), json!(number))
            .with("/images/0/age_days", json!(number))
            .with("/images/0/size", json!(number))
            .with("/engine/version_major", json!(number))
            .with("/swarm/managers", json!(number))
            .with("/history/last_complete_age_days", json!(number))
            .with("/took_ms", json!(number));
        for format in FORMATS {
            let done = facts.run(&["--format", format]).must_end_with(1);
            assert!(
                !done.stdout.is_empty() && !done.stderr.contains("panicked"),
                "{}",
                done.stderr
            );
        }
    }
}

/// Names and labels come from whoever made the container. No output is a way for them to a terminal, a
/// browser, a spreadsheet or a parser.
#[test]
fn hostile_names_are_harmless_in_every_output() {
    let hostile = "\u{1b}[31mred\u{7}\r\n=cmd|'/c calc'!A1,\"<script>alert(1)</script>]]>|`x`**\u{202e}\u{0}해치";
    let at = small().container("haechi-lab-careless");
    let facts = small()
        .with(&format!("{at}/name"), json!(hostile))
        .with(&format!("{at}/image_ref"), json!(hostile))
        .with(&format!("{at}/config/user"), json!(hostile))
        .with(&format!("{at}/host_config/cgroup_parent"), json!(hostile))
        .with(&format!("{at}/config/labels"), json!({hostile: hostile}))
        .with("/images/0/tags", json!([hostile]))
        .with("/engine/name", json!(hostile))
        .with("/host/hostname", json!(hostile));
    for format in FORMATS {
        for lang in ["en", "ko"] {
            let done = facts.run(&["-v", "--format", format, "--lang", lang]).must_end_with(1);
            let out = &done.stdout;
            // What turns the direction of text is harmless to programs, and JSON is for those.
            let turns = |c: char| c == '\u{202e}' && !["json", "sarif"].contains(&format);
            let is_bad =
                |c: &char| (c.is_control() && !['\n', '\t', '\r'].contains(c)) || turns(*c);
            let bad: Vec<char> = out.chars().filter(is_bad).collect();
            assert!(bad.is_empty(), "{format}: control characters {bad:?}");
            assert!(out.contains("해치"), "{format}: the name is shown");
            match format {
                "html" => assert!(!out.contains("<script>alert"), "html runs it"),
                "junit" => assert!(!out.contains("<script>alert"), "xml holds an element of it"),
                "markdown" => markdown_is_harmless(out),
                "json" | "sarif" => drop(done.json()),
                "csv" => csv_is_harmless(out),
                _ => {}
            }
        }
    }
}

/// What could be an element stands in a code span or a block of code, where it is only text.
fn markdown_is_harmless(text: &str) {
    let mut block = false;
    for line in text.lines() {
        block ^= line.trim_start().starts_with("```");
        let before = line.split("<script>alert").next().unwrap_or_default();
        let open = before.matches("``").count() % 2 == 1;
        assert!(before == line || block || open, "markdown holds an element of it: {line}");
    }
}

fn csv_is_harmless(text: &str) {
    // A record per finding and the head; a name cannot make one more, nor a cell that is a formula.
    let mut cells = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match (c, quoted) {
            ('"', _) => quoted = !quoted,
            (',' | '\n' | '\r', false) => cells.push(String::new()),
            _ => cells.last_mut().unwrap().push(c),
        }
    }
    assert!(!quoted, "the last quote is open");
    for cell in cells {
        assert!(!cell.starts_with(['=', '+', '@']) && !cell.starts_with("-c"), "a formula: {cell}");
    }
}

#[test]
fn five_hundred_containers() {
    let mut facts = Snapshot::real();
    let containers: Vec<Value> = (0..500)
        .map(|number| {
            let mut container = container_named(&format!("haechi-many-{number:03}"));
            container["id"] = json!(format!("{number:064x}"));
            container["host_config"]["privileged"] = json!(number % 7 == 0);
            container
        })
        .collect();
    facts.json["containers"] = json!(containers);
    let done = facts.run(&["--format", "json"]).must_end_with(1);
    let report = done.report();
    let privileged = findings(&report, "container-not-privileged");
    assert_eq!(privileged.len(), 500);
    assert_eq!(privileged.iter().filter(|f| f.status == Status::Fail).count(), 72);
    assert_eq!(haechi_tests::only(&report, "host-container-count").status, Status::Fail);
    for format in FORMATS {
        let done = facts.run(&["--format", format]).must_end_with(1);
        // The others are for reading, and say how many more there are.
        let all = ["table", "junit", "markdown"].contains(&format)
            || done.stdout.contains("haechi-many-490");
        assert!(all, "{format} leaves out a failure");
    }
}

/// What Haechi reads changes nothing: no container, image or volume is made, started or removed.
#[test]
fn looking_changes_nothing() {
    let lab = ["--no-trunc", "--filter", "label=haechi.lab=1"];
    let state = || {
        let containers = ["ps", "--all", "--format", "container {{.Names}} {{.ID}} {{.State}}"];
        let lists: [&[&str]; 2] = [&containers, &["images", "--format", "image {{.ID}} {{.Tag}}"]];
        let lists = lists.map(|list| docker(&[list, &lab].concat()));
        lists.iter().flat_map(|list| list.lines().map(ToOwned::to_owned)).collect::<BTreeSet<_>>()
    };
    let before = state();
    Haechi::new(&["verify"]).run().must_end_with(1);
    let after = state();
    assert!(before == after, "{:?}", before.symmetric_difference(&after));
}
