//! Which place wins, and when nothing is known.

use super::*;
use crate::engine::daemon::Running;
use crate::gaps::Gaps;
use crate::root::Root;
use jiff::{SignedDuration, Timestamp};

struct Case {
    json: Option<&'static str>,
    line: &'static str,
    changed: bool,
    engine: Engine,
    networks: Vec<Network>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            json: None,
            line: "dockerd",
            changed: false,
            engine: Engine::default(),
            networks: Vec::new(),
        }
    }
}

fn run(case: Case) -> (Engine, Vec<(String, String)>) {
    let dir = tempfile::tempdir().unwrap();
    if let Some(json) = case.json {
        std::fs::create_dir_all(dir.path().join("etc/docker")).unwrap();
        std::fs::write(dir.path().join("etc/docker/daemon.json"), json).unwrap();
    }
    let root = Root::new(dir.path());
    let gaps = Gaps::default();
    let api = crate::engine::api::tests::Recorded::default();
    let options = crate::engine::tests::options();
    let scene = Scene { api: &api, options: &options, root: &root, gaps: &gaps };
    let shift = SignedDuration::from_secs(if case.changed { -100 } else { 100 });
    let daemon = Daemon {
        local: true,
        reason: String::new(),
        process: Some(Running {
            pid: 5,
            uid: 0,
            arguments: case.line.split(' ').map(str::to_owned).collect(),
            started: Some(Timestamp::now() + shift),
            program: "/usr/bin/dockerd".into(),
        }),
        table: None,
    };
    let mut snapshot =
        Snapshot { engine: case.engine, networks: Some(case.networks), ..Snapshot::default() };
    fill(scene, &daemon, &mut snapshot);
    let gaps = gaps.into_sorted().into_iter().map(|gap| (gap.fact, gap.detail)).collect();
    (snapshot.engine, gaps)
}

fn bool_of(setting: &Option<SettingBool>) -> (bool, &str) {
    let setting = setting.as_ref().unwrap();
    (setting.value.unwrap(), setting.source.as_deref().unwrap())
}

#[test]
fn defaults_files_and_flags_are_merged() {
    let (engine, gaps) = run(Case {
        json: Some(
            r#"{"userland-proxy": false, "log-opts": {"max-size": "1m"}, "default-ulimits":
            {"nofile": {"Name": "nofile", "Hard": 20, "Soft": 10}}, "hosts": ["unix:///x"], "tlsverify": true,
            "tlscacert": "/a", "tlscert": "/b", "tlskey": "/c"}"#,
        ),
        line: "dockerd --icc=false --log-level debug --storage-opt dm.basesize=20G",
        ..Case::default()
    });
    let config = engine.config.unwrap();
    assert_eq!(bool_of(&config.icc), (false, "command line"));
    assert_eq!(bool_of(&config.userland_proxy), (false, "daemon.json"));
    assert_eq!(bool_of(&config.iptables), (true, "default"));
    assert_eq!(bool_of(&config.tls_verify), (true, "daemon.json"));
    assert_eq!(config.default_ulimits.unwrap().value.unwrap(), ["nofile=10:20"]);
    assert_eq!(config.log_opts.unwrap().value.unwrap(), ["max-size=1m"]);
    assert_eq!(config.storage_opts.unwrap().value.unwrap(), ["dm.basesize=20G"]);
    assert_eq!(config.log_level.unwrap().value.unwrap(), "debug");
    assert!(engine.contradictions.unwrap().is_empty());
    assert!(gaps.is_empty(), "{gaps:?}");
}

#[test]
fn a_file_changed_after_the_start_proves_nothing() {
    let (engine, gaps) = run(Case {
        json: Some(r#"{"icc": false, "userland-proxy": false, "live-restore": true}"#),
        changed: true,
        engine: Engine { live_restore: Some(false), ..Engine::default() },
        networks: vec![Network {
            default_bridge: Some(true),
            icc: Some(true),
            ..Network::default()
        }],
        ..Case::default()
    });
    let config = engine.config.unwrap();
    assert_eq!(bool_of(&config.icc), (true, "API"), "the bridge tells the truth");
    assert_eq!(bool_of(&config.live_restore), (false, "API"));
    assert_eq!(config.userland_proxy, None);
    assert_eq!(config.iptables, None, "the default may have been changed back");
    assert!(
        gaps.iter().any(|(fact, detail)| fact == "config.userland_proxy"
            && detail.contains("restart the daemon"))
    );
    let said = engine.contradictions.unwrap();
    assert!(
        said.contains(&"icc: daemon.json says false, the default bridge says true".to_owned()),
        "{said:?}"
    );
    assert_eq!(engine.daemon_json.unwrap().changed_after_start, Some(true));
}

#[test]
fn a_broken_file_leaves_only_what_others_confirm() {
    let (engine, gaps) = run(Case {
        json: Some("{\"icc\": false,}"),
        line: "dockerd --userland-proxy=false",
        ..Case::default()
    });
    let config = engine.config.unwrap();
    assert_eq!(bool_of(&config.userland_proxy), (false, "command line"));
    assert_eq!(config.icc, None);
    assert!(
        gaps.iter().any(|(fact, detail)| fact == "config.icc" && detail.contains("line 1 column"))
    );
    let file = engine.daemon_json.unwrap();
    assert_eq!((file.exists, file.valid), (Some(true), Some(false)));
    assert_eq!(engine.unknown_keys, None);
}

#[test]
fn malformed_values_are_not_taken_for_defaults() {
    let (engine, gaps) = run(Case {
        json: Some(r#"{"icc": "false", "hosts": "unix:///x"}"#),
        line: "dockerd --iptables=perhaps",
        ..Case::default()
    });
    let config = engine.config.unwrap();
    assert_eq!((config.icc, config.iptables), (None, None));
    // A single text where a list belongs keeps the daemon from starting.
    assert_eq!(config.hosts, None);
    assert_eq!(gaps.iter().filter(|(fact, _)| fact.starts_with("config.")).count(), 3);
}

#[test]
fn the_api_overrules_user_mapping_that_is_only_written_down() {
    let (engine, _) = run(Case {
        json: Some(r#"{"userns-remap": "default"}"#),
        engine: Engine { userns: Some(false), ..Engine::default() },
        ..Case::default()
    });
    assert_eq!(engine.config.unwrap().userns_remap.unwrap().value.unwrap(), "");
    assert_eq!(engine.contradictions.unwrap().len(), 1);
    let (engine, _) = run(Case {
        json: Some(r#"{"userns-remap": "default"}"#),
        engine: Engine { userns: Some(true), ..Engine::default() },
        ..Case::default()
    });
    assert_eq!(engine.config.unwrap().userns_remap.unwrap().value.unwrap(), "default");
}

#[test]
fn one_value_is_both_limits_and_the_last_one_of_a_name_counts() {
    let (engine, _) = run(Case {
        line: "dockerd --default-ulimit nofile=5:6 --default-ulimit nofile=-1 --default-ulimit nproc=7 \
               --log-opt a=1 --log-opt b=2 --log-opt a=3",
        ..Case::default()
    });
    let config = engine.config.unwrap();
    assert_eq!(config.default_ulimits.unwrap().value.unwrap(), ["nofile=-1:-1", "nproc=7:7"]);
    assert_eq!(config.log_opts.unwrap().value.unwrap(), ["b=2", "a=3"]);
    let (engine, _) = run(Case {
        json: Some(r#"{"default-ulimits": {"nofile": {"Name": "core", "Hard": 2, "Soft": 1}}}"#),
        ..Case::default()
    });
    assert_eq!(engine.config.unwrap().default_ulimits.unwrap().value.unwrap(), ["core=1:2"]);
}

#[test]
fn a_file_that_was_named_and_is_not_there_proves_nothing() {
    let (engine, gaps) = run(Case { line: "dockerd --config-file=/none.json", ..Case::default() });
    assert_eq!(engine.config.unwrap().userland_proxy, None);
    assert_eq!(engine.daemon_json.unwrap().exists, None);
    assert!(
        gaps.iter().any(|(fact, detail)| fact == "daemon_json" && detail.contains("not found"))
    );
}

#[test]
fn tls_without_visible_paths_is_not_known() {
    let (engine, gaps) = run(Case { line: "dockerd --tlsverify --tlskey=/k", ..Case::default() });
    let config = engine.config.unwrap();
    assert_eq!((config.tls_ca_cert, config.tls_cert), (None, None));
    assert_eq!(config.tls_key.unwrap().value.unwrap(), "/k");
    assert!(gaps.iter().any(|(fact, _)| fact == "config.tls_ca_cert"));
}
