//! The two threads of the fence: one answers, the other sees to it that an answer is given. Neither reads or writes a
//! file of a container, and neither holds a lock while it looks at anything.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use std::{fs, io};

use haechi_core::event::Origin;
use nix::errno::Errno;
use nix::sys::fanotify::{FanotifyEvent, FanotifyResponse, Response};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use super::allowed::Found;
use super::{Scope, Shared, lock};
use crate::deny::{Because, Names, Refusal, Tier};
use crate::groups;

/// How long the answer to one question may take. With `LOOK`, under the 100 ms that are promised. Many questions are no
/// reason to let any of them through: whoever asks waits for its turn.
const LATE: Duration = Duration::from_millis(50);
/// The same where only what is allowed may start: that waits so long, and is refused then.
const HELD_UP: Duration = Duration::from_secs(2);
/// How often the watchdog looks, in nanoseconds.
const LOOK: i64 = 40_000_000;
/// The most urgent of ordinary threads (setpriority(2)).
const NICE: i32 = -20;
/// What the kernel appends to the path of a file that was removed.
const REMOVED: &str = " (deleted)";

/// Questions that wait for an answer.
#[derive(Default)]
pub(super) struct Turn {
    /// When the one that is looked at was begun, or reading; `None` if there is none.
    since: Option<Instant>,
    /// The one that is looked at, and the answer that it gets if it takes too long, as far as that is known already. The
    /// watchdog takes it away when it answers.
    current: Option<(Arc<FanotifyEvent>, Option<Response>)>,
    waiting: VecDeque<Arc<FanotifyEvent>>,
    /// The thread that answers has ended.
    over: bool,
}

/// Answers until it is told to stop.
pub(super) fn answer(shared: &Shared, sender: &SyncSender<Refusal>) {
    // Programs wait for this thread; on a busy machine it must not wait behind what they started. Best effort.
    let _ = rustix::process::setpriority_process(None, NICE);
    while wait(shared) {
        lock(&shared.turn).since = Some(Instant::now());
        match shared.group.read_events() {
            Ok(events) => lock(&shared.turn).waiting.extend(events.into_iter().map(Arc::new)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => {
                // No room for a descriptor: the kernel has refused that one. Not again at once.
                shared.unread.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        while let Some(event) = take(shared) {
            answer_one(shared, &event, sender);
        }
    }
    let mut turn = lock(&shared.turn);
    turn.over = true;
    turn.since = None;
}

/// Waits for a question; whether to go on.
fn wait(shared: &Shared) -> bool {
    let mut all = [
        PollFd::from_borrowed_fd(shared.stop.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(shared.group.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(shared.again.as_fd(), PollFlags::IN),
    ];
    let goes_on = match poll(&mut all, None) {
        Ok(_) => !all.iter().take(1).any(|stop| !stop.revents().is_empty()),
        Err(error) => error == rustix::io::Errno::INTR,
    };
    // Fails if nothing was given back.
    let _ = rustix::io::read(&shared.again, &mut [0_u8; 8]);
    goes_on
}

/// The next question; none left is the end of the turn.
fn take(shared: &Shared) -> Option<Arc<FanotifyEvent>> {
    let mut turn = lock(&shared.turn);
    let next = turn.waiting.pop_front();
    turn.since = next.as_ref().map(|_| Instant::now());
    turn.current = next.clone().map(|event| (event, None));
    next
}

fn answer_one(shared: &Shared, event: &FanotifyEvent, sender: &SyncSender<Refusal>) {
    let names = Arc::clone(&lock(&shared.names));
    let allowed = Arc::clone(&lock(&shared.allowed));
    let scope = Arc::clone(&lock(&shared.scope));
    let path = path_of(event);
    let name = path.as_deref().and_then(|path| name_of(path, &names));
    // A path that is longer than the kernel tells is made by hand, to be seen by nobody.
    let hides = path.is_none() && !names.is_empty();
    if name.is_none() && !hides && allowed.is_empty() {
        reply(shared, event, Response::FAN_ALLOW);
        return;
    }
    // What is refused in every container is refused however long it takes to tell in which.
    let everywhere = hides || name.as_deref().is_some_and(|name| names.refuses(None, name));
    let settled = everywhere && settle(shared, Response::FAN_DENY);
    let group = group_of(event, &scope);
    let by_name = everywhere || name.as_deref().is_some_and(|name| names.refuses(group, name));
    let found = if by_name {
        Some(Found { because: Because::Name, origin: Origin::Unknown, is_refused: true })
    } else {
        group.and_then(|group| allowed.refuses(group, path.as_deref(), event))
    };
    let refuses = found.as_ref().is_some_and(|found| found.is_refused);
    let response = if refuses { Response::FAN_DENY } else { Response::FAN_ALLOW };
    let replied = reply(shared, event, response);
    let Some(Found { because, origin, is_refused }) = found else { return };
    // What the watchdog let through was not refused.
    if !(settled || replied) {
        return;
    }
    if is_refused {
        shared.refused.fetch_add(1, Ordering::Relaxed);
    }
    let path = path.unwrap_or_default();
    let last = || path.rsplit('/').next().unwrap_or_default().to_owned();
    let refusal = Refusal {
        cgroup: group.unwrap_or(0),
        pid: u32::try_from(event.pid()).unwrap_or(0),
        name: name.unwrap_or_else(last),
        path,
        at_ns: now(),
        tier: Tier::Fanotify,
        because,
        origin,
        is_refused,
    };
    match sender.try_send(refusal) {
        Ok(()) => shared.tell(),
        Err(_) => {
            shared.untold.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sets what the watchdog answers; false if it has answered.
fn settle(shared: &Shared, response: Response) -> bool {
    let mut turn = lock(&shared.turn);
    turn.current.as_mut().map(|(_, settled)| *settled = Some(response)).is_some()
}

/// Answers; false if the watchdog has.
fn reply(shared: &Shared, event: &FanotifyEvent, response: Response) -> bool {
    let mut turn = lock(&shared.turn);
    let open = turn.current.take().is_some();
    if open {
        respond(shared, event, response);
    }
    open
}

/// The program's path; `None` if it is longer than the kernel tells. Empty if there is none.
fn path_of(event: &FanotifyEvent) -> Option<String> {
    let Some(file) = event.fd() else { return Some(String::new()) };
    match fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        Ok(path) => Some(path.to_string_lossy().into_owned()),
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => None,
        Err(_) => Some(String::new()),
    }
}

/// The program's name, if it is refused somewhere.
fn name_of(path: &str, names: &Names) -> Option<String> {
    let whole = path.rsplit('/').next().unwrap_or_default();
    // A file may really be called so.
    let both = [whole, whole.strip_suffix(REMOVED).unwrap_or(whole)];
    both.into_iter().find(|name| names.knows(name)).map(str::to_owned)
}

/// The watched group of a program: told by the file where that can be done, which holds whoever starts it, and else by
/// the process (an overlay over several file systems gives each file the device of its layer).
fn group_of(event: &FanotifyEvent, scope: &Scope) -> Option<u64> {
    let device = rustix::fs::fstat(event.fd()?).ok()?.st_dev;
    scope.devices.get(&device).copied().or_else(|| group_of_process(event.pid(), scope))
}

/// The innermost watched group that a process is in.
fn group_of_process(pid: i32, scope: &Scope) -> Option<u64> {
    if pid <= 0 {
        return None;
    }
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = groups::root();
    let mut folder: &Path = &root.join(path);
    while folder != root {
        if let Ok(meta) = folder.metadata()
            && scope.groups.contains(&meta.ino())
        {
            return Some(meta.ino());
        }
        folder = folder.parent()?;
    }
    None
}

fn respond(shared: &Shared, event: &FanotifyEvent, response: Response) {
    if let Some(file) = event.fd() {
        // Fails if who asked was killed meanwhile.
        let _ = shared.group.write_response(FanotifyResponse::new(file, response));
    }
}

/// Looks after the other thread until that has ended.
pub(super) fn watch(shared: &Shared) {
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut stopping = false;
    loop {
        let mut stop = [PollFd::from_borrowed_fd(shared.stop.as_fd(), PollFlags::IN)];
        let look = Timespec { tv_sec: 0, tv_nsec: if stopping { 1_000_000 } else { LOOK } };
        if stopping {
            std::thread::sleep(Duration::from_millis(1));
        } else if poll(&mut stop, Some(&look)).is_ok_and(|ready| ready > 0) {
            stopping = true;
        }
        let turn = lock(&shared.turn);
        if turn.over {
            return;
        }
        let taken = turn.since.map(|since| since.elapsed()).unwrap_or_default();
        drop(turn);
        if taken > LATE {
            // The end lets everything through.
            let limited = match taken > HELD_UP {
                _ if stopping => Some(Response::FAN_ALLOW),
                true => Some(Response::FAN_DENY),
                false => None,
            };
            rescue(shared, limited);
        }
    }
}

/// Answers whatever waits, also what has not been read yet, until the other thread goes on. What is asked where only what is
/// allowed may start gets the answer `limited`, or goes on waiting.
fn rescue(shared: &Shared, limited: Option<Response>) {
    let allowed = Arc::clone(&lock(&shared.allowed));
    let scope = Arc::clone(&lock(&shared.scope));
    // Told by the process alone: a file system that does not answer may be what the other thread waits for.
    let decide = |event: &FanotifyEvent| {
        let group = group_of_process(event.pid(), &scope);
        let is_limited = group.is_some_and(|group| allowed.denies(group));
        (group, if is_limited { limited } else { Some(Response::FAN_ALLOW) })
    };
    let mut kept = VecDeque::new();
    loop {
        let mut turn = lock(&shared.turn);
        let (current, waiting) = (turn.current.clone(), std::mem::take(&mut turn.waiting));
        drop(turn);
        if let Some((event, settled)) = current {
            let (group, otherwise) = decide(&event);
            let mut turn = lock(&shared.turn);
            let is_open = turn.current.as_ref().is_some_and(|(now, _)| Arc::ptr_eq(now, &event));
            if let Some(response) = settled.or(otherwise).filter(|_| is_open) {
                turn.current = None;
                respond(shared, &event, response);
                drop(turn);
                if settled.is_none() {
                    unlooked(shared, group, response);
                }
            }
        }
        for event in waiting {
            match decide(&event) {
                (group, Some(response)) => {
                    respond(shared, &event, response);
                    unlooked(shared, group, response);
                }
                (_, None) => kept.push_back(event),
            }
        }
        let is_stuck = lock(&shared.turn).since.is_some_and(|since| since.elapsed() > LATE);
        if !is_stuck {
            break;
        }
        match shared.group.read_events() {
            Ok(events) if !events.is_empty() => {
                lock(&shared.turn).waiting.extend(events.into_iter().map(Arc::new));
            }
            _ => break,
        }
    }
    if !kept.is_empty() {
        let mut turn = lock(&shared.turn);
        kept.append(&mut turn.waiting);
        turn.waiting = kept;
        drop(turn);
        // Fails only if the counter is full: it is readable then.
        let _ = rustix::io::write(&shared.again, &1_u64.to_ne_bytes());
    }
}

/// Counts what was answered without a look.
fn unlooked(shared: &Shared, group: Option<u64>, response: Response) {
    let is_refused = response == Response::FAN_DENY;
    let count = if is_refused { &shared.refused } else { &shared.late };
    count.fetch_add(1, Ordering::Relaxed);
    let mut all = lock(&shared.unlooked);
    let of_it = all.entry(group.unwrap_or(0)).or_default();
    if is_refused {
        of_it.refused += 1;
        shared.untold.fetch_add(1, Ordering::Relaxed);
    } else {
        of_it.let_through += 1;
    }
}

/// Nanoseconds since the machine started.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
