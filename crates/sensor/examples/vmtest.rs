//! What `cargo xtask vm` runs in its virtual machine, as the machine's only program: the sensor's self-test, refused
//! programs, and a network that is cut, on a kernel with BPF LSM and AppArmor and with control groups of version 2
//! alone; with `haechi=unasked` on the kernel's line, that a kernel without BPF LSM is known. Prints a line for each thing, `ok …` or `FAIL …`, and last `end` with how many there were.

#![expect(clippy::print_stdout, reason = "its output is the verdict")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use haechi_core::allowance::{Allowance, Mode};
use haechi_core::event::{Action, Origin};
use haechi_core::profile::Kind;
use haechi_sensor::{Cut, Deny, Options, Record, Refusal, Sensor, Tier, selftest};

#[path = "vmtest/allow.rs"]
mod allow;

type Outcome = Result<(), Box<dyn Error>>;

const GROUPS: &str = "/sys/fs/cgroup";
/// Enters a group and becomes a program.
const ENTER: &str = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
/// Copies of busybox under names that are none of its own: a shell says 127 when they ran, 126 when they might not.
const SSHD: &str = "/opt/sshd";
const OTHER: &str = "/opt/other";
const RAN: i32 = 127;
const REFUSED: i32 = 126;
/// What a shell says of one that was killed.
const ENDED: i32 = 137;

/// Counts and prints.
#[derive(Default)]
struct Lines(u32);

impl Lines {
    fn tell(&mut self, what: &str, problem: Option<String>) {
        self.0 += 1;
        match problem {
            None => println!("ok {what}"),
            Some(cause) => println!("FAIL {what}: {}", cause.replace('\n', " | ")),
        }
    }

    fn is(&mut self, what: &str, holds: bool) {
        self.tell(what, (!holds).then(|| "it is not so".into()));
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: T, wanted: T) {
        let problem = (found != wanted).then(|| format!("{found:?}, not {wanted:?}"));
        self.tell(what, problem);
    }

    fn part(&mut self, what: &str, part: impl FnOnce(&mut Self) -> Outcome) {
        if let Err(error) = part(self) {
            self.tell(what, Some(format!("{error} ({error:?})")));
        }
    }
}

fn main() {
    let mut lines = Lines::default();
    if fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.contains("haechi=unasked")) {
        lines.part("without BPF LSM", unasked);
        println!("end {}", lines.0);
        return;
    }
    lines.part("the machine", machine);
    lines.part("the sensor", sensor);
    lines.part("names of groups", names);
    lines.part("refusal by the kernel", |lines| refusal(lines, Tier::Lsm));
    lines.part("refusal by the file system", |lines| refusal(lines, Tier::Fanotify));
    lines.part("what is allowed", allow::allow);
    lines.part("the network", network);
    println!("end {}", lines.0);
}

/// What the kernel was started with.
fn machine(lines: &mut Lines) -> Outcome {
    let modules = fs::read_to_string("/sys/kernel/security/lsm")?;
    let has = |name: &str| modules.trim().split(',').any(|module| module == name);
    lines.is("BPF LSM is on", has("bpf"));
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled")?;
    lines.is("AppArmor is on", has("apparmor") && enabled.trim() == "Y");
    let mounts = fs::read_to_string("/proc/mounts")?;
    let groups: Vec<_> = mounts.lines().filter(|line| line.contains(" cgroup")).collect();
    lines.is(
        "only control groups of version 2",
        matches!(groups.as_slice(), [one] if one.contains(" cgroup2 ")),
    );
    Ok(())
}

/// A kernel that takes the program and never asks it is seen through, and the other tier is taken.
fn unasked(lines: &mut Lines) -> Outcome {
    let modules = fs::read_to_string("/sys/kernel/security/lsm")?;
    lines.is("BPF LSM is off", !modules.trim().split(',').any(|module| module == "bpf"));
    let (deny, abilities) = Deny::new();
    let cause = abilities.first().and_then(|ability| ability.missing.clone()).unwrap_or_default();
    let problem = (!cause.contains("does not ask")).then_some(cause);
    lines.tell("a program that is not asked is not trusted", problem);
    lines.same("refusal by the file system instead", deny.tier(), Tier::Fanotify);
    Ok(())
}

fn sensor(lines: &mut Lines) -> Outcome {
    let (mut sensor, abilities) =
        Sensor::load(&Options { profile_bytes: 1 << 20, ..Options::default() })?;
    for ability in abilities {
        lines.tell(&format!("hook {}", ability.name), ability.missing);
    }
    used(lines, &mut sensor)?;
    drop(sensor);
    for tried in selftest()? {
        lines.is(&format!("seen: {}", tried.what), tried.seen);
    }
    Ok(())
}

/// What a group uses is kept as sets, by these kernels' own fields.
fn used(lines: &mut Lines, sensor: &mut Sensor) -> Outcome {
    let mut profiler = sensor.profiler().ok_or("no profiler")?;
    lines.is("profiles have no gap", profiler.gaps().is_empty());
    let group = Group::new('e')?;
    fs::write("/given", "")?;
    status(&group.0, &["/bin/busybox", "chown", "5:5", "/given"])?;
    // A program that is given NET_RAW by its file (`struct vfs_cap_data`), on a file system that keeps such.
    fs::create_dir_all("/files")?;
    Command::new("/bin/busybox").args(["mount", "-t", "tmpfs", "files", "/files"]).status()?;
    fs::copy("/bin/busybox", "/files/raw")?;
    let rights = [0x0200_0001_u32, 1 << 13, 0, 0, 0].map(u32::to_le_bytes).concat();
    let none = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr("/files/raw", "security.capability", &rights, none)?;
    status(&group.0, &["/files/raw"])?;
    let mut firsts = BTreeSet::new();
    for _ in 0..50 {
        profiler.next(Duration::from_millis(20), &mut |first| {
            firsts.insert((first.kind, first.value));
        })?;
    }
    let id = "e".repeat(64);
    let used = profiler.used()?.into_iter().find(|one| one.id.as_deref() == Some(id.as_str()));
    let used = used.ok_or("no set of the group")?;
    lines.is("its calls are kept", used.calls.contains("chown") && !used.calls.contains("mount"));
    lines.same("its capabilities are kept", used.capabilities, 1 | 1 << 13);
    let has = |kind, value: &str| firsts.contains(&(kind, value.to_owned()));
    lines.is("its program is told", has(Kind::Executed, "/bin/busybox"));
    lines.is("what it changed is told", has(Kind::Written, "/given"));
    Ok(())
}

/// Groups as engines name them, with either driver and below Kubernetes; and some that are no container's.
const NAMES: [(&str, bool); 9] = [
    ("docker/ID", true),
    ("system.slice/docker-ID.scope", true),
    ("machine.slice/libpod-ID.scope/container", true),
    ("user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", true),
    (
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-ID.scope",
        true,
    ),
    ("kubepods.slice/kubepods-podUID.slice/crio-ID.scope", true),
    ("kubepods/besteffort/podUID/ID", true),
    ("machine.slice/libpod-conmon-ID.scope", false),
    ("system.slice/docker-ID.service", false),
];
/// No event that comes at all comes later.
const PATIENCE: Duration = Duration::from_secs(60);

/// What runs in a group that is named as a container's is told, with the id in the name, whether the group was there
/// before the sensor or not.
fn names(lines: &mut Lines) -> Outcome {
    let make = |round: usize| -> io::Result<Vec<(String, PathBuf)>> {
        let made = NAMES.iter().enumerate().map(|(n, (name, _))| {
            let id = format!("{:064x}", 0xa00 + 16 * n + round);
            let folder = Path::new(GROUPS).join(name.replace("ID", &id));
            fs::create_dir_all(&folder).map(|()| (id, folder))
        });
        made.collect()
    };
    let before = make(0)?;
    let (mut sensor, _) = Sensor::load(&Options::default())?;
    let after = make(1)?;
    for (id, folder) in before.iter().chain(&after) {
        status(folder, &["/bin/echo", id])?;
    }
    // The last that runs is a container's, so all others have been told before it, or never are.
    let last = Group::new('f')?;
    status(&last.0, &["/bin/echo", "last"])?;
    let mut containers = BTreeMap::new();
    let mut told = BTreeSet::new();
    let end = Instant::now() + PATIENCE;
    while !told.contains(&("f".repeat(64), "last".to_owned())) && Instant::now() < end {
        sensor.next_batch(Duration::from_millis(100), &mut |record| match record {
            Record::New { cgroup, container, .. } => drop(containers.insert(cgroup, container)),
            Record::Event(seen) => {
                let Action::Exec(exec) = seen.event.action else { return };
                let (Some(id), Some(word)) = (containers.get(&seen.event.cgroup), exec.args.last())
                else {
                    return;
                };
                told.insert((id.clone(), word.clone()));
            }
            Record::Gone { .. } => {}
        })?;
    }
    for (((name, is_container), (before, _)), (after, _)) in NAMES.iter().zip(&before).zip(&after) {
        let found = [before, after].map(|id| told.contains(&(id.clone(), id.clone())));
        let what = if *is_container { "a container" } else { "no container" };
        lines.same(&format!("{what}: {name}"), found, [*is_container; 2]);
    }
    Ok(())
}

/// A control group that is named as a container's; removed when dropped.
struct Group(PathBuf);

impl Group {
    fn new(digit: char) -> io::Result<Self> {
        let folder = Path::new(GROUPS).join("docker").join(digit.to_string().repeat(64));
        fs::create_dir_all(folder.join("inner"))?;
        Ok(Self(folder))
    }

    fn id(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.ino())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.0.join("inner")).and_then(|()| fs::remove_dir(&self.0));
    }
}

/// Runs a program in a group; its exit status.
fn status(group: &Path, program: &[&str]) -> io::Result<i32> {
    let mut shell = Command::new("/bin/sh");
    // The inner shell is that of the container; it is the one that starts the program.
    shell.args(["-c", ENTER]).arg(group).args(["/bin/sh", "-c", "\"$@\"", "sh"]).args(program);
    let status = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    status.code().ok_or_else(|| io::Error::other(status.to_string()))
}

fn refusal(lines: &mut Lines, tier: Tier) -> Outcome {
    let (mut deny, abilities) = Deny::with_tier(tier);
    for ability in abilities {
        lines.tell(&format!("{} refuses", ability.name), ability.missing);
    }
    if deny.tier() != tier {
        return Err("no such tier".into());
    }
    let container = Group::new(if tier == Tier::Lsm { 'a' } else { 'b' })?;
    let neighbour = Group::new('c')?;
    // The fence sees a file system of the container's own; the kernel sees every program.
    let (merged, sshd, other) = if tier == Tier::Lsm {
        (None, SSHD.to_owned(), OTHER.to_owned())
    } else {
        let merged = overlay()?;
        (Some(merged.clone()), format!("{merged}/sshd"), format!("{merged}/other"))
    };
    let what = |text: &str| format!("{tier:?}: {text}");
    let group = container.id()?;
    deny.watch(group, merged.as_deref().map(Path::new))?;
    lines.same(&what("without names all run"), status(&container.0, &[&sshd])?, RAN);
    deny.set_names(&["sshd".to_owned()])?;
    lines.same(&what("the program is refused"), status(&container.0, &[&sshd])?, REFUSED);
    lines.same(
        &what("so it is in a group below"),
        status(&container.0.join("inner"), &[&sshd])?,
        REFUSED,
    );
    lines.same(&what("another runs"), status(&container.0, &[&other])?, RAN);
    let mut wanted = 2;
    if tier == Tier::Lsm {
        let outside = status(&neighbour.0, &[&sshd])?;
        lines.same(&what("it runs in another container"), outside, RAN);
        lines.same(&what("it runs on the host"), status(Path::new(GROUPS), &[&sshd])?, RAN);
        fs::write("/tmp/script", format!("#!{sshd}\n"))?;
        Command::new("/bin/chmod").args(["755", "/tmp/script"]).status()?;
        let script = status(&container.0, &["/tmp/script"])?;
        lines.same(&what("as an interpreter it is refused"), script, REFUSED);
        wanted += 1;
    } else {
        let copy = "cp /opt/sshd /tmp/sshd && /tmp/sshd";
        let elsewhere = status(&container.0, &["/bin/sh", "-c", copy])?;
        lines.same(&what("other file systems are not seen"), elsewhere, RAN);
    }
    let mut told: Vec<Refusal> = Vec::new();
    while told.len() < wanted {
        let found = deny.next(Duration::from_secs(5))?;
        if found.is_empty() {
            break;
        }
        told.extend(found);
    }
    lines.same(&what("each refusal is told"), told.len(), wanted);
    let right = |one: &Refusal| {
        one.cgroup == group
            && one.name == "sshd"
            && one.path == sshd
            && one.pid > 1
            && one.tier == tier
    };
    let problem = (!told.iter().all(right)).then(|| format!("{told:?}"));
    lines.tell(&what("with its container, process and path"), problem);
    deny.set_names(&[])?;
    lines.same(&what("names can be taken back"), status(&container.0, &[&sshd])?, RAN);
    deny.set_names_of(group, &["other".to_owned()])?;
    lines.same(&what("a name of one container"), status(&container.0, &[&other])?, REFUSED);
    deny.forget(group)?;
    lines.same(&what("a container is forgotten"), status(&container.0, &[&other])?, RAN);
    deny.watch(group, merged.as_deref().map(Path::new))?;
    deny.set_names(&["sshd".to_owned()])?;
    let again = status(&container.0, &[&sshd])?;
    lines.same(&what("and watched again"), again, REFUSED);
    if tier == Tier::Fanotify {
        deny.set_names(&[])?;
        let programs = [("/bin/busybox".to_owned(), [Origin::Mounted].into())].into();
        let allowance = Allowance { programs, writable: None };
        let folder = merged.as_deref().map(Path::new);
        let lacks = deny.allow_only(group, folder, Some((&allowance, Mode::Deny)))?;
        lines.same(&what("what it does not see can be ended"), lacks, None);
        let copy = "cp /opt/sshd /tmp/sshd && /tmp/sshd; exit $?";
        let elsewhere = status(&container.0, &["/bin/sh", "-c", copy])?;
        lines.same(&what("and is, where only what is allowed may start"), elsewhere, ENDED);
        let _ = deny.allow_only(group, None, None)?;
    }
    drop(deny);
    lines.same(&what("when we end, all run"), status(&container.0, &[&sshd])?, RAN);
    Ok(())
}

/// An overlay with the programs, as an engine mounts it.
fn overlay() -> Result<String, Box<dyn Error>> {
    for folder in ["/tmp/upper", "/tmp/work", "/tmp/merged"] {
        fs::create_dir_all(folder)?;
    }
    let layers = "lowerdir=/opt,upperdir=/tmp/upper,workdir=/tmp/work";
    let mut mount = Command::new("/bin/mount");
    mount.args(["-t", "overlay", "overlay", "-o", layers, "/tmp/merged"]);
    if !mount.status()?.success() {
        return Err("no overlay could be mounted".into());
    }
    Ok("/tmp/merged".into())
}

fn network(lines: &mut Lines) -> Outcome {
    let container = Group::new('d')?;
    let neighbour = Group::new('e')?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port().to_string();
    // Whoever connects is greeted.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream: TcpStream = stream;
            let _ = io::Write::write_all(&mut stream, b"hello\n");
        }
    });
    let greeted = |group: &Path| {
        let talk = format!("nc -w 2 127.0.0.1 {port} < /dev/null | grep hello");
        status(group, &["/bin/sh", "-c", &talk])
    };
    lines.same("before the cut there is a network", greeted(&container.0)?, 0);
    let cut = Cut::cut(&container.0)?;
    lines.same("the network is cut", greeted(&container.0)?, 1);
    let inner = greeted(&container.0.join("inner"))?;
    lines.same("so it is in a group below", inner, 1);
    lines.same("another container has its network", greeted(&neighbour.0)?, 0);
    lines.same("the host has its network", greeted(Path::new(GROUPS))?, 0);
    let stopped = cut.stopped()?;
    lines.is("what was stopped is counted", stopped.sent > 0);
    cut.restore();
    lines.same("the network is restored", greeted(&container.0)?, 0);
    lines.is("the machine's own group is not cut", Cut::cut(Path::new(GROUPS)).is_err());
    Ok(())
}
