//! Checks decided from what containers were seen to do, on the real kernel and the real engine. Needs root.

use std::fs;
use std::path::Path;

use haechi_core::{Finding, Report, Status};
use haechi_tests::{Gone, Haechi, Image, Layer, Monitor, docker, finding, findings, until};
use serde_json::Value;

use crate::workload_with;

const TAG: &str = "haechi-test-behaviour/job:1";
const NAME: &str = "haechi-test-behaviour";
/// The rest of the container's rights is what it needs.
const POLICY: &str = "[monitor]\nobserved_hours_min = 0\n\
    [capabilities.containers]\n\"haechi-test-behaviour\" = [\"SYS_TIME\"]\n";
/// Writes one folder, uses one capability, and listens nowhere.
const SCRIPT: &str = "#!/bin/sh
echo $$ > /run/job/pid
chown 1000 /run/job/pid
while true; do cat /run/job/pid > /dev/null; sleep 2; done
";
/// Of three packages, one runs, one is unnecessary and on the list, and one is neither.
const STATUS: &str = "Package: busybox-static
Status: install ok installed
Architecture: amd64
Version: 1

Package: gcc
Status: install ok installed
Architecture: amd64
Version: 1

Package: libspare1
Status: install ok installed
Architecture: amd64
Version: 1

";

fn load() {
    let list = |file: &str| format!("/.\n/{file}\n");
    let mut image = Image::of([Layer::new()
        .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n")
        .mode("bin/busybox", 0o755, fs::read("/bin/busybox").unwrap())
        .link("bin/sh", "busybox")
        .mode("job", 0o755, SCRIPT)
        .dir("run/job", 0o777)
        .mode("usr/bin/gcc", 0o755, "gcc")
        .mode("usr/lib/libspare.so.1", 0o644, "spare")
        .file("var/lib/dpkg/status", STATUS)
        .file("var/lib/dpkg/info/busybox-static.list", list("bin/busybox"))
        .file("var/lib/dpkg/info/gcc.list", list("usr/bin/gcc"))
        .file("var/lib/dpkg/info/libspare1.list", list("usr/lib/libspare.so.1"))]);
    image.tag = TAG.to_owned();
    image.config = serde_json::json!({"Cmd": ["/job"], "ExposedPorts": {"8080/tcp": {}}});
    image.load();
}

fn haechi(data: &Path, words: &[&str]) -> Haechi {
    Haechi::new(words).data(data).policy(POLICY)
}

fn verify(data: &Path, options: &[&str]) -> Report<String> {
    let words = [&["verify", "--format", "json", "--offline"], options].concat();
    haechi(data, &words).report()
}

fn settled(data: &Path) -> bool {
    workload_with(data, TAG).is_some_and(|row| row["settled"] == true)
}

fn seen(finding: &Finding<String>) -> String {
    let lines = finding.evidence.iter().map(|line| line.seen.as_str());
    lines.collect::<Vec<_>>().join("\n")
}

/// The finding of each check about the container.
const CHECKS: [&str; 5] = [
    "container-capabilities",
    "container-no-sensitive-mounts",
    "container-only-needed-ports",
    "container-read-only-rootfs",
    "container-seccomp",
];

fn statuses(report: &Report<String>) -> [Status; 5] {
    CHECKS.map(|check| finding(report, check, NAME).status)
}

#[test]
fn what_it_never_did_is_evidence_and_an_unneeded_capability_fails() {
    let _gone = Gone::of([NAME, TAG]);
    load();
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let monitor = Monitor::begin(haechi(data, &["monitor", "--profile"]));
    let rights = ["--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "SYS_TIME"];
    let rest = ["--volume", "/etc:/host/etc", "--publish", "127.0.0.1::8080", "--name", NAME, TAG];
    let open = ["--security-opt", "seccomp=unconfined"];
    docker(&[&["run", "--detach"], &rights[..], &open, &rest].concat());

    // Nothing was learned: what policy allows passes.
    let nobody = tempfile::tempdir().unwrap();
    let before = verify(nobody.path(), &["--no-images"]);
    assert_eq!(statuses(&before)[0], Status::Pass);
    for check in CHECKS {
        let found = finding(&before, check, NAME);
        assert!(!seen(found).contains("profile, ") && found.fix.is_none(), "{found:#?}");
    }

    // It is watched, and not known yet: the same, and that is said.
    let listed = || haechi(data, &["profile", "show", NAME]).run().code == 0;
    until("something was learned", listed);
    let early = verify(data, &["--no-images"]);
    assert_eq!(statuses(&early), statuses(&before));
    let found = finding(&early, "container-capabilities", NAME);
    assert!(
        seen(found).contains("profile, capabilities: not known yet; watched for 0 h"),
        "{found:#?}"
    );

    until("it is known well enough", || settled(data));
    let after = verify(data, &[]);
    for (check, status, evidence, fix) in [
        (
            CHECKS[0],
            Status::Fail,
            "held and never used: SYS_TIME",
            "--cap-drop ALL --cap-add CHOWN",
        ),
        (CHECKS[1], Status::Fail, "use of /host/etc: no file in 0 h", "remove the mount /host/etc"),
        (
            CHECKS[2],
            Status::Fail,
            "nothing listens, it never listened there in 0 h",
            "do not publish 8080/tcp",
        ),
        (
            CHECKS[3],
            Status::Fail,
            "writes outside of mounts: /run/job",
            "--read-only --tmpfs /run/job",
        ),
        (CHECKS[4], Status::Fail, "seen, 3", "haechi profile seccomp haechi-test-behaviour"),
    ] {
        let found = finding(&after, check, NAME);
        assert_eq!(found.status, status, "{found:#?}");
        assert!(seen(found).contains(evidence), "{evidence}: {found:#?}");
        assert!(seen(found).contains(": settled; watched for "), "{found:#?}");
        assert!(found.fix.as_deref().is_some_and(|said| said.contains(fix)), "{fix}: {found:#?}");
    }
    let packages = findings(&after, "image-no-unneeded-packages");
    let packages = packages.into_iter().find(|found| found.subject.name == TAG).unwrap();
    assert_eq!(packages.status, Status::Fail, "{packages:#?}");
    for evidence in ["gcc: never used", "never used, of layer 0", "packages: 1 executed"] {
        assert!(seen(packages).contains(evidence), "{evidence}: {packages:#?}");
    }
    assert_eq!(packages.fix.as_deref(), Some("leave out of the image: gcc libspare1"));

    // A snapshot carries it, and is decided alike elsewhere; in Korean, too.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot.json");
    let path = file.display().to_string();
    haechi(data, &["collect", "--no-images", "--output", &path]).run().must_end_with(0);
    let elsewhere =
        haechi(nobody.path(), &["verify", "--snapshot", &path, "--format", "json"]).report();
    assert_eq!(statuses(&elsewhere), statuses(&after));
    let korean =
        haechi(nobody.path(), &["verify", "--snapshot", &path, "--lang", "ko", "-v"]).run();
    for said in ["한 번도 쓰지 않음: SYS_TIME", "프로파일, capability: 안정됨", "동안 쓴 파일 없음"]
    {
        assert!(korean.stdout.contains(said), "{said}: {}", korean.stdout);
    }

    // The same profile with a stretch of time in which something was lost: what was known stays known, and that is told.
    drop(monitor);
    let mut profile = haechi(data, &["profile", "export", NAME]).run().must_end_with(0).json();
    let imported = |profile: &Value| {
        let file = folder.path().join("profile.json");
        fs::write(&file, profile.to_string()).unwrap();
        let path = file.display().to_string();
        let data = tempfile::tempdir().unwrap();
        haechi(data.path(), &["profile", "import", &path]).run().must_end_with(0);
        verify(data.path(), &["--no-images"])
    };
    let mut lossy = profile["runs"][0].clone();
    lossy["gaps"] = serde_json::json!(["lost"]);
    lossy["since"] = lossy["until"].clone();
    lossy["until"] = serde_json::json!(jiff::Timestamp::now().to_string());
    profile["runs"].as_array_mut().unwrap().push(lossy);
    let report = imported(&profile);
    assert_eq!(statuses(&report), statuses(&after));
    let found = finding(&report, "container-capabilities", NAME);
    assert!(seen(found).contains("gaps: something could not be recorded ("), "{found:#?}");

    // Something lost all the time: it says what it cannot promise, and nothing is better or worse than without a profile.
    for run in profile["runs"].as_array_mut().unwrap() {
        run["gaps"] = serde_json::json!(["lost"]);
    }
    let report = imported(&profile);
    assert_eq!(statuses(&report), statuses(&before));
    let why = "In every stretch of time something could not be recorded.";
    for check in CHECKS {
        let found = finding(&report, check, NAME);
        assert!(seen(found).contains("not known yet"), "{found:#?}");
        assert!(seen(found).contains(why), "{found:#?}");
        assert!(found.fix.is_none(), "{found:#?}");
    }
}
