//! The line to the desk: typed questions go out, typed answers come back.

use std::pin::Pin;
use std::sync::Arc;

use haechi_protocol::{Ask, Asked, Question, Refusal};
use serde_json::Value;

use crate::visitor::Visitor;

/// An answer that is awaited.
pub type Awaited = Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send>>;

/// Whoever answers questions: the desk at the other end of the socket, or samples in a test.
#[derive(Clone)]
pub struct Desk(Arc<dyn Fn(Asked) -> Awaited + Send + Sync>);

impl Desk {
    /// A desk that answers with this function.
    pub fn new(answer: impl Fn(Asked) -> Awaited + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    /// Asks on behalf of a visitor.
    ///
    /// # Errors
    /// The desk refuses, or gave an answer that does not fit the question.
    pub async fn ask<Q: Question>(
        &self,
        visitor: &Visitor,
        question: Q,
    ) -> Result<Q::Answer, Refusal> {
        let answer = self.pass(visitor, question.into()).await?;
        serde_json::from_value(answer).map_err(|error| {
            tracing::error!("the desk's answer does not fit its question: {error}");
            Refusal::Unavailable
        })
    }

    /// Asks on behalf of a visitor, and gives the answer as it came.
    ///
    /// # Errors
    /// The desk refuses.
    pub async fn pass(&self, visitor: &Visitor, ask: Ask) -> Result<Value, Refusal> {
        (self.0)(Asked {
            id: 0,
            credential: visitor.credential.clone(),
            address: visitor.address.clone(),
            ask,
        })
        .await
    }
}
