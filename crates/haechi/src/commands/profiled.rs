//! What workloads were seen to do, for reports: profiles in short, and what was seen of each vulnerable package.
//!
//! What cannot be read is left out: a package of which nothing is known is called that.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::inventory::{Part, Scan};
use haechi_core::profile::Profile;
use haechi_core::report::profiles::{PackageCounts, PackageState, PackageStates, ProfileLine};
use haechi_core::verdict::ImageReport;
use haechi_core::{Report, Snapshot};
use haechi_facts::redact;
use haechi_profile::blind;
use haechi_profile::coverage::{Coverage, Rule};
use haechi_profile::image::{self, ImageUse};
use haechi_profile::today::Today;
use haechi_profile::{packages, picture};
use haechi_store::{Store, StoreError};

use super::profile::{Known, find};
use crate::setting::Setting;

/// A workload with how well it is known.
struct Workload {
    number: i64,
    profile: Profile,
    coverage: Coverage,
    today: Today,
}

/// Workloads by the id of their image; with an id only those of that image.
async fn workloads(
    store: &Store,
    snapshot: &Snapshot,
    hours: i64,
    of: Option<&str>,
) -> Result<BTreeMap<String, Vec<Workload>>, StoreError> {
    let quiet_min = u64::try_from(hours).unwrap_or_default().saturating_mul(3600);
    let mut by_image: BTreeMap<String, Vec<Workload>> = BTreeMap::new();
    for (number, head) in store.workloads().await? {
        let image = head.workload.image;
        if of.is_some_and(|wanted| wanted != image) {
            continue;
        }
        let profile = store.profile(number).await?;
        let today = find::given(&profile, snapshot).unwrap_or_default();
        let rule = Rule { quiet_min, has_health_check: today.has_health_check };
        let coverage = Coverage::of(&profile, &rule);
        by_image.entry(image).or_default().push(Workload {
            number: number.0,
            profile,
            coverage,
            today,
        });
    }
    Ok(by_image)
}

/// What was seen of the packages of an image in all of its workloads.
fn states(all: &[Workload], scan: &Scan, snapshot: &Snapshot, image: &str) -> PackageStates {
    let running = image::running(snapshot, image);
    let both = all.iter().map(|one| (&one.profile, &one.coverage));
    let uses = ImageUse::of(both, running.as_ref())
        .packages(&scan.packages, scan.is_whole(Part::Packages));
    packages::states(&uses)
}

/// Completes a report with profiles, and what was seen of the vulnerable packages of its images.
pub async fn complete(
    report: &mut Report,
    snapshot: &Snapshot,
    images: &[ImageReport],
    store: &Store,
    hours: i64,
) -> Result<(), StoreError> {
    let mut lines: Vec<ProfileLine> = Vec::new();
    for (id, all) in workloads(store, snapshot, hours, None).await? {
        let read = images.iter().find(|read| read.scan.subject.id == id);
        let earlier = match read {
            None => store.image_report(&report.host.name, &id).await?,
            Some(_) => None,
        };
        let read = read.or(earlier.as_ref());
        for one in &all {
            let running = image::running(snapshot, &id);
            let counts =
                read.map(|read| counted(read, &one.profile, &one.coverage, running.as_ref()));
            let mut line =
                picture::line(one.number, &one.profile, &one.coverage, &one.today, counts);
            line.command = redact::arguments(&line.command);
            lines.push(line);
        }
        let Some(read) = read else { continue };
        let states = states(&all, &read.scan, snapshot, &id);
        for line in report.images.iter_mut().filter(|line| line.id == id) {
            for flaw in &mut line.flaws {
                let place = format!("{} {}", flaw.package, flaw.installed);
                flaw.seen = Some(states.get(&place).copied().unwrap_or(PackageState::Unknown));
            }
        }
    }
    lines.sort_by_key(|line| line.number);
    report.profiles = lines;
    Ok(())
}

/// How many packages of a workload's image are of each state, if the last verification on this host took it apart.
pub async fn counts(known: &Known, setting: &Setting) -> Option<PackageCounts> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let store = super::store(setting).await.ok()?;
    let read = store.image_report(&host, &known.profile.workload.image).await.ok()??;
    Some(counted(&read, &known.profile, &known.coverage, known.running.as_ref()))
}

/// `running` are the ids of the containers of its image that run now: one that is gone takes nothing back.
fn counted(
    read: &ImageReport,
    profile: &Profile,
    coverage: &Coverage,
    running: Option<&BTreeSet<String>>,
) -> PackageCounts {
    let is_settled =
        read.is_whole(Part::Packages) && blind::open(profile, coverage, running).is_empty();
    packages::counts(&packages::of(&read.scan.packages, &profile.entries, is_settled))
}

/// What was seen of the packages of an image that was taken apart by itself; nothing if none of its containers was watched here.
pub async fn seen(scan: &Scan, setting: &Setting) -> anyhow::Result<PackageStates> {
    // Whoever looks at an image on a machine without a record needs none made.
    if scan.subject.id.is_empty() || !setting.data_dir().join(haechi_store::FILE).exists() {
        return Ok(PackageStates::new());
    }
    let store = super::store(setting).await?;
    let known = store.workloads().await.map_err(super::store_failure)?;
    if !known.iter().any(|(_, profile)| profile.workload.image == scan.subject.id) {
        return Ok(PackageStates::new());
    }
    let snapshot = find::engine(setting).await?;
    let hours = setting.policy()?.policy.monitor.observed_hours_min;
    let id = scan.subject.id.as_str();
    let all = workloads(&store, &snapshot, hours, Some(id)).await.map_err(super::store_failure)?;
    Ok(all.get(id).map(|all| states(all, scan, &snapshot, id)).unwrap_or_default())
}
