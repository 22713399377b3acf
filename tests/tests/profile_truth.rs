//! What the monitor learned of real workloads, against what strace sees of the same: no package that ran is called
//! "present only". Needs root, an engine, and debootstrap.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use haechi_tests::{Gone, Haechi, Monitor, docker, until, workloads};
use serde_json::Value;

const POLICY: &str = "[monitor]\nobserved_hours_min = 0\n";

fn name(of: &str, workload: &str) -> String {
    format!("haechi-test-truth-{of}-{workload}")
}

/// Begins a container that does its work, says so, and then nothing.
fn begin(of: &str, workload: &str, before: &str, options: &[&str]) {
    let name = name(of, workload);
    let script = format!("{before} bash /job/{workload}; touch /ended; exec sleep 1000000");
    let run = ["run", "--detach", "--network", "none", "--name", &name];
    docker(&[&run, options, &[workloads::IMAGE, "bash", "-c", &script]].concat());
}

fn has_ended(of: &str, workload: &str) -> bool {
    let merged =
        docker(&["inspect", "--format", "{{.GraphDriver.Data.MergedDir}}", &name(of, workload)]);
    PathBuf::from(merged).join("ended").exists()
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

#[test]
fn no_package_that_ran_is_called_present_only() {
    let all = workloads::WORKLOADS.map(|(workload, _)| workload);
    let _gone =
        Gone::of(all.iter().flat_map(|workload| ["traced", "seen"].map(|of| name(of, workload))));
    workloads::load();
    let data = tempfile::tempdir().unwrap();
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
    let profile = |words: &[&str]| {
        Haechi::new(&[&["profile"], words, &["--format", "json"]].concat())
            .data(data.path())
            .policy(POLICY)
            .run()
            .must_end_with(0)
            .json()
    };
    println!(
        "{:<12} {:>9} {:>7} {:>8} {:>8}  of strace's",
        "workload", "executed", "loaded", "present", "unknown"
    );
    for workload in all {
        let container = name("seen", workload);
        until(&format!("{workload} is known well enough"), || {
            let list = profile(&["list"]);
            let mut rows = list.as_array().unwrap().iter();
            let row = rows.find(|row| {
                row["containers"].as_array().unwrap().iter().any(|one| *one == container)
            });
            let open = row.map(|row| row["unsettled"].as_array().unwrap().clone());
            open.is_some_and(|open| !open.iter().any(|part| part == "programs" || part == "files"))
        });
        let seen = profile(&["packages", &container]);
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
            .filter(|package| {
                !matches!(states.get(package.as_str()), Some(&"executed" | &"loaded"))
            })
            .collect();
        assert!(wrong.is_empty(), "{workload}: {wrong:?} ran");
        assert!(ran.len() > 3 && count("present") > 50, "{workload}: {seen}");
    }
    drop(monitor);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
