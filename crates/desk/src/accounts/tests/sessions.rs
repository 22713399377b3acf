//! Logging in, sessions, roles and keeping accounts.

use std::os::unix::fs::PermissionsExt;

use haechi_protocol::{ChangePassword, News, RemoveAccount, Who};

use super::*;

#[tokio::test]
async fn the_first_account_is_an_admin_who_has_to_change_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let hands = Hands::default();
    let store = Store::open(&dir.path().join("data")).await.unwrap();
    let accounts = opened(&dir, &hands, &store).await.unwrap();
    let password = accounts.first().await.unwrap().unwrap();
    assert_eq!(accounts.first().await.unwrap(), None, "only once");
    let logged_in = accounts.login("admin", &password, HOME).await.unwrap();
    assert!(logged_in.me.must_change_password && logged_in.me.role == Role::Admin);
    let credential = session(&logged_in);
    for (ask, may) in [
        (Ask::from(Who::default()), true),
        (ChangePassword::default().into(), true),
        (Logout::default().into(), true),
        (Overview::default().into(), false),
        (AddToken::default().into(), false),
        (AddAccount::default().into(), false),
    ] {
        let admitted = accounts.admit(&credential, HOME, route(ask.clone())).await;
        assert_eq!(admitted.is_ok(), may, "{ask:?}");
    }
    let caller = accounts.admit(&credential, HOME, route(ChangePassword::default())).await.unwrap();
    let wrong = accounts.choose_password(&caller, "not the password", PASSWORD).await;
    assert_eq!(wrong, Err(Refusal::invalid("old", "password-wrong")));
    let same = accounts.choose_password(&caller, PASSWORD, PASSWORD).await;
    assert_eq!(same, Err(Refusal::invalid("new", "password-same")));
    let other = session(&accounts.login("admin", &password, HOME).await.unwrap());
    // Nobody watched the start: the password lies in a file, for its owner alone, until it is changed.
    let file = accounts.keep_first(&password).unwrap();
    let kept = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!((kept & 0o7777, file.parent().unwrap()), (0o600, &*dir.path().join("data")));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{password}\n"));
    assert_eq!(
        accounts.keep_first(&password).unwrap(),
        file,
        "one of an earlier start is replaced"
    );
    assert!(accounts.choose_password(&caller, &password, "short").await.is_err());
    assert!(file.exists(), "it is still the password");
    accounts.choose_password(&caller, &password, PASSWORD).await.unwrap();
    assert!(!file.exists(), "it is not the password any more");
    let overview = route(Overview::default());
    assert!(accounts.admit(&credential, HOME, overview).await.is_ok());
    let ended = accounts.admit(&other, HOME, overview).await.unwrap_err();
    assert_eq!(ended, Refusal::Unauthenticated, "the other sessions ended");
    assert_eq!(accounts.login("admin", &password, HOME).await, Err(Refusal::WrongPassword));
}

#[tokio::test]
async fn nobody_gets_in_without_a_secret_that_is_known() {
    let place = Place::new().await;
    let Credential::Session { secret, csrf } = place.login("viewer").await else { panic!() };
    let with = |secret: &str| Credential::Session { secret: secret.into(), csrf: csrf.clone() };
    assert!(place.ask(&with(&secret), Overview::default()).await.is_ok());
    let long = "a".repeat(60_000);
    let token = format!("haechi_{secret}");
    for wrong in
        ["", "0", &secret.to_uppercase(), &secret[1..], &"0".repeat(64), &long, "\0", &token]
    {
        let refused = place.ask(&with(wrong), Overview::default()).await;
        assert_eq!(refused.unwrap_err(), Refusal::Unauthenticated);
    }
    for other in [Credential::None, Credential::Token(secret.clone()), Credential::Token(token)] {
        let refused = place.ask(&other, Overview::default()).await;
        assert_eq!(refused.unwrap_err(), Refusal::Unauthenticated);
    }
    assert_eq!(
        place.store.audit_after(0, 10).await.unwrap().len(),
        1,
        "nothing of that fills the log"
    );
    let kept = place.dir.path().join("data/haechi.db");
    for file in [kept.clone(), kept.with_extension("db-wal")] {
        let bytes = std::fs::read(file).unwrap_or_default();
        let found = bytes.windows(64).any(|part| part == secret.as_bytes());
        assert!(!found, "only the hash is kept");
    }
}

#[tokio::test]
async fn changes_need_the_token_against_forged_requests() {
    let place = Place::new().await;
    let Credential::Session { secret, csrf } = place.login("operator").await else { panic!() };
    for wrong in [String::new(), csrf.to_uppercase(), "0".repeat(64), secret.clone()] {
        let credential = Credential::Session { secret: secret.clone(), csrf: wrong };
        assert!(place.ask(&credential, Overview::default()).await.is_ok(), "reading needs none");
        assert_eq!(
            place.ask(&credential, Verify::default()).await.unwrap_err(),
            Refusal::Forbidden
        );
    }
    assert!(place.ask(&Credential::Session { secret, csrf }, Verify::default()).await.is_ok());
}

#[tokio::test]
async fn each_role_may_ask_what_its_row_says_and_no_more() {
    let place = Place::new().await;
    for role in Role::ALL {
        let credential = place.login(role.name()).await;
        for row in haechi_protocol::routes() {
            let admitted = place.accounts.admit(&credential, HOME, row).await;
            let may = row.role.is_none_or(|least| role >= least);
            assert_eq!(admitted.is_ok(), may, "{} asks {}", role.name(), row.name);
        }
    }
}

#[tokio::test]
async fn a_role_a_lock_and_a_removal_count_for_the_next_question() {
    let place = Place::new().await;
    let credential = place.login("operator").await;
    assert!(place.ask(&credential, Verify::default()).await.is_ok());
    place.accounts.set("operator", Some(Role::Viewer), None).await.unwrap();
    assert_eq!(place.ask(&credential, Verify::default()).await.unwrap_err(), Refusal::Forbidden);
    assert!(place.ask(&credential, Overview::default()).await.is_ok());
    place.accounts.set("Operator", None, Some(true)).await.unwrap();
    let refused = place.ask(&credential, Overview::default()).await.unwrap_err();
    assert_eq!(refused, Refusal::Unauthenticated);
    let locked = place.accounts.login("operator", PASSWORD, HOME).await;
    assert_eq!(locked, Err(Refusal::WrongPassword), "the same words as for a wrong password");
    place.accounts.set("operator", None, Some(false)).await.unwrap();
    let refused = place.ask(&credential, Overview::default()).await.unwrap_err();
    assert_eq!(refused, Refusal::Unauthenticated, "unlocked, the old session stays ended");
    let credential = place.login("operator").await;
    place.accounts.remove("operator").await.unwrap();
    let refused = place.ask(&credential, Overview::default()).await.unwrap_err();
    assert_eq!(refused, Refusal::Unauthenticated);
    place.accounts.add("operator", Role::Admin).await.unwrap();
    let refused = place.ask(&credential, Overview::default()).await.unwrap_err();
    assert_eq!(refused, Refusal::Unauthenticated, "a name that is used again is another account");
}

#[tokio::test]
async fn one_admin_who_can_log_in_always_stays() {
    let place = Place::new().await;
    let accounts = &place.accounts;
    let last = Err(Refusal::Conflict);
    assert_eq!(accounts.remove("admin").await, last);
    assert_eq!(accounts.set("admin", Some(Role::Operator), None).await.map(|_| ()), last);
    assert_eq!(accounts.set("ADMIN", None, Some(true)).await.map(|_| ()), last);
    accounts.add("second", Role::Admin).await.unwrap();
    accounts.set("second", None, Some(true)).await.unwrap();
    assert_eq!(accounts.remove("admin").await, last, "one that is locked does not count");
    accounts.set("second", None, Some(false)).await.unwrap();
    accounts.remove("admin").await.unwrap();
    assert_eq!(accounts.remove("second").await, last);
    assert_eq!(accounts.remove("nobody").await, Err(Refusal::Missing));
}

#[tokio::test]
async fn names_are_plain_and_no_two_differ_by_case() {
    let place = Place::new().await;
    let long = "a".repeat(33);
    for bad in [
        "",
        "a",
        "haechi",
        "Haechi",
        "token",
        "a b",
        "-a",
        ".a",
        "민지",
        "аdmin",
        "a\u{202e}b",
        "a\n",
        &long,
        "<b>x",
    ] {
        let refused = place.accounts.add(bad, Role::Viewer).await.unwrap_err();
        assert_eq!(refused, Refusal::invalid("name", "not-a-name"), "{bad}");
    }
    assert_eq!(place.accounts.add("ADMIN", Role::Viewer).await.unwrap_err(), Refusal::Conflict);
    assert!(place.accounts.add("min.ji-2_x", Role::Viewer).await.is_ok());
}

#[tokio::test]
async fn a_session_ends_unused_and_at_last_whatever_it_does() {
    let place = Place::new().await;
    let credential = place.login("viewer").await;
    for _ in 0..(12 * 60 / 29) {
        place.hands.pass(29 * 60);
        assert!(place.ask(&credential, Overview::default()).await.is_ok());
    }
    place.hands.pass(29 * 60);
    let refused = place.ask(&credential, Overview::default()).await.unwrap_err();
    assert_eq!(refused, Refusal::Unauthenticated, "after 12 hours");
    let credential = place.login("viewer").await;
    place.hands.pass(30 * 60);
    let refused = place.ask(&credential, Overview::default()).await.unwrap_err();
    assert_eq!(refused, Refusal::Unauthenticated, "after half an hour");
    let waits = place.login("viewer").await;
    for _ in 0..3 {
        place.hands.pass(9 * 60);
        assert!(place.ask(&waits, News::default()).await.is_ok());
    }
    place.hands.pass(4 * 60);
    let refused = place.ask(&waits, News::default()).await.unwrap_err();
    assert_eq!(refused, Refusal::Unauthenticated, "a page that waits for news is not a person");
    let ends = place.login("viewer").await;
    let caller = place.ask(&ends, Logout::default()).await.unwrap();
    let Proof::Session { secret, .. } = &caller.proof else { panic!() };
    place.store.end_session(&secret::hashed(secret).unwrap()).await.unwrap();
    assert!(place.ask(&ends, Overview::default()).await.is_err());
}

#[tokio::test]
async fn a_clock_that_is_set_makes_no_session_longer() {
    let mut place = Place::new().await;
    // Set back while Haechi runs: what has passed counts.
    let credential = place.login("viewer").await;
    place.hands.pass(20 * 60);
    place.hands.set(-15 * 60);
    place.hands.pass(10 * 60);
    assert!(place.ask(&credential, Overview::default()).await.is_err(), "unused for 30 minutes");
    // Again and again, beyond twelve hours.
    let credential = place.login("viewer").await;
    for _ in 0..36 {
        place.hands.pass(20 * 60);
        place.hands.set(-20 * 60);
        let admitted = place.ask(&credential, Overview::default()).await;
        assert!(admitted.is_ok() || place.hands.passed.load(Ordering::SeqCst) > 12 * 60 * 60);
    }
    place.hands.pass(60);
    assert!(place.ask(&credential, Overview::default()).await.is_err(), "after 12 hours");
    // Set back over a start: nobody knows how long it was not used.
    place.again().await;
    let credential = place.login("viewer").await;
    place.hands.pass(10 * 60);
    assert!(place.ask(&credential, Overview::default()).await.is_ok());
    place.hands.set(-11 * 60);
    place.again().await;
    assert!(place.ask(&credential, Overview::default()).await.is_err());
    // Set forward: it ends early, and another can be opened.
    let credential = place.login("viewer").await;
    place.hands.set(365 * 24 * 60 * 60);
    assert!(place.ask(&credential, Overview::default()).await.is_err());
    let credential = place.login("viewer").await;
    assert!(place.ask(&credential, Overview::default()).await.is_ok());
}

#[tokio::test]
async fn wrong_logins_are_answered_alike_slowed_down_and_do_not_lock_the_owner_out() {
    let place = Place::new().await;
    place.login("viewer").await;
    let login = |name: &'static str, address: String| {
        let accounts = &place.accounts;
        async move { accounts.login(name, "not the password", &address).await.unwrap_err() }
    };
    let hostile = "<b>\u{202e}\n관리자</b>";
    for name in ["admin", "nobody", "", hostile] {
        assert_eq!(login(name, "192.0.2.66".into()).await, Refusal::WrongPassword, "{name}");
    }
    let mut slowed = 0;
    for n in 0..200 {
        let refused = login("viewer", format!("198.51.100.{n}")).await;
        slowed += i32::from(matches!(refused, Refusal::TooMany { .. }));
    }
    assert!(slowed > 150, "{slowed}");
    assert!(
        place.accounts.login("viewer", PASSWORD, HOME).await.is_ok(),
        "from where they always are"
    );
    let elsewhere = place.accounts.login("viewer", PASSWORD, "203.0.113.5").await.unwrap_err();
    let Refusal::TooMany { retry_s } = elsewhere else { panic!("{elsewhere:?}") };
    assert!(retry_s <= 31);
    place.hands.pass(retry_s.try_into().unwrap());
    assert!(place.accounts.login("viewer", PASSWORD, "203.0.113.5").await.is_ok());
    let outcomes = place.outcomes("Login").await;
    let refused = outcomes.iter().filter(|outcome| *outcome != "done").count();
    assert!((4..=40).contains(&refused), "{refused}: a flood does not fill the disk");
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "done").count(), 3);
    place.hands.pass(10 * 60);
    place.accounts.tend().await;
    let counted = place.store.audit_page(None, None, 1).await.unwrap();
    let detail = &counted[0].record.detail;
    assert!(detail.contains("too-many") && detail.contains("\"times\":"), "{detail}");
    let all = place.store.audit_after(0, 1_000).await.unwrap();
    let told = all.iter().find(|kept| kept.record.subject.contains("관리자")).unwrap();
    assert_eq!(told.record.subject, "<b>\\u{202e}\\u{a}관리자</b>", "visible");
}

#[tokio::test]
async fn a_flood_of_strangers_hides_no_attempt_of_an_account() {
    let place = Place::new().await;
    let viewer = place.login("viewer").await;
    for n in 0..60 {
        let name = format!("guess{n}");
        let address = format!("198.51.100.{n}");
        place.accounts.login(&name, "not the password", &address).await.unwrap_err();
    }
    place.ask(&viewer, ListAudit::default()).await.unwrap_err();
    assert_eq!(place.outcomes("ListAudit").await, ["forbidden"]);
    for _ in 0..60 {
        place.ask(&viewer, ListAudit::default()).await.unwrap_err();
    }
    assert_eq!(place.outcomes("ListAudit").await.len(), 20, "its own flood is counted");
}

#[tokio::test]
async fn a_password_that_was_not_tried_is_not_counted_as_wrong() {
    let place = Place::new().await;
    let viewer = place.login("viewer").await;
    let caller = place.ask(&viewer, Who::default()).await.unwrap();
    let choose = async |old: &str| {
        place.accounts.choose_password(&caller, old, "another one that was chosen").await
    };
    let waiting = &place.accounts.passwords.waiting;
    let taken = waiting.acquire_many(waiting.available_permits().try_into().unwrap()).await;
    for _ in 0..30 {
        let refused = choose(PASSWORD).await.unwrap_err();
        assert!(matches!(refused, Refusal::TooMany { .. }), "{refused:?}");
    }
    drop(taken);
    assert_eq!(choose(PASSWORD).await, Ok(()));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let place = Place::new().await;
    let admin = place.login("admin").await;
    let ask = Ask::from(RemoveAccount { name: "viewer".into() });
    let caller = place.ask(&admin, ask.clone()).await.unwrap();
    let done = place.accounts.deed(&caller, &ask, async { Ok(()) }).await;
    assert_eq!(done, Ok(()));
    assert_eq!(place.outcomes("RemoveAccount").await, ["begun", "done"]);
    let done = place.accounts.deed(&caller, &ask, async { Err::<(), _>(Refusal::Missing) }).await;
    assert_eq!(done, Err(Refusal::Missing));
    assert_eq!(place.outcomes("RemoveAccount").await, ["begun", "done", "begun", "missing"]);
    place.store.clone().close().await;
    let mut was_done = false;
    let done = place
        .accounts
        .deed(&caller, &ask, async {
            was_done = true;
            Ok(())
        })
        .await;
    assert_eq!((done, was_done), (Err(Refusal::Unavailable), false));
}

#[tokio::test]
async fn an_account_changes_only_so_much_at_once() {
    let place = Place::new().await;
    let operator = place.login("operator").await;
    let mut refused = None;
    for _ in 0..400 {
        if let Err(refusal) = place.ask(&operator, Verify::default()).await {
            refused = Some(refusal);
            break;
        }
    }
    assert!(matches!(refused, Some(Refusal::TooMany { .. })), "{refused:?}");
    assert!(place.ask(&operator, Overview::default()).await.is_ok(), "reading goes on");
    place.hands.pass(10);
    assert!(place.ask(&operator, Verify::default()).await.is_ok());
}
