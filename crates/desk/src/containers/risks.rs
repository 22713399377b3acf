//! How the rank of a container came about: its findings and the flaws of its image, ranked where it stands.
//!
//! By the formula of [`haechi_core::risk`] from what was kept, so that the first one has the rank of the container.

use std::collections::BTreeMap;

use haechi_core::risk::{ContainerKept, FlawKept, Usage, Weight, danger, name, rank, sentence};
use haechi_core::text::Text;
use haechi_core::{Area, Status};
use haechi_facts::engine::api::encode;
use haechi_protocol::{FindingRow, RiskLine};

/// Risks that the page of a container shows.
const MOST: usize = 10;

/// The risks of a container, the highest rank first.
pub(super) fn of(
    container: &ContainerKept,
    findings: &[FindingRow],
    flaws: &[FlawKept],
) -> Vec<RiskLine> {
    let place = container.exposure.weights();
    let mut all: Vec<(f64, RiskLine)> = findings
        .iter()
        .filter(|row| row.finding.status == Status::Fail)
        .map(|row| finding(container, row, &place))
        .collect();
    all.extend(upgrades(container, flaws, &place));
    all.sort_by(|(a, x), (b, y)| {
        b.total_cmp(a).then(y.mends.cmp(&x.mends)).then_with(|| x.title.cmp(&y.title))
    });
    all.into_iter().take(MOST).map(|(_, line)| line).collect()
}

fn finding(container: &ContainerKept, row: &FindingRow, place: &[Weight]) -> (f64, RiskLine) {
    let finding = &row.finding;
    let mut weights = vec![Weight::of_severity(finding.severity)];
    weights.extend(place.iter().cloned());
    let danger = danger(&weights);
    let subject = name(&container.name);
    let title = |title: &str| sentence("title.finding", &[("subject", &subject), ("title", title)]);
    let line = RiskLine {
        since: None,
        rank: rank(danger),
        area: finding.area,
        title: Text { en: title(&finding.title.en).en, ko: title(&finding.title.ko).ko },
        link: format!("/containers/{}", encode(&container.id)),
        factors: weights.iter().map(Weight::told).collect(),
        remediation: finding.remediation.clone(),
        command: finding.fix.clone().unwrap_or_default(),
        mends: 1,
    };
    (danger, line)
}

/// Flaws by what removes them: the same package and command.
fn upgrades(
    container: &ContainerKept,
    flaws: &[FlawKept],
    place: &[Weight],
) -> Vec<(f64, RiskLine)> {
    struct Group<'a> {
        worst: &'a FlawKept,
        usage: Usage,
        danger: f64,
        count: u64,
    }
    let mut groups: BTreeMap<(&str, &str), Group<'_>> = BTreeMap::new();
    for flaw in flaws {
        let usage = container.usage(&flaw.place());
        let danger = danger(&flaw.flaw.weights()) * usage.weight().times * danger(place);
        let way = if flaw.command.is_empty() { &flaw.fixed } else { &flaw.command };
        let key =
            if flaw.fixed.is_empty() { ("", "") } else { (flaw.package.as_str(), way.as_str()) };
        let group = groups.entry(key).or_insert(Group { worst: flaw, usage, danger, count: 0 });
        group.count += 1;
        if danger > group.danger {
            (group.worst, group.usage, group.danger) = (flaw, usage, danger);
        }
    }
    groups
        .into_values()
        .map(|group| {
            let flaw = group.worst;
            let mut weights = flaw.flaw.weights();
            weights.push(group.usage.weight());
            weights.extend(place.iter().cloned());
            let more = group.count.saturating_sub(1);
            let key = match (more, flaw.fixed.is_empty()) {
                (0, _) => "title.flaw",
                (_, true) => "title.unfixed",
                (_, false) => "title.flaws",
            };
            let (package, fixed) = (name(&flaw.package), name(&flaw.fixed));
            let values = [
                ("id", name(&flaw.id)),
                ("package", package.clone()),
                ("subject", name(&container.image)),
                ("more", more.to_string()),
            ];
            let values = values.each_ref().map(|(key, value)| (*key, value.as_str()));
            let (remediation, mends) = match flaw.fixed.is_empty() {
                true => (sentence("mend.none", &[]), 0),
                false => (
                    sentence("mend.upgrade", &[("package", &package), ("fixed", &fixed)]),
                    group.count,
                ),
            };
            let line = RiskLine {
                since: None,
                rank: rank(group.danger),
                area: Area::Image,
                title: sentence(key, &values),
                link: format!("/images/{}", encode(&container.image_id)),
                factors: weights.iter().map(Weight::told).collect(),
                remediation,
                command: flaw.command.clone(),
                mends,
            };
            (group.danger, line)
        })
        .collect()
}
