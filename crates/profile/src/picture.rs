//! A profile in short, as reports and pages show it.
//!
//! Brings together what was decided elsewhere; nothing is decided here.

use std::collections::BTreeSet;

use haechi_core::profile::Profile;
use haechi_core::report::profiles::{CurvePoint, OpenLine, PackageCounts, ProfileLine};

use crate::coverage::{Coverage, Part};
use crate::least::Least;
use crate::news;
use crate::texts;
use crate::today::Today;

/// A profile in short. `number` is 0 if it is not kept on this host; `packages` is absent if its image was not taken apart.
pub fn line(
    number: i64,
    profile: &Profile,
    coverage: &Coverage,
    today: &Today,
    packages: Option<PackageCounts>,
) -> ProfileLine {
    let least = Least::of(profile, coverage, today);
    let names: BTreeSet<&str> = profile.own_runs().map(|run| run.name.as_str()).collect();
    let open = coverage.unsettled(&Part::ALL).into_iter().map(|(why, parts)| OpenLine {
        parts: parts.into_iter().map(|part| part.name().to_owned()).collect(),
        why: why.text(),
    });
    ProfileLine {
        number,
        containers: names.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        image: profile.image_name.clone(),
        image_id: profile.workload.image.clone(),
        command: profile.workload.command.clone(),
        settled: coverage.is_settled(),
        open: open.collect(),
        since: profile.own_runs().map(|run| run.since).min(),
        until: profile.own_runs().map(|run| run.until).max(),
        watched: coverage.watched,
        learned_in: coverage.learned_in,
        quiet: coverage.quiet,
        phases: coverage.phases.iter().map(texts::key).collect(),
        entries: profile.known().count() as u64,
        curve: curve(coverage),
        packages,
        calls_used: least.calls.seen.len() as u64,
        calls_needed: least.calls.allowed.len() as u64,
        calls_today: today.calls().map(|calls| calls as u64),
        capabilities_used: least.capabilities.used,
        capabilities_today: today.capabilities.clone(),
        news: profile
            .baseline_at
            .map(|_| news::found(profile.known(), profile.later()).len() as u64),
    }
}

/// Hours in which something new was seen, with how much was known at the end of each.
pub fn curve(coverage: &Coverage) -> Vec<CurvePoint> {
    let mut total = 0;
    let point = |(hour, new): (&u64, &u64)| {
        total += new;
        CurvePoint { hour: *hour, new: *new, total }
    };
    coverage.curve.iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use haechi_core::profile::Kind;

    use super::*;
    use crate::coverage::Rule;
    use crate::testing::{at, entry, profile};

    #[test]
    fn what_only_tried_it_out_is_no_container_of_it_and_settles_nothing() {
        use crate::testing::run;
        let rule = Rule { quiet_min: 3600, has_health_check: false };
        let mut known = profile(&[(Kind::Call, "bpf")]);
        known.runs[0].gaps.insert(haechi_core::profile::Gap::Start);
        known.runs.push(run("a-try-haechi", 900_000, 900_060));
        known.trials.insert("a-try-haechi".into());
        let coverage = Coverage::of(&known, &rule);
        let found = line(3, &known, &coverage, &Today::default(), None);
        assert_eq!((found.containers.as_slice(), found.settled), (&["a".to_owned()][..], false));
        assert_eq!((coverage.containers, coverage.runs), (1, 1));
        // The same, watched as itself, settles it.
        known.trials.clear();
        assert!(Coverage::of(&known, &rule).is_settled());
    }

    #[test]
    fn a_line_says_what_is_known_and_why_not_more() {
        let rule = Rule { quiet_min: 3600, has_health_check: false };
        let mut known = profile(&[(Kind::Call, "bpf"), (Kind::Capability, "CHOWN")]);
        known.entries.push(entry(Kind::Call, "mount", 7300));
        let found = line(3, &known, &Coverage::of(&known, &rule), &Today::default(), None);
        assert!(found.settled && found.open.is_empty());
        assert_eq!((found.calls_used, found.calls_today, found.news), (2, None, None));
        assert_eq!(found.capabilities_used, Some(["CHOWN".to_owned()].into()));
        let curve: Vec<_> = found.curve.iter().map(|p| (p.hour, p.new, p.total)).collect();
        assert_eq!(curve, [(0, 2, 2), (2, 1, 3)]);
        assert_eq!(found.columns(48).last().unwrap().total, 3);

        known.baseline_at = Some(at(100));
        let rule = Rule { quiet_min: u64::MAX / 2, has_health_check: true };
        let found = line(3, &known, &Coverage::of(&known, &rule), &Today::default(), None);
        assert_eq!((found.settled, found.news), (false, Some(1)));
        assert!(found.open.iter().all(|open| !open.parts.is_empty()));
        assert!(
            found.open.iter().any(|open| !open.why.ko.is_empty() && open.why.en != open.why.ko)
        );
    }
}
