//! The engine's events as they happen: one JSON object after the other, until the engine goes.
//!
//! An engine keeps only its last [`EVENTS_KEPT`] events and forgets them when it is started again; Docker also drops
//! events for a listener that reads too slowly. So read in a task that does nothing else, and call activity missed
//! when more than that came while nobody listened, or when the engine was started again. Nothing is judged here; see
//! [`super::activity`].

use std::pin::Pin;

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

use super::api::ApiError;
use super::http::{HttpApi, Method};

/// Events that Docker keeps for those who ask later (`eventsLimit` of its daemon/events).
pub const EVENTS_KEPT: usize = 256;

/// A longer event is not read: one with the longest command line that the kernel takes is below it in practice.
const LINE_SIZE_MAX: usize = 1 << 20;

/// A stream of events; it ends with the connection.
pub struct Events {
    reader: Pin<Box<dyn AsyncBufRead + Send>>,
    line: Vec<u8>,
    ended: bool,
}

impl HttpApi {
    /// Listens to the engine's events: those that it still keeps since a moment, then new ones as they happen.
    ///
    /// # Errors
    /// The engine does not answer in time, or says no.
    pub async fn events(&self, since: Option<Timestamp>) -> Result<Events, ApiError> {
        let path = match since {
            Some(since) => {
                format!("/events?since={}.{:09}", since.as_second(), since.subsec_nanosecond())
            }
            None => "/events".to_owned(),
        };
        let stream = self.stream(Method::GET, &path, self.timeout()).await?;
        Ok(Events::new(BufReader::new(stream)))
    }
}

impl Events {
    fn new(reader: impl AsyncBufRead + Send + 'static) -> Self {
        Self { reader: Box::pin(reader), line: Vec::new(), ended: false }
    }

    /// The next event; `None` when the engine went away. Waiting may be given up (`select!`) without losing one.
    ///
    /// # Errors
    /// The connection broke, or what came is no event. Then the stream is at its end: listen anew.
    pub async fn next(&mut self) -> Option<Result<Value, ApiError>> {
        let broken = |why: String| ApiError::Malformed(format!("an event of the engine: {why}"));
        while !self.ended {
            let part = match self.reader.fill_buf().await {
                Ok(part) => part,
                Err(error) => {
                    self.ended = true;
                    let why = format!("the engine's events broke off: {error}");
                    return Some(Err(ApiError::Unreachable(why)));
                }
            };
            let end = memchr::memchr(b'\n', part);
            let taken = end.map_or(part.len(), |end| end + 1);
            self.ended = part.is_empty();
            self.line.extend_from_slice(part.get(..taken).unwrap_or_default());
            self.reader.as_mut().consume(taken);
            if self.line.len() > LINE_SIZE_MAX {
                self.ended = true;
                return Some(Err(broken(format!("longer than {LINE_SIZE_MAX} bytes"))));
            }
            if end.is_none() && !self.ended {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let event = serde_json::from_slice(&line).map_err(|error| broken(error.to_string()));
            self.ended |= event.is_err();
            return Some(event);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8], chunk: usize) -> Vec<Result<Value, ApiError>> {
        let reader = BufReader::with_capacity(chunk, std::io::Cursor::new(bytes.to_vec()));
        let mut events = Events::new(reader);
        let mut all = Vec::new();
        while let Some(event) = events.next().await {
            all.push(event);
        }
        all
    }

    #[tokio::test]
    async fn events_come_whole_however_they_are_cut() {
        for chunk in [1, 3, 8192] {
            let all = read(b"{\"a\":1}\r\n\n{\"a\":2}\n{\"a\":3}", chunk).await;
            let all: Vec<Value> = all.into_iter().map(Result::unwrap).collect();
            assert_eq!(serde_json::json!(all), serde_json::json!([{"a":1},{"a":2},{"a":3}]));
        }
    }

    #[tokio::test]
    async fn what_is_no_event_ends_the_stream_and_is_told() {
        let all = read(b"{}\nnonsense\n{}\n", 64).await;
        assert!(matches!(all.as_slice(), [Ok(_), Err(ApiError::Malformed(_))]), "{all:?}");
        // Cut off in the middle.
        let all = read(b"{}\n{\"a\":", 64).await;
        assert!(matches!(all.as_slice(), [Ok(_), Err(_)]), "{all:?}");
        let all = read(&vec![b' '; LINE_SIZE_MAX + 1], 8192).await;
        assert!(matches!(all.as_slice(), [Err(ApiError::Malformed(_))]), "{all:?}");
    }
}
