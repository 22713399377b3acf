//! What the monitor learned of real workloads, against what strace sees of the same: no package that ran is called
//! "present only". Needs root, an engine, and debootstrap.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use haechi_tests::{Gone, Haechi, Running, docker, fetched, tool, until};
use serde_json::Value;

const IMAGE: &str = "haechi-test-workloads:1";
const POLICY: &str = "[monitor]\nobserved_hours_min = 0\n";
const PACKAGES: &str = "nginx-light,redis-server,python3-flask,nodejs,cron,strace,postgresql";

/// Asks a server on the loopback for something, and shows what it says.
const ASK: &str = "ask() { for i in $(seq 100); do exec 3<>/dev/tcp/127.0.0.1/$1 && break; sleep 0.1; done 2>/dev/null; \
                   printf \"$2\" >&3; timeout 5 cat <&3 | head -c 200; exec 3>&-; }; ";

/// A workload and what it does, in bash; each ends, and then nothing more happens.
const WORKLOADS: [(&str, &str); 6] = [
    (
        "nginx",
        "nginx; ask 80 'GET / HTTP/1.0\\r\\n\\r\\n'; ask 80 'GET /none HTTP/1.0\\r\\n\\r\\n'; nginx -s reload; sleep 1; nginx -s quit",
    ),
    (
        "redis",
        "redis-server --dir /tmp --daemonize yes; sleep 1; redis-cli set a 1; redis-cli get a; redis-cli save; redis-cli shutdown",
    ),
    (
        "postgresql",
        "service postgresql start; sleep 2; su postgres -c \"psql -c 'create table t (a int)' -c 'insert into t select generate_series(1,1000)' -c 'select count(*) from t'\"; service postgresql stop",
    ),
    ("flask", "python3 /job/app.py"),
    ("node", "node /job/app.js"),
    ("cron", "cron; sleep 65; kill $(cat /run/crond.pid)"),
];

const FLASK: &str = "
import threading, urllib.request
from flask import Flask, jsonify, render_template_string
app = Flask(__name__)
@app.route('/')
def index():
    return render_template_string('<p>{{ name }}</p>', name='a')
@app.route('/json')
def data():
    return jsonify(a=1)
threading.Thread(target=lambda: app.run(port=8000), daemon=True).start()
import time; time.sleep(1)
for path in ['/', '/json']:
    print(urllib.request.urlopen('http://127.0.0.1:8000' + path).read())
";

const NODE: &str = "
const http = require('http'), zlib = require('zlib'), crypto = require('crypto');
const server = http.createServer((q, a) => a.end(zlib.gzipSync(crypto.randomBytes(8))));
server.listen(8000, () => http.get('http://127.0.0.1:8000', (a) => { a.resume(); a.on('end', () => server.close()); }));
";

fn image() {
    let tar = fetched(
        "workloads",
        &["var/cache/apt/*", "var/lib/apt/lists/*", "usr/share/doc/*"],
        |root| {
            let release = tool("sh", &["-c", ". /etc/os-release && echo $VERSION_CODENAME"]);
            let include = format!("--include={PACKAGES}");
            tool("debootstrap", &["--variant=minbase", &include, &release, root.to_str().unwrap()]);
            let work = root.join("job");
            fs::create_dir(&work).unwrap();
            fs::write(work.join("app.py"), FLASK).unwrap();
            fs::write(work.join("app.js"), NODE).unwrap();
            let job =
                "* * * * * root /bin/sh -c 'find /etc -name passwd | xargs wc -l > /tmp/counted'\n";
            fs::write(root.join("etc/cron.d/job"), job).unwrap();
            for (name, script) in WORKLOADS {
                let script = format!("#!/bin/bash\n{ASK}\n{script}\n");
                fs::write(work.join(name), script).unwrap();
            }
        },
    );
    docker(&["import", tar.to_str().unwrap(), IMAGE]);
}

fn name(of: &str, workload: &str) -> String {
    format!("haechi-test-truth-{of}-{workload}")
}

/// Begins a container that does its work, says so, and then nothing.
fn begin(of: &str, workload: &str, before: &str, options: &[&str]) {
    let name = name(of, workload);
    let script = format!("{before} bash /job/{workload}; touch /ended; exec sleep 1000000");
    let run = ["run", "--detach", "--network", "none", "--name", &name];
    docker(&[&run, options, &[IMAGE, "bash", "-c", &script]].concat());
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

/// The monitor, killed if the test fails early.
/// Its folder goes with it.
struct Monitor(Option<Running>, #[expect(dead_code, reason = "kept until the end")] Haechi);

impl Monitor {
    fn begin(data: &Path) -> Self {
        let mut haechi = Haechi::new(&["monitor", "--profile"]).data(data);
        let said = haechi.dir().join("stderr");
        let running = haechi.begin();
        let monitor = Self(Some(running), haechi);
        until("the monitor watches", || {
            fs::read_to_string(&said).is_ok_and(|said| said.contains("Watching"))
        });
        monitor
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.kill();
        }
    }
}

#[test]
fn no_package_that_ran_is_called_present_only() {
    let all = WORKLOADS.map(|(workload, _)| workload);
    let _gone =
        Gone::of(all.iter().flat_map(|workload| ["traced", "seen"].map(|of| name(of, workload))));
    image();
    let data = tempfile::tempdir().unwrap();
    let monitor = Monitor::begin(data.path());
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
