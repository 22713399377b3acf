//! The socket to the desk: many questions at a time, each answer finds its question by its number.
//!
//! Once the line is closed every question, asked or waiting, is answered with [`Refusal::Unavailable`]. Nothing is asked
//! twice and nothing is kept: who opens a new line is the desk, with a new process.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use haechi_protocol::{Answered, Asked, Refusal, frame};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;

/// How long an answer is waited for: longer than the desk may take for news (25 s) or to stop a container.
const PATIENCE: Duration = Duration::from_secs(60);
/// Questions that wait to be written.
const QUEUE: usize = 64;

type Answer = Result<Value, Refusal>;
type Places = HashMap<u64, oneshot::Sender<Answer>>;

/// Who waits for which answer; `None` once the line is closed.
#[derive(Clone)]
struct Waiting(Arc<Mutex<Option<Places>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Option<Places>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an answer to whoever waits for it, if anybody still does.
    fn give(&self, id: u64, answer: Answer) {
        if let Some(place) = self.lock().as_mut().and_then(|all| all.remove(&id)) {
            let _ = place.send(answer);
        }
    }
}

/// A place among those who wait, given up when whoever waits goes away.
struct Place(Waiting, u64);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(all) = self.0.lock().as_mut() {
            all.remove(&self.1);
        }
    }
}

/// A desk at the other end of a socket, and what tells that the line was closed.
pub fn over(stream: UnixStream) -> (Desk, CancellationToken) {
    let (reading, writing) = stream.into_split();
    let (outgoing, queue) = mpsc::channel(QUEUE);
    let waiting = Waiting(Arc::new(Mutex::new(Some(HashMap::new()))));
    let closed = CancellationToken::new();
    tokio::spawn(close_after(read(reading, waiting.clone()), waiting.clone(), closed.clone()));
    tokio::spawn(close_after(
        write(writing, queue, waiting.clone()),
        waiting.clone(),
        closed.clone(),
    ));
    let numbers = Arc::new(AtomicU64::new(1));
    let desk = Desk::new(move |mut asked| {
        asked.id = numbers.fetch_add(1, Ordering::Relaxed);
        Box::pin(ask(asked, outgoing.clone(), waiting.clone()))
    });
    (desk, closed)
}

async fn ask(asked: Asked, outgoing: mpsc::Sender<Asked>, waiting: Waiting) -> Answer {
    let (sender, receiver) = oneshot::channel();
    let id = asked.id;
    match waiting.lock().as_mut() {
        Some(all) => all.insert(id, sender),
        None => return Err(Refusal::Unavailable),
    };
    let _place = Place(waiting, id);
    let answer = async {
        outgoing.send(asked).await.ok()?;
        receiver.await.ok()
    };
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Some(answer)) => answer,
        Ok(None) => Err(Refusal::Unavailable),
        Err(_) => {
            tracing::warn!("the desk did not answer within {} s", PATIENCE.as_secs());
            Err(Refusal::Unavailable)
        }
    }
}

/// Closes the line when one of its directions has ended.
async fn close_after(
    direction: impl Future<Output = std::io::Result<()>>,
    waiting: Waiting,
    closed: CancellationToken,
) {
    if let Some(Err(error)) = closed.run_until_cancelled(direction).await {
        tracing::error!("the line to the desk broke: {error}");
    }
    // Those who wait find their sender gone.
    *waiting.lock() = None;
    closed.cancel();
}

async fn read(mut stream: OwnedReadHalf, waiting: Waiting) -> std::io::Result<()> {
    while let Some(answered) = frame::read::<Answered>(&mut stream, frame::ANSWER_MAX).await? {
        waiting.give(answered.id, answered.answer);
    }
    Ok(())
}

async fn write(
    mut stream: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Asked>,
    waiting: Waiting,
) -> std::io::Result<()> {
    while let Some(asked) = queue.recv().await {
        match frame::write(&mut stream, &asked, frame::QUESTION_MAX).await {
            Ok(()) => {}
            // Nothing of it was written: the line goes on.
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                waiting.give(asked.id, Err(Refusal::invalid("body", "too-long")));
            }
            Err(error) => return Err(error),
        }
    }
    // Nobody can ask any more.
    Ok(())
}

#[cfg(test)]
mod tests {
    use haechi_protocol::{ListJobs, Search, Who};
    use serde_json::json;

    use super::*;
    use crate::visitor::Visitor;

    #[tokio::test]
    async fn answers_find_their_questions_in_any_order() {
        let (here, there) = UnixStream::pair().unwrap();
        let (desk, closed) = over(here);
        tokio::spawn(async move {
            let (mut reading, mut writing) = there.into_split();
            let mut asked = Vec::new();
            for _ in 0..2 {
                let one = frame::read::<Asked>(&mut reading, frame::QUESTION_MAX).await;
                asked.push(one.unwrap().unwrap());
            }
            for one in asked.into_iter().rev() {
                let answer = Ok(json!(one.ask.route().name));
                let answered = Answered { id: one.id, answer };
                frame::write(&mut writing, &answered, frame::ANSWER_MAX).await.unwrap();
            }
        });
        let visitor = Visitor::default();
        let (first, second) = tokio::join!(
            desk.pass(&visitor, Who::default().into()),
            desk.pass(&visitor, ListJobs::default().into()),
        );
        assert_eq!((first.unwrap(), second.unwrap()), (json!("Who"), json!("ListJobs")));
        closed.cancelled().await;
        let late = desk.pass(&visitor, Who::default().into()).await;
        assert_eq!(late, Err(Refusal::Unavailable));
    }

    #[tokio::test]
    async fn a_closed_line_answers_those_who_wait() {
        let (here, there) = UnixStream::pair().unwrap();
        let (desk, closed) = over(here);
        tokio::spawn(async move {
            let mut there = there;
            frame::read::<Asked>(&mut there, frame::QUESTION_MAX).await.unwrap();
        });
        let answer = desk.pass(&Visitor::default(), Who::default().into()).await;
        assert_eq!(answer, Err(Refusal::Unavailable));
        closed.cancelled().await;
    }

    #[tokio::test]
    async fn senseless_bytes_from_the_other_end_close_the_line() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let (_desk, closed) = over(here);
        tokio::io::AsyncWriteExt::write_all(&mut there, &[255; 64]).await.unwrap();
        closed.cancelled().await;
    }

    #[tokio::test]
    async fn a_question_that_is_too_long_is_refused_alone() {
        let (here, there) = UnixStream::pair().unwrap();
        let (desk, closed) = over(here);
        let text = "x".repeat(frame::QUESTION_MAX as usize);
        let answer = desk.pass(&Visitor::default(), Search { text }.into()).await;
        assert_eq!(answer, Err(Refusal::invalid("body", "too-long")));
        assert!(!closed.is_cancelled());
        drop(there);
    }
}
