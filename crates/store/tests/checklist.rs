//! What pages ask of a verification: details of the newest only, since when something is open, counts, history, periods.
#![expect(clippy::unwrap_used, reason = "helpers of tests may stop at once")]

mod common;

use common::sample::report;
use common::store;
use haechi_core::policy::Exception;
use haechi_core::report::{Item, Summary, distinct};
use haechi_core::{Finding, Report, Severity, Status, SubjectKind, Text};
use haechi_store::{Store, StoreError, VerificationId};
use jiff::Timestamp;

const BENCHMARK: &str = "cis-docker-1.13.0";
const DAYS: [&str; 4] = [
    "2026-07-01T06:00:00Z",
    "2026-07-02T06:00:00Z",
    "2026-07-03T06:00:00Z",
    "2026-07-04T06:00:00Z",
];

/// Findings of a verification by name and status, and since the verification of which day each is open.
type Step<'a> = (&'a [(&'a str, Status)], &'a [(&'a str, Option<usize>)]);

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A report with one item whose findings have these names and statuses.
fn decided(host: &str, taken_at: &str, findings: &[(&str, Status)]) -> Report {
    let mut report = report(host, taken_at, 5);
    let mut item = report.items.remove(0);
    let sample = item.findings.remove(0);
    item.findings = findings
        .iter()
        .map(|(name, status)| {
            let mut finding: Finding = sample.clone();
            finding.subject.name = (*name).to_owned();
            finding.subject.id = format!("id of {name}");
            finding.status = *status;
            finding
        })
        .collect();
    report.items = vec![Item::new(item.id, item.title, item.section, item.findings)];
    report.summary = Summary::of(&report.items);
    report
}

async fn names(store: &Store, id: VerificationId, status: Status) -> Vec<String> {
    let mut view = store.view().await.unwrap();
    let found = view.findings_of_check(id, "check-0", status, None, 500).await.unwrap();
    found.into_iter().map(|one| one.kept.name).collect()
}

#[tokio::test]
async fn what_pages_show_of_a_finding_comes_back() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let mut sent = decided("a", DAYS[0], &[("web", Status::Fail), ("db", Status::Pass)]);
    let words = Text::new("Because \"of\" it", "그것 때문에");
    for finding in &mut sent.items[0].findings {
        finding.policy_defaults = vec!["limits.x".to_owned()];
        if finding.subject.name == "web" {
            finding.reason = Some(words.clone());
            finding.fix = Some("docker update --pids-limit 9 'web'\n".to_owned());
        }
    }
    let id = store.record(&sent, true).await.unwrap();
    let mut view = store.view().await.unwrap();
    let kind = SubjectKind::Container;
    let of = view.findings_of_subject(id, kind, "id of web").await.unwrap();
    assert_eq!(of.len(), 1);
    let kept = haechi_store::kept_of(&sent);
    assert_eq!(of[0].kept, kept.into_iter().find(|one| one.name == "web").unwrap());
    assert_eq!(of[0].reason, Some(words));
    assert_eq!(of[0].fix.as_deref(), Some("docker update --pids-limit 9 'web'\n"));
    assert_eq!(of[0].sources, ["GET /containers/{id}/json: Config.User", "/proc"]);
    assert_eq!(of[0].since, Some(moment(DAYS[0])));
    let good = view.findings_of_check(id, "check-0", Status::Pass, None, 9).await.unwrap();
    assert_eq!((good.len(), good[0].since), (1, None), "what passes is not open");
    let tallies = view.tallies(id).await.unwrap();
    let tally = &tallies["check-0"];
    assert_eq!((tally.counts.fail, tally.counts.pass, tally.counts.total()), (1, 1, 2));
    assert_eq!(tally.severity, Severity::Critical);
    assert_eq!(tally.defaults.iter().collect::<Vec<_>>(), ["limits.x"]);
    let items = view.items(id).await.unwrap();
    assert_eq!(items["1.1"].status, Status::Fail);
    assert_eq!(items["1.1"].since, Some(moment(DAYS[0])));
}

#[tokio::test]
async fn counts_are_those_of_the_findings_also_of_a_verification_of_before() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let sent = report("a", DAYS[0], 2503);
    let id = store.record(&sent, true).await.unwrap();
    let added_up = store.view().await.unwrap().tallies(id).await.unwrap();
    let mut all = haechi_core::report::Counts::default();
    for (check, tally) in &added_up {
        let of_check: Vec<_> =
            distinct(&sent.items).filter(|finding| finding.check == *check).collect();
        for status in Status::WORST_FIRST {
            let counted = of_check.iter().filter(|finding| finding.status == status).count();
            assert_eq!(tally.counts.of(status), counted as u64, "{check} {status}");
        }
        all += tally.counts;
    }
    assert_eq!(all, sent.summary.findings);
    // As a database that an older Haechi wrote: nothing was added up in it.
    store.close().await;
    let file = root.path().join("data/haechi.db");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    sqlx::query("DELETE FROM tally").execute(&pool).await.unwrap();
    pool.close().await;
    let store = common::store(root.path()).await;
    assert_eq!(store.view().await.unwrap().tallies(id).await.unwrap(), added_up);
}

#[tokio::test]
async fn only_the_newest_verification_of_a_host_and_benchmark_has_details() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let of_a = store.record(&report("a", DAYS[0], 12_000), true).await.unwrap();
    let of_b = store.record(&report("b", DAYS[0], 50), true).await.unwrap();
    let newest = store.record(&report("a", DAYS[1], 12_000), true).await.unwrap();
    assert_eq!(names(&store, of_a, Status::Fail).await, [""; 0]);
    assert!(!names(&store, of_b, Status::Fail).await.is_empty());
    assert!(!names(&store, newest, Status::Fail).await.is_empty());
    assert_eq!(store.kept(of_a).await.unwrap().len(), 12_000, "the history stays whole");
    store.check().await.unwrap();
    store.close().await;
    let file = root.path().join("data/haechi.db");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    let left: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM finding WHERE verification = ? AND (newest = 1 OR detail IS NOT NULL)",
    )
    .bind(of_a.0)
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(left, 0);
    // As if Haechi had been killed after keeping a verification and before forgetting: the next one does it.
    let undo = "UPDATE finding SET newest = 1 WHERE verification = 1 AND n < 7000";
    sqlx::query(undo).execute(&pool).await.unwrap();
    let store = common::store(root.path()).await;
    store.record(&report("a", DAYS[2], 50), true).await.unwrap();
    let newest: Vec<i64> = sqlx::query_scalar(
        "SELECT DISTINCT verification FROM finding WHERE newest = 1 ORDER BY verification",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(newest, [of_b.0, newest_of(&store).await]);
}

async fn newest_of(store: &Store) -> i64 {
    store.view().await.unwrap().newest(BENCHMARK).await.unwrap().unwrap().id.0
}

#[tokio::test]
async fn a_verification_that_ends_while_a_page_is_made_does_not_empty_it() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    store.record(&report("a", DAYS[0], 50), true).await.unwrap();
    let mut view = store.view().await.unwrap();
    let newest = view.newest(BENCHMARK).await.unwrap().unwrap().id;
    store.record(&report("a", DAYS[1], 50), true).await.unwrap();
    let found = view.findings_of_check(newest, "check-0", Status::Fail, None, 9).await.unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(view.newest(BENCHMARK).await.unwrap().unwrap().id, newest);
}

#[tokio::test]
async fn open_since_is_carried_on_until_it_is_mended() {
    use Status::{Excepted, Fail, NotApplicable, Pass, Unverified};
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let steps: [Step<'_>; 4] = [
        (
            &[("stays", Fail), ("mended", Fail), ("accepted", Fail), ("unseen", Fail)],
            &[("stays", Some(0)), ("mended", Some(0)), ("accepted", Some(0)), ("unseen", Some(0))],
        ),
        (
            &[
                ("stays", Fail),
                ("mended", Pass),
                ("accepted", Excepted),
                ("unseen", Unverified),
                ("new", Fail),
            ],
            &[
                ("stays", Some(0)),
                ("mended", None),
                ("accepted", Some(0)),
                ("unseen", Some(0)),
                ("new", Some(1)),
            ],
        ),
        (
            &[
                ("stays", Fail),
                ("mended", Fail),
                ("accepted", Fail),
                ("unseen", Fail),
                ("new", NotApplicable),
            ],
            &[
                ("stays", Some(0)),
                ("mended", Some(2)),
                ("accepted", Some(0)),
                ("unseen", Some(0)),
                ("new", None),
            ],
        ),
        (&[("stays", Pass)], &[("stays", None)]),
    ];
    for (day, (findings, expected)) in steps.into_iter().enumerate() {
        let id = store.record(&decided("a", DAYS[day], findings), true).await.unwrap();
        let mut view = store.view().await.unwrap();
        for (name, since) in expected {
            let subject = format!("id of {name}");
            let found =
                view.findings_of_subject(id, SubjectKind::Container, &subject).await.unwrap();
            let since = since.map(|day| moment(DAYS[day]));
            assert_eq!(found[0].since, since, "day {day}: {name}");
        }
        let item = view.items(id).await.unwrap()["1.1"];
        assert_eq!(item.since, (day < 3).then(|| moment(DAYS[0])), "day {day}");
    }
}

#[tokio::test]
async fn what_could_not_be_seen_proves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let both = [("web", Status::Fail), ("db", Status::Fail)];
    store.record(&decided("a", DAYS[0], &both), true).await.unwrap();
    // The engine did not answer: nothing is known of its containers but for one that was mended.
    store.record(&decided("a", DAYS[1], &[("db", Status::Pass)]), false).await.unwrap();
    let id = store.record(&decided("a", DAYS[2], &both), true).await.unwrap();
    let mut view = store.view().await.unwrap();
    for (name, day) in [("web", 0), ("db", 2)] {
        let subject = format!("id of {name}");
        let found = view.findings_of_subject(id, SubjectKind::Container, &subject).await.unwrap();
        assert_eq!(found[0].since, Some(moment(DAYS[day])), "{name}");
    }
    // Gone in a verification that saw everything, it begins anew.
    store.record(&decided("a", DAYS[2], &[("db", Status::Fail)]), true).await.unwrap();
    let id = store.record(&decided("a", DAYS[3], &both), true).await.unwrap();
    let found = store
        .view()
        .await
        .unwrap()
        .findings_of_subject(id, SubjectKind::Container, "id of web")
        .await
        .unwrap();
    assert_eq!(found[0].since, Some(moment(DAYS[3])));
}

#[tokio::test]
async fn findings_of_a_check_come_in_pages_by_name() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    let mut names: Vec<String> = (0..95).map(|n| format!("웹-{}", n / 3)).collect();
    names.extend(["<script>", "%", "_", "", "\u{10ffff}", "a\0b"].map(str::to_owned));
    let findings: Vec<_> = names.iter().map(|name| (name.as_str(), Status::Fail)).collect();
    let mut sent = decided("a", DAYS[0], &findings);
    for (n, finding) in sent.items[0].findings.iter_mut().enumerate() {
        finding.subject.id = format!("{n}");
    }
    let id = store.record(&sent, true).await.unwrap();
    let mut view = store.view().await.unwrap();
    let (mut seen, mut after): (Vec<String>, Option<(String, i64)>) = (Vec::new(), None);
    loop {
        let from = after.as_ref().map(|(name, n)| (name.as_str(), *n));
        let page = view.findings_of_check(id, "check-0", Status::Fail, from, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.kept.name.clone(), last.n));
        seen.extend(page.into_iter().map(|one| one.kept.name));
    }
    names.sort();
    assert_eq!(seen, names);
    for (begins, number) in [("", 101), ("웹-1", 33), ("웹-31", 2), ("<", 1), ("웹-4x", 0)] {
        let found = view.decided(id, "check-0", Status::Fail, begins).await.unwrap();
        assert!(found.iter().all(|one| one.subject.name.starts_with(begins)), "{begins}");
        assert_eq!(found.len(), number, "{begins}");
    }
    for (text, is_there) in
        [("SCRIPT", true), ("웹-31", true), ("%", true), ("%%", false), ("x_", false), ("_", true)]
    {
        let found = view.checks_about(id, text).await.unwrap();
        assert_eq!(found.contains("check-0"), is_there, "{text}");
    }
    let numbers = [5, 1, 99_999];
    assert_eq!(view.findings_at(id, &numbers).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_history_of_an_item_is_of_its_host_and_benchmark() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    for (day, status) in [(0, Status::Fail), (1, Status::Unverified), (2, Status::Pass)] {
        let complete = status != Status::Unverified;
        store.record(&decided("a", DAYS[day], &[("web", status)]), complete).await.unwrap();
        store.record(&decided("b", DAYS[day], &[("web", Status::Fail)]), true).await.unwrap();
    }
    let mut view = store.view().await.unwrap();
    let history = view.item_history("a", BENCHMARK, "1.1", 2).await.unwrap();
    let told: Vec<_> = history.iter().map(|(_, at, status)| (at.as_str(), *status)).collect();
    assert_eq!(told, [(DAYS[2], Status::Pass), (DAYS[1], Status::Unverified)]);
    assert_eq!(view.item_history("a", BENCHMARK, "9.9", 9).await.unwrap(), []);
    let scores = view.scores("a", BENCHMARK, 9).await.unwrap();
    assert_eq!(scores.len(), 3);
    assert!(scores[0].0 > scores[1].0);
    assert_eq!(scores.iter().map(|row| row.3).collect::<Vec<_>>(), [true, false, true]);
    let rows = view.verifications(Some(BENCHMARK), Some(VerificationId(4)), 2).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id.0).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(view.verifications(Some("other"), None, 9).await.unwrap(), []);
    assert_eq!(view.verifications(None, None, 9).await.unwrap().len(), 6);
}

#[tokio::test]
async fn a_period_has_the_last_verification_of_each_day_and_what_was_accepted_then() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path()).await;
    for taken in [DAYS[0], "2026-07-02T05:00:00Z", DAYS[1], DAYS[3]] {
        store.record(&decided("a", taken, &[("web", Status::Fail)]), true).await.unwrap();
    }
    let (from, end) = (moment("2026-07-02T00:00:00Z"), moment("2026-07-04T00:00:00Z"));
    let mut view = store.view().await.unwrap();
    let days = view.each_day("a", BENCHMARK, from, end).await.unwrap();
    assert_eq!(days.iter().map(|row| row.taken_at.as_str()).collect::<Vec<_>>(), [DAYS[1]]);
    let last = view.last_before("a", BENCHMARK, from).await.unwrap().unwrap();
    assert_eq!(last.taken_at, DAYS[0]);
    assert_eq!(view.last_before("a", BENCHMARK, moment(DAYS[0])).await.unwrap(), None);
    assert!(view.alerts_by_rule(from, end).await.unwrap().is_empty());

    let exception = Exception {
        check: "check-0".into(),
        kind: None,
        subject: "web".into(),
        reason: "why".into(),
        owner: "me".into(),
        expires: "2999-01-01".parse().unwrap(),
    };
    let number = store.add_exception(&exception).await.unwrap();
    store.remove_exception(number).await.unwrap();
    assert_eq!(store.exceptions().await.unwrap(), [], "taken back, it counts no longer");
    let gone = store.remove_exception(number).await.unwrap_err();
    assert!(matches!(gone, StoreError::NoException(_)), "{gone}");
    let now = Timestamp::now();
    let day = jiff::SignedDuration::from_hours(24);
    let in_it = store.exceptions_in(now - day, now + day).await.unwrap();
    let [kept] = in_it.as_slice() else { panic!("it counted until then: {in_it:?}") };
    assert_eq!((kept.number, &kept.exception), (number, &exception));
    assert!(kept.withdrawn.is_some_and(|at| at >= kept.added && at <= now), "{kept:?}");
    assert_eq!(store.exceptions_in(now + day, now + day).await.unwrap(), []);
    assert_eq!(store.exceptions_in(now - day - day, now - day).await.unwrap(), []);
}

#[tokio::test]
async fn a_database_of_before_goes_on_working() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    // As the Haechi of then left it: five migrations, one verification, one exception.
    store(root.path()).await.close().await;
    std::fs::remove_file(dir.join("haechi.db")).unwrap();
    let then = tempfile::tempdir().unwrap();
    let migrations = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in migrations.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.as_str() < "0006" {
            std::fs::copy(&path, then.path().join(name)).unwrap();
        }
    }
    let file = dir.join("haechi.db");
    let url = format!("sqlite:{}?mode=rwc", file.display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    sqlx::migrate::Migrator::new(then.path()).await.unwrap().run(&pool).await.unwrap();
    for sql in [
        "INSERT INTO verification VALUES (1, 'a', 'cis-docker-1.13.0', '2026-07-01T06:00:00Z', 1782885600, '0.1.0',
             'defaults', 1, 1, 50.0, '{\"total\":50.0,\"areas\":{},\"checks\":{}}',
             '{\"items\":{\"pass\":0,\"fail\":1,\"excepted\":0,\"unverified\":0,\"not_applicable\":0},
               \"findings\":{\"pass\":1,\"fail\":1,\"excepted\":0,\"unverified\":0,\"not_applicable\":0},
               \"areas\":{},\"failing\":{},\"failing_by_area\":{}}',
             '{\"name\":\"a\",\"os\":\"\",\"kernel\":\"\",\"engine\":\"\",\"containers\":1,\"running\":1,\"images\":1}', 2)",
        "INSERT INTO finding VALUES (1, 0, 'check-0', 'container', 'web', 'w', 'instance', 'high', 'fail', NULL, '[\"x\"]')",
        "INSERT INTO finding VALUES (1, 1, 'check-0', 'container', 'db', 'd', 'instance', 'high', 'pass', NULL, '[\"y\"]')",
        "INSERT INTO exception VALUES (1, 'check-0', NULL, 'web', 'why', 'me', '2999-01-01', 5)",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    pool.close().await;
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    let store = store(root.path()).await;
    assert_eq!(store.kept(VerificationId(1)).await.unwrap().len(), 2);
    assert_eq!(store.exceptions().await.unwrap().len(), 1);
    let mut view = store.view().await.unwrap();
    let old = view.newest(BENCHMARK).await.unwrap().unwrap();
    assert_eq!(old.taken_at, DAYS[0]);
    let tallies = view.tallies(old.id).await.unwrap();
    assert_eq!((tallies["check-0"].counts.fail, tallies["check-0"].counts.pass), (1, 1));
    let found = view.findings_of_check(old.id, "check-0", Status::Fail, None, 9).await.unwrap();
    assert_eq!((found[0].kept.name.as_str(), found[0].since), ("web", None));
    assert!(view.items(old.id).await.unwrap().is_empty());
    assert!(view.item_history("a", BENCHMARK, "1.1", 9).await.unwrap().is_empty());
    drop(view);
    let id = store.record(&decided("a", DAYS[1], &[("web", Status::Fail)]), true).await.unwrap();
    let mut view = store.view().await.unwrap();
    let found = view.findings_of_check(id, "check-0", Status::Fail, None, 9).await.unwrap();
    assert_eq!(found[0].since, Some(moment(DAYS[0])), "it failed at least since then");
    assert_eq!(view.items(id).await.unwrap()["1.1"].since, Some(moment(DAYS[0])));
    store.check().await.unwrap();
}
