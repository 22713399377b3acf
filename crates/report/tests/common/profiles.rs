//! Made-up workloads: one that is settled, one that still learns, one whose names are hostile.

use haechi_core::Text;
use haechi_core::report::profiles::{CurvePoint, OpenLine, PackageState, ProfileLine};

use super::HOSTILE;

/// Known for six days, with something new since.
pub fn settled() -> ProfileLine {
    let points = [(0, 214), (1, 12), (3, 5), (24, 9), (71, 1)];
    let mut total = 0;
    let curve = points.map(|(hour, new)| {
        total += new;
        CurvePoint { hour, new, total }
    });
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    ProfileLine {
        number: 7,
        containers: vec!["shop-web-1".into(), "shop-web-2".into()],
        image: "registry.example.com/shop/web:2.4".into(),
        image_id: "sha256:00000000000000000000000000000000000000000000000000000000abc0ffee".into(),
        command: vec!["nginx".into(), "-g".into(), "daemon off;".into()],
        settled: true,
        open: Vec::new(),
        since: Some("2026-06-11T06:00:00Z".parse().unwrap()),
        until: Some("2026-06-17T08:00:00Z".parse().unwrap()),
        watched: 525_600,
        learned_in: 256_000,
        quiet: 269_600,
        phases: ["start", "run", "health-check", "stop"].map(String::from).to_vec(),
        entries: total,
        curve: curve.to_vec(),
        packages: Some(
            [
                (PackageState::Executed, 6),
                (PackageState::Loaded, 21),
                (PackageState::Present, 118),
                (PackageState::Unknown, 3),
            ]
            .into(),
        ),
        calls_used: 61,
        calls_needed: 94,
        calls_today: Some(329),
        capabilities_used: Some(names(&["NET_BIND_SERVICE", "SETGID", "SETUID"])),
        capabilities_today: Some(names(&["CHOWN", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"])),
        news: Some(2),
    }
}

/// Watched for twenty minutes, on a kernel that does not tell capabilities.
pub fn learning() -> ProfileLine {
    let why = Text::new(
        "Nothing new for 2 min; 1 d are asked for (`observed_hours_min` of the policy).",
        "새로운 것이 나오지 않은 시간 2분, 필요한 시간 1일(정책의 `observed_hours_min`).",
    );
    let parts = ["calls", "files", "network"].map(String::from).to_vec();
    ProfileLine {
        number: 8,
        containers: vec!["batch".into()],
        image: "python:3.13-slim".into(),
        image_id: "sha256:00000000000000000000000000000000000000000000000000000000abc0fff0".into(),
        command: vec!["python".into(), "/srv/job.py".into()],
        open: vec![OpenLine { parts, why }],
        watched: 1200,
        learned_in: 1080,
        quiet: 120,
        entries: 88,
        curve: vec![CurvePoint { hour: 0, new: 88, total: 88 }],
        calls_used: 40,
        calls_needed: 72,
        ..ProfileLine::default()
    }
}

/// Names that try to break out.
pub fn hostile(name: &str) -> ProfileLine {
    ProfileLine {
        containers: vec![name.into()],
        image: name.into(),
        command: vec![name.into(), name.into()],
        capabilities_used: Some([name.to_owned()].into()),
        phases: vec![name.into()],
        open: vec![OpenLine { parts: vec![name.into()], why: Text::new(name, name) }],
        ..settled()
    }
}

/// All of them.
pub fn all() -> Vec<ProfileLine> {
    vec![settled(), learning(), hostile(HOSTILE[0]), hostile(HOSTILE[4])]
}
