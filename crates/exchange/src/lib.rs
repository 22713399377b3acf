//! Makes a container again with other rights, watches it, and puts the old one back if that was too little.
//!
//! Engines cannot change the rights of a container that there is. So another one is made of all that the engine says of it, takes
//! its name, and the old one is kept, stopped. Whatever fails, and wherever it is broken off: one of the two has the name, and
//! [`swap::put_back`] finds from the record ([`book::Book`]) and the engine what was begun. Nothing is decided here: who asks says what is given.

pub mod book;
pub mod carry;
pub mod heard;
pub mod plan;
pub mod rights;
pub mod swap;
pub mod trial;
pub mod watch;
