//! Tests of the lines about images.

use super::*;
use crate::facts::{Container, ImageLayer, ImageScan};
use crate::finding::Cause;

fn image(id: &str, scan: Option<ImageScan>) -> Image {
    Image { id: Some(id.into()), tags: Some(vec![format!("{id}:1")]), scan, ..Image::default() }
}

fn flaw(n: i64, rating: &str) -> ImageVulnerability {
    ImageVulnerability {
        id: Some(format!("CVE-{n}")),
        package: Some("a".into()),
        version: Some("1".into()),
        fixed: Some("2".into()),
        rating: Some(rating.into()),
        exploited: Some(n == 0),
        epss: Some(if n == 0 { 125 } else { -1 }),
        layer: Some(n % 2),
        ..ImageVulnerability::default()
    }
}

#[test]
fn nothing_is_cut_without_a_count_and_what_is_unknown_is_not_zero() {
    let flaws: Vec<_> = (0..60).map(|n| flaw(n, if n < 3 { "critical" } else { "low" })).collect();
    let scan = ImageScan {
        vulnerabilities: Some(flaws),
        safety: Some("unsafe".into()),
        layers: Some(vec![ImageLayer::default(); 2]),
        ..ImageScan::default()
    };
    let unread = ImageScan { safety: Some("undecided".into()), ..ImageScan::default() };
    let snapshot = Snapshot {
        images: Some(vec![
            image("clean", Some(unread)),
            image("new", None),
            image("bad", Some(scan)),
        ]),
        containers: Some(vec![Container {
            name: Some("web".into()),
            image_id: Some("bad".into()),
            ..Container::default()
        }]),
        gaps: ["scan.packages", "scan.vulnerabilities"]
            .map(|fact| Gap {
                kind: SubjectKind::Image,
                id: "clean".into(),
                fact: fact.into(),
                cause: Cause::Missing,
                detail: "layer 2 ends in the middle".into(),
            })
            .into(),
        ..Snapshot::default()
    };
    let lines = lines(&snapshot);
    let names: Vec<_> = lines.iter().map(|line| line.id.as_str()).collect();
    assert_eq!(names, ["bad", "new", "clean"], "worst first");
    let bad = &lines[0];
    assert_eq!((bad.flaws.len(), bad.flaws_more, bad.total()), (50, 10, Some(60)));
    assert_eq!(bad.fixes[0].total(), 60);
    assert_eq!((bad.fixes[0].ids.len(), bad.fixes[0].ids_more), (12, 48));
    assert_eq!(bad.containers, ["web"]);
    assert_eq!((bad.exploited, bad.flaws[0].epss), (1, Some(0.125)));
    assert_eq!(bad.layers[1].ratings.values().sum::<u64>(), 30);
    assert!(!lines[1].scanned());
    assert_eq!((lines[1].total(), lines[1].secrets), (None, -1));
    assert!(!bad.undecided && lines[2].undecided);
    assert_eq!(lines[2].problems, ["layer 2 ends in the middle"]);
}

#[test]
fn without_a_scan_there_are_no_images() {
    let snapshot = Snapshot { images: Some(vec![image("a", None)]), ..Snapshot::default() };
    assert!(lines(&snapshot).is_empty());
}
