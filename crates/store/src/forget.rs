//! Forgetting what the monitor kept: what is old or too much goes, what a verification needs stays. So do profiles of
//! workloads that are there or were watched lately.
//!
//! Done in short steps, so that a monitor that keeps alerts meanwhile need not wait.

use jiff::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::page::nanoseconds;

/// Rows forgotten in one transaction: short enough that alerts need not wait.
const AT_ONCE: i64 = 5000;

/// What is forgotten.
#[derive(Debug, Clone, Default)]
pub struct Forget {
    /// What was before this moment.
    pub older_than: Timestamp,
    /// Of alerts, actions and activity each, what is beyond so many; the oldest go first. 0 is no limit.
    pub rows: u32,
    /// Ids of the containers that exist: what a verification needs of them stays. `None` if that is not known: then it
    /// stays of all.
    pub present: Option<Vec<String>>,
}

/// Rows that may go: before the moment (?1), and not needed of the containers that exist (?2), as SQLite's JSON; at most ?3.
/// What is open stays; of a container that exists the newest alert of each rule (?4, their numbers), exec calls with more
/// rights, as root or of which that is not known, and in which stretches something was lost.
///
/// Before each stands which moment the row is of that is the first too many (?1).
const STEPS: [(&str, &str); 4] = [
    (
        "SELECT at FROM action ORDER BY at DESC, id DESC LIMIT 1 OFFSET ?1",
        "DELETE FROM action WHERE id IN
             (SELECT id FROM action WHERE at < ?1 AND open = 0 ORDER BY at LIMIT ?3)",
    ),
    (
        "SELECT at FROM alert ORDER BY at DESC, id DESC LIMIT 1 OFFSET ?1",
        "DELETE FROM alert WHERE id IN
             (SELECT id FROM alert WHERE at < ?1 AND id NOT IN (SELECT value FROM json_each(?4))
              ORDER BY at LIMIT ?3)",
    ),
    (
        "SELECT at FROM activity ORDER BY at DESC, id DESC LIMIT 1 OFFSET ?1",
        "DELETE FROM activity WHERE id IN
             (SELECT id FROM activity WHERE at < ?1
              AND NOT (exec <> '' AND (?2 IS NULL OR thing IN (SELECT value FROM json_each(?2)))
                       AND (told = 0 OR body ->> '$.exec.privileged' OR body ->> '$.exec.user' LIKE 'root%'
                            OR ltrim(body ->> '$.exec.user', '+-') LIKE '0%'))
              ORDER BY at LIMIT ?3)",
    ),
    (
        "SELECT NULL LIMIT 0 OFFSET ?1",
        "DELETE FROM watch WHERE (container, since) IN
             (SELECT container, since FROM watch AS one WHERE until < ?1
              AND NOT ((?2 IS NULL OR container IN (SELECT value FROM json_each(?2)))
                       AND (lost > 0 OR activity_missed > 0
                            OR NOT EXISTS (SELECT 1 FROM watch AS later
                                           WHERE later.container = one.container AND later.since > one.since)))
              LIMIT ?3)",
    ),
];

impl Store {
    /// Forgets what the monitor kept, and says how many rows.
    ///
    /// # Errors
    /// It could not be written; what was forgotten until then is forgotten.
    pub async fn prune_monitor(&self, forget: &Forget) -> Result<u64, StoreError> {
        let doing = "forgetting what the monitor kept";
        let failed = self.failed(doing);
        let present = forget.present.as_ref().map(|ids| serde_json::json!(ids).to_string());
        let mut all = 0;
        for (beyond, step) in STEPS {
            let mut before = nanoseconds(forget.older_than);
            if forget.rows > 0 {
                let at: Option<i64> = sqlx::query_scalar(beyond)
                    .bind(forget.rows)
                    .fetch_optional(&self.pool)
                    .await
                    .map_err(failed)?;
                before = before.max(at.map_or(i64::MIN, |at| at.saturating_add(1)));
            }
            let newest = match step.contains("?4") {
                true => self.newest_of_each(before, present.as_deref()).await?,
                false => String::new(),
            };
            loop {
                let mut writing = self.begin(doing).await?;
                let done = sqlx::query(step)
                    .bind(before)
                    .bind(&present)
                    .bind(AT_ONCE)
                    .bind(&newest)
                    .execute(&mut *writing.all)
                    .await
                    .map_err(failed)?
                    .rows_affected();
                writing.commit().await.map_err(failed)?;
                all += done;
                if done < AT_ONCE.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(all + self.prune_profiles(nanoseconds(forget.older_than), present.as_deref()).await?)
    }

    /// Forgets profiles of which nothing was watched since a moment and no container exists; one at a time, for each may be
    /// large. What was made from one, and what the next build took over, stays.
    async fn prune_profiles(&self, before: i64, present: Option<&str>) -> Result<u64, StoreError> {
        let doing = "forgetting profiles";
        let failed = self.failed(doing);
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM profile WHERE ?2 IS NOT NULL AND NOT EXISTS
                 (SELECT 1 FROM profile_run AS run WHERE run.profile = profile.id
                  AND (run.until >= ?1 OR run.container IN (SELECT value FROM json_each(?2))))",
        )
        .bind(before)
        .bind(present)
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        for id in &ids {
            let mut writing = self.begin(doing).await?;
            sqlx::query("DELETE FROM profile WHERE id = ?")
                .bind(id)
                .execute(&mut *writing.all)
                .await
                .map_err(failed)?;
            writing.commit().await.map_err(failed)?;
        }
        // What is told of containers that are gone is not needed any more.
        for step in [
            "DELETE FROM trial WHERE container NOT IN (SELECT container FROM profile_run)
             AND container NOT IN (SELECT made FROM made WHERE made IS NOT NULL)
             AND ?1 IS NOT NULL AND container NOT IN (SELECT value FROM json_each(?1))",
            "DELETE FROM profile_forgotten
             WHERE ?1 IS NOT NULL AND container NOT IN (SELECT value FROM json_each(?1))",
        ] {
            let mut writing = self.begin(doing).await?;
            sqlx::query(step).bind(present).execute(&mut *writing.all).await.map_err(failed)?;
            writing.commit().await.map_err(failed)?;
        }
        Ok(ids.len() as u64)
    }

    /// Numbers of the newest alert of each rule in each container that exists, of those before a moment, as JSON.
    async fn newest_of_each(
        &self,
        before: i64,
        present: Option<&str>,
    ) -> Result<String, StoreError> {
        // A bare column beside one max() is of the row that has it: https://www.sqlite.org/lang_select.html#bareagg
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM (
                 SELECT id, max(at) AS at FROM alert
                 WHERE ?2 IS NULL OR container IN (SELECT value FROM json_each(?2))
                 GROUP BY container, rule, checks
             ) WHERE at < ?1",
        )
        .bind(before)
        .bind(present)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("reading alerts"))?;
        Ok(serde_json::json!(ids).to_string())
    }
}
