//! Builds a [`LayerScan`] from entries, wherever they come from: an archive ([`crate::tarball`]) or a folder.
//!
//! Each file is read once. Its bytes go to the checksums, and, if anyone wants them, through one buffer to the readers,
//! the secret detectors and the malware rules. The buffer holds one file, never the layer.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};

use haechi_core::inventory::{Part, Problem, ProblemKind};

use crate::dangers::malware::{self, Rules};
use crate::dangers::secrets::{self, Detectors, WINDOW_OVERLAP};
use crate::hash::{Plan, Sums};
use crate::layer::{LayerScan, Node, NodeKind, RuleHit, SecretHit};
use crate::reader::{Found, Meta, Reader};

/// Most entries of a layer. Large honest ones have some 500,000.
const ENTRIES_MAX: u64 = 4_000_000;
/// Most problems that are written down one by one; a broken layer may have one for each entry.
const PROBLEMS_MAX: usize = 1000;
/// Most secrets, and most malware, that are written down for a layer.
const HITS_MAX: usize = 10_000;
/// A larger file is not read to the end: its checksum stays unknown. Packaged files are far smaller.
const CONTENT_MAX: u64 = 8 << 30;
/// First bytes that readers decide by.
const HEAD: usize = 4096;
/// A larger file is looked through for secrets window by window.
const WINDOW: usize = 8 << 20;
/// What lies beyond this in a file is not looked through for secrets, and that is said.
const SECRETS_MAX: u64 = 2 << 30;
/// What malware rules see of a file; they need it whole. The largest programs (`dockerd`, `node`, `kubelet`) have some
/// 130 MB. Of a larger file it is said.
const MALWARE_MAX: usize = 256 << 20;
/// The buffer is given back when it grew beyond this.
const BUFFER_KEEP: usize = 8 << 20;
/// Bytes read at once while only checksums are wanted.
const STEP: usize = 64 << 10;

/// What looks at files.
pub struct Tools {
    /// Readers, in order; every one that wants a file reads it.
    pub readers: Vec<&'static Reader>,
    /// Detectors of secrets.
    pub detectors: &'static Detectors,
    /// Malware rules.
    pub rules: Rules,
    /// The site's rules that could not be used.
    pub broken_rules: Vec<String>,
}

/// A layer being built.
pub struct Builder<'t> {
    tools: &'t Tools,
    layer: LayerScan,
    plan: Plan,
    buffer: Vec<u8>,
    /// What readers found, by path.
    found: BTreeMap<String, Found>,
    /// Paths that came already.
    seen: HashSet<String>,
    dropped: usize,
}

impl<'t> Builder<'t> {
    /// An empty layer.
    pub fn new(tools: &'t Tools) -> Self {
        Self {
            tools,
            layer: LayerScan::default(),
            plan: Plan::default(),
            buffer: Vec::new(),
            found: BTreeMap::new(),
            seen: HashSet::new(),
            dropped: 0,
        }
    }

    /// The finished layer.
    pub fn finish(mut self) -> LayerScan {
        if self.dropped > 0 {
            self.layer.problems.push(Problem {
                kind: ProblemKind::Limit,
                place: String::new(),
                layer: None,
                detail: format!("{} more problems of this layer", self.dropped),
                affects: Part::ALL.to_vec(),
            });
        }
        for rule in &self.tools.broken_rules {
            self.layer.problems.push(Problem {
                kind: ProblemKind::Unsupported,
                place: "YARA rules of the site".into(),
                layer: None,
                detail: rule.clone(),
                affects: vec![Part::Malware],
            });
        }
        self.layer.found = self.found.into_iter().collect();
        self.layer
    }

    /// Notes a problem.
    pub fn problem(&mut self, kind: ProblemKind, place: &str, detail: String, affects: &[Part]) {
        if self.layer.problems.len() >= PROBLEMS_MAX {
            self.dropped += 1;
            return;
        }
        let place = place.to_owned();
        let affects = affects.to_vec();
        self.layer.problems.push(Problem { kind, place, layer: None, detail, affects });
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
        if let NodeKind::Hardlink(target) = &kind {
            self.linked(meta, target);
        }
        self.push(meta, kind);
    }

    fn push(&mut self, meta: &Meta<'_>, kind: NodeKind) {
        let node = Node {
            path: meta.path.to_owned(),
            kind,
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
        };
        self.seen.insert(node.path.clone());
        self.layer.nodes.push(node);
    }

    /// A second name of a file. What readers would make of it under this name is not known, so if it has a name that
    /// one of them knows and the first name had not, the packages are in doubt.
    fn linked(&mut self, meta: &Meta<'_>, target: &str) {
        if let Some(found) = self.found.get(target) {
            let found = found.clone();
            self.found.insert(meta.path.to_owned(), found);
        } else if self.tools.readers.iter().any(|reader| (reader.wants)(meta, &[])) {
            self.problem(
                ProblemKind::Unsupported,
                meta.path,
                format!("a hard link to {target}, which was not read"),
                &[Part::Packages],
            );
        }
    }

    /// A file with its content.
    ///
    /// # Errors
    /// The content cannot be read.
    pub fn file(&mut self, meta: &Meta<'_>, content: &mut dyn Read) -> io::Result<()> {
        self.plan.learn(meta.path);
        self.forget(meta.path);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let read = self.read(meta, content, &mut buffer);
        if buffer.capacity() <= BUFFER_KEEP {
            self.buffer = buffer;
        }
        let sums = read?;
        self.push(meta, NodeKind::File { size: meta.size, sums: sums.map(Box::new) });
        Ok(())
    }

    /// The same path came before in this archive: the last one counts, so the packages of the first do not.
    fn forget(&mut self, path: &str) {
        if self.seen.contains(path) {
            self.found.remove(path);
        }
    }

    fn read(
        &mut self,
        meta: &Meta<'_>,
        content: &mut dyn Read,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<Sums>> {
        content.take(HEAD as u64).read_to_end(buffer)?;
        let readers: Vec<&'static Reader> = self
            .tools
            .readers
            .iter()
            .copied()
            .filter(|reader| (reader.wants)(meta, buffer))
            .collect();
        let secrets = secrets::is_candidate(meta.path, buffer);
        let malware = malware::is_candidate(meta.path, meta.mode, buffer);
        let mut wanted = 0_u64;
        for reader in &readers {
            if meta.size > reader.size_max {
                self.problem(
                    ProblemKind::Limit,
                    meta.path,
                    format!("{} bytes are too many for a {}", meta.size, reader.name),
                    &[Part::Packages],
                );
            } else {
                wanted = meta.size;
            }
        }
        if secrets {
            wanted = wanted.max(meta.size.min(WINDOW as u64));
        }
        if malware {
            wanted = wanted.max(meta.size.min(MALWARE_MAX as u64));
        }
        let mut hasher = self.plan.begin(meta.path);
        let more = wanted.saturating_sub(buffer.len() as u64);
        (&mut *content).take(more).read_to_end(buffer)?;
        hasher.update(buffer);
        let mut at = buffer.len() as u64;
        if secrets {
            self.secrets(meta, buffer, 0);
            at = self.windows(meta, content, buffer, &mut hasher)?;
        }
        let rest = drain(content, meta.size, at, &mut hasher)?;
        for reader in readers {
            if meta.size <= reader.size_max {
                self.run(reader, meta, buffer);
            }
        }
        if malware {
            self.malware(meta, buffer);
        }
        Ok(rest.then(|| hasher.finish()))
    }

    fn run(&mut self, reader: &'static Reader, meta: &Meta<'_>, content: &[u8]) {
        let mut found = Found::default();
        if let Err(why) = (reader.read)(meta, content, &mut found) {
            found.unread.push(format!("{}: {why}", reader.name));
        }
        for what in std::mem::take(&mut found.unread) {
            self.problem(ProblemKind::Corrupt, meta.path, what, &[Part::Packages]);
        }
        if found != Found::default() {
            self.found.entry(meta.path.to_owned()).or_default().absorb(found);
        }
    }

    /// Looks for secrets in what the buffer does not hold of a file. Returns how far it got.
    fn windows(
        &mut self,
        meta: &Meta<'_>,
        content: &mut dyn Read,
        begun: &[u8],
        hasher: &mut crate::hash::Hasher,
    ) -> io::Result<u64> {
        let mut at = begun.len() as u64;
        let end = meta.size.min(SECRETS_MAX);
        let cut = begun.len().saturating_sub(WINDOW_OVERLAP);
        let (before, kept) = begun.split_at(cut);
        let mut lines = if at < end { lines(before) } else { 0 };
        let mut window = kept.to_vec();
        while at < end {
            let kept = window.len();
            let step = (WINDOW as u64).min(end - at);
            let count = (&mut *content).take(step).read_to_end(&mut window)? as u64;
            hasher.update(window.get(kept..).unwrap_or_default());
            self.secrets(meta, &window, lines);
            at += count;
            if count < step {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let cut = window.len().saturating_sub(WINDOW_OVERLAP);
            lines = lines.saturating_add(self::lines(window.get(..cut).unwrap_or_default()));
            window.drain(..cut);
        }
        if at < meta.size {
            let detail = format!("only its first {at} bytes were looked through for secrets");
            self.problem(ProblemKind::Limit, meta.path, detail, &[Part::Secrets]);
        }
        Ok(at)
    }

    /// Looks for secrets in a part of a file that has this many lines before it. What two windows share may be found
    /// twice; when layers are merged, one of two equal ones goes.
    fn secrets(&mut self, meta: &Meta<'_>, part: &[u8], lines: u32) {
        for hit in self.tools.detectors.scan(meta.path, part) {
            if self.layer.secrets.len() >= HITS_MAX {
                let detail = format!("more than {HITS_MAX} secrets; the rest is not listed");
                return self.problem(ProblemKind::Limit, meta.path, detail, &[Part::Secrets]);
            }
            // Without lines there are none to add to.
            let line = if hit.line == 0 { 0 } else { hit.line.saturating_add(lines) };
            self.layer.secrets.push((
                meta.path.to_owned(),
                SecretHit {
                    detector: hit.detector,
                    line,
                    preview: hit.preview,
                    severity: hit.severity,
                },
            ));
        }
    }

    fn malware(&mut self, meta: &Meta<'_>, content: &[u8]) {
        let part = content.get(..MALWARE_MAX).unwrap_or(content);
        if meta.size > part.len() as u64 {
            let detail =
                format!("only its first {} bytes were looked through for malware", part.len());
            self.problem(ProblemKind::Limit, meta.path, detail, &[Part::Malware]);
        }
        match self.tools.rules.scan(part) {
            Ok(hits) => {
                for hit in hits.into_iter().take(HITS_MAX.saturating_sub(self.layer.malware.len()))
                {
                    self.layer.malware.push((
                        meta.path.to_owned(),
                        RuleHit {
                            rule: hit.rule,
                            description: hit.description,
                            severity: hit.severity,
                        },
                    ));
                }
            }
            Err(why) => {
                self.problem(ProblemKind::TimedOut, meta.path, why.to_string(), &[Part::Malware]);
            }
        }
    }
}

/// Ends of lines.
fn lines(part: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', part).count()).unwrap_or(u32::MAX)
}

/// Feeds what is left of a file to the checksums; false if it is too large to be read to the end.
fn drain(
    content: &mut dyn Read,
    size: u64,
    read: u64,
    hasher: &mut crate::hash::Hasher,
) -> io::Result<bool> {
    if size > CONTENT_MAX {
        return Ok(false);
    }
    let mut left = size.saturating_sub(read);
    let mut step = vec![0; STEP.min(usize::try_from(left).unwrap_or(STEP))];
    while left > 0 {
        let count = content.read(&mut step)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(step.get(..count).unwrap_or_default());
        left = left.saturating_sub(count as u64);
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
