//! Reading containers, images and risks, page by page: the highest rank first, then the greatest id.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use haechi_core::risk::{ContainerKept, ImageKept, RiskKept};
use haechi_core::verdict::Safety;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::{QueryBuilder, Sqlite};

use crate::error::StoreError;
use crate::page::{PAGE_MAX, nanoseconds};
use crate::{Store, VerificationId};

/// Rows are found in an index that has all that is asked for, and only those that are shown are read whole.
const CONTAINERS: &str = "SELECT (SELECT body FROM kept_container AS whole
         WHERE whole.inventory = kept_container.inventory AND whole.id = kept_container.id)
     FROM kept_container WHERE inventory = ";
const IMAGES: &str = "SELECT (SELECT short FROM kept_image AS whole
         WHERE whole.inventory = kept_image.inventory AND whole.id = kept_image.id)
     FROM kept_image WHERE inventory = ";

/// An inventory, without what is in it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct InventoryRow {
    /// Its number; it changes with each verification.
    pub id: i64,
    /// Name of the host.
    pub host: String,
    /// The verification that it is of.
    pub verification: VerificationId,
    /// When that was (RFC 3339, UTC).
    pub taken_at: String,
    /// How many containers there are.
    pub containers: i64,
    /// How many images.
    pub images: i64,
    /// How many risks.
    pub risks: i64,
}

/// A row in the order of the list: the next page begins after it. It stays right when ranks change meanwhile: then a row
/// may be shown twice or not at all, but the list goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Its rank.
    pub rank: f64,
    /// Its id.
    pub id: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.rank, self.id)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no place in a list");
        let (rank, id) = text.split_once('/').ok_or_else(wrong)?;
        let rank: f64 = rank.parse().map_err(|_| wrong())?;
        if !rank.is_finite() {
            return Err(wrong());
        }
        Ok(Self { rank, id: id.to_owned() })
    }
}

/// Which containers; each field that is set makes them fewer.
#[derive(Debug, Clone, Default)]
pub struct ContainerFilter {
    /// Whether they ran.
    pub running: Option<bool>,
    /// Whose name, id or image has this in it; letters of ASCII in any case.
    pub text: Option<String>,
    /// Made from this image.
    pub image_id: Option<String>,
    /// Those that come after this one.
    pub after: Option<Place>,
    /// At most so many (and 10,000).
    pub limit: u32,
}

/// Which images; each field that is set makes them fewer.
#[derive(Debug, Clone, Default)]
pub struct ImageFilter {
    /// Of this verdict.
    pub safety: Option<Safety>,
    /// Whose id or a reference of which has this in it; letters of ASCII in any case.
    pub text: Option<String>,
    /// Those that come after this one.
    pub after: Option<Place>,
    /// At most so many (and 10,000).
    pub limit: u32,
}

impl Store {
    /// The newest inventory with a benchmark: of a host, or of whichever.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn inventory(
        &self,
        host: Option<&str>,
        benchmark: &str,
    ) -> Result<Option<InventoryRow>, StoreError> {
        sqlx::query_as(
            "SELECT id, host, verification, taken_at, containers, images, risks FROM inventory
             WHERE benchmark = ?1 AND (?2 IS NULL OR host = ?2) ORDER BY id DESC LIMIT 1",
        )
        .bind(benchmark)
        .bind(host)
        .fetch_optional(&self.pool)
        .await
        .map_err(self.failed("looking for containers and images"))
    }

    /// Containers of an inventory.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn kept_containers(
        &self,
        inventory: i64,
        filter: &ContainerFilter,
    ) -> Result<Vec<ContainerKept>, StoreError> {
        let mut sql = QueryBuilder::new(CONTAINERS);
        sql.push_bind(inventory);
        if let Some(running) = filter.running {
            sql.push(" AND running = ").push_bind(running);
        }
        if let Some(image) = &filter.image_id {
            sql.push(" AND image_id = ").push_bind(image);
        }
        if let Some(text) = &filter.text {
            has(&mut sql, &["name", "image", "id"], text);
        }
        self.page(sql, filter.after.as_ref(), filter.limit).await
    }

    /// One container of an inventory.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn kept_container(
        &self,
        inventory: i64,
        id: &str,
    ) -> Result<Option<ContainerKept>, StoreError> {
        self.one("SELECT body FROM kept_container WHERE inventory = ? AND id = ?", inventory, id)
            .await
    }

    /// Which of these containers an inventory does not have, in their order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn not_kept(
        &self,
        inventory: i64,
        ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT value FROM json_each(?2) WHERE NOT EXISTS
                 (SELECT 1 FROM kept_container WHERE inventory = ?1 AND id = value)",
        )
        .bind(inventory)
        .bind(serde_json::json!(ids).to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("looking for containers"))
    }

    /// Images of an inventory, with the first entries of their long lists.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn kept_images(
        &self,
        inventory: i64,
        filter: &ImageFilter,
    ) -> Result<Vec<ImageKept>, StoreError> {
        let mut sql = QueryBuilder::new(IMAGES);
        sql.push_bind(inventory);
        if let Some(safety) = filter.safety {
            sql.push(" AND safety = ").push_bind(safety.name());
        }
        if let Some(text) = &filter.text {
            has(&mut sql, &["names", "id"], text);
        }
        self.page(sql, filter.after.as_ref(), filter.limit).await
    }

    /// One image of an inventory, whole.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn kept_image(
        &self,
        inventory: i64,
        id: &str,
    ) -> Result<Option<ImageKept>, StoreError> {
        self.one("SELECT body FROM kept_image WHERE inventory = ? AND id = ?", inventory, id).await
    }

    /// What is at risk, the highest rank first, at most `limit`.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn risks(&self, inventory: i64, limit: u32) -> Result<Vec<RiskKept>, StoreError> {
        let rows: Vec<String> =
            sqlx::query_scalar("SELECT body FROM risk WHERE inventory = ? ORDER BY n LIMIT ?")
                .bind(inventory)
                .bind(limit.min(PAGE_MAX))
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed("reading risks"))?;
        rows.iter().map(|row| self.of_json(row)).collect()
    }

    /// How many alerts there are of each of these containers since a moment, counted up to `most`; none where it is absent.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn count_alerts(
        &self,
        containers: &[String],
        since: Timestamp,
        most: u32,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT value, (SELECT count(*) FROM
                 (SELECT 1 FROM alert WHERE container = value AND at >= ?2 LIMIT ?3)) AS number
             FROM json_each(?1) WHERE number > 0",
        )
        .bind(serde_json::json!(containers).to_string())
        .bind(nanoseconds(since))
        .bind(most)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("counting alerts"))?;
        let count = |(id, count)| (id, u64::try_from(count).unwrap_or_default());
        Ok(rows.into_iter().map(count).collect())
    }

    async fn page<T: DeserializeOwned>(
        &self,
        mut sql: QueryBuilder<Sqlite>,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<T>, StoreError> {
        if let Some(after) = after {
            sql.push(" AND (rank, id) < (").push_bind(after.rank);
            sql.push(", ").push_bind(&after.id).push(")");
        }
        sql.push(" ORDER BY rank DESC, id DESC LIMIT ").push_bind(limit.min(PAGE_MAX));
        let rows: Vec<String> = sql
            .build_query_scalar()
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("reading containers and images"))?;
        rows.iter().map(|row| self.of_json(row)).collect()
    }

    async fn one<T: DeserializeOwned>(
        &self,
        sql: &'static str,
        inventory: i64,
        id: &str,
    ) -> Result<Option<T>, StoreError> {
        let row: Option<String> = sqlx::query_scalar(sql)
            .bind(inventory)
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("reading containers and images"))?;
        row.map(|row| self.of_json(&row)).transpose()
    }

    pub(super) fn of_json<T: DeserializeOwned>(&self, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| self.damaged(error.to_string()))
    }
}

/// Only rows of which a column has a text in it.
fn has(sql: &mut QueryBuilder<Sqlite>, columns: &[&str], text: &str) {
    let pattern = format!("%{}%", escaped(text));
    for (place, column) in columns.iter().enumerate() {
        sql.push(if place == 0 { " AND (" } else { " OR " });
        sql.push(format!("{column} LIKE ")).push_bind(pattern.clone()).push(" ESCAPE '\\'");
    }
    sql.push(")");
}

/// A text as a pattern that means just this text.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '%' | '_') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
