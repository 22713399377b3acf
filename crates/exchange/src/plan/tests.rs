//! Plans from what an engine says of a container of everything.

use std::collections::BTreeSet;

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn rights() -> Rights {
    Rights {
        seccomp: json!({}),
        capabilities: Some(BTreeSet::new()),
        read_only: false,
        tmpfs: Vec::new(),
        pids: None,
        memory: None,
        kept: Vec::new(),
    }
}

/// As an engine answers for a container of everything.
fn inspected() -> Value {
    json!({
        "Id": ID, "Name": "/web", "Image": "sha256:aa",
        "State": {"Running": true, "Status": "running"},
        "Config": {
            "Hostname": "0123456789ab", "Image": "web:1", "Cmd": ["serve"], "Entrypoint": null,
            "Env": ["A=b"], "User": "7", "WorkingDir": "/w", "Labels": {"team": "x"},
            "Healthcheck": {"Test": ["CMD", "true"]}, "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/data": {}}, "StopSignal": "SIGQUIT",
        },
        "HostConfig": {
            "NetworkMode": "front", "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
            "Binds": ["/etc/x:/x:ro", "named:/named"],
            "Mounts": [{"Type": "volume", "Source": "", "Target": "/asked"},
                       {"Type": "tmpfs", "Target": "/memory"}],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}, "Privileged": false,
        },
        "Mounts": [
            {"Type": "volume", "Name": "f00d", "Destination": "/data", "RW": true},
            {"Type": "volume", "Name": "cafe", "Destination": "/asked", "RW": true},
            {"Type": "volume", "Name": "named", "Destination": "/named", "RW": true},
            {"Type": "bind", "Source": "/etc/x", "Destination": "/x", "RW": false},
        ],
        "NetworkSettings": {"Networks": {
            "front": {"NetworkID": "n1", "IPAMConfig": {"IPv4Address": "10.9.0.7"},
                      "Aliases": ["www", "0123456789ab"], "IPAddress": "10.9.0.7", "MacAddress": "02:42"},
            "back": {"NetworkID": "n2", "IPAMConfig": null, "Aliases": ["0123456789ab"],
                     "IPAddress": "10.8.0.2"},
        }},
    })
}

fn instead(inspected: &Value) -> Result<Plan, Refused> {
    Plan::instead(inspected, "web:1", &rights(), false)
}

#[test]
fn nothing_of_a_container_is_lost() {
    let plan = instead(&inspected()).unwrap();
    let body = &plan.body;
    for (path, expected) in [
        ("/Image", json!("web:1")),
        ("/Cmd", json!(["serve"])),
        ("/Entrypoint", json!([""])),
        ("/Env", json!(["A=b"])),
        ("/User", json!("7")),
        ("/StopSignal", json!("SIGQUIT")),
        ("/Healthcheck", json!({"Test": ["CMD", "true"]})),
        ("/Labels/team", json!("x")),
        ("/HostConfig/RestartPolicy/Name", json!("always")),
        ("/HostConfig/PortBindings/80~1tcp/0/HostPort", json!("8080")),
        ("/HostConfig/LogConfig/Config/max-size", json!("1m")),
        ("/HostConfig/Binds", json!(["/etc/x:/x:ro", "named:/named", "f00d:/data:rw"])),
        ("/HostConfig/Mounts/0/Source", json!("cafe")),
        ("/HostConfig/CapDrop", json!(["ALL"])),
        (
            "/NetworkingConfig/EndpointsConfig",
            json!({"front": {"IPAMConfig": {"IPv4Address": "10.9.0.7"}, "Aliases": ["www"]}}),
        ),
    ] {
        assert_eq!(body.pointer(path), Some(&expected), "{path}");
    }
    assert_eq!(body.get("Hostname"), None, "the engine made it up");
    let mut named = inspected();
    put(&mut named, &["Config", "Hostname"], json!("www"));
    assert_eq!(instead(&named).unwrap().body["Hostname"], "www");
    // However its place is written, a volume is mounted once.
    let mut twice = inspected();
    put(&mut twice, &["HostConfig", "Binds"], json!(["named:/named/", "f00d:/./data//"]));
    put(&mut twice, &["HostConfig", "Mounts"], json!([{"Type": "volume", "Target": "/asked/"}]));
    let host = &instead(&twice).unwrap().body["HostConfig"];
    assert_eq!(host["Binds"], json!(["named:/named/", "f00d:/./data//"]));
    assert_eq!(host["Mounts"][0]["Source"], "cafe");
}

#[test]
fn the_site_has_its_container_until_the_new_one_is_made() {
    let plan = instead(&inspected()).unwrap();
    let back = Step::Connect("back".into(), json!({}));
    let expected =
        [Step::Create, back, Step::Hold, Step::Stop, Step::RenameOld, Step::RenameNew, Step::Start];
    assert_eq!(plan.steps, expected);
    assert_eq!((&*plan.past.name, &*plan.past.old_name()), ("web", "web-before-haechi"));
    // What does not run is not started.
    let mut stopped = inspected();
    put(&mut stopped, &["State"], json!({"Running": false, "Status": "exited"}));
    let steps = instead(&stopped).unwrap().steps;
    assert!(!steps.contains(&Step::Stop) && !steps.contains(&Step::Start));
}

#[test]
fn networks_are_those_that_it_has_now() {
    let mut told = inspected();
    put(&mut told, &["HostConfig", "NetworkMode"], json!("default"));
    let plan = instead(&told).unwrap();
    // It was taken out of the one that it was made with.
    assert!(plan.steps.contains(&Step::Leave("bridge".into())));
    assert_eq!(plan.steps.iter().filter(|step| matches!(step, Step::Connect(..))).count(), 2);
    put(&mut told, &["NetworkSettings", "Networks"], json!({"bridge": {"NetworkID": "b"}}));
    let plan = instead(&told).unwrap();
    assert!(plan.body.get("NetworkingConfig").is_none() && plan.steps.len() == 6);
    // By its id.
    put(&mut told, &["HostConfig", "NetworkMode"], json!("b"));
    assert_eq!(instead(&told).unwrap().steps.len(), 6);
    for mode in ["host", "none", "container:x"] {
        put(&mut told, &["HostConfig", "NetworkMode"], json!(mode));
        put(&mut told, &["NetworkSettings", "Networks"], json!({}));
        let plan = instead(&told).unwrap();
        assert!(plan.steps.len() == 6 && plan.body.get("NetworkingConfig").is_none(), "{mode}");
        let is_shared = mode == "container:x";
        assert_eq!(plan.body.get("ExposedPorts").is_none(), is_shared, "{mode}");
    }
}

#[test]
fn what_runs_beside_takes_nothing_away() {
    let plan = Plan::beside(&inspected(), "web:1", &rights()).unwrap();
    let host = &plan.body["HostConfig"];
    assert_eq!(host["PortBindings"], json!({}));
    assert_eq!(host["RestartPolicy"]["Name"], "no");
    assert_eq!(host["Binds"], json!(["/etc/x:/x:ro", "named:/named:ro", "f00d:/data:ro"]));
    assert_eq!(host["Mounts"][0]["ReadOnly"], true);
    assert_eq!(host["Mounts"][1].get("ReadOnly"), None);
    assert_eq!(plan.body["Labels"], json!({}));
    assert_eq!(plan.body["NetworkingConfig"]["EndpointsConfig"], json!({"front": {}}));
    assert_eq!(plan.steps, [Step::Create, Step::Connect("back".into(), json!({})), Step::Start]);
    let mut host = inspected();
    put(&mut host, &["HostConfig", "NetworkMode"], json!("host"));
    assert_eq!(Plan::beside(&host, "web:1", &rights()), Err(Refused::Network));
}

#[test]
fn what_others_make_is_theirs() {
    let with = |path: &[&str], value: Value| {
        let mut told = inspected();
        put(&mut told, path, value);
        told
    };
    let label = |name: &str| with(&["Config", "Labels", name], json!("x"));
    for (told, expected) in [
        (label("com.docker.swarm.task.id"), Refused::Managed("Swarm")),
        (label("com.docker.compose.project"), Refused::Managed("Compose")),
        (label("io.kubernetes.pod.uid"), Refused::Managed("Kubernetes")),
        (with(&["HostConfig", "Privileged"], json!(true)), Refused::Privileged),
        (with(&["HostConfig", "AutoRemove"], json!(true)), Refused::Removed),
        (with(&["State", "Status"], json!("paused")), Refused::State("paused".into())),
        (json!({}), Refused::Unknown),
        (json!([1]), Refused::Unknown),
    ] {
        assert_eq!(instead(&told), Err(expected));
    }
    let compose = label("com.docker.compose.project");
    assert!(Plan::instead(&compose, "web:1", &rights(), true).is_ok());
    let swarm = label("com.docker.swarm.task.id");
    assert!(Plan::instead(&swarm, "web:1", &rights(), true).is_err());
}
