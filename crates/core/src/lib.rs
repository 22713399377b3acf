//! The words of Haechi as types.
//!
//! Everything that passes from one room to the next is defined here: [`facts`] (what was observed),
//! [`policy`] (what a site intends), [`finding`] and [`report`] (what was decided), [`score`]
//! (how good that is), [`diff`] (what changed) and [`text`] (words for people, in two languages).
//!
//! All of it is plain, sorted, serialisable data. This crate does no input or output, knows no
//! Docker client, no database and no expression language.

pub mod activity;
pub mod alert;
pub mod allowance;
pub mod capability;
pub mod diff;
pub mod event;
pub mod facts;
pub mod finding;
pub mod inventory;
pub mod policy;
pub mod profile;
pub mod report;
pub mod response;
pub mod risk;
pub mod score;
pub mod text;
pub mod verdict;
pub mod vulnerability;

pub use facts::Snapshot;
pub use finding::{Area, Cause, Evidence, Finding, Severity, Status, Subject, SubjectKind};
pub use policy::Policy;
pub use report::Report;
pub use text::{Lang, Text};
