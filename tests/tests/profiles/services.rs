//! Real services: what Haechi learns of them agrees with what strace sees of the same (no package that ran is called "present
//! only"), and with the least privilege that follows each does its whole work as often as it is tried, while what it never
//! used is refused. Needs root, an engine, and debootstrap.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use haechi_tests::{Gone, Haechi, Monitor, docker, until, workloads};
use serde_json::Value;

use crate::{json, profile, workload_of};

/// How often each must do its work; `HAECHI_TEST_RUNS` says otherwise.
const RUNS: usize = 3;
/// Containers that run at the same time.
const WORKERS: usize = 6;

fn runs() -> usize {
    std::env::var("HAECHI_TEST_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

fn name(of: &str, workload: &str) -> String {
    format!("haechi-test-services-{of}-{workload}")
}

/// Begins a container that does its work, says so, and then nothing.
fn begin(of: &str, workload: &str, before: &str, options: &[&str]) {
    let name = name(of, workload);
    let script = format!("{before} bash /job/{workload}; echo ended $?; exec sleep 1000000");
    let run = ["run", "--detach", "--network", "none", "--name", &name];
    docker(&[&run, options, &[workloads::IMAGE, "bash", "-c", &script]].concat());
}

fn has_ended(of: &str, workload: &str) -> bool {
    let said = docker(&["logs", &name(of, workload)]);
    assert!(!said.contains("ended") || said.contains("ended 0"), "{of} {workload}: {said}");
    said.contains("ended 0")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Files that strace saw a workload execute or open, resolved.
fn traced(workload: &str) -> BTreeSet<String> {
    let name = name("traced", workload);
    let trace = docker(&["exec", &name, "cat", "/trace"]);
    let mut files = BTreeSet::new();
    let mut executing: BTreeMap<&str, &str> = BTreeMap::new();
    for line in trace.lines() {
        let (pid, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Some((_, path)) = rest.split_once("execve(\"")
            && let Some((path, _)) = path.split_once('"')
        {
            executing.insert(pid, path);
        }
        let (_, result) = rest.rsplit_once(" = ").unwrap_or_default();
        if rest.contains("execve") && result.starts_with('0') {
            files.extend(executing.remove(pid).map(str::to_owned));
        } else if rest.contains("open")
            && let Some((_, path)) = result.split_once('<')
        {
            files.insert(path.trim_end_matches('>').to_owned());
        }
    }
    let files: Vec<&str> =
        files.iter().map(String::as_str).filter(|f| f.starts_with('/')).collect();
    // What is not there any more was made by the workload, and folders are everybody's.
    let script = "for f; do [ -f \"$f\" ] && realpath -e \"$f\"; done; true";
    let ask = ["exec", &name, "bash", "-c", script, "bash"];
    docker(&[&ask[..], &files].concat()).lines().map(str::to_owned).collect()
}

/// Which packages own which files.
fn owners(container: &str) -> BTreeMap<String, BTreeSet<String>> {
    let script = "cd /var/lib/dpkg/info; for f in *.list; do echo \"=$f\"; cat $f; done";
    let lists = docker(&["exec", container, "bash", "-c", script]);
    let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut package = "";
    for line in lists.lines() {
        match line.strip_prefix('=') {
            Some(list) => package = list.trim_end_matches(".list").split(':').next().unwrap(),
            None => drop(owners.entry(merged(line).to_owned()).or_default().insert(package.into())),
        }
    }
    owners
}

/// `/lib` is `/usr/lib`.
fn merged(path: &str) -> &str {
    path.strip_prefix("/usr").unwrap_or(path)
}

/// Compares the packages that ran with what strace saw; a line of the table.
fn packages(workload: &str, data: &Path) {
    let seen = json(data, &["packages", &name("seen", workload)]);
    assert_eq!(seen["settled"], true);
    let states: BTreeMap<&str, &str> = seen["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(&one["name"]), text(&one["state"])))
        .collect();
    let owners = owners(&name("traced", workload));
    let files = traced(workload);
    let ran = files.iter().filter_map(|file| owners.get(merged(file))).flatten();
    // It looked on.
    let ran: BTreeSet<&String> = ran.filter(|package| *package != "strace").collect();
    let count = |state: &str| seen["counts"][state].as_u64().unwrap();
    println!(
        "{workload:<12} {:>9} {:>7} {:>8} {:>8}  {}",
        count("executed"),
        count("loaded"),
        count("present"),
        count("unknown"),
        ran.len()
    );
    let wrong: Vec<_> = ran
        .iter()
        .filter(|package| !matches!(states.get(package.as_str()), Some(&"executed" | &"loaded")))
        .collect();
    assert!(wrong.is_empty(), "{workload}: {wrong:?} ran");
    assert!(ran.len() > 3 && count("present") > 50, "{workload}: {seen}");
}

/// What Haechi says a workload needs.
struct Need {
    workload: &'static str,
    /// Options for `docker run`, whole.
    options: Vec<String>,
    filter: PathBuf,
    rights: Vec<String>,
}

/// What a workload needs; a line of the table.
fn need(workload: &'static str, data: &Path, folder: &Path) -> Need {
    let container = name("seen", workload);
    until(&format!("{workload} is known well enough"), || {
        let list = profile(data, &["list", "--format", "json"]).run().must_end_with(0).json();
        let of_it = |row: &&Value| {
            row["containers"].as_array().unwrap().iter().any(|one| *one == container)
        };
        list.as_array().unwrap().iter().find(of_it).is_some_and(|row| row["settled"] == true)
    });
    let filter = folder.join(format!("{container}.seccomp.json"));
    profile(data, &["seccomp", &container, "-o", filter.to_str().unwrap()]).run().must_end_with(0);
    let text = profile(data, &["run", &container]).run().must_end_with(0).stdout;
    let line: String =
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ");
    let words: Vec<String> = line.replace('\\', "").split_whitespace().map(str::to_owned).collect();
    let end = words.iter().position(|word| word == workloads::IMAGE).unwrap();
    let options = words[2..end].to_vec();
    let pairs = options.windows(2).filter(|pair| pair[0] == "--cap-drop" || pair[0] == "--cap-add");
    let rights = pairs.flatten().cloned().collect();

    let shown = profile(data, &["show", &container, "--format", "json"]).run().must_end_with(0);
    let shown = shown.json();
    let least = &shown["least"];
    let size = |of: &Value| of.as_array().unwrap().len().to_string();
    let calls = size(&least["calls"]["allowed"]);
    println!(
        "{workload:<12} {:>7} -> {calls:<7} {:>6} -> {:<6} {}",
        shown["calls_allowed_today"].to_string(),
        size(&least["capabilities"]["held"]),
        size(&least["capabilities"]["used"]),
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

/// Lets each do its work again and again, several at once.
fn work(needs: &[Need], folder: &Path) {
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
                    let (works, said) = with(&need.options, &["bash", &script], folder);
                    assert!(works, "{} ({number}): {said}", need.workload);
                }
            });
        }
    });
    println!("Each did its work {} times.", runs());
}

#[test]
fn services_are_known_and_live_with_the_least_privilege() {
    let all = workloads::WORKLOADS.map(|(workload, _)| workload);
    let _gone =
        Gone::of(all.iter().flat_map(|workload| ["traced", "seen"].map(|of| name(of, workload))));
    workloads::load();
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let monitor = Monitor::begin(Haechi::new(&["monitor", "--profile"]).data(data.path()));
    for workload in all {
        begin("seen", workload, "", &[]);
    }
    let strace = "strace -f -qq -y -e trace=execve,execveat,open,openat,openat2 -o /trace";
    for workload in all {
        let free = ["--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined"];
        begin("traced", workload, strace, &free);
    }
    for workload in all {
        until(&format!("{workload} ended"), || {
            has_ended("seen", workload) && has_ended("traced", workload)
        });
    }
    for workload in all {
        let container = name("seen", workload);
        until(&format!("{workload} is known well enough"), || {
            workload_of(data.path(), &container).is_some_and(|row| row["settled"] == true)
        });
    }
    println!(
        "{:<12} {:>9} {:>7} {:>8} {:>8}  of strace's",
        "workload", "executed", "loaded", "present", "unknown"
    );
    for workload in all {
        packages(workload, data.path());
    }
    println!("{:<12} {:>18} {:>16}", "workload", "system calls", "capabilities");
    let needs = all.map(|workload| need(workload, data.path(), folder.path()));
    drop(monitor);
    work(&needs, folder.path());

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
