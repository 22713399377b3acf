//! A daemon.json that is broken, unknown in part, or not what the daemon runs with: on a second real daemon.

use haechi_core::{Report, Status};
use haechi_tests::{Daemon, Haechi, expect, only, seen};

fn verify(daemon: &Daemon) -> Report<String> {
    Haechi::new(&[
        "verify",
        "--benchmark",
        "cis-docker-1.6.0",
        "--format",
        "json",
        "--host",
        &daemon.url(),
    ])
    .report()
}

#[test]
fn a_configuration_is_believed_only_while_it_is_in_force() {
    let good =
        r#"{"log-level": "info", "icc": true, "userland-proxy": false, "no-new-privileges": true}"#;
    let daemon = Daemon::start(good, &["--live-restore=true"]);

    // In force: file and command line both count.
    let report = verify(&daemon);
    expect(only(&report, "engine-config-consistent"), Status::Pass);
    expect(only(&report, "engine-log-level"), Status::Pass);
    expect(only(&report, "engine-no-userland-proxy"), Status::Pass);
    expect(only(&report, "engine-live-restore"), Status::Pass);
    expect(only(&report, "engine-no-new-privileges"), Status::Pass);

    // Broken after the start: what it said when the daemon read it is not known any more.
    daemon.change("{\"log-level\": \"info\",\n  \"icc\": maybe}\n");
    let report = verify(&daemon);
    let found = only(&report, "engine-config-consistent");
    expect(found, Status::Fail);
    assert!(seen(found).contains("line 2"), "the place is named: {}", seen(found));
    assert_ne!(only(&report, "engine-no-userland-proxy").status, Status::Pass);
    // The API says what is in force.
    expect(only(&report, "engine-live-restore"), Status::Pass);

    // Keys that no engine knows.
    daemon.change(r#"{"log-level": "info", "icc": false, "usrland-proxy": false, "haechi": 1}"#);
    let report = verify(&daemon);
    let found = only(&report, "engine-config-consistent");
    expect(found, Status::Fail);
    assert!(
        seen(found).contains("usrland-proxy") && seen(found).contains("haechi"),
        "{}",
        seen(found)
    );

    // Against the command line, and against what the API says is in force.
    daemon.change(r#"{"live-restore": false, "log-driver": "journald"}"#);
    let report = verify(&daemon);
    let found = only(&report, "engine-config-consistent");
    expect(found, Status::Fail);
    assert!(seen(found).contains("live-restore"), "{}", seen(found));
    expect(only(&report, "engine-live-restore"), Status::Pass);

    // Harmless to look at, but not read by the daemon: it proves nothing.
    daemon.change(r#"{"log-level": "info", "no-new-privileges": true, "userland-proxy": false}"#);
    let report = verify(&daemon);
    assert_ne!(only(&report, "engine-no-userland-proxy").status, Status::Pass);
}

#[test]
fn weak_settings_of_a_daemon_are_seen() {
    let weak = r#"{"log-level": "debug", "insecure-registries": ["registry.example.com:5000"], "icc": true,
                   "log-driver": "none", "experimental": true}"#;
    let daemon = Daemon::start(weak, &[]);
    let report = verify(&daemon);
    for check in [
        "engine-log-level",
        "engine-no-insecure-registries",
        "engine-central-logging",
        "engine-iptables",
        "engine-no-experimental",
        "engine-no-userland-proxy",
        "engine-live-restore",
    ] {
        expect(only(&report, check), Status::Fail);
    }
}
