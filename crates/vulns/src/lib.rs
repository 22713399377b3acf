//! Vulnerabilities: feeds become a database, and the packages of an image are matched against it.
//!
//! [`feed`] reads what others publish, [`db`] keeps it (one file for each source, swapped atomically), [`version`]
//! orders versions by each ecosystem's own rules, [`matching`] decides. It knows nothing of containers, and what it
//! cannot decide it says: a version that no rule reads or a missing feed gives [`Undecided`], never silence.
//!
//! [`Undecided`]: haechi_core::vulnerability::Undecided

pub mod advisory;
pub mod cvss;
pub mod db;
pub mod feed;
pub mod matching;
pub mod version;
pub mod vex;
