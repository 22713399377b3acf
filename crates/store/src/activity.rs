//! What was done through the engine, and for how long containers were watched.
//!
//! Activity that is told twice (events replayed after a restart) is kept once.

use haechi_core::activity::{Activity, Watch};
use jiff::Timestamp;
use sqlx::QueryBuilder;

use crate::Store;
use crate::error::StoreError;
use crate::page::{Question, Table, body, moment, nanoseconds};

const TABLE: Table = Table { name: "activity", container: "thing", what: "activity" };
/// Rows written by one statement: 8 values each, and SQLite takes at most 32,766 values.
const ROWS_AT_ONCE: usize = 1000;

/// Which activity; each field that is set makes it less.
#[derive(Debug, Clone, Default)]
pub struct ActivityFilter {
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Of this container (or image …): id, beginning of the id (12 characters or more), or name.
    pub container: Option<String>,
    /// Of this kind: `exec_start`, `kill` …
    pub action: Option<String>,
    /// The next page: what comes after this one in the list.
    pub before_id: Option<i64>,
    /// At most so many (and 10,000).
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct WatchRow {
    container: String,
    since: i64,
    from_start: bool,
    until: i64,
    lost: i64,
    activity_missed: bool,
}

impl Store {
    /// Keeps activity; how much of it was new or is told better now. The same (time, action, id, exec call) again
    /// changes nothing, except that an exec call of which the engine tells more now is told better.
    ///
    /// # Errors
    /// It could not be written: then nothing of it was.
    pub async fn add_activity(&self, activity: &[Activity]) -> Result<u64, StoreError> {
        if activity.is_empty() {
            return Ok(0);
        }
        let doing = "keeping activity of the engine";
        let failed = self.failed(doing);
        let bodies: Vec<String> = activity.iter().map(body).collect::<Result<_, _>>()?;
        let mut writing = self.begin(doing).await?;
        let mut kept = 0;
        let all: Vec<_> = activity.iter().zip(bodies).collect();
        for rows in all.chunks(ROWS_AT_ONCE) {
            let mut insert = QueryBuilder::new(
                "INSERT INTO activity (at, kind, action, thing, name, exec, told, body) ",
            );
            insert.push_values(rows, |mut values, (one, body)| {
                let exec = one.exec.as_ref();
                values
                    .push_bind(nanoseconds(one.at))
                    .push_bind(&one.kind)
                    .push_bind(&one.action)
                    .push_bind(&one.id)
                    .push_bind(&one.name)
                    .push_bind(exec.map_or("", |exec| &exec.id))
                    .push_bind(exec.is_none_or(|exec| exec.privileged.is_some()))
                    .push_bind(body);
            });
            insert.push(
                " ON CONFLICT (at, action, thing, exec) DO UPDATE
                  SET told = excluded.told, body = excluded.body
                  WHERE excluded.told > activity.told",
            );
            let done = insert.build().execute(&mut *writing.all).await.map_err(failed)?;
            kept += done.rows_affected();
        }
        writing.commit().await.map_err(failed)?;
        Ok(kept)
    }

    /// Activity, newest first.
    ///
    /// # Errors
    /// The database cannot be read or is damaged, or the row that the page comes after is forgotten.
    pub async fn activity(
        &self,
        filter: &ActivityFilter,
    ) -> Result<Vec<(i64, Activity)>, StoreError> {
        let mut question =
            Question::new(self, &TABLE, "activity", "reading activity of the engine");
        question.between("activity.at", filter.since, filter.until);
        question.of_container(filter.container.as_deref()).await?;
        if let Some(action) = &filter.action {
            question.only("activity.action =", action.clone());
        }
        question.page("activity.at", "activity.id", filter.before_id, filter.limit).await
    }

    /// When the last activity on record was: from there on the engine is asked again after a restart.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn last_activity_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let last: Option<i64> = sqlx::query_scalar("SELECT max(at) FROM activity")
            .fetch_one(&self.pool)
            .await
            .map_err(self.failed("reading activity of the engine"))?;
        Ok(last.map(moment))
    }

    /// Events, and alerts that are not on record, that were lost in stretches of watching that went on after a moment.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn lost_since(&self, moment: Timestamp) -> Result<u64, StoreError> {
        let lost: i64 =
            sqlx::query_scalar("SELECT coalesce(sum(lost), 0) FROM watch WHERE until >= ?")
                .bind(nanoseconds(moment))
                .fetch_one(&self.pool)
                .await
                .map_err(self.failed("counting what was lost"))?;
        Ok(u64::try_from(lost).unwrap_or_default())
    }

    /// Sets stretches in which containers were watched. One of the same container and beginning is replaced; that activity
    /// was missed in it stays known.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn watched(&self, watches: &[Watch]) -> Result<(), StoreError> {
        if watches.is_empty() {
            return Ok(());
        }
        let doing = "keeping how long containers were watched";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        for watches in watches.chunks(ROWS_AT_ONCE) {
            let mut insert = QueryBuilder::new(
                "INSERT INTO watch (container, since, from_start, until, lost, activity_missed) ",
            );
            insert.push_values(watches, |mut values, watch| {
                values
                    .push_bind(&watch.container)
                    .push_bind(nanoseconds(watch.since))
                    .push_bind(watch.from_start)
                    .push_bind(nanoseconds(watch.until))
                    .push_bind(i64::try_from(watch.lost).unwrap_or(i64::MAX))
                    .push_bind(watch.activity_missed);
            });
            insert.push(
                " ON CONFLICT (container, since) DO UPDATE SET
                  from_start = excluded.from_start, until = excluded.until, lost = excluded.lost,
                  activity_missed = max(activity_missed, excluded.activity_missed)",
            );
            insert.build().execute(&mut *writing.all).await.map_err(failed)?;
        }
        writing.commit().await.map_err(failed)
    }

    /// The stretches in which these containers were watched, by id and then by time; those never watched are left out.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn watches<I: AsRef<str>>(&self, containers: &[I]) -> Result<Vec<Watch>, StoreError> {
        let mut found = Vec::new();
        for ids in containers.chunks(ROWS_AT_ONCE) {
            let mut select = QueryBuilder::new(
                "SELECT container, since, from_start, until, lost, activity_missed FROM watch
                 WHERE container IN (",
            );
            let mut list = select.separated(", ");
            for id in ids {
                list.push_bind(id.as_ref());
            }
            select.push(") ORDER BY container, since");
            let rows: Vec<WatchRow> = select
                .build_query_as()
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed("reading how long containers were watched"))?;
            found.extend(rows.into_iter().map(|row| Watch {
                container: row.container,
                since: moment(row.since),
                from_start: row.from_start,
                until: moment(row.until),
                lost: u64::try_from(row.lost).unwrap_or_default(),
                activity_missed: row.activity_missed,
            }));
        }
        Ok(found)
    }
}
