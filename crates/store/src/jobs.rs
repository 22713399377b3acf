//! Work that takes longer than an answer may: what was asked for, how far it is, how it ended.
//!
//! Nothing is started here. One desk at a time works through it.

use jiff::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::page::{moment, nanoseconds};

const READING: &str = "reading pieces of work";

/// How far a piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It waits for its turn.
    Waiting,
    /// It goes on.
    Running,
    /// It was done.
    Done,
    /// It failed.
    Failed,
}

impl JobState {
    const ALL: [Self; 4] = [Self::Waiting, Self::Running, Self::Done, Self::Failed];

    const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A piece of work on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Its number.
    pub id: i64,
    /// What is done: `verify`, `scan`, `update`.
    pub kind: String,
    /// What it is about; empty if about everything.
    pub subject: String,
    /// Who asked for it; empty if nobody did.
    pub by: String,
    /// How far it is.
    pub state: JobState,
    /// Parts that are done.
    pub done: u64,
    /// Parts altogether; 0 if that is not known.
    pub total: u64,
    /// What went wrong.
    pub problem: Option<String>,
    /// When it was asked for.
    pub since: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    kind: String,
    subject: String,
    by: String,
    state: String,
    done: i64,
    total: i64,
    problem: Option<String>,
    since: i64,
    ended: Option<i64>,
}

/// A question for rows of this table.
macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, kind, subject, by, state, done, total, problem, since, ended FROM job ",
            $which
        )
    };
}

impl Store {
    /// Keeps a piece of work that waits for its turn. One of the same kind and subject that waits already is given
    /// instead; `None` means that `most` wait.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn add_job(
        &self,
        kind: &str,
        subject: &str,
        by: &str,
        most: u32,
    ) -> Result<Option<JobRow>, StoreError> {
        let doing = "keeping a piece of work";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let waiting: Vec<Row> =
            sqlx::query_as(select!("WHERE state IN ('waiting', 'running') ORDER BY id"))
                .fetch_all(&mut *writing.all)
                .await
                .map_err(failed)?;
        let same = |row: &Row| row.state == "waiting" && row.kind == kind && row.subject == subject;
        let row: Row = if let Some(place) = waiting.iter().position(same) {
            waiting.into_iter().nth(place).ok_or_else(|| self.damaged("no row"))?
        } else if waiting.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
            return Ok(None);
        } else {
            sqlx::query_as(
                "INSERT INTO job (kind, subject, by, state, done, total, since)
                 VALUES (?, ?, ?, 'waiting', 0, 0, ?) RETURNING *",
            )
            .bind(kind)
            .bind(subject)
            .bind(by)
            .bind(nanoseconds(Timestamp::now()))
            .fetch_one(&mut *writing.all)
            .await
            .map_err(failed)?
        };
        writing.commit().await.map_err(failed)?;
        self.job_row(row).map(Some)
    }

    /// Keeps how far a piece of work is.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn set_job(&self, job: &JobRow) -> Result<(), StoreError> {
        let doing = "keeping how far a piece of work is";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        sqlx::query(
            "UPDATE job SET state = ?, done = ?, total = ?, problem = ?, ended = ? WHERE id = ?",
        )
        .bind(job.state.name())
        .bind(i64::try_from(job.done).unwrap_or(i64::MAX))
        .bind(i64::try_from(job.total).unwrap_or(i64::MAX))
        .bind(&job.problem)
        .bind(job.ended.map(nanoseconds))
        .bind(job.id)
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)
    }

    /// Work that waits or goes on, the oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn open_jobs(&self) -> Result<Vec<JobRow>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as(select!("WHERE state IN ('waiting', 'running') ORDER BY id"))
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed(READING))?;
        rows.into_iter().map(|row| self.job_row(row)).collect()
    }

    /// The last pieces of work, the newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn last_jobs(&self, limit: u32) -> Result<Vec<JobRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(select!("ORDER BY id DESC LIMIT ?"))
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed(READING))?;
        rows.into_iter().map(|row| self.job_row(row)).collect()
    }

    /// One piece of work.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn job(&self, id: i64) -> Result<Option<JobRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as(select!("WHERE id = ?"))
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed(READING))?;
        row.map(|row| self.job_row(row)).transpose()
    }

    fn job_row(&self, row: Row) -> Result<JobRow, StoreError> {
        let state = JobState::ALL.into_iter().find(|state| state.name() == row.state);
        Ok(JobRow {
            state: state
                .ok_or_else(|| self.damaged(format!("job {} is {:?}", row.id, row.state)))?,
            id: row.id,
            kind: row.kind,
            subject: row.subject,
            by: row.by,
            done: u64::try_from(row.done).unwrap_or_default(),
            total: u64::try_from(row.total).unwrap_or_default(),
            problem: row.problem,
            since: moment(row.since),
            ended: row.ended.map(moment),
        })
    }
}
