//! Turns what readers hand over into files of the database, one for each source.
//!
//! Everything goes through a sort on disk, so memory does not grow with the feeds. Of two entries with one id in one
//! source, the one changed last counts. A collection of advisories that are all about one ecosystem (an export of
//! OSV) speaks for that one only: what its advisories say beside it about others would be a small part taken for all.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{Timestamp, ToSpan};
use postcard::to_stdvec;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::write::Built;
use self::write::{Groups, OneSource};
use super::sort::Sorter;
use super::store::{Draft, Kind, Meta, Via, file_name};
use super::{DbError, moment, record_key};
use crate::advisory::normal_name;
use crate::feed::{FeedError, Item, Parcel, Sink, base, keyable};

mod old;
mod write;

/// Most sources of one update: OSV has some forty ecosystems.
const MAX_SOURCES: usize = 300;
/// Most ecosystems (with releases) of one source: SUSE and Red Hat have some hundred.
const MAX_ECOSYSTEMS: usize = 20_000;
/// Most entries of one update, for each costs some bytes of memory: all that is published is below two million.
const MAX_ENTRIES: usize = 20_000_000;
/// Broken entries that are kept with name and cause, and input names.
const EXAMPLES: usize = 20;
/// Longest name of an ecosystem without release.
const MAX_BASE: usize = 64;

/// The source of advisories that are about commits only: what their ranges are called in OSV.
const NO_PACKAGE: &str = "GIT";

/// To which source entries belong.
#[derive(Debug, Clone)]
pub enum Route {
    /// To this one.
    One(String),
    /// To that of each package's ecosystem.
    Osv,
    /// To that of this ecosystem; what is about others is left out.
    OsvOf(String),
}

/// What is known of a source before it is written.
#[derive(Debug, Clone, Default)]
pub struct Info {
    /// Names of inputs.
    pub from: Vec<String>,
    /// Headers of the answer, if it is one file.
    pub etag: String,
    /// The same.
    pub last_modified: String,
    /// Newest moment in the content.
    pub data_at: Option<Timestamp>,
    /// Newest moment of the files.
    pub file_at: Option<Timestamp>,
    broken: u64,
    examples: Vec<(String, String)>,
    digest: Option<Sha256>,
    failed: Option<String>,
}

/// Advisories that came together: an archive, a folder.
#[derive(Debug, Default)]
struct Collection {
    advisories: u64,
    by_base: BTreeMap<String, u64>,
    broken: u64,
    examples: Vec<(String, String)>,
    inputs: Vec<(String, [u8; 32], Option<Timestamp>)>,
    failed: Option<String>,
    /// As [`Builder::newest`], by ecosystem: what is said aside must not outdate what counts.
    newest: BTreeMap<String, HashMap<u64, String>>,
    data_at: BTreeMap<String, Timestamp>,
}

impl Collection {
    /// Whether it speaks for an ecosystem.
    fn is_about(&self, of: &str) -> bool {
        self.by_base.contains_key(of) && !self.is_aside(of)
    }

    /// Whether what it says about an ecosystem is only said beside what it is about.
    fn is_aside(&self, of: &str) -> bool {
        let about_all = |n: &u64| *n == self.advisories;
        self.by_base.values().any(about_all) && !self.by_base.get(of).is_some_and(about_all)
    }
}

/// Takes entries, and makes files of them.
pub struct Builder {
    dir: PathBuf,
    now: Timestamp,
    route: Route,
    sorter: Sorter,
    infos: BTreeMap<String, Info>,
    collections: Vec<Collection>,
    /// By id and source: when it was last changed. Entries without such a date are not in it.
    newest: HashMap<u64, String>,
    noted: usize,
    hasher: RandomState,
    cancelled: Arc<AtomicBool>,
}

/// What is sorted: whose entry, from which collection, and the thing itself behind it.
#[derive(Serialize, Deserialize)]
struct Tag {
    entry: u64,
    modified: String,
    collection: u32,
}

impl Builder {
    /// Writes into `dir`. `cancelled` ends it at the next entry.
    pub fn new(dir: &Path, now: Timestamp, cancelled: Arc<AtomicBool>) -> Self {
        Self {
            dir: dir.to_owned(),
            now,
            route: Route::Osv,
            sorter: Sorter::new(dir),
            infos: BTreeMap::new(),
            collections: vec![Collection::default()],
            newest: HashMap::new(),
            noted: 0,
            hasher: RandomState::new(),
            cancelled,
        }
    }

    /// What comes now belongs there.
    pub fn route(&mut self, route: Route) {
        if let Route::One(name) = &route {
            self.infos.entry(name.clone()).or_default();
        }
        self.route = route;
    }

    /// What comes now is one collection of advisories.
    pub fn collection(&mut self) {
        self.collections.push(Collection::default());
    }

    /// What came now is incomplete: the sources that it belongs to must not replace what is there.
    pub fn failed(&mut self, why: &str) {
        let failed = match &self.route {
            Route::One(source) => self.infos.get_mut(source).map(|i| &mut i.failed),
            _ => self.collections.last_mut().map(|c| &mut c.failed),
        };
        if let Some(failed) = failed {
            failed.get_or_insert_with(|| why.to_owned());
        }
    }

    /// Entries that were not understood and belong to no source, because nothing in their collection was.
    pub fn strays(&self) -> Vec<(String, String)> {
        let lost = self.collections.iter().filter(|c| c.by_base.is_empty());
        lost.flat_map(|c| c.examples.iter().cloned()).take(EXAMPLES).collect()
    }

    /// Notes an input of the present route, with its digest and date.
    pub fn input(&mut self, name: &str, digest: [u8; 32], at: Option<Timestamp>) {
        match &self.route {
            Route::One(source) => {
                if let Some(info) = self.infos.get_mut(source) {
                    info.input(name, &digest, at);
                }
            }
            _ => {
                if let Some(collection) = self.collections.last_mut() {
                    collection.inputs.push((name.to_owned(), digest, at));
                }
            }
        }
    }

    /// What is known of a source so far.
    pub fn info(&mut self, source: &str) -> &mut Info {
        self.infos.entry(source.to_owned()).or_default()
    }

    fn hash(&self, source: &str, id: &str) -> u64 {
        self.hasher.hash_one((source, id))
    }

    fn push_item(&mut self, source: &str, tag: &Tag, item: Item) -> Result<(), FeedError> {
        match item {
            Item::Record { ecosystem, name, record } => self.push(
                source,
                Kind::Record,
                &record_key(&ecosystem, &normal_name(&ecosystem, &name)),
                tag,
                &*record,
            ),
            Item::Detail { detail, .. } => {
                for alias in &detail.aliases {
                    if keyable(alias) {
                        self.push(source, Kind::Alias, alias.as_bytes(), tag, &detail.id)?;
                    }
                }
                self.push(source, Kind::Detail, detail.id.as_bytes(), tag, &*detail)
            }
            Item::Product(cpe) => {
                let key = format!("{}:{}", cpe.vendor, cpe.product);
                self.push(source, Kind::Product, key.as_bytes(), tag, &cpe)
            }
            Item::Exploited(cve, exploited) => {
                self.push(source, Kind::Exploited, cve.as_bytes(), tag, &exploited)
            }
            Item::Epss(cve, epss) => self.push(source, Kind::Epss, cve.as_bytes(), tag, &epss),
        }
    }

    fn push<T: Serialize>(
        &mut self,
        source: &str,
        kind: Kind,
        key: &[u8],
        tag: &Tag,
        item: &T,
    ) -> Result<(), FeedError> {
        let keep = |e: &dyn std::fmt::Display| FeedError::Keep(e.to_string());
        let key = [source.as_bytes(), &[0, kind as u8], key].concat();
        let value = to_stdvec(&(tag, item)).map_err(|e| keep(&e))?;
        self.sorter.push(key, value).map_err(|e| keep(&e))
    }

    fn note(&mut self, source: &str, id: &str, modified: &str) -> Result<Tag, FeedError> {
        if self.infos.len() >= MAX_SOURCES && !self.infos.contains_key(source) {
            return Err(FeedError::Keep(format!("more than {MAX_SOURCES} sources")));
        }
        let at = self.credible(modified);
        let entry = self.hash(source, id);
        let info = self.infos.entry(source.to_owned()).or_default();
        let collection =
            source.strip_prefix("osv/").and_then(|of| Some((of, self.collections.last_mut()?)));
        let newest = match collection {
            Some((of, collection)) => {
                if let Some(at) = at {
                    let newest = collection.data_at.entry(of.to_owned()).or_insert(at);
                    *newest = at.max(*newest);
                }
                collection.newest.entry(of.to_owned()).or_default()
            }
            None => {
                info.data_at = info.data_at.max(at);
                &mut self.newest
            }
        };
        if !modified.is_empty() {
            self.noted += 1;
            if self.noted > MAX_ENTRIES {
                return Err(FeedError::Keep(format!("more than {MAX_ENTRIES} entries")));
            }
            keep_newest(newest, entry, modified);
        }
        let collection = u32::try_from(self.collections.len() - 1).unwrap_or(u32::MAX);
        Ok(Tag { entry, modified: modified.to_owned(), collection })
    }

    /// A moment that may be true: what claims to be from the future proves nothing about a feed's age.
    fn credible(&self, text: &str) -> Option<Timestamp> {
        let limit = self.now.checked_add(24.hours()).unwrap_or(self.now);
        moment(text).filter(|at| *at <= limit)
    }

    /// Writes every source, `complete` if the operator declares it so, and calls `done` with each. A source that cannot be written does not end the others.
    ///
    /// # Errors
    /// The sorting fails (disk full), or it is cancelled.
    pub fn finish(
        mut self,
        via: Via,
        complete: bool,
        done: &mut dyn FnMut(String, Result<Built, DbError>),
    ) -> Result<(), DbError> {
        self.settle();
        let newest_osv = self
            .infos
            .iter()
            .filter(|(n, _)| n.starts_with("osv/"))
            .filter_map(|(_, i)| i.data_at)
            .max();
        let dir = self.dir.clone();
        let sorted =
            self.sorter.finish().map_err(|e| DbError::Write(dir.clone(), e.to_string()))?;
        let mut groups = Groups {
            sorted,
            peeked: None,
            newest: &self.newest,
            collections: &self.collections,
            cancelled: &self.cancelled,
            dir: &dir,
        };
        let infos = std::mem::take(&mut self.infos);
        for (name, info) in infos {
            let of = name.strip_prefix("osv/");
            if of.is_some_and(|of| {
                of != NO_PACKAGE && self.collections.iter().all(|c| !c.is_about(of))
            }) {
                groups.skip(&name)?;
                continue;
            }
            let family = if name.starts_with("osv/") { newest_osv } else { None };
            if let Some(why) = info.failed {
                groups.skip(&name)?;
                done(name, Err(DbError::Refused(why)));
                continue;
            }
            let mut one = OneSource {
                groups: &mut groups,
                counts: BTreeMap::new(),
                meta: Meta {
                    declared_complete: complete,
                    ..info.meta(&name, via, self.now, family)
                },
            };
            if one.groups.is_empty_for(&name)? {
                continue;
            }
            let built = Draft::new(&dir, &name).and_then(|draft| draft.write(&mut one));
            let meta = one.meta;
            groups.skip(&name)?;
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(DbError::Cancelled);
            }
            let built =
                built.map(|temporary| Built { path: dir.join(file_name(&name)), meta, temporary });
            done(name, built);
        }
        Ok(())
    }

    /// Gives each source its share of what is known about collections.
    fn settle(&mut self) {
        for mut collection in std::mem::take(&mut self.collections) {
            let newest = std::mem::take(&mut collection.newest);
            for (of, newest) in newest.into_iter().filter(|(of, _)| !collection.is_aside(of)) {
                for (entry, modified) in newest {
                    keep_newest(&mut self.newest, entry, &modified);
                }
                let info = self.infos.entry(format!("osv/{of}")).or_default();
                info.data_at = info.data_at.max(collection.data_at.get(&of).copied());
            }
            for of in collection.by_base.keys().filter(|of| !collection.is_aside(of)) {
                let info = self.infos.entry(format!("osv/{of}")).or_default();
                info.broken += collection.broken;
                info.failed = info.failed.take().or_else(|| collection.failed.clone());
                let room = EXAMPLES.saturating_sub(info.examples.len());
                info.examples.extend(collection.examples.iter().take(room).cloned());
                for (name, digest, at) in &collection.inputs {
                    info.input(name, digest, *at);
                }
            }
            self.collections.push(collection);
            // (Pushed back in the same order: the numbers in the tags stay valid.)
        }
    }
}

impl Sink for Builder {
    fn take(&mut self, parcel: Parcel) -> Result<(), FeedError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(FeedError::Keep("cancelled".to_owned()));
        }
        let Parcel { id, modified, items } = parcel;
        if let Route::One(source) = self.route.clone() {
            let tag = self.note(&source, &id, &modified)?;
            for item in items {
                self.push_item(&source, &tag, item)?;
            }
            return Ok(());
        }
        let mut bases: Vec<String> = items
            .iter()
            .flat_map(|item| match item {
                Item::Detail { bases, .. } => bases.clone(),
                _ => Vec::new(),
            })
            .filter(|b| b.len() <= MAX_BASE && keyable(b))
            .collect();
        if let Some(collection) = self.collections.last_mut().filter(|_| !bases.is_empty()) {
            collection.advisories += 1;
            for of in &bases {
                *collection.by_base.entry(of.clone()).or_default() += 1;
            }
        }
        if let Route::OsvOf(only) = &self.route {
            bases.retain(|b| b == only);
        } else if bases.is_empty() {
            // About commits only: known by name, though no package can be decided by it.
            bases.push(NO_PACKAGE.to_owned());
        }
        for of in bases {
            let source = format!("osv/{of}");
            let tag = self.note(&source, &id, &modified)?;
            for item in &items {
                match item {
                    Item::Record { ecosystem, .. } if base(ecosystem) != of => {}
                    item => self.push_item(&source, &tag, item.clone())?,
                }
            }
        }
        Ok(())
    }

    fn broken(&mut self, name: &str, why: &str) {
        let cut = |s: &str| s.chars().take(200).collect::<String>();
        let example = (cut(name), cut(why));
        let (broken, examples) = match &self.route {
            Route::One(source) => {
                let info = self.infos.entry(source.clone()).or_default();
                (&mut info.broken, &mut info.examples)
            }
            _ => match self.collections.last_mut() {
                Some(collection) => (&mut collection.broken, &mut collection.examples),
                None => return,
            },
        };
        *broken += 1;
        if examples.len() < EXAMPLES {
            examples.push(example);
        }
    }

    fn dated(&mut self, when: &str) {
        if let Route::One(source) = self.route.clone() {
            let at = self.credible(when);
            let info = self.infos.entry(source).or_default();
            info.data_at = info.data_at.max(at);
        }
    }
}

impl Info {
    fn input(&mut self, name: &str, digest: &[u8; 32], at: Option<Timestamp>) {
        // Once each: `from` is compared with what is fetched, to ask only for what has changed.
        if self.from.len() < EXAMPLES && !self.from.iter().any(|from| from == name) {
            self.from.push(name.to_owned());
        }
        self.digest.get_or_insert_default().update(digest);
        self.file_at = self.file_at.max(at);
    }

    fn meta(self, name: &str, via: Via, now: Timestamp, family: Option<Timestamp>) -> Meta {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let as_of = match via {
            Via::Publisher => Some(now),
            Via::Mirror | Via::Folder => self.data_at.max(family).or(self.file_at),
        };
        let digest = self.digest.map(|d| hex(&d.finalize())).unwrap_or_default();
        Meta {
            name: name.to_owned(),
            from: self.from,
            via,
            etag: self.etag,
            last_modified: self.last_modified,
            sha256: digest,
            fetched_at: now.to_string(),
            data_at: text(self.data_at),
            as_of: text(as_of),
            records: 0,
            broken: self.broken,
            broken_examples: self.examples,
            ecosystems: BTreeMap::new(),
            years: BTreeMap::new(),
            declared_complete: false,
        }
    }
}

fn keep_newest(newest: &mut HashMap<u64, String>, entry: u64, modified: &str) {
    let newest = newest.entry(entry).or_default();
    if newest.as_str() < modified {
        modified.clone_into(newest);
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
