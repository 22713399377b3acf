//! Where it is in force that containers do no more than their profile has, who does it, and what was refused.
//!
//! Values only: nothing is enforced here. Of what is refused again and again one row is kept.

use haechi_core::allowance::Mode;
use haechi_core::profile::Workload;
use jiff::{SignedDuration, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::error::StoreError;
use crate::page::{moment, nanoseconds};
use crate::profiles::ProfileId;

/// Rows of one profile: whoever makes names by chance fills no disk. What is beyond is not kept, and not new.
const ROWS_MAX: i64 = 10_000;
/// A monitor says every five seconds what it does; one that has said nothing for so long does nothing.
const FRESH: SignedDuration = SignedDuration::from_secs(30);

/// What is in force for a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforcement {
    /// Which profile.
    pub profile: ProfileId,
    /// What is done.
    pub mode: Mode,
    /// Whether writing is limited as well.
    pub with_files: bool,
    /// Since when.
    pub since: Timestamp,
    /// Who set it.
    pub actor: String,
}

/// A profile for which something is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforced {
    /// What is in force.
    pub enforcement: Enforcement,
    /// Whose it is.
    pub workload: Workload,
    /// Its baseline: when it moves, the profile has more.
    pub baseline_at: Option<Timestamp>,
}

/// Something that a profile does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What was in force.
    pub mode: Mode,
    /// Why: `not-allowed`, `replaced` or `written`.
    pub because: String,
    /// Path of the program or file.
    pub value: String,
    /// Where it lay, as in a profile.
    pub origin: String,
    /// Full id of the container that it was in first.
    pub container: String,
    /// When it was first.
    pub first_at: Timestamp,
    /// When it was last.
    pub last_at: Timestamp,
    /// How often.
    pub times: u64,
}

/// What a monitor does about a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    /// Which profile.
    pub profile: ProfileId,
    /// What it really does.
    pub mode: Mode,
    /// Whether writing is really limited.
    pub with_files: bool,
    /// By what: `lsm` or `fanotify`.
    pub tier: String,
    /// For how many containers.
    pub containers: u64,
    /// What it cannot do; empty if it can all of it.
    pub problem: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when it is certain.
    pub at: Timestamp,
}

impl Guarded {
    /// Whether it was said so lately that it is done now.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        now.duration_since(self.at).abs() <= FRESH
    }
}

impl Store {
    /// Sets what is in force for a profile, or takes it back. A dry run begins with nothing found.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn enforce(
        &self,
        profile: ProfileId,
        mode: Option<Mode>,
        with_files: bool,
        actor: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let doing = "keeping what is enforced";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        match mode {
            None => {
                let delete = "DELETE FROM profile_enforce WHERE profile = ?";
                sqlx::query(delete).bind(profile.0).execute(&mut *writing.all).await
            }
            Some(mode) => {
                if mode == Mode::DryRun {
                    let delete = "DELETE FROM profile_refused WHERE profile = ?";
                    let deleted =
                        sqlx::query(delete).bind(profile.0).execute(&mut *writing.all).await;
                    deleted.map_err(failed)?;
                }
                let insert = "INSERT INTO profile_enforce (profile, mode, files, since, actor)
                     VALUES (?, ?, ?, ?, ?) ON CONFLICT (profile) DO UPDATE SET
                     mode = excluded.mode, files = excluded.files, since = excluded.since,
                     actor = excluded.actor";
                sqlx::query(insert)
                    .bind(profile.0)
                    .bind(mode.name())
                    .bind(with_files)
                    .bind(nanoseconds(at))
                    .bind(actor)
                    .execute(&mut *writing.all)
                    .await
            }
        }
        .map_err(failed)?;
        writing.commit().await.map_err(failed)
    }

    /// Everything that is in force.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn enforced(&self) -> Result<Vec<Enforced>, StoreError> {
        let failed = self.failed("reading what is enforced");
        let rows = sqlx::query(
            "SELECT profile, mode, files, since, actor, image, command, baseline_at
             FROM profile_enforce JOIN profile ON profile.id = profile_enforce.profile
             ORDER BY profile",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        let damaged = |error: serde_json::Error| self.damaged(format!("a profile: {error}"));
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let baseline: Option<i64> = row.try_get("baseline_at").map_err(failed)?;
            let command: String = row.try_get("command").map_err(failed)?;
            // A mode of a newer Haechi is not known to this one, and nothing is claimed of it.
            let Some(enforcement) = enforcement(&row).map_err(failed)? else { continue };
            found.push(Enforced {
                enforcement,
                workload: Workload {
                    image: row.try_get("image").map_err(failed)?,
                    command: serde_json::from_str(&command).map_err(damaged)?,
                },
                baseline_at: baseline.map(moment),
            });
        }
        Ok(found)
    }

    /// Keeps that something was refused, or would be; whether that is new.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn add_refused(
        &self,
        profile: ProfileId,
        refused: &Refused,
    ) -> Result<bool, StoreError> {
        let doing = "keeping what was refused";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let values = |sql| {
            sqlx::query(sql)
                .bind(profile.0)
                .bind(refused.mode.name())
                .bind(&refused.because)
                .bind(&refused.value)
                .bind(&refused.origin)
                .bind(nanoseconds(refused.last_at))
                .bind(i64::try_from(refused.times).unwrap_or(i64::MAX))
        };
        let changed = values(
            "UPDATE profile_refused SET last_at = max(last_at, ?6), times = times + ?7
             WHERE profile = ?1 AND mode = ?2 AND because = ?3 AND value = ?4 AND origin = ?5",
        )
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        let mut is_new = changed.rows_affected() == 0;
        if is_new {
            let added = values(
                "INSERT INTO profile_refused
                 (profile, mode, because, value, origin, last_at, times, first_at, container)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
                 WHERE (SELECT count(*) FROM profile_refused WHERE profile = ?1) < ?10",
            )
            .bind(nanoseconds(refused.first_at))
            .bind(&refused.container)
            .bind(ROWS_MAX)
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
            is_new = added.rows_affected() > 0;
        }
        writing.commit().await.map_err(failed)?;
        Ok(is_new)
    }

    /// What was refused of a profile, or would have been, the first first.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn refused(&self, profile: ProfileId) -> Result<Vec<Refused>, StoreError> {
        let failed = self.failed("reading what was refused");
        let rows = sqlx::query(
            "SELECT mode, because, value, origin, container, first_at, last_at, times
             FROM profile_refused WHERE profile = ? ORDER BY first_at, value",
        )
        .bind(profile.0)
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(mode) = Mode::named(row.try_get("mode").map_err(failed)?) else { continue };
            let times: i64 = row.try_get("times").map_err(failed)?;
            found.push(Refused {
                mode,
                because: row.try_get("because").map_err(failed)?,
                value: row.try_get("value").map_err(failed)?,
                origin: row.try_get("origin").map_err(failed)?,
                container: row.try_get("container").map_err(failed)?,
                first_at: moment(row.try_get("first_at").map_err(failed)?),
                last_at: moment(row.try_get("last_at").map_err(failed)?),
                times: u64::try_from(times).unwrap_or(0),
            });
        }
        Ok(found)
    }

    /// Keeps what a monitor does. It does it since it said so first, with the same means and mode.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn set_guarded(&self, guarded: &[Guarded]) -> Result<(), StoreError> {
        let doing = "keeping what is enforced";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        for one in guarded {
            sqlx::query(
                "INSERT INTO profile_guard
                 (profile, mode, files, tier, containers, problem, since, at)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
                 WHERE EXISTS (SELECT 1 FROM profile WHERE id = ?1)
                 ON CONFLICT (profile) DO UPDATE SET since = CASE
                     WHEN mode = excluded.mode AND files = excluded.files AND tier = excluded.tier
                     THEN since ELSE excluded.since END,
                 mode = excluded.mode, files = excluded.files, tier = excluded.tier,
                 containers = excluded.containers, problem = excluded.problem, at = excluded.at",
            )
            .bind(one.profile.0)
            .bind(one.mode.name())
            .bind(one.with_files)
            .bind(&one.tier)
            .bind(i64::try_from(one.containers).unwrap_or(i64::MAX))
            .bind(&one.problem)
            .bind(nanoseconds(one.since))
            .bind(nanoseconds(one.at))
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
        }
        writing.commit().await.map_err(failed)
    }

    /// Keeps that a monitor does nothing any more about these.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn clear_guarded(&self, profiles: &[ProfileId]) -> Result<(), StoreError> {
        let doing = "keeping what is enforced";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        for profile in profiles {
            sqlx::query("DELETE FROM profile_guard WHERE profile = ?")
                .bind(profile.0)
                .execute(&mut *writing.all)
                .await
                .map_err(failed)?;
        }
        writing.commit().await.map_err(failed)
    }

    /// What a monitor said last that it does about a profile.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn guarded(&self, profile: ProfileId) -> Result<Option<Guarded>, StoreError> {
        let failed = self.failed("reading what is enforced");
        let row = sqlx::query(
            "SELECT mode, files, tier, containers, problem, since, at
             FROM profile_guard WHERE profile = ?",
        )
        .bind(profile.0)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let Some(mode) = Mode::named(row.try_get("mode").map_err(failed)?) else { return Ok(None) };
        let containers: i64 = row.try_get("containers").map_err(failed)?;
        Ok(Some(Guarded {
            profile,
            mode,
            with_files: row.try_get("files").map_err(failed)?,
            tier: row.try_get("tier").map_err(failed)?,
            containers: u64::try_from(containers).unwrap_or(0),
            problem: row.try_get("problem").map_err(failed)?,
            since: moment(row.try_get("since").map_err(failed)?),
            at: moment(row.try_get("at").map_err(failed)?),
        }))
    }
}

fn enforcement(row: &SqliteRow) -> Result<Option<Enforcement>, sqlx::Error> {
    let Some(mode) = Mode::named(row.try_get("mode")?) else { return Ok(None) };
    Ok(Some(Enforcement {
        profile: ProfileId(row.try_get("profile")?),
        mode,
        with_files: row.try_get("files")?,
        since: moment(row.try_get("since")?),
        actor: row.try_get("actor")?,
    }))
}
