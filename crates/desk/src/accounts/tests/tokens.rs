//! API tokens.

use haechi_protocol::{ChangeAccount, ChangePassword, ListAccounts, RemoveAccount, Scope, Who};

use super::*;

async fn token(place: &Place, account: &str, scope: Scope, days: u16) -> (i64, Credential) {
    let made = place.accounts.add_token(account, "배포-서버", scope, days).await.unwrap();
    assert!(made.secret.starts_with("haechi_") && made.secret.len() == 7 + 64);
    (made.token.number, Credential::Token(made.secret))
}

#[tokio::test]
async fn a_token_may_what_its_scope_and_its_account_may_until_it_ends() {
    let place = Place::new().await;
    let (_, reads) = token(&place, "operator", Scope::Read, 1).await;
    let (number, writes) = token(&place, "operator", Scope::Write, 2).await;
    assert!(place.ask(&reads, Overview::default()).await.is_ok());
    assert_eq!(place.ask(&reads, Verify::default()).await.unwrap_err(), Refusal::Forbidden);
    let caller = place.ask(&writes, Verify::default()).await.unwrap();
    assert_eq!(caller.actor(), "token 배포-서버 of operator");
    assert_eq!(caller.me().csrf, "", "a token needs none");
    assert!(place.ask(&writes, ListAudit::default()).await.is_ok());
    assert_eq!(place.ask(&writes, AddAccount::default()).await.unwrap_err(), Refusal::Forbidden);
    place.accounts.set("operator", Some(Role::Viewer), None).await.unwrap();
    assert_eq!(place.ask(&writes, Verify::default()).await.unwrap_err(), Refusal::Forbidden);
    place.accounts.set("operator", Some(Role::Operator), Some(true)).await.unwrap();
    assert_eq!(place.ask(&writes, Who::default()).await.unwrap_err(), Refusal::Unauthenticated);
    place.accounts.set("operator", None, Some(false)).await.unwrap();
    place.hands.pass(24 * 60 * 60);
    assert_eq!(place.ask(&reads, Who::default()).await.unwrap_err(), Refusal::Unauthenticated);
    assert!(place.ask(&writes, Who::default()).await.is_ok());
    place.accounts.remove_token(number, None).await.unwrap();
    assert_eq!(place.ask(&writes, Who::default()).await.unwrap_err(), Refusal::Unauthenticated);
}

#[tokio::test]
async fn a_token_keeps_no_accounts_and_changes_nothing_of_its_own_even_that_of_an_admin() {
    let place = Place::new().await;
    let (_, writes) = token(&place, "admin", Scope::Write, 2).await;
    assert!(place.ask(&writes, Verify::default()).await.is_ok());
    assert!(place.ask(&writes, ListAccounts::default()).await.is_ok());
    for never in [
        Ask::from(Logout::default()),
        ChangePassword::default().into(),
        AddToken::default().into(),
        AddAccount::default().into(),
        ChangeAccount::default().into(),
        RemoveAccount { name: "viewer".into() }.into(),
    ] {
        let refused = place.ask(&writes, never.clone()).await.err();
        assert_eq!(refused, Some(Refusal::Forbidden), "{}", never.route().name);
    }
    let session = place.login("admin").await;
    assert!(place.ask(&session, AddAccount::default()).await.is_ok());
}

#[tokio::test]
async fn tokens_go_with_their_account_and_belong_to_it() {
    let place = Place::new().await;
    let (number, credential) = token(&place, "viewer", Scope::Read, 9).await;
    let viewer = place.store.account("viewer").await.unwrap().unwrap().id;
    let operator = place.store.account("operator").await.unwrap().unwrap().id;
    assert_eq!(place.accounts.tokens(Some(operator)).await.unwrap().len(), 0);
    assert_eq!(place.accounts.tokens(Some(viewer)).await.unwrap()[0].number, number);
    assert_eq!(place.accounts.tokens(None).await.unwrap().len(), 1);
    let others = place.accounts.remove_token(number, Some(operator)).await;
    assert_eq!(others, Err(Refusal::Missing));
    place.accounts.remove("viewer").await.unwrap();
    assert_eq!(place.ask(&credential, Who::default()).await.unwrap_err(), Refusal::Unauthenticated);
    assert!(place.accounts.tokens(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn parts_of_a_token_are_judged_and_there_are_not_too_many() {
    let place = Place::new().await;
    let add =
        |name: &'static str, days: u16| place.accounts.add_token("viewer", name, Scope::Read, days);
    for name in ["", "of admin", "x of admin", "a\n", "<b>", "\u{202e}"] {
        let refused = add(name, 1).await.unwrap_err();
        assert_eq!(refused, Refusal::invalid("name", "not-a-token-name"), "{name}");
    }
    for days in [0, 366, u16::MAX] {
        assert_eq!(add("ci", days).await.unwrap_err(), Refusal::invalid("days", "not-1-to-365"));
    }
    for _ in 0..50 {
        add("ci", 1).await.unwrap();
    }
    assert_eq!(add("ci", 1).await.unwrap_err(), Refusal::invalid("name", "too-many-tokens"));
}

#[tokio::test]
async fn a_password_that_was_reset_stops_tokens_until_it_is_changed() {
    let place = Place::new().await;
    let (_, credential) = token(&place, "viewer", Scope::Read, 9).await;
    place.accounts.reset("viewer").await.unwrap();
    let refused = place.ask(&credential, Overview::default()).await.unwrap_err();
    assert_eq!(refused, Refusal::Forbidden);
    place.choose("viewer").await;
    assert!(place.ask(&credential, Overview::default()).await.is_ok());
}
