//! The threads that look at files while the next ones are read.
//!
//! Files wait in one queue, limited in bytes. A thread that fails on a file (a reader's fault) goes on with the next
//! one, and the file has a problem. It promises nothing about the order of what comes out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, available_parallelism};

use haechi_core::inventory::{Part, Problem, ProblemKind};

use super::Tools;
use crate::content::{self, Findings};
use crate::hash::{Hasher, Sums};
use crate::reader::Meta;

/// Most bytes of files that are being looked at or wait for it. One file may be larger.
const BYTES_MAX: usize = 4 << 20;
/// Most files that wait.
const FILES_MAX: usize = 256;
/// More threads than this wait for the one that reads.
const THREADS_MAX: usize = 8;
/// Buffers that are used again, and the largest of them: most files are small.
const SPARE_MAX: usize = 32;
const SPARE_BYTES_MAX: usize = 256 << 10;

/// A file to look at.
pub struct Job {
    pub node: usize,
    pub path: String,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub hasher: Hasher,
    pub bytes: Vec<u8>,
}

/// What came out.
pub struct Outcome {
    pub node: usize,
    pub sums: Option<Box<Sums>>,
    pub findings: Findings,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Bytes of what waits and of what is looked at.
    bytes: usize,
    /// Files that are looked at.
    busy: usize,
    done: Vec<Outcome>,
    spare: Vec<Vec<u8>>,
    ended: bool,
}

/// Threads and their queue.
#[derive(Default)]
pub struct Crew {
    state: Mutex<State>,
    /// Something to do, or the end.
    work: Condvar,
    /// Something was done.
    room: Condvar,
}

/// Ends the threads when it goes out of scope.
pub struct End<'c>(&'c Crew);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.work.notify_all();
    }
}

impl Crew {
    /// Starts the threads; they end with what [`Crew::until_end`] gave.
    pub fn start<'s>(&'s self, scope: &'s Scope<'s, '_>, tools: &'s Tools) {
        let threads = available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        for _ in 0..threads {
            scope.spawn(|| self.run(tools));
        }
    }

    /// What ends the threads when it is dropped.
    pub fn until_end(&self) -> End<'_> {
        End(self)
    }

    /// A poisoned lock is none: every change under it is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'c>(condition: &Condvar, state: MutexGuard<'c, State>) -> MutexGuard<'c, State> {
        condition.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty buffer.
    pub fn buffer(&self) -> Vec<u8> {
        self.lock().spare.pop().unwrap_or_default()
    }

    /// Hands a file over; waits until there is room.
    pub fn hand(&self, job: Job) {
        let mut state = self.lock();
        while state.bytes > 0
            && (state.bytes + job.bytes.len() > BYTES_MAX || state.waiting.len() >= FILES_MAX)
        {
            state = Self::wait(&self.room, state);
        }
        state.bytes += job.bytes.len();
        state.waiting.push_back(job);
        drop(state);
        self.work.notify_one();
    }

    /// What is done until now.
    pub fn done(&self) -> Vec<Outcome> {
        std::mem::take(&mut self.lock().done)
    }

    /// What is done in the end; waits for it.
    pub fn rest(&self) -> Vec<Outcome> {
        let mut state = self.lock();
        while state.busy > 0 || !state.waiting.is_empty() {
            state = Self::wait(&self.room, state);
        }
        std::mem::take(&mut state.done)
    }

    fn run(&self, tools: &Tools) {
        let mut state = self.lock();
        loop {
            let Some(job) = state.waiting.pop_front() else {
                if state.ended {
                    return;
                }
                state = Self::wait(&self.work, state);
                continue;
            };
            state.busy += 1;
            drop(state);
            let length = job.bytes.len();
            let (outcome, mut used) = look(tools, job);
            used.clear();
            state = self.lock();
            state.busy -= 1;
            state.bytes -= length;
            state.done.push(outcome);
            if state.spare.len() < SPARE_MAX && used.capacity() <= SPARE_BYTES_MAX {
                state.spare.push(used);
            }
            self.room.notify_all();
        }
    }
}

/// Looks at one file. The faults of readers end here.
fn look(tools: &Tools, job: Job) -> (Outcome, Vec<u8>) {
    let Job { node, path, mode, uid, gid, hasher, mut bytes } = job;
    let meta = Meta { path: &path, mode, uid, gid, size: bytes.len() as u64 };
    let read = catch_unwind(AssertUnwindSafe(|| {
        content::read(tools, &meta, hasher, &mut std::io::empty(), &mut bytes)
    }));
    let (sums, findings) = match read {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => (None, failed(&path, error.to_string())),
        Err(_) => (None, failed(&path, "a reader failed on it".into())),
    };
    (Outcome { node, sums: sums.map(Box::new), findings }, bytes)
}

fn failed(path: &str, detail: String) -> Findings {
    let problem = Problem {
        kind: ProblemKind::Crashed,
        place: path.to_owned(),
        layer: None,
        detail,
        affects: Part::ALL.to_vec(),
    };
    Findings { problems: vec![problem], ..Findings::default() }
}
