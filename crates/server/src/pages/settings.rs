//! Settings: how the pages look, one's own tokens, the vulnerability data; for admins accounts and how Haechi is set up.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::Response;
use haechi_protocol::{
    AccountRow, AddAccount, AddToken, ChangeAccount, DatabaseState, ListAccounts, ListTokens,
    Named, Refusal, RemoveAccount, RemoveToken, Role, Scope, Settings, ShowDatabase, ShowSettings,
    TokenRow, UpdateDatabase,
};

use super::shell::{Asked, Given, Refused, Shell, back, show, signed};
use crate::desk::Desk;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "settings.html")]
pub(super) struct SettingsPage {
    pub(super) p: Shell,
    pub(super) tokens: Vec<TokenRow>,
    pub(super) database: DatabaseState,
    /// For admins only.
    pub(super) accounts: Vec<AccountRow>,
    pub(super) settings: Option<Settings>,
}

impl SettingsPage {
    /// What a token may be used for, in words.
    pub(super) fn scope(&self, row: &TokenRow) -> &'static str {
        self.p.t.get(match row.scope {
            Scope::Read => "scope.read",
            Scope::Write => "scope.write",
        })
    }

    /// Where the policy is from.
    pub(super) fn policy_name<'a>(&self, name: &'a str) -> &'a str {
        if name == "defaults" { self.p.t.get("policy.defaults") } else { name }
    }
}

/// Something that is told this once.
#[derive(Template)]
#[template(path = "secret.html")]
pub(super) struct SecretPage {
    pub(super) p: Shell,
    pub(super) lead: String,
    pub(super) name: String,
    pub(super) secret: String,
}

pub(super) async fn settings(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Response {
    page(&desk, &visitor, &given, None).await
}

async fn page(desk: &Desk, visitor: &Visitor, given: &Given, refused: Option<Refused>) -> Response {
    let p = match Shell::enter(desk, visitor, "settings", "/settings", given).await {
        Ok(p) => p.with(refused),
        Err(other) => return other,
    };
    let asked = async {
        let tokens = desk.ask(visitor, ListTokens::default()).await?.rows;
        let database = desk.ask(visitor, ShowDatabase::default()).await?;
        let (accounts, settings) = if p.admin() {
            let accounts = desk.ask(visitor, ListAccounts::default()).await?.rows;
            (accounts, Some(desk.ask(visitor, ShowSettings::default()).await?))
        } else {
            (Vec::new(), None)
        };
        Ok::<_, Refusal>((tokens, database, accounts, settings))
    };
    match asked.await {
        Ok((tokens, database, accounts, settings)) => {
            let page = SettingsPage { p, tokens, database, accounts, settings };
            page.p.answer(&page)
        }
        Err(refusal) => p.refuse(&refusal),
    }
}

/// A form of this page that was refused, or the secret that it gave.
async fn told(
    desk: &Desk,
    visitor: &Visitor,
    given: Given,
    form: &'static str,
    answer: Result<(String, String), Refusal>,
) -> Response {
    match answer {
        Ok((name, secret)) => {
            let p = match Shell::enter(desk, visitor, "settings", "/settings", &Given::default())
                .await
            {
                Ok(p) => p,
                Err(other) => return other,
            };
            let lead = p.t.of("secret", form);
            show(&SecretPage { p, lead, name, secret })
        }
        Err(Refusal::Unauthenticated) => back::<()>(&given, "", Err(Refusal::Unauthenticated)),
        Err(refusal) => {
            let refused = Refused { form, refusal, given };
            page(desk, visitor, &Given::default(), Some(refused)).await
        }
    }
}

pub(super) async fn add_account(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let visitor = signed(visitor, &given);
    let question =
        AddAccount { name: given.get("name").to_owned(), role: Named(given.pick("role")) };
    let answer = desk.ask(&visitor, question).await;
    let answer = answer.map(|new| (new.account.name, new.password));
    told(&desk, &visitor, given, "account", answer).await
}

pub(super) async fn add_token(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let visitor = signed(visitor, &given);
    let question = AddToken {
        name: given.get("name").to_owned(),
        scope: Named(given.pick("scope")),
        days: given.read("days").unwrap_or(0),
    };
    let answer = desk.ask(&visitor, question).await.map(|new| (new.token.name, new.secret));
    told(&desk, &visitor, given, "token", answer).await
}

pub(super) async fn change_account(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let visitor = signed(visitor, &given);
    let question = ChangeAccount {
        name: given.get("name").to_owned(),
        role: given.pick("role"),
        locked: given.read("locked"),
    };
    back(&given, "account", desk.ask(&visitor, question).await)
}

pub(super) async fn remove_account(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let visitor = signed(visitor, &given);
    let name = given.get("name").to_owned();
    back(&given, "removed", desk.ask(&visitor, RemoveAccount { name }).await)
}

pub(super) async fn remove_token(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let visitor = signed(visitor, &given);
    let number = given.read("number").unwrap_or(-1);
    back(&given, "removed", desk.ask(&visitor, RemoveToken { number }).await)
}

pub(super) async fn update(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let visitor = signed(visitor, &given);
    back(&given, "update", desk.ask(&visitor, UpdateDatabase::default()).await)
}
