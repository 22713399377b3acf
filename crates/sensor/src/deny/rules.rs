//! What single groups may start and write, in the kernel's tables (`bpf/allow.h`). What holds is exchanged at once.

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf};
use haechi_core::allowance::Mode;
use haechi_core::event::Origin;

use super::lsm::{HOOK, attach, failed, map, reason};
use super::{Allow, DenyError};

/// `KEY_BYTES` in `bpf/allow.h`.
const PATH: usize = 240;
/// `struct key` there, and what follows `bits` in `struct place`: a number, then a path.
const KEY: usize = 8 + PATH;
/// `struct set` there.
const SET: usize = 24;
/// Programs that are asked about writing, with their hooks.
const WRITING: [(&str, &str); 9] = [
    ("write_file", "file_open"),
    ("write_truncate", "path_truncate"),
    ("write_mknod", "path_mknod"),
    ("write_mkdir", "path_mkdir"),
    ("write_unlink", "path_unlink"),
    ("write_rmdir", "path_rmdir"),
    ("write_symlink", "path_symlink"),
    ("write_link", "path_link"),
    ("write_rename", "path_rename"),
];

/// When the kernel asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Before a program starts, and before a file is written.
    Lsm,
    /// When a program has begun, before its first instruction.
    Begun,
}

/// What is in the tables for one group.
#[derive(Default)]
struct Filled {
    programs: Vec<[u8; KEY]>,
    writable: Vec<(u32, [u8; KEY])>,
}

/// The tables.
pub(super) struct Rules {
    way: Way,
    sets: HashMap<MapData, u64, [u8; SET]>,
    allowed: HashMap<MapData, [u8; KEY], u8>,
    writable: LpmTrie<MapData, [u8; KEY], u8>,
    filled: std::collections::HashMap<u64, Filled>,
    number: u64,
    /// Whether the kernel asks about programs, and about writing; a cause is kept, as it stays.
    programs: Option<Result<(), String>>,
    writing: Option<Result<(), String>>,
}

impl Rules {
    pub(super) fn take(programs: &mut Ebpf, way: Way) -> Result<Self, String> {
        let mut take = |name: &'static str| {
            programs.take_map(name).ok_or_else(|| format!("the embedded object has no {name}"))
        };
        Ok(Self {
            way,
            sets: map(take("sets")?)?,
            allowed: map(take("allowed")?)?,
            writable: map(take("writable")?)?,
            filled: std::collections::HashMap::new(),
            number: 0,
            programs: None,
            writing: None,
        })
    }

    /// Exchanges what a group may do, with the device of its overlay; why writing is not limited, if it should be.
    pub(super) fn exchange(
        &mut self,
        programs: &mut Ebpf,
        group: u64,
        allow: Option<(&Allow, u64)>,
    ) -> Result<Option<String>, DenyError> {
        let Some((allow, root)) = allow else {
            if let Some(old) = self.filled.remove(&group) {
                self.sets.remove(&group).map_err(|error| failed("sets", &error))?;
                self.empty(&old);
            }
            return Ok(None);
        };
        let asks = self.programs.get_or_insert_with(|| match self.way {
            Way::Lsm => ask(programs, &[("allow_program", HOOK)]),
            Way::Begun => ask_begun(programs),
        });
        asks.clone().map_err(|cause| DenyError::Map { map: "sets", cause })?;
        let asked = allow.writable.as_ref().filter(|_| self.way == Way::Lsm);
        let writing =
            asked.map(|_| self.writing.get_or_insert_with(|| ask(programs, &WRITING)).clone());
        self.number += 1;
        let filled = Filled::of(allow, self.number);
        let set = set(root, self.number, allow.mode, writing == Some(Ok(())));
        let done = allow
            .programs
            .iter()
            .filter_map(|(path, origins)| Some((key(self.number, path)?, bits(origins))))
            .try_for_each(|(key, bits)| self.allowed.insert(key, bits, 0))
            .map_err(|error| failed("allowed", &error))
            .and_then(|()| {
                let mut places = filled.writable.iter();
                places
                    .try_for_each(|(bits, key)| self.writable.insert(&Key::new(*bits, *key), 1, 0))
                    .map_err(|error| failed("writable", &error))
            })
            .and_then(|()| self.sets.insert(group, set, 0).map_err(|error| failed("sets", &error)));
        let old = match done {
            Ok(()) => self.filled.insert(group, filled).unwrap_or_default(),
            Err(_) => filled,
        };
        self.empty(&old);
        done.map(|()| writing.and_then(Result::err))
    }

    /// Best effort: of a number that no group has, an entry only takes room.
    fn empty(&mut self, old: &Filled) {
        for key in &old.programs {
            let _ = self.allowed.remove(key);
        }
        for (bits, key) in &old.writable {
            let _ = self.writable.remove(&Key::new(*bits, *key));
        }
    }
}

impl Filled {
    fn of(allow: &Allow, number: u64) -> Self {
        let programs = allow.programs.keys().filter_map(|path| key(number, path)).collect();
        let places = allow.writable.iter().flatten().filter_map(|place| {
            // A file is its path with the end; a folder is the beginning of what is in it.
            let size = place.len() + usize::from(!place.ends_with('/'));
            Some((u32::try_from((8 + size) * 8).ok()?, key(number, place)?))
        });
        Self { programs, writable: places.collect() }
    }
}

fn ask(programs: &mut Ebpf, which: &[(&str, &str)]) -> Result<(), String> {
    let types = Btf::from_sys_fs().map_err(|error| reason(&error))?;
    which.iter().try_for_each(|(name, hook)| {
        attach(programs, name, hook, &types).map_err(|cause| format!("{hook}: {cause}"))
    })
}

/// A tracepoint is always run, so that it is attached is the proof.
fn ask_begun(programs: &mut Ebpf) -> Result<(), String> {
    let types = Btf::from_sys_fs().map_err(|error| reason(&error))?;
    let program = programs.program_mut("end_program").ok_or("not in the embedded object")?;
    let program: &mut BtfTracePoint = program.try_into().map_err(|error| reason(&error))?;
    program.load("sched_process_exec", &types).map_err(|error| reason(&error))?;
    program.attach().map(drop).map_err(|error| reason(&error))
}

/// `None` if the path is longer than the kernel's side compares.
fn key(number: u64, path: &str) -> Option<[u8; KEY]> {
    if path.len() >= PATH {
        return None;
    }
    let mut key = [0; KEY];
    let bytes = number.to_ne_bytes().into_iter().chain(path.bytes());
    key.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    Some(key)
}

/// A bit for each place: `enum origin` in `bpf/allow.h`.
fn bits<'o>(origins: impl IntoIterator<Item = &'o Origin>) -> u8 {
    origins.into_iter().fold(0, |bits, origin| {
        bits | 1
            << match origin {
                Origin::Unknown => 0,
                Origin::Image => 1,
                Origin::Changed => 2,
                Origin::Mounted => 3,
                Origin::Memory => 4,
            }
    })
}

fn set(root: u64, number: u64, mode: Mode, has_files: bool) -> [u8; SET] {
    let mut set = [0; SET];
    let bytes = root
        .to_ne_bytes()
        .into_iter()
        .chain(number.to_ne_bytes())
        .chain(u32::from(mode == Mode::Deny).to_ne_bytes())
        .chain(u32::from(has_files).to_ne_bytes());
    set.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_laid_out_as_the_kernels_side_reads_them() {
        let found = key(5, "/bin/a").unwrap();
        assert_eq!(found.get(..8), Some(5_u64.to_ne_bytes().as_slice()));
        assert_eq!(found.get(8..15), Some(b"/bin/a\0".as_slice()));
        assert!(key(5, &"x".repeat(PATH - 1)).is_some());
        assert_eq!(key(5, &"x".repeat(PATH)), None);
        assert_eq!(bits(&[Origin::Image, Origin::Mounted]), 0b1010);
        let set = set(7, 5, Mode::Deny, false);
        assert_eq!(set.get(16..), Some([1, 0, 0, 0, 0, 0, 0, 0].as_slice()));
    }

    #[test]
    fn a_file_is_itself_and_a_folder_is_all_below() {
        let writable = ["/.pid".to_owned(), "/tmp/".to_owned()].into();
        let allow = Allow {
            mode: Mode::DryRun,
            programs: [].into(),
            loaders: [].into(),
            writable: Some(writable),
        };
        let bits: Vec<u32> =
            Filled::of(&allow, 1).writable.iter().map(|(bits, _)| bits / 8).collect();
        assert_eq!(bits, [8 + 6, 8 + 5]);
    }
}
