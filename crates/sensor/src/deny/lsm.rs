//! Refusal by the kernel itself (BPF LSM, `bpf/deny.bpf.c`). Taken only where it was seen to refuse.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use aya::maps::{Array, HashMap, Map, MapData, RingBuf};
use aya::programs::Lsm as Program;
use aya::{Btf, Ebpf, EbpfLoader};
use haechi_core::event::Origin;

use super::names::Names;
use super::probe::Probe;
use super::rules::{Rules, Way};
use super::{Allow, Because, Counts, DenyError, Refusal, Tier};
use crate::groups;
use crate::load::host_mounts;

/// The compiled program (`build.rs`); aligned as an ELF file must be.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/deny.bpf.o"));
/// The hook of the kernel.
pub(crate) const HOOK: &str = "bprm_check_security";

/// `NAME_BYTES` in `bpf/deny.bpf.c`.
const NAME: usize = 64;
/// `struct denied` there: group, generation, name.
const DENIED: usize = 16 + NAME;
type Denied = [u8; DENIED];
/// Records taken by one call, so that a container that never rests cannot keep the caller.
const TURN: usize = 1024;
/// Characters of a cause that are kept: of the verifier's log, which may be megabytes, the end, where the reason is.
const CAUSE: usize = 1000;

/// The program in the kernel. Dropping it takes it out.
pub(crate) struct Lsm {
    /// Keeps the programs attached.
    programs: Ebpf,
    rules: Rules,
    watched: HashMap<MapData, u64, u8>,
    denied: HashMap<MapData, Denied, u8>,
    holds: Array<MapData, u64>,
    counts: Array<MapData, u64>,
    refusals: RingBuf<MapData>,
    /// The generation that holds.
    generation: u64,
    /// Its entries.
    entries: Vec<Denied>,
}

impl Lsm {
    /// Loads the program and proves that the kernel asks it.
    pub(crate) fn load() -> Result<Self, String> {
        let types = Btf::from_sys_fs().map_err(|error| reason(&error))?;
        // Not every verifier lets it ask for the path; the name is enough to refuse.
        let mut lsm = Self::load_with(&types, true).or_else(|first| {
            Self::load_with(&types, false)
                .map_err(|second| if first == second { second } else { first })
        })?;
        lsm.prove()?;
        Ok(lsm)
    }

    fn load_with(types: &Btf, path: bool) -> Result<Self, String> {
        let mut programs = open(types, path)?;
        attach(&mut programs, "refuse", HOOK, types)?;
        let mut take = |name: &'static str| {
            programs.take_map(name).ok_or_else(|| format!("the embedded object has no {name}"))
        };
        Ok(Self {
            watched: map(take("watched")?)?,
            denied: map(take("denied")?)?,
            holds: map(take("holds")?)?,
            counts: map(take("counts")?)?,
            refusals: map(take("refusals")?)?,
            generation: 0,
            entries: Vec::new(),
            rules: Rules::take(&mut programs, Way::Lsm)?,
            programs,
        })
    }

    /// Has the start of a program refused: a kernel may take the program and never ask it (`lsm=` without `bpf`).
    fn prove(&mut self) -> Result<(), String> {
        let probe = Probe::new()?;
        let root = groups::root();
        let root =
            fs::metadata(&root).map_err(|error| format!("{}: {error}", root.display()))?.ino();
        // Only this one program, but in every group.
        let name = probe.name().to_owned();
        let only = Names::default().with(root, &[name]).map_err(|error| error.to_string())?;
        let failed = |error: DenyError| error.to_string();
        let tried = self
            .watch(root)
            .and_then(|()| self.set(&only))
            .map_err(failed)
            .and_then(|()| probe.is_refused());
        self.forget(root).and_then(|()| self.set(&Names::default())).map_err(failed)?;
        let told = !self.drain().is_empty();
        for index in 0..2 {
            self.counts.set(index, 0, 0).map_err(|error| reason(&error))?;
        }
        match (tried?, told) {
            (true, true) => Ok(()),
            (true, false) => Err("it refuses and does not tell".into()),
            (false, _) => {
                Err("the kernel takes the program and does not ask it (`bpf` is not in lsm=)"
                    .into())
            }
        }
    }

    pub(crate) fn watch(&mut self, group: u64) -> Result<(), DenyError> {
        self.watched.insert(group, 1, 0).map_err(|error| failed("watched", &error))
    }

    pub(crate) fn forget(&mut self, group: u64) -> Result<(), DenyError> {
        if self.watched.get(&group, 0).is_err() {
            return Ok(());
        }
        self.watched.remove(&group).map_err(|error| failed("watched", &error))
    }

    /// Exchanges all names at once. If that fails, the old ones hold.
    pub(crate) fn set(&mut self, names: &Names) -> Result<(), DenyError> {
        let generation = self.generation + 1;
        let new: Vec<Denied> =
            names.pairs().map(|(group, name)| key(group, generation, name)).collect();
        // Without names there is nothing to look up: the kernel side is told so, and costs nothing.
        let holds = if new.is_empty() { 0 } else { generation };
        let filled = new
            .iter()
            .try_for_each(|key| self.denied.insert(key, 1, 0))
            .and_then(|()| self.holds.set(0, holds, 0));
        let old = match filled {
            Ok(()) => {
                self.generation = generation;
                std::mem::replace(&mut self.entries, new)
            }
            Err(_) => new,
        };
        for key in &old {
            // Best effort: of a generation that does not hold, an entry only takes room.
            let _ = self.denied.remove(key);
        }
        filled.map_err(|error| failed("denied", &error))
    }

    /// Lets only these programs of a group start, and lets it write only where that is allowed; why the latter is not
    /// possible, if it is not.
    pub(crate) fn allow_only(
        &mut self,
        group: u64,
        allow: Option<(&Allow, u64)>,
    ) -> Result<Option<String>, DenyError> {
        self.rules.exchange(&mut self.programs, group, allow)
    }

    /// What was refused since the last call.
    pub(crate) fn drain(&mut self) -> Vec<Refusal> {
        drain(&mut self.refusals, Tier::Lsm)
    }

    pub(crate) fn counts(&self) -> Result<Counts, DenyError> {
        counts(&self.counts)
    }
}

/// Reads the programs and makes their tables; none is asked yet.
pub(super) fn open(types: &Btf, path: bool) -> Result<Ebpf, String> {
    EbpfLoader::new()
        .btf(Some(types))
        .override_global("with_path", &u8::from(path), true)
        .override_global("host_mounts", &host_mounts(), true)
        .load(OBJECT)
        .map_err(|error| reason(&error))
}

/// What was refused since the last call, where the file system is asked too or not.
pub(super) fn drain(refusals: &mut RingBuf<MapData>, tier: Tier) -> Vec<Refusal> {
    let mut found = Vec::new();
    while found.len() < TURN {
        let Some(bytes) = refusals.next() else { break };
        found.extend(refusal(&bytes).map(|one| Refusal { tier, ..one }));
    }
    found
}

pub(super) fn counts(counts: &Array<MapData, u64>) -> Result<Counts, DenyError> {
    let get = |index: u32| counts.get(&index, 0).map_err(|error| failed("counts", &error));
    Ok(Counts { refused: get(0)?, untold: get(1)?, ..Counts::default() })
}

impl AsFd for Lsm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.refusals.as_fd()
    }
}

/// Loads a program and has the kernel ask it.
pub(super) fn attach(
    programs: &mut Ebpf,
    name: &str,
    hook: &str,
    types: &Btf,
) -> Result<(), String> {
    let program = programs.program_mut(name).ok_or("not in the embedded object")?;
    let program: &mut Program = program.try_into().map_err(|error| reason(&error))?;
    program.load(hook, types).map_err(|error| reason(&error))?;
    program.attach().map(drop).map_err(|error| reason(&error))
}

pub(super) fn map<T: TryFrom<Map, Error = aya::maps::MapError>>(map: Map) -> Result<T, String> {
    T::try_from(map).map_err(|error| reason(&error))
}

fn key(group: u64, generation: u64, name: &str) -> Denied {
    let mut key = [0; DENIED];
    let words = group.to_ne_bytes().into_iter().chain(generation.to_ne_bytes()).chain(name.bytes());
    // Names have at most 62 bytes; the NUL stays.
    key.iter_mut().take(DENIED - 1).zip(words).for_each(|(place, byte)| *place = byte);
    key
}

/// `struct refusal` in `bpf/deny.bpf.c`; `None` if it is not what it must be.
fn refusal(bytes: &[u8]) -> Option<Refusal> {
    let (at, rest) = bytes.split_first_chunk()?;
    let (cgroup, rest) = rest.split_first_chunk()?;
    let (pid, rest) = rest.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let (begin, rest) = rest.split_first_chunk()?;
    let ([because, origin, is_refused, _], rest) = rest.split_first_chunk()?;
    let (name, path) = rest.split_at_checked(NAME)?;
    let path = path.get(usize::try_from(u32::from_ne_bytes(*begin)).ok()?..)?;
    let path = path.get(..usize::try_from(u32::from_ne_bytes(*size)).ok()?)?;
    Some(Refusal {
        at_ns: u64::from_ne_bytes(*at),
        cgroup: u64::from_ne_bytes(*cgroup),
        pid: u32::from_ne_bytes(*pid),
        name: text(name),
        path: text(path),
        tier: Tier::Lsm,
        because: match because {
            0 => Because::Name,
            1 => Because::NotAllowed,
            2 => Because::Replaced,
            3 => Because::Written,
            _ => return None,
        },
        origin: match origin {
            1 => Origin::Image,
            2 => Origin::Changed,
            3 => Origin::Mounted,
            4 => Origin::Memory,
            _ => Origin::Unknown,
        },
        is_refused: *is_refused != 0,
    })
}

/// The text before the first NUL.
fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

pub(super) fn failed(map: &'static str, error: &dyn std::error::Error) -> DenyError {
    DenyError::Map { map, cause: reason(error) }
}

/// An error with its causes.
pub(crate) fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    // Where the verifier had nothing to say.
    let text =
        text.trim_end().trim_end_matches("Verifier output:").trim_end().trim_end_matches('.');
    let size = text.chars().count();
    if size <= CAUSE {
        return text.to_owned();
    }
    let end: String = text.chars().skip(size - CAUSE).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(path_size: u32, path: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(5_u64.to_ne_bytes());
        bytes.extend(77_u64.to_ne_bytes());
        bytes.extend(42_u32.to_ne_bytes());
        bytes.extend(path_size.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend([0, 0, 1, 0]);
        bytes.extend(b"sshd");
        bytes.extend([0; NAME - 4]);
        bytes.extend(path);
        bytes
    }

    #[test]
    fn a_record_is_read_and_a_short_one_is_not() {
        let whole = bytes(15, b"/usr/sbin/sshd\0left over");
        let found = refusal(&whole).unwrap();
        assert_eq!((found.at_ns, found.cgroup, found.pid), (5, 77, 42));
        assert_eq!((found.name.as_str(), found.path.as_str()), ("sshd", "/usr/sbin/sshd"));
        assert_eq!(refusal(&bytes(0, b"")).unwrap().path, "");
        assert_eq!(refusal(&bytes(16, b"/usr/sbin/sshd\0")), None);
        for size in 0..32 + NAME {
            assert_eq!(refusal(whole.get(..size).unwrap()), None, "{size}");
        }
    }

    #[test]
    fn a_key_is_laid_out_as_the_kernel_side_reads_it() {
        let key = key(1, 2, &"x".repeat(200));
        assert_eq!(key.get(..8), Some(1_u64.to_ne_bytes().as_slice()));
        assert_eq!(key.get(8..16), Some(2_u64.to_ne_bytes().as_slice()));
        assert_eq!(key.last(), Some(&0));
    }
}
