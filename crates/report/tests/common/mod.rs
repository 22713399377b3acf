//! Sample reports for tests and for `examples/sample_report.rs`: a small one with every status, cause and
//! hostile name, and a large one that looks like a busy host.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a sample may stop at once")]

mod content;
pub mod images;
pub mod profiles;

use haechi_core::facts::Gap;
use haechi_core::finding::Accepted;
use haechi_core::report::{HostLine, Item, Summary, distinct};
use haechi_core::score::Score;
use haechi_core::{
    Area, Cause, Evidence, Finding, Report, Severity, Status, Subject, SubjectKind, Text,
};

/// Names that try to break out of every format.
pub const HOSTILE: [&str; 8] = [
    "웹-서버",
    "<script>alert(1)</script>",
    "a|b`c",
    "=cmd|' /C calc'!A0",
    "esc\u{1b}[31mred\nline",
    "\u{202e}gpj.exe",
    "\"onload=alert(1) x=\"",
    "nul\u{0}\u{b}\u{ffff}",
];

/// Everything about one check that its findings share.
#[derive(Clone)]
pub struct Check {
    pub id: &'static str,
    pub title: Text,
    pub area: Area,
    pub kind: SubjectKind,
    pub severity: Severity,
    pub seen: [&'static str; 2],
    pub expected: Text,
    pub source: &'static str,
    pub remediation: Text,
    pub fix: Option<&'static str>,
}

impl Check {
    /// The check decided for one subject: `seen` and `fix` have the name filled in.
    pub fn decide(&self, name: &str, status: Status) -> Finding {
        let bad = usize::from(status == Status::Fail || status == Status::Excepted);
        let unverified = status == Status::Unverified;
        Finding {
            check: self.id.into(),
            title: self.title.clone(),
            area: self.area,
            severity: self.severity,
            status,
            subject: Subject {
                kind: self.kind,
                name: name.into(),
                id: format!("{:012x}", hash(name)),
            },
            evidence: vec![Evidence {
                seen: if unverified {
                    "nothing".into()
                } else {
                    self.seen[bad].replace("{name}", name)
                },
                expected: self.expected.clone(),
                source: self.source.into(),
            }],
            cause: unverified.then_some(Cause::Permission),
            reason: match status {
                Status::Unverified => {
                    Some(Text::new("The kernel refused to answer.", "커널이 응답을 거부했습니다."))
                }
                Status::NotApplicable => {
                    Some(Text::new("There is none on this host.", "이 호스트에는 없습니다."))
                }
                _ => None,
            },
            accepted: (status == Status::Excepted).then(|| Accepted {
                reason: "레거시 배치 작업, 9월 교체 예정".into(),
                owner: "platform@example.com".into(),
                expires: "2026-12-31".parse().unwrap(),
            }),
            remediation: self.remediation.clone(),
            fix: (status == Status::Fail)
                .then(|| self.fix.map(|f| f.replace("{name}", name)))
                .flatten(),
            policy_defaults: Vec::new(),
        }
    }
}

/// A small number that depends on a text and on nothing else.
pub fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
        >> 16
}

fn report(title: &str, items: Vec<Item>, containers: i64) -> Report {
    let score = Score::of(distinct(&items));
    let before = Score::of(earlier(&items).iter());
    Report {
        schema: haechi_core::report::REPORT_SCHEMA.into(),
        haechi_version: "0.1.0".into(),
        benchmark: "cis-docker-1.13.0".into(),
        benchmark_title: title.into(),
        host: HostLine {
            name: "prod-web-01".into(),
            os: "Debian GNU/Linux 13".into(),
            kernel: "6.12.48-amd64".into(),
            engine: "Docker 28.4.0".into(),
            containers,
            running: containers - 3,
            images: 21,
        },
        taken_at: "2026-05-01T09:12:33Z".into(),
        collect_ms: 1240,
        evaluate_ms: 87,
        policy: "/etc/haechi/policy.toml".into(),
        policy_defaults: ["limits.restart_retries_max", "registries.approved", "swarm.needed"]
            .map(String::from)
            .to_vec(),
        summary: Summary::of(&items),
        movement: Some(score.movement("2026-04-30T09:12:01Z", &before)),
        score,
        gaps: gaps(),
        images: Vec::new(),
        profiles: Vec::new(),
        items,
    }
}

/// The findings as they were a day before: some checks were better, some worse.
fn earlier(items: &[Item]) -> Vec<Finding> {
    let change = |finding: &Finding| {
        let mut finding = finding.clone();
        finding.status = match (hash(&finding.check) % 11, finding.status) {
            (0 | 1, Status::Fail) => Status::Pass,
            (2, Status::Pass) => Status::Fail,
            (_, status) => status,
        };
        finding
    };
    distinct(items).map(change).collect()
}

fn gaps() -> Vec<Gap> {
    let gap = |kind, id: &str, fact: &str, cause, detail: &str| Gap {
        kind,
        id: id.into(),
        fact: fact.into(),
        cause,
        detail: detail.into(),
    };
    vec![
        gap(
            SubjectKind::Host,
            "",
            "audit.loaded",
            Cause::Permission,
            "netlink: Operation not permitted; run as root",
        ),
        gap(
            SubjectKind::Container,
            HOSTILE[4],
            "processes",
            Cause::TimedOut,
            "no answer within 5 s",
        ),
    ]
}

/// One item per section and status, with hostile names throughout.
pub fn small() -> Report {
    let checks = content::checks();
    let find = |id: &str| checks.iter().find(|(_, c)| c.id == id).map(|(_, c)| c.clone()).unwrap();
    let privileged = find("container-not-privileged");
    let memory = find("container-memory-limited");
    let partition = find("engine-data-separate-partition");
    let healthcheck = find("image-has-healthcheck");
    let socket = find("container-without-engine-socket");
    let text = Text::new;
    let environment = text("1 Host configuration", "1 호스트 구성");
    let images = text("4 Container images", "4 컨테이너 이미지");
    let runtime = text("5 Container runtime", "5 컨테이너 실행");
    let mut memory_findings: Vec<_> =
        HOSTILE.iter().map(|n| memory.decide(n, Status::Fail)).collect();
    memory_findings.push(memory.decide("api-1", Status::Pass));
    memory_findings.push(memory.decide("api-2", Status::Pass));
    memory_findings.extend(["w-1", "w-2", "w-3"].map(|n| memory.decide(n, Status::Fail)));
    let mut scan = find("image-vulnerabilities-patched")
        .decide("registry.example.com/shop/web:1.4", Status::Unverified);
    scan.cause = Some(Cause::NeedsDatabase);
    scan.reason = Some(text(
        "There is no vulnerability database yet.",
        "취약점 데이터베이스가 아직 없습니다.",
    ));
    let item = |id: &str, check: &Check, section: &Text, findings| {
        Item::new(id.into(), check.title.clone(), section.clone(), findings)
    };
    let items = vec![
        item("1.1", &partition, &environment, vec![partition.decide("prod-web-01", Status::Fail)]),
        item(
            "1.5",
            &find("audit-engine"),
            &environment,
            vec![find("audit-engine").decide("prod-web-01", Status::Unverified)],
        ),
        item(
            "2.5",
            &find("engine-not-aufs"),
            &environment,
            vec![find("engine-not-aufs").decide("prod-web-01", Status::Pass)],
        ),
        item(
            "2.19",
            &find("network-overlay-encrypted"),
            &environment,
            vec![find("network-overlay-encrypted").decide("prod-web-01", Status::NotApplicable)],
        ),
        item("4.4", &find("image-vulnerabilities-patched"), &images, vec![scan]),
        item(
            "4.6",
            &healthcheck,
            &images,
            vec![
                healthcheck.decide("<b>bold</b>/img:latest", Status::Fail),
                healthcheck.decide("redis:8", Status::Pass),
            ],
        ),
        item(
            "5.4",
            &privileged,
            &runtime,
            vec![
                privileged.decide("웹-서버", Status::Fail),
                privileged.decide("@batch", Status::Excepted),
                privileged.decide("api-1", Status::Pass),
            ],
        ),
        item("5.10", &memory, &runtime, memory_findings),
        item("5.31", &socket, &runtime, vec![socket.decide("ci-runner", Status::Excepted)]),
    ];
    let report = report("CIS Docker 1.13.0 Benchmark v1.0.0", items, 14);
    Report { profiles: profiles::all(), ..report }
}

/// About a hundred items over `containers` containers.
pub fn large(containers: usize) -> Report {
    let services =
        ["web", "api", "worker", "redis", "postgres", "mail", "search", "결제", "batch", "metrics"];
    let names: Vec<String> = (0..containers)
        .map(|n| format!("shop-{}-{}", services[n % services.len()], n / services.len() + 1))
        .collect();
    let images: Vec<String> = (0..21)
        .map(|n| {
            format!("registry.example.com/shop/{}:2026.{}", services[n % services.len()], n + 1)
        })
        .collect();
    let mut items: Vec<Item> = Vec::new();
    let mut section = Text::default();
    for (id, check) in content::checks() {
        if let Some(title) = content::section(id) {
            section = title;
        }
        let subjects: Vec<String> = match check.kind {
            SubjectKind::Container => names.clone(),
            SubjectKind::Image => images.clone(),
            _ => vec!["prod-web-01".into()],
        };
        let findings = subjects
            .iter()
            .map(|name| {
                // Some checks fail rarely, some often; one subject in many is accepted or
                // unverified.
                let (of_check, of_pair) =
                    (hash(check.id) % 100, hash(&format!("{}{name}", check.id)) % 100);
                let status = match of_pair {
                    0 => Status::Unverified,
                    1 if of_check > 40 => Status::Excepted,
                    n if n < of_check / 2 => Status::Fail,
                    _ if subjects.len() == 1 && of_check > 82 => Status::NotApplicable,
                    _ if subjects.len() == 1 && of_check > 72 => Status::Unverified,
                    _ => Status::Pass,
                };
                let mut finding = check.decide(name, status);
                let causes = [Cause::Permission, Cause::NeedsDatabase, Cause::NotObserved];
                finding.cause =
                    finding.cause.map(|_| causes[usize::try_from(of_check % 3).unwrap()]);
                finding
            })
            .collect();
        items.push(Item::new(id.into(), check.title.clone(), section.clone(), findings));
    }
    report("CIS Docker 1.13.0 Benchmark v1.0.0", items, containers.try_into().unwrap())
}
