//! A layer's archive, entry by entry: tar with the POSIX (PAX), GNU and old headers (tar(5)), and the layer format's
//! whiteouts (<https://github.com/opencontainers/image-spec/blob/main/layer.md>).
//!
//! Nothing is written to disk and no link is followed. An archive that breaks off gives what came before, and a
//! problem that says so.

use std::io::{self, Read};

use haechi_core::inventory::{Part, ProblemKind};
use tar::{Archive, EntryType};

use crate::builder::Builder;
use crate::layer::NodeKind;
use crate::path::{self, BadPath};
use crate::reader::Meta;
use crate::sparse;

/// Marks a path of a lower layer as deleted.
const WHITEOUT: &str = ".wh.";
/// Marks a folder as hiding everything of lower layers.
const OPAQUE: &str = ".wh..wh..opq";
/// Other names with this prefix belong to the storage driver, not to the image.
const AUFS: &str = ".wh..wh.";

/// Why reading ended before the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Kind of the problem.
    pub kind: ProblemKind,
    /// What happened.
    pub detail: String,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::UnexpectedEof => ProblemKind::Truncated,
            io::ErrorKind::FileTooLarge | io::ErrorKind::OutOfMemory => ProblemKind::Limit,
            io::ErrorKind::TimedOut => ProblemKind::TimedOut,
            // The tar reader gives no kind to an archive that ends inside an entry or header.
            _ if ends_early(&error.to_string()) => ProblemKind::Truncated,
            _ => ProblemKind::Corrupt,
        };
        Self { kind, detail: error.to_string() }
    }
}

/// What the tar reader says of an archive that ends in the middle.
fn ends_early(words: &str) -> bool {
    words.starts_with("unexpected EOF") || words == "failed to read entire block"
}

/// Reads a layer's archive. `place` names it in problems.
pub fn read(archive: &mut dyn Read, place: &str, builder: &mut Builder<'_>) {
    if let Err(stop) = entries(archive, builder) {
        let detail = format!("the layer was read up to here: {}", stop.detail);
        builder.problem(stop.kind, place, detail, &Part::ALL);
    }
}

fn entries(archive: &mut dyn Read, builder: &mut Builder<'_>) -> Result<(), Stop> {
    let mut archive = Archive::new(archive);
    for entry in archive.entries()? {
        builder.entry()?;
        let mut entry = entry?;
        let sparse = sparse::Map::of(&mut entry)?;
        let name = match &sparse {
            Some(map) if !map.name.is_empty() => map.name.clone(),
            _ => entry.path_bytes().into_owned(),
        };
        let path = match path::normal(&name) {
            Ok(path) => path,
            Err(why) => {
                bad_name(builder, &name, why);
                continue;
            }
        };
        let capable = is_capable(&mut entry)?;
        let header = entry.header();
        let kind = header.entry_type();
        let old = header.as_old().linkflag == [0];
        let (mode, uid, gid) = (
            header.mode().unwrap_or(0) & 0o7777,
            header.uid().unwrap_or(0),
            header.gid().unwrap_or(0),
        );
        let last = path.rsplit('/').next().unwrap_or_default();
        if let Some(deleted) = last.strip_prefix(WHITEOUT) {
            let parent = path::parent(&path);
            if last == OPAQUE {
                builder.opaque(parent.to_owned());
            } else if !last.starts_with(AUFS) {
                if deleted.is_empty() || deleted == "." || deleted == ".." {
                    bad_name(builder, &name, BadPath::Escape);
                } else {
                    builder.whiteout(join(parent, deleted));
                }
            }
            continue;
        }
        if capable {
            builder.capable(path.clone());
        }
        let size = sparse.as_ref().map_or(entry.size(), |map| map.size);
        let meta = Meta { path: &path, mode, uid, gid, size };
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                // Archives from before POSIX mark a folder only by its name. Of today's types, engines make a file.
                if old && name.ends_with(b"/") {
                    builder.node(&meta, NodeKind::Directory);
                    continue;
                }
                let read = match sparse {
                    Some(map) => builder.file(&meta, &mut map.content(entry)?),
                    None => builder.file(&meta, &mut entry),
                };
                read?;
            }
            EntryType::Directory => builder.node(&meta, NodeKind::Directory),
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                builder.node(&meta, NodeKind::Symlink(path::text(&target)));
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                match path::normal(&target) {
                    Ok(target) => builder.node(&meta, NodeKind::Hardlink(target)),
                    Err(why) => bad_name(builder, &target, why),
                }
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                builder.node(&meta, NodeKind::Special);
            }
            // Headers for all that follows say nothing that is needed here.
            EntryType::XGlobalHeader => {}
            other => builder.problem(
                ProblemKind::Unsupported,
                &path,
                format!("an entry of type {:?}", char::from(other.as_byte())),
                &Part::ALL,
            ),
        }
    }
    Ok(())
}

/// Whether the headers give the file capabilities, as star, GNU tar and Go's archive/tar write them.
fn is_capable<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<bool> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(false) };
    for extension in extensions {
        let extension = extension?;
        let key = extension.key_bytes();
        let key = key.strip_prefix(b"SCHILY.xattr.").or(key.strip_prefix(b"LIBARCHIVE.xattr."));
        if key == Some(b"security.capability") && !extension.value_bytes().is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

/// An entry that would leave the image. No engine unpacks it there, but what engines make of it differs.
fn bad_name(builder: &mut Builder<'_>, name: &[u8], why: BadPath) {
    let shown: String = path::text(name.get(..200).unwrap_or(name));
    let (kind, detail) = match why {
        BadPath::Escape => (ProblemKind::Escape, "its name leads out of the image; ignored"),
        BadPath::TooLong => (ProblemKind::Limit, "its name is too long; ignored"),
    };
    builder.problem(kind, &shown, detail.to_owned(), &Part::ALL);
}
