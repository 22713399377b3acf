//! Other dangers in an image than vulnerable packages.

pub mod malware;
pub mod secrets;
