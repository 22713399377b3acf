//! The API of a running dashboard, and the process that hears it. No engine is asked: nothing of this machine is touched.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at once when something is not as expected"
)]

use std::fs;
use std::process::Command;

use haechi_tests::{Client, Dashboard, children, repository, until};
use serde_json::json;

/// A dashboard without an engine, without a monitor, and without work of its own.
fn dashboard() -> Dashboard {
    let nowhere = ["--host", "unix:///nonexistent/engine.sock"];
    let quiet = ["--no-monitor", "--interval", "0"];
    Dashboard::begin("", &[nowhere.as_slice(), &quiet].concat())
}

/// The process that hears requests.
fn web_server(dashboard: &Dashboard) -> Option<u32> {
    children(dashboard.id()).into_iter().find(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.ends_with(b"\0serve-web\0")
    })
}

#[test]
fn who_hears_requests_has_no_rights() {
    let dashboard = dashboard();
    until("the web server answers", || Client::nobody(&dashboard).get("/healthz").0 == 200);
    let id = web_server(&dashboard).unwrap();
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let has = |line: &str| assert!(status.contains(line), "{line}\n{status}");
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000\n"] {
        has(line);
    }
    has("CapBnd:\t0000000000000000\n");
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:\t")).unwrap();
    assert!(user.split('\t').all(|id| id != "0"), "{user}");
    for descriptor in fs::read_dir(format!("/proc/{id}/fd")).unwrap().flatten() {
        let to = fs::read_link(descriptor.path()).unwrap_or_default();
        let to = to.to_string_lossy();
        let fine = ["socket:", "anon_inode:", "/dev/null"].iter().any(|fine| to.starts_with(fine));
        assert!(fine || descriptor.file_name() == "2", "{to}");
    }
    let environment = fs::read(format!("/proc/{id}/environ")).unwrap();
    assert!(environment.is_empty());
}

#[test]
fn tokens_do_what_they_are_for_and_the_document_is_the_committed_one() {
    let dashboard = dashboard();
    let admin = Client::admin(&dashboard);
    let (reads, writes) = (admin.token("read"), admin.token("write"));
    let reader = Client::with_token(&dashboard, &reads);
    let (status, document) = reader.get("/api/v1/openapi.json");
    let committed = fs::read(repository().join("docs/openapi.json")).unwrap();
    assert_eq!((status, document), (200, serde_json::from_slice(&committed).unwrap()));
    for path in ["/api/v1/overview", "/api/v1/alerts", "/api/v1/accounts", "/metrics"] {
        assert_eq!(reader.get(path).0, 200, "{path}");
        assert_eq!(Client::nobody(&dashboard).get(path).0, 401, "{path}");
        assert_eq!(Client::with_token(&dashboard, "haechi_wrong").get(path).0, 401, "{path}");
    }
    let asked = json!({});
    let verify = |client: &Client<'_>| client.send("POST", "/api/v1/verifications", Some(&asked)).0;
    let writer = Client::with_token(&dashboard, &writes);
    assert_eq!(verify(&reader), 403);
    assert_eq!(verify(&writer), 200);
    let forged = admin.without_csrf();
    assert_eq!(verify(&forged), 403, "a session changes nothing without its token");
    // Even the token of an admin makes nothing that outlives it, and ends nothing but itself.
    let account = json!({"name": "reader", "role": "admin"});
    assert_eq!(writer.send("POST", "/api/v1/accounts", Some(&account)).0, 403);
    let (_, tokens) = admin.get("/api/v1/tokens");
    let path = |scope: &str| {
        let token = tokens["rows"].as_array().unwrap().iter().find(|row| row["scope"] == scope);
        format!("/api/v1/tokens/{}", token.unwrap()["number"])
    };
    assert_eq!(writer.send("DELETE", &path("read"), None).0, 403);
    assert_eq!(reader.get("/api/v1/overview").0, 200);
    assert_eq!(writer.send("DELETE", &path("write"), None).0, 200);
    assert_eq!(writer.get("/api/v1/overview").0, 401);
    let (status, _) = admin.send("DELETE", "/api/v1/session", None);
    assert_eq!((status, admin.get("/api/v1/session").0), (200, 401));
}

#[test]
fn a_web_server_that_is_killed_comes_back_and_sessions_stay() {
    let dashboard = dashboard();
    let admin = Client::admin(&dashboard);
    let first = web_server(&dashboard).unwrap();
    let killed = Command::new("kill").args(["-KILL", &first.to_string()]).status().unwrap();
    assert!(killed.success());
    until("another web server answers", || admin.get("/api/v1/session").0 == 200);
    assert_ne!(web_server(&dashboard), Some(first));
    let (code, said) = dashboard.end();
    assert_eq!(code, 0, "{said}");
}
