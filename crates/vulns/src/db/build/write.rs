//! Of sorted entries, the tables of one source after the other.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use haechi_core::vulnerability::{Epss, Exploited};
use postcard::from_bytes;
use serde::{Deserialize, Serialize};

use super::{Collection, MAX_ECOSYSTEMS, Tag};
use crate::advisory::{CpeRecord, Detail, Record};
use crate::db::DbError;
use crate::db::sort::{Pair, Sorted};
use crate::db::store::{Content, Kind, Meta, encode};
use crate::db::whole::year;
use crate::feed::nvd;

/// A source that was written under a temporary name.
#[derive(Debug)]
pub struct Built {
    /// What is known about it.
    pub meta: Meta,
    pub(super) temporary: PathBuf,
    pub(super) path: PathBuf,
}

impl Built {
    /// Puts the new file into the place of the old one.
    ///
    /// # Errors
    /// It cannot be renamed; then the old one is still there.
    pub fn swap(self) -> Result<Meta, DbError> {
        let failed = |e: std::io::Error| DbError::Write(self.path.clone(), e.to_string());
        std::fs::rename(&self.temporary, &self.path).map_err(failed)?;
        // The name itself must last as well.
        if let Some(dir) = self.path.parent() {
            std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(failed)?;
        }
        Ok(self.meta)
    }
}

/// A key, and what stands under it.
type Group = (Vec<u8>, Vec<Vec<u8>>);

/// The sorted pairs, in groups of equal key.
pub(super) struct Groups<'a> {
    pub sorted: Sorted,
    pub peeked: Option<Pair>,
    pub newest: &'a HashMap<u64, String>,
    pub collections: &'a [Collection],
    pub cancelled: &'a AtomicBool,
    pub dir: &'a Path,
}

impl Groups<'_> {
    fn peek(&mut self) -> Result<Option<&Pair>, DbError> {
        if self.peeked.is_none() {
            let next = self.sorted.next().transpose();
            self.peeked = next.map_err(|e| DbError::Write(self.dir.to_owned(), e.to_string()))?;
        }
        Ok(self.peeked.as_ref())
    }

    /// Whether the next pair is of another source.
    pub fn is_empty_for(&mut self, source: &str) -> Result<bool, DbError> {
        let prefix = [source.as_bytes(), b"\0"].concat();
        Ok(!self.peek()?.is_some_and(|(key, _)| key.starts_with(&prefix)))
    }

    /// Leaves out what is left of a source.
    pub fn skip(&mut self, source: &str) -> Result<(), DbError> {
        while !self.is_empty_for(source)? {
            self.peeked = None;
        }
        Ok(())
    }

    /// The next key of a table, and all that stands under it and still counts.
    fn group(&mut self, source: &str, kind: Kind) -> Result<Option<Group>, DbError> {
        let prefix = [source.as_bytes(), &[0, kind as u8]].concat();
        let mut of: Option<Group> = None;
        loop {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(DbError::Cancelled);
            }
            match self.peek()? {
                Some((key, _))
                    if key.starts_with(&prefix) && of.as_ref().is_none_or(|(k, _)| k == key) => {}
                _ => return Ok(of),
            }
            let Some((key, value)) = self.peeked.take() else { return Ok(of) };
            let (tag, rest) = postcard::take_from_bytes::<Tag>(&value)
                .map_err(|e| DbError::Write(self.dir.to_owned(), e.to_string()))?;
            let list = &mut of.get_or_insert_with(|| (key, Vec::new())).1;
            if self.counts(source, &tag) {
                list.push(rest.to_vec());
            }
        }
    }

    fn counts(&self, source: &str, tag: &Tag) -> bool {
        let newest = self.newest.get(&tag.entry).is_none_or(|newest| *newest == tag.modified);
        let of = source.strip_prefix("osv/");
        let collection = usize::try_from(tag.collection).ok().and_then(|i| self.collections.get(i));
        newest
            && !of.is_some_and(|of| {
                collection.is_some_and(|c| c.by_base.contains_key(of) && c.is_aside(of))
            })
    }
}

pub(super) struct OneSource<'a, 'b> {
    pub groups: &'a mut Groups<'b>,
    pub counts: BTreeMap<u8, u64>,
    pub meta: Meta,
}

impl OneSource<'_, '_> {
    fn list<T: for<'d> Deserialize<'d> + Serialize>(
        &self,
        values: &[Vec<u8>],
    ) -> Result<Vec<u8>, DbError> {
        let failed =
            |e: &dyn std::fmt::Display| DbError::Write(self.groups.dir.to_owned(), e.to_string());
        let list = values
            .iter()
            .map(|v| from_bytes::<T>(v))
            .collect::<Result<Vec<T>, _>>()
            .map_err(|e| failed(&e))?;
        encode(&list).map_err(|e| failed(&e))
    }

    fn single<T: for<'d> Deserialize<'d> + Serialize>(
        &self,
        value: &[u8],
    ) -> Result<Vec<u8>, DbError> {
        let failed =
            |e: &dyn std::fmt::Display| DbError::Write(self.groups.dir.to_owned(), e.to_string());
        let value: T = from_bytes(value).map_err(|e| failed(&e))?;
        encode(&Some(value)).map_err(|e| failed(&e))
    }
}

impl Content for OneSource<'_, '_> {
    fn next(&mut self, kind: Kind) -> Result<Option<Pair>, DbError> {
        let name = self.meta.name.clone();
        while let Some((key, mut values)) = self.groups.group(&name, kind)? {
            // By id, and each thing once, whatever it came with.
            values.sort();
            values.dedup();
            let Some(last) = values.last() else { continue };
            let key = key.get(name.len() + 2..).unwrap_or_default().to_vec();
            let failed =
                |e: std::io::Error| DbError::Write(self.groups.dir.to_owned(), e.to_string());
            let value = match kind {
                Kind::Record => self.list::<Record>(&values)?,
                Kind::Product => self.list::<CpeRecord>(&values)?,
                Kind::Alias => self.list::<String>(&values)?,
                Kind::Detail => self.list::<Detail>(std::slice::from_ref(last))?,
                Kind::Exploited => self.single::<Exploited>(last)?,
                Kind::Epss => self.single::<Epss>(last)?,
            };
            *self.counts.entry(kind as u8).or_default() += match kind {
                Kind::Record => values.len() as u64,
                _ => 1,
            };
            if kind == Kind::Detail
                && name == nvd::NAME
                && let Some(year) = year(&key)
            {
                *self.meta.years.entry(year).or_default() += 1;
            }
            if kind == Kind::Record {
                let ecosystem =
                    String::from_utf8_lossy(key.split(|b| *b == 0).next().unwrap_or_default())
                        .into_owned();
                let ecosystems = &mut self.meta.ecosystems;
                if ecosystems.len() >= MAX_ECOSYSTEMS && !ecosystems.contains_key(&ecosystem) {
                    return Err(failed(std::io::Error::other(format!(
                        "more than {MAX_ECOSYSTEMS} ecosystems"
                    ))));
                }
                *ecosystems.entry(ecosystem).or_default() += values.len() as u64;
            }
            return Ok(Some((key, value)));
        }
        Ok(None)
    }

    fn meta(&mut self) -> Meta {
        let count = |kind: Kind| self.counts.get(&(kind as u8)).copied().filter(|n| *n > 0);
        let order = [Kind::Detail, Kind::Record, Kind::Exploited, Kind::Epss];
        self.meta.records = order.into_iter().find_map(count).unwrap_or_default();
        self.meta.clone()
    }
}
