//! Ends programs that have begun and may not run (`end_program` in `bpf/allow.h`): those that the file system is not asked about, and
//! those that became others after it had answered. Used beside [`crate::fence`], where the kernel does not take BPF LSM.
//!
//! Promises that such a program is ended before its first instruction. Its parent sees it killed, not refused.

use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{Array, MapData, RingBuf};
use aya::{Btf, Ebpf};

use super::lsm::{counts, drain, map, open, reason};
use super::rules::{Rules, Way};
use super::{Allow, Counts, DenyError, Refusal, Tier};

/// See above. Dropping it lets everything run.
pub(crate) struct Begun {
    /// Keeps the program attached.
    programs: Ebpf,
    rules: Rules,
    counts: Array<MapData, u64>,
    refusals: RingBuf<MapData>,
}

impl Begun {
    pub(crate) fn load() -> Result<Self, String> {
        let types = Btf::from_sys_fs().map_err(|error| reason(&error))?;
        let mut programs = open(&types, false)?;
        let mut take = |name: &'static str| {
            programs.take_map(name).ok_or_else(|| format!("the embedded object has no {name}"))
        };
        Ok(Self {
            counts: map(take("counts")?)?,
            refusals: map(take("refusals")?)?,
            rules: Rules::take(&mut programs, Way::Begun)?,
            programs,
        })
    }

    /// Lets only these programs of a group run, with the device of its overlay; `None` takes that back.
    pub(crate) fn allow_only(
        &mut self,
        group: u64,
        allow: Option<(&Allow, u64)>,
    ) -> Result<(), DenyError> {
        self.rules.exchange(&mut self.programs, group, allow).map(drop)
    }

    /// What was ended since the last call.
    pub(crate) fn drain(&mut self) -> Vec<Refusal> {
        drain(&mut self.refusals, Tier::Fanotify)
    }

    pub(crate) fn counts(&self) -> Result<Counts, DenyError> {
        counts(&self.counts)
    }
}

impl AsFd for Begun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.refusals.as_fd()
    }
}
