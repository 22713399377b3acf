//! A report with as many findings as wanted, for the tests and for the example that writes them.
//!
//! Every status and area occurs; nothing in it was observed on a machine.

use haechi_core::facts::Gap;
use haechi_core::report::{HostLine, Item, REPORT_SCHEMA, Summary, distinct};
use haechi_core::score::Score;
use haechi_core::{
    Area, Cause, Evidence, Finding, Report, Severity, Status, Subject, SubjectKind, Text,
};

/// A report of `host`, taken at `taken_at`, with `findings` distinct findings; one of them serves
/// two items.
pub fn report(host: &str, taken_at: &str, findings: usize) -> Report {
    let all: Vec<Finding> = (0..findings).map(finding).collect();
    let mut shared: Vec<Finding> = all.iter().take(1).cloned().collect();
    shared.extend(all.iter().take(1).cloned());
    let text = |words: &str| Text::new(words, words);
    let items = vec![
        Item::new("1.1".into(), text("All"), text("First"), all),
        Item::new("1.2".into(), text("Shared"), text("First"), shared),
    ];
    Report {
        schema: REPORT_SCHEMA.to_owned(),
        haechi_version: "0.1.0".to_owned(),
        benchmark: "cis-docker-1.13.0".to_owned(),
        benchmark_title: "CIS Docker 1.13.0".to_owned(),
        host: HostLine {
            name: host.to_owned(),
            os: "Debian 13".to_owned(),
            kernel: "6.12".to_owned(),
            engine: "Docker 29".to_owned(),
            containers: 7,
            running: 5,
            images: 3,
        },
        taken_at: taken_at.to_owned(),
        collect_ms: 12,
        evaluate_ms: 3,
        policy: "defaults".to_owned(),
        policy_defaults: Vec::new(),
        summary: Summary::of(&items),
        score: Score::of(distinct(&items)),
        movement: None,
        gaps: Vec::<Gap>::new(),
        images: Vec::new(),
        profiles: Vec::new(),
        items,
    }
}

fn finding(n: usize) -> Finding {
    let (status, cause) = match n % 5 {
        0 => (Status::Fail, None),
        1 => (Status::Unverified, Some(Cause::Permission)),
        2 => (Status::Pass, None),
        3 => (Status::NotApplicable, None),
        _ => (Status::Excepted, None),
    };
    let (area, severity) = match n % 3 {
        0 => (Area::Environment, Severity::Critical),
        1 => (Area::Image, Severity::High),
        _ => (Area::Instance, Severity::Low),
    };
    let text = |words: &str| Text::new(words, words);
    Finding {
        check: format!("check-{}", n % 15),
        title: text("A check"),
        area,
        severity,
        status,
        subject: Subject {
            kind: SubjectKind::Container,
            name: format!("웹-{n}"),
            id: format!("{n:064x}"),
        },
        evidence: vec![
            Evidence {
                seen: format!("user \"\" ; 사용자 {n}'); DROP TABLE finding; --\0"),
                expected: text("not root"),
                source: "GET /containers/{id}/json: Config.User".to_owned(),
            },
            Evidence { seen: String::new(), expected: text(""), source: "/proc".to_owned() },
        ],
        cause,
        reason: None,
        accepted: None,
        remediation: text("Set a user."),
        fix: None,
        policy_defaults: Vec::new(),
    }
}
