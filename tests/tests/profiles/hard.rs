//! Hard cases of profiles on real containers: fifty roles in one container, two commands of one image, and a monitor that was
//! away. Needs root and an engine.

use std::collections::BTreeSet;
use std::fs;

use haechi_tests::{Gone, Image, Layer, docker, until};
use serde_json::Value;

use crate::{json, until_settled, without_rules, workload_of};

const TAG: &str = "haechi-test-hard/job:1";
const ROLES: &str = "haechi-test-hard-roles";
const FIRST: &str = "haechi-test-hard-first";
const SECOND: &str = "haechi-test-hard-second";
const LEAVER: &str = "haechi-test-hard-leaver";
const COUNT: usize = 50;
/// Each role is another program that writes into a folder of its own, and stays.
const ROLE_JOB: &str = "#!/bin/sh
for n in $(seq 50); do
    mkdir -p /kept/$n
    { /roles/role-$n true; echo $n > /kept/$n/file; while :; do sleep 1000; done; } &
done
wait
";
/// The same work again and again, another for each word; and once, whatever is put into `/step`.
const JOB: &str = "#!/bin/sh
while :; do
    /bin/$1 true
    if [ -e /opt/step ]; then . /opt/step; mv /opt/step /opt/done; fi
    sleep 1
done
";

fn load() {
    load_as(TAG);
}

fn load_as(tag: &str) {
    let busybox = fs::read("/bin/busybox").unwrap();
    let other = |name: &str| [&busybox[..], name.as_bytes()].concat();
    let layer =
        Layer::new().mode("bin/busybox", 0o755, &busybox).dir("opt", 0o755).dir("kept", 0o755);
    let names = ["sh", "sleep", "mv", "seq", "mkdir"];
    let layer =
        names.iter().fold(layer, |layer, name| layer.link(&format!("bin/{name}"), "busybox"));
    let layer = (1..=COUNT).fold(layer, |layer, number| {
        // Small: what it is matters, not what it does.
        layer.mode(&format!("roles/role-{number}"), 0o755, format!("#!/bin/sh\n: {number}\n"))
    });
    let layer = ["first", "second", "third"]
        .iter()
        .fold(layer, |layer, name| layer.mode(&format!("bin/{name}"), 0o755, other(name)));
    let mut image = Image::of([layer.mode("job", 0o755, JOB).mode("roles/all", 0o755, ROLE_JOB)]);
    image.tag = tag.to_owned();
    // Another image for each test: a monitor sees the containers of all, and they would be of one workload.
    image.config = serde_json::json!({"Cmd": ["/job"], "Labels": {"of": tag}});
    image.load();
}

fn run(name: &str, command: &[&str]) {
    let run = ["run", "--detach", "--network", "none", "--name", name, TAG];
    docker(&[&run, command].concat());
}

fn entries(shown: &Value, kind: &str) -> BTreeSet<String> {
    let values = shown["entries"][kind].as_array().into_iter().flatten();
    values.map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// Has a script read by the job of a container, once.
fn step(container: &str, script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("step");
    fs::write(&file, script).unwrap();
    docker(&["cp", file.to_str().unwrap(), &format!("{container}:/opt/step")]);
}

#[test]
fn many_roles_two_commands_and_a_monitor_that_was_away() {
    let _gone = Gone::of([ROLES, FIRST, SECOND, TAG]);
    load();
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let mut first = without_rules(data);
    run(ROLES, &["/roles/all"]);
    run(FIRST, &["/job", "first"]);
    run(SECOND, &["/job", "second"]);

    // Fifty roles are one profile that has all of them.
    until("all roles are learned", || {
        workload_of(data, ROLES).is_some_and(|_| {
            let shown = json(data, &["show", ROLES]);
            let executed = entries(&shown, "executed");
            let written = entries(&shown, "written");
            (1..=COUNT).all(|number| {
                executed.contains(&format!("/roles/role-{number}"))
                    && written.contains(&format!("/kept/{number}/file"))
            })
        })
    });
    docker(&["rm", "--force", ROLES]);

    // Two commands of one image are two profiles, and what one does is not what the other does.
    for name in [FIRST, SECOND] {
        until_settled(data, name);
    }
    let [one, other] = [FIRST, SECOND].map(|name| workload_of(data, name).unwrap());
    assert_eq!(one["image_id"], other["image_id"]);
    assert_ne!(one["number"], other["number"]);
    for (name, own, others) in
        [(FIRST, "/bin/first", "/bin/second"), (SECOND, "/bin/second", "/bin/first")]
    {
        let executed = entries(&json(data, &["show", name]), "executed");
        assert!(executed.contains(own) && !executed.contains(others), "{executed:?}");
    }
    step(FIRST, "/bin/second true\n");
    until("the other's program is new", || {
        first.alerts().iter().any(|alert| {
            alert["container"]["name"] == FIRST
                && alert["program"] == "/bin/second"
                && alert["text"].as_str().unwrap().starts_with("executed /bin/second")
        })
    });

    // The monitor is away: what is done meanwhile is not known and not claimed, what was settled stays so.
    let watched = workload_of(data, FIRST).unwrap()["watched"].as_u64().unwrap();
    first.end();
    step(FIRST, "/bin/third true\n");
    let is_done = || !docker(&["exec", FIRST, "sh", "-c", "echo /opt/*"]).contains("step");
    until("the step is done", is_done);
    let again = without_rules(data);
    until("it is watched again", || {
        workload_of(data, FIRST).is_some_and(|row| row["watched"].as_u64().unwrap() > watched)
    });
    let shown = json(data, &["show", FIRST]);
    assert_eq!(shown["settled"], true, "{}", shown["coverage"]);
    assert!(shown["coverage"]["gaps"]["start"].is_u64(), "{}", shown["coverage"]);
    assert!(!entries(&shown, "executed").contains("/bin/third"));
    assert!(
        again.alerts().iter().all(|alert| !alert["text"].as_str().unwrap().contains("/bin/third"))
    );
    // What is done now is told, also if it was done while nobody looked.
    step(FIRST, "/bin/third true\n");
    until("what is new is told again", || {
        again.alerts().iter().any(|alert| {
            alert["program"] == "/bin/third"
                && alert["text"].as_str().unwrap().starts_with("executed /bin/third")
        })
    });
}

#[test]
fn after_a_process_left_its_control_group_nothing_is_claimed() {
    let tag = "haechi-test-leaver/job:1";
    let _gone = Gone::of([LEAVER, tag]);
    load_as(tag);
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let monitor = without_rules(data);
    let run = ["run", "--detach", "--network", "none", "--cgroupns", "host", "--name", LEAVER];
    let more = ["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"];
    let last = ["--security-opt", "apparmor=unconfined", tag, "/job", "first"];
    docker(&[&run[..], &more, &last].concat());
    until_settled(data, LEAVER);
    let open = |shown: &Value| shown["coverage"]["gaps"]["left"].is_u64();
    assert!(!open(&json(data, &["show", LEAVER])));
    step(
        LEAVER,
        "(mkdir /opt/cg; /bin/busybox mount -t cgroup2 none /opt/cg; echo 0 > /opt/cg/cgroup.procs; /bin/third true)\n",
    );
    until("it is told that nothing can be told any more", || {
        monitor.alerts().iter().any(|alert| {
            alert["container"]["name"] == LEAVER
                && alert["text"].as_str().unwrap().contains("left the control group")
        })
    });
    let shown = json(data, &["show", LEAVER]);
    assert!(open(&shown), "{}", shown["coverage"]);
    assert!(!entries(&shown, "executed").contains("/bin/third"));
}
