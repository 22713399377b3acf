//! What follows from what the monitor learned is enough for the same work, and for nothing more. Needs root and an engine.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use haechi_tests::{Gone, Haechi, Image, Layer, Monitor, docker, until};

use crate::{profile, workload_with};

const TAG: &str = "haechi-test-least/job:1";
const NAME: &str = "haechi-test-least";
/// As often as what was seen must be enough.
const RUNS: usize = 100;
/// Works, and goes on for as long as it is told to.
const SCRIPT: &str = "#!/bin/sh
mkdir -p /run/job /var/spool/job/in
echo $$ > /run/job/pid
cat /etc/passwd > /var/spool/job/in/users
chown 1000 /var/spool/job/in/users
ls -l /var/spool/job/in | wc -l
[ -z \"$NAP\" ] || sleep \"$NAP\"
echo done
";

fn load() {
    let mut image = Image::of([Layer::new()
        .mode("bin/busybox", 0o755, fs::read("/bin/busybox").unwrap())
        .link("bin/sh", "busybox")
        .mode("job", 0o755, SCRIPT)
        .dir("tmp", 0o777)
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\n")]);
    image.tag = TAG.to_owned();
    image.config = serde_json::json!({"Cmd": ["/job"]});
    image.load();
}

fn is_settled(data: &Path) -> bool {
    workload_with(data, TAG).is_some_and(|row| row["settled"] == true)
}

/// Runs a container with options and a command.
fn with(options: &[String], words: &[&str], folder: &Path) -> Output {
    let run = ["run", "--rm", "--network", "none", "--name", NAME];
    Command::new("docker")
        .args(run)
        .args(options)
        .arg(TAG)
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn the_same_work_runs_and_nothing_else() {
    let _gone = Gone::of([NAME, TAG]);
    load();
    let data = tempfile::tempdir().unwrap();
    let monitor = Monitor::begin(Haechi::new(&["monitor", "--profile"]).data(data.path()));
    docker(&["run", "--detach", "--network", "none", "--name", NAME, "--env", "NAP=100000", TAG]);
    until("it is known well enough", || is_settled(data.path()));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{NAME}.seccomp.json"));
    let path = file.display().to_string();
    let done = profile(data.path(), &["seccomp", NAME, "-o", &path]).run().must_end_with(0);
    assert!(done.stderr.contains("System calls: "), "{}", done.stderr);
    println!("{}", done.stderr);
    let text = profile(data.path(), &["run", NAME]).run().must_end_with(0).stdout;
    println!("{text}");
    docker(&["rm", "--force", NAME]);
    drop(monitor);

    let words = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join(" ")
        .replace('\\', "");
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let options = &words[2..words.len() - 1];
    assert_eq!(words.last().unwrap(), TAG);
    for option in ["--read-only", "CHOWN", "/run", "--pids-limit", "--memory"] {
        assert!(options.iter().any(|word| word.contains(option)), "{option}: {text}");
    }
    for run in 0..RUNS {
        let done = with(options, &[], folder.path());
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(
            done.status.success() && said.ends_with("2\ndone\n") && done.stderr.is_empty(),
            "{run}: {done:?}"
        );
    }

    // Neither the call nor the capability was used: each of the two refuses it alone.
    let filter = vec!["--security-opt".to_owned(), format!("seccomp={path}")];
    let rights: Vec<String> = ["--cap-drop", "ALL", "--cap-add", "CHOWN"].map(String::from).into();
    let chroot = ["/bin/busybox", "chroot", "/", "/bin/busybox", "true"];
    assert!(with(&[], &chroot, folder.path()).status.success(), "Docker alone allows it");
    for options in [&filter, &rights] {
        let refused = with(options, &chroot, folder.path());
        assert!(!refused.status.success(), "{options:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("not permitted"), "{refused:?}");
    }
    let write = ["/bin/busybox", "touch", "/tmp/x"];
    assert!(with(&[], &write, folder.path()).status.success());
    assert!(!with(options, &write, folder.path()).status.success());
}
