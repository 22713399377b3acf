//! Reads all feeds that lie below a folder, whatever their names are.
//!
//! A source is replaced as a whole by what is found for it. If a file that belongs to it cannot be read to its end,
//! the source stays as it was: half of a feed would look like a whole one with fewer vulnerabilities.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::build::{Builder, Route};
use super::store::{Store, Via, file_name};
use super::update::{Outcome, Plan, Progress, SourceUpdate, UpdateReport};
use super::{DbError, lock::Lock, moment};
use crate::feed::shape::{self, Shape};
use crate::feed::{
    Capped, FeedError, MAX_ENTRY, Parcel, Sink, archive, debian, epss, json, kev, nvd, osv, secdb,
};

/// Deepest nesting of folders; real ones have three or four levels.
const MAX_DEPTH: usize = 16;
/// Most files: OSV unpacked has some 500,000.
const MAX_FILES: usize = 4_000_000;
/// Files that are listed as not recognised.
const MAX_LISTED: usize = 1000;
/// What of a file is looked at first: a tar header.
const HEAD: u64 = 512;

/// Reads everything below `from` into the database in `dir`.
///
/// # Errors
/// `from` cannot be read, another update runs, or the database's folder cannot be written.
pub fn load(
    dir: &Path,
    from: &Path,
    plan: &Plan,
    progress: &dyn Progress,
    cancelled: Arc<AtomicBool>,
) -> Result<UpdateReport, DbError> {
    let _lock = Lock::take(dir)?;
    let mut report = UpdateReport::default();
    let found = Found::below(from, &mut report, progress)?;
    let mut builder = Builder::new(dir, plan.now, cancelled);
    found.load(&mut builder, &mut report, progress)?;
    report.failures.extend(builder.strays());
    write(builder, dir, plan, Via::Folder, &mut report)?;
    Ok(report)
}

/// Writes what a builder has, puts each source into its place, and reports.
///
/// # Errors
/// The disk is full, or it was cancelled.
pub(super) fn write(
    builder: Builder,
    dir: &Path,
    plan: &Plan,
    via: Via,
    report: &mut UpdateReport,
) -> Result<(), DbError> {
    builder.finish(via, plan.complete, &mut |name, built| {
        if !plan.only.is_empty() && !plan.only.contains(&name) {
            return;
        }
        let before = Store::open(&dir.join(file_name(&name))).ok().map(|s| s.meta);
        let records_before = before.as_ref().map(|m| m.records);
        let (outcome, meta) = match built.and_then(super::build::Built::swap) {
            Ok(meta) => (Outcome::Updated, Some(meta)),
            Err(error) => (Outcome::Failed(error.to_string()), before),
        };
        report.sources.push(SourceUpdate { name, outcome, meta, records_before });
    })?;
    report.sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

/// Files by what they are.
#[derive(Default)]
struct Found {
    /// OSV documents and CVE objects, by folder.
    loose: BTreeMap<PathBuf, Vec<(PathBuf, Shape)>>,
    archives: Vec<(PathBuf, Shape)>,
    secdb: Vec<PathBuf>,
    tracker: Vec<PathBuf>,
    nvd: Vec<PathBuf>,
    /// With the day that each is of.
    kev: Vec<(Option<Timestamp>, PathBuf)>,
    epss: Vec<(Option<Timestamp>, PathBuf)>,
}

impl Found {
    fn below(
        from: &Path,
        report: &mut UpdateReport,
        progress: &dyn Progress,
    ) -> Result<Self, DbError> {
        let mut this = Self::default();
        let mut seen = 0;
        let mut open = vec![(from.to_owned(), 0)];
        if from.is_file() {
            open.clear();
            this.sort_in(from.to_owned(), report);
        }
        while let Some((folder, depth)) = open.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if depth == 0 => return Err(DbError::Folder(folder, error)),
                Err(error) => {
                    report.failures.push((folder.display().to_string(), error.to_string()));
                    continue;
                }
            };
            for entry in entries {
                let entry = entry.map_err(|e| DbError::Folder(folder.clone(), e))?;
                let path = entry.path();
                // Links to folders are not followed: they may lead in circles.
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => open.push((path, depth + 1)),
                    Ok(kind) if kind.is_dir() => {
                        report.failures.push((path.display().to_string(), "too deep".to_owned()))
                    }
                    _ if path.is_file() => {
                        seen += 1;
                        if seen > MAX_FILES {
                            return Err(DbError::Refused(format!(
                                "{}: more than {MAX_FILES} files",
                                from.display()
                            )));
                        }
                        progress.at("files", seen as u64, None);
                        this.sort_in(path, report);
                    }
                    _ => {}
                }
            }
        }
        Ok(this)
    }

    fn sort_in(&mut self, path: PathBuf, report: &mut UpdateReport) {
        let shape = match look(&path) {
            Ok(shape) => shape,
            Err(error) => {
                report.failures.push((path.display().to_string(), error.to_string()));
                return;
            }
        };
        match shape {
            Shape::Osv | Shape::NvdObject => {
                let folder = path.parent().unwrap_or(&path).to_owned();
                self.loose.entry(folder).or_default().push((path, shape));
            }
            Shape::Zip | Shape::Tar => self.archives.push((path, shape)),
            Shape::Secdb => self.secdb.push(path),
            Shape::Tracker => self.tracker.push(path),
            Shape::NvdPage => self.nvd.push(path),
            Shape::Kev => self.kev.push((kev_date(&path), path)),
            Shape::Epss(date) => self.epss.push((moment(&date), path)),
            Shape::Unknown => unrecognised(&path, report),
        }
    }

    fn load(
        mut self,
        builder: &mut Builder,
        report: &mut UpdateReport,
        progress: &dyn Progress,
    ) -> Result<(), DbError> {
        self.archives.sort_by(|a, b| a.0.cmp(&b.0));
        for (path, shape) in &self.archives {
            builder.route(Route::Osv);
            builder.collection();
            let mut known = 0;
            one(builder, path, report, &mut |builder| {
                members(path, shape, builder, &mut known, progress)
            })?;
            if known == 0 {
                unrecognised(path, report);
            }
        }
        for (folder, files) in &mut self.loose {
            files.sort_by(|a, b| a.0.cmp(&b.0));
            builder.collection();
            let mut digest = Sha256::new();
            let mut newest = None;
            for (i, (path, shape)) in files.iter().enumerate() {
                progress.at(&folder.display().to_string(), i as u64, Some(files.len() as u64));
                let mut bytes = Vec::new();
                let name = path.display().to_string();
                let read = archive::open(path)
                    .and_then(|r| Capped::new(r, MAX_ENTRY).read_to_end(&mut bytes));
                if let Err(error) = read {
                    builder.route(route(shape));
                    builder.broken(&name, &error.to_string());
                    continue;
                }
                digest.update(&bytes);
                newest = newest.max(modified(path));
                kept(document(&bytes, &name, shape, builder))?;
            }
            builder.route(if files.iter().any(|(_, s)| *s == Shape::Osv) {
                Route::Osv
            } else {
                route(&Shape::NvdObject)
            });
            builder.input(&folder.display().to_string(), digest.finalize().into(), newest);
        }
        // In the order of their days, so that of two pages with one CVE the newer one counts by its own dates.
        self.nvd.sort();
        for path in &self.nvd {
            builder.route(Route::One(nvd::NAME.to_owned()));
            progress.at(&path.display().to_string(), 0, None);
            one(builder, path, report, &mut |builder| {
                nvd::read(archive::open(path)?, builder).map(drop)
            })?;
        }
        self.tracker.sort();
        for path in &self.tracker {
            builder.route(Route::One(debian::NAME.to_owned()));
            one(builder, path, report, &mut |builder| debian::read(archive::open(path)?, builder))?;
        }
        self.secdb(builder, report)?;
        newest(&mut self.kev, kev::NAME, builder, report, &mut |path, builder| {
            kev::read(archive::open(path)?, builder)
        })?;
        newest(&mut self.epss, epss::NAME, builder, report, &mut |path, builder| {
            epss::read(archive::open(path)?, builder)
        })
    }

    fn secdb(&mut self, builder: &mut Builder, report: &mut UpdateReport) -> Result<(), DbError> {
        self.secdb.sort();
        let mut owners: Vec<(PathBuf, secdb::Owner)> = Vec::new();
        let mut incomplete: BTreeSet<PathBuf> = BTreeSet::new();
        for path in &self.secdb {
            match archive::open(path).map_err(FeedError::from).and_then(secdb::owner) {
                Ok(owner) => owners.push((path.clone(), owner)),
                Err(error) => {
                    report.failures.push((path.display().to_string(), error.to_string()));
                    incomplete.extend(path.parent().map(Path::to_owned));
                }
            }
        }
        for (path, owner) in &owners {
            builder.route(Route::One(owner.source.clone()));
            one(builder, path, report, &mut |builder| {
                secdb::read(archive::open(path)?, owner, builder)
            })?;
            // A file beside it belongs to nobody knows which release: perhaps to this one.
            if path.parent().is_some_and(|p| incomplete.contains(p)) {
                builder.failed("a file beside it could not be read");
            }
        }
        Ok(())
    }
}

/// Reads one file into the present route. If that fails, its sources are not replaced.
fn one(
    builder: &mut Builder,
    path: &Path,
    report: &mut UpdateReport,
    read: &mut dyn FnMut(&mut Builder) -> Result<(), FeedError>,
) -> Result<(), DbError> {
    let name = path.display().to_string();
    match read(builder) {
        Ok(()) => {
            if let Ok(digest) = digest(path) {
                builder.input(&name, digest, modified(path));
            }
        }
        Err(FeedError::Keep(why)) => return kept(Err(FeedError::Keep(why))),
        Err(error) => {
            builder.failed(&format!("{name}: {error}"));
            report.failures.push((name, error.to_string()));
        }
    }
    Ok(())
}

/// Only what ends everything is an error.
pub(super) fn kept(done: Result<(), FeedError>) -> Result<(), DbError> {
    match done {
        Err(FeedError::Keep(why)) if why == "cancelled" => Err(DbError::Cancelled),
        Err(error) => Err(DbError::Refused(error.to_string())),
        Ok(()) => Ok(()),
    }
}

/// Of several files of days, the newest that can be read.
fn newest(
    files: &mut [(Option<Timestamp>, PathBuf)],
    name: &str,
    builder: &mut Builder,
    report: &mut UpdateReport,
    read: &mut dyn FnMut(&Path, &mut dyn Sink) -> Result<(), FeedError>,
) -> Result<(), DbError> {
    files.sort();
    let mut chosen = false;
    for (_, path) in files.iter().rev() {
        let shown = path.display().to_string();
        if chosen {
            report.skipped.push((shown, "a newer one is there".to_owned()));
            continue;
        }
        // Tried on nothing first: half of a file must not be mixed with another day's.
        match read(path, &mut Nothing) {
            Err(error) => report.failures.push((shown, error.to_string())),
            Ok(()) => {
                builder.route(Route::One(name.to_owned()));
                one(builder, path, report, &mut |builder| read(path, builder))?;
                chosen = true;
            }
        }
    }
    Ok(())
}

/// Forgets everything: for a first try.
struct Nothing;

impl Sink for Nothing {
    fn take(&mut self, _: Parcel) -> Result<(), FeedError> {
        Ok(())
    }
    fn broken(&mut self, _: &str, _: &str) {}
    fn dated(&mut self, _: &str) {}
}

fn unrecognised(path: &Path, report: &mut UpdateReport) {
    report.unrecognised_count += 1;
    if report.unrecognised.len() < MAX_LISTED {
        report.unrecognised.push(path.display().to_string());
    }
}

/// Reads an archive. A member that is no feed's counts as broken, if another one is (`known`): it may have been one.
fn members(
    path: &Path,
    shape: &Shape,
    builder: &mut Builder,
    known: &mut u64,
    progress: &dyn Progress,
) -> Result<(), FeedError> {
    let shown = path.display().to_string();
    let mut count = 0;
    let mut others: Vec<String> = Vec::new();
    let mut more = 0_u64;
    let mut each = |(name, bytes): archive::Member<'_>| -> Result<(), FeedError> {
        count += 1;
        if count % 1000 == 0 {
            progress.at(&shown, count, None);
        }
        match bytes {
            Ok(bytes) => match shape::of(bytes, std::io::empty()) {
                shape @ (Shape::Osv | Shape::NvdObject) => {
                    *known += 1;
                    document(bytes, name, &shape, builder)
                }
                _ if others.len() < 20 => {
                    others.push(name.to_owned());
                    Ok(())
                }
                _ => {
                    more += 1;
                    Ok(())
                }
            },
            Err(why) => {
                builder.broken(name, &why);
                Ok(())
            }
        }
    };
    match shape {
        Shape::Zip => archive::each_of_zip(File::open(path)?, &mut each)?,
        _ => archive::each_of_tar(archive::open(path)?, &mut each)?,
    };
    if *known > 0 {
        let unnamed = (0..more).map(|_| "another member".to_owned());
        for name in others.into_iter().chain(unnamed) {
            builder.broken(&name, "neither an OSV advisory nor a CVE of NVD");
        }
    }
    Ok(())
}

/// Reads a document of which it is known what it is.
fn document(
    bytes: &[u8],
    name: &str,
    shape: &Shape,
    builder: &mut Builder,
) -> Result<(), FeedError> {
    builder.route(route(shape));
    match shape {
        Shape::Osv => osv::read(bytes, name, builder),
        Shape::NvdObject => match serde_json::from_slice(bytes) {
            Ok(cve) => nvd::one(&cve, builder),
            Err(error) => {
                builder.broken(name, &error.to_string());
                Ok(())
            }
        },
        _ => Ok(()),
    }
}

fn route(shape: &Shape) -> Route {
    if *shape == Shape::NvdObject { Route::One(nvd::NAME.to_owned()) } else { Route::Osv }
}

/// What a file is, by its content.
fn look(path: &Path) -> Result<Shape, std::io::Error> {
    let mut input = archive::open(path)?;
    let head = archive::head(&mut input, HEAD)?;
    Ok(shape::of(&head, input))
}

fn kev_date(path: &Path) -> Option<Timestamp> {
    let members = json::each_of_array(archive::open(path).ok()?, "", &mut |_| Ok(())).ok()?;
    moment(members.get("dateReleased")?.as_str()?)
}

pub(super) fn digest(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

fn modified(path: &Path) -> Option<Timestamp> {
    Timestamp::try_from(std::fs::metadata(path).ok()?.modified().ok()?).ok()
}
