//! Counters of the monitor, and their text for Prometheus.
//!
//! Counting costs one atomic addition. Text: version 0.0.4 of the exposition format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>). Names and units follow its conventions.

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use haechi_core::alert::Priority;
use haechi_core::response::{Outcome, Response};

/// Upper ends of the latency's buckets, in microseconds.
const BUCKETS: [u64; 12] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 1_000_000, 10_000_000];

const PRIORITIES: [Priority; 8] = [
    Priority::Emergency,
    Priority::Alert,
    Priority::Critical,
    Priority::Error,
    Priority::Warning,
    Priority::Notice,
    Priority::Informational,
    Priority::Debug,
];

const OUTCOMES: [&str; 6] = ["begun", "done", "dry_run", "withheld", "failed", "ended"];

/// What the monitor counts by itself.
#[derive(Debug, Default)]
pub struct Counts {
    /// Events judged.
    pub events: AtomicU64,
    /// Events of containers that the kernel lost.
    pub lost: AtomicU64,
    /// Events of no known container that were lost or not understood.
    pub missed: AtomicU64,
    /// Events that wait to be judged, now.
    pub queue: AtomicU64,
    /// Containers that are watched, now.
    pub containers: AtomicU64,
    /// Rules that run, now.
    pub rules: AtomicU64,
    /// Things done through the engine.
    pub activity: AtomicU64,
}

/// What became of the messages of one way out.
#[derive(Debug, Default)]
pub struct WayCounts {
    /// Taken by the other side.
    pub sent: AtomicU64,
    /// Given up: the queue was full, or the other side refused it.
    pub dropped: AtomicU64,
}

/// A way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Syslog.
    Syslog,
    /// Webhook.
    Webhook,
}

/// All counters.
#[derive(Debug, Default)]
pub struct Metrics {
    /// What the monitor counts by itself: `metrics.counts.events.fetch_add(1, Relaxed)`.
    pub counts: Counts,
    alerts: [AtomicU64; 8],
    actions: [[AtomicU64; 6]; 6],
    /// One more than there are buckets: the rest.
    latency: [AtomicU64; 13],
    latency_sum: AtomicU64,
    abilities: Mutex<Vec<(String, bool)>>,
    syslog: WayCounts,
    webhook: WayCounts,
}

impl Metrics {
    /// Counts how long after it happened an event was judged, in microseconds.
    pub fn latency(&self, microseconds: u64) {
        let place = BUCKETS.iter().position(|end| microseconds <= *end).unwrap_or(BUCKETS.len());
        add(self.latency.get(place));
        self.latency_sum.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// Sets what the sensor is able to see: names, and whether it is so.
    pub fn set_abilities<N: Into<String>>(&self, abilities: impl IntoIterator<Item = (N, bool)>) {
        let abilities = abilities.into_iter().map(|(name, can)| (name.into(), can)).collect();
        if let Ok(mut kept) = self.abilities.lock() {
            *kept = abilities;
        }
    }

    /// The counters of one way out.
    pub fn of(&self, way: Way) -> &WayCounts {
        match way {
            Way::Syslog => &self.syslog,
            Way::Webhook => &self.webhook,
        }
    }

    pub(crate) fn alert(&self, priority: Priority) {
        add(PRIORITIES.iter().position(|one| *one == priority).and_then(|at| self.alerts.get(at)));
    }

    pub(crate) fn action(&self, response: Response, outcome: &Outcome) {
        let row = Response::ALL.iter().position(|one| *one == response);
        let column = OUTCOMES.iter().position(|one| *one == outcome.name());
        let row = row.and_then(|row| self.actions.get(row));
        add(row.zip(column).and_then(|(row, column)| row.get(column)));
    }

    /// Everything, as text.
    pub fn text(&self) -> String {
        let mut out = Text(String::with_capacity(8 << 10));
        let counts = &self.counts;
        let version = env!("CARGO_PKG_VERSION");
        out.head("haechi_build_info", "gauge", "The running Haechi.");
        out.line("haechi_build_info", &[("version", version)], 1);
        for (name, kind, help, value) in [
            ("events_total", "counter", "Events judged.", &counts.events),
            ("events_lost_total", "counter", "Events of containers that were lost.", &counts.lost),
            (
                "events_missed_total",
                "counter",
                "Events of no known container that were lost or not understood.",
                &counts.missed,
            ),
            (
                "engine_activity_total",
                "counter",
                "Things done through the engine.",
                &counts.activity,
            ),
            ("queue_length", "gauge", "Events that wait to be judged.", &counts.queue),
            ("containers", "gauge", "Containers that are watched.", &counts.containers),
            ("rules", "gauge", "Rules that run.", &counts.rules),
        ] {
            let name = format!("haechi_monitor_{name}");
            out.head(&name, kind, help);
            out.line(&name, &[], read(value));
        }
        let name = "haechi_monitor_alerts_total";
        out.head(name, "counter", "Alerts by priority.");
        for (priority, count) in PRIORITIES.iter().zip(&self.alerts) {
            out.line(name, &[("priority", priority.name())], read(count));
        }
        let name = "haechi_monitor_actions_total";
        out.head(name, "counter", "Answers to alerts, by what was to be done and what came of it.");
        for (response, row) in Response::ALL.iter().zip(&self.actions) {
            for (outcome, count) in OUTCOMES.iter().zip(row).filter(|(_, count)| read(count) > 0) {
                let labels = [("response", response.name()), ("outcome", *outcome)];
                out.line(name, &labels, read(count));
            }
        }
        self.latency_text(&mut out);
        let name = "haechi_monitor_ability";
        out.head(name, "gauge", "What the kernel lets the monitor see: 1 if it does.");
        if let Ok(abilities) = self.abilities.lock() {
            for (ability, can) in abilities.iter() {
                out.line(name, &[("name", ability)], u64::from(*can));
            }
        }
        for (name, help, sent) in [
            ("haechi_output_sent_total", "Messages that the other side took.", true),
            ("haechi_output_dropped_total", "Messages that were given up.", false),
        ] {
            out.head(name, "counter", help);
            for (way, counts) in [("syslog", &self.syslog), ("webhook", &self.webhook)] {
                let count = if sent { &counts.sent } else { &counts.dropped };
                out.line(name, &[("output", way)], read(count));
            }
        }
        out.0
    }

    fn latency_text(&self, out: &mut Text) {
        let name = "haechi_monitor_latency_seconds";
        out.head(name, "histogram", "From an event until it was judged.");
        let bucket = format!("{name}_bucket");
        let mut all = 0;
        for (place, count) in self.latency.iter().enumerate() {
            all += read(count);
            let end = BUCKETS.get(place).map_or_else(|| "+Inf".to_owned(), |end| seconds(*end));
            out.line(&bucket, &[("le", &end)], all);
        }
        let sum = seconds(read(&self.latency_sum));
        // Writing to a text cannot fail.
        let _ = writeln!(out.0, "{name}_sum {sum}\n{name}_count {all}");
    }
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Microseconds as seconds, exactly.
fn seconds(microseconds: u64) -> String {
    let text = format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.0.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{value}\"", if index == 0 { "{" } else { "," });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_counts_rightly() {
        let metrics = Metrics::default();
        metrics.counts.events.fetch_add(7, Ordering::Relaxed);
        metrics.alert(Priority::Critical);
        metrics.alert(Priority::Critical);
        metrics.action(Response::Pause, &Outcome::Failed("x".into()));
        for latency in [50, 51, 2_000_000, 60_000_000] {
            metrics.latency(latency);
        }
        metrics.set_abilities([("exec", true), ("a\"b", false)]);
        let text = metrics.text();
        for line in [
            "haechi_monitor_events_total 7",
            "haechi_monitor_alerts_total{priority=\"critical\"} 2",
            "haechi_monitor_actions_total{response=\"pause\",outcome=\"failed\"} 1",
            "haechi_monitor_latency_seconds_bucket{le=\"0.00005\"} 1",
            "haechi_monitor_latency_seconds_bucket{le=\"0.0001\"} 2",
            "haechi_monitor_latency_seconds_bucket{le=\"1\"} 2",
            "haechi_monitor_latency_seconds_bucket{le=\"10\"} 3",
            "haechi_monitor_latency_seconds_bucket{le=\"+Inf\"} 4",
            "haechi_monitor_latency_seconds_sum 62.000101",
            "haechi_monitor_latency_seconds_count 4",
            "haechi_monitor_ability{name=\"a\\\"b\"} 0",
            "# TYPE haechi_monitor_latency_seconds histogram",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn every_outcome_is_counted() {
        let metrics = Metrics::default();
        let all = [
            Outcome::Begun,
            Outcome::Done,
            Outcome::DryRun,
            Outcome::Withheld(haechi_core::response::Withheld::Budget),
            Outcome::Failed(String::new()),
            Outcome::Ended,
        ];
        for response in Response::ALL {
            all.iter().for_each(|outcome| metrics.action(response, outcome));
        }
        assert_eq!(metrics.text().matches("haechi_monitor_actions_total{").count(), 36);
    }
}
