//! A corpus of behaviours, run as real containers under the built monitor with the tree's own rules: what attackers do
//! has to be told, what everybody does must not be. Needs root, the engine, debootstrap, and a kernel that takes BPF
//! programs.
//!
//! What is run is data (`tests/corpus/*.yaml`): attacks are what rules are expected to tell, everything else is everyday
//! work. The test prints which rules told what, for each behaviour and each rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use haechi_tests::{
    Base, Behaviour, Image, Layer, PATIENCE, binary, corpus, corpus_image, docker, repository,
    until,
};
use serde_json::Value;

/// Images, containers and the network are called so.
const PREFIX: &str = "haechi-test-corpus";
const DEBIAN: &str = "haechi-test-corpus/debian:1";
const BUSYBOX: &str = "haechi-test-corpus/busybox:1";
/// Containers that run at the same time.
const WORKERS: usize = 6;
/// From this on an alert calls for somebody; what is below is for the record.
const LOUD: [&str; 5] = ["emergency", "alert", "critical", "error", "warning"];

/// How a behaviour went.
struct Outcome {
    id: String,
    code: i32,
    said: String,
    took: Duration,
}

/// Containers, images and the network are gone when the test ends.
struct Gone;

impl Drop for Gone {
    fn drop(&mut self) {
        let run = |words: &[&str]| {
            let done = Command::new("docker").args(words).output();
            done.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default()
        };
        let ids = run(&["ps", "--all", "--quiet", "--filter", &format!("label={PREFIX}")]);
        for id in ids.lines() {
            run(&["rm", "--force", "--volumes", id]);
        }
        run(&["network", "rm", PREFIX]);
        // By what they are labelled with: one that was overtaken has no name any more.
        let label = format!("label={PREFIX}");
        let ids = run(&["images", "--quiet", "--filter", &label]);
        for id in ids.lines() {
            run(&["rmi", "--force", id]);
        }
    }
}

/// The monitor; killed if the test fails early.
struct Monitor {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Monitor {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let child = Command::new(binary())
            .args(["monitor", "--format", "json", "--only-rules", "--rules"])
            .arg(repository().join("rules/haechi.yaml"))
            .env("HAECHI_DATA_DIR", folder.path())
            .stdin(Stdio::null())
            .stdout(File::create(at("stdout")).unwrap())
            .stderr(File::create(at("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut monitor = Self { child, folder };
        until("the monitor watches", || {
            let ended = monitor.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", monitor.read("stderr"));
            monitor.read("stderr").contains("Watching")
        });
        monitor
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// Ends it as from the keyboard, when it has told the attack of this container; its alerts.
    fn end_after(mut self, last: &str) -> Vec<Value> {
        until("the last attack is told", || self.read("stdout").contains(last));
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(asked.unwrap().success());
        until("the monitor ends", || self.child.try_wait().unwrap().is_some());
        let said = self.read("stderr");
        assert!(said.contains("no event lost"), "{said}");
        self.read("stdout").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn images() {
    let label = format!("LABEL {PREFIX}=1");
    docker(&["import", "--change", &label, corpus_image().to_str().unwrap(), DEBIAN]);
    let busybox = fs::read("/bin/busybox").unwrap();
    let programs = [
        "apk", "cat", "chmod", "cp", "httpd", "ls", "nc", "ping", "ps", "rm", "sh", "sleep", "wget",
    ];
    let layer = Layer::new().mode("bin/busybox", 0o755, &busybox).dir("tmp", 0o1777);
    let layer = layer.file("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    let link = |layer: Layer, program: &&str| layer.link(&format!("bin/{program}"), "busybox");
    let mut image = Image::of([programs.iter().fold(layer, link)]);
    image.tag = BUSYBOX.to_owned();
    image.config = serde_json::json!({"Cmd": ["/bin/sh"], "Labels": {PREFIX: "1"}});
    image.load();
}

/// Runs a behaviour to its end.
fn run(behaviour: &Behaviour, folder: &Path) -> Outcome {
    let name = format!("{PREFIX}-{}", behaviour.name);
    let at = |ending: &str| folder.join(format!("{}.{ending}", behaviour.name));
    let cid = at("cid");
    let begin = Instant::now();
    let file = |ending: &str, script: &str| {
        fs::write(at(ending), script).unwrap();
        File::open(at(ending)).unwrap()
    };
    let (image, shell) = match behaviour.image {
        Base::Debian => (DEBIAN, ["/bin/bash", "-e"]),
        Base::Busybox => (BUSYBOX, ["/bin/sh", "-e"]),
    };
    let docker = |word: &str| {
        let mut command = Command::new("timeout");
        let seconds = PATIENCE.as_secs().to_string();
        command.args(["--signal=KILL", &seconds, "docker", word]);
        command
    };
    let mut start = docker("run");
    start.args(["--name", &name, "--label", PREFIX, "--cidfile"]).arg(&cid);
    start.args(&behaviour.options);
    if !behaviour.options.iter().any(|option| option.starts_with("--network")) {
        start.args(["--network", "none"]);
    }
    let detached = !behaviour.exec.is_empty();
    start.arg(if detached { "--detach" } else { "--interactive" }).arg(image);
    if behaviour.command.is_empty() && detached {
        start.args(["/bin/sleep", "1000"]);
    } else if behaviour.command.is_empty() {
        start.args(shell);
    } else {
        start.args(&behaviour.command);
    }
    let mut done = start.stdin(file("run", &behaviour.run)).output().unwrap();
    if detached && done.status.success() {
        let mut more = docker("exec");
        more.args(["--interactive", &name]).args(shell);
        done = more.stdin(file("exec", &behaviour.exec)).output().unwrap();
    }
    let took = begin.elapsed();
    let said = [done.stdout, done.stderr].concat();
    let _ = Command::new("docker").args(["rm", "--force", "--volumes", &name]).output();
    Outcome {
        id: fs::read_to_string(&cid).unwrap_or_default(),
        code: done.status.code().unwrap_or(-1),
        said: String::from_utf8_lossy(&said).into_owned(),
        took,
    }
}

/// Runs all, several at a time; outcomes by name.
fn act(behaviours: &[&Behaviour]) -> BTreeMap<String, Outcome> {
    let folder = tempfile::tempdir().unwrap();
    let next = Mutex::new(behaviours.iter());
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|threads| {
        for _ in 0..WORKERS {
            threads.spawn(|| {
                loop {
                    let Some(behaviour) = next.lock().unwrap().next() else { break };
                    let outcome = run(behaviour, folder.path());
                    done.lock().unwrap().insert(behaviour.name.clone(), outcome);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

/// Rules that told something, with their priority, by name of the behaviour.
fn told(
    alerts: &[Value],
    outcomes: &BTreeMap<String, Outcome>,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut told: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (name, outcome) in outcomes {
        let of = told.entry(name.clone()).or_default();
        for alert in alerts.iter().filter(|alert| alert["container"]["id"] == outcome.id) {
            let word = |key: &str| alert[key].as_str().unwrap().to_lowercase();
            of.insert(alert["rule"].as_str().unwrap().to_owned(), word("priority"));
        }
    }
    told
}

fn rules() -> String {
    fs::read_to_string(repository().join("rules/haechi.yaml")).unwrap()
}

fn rule_names(rules: &str) -> impl Iterator<Item = &str> {
    rules.lines().filter_map(|line| line.strip_prefix("- rule: "))
}

fn shorten(text: &str) -> String {
    text.lines().rev().take(4).collect::<Vec<_>>().join(" | ").chars().take(300).collect()
}

#[test]
fn attacks_are_told_and_everyday_work_is_not() {
    let (attacks, everyday) = corpus();
    let all: Vec<&Behaviour> = attacks.iter().chain(&everyday).collect();
    let names: BTreeSet<&str> = all.iter().map(|behaviour| behaviour.name.as_str()).collect();
    assert_eq!(names.len(), all.len(), "two behaviours have one name");
    let only = std::env::var("HAECHI_CORPUS").ok();
    let wanted = |b: &&Behaviour| only.as_ref().is_none_or(|only| b.name.contains(only.as_str()));
    let all: Vec<&Behaviour> = all.into_iter().filter(wanted).collect();

    // Another run would take this one's containers away.
    let one = File::create(std::env::temp_dir().join(format!("{PREFIX}.lock"))).unwrap();
    one.lock().unwrap();
    drop(Gone);
    let _gone = Gone;
    images();
    docker(&["network", "create", "--internal", PREFIX]);
    let monitor = Monitor::start();
    let begin = Instant::now();
    let outcomes = act(&all);
    let took = begin.elapsed();
    // An attack that is told for sure: all that was done before it has been judged by then, or soon after.
    let last = ["run", "--detach", "--rm", "--label", PREFIX, "--network", "none", BUSYBOX];
    let last = docker(&[&last[..], &["apk", "add", "x"]].concat());
    let alerts = monitor.end_after(&last);
    if let Ok(file) = std::env::var("HAECHI_CORPUS_ALERTS") {
        let lines: String = alerts.iter().map(|alert| format!("{alert}\n")).collect();
        fs::write(file, lines).unwrap();
    }
    let told = told(&alerts, &outcomes);
    let mut slow: Vec<_> = outcomes.iter().map(|(name, outcome)| (outcome.took, name)).collect();
    slow.sort();
    for (took, name) in slow.iter().rev().take(5) {
        println!("{name} took {:.1} s", took.as_secs_f64());
    }

    let mut wrong = Vec::new();
    let mut by_rule: BTreeMap<&str, [Vec<&str>; 3]> = BTreeMap::new();
    let (mut seen, mut open) = (0, 0);
    println!("\n{:<24} {:<62} told by", "ATTACK", "");
    for attack in attacks.iter().filter(wanted) {
        let rules = &told[&attack.name];
        let found = attack.expect.iter().any(|rule| rules.contains_key(rule));
        let words: Vec<&str> = rules.keys().map(String::as_str).collect();
        println!("{:<24} {:<62} {}", attack.name, attack.title, words.join("; "));
        for rule in rules.keys() {
            by_rule.entry(rule).or_default()[0].push(&attack.name);
        }
        match (&attack.not_seen, found) {
            (None, true) => seen += 1,
            (Some(why), false) => {
                open += 1;
                println!("{:<24} not told: {why}", "");
            }
            (None, false) => wrong.push(format!(
                "{}: not told ({words:?}); it ended with {}: {}",
                attack.name,
                outcomes[&attack.name].code,
                shorten(&outcomes[&attack.name].said)
            )),
            (Some(_), true) => wrong.push(format!("{}: told, against what is said", attack.name)),
        }
    }
    println!("\n{:<24} {:<62} told by", "EVERYDAY", "");
    for behaviour in everyday.iter().filter(wanted) {
        let rules = &told[&behaviour.name];
        let words: Vec<String> =
            rules.iter().map(|(r, priority)| format!("{r} ({priority})")).collect();
        println!("{:<24} {:<62} {}", behaviour.name, behaviour.title, words.join("; "));
        let outcome = &outcomes[&behaviour.name];
        if outcome.code != 0 {
            let said = shorten(&outcome.said);
            wrong.push(format!("{}: it does not work: {}: {said}", behaviour.name, outcome.code));
        }
        for (rule, priority) in rules {
            let loud = LOUD.contains(&priority.as_str());
            by_rule.entry(rule).or_default()[if loud { 1 } else { 2 }].push(&behaviour.name);
            if loud {
                wrong.push(format!("{}: a false alarm of `{rule}`", behaviour.name));
            }
        }
    }
    println!("\n{:<56} attacks  false alarms  notices", "RULE");
    for (rule, [hits, alarms, notices]) in &by_rule {
        println!("{rule:<56} {:>7}  {:>12}  {:>7}", hits.len(), alarms.len(), notices.len());
    }
    let text = rules();
    let silent = rule_names(&text).filter(|rule| !by_rule.contains_key(rule));
    println!("\nRules that told nothing: {}", silent.collect::<Vec<_>>().join("; "));
    let attacks = attacks.iter().filter(wanted).count();
    println!(
        "\n{seen} of {attacks} attacks told, {open} known not to be; {} everyday behaviours; {:.0} s\n",
        all.len() - attacks,
        took.as_secs_f64()
    );
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(only.is_some() || (seen >= 44 && all.len() - attacks >= 44), "the corpus is too small");
}

#[test]
fn what_is_said_about_rules_is_about_rules_that_there_are() {
    let text = rules();
    let names: BTreeSet<&str> = rule_names(&text).collect();
    let document = fs::read_to_string(repository().join("docs/rules.md")).unwrap();
    for name in &names {
        assert!(document.contains(&format!("| {name} | ")), "docs/rules.md lacks `{name}`");
    }
    for behaviour in corpus().0 {
        let unknown: Vec<_> =
            behaviour.expect.iter().filter(|rule| !names.contains(rule.as_str())).collect();
        assert!(unknown.is_empty(), "{}: no rules {unknown:?}", behaviour.name);
    }
}
