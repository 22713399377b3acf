//! Drift: whatever way a file of a settled container becomes another, what is run or read as code is told, with no rule in
//! force; a new build of the image is no drift, and drift in it is told before it is settled. Needs root and an engine.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use haechi_tests::{Gone, Image, Layer, Monitor, Reply, Server, docker, until};
use serde_json::Value;

use crate::{profile, until_settled, without_rules, workload_of};

const TAG: &str = "haechi-test-drift/job:1";
/// What the first build is called once there is another.
const OLD: &str = "haechi-test-drift/job:old";
const NAME: &str = "haechi-test-drift";
const NEXT: &str = "haechi-test-drift-next";
const VOLUME: &str = "haechi-test-drift-data";
/// The same work again and again; and once, whatever is put into `/opt/step`.
const JOB: &str = "#!/bin/sh
[ -e /opt/made ] || cp /bin/work /opt/made
echo 0 > /data/count
while :; do
    /bin/work true; /bin/other true; /opt/made true
    . /app/lib.sh
    sh /app/script
    if [ -e /opt/step ]; then . /opt/step; mv /opt/step /opt/done; fi
    sleep 1
done
";
/// What is done, what is told of it (kind, what, priority of warning or more), and in which way it came.
const STEPS: [(&str, &str, (&str, &str, &str)); 9] = [
    (
        "downloaded",
        "wget -q -O /opt/got http://ADDRESS/tool; chmod 755 /opt/got; /opt/got true",
        ("executed", "/opt/got", "error"),
    ),
    (
        "overwritten",
        "cat /bin/busybox > /bin/other; /bin/other true",
        ("executed", "/bin/other", "error"),
    ),
    (
        "renamed over",
        "cp /bin/other /bin/work.new; mv /bin/work.new /bin/work; /bin/work true",
        ("executed", "/bin/work", "error"),
    ),
    (
        "deleted and made again",
        "rm /bin/gone; cp /bin/other /bin/gone; /bin/gone true",
        ("executed", "/bin/gone", "error"),
    ),
    (
        "changed already, and again",
        "cat /bin/busybox > /opt/made; /opt/made true",
        ("executed", "/opt/made", "error"),
    ),
    (
        "in a volume",
        "cp /bin/busybox /data/tool; /data/tool true",
        ("executed", "/data/tool", "error"),
    ),
    (
        "script of the image",
        "echo true >> /app/lib.sh; . /app/lib.sh",
        ("read", "/app/lib.sh", "warning"),
    ),
    (
        "file of the image",
        "echo true >> /app/script; sh /app/script",
        ("read", "/app/script", "notice"),
    ),
    (
        "module added",
        "echo true > /app/extra.sh; . /app/extra.sh",
        ("read", "/app/extra.sh", "warning"),
    ),
];

fn load(build: &str) {
    let busybox = fs::read("/bin/busybox").unwrap();
    let other = |name: &str| [&busybox[..], name.as_bytes(), build.as_bytes()].concat();
    let names = ["sh", "sleep", "cp", "mv", "rm", "cat", "chmod", "wget"];
    let layer = Layer::new().mode("bin/busybox", 0o755, &busybox);
    let linked =
        names.iter().fold(layer, |layer, name| layer.link(&format!("bin/{name}"), "busybox"));
    let mut image = Image::of([linked
        .mode("bin/work", 0o755, other("work"))
        .mode("bin/other", 0o755, other("other"))
        .mode("bin/gone", 0o755, other("gone"))
        .mode(&format!("bin/only-{build}"), 0o755, other("only"))
        .mode("app/lib.sh", 0o644, "true\n")
        .mode("app/script", 0o644, "true\n")
        .mode("job", 0o755, JOB)
        .dir("opt", 0o755)]);
    image.tag = TAG.to_owned();
    image.config = serde_json::json!({"Cmd": ["/job"]});
    image.load();
}

/// What was told of a container: kind, text, priority.
fn told(monitor: &Monitor, container: &str) -> Vec<(String, String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts = monitor.alerts();
    let of_it = alerts.iter().filter(|alert| alert["container"]["name"] == container);
    of_it
        .map(|alert| (word(&alert["tags"][1]), word(&alert["text"]), word(&alert["priority"])))
        .collect()
}

fn run(name: &str) {
    let volume = format!("{VOLUME}:/data");
    docker(&["run", "--detach", "--network", "host", "--volume", &volume, "--name", name, TAG]);
}

fn put(container: &str, place: &str, content: &[u8], mode: u32) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, content).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    docker(&["cp", file.to_str().unwrap(), &format!("{container}:{place}")]);
}

/// The volume is gone with the test, after its containers.
struct NoVolume;

impl Drop for NoVolume {
    fn drop(&mut self) {
        let _ =
            std::process::Command::new("docker").args(["volume", "rm", "--force", VOLUME]).output();
    }
}

#[test]
fn whatever_becomes_another_is_told_and_a_new_build_is_not() {
    drop(NoVolume);
    let _volume = NoVolume;
    let _gone = Gone::of([NAME, NEXT, TAG, OLD]);
    load("one");
    let tool = [&fs::read("/bin/busybox").unwrap()[..], b"downloaded"].concat();
    let server = Server::start(move |_, _| Reply::body(tool.clone()));
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let monitor = without_rules(data);
    run(NAME);
    until_settled(data, NAME);
    assert_eq!(told(&monitor, NAME), []);

    println!("\n{:<28} told as", "DRIFT");
    let mut before = 0;
    for (way, script, (kind, what, priority)) in STEPS {
        let script = script.replace("ADDRESS", server.url.trim_start_matches("http://"));
        put(NAME, "/opt/step", format!("{script}\n").as_bytes(), 0o644);
        until(way, || {
            told(&monitor, NAME).iter().skip(before).any(|(told, text, urgent)| {
                let is_of = text.split([';', ',', ':', ' ']).any(|word| word == what);
                told == kind && is_of && urgent == priority
            })
        });
        let all = told(&monitor, NAME);
        for (kind, text, priority) in all.iter().skip(before) {
            println!(
                "{way:<28} {kind} ({priority}) {}",
                text.split("; nothing new").next().unwrap()
            );
        }
        before = all.len();
    }
    let loud = |told: Vec<(String, String, String)>| {
        told.into_iter()
            .filter(|(_, _, priority)| priority == "error")
            .map(|(_, text, _)| text)
            .collect::<Vec<_>>()
    };
    let errors = loud(told(&monitor, NAME));
    assert_eq!(errors.len(), 6, "one novelty is one alert: {errors:#?}");

    // Another build under the same name: its programs are its own business.
    docker(&["tag", TAG, OLD]);
    load("two");
    docker(&["rm", "--force", NAME]);
    run(NEXT);
    // It is told once a minute that it goes on, and may be settled then: what follows comes before.
    until("the new build is learned", || workload_of(data, NEXT).is_some());
    let next = workload_of(data, NEXT).unwrap();
    assert_eq!(next["predecessor"]["by"], "reference", "{next}");
    assert_eq!(next["news"], Value::Null, "{next}");
    assert_eq!(told(&monitor, NEXT), []);
    // What is put into it is not.
    put(NEXT, "/opt/evil", &[&fs::read("/bin/busybox").unwrap()[..], b"evil"].concat(), 0o755);
    put(NEXT, "/opt/step", b"/opt/evil true\n", 0o644);
    until("drift in the new build is told", || {
        told(&monitor, NEXT).iter().any(|(_, text, _)| {
            text.starts_with("executed /opt/evil; ")
                && text.contains("the update of the image does not explain it")
        })
    });
    let show = profile(data, &["show", NEXT]).run().must_end_with(0);
    assert!(show.stdout.contains("The next build of haechi-test-drift/job:1"), "{}", show.stdout);
    assert!(show.stdout.contains("Taken over from the build before"), "{}", show.stdout);
    // It was learned with that in it: whoever uses the profile is told.
    for words in
        [&["show", NEXT][..], &["seccomp", NEXT, "--unsettled"], &["run", NEXT, "--unsettled"]]
    {
        until("what was told while it was learned is named", || {
            let done = profile(data, words).run().must_end_with(0);
            let said = [done.stdout, done.stderr].concat();
            said.contains("alerts of warning or more were told of its containers: 1")
                && said.contains("executed /opt/evil")
        });
    }
    assert_eq!(told(&monitor, NEXT).len(), 1, "{:?}", told(&monitor, NEXT));
}
