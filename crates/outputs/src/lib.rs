//! Alerts and actions to the outside: syslog, a webhook, and metrics for Prometheus.
//!
//! [`Outputs`] never makes its caller wait: each way out has a queue of limited length and a task of its own, which tries
//! again while the other side is away; what finds the queue full is dropped and counted. It keeps nothing (the store
//! does) and judges nothing.

mod metrics;
mod secrets;
mod serve;
mod syslog;
mod trouble;
mod webhook;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use haechi_core::alert::Alert;
use haechi_core::response::Action;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use metrics::{Counts, Metrics, Way, WayCounts};
pub use syslog::{Syslog, SyslogAddress};
pub use webhook::Webhook;

/// Messages that wait for one way out: a storm of some minutes at most, a few kilobytes each.
const WAITING: usize = 4096;
/// How long the end of the monitor waits for the other sides to take what is left.
const CLOSING: Duration = Duration::from_secs(5);
/// First and longest wait before something is tried again.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_LONGEST: Duration = Duration::from_secs(60);

/// What goes out where; nothing by default.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// To a syslog server.
    pub syslog: Option<Syslog>,
    /// To a webhook.
    pub webhook: Option<Webhook>,
    /// Where metrics can be fetched. Whoever can reach the address can read them: use a loopback address.
    pub metrics: Option<SocketAddr>,
}

/// Why a way out cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The address is none that is understood.
    #[error(
        "`{0}` is no address of a syslog server; say unix:///dev/log, udp://HOST:PORT or tcp://HOST:PORT"
    )]
    Syslog(
        /// What was given.
        String,
    ),
    /// A facility that does not exist.
    #[error("{0} is no syslog facility; say a number from 0 to 23")]
    Facility(
        /// What was given.
        u8,
    ),
    /// The address of the webhook is none. It is not shown: it may be a secret itself.
    #[error("the webhook's address is no http:// or https:// URL: {0}")]
    Webhook(
        /// Why not.
        String,
    ),
    /// The file with secrets cannot be used.
    #[error("{path}: {why}", path = .path.display())]
    Secrets {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Metrics cannot be offered there.
    #[error("metrics cannot be offered at {0}: {1}")]
    Metrics(
        /// Where.
        SocketAddr,
        /// Why not.
        std::io::Error,
    ),
}

/// What goes out.
pub(crate) enum Message {
    /// An alert.
    Alert(Box<Alert>),
    /// An action.
    Action(Box<Action>),
}

/// One way out: its queue, and the task that empties it.
struct Out {
    way: Way,
    queue: mpsc::Sender<Arc<Message>>,
    task: JoinHandle<()>,
}

/// All ways out. Made inside a Tokio runtime.
pub struct Outputs {
    ways: Vec<Out>,
    metrics: Arc<Metrics>,
    ending: watch::Sender<bool>,
    served: Option<(SocketAddr, JoinHandle<()>)>,
}

impl Outputs {
    /// Sets up all ways out. Servers need not be there yet.
    ///
    /// # Errors
    /// The configuration is wrong, or metrics cannot be offered at that address.
    pub async fn new(config: Config) -> Result<Self, OutputError> {
        let metrics = Arc::new(Metrics::default());
        let (ending, ended) = watch::channel(false);
        let mut ways = Vec::new();
        if let Some(config) = config.syslog {
            config.check()?;
            let (queue, waiting) = mpsc::channel(WAITING);
            let task = tokio::spawn(syslog::run(config, waiting, metrics.clone(), ended.clone()));
            ways.push(Out { way: Way::Syslog, queue, task });
        }
        if let Some(config) = config.webhook {
            let sender = webhook::Sender::new(&config)?;
            let (queue, waiting) = mpsc::channel(WAITING);
            let task = tokio::spawn(webhook::run(sender, waiting, metrics.clone(), ended.clone()));
            ways.push(Out { way: Way::Webhook, queue, task });
        }
        let served = match config.metrics {
            Some(address) => Some(serve::serve(metrics.clone(), address).await?),
            None => None,
        };
        Ok(Self { ways, metrics, ending, served })
    }

    /// The counters; they count whether or not somebody fetches them.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Where metrics are offered: with the port that the system chose if 0 was asked for.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.served.as_ref().map(|(address, _)| *address)
    }

    /// Counts an alert and sends it to all ways out. Does not wait.
    pub fn alert(&self, alert: &Alert) {
        self.metrics.alert(alert.priority);
        self.send(|| Message::Alert(Box::new(alert.clone())));
    }

    /// Counts what became of an action and sends it to all ways out. Does not wait.
    pub fn action(&self, action: &Action) {
        self.metrics.action(action.response, &action.outcome);
        self.send(|| Message::Action(Box::new(action.clone())));
    }

    fn send(&self, message: impl FnOnce() -> Message) {
        if self.ways.is_empty() {
            return;
        }
        let message = Arc::new(message());
        for out in &self.ways {
            if out.queue.try_send(message.clone()).is_err() {
                self.metrics.of(out.way).dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits some seconds for the other sides to take what is left, and ends. How many messages were dropped in all.
    pub async fn close(self) -> u64 {
        let _ = self.ending.send(true);
        let tasks = self.ways.into_iter().map(|out| {
            drop(out.queue);
            (out.way, out.task)
        });
        let end = tokio::time::Instant::now() + CLOSING;
        // All queues are closed before the first task is waited for.
        for (_, mut task) in tasks.collect::<Vec<_>>() {
            if tokio::time::timeout_at(end, &mut task).await.is_err() {
                task.abort();
                // Its guard counts what was still waiting.
                let _ = task.await;
            }
        }
        if let Some((_, task)) = self.served {
            task.abort();
        }
        let ways = [Way::Syslog, Way::Webhook];
        ways.map(|way| self.metrics.of(way).dropped.load(Ordering::Relaxed)).iter().sum()
    }
}

/// The messages that wait; whatever ends the task, those not taken count as dropped.
pub(crate) struct Waiting {
    queue: mpsc::Receiver<Arc<Message>>,
    metrics: Arc<Metrics>,
    way: Way,
    in_hand: bool,
}

impl Waiting {
    fn new(queue: mpsc::Receiver<Arc<Message>>, metrics: Arc<Metrics>, way: Way) -> Self {
        Self { queue, metrics, way, in_hand: false }
    }

    /// The next message; it is in hand until [`Self::sent`] or [`Self::dropped`] is told.
    async fn next(&mut self) -> Option<Arc<Message>> {
        let message = self.queue.recv().await;
        self.in_hand = message.is_some();
        message
    }

    fn sent(&mut self) {
        self.in_hand = false;
        self.metrics.of(self.way).sent.fetch_add(1, Ordering::Relaxed);
    }

    fn dropped(&mut self) {
        self.in_hand = false;
        self.metrics.of(self.way).dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut left = u64::from(self.in_hand);
        self.queue.close();
        while self.queue.try_recv().is_ok() {
            left += 1;
        }
        self.metrics.of(self.way).dropped.fetch_add(left, Ordering::Relaxed);
    }
}

/// Waits before something is tried again, twice as long each time; not so long when the end has come.
pub(crate) async fn again(wait: &mut Duration, ended: &mut watch::Receiver<bool>) {
    let is_end = *ended.borrow();
    if is_end {
        return tokio::time::sleep(WAIT_FIRST).await;
    }
    tokio::select! {
        () = tokio::time::sleep(*wait) => {}
        _ = ended.changed() => {}
    }
    *wait = (*wait * 2).min(WAIT_LONGEST);
}

#[cfg(test)]
mod tests;
