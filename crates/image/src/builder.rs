//! Builds a [`LayerScan`] from entries, wherever they come from: an archive ([`crate::tarball`]) or a folder.
//!
//! Entries come one after the other; what is in files ([`crate::content`]) is looked at by several threads at once.
//! Bytes that wait for a thread are limited, and the result is the same whichever thread is faster. A reader that
//! fails on a file ends that file's part only, and is a problem of the layer.

mod crew;

use std::collections::BTreeMap;
use std::io::{self, Read};

use haechi_core::inventory::{Part, Problem, ProblemKind};

use crate::content::{self, Findings};
use crate::dangers::malware::Rules;
use crate::dangers::secrets::Detectors;
use crate::hash::Plan;
use crate::layer::{Depth, LayerScan, Node, NodeKind};
use crate::reader::{Found, Meta, Reader};
use crew::{Crew, Job, Outcome};

/// Most entries of a layer. Large honest ones have some 500,000.
const ENTRIES_MAX: u64 = 4_000_000;
/// Most problems that are written down one by one; a broken layer may have one for each entry.
const PROBLEMS_MAX: usize = 1000;
/// Most secrets, and most malware, that are written down for a layer.
const HITS_MAX: usize = 10_000;
/// A larger file is read by the thread that reads the archive: it would be the only one that waits.
const HANDED_MAX: u64 = 2 << 20;
/// The buffer is given back when it grew beyond this.
const BUFFER_KEEP: usize = 1 << 20;

/// What looks at files.
pub struct Tools {
    /// Readers, in order; every one that wants a file reads it.
    pub readers: Vec<&'static Reader>,
    /// What looks for other dangers; without it, only packages are looked for.
    pub dangers: Option<Dangers>,
}

/// What looks for dangers in files.
pub struct Dangers {
    /// Detectors of secrets.
    pub detectors: &'static Detectors,
    /// Malware rules.
    pub rules: Rules,
    /// The site's rules that could not be used.
    pub broken_rules: Vec<String>,
}

impl Tools {
    /// How much they look at.
    pub fn depth(&self) -> Depth {
        if self.dangers.is_some() { Depth::Everything } else { Depth::Packages }
    }
}

/// A layer being built.
pub struct Builder<'t> {
    tools: &'t Tools,
    crew: &'t Crew,
    layer: LayerScan,
    plan: Plan,
    buffer: Vec<u8>,
    /// Files that something was found in, by number of their node.
    findings: BTreeMap<usize, Findings>,
    /// Hits in all files, kept or not.
    secrets: usize,
    malware: usize,
    /// Problems that are not written down.
    dropped: usize,
}

/// Builds a layer of what `fill` gives the builder.
pub fn layer(tools: &Tools, fill: impl FnOnce(&mut Builder<'_>)) -> LayerScan {
    let crew = Crew::default();
    std::thread::scope(|scope| {
        crew.start(scope, tools);
        // However this ends, the threads end as well.
        let _end = crew.until_end();
        let mut builder = Builder {
            tools,
            crew: &crew,
            layer: LayerScan { depth: tools.depth(), ..LayerScan::default() },
            plan: Plan::default(),
            buffer: Vec::new(),
            findings: BTreeMap::new(),
            secrets: 0,
            malware: 0,
            dropped: 0,
        };
        fill(&mut builder);
        builder.finish()
    })
}

impl Builder<'_> {
    /// Waits for all threads, and puts together what they found, in the order of the archive.
    fn finish(mut self) -> LayerScan {
        for outcome in self.crew.rest() {
            self.take(outcome);
        }
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        let mut findings = std::mem::take(&mut self.findings);
        for number in 0..self.layer.nodes.len() {
            let Some(node) = self.layer.nodes.get(number) else { continue };
            match &node.kind {
                NodeKind::File { .. } => {
                    // The same path may have come before in this archive: the last one counts, so the packages of
                    // the first do not.
                    found.remove(&node.path);
                    let Some(one) = findings.remove(&number) else { continue };
                    let path = node.path.clone();
                    let secrets = one.secrets.into_iter().map(|hit| (path.clone(), hit));
                    self.layer.secrets.extend(secrets);
                    let malware = one.malware.into_iter().map(|hit| (path.clone(), hit));
                    self.layer.malware.extend(malware);
                    for problem in one.problems {
                        self.note(problem);
                    }
                    if one.found != Found::default() {
                        found.insert(path, one.found);
                    }
                }
                NodeKind::Hardlink(target) => {
                    if let Some(same) = found.get(target) {
                        let same = same.clone();
                        found.insert(node.path.clone(), same);
                    } else {
                        self.unread_link(number);
                    }
                }
                _ => {}
            }
        }
        self.layer.found = found.into_iter().collect();
        for (count, part) in [(self.secrets, Part::Secrets), (self.malware, Part::Malware)] {
            if count > HITS_MAX {
                let detail = format!("{count} hits in this layer; {HITS_MAX} are listed");
                self.problem(ProblemKind::Limit, "", detail, &[part]);
            }
        }
        if self.dropped > 0 {
            self.layer.problems.push(Problem {
                kind: ProblemKind::Limit,
                place: String::new(),
                layer: None,
                detail: format!("{} more problems of this layer", self.dropped),
                affects: Part::ALL.to_vec(),
            });
        }
        for rule in self.tools.dangers.iter().flat_map(|dangers| &dangers.broken_rules) {
            self.layer.problems.push(Problem {
                kind: ProblemKind::Unsupported,
                place: "YARA rules of the site".into(),
                layer: None,
                detail: rule.clone(),
                affects: vec![Part::Malware],
            });
        }
        self.layer
    }

    /// Notes a problem.
    pub fn problem(&mut self, kind: ProblemKind, place: &str, detail: String, affects: &[Part]) {
        let place = place.to_owned();
        self.note(Problem { kind, place, layer: None, detail, affects: affects.to_vec() });
    }

    fn note(&mut self, problem: Problem) {
        if self.layer.problems.len() >= PROBLEMS_MAX {
            self.dropped += 1;
        } else {
            self.layer.problems.push(problem);
        }
    }

    /// Counts an entry.
    ///
    /// # Errors
    /// There are more than any honest layer has.
    pub fn entry(&mut self) -> Result<(), crate::tarball::Stop> {
        self.layer.entries += 1;
        if self.layer.entries > ENTRIES_MAX {
            return Err(crate::tarball::Stop {
                kind: ProblemKind::Limit,
                detail: format!("more than {ENTRIES_MAX} entries"),
            });
        }
        Ok(())
    }

    /// A path deleted from lower layers.
    pub fn whiteout(&mut self, path: String) {
        self.layer.whiteouts.push(path);
    }

    /// A folder whose lower content is hidden.
    pub fn opaque(&mut self, path: String) {
        self.layer.opaque.push(path);
    }

    /// A file that has capabilities.
    pub fn capable(&mut self, path: String) {
        self.layer.capable.push(path);
    }

    /// Anything but a file.
    pub fn node(&mut self, meta: &Meta<'_>, kind: NodeKind) {
        self.plan.learn(meta.path);
        self.push(meta, kind);
    }

    fn push(&mut self, meta: &Meta<'_>, kind: NodeKind) {
        self.layer.nodes.push(Node {
            path: meta.path.to_owned(),
            kind,
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
        });
    }

    /// A second name of a file in which nothing was found. What readers would make of it under this name is not known,
    /// so if it has a name that one of them knows, the packages are in doubt.
    fn unread_link(&mut self, number: usize) {
        let Some(node) = self.layer.nodes.get(number) else { return };
        let NodeKind::Hardlink(target) = &node.kind else { return };
        let meta = Meta { path: &node.path, mode: node.mode, ..Meta::default() };
        if self.tools.readers.iter().any(|reader| (reader.wants)(&meta, &[])) {
            let detail = format!("a hard link to {target}, which was not read");
            let path = node.path.clone();
            self.problem(ProblemKind::Unsupported, &path, detail, &[Part::Packages]);
        }
    }

    /// A file with its content.
    ///
    /// # Errors
    /// The content cannot be read.
    pub fn file(&mut self, meta: &Meta<'_>, content: &mut dyn Read) -> io::Result<()> {
        self.plan.learn(meta.path);
        let hasher = self.plan.begin(meta.path);
        let node = self.layer.nodes.len();
        let mut head = std::mem::take(&mut self.buffer);
        head.clear();
        if self.tools.depth() == Depth::Packages {
            // Most files are nobody's: of those, no more than their beginning is read.
            (&mut *content).take(meta.size.min(content::HEAD as u64)).read_to_end(&mut head)?;
            if !content::is_wanted(self.tools, meta, &head) {
                self.buffer = head;
                self.push(meta, NodeKind::File { size: meta.size, sums: None });
                return Ok(());
            }
        }
        if meta.size <= HANDED_MAX {
            let mut bytes = self.crew.buffer();
            bytes.extend_from_slice(&head);
            self.buffer = head;
            content.take(meta.size.saturating_sub(bytes.len() as u64)).read_to_end(&mut bytes)?;
            if (bytes.len() as u64) < meta.size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.push(meta, NodeKind::File { size: meta.size, sums: None });
            let (path, mode) = (meta.path.to_owned(), meta.mode);
            self.crew.hand(Job { node, path, mode, uid: meta.uid, gid: meta.gid, hasher, bytes });
            for outcome in self.crew.done() {
                self.take(outcome);
            }
            return Ok(());
        }
        let mut buffer = head;
        let read = content::read(self.tools, meta, hasher, content, &mut buffer);
        if buffer.capacity() <= BUFFER_KEEP {
            self.buffer = buffer;
        }
        let (sums, findings) = read?;
        self.push(meta, NodeKind::File { size: meta.size, sums: None });
        self.take(Outcome { node, sums: sums.map(Box::new), findings });
        Ok(())
    }

    /// Takes what was found in a file. Of very many hits, not all are kept.
    fn take(&mut self, outcome: Outcome) {
        let Outcome { node, sums: computed, mut findings } = outcome;
        let (secrets, malware) = (findings.secrets.len(), findings.malware.len());
        if let Some(Node { kind: NodeKind::File { sums, .. }, .. }) = self.layer.nodes.get_mut(node)
        {
            *sums = computed;
        }
        findings.secrets.truncate(HITS_MAX.saturating_sub(self.secrets));
        findings.malware.truncate(HITS_MAX.saturating_sub(self.malware));
        self.secrets += secrets;
        self.malware += malware;
        if findings != Findings::default() {
            self.findings.insert(node, findings);
        }
    }
}

#[cfg(test)]
mod tests;
