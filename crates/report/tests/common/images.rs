//! Made-up images: one with everything that can be wrong, one clean, one without a database, one large.

use haechi_core::Severity;
use haechi_core::finding::Cause;
use haechi_core::inventory::{
    AlteredFile, Change, DangerousFile, Distro, INVENTORY_SCHEMA, MalwareHit, Package, PackageKind,
    Part, Problem, ProblemKind, Scan, ScanLayer, ScanSubject, Secret, WeakSource,
};
use haechi_core::policy::Images;
use haechi_core::report::profiles::PackageState;
use haechi_core::verdict::{IMAGE_REPORT_SCHEMA, ImageReport, Verdict};
use haechi_core::vulnerability::{
    Assessment, Completeness, DataSource, Epss, Exploited, FixState, Rating, Score, Suppressed,
    Undecided, Vulnerability,
};

use super::hash;

/// A name that tries to move the cursor, to mark up and to end a cell.
pub const EVIL: &str = "\x1b[2J<script>alert(1)</script>|`@all`\u{202e}";

/// A vulnerability in a package.
fn flaw(
    id: &str,
    name: &str,
    versions: [&str; 2],
    rating: Rating,
    score: f64,
    layer: u32,
) -> Vulnerability {
    let [installed, fixed] = versions;
    let kind = if layer == 0 { PackageKind::Deb } else { PackageKind::Npm };
    let command = match (fixed, kind) {
        ("", _) => String::new(),
        (_, PackageKind::Deb) => format!("apt-get update && apt-get install --only-upgrade {name}"),
        _ => format!("npm install {name}@{fixed}"),
    };
    Vulnerability {
        id: id.into(),
        aliases: vec![],
        advisories: vec!["DSA-0000-1".into()],
        package: format!("pkg:{}/{name}@{installed}", kind.name()),
        kind,
        name: name.into(),
        installed: installed.into(),
        path: if layer == 0 {
            "var/lib/dpkg/status".into()
        } else {
            format!("app/node_modules/{name}/package.json")
        },
        layer: Some(layer),
        state: if fixed.is_empty() { FixState::WillNotFix } else { FixState::Fixed },
        fixed: fixed.into(),
        command,
        rating,
        rated_by: "nvd 3.1".into(),
        scores: (score > 0.0)
            .then(|| Score {
                by: "nvd".into(),
                version: "3.1".into(),
                vector: "CVSS:3.1/AV:N".into(),
                score,
            })
            .into_iter()
            .collect(),
        exploited: None,
        epss: Some(Epss { score: score / 40.0, percentile: 0.9 }),
        title: format!(
            "Made-up flaw of {name} that lets a remote attacker read what it should not"
        ),
        description: String::new(),
        urls: vec![format!("https://example.com/{id}")],
        cwes: vec!["CWE-79".into()],
        published: "2026-01-02".into(),
        source: "osv/Debian".into(),
        rank: score * 9.0,
    }
}

fn judged(scan: Scan, assessment: Assessment, containers: &[&str]) -> ImageReport {
    let verdict = Verdict::of(&scan, &assessment, &Images::default());
    ImageReport {
        schema: IMAGE_REPORT_SCHEMA.into(),
        haechi_version: "0.1.0".into(),
        taken_at: "2026-05-01T09:12:33Z".into(),
        scan,
        assessment,
        verdict,
        containers: containers.iter().map(|name| (*name).to_owned()).collect(),
        seen: [
            ("curl 7.88.1-10+deb12u1", PackageState::Executed),
            ("openssl 3.0.11-1~deb12u2", PackageState::Loaded),
            ("libxml2 2.9.14+dfsg-1.3~deb12u1", PackageState::Present),
        ]
        .map(|(place, seen)| (place.to_owned(), seen))
        .into(),
    }
}

fn scan(reference: &str) -> Scan {
    let steps = [
        "/bin/sh -c #(nop) ADD file:6b8c1f0e in / ",
        "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends curl ca-certificates # buildkit",
        "COPY . /app # buildkit",
        "RUN /bin/sh -c npm ci --omit=dev # buildkit",
        "CMD [\"node\" \"server.js\"]",
    ];
    let sizes = [77_840_000, 12_400_000, 184_320, 48_100_000, 0];
    let layers = steps.iter().zip(sizes).map(|(step, size)| ScanLayer {
        digest: format!("sha256:{:064x}", hash(step)),
        created_by: (*step).into(),
        size,
        entries: 100,
    });
    let mut packages: Vec<Package> = (0..88)
        .map(|n| Package::new(PackageKind::Deb, format!("lib{n}"), "1.0-1", "var/lib/dpkg/status"))
        .chain((0..143).map(|n| {
            Package::new(PackageKind::Npm, format!("module-{n}"), "1.0.0", "app/node_modules")
        }))
        .collect();
    for package in &mut packages {
        package.layer = Some(if package.kind == PackageKind::Deb { 0 } else { 3 });
    }
    Scan {
        schema: INVENTORY_SCHEMA.into(),
        subject: ScanSubject {
            kind: "image".into(),
            reference: reference.into(),
            id: format!("sha256:{:064x}", hash(reference)),
            digest: format!("sha256:{:064x}", hash(&format!("{reference}d"))),
            tags: vec![reference.into()],
            created_at: "2026-01-20T07:00:00Z".into(),
            architecture: "amd64".into(),
            os: "linux".into(),
            user: String::new(),
            uid: Some(0),
            size: 138_524_320,
        },
        distro: Some(Distro {
            id: "debian".into(),
            version: "12".into(),
            codename: "bookworm".into(),
            name: "Debian GNU/Linux 12 (bookworm)".into(),
            like: vec![],
        }),
        layers: layers.collect(),
        packages,
        ..Scan::default()
    }
}

fn sources() -> Vec<DataSource> {
    let source = |name: &str, records, data_at: &str, too_old| DataSource {
        name: name.into(),
        records,
        broken: u64::from(too_old) * 3,
        fetched_at: "2026-05-01T06:00:00Z".into(),
        data_at: data_at.into(),
        too_old,
        completeness: match name {
            "osv/npm" => Completeness::Declared,
            "kev" => Completeness::Partial,
            _ => Completeness::Plausible,
        },
        shortfall: String::new(),
    };
    vec![
        source("debian-tracker", 61_204, "2026-05-01T03:10:00Z", false),
        source("osv/npm", 214_551, "2026-04-30T22:41:09Z", false),
        source("kev", 1_402, "2026-04-29T00:00:00Z", false),
        source("epss", 290_118, "2026-03-01T00:00:00Z", true),
    ]
}

/// An image with everything that can be wrong.
pub fn bad() -> ImageReport {
    let mut scan = scan("registry.example.com/shop/web:1.4");
    scan.subject.tags.push("registry.example.com/shop/web:latest".into());
    let file = |path: &str, mode, package: &str| DangerousFile {
        path: path.into(),
        mode,
        uid: 0,
        gid: 0,
        layer: Some(0),
        package: package.into(),
    };
    scan.setid_files =
        vec![file("usr/bin/passwd", 0o4755, "passwd"), file("usr/bin/su", 0o4755, "util-linux")];
    scan.world_writable = vec![file("app/uploads", 0o777, "")];
    scan.altered_files = vec![AlteredFile {
        path: "usr/bin/curl".into(),
        package: "curl".into(),
        change: Change::Changed,
        layer: Some(2),
    }];
    scan.secrets = vec![
        Secret {
            detector: "private-key".into(),
            place: "app/.ssh/id_ed25519".into(),
            line: 1,
            layer: Some(2),
            deleted: true,
            preview: "-----BEGIN OPENSSH PRIVATE KEY----- …".into(),
            severity: Severity::High,
        },
        Secret {
            detector: "aws-access-key".into(),
            place: "environment AWS_KEY".into(),
            line: 0,
            layer: None,
            deleted: false,
            preview: "AKIA…".into(),
            severity: Severity::Critical,
        },
    ];
    scan.malware = vec![MalwareHit {
        rule: "coin_miner".into(),
        description: "A program that mines for others".into(),
        path: format!("tmp/{EVIL}"),
        layer: Some(3),
        deleted: false,
        severity: Severity::Critical,
    }];
    scan.weak_sources = vec![WeakSource {
        path: "etc/apt/sources.list".into(),
        line: 3,
        setting: "deb [trusted=yes] http://deb.example.com stable main".into(),
        layer: Some(1),
    }];
    scan.problems = vec![Problem {
        kind: ProblemKind::Truncated,
        place: "app/vendor/한글-라이브러리.jar".into(),
        layer: Some(2),
        detail: "the archive ends in the middle of its directory".into(),
        affects: vec![Part::Packages],
    }];
    let (ssl, lodash) = (["3.0.11-1~deb12u2", "3.0.15-1~deb12u1"], "4.17.4");
    let mut log4 = flaw(
        "CVE-2026-0001",
        "curl",
        ["7.88.1-10+deb12u1", "7.88.1-10+deb12u8"],
        Rating::Critical,
        9.8,
        0,
    );
    log4.exploited = Some(Exploited { added: "2026-02-03".into(), ransomware: true });
    let mut evil = flaw("CVE-2026-0009", EVIL, [EVIL, EVIL], Rating::Low, 3.1, 3);
    evil.urls = vec!["javascript:alert(1)".into()];
    evil.command = String::new();
    let vulnerabilities = vec![
        log4,
        flaw("CVE-2026-0002", "openssl", ssl, Rating::Critical, 9.1, 0),
        flaw(
            "CVE-2026-0003",
            "openssl",
            ["3.0.11-1~deb12u2", "3.0.13-1~deb12u1"],
            Rating::High,
            7.5,
            0,
        ),
        flaw("GHSA-aaaa-bbbb-cccc", "lodash", [lodash, "4.17.12"], Rating::Critical, 9.0, 3),
        flaw("CVE-2026-0005", "lodash", [lodash, "4.17.21"], Rating::High, 7.2, 3),
        flaw("CVE-2026-0006", "libxml2", ["2.9.14+dfsg-1.3~deb12u1", ""], Rating::High, 7.5, 0),
        flaw(
            "CVE-2026-0007",
            "perl-base",
            ["5.36.0-7+deb12u1", "5.36.0-7+deb12u3"],
            Rating::Medium,
            5.9,
            0,
        ),
        flaw("CVE-2026-0008", "tar", ["1.34+dfsg-1.2", ""], Rating::Unknown, 0.0, 0),
        evil,
        flaw("CVE-2026-0010", "apt", ["2.6.1", ""], Rating::Negligible, 0.0, 0),
    ];
    let undecided = vec![Undecided {
        package: "pkg:generic/tool@unknown".into(),
        name: "tool".into(),
        version: "unknown".into(),
        cause: Cause::Missing,
        detail: "its version cannot be compared".into(),
    }];
    let suppressed = vec![(
        flaw("CVE-2026-0011", "zlib1g", ["1:1.2.13.dfsg-1", ""], Rating::Critical, 9.8, 0),
        Suppressed {
            by: "vex app.openvex.json".into(),
            status: "not_affected".into(),
            reason: "vulnerable_code_not_present".into(),
        },
    )];
    judged(
        scan,
        Assessment { vulnerabilities, suppressed, undecided, sources: sources() },
        &["shop-web-1", "shop-web-2", "웹-서버"],
    )
}

/// An image in which nothing is wrong.
pub fn clean() -> ImageReport {
    let mut scan = scan("docker.io/library/static:1");
    scan.subject.user = "app".into();
    scan.subject.uid = Some(1000);
    judged(scan, Assessment { sources: sources(), ..Assessment::default() }, &[])
}

/// An image that was read without a database.
pub fn unmatched() -> ImageReport {
    let undecided = Undecided {
        package: "pkg:deb/debian/lib0@1.0-1".into(),
        name: "lib0".into(),
        version: "1.0-1".into(),
        cause: Cause::NeedsDatabase,
        detail: "there is no vulnerability database".into(),
    };
    let undecided = vec![undecided; 40];
    judged(
        scan("registry.example.com/batch:2026-04"),
        Assessment { undecided, ..Assessment::default() },
        &["batch"],
    )
}

/// An image with `count` vulnerabilities.
pub fn large(name: &str, count: usize) -> ImageReport {
    let ratings =
        [Rating::Low, Rating::Medium, Rating::High, Rating::Medium, Rating::Critical, Rating::Low];
    let scores = [3.1, 5.5, 8.1, 6.1, 9.8, 2.2];
    let mut vulnerabilities: Vec<_> = (0..count)
        .map(|n| {
            let pick = usize::try_from(hash(&format!("{name}{n}")) % 6).unwrap();
            let package = format!("package-{}", hash(&format!("{n}")) % 300);
            let fixed = if n % 5 == 0 { "" } else { "1.2.3-4+deb12u2" };
            let layer = u32::try_from(n % 3).unwrap();
            flaw(
                &format!("CVE-2025-{n:05}"),
                &package,
                ["1.2.3-4+deb12u1", fixed],
                ratings[pick],
                scores[pick],
                layer,
            )
        })
        .collect();
    vulnerabilities.sort_by(|a, b| b.rank.total_cmp(&a.rank));
    judged(
        scan(name),
        Assessment { vulnerabilities, sources: sources(), ..Assessment::default() },
        &["a", "b", "c", "d", "e"],
    )
}
