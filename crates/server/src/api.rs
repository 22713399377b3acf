//! The API: one way in HTTP for each question of the table.
//!
//! Path, query and body become the question; the desk's answer becomes the body of the response, as it is.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Json, Router};
use haechi_protocol::{Ask, Credential, Method, Refusal, Route, routes};
use http_body_util::BodyExt;
use serde_json::{Map, Value};

use crate::desk::Desk;
use crate::house::House;
use crate::problem::Problem;
use crate::shape::Shape;
use crate::stream;
use crate::visitor::{NO_SESSION, Visitor, session_cookie};

/// All ways of the table.
pub fn router(house: &Arc<House>) -> Router<Desk> {
    let mut router = Router::new();
    for route in routes() {
        let (shape, house) = (Arc::new(Shape::of(route)), Arc::clone(house));
        let handler = move |State(desk): State<Desk>,
                            visitor: Visitor,
                            path: Result<RawPathParams, RawPathParamsRejection>,
                            request: Request| async move {
            let answer = answer(route, &shape, &house, &desk, &visitor, path, request).await;
            answer.unwrap_or_else(IntoResponse::into_response)
        };
        router = router.route(route.path, on(filter(route.method), handler));
    }
    router
}

const fn filter(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Delete => MethodFilter::DELETE,
    }
}

async fn answer(
    route: &Route,
    shape: &Shape,
    house: &House,
    desk: &Desk,
    visitor: &Visitor,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Response, Problem> {
    if route.role.is_some() && visitor.credential == Credential::None {
        return Err(Refusal::Unauthenticated.into());
    }
    let path = path.map_err(|_| malformed("the path is not UTF-8"))?;
    let mut parts = shape.path(path.iter())?;
    let query = request.uri().query().unwrap_or_default();
    if in_query(route.method) {
        shape.query(query, &mut parts)?;
    } else if !query.is_empty() {
        return Err(Refusal::invalid("query", "unknown").into());
    }
    let headers = request.headers().clone();
    // It was read and counted before ([`crate::guard`]).
    let body = request.into_body().collect().await;
    let body = body.map_err(|_| malformed("the body broke off"))?.to_bytes();
    let expected = !in_query(route.method) && shape.has_more_than_path();
    if expected || !body.is_empty() {
        let body = object(&headers, &body)?;
        if in_query(route.method)
            && let Some(name) = body.keys().next()
        {
            return Err(
                Refusal::invalid(&name.chars().take(64).collect::<String>(), "unknown").into()
            );
        }
        shape.body(body, &mut parts)?;
    }
    let ask = (route.read)(Value::Object(parts))?;
    let kind = SessionDeed::of(&ask);
    let _seat = match &ask {
        // It is answered when there is news: a live stream that ends with the first piece.
        Ask::News(_) => Some(stream::seat(house, desk, visitor).await?),
        _ => None,
    };
    let answer = desk.pass(visitor, ask).await?;
    kind.respond(answer)
}

/// Whether a method's question is in the query; else it is in the body.
pub const fn in_query(method: Method) -> bool {
    matches!(method, Method::Get | Method::Delete)
}

fn malformed(detail: &str) -> Problem {
    Problem::of_http(StatusCode::BAD_REQUEST, "malformed", detail)
}

fn object(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Problem> {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::of_http(status, "unsupported-media-type", "only application/json"));
    }
    serde_json::from_slice(body).map_err(|_| malformed("the body is no JSON object"))
}

/// What a question does with the browser's session.
#[derive(Clone, Copy)]
enum SessionDeed {
    Opens,
    Ends,
    Keeps,
}

impl SessionDeed {
    const fn of(ask: &Ask) -> Self {
        match ask {
            Ask::Login(_) => Self::Opens,
            Ask::Logout(_) => Self::Ends,
            _ => Self::Keeps,
        }
    }

    fn respond(self, mut answer: Value) -> Result<Response, Problem> {
        match self {
            Self::Keeps => Ok(Json(answer).into_response()),
            Self::Ends => Ok(([(SET_COOKIE, NO_SESSION)], Json(answer)).into_response()),
            Self::Opens => {
                // The secret goes into the cookie and nowhere else: no script can read it.
                let secret = answer.get("secret").and_then(Value::as_str);
                let cookie = secret.and_then(session_cookie).ok_or(Refusal::Unavailable)?;
                let me = answer.get_mut("me").map(Value::take).ok_or(Refusal::Unavailable)?;
                Ok(([(SET_COOKIE, cookie)], Json(me)).into_response())
            }
        }
    }
}
