//! Logging in (<https://distribution.github.io/distribution/spec/auth/token/>): what a registry asks for, and how it
//! is given.

use http_auth::{ChallengeRef, parse_challenges};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};

use super::credentials::{self, Credential};
use super::{Inner, is_same_host, limited, tls, words};
use crate::blobs::BlobError;

/// Longest answer of a token server.
const ANSWER_MAX: usize = 1 << 20;
/// Longest challenge: an honest one has 300 bytes.
const CHALLENGE_MAX: usize = 8 << 10;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// Reads `WWW-Authenticate`; a token is preferred to sending a password.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for header in headers.get_all(WWW_AUTHENTICATE) {
        let Ok(text) = header.to_str() else { continue };
        if text.len() > CHALLENGE_MAX {
            continue;
        }
        for challenge in parse_challenges(text).unwrap_or_default() {
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                if let Some(realm) = parameter(&challenge, "realm") {
                    let service = parameter(&challenge, "service");
                    return Some(Challenge::Bearer {
                        realm,
                        service,
                        scope: parameter(&challenge, "scope"),
                    });
                }
            } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

fn parameter(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.to_unescaped())
}

impl Inner {
    /// Gets what is to be sent as `Authorization`.
    pub(super) async fn log_in(
        &self,
        headers: &HeaderMap,
        base: &str,
    ) -> Result<HeaderValue, BlobError> {
        let host = self.reference.registry();
        let credential = credentials::find(&self.options, host).await?;
        match (challenge(headers), credential) {
            (Some(Challenge::Basic), Some(credential)) => self.basic(&credential),
            (Some(Challenge::Basic), None) => Err(self.unauthorised("it asks for a password")),
            (Some(Challenge::Bearer { realm, service, scope }), credential) => {
                let scope = self.scope(scope);
                self.token(&realm, service, &scope, credential, base).await
            }
            (None, _) => Err(self.unauthorised("it does not say how to log in")),
        }
    }

    /// The right that is asked for: to pull, whatever the registry proposes.
    fn scope(&self, proposed: Option<String>) -> String {
        let proposed = proposed.filter(|scope| scope.ends_with(":pull") && !scope.contains(' '));
        proposed.unwrap_or_else(|| format!("repository:{}:pull", self.reference.repository()))
    }

    fn basic(&self, credential: &Credential) -> Result<HeaderValue, BlobError> {
        match credential {
            Credential::Login(login) => self.header(&login.basic()),
            Credential::Token(_) => {
                Err(self.unauthorised("it asks for a password, and there is only a token"))
            }
        }
    }

    fn header(&self, text: &str) -> Result<HeaderValue, BlobError> {
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| self.unauthorised("what would be sent is no text for a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn unauthorised(&self, why: &str) -> BlobError {
        BlobError::Unauthorised {
            place: self.reference.whole(),
            host: self.reference.registry().to_owned(),
            why: why.to_owned(),
        }
    }

    /// Asks the token server.
    async fn token(
        &self,
        realm: &str,
        service: Option<String>,
        scope: &str,
        credential: Option<Credential>,
        base: &str,
    ) -> Result<HeaderValue, BlobError> {
        let place = format!("{} token server {realm:.200}", self.reference.whole());
        let bad = |why: &str| BlobError::Malformed { place: place.clone(), why: why.to_owned() };
        let mut url = Url::parse(realm).map_err(|_| bad("is no address"))?;
        // Who can change what an unsafe registry says gets its tokens anyway; a safe one must not give them away.
        if url.scheme() != "https" && !(url.scheme() == "http" && base.starts_with("http:")) {
            return Err(bad("tokens are only asked for with HTTPS"));
        }
        let purpose = if is_same_host(&url, base) {
            tls::Use::OwnTokens { lax: self.lax }
        } else {
            tls::Use::OtherTokens
        };
        let host = self.reference.registry();
        let client = tls::client(host, &self.options, purpose)?;
        let mut form = vec![("scope", scope.to_owned())];
        form.extend(service.map(|service| ("service", service)));
        let request = match &credential {
            Some(Credential::Token(token)) => {
                form.push(("grant_type", "refresh_token".into()));
                form.push(("client_id", "haechi".into()));
                form.push(("refresh_token", token.clone()));
                let mut body = url.clone();
                body.query_pairs_mut().clear().extend_pairs(&form);
                client
                    .post(url)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(body.query().unwrap_or_default().to_owned())
            }
            Some(Credential::Login(login)) => {
                url.query_pairs_mut().extend_pairs(&form);
                client.get(url).header(AUTHORIZATION, self.header(&login.basic())?)
            }
            None => {
                url.query_pairs_mut().extend_pairs(&form);
                client.get(url)
            }
        };
        let sent = request.timeout(self.options.timeout).send().await;
        let response = sent.map_err(|error| tls::failure(error, place.clone(), host))?;
        let status = response.status();
        if !status.is_success() {
            let said = words(response).await;
            let why = format!("the token server answers {status} {said}");
            return Err(match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.unauthorised(why.trim()),
                _ => BlobError::Unreachable { place, why },
            });
        }
        let body = limited(response, ANSWER_MAX, &place).await?;
        let value: serde_json::Value =
            serde_json::from_slice(&body).map_err(|_| bad("its answer is no JSON"))?;
        let token = ["token", "access_token"]
            .iter()
            .find_map(|key| value.get(key).and_then(serde_json::Value::as_str))
            .filter(|token| !token.is_empty())
            .ok_or_else(|| bad("its answer has no token"))?;
        self.header(&format!("Bearer {token}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(text));
        }
        challenge(&headers)
    }

    #[test]
    fn challenges() {
        assert_eq!(of(&[r#"Basic realm="x""#]), Some(Challenge::Basic));
        let bearer = Some(Challenge::Bearer {
            realm: "https://t/token".into(),
            service: Some("r".into()),
            scope: Some("repository:a/b:pull,push".into()),
        });
        let text = r#"Bearer realm="https://t/token",service="r",scope="repository:a/b:pull,push""#;
        assert_eq!(of(&[text]), bearer);
        assert_eq!(of(&["Basic realm=\"x\"", text]), bearer);
        assert_eq!(of(&["Bearer"]), None);
        assert_eq!(of(&["=\"", "Negotiate"]), None);
        assert_eq!(of(&[]), None);
    }
}
