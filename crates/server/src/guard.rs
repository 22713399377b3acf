//! What every request passes, page or API: whom it is addressed to, whether another site sent it, how long it is, how
//! many there are; and the headers that every answer has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::house::House;
use crate::metrics::Way;
use crate::problem::Problem;
use crate::visitor::{Peer, credential};

/// Bytes of a body: a form with a reason fits in easily.
pub const BODY_MAX: usize = 64 << 10;
/// Time that a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Time that a request waits for others to be answered.
const QUEUE_TIME: Duration = Duration::from_secs(5);

/// Headers of every answer. No script, style or picture but the server's own, no frame, nothing remembered.
const HEADERS: [(&str, &str); 8] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("strict-transport-security", "max-age=31536000"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Not "no-referrer": browsers would send forms of ours with the origin "null" (Fetch, "append a request origin header").
    ("referrer-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Lets a request in if it may come in, and dresses its answer.
pub async fn guard(State(house): State<Arc<House>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let way = Way {
        method: method(request.method()),
        route: request
            .extensions()
            .get::<MatchedPath>()
            .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned()),
    };
    let may_be_kept = request.uri().path().starts_with("/assets/");
    let mut response = match checked(&house, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !(may_be_kept && headers.contains_key(CACHE_CONTROL)) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    house.metrics.answered(&way, response.status().as_u16(), began.elapsed());
    response
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

async fn checked(house: &House, request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let authority = authority(&parts).filter(|authority| is_ours(authority.host(), &house.hosts));
    let Some(authority) = authority else {
        let status = StatusCode::MISDIRECTED_REQUEST;
        return Err(Problem::of_http(status, "misdirected", "this server has another name"));
    };
    if !matches!(parts.method, Method::GET | Method::HEAD) && is_foreign(&parts, &authority) {
        let status = StatusCode::FORBIDDEN;
        return Err(Problem::of_http(status, "cross-site", "another site sent this request"));
    }
    let body = whole(&parts, body).await?;
    let _place = match needs_place(parts.uri.path()) {
        true => {
            let credential = credential(&parts.headers);
            let address = parts.extensions.get::<Peer>().map(|peer| peer.0);
            let place = house.requests.enter(&credential, address);
            let place = tokio::time::timeout(QUEUE_TIME, place).await.ok().flatten();
            Some(place.ok_or_else(Problem::busy)?)
        }
        false => None,
    };
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

/// Whether a request counts among those that are being answered. One that waits for news has a seat of the live streams
/// instead, since it takes long; whether Haechi is well is told however much it has to do.
fn needs_place(path: &str) -> bool {
    !matches!(path, "/healthz" | "/api/v1/news")
}

/// Whom the request is addressed to; `None` if that is not clear.
fn authority(parts: &Parts) -> Option<Authority> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next().map(|host| Authority::try_from(host.as_bytes()).ok());
    match (parts.uri.authority(), host, hosts.next()) {
        (Some(authority), None, None) => Some(authority.clone()),
        (None, Some(host), None) => host,
        (Some(authority), Some(Some(host)), None) => (*authority == host).then_some(host),
        _ => None,
    }
    .filter(|authority| !authority.as_str().contains('@'))
}

/// Whether a browser that calls this name can only mean this server. A page of another site can make its own name
/// lead here (DNS rebinding), but no address.
fn is_ours(host: &str, hosts: &[String]) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.strip_suffix('.').unwrap_or(host);
    bare.parse::<std::net::IpAddr>().is_ok()
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a page of another origin sent it, as far as the browser says.
fn is_foreign(parts: &Parts, authority: &Authority) -> bool {
    let site = parts.headers.get("sec-fetch-site");
    let foreign_site = site.is_some_and(|site| site != "same-origin" && site != "none");
    let foreign_origin = parts.headers.get_all(ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("https://"));
        origin.is_none_or(|origin| !origin.eq_ignore_ascii_case(authority.as_str()))
    });
    foreign_site || foreign_origin
}

/// The body, if it is short and comes soon.
async fn whole(parts: &Parts, body: Body) -> Result<Bytes, Problem> {
    let too_long = || {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Problem::of_http(status, "too-large", "a body has 64 KiB at most")
    };
    let said = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if said.and_then(|length| length.parse::<u64>().ok()).is_some_and(|n| n > BODY_MAX as u64) {
        return Err(too_long());
    }
    let collected = Limited::new(body, BODY_MAX).collect();
    match tokio::time::timeout(BODY_TIME, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => {
            Err(Problem::of_http(StatusCode::BAD_REQUEST, "malformed", "the body broke off"))
        }
        Err(_) => {
            let status = StatusCode::REQUEST_TIMEOUT;
            Err(Problem::of_http(status, "too-slow", "a body has to come within 10 s"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = axum::http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn a_request_for_another_name_is_not_ours() {
        let hosts = ["localhost".to_owned(), "box.example".to_owned()];
        let ours = |uri: &str, headers: &[(&str, &str)]| {
            authority(&parts(uri, headers)).is_some_and(|a| is_ours(a.host(), &hosts))
        };
        assert!(ours("/", &[("host", "localhost:8443")]));
        assert!(ours("/", &[("host", "BOX.example.")]));
        assert!(ours("/", &[("host", "192.0.2.7:8443")]));
        assert!(ours("/", &[("host", "[::1]:8443")]));
        assert!(ours("https://box.example/", &[]));
        assert!(ours("https://box.example/", &[("host", "box.example")]));
        assert!(!ours("/", &[]));
        assert!(!ours("/", &[("host", "evil.example")]));
        assert!(!ours("/", &[("host", "localhost.evil.example")]));
        assert!(!ours("/", &[("host", "localhost@evil.example")]));
        assert!(!ours("/", &[("host", "localhost"), ("host", "localhost")]));
        assert!(!ours("https://box.example/", &[("host", "evil.example")]));
        assert!(!ours("/", &[("host", "")]));
    }

    #[test]
    fn what_another_site_sends_is_foreign() {
        let authority = Authority::from_static("box.example:8443");
        let foreign = |headers: &[(&str, &str)]| is_foreign(&parts("/", headers), &authority);
        assert!(!foreign(&[]));
        assert!(!foreign(&[("origin", "https://box.example:8443"), ("sec-fetch-site", "none")]));
        assert!(!foreign(&[("sec-fetch-site", "same-origin")]));
        assert!(foreign(&[("sec-fetch-site", "same-site")]));
        assert!(foreign(&[("sec-fetch-site", "cross-site")]));
        assert!(foreign(&[("origin", "null")]));
        assert!(foreign(&[("origin", "http://box.example:8443")]));
        assert!(foreign(&[("origin", "https://box.example")]));
        assert!(foreign(&[("origin", "https://evil.example")]));
    }
}
