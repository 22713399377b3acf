//! Dashboard and HTTP API. It asks the desk and shows what that answers; it has no rights of its own.
//!
//! It opens no file, starts no program, makes no connection: its listener and its line to the desk are given to it.

pub mod api;
pub mod certificate;
pub mod connections;
pub mod desk;
mod extras;
pub mod guard;
pub mod house;
pub mod line;
pub mod metrics;
pub mod openapi;
pub mod order;
pub mod pages;
pub mod problem;
pub mod sandbox;
mod shape;
mod stream;
pub mod visitor;
pub mod web;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;

use crate::desk::Desk;
use crate::house::House;
use crate::problem::Problem;

/// All ways: pages, API, stream, health and counts. Whoever asks passes [`guard`].
pub fn app(desk: Desk, house: Arc<House>) -> Router {
    Router::new()
        .merge(api::router(&house))
        .merge(extras::router(&house))
        .merge(pages::router())
        .method_not_allowed_fallback(|| async { Problem::wrong_method().into_response() })
        .fallback(pages::missing)
        .layer(from_fn_with_state(house, guard::guard))
        .with_state(desk)
}
