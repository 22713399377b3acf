//! Logging in and out, the password, and how the pages look.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use haechi_protocol::{ChangePassword, Login, Logout, Refusal};

use super::shell::{Asked, Given, Refused, Shell, signed, theme_name};
use super::{encoded, local};
use crate::desk::Desk;
use crate::visitor::{NO_SESSION, Theme, Visitor, session_cookie};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    p: Shell,
    next: String,
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    p: Shell,
    forced: bool,
}

pub(super) async fn login(visitor: Visitor, Query(given): Asked) -> Response {
    login_page(&visitor, &given, None)
}

fn login_page(visitor: &Visitor, given: &Given, refused: Option<Refused>) -> Response {
    let next = local(given.get("next")).to_owned();
    let p = Shell::open(visitor, "login", &format!("/login?next={}", encoded(&next))).with(refused);
    let page = LoginPage { p, next };
    page.p.answer(&page)
}

pub(super) async fn log_in(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let login = Login { name: given.get("name").to_owned(), password: given.raw("password") };
    let opened = desk.ask(&visitor, login).await.and_then(|opened| {
        let cookie = session_cookie(&opened.secret).ok_or(Refusal::Unavailable)?;
        Ok((cookie, opened.me.must_change_password))
    });
    match opened {
        Ok((cookie, must_change)) => {
            let next = if must_change { "/password" } else { local(given.get("next")) };
            (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(next)).into_response()
        }
        Err(refusal) => {
            // The password does not travel back.
            let given = given.with("password", "");
            let refused = Refused { form: "login", refusal, given: given.clone() };
            login_page(&visitor, &given, Some(refused))
        }
    }
}

pub(super) async fn log_out(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Response {
    let visitor = signed(visitor, &given);
    let answer = desk.ask(&visitor, Logout::default()).await;
    match answer {
        // A session that is not valid any more has ended, too.
        Ok(_) | Err(Refusal::Unauthenticated) => {
            (AppendHeaders([(header::SET_COOKIE, NO_SESSION)]), Redirect::to("/login"))
                .into_response()
        }
        refused => super::shell::back(&given, "", refused),
    }
}

pub(super) async fn password(
    State(desk): State<Desk>,
    visitor: Visitor,
    Query(given): Asked,
) -> Result<Response, Response> {
    password_page(&desk, &visitor, &given, None).await
}

async fn password_page(
    desk: &Desk,
    visitor: &Visitor,
    given: &Given,
    refused: Option<Refused>,
) -> Result<Response, Response> {
    let p = Shell::enter(desk, visitor, "password", "/password", given).await?.with(refused);
    let forced = p.me.as_ref().is_some_and(|me| me.must_change_password);
    let page = PasswordPage { p, forced };
    Ok(page.p.answer(&page))
}

pub(super) async fn change_password(
    State(desk): State<Desk>,
    visitor: Visitor,
    Form(given): Form<Given>,
) -> Result<Response, Response> {
    let visitor = signed(visitor, &given);
    let (old, new) = (given.raw("old"), given.raw("new"));
    let answer = if new == given.raw("again") {
        desk.ask(&visitor, ChangePassword { old, new }).await
    } else {
        Err(Refusal::invalid("again", "differs"))
    };
    match answer {
        Ok(_) => Ok(Redirect::to("/?said=password").into_response()),
        Err(refusal) => {
            let refused = Refused { form: "password", refusal, given: Given::default() };
            password_page(&desk, &visitor, &Given::default(), Some(refused)).await
        }
    }
}

/// Language and colours: two cookies that hold no secret, kept for a year.
pub(super) async fn look(Form(given): Form<Given>) -> Response {
    let mut cookies = Vec::new();
    let mut keep = |name: &str, value: &str| {
        let cookie =
            format!("{name}={value}; Path=/; Max-Age=31536000; SameSite=Strict; Secure; HttpOnly");
        cookies.push((header::SET_COOKIE, cookie));
    };
    if let Some(lang) = given.pick::<haechi_core::Lang>("lang") {
        keep("lang", lang.code());
    }
    let themes = [Theme::Auto, Theme::Light, Theme::Dark].map(theme_name);
    if let Some(theme) = themes.into_iter().find(|name| *name == given.get("theme")) {
        keep("theme", theme);
    }
    (AppendHeaders(cookies), Redirect::to(local(given.get("back")))).into_response()
}
