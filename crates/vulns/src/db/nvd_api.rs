//! NVD's CVEs: page by page from its API, and later only what has changed since; or a mirror's files of years.

use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan, tz::TimeZone};

use super::build::{Builder, Route};
use super::folder::{digest, kept};
use super::network::{Run, finish};
use super::store::{Store, file_name};
use super::update::{Outcome, blocking};
use super::web::{Fetched, Validators};
use super::{DbError, moment};
use crate::feed::nvd::{self, Page};
use crate::feed::{FeedError, archive};

/// Entries of a page; NVD gives no more.
const PAGE: u64 = 2000;
/// Most pages of one question: NVD has some 160 in all.
const MAX_PAGES: u64 = 2000;
/// Longest window of changes that NVD answers, in days.
const WINDOW: i64 = 120;
/// Older data is fetched anew: more windows cost more than all pages.
const MAX_WINDOWS: i64 = 6;
/// First year of NVD's files.
const FIRST_YEAR: i16 = 2002;

/// Fetches what is new, or all.
pub(super) async fn fetch(run: &Run<'_>) -> Result<Outcome, DbError> {
    let base = match run.mirror {
        Some(base) => format!("{base}/nvd/rest/json/cves/2.0"),
        None => "https://services.nvd.nist.gov/rest/json/cves/2.0".to_owned(),
    };
    let old = Store::open(&run.dir.join(file_name(nvd::NAME))).ok();
    // Only what came from the same API can be completed by it.
    let since = old
        .as_ref()
        .filter(|s| s.meta.from == [base.clone()])
        .and_then(|s| moment(&s.meta.fetched_at));
    let mut builder = run.builder();
    builder.route(Route::One(nvd::NAME.to_owned()));
    let day = 24.hours();
    let earliest = run.plan.now.checked_sub(day * (WINDOW * MAX_WINDOWS)).unwrap_or(Timestamp::MIN);
    let mut pace = Pace::new(run);
    match since.filter(|at| *at > earliest && *at <= run.plan.now) {
        Some(since) => {
            // An hour twice: clocks differ, and NVD publishes with some delay.
            let mut from = since.checked_sub(1.hours()).unwrap_or(since);
            let mut changed = 0;
            while from < run.plan.now {
                let to = from.checked_add(day * WINDOW).unwrap_or(run.plan.now).min(run.plan.now);
                let text = |at: Timestamp| {
                    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
                };
                let question =
                    format!("&lastModStartDate={}&lastModEndDate={}", text(from), text(to));
                match pages(run, &base, &question, builder, &mut pace).await? {
                    (_, None) => return Ok(Outcome::Absent),
                    (back, Some(read)) => {
                        builder = back;
                        changed += read;
                    }
                }
                from = to;
            }
            tracing::info!(changed, "CVEs that NVD has changed");
            let old = old.ok_or(DbError::Cancelled)?;
            let info = builder.info(nvd::NAME);
            info.data_at = info.data_at.max(moment(&old.meta.data_at));
            builder = blocking(move || {
                kept(builder.keep_old(&old))?;
                Ok(builder)
            })
            .await?;
        }
        None => match pages(run, &base, "", builder, &mut pace).await? {
            (back, Some(_)) => builder = back,
            (back, None) if run.mirror.is_some() => return years(run, back).await,
            (_, None) => return Ok(Outcome::Absent),
        },
    }
    builder.info(nvd::NAME).from = vec![base];
    let (dir, plan, via, lock) =
        (run.dir.to_owned(), run.plan.clone(), run.via(), std::sync::Arc::clone(run.lock));
    blocking(move || {
        let _lock = lock;
        finish(builder, &dir, &plan, via)
    })
    .await
}

/// Reads all pages of a question; nothing if the address does not exist.
async fn pages(
    run: &Run<'_>,
    base: &str,
    question: &str,
    mut builder: Builder,
    pace: &mut Pace,
) -> Result<(Builder, Option<u64>), DbError> {
    let mut headers = Vec::new();
    if let Some(key) = &run.plan.nvd_api_key {
        headers.push(("apiKey", key.clone()));
    }
    let mut start = 0;
    for page in 0..MAX_PAGES {
        pace.wait().await;
        let into = run.temporary(nvd::NAME, 0);
        let url = format!("{base}?resultsPerPage={PAGE}&startIndex={start}{question}");
        // Asked without the digest beside it: an answer of an API has none.
        match run.web.file(&url, &headers, &Validators::default(), &into, &()).await? {
            Fetched::New(_) => {}
            _ if page == 0 => return Ok((builder, None)),
            _ => {
                return Err(DbError::Refused(format!(
                    "{url}: is not there, though pages before it were"
                )));
            }
        }
        let (back, read) = read(builder, into, url.clone()).await?;
        builder = back;
        start += read.entries;
        run.progress.at(nvd::NAME, start, Some(read.total));
        if start >= read.total {
            return Ok((builder, Some(start)));
        }
        if read.entries == 0 {
            return Err(DbError::Refused(format!(
                "{url}: is empty, though there are {} CVEs",
                read.total
            )));
        }
    }
    Err(DbError::Refused(format!("{base}: more than {MAX_PAGES} pages")))
}

async fn read(
    mut builder: Builder,
    path: std::path::PathBuf,
    url: String,
) -> Result<(Builder, Page), DbError> {
    blocking(move || {
        let done = archive::open(&path)
            .map_err(FeedError::from)
            .and_then(|input| nvd::read(input, &mut builder));
        match done {
            Ok(page) => {
                let digest =
                    digest(&path).map_err(|e| DbError::Write(path.clone(), e.to_string()))?;
                builder.input(&url, digest, None);
                let _ = std::fs::remove_file(&path);
                Ok((builder, page))
            }
            Err(FeedError::Keep(why)) => Err(match kept(Err(FeedError::Keep(why))) {
                Err(error) => error,
                Ok(()) => DbError::Cancelled,
            }),
            Err(error) => Err(DbError::Refused(format!("{url}: {error}"))),
        }
    })
    .await
}

/// Reads a mirror's files of years. There must be none missing between others.
async fn years(run: &Run<'_>, mut builder: Builder) -> Result<Outcome, DbError> {
    let mirror = run.mirror.unwrap_or_default();
    let last = run.plan.now.to_zoned(TimeZone::UTC).year();
    let mut seen = false;
    let mut missing = None;
    for year in FIRST_YEAR..=last {
        let url = format!("{mirror}/nvd/nvdcve-2.0-{year}.json.gz");
        let into = run.temporary(nvd::NAME, 0);
        match run.file(&url, &[], &Validators::default(), &into).await? {
            Fetched::New(_) => {
                if let Some(year) = missing {
                    return Err(DbError::Refused(format!(
                        "{mirror}: has CVEs of {FIRST_YEAR} to {last}, but not of {year}"
                    )));
                }
                seen = true;
                builder = read(builder, into, url).await?.0;
            }
            _ if seen => missing = missing.or(Some(year)),
            _ => {}
        }
    }
    if !seen {
        return Ok(Outcome::Absent);
    }
    let (dir, plan, via, lock) =
        (run.dir.to_owned(), run.plan.clone(), run.via(), std::sync::Arc::clone(run.lock));
    blocking(move || {
        let _lock = lock;
        finish(builder, &dir, &plan, via)
    })
    .await
}

/// Keeps to NVD's limit: 5 questions in 30 seconds, with a key 50.
struct Pace {
    between: Duration,
    last: Option<Instant>,
}

impl Pace {
    fn new(run: &Run<'_>) -> Self {
        let between = match (run.mirror, &run.plan.nvd_api_key) {
            (Some(_), _) => Duration::ZERO,
            (None, Some(_)) => Duration::from_millis(600),
            (None, None) => Duration::from_secs(6),
        };
        Self { between, last: None }
    }

    async fn wait(&mut self) {
        if let Some(last) = self.last {
            tokio::time::sleep(self.between.saturating_sub(last.elapsed())).await;
        }
        self.last = Some(Instant::now());
    }
}
