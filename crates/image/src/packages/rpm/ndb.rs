//! NDB, the database of SUSE (`Packages.db`): a table of slots, each with the place of one header
//! (rpm's `lib/backend/ndb/rpmpkg.c`). All integers are little-endian.

use super::bytes::{Order, part};
use super::record::Records;
use crate::reader::Unread;

/// Slots, and blocks of headers, have 16 bytes.
const BLOCK: usize = 16;

/// A page of slots; the first begins with the head, as large as two slots.
const PAGE: usize = 4096;

/// Magic, package number, generation, length.
const BLOB_HEAD: usize = 16;

pub(super) fn is_ndb(content: &[u8]) -> bool {
    content.starts_with(b"RpmP")
}

pub(super) fn read(content: &[u8], records: &mut Records<'_>) -> Result<(), Unread> {
    if Order::Little.u32(content, 4) != Some(0) {
        return Err(Unread("an NDB of an unknown version".into()));
    }
    let pages = Order::Little.size(content, 12).unwrap_or_default();
    let stated = pages.saturating_mul(PAGE);
    let slots = content.get(..stated).unwrap_or(content).get(2 * BLOCK..).unwrap_or_default();
    if stated > content.len() || pages == 0 {
        records.note(|| "its table of slots is cut off".into());
    }
    for (number, slot) in slots.as_chunks::<BLOCK>().0.iter().enumerate() {
        if !slot.starts_with(b"Slot") {
            records.note(|| format!("slot {number} is broken"));
            continue;
        }
        let Some(package) = Order::Little.u32(slot, 4).filter(|&package| package != 0) else {
            continue;
        };
        match blob(content, slot, package) {
            Some(blob) => {
                if records.admit(blob.len())? {
                    records.take(blob, || format!("package {package}"));
                }
            }
            None => records.note(|| format!("package {package} is cut off or not its slot's")),
        }
    }
    Ok(())
}

fn blob<'a>(content: &'a [u8], slot: &[u8; BLOCK], package: u32) -> Option<&'a [u8]> {
    let offset = Order::Little.size(slot, 8)?.checked_mul(BLOCK)?;
    let size = Order::Little.size(slot, 12)?.checked_mul(BLOCK)?;
    let raw = part(content, offset, size)?;
    let is_its = raw.starts_with(b"BlbS") && Order::Little.u32(raw, 4) == Some(package);
    is_its.then_some(())?;
    part(raw, BLOB_HEAD, Order::Little.size(raw, 12)?)
}
