//! The report about one image, seen whole, and what every format owes to hostile images.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at once")]

mod common;

use common::images::{EVIL, bad, clean, large, unmatched};
use haechi_core::report::images::ImageLine;
use haechi_core::verdict::ImageReport;
use haechi_core::{Lang, Report};
use haechi_report::image::{ImageFormat, list, list_json, render};
use haechi_report::{Format, Options};
use unicode_width::UnicodeWidthStr;

const FORMATS: [ImageFormat; 6] = [
    ImageFormat::Table,
    ImageFormat::Json,
    ImageFormat::Html,
    ImageFormat::Sarif,
    ImageFormat::Csv,
    ImageFormat::Markdown,
];

fn text(report: &ImageReport, format: ImageFormat, lang: Lang, options: &Options) -> String {
    let mut out = Vec::new();
    render(report, format, lang, options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn plain(width: usize) -> Options {
    Options { width, ..Options::default() }
}

fn listed(reports: &[ImageReport], lang: Lang, width: usize) -> String {
    let mut out = Vec::new();
    list(reports, lang, &plain(width), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A verification with these images.
fn verified(images: &[ImageReport]) -> Report {
    let mut report = common::small();
    report.images = images.iter().map(ImageLine::of_report).collect();
    haechi_core::report::images::sort(&mut report.images);
    report
}

fn page(report: &Report, format: Format, lang: Lang, options: &Options) -> String {
    let mut out = Vec::new();
    haechi_report::render(report, format, lang, options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_formats_read_well() {
    let (en, ko) = (Lang::En, Lang::Ko);
    insta::assert_snapshot!("table-en", text(&bad(), ImageFormat::Table, en, &plain(100)));
    insta::assert_snapshot!("table-ko", text(&bad(), ImageFormat::Table, ko, &plain(80)));
    insta::assert_snapshot!("table-narrow", text(&bad(), ImageFormat::Table, en, &plain(50)));
    insta::assert_snapshot!("table-clean", text(&clean(), ImageFormat::Table, en, &plain(100)));
    insta::assert_snapshot!(
        "table-unmatched",
        text(&unmatched(), ImageFormat::Table, ko, &plain(100))
    );
    insta::assert_snapshot!("markdown-ko", text(&bad(), ImageFormat::Markdown, ko, &plain(0)));
    insta::assert_snapshot!("csv-en", text(&bad(), ImageFormat::Csv, en, &plain(0)));
    insta::assert_snapshot!("list-en", listed(&[clean(), unmatched(), bad()], en, 110));
    insta::assert_snapshot!("list-ko", listed(&[clean(), unmatched(), bad()], ko, 80));
}

#[test]
fn a_verification_shows_its_images() {
    let report = verified(&[clean(), unmatched(), bad()]);
    let table = page(&report, Format::Table, Lang::Ko, &plain(100));
    let (_, section) = table.split_once("이미지 ─").unwrap();
    let section: Vec<_> = section.lines().take(20).collect();
    insta::assert_snapshot!("verify-table-ko", section.join("\n"));
    let html = page(&report, Format::Html, Lang::En, &plain(0));
    assert!(html.contains("id=\"image-3\"") && html.contains("href=\"#images\""));
    assert!(html.contains("shop-web-2") && html.contains("3.0.15-1~deb12u1"));
    let markdown = page(&report, Format::Markdown, Lang::En, &plain(0));
    assert!(markdown.contains("## Images") && markdown.contains("✗ unsafe"));
    let json: serde_json::Value =
        serde_json::from_str(&page(&report, Format::Json, Lang::En, &plain(0))).unwrap();
    assert_eq!(json["images"][0]["ratings"]["critical"], 3);
    let without = page(&common::small(), Format::Html, Lang::En, &plain(0));
    assert!(!without.contains("id=\"images\"") && !without.contains("#images"));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for lang in [Lang::En, Lang::Ko] {
        for width in [40, 55, 72, 80, 100, 120] {
            let verbose = Options { verbose: true, ..plain(width) };
            let reports = [bad(), clean(), unmatched(), large("a", 60)];
            let mut all: String =
                reports.iter().map(|r| text(r, ImageFormat::Table, lang, &verbose)).collect();
            if width >= 72 {
                all += &listed(&reports, lang, width);
            }
            for line in all.lines() {
                let command = line.trim_start().starts_with("$ ");
                assert!(command || line.width() <= width, "{width}: {line}");
                assert_eq!(line.trim_end(), line, "spaces at the end");
            }
        }
    }
}

#[test]
fn nothing_of_an_image_marks_up_or_moves_a_cursor() {
    for lang in [Lang::En, Lang::Ko] {
        for format in FORMATS {
            let all = text(&bad(), format, lang, &Options { verbose: true, ..plain(80) });
            assert!(
                !all.contains('\x1b') && (format == ImageFormat::Json || !all.contains('\u{202e}')),
                "{format:?}"
            );
        }
        for format in [Format::Table, Format::Html, Format::Markdown] {
            let all = page(&verified(&[bad()]), format, lang, &plain(80));
            assert!(!all.contains('\x1b') && !all.contains('\u{202e}'), "{format:?}");
        }
        let html = text(&bad(), ImageFormat::Html, lang, &plain(0));
        assert_eq!(html.matches("<script").count(), 1);
        assert!(html.contains("&#60;script&#62;alert(1)") && !html.contains("javascript:"));
        for attribute in ["src=\"", "style=\"", "<link", "<img", "<iframe", "<base"] {
            assert!(!html.contains(attribute), "{attribute}");
        }
        let markdown = text(&bad(), ImageFormat::Markdown, lang, &plain(0));
        let row = markdown.lines().find(|line| line.contains("CVE-2026-0009")).unwrap();
        assert!(!row.contains("<script"), "{row}");
        assert_eq!(row.replace("\\|", "").matches('|').count(), 8, "{row}");
    }
    assert!(EVIL.contains('|'));
}

#[test]
fn the_policy_names_the_very_style_and_script() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let page = text(&bad(), ImageFormat::Html, Lang::En, &plain(0));
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let (text, _) = page.split_once(open).unwrap().1.split_once(close).unwrap();
        let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text));
        assert!(
            page.contains(&format!("sha256-{}", hash.replace('+', "&#43;")))
                || page.contains(&hash)
        );
    }
    for target in page.split("href=\"#").skip(1).filter_map(|rest| rest.split_once('"')) {
        assert!(page.contains(&format!("id=\"{}\"", target.0)), "{}", target.0);
    }
}

#[test]
fn what_is_left_out_is_counted_and_programs_get_everything() {
    let report = large("registry.example.com/large:1", 1000);
    let table = text(&report, ImageFormat::Table, Lang::En, &plain(100));
    assert!(table.contains("+980 more"), "{table}");
    let sarif: serde_json::Value =
        serde_json::from_str(&text(&report, ImageFormat::Sarif, Lang::En, &plain(0))).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 1000);
    assert_eq!(text(&report, ImageFormat::Csv, Lang::En, &plain(0)).lines().count(), 1001);
    let mut json = Vec::new();
    list_json(&[bad(), report], &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json[0]["verdict"]["safety"], "unsafe");
    assert_eq!(json[0]["vulnerabilities"]["critical"], 3);
}

#[test]
fn sarif_and_csv_tell_of_files_and_settings() {
    let sarif: serde_json::Value =
        serde_json::from_str(&text(&bad(), ImageFormat::Sarif, Lang::En, &plain(0))).unwrap();
    let run = &sarif["runs"][0];
    let csv = text(&bad(), ImageFormat::Csv, Lang::En, &plain(0));
    for (kind, level, place, words) in [
        ("weak-source", "error", "etc/apt/sources.list:3", "[trusted=yes]"),
        ("changed-file", "warning", "usr/bin/curl", ": curl"),
        ("setid-file", "warning", "usr/bin/su", "4755 0:0 · util-linux"),
        ("writable-file", "warning", "app/uploads", "0777 0:0"),
    ] {
        let is_it = |result: &&serde_json::Value| {
            result["ruleId"] == format!("image/{kind}")
                && result["locations"][0]["logicalLocations"][0]["name"] == place
        };
        let result = run["results"].as_array().unwrap().iter().find(is_it).unwrap();
        assert_eq!(result["level"], level, "{kind}");
        let message = result["message"]["text"].as_str().unwrap();
        assert!(message.contains(words) && message.contains(place), "{message}");
        let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
        let about = rule["shortDescription"]["text"].as_str().unwrap();
        assert!(!about.contains(words), "the rule is about one file: {about}");
        let is_line = |line: &str| line.starts_with(&format!("{kind},")) && line.contains(place);
        assert!(csv.lines().any(is_line), "{kind} is missing:\n{csv}");
    }
}

#[test]
fn a_hundred_bad_images_fit_in_a_page() {
    let images: Vec<_> =
        (0..100).map(|n| large(&format!("registry.example.com/{n}:1"), 1000)).collect();
    let report = verified(&images);
    let size = page(&report, Format::Html, Lang::Ko, &plain(0)).len();
    assert!(size < 8 << 20, "{size} bytes");
    let json = page(&report, Format::Json, Lang::Ko, &plain(0)).len();
    assert!(json < 10 << 20, "{json} bytes");
}
