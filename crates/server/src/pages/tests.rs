//! Tests of the pages' texts: every key that is used is there, every one that is there is used.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use haechi_core::Lang;
use haechi_core::text::Catalog;
use haechi_protocol::Refusal;
use regex::Regex;

const WEB: &str = include_str!("../../../../texts/web.yaml");
const REPORT: &str = include_str!("../../../../texts/report.yaml");

/// Families whose members are made of closed lists: `t.of("status", …)`.
const FAMILIES: [&str; 33] = [
    "alerts",
    "area",
    "audit.action",
    "audit.detail",
    "audit.outcome",
    "cause",
    "deed",
    "done",
    "enforced.mode",
    "event",
    "fix",
    "found",
    "invalid",
    "job",
    "job.kind",
    "kind",
    "make",
    "origin",
    "outcome",
    "page",
    "phase",
    "priority",
    "profile.part",
    "refused",
    "resource",
    "response",
    "role",
    "safety",
    "secret",
    "state",
    "sure",
    "theme",
    "used",
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
    of("phase", &["start", "run", "health-check", "exec", "stop"]);
    of("used", &haechi_core::profile::Kind::ALL.map(haechi_core::profile::Kind::name));
    of("make", &["seccomp", "apparmor", "docker", "compose", "kubernetes", "vex"]);
    of("enforced.mode", &["dry-run", "deny"]);
    of("package-state", &haechi_core::report::profiles::PackageState::ALL.map(|s| s.name()));
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

/// Files of a folder of this workspace, without tests.
fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.file_stem().is_some_and(|name| name == "tests") {
            true => {}
            false if path.is_dir() => files(&path, found),
            false => {
                let text = fs::read_to_string(path).unwrap();
                let (own, _) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((&text, ""));
                found.push(own.to_owned());
            }
        }
    }
}

#[test]
fn the_audit_log_and_work_that_failed_speak_both_languages() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = Vec::new();
    for folder in ["desk/src", "haechi/src/commands"] {
        files(&crates.join(folder), &mut all);
    }
    let mut needed: BTreeSet<String> =
        haechi_protocol::routes().iter().map(|row| format!("audit.action.{}", row.name)).collect();
    // What Haechi does by itself, and what its commands do, is named where it is recorded.
    let named = Regex::new(r#"\b(?:own|record|begin|deed|tell|refused)\([^;]*?"([A-Z][A-Za-z]+)""#)
        .unwrap();
    let failed = Regex::new(r#"const [A-Z_]+: &str = "([a-z-]+)";"#).unwrap();
    let jobs = fs::read_to_string(crates.join("desk/src/jobs.rs")).unwrap();
    for (family, rule, texts) in
        [("audit.action", named, &all[..]), ("job.problem", failed, &[jobs][..])]
    {
        let found = texts.iter().flat_map(|text| rule.captures_iter(text));
        needed.extend(found.map(|found| format!("{family}.{}", &found[1])));
    }
    for known in ["JobBegun", "ResetPassword", "Withdrew", "Refusals"] {
        assert!(needed.contains(&format!("audit.action.{known}")), "{known} is not looked at");
    }
    assert!(needed.contains("job.problem.interrupted"));
    let log = fs::read_to_string(crates.join("audit/src/lib.rs")).unwrap();
    let broken = Regex::new(r#"BROKEN: .* = \("haechi", "(\w+)", "(\w+)"\)"#).unwrap();
    let broken = broken.captures(&log).unwrap();
    needed.insert(format!("audit.action.{}", &broken[1]));
    for word in [&broken[2], "begun", "done", "failed", "counted", "refused"] {
        needed.insert(format!("audit.outcome.{word}"));
    }
    let refusals = [
        Refusal::Unauthenticated,
        Refusal::WrongPassword,
        Refusal::Forbidden,
        Refusal::invalid("", ""),
        Refusal::Missing,
        Refusal::Conflict,
        Refusal::TooMany { retry_s: 1 },
        Refusal::Unavailable,
    ];
    needed.extend(refusals.iter().map(|refusal| format!("audit.outcome.{}", refusal.word())));
    // Parts of a question that changes something are details of its record, but for secrets.
    for row in haechi_protocol::routes().into_iter().filter(|row| row.method.changes()) {
        let mut schemas = schemars::SchemaGenerator::default();
        let _ = (row.question)(&mut schemas);
        let all = serde_json::to_value(schemas.definitions()).unwrap();
        let parts = all[row.name]["properties"].as_object().into_iter().flat_map(|all| all.keys());
        let told = parts.filter(|part| !["password", "old", "new"].contains(&part.as_str()));
        needed.extend(told.map(|part| format!("audit.detail.{part}")));
    }
    for own in ["about", "account", "begun", "checkpoint", "cut", "head", "owner", "version"] {
        needed.insert(format!("audit.detail.{own}"));
    }
    let (web, _) = catalogs();
    let there: BTreeSet<&str> = web.keys().collect();
    let missing: Vec<_> = needed.iter().filter(|key| !there.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for key in &needed {
        let hangul = |c: char| ('\u{ac00}'..='\u{d7a3}').contains(&c);
        assert!(web.get(Lang::Ko, key).contains(hangul), "{key} is not in Korean");
        assert!(!web.get(Lang::En, key).contains(hangul), "{key} is not in English");
    }
}

#[test]
fn a_word_without_a_sentence_is_shown_as_it_is() {
    let t = super::words::Words { lang: Lang::Ko };
    assert_eq!((t.deed("Login"), t.deed("Future")), ("로그인".into(), "Future".into()));
    assert_eq!((t.came("forbidden"), t.came("odd")), ("권한 없음".into(), "odd".into()));
    assert!(t.failure("interrupted").contains("중단"));
    assert_eq!(t.failure("error: no route to host"), "error: no route to host");
    let digest = "0123456789abcdef".repeat(4);
    assert_eq!(t.name(&format!("sha256:{digest}")), "0123456789ab");
    for other in [digest.clone(), format!("sha256:{digest}0"), "sha256:web".to_owned()] {
        assert_eq!(t.name(&other), other, "a name that only looks like an id");
    }
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
