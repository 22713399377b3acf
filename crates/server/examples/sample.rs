//! Serves the pages with made-up answers over plain HTTP on the loopback address, to look at them:
//! `cargo run -p haechi-server --example sample -- [PORT] [busy|empty|hostile] [viewer|auditor|operator|admin]`.
//! Nothing behind it is real, and nobody has to log in.

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::time::Duration;

use axum::Router;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use futures_util::stream;
use haechi_protocol::Role;
use haechi_server::pages;
use sample::Mood;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(8088), |port| port.parse::<u16>())?;
    let mood = match arguments.next().as_deref() {
        Some("empty") => Mood::Empty,
        Some("hostile") => Mood::Hostile,
        _ => Mood::Busy,
    };
    let role = arguments.next().map_or(Ok(Role::Admin), |name| name.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let app = Router::new().route("/events/stream", get(stream)).merge(pages::router());
    axum::serve(listener, app.with_state(sample::desk(mood, role))).await?;
    Ok(())
}

/// An alert every ten seconds.
async fn stream() -> Sse<impl stream::Stream<Item = Result<Event, std::convert::Infallible>>> {
    Sse::new(stream::unfold(0_u64, |number| async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let event = Event::default().event("alert").id(number.to_string()).data("{}");
        Some((Ok(event), number + 1))
    }))
}
