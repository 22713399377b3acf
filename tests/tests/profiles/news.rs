//! Against a settled profile, a program that was added and one that was overwritten are told once, though no rule is in force.
//! Needs root and an engine.

use std::fs;
use std::path::Path;

use haechi_tests::{Gone, Image, Layer, Monitor, docker, until};
use serde_json::Value;

use crate::{profile, without_rules, workload_with};

const TAG: &str = "haechi-test-news/job:1";
const NAME: &str = "haechi-test-news";
const OTHER: &str = "haechi-test-news-other";
/// The same work again and again, with a program that may be there or not.
const SCRIPT: &str = "#!/bin/sh
while :; do
    /bin/work true
    [ -x /opt/added ] && /opt/added true
    sleep 1
done
";

fn load(busybox: &[u8]) {
    let mut image = Image::of([Layer::new()
        .mode("bin/busybox", 0o755, busybox)
        .link("bin/sh", "busybox")
        .mode("bin/work", 0o755, busybox)
        .mode("job", 0o755, SCRIPT)
        .dir("opt", 0o755)]);
    image.tag = TAG.to_owned();
    image.config = serde_json::json!({"Cmd": ["/job"]});
    image.load();
}

/// Alerts about a program that was executed: its path and how urgent.
fn executed(monitor: &Monitor) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    monitor
        .alerts()
        .iter()
        .filter(|alert| alert["rule"] == "Something new in a settled profile")
        // Other tests have containers of their own.
        .filter(|alert| alert["container"]["name"].as_str().unwrap().starts_with(NAME))
        .filter(|alert| alert["tags"][1] == "executed")
        .map(|alert| (word(&alert["event"]["action"]["exec"]["path"]), word(&alert["priority"])))
        .collect()
}

/// Containers that the monitor has seen for so long that anything would have been told.
fn watched_again(data: &Path) {
    let watched =
        || workload_with(data, TAG).and_then(|row| row["watched"].as_u64()).unwrap_or_default();
    let before = watched();
    until("it is watched for longer", || watched() > before + 5);
}

#[test]
fn what_was_added_and_what_was_overwritten_are_told_once() {
    let _gone = Gone::of([NAME, OTHER, TAG]);
    let busybox = fs::read("/bin/busybox").unwrap();
    load(&busybox);
    let data = tempfile::tempdir().unwrap();
    let monitor = without_rules(data.path());
    let run = |name: &str| docker(&["run", "--detach", "--network", "none", "--name", name, TAG]);
    run(NAME);
    until("it is settled", || {
        workload_with(data.path(), TAG).is_some_and(|row| row["news"].is_u64())
    });
    assert!(executed(&monitor).is_empty());

    // Another content at the same path, and a path that was not there.
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    for name in ["work", "added"] {
        let mut content = busybox.clone();
        content.extend_from_slice(b"changed");
        fs::write(file(name), content).unwrap();
        fs::set_permissions(file(name), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    docker(&["cp", &file("added"), &format!("{NAME}:/opt/added")]);
    let error = |path: &str| (path.to_owned(), "error".to_owned());
    until("the added one is told", || executed(&monitor) == [error("/opt/added")]);
    docker(&["cp", &file("work"), &format!("{NAME}:/bin/work")]);
    let both = [error("/opt/added"), error("/bin/work")];
    until("the overwritten one is told", || executed(&monitor) == both);

    let news = profile(data.path(), &["news", NAME]).run().must_end_with(0);
    assert!(news.stdout.contains("executed /opt/added; the file was added"), "{}", news.stdout);
    println!("{}", news.stdout);

    // The same in another container of the workload is nothing new.
    run(OTHER);
    for name in ["work", "added"] {
        let path = if name == "work" { "/bin/work" } else { "/opt/added" };
        docker(&["cp", &file(name), &format!("{OTHER}:{path}")]);
    }
    until("the other one is learned", || {
        workload_with(data.path(), TAG)
            .is_some_and(|row| row["containers"].to_string().contains(OTHER))
    });
    watched_again(data.path());
    assert_eq!(executed(&monitor), both);

    // It is still settled, and after it is learned there is nothing new.
    assert_eq!(workload_with(data.path(), TAG).unwrap()["settled"], true);
    let learned = profile(data.path(), &["learn", NAME]).run().must_end_with(0);
    assert!(learned.stderr.contains("Learned: "), "{}", learned.stderr);
    assert_eq!(workload_with(data.path(), TAG).unwrap()["news"], 0);
}
