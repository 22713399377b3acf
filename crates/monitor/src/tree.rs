//! Processes and their ancestors, from what the kernel told and what `/proc` said when the monitor began.
//!
//! A process that only forked is what its parent was. One that ended is remembered for a while, because its children
//! are still judged by it. It promises bounded memory, not a complete family.

use foldhash::HashMap;
use haechi_core::event::{Action, Event, Origin};

/// Processes that are remembered. A machine has at most some ten thousand at once.
const KNOWN_MAX: usize = 100_000;
/// Ancestors that are followed.
pub const ANCESTORS_MAX: usize = 32;

/// What is known about a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Id on the host.
    pub pid: u32,
    /// When it was started, in nanoseconds since the machine started; 0 if unknown.
    pub started: u64,
    /// The parent's id.
    pub parent: u32,
    /// Name as the kernel keeps it.
    pub name: String,
    /// The program's file.
    pub path: String,
    /// Arguments, the first is the program's own name.
    pub args: Vec<String>,
    /// Working directory when the program was started.
    pub cwd: String,
    /// Where the program's file is from.
    pub origin: Origin,
    /// Session leader.
    pub session: u32,
    /// Login user; `u32::MAX` if there is none.
    pub login_uid: u32,
    /// Device number of the controlling terminal; 0 if there is none.
    pub tty: u32,
    /// Permitted capabilities.
    pub permitted: u64,
    /// Id as the container sees it; 0 if unknown.
    pub inner_pid: u32,
    /// When it ended; 0 while it runs.
    pub ended: u64,
    /// When it started its program, in nanoseconds since the machine started; 0 if unknown.
    pub exec_at: u64,
    /// What it was before that: events of then may come later.
    pub before: Option<Box<Known>>,
    /// What its program is by its content; empty if it is none that is known so, or was not looked at yet.
    pub program: String,
}

impl Known {
    /// Name and arguments as one line.
    pub fn command_line(&self) -> String {
        let mut line = self.name.clone();
        for arg in self.args.iter().skip(1) {
            line.push(' ');
            line.push_str(arg);
        }
        line
    }
}

/// All processes that are remembered.
#[derive(Debug, Default)]
pub struct Tree {
    known: HashMap<u32, Known>,
}

impl Tree {
    /// A process that was there when the monitor began.
    pub fn seed(&mut self, known: Known) {
        self.known.insert(known.pid, known);
    }

    /// Learns from an event, before it is judged.
    pub fn see(&mut self, event: &Event) {
        let process = &event.process;
        let same = self
            .known
            .get(&process.pid)
            .is_some_and(|known| known.started == 0 || known.started == process.started);
        if !same {
            // It has only forked until now: it is what its parent is.
            // Who started that program is known even if the parent is gone and another took its place (a daemon).
            let owner = if process.owner == 0 { process.parent } else { process.owner };
            let nobody = || Known { login_uid: u32::MAX, ..Known::default() };
            let parent = self.at(owner, process.started).cloned().unwrap_or_else(nobody);
            let before = None;
            let inner_pid = 0;
            self.known
                .insert(process.pid, Known { ended: 0, exec_at: 0, before, inner_pid, ..parent });
        }
        let Some(known) = self.known.get_mut(&process.pid) else { return };
        if event.at < known.exec_at {
            return;
        }
        known.pid = process.pid;
        known.started = process.started;
        known.parent = process.parent;
        // Opening a file does not tell these.
        if !matches!(event.action, Action::Open(_)) {
            known.session = process.session;
            known.login_uid = process.login_uid;
            known.tty = process.tty;
            known.permitted = process.permitted;
            known.inner_pid = process.inner_pid;
        }
        known.name.clone_from(&process.name);
        match &event.action {
            Action::Exec(exec) => {
                let mut before = known.clone();
                // One is enough: what comes late is of the moment before.
                before.before = None;
                if !exec.before.is_empty() {
                    exec.before.clone_into(&mut before.name);
                }
                known.before = Some(Box::new(before));
                known.exec_at = event.at;
                known.path.clone_from(&exec.path);
                known.args.clone_from(&exec.args);
                known.cwd.clone_from(&exec.cwd);
                known.origin = exec.origin;
                known.program.clear();
            }
            Action::Exit(_) if process.pid == process.tid => known.ended = event.at,
            _ => {}
        }
        if self.known.len() > KNOWN_MAX {
            self.forget();
        }
    }

    /// Fills in what opening a file does not tell of its process: what was told of it last.
    pub fn complete(&self, event: &mut Event) {
        if !matches!(event.action, Action::Open(_)) {
            return;
        }
        let Some(known) = self.at(event.process.pid, event.at) else { return };
        let process = &mut event.process;
        process.session = known.session;
        process.login_uid = known.login_uid;
        process.tty = known.tty;
        process.permitted = known.permitted;
        process.inner_pid = known.inner_pid;
    }

    /// What the program that an event started is by its content, unless the process runs another one by now.
    pub fn name(&mut self, event: &Event, program: &str) {
        let process = &event.process;
        let Action::Exec(exec) = &event.action else { return };
        if let Some(known) = self.known.get_mut(&process.pid)
            && known.started == process.started
            && known.path == exec.path
        {
            program.clone_into(&mut known.program);
        }
    }

    /// The process of an event and its ancestors, as they were when the event was seen.
    pub fn at_start_of(&self, event: &Event) -> Self {
        let mut then = Self::default();
        for known in
            self.get(event.process.pid).into_iter().chain(self.ancestors(event.process.pid))
        {
            then.seed(known.clone());
        }
        then.see(event);
        then
    }

    /// Half of those that ended go, the first ended first; if none did, those that began first.
    fn forget(&mut self) {
        let mut ends: Vec<u64> = self.known.values().map(|known| known.ended).collect();
        ends.sort_unstable();
        let running = ends.iter().take_while(|&&end| end == 0).count();
        let ended = ends.get(running..).unwrap_or_default();
        match ended.get(ended.len() / 2) {
            Some(&before) => self.known.retain(|_, known| known.ended == 0 || known.ended > before),
            None => {
                let mut starts: Vec<u64> = self.known.values().map(|known| known.started).collect();
                starts.sort_unstable();
                let before = starts.get(starts.len() / 2).copied().unwrap_or(u64::MAX);
                self.known.retain(|_, known| known.started > before);
            }
        }
    }

    /// A process.
    pub fn get(&self, pid: u32) -> Option<&Known> {
        self.known.get(&pid)
    }

    /// A process as it was at the moment of an event.
    pub fn at(&self, pid: u32, at: u64) -> Option<&Known> {
        let known = self.get(pid)?;
        match &known.before {
            Some(before) if at < known.exec_at => Some(before),
            _ => Some(known),
        }
    }

    /// Its ancestors, the parent first.
    pub fn ancestors(&self, pid: u32) -> impl Iterator<Item = &Known> {
        let mut next = self.known.get(&pid);
        std::iter::from_fn(move || {
            let child = next?;
            // An id that was given to another process since is no parent.
            next = self
                .known
                .get(&child.parent)
                .filter(|parent| parent.pid != child.pid && parent.started <= child.started.max(1));
            next
        })
        .take(ANCESTORS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use haechi_core::event::{Exec, Process};

    use super::*;

    fn event(pid: u32, parent: u32, started: u64, action: Action) -> Event {
        let name = format!("p{pid}");
        let process = Process { pid, tid: pid, parent, started, name, ..Process::default() };
        Event { at: started + 1, cgroup: 1, process, call: String::new(), result: 0, action }
    }

    fn exec(path: &str) -> Action {
        Action::Exec(Box::new(Exec {
            path: path.into(),
            args: vec!["x".into()],
            ..Exec::default()
        }))
    }

    fn paths(tree: &Tree, pid: u32) -> Vec<&str> {
        tree.ancestors(pid).map(|known| known.path.as_str()).collect()
    }

    #[test]
    fn a_child_that_only_forked_is_what_its_parent_is() {
        let mut tree = Tree::default();
        tree.see(&event(10, 1, 100, exec("/bin/sh")));
        tree.see(&event(11, 10, 110, Action::Exit(0)));
        assert_eq!(tree.get(11).map(|known| known.path.as_str()), Some("/bin/sh"));
        tree.see(&event(12, 10, 120, exec("/bin/ls")));
        assert_eq!(paths(&tree, 12), ["/bin/sh"]);
    }

    #[test]
    fn a_daemon_is_what_started_it_though_its_parent_is_gone() {
        let mut tree = Tree::default();
        tree.see(&event(1, 0, 10, exec("/bin/bash")));
        tree.see(&event(20, 1, 100, exec("/usr/sbin/cron")));
        let mut daemon = event(22, 1, 110, Action::Open(haechi_core::event::Open::default()));
        daemon.process.owner = 20;
        tree.see(&daemon);
        assert_eq!(tree.get(22).map(|known| known.path.as_str()), Some("/usr/sbin/cron"));
    }

    #[test]
    fn what_was_done_before_a_start_is_of_the_program_before() {
        let mut tree = Tree::default();
        let then = |at: u64, action: Action| Event { at, ..event(10, 1, 100, action) };
        tree.see(&then(200, exec("/bin/sh")));
        tree.see(&then(300, exec("/bin/ls")));
        tree.see(&then(250, Action::Open(haechi_core::event::Open::default())));
        let path = |at| tree.at(10, at).map(|known| known.path.as_str());
        assert_eq!(
            (path(250), path(300), path(400)),
            (Some("/bin/sh"), Some("/bin/ls"), Some("/bin/ls"))
        );
    }

    #[test]
    fn a_parent_that_ended_is_still_an_ancestor_and_a_later_one_of_the_same_id_is_none() {
        let mut tree = Tree::default();
        tree.see(&event(10, 1, 100, exec("/bin/sh")));
        tree.see(&event(12, 10, 120, exec("/bin/ls")));
        tree.see(&event(10, 1, 100, Action::Exit(0)));
        assert_eq!(paths(&tree, 12), ["/bin/sh"]);
        tree.see(&event(10, 1, 900, exec("/bin/other")));
        assert!(paths(&tree, 12).is_empty());
    }

    #[test]
    fn memory_is_bounded_and_families_that_point_at_each_other_end() {
        let mut tree = Tree::default();
        for pid in 1..=u32::try_from(KNOWN_MAX).unwrap() + 10 {
            tree.see(&event(pid, 0, 5, Action::Exit(0)));
        }
        assert!(tree.known.len() <= KNOWN_MAX);
        tree.see(&event(7, 8, 5, exec("a")));
        tree.see(&event(8, 7, 5, exec("b")));
        assert_eq!(tree.ancestors(7).count(), ANCESTORS_MAX);
    }
}
