//! What programs rely on: committed JSON Schemas are fresh, and reports fit them.
//!
//! `HAECHI_BLESS=1` rewrites the committed schemas.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at once")]

mod common;

use std::path::PathBuf;

use common::{large, small};
use haechi_core::report::images::ImageLine;
use haechi_core::verdict::ImageReport;
use haechi_core::{Lang, Report, Snapshot};
use haechi_report::image::{self, ImageFormat};
use haechi_report::{Format, Options, image_schema, render, report_schema, snapshot_schema};
use serde_json::Value;

fn written(report: &Report, format: Format, lang: Lang) -> Value {
    let mut out = Vec::new();
    let options = Options { verbose: true, ..Options::default() };
    render(report, format, lang, &options, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn assert_valid(schema: &Value, value: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let errors: Vec<_> =
        validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn committed_schemas_are_fresh() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    let schemas = [
        ("image-report-v1", image_schema()),
        ("report-v1", report_schema()),
        ("snapshot-v1", snapshot_schema()),
    ];
    for (name, schema) in schemas {
        let path = directory.join(format!("{name}.json"));
        let fresh = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("HAECHI_BLESS").is_some() {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&path, &fresh).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == fresh, "docs/schema/{name}.json is stale: run with HAECHI_BLESS=1");
    }
}

#[test]
fn reports_fit_the_schema_and_are_read_back() {
    for report in [small(), large(3)] {
        for lang in [Lang::En, Lang::Ko] {
            let json = written(&report, Format::Json, lang);
            assert_valid(&report_schema(), &json);
            assert_eq!(
                serde_json::from_value::<Report<String>>(json).unwrap(),
                report.in_lang(lang)
            );
        }
    }
    let mut wrong = written(&small(), Format::Json, Lang::En);
    wrong["schema"] = "haechi/report/v2".into();
    assert!(!jsonschema::validator_for(&report_schema()).unwrap().is_valid(&wrong));
}

#[test]
fn image_reports_fit_the_schema_and_are_read_back() {
    let images = common::images::bad();
    let mut out = Vec::new();
    image::render(&images, ImageFormat::Json, Lang::Ko, &Options::default(), &mut out).unwrap();
    let json: Value = serde_json::from_slice(&out).unwrap();
    assert_valid(&image_schema(), &json);
    assert_eq!(serde_json::from_value::<ImageReport>(json).unwrap(), images);
    let mut report = small();
    report.images = vec![ImageLine::of_report(&images)];
    let json = written(&report, Format::Json, Lang::En);
    assert_valid(&report_schema(), &json);
    assert_eq!(serde_json::from_value::<Report<String>>(json).unwrap(), report.in_lang(Lang::En));
}

#[test]
fn a_snapshot_fits_the_schema() {
    let snapshot =
        Snapshot { schema: haechi_core::facts::SNAPSHOT_SCHEMA.into(), ..Snapshot::default() };
    assert_valid(&snapshot_schema(), &serde_json::to_value(snapshot).unwrap());
}

/// The schema is OASIS' own (sarif-schema-2.1.0.json); one of its patterns has a bracket too many.
#[test]
fn sarif_fits_its_standard() {
    let schema = include_str!("data/sarif-2.1.0.schema.json").replace("{2}]?$", "{2}$");
    let schema = serde_json::from_str(&schema).unwrap();
    for lang in [Lang::En, Lang::Ko] {
        let sarif = written(&small(), Format::Sarif, lang);
        assert_valid(&schema, &sarif);
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        assert_eq!(results.len() as u64, small().summary.findings.total());
        let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            let failing = result["kind"] == "fail";
            assert_eq!(failing, result["level"] != "none", "only a failure has a level");
        }
        let suppressed = results.iter().filter(|r| r.get("suppressions").is_some()).count();
        assert_eq!(suppressed as u64, small().summary.findings.excepted);
    }
}

#[test]
fn sarif_of_an_image_fits_its_standard() {
    let schema = include_str!("data/sarif-2.1.0.schema.json").replace("{2}]?$", "{2}$");
    let schema = serde_json::from_str(&schema).unwrap();
    let report = common::images::bad();
    let mut out = Vec::new();
    image::render(&report, ImageFormat::Sarif, Lang::Ko, &Options::default(), &mut out).unwrap();
    let sarif: Value = serde_json::from_slice(&out).unwrap();
    assert_valid(&schema, &sarif);
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    // Vulnerabilities, suppressed ones, malware, secrets, what was not read and not decided.
    // Files and settings that are dangerous.
    let scan = &report.scan;
    let files = scan.weak_sources.len()
        + scan.altered_files.len()
        + scan.setid_files.len()
        + scan.world_writable.len();
    assert_eq!((results.len(), files), (10 + 1 + 1 + 2 + 1 + 1 + 5, 5));
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    assert_eq!(results.iter().filter(|r| r.get("suppressions").is_some()).count(), 1);
}
