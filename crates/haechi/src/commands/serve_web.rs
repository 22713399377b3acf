//! The hidden command `serve-web`: the process that hears what browsers and programs ask; see `haechi-server`.
//!
//! It is started before the command line is read: it has no arguments, no settings and no thread but its own yet.

use haechi_server::web;

/// Serves until the desk ends it.
pub fn serve_web() -> anyhow::Result<()> {
    let (order, line, listener) = web::receive()?;
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(order.log_filter()))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    web::run(&order, line, listener)
}
