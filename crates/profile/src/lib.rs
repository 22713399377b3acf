//! From what a container was seen to do: how well it is known, and the least that it needs.
//!
//! Pure: profiles come from the store, what follows from them are values and texts. Nothing here is carried out.

pub mod allowed;
pub mod apparmor;
pub mod blind;
pub mod calls;
pub mod capabilities;
pub mod coverage;
pub mod enforced;
pub mod fragment;
pub mod image;
pub mod least;
pub mod news;
pub mod packages;
pub mod picture;
pub mod seccomp;
pub mod texts;
pub mod today;
pub mod writable;

#[cfg(test)]
mod testing;
