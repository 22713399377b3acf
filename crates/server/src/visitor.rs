//! Who sends a request: what proves it, from where, and in which language and colours it wants its pages.
//!
//! Nothing is decided here: a secret is taken as it was sent, and the desk says what it is worth.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use haechi_core::Lang;
use haechi_protocol::Credential;

/// The cookie with the secret of a session. The prefix makes browsers refuse it unless it is `Secure`, of this host
/// alone and of every path (RFC 6265bis).
pub const COOKIE_NAME: &str = "__Host-haechi";
/// The header with the token against forged requests.
pub const CSRF_HEADER: &str = "x-haechi-csrf";
/// Longest secret, in characters, that is passed on.
const SECRET_MAX: usize = 256;

/// Colours of the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the system has it.
    #[default]
    Auto,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// The other end of a connection: an extension of each of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Whoever sends a request. An axum extractor that never fails.
#[derive(Debug, Clone, Default)]
pub struct Visitor {
    /// What proves who it is. A token counts more than a cookie.
    pub credential: Credential,
    /// The address that the connection comes from.
    pub address: String,
    /// Language: the cookie `lang`, else `Accept-Language`, else English.
    pub lang: Lang,
    /// Colours: the cookie `theme`.
    pub theme: Theme,
}

impl Visitor {
    /// The same with the token against forged requests that a form carries. A header's counts more.
    #[must_use]
    pub fn with_csrf(mut self, token: &str) -> Self {
        if let Credential::Session { csrf, .. } = &mut self.credential
            && csrf.is_empty()
            && plausible(token)
        {
            token.clone_into(csrf);
        }
        self
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let headers = &parts.headers;
        Ok(Self {
            credential: credential(headers),
            address: parts.extensions.get::<Peer>().map_or_else(String::new, |p| p.0.to_string()),
            lang: lang(headers),
            theme: match cookie(headers, "theme") {
                Some("light") => Theme::Light,
                Some("dark") => Theme::Dark,
                _ => Theme::Auto,
            },
        })
    }
}

/// The header that opens a session in the browser.
pub fn session_cookie(secret: &str) -> Option<HeaderValue> {
    let cookie = format!("{COOKIE_NAME}={secret}; Path=/; Secure; HttpOnly; SameSite=Strict");
    HeaderValue::try_from(cookie).ok().filter(|_| plausible(secret))
}

/// The header that makes the browser forget its session.
pub const NO_SESSION: HeaderValue = HeaderValue::from_static(
    "__Host-haechi=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict",
);

/// Whether this may be a secret of Haechi's: short, and nothing that would be read differently elsewhere.
fn plausible(secret: &str) -> bool {
    (1..=SECRET_MAX).contains(&secret.len())
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~+/=".contains(&byte))
}

/// What proves who it is, as it was sent.
pub(crate) fn credential(headers: &HeaderMap) -> Credential {
    if headers.contains_key(AUTHORIZATION) {
        // Whoever sends a token means it: a wrong one is not made up for by a cookie.
        let token = single(headers, AUTHORIZATION.as_str()).and_then(bearer);
        return token.map_or(Credential::None, |token| Credential::Token(token.to_owned()));
    }
    let Some(secret) = cookie(headers, COOKIE_NAME).filter(|secret| plausible(secret)) else {
        return Credential::None;
    };
    let csrf = single(headers, CSRF_HEADER).filter(|token| plausible(token)).unwrap_or_default();
    Credential::Session { secret: secret.to_owned(), csrf: csrf.to_owned() }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && plausible(token)).then_some(token)
}

/// The value of a header that is there once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The value of a cookie that is there once: of two, nobody knows which one was meant.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut values = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(key, value)| (key == name).then_some(value));
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

fn lang(headers: &HeaderMap) -> Lang {
    if let Some(lang) = cookie(headers, "lang").and_then(named) {
        return lang;
    }
    let accepted = single(headers, ACCEPT_LANGUAGE.as_str()).unwrap_or_default();
    let mut best = (0.0, Lang::default());
    for part in accepted.split(',').take(16) {
        let mut words = part.split(';');
        let tag = words.next().unwrap_or_default().trim();
        let weight = words
            .find_map(|word| word.trim().strip_prefix("q=")?.parse::<f32>().ok())
            .unwrap_or(1.0);
        let primary = tag.split('-').next().unwrap_or_default();
        if let Some(lang) = named(primary).filter(|_| weight > best.0) {
            best = (weight, lang);
        }
    }
    best.1
}

fn named(tag: &str) -> Option<Lang> {
    match tag.to_ascii_lowercase().as_str() {
        "en" => Some(Lang::En),
        "ko" => Some(Lang::Ko),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn visitor(headers: &[(&str, &str)]) -> Visitor {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        match Visitor::from_request_parts(&mut parts, &()).await {
            Ok(visitor) => visitor,
            Err(never) => match never {},
        }
    }

    fn session(secret: &str, csrf: &str) -> Credential {
        Credential::Session { secret: secret.to_owned(), csrf: csrf.to_owned() }
    }

    #[tokio::test]
    async fn a_cookie_is_a_session_and_a_token_counts_more() {
        let cookie = ("cookie", "a=b; __Host-haechi=abc; theme=dark; lang=ko");
        let seen = visitor(&[cookie]).await;
        assert_eq!(seen.credential, session("abc", ""));
        assert_eq!((seen.theme, seen.lang), (Theme::Dark, Lang::Ko));
        assert_eq!(seen.clone().with_csrf("t0").credential, session("abc", "t0"));
        let seen = visitor(&[cookie, ("x-haechi-csrf", "t1")]).await;
        assert_eq!(seen.with_csrf("t0").credential, session("abc", "t1"));
        let seen = visitor(&[cookie, ("authorization", "bearer xyz")]).await;
        assert_eq!(seen.with_csrf("t0").credential, Credential::Token("xyz".to_owned()));
    }

    #[tokio::test]
    async fn what_is_not_clear_proves_nothing() {
        let long = format!("__Host-haechi={}", "x".repeat(300));
        for headers in [
            &[][..],
            &[("cookie", "__Host-haechi=abc; __Host-haechi=abd")],
            &[("cookie", "__Host-haechi=abc"), ("cookie", "__Host-haechi=abc")],
            &[("cookie", "__Host-haechi=a\tb")],
            &[("cookie", "__Host-haechi=")],
            &[("cookie", &long)],
            &[("cookie", "haechi=abc")],
            &[("authorization", "Basic abc"), ("cookie", "__Host-haechi=abc")],
            &[("authorization", "Bearer a"), ("authorization", "Bearer b")],
            &[("authorization", "Bearer")],
        ] {
            assert_eq!(visitor(headers).await.credential, Credential::None, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn the_language_with_the_most_weight_is_taken() {
        for (accepted, lang) in [
            ("ko-KR,ko;q=0.9,en;q=0.8", Lang::Ko),
            ("de, en;q=0.5, ko;q=0.7", Lang::Ko),
            ("en-US,en;q=0.9,ko;q=0.8", Lang::En),
            ("ko;q=0", Lang::En),
            ("ko;q=x;;,,", Lang::Ko),
            ("", Lang::En),
        ] {
            assert_eq!(visitor(&[("accept-language", accepted)]).await.lang, lang, "{accepted}");
        }
    }

    #[test]
    fn a_secret_that_would_break_the_cookie_makes_none() {
        assert!(session_cookie("abc").is_some());
        assert!(session_cookie("a; Domain=x").is_none());
        assert!(session_cookie("").is_none());
    }
}
