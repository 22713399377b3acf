//! Cuts the network of one container: no packet in, none out, those of connections that stand included.
//!
//! Promises that only the container's own control group is cut, never the machine's nor ours; that the cut is undone
//! when this is dropped or the process ends, however it ends; and that loopback is cut with the rest (why:
//! `bpf/cut.bpf.c`). Not stopped: sockets of Unix, sockets that were made outside the container and handed in, and frames
//! that a process with `CAP_NET_RAW` makes by itself (`AF_PACKET`); whether there can be such, [`Cut::frames`] tells.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aya::maps::{Array, MapData};
use aya::programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType};
use aya::{Ebpf, EbpfLoader};
use rustix::fs::{FsWord, fstatfs};

use crate::deny::reason;
use crate::groups;

/// The compiled programs (`build.rs`); aligned as an ELF file must be.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/cut.bpf.o"));
/// `CGROUP2_SUPER_MAGIC` (linux/magic.h).
const GROUPS: FsWord = 0x6367_7270;

/// Processes, and groups in the container, that are looked at: beyond, a container would keep us busy.
const PROCESSES: usize = 4096;
/// `CAP_NET_RAW` (linux/capability.h).
const NET_RAW: u64 = 1 << 13;

/// Why a network was not cut. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// The folder cannot be read.
    #[error("{path}: {cause}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What happened.
        cause: io::Error,
    },
    /// The folder is not a control group of version 2, not a container's, or the one that we are in.
    #[error("{path} is not cut: {cause}")]
    Refused {
        /// The folder.
        path: PathBuf,
        /// Why not.
        cause: &'static str,
    },
    /// The kernel took no program, or did not attach it.
    #[error("the kernel does not cut the network: {0}")]
    Kernel(String),
}

/// Packets that were stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stopped {
    /// On their way in.
    pub received: u64,
    /// On their way out.
    pub sent: u64,
}

/// A network that is cut. Dropping it restores the network.
#[must_use = "dropping it restores the network"]
pub struct Cut {
    /// Keeps the programs attached.
    _programs: Ebpf,
    stopped: Array<MapData, u64>,
    folder: PathBuf,
}

impl Cut {
    /// Cuts the network of the container whose control group (version 2) has this folder, with all groups below. Needs
    /// root (`CAP_BPF`, `CAP_NET_ADMIN`).
    ///
    /// # Errors
    ///
    /// If it is no container's group, or the kernel does not do it.
    #[expect(clippy::self_named_constructors, reason = "a cut is what is made")]
    pub fn cut(folder: &Path) -> Result<Self, CutError> {
        let group = open(folder)?;
        let kernel = |error: &dyn std::error::Error| CutError::Kernel(reason(error));
        let mut programs = EbpfLoader::new().load(OBJECT).map_err(|error| kernel(&error))?;
        let missing = || CutError::Kernel("not in the embedded object".into());
        for (name, way) in [
            // What is sent first: that is what does harm.
            ("stop_out", CgroupSkbAttachType::Egress),
            ("stop_in", CgroupSkbAttachType::Ingress),
        ] {
            let program = programs.program_mut(name).ok_or_else(missing)?;
            let program: &mut CgroupSkb = program.try_into().map_err(|error| kernel(&error))?;
            program.load().map_err(|error| kernel(&error))?;
            // A link always stands beside what others attached; the kernel takes no mode that says so.
            program
                .attach(&group, way, CgroupAttachMode::Single)
                .map_err(|error| kernel(&error))?;
        }
        let stopped = programs.take_map("stopped").ok_or_else(missing)?;
        let stopped = Array::try_from(stopped).map_err(|error| kernel(&error))?;
        Ok(Self { _programs: programs, stopped, folder: folder.to_owned() })
    }

    /// Restores the network. The same as dropping it.
    pub fn restore(self) {}

    /// Whether a process of the container, as they are now, may make frames by itself, which are not stopped:
    /// `CAP_NET_RAW` is in its bounding set (Docker's default). What cannot be told is told as yes.
    #[must_use]
    pub fn frames(&self) -> bool {
        let mut left = vec![self.folder.clone()];
        let mut looked = 0;
        while let Some(folder) = left.pop() {
            let Ok(processes) = fs::read_to_string(folder.join("cgroup.procs")) else {
                return true;
            };
            for process in processes.lines() {
                looked += 1;
                if looked > PROCESSES || may_make_frames(process) {
                    return true;
                }
            }
            let Ok(entries) = fs::read_dir(&folder) else { return true };
            let folders =
                entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(folders.map(|entry| entry.path()).take(PROCESSES));
            if left.len() > PROCESSES {
                return true;
            }
        }
        false
    }

    /// What was stopped so far.
    ///
    /// # Errors
    ///
    /// If the kernel's table cannot be read.
    pub fn stopped(&self) -> Result<Stopped, CutError> {
        let get = |index: u32| {
            self.stopped.get(&index, 0).map_err(|error| CutError::Kernel(reason(&error)))
        };
        Ok(Stopped { received: get(0)?, sent: get(1)? })
    }
}

/// Opens the group's folder, if it may be cut.
fn open(folder: &Path) -> Result<File, CutError> {
    let failed = |cause| CutError::Folder { path: folder.to_owned(), cause };
    let refused = |cause| CutError::Refused { path: folder.to_owned(), cause };
    let file = File::open(folder).map_err(failed)?;
    // The one that is open, whatever the path is by now.
    let id = file.metadata().map_err(failed)?.ino();
    if fstatfs(&file).map_err(|error| failed(error.into()))?.f_type != GROUPS {
        return Err(refused("it is not a control group of version 2"));
    }
    let real = fs::canonicalize(folder).map_err(failed)?;
    let name = real.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if groups::container_id(name).is_none() {
        return Err(refused("its name is not that of a container's group"));
    }
    let real_id = real.metadata().map_err(failed)?.ino();
    if real_id != id {
        return Err(refused("it was exchanged meanwhile"));
    }
    if own_groups().map_err(failed)?.contains(&id) {
        return Err(refused("this program is in it"));
    }
    Ok(file)
}

/// Whether a process has the right in its bounding set; one that is gone has not.
fn may_make_frames(process: &str) -> bool {
    let status = match fs::read_to_string(format!("/proc/{process}/status")) {
        Ok(status) => status,
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bounding = bounding.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    bounding.is_none_or(|bounding| bounding & NET_RAW != 0)
}

/// The group that we are in and those above.
fn own_groups() -> io::Result<Vec<u64>> {
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let own = groups::root().join(path);
    Ok(own.ancestors().filter_map(|folder| Some(folder.metadata().ok()?.ino())).collect())
}
