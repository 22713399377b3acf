//! The web server over real connections, with a desk that is made up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may stop at once when something is not as expected"
)]

mod connections;
mod document;
mod log;
mod sandbox;
mod stream;
mod support;
mod walk;
