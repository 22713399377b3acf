//! Ways that are no questions of the table: health, counts, the API's document.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use haechi_protocol::{Refusal, Who};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::desk::Desk;
use crate::house::House;
use crate::problem::Problem;
use crate::visitor::Visitor;
use crate::{metrics, openapi, stream};

/// Time that the desk may take to say that it is there.
const HEALTH_TIME: Duration = Duration::from_secs(5);
/// Time for which that counts: whoever is not logged in cannot make the desk work.
const HEALTH_KEPT: Duration = Duration::from_secs(1);

/// These ways.
pub fn router(house: &Arc<House>) -> Router<Desk> {
    let document: Arc<serde_json::Value> = Arc::new(openapi::document());
    let (counts, follows) = (Arc::clone(house), Arc::clone(house));
    let health: Arc<Mutex<Option<(Instant, bool)>>> = Arc::default();
    Router::new()
        .route(
            "/healthz",
            get(move |State(desk): State<Desk>| async move {
                match is_well(&health, &desk).await {
                    true => (StatusCode::OK, "ok\n"),
                    false => (StatusCode::SERVICE_UNAVAILABLE, "degraded\n"),
                }
            }),
        )
        .route(
            "/metrics",
            get(move |State(desk): State<Desk>, visitor: Visitor| async move {
                logged_in(&desk, &visitor).await?;
                let text = counts.metrics.text();
                Ok::<_, Problem>(([(CONTENT_TYPE, metrics::MEDIA_TYPE)], text))
            }),
        )
        .route(
            "/api/v1/openapi.json",
            get(move |State(desk): State<Desk>, visitor: Visitor| async move {
                logged_in(&desk, &visitor).await?;
                Ok::<Response, Problem>(Json(document.as_ref()).into_response())
            }),
        )
        .route(
            "/events/stream",
            get(move |desk: State<Desk>, visitor: Visitor, headers, from| {
                stream::follow(follows, desk, visitor, headers, from)
            }),
        )
        .route("/api", any(nothing))
        .route("/api/{*rest}", any(nothing))
}

async fn nothing() -> Problem {
    Problem::not_found()
}

async fn logged_in(desk: &Desk, visitor: &Visitor) -> Result<(), Refusal> {
    let me = desk.ask(visitor, Who::default()).await?;
    if me.must_change_password { Err(Refusal::Forbidden) } else { Ok(()) }
}

/// Whether the desk answers.
async fn is_well(kept: &Mutex<Option<(Instant, bool)>>, desk: &Desk) -> bool {
    let mut kept = kept.lock().await;
    if let Some((at, well)) = *kept
        && at.elapsed() < HEALTH_KEPT
    {
        return well;
    }
    // It has no name to give, so that the right answer is that it is nobody.
    let nobody = Visitor::default();
    let answer = tokio::time::timeout(HEALTH_TIME, desk.ask(&nobody, Who::default())).await;
    let well = matches!(answer, Ok(Ok(_) | Err(Refusal::Unauthenticated)));
    *kept = Some((Instant::now(), well));
    well
}
