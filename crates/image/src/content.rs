//! What is in one file: its checksums, what readers make of it, secrets and malware.
//!
//! Each file is read once and in order. It knows nothing of other files; what is kept of it in memory is the file at
//! most, and of a large one that nobody needs whole, a window.

use std::io::{self, Read};

use haechi_core::inventory::{PackageKind, Part, Problem, ProblemKind};

use crate::builder::{Dangers, Tools};
use crate::dangers::malware;
use crate::dangers::secrets::{self, WINDOW_OVERLAP};
use crate::hash::{Hasher, Sums};
use crate::layer::{RuleHit, SecretHit};
use crate::reader::{Found, Meta, Reader};

/// A larger file is not read to the end: its checksum stays unknown. Packaged files are far smaller.
const CONTENT_MAX: u64 = 8 << 30;
/// First bytes that readers decide by.
pub(crate) const HEAD: usize = 4096;
/// A larger file is looked through for secrets window by window.
pub(crate) const WINDOW: usize = 8 << 20;
/// What lies beyond this in a file is not looked through for secrets, and that is said.
const SECRETS_MAX: u64 = 2 << 30;
/// What malware rules see of a file; they need it whole. The largest programs (`dockerd`, `node`, `kubelet`) have some
/// 130 MB. Of a larger file it is said.
const MALWARE_MAX: usize = 256 << 20;
/// Bytes read at once while only checksums are wanted.
const STEP: usize = 64 << 10;
/// Most secrets, and most malware, of one file.
const HITS_MAX: usize = 1000;

/// Whether a reader wants a file that begins like this.
pub(crate) fn is_wanted(tools: &Tools, meta: &Meta<'_>, head: &[u8]) -> bool {
    tools.readers.iter().any(|reader| (reader.wants)(meta, head))
}

/// What was found in one file.
#[derive(Debug, Default, PartialEq)]
pub struct Findings {
    /// By readers.
    pub found: Found,
    /// Secrets.
    pub secrets: Vec<SecretHit>,
    /// Malware.
    pub malware: Vec<RuleHit>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// One file being read.
struct Content<'a> {
    tools: &'a Tools,
    meta: &'a Meta<'a>,
    out: Findings,
}

/// Reads one file to its end. `buffer` holds what was read of it already, `content` gives the rest. There are no
/// checksums of a file that is too large to be read; nor, where only packages are looked for, of one
/// whose owner they do not tell.
///
/// # Errors
/// The file cannot be read, or ends early.
pub fn read(
    tools: &Tools,
    meta: &Meta<'_>,
    hasher: Hasher,
    content: &mut dyn Read,
    buffer: &mut Vec<u8>,
) -> io::Result<(Option<Sums>, Findings)> {
    let mut file = Content { tools, meta, out: Findings::default() };
    let sums = match &tools.dangers {
        Some(dangers) => file.read(dangers, hasher, content, buffer)?,
        None => file.packages(hasher, content, buffer)?,
    };
    Ok((sums, file.out))
}

impl Content<'_> {
    fn problem(&mut self, kind: ProblemKind, detail: String, part: Part) {
        let place = self.meta.path.to_owned();
        let problem = Problem { kind, place, layer: None, detail, affects: vec![part] };
        self.out.problems.push(problem);
    }

    fn read(
        &mut self,
        dangers: &Dangers,
        mut hasher: Hasher,
        content: &mut dyn Read,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<Sums>> {
        let meta = self.meta;
        let readers = self.readers(content, buffer)?;
        let head = buffer.get(..HEAD).unwrap_or(buffer);
        let secrets = secrets::is_candidate(meta.path, head);
        let malware = malware::wants(meta, head);
        let mut wanted = if readers.is_empty() { 0 } else { meta.size };
        if secrets {
            wanted = wanted.max(meta.size.min(WINDOW as u64));
        }
        if malware {
            wanted = wanted.max(meta.size.min(MALWARE_MAX as u64));
        }
        let more = wanted.saturating_sub(buffer.len() as u64);
        (&mut *content).take(more).read_to_end(buffer)?;
        hasher.update(buffer);
        let mut at = buffer.len() as u64;
        if secrets {
            self.secrets(dangers, buffer, 0);
            at = self.windows(dangers, content, buffer, &mut hasher)?;
        }
        let whole = drain(content, meta.size, at, &mut hasher)?;
        for reader in readers {
            self.run(reader, buffer);
        }
        if malware {
            self.malware(dangers, buffer);
        }
        Ok(whole.then(|| hasher.finish()))
    }

    /// Runs readers alone.
    fn packages(
        &mut self,
        mut hasher: Hasher,
        content: &mut dyn Read,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<Sums>> {
        let readers = self.readers(content, buffer)?;
        if readers.is_empty() {
            return Ok(None);
        }
        let missing = self.meta.size.saturating_sub(buffer.len() as u64);
        if ((&mut *content).take(missing).read_to_end(buffer)? as u64) < missing {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for reader in readers {
            self.run(reader, buffer);
        }
        // Of a well-known program, and of a file that could not be read, it matters whether they are as their package
        // left them: then they are its own.
        let packages = &self.out.found.packages;
        if self.out.problems.is_empty() && packages.iter().all(|p| p.kind != PackageKind::Generic) {
            return Ok(None);
        }
        hasher.update(buffer);
        Ok(Some(hasher.finish()))
    }

    /// The readers that want the file and may read it whole, told by its first bytes, which are read for that.
    fn readers(
        &mut self,
        content: &mut dyn Read,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Vec<&'static Reader>> {
        let missing = HEAD.saturating_sub(buffer.len());
        content.take(missing as u64).read_to_end(buffer)?;
        let head = buffer.get(..HEAD).unwrap_or(buffer);
        let size = self.meta.size;
        let mut readers = Vec::new();
        for reader in self.tools.readers.iter().filter(|reader| (reader.wants)(self.meta, head)) {
            if size > reader.size_max {
                let detail = format!("{size} bytes are too many for a {}", reader.name);
                self.problem(ProblemKind::Limit, detail, Part::Packages);
            } else {
                readers.push(*reader);
            }
        }
        Ok(readers)
    }

    fn run(&mut self, reader: &'static Reader, content: &[u8]) {
        let mut found = Found::default();
        if let Err(why) = (reader.read)(self.meta, content, &mut found) {
            found.unread.push(format!("{}: {why}", reader.name));
        }
        for what in std::mem::take(&mut found.unread) {
            self.problem(ProblemKind::Corrupt, what, Part::Packages);
        }
        self.out.found.absorb(found);
    }

    /// Looks for secrets in what the buffer does not hold of a file. Returns how far it got.
    fn windows(
        &mut self,
        dangers: &Dangers,
        content: &mut dyn Read,
        begun: &[u8],
        hasher: &mut Hasher,
    ) -> io::Result<u64> {
        let size = self.meta.size;
        let mut at = begun.len() as u64;
        let end = size.min(SECRETS_MAX);
        if at < end {
            let cut = begun.len().saturating_sub(WINDOW_OVERLAP);
            let (before, kept) = begun.split_at(cut);
            let mut lines = lines(before);
            let mut window = kept.to_vec();
            while at < end {
                let kept = window.len();
                let step = (WINDOW as u64).min(end - at);
                let count = (&mut *content).take(step).read_to_end(&mut window)? as u64;
                hasher.update(window.get(kept..).unwrap_or_default());
                self.secrets(dangers, &window, lines);
                at += count;
                if count < step {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let cut = window.len().saturating_sub(WINDOW_OVERLAP);
                lines = lines.saturating_add(self::lines(window.get(..cut).unwrap_or_default()));
                window.drain(..cut);
            }
        }
        if at < size {
            let detail = format!("only its first {at} bytes were looked through for secrets");
            self.problem(ProblemKind::Limit, detail, Part::Secrets);
        }
        Ok(at)
    }

    /// Looks for secrets in a part of a file that has this many lines before it. What two windows share may be found
    /// twice; when layers are merged, one of two equal ones goes.
    fn secrets(&mut self, dangers: &Dangers, part: &[u8], lines: u32) {
        for hit in dangers.detectors.scan(self.meta.path, part) {
            if self.out.secrets.len() >= HITS_MAX {
                let detail = format!("more than {HITS_MAX} secrets; the rest is not listed");
                return self.problem(ProblemKind::Limit, detail, Part::Secrets);
            }
            // Without lines there are none to add to.
            let line = if hit.line == 0 { 0 } else { hit.line.saturating_add(lines) };
            self.out.secrets.push(SecretHit {
                detector: hit.detector,
                line,
                preview: hit.preview,
                severity: hit.severity,
            });
        }
    }

    fn malware(&mut self, dangers: &Dangers, content: &[u8]) {
        let part = content.get(..MALWARE_MAX).unwrap_or(content);
        if self.meta.size > part.len() as u64 {
            let detail =
                format!("only its first {} bytes were looked through for malware", part.len());
            self.problem(ProblemKind::Limit, detail, Part::Malware);
        }
        let hits = dangers.rules.scan(part).unwrap_or_else(|unread| {
            self.problem(ProblemKind::Limit, unread.to_string(), Part::Malware);
            unread.hits
        });
        self.out.malware.extend(hits.into_iter().take(HITS_MAX).map(|hit| RuleHit {
            rule: hit.rule,
            description: hit.description,
            severity: hit.severity,
        }));
    }
}

/// Ends of lines.
fn lines(part: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', part).count()).unwrap_or(u32::MAX)
}

/// Feeds what is left of a file to the checksums; false if it is too large to be read to the end.
fn drain(content: &mut dyn Read, size: u64, read: u64, hasher: &mut Hasher) -> io::Result<bool> {
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
