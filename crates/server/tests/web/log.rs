//! What the web server logs: clients cannot make it log as much as they like.

use std::io::{self, Read, Seek};

use haechi_server::order::{Limits, Order};
use tracing_subscriber::EnvFilter;

/// What is written when these lines are told with this setting.
fn written(log: &str) -> String {
    let order = Order {
        certificate: String::new(),
        key: String::new(),
        user: None,
        hosts: Vec::new(),
        limits: Limits::default(),
        log: log.to_owned(),
    };
    let mut file = tempfile::tempfile().unwrap();
    let other = file.try_clone().unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(order.log_filter()))
        .with_writer(move || -> Box<dyn io::Write> { Box::new(other.try_clone().unwrap()) })
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!(target: "h2::proto::streams", "a client did something");
        tracing::warn!(target: "hyper::proto::h1", "a client did something");
        tracing::error!(target: "h2::codec", "protocol failed");
        tracing::warn!(target: "haechi_server::line", "the desk is slow");
    });
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn what_clients_do_wrong_fills_no_log() {
    let text = written("warn");
    assert!(!text.contains("a client did something"), "{text}");
    assert!(text.contains("protocol failed") && text.contains("the desk is slow"), "{text}");
    // Whoever wants to know it can.
    assert!(written("warn,h2=warn").contains("a client did something"));
    assert!(!written("error").contains("the desk is slow"));
}
