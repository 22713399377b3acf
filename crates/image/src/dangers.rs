//! Other dangers in an image than vulnerable packages.

pub mod malware;
mod packed;
pub mod secrets;
