//! `haechi account` and `haechi token`: who may use the dashboard and its API, without the dashboard.
//!
//! Each change is on record in the audit log before it is made.

use haechi_core::text::visible;
use haechi_desk::{Accounts, outcome};
use haechi_protocol::{AccountRow, Refusal, Scope, TokenRow};
use serde::Serialize;
use serde_json::{Value, json};

use super::audit::{user, when};
use super::store_failure;
use crate::args::{Account, ListFormat, Token};
use crate::failure::Failure;
use crate::setting::Setting;
use crate::{exit, output};

pub async fn run(command: &Account, setting: &Setting) -> anyhow::Result<u8> {
    let accounts = open(setting).await?;
    match command {
        Account::Add { name, role } => {
            let told = json!({ "role": role });
            let made = deed(&accounts, "AddAccount", name, told, accounts.add(name, *role)).await?;
            secret(&made.password)?;
            setting.note("account-added", &[("name", name), ("role", role.name())]);
        }
        Account::List { format } => {
            let rows = accounts.accounts().await.map_err(|refusal| failure(&refusal, ""))?;
            list(*format, &rows, |row: &AccountRow| {
                let key = if row.locked { "account-locked" } else { "account-open" };
                let login = match row.last_login {
                    Some(at) => setting.text("account-login", &[("at", &when(at))]),
                    None => setting.text("account-no-login", &[]),
                };
                let (name, state) = (visible(&row.name), setting.text(key, &[]));
                format!("{name}  {}  {state}  {login}", row.role.name())
            })?;
        }
        Account::Password { name } => {
            let work = accounts.reset(name);
            let password = deed(&accounts, "ResetPassword", name, json!({}), work).await?;
            secret(&password)?;
            setting.note("account-password", &[("name", name)]);
        }
        Account::Role { name, role } => {
            let (told, work) = (json!({ "role": role }), accounts.set(name, Some(*role), None));
            deed(&accounts, "ChangeAccount", name, told, work).await?;
            setting.note("account-role", &[("name", name), ("role", role.name())]);
        }
        Account::Lock { name } | Account::Unlock { name } => {
            let locked = matches!(command, Account::Lock { .. });
            let (told, work) =
                (json!({ "locked": locked }), accounts.set(name, None, Some(locked)));
            deed(&accounts, "ChangeAccount", name, told, work).await?;
            let key = if locked { "account-now-locked" } else { "account-now-open" };
            setting.note(key, &[("name", name)]);
        }
        Account::Remove { name } => {
            deed(&accounts, "RemoveAccount", name, json!({}), accounts.remove(name)).await?;
            setting.note("account-removed", &[("name", name)]);
        }
    }
    Ok(exit::CLEAN)
}

pub async fn token(command: &Token, setting: &Setting) -> anyhow::Result<u8> {
    let accounts = open(setting).await?;
    match command {
        Token::Add { name, account, scope, days } => {
            let told =
                json!({ "account": account, "scope": scope_name((*scope).into()), "days": days });
            let work = accounts.add_token(account, name, (*scope).into(), *days);
            let made = deed(&accounts, "AddToken", name, told, work).await?;
            secret(&made.secret)?;
            let (number, until) = (made.token.number.to_string(), when(made.token.expires));
            setting
                .note("token-added", &[("number", &number), ("name", account), ("until", &until)]);
        }
        Token::List { format } => {
            let rows = accounts.tokens(None).await.map_err(|refusal| failure(&refusal, ""))?;
            list(*format, &rows, |row: &TokenRow| {
                let (account, name) = (visible(&row.account), visible(&row.name));
                let until = setting.text("token-until", &[("until", &when(row.expires))]);
                let used = match row.used {
                    Some(at) => setting.text("token-used", &[("at", &when(at))]),
                    None => setting.text("token-unused", &[]),
                };
                let scope = scope_name(row.scope);
                format!("{:>4}  {account}  {name}  {scope}  {until}  {used}", row.number)
            })?;
        }
        Token::Remove { number } => {
            let (subject, work) = (number.to_string(), accounts.remove_token(*number, None));
            deed(&accounts, "RemoveToken", &subject, json!({}), work).await?;
            setting.note("token-removed", &[("number", &subject)]);
        }
    }
    Ok(exit::CLEAN)
}

const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Write => "write",
    }
}

async fn open(setting: &Setting) -> anyhow::Result<Accounts> {
    Accounts::open(super::store(setting).await?, &setting.data_dir()).await
}

/// Does something on record.
async fn deed<T>(
    accounts: &Accounts,
    action: &str,
    subject: &str,
    told: Value,
    work: impl Future<Output = Result<T, Refusal>>,
) -> anyhow::Result<T> {
    let log = accounts.log();
    let begun = log.begin(&user(), "", action, subject, &told).await.map_err(store_failure)?;
    let result = work.await;
    begun.end(&outcome(&result)).await;
    log.close().await;
    let what =
        if action == "AddToken" { told.get("account").and_then(Value::as_str) } else { None };
    result.map_err(|refusal| failure(&refusal, what.unwrap_or(subject)))
}

/// A secret is data: alone on a line of stdout.
fn secret(secret: &str) -> anyhow::Result<()> {
    output::stdout(|out| Ok(writeln!(out, "{secret}")?))
}

fn list<T: Serialize>(
    format: ListFormat,
    rows: &[T],
    line: impl Fn(&T) -> String,
) -> anyhow::Result<()> {
    output::stdout(|out| match format {
        ListFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, rows)?;
            Ok(writeln!(out)?)
        }
        ListFormat::Table => Ok(rows.iter().try_for_each(|row| writeln!(out, "{}", line(row)))?),
    })
}

/// A refusal in words that say how to mend it.
fn failure(refusal: &Refusal, name: &str) -> anyhow::Error {
    let key = match refusal {
        Refusal::Missing if name.parse::<i64>().is_ok() => "token-none",
        Refusal::Missing => "account-none",
        Refusal::Conflict => "account-conflict",
        Refusal::Invalid { field } => match field.problem.as_str() {
            "not-a-name" => "account-name",
            "not-a-token-name" => "token-name",
            "not-1-to-365" => "token-days",
            _ => "token-many",
        },
        _ => "account-not-done",
    };
    Failure::Refused { key, name: name.to_owned() }.into()
}
