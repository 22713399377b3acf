//! Members of zip and gzip files, one level deep and within limits, for whoever looks into files.
//!
//! It never reads more than the visitor's limits and (of what unpacks to more than a few MiB) [`RATIO_MAX`] times the
//! size of the file, so that a bomb costs no more than a large file, and says if it stopped because of that. Encrypted members, methods other than deflate, and
//! a zip file that is cut off are passed over. Archives in archives are members like others.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

/// Bytes out for each byte in: deflate cannot do more than about 1030, text seldom reaches 20.
const RATIO_MAX: u64 = 100;
/// Bytes that even a small file may have unpacked: a log of one line repeated is no bomb.
const RATIO_FLOOR: u64 = 2 << 20;
/// Members that are looked at: the largest jars have some ten thousand.
const MEMBERS_MAX: usize = 20_000;
/// First bytes of a member, by which a visitor decides.
const SNIFF: u64 = 1024;
/// The first bytes of a gzip file (RFC 1952, 2.3.1) and of a zip file (APPNOTE.TXT, 4.3.7).
const GZIP: &[u8] = b"\x1f\x8b";
const ZIP: &[u8] = b"PK\x03\x04";

/// Who looks at members.
pub(super) trait Visitor {
    /// Most bytes that are read of one member.
    const MEMBER_MAX: u64;
    /// Most bytes that are read of all members of one file.
    const TOTAL_MAX: u64;

    /// Whether it may want a member of this name; one that it does not costs nothing.
    fn wants_name(&self, name: &str) -> bool;
    /// Whether it wants a member that begins so (1024 bytes, if it has as many).
    fn wants(&self, name: &str, head: &[u8]) -> bool;
    /// A member that it wants: all of it, or as much as the limits allow or as there is before broken data.
    fn see(&mut self, name: &str, content: Vec<u8>);
}

/// Whether a file that begins so is unpacked.
pub(super) fn is_packed(head: &[u8]) -> bool {
    head.starts_with(GZIP) || head.starts_with(ZIP)
}

/// Shows the members of a file to a visitor; a file of another kind has none. The name of a gzip file's only member
/// is that of the file without its ending. Returns false if a limit kept anything from it that it may have wanted.
pub(super) fn visit<V: Visitor>(path: &str, content: &[u8], visitor: &mut V) -> bool {
    let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let mut budget = size.saturating_mul(RATIO_MAX).max(RATIO_FLOOR).min(V::TOTAL_MAX);
    if content.starts_with(GZIP) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(name);
        return member(name, MultiGzDecoder::new(content), &mut budget, visitor);
    }
    if !content.starts_with(ZIP) {
        return true;
    }
    let Ok(mut archive) = ZipArchive::new(Cursor::new(content)) else { return true };
    let mut whole = archive.len() <= MEMBERS_MAX;
    for index in 0..archive.len().min(MEMBERS_MAX) {
        let Ok(file) = archive.by_index(index) else { continue };
        // A name that is no text does not hide the content.
        let name = file.name().map_or_else(|_| "?".into(), Cow::into_owned);
        if file.is_dir() || !visitor.wants_name(&name) {
            continue;
        }
        if budget == 0 {
            return false;
        }
        whole &= member(&name, file, &mut budget, visitor);
    }
    whole
}

/// Shows one member. A read that fails leaves in the buffer what came before.
fn member<V: Visitor>(
    name: &str,
    mut reader: impl Read,
    budget: &mut u64,
    visitor: &mut V,
) -> bool {
    let limit = V::MEMBER_MAX.min(*budget);
    let mut content = Vec::new();
    let _ = reader.by_ref().take(SNIFF.min(limit)).read_to_end(&mut content);
    let wanted = !content.is_empty() && visitor.wants(name, &content);
    if wanted {
        let left = limit.saturating_sub(len(&content));
        let _ = reader.by_ref().take(left).read_to_end(&mut content);
    }
    *budget = budget.saturating_sub(len(&content));
    let mut beyond = [0];
    let whole = !wanted || len(&content) < limit || !matches!(reader.read(&mut beyond), Ok(1));
    if wanted {
        visitor.see(name, content);
    }
    whole
}

fn len(content: &[u8]) -> u64 {
    u64::try_from(content.len()).unwrap_or(u64::MAX)
}
