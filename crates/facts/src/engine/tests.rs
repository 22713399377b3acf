//! The whole collector over recorded answers and made-up machines.

mod completeness;
mod machine;

use super::api::tests::Recorded;
use super::*;
use crate::gaps::Gaps;
use completeness::unexplained;
use haechi_core::facts::Gap;
use machine::{CONTAINER, Machine, docker, inspect};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

pub(super) fn options() -> Options {
    Options {
        root: "/".into(),
        endpoint: None,
        timeout: Duration::from_secs(5),
        now: "2026-01-31T00:00:00Z".parse().unwrap(),
        backups: Vec::new(),
        unlock_key_salt: [7; 32],
    }
}

async fn collect_at(api: &Recorded, root: &Root, endpoint: &str) -> Snapshot {
    let gaps = Gaps::default();
    let options = options();
    let endpoint = endpoint::resolve(Some(endpoint), root, &|_| None).unwrap();
    let mut snapshot = Snapshot::default();
    let scene = Scene { api, options: &options, root, gaps: &gaps };
    collect_from(scene, &endpoint, &mut snapshot).await;
    snapshot.gaps = gaps.into_sorted();
    snapshot
}

async fn collect_on(api: &Recorded, machine: &Machine) -> Snapshot {
    collect_at(api, &machine.root(), &machine.endpoint()).await
}

fn gap_causes<'s>(snapshot: &'s Snapshot, kind: SubjectKind, fact: &str) -> Vec<&'s str> {
    let found = |gap: &&Gap| gap.kind == kind && gap.fact == fact;
    snapshot.gaps.iter().filter(found).map(|gap| gap.cause.name()).collect()
}

#[tokio::test]
async fn a_local_engine_is_described_without_a_gap() {
    let machine = Machine::new();
    let snapshot = collect_on(&docker(&machine), &machine).await;
    assert_eq!(snapshot.gaps, []);
    assert_eq!(unexplained(&snapshot), Vec::<String>::new());
    let engine = &snapshot.engine;
    assert_eq!(engine.local, Some(true), "{:?}", engine.local_reason);
    assert_eq!(engine.process.as_ref().unwrap().arguments.as_ref().unwrap().len(), 3);
    let config = engine.config.as_ref().unwrap();
    assert_eq!(config.userland_proxy.as_ref().unwrap().value, Some(false));
    let listeners = engine.listeners.as_ref().unwrap();
    assert_eq!(listeners.len(), 2, "{listeners:?}");
    assert_eq!(listeners[0].port, Some(2375));
    assert_eq!((listeners[0].tls, listeners[1].tls), (Some(false), Some(false)));

    let container = &snapshot.containers.as_ref().unwrap()[0];
    assert_eq!(container.name.as_deref(), Some("web"));
    let processes = container.processes.as_ref().unwrap();
    let seen: Vec<_> = processes.iter().map(|p| (p.uid, p.identity.as_deref().unwrap())).collect();
    assert_eq!(seen, [(Some(0), ""), (Some(1000), "openssh-server")]);
    let listener = &container.listeners.as_ref().unwrap()[0];
    assert_eq!((listener.port, listener.program.as_deref()), (Some(22), Some("worker")));
    assert_eq!(
        container.listeners.as_ref().unwrap().len(),
        1,
        "the engine's name server is left out"
    );
    let effective = container.effective.as_ref().unwrap();
    assert_eq!(effective.source.as_deref(), Some("kernel"));
    assert_eq!((effective.uid, effective.runs_as_root), (Some(0), Some(true)));
    let security = container.security.as_ref().unwrap();
    assert_eq!(security.seccomp.as_deref(), Some("unconfined"), "the kernel's word counts");
    assert_eq!(security.no_new_privileges, Some(false));
    let mounts = container.mounts.as_ref().unwrap();
    let paths: Vec<_> = mounts.iter().map(|m| m.host_path.as_deref().unwrap()).collect();
    assert_eq!(paths, ["/run", "/etc", ""]);
    assert_eq!(mounts[0].engine_sockets.as_ref().unwrap(), &["/run/docker.sock"]);
    assert_eq!(container.image_ref_id, container.image_id);
    let image = &snapshot.images.as_ref().unwrap()[0];
    assert_eq!((image.runs_as_root, image.age_days), (Some(true), Some(30)));
    assert_eq!(image.used_by.as_ref().unwrap(), &["web"]);
    assert_eq!(snapshot.networks.as_ref().unwrap()[0].containers.as_ref().unwrap(), &["web"]);
    let text = serde_json::to_string(&snapshot).unwrap();
    assert!(!text.contains("hunter2"), "a secret got through: {text}");
}

#[tokio::test]
async fn an_engine_elsewhere_is_never_judged_by_this_machine() {
    let machine = Machine::new();
    let snapshot = collect_at(&docker(&machine), &machine.root(), "tcp://192.0.2.1:2376").await;
    assert_eq!(snapshot.engine.local, Some(false));
    assert_eq!(unexplained(&snapshot), Vec::<String>::new());
    assert_eq!(snapshot.engine.daemon_json, None);
    assert_eq!(snapshot.engine.listeners, None);
    let config = snapshot.engine.config.as_ref().unwrap();
    assert_eq!(config.userland_proxy, None);
    assert_eq!(config.live_restore.as_ref().unwrap().source.as_deref(), Some("API"));
    assert_eq!(gap_causes(&snapshot, SubjectKind::Engine, "listeners"), ["unreachable"]);
    let container = &snapshot.containers.as_ref().unwrap()[0];
    assert_eq!(container.processes, None);
    let effective = container.effective.as_ref().unwrap();
    assert_eq!(effective.source.as_deref(), Some("configuration"));
    assert_eq!(effective.runs_as_root, None);
    assert!(container.mounts.as_ref().unwrap().iter().any(|m| m.host_path.is_none()));
    assert_eq!(snapshot.images.unwrap()[0].runs_as_root, None);
}

#[tokio::test]
async fn a_forwarded_socket_is_another_host_s() {
    let machine = Machine::new();
    machine.rename_daemon("socat");
    let snapshot = collect_on(&docker(&machine), &machine).await;
    assert_eq!(snapshot.engine.local, Some(false));
    assert!(snapshot.engine.local_reason.unwrap().contains("socat"));
    let machine = Machine::new();
    machine.write("proc/sys/kernel/osrelease", "5.10.0-other\n");
    let snapshot = collect_on(&docker(&machine), &machine).await;
    assert_eq!(snapshot.engine.local, Some(false));
}

#[tokio::test]
async fn an_engine_that_is_not_there_leaves_gaps_for_everything() {
    let machine = Machine::new();
    for (error, cause) in [
        (ApiError::Unreachable("no engine".into()), "unreachable"),
        (ApiError::Permission("not for you".into()), "permission"),
        (ApiError::TimedOut("late".into()), "timed-out"),
    ] {
        let api = Recorded::default().failing("/version", error);
        let snapshot = collect_on(&api, &machine).await;
        assert_eq!(snapshot.containers, None);
        assert_eq!(unexplained(&snapshot), Vec::<String>::new());
        assert_eq!(gap_causes(&snapshot, SubjectKind::Image, ""), [cause]);
        assert_eq!(snapshot.engine.daemon_json.unwrap().exists, Some(true));
        assert_eq!(snapshot.engine.config, None);
    }
}

#[tokio::test]
async fn what_one_question_loses_the_others_keep() {
    let machine = Machine::new();
    let late = || ApiError::TimedOut("late".into());
    let container = format!("/containers/{CONTAINER}/json");
    for path in ["/info", "/containers/json?all=1", "/images/json", "/networks", "/volumes"] {
        let snapshot = collect_on(&docker(&machine).failing(path, late()), &machine).await;
        assert_eq!(unexplained(&snapshot), Vec::<String>::new(), "{path}");
        assert!(snapshot.gaps.iter().any(|gap| gap.cause == Cause::TimedOut), "{path}");
    }
    let snapshot = collect_on(&docker(&machine).failing(&container, late()), &machine).await;
    let kept = &snapshot.containers.as_ref().unwrap()[0];
    assert_eq!((kept.name.as_deref(), kept.host_config.clone()), (Some("web"), None));
    assert_eq!(unexplained(&snapshot), Vec::<String>::new());
    let gone = ApiError::Status(404, "no such container".into());
    let snapshot = collect_on(&docker(&machine).failing(&container, gone), &machine).await;
    assert_eq!(snapshot.containers, Some(Vec::new()), "it vanished meanwhile");
}

#[tokio::test]
async fn hostile_answers_are_survived_and_prove_nothing() {
    let machine = Machine::new();
    let container = format!("/containers/{CONTAINER}/json");
    let hostile = [
        json!(null),
        json!([]),
        json!("text"),
        json!({"Id": CONTAINER}),
        json!({"Id": CONTAINER, "HostConfig": {}, "State": {}, "Config": {}}),
        json!({"Id": CONTAINER, "HostConfig": [], "State": "running", "Config": 7, "Mounts": {}}),
        json!({"Id": CONTAINER, "Name": "/\u{1b}[31m\n\0", "State": {"Status": "running", "Pid": -1},
            "HostConfig": {"PidsLimit": -1, "Memory": -9.5e300, "PortBindings": {"x/tcp": [], "70000/tcp": 1}},
            "Mounts": [{"Type": "bind", "Source": "../..\u{0}/x"}, 7, null]}),
    ];
    for answer in hostile {
        let shown = answer.to_string();
        let snapshot = collect_on(&docker(&machine).with(&container, answer), &machine).await;
        assert_eq!(unexplained(&snapshot), Vec::<String>::new(), "{shown}");
        let kept = &snapshot.containers.as_ref().unwrap()[0];
        assert_ne!(
            kept.host_config.as_ref().and_then(|given| given.privileged),
            Some(false),
            "{shown}"
        );
    }
    for path in
        ["/info", "/version", "/containers/json?all=1", "/images/json", "/networks", "/volumes"]
    {
        for answer in [json!(null), json!(7), json!({}), json!([]), json!([{}]), json!([7])] {
            let shown = format!("{path} {answer}");
            let snapshot = collect_on(&docker(&machine).with(path, answer), &machine).await;
            assert_eq!(unexplained(&snapshot), Vec::<String>::new(), "{shown}");
        }
    }
}

#[tokio::test]
async fn long_lists_end_with_a_gap() {
    let machine = Machine::new();
    let many: Vec<Value> = (0..THINGS_MAX + 1).map(|n| json!({"Name": format!("v{n}")})).collect();
    let api = docker(&machine).with("/volumes", json!({"Volumes": many}));
    let snapshot = collect_on(&api, &machine).await;
    assert_eq!(gap_causes(&snapshot, SubjectKind::Volume, ""), ["missing"]);
}

#[tokio::test]
async fn a_stopped_container_is_judged_by_its_configuration() {
    let machine = Machine::new();
    let path = format!("/containers/{CONTAINER}/json");
    let mut answer = inspect();
    answer["State"] = json!({"Status": "exited", "Running": false, "Pid": 0,
        "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "2026-01-21T00:00:00Z"});
    answer["Config"]["User"] = json!("www");
    answer["HostConfig"]["CapDrop"] = json!(["all"]);
    answer["HostConfig"]["CapAdd"] = json!(["CAP_CHOWN"]);
    let snapshot = collect_on(&docker(&machine).with(&path, answer.clone()), &machine).await;
    let container = &snapshot.containers.as_ref().unwrap()[0];
    let effective = container.effective.as_ref().unwrap();
    assert_eq!(effective.capabilities.as_ref().unwrap(), &["CHOWN"]);
    assert_eq!((effective.uid, effective.runs_as_root), (Some(-1), None));
    assert_eq!(
        gap_causes(&snapshot, SubjectKind::Container, "effective.runs_as_root"),
        ["not-observed"]
    );
    assert_eq!(container.state.as_ref().unwrap().idle_days, Some(10));
    assert_eq!(container.processes, Some(Vec::new()));
    assert_eq!(snapshot.images.as_ref().unwrap()[0].runs_as_root, Some(false));
    answer["Config"]["User"] = json!("1000:1000");
    let snapshot = collect_on(&docker(&machine).with(&path, answer), &machine).await;
    let effective = snapshot.containers.unwrap()[0].effective.clone().unwrap();
    assert_eq!((effective.uid, effective.runs_as_root), (Some(1000), Some(false)));
}

#[tokio::test]
async fn a_socket_that_never_answers_costs_one_time_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    let url = format!("unix://{}", path.display());
    let ask = async |limit: u64| {
        let mut options = options();
        options.endpoint = Some(url.clone());
        options.timeout = Duration::from_millis(limit);
        let (gaps, mut snapshot) = (Gaps::default(), Snapshot::default());
        collect(&options, &Root::new(Path::new("/")), &gaps, &mut snapshot).await;
        let gaps = gaps.into_sorted();
        (gaps[0].cause, gaps[0].detail.clone(), snapshot.engine.endpoint)
    };
    let (cause, detail, endpoint) = ask(300).await;
    assert_eq!(cause, Cause::Unreachable);
    assert!(detail.contains("systemctl start docker"), "{detail}");
    assert_eq!(endpoint.as_deref(), Some(url.as_str()));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(ask(300).await.0, Cause::TimedOut);
    // It was asked once, and not again for each thing that would have come next.
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.incoming().take_while(Result::is_ok).count(), 1);
    drop(listener);
    let (cause, detail, _) = ask(300).await;
    assert_eq!(cause, Cause::Unreachable);
    assert!(detail.contains("is stopped"), "{detail}");
}

#[tokio::test]
async fn a_manager_tells_all_and_a_worker_little() {
    let machine = Machine::new();
    let member = |manager: bool| {
        let mut info = docker(&machine).0["/info"].clone().unwrap();
        info["Swarm"] = json!({"LocalNodeState": "active", "ControlAvailable": manager, "NodeAddr": "10.0.0.1"});
        docker(&machine).with("/info", info)
    };
    let cluster = json!({"ID": "s1", "CreatedAt": "2026-01-01T00:00:00Z",
        "Spec": {"EncryptionConfig": {"AutoLockManagers": true}, "CAConfig": {"NodeCertExpiry": 86_400_000_000_001_i64}},
        "TLSInfo": {"TrustRoot": include_str!("tests/ca.pem")}});
    machine.write(
        "var/lib/docker/swarm/docker-state.json",
        r#"{"AdvertiseAddr": "10.0.0.7:2377", "DataPathAddr": "10.1.0.7"}"#,
    );
    let manager = member(true)
        .with("/swarm", cluster)
        .with("/swarm/unlockkey", json!({"UnlockKey": "SWMKEY-1-abcdefgh"}))
        .with("/nodes", json!([{"Spec": {"Role": "manager"}}, {"Spec": {"Role": "worker"}}]))
        .with("/secrets", json!([{}]))
        .with("/configs", json!([]))
        .with(
            "/services",
            json!([{"ID": "v1", "Spec": {"Name": "api", "TaskTemplate": {"ContainerSpec":
            {"Image": "api:1", "Env": ["A_TOKEN=hunter2"]}}}}]),
        );
    let snapshot = collect_on(&manager, &machine).await;
    // The store knows for how long a key has been in use.
    let later = ["swarm : unlock_key_rotation_seen", "swarm : unlock_key_seen_days"];
    let mut open = unexplained(&snapshot);
    open.sort();
    assert_eq!(open, later);
    let swarm = &snapshot.swarm;
    assert_eq!((swarm.managers, swarm.nodes, swarm.secrets), (Some(1), Some(2), Some(1)));
    assert_eq!((swarm.node_cert_days, swarm.age_days), (Some(2), Some(30)));
    assert_eq!(swarm.advertise_address.as_deref(), Some("10.0.0.7"));
    assert_eq!(swarm.data_path_address.as_deref(), Some("10.1.0.7"));
    let text = serde_json::to_string(&snapshot).unwrap();
    assert!(!text.contains("SWMKEY") && !text.contains("hunter2"));

    let snapshot = collect_on(&member(false), &machine).await;
    assert_eq!(unexplained(&snapshot), Vec::<String>::new());
    assert_eq!((snapshot.swarm.manager, snapshot.swarm.auto_lock), (Some(false), None));
    assert_eq!(snapshot.services, Some(Vec::new()));
}
