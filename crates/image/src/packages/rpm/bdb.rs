//! Berkeley DB's hash format, versions 7 to 10 (`Packages` of rpm before 4.16): pages with keys and values, long values
//! over chains of overflow pages (Berkeley DB's `dbinc/db_page.h`).
//!
//! Goes over all pages instead of the hash's buckets, so that one broken page costs only what lies on it. Integers are
//! in the order of the machine that wrote it. Encrypted databases and those with checksums are refused; rpm makes none.

use super::bytes::{Order, part};
use super::record::Records;
use crate::reader::Unread;

const HASH_MAGIC: u32 = 0x0006_1561;
const BTREE_MAGIC: u32 = 0x0005_3162;

/// Kinds of pages.
const PAGE_INVALID: u8 = 0;
const PAGE_HASH_UNSORTED: u8 = 2;
const PAGE_OVERFLOW: u8 = 7;
const PAGE_HASH_META: u8 = 8;
const PAGE_HASH: u8 = 13;

/// Kinds of values: on the page, and over overflow pages.
const ITEM_ON_PAGE: u8 = 1;
const ITEM_OFF_PAGE: u8 = 3;

/// Bytes before a page's table of items.
const PAGE_HEAD: usize = 26;

/// A database with a head that makes sense.
pub(super) struct Database<'a> {
    content: &'a [u8],
    order: Order,
    page_size: usize,
}

impl<'a> Database<'a> {
    /// Nothing if it is no Berkeley DB at all.
    ///
    /// # Errors
    /// A Berkeley DB of another kind.
    pub(super) fn open(content: &'a [u8]) -> Result<Option<Self>, Unread> {
        let orders = [Order::Little, Order::Big];
        let is = |magic| orders.into_iter().find(|order| order.u32(content, 12) == Some(magic));
        let Some(order) = is(HASH_MAGIC) else {
            return match is(BTREE_MAGIC) {
                Some(_) => Err(Unread("a Berkeley DB tree; rpm's is a hash".into())),
                None => Ok(None),
            };
        };
        let page_size = order.size(content, 20).unwrap_or_default();
        if !(512..=65_536).contains(&page_size) || !page_size.is_power_of_two() {
            return Err(Unread(format!("a Berkeley DB with pages of {page_size} bytes")));
        }
        // Byte 24 says how it is encrypted, bit 0 of byte 26 that pages have checksums.
        if content.get(24) != Some(&0) || content.get(26).is_none_or(|flags| flags & 1 != 0) {
            return Err(Unread("an encrypted Berkeley DB, or one with checksums".into()));
        }
        if content.get(25) != Some(&PAGE_HASH_META) {
            return Err(Unread("a Berkeley DB without a head".into()));
        }
        Ok(Some(Self { content, order, page_size }))
    }

    /// Every value of every page.
    ///
    /// # Errors
    /// Limits. Broken pages are notes.
    pub(super) fn read(&self, records: &mut Records<'_>) -> Result<(), Unread> {
        let last = self.order.size(self.content, 32).unwrap_or_default();
        let pages = self.content.len() / self.page_size;
        if last >= pages {
            records.note(|| format!("{pages} of {} pages", last.saturating_add(1)));
        }
        for number in 1..pages {
            let Some(page) = self.page(number) else { break };
            match page.get(25) {
                Some(&PAGE_HASH | &PAGE_HASH_UNSORTED) => self.read_page(number, page, records)?,
                Some(&PAGE_OVERFLOW | &PAGE_INVALID | &PAGE_HASH_META) => {}
                kind => records.note(|| format!("page {number} is of the unknown kind {kind:?}")),
            }
        }
        Ok(())
    }

    fn page(&self, number: usize) -> Option<&'a [u8]> {
        part(self.content, number.checked_mul(self.page_size)?, self.page_size)
    }

    /// Keys and values in turn; items are filled in from the page's end.
    fn read_page(
        &self,
        number: usize,
        page: &[u8],
        records: &mut Records<'_>,
    ) -> Result<(), Unread> {
        let items = self.order.u16(page, 20).unwrap_or_default();
        let mut end = page.len();
        let mut key: Option<&[u8]> = None;
        for index in 0..items {
            let item = self
                .order
                .u16(page, PAGE_HEAD + 2 * index)
                .and_then(|start| Some((start, page.get(start..end)?)))
                .filter(|(start, _)| *start >= PAGE_HEAD + 2 * items);
            let Some((start, item)) = item else {
                records.note(|| format!("page {number} is broken at item {index}"));
                return Ok(());
            };
            end = start;
            match key.take() {
                None => key = Some(item),
                Some(key) => self.read_value(number, key, item, records)?,
            }
        }
        Ok(())
    }

    fn read_value(
        &self,
        page: usize,
        key: &[u8],
        item: &[u8],
        records: &mut Records<'_>,
    ) -> Result<(), Unread> {
        let place = || format!("a record of page {page}");
        match item.first() {
            Some(&ITEM_ON_PAGE) => {
                let value = item.get(1..).unwrap_or_default();
                // The record of number 0 holds the highest number so far.
                if key == [ITEM_ON_PAGE, 0, 0, 0, 0] && value.len() == 4 {
                    return Ok(());
                }
                if records.admit(value.len())? {
                    records.take(value, place);
                }
            }
            Some(&ITEM_OFF_PAGE) => {
                let stated = (self.order.size(item, 4), self.order.size(item, 8));
                let (Some(first), Some(size)) = stated else {
                    records.note(|| format!("{}: cut off", place()));
                    return Ok(());
                };
                if size > self.content.len() {
                    records.note(|| format!("{}: larger than the database", place()));
                } else if records.admit(size)? {
                    match self.chain(first, size) {
                        Some(value) => records.take(&value, place),
                        None => records.note(|| format!("{}: its pages are broken", place())),
                    }
                }
            }
            kind => records.note(|| format!("{}: of the unknown kind {kind:?}", place())),
        }
        Ok(())
    }

    /// A value of `size` bytes over a chain of pages. Every page must bring something, so a loop ends.
    fn chain(&self, first: usize, size: usize) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        let mut number = first;
        while value.len() < size {
            let page = self.page(number)?;
            (page.get(25) == Some(&PAGE_OVERFLOW)).then_some(())?;
            let here = part(page, PAGE_HEAD, self.order.u16(page, 22)?)?;
            (!here.is_empty()).then_some(())?;
            value.extend_from_slice(here);
            number = self.order.size(page, 16)?;
        }
        value.truncate(size);
        Some(value)
    }
}
