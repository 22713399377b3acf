//! Pages of what the monitor keeps: newest first, by time and then by number.
//!
//! Conditions are added only where something is asked for, so that each question is answered from one index. Values
//! are always bound, never written into a statement.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{QueryBuilder, Sqlite};

use crate::Store;
use crate::error::StoreError;

/// Rows of one page at most: alerts may be some kilobytes each.
pub(crate) const PAGE_MAX: u32 = 10_000;
/// Shortest beginning of an id that names a container: as the engine shows it.
const ID_PREFIX_MIN: usize = 12;
/// Length of a container's full id.
const ID_LENGTH: usize = 64;

/// A number and what was kept, as JSON.
pub(crate) type Row = (i64, String);

/// A time as it is kept. Years after 2262 and before 1677 are the ends.
pub(crate) fn nanoseconds(at: Timestamp) -> i64 {
    let all = at.as_nanosecond();
    i64::try_from(all).unwrap_or(if all < 0 { i64::MIN } else { i64::MAX })
}

/// A time that was kept.
pub(crate) fn moment(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or_default()
}

/// A value as it is kept.
pub(crate) fn body<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::BadReport(error.to_string()))
}

/// A table that pages are read from.
pub(crate) struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its column with the id of the container.
    pub container: &'static str,
    /// What a row of it is called.
    pub what: &'static str,
}

/// A question that is being put together.
pub(crate) struct Question<'a> {
    table: &'static Table,
    sql: QueryBuilder<Sqlite>,
    store: &'a Store,
    doing: &'static str,
}

impl<'a> Question<'a> {
    /// Rows of `from`, which begins with the table itself.
    pub(crate) fn new(
        store: &'a Store,
        table: &'static Table,
        from: &str,
        doing: &'static str,
    ) -> Self {
        let name = table.name;
        let sql =
            QueryBuilder::new(format!("SELECT {name}.id, {name}.body FROM {from} WHERE TRUE"));
        Self { table, sql, store, doing }
    }

    /// Only rows for which `column comparison value`.
    pub(crate) fn only<'v, T>(&mut self, condition: &str, value: T)
    where
        T: 'v + sqlx::Encode<'v, Sqlite> + sqlx::Type<Sqlite>,
    {
        self.sql.push(format!(" AND {condition} ")).push_bind(value);
    }

    /// Only between two moments, the later one not included.
    pub(crate) fn between(&mut self, at: &str, since: Option<Timestamp>, until: Option<Timestamp>) {
        if let Some(since) = since {
            self.only(&format!("{at} >="), nanoseconds(since));
        }
        if let Some(until) = until {
            self.only(&format!("{at} <"), nanoseconds(until));
        }
    }

    /// Only of a container: its id, the beginning of its id, or its name. An id wins, because nobody can choose it.
    pub(crate) async fn of_container(&mut self, asked: Option<&str>) -> Result<(), StoreError> {
        let Some(asked) = asked else { return Ok(()) };
        let Table { name, container, .. } = self.table;
        let hex = asked.len() >= ID_PREFIX_MIN && asked.bytes().all(|b| b.is_ascii_hexdigit());
        if hex && asked.len() <= ID_LENGTH {
            let prefix = asked.to_ascii_lowercase();
            let mut sql = QueryBuilder::<Sqlite>::new(format!(
                "SELECT {container} FROM {name} WHERE {container} >= "
            ));
            sql.push_bind(prefix.clone()).push(format!(" ORDER BY {container} LIMIT 1"));
            let found: Option<String> = sql
                .build_query_scalar()
                .fetch_optional(&self.store.pool)
                .await
                .map_err(self.store.failed(self.doing))?;
            if let Some(id) = found.filter(|id| id.starts_with(&prefix)) {
                self.only(&format!("{name}.{container} ="), id);
                return Ok(());
            }
        }
        self.only(&format!("{name}.name ="), asked.to_owned());
        Ok(())
    }

    /// The page, newest first: all of the newest, or those after the row `before`.
    pub(crate) async fn page<T: DeserializeOwned>(
        mut self,
        at: &str,
        id: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<(i64, T)>, StoreError> {
        let failed = self.store.failed(self.doing);
        let Table { name, what, .. } = *self.table;
        if let Some(before) = before {
            let mut sql = QueryBuilder::<Sqlite>::new(format!("SELECT at FROM {name} WHERE id = "));
            sql.push_bind(before);
            let found: Option<i64> =
                sql.build_query_scalar().fetch_optional(&self.store.pool).await.map_err(failed)?;
            // Forgotten meanwhile: an end that looks like the last page would hide what is left.
            let from = found.ok_or(StoreError::NoRow { what, id: before })?;
            self.sql.push(format!(" AND ({at}, {id}) < ("));
            self.sql.push_bind(from).push(", ").push_bind(before).push(")");
        }
        self.sql.push(format!(" ORDER BY {at} DESC, {id} DESC LIMIT "));
        self.sql.push_bind(limit.min(PAGE_MAX));
        let rows: Vec<Row> =
            self.sql.build_query_as().fetch_all(&self.store.pool).await.map_err(failed)?;
        rows.into_iter().map(|row| self.store.understood(row)).collect()
    }
}

impl Store {
    /// A row as what it was before it was kept.
    pub(crate) fn understood<T: DeserializeOwned>(
        &self,
        (id, body): Row,
    ) -> Result<(i64, T), StoreError> {
        let value =
            serde_json::from_str(&body).map_err(|error| self.damaged(format!("{id}: {error}")))?;
        Ok((id, value))
    }
}
