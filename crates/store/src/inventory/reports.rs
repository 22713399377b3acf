//! Reports about images: the last one of each image, compressed, and its vulnerabilities to be found.

use std::io::Read;

use haechi_core::inventory::Scan;
use haechi_core::risk::{Flaw, FlawKept};
use haechi_core::verdict::{ImageReport, Verdict};
use haechi_core::vulnerability::{
    Assessment, DataSource, Rating, Suppressed, Undecided, Vulnerability,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::QueryBuilder;

use super::{ROWS_AT_ONCE, count};
use crate::Store;
use crate::error::StoreError;
use crate::page::body;

/// Bytes of a report; the largest images have some ten million.
const REPORT_MAX: u64 = 1 << 30;
/// Speed before size.
const LEVEL: i32 = 3;

/// What differs from one report to the next although the image and what is known of it are the same.
#[derive(Serialize, Deserialize)]
struct Head {
    schema: String,
    haechi_version: String,
    taken_at: String,
    sources: Vec<DataSource>,
    containers: Vec<String>,
}

/// What is the same as long as nothing new is known.
#[derive(Serialize)]
struct BodyOf<'a> {
    scan: &'a Scan,
    vulnerabilities: &'a [Vulnerability],
    suppressed: &'a [(Vulnerability, Suppressed)],
    undecided: &'a [Undecided],
    verdict: &'a Verdict,
}

/// The same, read.
#[derive(Deserialize)]
struct Body {
    scan: Scan,
    vulnerabilities: Vec<Vulnerability>,
    suppressed: Vec<(Vulnerability, Suppressed)>,
    undecided: Vec<Undecided>,
    verdict: Verdict,
}

/// A vulnerability that was looked for, with the images that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlawFound {
    /// Its id; empty if a package was found, whichever vulnerabilities it has.
    pub id: String,
    /// A package that has it.
    pub package: String,
    /// How many images have it.
    pub images: u64,
    /// One of them.
    pub image: String,
}

#[derive(sqlx::FromRow)]
struct FlawRow {
    vulnerability: String,
    package: String,
    installed: String,
    fixed: String,
    command: String,
    rating: String,
    score: Option<f64>,
    exploited: bool,
    epss: Option<f64>,
    rank: f64,
}

/// Names that begin with ?1 and are before ?2, and the images that have one, by id and by package. Each distinct name is
/// looked up by the index, whatever the number of rows that have it.
const BY_ID_AND_PACKAGE: [(&str, &str); 2] = [
    (
        "WITH RECURSIVE name (it) AS (
             SELECT (SELECT min(vulnerability) FROM flaw WHERE vulnerability >= ?1 AND vulnerability < ?2)
             UNION ALL
             SELECT (SELECT min(vulnerability) FROM flaw WHERE vulnerability > it AND vulnerability < ?2)
             FROM name WHERE it IS NOT NULL
         ) SELECT it FROM name WHERE it IS NOT NULL LIMIT ?3",
        "SELECT (SELECT package FROM flaw WHERE vulnerability = ?1 LIMIT 1), count(*), min(image) FROM image_report
         WHERE host = ?2 AND EXISTS (SELECT 1 FROM flaw WHERE vulnerability = ?1 AND report = image_report.n)",
    ),
    (
        "WITH RECURSIVE name (it) AS (
             SELECT (SELECT min(package) FROM flaw WHERE package >= ?1 AND package < ?2)
             UNION ALL
             SELECT (SELECT min(package) FROM flaw WHERE package > it AND package < ?2)
             FROM name WHERE it IS NOT NULL
         ) SELECT it FROM name WHERE it IS NOT NULL LIMIT ?3",
        "SELECT ?1, count(*), min(image) FROM image_report
         WHERE host = ?2 AND EXISTS (SELECT 1 FROM flaw WHERE package = ?1 AND report = image_report.n)",
    ),
];

impl Store {
    /// Keeps the report about an image in place of the one before.
    pub(super) async fn keep_report(
        &self,
        host: &str,
        report: &ImageReport,
    ) -> Result<(), StoreError> {
        let doing = "keeping the report about an image";
        let failed = self.failed(doing);
        let image = &report.scan.subject.id;
        if image.is_empty() {
            return Ok(());
        }
        let head = body(&Head {
            schema: report.schema.clone(),
            haechi_version: report.haechi_version.clone(),
            taken_at: report.taken_at.clone(),
            sources: report.assessment.sources.clone(),
            containers: report.containers.clone(),
        })?;
        let text = body(&BodyOf {
            scan: &report.scan,
            vulnerabilities: &report.assessment.vulnerabilities,
            suppressed: &report.assessment.suppressed,
            undecided: &report.assessment.undecided,
            verdict: &report.verdict,
        })?;
        let digest = Sha256::digest(text.as_bytes()).to_vec();
        let same = sqlx::query(
            "UPDATE image_report SET head = ? WHERE host = ? AND image = ? AND digest = ?",
        )
        .bind(&head)
        .bind(host)
        .bind(image)
        .bind(&digest);
        let mut writing = self.begin(doing).await?;
        let done = same.execute(&mut *writing.all).await.map_err(failed)?.rows_affected();
        writing.commit().await.map_err(failed)?;
        if done > 0 {
            return Ok(());
        }
        let packed = zstd::encode_all(text.as_bytes(), LEVEL)
            .map_err(|error| StoreError::BadReport(error.to_string()))?;
        drop(text);
        let mut writing = self.begin(doing).await?;
        sqlx::query("DELETE FROM image_report WHERE host = ? AND image = ?")
            .bind(host)
            .bind(image)
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
        let n: i64 = sqlx::query_scalar(
            "INSERT INTO image_report (host, image, digest, head, body) VALUES (?, ?, ?, ?, ?) RETURNING n",
        )
        .bind(host)
        .bind(image)
        .bind(digest)
        .bind(head)
        .bind(packed)
        .fetch_one(&mut *writing.all)
        .await
        .map_err(failed)?;
        let flaws: Vec<_> = report.assessment.vulnerabilities.iter().enumerate().collect();
        for rows in flaws.chunks(ROWS_AT_ONCE) {
            let mut insert = QueryBuilder::new(
                "INSERT INTO flaw (report, n, vulnerability, package, installed, fixed, command, rating,
                     score, exploited, epss, rank) ",
            );
            insert.push_values(rows, |mut values, (place, flaw)| {
                let what = Flaw::from(*flaw);
                values
                    .push_bind(n)
                    .push_bind(count(*place))
                    .push_bind(&flaw.id)
                    .push_bind(&flaw.name)
                    .push_bind(&flaw.installed)
                    .push_bind(&flaw.fixed)
                    .push_bind(&flaw.command)
                    .push_bind(what.rating.name())
                    .push_bind(what.score)
                    .push_bind(what.exploited)
                    .push_bind(what.epss)
                    .push_bind(flaw.rank);
            });
            insert.build().execute(&mut *writing.all).await.map_err(failed)?;
        }
        writing.commit().await.map_err(failed)
    }

    /// The last report about an image of a host.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn image_report(
        &self,
        host: &str,
        image: &str,
    ) -> Result<Option<ImageReport>, StoreError> {
        let row: Option<(String, Vec<u8>)> =
            sqlx::query_as("SELECT head, body FROM image_report WHERE host = ? AND image = ?")
                .bind(host)
                .bind(image)
                .fetch_optional(&self.pool)
                .await
                .map_err(self.failed("reading the report about an image"))?;
        let Some((head, packed)) = row else { return Ok(None) };
        let head: Head = self.of_json(&head)?;
        let damaged = |error: std::io::Error| self.damaged(error.to_string());
        let mut text = Vec::new();
        zstd::Decoder::new(packed.as_slice())
            .map_err(damaged)?
            .take(REPORT_MAX)
            .read_to_end(&mut text)
            .map_err(damaged)?;
        let body: Body =
            serde_json::from_slice(&text).map_err(|error| self.damaged(error.to_string()))?;
        Ok(Some(ImageReport {
            schema: head.schema,
            haechi_version: head.haechi_version,
            taken_at: head.taken_at,
            scan: body.scan,
            assessment: Assessment {
                vulnerabilities: body.vulnerabilities,
                suppressed: body.suppressed,
                undecided: body.undecided,
                sources: head.sources,
            },
            verdict: body.verdict,
            containers: head.containers,
            seen: Default::default(),
        }))
    }

    /// The vulnerabilities of an image of a host, in the order of its report; none if there is no report.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn flaws_of(&self, host: &str, image: &str) -> Result<Vec<FlawKept>, StoreError> {
        let rows: Vec<FlawRow> = sqlx::query_as(
            "SELECT vulnerability, package, installed, fixed, command, rating, score, exploited, epss, rank
             FROM flaw WHERE report = (SELECT n FROM image_report WHERE host = ? AND image = ?) ORDER BY n",
        )
        .bind(host)
        .bind(image)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading vulnerabilities"))?;
        rows.into_iter()
            .map(|row| {
                let rating =
                    Rating::WORST_FIRST.into_iter().find(|rating| rating.name() == row.rating);
                let rating =
                    rating.ok_or_else(|| self.damaged(format!("rating {:?}", row.rating)))?;
                Ok(FlawKept {
                    flaw: Flaw {
                        rating,
                        score: row.score,
                        exploited: row.exploited,
                        epss: row.epss,
                        fixable: !row.fixed.is_empty(),
                    },
                    id: row.vulnerability,
                    package: row.package,
                    installed: row.installed,
                    fixed: row.fixed,
                    command: row.command,
                    rank: row.rank,
                })
            })
            .collect()
    }

    /// Vulnerabilities of the images of a host whose id begins with a text, and those of packages whose name does;
    /// letters in any case. At most `limit` of each.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn found_flaws(
        &self,
        host: &str,
        text: &str,
        limit: u32,
    ) -> Result<Vec<FlawFound>, StoreError> {
        let failed = self.failed("looking for vulnerabilities");
        // The greatest character: nothing that begins with the text is beyond it.
        let end = format!("{text}\u{10ffff}");
        let mut found = Vec::new();
        for (place, (names, images)) in BY_ID_AND_PACKAGE.into_iter().enumerate() {
            let names: Vec<String> = sqlx::query_scalar(names)
                .bind(text)
                .bind(&end)
                .bind(limit)
                .fetch_all(&self.pool)
                .await
                .map_err(failed)?;
            for name in names {
                let (package, images, image): (String, i64, Option<String>) =
                    sqlx::query_as(images)
                        .bind(&name)
                        .bind(host)
                        .fetch_one(&self.pool)
                        .await
                        .map_err(failed)?;
                found.extend(image.map(|image| FlawFound {
                    id: if place == 0 { name } else { String::new() },
                    package,
                    images: u64::try_from(images).unwrap_or_default(),
                    image,
                }));
            }
        }
        Ok(found)
    }
}
