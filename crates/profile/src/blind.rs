//! Why it cannot be said that something was never used, although a profile is settled: what could not be seen since then.
//!
//! Promises that no such claim stands while something of programs or files could have been missed since the baseline, while a
//! container goes on of which a part of its life was not watched, or while code ran that did not come with the image, for that
//! may be a copy of anything. It takes nothing from what a profile is known to need.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::profile::{Entry, Gap, Kind, Phase, Profile, Run};
use haechi_core::text::Text;

use crate::coverage::{Coverage, Part};
use crate::image::PARTS;
use crate::news;
use crate::texts;

/// What was hidden since the baseline, of whatever part: what is new cannot be told of it. With the names of the containers.
/// Nothing if there is no baseline.
#[must_use]
pub fn since_baseline(profile: &Profile) -> BTreeMap<Gap, BTreeSet<String>> {
    let mut found: BTreeMap<Gap, BTreeSet<String>> = BTreeMap::new();
    let Some(baseline) = profile.baseline_at else { return found };
    for run in profile.own_runs().filter(|run| run.until > baseline) {
        for gap in run.gaps.iter().filter(|gap| hides_news(**gap)) {
            found.entry(*gap).or_default().insert(name(run));
        }
    }
    found
}

/// Whether what is new cannot be told through this gap. That a start was not seen hides nothing of what comes later.
#[must_use]
pub fn hides_news(gap: Gap) -> bool {
    gap != Gap::Start
}

/// What [`since_baseline`] found, in sentences.
#[must_use]
pub fn lines(profile: &Profile) -> Vec<Text> {
    since_baseline(profile).into_iter().map(|(gap, names)| told(gap, &joined(&names))).collect()
}

/// That what is new cannot be told any more of the containers with these names.
#[must_use]
pub fn told(gap: Gap, names: &str) -> Text {
    with_gap("blind-gap", gap, names)
}

/// Why nothing can be called unused; nothing if it can. `running` are the ids of the containers of its image that run: of
/// others it counts only what they did. Without them a container goes on until its end was seen.
#[must_use]
pub fn open(
    profile: &Profile,
    coverage: &Coverage,
    running: Option<&BTreeSet<String>>,
) -> BTreeSet<Text> {
    let mut why: BTreeSet<Text> =
        coverage.unsettled(&PARTS).into_keys().map(|why| why.text()).collect();
    let is_since = |run: &&Run| profile.baseline_at.is_none_or(|baseline| run.until > baseline);
    for run in profile.own_runs().filter(is_since) {
        let hides = |gap: &&Gap| PARTS.iter().any(|part: &Part| part.is_hidden_by(**gap));
        why.extend(
            run.gaps.iter().filter(hides).map(|gap| with_gap("unused-gap", *gap, &name(run))),
        );
    }
    let mut last: BTreeMap<&str, &Run> = BTreeMap::new();
    for run in profile.own_runs() {
        let known = last.entry(&run.container).or_insert(run);
        if run.since >= known.since {
            *known = run;
        }
    }
    let goes_on = |run: &&Run| {
        let is_there = running.is_none_or(|ids| ids.contains(&run.container));
        is_there && !run.phases.contains(&Phase::Stop)
    };
    let unwatched = last.into_values().filter(goes_on).filter(|run| run.gaps.contains(&Gap::Start));
    let unwatched: BTreeSet<String> = unwatched.map(name).collect();
    if !unwatched.is_empty() {
        why.insert(texts::both("unused-unwatched", &[("names", &joined(&unwatched))]));
    }
    let foreign = profile.entries.iter().find(|entry| is_foreign(entry));
    why.extend(foreign.map(|entry| texts::both("unused-foreign", &[("path", &entry.value)])));
    why
}

/// Whether this is code that ran and did not come with the image: it may be a copy of whatever came with it.
#[must_use]
pub fn is_foreign(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Executed | Kind::Mapped) && news::is_foreign(entry)
}

/// How a workload is called in a sentence: by its containers, not by its command, which may hold what is secret.
#[must_use]
pub fn label(profile: &Profile) -> String {
    let names: BTreeSet<String> = profile.own_runs().map(name).collect();
    joined(&names)
}

fn with_gap(key: &str, gap: Gap, names: &str) -> Text {
    let gap = texts::both(&format!("gap-{}", texts::key(&gap)), &[]);
    let say = |lang| texts::say(lang, key, &[("names", names), ("why", gap.get(lang))]);
    Text::new(&say(haechi_core::Lang::En), &say(haechi_core::Lang::Ko))
}

/// Name of a container; its short id if it has none.
fn name(run: &Run) -> String {
    match run.name.as_str() {
        "" => run.container.get(..12).unwrap_or(&run.container).to_owned(),
        name => name.to_owned(),
    }
}

/// Some names, and how many more there are.
fn joined(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} +{more}", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Rule;
    use crate::testing::{at, profile, run};

    fn open_of(profile: &Profile, running: Option<&[&str]>) -> Vec<String> {
        let rule = Rule { quiet_min: 3600, has_health_check: false };
        let running = running.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        let found = open(profile, &Coverage::of(profile, &rule), running.as_ref());
        found.into_iter().map(|why| why.get(haechi_core::Lang::En).to_owned()).collect()
    }

    #[test]
    fn what_was_hidden_since_the_baseline_takes_the_claim_back_and_is_named() {
        let mut one = profile(&[(Kind::Executed, "/usr/bin/a")]);
        one.baseline_at = Some(at(1_000_001));
        assert!(open_of(&one, None).is_empty() && lines(&one).is_empty());
        for gap in [Gap::Full, Gap::Lost, Gap::Files, Gap::IoUring] {
            let mut flooded = one.clone();
            let gaps = [gap].into();
            flooded.runs.push(Run { gaps, ..run("b", 1_000_100, 1_000_200) });
            assert_eq!(open_of(&flooded, None).len(), 1, "{gap:?}");
            assert!(lines(&flooded)[0].get(haechi_core::Lang::En).contains('b'), "{gap:?}");
            // Until all of it counts as known.
            flooded.baseline_at = Some(at(1_000_300));
            assert!(open_of(&flooded, None).is_empty() && lines(&flooded).is_empty());
        }
        // Calls are no matter of packages, but of what is new.
        one.runs.push(Run { gaps: [Gap::Calls].into(), ..run("b", 1_000_100, 1_000_200) });
        assert!(open_of(&one, None).is_empty());
        assert_eq!(lines(&one).len(), 1);
    }

    #[test]
    fn a_container_that_was_not_watched_all_its_life_takes_the_claim_back_while_it_goes_on() {
        let mut one = profile(&[]);
        one.baseline_at = Some(at(900_000));
        // The monitor was away, and is back.
        let again = Run {
            gaps: [Gap::Start].into(),
            phases: [Phase::Run].into(),
            ..run("a", 1_000_100, 1_000_200)
        };
        one.runs.push(again);
        assert_eq!(open_of(&one, None).len(), 1);
        assert_eq!(open_of(&one, Some(&["a"])).len(), 1);
        assert!(open_of(&one, Some(&["b"])).is_empty());
        one.runs.push(run("a", 1_000_300, 1_000_400));
        assert!(open_of(&one, None).is_empty());
    }

    #[test]
    fn code_that_is_not_of_the_image_may_be_a_copy_of_anything() {
        for origin in ["changed", "mounted", "memory", "replaced"] {
            let mut one = profile(&[(Kind::Executed, "/opt/x")]);
            one.entries[0].origin = origin.into();
            assert_eq!(open_of(&one, None).len(), 1, "{origin}");
        }
    }
}
