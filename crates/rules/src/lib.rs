//! Falco's rule language: which rules are true for an event.
//!
//! [`Rules::load`] reads rule files (lists, macros, rules, exceptions, overrides) against the fields and events that the
//! caller provides ([`Catalog`]) and says of each rule that cannot run what it lacks. [`Rules::matching`] decides an
//! event ([`Subject`]). Nothing here does I/O, knows a kernel or an engine, or knows what a field means.
//!
//! Source: <https://falco.org/docs/concepts/rules/>

mod calls;
mod compile;
mod condition;
mod document;
mod evaluate;
mod field;
mod matcher;
mod merge;
mod needs;
mod output;
mod problem;
mod rule;
mod rules;
#[cfg(test)]
mod testing;

pub use field::{Arg, Catalog, Field, Kind, Subject, Value};
pub use needs::Needed;
pub use output::Output;
pub use problem::{Problem, Severity};
pub use rule::Rule;
pub use rules::{Listed, Loaded, Rules, State};
