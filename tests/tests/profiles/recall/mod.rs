//! What is told as new of five real services whose profiles are settled, with no rule in force: a day of everyday work, of which
//! every alert is a false alarm; then attacks of the corpus inside them. Both are printed. Needs root, the engine, debootstrap,
//! and a kernel that takes BPF programs.

mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};

use self::services::{Gone, PREFIX, Service, attack_by_redis, image};
use haechi_tests::{Haechi, Monitor, corpus, docker, until};
use jiff::Timestamp;
use serde_json::Value;

use crate::POLICY;

/// Rounds of work in which a service is learned, and rounds of its everyday work after that.
const LEARNED: usize = 8;
const DAY: usize = 24;
/// Attacks of the corpus, by the service they are made in.
const ATTACKS: [(Service, &[&str]); 5] = [
    (
        Service::Shop,
        &[
            "drift-download",
            "persist-cron",
            "read-shadow",
            "reverse-perl",
            "persist-user",
            "search-setuid",
        ],
    ),
    (
        Service::Api,
        &[
            "evade-memory-program",
            "dns-tunnel",
            "trick-exchange",
            "trick-renames-itself",
            "sniff",
            "evade-io-uring",
            "read-environments",
        ],
    ),
    (
        Service::Jobs,
        &[
            "miner-hidden",
            "persist-bashrc",
            "persist-setuid",
            "evade-deleted-program",
            "scan-netcat",
            "wipe-logs",
            "read-ssh-key",
        ],
    ),
    (
        Service::Store,
        &[
            "install-apt",
            "ssh-server-daemon",
            "persist-authorized-keys",
            "drift-loader",
            "read-registry-password",
        ],
    ),
    (
        Service::Web,
        &[
            "drift-changed",
            "persist-preload",
            "tunnel-socat",
            "reverse-node",
            "escape-mknod",
            "trick-symbolic-link-in",
            "drift-library",
        ],
    ),
];
/// By a way of its own.
const BY_REDIS: &str = "persist-cron";
/// What is told at the least.
const RECALL_MIN: usize = 30;

/// What was told about a container as new in a stretch of time: kind, what it was, how urgent. Without marks, calls last.
fn told(
    monitor: &Monitor,
    container: &str,
    from: Timestamp,
    until: Timestamp,
) -> Vec<(String, String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is_then = |alert: &&Value| {
        let at: Timestamp = alert["at"].as_str().unwrap().parse().unwrap();
        alert["container"]["name"] == container && at >= from && at < until
    };
    let mut found: Vec<(String, String, String)> = monitor
        .alerts()
        .iter()
        .filter(is_then)
        .map(|alert| {
            let text = word(&alert["text"]);
            let said = text.split("; nothing new").next().unwrap_or_default().to_owned();
            (word(&alert["tags"][1]), said, word(&alert["priority"]))
        })
        .filter(|(_, said, _)| !is_mark(said))
        .collect();
    found.sort_by_key(|(kind, _, _)| kind == "call");
    found
}

/// Marks are connections to ports and addresses that nobody else has.
static MARK: AtomicU16 = AtomicU16::new(20_000);

fn is_mark(said: &str) -> bool {
    said.starts_with("talks to tcp 127.9.")
}

/// Does something that is told for sure, and waits until it is: what was done before is told by then.
fn mark(monitor: &Monitor, service: Service) {
    let port = MARK.fetch_add(1, Ordering::Relaxed);
    let address = format!("127.9.{}.{}", port >> 8, port & 0xff);
    service.exec(&format!("(: > /dev/tcp/{address}/{port}) 2> /dev/null || true"));
    let mark = format!("talks to tcp {address}:{port}");
    until("a mark is told", || {
        monitor.alerts().iter().any(|alert| alert["text"].as_str().unwrap().contains(&mark))
    });
}

/// Containers whose profile is settled.
fn settled(data: &Path) -> BTreeSet<String> {
    let words = ["profile", "list", "--format", "json"];
    let list = Haechi::new(&words).data(data).policy(POLICY).run().must_end_with(0).json();
    let rows = list.as_array().unwrap().iter().filter(|row| row["news"].is_u64());
    rows.flat_map(|row| row["containers"].as_array().unwrap())
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// Does something in all services at once.
fn all<T: Send>(act: impl Fn(Service) -> T + Sync) -> BTreeMap<Service, T> {
    std::thread::scope(|threads| {
        let running = Service::ALL.map(|service| {
            let act = &act;
            (service, threads.spawn(move || act(service)))
        });
        running.into_iter().map(|(service, thread)| (service, thread.join().unwrap())).collect()
    })
}

#[test]
fn attacks_are_new_and_everyday_work_is_not() {
    // Another run would take this one's containers away.
    let one = File::create(std::env::temp_dir().join(format!("{PREFIX}.lock"))).unwrap();
    one.lock().unwrap();
    drop(Gone);
    let _gone = Gone;
    image();
    docker(&["network", "create", "--internal", "--label", PREFIX, PREFIX]);
    let (data, queue) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data, queue) = (data.path(), queue.path());
    let words =
        ["monitor", "--profile", "--rules", "none.yaml", "--only-rules", "--format", "json"];
    let haechi = Haechi::new(&words).data(data).policy(POLICY);
    fs::write(haechi.dir().join("none.yaml"), "[]\n").unwrap();
    let monitor = Monitor::begin(haechi);

    // Learned: all that it does, with stops and starts between.
    Service::Store.start(queue);
    all(|service| {
        if service != Service::Store {
            service.start(queue);
        }
        mark_learned(service);
        for round in 0..LEARNED {
            if [2, 4].contains(&round) {
                service.restart();
            }
            service.work(round, queue);
        }
    });
    let names: BTreeSet<String> = Service::ALL.map(Service::container).into();
    until("all are settled", || {
        std::thread::sleep(std::time::Duration::from_secs(2));
        settled(data).is_superset(&names)
    });

    // A day of it.
    let day = Timestamp::now();
    all(|service| {
        for round in 0..DAY {
            if round == DAY / 2 {
                service.restart();
            }
            service.work(100 + round, queue);
        }
        mark(&monitor, service);
    });
    // Sets are told with the mark, and a moment after it.
    all(|service| mark(&monitor, service));
    let attacked = Timestamp::now();
    println!("\nFALSE ALARMS of {DAY} rounds of everyday work in each service");
    let mut alarms = 0;
    for service in Service::ALL {
        for (_, said, priority) in told(&monitor, &service.container(), day, attacked) {
            alarms += 1;
            println!("{service:?}: {said} ({priority})");
        }
    }
    println!("{alarms} false alarms\n");

    // Attacks.
    let (corpus, _) = corpus();
    let scripts: BTreeMap<&str, (&str, &str)> = corpus
        .iter()
        .map(|one| {
            (
                one.name.as_str(),
                (
                    one.title.as_str(),
                    if one.run.is_empty() { one.exec.as_str() } else { one.run.as_str() },
                ),
            )
        })
        .collect();
    let outcomes = all(|service| {
        let (_, names) = ATTACKS.iter().find(|(of, _)| *of == service).unwrap();
        let by_redis = (service == Service::Store).then_some(BY_REDIS);
        let mut rows = Vec::new();
        for (at, name) in by_redis.iter().chain(*names).enumerate() {
            let (title, script) = scripts[name];
            let begin = Timestamp::now();
            let way = match by_redis {
                Some(_) if at == 0 => attack_by_redis(),
                _ => service.attack(name, script, queue),
            };
            mark(&monitor, service);
            rows.push((*name, title, way, begin));
        }
        rows
    });
    all(|service| mark(&monitor, service));
    println!("{:<24} {:<7} {:<18} {:>5}  told as new", "ATTACK", "in", "by", "told");
    let (mut seen, mut count) = (0, 0);
    for (service, rows) in &outcomes {
        for (at, (name, title, way, begin)) in rows.iter().enumerate() {
            // What is told of sets is told with the time at which they were read: that is before the next begins.
            let end = rows.get(at + 1).map_or(Timestamp::MAX, |(_, _, _, next)| *next);
            let told = told(&monitor, &service.container(), *begin, end);
            count += 1;
            seen += usize::from(!told.is_empty());
            let said: Vec<&str> = told.iter().take(4).map(|(_, said, _)| said.as_str()).collect();
            let said =
                if told.is_empty() { format!("NOT TOLD: {title}") } else { said.join(" | ") };
            println!(
                "{name:<24} {:<7} {way:<18} {:>5}  {said}",
                format!("{service:?}"),
                told.len()
            );
        }
    }
    println!("\nrecall: {seen} of {count} attacks told as new; {alarms} false alarms\n");
    assert_eq!(alarms, 0, "false alarms");
    assert!(seen >= RECALL_MIN, "only {seen} of {count}");
}

/// What marks need besides their port: it is known then.
fn mark_learned(service: Service) {
    service.exec("(: > /dev/tcp/127.0.0.1/1) 2> /dev/null || true");
}
