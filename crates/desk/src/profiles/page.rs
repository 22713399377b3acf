//! One workload with all that is known about it.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::Lang;
use haechi_core::inventory::Part;
use haechi_core::profile::{Kind, Profile};
use haechi_core::text::Text;
use haechi_core::verdict::ImageReport;
use haechi_profile::blind;
use haechi_profile::least::Least;
use haechi_profile::news;
use haechi_profile::packages::{self, PackageUse};
use haechi_protocol::{
    AlertRow, NewsRow, PackageRow, ProfilePage, ProfiledRow, Refusal, SettingRow, ShowProfile,
    UsedRow,
};
use haechi_store::{AlertFilter, ProfileId};

use super::{Known, enforced, newest};
use crate::accounts::Caller;
use crate::{Desk, containers, unavailable};

/// The rule that tells what is new.
const RULE: &str = "Something new in a settled profile";
/// Values of each kind, packages, new things, containers and alerts that a page has.
const VALUES: usize = 200;
const PACKAGES: usize = 1000;
const NEWS: usize = 200;
const CONTAINERS: usize = 50;
const ALERTS: usize = 10;
/// Containers that are asked for alerts.
const ASKED: usize = 5;

/// Answers [`ShowProfile`].
pub(crate) async fn show(
    desk: &Desk,
    _caller: &Caller,
    question: &ShowProfile,
) -> Result<ProfilePage, Refusal> {
    let store = &desk.setup.store;
    let number = ProfileId(question.number);
    let all = store.workloads().await.map_err(unavailable)?;
    if !all.iter().any(|(known, _)| *known == number) {
        return Err(Refusal::Missing);
    }
    let inventory = containers::inventory(desk).await?;
    let known = Known::of(desk, inventory.as_ref(), number).await?;
    let report = match &inventory {
        Some(inventory) => {
            let image = &known.profile.workload.image;
            store.image_report(&inventory.host, image).await.map_err(unavailable)?
        }
        None => None,
    };
    let alerts = alerts(desk, &known.profile).await?;
    let enforced = enforced::of(desk, number, &known.profile).await?;
    // What runs now is only known if the newest verification could list it.
    let running = match &inventory {
        Some(inventory) if containers::is_fresh(desk, Some(inventory)).await? => {
            let image = &known.profile.workload.image;
            Some(containers::running_of(desk, inventory, image).await?)
        }
        _ => None,
    };
    let page = move || {
        let page = page(number, &known, report.as_ref(), running.as_ref());
        ProfilePage { alerts, enforced, ..page }
    };
    // A profile may have 200,000 entries, and an image thousands of packages.
    tokio::task::spawn_blocking(page).await.map_err(unavailable)
}

fn page(
    number: ProfileId,
    known: &Known,
    report: Option<&ImageReport>,
    running: Option<&BTreeSet<String>>,
) -> ProfilePage {
    let Known { profile, coverage, today } = known;
    let uses = report.map(|report| {
        let settled =
            report.is_whole(Part::Packages) && blind::open(profile, coverage, running).is_empty();
        packages::of(&report.scan.packages, &profile.entries, settled)
    });
    let mut line = known.line(number);
    line.packages = uses.as_deref().map(packages::counts);
    let (packages, packages_more) = rows(uses.unwrap_or_default(), report);
    let least = Least::of(profile, coverage, today);
    let both = |of: &dyn Fn(Lang) -> Vec<String>| -> Vec<Text> {
        let (en, ko) = (of(Lang::En), of(Lang::Ko));
        en.iter().zip(&ko).map(|(en, ko)| Text::new(en, ko)).collect()
    };
    let differences = |lang| least.differences(today, lang);
    let (en, ko) = (differences(Lang::En), differences(Lang::Ko));
    let settings = en.iter().zip(&ko).map(|(en, ko)| SettingRow {
        of: Text::new(&en.of, &ko.of),
        today: Text::new(&en.today, &ko.today),
        then: Text::new(&en.then, &ko.then),
    });
    let mut new = match profile.baseline_at {
        Some(_) => news::found(profile.known(), profile.later()),
        None => Vec::new(),
    };
    new.reverse();
    let news = new.iter().take(NEWS).map(|new| NewsRow {
        at: new.entry.first_at,
        said: Text::new(&new.say(None, Lang::En), &new.say(None, Lang::Ko)),
        priority: new.priority(),
        container: new.entry.container.clone(),
    });
    ProfilePage {
        used: used(profile),
        packages,
        packages_more,
        settings: settings.collect(),
        remarks: both(&|lang| least.remarks(lang)),
        news: news.collect(),
        news_more: new.len().saturating_sub(NEWS) as u64,
        containers: containers_of(profile),
        profile: line,
        ..ProfilePage::default()
    }
}

/// What is used, by kind.
fn used(profile: &Profile) -> Vec<UsedRow> {
    let mut values: BTreeMap<Kind, BTreeSet<&str>> = BTreeMap::new();
    for entry in profile.known() {
        values.entry(entry.kind).or_default().insert(&entry.value);
    }
    let row = |kind: Kind| {
        let all = values.get(&kind)?;
        let first = all.iter().take(VALUES).map(|value| (*value).to_owned()).collect();
        Some(UsedRow { kind, count: all.len() as u64, values: first })
    };
    Kind::ALL.into_iter().filter_map(row).collect()
}

/// Packages, those that run first; of one state those with vulnerabilities first.
fn rows(uses: Vec<PackageUse>, report: Option<&ImageReport>) -> (Vec<PackageRow>, u64) {
    let mut flaws: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for flaw in report.iter().flat_map(|report| &report.assessment.vulnerabilities) {
        *flaws.entry((&flaw.name, &flaw.installed)).or_default() += 1;
    }
    let row = |one: PackageUse| PackageRow {
        flaws: flaws.get(&(one.name.as_str(), one.version.as_str())).copied().unwrap_or_default(),
        name: one.name,
        version: one.version,
        state: one.state,
        file: one.file,
    };
    let mut rows: Vec<PackageRow> = uses.into_iter().map(row).collect();
    rows.sort_by(|a, b| {
        (a.state, std::cmp::Reverse(a.flaws), &a.name, &a.version).cmp(&(
            b.state,
            std::cmp::Reverse(b.flaws),
            &b.name,
            &b.version,
        ))
    });
    let more = rows.len().saturating_sub(PACKAGES) as u64;
    rows.truncate(PACKAGES);
    (rows, more)
}

fn containers_of(profile: &Profile) -> Vec<ProfiledRow> {
    let row = |id: &str| {
        let last =
            profile.runs.iter().filter(|run| run.container == id).max_by_key(|run| run.until)?;
        Some(ProfiledRow { id: id.to_owned(), name: last.name.clone(), until: last.until })
    };
    newest(profile).into_iter().take(CONTAINERS).filter_map(row).collect()
}

/// The newest alerts about something new, of the containers that were watched last.
async fn alerts(desk: &Desk, profile: &Profile) -> Result<Vec<AlertRow>, Refusal> {
    let mut rows = Vec::new();
    for id in newest(profile).into_iter().take(ASKED) {
        let filter = AlertFilter {
            container: Some(id.to_owned()),
            rule: Some(RULE.to_owned()),
            limit: u32::try_from(ALERTS).unwrap_or_default(),
            ..AlertFilter::default()
        };
        let found = desk.setup.store.alerts(&filter).await.map_err(unavailable)?;
        rows.extend(found.into_iter().map(|(number, alert)| AlertRow { number: number.0, alert }));
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.number));
    rows.truncate(ALERTS);
    Ok(rows)
}
