//! What every page has around it: who looks at it, in which language and colours, what was just done or refused.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Query;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use haechi_protocol::{Field, Me, Refusal, Role, Who};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;

use super::words::Words;
use super::{assets, local};
use crate::desk::Desk;
use crate::visitor::{Theme, Visitor};

/// What came with a request, by its names; a part that was given twice counts once.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Given(BTreeMap<String, String>);

impl Given {
    /// A part, without spaces around it; empty if it was not given.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }

    /// A part exactly as it was given: a password may begin with a space.
    pub(super) fn raw(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// A part that is not empty.
    pub(super) fn some(&self, name: &str) -> Option<String> {
        Some(self.get(name)).filter(|value| !value.is_empty()).map(ToOwned::to_owned)
    }

    /// A part that is one of a closed list; anything else is nothing.
    pub(super) fn pick<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(StrDeserializer::<serde::de::value::Error>::new(self.get(name))).ok()
    }

    /// A part that is a number, a day, a moment; anything else is nothing.
    pub(super) fn read<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).parse().ok()
    }

    /// The same with one part more, or another one.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// A query of these parts, but for `without`, that ends with `name=value`.
    pub(super) fn query(&self, without: &str, name: &str, value: &str) -> String {
        let kept = self.0.iter().filter(|(key, value)| {
            ![without, name, "said"].contains(&key.as_str()) && !value.is_empty()
        });
        let all = kept.map(|(key, value)| (key.as_str(), value.as_str())).chain([(name, value)]);
        let parts =
            all.map(|(key, value)| format!("{}={}", super::encoded(key), super::encoded(value)));
        format!("?{}", parts.collect::<Vec<_>>().join("&"))
    }
}

/// A form that was sent and refused: shown again with what was in it, and why.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    /// Name of the form.
    pub(super) form: &'static str,
    /// Why.
    pub(super) refusal: Refusal,
    /// What was in it.
    pub(super) given: Given,
}

/// The navigation: names of the pages and where they are.
pub(super) const NAVIGATION: [(&str, &str); 11] = [
    ("overview", "/"),
    ("checklist", "/checklist"),
    ("exceptions", "/exceptions"),
    ("images", "/images"),
    ("containers", "/containers"),
    ("profiles", "/profiles"),
    ("events", "/events"),
    ("activity", "/activity"),
    ("audit", "/audit"),
    ("report", "/report"),
    ("settings", "/settings"),
];

/// The least role that a page of the navigation is for.
fn least(here: &str) -> Role {
    match here {
        "audit" | "report" => Role::Auditor,
        _ => Role::Viewer,
    }
}

/// What a template needs besides its own matter.
#[derive(Debug, Clone)]
pub(super) struct Shell {
    pub(super) t: Words,
    pub(super) theme: Theme,
    /// Who looks at it; nobody on the page to log in.
    pub(super) me: Option<Me>,
    /// The part of the navigation that this page belongs to.
    pub(super) here: &'static str,
    /// Title in the browser.
    pub(super) title: String,
    /// What was just done, or refused, in words.
    pub(super) said: Option<String>,
    /// Whether that is a refusal.
    pub(super) bad: bool,
    /// Where this page is, to come back to it.
    pub(super) path: String,
    pub(super) refused: Option<Refused>,
}

impl Shell {
    /// The surroundings of a page that needs no login.
    pub(super) fn open(visitor: &Visitor, here: &'static str, path: &str) -> Self {
        let t = Words { lang: visitor.lang };
        Self {
            t,
            theme: visitor.theme,
            me: None,
            here,
            title: t.of("page", here),
            said: None,
            bad: false,
            path: path.to_owned(),
            refused: None,
        }
    }

    /// The surroundings of a page for whoever is logged in.
    ///
    /// # Errors
    /// The page to log in, or to change the password first; or why nobody can be told.
    pub(super) async fn enter(
        desk: &Desk,
        visitor: &Visitor,
        here: &'static str,
        path: &str,
        given: &Given,
    ) -> Result<Self, Response> {
        let mut shell = Self::open(visitor, here, path);
        match desk.ask(visitor, Who::default()).await {
            Ok(me) if me.must_change_password && here != "password" => {
                return Err(Redirect::to("/password").into_response());
            }
            Ok(me) => shell.me = Some(me),
            Err(refusal) => return Err(shell.refuse(&refusal)),
        }
        if let Some(name) = given.some("said") {
            shell.bad = name.starts_with("refused.");
            let key = if shell.bad { name } else { format!("done.{name}") };
            // Only what Haechi itself can say: a link cannot put words into its mouth.
            shell.said = shell.t.knows(&key).then(|| shell.t.get(&key).to_owned());
        }
        Ok(shell)
    }

    /// With a form that was refused.
    pub(super) fn with(mut self, refused: Option<Refused>) -> Self {
        self.refused = refused;
        self
    }

    /// With a title of its own.
    pub(super) fn titled(mut self, title: &str) -> Self {
        self.title = self.t.short(title, 120).into_owned();
        self
    }

    /// What shows instead of a page that was refused.
    pub(super) fn refuse(&self, refusal: &Refusal) -> Response {
        match refusal {
            Refusal::Unauthenticated => {
                let next = super::encoded(local(&self.path));
                Redirect::to(&format!("/login?next={next}")).into_response()
            }
            Refusal::Forbidden if !self.may(least(self.here)) => self.needs(least(self.here)),
            other => self.instead("problem", self.words_of(other), other.status()),
        }
    }

    /// What shows instead of a page that needs this role.
    pub(super) fn needs(&self, role: Role) -> Response {
        let named = |role: Role| self.t.of("role", role.name());
        let own = self.me.as_ref().map_or_else(String::new, |me| named(me.role));
        let words = self.t.xy("refused.role", named(role), own);
        self.instead("not-for-role", words, Refusal::Forbidden.status())
    }

    fn instead(&self, title: &str, words: String, status: u16) -> Response {
        let p = Self { title: self.t.get(title).to_owned(), ..self.clone() };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        (status, show(&Problem { p, words })).into_response()
    }

    /// A page as an answer: 422, or what the refusal says, if it shows a refused form.
    pub(super) fn answer(&self, page: &impl Template) -> Response {
        let status = self.refused.as_ref().map_or(200, |refused| refused.refusal.status());
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        (status, show(page)).into_response()
    }

    /// A refusal in words.
    pub(super) fn words_of(&self, refusal: &Refusal) -> String {
        let t = &self.t;
        match refusal {
            Refusal::Invalid { field } => self.field_words(field),
            Refusal::TooMany { retry_s } => t.n("refused.too-many", retry_s),
            other => t.get(&format!("refused.{}", name_of(other))).to_owned(),
        }
    }

    fn field_words(&self, field: &Field) -> String {
        let key = format!("invalid.{}", field.problem);
        if self.t.knows(&key) {
            return self.t.get(&key).to_owned();
        }
        self.t.x("refused.field", &field.name)
    }

    /// Why a form was refused, in words; nothing if it was not.
    pub(super) fn problem(&self, form: &str) -> Option<String> {
        let refused = self.refused.as_ref().filter(|refused| refused.form == form)?;
        Some(self.words_of(&refused.refusal))
    }

    /// Whether this field is why a form was refused.
    pub(super) fn wrong(&self, form: &str, name: &str) -> bool {
        let refused = self.refused.as_ref().filter(|refused| refused.form == form);
        matches!(refused.map(|r| &r.refusal), Some(Refusal::Invalid { field }) if field.name == name)
    }

    /// What was in a field of a form that was refused; else this.
    pub(super) fn value<'a>(&'a self, form: &str, name: &str, other: &'a str) -> &'a str {
        let refused = self.refused.as_ref().filter(|refused| refused.form == form);
        refused.map_or(other, |refused| refused.given.get(name))
    }

    /// Whether whoever looks may do what needs this role.
    fn may(&self, role: Role) -> bool {
        self.me.as_ref().is_some_and(|me| me.role >= role)
    }

    /// Whether a page of the navigation is for whoever looks.
    pub(super) fn may_see(&self, here: &str) -> bool {
        self.may(least(here))
    }

    pub(super) fn auditor(&self) -> bool {
        self.may(Role::Auditor)
    }

    pub(super) fn operator(&self) -> bool {
        self.may(Role::Operator)
    }

    pub(super) fn admin(&self) -> bool {
        self.may(Role::Admin)
    }

    /// The token that every form carries.
    pub(super) fn csrf(&self) -> &str {
        self.me.as_ref().map_or("", |me| &me.csrf)
    }

    pub(super) fn css(&self) -> &'static str {
        assets::css()
    }

    pub(super) fn js(&self) -> &'static str {
        assets::js()
    }

    pub(super) fn icon(&self) -> &'static str {
        assets::icon()
    }

    /// Whether the page has these colours.
    pub(super) fn themed(&self, name: &str) -> bool {
        self.theme_name() == name
    }

    /// Whether the page is this one of the navigation.
    pub(super) fn at(&self, here: &str) -> bool {
        self.here == here
    }

    pub(super) fn theme_name(&self) -> &'static str {
        theme_name(self.theme)
    }
}

/// The name of colours, as in the cookie.
pub(super) fn theme_name(theme: Theme) -> &'static str {
    match theme {
        Theme::Auto => "auto",
        Theme::Light => "light",
        Theme::Dark => "dark",
    }
}

/// A refusal's name: the last part of its sentence's key.
pub(super) fn name_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unauthenticated => "unauthenticated",
        Refusal::WrongPassword => "wrong-password",
        Refusal::Forbidden => "forbidden",
        Refusal::Invalid { .. } => "invalid",
        Refusal::Missing => "missing",
        Refusal::Conflict => "conflict",
        Refusal::TooMany { .. } => "too-many-now",
        Refusal::Unavailable => "unavailable",
    }
}

/// The visitor with the token that came with a form.
pub(super) fn signed(visitor: Visitor, given: &Given) -> Visitor {
    visitor.with_csrf(given.get("csrf"))
}

/// After a change: back to where it was made, with what came of it.
pub(super) fn back<T>(given: &Given, said: &str, answer: Result<T, Refusal>) -> Response {
    let back = local(given.get("back"));
    let said = match answer {
        Ok(_) => said.to_owned(),
        Err(Refusal::Unauthenticated) => {
            return Redirect::to(&format!("/login?next={}", super::encoded(back))).into_response();
        }
        Err(refusal) => format!("refused.{}", name_of(&refusal)),
    };
    let (path, hash) = back.split_once('#').unwrap_or((back, ""));
    let sign = if path.contains('?') { '&' } else { '?' };
    let hash = if hash.is_empty() { String::new() } else { format!("#{hash}") };
    Redirect::to(&format!("{path}{sign}said={said}{hash}")).into_response()
}

/// A template as an answer.
pub(super) fn show(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => ([(header::VARY, "Cookie, Accept-Language")], Html(html)).into_response(),
        Err(error) => {
            tracing::error!("a page could not be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What shows where there is no page, whoever looks.
pub(super) fn missing(visitor: &Visitor) -> Response {
    let mut shell = Shell::open(visitor, "login", "/");
    shell.title = shell.t.get("no-page").to_owned();
    let words = shell.t.get("no-page.why").to_owned();
    (StatusCode::NOT_FOUND, show(&Problem { p: shell, words })).into_response()
}

/// The query of a page.
pub(super) type Asked = Query<Given>;

#[derive(Template)]
#[template(path = "problem.html")]
struct Problem {
    p: Shell,
    words: String,
}
