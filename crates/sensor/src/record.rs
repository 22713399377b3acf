//! What the sensor gives: events, and the life of containers. Data only.

use haechi_core::event::Event;

/// One thing the sensor has to say.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A process of a container did something.
    Event(Box<Seen>),
    /// A container's control group was made, or was there when the sensor started.
    New {
        /// Id of the group (version 2).
        cgroup: u64,
        /// The container's id: 64 hexadecimal digits.
        container: String,
        /// Path of the group below the root of the hierarchy.
        path: String,
        /// Group of the container that this one is in, if it is in one. A container that may make groups can make
        /// itself look like another in this way, and in no other.
        outer: Option<u64>,
    },
    /// A container's control group, or one inside it, was removed.
    Gone {
        /// Id of the group (version 2).
        cgroup: u64,
        /// Group of the container; the same unless the group was inside it.
        container: u64,
        /// What was sent and lost while it was there.
        losses: Losses,
    },
}

/// An event, and how it was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The event. Two of its calls are no system calls: `other_entry` is the first use of `int 0x80` or x32 by a process
    /// (the first argument is the number), `left_group` that a process left its container's control group (`text` is
    /// where to), after which it is not seen.
    pub event: Event,
    /// Whether the call came by the 32-bit entry (`int 0x80`).
    pub compat: bool,
    /// Whether a path or arguments are longer than what is here, or could not be read. A path that lost its front
    /// does not begin with `/`.
    pub cut: bool,
}

/// Events of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Those that were given to the reader.
    pub sent: u64,
    /// Those for which there was no room.
    pub lost: u64,
}
