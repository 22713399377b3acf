//! Builds of one workload: which profile is that of the build before, and what is taken over from it.
//!
//! Taken over is what no build changes by itself: whom it talks to, where it listens, its capabilities, the values of calls,
//! where it writes, and programs that are not of the image. Its own programs, files and calls are learned again. Whoever may name
//! images and containers can make one a build of another: all it is spared is to be told about what was known already.

use haechi_core::profile::{Kinship, Predecessor};
use sqlx::{Row, SqliteConnection};

/// Of profile ?1 with a container of the name ?2, the build before: settled, and of another image. The nearest by what it has in
/// common, then what was watched last.
const BEFORE: &str = "
    SELECT before.id, before.image, before.image_name,
           before.image_name = this.image_name AND this.image_name <> '' AS named,
           before.command = this.command AS same,
           ?2 <> '' AND EXISTS (SELECT 1 FROM profile_run AS run WHERE run.profile = before.id AND run.name = ?2) AS called
    FROM profile AS this, profile AS before
    WHERE this.id = ?1 AND before.id <> this.id AND before.image <> this.image AND this.image <> '' AND before.image <> ''
      AND before.baseline_at IS NOT NULL AND named + same + called >= 2
    ORDER BY named AND same DESC, same DESC,
             (SELECT max(until) FROM profile_run AS run WHERE run.profile = before.id) DESC, before.id DESC
    LIMIT 1";

/// What profile ?1 takes over from ?2: what that was seen to do itself until its baseline.
const CARRY: &str = "
    INSERT INTO profile_carried (profile, kind, value, first_at, container, origin, program)
    SELECT ?1, kind, value, first_at, container, origin, program FROM profile_entry
    WHERE profile = ?2 AND first_at <= (SELECT baseline_at FROM profile WHERE id = ?2)
      AND (kind IN ('listening', 'peer', 'capability', 'refused-capability', 'written', 'argument')
           OR kind IN ('executed', 'mapped') AND origin IN ('changed', 'mounted', 'memory', 'replaced'))";

/// What a profile that is watched for the first time takes over, in a container of this name.
pub(crate) async fn inherit(
    to: &mut SqliteConnection,
    id: i64,
    container: &str,
) -> Result<Option<Predecessor>, sqlx::Error> {
    let is_known = "SELECT EXISTS (SELECT 1 FROM profile_run WHERE profile = ?)";
    if sqlx::query_scalar(is_known).bind(id).fetch_one(&mut *to).await? {
        let stored: Option<String> =
            sqlx::query_scalar("SELECT predecessor FROM profile WHERE id = ?")
                .bind(id)
                .fetch_one(&mut *to)
                .await?;
        return Ok(stored.and_then(|text| serde_json::from_str(&text).ok()));
    }
    let Some(found) = sqlx::query(BEFORE).bind(id).bind(container).fetch_optional(&mut *to).await?
    else {
        return Ok(None);
    };
    let by = match (found.try_get("named")?, found.try_get("same")?) {
        (true, true) => Kinship::Reference,
        (_, true) => Kinship::Container,
        _ => Kinship::Both,
    };
    let before = Predecessor {
        image: found.try_get("image")?,
        image_name: found.try_get("image_name")?,
        by,
    };
    sqlx::query(CARRY).bind(id).bind(found.try_get::<i64, _>("id")?).execute(&mut *to).await?;
    sqlx::query("UPDATE profile SET predecessor = ? WHERE id = ?")
        .bind(serde_json::json!(before).to_string())
        .bind(id)
        .execute(&mut *to)
        .await?;
    Ok(Some(before))
}
