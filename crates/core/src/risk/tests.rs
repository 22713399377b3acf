//! Ranks are in order, bounded, never lower for one danger more, and explained in both languages.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::vulnerability::Rating;

fn rank_of(flaw: &Flaw, usage: Usage, exposure: &Exposure) -> f64 {
    let mut weights = flaw.weights();
    weights.push(usage.weight());
    weights.extend(exposure.weights());
    rank(danger(&weights))
}

fn cvss(score: f64) -> Flaw {
    Flaw { rating: Rating::of_score(score), score: Some(score), ..Flaw::default() }
}

fn open_root() -> Exposure {
    Exposure {
        running: Some(true),
        reach: Some(Reach::Everybody),
        root: Some(true),
        privileged: Some(false),
        capabilities: Some(vec![]),
        namespaces: Some(vec![]),
        sockets: Some(vec![]),
        writes: Some(vec![]),
        reads: Some(vec![]),
        alerts: Some(Recent::default()),
        ..Exposure::default()
    }
}

#[test]
fn code_that_runs_in_a_reachable_root_container_outranks_a_worse_flaw_that_nobody_opens() {
    let used = rank_of(&cvss(5.0), Usage::Used, &open_root());
    let idle = rank_of(&cvss(10.0), Usage::Idle, &open_root());
    assert!(used > idle, "{used} {idle}");
    // Everything else being equal, and in a place that nobody reaches even more so.
    let inside = Exposure { reach: Some(Reach::Containers), root: Some(false), ..open_root() };
    assert!(used > rank_of(&cvss(10.0), Usage::Unknown, &inside));
    let stopped = Exposure { running: Some(false), ..open_root() };
    assert!(used > rank_of(&cvss(10.0), Usage::Unknown, &stopped));
}

#[test]
fn the_worked_examples_of_the_document_are_right() {
    let known = Flaw { epss: Some(0.35), fixable: true, ..cvss(7.5) };
    assert_eq!(rank_of(&known, Usage::Used, &open_root()), 84.9);
    assert_eq!(rank_of(&cvss(9.8), Usage::Idle, &open_root()), 41.9);
    assert_eq!(rank_of(&cvss(10.0), Usage::Unknown, &Exposure::default()), 50.0);
    let privileged = Exposure { privileged: Some(true), ..open_root() };
    let mut weights = vec![Weight::of_severity(Severity::Critical)];
    weights.extend(privileged.weights());
    assert_eq!(rank(danger(&weights)), 89.0);
    let engine = [
        Weight::of_severity(Severity::Critical),
        Weight::of_all_containers(),
        Weight::of_engine_in_network("0.0.0.0:2375"),
    ];
    assert_eq!(rank(danger(&engine)), 78.3);
}

#[test]
fn the_document_names_every_factor_and_every_rank_of_its_examples() {
    let document = include_str!("../../../../docs/risk.md");
    for weight in everything() {
        let named = document.contains(&format!("`{}`", weight.factor));
        assert!(named || weight.factor == "severity", "{}", weight.factor);
    }
    for rank in ["84.9", "41.9", "50.0", "89.0", "78.3"] {
        assert!(document.contains(&format!("| {rank} |")), "{rank}");
    }
    for capability in exposure::DANGEROUS {
        assert!(document.contains(capability), "{capability}");
    }
}

#[test]
fn what_is_not_known_changes_nothing_and_is_said() {
    let told: BTreeSet<String> = Exposure::default()
        .weights()
        .iter()
        .map(|weight| {
            assert_eq!(weight.times, 1.0);
            weight.told().factor
        })
        .collect();
    let all = ["running", "reachable", "root", "rights", "alerts"];
    assert_eq!(told, all.into_iter().map(str::to_owned).collect());
    assert_eq!(Usage::Unknown.weight().times, 1.0);
    // What nobody has rated is not harmless.
    let unrated = Flaw::default();
    assert!(danger(&unrated.weights()) > danger(&cvss(3.9).weights()));
}

#[test]
fn every_sentence_is_there_in_both_languages_and_each_is_used() {
    let source = [
        include_str!("exposure.rs"),
        include_str!("flaw.rs"),
        include_str!("../risk.rs"),
        include_str!("../../../examine/src/risk.rs"),
        include_str!("../../../examine/src/risk/lines.rs"),
    ]
    .concat();
    let texts = Catalog::parse(include_str!("../../../../texts/risk.yaml")).unwrap();
    for key in texts.keys() {
        assert!(source.contains(&format!("\"{key}\"")), "{key} is not used");
        let (en, ko) = (texts.get(Lang::En, key), texts.get(Lang::Ko, key));
        let holes = |text: &str| -> BTreeSet<String> {
            let parts = text.split('{').skip(1);
            parts.filter_map(|part| Some(part.split_once('}')?.0.to_owned())).collect()
        };
        assert_eq!(holes(en), holes(ko), "{key}");
        assert!(ko.chars().any(|c| ('가'..='힣').contains(&c)), "{key}");
    }
    let mut seen = 0;
    for mut weight in everything() {
        let text = weight.told().why;
        assert!(!text.en.contains('{') && !text.ko.contains('{'), "{}: {text:?}", weight.key);
        assert_ne!(&*text.en, weight.key);
        weight.values.clear();
        seen += 1;
    }
    assert!(seen > 30);
}

/// Every factor with something in it.
fn everything() -> Vec<Weight> {
    let some = || Some(vec!["x".to_owned(); 6]);
    let mut all: Vec<Weight> = Severity::WORST_FIRST.into_iter().map(Weight::of_severity).collect();
    all.extend([Weight::of_all_containers(), Weight::of_engine_in_network("0.0.0.0:2375")]);
    all.extend([Weight::of_no_container(), Exposure::default().running()]);
    all.extend([Usage::Idle, Usage::Unknown, Usage::Used].map(Usage::weight));
    for rating in Rating::WORST_FIRST {
        let flaw = Flaw { rating, exploited: true, epss: Some(0.9), fixable: true, score: None };
        all.extend(flaw.weights());
        all.extend(Flaw { epss: Some(0.0), exploited: false, ..flaw }.weights());
    }
    all.extend(cvss(9.1).weights());
    for reach in REACHES {
        for host_network in [false, true] {
            let one = Exposure { reach, host_network, ..Exposure::default() };
            all.extend(one.weights());
        }
    }
    let bad = Exposure {
        running: Some(false),
        root: Some(true),
        capabilities: some(),
        namespaces: some(),
        sockets: some(),
        writes: some(),
        alerts: Some(Recent { critical: 0, warning: 3 }),
        ..Exposure::default()
    };
    all.extend(bad.weights());
    let worse = Exposure {
        root: Some(false),
        privileged: Some(true),
        writes: None,
        reads: some(),
        alerts: Some(Recent { critical: 2, warning: 3 }),
        ..bad
    };
    all.extend(worse.weights());
    all
}

const REACHES: [Option<Reach>; 6] = [
    None,
    Some(Reach::None),
    Some(Reach::Containers),
    Some(Reach::Host),
    Some(Reach::Addresses),
    Some(Reach::Everybody),
];

#[test]
fn names_that_others_chose_are_shown_harmlessly_and_cut() {
    let long = "가".repeat(4096);
    assert_eq!(name(&long).chars().count(), NAME_MAX + 1);
    assert_eq!(name("a\u{202e}b\n"), "a\\u{202e}b\\u{a}");
    let id = format!("sha256:{}", "0123456789abcdef".repeat(4));
    assert_eq!(name(&id), "0123456789ab");
    assert_eq!(name(&id[..70]), id[..70], "no id");
    let all: Vec<String> = (0..9).map(|n| n.to_string()).collect();
    assert_eq!(names(&all), "0, 1, 2, 3 +5");
}

#[test]
fn what_is_no_number_does_not_come_last() {
    assert_eq!(rank(f64::NAN), 100.0);
    assert_eq!(rank(f64::INFINITY), 100.0);
    assert_eq!(rank(-1.0), 0.0);
    let odd = Flaw { score: Some(f64::NAN), epss: Some(f64::NAN), ..cvss(9.0) };
    let rank = rank_of(&odd, Usage::Used, &open_root());
    assert!(rank.is_finite() && rank > 50.0);
}

fn flaws() -> impl Strategy<Value = Flaw> {
    let score = prop::option::of(0.0..=10.0);
    let epss = prop::option::of(0.0..=1.0);
    (0_usize..6, score, any::<bool>(), epss, any::<bool>()).prop_map(
        |(rating, score, exploited, epss, fixable)| {
            let rating = *Rating::WORST_FIRST.get(rating).unwrap();
            Flaw { rating, score, exploited, epss, fixable }
        },
    )
}

fn exposures() -> impl Strategy<Value = Exposure> {
    let list = || prop::option::of(prop::collection::vec("[a-z]{1,3}", 0..3));
    let yes = || prop::option::of(any::<bool>());
    let alerts = prop::option::of((0_u64..3, 0_u64..3));
    (
        (yes(), 0_usize..6, any::<bool>(), yes(), yes()),
        (list(), list(), list(), list(), list()),
        alerts,
    )
        .prop_map(|(a, b, alerts)| Exposure {
            running: a.0,
            reach: *REACHES.get(a.1).unwrap(),
            ports: vec![],
            host_network: a.2,
            root: a.3,
            privileged: a.4,
            capabilities: b.0,
            namespaces: b.1,
            sockets: b.2,
            writes: b.3,
            reads: b.4,
            alerts: alerts.map(|(critical, warning)| Recent { critical, warning }),
        })
}

/// The same container with one danger more: whether it was known before or not.
fn worse(of: &Exposure) -> Vec<Exposure> {
    let add = |list: &Option<Vec<String>>| {
        let mut list = list.clone().unwrap_or_default();
        list.push("more".to_owned());
        Some(list)
    };
    let alerts = of.alerts.unwrap_or_default();
    vec![
        Exposure { running: Some(true), ..of.clone() },
        Exposure { reach: Some(Reach::Everybody), ..of.clone() },
        Exposure { root: Some(true), ..of.clone() },
        Exposure { privileged: Some(true), ..of.clone() },
        Exposure { capabilities: add(&of.capabilities), ..of.clone() },
        Exposure { namespaces: add(&of.namespaces), ..of.clone() },
        Exposure { sockets: add(&of.sockets), ..of.clone() },
        Exposure { writes: add(&of.writes), ..of.clone() },
        Exposure { reads: add(&of.reads), ..of.clone() },
        Exposure { alerts: Some(Recent { critical: alerts.critical + 1, ..alerts }), ..of.clone() },
        Exposure { alerts: Some(Recent { warning: alerts.warning + 1, ..alerts }), ..of.clone() },
    ]
}

proptest! {
    #[test]
    fn a_rank_is_from_0_to_100(flaw in flaws(), exposure in exposures()) {
        for usage in [Usage::Idle, Usage::Unknown, Usage::Used] {
            let rank = rank_of(&flaw, usage, &exposure);
            prop_assert!((0.0..=100.0).contains(&rank));
        }
    }

    #[test]
    fn a_danger_more_never_lowers_the_rank(flaw in flaws(), exposure in exposures()) {
        let before = rank_of(&flaw, Usage::Unknown, &exposure);
        for worse in worse(&exposure) {
            prop_assert!(rank_of(&flaw, Usage::Unknown, &worse) >= before, "{worse:?}");
        }
        prop_assert!(rank_of(&flaw, Usage::Used, &exposure) >= before);
        prop_assert!(rank_of(&flaw, Usage::Idle, &exposure) <= before);
        let exploited = Flaw { exploited: true, ..flaw };
        prop_assert!(rank_of(&exploited, Usage::Unknown, &exposure) >= before);
        let fixable = Flaw { fixable: true, ..flaw };
        prop_assert!(rank_of(&fixable, Usage::Unknown, &exposure) >= before);
        if let Some(epss) = flaw.epss {
            let likelier = Flaw { epss: Some((epss * 1.5).min(1.0)), ..flaw };
            prop_assert!(rank_of(&likelier, Usage::Unknown, &exposure) >= before);
        }
    }

    #[test]
    fn a_worse_score_never_lowers_the_rank(a in 0.1..=10.0_f64, b in 0.1..=10.0_f64, exposure in exposures()) {
        let (less, more) = if a < b { (a, b) } else { (b, a) };
        let (less, more) = (cvss(less), cvss(more));
        prop_assert!(rank_of(&more, Usage::Used, &exposure) >= rank_of(&less, Usage::Used, &exposure));
    }
}
