//! The mark of unsafe images, and changes of containers, on the real engine.

use std::fs;
use std::path::Path;

use haechi_core::verdict::Safety;
use haechi_tests::{Done, Feeds, Gone, Haechi, Image, Layer, docker, scan, tool};
use tempfile::TempDir;

fn image(tag: &str, package: &str) -> Image {
    let status = format!(
        "Package: {package}\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0-1\nDescription: d\n\n"
    );
    let mut image = Image::of([Layer::new()
        .mode("bin/busybox", 0o755, fs::read("/bin/busybox").unwrap())
        .link("bin/sleep", "busybox")
        .link("bin/sh", "busybox")
        .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n")
        .file("var/lib/dpkg/status", status)]);
    image.tag = tag.to_owned();
    image.config = serde_json::json!({"Cmd": ["/bin/sleep", "100000"]});
    image
}

/// A database in which `acme-bad` is critical.
fn known() -> TempDir {
    let feeds = Feeds::new();
    feeds.zip(
        "Debian/all.zip",
        &[feeds.critical("CVE-2026-0001", "Debian:12", "acme-bad", "2.0-1")],
    );
    feeds.put(
        "nvd-page",
        feeds.nvd(
            1,
            &[("CVE-2026-0009", "Nothing here.", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")],
        ),
    );
    let data = tempfile::tempdir().unwrap();
    feeds.load(data.path());
    data
}

fn haechi(words: &[&str], data: &Path) -> Done {
    Haechi::new(words).data(data).run()
}

fn tags(id: &str) -> Vec<String> {
    let mut tags: Vec<String> =
        docker(&["inspect", "--format", "{{range .RepoTags}}{{.}}\n{{end}}", id])
            .lines()
            .map(str::to_owned)
            .collect();
    tags.sort();
    tags
}

const BAD: &str = "haechi-test-mark/bad:1";
const GOOD: &str = "haechi-test-mark/good:1";

#[test]
fn marked_and_unmarked() {
    let _gone = Gone::of(["haechi-test-marked", BAD, "haechi-test-mark/bad:1-unsafe", GOOD]);
    let data = known();
    image(BAD, "acme-bad").load();
    image(GOOD, "acme-good").load();
    let id = docker(&["inspect", "--format", "{{.Id}}", BAD]);
    docker(&["run", "--detach", "--name", "haechi-test-marked", "--network", "none", BAD]);
    let runs = || {
        docker(&[
            "inspect",
            "--format",
            "{{.State.Status}} {{.State.StartedAt}}",
            "haechi-test-marked",
        ])
    };
    let before = runs();
    assert!(before.starts_with("running "));

    let dry = haechi(&["image", "mark", BAD, GOOD], data.path()).must_end_with(0);
    assert!(dry.stdout.contains(BAD) && dry.stdout.contains("CVE-2026-0001"), "{}", dry.stdout);
    assert!(!dry.stdout.contains(GOOD), "{}", dry.stdout);
    assert_eq!(tags(&id), [BAD]);

    // By its id, whole or shortened, and with Docker's own prefix, it is the same image.
    for name in [&id, &id["sha256:".len()..][..12], &format!("docker.io/{BAD}")] {
        let dry = haechi(&["image", "mark", name], data.path()).must_end_with(0);
        assert!(dry.stdout.contains(BAD), "{name}: {}", dry.stdout);
    }

    let done = haechi(&["image", "mark", BAD, GOOD, "--yes"], data.path()).must_end_with(0);
    assert!(done.stdout.contains("haechi-test-mark/bad:1-unsafe"), "{}", done.stdout);
    assert_eq!(tags(&id), ["haechi-test-mark/bad:1-unsafe"]);
    assert_eq!(tags(GOOD), [GOOD]);
    assert_eq!(runs(), before, "what runs goes on");
    // It is marked already; nothing more happens.
    haechi(&["image", "mark", "haechi-test-mark/bad:1-unsafe", "--yes"], data.path())
        .must_end_with(0);
    assert_eq!(tags(&id), ["haechi-test-mark/bad:1-unsafe"]);

    let list = haechi(&["image", "list", "--format", "json"], data.path()).must_end_with(0).json();
    let text = list.to_string();
    assert!(text.contains("haechi-test-mark/bad:1-unsafe"), "{text}");
    let entry = entry(&list, "haechi-test-mark/bad:1-unsafe");
    assert_eq!(
        entry["safety"].as_str().or(entry["verdict"]["safety"].as_str()),
        Some("unsafe"),
        "{entry}"
    );
    assert!(entry["containers"].to_string().contains("haechi-test-marked"), "{entry}");

    for name in ["haechi-test-mark/bad:1-unsafe", BAD] {
        let dry = haechi(&["image", "unmark", name], data.path()).must_end_with(0);
        assert!(dry.stdout.contains("-> haechi-test-mark/bad:1 "), "{name}: {}", dry.stdout);
    }
    assert_eq!(tags(&id), ["haechi-test-mark/bad:1-unsafe"]);
    haechi(&["image", "unmark", "haechi-test-mark/bad:1-unsafe", "--yes"], data.path())
        .must_end_with(0);
    assert_eq!(tags(&id), [BAD]);
    assert_eq!(runs(), before);
    assert_eq!(haechi(&["image", "mark", "haechi-test-mark/none:1"], data.path()).code, 2);

    // The reference that the mark would take is another image's: nothing is taken from it.
    docker(&["tag", GOOD, "haechi-test-mark/bad:1-unsafe"]);
    let refused = haechi(&["image", "mark", BAD, "--yes"], data.path()).must_end_with(2);
    assert!(refused.stderr.contains("another image"), "{}", refused.stderr);
    assert_eq!((tags(&id), tags(GOOD).len()), (vec![BAD.to_owned()], 2));
    let back = ["image", "unmark", "haechi-test-mark/bad:1-unsafe", "--yes"];
    haechi(&back, data.path()).must_end_with(2);
    assert_eq!((tags(&id), tags(GOOD).len()), (vec![BAD.to_owned()], 2));
    // Nobody marked that image: without a name it is left alone.
    let all = haechi(&["image", "unmark"], data.path());
    assert!(!all.stdout.contains("haechi-test-mark/bad:1-unsafe"), "{}", all.stdout);
}

/// The entry of the list that has this tag.
fn entry<'v>(list: &'v serde_json::Value, tag: &str) -> &'v serde_json::Value {
    let all = list.as_array().or_else(|| list["images"].as_array()).expect("a list");
    all.iter().find(|entry| entry.to_string().contains(tag)).expect("the image")
}

#[test]
fn what_a_container_changed() {
    const TAG: &str = "haechi-test-changed/app:1";
    let _gone = Gone::of(["haechi-test-changed", TAG]);
    let data = known();
    image(TAG, "acme-fine").load();
    docker(&["run", "--detach", "--name", "haechi-test-changed", "--network", "none", TAG]);
    let clean = scan(&["--container", "haechi-test-changed"], Some(data.path()));
    assert_eq!(clean.report.scan.problems, []);
    assert_eq!((clean.done.code, clean.report.verdict.safety), (0, Safety::Safe));
    assert_eq!(clean.report.scan.subject.kind, "container");

    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    tool("openssl", &["genpkey", "-algorithm", "ed25519", "-out", &at("key.pem")]);
    tool("install", &["-m", "4755", "/bin/true", &at("raise")]);
    let status =
        docker(&["exec", "haechi-test-changed", "/bin/busybox", "cat", "/var/lib/dpkg/status"]);
    fs::write(at("status"), format!("{status}\n\n{}", status.replace("acme-fine", "acme-bad")))
        .unwrap();
    for (from, to) in [("key.pem", "/srv"), ("raise", "/opt"), ("status", "/var/lib/dpkg/status")] {
        docker(&["exec", "haechi-test-changed", "/bin/busybox", "mkdir", "-p", "/srv", "/opt"]);
        docker(&["cp", &at(from), &format!("haechi-test-changed:{to}")]);
    }
    docker(&["exec", "haechi-test-changed", "/bin/busybox", "rm", "/bin/sh"]);
    let changed = scan(&["--container", "haechi-test-changed"], Some(data.path()));
    let found = &changed.report.scan;
    assert_eq!(found.problems, []);
    assert_eq!((changed.done.code, changed.report.verdict.safety), (1, Safety::Unsafe));
    let setid: Vec<_> = found.setid_files.iter().map(|f| (f.path.as_str(), f.layer)).collect();
    assert_eq!(setid, [("/opt/raise", Some(1))]);
    assert_eq!(
        found.secrets.iter().map(|s| (s.place.as_str(), s.layer)).collect::<Vec<_>>(),
        [("srv/key.pem", Some(1))]
    );
    let bad = found.packages.iter().find(|p| p.name == "acme-bad").unwrap();
    assert_eq!(bad.layer, Some(1));
    // The image itself is as it was.
    assert_eq!(scan(&[TAG], Some(data.path())).done.code, 0);
}
