//! The conversation with the web server: questions come in frames, each is answered when its answer is there.
//!
//! A web server that asks faster than it is answered waits; one that sends what is no question is hung up on.

use std::sync::Arc;

use haechi_protocol::{Answered, Asked, Refusal, frame};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};

use crate::Desk;

/// Questions that are answered at the same time: each page that is alive holds one.
const AT_ONCE: usize = 512;

/// Answers questions until the web server closes the stream.
///
/// # Errors
/// The stream fails or holds something that is no question.
pub async fn talk(desk: Arc<Desk>, stream: UnixStream) -> std::io::Result<()> {
    let (mut questions, mut answers) = stream.into_split();
    let (ready, mut readied) = mpsc::channel::<Answered>(16);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let reading = async {
        while let Some(asked) = frame::read::<Asked>(&mut questions, frame::QUESTION_MAX).await? {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let (desk, ready) = (Arc::clone(&desk), ready.clone());
            tokio::spawn(async move {
                let answered = desk.answer(asked).await;
                let _ = ready.send(answered).await;
                drop(place);
            });
        }
        Ok(())
    };
    let writing = async {
        while let Some(answered) = readied.recv().await {
            let id = answered.id;
            match frame::write(&mut answers, &answered, frame::ANSWER_MAX).await {
                Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                    tracing::error!("an answer is too long: {error}");
                    let sorry = Answered { id, answer: Err(Refusal::Unavailable) };
                    frame::write(&mut answers, &sorry, frame::ANSWER_MAX).await?;
                }
                written => written?,
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
    }
}
