//! What containers were seen to do: from the profiles that the monitor keeps, as it is on record now.
//!
//! What a container is given is that of the last verification. Files are made by Haechi's own command, started as a process of
//! its own; one that is refused there is refused here, with the same reasons. Commands are shown without their secrets.

mod enforced;
mod file;
mod page;

use std::collections::BTreeSet;

use haechi_core::inventory::Part;
use haechi_core::profile::Profile;
use haechi_core::report::profiles::{PackageStates, ProfileLine};
use haechi_core::verdict::ImageReport;
use haechi_facts::redact;
use haechi_profile::coverage::{Coverage, Rule};
use haechi_profile::image::ImageUse;
use haechi_profile::today::Today;
use haechi_profile::{packages, picture};
use haechi_protocol::{LIMIT_MAX, List, ListProfiles, ProfileLink, Refusal};
use haechi_store::{InventoryRow, ProfileId};

use crate::accounts::Caller;
use crate::{Desk, containers, unavailable};

pub(crate) use file::make;
pub(crate) use page::show;

/// Containers of a workload that are looked for, to know what it is given.
const LOOKED: usize = 20;

/// A workload with how well it is known.
struct Known {
    profile: Profile,
    coverage: Coverage,
    today: Today,
}

impl Known {
    async fn of(
        desk: &Desk,
        inventory: Option<&InventoryRow>,
        number: ProfileId,
    ) -> Result<Self, Refusal> {
        let mut profile = desk.setup.store.profile(number).await.map_err(unavailable)?;
        let today = given(desk, inventory, &profile).await?;
        let policy = (desk.setup.policy)().map_err(unavailable)?;
        let hours = u64::try_from(policy.policy.monitor.observed_hours_min).unwrap_or_default();
        let rule = Rule {
            quiet_min: hours.saturating_mul(3600),
            has_health_check: today.has_health_check,
        };
        let coverage = Coverage::of(&profile, &rule);
        profile.workload.command = redact::arguments(&profile.workload.command);
        Ok(Self { profile, coverage, today })
    }

    fn link(&self, number: ProfileId) -> ProfileLink {
        let line = self.line(number);
        ProfileLink {
            number: line.number,
            settled: line.settled,
            command: line.command,
            news: line.news,
        }
    }

    fn line(&self, number: ProfileId) -> ProfileLine {
        picture::line(number.0, &self.profile, &self.coverage, &self.today, None)
    }
}

/// What the container that was watched last is given, of those that the last verification saw.
async fn given(
    desk: &Desk,
    inventory: Option<&InventoryRow>,
    profile: &Profile,
) -> Result<Today, Refusal> {
    let Some(inventory) = inventory else { return Ok(Today::default()) };
    for id in newest(profile).into_iter().take(LOOKED) {
        let kept = desk.setup.store.kept_container(inventory.id, id).await.map_err(unavailable)?;
        if let Some(kept) = kept {
            return Ok(Today::of_kept(&kept.name, kept.given));
        }
    }
    Ok(Today::default())
}

/// Ids of its containers, that which was watched last first.
fn newest(profile: &Profile) -> Vec<&str> {
    let mut runs: Vec<_> = profile.own_runs().collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.until));
    let mut seen = BTreeSet::new();
    let ids = runs.into_iter().map(|run| run.container.as_str());
    ids.filter(|id| seen.insert(*id)).collect()
}

/// Answers [`ListProfiles`].
pub(crate) async fn list(
    desk: &Desk,
    _caller: &Caller,
    question: &ListProfiles,
) -> Result<List<ProfileLine>, Refusal> {
    let limit = usize::try_from(question.limit.clamp(1, LIMIT_MAX)).unwrap_or(1);
    let all = desk.setup.store.workloads().await.map_err(unavailable)?;
    let total = u64::try_from(all.len()).ok();
    let after = question.after.as_deref().map(str::parse::<i64>).transpose();
    let after = after.map_err(|_| Refusal::invalid("after", "not-a-cursor"))?.unwrap_or_default();
    let mut wanted: Vec<ProfileId> =
        all.into_iter().map(|(number, _)| number).filter(|number| number.0 > after).collect();
    let next = wanted.get(limit.saturating_sub(1)).filter(|_| wanted.len() > limit);
    let next = next.map(|last| last.0.to_string());
    wanted.truncate(limit);
    let inventory = containers::inventory(desk).await?;
    let mut rows = Vec::with_capacity(wanted.len());
    for number in wanted {
        rows.push(Known::of(desk, inventory.as_ref(), number).await?.line(number));
    }
    Ok(List { rows, next, total })
}

/// Profiles of a container.
pub(crate) async fn of_container(desk: &Desk, id: &str) -> Result<Vec<ProfileLink>, Refusal> {
    let all = desk.setup.store.workloads().await.map_err(unavailable)?;
    let inventory = containers::inventory(desk).await?;
    let mut links = Vec::new();
    for (number, head) in all {
        if head.runs.iter().any(|run| run.container == id) {
            links.push(Known::of(desk, inventory.as_ref(), number).await?.link(number));
        }
    }
    Ok(links)
}

/// What was seen of the packages of an image in all of its containers, and their profiles. Nothing if none was watched.
pub(crate) async fn of_image(
    desk: &Desk,
    inventory: &InventoryRow,
    image: &str,
    report: Option<&ImageReport>,
    running: &BTreeSet<String>,
) -> Result<(PackageStates, Vec<ProfileLink>), Refusal> {
    let all = desk.setup.store.workloads().await.map_err(unavailable)?;
    let (mut known, mut links) = (Vec::new(), Vec::new());
    for (number, head) in all {
        if head.workload.image == image {
            let one = Known::of(desk, Some(inventory), number).await?;
            links.push(one.link(number));
            known.push(one);
        }
    }
    let (Some(report), false) = (report, known.is_empty()) else {
        return Ok((PackageStates::new(), links));
    };
    // What runs now is only known if the newest verification could list it.
    let running = containers::is_fresh(desk, Some(inventory)).await?.then_some(running);
    let both = known.iter().map(|one| (&one.profile, &one.coverage));
    let uses = ImageUse::of(both, running)
        .packages(&report.scan.packages, report.is_whole(Part::Packages));
    Ok((packages::states(&uses), links))
}

#[cfg(test)]
mod tests;
