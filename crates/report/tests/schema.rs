//! What programs rely on: committed JSON Schemas are fresh, and reports fit them.
//!
//! `HAECHI_BLESS=1` rewrites the committed schemas.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at once")]

mod common;

use std::path::PathBuf;

use common::{large, small};
use haechi_core::activity::{ACTIVITY_SCHEMA, Activity, ExecCall};
use haechi_core::alert::{ALERT_SCHEMA, Alert, AlertContainer, Ancestor, Priority};
use haechi_core::event::{
    Action as Did, Call, Endpoint, Event, EventLine, Exec, Network, Process, Socket,
};
use haechi_core::report::images::ImageLine;
use haechi_core::response::{ACTION_SCHEMA, Action, Evidence, Outcome, Response, Speed, Withheld};
use haechi_core::verdict::ImageReport;
use haechi_core::{Lang, Report, Snapshot};
use haechi_report::image::{self, ImageFormat};
use haechi_report::{
    Format, Options, action_schema, activity_schema, alert_schema, event_schema, image_schema,
    render, report_schema, snapshot_schema,
};
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
        ("action-v1", action_schema()),
        ("activity-v1", activity_schema()),
        ("alert-v1", alert_schema()),
        ("event-v1", event_schema()),
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
fn what_the_monitor_tells_fits_its_schemas() {
    let container = AlertContainer { id: "ab".repeat(32), ..AlertContainer::default() };
    let exec = Exec { path: "/bin/sh".into(), ..Exec::default() };
    let event = Event {
        at: 1,
        cgroup: 2,
        process: Process::default(),
        call: "execve".into(),
        result: 0,
        action: Did::Exec(Box::new(exec)),
    };
    let at = jiff::Timestamp::UNIX_EPOCH;
    let line = EventLine::new(at, container.clone(), event.clone());
    let json = serde_json::to_value(&line).unwrap();
    assert_eq!((&json["schema"], &json["type"]), (&"haechi/event/v1".into(), &"exec".into()));
    assert_valid(&event_schema(), &json);
    let network = Network {
        socket: Socket::Tcp,
        local: None,
        remote: Some(Endpoint { ip: [192, 0, 2, 1].into(), port: 443 }),
        path: String::new(),
        payload: vec![1],
    };
    for action in [Did::Exit(9), Did::Network(network), Did::Call(Call::default())] {
        let event = Event { action, ..event.clone() };
        let line = EventLine::new(at, container.clone(), event);
        assert_valid(&event_schema(), &serde_json::to_value(line).unwrap());
    }
    let alert = Alert {
        schema: ALERT_SCHEMA.into(),
        at,
        rule: "r".into(),
        priority: Priority::Critical,
        text: "t".into(),
        tags: vec!["a".into()],
        checks: Vec::new(),
        container: container.clone(),
        program: "/bin/sh".into(),
        command: "sh".into(),
        ancestors: vec![Ancestor::default()],
        event,
    };
    assert_valid(&alert_schema(), &serde_json::to_value(alert).unwrap());
    for outcome in [Outcome::DryRun, Outcome::Failed("x".into()), Outcome::Withheld(Withheld::Gone)]
    {
        let action = Action {
            schema: ACTION_SCHEMA.into(),
            at,
            response: Response::Pause,
            container: container.clone(),
            pid: 0,
            rule: "r".into(),
            cause: "t".into(),
            outcome,
            speed: Speed::default(),
            until: Some(at),
            evidence: Some(Evidence::default()),
        };
        assert_valid(&action_schema(), &serde_json::to_value(action).unwrap());
    }
    let activity = Activity {
        at,
        kind: "container".into(),
        action: "exec_create".into(),
        id: "a".into(),
        name: "b".into(),
        image: String::new(),
        details: Vec::new(),
        exec: Some(ExecCall::default()),
    };
    let mut json = serde_json::to_value(activity).unwrap();
    assert!(!jsonschema::validator_for(&activity_schema()).unwrap().is_valid(&json));
    json["schema"] = ACTIVITY_SCHEMA.into();
    assert_valid(&activity_schema(), &json);
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
