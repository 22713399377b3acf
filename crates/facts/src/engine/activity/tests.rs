//! Events as Docker 20.10 writes them, and what could be made of them.

use serde_json::json;

use super::*;

const EXEC: &str = "9c9417d346e91fc6a526861689987a4897fc17ff7619b8f8bc001a683ac3c94c";

fn event(action: &str, attributes: Value) -> Value {
    json!({"Type": "container", "Action": action, "time": 1795402462, "timeNano": 1795402462269514781_i64,
        "Actor": {"ID": "84eb", "Attributes": attributes}})
}

fn exec_event() -> Value {
    event(
        "exec_create: /bin/sh -c true",
        json!({"execID": EXEC, "image": "web:1", "name": "web", "label": "x", "maintainer": "y"}),
    )
}

fn inspected(user: &str, privileged: bool) -> Value {
    json!({"ID": EXEC, "ContainerID": "84eb", "Pid": 4711, "ProcessConfig": {"tty": false, "entrypoint": "/bin/sh",
        "arguments": ["-c", "true"], "privileged": privileged, "user": user}})
}

fn health() -> Option<HealthCheck> {
    let container =
        json!({"Config": {"User": "app", "Healthcheck": {"Test": ["CMD-SHELL", "true"]}}});
    HealthCheck::of(&container)
}

#[test]
fn an_exec_call_is_told_with_its_rights() {
    let event = exec_event();
    assert_eq!(exec_of(&event), Some(("84eb", EXEC)));
    let told = from_event(&event, Some(&inspected("root", true)), None).unwrap();
    assert_eq!(told.at.to_string(), "2026-11-23T02:54:22.269514781Z");
    assert_eq!((told.kind.as_str(), told.action.as_str()), ("container", "exec_create"));
    assert_eq!((told.name.as_str(), told.image.as_str()), ("web", "web:1"));
    assert_eq!(told.details, [""; 0], "labels are no details");
    let call = told.exec.unwrap();
    assert_eq!(call.command, "/bin/sh -c true");
    assert_eq!((call.user.as_str(), call.privileged, call.pid), ("root", Some(true), 4711));
}

#[test]
fn what_was_not_inspected_or_is_another_call_is_not_believed() {
    let event = exec_event();
    let mut other = inspected("", false);
    other["ContainerID"] = json!("other");
    let mut silent = inspected("", false);
    silent["ProcessConfig"] = json!({"entrypoint": "true"});
    for told in [None, Some(&other), Some(&silent)] {
        let told = from_event(&event, told, health().as_ref()).unwrap();
        let call = told.exec.clone().unwrap();
        assert_eq!((call.command.as_str(), call.privileged), ("/bin/sh -c true", None));
        assert!(!is_health_check(&told), "a call of unknown rights is none of the engine's own");
    }
}

#[test]
fn only_the_engines_own_health_check_is_one() {
    let is = |exec: Value| {
        is_health_check(&from_event(&exec_event(), Some(&exec), health().as_ref()).unwrap())
    };
    assert!(is(inspected("app", false)));
    assert!(is(inspected("", false)));
    assert!(!is(inspected("root", false)), "another user");
    assert!(!is(inspected("app", true)), "privileged");
    let mut other = inspected("app", false);
    other["ProcessConfig"]["arguments"] = json!(["-c", "true; id"]);
    assert!(!is(other));
    for test in [json!(["NONE"]), json!([]), json!(null)] {
        let container = json!({"Config": {"Healthcheck": {"Test": test}}});
        assert_eq!(HealthCheck::of(&container), None);
    }
}

#[test]
fn secrets_are_not_kept_and_noise_is_left_out() {
    let exec = event("exec_start: sh -c mysql --password=hunter2hunter2", json!({"execID": EXEC}));
    let call = from_event(&exec, None, None).unwrap().exec.unwrap();
    assert!(!call.command.contains("hunter2"), "{}", call.command);
    let mut told = inspected("", false);
    told["ProcessConfig"]["arguments"] = json!(["--password", "hunter2hunter2"]);
    let call = from_event(&exec, Some(&told), None).unwrap().exec.unwrap();
    assert!(!call.command.contains("hunter2"), "{}", call.command);
    for action in ["exec_die", "health_status: healthy", "resize"] {
        assert_eq!(from_event(&event(action, json!({})), None, None), None);
    }
    let kill = event("kill", json!({"signal": "9", "name": "web", "password": "x"}));
    assert_eq!(from_event(&kill, None, None).unwrap().details, ["signal=9"]);
    let mount = json!({"Type": "volume", "Action": "mount", "time": 5, "Actor": {"ID": "data",
        "Attributes": {"driver": "local", "container": "84eb", "read/write": "true"}}});
    let mount = from_event(&mount, None, None).unwrap();
    assert_eq!(mount.details, ["container=84eb", "driver=local", "read/write=true"]);
}

#[test]
fn what_is_no_event_is_no_activity() {
    for odd in [json!(null), json!({}), json!([]), json!({"Action": 5}), json!({"Action": "kill"})]
    {
        assert_eq!(from_event(&odd, None, None), None);
        assert_eq!(exec_of(&odd), None);
    }
    let long = event("kill", json!({"signal": "9".repeat(5000), "name": "é".repeat(5000)}));
    let told = from_event(&long, None, None).unwrap();
    assert!(told.name.len() < 1100 && told.details.iter().all(|detail| detail.len() < 1100));
}
