//! Containers, images and risks come back as they were kept, page by page, and go with the next verification.

mod common;

use std::collections::BTreeSet;
use std::slice::from_ref;

use common::sample::report;
use common::{TIME, store};
use haechi_core::inventory::{Package, PackageKind, Scan, ScanSubject};
use haechi_core::report::images::{FlawLine, ImageLine, LayerLine};
use haechi_core::risk::{
    ContainerKept, Exposure, Flaw, ImageKept, Inventory, RiskFactor, RiskKept, RiskLine,
};
use haechi_core::verdict::{IMAGE_REPORT_SCHEMA, ImageReport, Safety, Verdict};
use haechi_core::vulnerability::{Assessment, FixState, Rating, Score, Vulnerability};
use haechi_core::{Area, Text};
use haechi_store::{ContainerFilter, ImageFilter, Place, Store, VerificationId};

const BENCHMARK: &str = "cis-docker-1.13.0";

fn container(n: usize, rank: f64, running: Option<bool>) -> ContainerKept {
    ContainerKept {
        id: format!("{n:064x}"),
        name: format!("web-{n}"),
        image: format!("registry.example.com/app_{}:1", n % 3),
        image_id: image_id(n % 3),
        safety: Some(Safety::Unsafe),
        state: "running".into(),
        rank,
        exposure: Exposure { running, root: Some(true), ..Exposure::default() },
        used: BTreeSet::from(["openssl 1".to_owned()]),
        ..ContainerKept::default()
    }
}

fn image_id(n: usize) -> String {
    format!("sha256:{n:064x}")
}

fn image(n: usize, rank: f64, safety: Option<Safety>) -> ImageKept {
    let flaw = |id: usize| FlawLine { id: format!("CVE-{id}"), ..FlawLine::default() };
    ImageKept {
        line: ImageLine {
            id: image_id(n),
            name: format!("app_{n}:1"),
            tags: vec![format!("app_{n}:1"), format!("other/가게_{n}:2-unsafe")],
            safety,
            flaws: (0..7).map(flaw).collect(),
            flaws_more: 2,
            layers: vec![LayerLine::default(); 5],
            ..ImageLine::default()
        },
        rank,
        marked: true,
        used: BTreeSet::from(["openssl 1".to_owned()]),
    }
}

fn flaw(id: &str, package: &str) -> Vulnerability {
    Vulnerability {
        id: id.into(),
        aliases: vec![],
        advisories: vec![],
        package: String::new(),
        kind: PackageKind::Deb,
        name: package.into(),
        installed: "1".into(),
        path: String::new(),
        layer: None,
        state: FixState::Fixed,
        fixed: "2".into(),
        command: "apt-get install it".into(),
        rating: Rating::Critical,
        rated_by: "nvd 3.1".into(),
        scores: vec![Score {
            by: "nvd".into(),
            version: "3.1".into(),
            vector: "AV:N".into(),
            score: 9.8,
        }],
        exploited: None,
        epss: None,
        title: "가".repeat(100),
        description: String::new(),
        urls: vec![],
        cwes: vec![],
        published: String::new(),
        source: "osv".into(),
        rank: 47.5,
    }
}

fn image_report(n: usize, taken_at: &str, flaws: Vec<Vulnerability>) -> ImageReport {
    ImageReport {
        schema: IMAGE_REPORT_SCHEMA.into(),
        haechi_version: "0.1.0".into(),
        taken_at: taken_at.into(),
        scan: Scan {
            subject: ScanSubject { id: image_id(n), ..ScanSubject::default() },
            packages: vec![Package::new(PackageKind::Deb, "openssl", "1", "var/lib/dpkg/status")],
            ..Scan::default()
        },
        assessment: Assessment { vulnerabilities: flaws, ..Assessment::default() },
        verdict: Verdict { safety: Safety::Unsafe, reasons: vec![], more: 0 },
        containers: vec!["web-1".into()],
        seen: Default::default(),
    }
}

fn risk(n: u32) -> RiskKept {
    RiskKept {
        line: RiskLine {
            since: None,
            rank: f64::from(100 - n),
            area: Area::Instance,
            title: Text::new("a", "가"),
            link: "/containers/x".into(),
            factors: vec![RiskFactor {
                factor: "root".into(),
                times: 1.5,
                why: Text::new("b", "나"),
            }],
            remediation: Text::new("c", "다"),
            command: String::new(),
            mends: 1,
        },
        check: "x".into(),
        subjects: 1,
    }
}

#[expect(clippy::expect_used, reason = "a test's helper may stop at once")]
async fn verification(store: &Store, host: &str) -> VerificationId {
    store.record(&report(host, TIME, 3), true).await.expect("it is kept")
}

fn inventory(containers: Vec<ContainerKept>, images: Vec<ImageKept>) -> Inventory {
    Inventory { containers, images, risks: (0..5).map(risk).collect() }
}

#[tokio::test]
async fn what_is_kept_comes_back_and_goes_with_the_next() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    assert_eq!(store.inventory(None, BENCHMARK).await.unwrap(), None);
    let first = verification(&store, "host").await;
    let all = inventory(vec![container(1, 80.5, Some(true))], vec![image(1, 70.0, None)]);
    let reports = [image_report(1, TIME, vec![flaw("CVE-1", "openssl"), flaw("CVE-2", "vim")])];
    store.keep_inventory(first, &all, &reports).await.unwrap();
    let row = store.inventory(Some("host"), BENCHMARK).await.unwrap().unwrap();
    assert_eq!((row.verification, row.containers, row.images, row.risks), (first, 1, 1, 5));
    let id = &all.containers[0].id;
    let kept = store.kept_container(row.id, id).await.unwrap();
    assert_eq!(kept.as_ref(), all.containers.first());
    let kept = store.kept_image(row.id, &image_id(1)).await.unwrap();
    assert_eq!(kept.as_ref(), all.images.first());
    assert_eq!(store.risks(row.id, 3).await.unwrap(), all.risks[..3]);
    let kept = store.image_report("host", &image_id(1)).await.unwrap();
    assert_eq!(kept.as_ref(), reports.first());
    let flaws = store.flaws_of("host", &image_id(1)).await.unwrap();
    assert_eq!(flaws.len(), 2);
    assert_eq!(flaws[0].flaw, Flaw::from(&reports[0].assessment.vulnerabilities[0]));
    assert_eq!((flaws[0].place().as_str(), flaws[0].rank), ("openssl 1", 47.5));

    // Another host is another matter; the next verification of this one replaces all.
    let other = verification(&store, "other").await;
    store.keep_inventory(other, &inventory(vec![], vec![]), &[]).await.unwrap();
    let second = verification(&store, "host").await;
    let next = inventory(vec![container(2, 1.0, None)], vec![]);
    store.keep_inventory(second, &next, &[]).await.unwrap();
    let row = store.inventory(Some("host"), BENCHMARK).await.unwrap().unwrap();
    assert_eq!(row.verification, second);
    assert_eq!(store.kept_container(row.id, id).await.unwrap(), None);
    assert_eq!(store.kept_image(row.id, &image_id(1)).await.unwrap(), None);
    assert_eq!(store.image_report("host", &image_id(1)).await.unwrap(), None, "it has gone");
    assert_eq!(store.flaws_of("host", &image_id(1)).await.unwrap(), []);
    assert_eq!(store.found_flaws("host", "CVE", 10).await.unwrap(), []);
    // The newest of whichever host.
    assert_eq!(store.inventory(None, BENCHMARK).await.unwrap().unwrap().host, "host");
}

#[tokio::test]
async fn images_that_were_not_read_keep_their_report_and_the_same_report_is_not_written_again() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let first = verification(&store, "host").await;
    let all = inventory(vec![], vec![image(1, 1.0, None)]);
    let report = image_report(1, TIME, vec![flaw("CVE-1", "openssl")]);
    store.keep_inventory(first, &all, from_ref(&report)).await.unwrap();
    let second = verification(&store, "host").await;
    store.keep_inventory(second, &all, &[]).await.unwrap();
    assert_eq!(store.image_report("host", &image_id(1)).await.unwrap().as_ref(), Some(&report));
    // The same again, later: it says when it was made last.
    let later = ImageReport { taken_at: "2026-08-01T00:00:00Z".into(), ..report };
    store.keep_inventory(second, &all, from_ref(&later)).await.unwrap();
    assert_eq!(store.image_report("host", &image_id(1)).await.unwrap().as_ref(), Some(&later));
    assert_eq!(store.flaws_of("host", &image_id(1)).await.unwrap().len(), 1);
    // Something new is known.
    let newer = image_report(1, TIME, vec![flaw("CVE-1", "openssl"), flaw("CVE-3", "openssl")]);
    store.keep_inventory(second, &all, from_ref(&newer)).await.unwrap();
    assert_eq!(store.image_report("host", &image_id(1)).await.unwrap(), Some(newer));
    assert_eq!(store.flaws_of("host", &image_id(1)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn pages_have_each_container_once_in_the_order_of_ranks() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let id = verification(&store, "host").await;
    // Many of the same rank, as there are on every host.
    let running = |n: usize| [Some(true), Some(false), None][n % 3];
    let ranks = [50.1, 33.3, 0.0];
    let all: Vec<ContainerKept> =
        (0..250).map(|n| container(n, ranks[n % 7 % 3], running(n))).collect();
    store.keep_inventory(id, &inventory(all.clone(), vec![]), &[]).await.unwrap();
    let row = store.inventory(None, BENCHMARK).await.unwrap().unwrap();
    let mut filter = ContainerFilter { limit: 33, ..ContainerFilter::default() };
    let mut seen: Vec<ContainerKept> = Vec::new();
    loop {
        let page = store.kept_containers(row.id, &filter).await.unwrap();
        let Some(last) = page.last() else { break };
        let place = Place { rank: last.rank, id: last.id.clone() };
        // As it is told to whoever asks for the next page.
        filter.after = Some(place.to_string().parse().unwrap());
        seen.extend(page);
    }
    assert_eq!(seen.len(), 250);
    assert!(seen.is_sorted_by(|a, b| (a.rank, &a.id) > (b.rank, &b.id)));

    let of = async |filter: ContainerFilter| {
        let filter = ContainerFilter { limit: 1000, ..filter };
        store.kept_containers(row.id, &filter).await.unwrap()
    };
    let up = of(ContainerFilter { running: Some(true), ..ContainerFilter::default() }).await;
    assert_eq!(up.len(), 84);
    let down = of(ContainerFilter { running: Some(false), ..ContainerFilter::default() }).await;
    assert_eq!(down.len(), 83, "what is not known is neither");
    let image = Some(image_id(1));
    let made = of(ContainerFilter { image_id: image, ..ContainerFilter::default() }).await;
    assert!(made.iter().all(|one| one.image_id == image_id(1)) && made.len() == 83);
    let text = async |text: &str| {
        of(ContainerFilter { text: Some(text.into()), ..ContainerFilter::default() }).await.len()
    };
    assert_eq!(text("WEB-24").await, 11);
    assert_eq!(text("app_1").await, 83);
    assert_eq!(text("app%1").await, 0, "a sign that means anything means itself");
    assert_eq!(text("\\").await, 0);
    assert_eq!(text("' OR 1=1 --").await, 0);
    let ids: Vec<String> = [3, 999, 4].map(|n: usize| format!("{n:064x}")).to_vec();
    assert_eq!(store.not_kept(row.id, &ids).await.unwrap(), ids[1..2]);
    for broken in ["", "x", "x/y", "NaN/1", "inf/1", "1"] {
        assert!(broken.parse::<Place>().is_err(), "{broken}");
    }
}

#[tokio::test]
async fn images_are_listed_short_and_found_by_each_of_their_names() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let id = verification(&store, "host").await;
    let images = vec![
        image(0, 9.0, Some(Safety::Unsafe)),
        image(1, 80.0, Some(Safety::Safe)),
        image(2, 70.0, None),
    ];
    store.keep_inventory(id, &inventory(vec![], images), &[]).await.unwrap();
    let row = store.inventory(None, BENCHMARK).await.unwrap().unwrap();
    let of = async |filter: ImageFilter| {
        let filter = ImageFilter { limit: 10, ..filter };
        store.kept_images(row.id, &filter).await.unwrap()
    };
    let all = of(ImageFilter::default()).await;
    let names: Vec<&str> = all.iter().map(|one| one.line.name.as_str()).collect();
    assert_eq!(names, ["app_1:1", "app_2:1", "app_0:1"]);
    let line = &all[0].line;
    assert_eq!(
        (line.flaws.len(), line.flaws_more, line.layers.len(), line.layers_more),
        (3, 6, 0, 5)
    );
    let unsafe_ = of(ImageFilter { safety: Some(Safety::Unsafe), ..ImageFilter::default() }).await;
    assert_eq!(unsafe_.len(), 1, "what was not scanned is not among them");
    for text in ["가게_2", "APP_2", "0000002"] {
        let found = of(ImageFilter { text: Some(text.into()), ..ImageFilter::default() }).await;
        assert_eq!(found.len(), 1, "{text}");
    }
}

#[tokio::test]
async fn vulnerabilities_are_found_by_the_beginning_of_their_id_and_package() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let id = verification(&store, "host").await;
    let images = (0..3).map(|n| image(n, 1.0, None)).collect();
    let reports: Vec<ImageReport> = (0..3)
        .map(|n| {
            let flaws = vec![flaw("CVE-2024-1", "openssl"), flaw(&format!("CVE-2025-{n}"), "vim")];
            image_report(n, TIME, flaws)
        })
        .collect();
    store.keep_inventory(id, &inventory(vec![], images), &reports).await.unwrap();
    let found = store.found_flaws("host", "cve-2024", 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id.as_str(), found[0].images), ("CVE-2024-1", 3));
    let found = store.found_flaws("host", "CVE-2025-", 2).await.unwrap();
    assert_eq!(found.iter().map(|one| one.images).collect::<Vec<_>>(), [1, 1], "at most two");
    let found = store.found_flaws("host", "VI", 10).await.unwrap();
    assert_eq!((found[0].id.as_str(), found[0].package.as_str(), found[0].images), ("", "vim", 3));
    assert_eq!(store.found_flaws("host", "%", 10).await.unwrap(), []);
    assert_eq!(store.found_flaws("other", "CVE", 10).await.unwrap(), []);
}

#[tokio::test]
async fn an_inventory_of_no_verification_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let kept = store.keep_inventory(VerificationId(7), &inventory(vec![], vec![]), &[]).await;
    assert!(kept.is_err());
}
