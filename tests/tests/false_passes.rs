//! The nine states for which an older tool prints PASS although they are wrong. Each one must fail here: on a
//! real container where the engine lets one be made, else on this host's facts with just that state in them.

use haechi_core::Status::Fail;
use haechi_tests::{Snapshot, docker, expect, finding, lab, only, seen};
use serde_json::json;

const CIS: &str = "cis-docker-1.13.0";

#[test]
fn an_engine_that_is_years_old() {
    let report = Snapshot::real()
        .with("/engine/version", json!("19.03.1"))
        .with("/engine/version_major", json!(19))
        .with("/engine/version_minor", json!(3))
        .verify("cis-docker-1.6.0");
    expect(only(&report, "engine-up-to-date"), Fail);
}

#[test]
fn logs_that_go_nowhere() {
    let report = Snapshot::real()
        .with("/engine/log_driver", json!("none"))
        .with("/engine/config/log_driver/value", json!("none"))
        .verify(CIS);
    expect(only(&report, "engine-central-logging"), Fail);
}

#[test]
fn an_update_at_the_end_of_a_long_step() {
    let long = docker(&["image", "history", "--format", "{{.CreatedBy}}", "haechi-lab-careless:1"]);
    assert!(!long.contains("apk update"), "the shortened history shows it: {long}");
    expect(finding(&lab().report, "image-no-lone-update", "haechi-lab-careless:1"), Fail);
}

#[test]
fn a_security_option_that_has_nothing_to_do_with_selinux() {
    let real = Snapshot::real();
    let at = real.container("haechi-lab-unconfined");
    let report = real
        .with("/host/selinux", json!("enforcing"))
        .with("/engine/selinux", json!(false))
        .with(&format!("{at}/host_config/security_opt"), json!(["seccomp=unconfined"]))
        .with(&format!("{at}/security/selinux"), json!("default"))
        .verify(CIS);
    expect(finding(&report, "container-selinux", "haechi-lab-unconfined"), Fail);
}

#[test]
fn a_privileged_container_that_adds_no_capability() {
    let added = docker(&["inspect", "--format", "{{.HostConfig.CapAdd}}", "haechi-lab-privileged"]);
    assert_eq!(added, "[]");
    expect(finding(&lab().report, "container-capabilities", "haechi-lab-privileged"), Fail);
}

#[test]
fn root_and_var_run_mounted_writable() {
    let report = &lab().report;
    let found = finding(report, "container-no-sensitive-mounts", "haechi-lab-run-mounted");
    expect(found, Fail);
    assert!(seen(found).contains("/root") && seen(found).contains("/run"), "{}", seen(found));
}

#[test]
fn an_ssh_server_where_no_ps_can_be_run() {
    let ps =
        std::process::Command::new("docker").args(["exec", "haechi-lab-hidden-ssh", "ps"]).output();
    assert!(!ps.unwrap().status.success(), "there is a `ps` in the container");
    expect(finding(&lab().report, "container-no-ssh-server", "haechi-lab-hidden-ssh"), Fail);
}

#[test]
fn the_folder_of_the_engines_socket_mounted() {
    let found = finding(&lab().report, "container-no-engine-socket", "haechi-lab-run-mounted");
    expect(found, Fail);
    assert!(seen(found).contains("docker.sock"), "{}", seen(found));
}

#[test]
fn four_managers() {
    let report = Snapshot::real()
        .with("/swarm/state", json!("active"))
        .with("/swarm/manager", json!(true))
        .with("/swarm/managers", json!(4))
        .with("/swarm/nodes", json!(9))
        .verify(CIS);
    expect(only(&report, "swarm-manager-count"), Fail);
}
