//! The dashboard as people use it: a real browser, a real engine, a real monitor. Needs root and a kernel that takes BPF
//! programs. Pictures of all pages are in the folder of the build (`dashboard/`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at once when something is not as expected"
)]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use fantoccini::Locator;
use haechi_tests::{
    Browser, Dashboard, Gone, Haechi, Image, Layer, PASSWORD, PATIENCE, docker, until,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

const TAG: &str = "haechi-test-dashboard/app:1";
const WEB: &str = "haechi-test-dashboard-web";
const POLICY: &str = "[[monitor.responses]]\ntag = \"remote-access\"\ncontainer = \"haechi-test-dashboard-*\"\nresponse = \"pause\"\n";

/// Pages, as they are called in pictures.
const PAGES: [(&str, &str); 14] = [
    ("overview", "/"),
    ("checklist", "/checklist"),
    ("item", "/checklist/cis-docker-1.13.0/5.4"),
    ("exceptions", "/exceptions"),
    ("images", "/images"),
    ("containers", "/containers"),
    ("profiles", "/profiles"),
    ("events", "/events"),
    ("activity", "/activity"),
    ("audit", "/audit"),
    ("search", "/search?text=haechi"),
    ("settings", "/settings"),
    ("password", "/password"),
    ("report", "/report"),
];

/// What a link leads to, asked for as the page would: status, whether it is a download, and what is in it.
const FETCH: &str = "const done = arguments[arguments.length - 1];
    const link = document.querySelector(arguments[0]);
    fetch(link.href).then(async reply => done([reply.status, link.hasAttribute('download'),
        reply.headers.get('content-disposition'), await reply.text()]), why => done([String(why)]));";

/// A profile of the container that runs, settled, with something in it that no page may take for its own.
fn profile(id: &str, image: &str) -> Value {
    let entry = |(kind, value): (&str, &str)| {
        json!({
            "kind": kind, "value": value, "first_at": "2026-01-01T00:00:01Z", "container": id,
            "origin": "image", "program": "/bin/sleep",
        })
    };
    let entries = [
        ("call", "nanosleep"),
        ("call", "sendfile"),
        ("executed", "/bin/sleep"),
        ("read", "/etc/<img src=x onerror=alert(1)>"),
    ];
    json!({
        "schema": "haechi/profile/v1",
        "workload": {"image": image, "command": ["/bin/sleep", "100000"]},
        "image_name": TAG,
        "runs": [{
            "container": id, "name": WEB, "since": "2026-01-01T00:00:00Z",
            "until": "2026-04-10T00:00:00Z", "phases": ["start", "run"], "gaps": [],
            "tasks_max": 1, "memory_max": 1_000_000,
        }],
        "entries": entries.map(entry),
    })
}

/// An image with busybox, and a script named as an ssh server.
fn image() {
    let busybox = fs::read("/bin/busybox").unwrap();
    let mut layer = Layer::new().mode("bin/busybox", 0o755, &busybox).mode(
        "usr/sbin/sshd",
        0o755,
        "#!/bin/sh\nexec sleep 1000\n",
    );
    for applet in ["sh", "sleep"] {
        layer = layer.link(&format!("bin/{applet}"), "busybox");
    }
    let mut image = Image::of([layer]);
    image.tag = TAG.to_owned();
    image.config = serde_json::json!({"Cmd": ["/bin/sleep", "100000"]});
    image.load();
}

fn state() -> String {
    docker(&["inspect", "--format", "{{.State.Status}}", WEB])
}

async fn go(browser: &Browser, dashboard: &Dashboard, path: &str) {
    browser.client.goto(&format!("{}{path}", dashboard.address)).await.unwrap();
}

async fn log_in(browser: &Browser, password: &str) {
    browser.write("#name", "admin").await;
    browser.write("#password", password).await;
    browser.click("main form button[type=submit]").await;
}

#[tokio::test]
async fn people_see_what_is_at_risk_and_do_something_about_it() {
    let _gone = Gone::of([WEB, TAG]);
    image();
    let options =
        ["run", "--detach", "--name", WEB, "--cap-add", "SYS_ADMIN", "--network", "none", TAG];
    docker(&options);
    let id = docker(&["inspect", "--format", "{{.Id}}", WEB]);
    let dashboard = Dashboard::begin(POLICY, &["--benchmark", "cis-docker-1.13.0"]);
    let browser = Browser::open(1440, 1000).await;

    // Nobody sees anything without a login.
    go(&browser, &dashboard, "/containers").await;
    browser.wait("#password").await;
    assert!(!browser.text().await.contains(WEB));
    browser.picture("login-en").await;
    log_in(&browser, "not the password").await;
    browser.wait("[role=alert]").await;
    log_in(&browser, &dashboard.first).await;
    // The first password has to be changed before anything else.
    browser.write("#old", &dashboard.first).await;
    browser.write("#new", PASSWORD).await;
    browser.write("#again", PASSWORD).await;
    browser.click("main form button[type=submit]").await;
    browser.wait("body.at-overview, body.at-containers").await;

    // The lab's risks, once the first verification has ended; without a reload.
    go(&browser, &dashboard, "/").await;
    browser.wait("#areas").await;
    browser.wait(".risk h3 a").await;
    let text = browser.text().await;
    for area in ["Environment", "Image", "Instance"] {
        assert!(text.to_lowercase().contains(&area.to_lowercase()), "{area} is not on:\n{text}");
    }

    // A finding, down to its evidence; accepted with a reason.
    go(&browser, &dashboard, "/checklist").await;
    browser.click("a[href='/checklist/cis-docker-1.13.0/5.3']").await;
    browser.reads(WEB).await;
    browser.reads("SYS_ADMIN").await;
    browser.write("#subject", WEB).await;
    browser.write("#reason", "This container mounts file systems; 격리된 검증 호스트").await;
    browser.click("#accept button[type=submit]").await;
    browser.wait("[role=status].said").await;
    go(&browser, &dashboard, "/exceptions").await;
    browser.reads("격리된 검증 호스트").await;
    go(&browser, &dashboard, "/checklist/cis-docker-1.13.0/5.3?status=excepted").await;
    browser.reads(WEB).await;

    // An ssh server starts in a container: seen live, and the container is paused.
    let begin = Instant::now();
    go(&browser, &dashboard, "/").await;
    while browser.client.find(Locator::Css(".watching.on")).await.is_err() {
        assert!(begin.elapsed() < PATIENCE, "nobody watches: {}", dashboard.said());
        tokio::time::sleep(Duration::from_secs(1)).await;
        go(&browser, &dashboard, "/").await;
    }
    go(&browser, &dashboard, "/events").await;
    browser.client.execute("window.same = true", vec![]).await.unwrap();
    let _ =
        Command::new("docker").args(["exec", "--detach", WEB, "/usr/sbin/sshd"]).output().unwrap();
    browser.wait("#rows tr[data-number] a").await;
    browser.reads("SSH server").await;
    let same = browser.client.execute("return window.same === true", vec![]).await.unwrap();
    assert_eq!(same, true, "the page was loaded again: it is not alive");
    until("the container is paused", || state() == "paused");
    browser.picture("events-live-en").await;
    browser.click("#rows tr[data-number] th a").await;
    browser.reads("sshd").await;

    // Somebody looks at it and lets it go on.
    go(&browser, &dashboard, &format!("/containers/{id}")).await;
    browser.picture("container-en").await;
    browser.click(&format!("a[href='/containers/{id}/resume']")).await;
    browser.write("#reason", "looked at it").await;
    browser.click("main form button[type=submit]").await;
    until("the container runs", || state() == "running");
    go(&browser, &dashboard, "/audit").await;
    browser.reads("looked at it").await;

    // A workload: from the list to its page, and a file that is what the command prints. What is in force is said.
    let image_id = docker(&["inspect", "--format", "{{.Image}}", WEB]);
    let haechi =
        |words: &[&str]| Haechi::new(&[&["profile"], words].concat()).data(&dashboard.data());
    let file = dashboard.data().join("profile.json");
    fs::write(&file, profile(&id, &image_id).to_string()).unwrap();
    haechi(&["import", &file.display().to_string()]).policy(POLICY).run().must_end_with(0);
    let listed = haechi(&["list", "--format", "json"]).policy(POLICY).run().must_end_with(0).json();
    assert_eq!(listed[0]["enforcement"]["mode"], "off", "{listed}");
    let number = listed[0]["number"].as_i64().unwrap();
    let dry = ["enforce", WEB, "--mode", "dry-run"];
    haechi(&dry).policy(POLICY).run().must_end_with(0);
    go(&browser, &dashboard, "/profiles").await;
    browser.click(&format!("a[href='/profiles/{number}']")).await;
    for words in ["Dry run", "set by", "/bin/sleep 100000"] {
        browser.reads(words).await;
    }
    let link = format!("a[href='/profiles/{number}/files/seccomp']");
    browser.wait(&link).await;
    let got = browser.client.execute_async(FETCH, vec![json!(link)]).await.unwrap();
    let printed = haechi(&["seccomp", &format!("#{number}")]).policy(POLICY).run();
    assert_eq!((&got[0], &got[1]), (&json!(200), &json!(true)), "{got}");
    assert!(got[2].as_str().is_some_and(|how| how.starts_with("attachment")), "{got}");
    assert_eq!(got[3].as_str().unwrap(), printed.must_end_with(0).stdout);

    // Every page, for everybody, in both languages, light and dark.
    let mut lacks = Vec::new();
    let more =
        [("container", format!("/containers/{id}")), ("profile", format!("/profiles/{number}"))];
    let pages: Vec<(&str, String)> =
        PAGES.iter().map(|(name, path)| (*name, (*path).to_owned())).chain(more).collect();
    for lang in ["en", "ko"] {
        go(&browser, &dashboard, "/").await;
        if browser
            .client
            .find(Locator::Css(&format!("button[name=lang][value={lang}]")))
            .await
            .is_ok()
        {
            browser.click(&format!("button[name=lang][value={lang}]")).await;
            browser.wait(&format!("html[lang={lang}]")).await;
        }
        for theme in ["light", "dark"] {
            go(&browser, &dashboard, "/").await;
            browser.click(&format!("button[name=theme][value={theme}]")).await;
            browser.wait(&format!("html[data-theme={theme}]")).await;
            for (name, path) in &pages {
                go(&browser, &dashboard, path).await;
                browser.wait("main h1").await;
                browser.picture(&format!("{name}-{lang}-{theme}")).await;
                let found = browser.lacks().await;
                lacks.extend(found.iter().map(|one| format!("{name} {lang} {theme}: {one}")));
            }
        }
        go(&browser, &dashboard, &format!("/profiles/{number}")).await;
        browser.reads(if lang == "ko" { "시험 적용" } else { "Dry run" }).await;
        // The report on paper, which is light whatever the screen is.
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let yesterday = today.yesterday().unwrap();
        let period = format!("benchmark=cis-docker-1.13.0&from={yesterday}&to={today}");
        go(&browser, &dashboard, &format!("/report?{period}")).await;
        browser.wait(".paper .cover").await;
        let sheets = browser.print(&format!("report-{lang}")).await;
        assert!(sheets > 1, "{sheets} sheets");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert!(lacks.is_empty(), "{} things are in the way:\n{}", lacks.len(), lacks.join("\n"));

    // Out again: the page behind is gone.
    go(&browser, &dashboard, "/").await;
    browser.click("form[action='/do/logout'] button").await;
    go(&browser, &dashboard, "/audit").await;
    browser.wait("#password").await;

    let (code, said) = dashboard.end();
    assert_eq!(code, 0, "{said}");
}
