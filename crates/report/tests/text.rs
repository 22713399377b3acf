//! The text formats, seen whole, and what every format owes to hostile names.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at once")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{HOSTILE, large, small};
use haechi_core::diff::{Change, Difference, Kept};
use haechi_core::report::{HostLine, Summary};
use haechi_core::score::Score;
use haechi_core::{Area, Cause, Lang, Report, Severity, Status, SubjectKind};
use haechi_report::{
    Benchmark, BenchmarkItem, BenchmarkLine, Coverage, Format, HistoryRow, Options, ToolCoverage,
    benchmark_list, benchmark_table, coverage_table, diff_table, history_table, render,
};

fn text(report: &Report, format: Format, lang: Lang, options: &Options) -> String {
    let mut out = Vec::new();
    render(report, format, lang, options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn plain(width: usize) -> Options {
    Options { width, ..Options::default() }
}

#[test]
fn the_table_reads_well_in_both_languages() {
    insta::assert_snapshot!("table-en", text(&small(), Format::Table, Lang::En, &plain(100)));
    insta::assert_snapshot!("table-ko", text(&small(), Format::Table, Lang::Ko, &plain(100)));
    insta::assert_snapshot!("table-narrow", text(&small(), Format::Table, Lang::En, &plain(60)));
    let verbose = Options { verbose: true, ..plain(100) };
    insta::assert_snapshot!("table-verbose", text(&small(), Format::Table, Lang::En, &verbose));
}

#[test]
fn the_other_text_formats_read_well() {
    insta::assert_snapshot!("markdown-en", text(&small(), Format::Markdown, Lang::En, &plain(0)));
    insta::assert_snapshot!("markdown-ko", text(&small(), Format::Markdown, Lang::Ko, &plain(0)));
    insta::assert_snapshot!("csv-en", text(&small(), Format::Csv, Lang::En, &plain(0)));
    insta::assert_snapshot!("junit-ko", text(&small(), Format::Junit, Lang::Ko, &plain(0)));
    insta::assert_snapshot!("sarif-en", text(&small(), Format::Sarif, Lang::En, &plain(0)));
}

#[test]
fn no_line_of_the_table_is_wider_than_the_terminal() {
    use unicode_width::UnicodeWidthStr;
    for lang in [Lang::En, Lang::Ko] {
        for width in [40, 60, 75, 80, 100, 120] {
            for report in [small(), large(40)] {
                let verbose = Options { verbose: true, ..plain(width) };
                for line in text(&report, Format::Table, lang, &verbose).lines() {
                    // Commands are copied as they are.
                    let command = line.contains("docker ")
                        || line.contains("chmod ")
                        || line.contains("auditctl ");
                    assert!(command || line.width() <= width, "{width}: {line}");
                    assert_eq!(line.trim_end(), line, "spaces at the end");
                }
            }
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let coloured = text(&small(), Format::Table, Lang::En, &Options { color: true, ..plain(100) });
    let plain = text(&small(), Format::Table, Lang::En, &plain(100));
    let mut without = String::new();
    for (n, piece) in coloured.split("\x1b[").enumerate() {
        without.push_str(if n == 0 { piece } else { piece.split_once('m').unwrap().1 });
    }
    assert_eq!(without, plain);
}

#[test]
fn no_control_character_reaches_a_text_format() {
    for format in
        [Format::Table, Format::Junit, Format::Csv, Format::Markdown, Format::Sarif, Format::Html]
    {
        let text = text(&small(), format, Lang::En, &Options { verbose: true, ..plain(100) });
        let bad = text.chars().find(|c| {
            (c.is_control() && !matches!(c, '\n' | '\r')) || matches!(c, '\u{202a}'..='\u{202e}')
        });
        // The JSON of SARIF keeps raw names in fingerprints only, where they are escaped.
        assert_eq!(bad.filter(|_| format != Format::Sarif), None, "{format}");
    }
}

#[test]
fn every_cell_of_the_csv_is_harmless_and_no_finding_is_lost() {
    let report = small();
    let csv = text(&report, Format::Csv, Lang::En, &plain(0));
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len() as u64, report.summary.findings.total());
    let cells = rows.iter().flatten();
    assert!(cells.clone().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])));
    assert!(cells.into_iter().any(|cell| cell == format!("'{}", HOSTILE[3])));
}

#[test]
fn junit_is_xml_that_a_parser_reads_back() {
    let report = small();
    let xml = text(&report, Format::Junit, Lang::Ko, &plain(0));
    // XML 1.0, production 2.
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert_eq!(xml.chars().find(|c| !allowed(*c)), None);
    let read = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert_eq!(read.tests, report.items.len());
    assert_eq!(read.failures as u64, report.summary.items.fail);
    assert_eq!(read.errors as u64, report.summary.items.unverified);
}

#[test]
fn a_report_about_nothing_is_still_a_report() {
    let mut report = small();
    report.items.clear();
    report.gaps.clear();
    report.policy_defaults.clear();
    report.movement = None;
    report.summary = Summary::of(&report.items);
    report.score = Score::default();
    report.host = HostLine { containers: -1, running: -1, images: -1, ..HostLine::default() };
    for format in Format::ALL {
        for lang in [Lang::En, Lang::Ko] {
            assert!(!text(&report, format, lang, &plain(80)).is_empty(), "{format}");
        }
    }
    insta::assert_snapshot!("table-empty", text(&report, Format::Table, Lang::En, &plain(80)));
}

#[test]
fn format_names_are_read_back() {
    for format in Format::ALL {
        assert_eq!(format.name().parse::<Format>().unwrap(), format);
    }
    assert!("xml".parse::<Format>().unwrap_err().to_string().contains("use table, json"));
}

fn rows() -> Vec<HistoryRow> {
    let row = |id, taken_at: &str, score, fail, containers| HistoryRow {
        id,
        taken_at: taken_at.into(),
        benchmark: "cis-docker-1.13.0".into(),
        score,
        pass: 812,
        fail,
        unverified: 17,
        excepted: 2,
        containers,
    };
    vec![
        row(12, "2026-05-01T09:12:33Z", Some(74.7), 61, 40),
        row(11, "2026-04-30T09:12:01Z", Some(69.8), 84, -1),
        row(10, "not a time\u{1b}[2J", None, 0, 0),
    ]
}

#[test]
fn history_reads_well() {
    let mut out = Vec::new();
    history_table(&rows(), Lang::En, &plain(120), &mut out).unwrap();
    history_table(&rows(), Lang::Ko, &plain(100), &mut out).unwrap();
    history_table(&rows(), Lang::Ko, &plain(80), &mut out).unwrap();
    history_table(&[], Lang::Ko, &plain(100), &mut out).unwrap();
    insta::assert_snapshot!("history", String::from_utf8(out).unwrap());
}

#[test]
fn differences_read_well() {
    let kept = |check: &str, name: &str, status, seen: &str| Kept {
        check: check.into(),
        kind: SubjectKind::Container,
        name: name.into(),
        id: String::new(),
        area: Area::Instance,
        severity: Severity::High,
        status,
        cause: (status == Status::Unverified).then_some(Cause::Permission),
        seen: vec![seen.into()],
    };
    let difference = |change, before, after| Difference { change, before, after };
    let differences = [
        difference(
            Change::New,
            None,
            Some(kept("container-not-privileged", HOSTILE[4], Status::Fail, "Privileged = true")),
        ),
        difference(
            Change::New,
            Some(kept("container-not-privileged", "web", Status::Pass, "Privileged = false")),
            Some(kept("container-not-privileged", "web", Status::Fail, "Privileged = true")),
        ),
        difference(
            Change::Fixed,
            Some(kept("container-seccomp", "api", Status::Fail, "unconfined")),
            None,
        ),
        difference(
            Change::Changed,
            Some(kept("unknown-check", "api", Status::Fail, "Memory = 0")),
            Some(kept("unknown-check", "api", Status::Unverified, "nothing")),
        ),
    ];
    let titles = BTreeMap::from([(
        "container-not-privileged".to_owned(),
        "Do not use privileged containers".to_owned(),
    )]);
    let [now, before, _] = rows().try_into().unwrap();
    let mut out = Vec::new();
    for lang in [Lang::En, Lang::Ko] {
        diff_table(&before, &now, &differences, &titles, lang, &plain(100), &mut out).unwrap();
    }
    diff_table(&before, &now, &[], &titles, Lang::Ko, &plain(100), &mut out).unwrap();
    insta::assert_snapshot!("diff", String::from_utf8(out).unwrap());
}

#[test]
fn benchmarks_and_coverage_read_well() {
    let item = |id: &str, section: &str, title: &str| BenchmarkItem {
        id: id.into(),
        title: title.into(),
        section: section.into(),
        checks: vec!["host-hardened".into(), "host-patched".into()],
    };
    let benchmark = Benchmark {
        id: "cis-docker-1.13.0".into(),
        title: "CIS Docker 1.13.0 Benchmark v1.0.0".into(),
        items: vec![
            item("1.1", "1 호스트 구성", "컨테이너용 파티션을 따로 만든다"),
            item("1.2", "1 호스트 구성", "컨테이너 호스트를 강화한다"),
            item("5.10", "5 컨테이너 실행", "컨테이너의 메모리 사용량을 제한한다"),
        ],
    };
    let tool = |name: &str, items: &[&str]| ToolCoverage {
        name: name.into(),
        items: items.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>(),
    };
    let coverage = Coverage {
        benchmark: benchmark.clone(),
        tools: vec![
            tool("Haechi", &["1.1", "1.2", "5.10"]),
            tool("Docker Bench Security", &["1.1", "5.10"]),
            tool("Batten", &[]),
        ],
    };
    let line = BenchmarkLine {
        id: benchmark.id.clone(),
        title: benchmark.title.clone(),
        items: 104,
        checks: 98,
    };
    let mut out = Vec::new();
    benchmark_list(&[line], Lang::En, &plain(80), &mut out).unwrap();
    benchmark_table(&benchmark, Lang::Ko, &Options { verbose: true, ..plain(80) }, &mut out)
        .unwrap();
    coverage_table(&coverage, Lang::Ko, &plain(80), &mut out).unwrap();
    insta::assert_snapshot!("benchmarks", String::from_utf8(out).unwrap());
}
