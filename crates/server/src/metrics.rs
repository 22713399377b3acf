//! What was counted, as Prometheus reads it (OpenMetrics text). Labels come from closed lists: nobody who sends
//! requests can make a new one.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper ends of the histogram's classes, in seconds.
const CLASSES: [f64; 11] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 25.0];

/// A way that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Way {
    /// Method; `other` for those that nobody answers.
    pub method: &'static str,
    /// Path as a pattern; `other` if there is none like it.
    pub route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    why: &'static str,
}

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Outcome, Counter>,
    seconds: Family<Way, Histogram, fn() -> Histogram>,
    refused: Family<Why, Counter>,
    /// Connections now.
    pub connections: Gauge,
    /// Live streams now.
    pub streams: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("haechi_web");
        let requests = Family::default();
        let make: fn() -> Histogram = || Histogram::new(CLASSES);
        let seconds = Family::new_with_constructor(make);
        let refused = Family::default();
        let (connections, streams) = (Gauge::default(), Gauge::default());
        registry.register("requests", "Requests that were answered", requests.clone());
        registry.register_with_unit(
            "request",
            "Time until an answer began",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register("refusals", "Connections and streams refused", refused.clone());
        registry.register("connections", "Connections now", connections.clone());
        registry.register("streams", "Live streams now", streams.clone());
        Self { registry, requests, seconds, refused, connections, streams }
    }
}

impl Metrics {
    /// Counts a request that was answered.
    pub fn answered(&self, way: &Way, status: u16, took: Duration) {
        let outcome = Outcome { method: way.method, route: way.route.clone(), status };
        self.requests.get_or_create(&outcome).inc();
        self.seconds.get_or_create(way).observe(took.as_secs_f64());
    }

    /// Counts something that was refused before there was a request.
    pub fn refused(&self, why: &'static str) {
        self.refused.get_or_create(&Why { why }).inc();
    }

    /// The text. Empty if it cannot be written, which does not happen with a string.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told() {
        let metrics = Metrics::default();
        let way = Way { method: "GET", route: "/api/v1/images/{id}".to_owned() };
        metrics.answered(&way, 200, Duration::from_millis(7));
        metrics.refused("handshake");
        let text = metrics.text();
        for line in [
            r#"haechi_web_requests_total{method="GET",route="/api/v1/images/{id}",status="200"} 1"#,
            r#"haechi_web_request_seconds_bucket{le="0.01",method="GET",route="/api/v1/images/{id}"} 1"#,
            r#"haechi_web_refusals_total{why="handshake"} 1"#,
            "haechi_web_streams 0",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
