//! A container that is gone: what is on record of it is shown, and nothing better or worse than that.

use haechi_core::activity::Activity;
use haechi_core::response::{ACTION_SCHEMA, Action as Deed, Outcome, Response, Speed};
use haechi_store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;

/// An engine that knows no container.
fn engine(root: &Path) {
    let listener = UnixListener::bind(root.join("none.sock")).unwrap();
    tokio::spawn(async move {
        let body = r#"{"message":"No such container"}"#;
        let head = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nConnection: close";
        let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
}

async fn answered(store: &Store, container: &str) {
    let action = Deed {
        schema: ACTION_SCHEMA.into(),
        at: Timestamp::now(),
        response: Response::Pause,
        container: AlertContainer {
            id: container.into(),
            name: HOSTILE.into(),
            ..AlertContainer::default()
        },
        pid: 0,
        rule: "Reverse shell".into(),
        cause: String::new(),
        outcome: Outcome::Done,
        speed: Speed::default(),
        until: None,
        evidence: None,
    };
    store.add_action(None, &action).await.unwrap();
}

async fn done(store: &Store, container: &str) {
    let activity = Activity {
        at: Timestamp::now(),
        kind: "container".into(),
        action: "destroy".into(),
        id: container.into(),
        name: "batch-7".into(),
        image: "batch:1".into(),
        details: vec![],
        exec: None,
    };
    store.add_activity(&[activity]).await.unwrap();
}

#[tokio::test]
async fn what_is_on_record_of_a_container_is_shown_when_it_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path()).await;
    let store = &desk.setup.store;
    let page = async |n| show(&desk, &caller(), &ShowContainer { id: id(n) }).await;
    verify(&desk, 4).await;
    store.add_alerts(&[alert(&id(50)), alert(&id(0))]).await.unwrap();
    answered(store, &id(51)).await;
    done(store, &id(52)).await;
    runs(root.path(), &id(53), &[530]);
    // Nobody can say that it is gone while the engine does not answer.
    assert_eq!(page(50).await.unwrap().container.state, "unknown");
    assert_eq!(page(0).await.unwrap().container.state, "running", "as it was verified");
    engine(root.path());
    let of_alert = page(50).await.unwrap();
    let shown = &of_alert.container;
    assert_eq!((shown.name.as_str(), shown.state.as_str()), ("gone-1", "gone"));
    assert_eq!((shown.verified, shown.alerts, of_alert.alerts.len()), (false, 1, 1));
    assert!(of_alert.findings.is_empty() && of_alert.processes.is_none());
    let of_action = page(51).await.unwrap();
    assert_eq!((of_action.container.name.as_str(), of_action.actions.len()), (HOSTILE, 1));
    let of_activity = page(52).await.unwrap().container;
    assert_eq!((of_activity.name.as_str(), of_activity.image.as_str()), ("batch-7", "batch:1"));
    // Gone since the last verification: what it found is shown, but not as if it still ran.
    let of_verification = page(0).await.unwrap();
    assert_eq!(of_verification.container.state, "gone");
    assert!(!of_verification.findings.is_empty() && of_verification.container.verified);
    assert_eq!(of_verification.alerts.len(), 1);
    // Another engine's still runs.
    assert_eq!(page(53).await.unwrap().container.state, "running");
    store.add_alerts(&[alert(&id(53))]).await.unwrap();
    assert_eq!(page(53).await.unwrap().container.name, "gone-1", "an alert told its name");
    assert_eq!(page(54).await.unwrap_err(), Refusal::Missing, "nothing knows it");
}

#[tokio::test]
async fn lists_say_that_they_are_of_an_earlier_verification() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path()).await;
    let ask = async || {
        let images = ListImages { limit: 10, ..ListImages::default() };
        let images = images::list(&desk, &caller(), &images).await.unwrap();
        let containers = list(&desk, &caller(), &question(10)).await.unwrap();
        let none = ListContainers { text: Some("no such thing".into()), ..question(10) };
        let none = list(&desk, &caller(), &none).await.unwrap();
        (images.stale, containers.stale, none.total, containers.rows.iter().any(|row| row.verified))
    };
    assert_eq!(ask().await, (false, false, None, false), "nothing was verified");
    verify(&desk, 4).await;
    assert_eq!(ask().await, (false, false, Some(0), true));
    let later = Snapshot { taken_at: "2099-01-01T00:00:00Z".into(), ..snapshot(4) };
    let benchmark = desk.setup.content.benchmark(CIS).unwrap();
    let report =
        haechi_checks::verify(&desk.setup.content, benchmark, &later, &Loaded::defaults()).unwrap();
    desk.setup.store.record(&report, true).await.unwrap();
    assert_eq!(ask().await, (true, true, Some(0), false));
}
