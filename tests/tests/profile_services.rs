//! The least privilege of real services: with it each does its whole work as often as it is tried, what it never used is
//! refused, and it is much less than what Docker gives. Needs root, an engine, and debootstrap.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use haechi_tests::{Gone, Haechi, Monitor, docker, until, workloads};
use serde_json::Value;

const POLICY: &str = "[monitor]\nobserved_hours_min = 0\n";
/// How often each must do its work: 100 times where there is time for it.
const RUNS: usize = 5;
/// Containers that run at the same time.
const WORKERS: usize = 6;

fn name(workload: &str) -> String {
    format!("haechi-test-services-{workload}")
}

fn runs() -> usize {
    std::env::var("HAECHI_TEST_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

/// What Haechi says a workload needs.
struct Need {
    workload: &'static str,
    /// Options for `docker run`, whole.
    options: Vec<String>,
    filter: PathBuf,
    rights: Vec<String>,
}

fn profile(data: &Path, words: &[&str]) -> Haechi {
    Haechi::new(&[&["profile"], words].concat()).data(data).policy(POLICY)
}

/// What a workload needs, once it is known well enough; a line of the table.
fn need(workload: &'static str, data: &Path, folder: &Path) -> Need {
    let container = name(workload);
    until(&format!("{workload} is known well enough"), || {
        let list = profile(data, &["list", "--format", "json"]).run().must_end_with(0).json();
        let of_it =
            |row: &&Value| row["containers"].as_array().unwrap().iter().any(|one| *one == container);
        list.as_array().unwrap().iter().find(of_it).is_some_and(|row| row["settled"] == true)
    });
    let filter = folder.join(format!("{container}.seccomp.json"));
    profile(data, &["seccomp", &container, "-o", filter.to_str().unwrap()]).run().must_end_with(0);
    let text = profile(data, &["run", &container]).run().must_end_with(0).stdout;
    let line: String =
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ");
    let words: Vec<String> =
        line.replace('\\', "").split_whitespace().map(str::to_owned).collect();
    let end = words.iter().position(|word| word == workloads::IMAGE).unwrap();
    let options = words[2..end].to_vec();
    let pairs = options.windows(2).filter(|pair| pair[0] == "--cap-drop" || pair[0] == "--cap-add");
    let rights = pairs.flatten().cloned().collect();

    let shown = profile(data, &["show", &container, "--format", "json"]).run().must_end_with(0);
    let shown = shown.json();
    let count = |part: &str, of: &str| shown["least"][part][of].to_string();
    println!(
        "{workload:<12} {:>7} -> {:<7} {:>6} -> {:<6} {}",
        count("calls", "today"),
        count("calls", "least"),
        count("capabilities", "today"),
        count("capabilities", "least"),
        if options.iter().any(|word| word == "--read-only") { "read-only root" } else { "" }
    );
    Need { workload, options, filter, rights }
}

/// Runs a command in a container that is gone afterwards; whether it worked, and what it said.
fn with(options: &[String], words: &[&str], folder: &Path) -> (bool, String) {
    let done = Command::new("docker")
        .args(["run", "--rm", "--network", "none"])
        .args(options)
        .arg(workloads::IMAGE)
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn services_do_their_work_with_the_least_privilege() {
    let all = workloads::WORKLOADS.map(|(workload, _)| workload);
    let _gone = Gone::of(all.map(name));
    workloads::load();
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let monitor = Monitor::begin(Haechi::new(&["monitor", "--profile"]).data(data.path()));
    for workload in all {
        let script = format!("bash /job/{workload}; echo ended $?; exec sleep 1000000");
        let run = ["run", "--detach", "--network", "none", "--name", &name(workload)];
        docker(&[&run, &[workloads::IMAGE, "bash", "-c", &script][..]].concat());
    }
    for workload in all {
        until(&format!("{workload} ended"), || {
            let logs = docker(&["logs", &name(workload)]);
            assert!(!logs.contains("ended") || logs.contains("ended 0"), "{workload}: {logs}");
            logs.contains("ended 0")
        });
    }
    println!("{:<12} {:>18} {:>16}", "workload", "system calls", "capabilities");
    let needs = all.map(|workload| need(workload, data.path(), folder.path()));
    drop(monitor);

    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= runs() * needs.len() {
                        break;
                    }
                    let need = &needs[number % needs.len()];
                    let script = format!("/job/{}", need.workload);
                    let (works, said) = with(&need.options, &["bash", &script], folder.path());
                    assert!(works, "{} ({number}): {said}", need.workload);
                }
            });
        }
    });
    println!("Each did its work {} times.", runs());

    // None of them used it: the filter refuses it alone, and so does what is left of the capabilities.
    let chroot = ["chroot", "/", "true"];
    let (works, said) = with(&[], &chroot, folder.path());
    assert!(works, "Docker alone allows it: {said}");
    for need in &needs {
        let filter = vec!["--security-opt".into(), format!("seccomp={}", need.filter.display())];
        for options in [&filter, &need.rights] {
            let (works, said) = with(options, &chroot, folder.path());
            assert!(!works && said.contains("not permitted"), "{}: {said}", need.workload);
        }
    }
}
