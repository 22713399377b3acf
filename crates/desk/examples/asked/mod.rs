//! A desk in this process, asked as the web server asks it, with the time that each answer took. For the other examples.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use haechi_checks::Content;
use haechi_desk::{Accounts, Desk, Setup, talk};
use haechi_protocol::{Answered, Asked, Credential, frame, routes};
use haechi_store::Store;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// The benchmark that is asked about.
pub const BENCHMARK: &str = "cis-docker-1.13.0";
/// The password that the first account is given.
const PASSWORD: &str = "a long enough one";

/// Milliseconds since a moment.
pub fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

/// The web server's end of the conversation.
pub struct Line {
    stream: UnixStream,
    credential: Credential,
    talking: JoinHandle<std::io::Result<()>>,
}

impl Line {
    /// Opens a desk over what a directory holds, and logs in.
    ///
    /// # Errors
    /// The directory cannot be used, or was filled by another program.
    pub async fn open(store: Store, content: Arc<Content>, dir: &Path) -> anyhow::Result<Self> {
        let accounts = Accounts::open(store.clone(), dir).await?;
        let first = accounts.first().await.map_err(|why| anyhow!("{why}"))?;
        let setup = Setup {
            benchmarks: vec![BENCHMARK.into()],
            root: dir.join("root"),
            ..Setup::of(store, content)
        };
        let (stream, there) = UnixStream::pair()?;
        let talking = tokio::spawn(talk(Desk::new(setup, accounts), there));
        let mut line = Self { stream, credential: Credential::None, talking };
        let old = first.as_deref().unwrap_or(PASSWORD);
        let logged_in = line.send("Login", json!({"name": "admin", "password": old})).await?;
        let text = |pointer: &str| {
            logged_in.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        line.credential = Credential::Session { secret: text("/secret"), csrf: text("/me/csrf") };
        if first.is_some() {
            line.send("ChangePassword", json!({"old": old, "new": PASSWORD})).await?;
        }
        Ok(line)
    }

    /// Hangs up.
    ///
    /// # Errors
    /// The desk did not keep to the conversation.
    pub async fn close(self) -> anyhow::Result<()> {
        drop(self.stream);
        Ok(self.talking.await??)
    }

    /// Asks, and prints how long it took.
    ///
    /// # Errors
    /// The desk refuses, or does not answer.
    pub async fn ask(&mut self, name: &str, question: Value) -> anyhow::Result<Value> {
        let began = Instant::now();
        let answer = self.send(name, question.clone()).await?;
        let took = millis(began);
        println!("{took:>9.1} ms  {name} {question}: {} bytes", answer.to_string().len());
        Ok(answer)
    }

    async fn send(&mut self, name: &str, question: Value) -> anyhow::Result<Value> {
        let route =
            routes().into_iter().find(|route| route.name == name).context("no such question")?;
        let ask = (route.read)(question)?;
        let asked =
            Asked { id: 1, credential: self.credential.clone(), address: String::new(), ask };
        frame::write(&mut self.stream, &asked, frame::QUESTION_MAX).await?;
        let answered: Option<Answered> = frame::read(&mut self.stream, frame::ANSWER_MAX).await?;
        answered.context("the desk hung up")?.answer.map_err(|why| anyhow!("{why}"))
    }
}
