//! The command line's promises: exit codes, files in each format, languages, policy, exceptions, history.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use haechi_core::Status;
use haechi_tests::{Done, Haechi, Snapshot, binary, docker, finding};
use serde_json::{Value, json};

const FAILING: &str = "container-memory-limit";

fn facts() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), Snapshot::real().json.to_string()).unwrap();
    file
}

fn verify(facts: &Path, further: &[&str]) -> Haechi {
    let path = facts.display().to_string();
    Haechi::new(&[&["verify", "--snapshot", path.as_str()], further].concat())
}

#[test]
fn exit_codes() {
    let facts = facts();
    let code = |further: &[&str]| verify(facts.path(), further).run().code;
    assert_eq!(code(&[]), 1, "something fails");
    assert_eq!(code(&["--fail-on", "critical"]), 1, "something critical fails");
    assert_eq!(code(&["--fail-on", "never"]), 0, "nothing counts");
    // Without containers and images nothing critical is left, failed or undecided.
    let calm = Snapshot::real().with("/containers", json!([])).with("/images", json!([]));
    assert_eq!(calm.run(&["--fail-on", "critical"]).code, 0, "nothing critical fails");
    // Only undecided: the monitor has to tell about exec, and nothing else critical is wrong.
    let exemplary = haechi_tests::container_named("haechi-alone");
    let open = Snapshot::real().with("/containers", json!([exemplary]));
    assert_eq!(open.run(&["--fail-on", "critical"]).code, 2, "undecided is not clean");

    for wrong in [
        &["--benchmark", "cis-docker-0.0"] as &[&str],
        &["--fail-on", "sometimes"],
        &["--format", "pdf"],
        &["--timeout", "0"],
        &["-o", "report.pdf"],
        &["-o", "/nonexistent/folder/report.html"],
        &["--policy", "/nonexistent/policy.toml"],
        &["--nonsense"],
    ] {
        let done = verify(facts.path(), wrong).run();
        assert_eq!(done.code, 2, "{wrong:?}: {}", done.stderr);
        assert_eq!(done.stdout, "", "{wrong:?}: nothing but an error");
        assert!(!done.stderr.trim().is_empty() && !done.stderr.contains("panicked"), "{wrong:?}");
    }
    assert_eq!(Haechi::new(&[]).run().code, 2, "no command");
    assert_eq!(Haechi::new(&["--help"]).run().code, 0);
    assert_eq!(Haechi::new(&["--version"]).run().code, 0);
}

#[test]
fn a_file_for_each_format() {
    let facts = facts();
    let names = ["r.html", "r.json", "r.sarif", "r.xml", "r.csv", "r.md", "r.txt"];
    let given: Vec<&str> = names.iter().flat_map(|name| ["-o", name]).collect();
    let mut verify = verify(facts.path(), &given);
    let done = verify.run().must_end_with(1);
    assert!(!done.stdout.is_empty(), "the summary is printed besides");
    let read = |name: &str| fs::read_to_string(verify.dir().join(name)).unwrap();
    let json: Value = serde_json::from_str(&read("r.json")).unwrap();
    assert_eq!(json["schema"], "haechi/report/v1");
    let sarif: Value = serde_json::from_str(&read("r.sarif")).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    assert!(!sarif["runs"][0]["results"].as_array().unwrap().is_empty());
    let html = read("r.html");
    assert!(html.starts_with("<!DOCTYPE html>") || html.starts_with("<!doctype html>"));
    // One file, no request: nothing is fetched from anywhere.
    for outside in ["src=\"http", "href=\"http", "url(http", "@import", "<link rel=\"stylesheet\""]
    {
        let own = html.matches(outside).count();
        assert!(outside == "href=\"http" || own == 0, "{outside} in the page");
    }
    assert!(read("r.xml").starts_with("<?xml"));
    assert!(read("r.csv").lines().count() > 300);
    assert!(read("r.md").starts_with('#'));
    assert!(read("r.txt").contains("Haechi"));
}

#[test]
fn variables_stand_for_options() {
    let facts = facts();
    let done = Haechi::new(&["verify"])
        .env("HAECHI_SNAPSHOT", facts.path())
        .env("HAECHI_FORMAT", "json")
        .env("HAECHI_BENCHMARK", "nist-sp-800-190")
        .env("HAECHI_FAIL_ON", "never")
        .env("HAECHI_LANG", "ko")
        .run()
        .must_end_with(0);
    let report = done.report();
    assert_eq!(report.benchmark, "nist-sp-800-190");
    assert!(report.items.iter().all(|item| is_korean(&item.title)), "{:?}", report.items[0].title);
}

fn is_korean(text: &str) -> bool {
    text.chars().any(|c| ('가'..='힣').contains(&c))
}

#[test]
fn korean_is_a_first_language() {
    let facts = facts();
    for (name, value) in [("LANG", "ko_KR.UTF-8"), ("LC_ALL", "ko_KR.UTF-8"), ("HAECHI_LANG", "ko")]
    {
        let done = verify(facts.path(), &[]).env(name, value).run().must_end_with(1);
        assert!(is_korean(&done.stdout), "{name}={value}");
    }
    let report = verify(facts.path(), &["--lang", "ko", "--format", "json"]).report();
    for finding in report.items.iter().flat_map(|item| &item.findings) {
        assert!(is_korean(&finding.title), "{}", finding.check);
        assert!(is_korean(&finding.remediation), "{}", finding.check);
        let reason = finding.reason.as_deref();
        assert!(reason.is_none_or(is_korean), "{}: {reason:?}", finding.check);
    }
    for format in ["table", "html", "junit", "csv", "markdown", "sarif"] {
        let done =
            verify(facts.path(), &["--lang", "ko", "--format", format]).run().must_end_with(1);
        assert!(is_korean(&done.stdout), "{format}");
    }
    let done =
        Haechi::new(&["verify", "--lang", "ko", "--snapshot", "not-there"]).run().must_end_with(2);
    assert!(is_korean(&done.stderr), "{}", done.stderr);
    // English stays English.
    let done = verify(facts.path(), &[]).run().must_end_with(1);
    let labels = done.stdout.lines().find(|line| is_korean(line) && !line.contains("haechi-lab"));
    assert_eq!(labels, None);
}

#[test]
fn a_policy_is_written_and_validated() {
    let done = Haechi::new(&["policy", "init"]).run().must_end_with(0);
    for policy in [done.stdout.as_str(), ""] {
        let mut check = Haechi::new(&["policy", "check", "given.toml"]);
        fs::write(check.dir().join("given.toml"), policy).unwrap();
        check.run().must_end_with(0);
    }
    let mut init = Haechi::new(&["policy", "init", "mine.toml"]);
    init.run().must_end_with(0);
    let first = fs::read_to_string(init.dir().join("mine.toml")).unwrap();
    init.run().must_end_with(2);
    assert_eq!(
        first,
        fs::read_to_string(init.dir().join("mine.toml")).unwrap(),
        "it is left as it is"
    );

    for (policy, place, word) in [
        ("[swarm]\nneeded = \"yes\"\n", ":2:10", "boolean"),
        ("[swarm]\nnedeed = true\n", ":2:1", "nedeed"),
        ("[limits]\n\ncontainers_max = \n", ":3:18", ""),
        ("[mounts\n", ":1:", ""),
        (
            "[[exceptions]]\ncheck = \"a\"\nsubject = \"b\"\nreason = \"c\"\nowner = \"d\"\nexpires = \"soon\"\n",
            ":6:11",
            "",
        ),
        ("[[exceptions]]\ncheck = \"a\"\n", ":1:", ""),
    ] {
        let mut check = Haechi::new(&["policy", "check", "given.toml"]);
        fs::write(check.dir().join("given.toml"), policy).unwrap();
        let done = check.run().must_end_with(2);
        assert!(done.stderr.contains(&format!("given.toml{place}")), "{policy}: {}", done.stderr);
        assert!(done.stderr.contains(word), "{policy}: {}", done.stderr);
        // Nothing is verified by a policy that is not understood.
        Haechi::new(&["verify"]).policy(policy).run().must_end_with(2);
    }
}

#[test]
fn a_policy_decides() {
    let facts = facts();
    let report = |policy: &str| verify(facts.path(), &["--format", "json"]).policy(policy).report();
    let ports = |policy: &str| {
        finding(&report(policy), "container-no-privileged-ports", "haechi-lab-port-80").status
    };
    assert_eq!(ports(""), Status::Fail);
    assert_eq!(ports("[ports]\nprivileged = [80]\n"), Status::Pass);
    let unset = report("");
    assert!(
        unset.policy_defaults.iter().any(|key| key == "ports.privileged"),
        "{:?}",
        unset.policy_defaults
    );
    let set = report("[ports]\nprivileged = [80]\n");
    assert!(!set.policy_defaults.iter().any(|key| key == "ports.privileged"));
}

fn exception(expires: &str) -> String {
    format!(
        "[[exceptions]]\ncheck = \"{FAILING}\"\nsubject = \"haechi-lab-care*\"\nreason = \"a test\"\n\
         owner = \"the tests\"\nexpires = \"{expires}\"\n"
    )
}

#[test]
fn exceptions_of_the_policy_expire() {
    let facts = facts();
    let found = |policy: String| {
        let report = verify(facts.path(), &["--format", "json"]).policy(&policy).report();
        let other = finding(&report, FAILING, "haechi-lab-unconfined").status;
        assert_eq!(other, Status::Fail, "others are not accepted");
        finding(&report, FAILING, "haechi-lab-careless").clone()
    };
    let accepted = found(exception("2199-12-31"));
    assert_eq!(accepted.status, Status::Excepted);
    let accepted = accepted.accepted.unwrap();
    assert_eq!((accepted.reason.as_str(), accepted.owner.as_str()), ("a test", "the tests"));
    assert_eq!(found(exception("2020-12-31")).status, Status::Fail, "expired");
    // The last day still counts, the day after does not.
    let taken: jiff::Timestamp =
        Snapshot::real().json["taken_at"].as_str().unwrap().parse().unwrap();
    let day = taken.to_zoned(jiff::tz::TimeZone::UTC).date();
    assert_eq!(found(exception(&day.to_string())).status, Status::Excepted);
    assert_eq!(found(exception(&day.yesterday().unwrap().to_string())).status, Status::Fail);
}

#[test]
fn exceptions_are_added_listed_and_removed() {
    let data = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Haechi::new(arguments).data(data.path()).run();
    let add = |check: &str, expires: &str| {
        run(&[
            "except",
            "add",
            check,
            "haechi-lab-careless",
            "--reason",
            "a test",
            "--owner",
            "the tests",
            "--expires",
            expires,
        ])
    };
    let status = || {
        let report = run(&["verify", "--format", "json"]).report();
        finding(&report, FAILING, "haechi-lab-careless").status
    };
    assert_eq!(status(), Status::Fail);
    add("no-such-check", "2199-12-31").must_end_with(2);
    add(FAILING, "someday").must_end_with(2);
    add(FAILING, "2199-12-31").must_end_with(0);
    assert_eq!(status(), Status::Excepted);
    let list = run(&["except", "list"]).must_end_with(0).stdout;
    assert!(list.contains(FAILING) && list.contains("the tests"), "{list}");
    let number = list.split_whitespace().next().unwrap().to_owned();
    run(&["except", "remove", &number]).must_end_with(0);
    assert_eq!(status(), Status::Fail);
    run(&["except", "remove", &number]).must_end_with(2);
}

#[test]
fn history_and_difference() {
    let data = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Haechi::new(arguments).data(data.path()).run();
    let name = "haechi-lab-test-new";
    let make = [
        "create",
        "--name",
        name,
        "--label",
        "haechi.lab=1",
        "--memory",
        "32m",
        "haechi-lab-tools:1",
    ];
    run(&["diff"]).must_end_with(2);
    docker(&make);
    let first = run(&["verify"]);
    docker(&["update", "--memory", "64m", "--pids-limit", "10", name]);
    let second = run(&["verify"]);
    let diff = run(&["diff", "--format", "json"]);
    docker(&["rm", "--force", name]);
    let third = run(&["verify", "--format", "json"]);
    let gone = run(&["diff", "--format", "json"]);
    assert_eq!([first.code, second.code, third.code], [1, 1, 1]);
    let about = |done: Done| -> Vec<Value> {
        let found = done.must_end_with(0).json();
        let all = found.as_array().cloned().unwrap_or_else(|| panic!("{found}"));
        all.into_iter().filter(|change| change.to_string().contains(name)).collect()
    };
    let changes = about(diff);
    assert!(
        changes.iter().any(|c| c.to_string().contains("container-pids-limit")),
        "the limit is seen to be set: {changes:?}"
    );
    assert!(!about(gone).is_empty(), "its failures are gone");
    assert!(run(&["diff"]).must_end_with(0).stdout.contains(name));
    assert!(third.report().movement.is_some(), "what moved the score is said");

    let history = run(&["history", "--format", "json"]).must_end_with(0).json();
    assert_eq!(history.as_array().unwrap().len(), 3);
    assert_eq!(
        run(&["history", "--limit", "1", "--format", "json"]).json().as_array().unwrap().len(),
        1
    );
    assert!(run(&["history"]).must_end_with(0).stdout.contains("cis-docker-1.13.0"));
    run(&["diff", "1", "99"]).must_end_with(2);
    // A verification that is not kept leaves no trace.
    run(&["verify", "--no-store"]).must_end_with(1);
    assert_eq!(run(&["history", "--format", "json"]).json().as_array().unwrap().len(), 3);
}

#[test]
fn killed_in_the_middle_nothing_is_lost() {
    let data = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Haechi::new(arguments).data(data.path()).run();
    let whole = run(&["verify"]).must_end_with(1).took;
    let count = || {
        let history = run(&["history", "--format", "json"]).must_end_with(0).json();
        history.as_array().unwrap().len()
    };
    assert_eq!(count(), 1);
    for tenth in 1..=10u32 {
        let before = count();
        let mut verify = Haechi::new(&["verify"]).data(data.path());
        let mut child = verify.start();
        // From the middle to just after the usual end: the last of them hit the moment of writing.
        std::thread::sleep(whole / 2 + whole * tenth / 18);
        let _ = child.kill();
        child.wait().unwrap();
        let after = count();
        assert!((before..=before + 1).contains(&after), "{before} became {after}");
    }
    let before = count();
    run(&["verify"]).must_end_with(1);
    assert_eq!(count(), before + 1);
    run(&["diff"]).must_end_with(0);
}

#[test]
fn a_report_is_given_although_it_cannot_be_kept() {
    let done = Haechi::new(&["verify", "--format", "json"]).data(Path::new("/proc/nowhere")).run();
    assert_eq!(done.must_end_with(1).report().items.len(), 104);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let line = format!("'{}' verify --no-store --fail-on never | head -n 1", binary().display());
    let done = Command::new("bash")
        .args(["-o", "pipefail", "-c", &line])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!said.contains("panicked") && !said.contains("roken pipe"), "{said}");
    assert_eq!(done.status.code(), Some(0));
}

#[test]
fn checks_prove_themselves() {
    let done = Haechi::new(&["benchmark", "test"]).run().must_end_with(0);
    assert!(done.stderr.contains("examples") || done.stdout.contains("examples"));
    // A check of one's own whose example does not come out as it says is refused, with its place.
    let mut test = Haechi::new(&["benchmark", "test", "own.yaml"]);
    let own = "- id: container-named-well\n  title: {en: T, ko: 제목}\n  area: instance\n  subject: container\n  \
               severity: low\n  pass_when: \"container.name != 'bad'\"\n  seen: container.name\n  \
               expected: {en: E, ko: 기대}\n  source: docker inspect\n  not_applicable: {en: N, ko: 없음}\n  \
               remediation: {en: R, ko: 조치}\n  examples:\n    - {container: {name: good}, expect: pass}\n    \
               - {container: {name: bad}, expect: OUTCOME}\n";
    let path = test.dir().join("own.yaml");
    fs::write(&path, own.replace("OUTCOME", "fail")).unwrap();
    test.run().must_end_with(0);
    fs::write(&path, own.replace("OUTCOME", "pass")).unwrap();
    let done = test.run().must_end_with(2);
    assert!(done.stderr.contains("container-named-well"), "{}", done.stderr);
    fs::write(
        &path,
        own.replace("OUTCOME", "fail").replace("container.name !=", "container.nmae !="),
    )
    .unwrap();
    let done = test.run().must_end_with(2);
    assert!(done.stderr.contains("own.yaml") && done.stderr.contains("nmae"), "{}", done.stderr);
}

#[test]
fn the_small_commands_work() {
    for arguments in [
        &["benchmark", "list"] as &[&str],
        &["benchmark", "show", "cis-docker-1.13.0"],
        &["benchmark", "coverage"],
        &["schema", "report"],
        &["schema", "snapshot"],
        &["completion", "bash"],
        &["completion", "zsh"],
        &["completion", "fish"],
        &["man"],
        &["history"],
        &["except", "list"],
        &["policy", "check"],
    ] {
        Haechi::new(arguments).run().must_end_with(0);
    }
    let coverage = Haechi::new(&["benchmark", "coverage"]).run().stdout;
    for number in ["104", "80", "45", "29"] {
        assert!(coverage.contains(number), "{number} is not in {coverage}");
    }
    Haechi::new(&["benchmark", "show", "none"]).run().must_end_with(2);
}
