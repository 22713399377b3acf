//! A layer as a stream that survives a connection that breaks off: it goes on from where it was.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use reqwest::header::CONTENT_RANGE;
use reqwest::{Method, Response, StatusCode};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Inner, RETRIES, tls};
use crate::blobs::{self, BlobError, Bytes};
use crate::manifest::Descriptor;

/// Pieces (of at most some 100 kB) that wait to be read.
const WAITING: usize = 8;

/// Starts to download a layer.
pub(super) async fn start(inner: &Arc<Inner>, layer: &Descriptor) -> Result<Bytes, BlobError> {
    blobs::check_digest(&layer.digest, &inner.reference.whole())?;
    let path = format!("blobs/{}", layer.digest);
    let first = inner.ask(Method::GET, &path, None).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let pump = Pump { inner: Arc::clone(inner), path, size: layer.size, sender, position: 0 };
    let task = tokio::spawn(pump.run(first));
    Ok(Box::pin(Download { receiver, rest: Vec::new(), position: 0, task }))
}

/// Takes the bytes off the network.
struct Pump {
    inner: Arc<Inner>,
    path: String,
    /// What the layer should have; 0 if that is not stated.
    size: u64,
    sender: mpsc::Sender<io::Result<Vec<u8>>>,
    /// Bytes that were passed on.
    position: u64,
}

impl Pump {
    async fn run(mut self, first: Response) {
        let mut answer: Result<_, BlobError> = Ok(first);
        for tries in 0.. {
            let why = match answer {
                Ok(response) => match self.pass_on(response).await {
                    Ok(()) => return,
                    Err(why) => why,
                },
                // It was retried already, or to retry is no use.
                Err(error) => return self.fail(error.to_string()).await,
            };
            if tries >= RETRIES {
                return self.fail(why).await;
            }
            tracing::debug!("{}: {why}, going on from byte {}", self.path, self.position);
            self.inner.pause(tries, None).await;
            let from = (self.position > 0).then_some(self.position);
            answer = self.inner.ask(Method::GET, &self.path, from).await;
        }
    }

    async fn fail(&self, why: String) {
        let why = format!("{} broke off after {} bytes: {why}", self.path, self.position);
        // Nobody listens any more: nobody needs to know.
        let _ = self.sender.send(Err(io::Error::other(why))).await;
    }

    /// Passes a body on; fine if it came to its end, or nobody wants it any more.
    async fn pass_on(&mut self, mut response: Response) -> Result<(), String> {
        let mut skip = if response.status() == StatusCode::PARTIAL_CONTENT {
            if start_of(&response) != Some(self.position) {
                return Err("the registry sent another part than asked for".into());
            }
            0
        } else {
            // It begins again from the start.
            self.position
        };
        loop {
            let chunk = response.chunk().await.map_err(tls::cause)?;
            let Some(chunk) = chunk else {
                let whole = self.size == 0 || self.position >= self.size;
                return if whole { Ok(()) } else { Err("the body ended early".into()) };
            };
            let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let known = usize::try_from(skip.min(length)).unwrap_or(usize::MAX);
            skip = skip.saturating_sub(length);
            let new = chunk.get(known..).unwrap_or_default();
            if new.is_empty() {
                continue;
            }
            self.position =
                self.position.saturating_add(u64::try_from(new.len()).unwrap_or(u64::MAX));
            if self.sender.send(Ok(new.to_vec())).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Where a partial answer begins: `bytes 100-199/200`.
fn start_of(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// The reader's end.
struct Download {
    receiver: mpsc::Receiver<io::Result<Vec<u8>>>,
    rest: Vec<u8>,
    position: usize,
    task: JoinHandle<()>,
}

impl Drop for Download {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl AsyncRead for Download {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.position >= self.rest.len() {
            match ready!(self.receiver.poll_recv(context)) {
                None => return Poll::Ready(Ok(())),
                Some(piece) => {
                    self.rest = piece?;
                    self.position = 0;
                }
            }
        }
        let rest = self.rest.get(self.position..).unwrap_or_default();
        let piece = rest.get(..rest.len().min(buffer.remaining())).unwrap_or_default();
        buffer.put_slice(piece);
        let taken = piece.len();
        self.position += taken;
        Poll::Ready(Ok(()))
    }
}
