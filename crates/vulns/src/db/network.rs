//! Fetches sources from their publishers, or from a mirror.
//!
//! A mirror has, below its address: `osv/<ecosystem>/all.zip`, `debian/tracker.json`, `alpine/<release>/main.json` and
//! `community.json`, `wolfi/security.json`, `chainguard/security.json`, `kev.json`, `epss.csv.gz`, and for NVD either
//! the API at `nvd/rest/json/cves/2.0` or `nvd/nvdcve-2.0-<year>.json.gz`. Beside each file may lie `<file>.sha256`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::build::{Builder, Route, hex};
use super::folder::{self, kept, write};
use super::lock::Lock;
use super::store::{self, Meta, Store, Via, file_name};
use super::update::{
    Cancel, Origin, Outcome, Plan, Progress, SourceUpdate, UpdateReport, blocking,
};
use super::web::{Fetched, Validators, Web};
use super::{DbError, TEMPORARY, nvd_api};
use crate::feed::{FeedError, archive, debian, epss, kev, nvd, osv, secdb};

/// Ecosystems that are fetched unless others are asked for.
const ECOSYSTEMS: &[&str] = &[
    "AlmaLinux",
    "Alpine",
    "Bitnami",
    "Chainguard",
    "Debian",
    "Go",
    "Maven",
    "NuGet",
    "Packagist",
    "PyPI",
    "Red Hat",
    "Rocky Linux",
    "RubyGems",
    "SUSE",
    "Ubuntu",
    "Wolfi",
    "crates.io",
    "npm",
    "openSUSE",
];
/// Alpine's releases from 3.15 on; those that are not there yet are absent.
const ALPINE: std::ops::RangeInclusive<u32> = 15..=26;

/// What a source is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub name: String,
    /// Addresses; those after the first may be absent.
    pub urls: Vec<String>,
}

/// Fetches what is planned, one source after the other.
pub(super) async fn fetch(
    dir: &Path,
    plan: &Plan,
    progress: Arc<dyn Progress>,
    cancel: &Cancel,
) -> Result<UpdateReport, DbError> {
    let lock = Arc::new(Lock::take(dir)?);
    let mirror = match &plan.origin {
        Origin::Mirror(base) => Some(base.trim_end_matches('/')),
        _ => None,
    };
    let web = Web::new(mirror)?;
    let mut report = UpdateReport::default();
    for job in jobs(plan, mirror)? {
        let before = Store::open(&dir.join(file_name(&job.name))).ok().map(|s| s.meta);
        let run = Run { dir, plan, web: &web, mirror, progress: &progress, cancel, lock: &lock };
        let done = if job.name == nvd::NAME {
            nvd_api::fetch(&run).await
        } else {
            run.source(&job, before.as_ref()).await
        };
        let mut done = match done {
            Err(DbError::Cancelled) => return Err(DbError::Cancelled),
            other => other.unwrap_or_else(|error| Outcome::Failed(error.to_string())),
        };
        let mut meta = None;
        if done == Outcome::Updated || done == Outcome::Unchanged {
            match Store::open(&dir.join(file_name(&job.name))) {
                Ok(store) => meta = Some(store.meta),
                Err(error) => done = Outcome::Failed(error.to_string()),
            }
        }
        let records_before = before.as_ref().map(|m| m.records);
        report.sources.push(SourceUpdate {
            name: job.name,
            outcome: done,
            meta: meta.or(before),
            records_before,
        });
    }
    report.sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(report)
}

/// What the fetching of one source needs.
pub(super) struct Run<'a> {
    pub dir: &'a Path,
    pub plan: &'a Plan,
    pub web: &'a Web,
    pub mirror: Option<&'a str>,
    pub progress: &'a Arc<dyn Progress>,
    pub cancel: &'a Cancel,
    /// Held by the threads as well, so that nobody else begins while one of them still works.
    pub lock: &'a Arc<Lock>,
}

impl Run<'_> {
    pub fn via(&self) -> Via {
        if self.mirror.is_some() { Via::Mirror } else { Via::Publisher }
    }

    pub fn builder(&self) -> Builder {
        Builder::new(self.dir, self.plan.now, Arc::clone(&self.cancel.0))
    }

    /// Fetches a file and checks it against its digest, if the mirror has one.
    pub async fn file(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        known: &Validators,
        into: &Path,
    ) -> Result<Fetched, DbError> {
        let fetched = self.web.file(url, headers, known, into, &**self.progress).await?;
        if self.mirror.is_some() && matches!(fetched, Fetched::New(_)) {
            let digests = into.with_extension("sha256");
            if let Fetched::New(_) = self
                .web
                .file(&format!("{url}.sha256"), &[], &Validators::default(), &digests, &())
                .await?
            {
                let failed = |e: std::io::Error| DbError::Write(digests.clone(), e.to_string());
                let mut file = File::open(&digests).map_err(failed)?;
                let text = archive::head(&mut file, 4096).map_err(failed)?;
                let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
                let stated = text.split_whitespace().next().unwrap_or_default();
                let seen = hex(&folder::digest(into).map_err(failed)?);
                let _ = std::fs::remove_file(&digests);
                if stated != seen {
                    return Err(DbError::Refused(format!(
                        "{url}: its SHA-256 is {seen}, not {stated} as the mirror says"
                    )));
                }
            }
        }
        Ok(fetched)
    }

    pub fn temporary(&self, name: &str, i: usize) -> PathBuf {
        self.dir.join(format!("{TEMPORARY}download-{}-{i}", file_name(name)))
    }

    async fn source(&self, job: &Job, before: Option<&Meta>) -> Result<Outcome, DbError> {
        // Asked whether it has changed only if what is there came from the same place.
        let known = before.filter(|m| m.from == job.urls && m.via == self.via());
        let all = |text: &str| -> Vec<String> { text.split('\n').map(str::to_owned).collect() };
        let (etags, dates) =
            known.map(|m| (all(&m.etag), all(&m.last_modified))).unwrap_or_default();
        let mut conditional = known.is_some();
        loop {
            let mut parts: Vec<(PathBuf, String, Validators)> = Vec::new();
            let mut same = 0;
            for (i, url) in job.urls.iter().enumerate() {
                let into = self.temporary(&job.name, i);
                let known = Validators {
                    etag: etags.get(i).cloned().unwrap_or_default(),
                    last_modified: dates.get(i).cloned().unwrap_or_default(),
                };
                let known = if conditional { known } else { Validators::default() };
                match self.file(url, &[], &known, &into).await? {
                    Fetched::New(validators) => parts.push((into, url.clone(), validators)),
                    Fetched::Same => same += 1,
                    Fetched::Absent if i == 0 => return Ok(Outcome::Absent),
                    // The place of its validators must stay.
                    Fetched::Absent => {
                        parts.push((PathBuf::new(), String::new(), Validators::default()))
                    }
                }
            }
            let changed = parts.iter().any(|p| !p.1.is_empty());
            match (same, changed) {
                (0, _) => return self.build(job, parts).await,
                (_, false) => return self.confirm(job).await,
                // One of several has changed: all are needed.
                _ => conditional = false,
            }
        }
    }

    async fn build(
        &self,
        job: &Job,
        parts: Vec<(PathBuf, String, Validators)>,
    ) -> Result<Outcome, DbError> {
        let (dir, plan, via) = (self.dir.to_owned(), self.plan.clone(), self.via());
        let (mut builder, name, lock) = (self.builder(), job.name.clone(), Arc::clone(self.lock));
        let (urls, progress) = (job.urls.clone(), Arc::clone(self.progress));
        blocking(move || {
            let _lock = lock;
            match name.strip_prefix("osv/") {
                Some(of) => {
                    builder.route(Route::OsvOf(of.to_owned()));
                    builder.collection();
                }
                None => builder.route(Route::One(name.clone())),
            }
            for (path, url, validators) in parts.iter().filter(|p| !p.1.is_empty()) {
                progress.at(url, 0, None);
                match read(&name, path, &mut builder) {
                    Ok(()) => {}
                    Err(FeedError::Keep(why)) => {
                        return kept(Err(FeedError::Keep(why))).map(|()| Outcome::Updated);
                    }
                    Err(error) => return Err(DbError::Refused(format!("{url}: {error}"))),
                }
                let at = date(&validators.last_modified);
                let digest = folder::digest(path)
                    .map_err(|e| DbError::Write(path.clone(), e.to_string()))?;
                builder.input(url, digest, at);
            }
            let join = |of: fn(&Validators) -> &str| {
                parts.iter().map(|p| of(&p.2)).collect::<Vec<_>>().join("\n")
            };
            let info = builder.info(&name);
            info.etag = join(|v| &v.etag);
            info.last_modified = join(|v| &v.last_modified);
            info.from.clone_from(&urls);
            let outcome = finish(builder, &dir, &plan, via);
            for (path, ..) in &parts {
                let _ = std::fs::remove_file(path);
            }
            outcome
        })
        .await
    }

    /// Notes that what is there is still what the server has.
    async fn confirm(&self, job: &Job) -> Result<Outcome, DbError> {
        let (dir, name, now, via) =
            (self.dir.to_owned(), job.name.clone(), self.plan.now, self.via());
        let complete = self.plan.complete;
        let lock = Arc::clone(self.lock);
        blocking(move || {
            let _lock = lock;
            store::touch(&dir, &name, &mut |meta| {
                meta.fetched_at = now.to_string();
                meta.declared_complete = complete;
                if via == Via::Publisher {
                    meta.as_of = now.to_string();
                }
            })?;
            Ok(Outcome::Unchanged)
        })
        .await
    }
}

/// Writes the one source of a builder.
pub(super) fn finish(
    builder: Builder,
    dir: &Path,
    plan: &Plan,
    via: Via,
) -> Result<Outcome, DbError> {
    let mut report = UpdateReport::default();
    let strays = builder.strays();
    write(builder, dir, &Plan { only: Vec::new(), ..plan.clone() }, via, &mut report)?;
    match report.sources.pop() {
        Some(done) => Ok(done.outcome),
        None => Err(DbError::Refused(match strays.first() {
            Some((name, why)) => format!("nothing in it was understood; first {name}: {why}"),
            None => "it holds nothing".to_owned(),
        })),
    }
}

/// Reads a file into the present route.
fn read(name: &str, path: &Path, builder: &mut Builder) -> Result<(), FeedError> {
    match name {
        debian::NAME => debian::read(archive::open(path)?, builder),
        kev::NAME => kev::read(archive::open(path)?, builder),
        epss::NAME => epss::read(archive::open(path)?, builder),
        name if name.starts_with("osv/") => {
            let mut each = |(member, bytes): archive::Member<'_>| match bytes {
                Ok(bytes) => osv::read(bytes, member, builder),
                Err(why) => {
                    crate::feed::Sink::broken(builder, member, &why);
                    Ok(())
                }
            };
            archive::each_of_zip(File::open(path)?, &mut each).map(drop)
        }
        name => {
            let owner = secdb::owner(archive::open(path)?)?;
            if owner.source != name {
                return Err(FeedError::Shape(format!("is `{}`, not `{name}`", owner.source)));
            }
            secdb::read(archive::open(path)?, &owner, builder)
        }
    }
}

/// The moment of a `Last-Modified`.
fn date(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text).ok().map(|z| z.timestamp())
}

/// What is to be fetched, and from where.
fn jobs(plan: &Plan, mirror: Option<&str>) -> Result<Vec<Job>, DbError> {
    let mut names: Vec<String> = plan.only.clone();
    if names.is_empty() {
        names.extend(ECOSYSTEMS.iter().map(|e| format!("osv/{e}")));
        names.extend(ALPINE.map(|r| format!("alpine-secdb/v3.{r}")));
        names.extend(["alpine-secdb/edge", "wolfi-secdb", "chainguard-secdb"].map(str::to_owned));
        names.extend([debian::NAME, nvd::NAME, kev::NAME, epss::NAME].map(str::to_owned));
    }
    names.iter().map(|name| Ok(Job { name: name.clone(), urls: urls(name, mirror)? })).collect()
}

fn urls(name: &str, mirror: Option<&str>) -> Result<Vec<String>, DbError> {
    let at = |publisher: &str, path: &str| match mirror {
        Some(base) => format!("{base}/{path}"),
        None => publisher.to_owned(),
    };
    let escaped = |text: &str| text.replace('%', "%25").replace(' ', "%20").replace(['?', '#'], "");
    Ok(match name {
        debian::NAME => {
            vec![at("https://security-tracker.debian.org/tracker/data/json", "debian/tracker.json")]
        }
        kev::NAME => vec![at(
            "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
            "kev.json",
        )],
        epss::NAME => {
            vec![at("https://epss.empiricalsecurity.com/epss_scores-current.csv.gz", "epss.csv.gz")]
        }
        "wolfi-secdb" => {
            vec![at("https://packages.wolfi.dev/os/security.json", "wolfi/security.json")]
        }
        "chainguard-secdb" => {
            vec![at(
                "https://packages.cgr.dev/chainguard/security.json",
                "chainguard/security.json",
            )]
        }
        nvd::NAME => Vec::new(),
        name => match (name.strip_prefix("osv/"), name.strip_prefix("alpine-secdb/")) {
            (Some(of), _) if !of.is_empty() && !of.contains("..") => {
                let of = escaped(of);
                vec![at(
                    &format!("https://osv-vulnerabilities.storage.googleapis.com/{of}/all.zip"),
                    &format!("osv/{of}/all.zip"),
                )]
            }
            (_, Some(release)) if !release.contains(['/', '?', '#']) && !release.contains("..") => {
                ["main", "community"]
                    .map(|repo| {
                        at(
                            &format!("https://secdb.alpinelinux.org/{release}/{repo}.json"),
                            &format!("alpine/{release}/{repo}.json"),
                        )
                    })
                    .to_vec()
            }
            _ => return Err(DbError::Refused(format!("there is no source `{name}`"))),
        },
    })
}

#[cfg(test)]
mod tests;
