//! Loads the programs into the kernel and fills their tables. Takes what the kernel takes, and names the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use aya::maps::{Array, HashMap, MapData, RingBuf};
use aya::programs::{BtfTracePoint, FExit, KProbe, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader};

use haechi_core::profile::Gap;

use crate::entering::Member;
use crate::record::Record;
use crate::used::{ASKED, Profiler, UsedState, state_of_existing};
use crate::{Ability, GroupState, KINDS, Options, Sensor, SensorError, calls, entering, groups};

/// The compiled programs (`build.rs`); aligned as an ELF file must be.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sensor.bpf.o"));

/// Bytes of a watched name, with the NUL that ends it: `struct name` in `bpf/record.h`.
pub(crate) const NAME: usize = 64;
/// Bytes that the kernel keeps of the name of a process (`TASK_COMM_LEN` without the NUL).
const COMM: usize = 15;
/// `ENTERING_TIME` in `bpf/record.h`.
const ENTERING_SECONDS: u64 = 60;
/// What the 32-bit half of the table of calls begins with.
const COMPAT: u32 = 512;
/// Characters of a cause that are kept.
const CAUSE: usize = 1000;
/// Do not replace an entry: the kernel's own is fresher (`BPF_NOEXIST`).
const NOEXIST: u64 = 1;

/// Where a kernel says that it can probe its own functions.
const PROBES_OF_KERNEL: &str = "/sys/bus/event_source/devices/kprobe";

/// A program, the hook it is for, and what it gives.
struct Hook {
    program: &'static str,
    name: &'static str,
    kind: Kind,
    gives: &'static str,
}

/// What the kernel calls a program at a hook.
enum Kind {
    /// A tracepoint, with arguments as numbers.
    Raw,
    /// A tracepoint, with arguments whose types the kernel knows.
    Typed,
    /// The beginning of one of the kernel's functions.
    Probe,
    /// The end of one.
    End,
}

const fn raw(program: &'static str, name: &'static str, gives: &'static str) -> Hook {
    Hook { program, name, kind: Kind::Raw, gives }
}

const fn typed(program: &'static str, name: &'static str, gives: &'static str) -> Hook {
    Hook { program, name, kind: Kind::Typed, gives }
}

const fn probe(program: &'static str, name: &'static str) -> Hook {
    Hook {
        program,
        name,
        kind: Kind::Probe,
        gives: "where paths led when the kernel acted on them",
    }
}

/// Those that know which groups are containers.
const LIFE: [Hook; 2] = [
    raw("group_made", "cgroup_mkdir", "containers from their first moment"),
    raw("group_gone", "cgroup_rmdir", "ends of containers"),
];
/// Started programs.
const EXEC: Hook = typed("executed", "sched_process_exec", "started programs");
/// Those that tell runtimes from containers; they need `EXEC`, which ends what they begin.
const ENTERING: [Hook; 2] = [
    typed(
        "group_entered",
        "cgroup_attach_task",
        "what a runtime does is not taken for the container's",
    ),
    typed("forked", "sched_process_fork", "the same, for what a runtime starts"),
];
/// The rest.
const REST: [Hook; 3] = [
    typed("ended", "sched_process_exit", "ends of processes"),
    raw("renaming", "task_rename", "the name of a process before it started a program"),
    typed("returned", "sys_exit", "files, network and other system calls"),
];

/// Those that tell that a process left its container.
const LEAVING: [&str; 4] =
    ["cgroup_attach_task", "sched_process_fork", "sched_process_exec", "sched_process_exit"];

/// Where paths led at the moment at which the kernel acted on them; they need `returned`, which tells it. Without them user
/// space looks (`resolve.rs`).
const PROBES: [Hook; 6] = [
    probe("path_renamed", "security_path_rename"),
    probe("path_linked", "security_path_link"),
    probe("path_symlinked", "security_path_symlink"),
    probe("path_unlinked", "security_path_unlink"),
    probe("path_truncated", "security_path_truncate"),
    probe("attribute_set", "security_inode_setxattr"),
];

/// Those that keep what containers use, and what is missing without them. `used` and the sets are looked at by all of them.
const PROFILE: [(Hook, Gap); 4] = [
    (typed("call_used", "sys_enter", "system calls, for profiles"), Gap::Calls),
    (typed("result_used", "sys_exit", "files, peers and ports, for profiles"), Gap::Files),
    (typed("program_used", "sched_process_exec", "programs, for profiles"), Gap::Files),
    (typed("capability_used", "cap_capable", CAPABILITIES), Gap::Capabilities),
];
/// For kernels without the last of them.
const PROFILE_PROBE: Hook = Hook {
    program: "capability_probed",
    name: "cap_capable",
    kind: Kind::Probe,
    gives: CAPABILITIES,
};
const CAPABILITIES: &str = "capabilities, for profiles";
/// What programs must be given to be executed at all. Where a kernel lacks it (before 5.12, or without tracing of its
/// functions) user space looks (`rights.rs`).
const PROFILE_FILES: Hook = Hook {
    program: "rights_of_file",
    name: "get_vfs_caps_from_disk",
    kind: Kind::End,
    gives: "capabilities that files of programs ask for, for profiles",
};
/// Groups of which it is kept what they use, and different things that all of them use. The kernel takes memory only for
/// what there is: about 500 and 100 bytes for each.
const USED_MAX: u32 = 16_384;
const USES_MAX: u32 = 1 << 20;

/// See [`Sensor::load`].
pub(crate) fn load(options: &Options) -> Result<(Sensor, Vec<Ability>), SensorError> {
    if !cfg!(target_arch = "x86_64") {
        return Err(SensorError::Load("the programs know the registers of x86-64 only".into()));
    }
    let root = groups::root();
    if !root.join("cgroup.procs").exists() {
        return Err(SensorError::Groups(root.display().to_string()));
    }
    let profiles = options.profile_bytes > 0;
    let types = Btf::from_sys_fs().map_err(|error| SensorError::Types(chain(&error)))?;
    let mut programs = EbpfLoader::new()
        .btf(Some(&types))
        .override_global("host_mounts", &host_mounts(), true)
        .override_global("prompt", &u8::from(options.prompt), true)
        .override_global("all_reads", &u8::from(options.all_reads), true)
        .map_max_entries("alerts", ring_bytes(options.alert_bytes))
        .map_max_entries("bulk", ring_bytes(options.bulk_bytes))
        .override_global("profiling", &u8::from(profiles), true)
        .map_max_entries("used", if profiles { USED_MAX } else { 1 })
        .map_max_entries("uses", if profiles { USES_MAX } else { 1 })
        .map_max_entries("firsts", ring_bytes(options.profile_bytes))
        .load(OBJECT)
        .map_err(|error| SensorError::Load(chain(&error)))?;
    fill_calls(&mut programs)?;
    fill_names(&mut programs, "names", &options.watch_names)?;
    fill_names(&mut programs, "folders", &options.watch_folders)?;

    let mut groups = HashMap::try_from(take(&mut programs, "groups")?)
        .map_err(|error| failed("groups", &error))?;
    let mut abilities: Vec<Ability> =
        LIFE.iter().map(|hook| attach(&mut programs, hook, &types)).collect();
    // After the hook, so that no container falls between.
    let mut used = profiles.then(|| take(&mut programs, "used")).transpose()?;
    let mut used = match used.take() {
        Some(map) => Some(HashMap::try_from(map).map_err(|error| failed("used", &error))?),
        None => None,
    };
    let waiting = register(&mut groups, used.as_mut(), &root);
    let exec = attach(&mut programs, &EXEC, &types);
    if exec.missing.is_none() {
        abilities.extend(ENTERING.iter().map(|hook| attach(&mut programs, hook, &types)));
    } else {
        abilities.extend(ENTERING.iter().map(without_exec));
    }
    abilities.push(exec);
    let entering = programs.map_mut("entering").ok_or(SensorError::Object("entering"))?;
    let mut entering = HashMap::<_, u32, [u64; 2]>::try_from(entering)
        .map_err(|error| failed("entering", &error))?;
    for record in &waiting {
        let Record::New { container, path, .. } = record else { continue };
        let folder = root.join(path.trim_start_matches('/'));
        for pid in entering::entering(&folder, container) {
            // The kernel may know it already.
            let _ = entering.insert(pid, [entering_until(), u64::from(host_mounts())], NOEXIST);
        }
    }
    abilities.extend(REST.iter().map(|hook| attach(&mut programs, hook, &types)));
    let members = programs.map_mut("members").ok_or(SensorError::Object("members"))?;
    let mut members =
        HashMap::<_, u32, Member>::try_from(members).map_err(|error| failed("members", &error))?;
    let told = entering::tell_members(&mut members, &root);
    let tells_who_leaves = told.is_ok()
        && abilities.iter().all(|one| one.missing.is_none() || !LEAVING.contains(&one.name));
    let probes = PROBES.map(|hook| attach(&mut programs, &hook, &types));
    abilities.extend(probes.into_iter().min_by_key(|probe| probe.missing.is_none()));
    let profiler = match used {
        Some(used) => {
            let mut profiler = profile(&mut programs, used, &mut abilities, &types)?;
            profiler.gaps.extend((!tells_who_leaves).then_some(Gap::Left));
            Some(profiler)
        }
        None => None,
    };
    if let Some(cause) = nothing(&abilities) {
        return Err(SensorError::Load(cause));
    }
    let alerts = RingBuf::try_from(take(&mut programs, "alerts")?)
        .map_err(|error| failed("alerts", &error))?;
    let bulk =
        RingBuf::try_from(take(&mut programs, "bulk")?).map_err(|error| failed("bulk", &error))?;
    let tallies = Array::try_from(take(&mut programs, "tallies")?)
        .map_err(|error| failed("tallies", &error))?;
    let holds = HashMap::try_from(take(&mut programs, "holds")?)
        .map_err(|error| failed("holds", &error))?;
    let sensor = Sensor {
        _programs: programs,
        alerts,
        bulk,
        groups,
        holds,
        tallies,
        waiting,
        late: Vec::new(),
        late_since: std::time::Instant::now(),
        unread: 0,
        resolver: crate::resolve::Resolver::default(),
        profiler,
    };
    Ok((sensor, abilities))
}

/// Begins to keep what containers use.
fn profile(
    programs: &mut Ebpf,
    used: HashMap<MapData, u64, UsedState>,
    abilities: &mut Vec<Ability>,
    types: &Btf,
) -> Result<Profiler, SensorError> {
    let map = programs.map_mut("asked").ok_or(SensorError::Object("asked"))?;
    let mut asked = Array::<_, [u64; 3]>::try_from(map).map_err(|error| failed("asked", &error))?;
    for (call, compat, argument, mask) in ASKED {
        let row = [mask, argument, u64::from(call)];
        for index in [call, compat + COMPAT] {
            asked.set(index, row, 0).map_err(|error| failed("asked", &error))?;
        }
    }
    let mut gaps = BTreeSet::new();
    for (hook, gap) in &PROFILE {
        let mut ability = attach(programs, hook, types);
        if ability.missing.is_some() && *gap == Gap::Capabilities {
            let probed = attach(programs, &PROFILE_PROBE, types);
            ability = match (ability.missing, probed.missing) {
                (Some(first), Some(second)) => {
                    Ability { missing: Some(format!("{first}; {second}")), ..ability }
                }
                _ => Ability { missing: None, ..ability },
            };
        }
        if ability.missing.is_some() {
            gaps.insert(*gap);
        }
        abilities.push(ability);
    }
    let files = attach(programs, &PROFILE_FILES, types);
    let asks_files = files.missing.is_some();
    abilities.extend(Some(files).filter(|files| files.missing.is_none()));
    let uses =
        HashMap::try_from(take(programs, "uses")?).map_err(|error| failed("uses", &error))?;
    let firsts =
        RingBuf::try_from(take(programs, "firsts")?).map_err(|error| failed("firsts", &error))?;
    let (stale, cleaned) = (BTreeSet::new(), std::time::Instant::now());
    let rights = BTreeMap::new();
    Ok(Profiler { used, uses, firsts, gaps, unread: 0, asks_files, rights, stale, cleaned })
}

/// When a runtime that is on its way now counts as the container's: see `ENTERING_TIME` in `bpf/record.h`.
fn entering_until() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    (seconds + ENTERING_SECONDS) * 1_000_000_000
}

/// Why there is nothing to see at all, if there is nothing.
fn nothing(abilities: &[Ability]) -> Option<String> {
    let causes: Vec<_> = abilities.iter().filter_map(|one| one.missing.as_deref()).collect();
    (causes.len() == abilities.len())
        .then(|| causes.first().copied().unwrap_or_default().to_owned())
}

fn without_exec(hook: &Hook) -> Ability {
    let missing = Some("needs sched_process_exec".to_owned());
    Ability { name: hook.name, gives: hook.gives, missing }
}

fn attach(programs: &mut Ebpf, hook: &Hook, types: &Btf) -> Ability {
    let missing = try_attach(programs, hook, types).err();
    Ability { name: hook.name, gives: hook.gives, missing }
}

fn try_attach(programs: &mut Ebpf, hook: &Hook, types: &Btf) -> Result<(), String> {
    let program = programs.program_mut(hook.program).ok_or("not in the embedded object")?;
    match hook.kind {
        Kind::Typed => {
            let program: &mut BtfTracePoint = program.try_into().map_err(|error| chain(&error))?;
            program.load(hook.name, types).map_err(|error| chain(&error))?;
            program.attach().map_err(|error| chain(&error))?;
        }
        Kind::Raw => {
            let program: &mut RawTracePoint = program.try_into().map_err(|error| chain(&error))?;
            program.load().map_err(|error| chain(&error))?;
            program.attach(hook.name).map_err(|error| chain(&error))?;
        }
        Kind::End => {
            let program: &mut FExit = program.try_into().map_err(|error| chain(&error))?;
            program.load(hook.name, types).map_err(|error| chain(&error))?;
            program.attach().map_err(|error| chain(&error))?;
        }
        Kind::Probe if !Path::new(PROBES_OF_KERNEL).exists() => {
            return Err("this kernel has no probes (CONFIG_KPROBES)".into());
        }
        Kind::Probe => {
            let program: &mut KProbe = program.try_into().map_err(|error| chain(&error))?;
            program.load().map_err(|error| chain(&error))?;
            program.attach(hook.name, 0).map_err(|error| chain(&error))?;
        }
    }
    Ok(())
}

/// Fills the table of calls.
fn fill_calls(programs: &mut Ebpf) -> Result<(), SensorError> {
    let map = programs.map_mut("calls").ok_or(SensorError::Object("calls"))?;
    let mut table = Array::<_, [u64; 3]>::try_from(map).map_err(|error| failed("calls", &error))?;
    for row in calls::CALLS {
        let native = Some(u32::from(row.number)).filter(|number| *number < COMPAT);
        let compat = row.compat.iter().map(|number| COMPAT + u32::from(*number));
        for index in native.into_iter().chain(compat) {
            table.set(index, row.words(), 0).map_err(|error| failed("calls", &error))?;
        }
    }
    Ok(())
}

/// Fills a table of watched names. Of a path the last part counts; a name that is too long cannot be watched by name.
fn fill_names(programs: &mut Ebpf, map: &'static str, names: &[String]) -> Result<(), SensorError> {
    let object = programs.map_mut(map).ok_or(SensorError::Object(map))?;
    let mut table =
        HashMap::<_, [u8; NAME], u8>::try_from(object).map_err(|error| failed(map, &error))?;
    for name in names {
        let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        table.insert(key(map, last)?, 1, 0).map_err(|error| failed(map, &error))?;
    }
    Ok(())
}

/// A name as the kernel side looks it up.
fn key(map: &'static str, name: &str) -> Result<[u8; NAME], SensorError> {
    let mut key = [0; NAME];
    match key.get_mut(..name.len()) {
        Some(start) if !name.is_empty() && name.len() < NAME => {
            start.copy_from_slice(name.as_bytes());
            Ok(key)
        }
        _ => {
            let cause = format!("a name must have 1 to {} bytes: {name:?}", NAME - 1);
            Err(SensorError::Map { name: map, cause })
        }
    }
}

/// See [`Sensor::hold`].
pub(crate) fn hold(
    table: &mut HashMap<MapData, [u8; NAME], u8>,
    names: &[String],
) -> Result<(), SensorError> {
    let mut wanted = BTreeSet::new();
    for name in names {
        wanted.insert(key("holds", name)?);
        // The kernel keeps 15 bytes of the name of a process.
        if let Some(short) = name.as_bytes().get(..COMM).map(String::from_utf8_lossy) {
            wanted.insert(key("holds", &short)?);
        }
    }
    let present: BTreeSet<[u8; NAME]> =
        table.keys().collect::<Result<_, _>>().map_err(|error| failed("holds", &error))?;
    for gone in present.difference(&wanted) {
        table.remove(gone).map_err(|error| failed("holds", &error))?;
    }
    for new in wanted.difference(&present) {
        table.insert(new, 1, 0).map_err(|error| failed("holds", &error))?;
    }
    Ok(())
}

/// Tells the kernel side of the containers that exist.
fn register(
    table: &mut HashMap<MapData, u64, GroupState>,
    mut used: Option<&mut HashMap<MapData, u64, UsedState>>,
    root: &Path,
) -> Vec<Record> {
    let mut records = Vec::new();
    for group in groups::existing(root) {
        let mut state = [0; 2 + 2 * KINDS];
        let [container, device, ..] = &mut state;
        *container = group.container;
        *device = groups::root_device(&root.join(group.path.trim_start_matches('/'))).unwrap_or(0);
        // The kernel may know it already: made since the hook is there.
        if table.insert(group.id, state, NOEXIST).is_err() {
            continue;
        }
        if let Some(used) = &mut used {
            let state = state_of_existing(group.container, group.name.as_deref());
            let _ = used.insert(group.id, state, NOEXIST);
        }
        if let Some(container) = group.name {
            let (cgroup, path, outer) = (group.id, group.path, group.outer);
            records.push(Record::New { cgroup, container, path, outer });
        }
    }
    records
}

fn take(programs: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, SensorError> {
    programs.take_map(name).ok_or(SensorError::Object(name))
}

fn failed(name: &'static str, error: &dyn std::error::Error) -> SensorError {
    SensorError::Map { name, cause: chain(error) }
}

/// Inode number of the host's mount namespace; 0 if it cannot be told. From the link's text, as looking at what it
/// points to is refused where reading it is not. Where even that is (security modules), it is our own namespace; that is
/// the host's unless we run in a container.
pub(crate) fn host_mounts() -> u32 {
    let number = |link: &str| {
        let link = fs::read_link(link).ok()?;
        let link = link.to_str()?;
        link.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok()
    };
    number("/proc/1/ns/mnt").or_else(|| number("/proc/self/ns/mnt")).unwrap_or(0)
}

/// A size that the kernel takes for a ring: a power of two, at least a page of any machine.
fn ring_bytes(wanted: u32) -> u32 {
    wanted.clamp(64 << 10, 1 << 30).next_power_of_two()
}

/// An error with its causes; of the verifier's log, which may be megabytes, the end, where the reason is.
fn chain(error: &dyn std::error::Error) -> String {
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
    let size = text.chars().count();
    if size <= CAUSE {
        return text;
    }
    let end: String = text.chars().skip(size - CAUSE).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_rings_are_powers_of_two() {
        assert_eq!(ring_bytes(0), 65_536);
        assert_eq!(ring_bytes(5 << 20), 8 << 20);
        assert_eq!(ring_bytes(u32::MAX), 1 << 30);
    }
}
