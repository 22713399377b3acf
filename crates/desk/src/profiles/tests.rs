//! Tests of what is told about profiles: from the store, and by a made-up program that makes files.

use haechi_core::allowance::Mode;
use haechi_core::profile::{Entry, Kind, Phase, Run, Workload};
use haechi_core::risk::Given;
use haechi_protocol::{FileKind, MakeFile, Role, ShowProfile};
use haechi_store::{Guarded, Learned, Refused};
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::testing::{caller, desk};

const IMAGE: &str = "sha256:00000000000000000000000000000000000000000000000000000000000000aa";

fn id(n: usize) -> String {
    format!("{n:064x}")
}

/// A workload that was watched for many hours; its command has a secret in it.
fn learned(container: usize, command: &str, entries: &[(Kind, &str)]) -> Learned {
    let since = Timestamp::now() - SignedDuration::from_hours(200);
    let entry = |(kind, value): &(Kind, &str)| Entry {
        kind: *kind,
        value: (*value).into(),
        first_at: since,
        container: id(container),
        origin: "image".into(),
        program: "/bin/server".into(),
    };
    Learned {
        workload: Workload {
            image: IMAGE.into(),
            command: vec![command.into(), "--password=hunter2hunter2".into()],
        },
        image_name: "example/web:1".into(),
        run: Run {
            container: id(container),
            name: format!("web-{container}"),
            since,
            until: Timestamp::now(),
            phases: [Phase::Start, Phase::Run].into(),
            gaps: [].into(),
            tasks_max: 3,
            memory_max: 1 << 20,
        },
        entries: entries.iter().map(entry).collect(),
    }
}

#[tokio::test]
async fn profiles_are_told_without_secrets_and_with_what_is_given_today() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), |_| {}).await;
    let asker = caller(Role::Viewer);
    let nothing = list(&desk, &asker, &ListProfiles { limit: 10, after: None }).await.unwrap();
    assert_eq!((nothing.rows.len(), nothing.total), (0, Some(0)));
    let used = [(Kind::Executed, "/bin/server"), (Kind::Call, "read"), (Kind::Capability, "CHOWN")];
    let all = [learned(1, "server", &used), learned(2, "other", &[(Kind::Call, "write")])];
    desk.setup.store.learn(&all).await.unwrap();

    let page = list(&desk, &asker, &ListProfiles { limit: 1, after: None }).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (1, Some(2)));
    let rest = ListProfiles { limit: 10, after: page.next.clone() };
    let rest = list(&desk, &asker, &rest).await.unwrap();
    assert_eq!((rest.rows.len(), rest.next), (1, None));
    assert_ne!(rest.rows[0].number, page.rows[0].number);
    let wrong = ListProfiles { limit: 10, after: Some("x".into()) };
    assert!(matches!(list(&desk, &asker, &wrong).await, Err(Refusal::Invalid { .. })));

    let number = page.rows[0].number;
    let shown = show(&desk, &asker, &ShowProfile { number }).await.unwrap();
    let told = serde_json::to_string(&(&page, &shown)).unwrap();
    assert!(!told.contains("hunter2"), "a command shows no secret: {told}");
    assert!(shown.profile.settled, "{:?}", shown.profile.open);
    // Nothing was verified: what it is given is not known, and its image was not taken apart.
    assert_eq!((shown.profile.calls_today, shown.profile.packages), (None, None));
    assert_eq!(shown.containers[0].name, "web-1");
    assert!(shown.used.iter().any(|row| row.kind == Kind::Executed && row.count == 1));
    assert_eq!(shown.settings.len(), 6);
    assert!(shown.remarks.iter().all(|text| text.en != text.ko));
    let none = show(&desk, &asker, &ShowProfile { number: 999 }).await;
    assert_eq!(none.unwrap_err(), Refusal::Missing);
    let links = of_container(&desk, &id(2)).await.unwrap();
    assert_eq!(links.iter().map(|link| link.number).collect::<Vec<_>>(), [rest.rows[0].number]);
    assert!(of_container(&desk, &id(3)).await.unwrap().is_empty());
    let kept = Today::of_kept("web-1", Given { seccomp: Some("off".into()), ..Given::default() });
    assert!(kept.calls().is_some(), "what was kept of it is what it is given");
}

#[tokio::test]
async fn what_is_in_force_is_told_with_who_does_it_and_what_was_found() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), |_| {}).await;
    let (asker, store, now) = (caller(Role::Viewer), &desk.setup.store, Timestamp::now());
    store.learn(&[learned(1, "server", &[(Kind::Executed, "/bin/server")])]).await.unwrap();
    let shown = async || show(&desk, &asker, &ShowProfile { number: 1 }).await.unwrap().enforced;
    assert_eq!(shown().await, haechi_protocol::EnforcedRow::default());
    let number = ProfileId(1);
    store.enforce(number, Some(Mode::DryRun), false, "uid 0", now).await.unwrap();
    let found = |value: &str| Refused {
        mode: Mode::DryRun,
        because: "not-allowed".into(),
        value: value.into(),
        origin: "image".into(),
        container: id(1),
        first_at: now,
        last_at: now,
        times: 2,
    };
    for value in ["/bin/other", "/bin/server"] {
        store.add_refused(number, &found(value)).await.unwrap();
    }
    let row = shown().await;
    assert_eq!((row.mode, row.files, row.since), (Some(Mode::DryRun), false, Some(now)));
    assert!(row.said[0].en.contains("Nobody does it") && row.said[0].ko != row.said[0].en);
    let done = |value: &str| row.found.iter().find(|one| one.value == value).unwrap().done.clone();
    assert_eq!(&*done("/bin/other").en, "would be refused");
    assert_eq!(&*done("/bin/server").en, "the profile has it now");
    let guarded = Guarded {
        profile: number,
        mode: Mode::DryRun,
        with_files: false,
        tier: "lsm".into(),
        containers: 3,
        problem: String::new(),
        since: now,
        at: now,
    };
    store.set_guarded(&[guarded]).await.unwrap();
    assert!(shown().await.said[0].en.contains("3 containers, by BPF LSM"));
}

#[tokio::test]
async fn a_file_is_made_by_the_command_and_refused_with_its_reasons() {
    let root = tempfile::tempdir().unwrap();
    let script = r##"
        test "$0 $1" = "profile seccomp" && { test "$2" = "#1" || exit 9; printf '{"ok":1}'; exit 0; }
        test "$0 $1" = "profile vex" && { printf 'half'; printf 'NOT SETTLED\n\n  \033[31mfiles\n' >&2; exit 2; }
        exit 0
    "##;
    let desk = desk(root.path(), |setup| {
        setup.program = ("/bin/sh".into(), vec!["-c".into(), script.into()]);
    })
    .await;
    desk.setup.store.learn(&[learned(1, "server", &[])]).await.unwrap();
    let asker = caller(Role::Operator);
    let ask = async |number, kind| make(&desk, &asker, &MakeFile { number, kind }).await;
    let made = ask(1, FileKind::Seccomp).await.unwrap();
    assert_eq!(made.content.as_deref(), Some("{\"ok\":1}"));
    assert_eq!(made.name, "profile-1.seccomp.json");
    // What was printed before it failed is no file; what was said moves no cursor.
    let refused = ask(1, FileKind::Vex).await.unwrap();
    assert_eq!(refused.content, None);
    assert_eq!(refused.said, ["NOT SETTLED", "  \\u{1b}[31mfiles"]);
    assert_eq!(ask(1, FileKind::Docker).await.unwrap().content, None, "nothing is no file");
    assert_eq!(ask(2, FileKind::Seccomp).await.unwrap_err(), Refusal::Missing);
}
