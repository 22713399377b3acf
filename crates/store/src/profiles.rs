//! What containers of a workload were seen to do.
//!
//! What was seen once stays: an entry is kept as it was seen first, a run as it was told last. Nothing is concluded here.

use std::collections::BTreeSet;

use haechi_core::profile::{
    Entry, Gap, Kind, PROFILE_SCHEMA, Phase, Predecessor, Profile, Run, Workload,
};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row};

use crate::Store;
use crate::error::StoreError;
use crate::kin;
use crate::page::{body, moment, nanoseconds};

/// Rows written by one statement: 7 values each, and SQLite takes at most 32,766 values.
const ROWS_AT_ONCE: usize = 1000;
/// Entries of one profile: whoever makes names by chance, run after run, fills no disk. What is beyond is a gap.
const ENTRIES_MAX: i64 = 200_000;

/// A profile's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileId(pub i64);

/// What was learned of one workload since it was told last.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// What ran.
    pub workload: Workload,
    /// The image as it was named.
    pub image_name: String,
    /// The stretch in which it was learned; replaces one of the same container and beginning.
    pub run: Run,
    /// What is new.
    pub entries: Vec<Entry>,
}

/// What became of a piece that was learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Of which profile it is.
    pub profile: ProfileId,
    /// The profile's baseline.
    pub baseline_at: Option<Timestamp>,
    /// The build before, if it has one.
    pub predecessor: Option<Predecessor>,
    /// Entries that were not there before, with the times that they were told with.
    pub new: Vec<Entry>,
}

impl Store {
    /// Keeps what was learned; for each piece, what of it was not kept before.
    ///
    /// # Errors
    /// It could not be written: then nothing of it was.
    pub async fn learn(&self, learned: &[Learned]) -> Result<Vec<Kept>, StoreError> {
        if learned.is_empty() {
            return Ok(Vec::new());
        }
        let mut kept = Vec::with_capacity(learned.len());
        let doing = "keeping profiles";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        for one in learned {
            let (id, baseline): (i64, Option<i64>) = sqlx::query_as(
                "INSERT INTO profile (image, command, image_name) VALUES (?, ?, ?)
                 ON CONFLICT (image, command) DO UPDATE SET image_name = excluded.image_name
                 RETURNING id, baseline_at",
            )
            .bind(&one.workload.image)
            .bind(body(&one.workload.command)?)
            .bind(&one.image_name)
            .fetch_one(&mut *writing.all)
            .await
            .map_err(failed)?;
            let predecessor =
                kin::inherit(&mut writing.all, id, &one.run.name).await.map_err(failed)?;
            let mut run = one.run.clone();
            let forgotten = "SELECT EXISTS (SELECT 1 FROM profile_forgotten
                 WHERE container = ? AND since = ? AND until < ?)";
            let is_forgotten: bool = sqlx::query_scalar(forgotten)
                .bind(&run.container)
                .bind(nanoseconds(run.since))
                .bind(nanoseconds(run.until))
                .fetch_one(&mut *writing.all)
                .await
                .map_err(failed)?;
            if is_forgotten {
                // It goes on, and what it used before is gone and is not told again: this stretch can say of nothing that it was
                // not used. One that goes no further comes from a file, with all that there was.
                run.gaps.extend([Gap::Start, Gap::Lost]);
                run.phases.remove(&Phase::Start);
            }
            let count = "SELECT count(*) FROM profile_entry WHERE profile = ?";
            let is_full = !one.entries.is_empty()
                && sqlx::query_scalar::<_, i64>(count)
                    .bind(id)
                    .fetch_one(&mut *writing.all)
                    .await
                    .map_err(failed)?
                    >= ENTRIES_MAX;
            if is_full {
                run.gaps.insert(Gap::Full);
            }
            sqlx::query(
                "INSERT INTO profile_run (profile, container, since, until, name, body)
                 VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (profile, container, since)
                 DO UPDATE SET until = excluded.until, name = excluded.name, body = excluded.body",
            )
            .bind(id)
            .bind(&run.container)
            .bind(nanoseconds(run.since))
            .bind(nanoseconds(run.until))
            .bind(&run.name)
            .bind(body(&run)?)
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
            // Clocks are set back, and what was used before is told after: what comes after the baseline is later than it.
            let earliest = baseline.map_or(i64::MIN, |at| at.saturating_add(1));
            let mut new = BTreeSet::new();
            let entries = if is_full { &[] } else { one.entries.as_slice() };
            for rows in entries.chunks(ROWS_AT_ONCE) {
                let mut insert = QueryBuilder::new(
                    "INSERT OR IGNORE INTO profile_entry
                     (profile, kind, value, first_at, container, origin, program) ",
                );
                insert.push_values(rows, |mut values, entry| {
                    values
                        .push_bind(id)
                        .push_bind(entry.kind.name())
                        .push_bind(&entry.value)
                        .push_bind(nanoseconds(entry.first_at).max(earliest))
                        .push_bind(&entry.container)
                        .push_bind(&entry.origin)
                        .push_bind(&entry.program);
                });
                insert.push(" RETURNING kind, value, origin");
                let rows: Vec<(String, String, String)> =
                    insert.build_query_as().fetch_all(&mut *writing.all).await.map_err(failed)?;
                new.extend(rows);
            }
            let mut entries = one.entries.clone();
            entries.retain(|entry| {
                new.remove(&(entry.kind.name().into(), entry.value.clone(), entry.origin.clone()))
            });
            let baseline_at = baseline.map(moment);
            kept.push(Kept { profile: ProfileId(id), baseline_at, predecessor, new: entries });
        }
        writing.commit().await.map_err(failed)?;
        Ok(kept)
    }

    /// Takes all that was seen of a workload until now for what it does; `at` is now. The moment that counts is later if
    /// something was seen later.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn set_baseline(&self, id: ProfileId, at: Timestamp) -> Result<(), StoreError> {
        let doing = "keeping profiles";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        sqlx::query(
            "UPDATE profile SET ruled_at = coalesce(ruled_at, baseline_at), baseline_at = max(?, coalesce(
                 (SELECT max(first_at) FROM profile_entry WHERE profile = profile.id), 0))
             WHERE id = ?",
        )
        .bind(nanoseconds(at))
        .bind(id.0)
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)
    }

    /// Forgets a profile with its baseline and what of it is in force; whether it did: not while it is refused what the profile
    /// does not have. Containers that are watched now are learned again from their next start on.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn forget_profile(&self, id: ProfileId) -> Result<bool, StoreError> {
        let doing = "forgetting a profile";
        let failed = self.failed(doing);
        let mut writing = self.begin(doing).await?;
        let steps = [
            "INSERT OR REPLACE INTO profile_forgotten (container, since, until)
             SELECT container, since, until FROM profile_run WHERE profile = ?1 AND NOT EXISTS
                 (SELECT 1 FROM profile_enforce WHERE profile = ?1 AND mode = 'deny')",
            "DELETE FROM profile WHERE id = ?1 AND NOT EXISTS
                 (SELECT 1 FROM profile_enforce WHERE profile = ?1 AND mode = 'deny')",
        ];
        let mut done = 0;
        for step in steps {
            let ran = sqlx::query(step).bind(id.0).execute(&mut *writing.all).await;
            done = ran.map_err(failed)?.rows_affected();
        }
        writing.commit().await.map_err(failed)?;
        Ok(done > 0)
    }

    /// All profiles with their runs, without their entries.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn workloads(&self) -> Result<Vec<(ProfileId, Profile)>, StoreError> {
        let failed = self.failed("reading profiles");
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM profile ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(self.profile_head(id).await?.map(|profile| (ProfileId(id), profile)));
        }
        Ok(found)
    }

    /// A profile; none of this number is an empty one.
    ///
    /// # Errors
    /// The database cannot be read or is damaged.
    pub async fn profile(&self, id: ProfileId) -> Result<Profile, StoreError> {
        let failed = self.failed("reading a profile");
        let Some(mut profile) = self.profile_head(id.0).await? else {
            return Ok(Profile { schema: PROFILE_SCHEMA.into(), ..Profile::default() });
        };
        for (table, into) in
            [("profile_entry", &mut profile.entries), ("profile_carried", &mut profile.carried)]
        {
            let columns = "kind, value, first_at, container, origin, program";
            let mut sought =
                QueryBuilder::new(format!("SELECT {columns} FROM {table} WHERE profile = "));
            let rows =
                sought.push_bind(id.0).build().fetch_all(&self.pool).await.map_err(failed)?;
            for row in &rows {
                into.extend(entry(row).map_err(failed)?);
            }
            into.sort();
        }
        Ok(profile)
    }

    async fn profile_head(&self, id: i64) -> Result<Option<Profile>, StoreError> {
        let failed = self.failed("reading a profile");
        let head = sqlx::query(
            "SELECT image, command, image_name, baseline_at, ruled_at, predecessor FROM profile WHERE id = ?",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed)?;
        let Some(head) = head else { return Ok(None) };
        let command: String = head.try_get("command").map_err(failed)?;
        let baseline: Option<i64> = head.try_get("baseline_at").map_err(failed)?;
        let ruled: Option<i64> = head.try_get("ruled_at").map_err(failed)?;
        let predecessor: Option<String> = head.try_get("predecessor").map_err(failed)?;
        let bodies: Vec<String> = sqlx::query_scalar(
            "SELECT body FROM profile_run WHERE profile = ? ORDER BY since, container",
        )
        .bind(id)
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        let trials: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT container FROM profile_run
             WHERE profile = ? AND container IN (SELECT container FROM trial)",
        )
        .bind(id)
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        let damaged = |error: serde_json::Error| self.damaged(format!("a profile: {error}"));
        let runs = bodies.iter().map(|body| serde_json::from_str::<Run>(body).map_err(damaged));
        Ok(Some(Profile {
            schema: PROFILE_SCHEMA.into(),
            workload: Workload {
                image: head.try_get("image").map_err(failed)?,
                command: serde_json::from_str(&command).map_err(damaged)?,
            },
            image_name: head.try_get("image_name").map_err(failed)?,
            runs: runs.collect::<Result<_, _>>()?,
            entries: Vec::new(),
            baseline_at: baseline.map(moment),
            ruled_at: ruled.map(moment),
            predecessor: predecessor
                .map(|text| serde_json::from_str(&text).map_err(damaged))
                .transpose()?,
            carried: Vec::new(),
            trials: trials.into_iter().collect(),
        }))
    }
}

/// An entry as it was kept; a kind of a newer Haechi says nothing to this one.
fn entry(row: &SqliteRow) -> Result<Option<Entry>, sqlx::Error> {
    let Some(kind) = Kind::named(row.try_get("kind")?) else { return Ok(None) };
    Ok(Some(Entry {
        kind,
        value: row.try_get("value")?,
        first_at: moment(row.try_get("first_at")?),
        container: row.try_get("container")?,
        origin: row.try_get("origin")?,
        program: row.try_get("program")?,
    }))
}
