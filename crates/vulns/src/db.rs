//! The database: one file for each source, each replaced as a whole.
//!
//! In the folder lies `osv-Debian.redb`, `nvd.redb` and so on. [`update`] writes a new file under a temporary name and
//! renames it over the old one, so an update that is killed leaves the old data in use. [`Database`] reads. A file that
//! cannot be read makes everything that it speaks for unknown: there is no silent pass.

use std::path::{Path, PathBuf};

use haechi_core::vulnerability::{Completeness, DataSource, Epss, Exploited};
use jiff::{Timestamp, ToSpan};

use self::store::{Kind, Store};
use crate::advisory::{CpeRecord, Detail, Lookup, LookupError, Record};
use crate::feed::base;

mod build;
mod bundle;
mod folder;
mod lock;
mod network;
mod nvd_api;
mod sort;
mod store;
mod update;
mod web;
mod whole;

pub use bundle::{
    Manifest, ManifestFile, Trust, export, import, keygen, signing_key, verifying_key,
};
pub use store::{Meta, Via};
pub use update::{Origin, Outcome, Plan, Progress, SourceUpdate, UpdateReport, update};
pub use whole::Shortfall;

/// Begin of the names of files that are being written. What is left of them is removed at the next update.
pub(crate) const TEMPORARY: &str = ".new-";
/// Most files that are opened: a few dozen are usual.
const MAX_FILES: usize = 1000;

/// Why the database cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The folder cannot be read.
    #[error("{0}: {1}")]
    Folder(PathBuf, std::io::Error),
    /// A file cannot be written.
    #[error("{0}: cannot be written: {1}")]
    Write(PathBuf, String),
    /// A file cannot be used.
    #[error("{0}: {1}")]
    Damaged(PathBuf, String),
    /// Another update runs.
    #[error("{0}: another update is running")]
    Locked(PathBuf),
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The network, a mirror, a bundle or a key is not as it must be.
    #[error("{0}")]
    Refused(String),
}

/// How old data may be.
#[derive(Debug, Clone, Copy)]
pub struct Freshness {
    /// The present.
    pub now: Timestamp,
    /// Most days since the content is from.
    pub age_days_max: i64,
}

/// A source and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Why it is not used; then nothing else is known.
    pub error: Option<String>,
    /// What is known about it.
    pub meta: Meta,
    /// Whole days since [`Meta::as_of`]; nothing if that is unknown.
    pub age_days: Option<i64>,
    /// Whether it is older than allowed, or its age is unknown.
    pub too_old: bool,
    /// Whether it holds all that its publisher publishes.
    pub completeness: Completeness,
    /// Why it looks partial, if it does.
    pub shortfall: Option<Shortfall>,
}

/// All sources of a folder, open for reading.
pub struct Database {
    stores: Vec<(Store, SourceStatus)>,
    refused: Vec<SourceStatus>,
}

impl Database {
    /// Opens every source in a folder; nothing if there is none. A source that cannot be used is in
    /// [`Self::status`] with the cause, and its ecosystems are not known any more.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn open(dir: &Path, freshness: Freshness) -> Result<Option<Self>, DbError> {
        let mut this = Self { stores: Vec::new(), refused: Vec::new() };
        for path in files(dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let bytes = std::fs::metadata(&path).map(|m| m.len()).unwrap_or_default();
            match Store::open(&path) {
                Ok(store) => {
                    let age_days = age(&store.meta, freshness.now);
                    let (completeness, shortfall) = completeness(&store.meta);
                    let status = SourceStatus {
                        name: store.meta.name.clone(),
                        path,
                        bytes,
                        error: None,
                        meta: store.meta.clone(),
                        age_days,
                        too_old: age_days.is_none_or(|days| days > freshness.age_days_max),
                        completeness,
                        shortfall,
                    };
                    this.stores.push((store, status));
                }
                Err(error) => {
                    let error = match error {
                        DbError::Damaged(_, why) => why,
                        other => other.to_string(),
                    };
                    tracing::warn!(file = %path.display(), %error, "a source of the vulnerability database is not used");
                    this.refused.push(SourceStatus {
                        name: source_name(&name),
                        path,
                        bytes,
                        error: Some(error),
                        meta: Meta::default(),
                        age_days: None,
                        too_old: true,
                        completeness: Completeness::Partial,
                        shortfall: None,
                    });
                }
            }
        }
        // OSV first, NVD last: the order of details.
        this.stores.sort_by_key(|(s, _)| (place(&s.meta.name), s.meta.name.clone()));
        Ok((!this.stores.is_empty() || !this.refused.is_empty()).then_some(this))
    }

    /// All sources, also those that cannot be used.
    pub fn status(&self) -> Vec<SourceStatus> {
        let mut all: Vec<_> = self
            .stores
            .iter()
            .map(|(_, s)| s.clone())
            .chain(self.refused.iter().cloned())
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn speaking_for<'a>(
        &'a self,
        ecosystem: &'a str,
    ) -> impl Iterator<Item = &'a (Store, SourceStatus)> {
        self.stores.iter().filter(move |(s, _)| s.meta.ecosystems.contains_key(ecosystem))
    }
}

impl Lookup for Database {
    fn records(&self, ecosystem: &str, name: &str) -> Result<Vec<Record>, LookupError> {
        let key = record_key(ecosystem, name);
        let mut all = Vec::new();
        for (store, _) in self.speaking_for(ecosystem) {
            all.append(&mut store.get(Kind::Record, &key).map_err(LookupError)?);
        }
        Ok(all)
    }

    fn details(&self, id: &str, ecosystems: &[String]) -> Result<Vec<Detail>, LookupError> {
        let mut all: Vec<Detail> = Vec::new();
        let speaks = |store: &Store| {
            let own = &store.meta.ecosystems;
            own.is_empty() || ecosystems.iter().any(|name| own.contains_key(name))
        };
        for (store, _) in self.stores.iter().filter(|(store, _)| speaks(store)) {
            let mut ids = vec![id.to_owned()];
            ids.append(
                &mut store.get::<Vec<String>>(Kind::Alias, id.as_bytes()).map_err(LookupError)?,
            );
            for id in ids {
                for detail in
                    store.get::<Vec<Detail>>(Kind::Detail, id.as_bytes()).map_err(LookupError)?
                {
                    if !all.contains(&detail) {
                        all.push(detail);
                    }
                }
            }
        }
        Ok(all)
    }

    fn products(&self, vendor: &str, product: &str) -> Result<Vec<CpeRecord>, LookupError> {
        let key = format!("{vendor}:{product}");
        let mut all = Vec::new();
        for (store, _) in &self.stores {
            all.append(&mut store.get(Kind::Product, key.as_bytes()).map_err(LookupError)?);
        }
        Ok(all)
    }

    fn exploited(&self, cve: &str) -> Result<Option<Exploited>, LookupError> {
        for (store, _) in &self.stores {
            if let Some(found) = store.get(Kind::Exploited, cve.as_bytes()).map_err(LookupError)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn epss(&self, cve: &str) -> Result<Option<Epss>, LookupError> {
        for (store, _) in &self.stores {
            if let Some(found) = store.get(Kind::Epss, cve.as_bytes()).map_err(LookupError)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn ecosystems(&self, prefix: &str) -> Vec<String> {
        let names = self.stores.iter().flat_map(|(store, _)| store.meta.ecosystems.keys());
        let mut names: Vec<String> =
            names.filter(|name| name.starts_with(prefix)).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    fn knows(&self, ecosystem: &str) -> bool {
        let lost = self.refused.iter().any(|s| may_speak_for(&s.path, ecosystem));
        !lost && self.speaking_for(ecosystem).next().is_some()
    }

    fn sources_of(&self, ecosystem: &str) -> Vec<DataSource> {
        self.speaking_for(ecosystem).map(|(_, s)| data_source(s)).collect()
    }

    fn sources(&self) -> Vec<DataSource> {
        self.stores.iter().map(|(_, s)| data_source(s)).collect()
    }
}

/// Whether a source holds all that its publisher publishes, and why it looks partial, if it does.
pub fn completeness(meta: &Meta) -> (Completeness, Option<Shortfall>) {
    let shortfall = whole::shortfall(meta);
    let completeness = match (&shortfall, meta.declared_complete) {
        (None, _) => Completeness::Plausible,
        (Some(_), true) => Completeness::Declared,
        (Some(_), false) => Completeness::Partial,
    };
    (completeness, shortfall)
}

fn data_source(status: &SourceStatus) -> DataSource {
    let meta = &status.meta;
    DataSource {
        name: status.name.clone(),
        records: meta.records,
        broken: meta.broken,
        fetched_at: meta.fetched_at.clone(),
        data_at: meta.data_at.clone(),
        too_old: status.too_old,
        completeness: status.completeness,
        shortfall: status.shortfall.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// The key of a package's records.
pub(crate) fn record_key(ecosystem: &str, name: &str) -> Vec<u8> {
    [ecosystem.as_bytes(), b"\0", name.as_bytes()].concat()
}

/// Days since [`Meta::as_of`]. That is, for data from the publisher, the moment at which it was fetched or confirmed:
/// a quiet feed is not an old one. For a mirror or a folder it is the newest moment that the data names, of all
/// sources of that kind in the same update (one OSV ecosystem may be quiet for months, not all of them): so a mirror
/// that nobody refreshes grows old however often it is read. Data that names no moment counts by the date of its file.
pub(crate) fn age(meta: &Meta, now: Timestamp) -> Option<i64> {
    let as_of = moment(&meta.as_of)?;
    let hours = now.since(as_of).ok()?.total(jiff::Unit::Hour).ok()?;
    // A date in the future is no proof of being new: a day is what clocks may differ.
    if as_of > now.checked_add(24.hours()).ok()? {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "jiff's range is 20,000 years")]
    Some((hours / 24.0).floor().max(0.0) as i64)
}

/// Reads the moments that feeds write: RFC 3339, without zone (then UTC), `+0000`, or a day.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let civil = text.strip_suffix("+0000").unwrap_or(text);
    civil
        .parse::<jiff::civil::DateTime>()
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|z| z.timestamp())
}

/// The sources in a folder, sorted. A folder that does not exist has none.
pub(crate) fn files(dir: &Path) -> Result<Vec<PathBuf>, DbError> {
    let failed = |e| DbError::Folder(dir.to_owned(), e);
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".redb") && !name.starts_with('.') {
            found.push(path);
        }
        if found.len() > MAX_FILES {
            return Err(failed(std::io::Error::other(format!("more than {MAX_FILES} sources"))));
        }
    }
    found.sort();
    Ok(found)
}

/// The order in which sources answer.
fn place(name: &str) -> u8 {
    match name {
        n if n.starts_with("osv/") => 0,
        "nvd" => 2,
        _ => 1,
    }
}

/// The name of a source from that of its file, as well as it can be told when the file cannot be read.
fn source_name(file: &str) -> String {
    let stem = file.strip_suffix(".redb").unwrap_or(file).replace("%20", " ");
    for prefix in ["osv", "alpine-secdb"] {
        if let Some(rest) = stem.strip_prefix(prefix).and_then(|r| r.strip_prefix('-')) {
            return format!("{prefix}/{rest}");
        }
    }
    stem
}

/// Whether a source that cannot be read may have had something to say about an ecosystem.
fn may_speak_for(path: &Path, ecosystem: &str) -> bool {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let base = base(ecosystem);
    match file.as_ref() {
        "nvd.redb" | "kev.redb" | "epss.redb" => false,
        "debian-tracker.redb" => base == "Debian",
        "wolfi-secdb.redb" => base == "Wolfi",
        "chainguard-secdb.redb" => base == "Chainguard",
        other if other.starts_with("osv-") => other == store::file_name(&format!("osv/{base}")),
        other if other.starts_with("alpine-secdb-") => ecosystem
            .strip_prefix("Alpine:")
            .is_some_and(|release| other == store::file_name(&format!("alpine-secdb/{release}"))),
        // A file that nobody knows: it may be about anything.
        _ => true,
    }
}

#[cfg(test)]
mod tests;
