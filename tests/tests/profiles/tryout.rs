//! A profile is tried out, put into force and taken back, on real containers. Needs root and an engine.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use haechi_tests::{Done, Gone, Haechi, Image, Layer, Monitor, docker, until};
use serde_json::{Value, json};

use crate::POLICY;

/// A service that needs a capability, a volume, a port, and a folder of its own.
const SCRIPT: &str = "#!/bin/sh
mkdir -p /run/job
echo $$ > /run/job/pid
chown 1000 /run/job/pid || exit 7
[ -e /data/count ] || echo first > /data/count || true
echo started
exec httpd -f -p 8080 -h /data
";

/// What a test makes in the engine.
struct Site {
    name: String,
    tag: String,
    port: u16,
    data: tempfile::TempDir,
    _gone: Gone,
}

impl Site {
    fn new(name: &str, port: u16) -> Self {
        let name = format!("haechi-test-{name}");
        let tag = format!("haechi-test-try/{name}:1");
        let ends = ["", "-before-haechi", "-next-haechi", "-failed-haechi"];
        let mut all: Vec<String> = ends.iter().map(|end| format!("{name}{end}")).collect();
        all.push(tag.clone());
        let gone = Gone::of(all);
        let mut image = Image::of([Layer::new()
            .mode("bin/busybox", 0o755, fs::read("/bin/busybox").unwrap())
            .link("bin/sh", "busybox")
            .mode("job", 0o755, SCRIPT)
            .dir("data", 0o777)
            .file("etc/passwd", "root:x:0:0::/:/bin/sh\n")]);
        image.tag.clone_from(&tag);
        // Another image for each test, as a monitor sees the containers of all.
        image.config = json!({"Cmd": ["/job"], "Env": ["PATH=/bin"], "Labels": {"of": tag}});
        image.load();
        let data = tempfile::tempdir().unwrap();
        Self { name, tag, port, data, _gone: gone }
    }

    /// Starts the service.
    fn start(&self, options: &[&str]) -> String {
        let port = format!("127.0.0.1:{}:8080", self.port);
        let own =
            ["run", "--detach", "--name", &self.name, "--publish", &port, "--volume", "/data"];
        docker(&[&own, options, &[&self.tag]].concat())
    }

    fn monitor(&self) -> Monitor {
        Monitor::begin(Haechi::new(&["monitor", "--profile"]).data(self.data.path()))
    }

    fn profile(&self, words: &[&str]) -> Done {
        Haechi::new(&[&["profile"], words].concat()).data(self.data.path()).policy(POLICY).run()
    }

    fn inspect(&self, name: &str) -> Value {
        let all: Value = serde_json::from_str(&docker(&["inspect", name])).unwrap();
        all[0].clone()
    }

    /// Whether the published port answers with what lies in the volume.
    fn answers(&self) -> bool {
        let asked = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /count HTTP/1.0\r\n\r\n")?;
            let mut said = String::new();
            stream.read_to_string(&mut said).map(|_| said)
        });
        asked.is_ok_and(|said| said.ends_with("\nfirst\n"))
    }

    /// Waits until the profile has these.
    fn learned(&self, entries: &[(&str, &str)]) -> Value {
        let has = |profile: &Value, kind: &str, value: &str| {
            let all = profile["entries"].as_array().unwrap();
            all.iter().any(|entry| entry["kind"] == kind && entry["value"] == value)
        };
        let mut found = Value::Null;
        until("the profile has what the service does", || {
            let done = self.profile(&["export", &self.name]);
            found = serde_json::from_str(&done.stdout).unwrap_or_default();
            found.is_object() && entries.iter().all(|(kind, value)| has(&found, kind, value))
        });
        found
    }

    /// The profile without an entry, as a file.
    fn without(&self, profile: &Value, values: &[&str]) -> String {
        let mut less = profile.clone();
        let is_kept = |entry: &Value| !values.iter().any(|value| entry["value"] == *value);
        less["entries"].as_array_mut().unwrap().retain(is_kept);
        let path = self.data.path().join(format!("without-{}", values[0]));
        fs::write(&path, less.to_string()).unwrap();
        path.display().to_string()
    }
}

fn has(done: &Done, words: &[&str]) {
    let all = format!("{}{}", done.stdout, done.stderr);
    for word in words {
        assert!(all.contains(word), "{word}: {all}");
    }
}

#[test]
fn a_profile_is_tried_put_into_force_and_taken_back() {
    let site = Site::new("apply", 18471);
    let monitor = site.monitor();
    let id = site.start(&["--restart", "always", "--label", "team=x", "--stop-timeout", "2"]);
    until("it answers", || site.answers());
    let known = site.learned(&[
        ("capability", "CHOWN"),
        ("call", "listen"),
        ("call", "accept"),
        ("written", "/run/job/pid"),
    ]);

    // Enough: nothing was refused, by the kernel and by the monitor, but beside the other it may not write to the volume.
    let tried = site.profile(&["try", &site.name, "--unsettled", "--for", "4"]);
    println!("{}{}", tried.stdout, tried.stderr);
    let tried = tried.must_end_with(2);
    has(&tried, &["With the least privilege: it lives", "it may only read volumes"]);
    has(&tried, &["no system call beyond the profile", "nothing beyond the profile was used"]);
    // In its place it may, and then nothing is left open.
    let words = ["try", &site.name, "--unsettled", "--for", "4", "--restart", "--yes"];
    let tried = site.profile(&words);
    println!("{}{}", tried.stdout, tried.stderr);
    has(&tried.must_end_with(0), &["Nothing would have been refused"]);
    until("it answers again", || site.answers());
    let there = docker(&["ps", "--all", "--format", "{{.Names}}"]);
    assert!(!there.lines().any(|name| name.starts_with(&format!("{}-", site.name))), "{there}");
    // What was made to try it is none of its containers, though the monitor watched that too.
    let list = site.profile(&["list", "--format", "json"]).must_end_with(0).json();
    let is_its = |one: &&Value| one["containers"].to_string().contains(&site.name);
    let line = list.as_array().unwrap().iter().find(is_its).unwrap();
    assert_eq!(line["containers"], json!([site.name]), "{list}");
    let run = site.profile(&["run", &format!("#{}", line["number"]), "--unsettled"]);
    has(&run, &[&format!("{}.seccomp.json", site.name)]);
    assert!(!run.stdout.contains("-haechi"), "{}", run.stdout);

    // Too little: it says so, and what it is.
    let narrow = site.without(&known, &["CHOWN"]);
    let tried = site.profile(&["try", &site.name, "--file", &narrow, "--unsettled", "--for", "4"]);
    println!("{}{}", tried.stdout, tried.stderr);
    let tried = tried.must_end_with(1);
    has(&tried, &["exit code 7", "if this alone is taken away: capabilities"]);
    drop(monitor);

    // Not without being asked.
    let shown = site.profile(&["apply", &site.name, "--unsettled"]).must_end_with(2);
    has(&shown, &["Nothing was done", "capabilities: ", "-> CHOWN"]);
    assert_eq!(site.inspect(&site.name)["Id"], id);

    // In force.
    let applied = site.profile(&["apply", &site.name, "--unsettled", "--yes", "--for", "4"]);
    println!("{}{}", applied.stdout, applied.stderr);
    let applied = applied.must_end_with(0);
    has(&applied, &["it lives", "rollback"]);
    let old = site.inspect(&format!("{}-before-haechi", site.name));
    let new = site.inspect(&site.name);
    assert_eq!((&old["Id"], &old["State"]["Running"]), (&json!(id), &json!(false)));
    assert_eq!(
        old["HostConfig"]["RestartPolicy"]["Name"], "no",
        "or both would run after a restart"
    );
    assert_ne!(new["Id"], id);
    let host = &new["HostConfig"];
    let rights = host["CapAdd"].as_array().unwrap();
    assert!(rights.contains(&json!("CHOWN")) && rights.len() < 4, "{rights:?}");
    assert_eq!((&host["CapDrop"], &host["ReadonlyRootfs"]), (&json!(["ALL"]), &json!(true)));
    assert_eq!(host["RestartPolicy"]["Name"], "always");
    assert!(host["SecurityOpt"].to_string().contains("SCMP_ACT_ERRNO"));
    assert_eq!(new["Config"]["Labels"]["team"], "x");
    assert_eq!(new["Mounts"][0]["Name"], old["Mounts"][0]["Name"]);
    until("the port and the data are there", || site.answers());
    let again = site.profile(&["apply", &site.name, "--unsettled", "--yes"]).must_end_with(2);
    has(&again, &["made again already"]);

    // And back.
    site.profile(&["rollback", &site.name]).must_end_with(0);
    let back = site.inspect(&site.name);
    assert_eq!((&back["Id"], &back["State"]["Running"]), (&json!(id), &json!(true)));
    assert_eq!(back["HostConfig"]["RestartPolicy"]["Name"], "always");
    until("it answers as before", || site.answers());
    has(&site.profile(&["rollback", &site.name]).must_end_with(2), &["nothing to put back"]);
    let log = Haechi::new(&["audit", "list"]).data(site.data.path()).run().must_end_with(0).stdout;
    for deed in ["ApplyProfile", "RollBack"] {
        assert!(log.contains(deed), "{log}");
    }
}

#[test]
fn a_container_that_loops_is_rolled_back_and_it_is_said_why() {
    let site = Site::new("loop", 18472);
    let monitor = site.monitor();
    let id = site.start(&["--restart", "always", "--stop-timeout", "2"]);
    until("it answers", || site.answers());
    let known = site.learned(&[("capability", "CHOWN"), ("call", "listen"), ("call", "accept")]);
    drop(monitor);
    let narrow = site.without(&known, &["listen"]);
    let words = ["apply", &site.name, "--file", &narrow, "--unsettled", "--yes", "--for", "20"];
    let applied = site.profile(&words);
    println!("{}{}", applied.stdout, applied.stderr);
    let applied = applied.must_end_with(1);
    has(
        &applied,
        &[
            "exit code 1 and was started again",
            "Operation not permitted",
            "was put back",
            "beyond the profile, by the kernel's audit records:\n  listen  /bin/busybox",
            "if this alone is taken away: system calls",
        ],
    );
    let back = site.inspect(&site.name);
    assert_eq!((&back["Id"], &back["State"]["Running"]), (&json!(id), &json!(true)));
    assert_eq!(back["HostConfig"]["RestartPolicy"]["Name"], "always");
    until("it answers as before", || site.answers());
    let there = docker(&["ps", "--all", "--format", "{{.Names}}"]);
    assert!(!there.lines().any(|name| name.starts_with(&format!("{}-", site.name))), "{there}");
}

#[test]
fn in_its_place_nothing_is_taken_away_and_what_goes_beyond_is_told() {
    let site = Site::new("log", 18473);
    let monitor = site.monitor();
    let id = site.start(&["--stop-timeout", "2"]);
    until("it answers", || site.answers());
    let known = site.learned(&[("capability", "CHOWN"), ("call", "listen"), ("call", "accept")]);
    drop(monitor);
    let narrow = site.without(&known, &["listen", "CHOWN"]);
    let words = ["try", &site.name, "--file", &narrow, "--unsettled", "--restart", "--for", "3"];
    let asked = site.profile(&words).must_end_with(2);
    has(&asked, &["Nothing was done"]);
    let tried = site.profile(&[&words[..], &["--yes"]].concat());
    println!("{}{}", tried.stdout, tried.stderr);
    let tried = tried.must_end_with(1);
    has(&tried, &["it lives", "  listen  /bin/busybox", "as it was before"]);
    assert_eq!(site.inspect(&site.name)["Id"], id);
    until("it answers as before", || site.answers());
    // Without starting anything: what was seen is more than the file has.
    let watched = site
        .profile(&["try", &site.name, "--file", &narrow, "--unsettled", "--watch"])
        .must_end_with(1);
    has(&watched, &["listen", "CHOWN"]);
}

#[test]
fn at_its_next_start_the_monitor_makes_it_again() {
    let site = Site::new("next", 18474);
    let monitor = site.monitor();
    let id = site.start(&["--stop-timeout", "2"]);
    until("it answers", || site.answers());
    site.learned(&[("capability", "CHOWN"), ("call", "listen"), ("call", "accept")]);
    let words = ["apply", &site.name, "--unsettled", "--yes", "--next-start", "--for", "3"];
    site.profile(&words).must_end_with(0);
    assert_eq!(site.inspect(&site.name)["Id"], id, "nothing is done now");
    docker(&["restart", &site.name]);
    until("the monitor made it again", || monitor.said().contains("has the least privilege"));
    let new = site.inspect(&site.name);
    assert_ne!(new["Id"], id);
    assert!(new["HostConfig"]["CapAdd"].as_array().unwrap().contains(&json!("CHOWN")));
    until("it answers", || site.answers());
    site.profile(&["rollback", &site.name]).must_end_with(0);
    // Called off, it stays as it is.
    site.profile(&words).must_end_with(0);
    has(&site.profile(&["rollback", &site.name]).must_end_with(0), &["Called off"]);
    drop(monitor);
    let nobody = site.profile(&words).must_end_with(2);
    has(&nobody, &["No `haechi monitor` runs"]);
}
