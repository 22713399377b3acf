//! Tests of the pages' texts: every key that is used is there, every one that is there is used.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use haechi_core::Lang;
use haechi_core::text::Catalog;
use regex::Regex;

const WEB: &str = include_str!("../../../../texts/web.yaml");
const REPORT: &str = include_str!("../../../../texts/report.yaml");

/// Families whose members are made of closed lists: `t.of("status", …)`.
const FAMILIES: [&str; 25] = [
    "alerts", "area", "cause", "deed", "done", "event", "fix", "found", "invalid", "job",
    "job.kind", "kind", "origin", "outcome", "page", "priority", "refused", "resource", "response",
    "role", "safety", "secret", "state", "sure", "theme",
];

fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    for folder in ["templates", "src/pages"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.ends_with("tests.rs") {
                all.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    all
}

fn catalogs() -> (Catalog, Catalog) {
    (Catalog::parse(WEB).unwrap(), Catalog::parse(REPORT).unwrap())
}

#[test]
fn every_key_that_is_used_is_there() {
    let (web, report) = catalogs();
    let there: BTreeSet<&str> = web.keys().chain(report.keys()).collect();
    let sources = sources();
    let used = Regex::new(r#"\.(?:get|x|xy|n)\(\s*"([a-z][a-z0-9._-]*)""#).unwrap();
    // Parts of forms and queries are read by the same name, of `given`.
    let given = Regex::new(r#"given\s*\.get\(\s*"[^"]*""#).unwrap();
    let sources = given.replace_all(&sources, "");
    let missing: BTreeSet<&str> = used
        .captures_iter(&sources)
        .map(|found| found.get(1).unwrap().as_str())
        .filter(|key| !there.contains(key))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let family = Regex::new(r#"\.(?:of|means)\(\s*"([a-z.]+)""#).unwrap();
    for found in family.captures_iter(&sources) {
        let family = found.get(1).unwrap().as_str();
        let known =
            FAMILIES.contains(&family) || ["rating", "severity", "status"].contains(&family);
        assert!(known, "{family} is no family");
    }
}

#[test]
fn every_key_that_is_there_is_used() {
    let (web, _) = catalogs();
    let sources = sources();
    let of_family = |key: &str| {
        FAMILIES
            .iter()
            .any(|family| key.strip_prefix(family).is_some_and(|rest| rest.starts_with('.')))
    };
    let unused: Vec<&str> = web
        .keys()
        .filter(|key| !of_family(key))
        .filter(|key| {
            !sources.contains(&format!("\"{}\"", key.strip_suffix(".one").unwrap_or(key)))
        })
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn every_member_of_a_family_has_its_word() {
    use haechi_core::alert::Priority;
    use haechi_core::response::Response;
    use haechi_protocol::Role;
    let (web, report) = catalogs();
    let there: BTreeSet<&str> = web.keys().chain(report.keys()).collect();
    let mut needed: Vec<String> = Vec::new();
    let mut of = |family: &str, names: &[&str]| {
        needed.extend(names.iter().map(|name| format!("{family}.{name}")));
    };
    of("priority", &Priority::ALL.map(Priority::name));
    of("response", &Response::ALL.map(Response::name));
    of("role", &Role::ALL.map(Role::name));
    of("page", &super::shell::NAVIGATION.map(|(here, _)| here));
    of("page", &["login", "password", "search"]);
    of("outcome", &["begun", "done", "dry_run", "withheld", "failed", "ended"]);
    of("job", &["waiting", "running", "done", "failed", "kind.verify", "kind.scan", "kind.update"]);
    of("origin", &["unknown", "image", "changed", "mounted", "memory"]);
    of("done", &["verify", "scan", "update", "accept", "withdraw", "pause", "resume", "stop"]);
    of("done", &["password", "account", "removed"]);
    of("refused", &["wrong-password", "unauthenticated", "forbidden", "invalid", "missing"]);
    of("refused", &["conflict", "too-many-now", "unavailable"]);
    of("found", &["item", "image", "container", "alert", "vulnerability"]);
    of("sure", &["pause", "resume", "stop", "pause.means", "resume.means", "stop.means"]);
    let missing: Vec<_> = needed.iter().filter(|key| !there.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_the_desk_finds_wrong_has_words() {
    let (web, _) = catalogs();
    let there: BTreeSet<&str> = web.keys().collect();
    let wrong = Regex::new(r#"invalid\(\s*[a-z"]+,\s*"([a-z0-9-]+)"\s*\)"#).unwrap();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../desk/src")];
    let mut missing = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            for found in wrong.captures_iter(&fs::read_to_string(path).unwrap()) {
                let key = format!("invalid.{}", &found[1]);
                if !there.contains(key.as_str()) {
                    missing.insert(key);
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn both_languages_fill_the_same_holes() {
    let (web, _) = catalogs();
    let hole = Regex::new(r"\{[a-z]+\}").unwrap();
    for key in web.keys() {
        // "1 item" needs no number: it is always one.
        let holes =
            |lang| hole.find_iter(web.get(lang, key)).map(|h| h.as_str()).collect::<BTreeSet<_>>();
        assert_eq!(holes(Lang::En), holes(Lang::Ko), "{key}");
    }
}
