//! `GET /events/stream`: news as they come, as server-sent events.
//!
//! The last event of each piece of news carries the place after it as its `id`. A browser that lost the connection
//! sends it back (`Last-Event-ID`): it may see news twice, which have numbers, but misses none. The stream ends when the
//! session does, or when the server stops.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{StreamExt, stream};
use haechi_protocol::{News, NewsPage, Refusal, Who};
use serde::{Deserialize, Serialize};

use crate::desk::Desk;
use crate::house::{self, House};
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Time after which a browser connects again.
const RETRY: Duration = Duration::from_secs(2);
/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Shortest time between two empty answers of the desk.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest place, in characters.
const PLACE_MAX: usize = 64;

/// Where to go on from.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// The place that a page was made at; `Last-Event-ID` counts more.
    after: Option<String>,
}

struct Following {
    desk: Desk,
    house: Arc<House>,
    visitor: Visitor,
    after: Option<String>,
    ended: bool,
    _seat: house::Following,
    _count: Counted,
}

/// Follows the news.
///
/// # Errors
/// Nobody is logged in, the place is none, or there are too many streams.
pub async fn follow(
    house: Arc<House>,
    State(desk): State<Desk>,
    visitor: Visitor,
    headers: HeaderMap,
    from: Result<Query<From>, QueryRejection>,
) -> Result<Response, Problem> {
    let seat = seat(&house, &desk, &visitor).await?;
    let Ok(Query(from)) = from else {
        return Err(Refusal::invalid("query", "unknown").into());
    };
    let after = match headers.get("last-event-id") {
        None => from.after,
        Some(id) => Some(id.to_str().map(str::to_owned).unwrap_or_default()),
    };
    if after.as_deref().is_some_and(|place| !is_place(place)) {
        return Err(Refusal::invalid("after", "not-a-cursor").into());
    }
    let count = Counted::new(&house);
    let following =
        Following { desk, house, visitor, after, ended: false, _seat: seat, _count: count };
    let news = stream::unfold(following, |following| following.next());
    let events = stream::iter([vec![Event::default().retry(RETRY)]]).chain(news);
    let events = events.flat_map(stream::iter).map(Ok::<_, Infallible>);
    let alive = KeepAlive::new().interval(HEARTBEAT);
    Ok(Sse::new(events).keep_alive(alive).into_response())
}

/// A seat for whoever waits for news, here or by [`News`].
///
/// # Errors
/// Nobody is logged in, or there are too many streams.
pub async fn seat(
    house: &House,
    desk: &Desk,
    visitor: &Visitor,
) -> Result<house::Following, Refusal> {
    let me = desk.ask(visitor, Who::default()).await?;
    if me.must_change_password {
        return Err(Refusal::Forbidden);
    }
    house.streams.enter(&visitor.credential, &me.name).ok_or_else(|| {
        house.metrics.refused("stream");
        Refusal::TooMany { retry_s: 5 }
    })
}

fn is_place(place: &str) -> bool {
    (1..=PLACE_MAX).contains(&place.len()) && place.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Following {
    /// The next events; `None` at the end.
    async fn next(mut self) -> Option<(Vec<Event>, Self)> {
        if self.ended {
            return None;
        }
        let stop = self.house.stop.clone();
        let began = Instant::now();
        let question = News { after: self.after.clone() };
        let answer = stop.run_until_cancelled(self.desk.ask(&self.visitor, question)).await?;
        match answer {
            Ok(page) => {
                let events = events(&page, self.after.as_deref());
                if events.is_empty() && began.elapsed() < PAUSE {
                    tokio::time::sleep(PAUSE).await;
                }
                self.after = Some(page.cursor);
                Some((events, self))
            }
            Err(refusal) => {
                self.ended = true;
                // The browser comes back, and learns by the status whether it may.
                Some((vec![Event::default().event("end").data(refusal.word())], self))
            }
        }
    }
}

fn events(page: &NewsPage, before: Option<&str>) -> Vec<Event> {
    let mut events = Vec::new();
    if page.gap {
        push(&mut events, "gap", &true);
    }
    for alert in &page.alerts {
        push(&mut events, "alert", alert);
    }
    for action in &page.actions {
        push(&mut events, "action", action);
    }
    for job in &page.jobs {
        push(&mut events, "job", job);
    }
    if let Some(verification) = page.verification {
        push(&mut events, "verification", &verification);
    }
    let moved = before != Some(page.cursor.as_str());
    if moved && is_place(&page.cursor) {
        // An event without data tells no news, but sets the place.
        let last = events.pop().unwrap_or_default();
        events.push(last.id(&page.cursor));
    }
    events
}

fn push(events: &mut Vec<Event>, kind: &str, data: &impl Serialize) {
    match Event::default().event(kind).json_data(data) {
        Ok(event) => events.push(event),
        Err(error) => tracing::error!("news of kind {kind} cannot be told: {error}"),
    }
}

/// Counts a stream as long as it goes on.
struct Counted(Arc<House>);

impl Counted {
    fn new(house: &Arc<House>) -> Self {
        house.metrics.streams.inc();
        Self(Arc::clone(house))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.streams.dec();
    }
}
