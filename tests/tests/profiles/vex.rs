//! OpenVEX of what runs, from end to end: a profile is imported, statements are made of the image, and `haechi image scan --vex`
//! takes them for this image and for no other. Needs Docker and root.

use std::fs;
use std::path::Path;

use haechi_tests::{Feeds, Gone, Haechi, Image, Layer, docker};
use serde_json::{Value, json};

const TAG: &str = "haechi-test-profile-vex/app:1";

/// An image with a package that is used and one that is not; `salt` makes it another one.
fn image(salt: &str) -> String {
    let package = |name: &str| json!({"name": name, "version": "1.0.0"}).to_string();
    let layer = Layer::new()
        .file("app/node_modules/used/package.json", package("used"))
        .file("app/node_modules/used/index.js", "1")
        .file("app/node_modules/idle/package.json", package("idle"))
        .file("app/node_modules/idle/index.js", "1")
        .file("app/salt", salt);
    let mut image = Image::of([layer]);
    image.tag = TAG.to_owned();
    image.config = json!({"Cmd": ["/bin/server", "--password=hunter2hunter2"]});
    image.load();
    docker(&["inspect", "--format", "{{.Id}}", TAG])
}

/// What was learned in `hours` hours, without a gap.
fn profile(image: &str, hours: i64) -> Value {
    let at =
        |hours: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours)).to_string();
    let container = "c".repeat(64);
    json!({
        "schema": "haechi/profile/v1",
        "workload": {"image": image, "command": ["/bin/server", "--password=hunter2hunter2"]},
        "image_name": TAG,
        "runs": [{
            "container": container, "name": "web", "since": at(hours), "until": at(0),
            "phases": ["start", "run"], "gaps": [], "tasks_max": 1, "memory_max": 1,
        }],
        "entries": [{
            "kind": "read", "value": "/app/node_modules/used/index.js", "first_at": at(hours),
            "container": container, "origin": "image", "program": "/bin/server",
        }],
        "baseline_at": null,
    })
}

fn run(data: &Path, words: &[&str]) -> haechi_tests::Done {
    Haechi::new(words).data(data).run()
}

#[test]
fn what_never_runs_is_not_affected_in_this_image_and_only_if_it_was_watched() {
    let _gone = Gone::of([TAG]);
    let feeds = Feeds::new();
    let flaws =
        ["used", "idle"].map(|name| feeds.critical(&format!("GHSA-{name}"), "npm", name, "1.0.1"));
    feeds.zip("npm/all.zip", &flaws);
    let folder = tempfile::tempdir().unwrap();
    let id = image("one");
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();

    for (hours, expected, suppressed) in [(200, "not_affected", 1), (2, "under_investigation", 0)] {
        let data = tempfile::tempdir().unwrap();
        feeds.load(data.path());
        let (learned, vex) = (file("profile.json"), file("vex.json"));
        fs::write(&learned, profile(&id, hours).to_string()).unwrap();
        run(data.path(), &["profile", "import", &learned]).must_end_with(0);
        run(data.path(), &["profile", "vex", TAG, "--output", &vex]).must_end_with(0);
        let text = fs::read_to_string(&vex).unwrap();
        assert!(!text.contains("hunter2"), "no secret of a command: {text}");
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["@context"], "https://openvex.dev/ns/v0.2.0");
        let status = |id: &str| {
            let all = document["statements"].as_array().unwrap();
            all.iter().find(|one| one["vulnerability"]["name"] == id).unwrap()["status"].clone()
        };
        assert_eq!(
            (status("GHSA-used"), status("GHSA-idle")),
            (json!("affected"), json!(expected))
        );

        let scan = |words: &[&str]| -> Value {
            let all =
                [&["image", "scan", TAG, "--format", "json", "--fail-on", "never"], words].concat();
            let done = run(data.path(), &all);
            serde_json::from_str(&done.must_end_with(0).stdout).unwrap()
        };
        let read = scan(&["--vex", &vex]);
        assert_eq!(read["assessment"]["suppressed"].as_array().unwrap().len(), suppressed);
        // The state stands beside the vulnerability as well.
        let plain = scan(&[]);
        let idle = if hours > 100 { "present" } else { "unknown" };
        assert_eq!(plain["seen"], json!({"used 1.0.0": "loaded", "idle 1.0.0": idle}));
        // The next build has the same name: nothing of this is said of it.
        assert_ne!(image("two"), id);
        assert_eq!(scan(&["--vex", &vex])["assessment"]["suppressed"], json!([]));
        assert_eq!(scan(&[])["seen"], json!({}));
        assert_eq!(image("one"), id, "the same bytes are the same image");
    }
}
