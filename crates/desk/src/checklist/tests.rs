//! What pages show is what was decided, with what the site accepts by now; nothing that was not decided looks good.

use std::path::Path;
use std::sync::{Arc, Mutex};

use haechi_core::activity::Watch;
use haechi_core::policy::{Exception, Loaded};
use haechi_core::report::distinct;
use haechi_core::{Finding, Report, Snapshot, Status};
use haechi_protocol::{Accept, ListExceptions, Overview, Picture, Role, Watched, Withdraw};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::*;
use crate::overview::overview;
use crate::testing::CIS;
use crate::{exceptions, period, testing};

const MEMORY: &str = "container-memory-limit";

/// A desk with the policy that stands in `policy`.
async fn desk(root: &Path, policy: &Arc<Mutex<Option<Loaded>>>) -> Arc<Desk> {
    let policy = Arc::clone(policy);
    let read = move || policy.lock().unwrap().clone().ok_or_else(|| anyhow::anyhow!("broken"));
    testing::desk(root, |setup| {
        setup.policy = Box::new(read);
        setup.benchmarks = vec![CIS.into(), "haechi-runtime".into()];
    })
    .await
}

fn defaults() -> Arc<Mutex<Option<Loaded>>> {
    Arc::new(Mutex::new(Some(Loaded::defaults())))
}

fn caller() -> Caller {
    testing::caller(Role::Operator)
}

/// Containers of which some have a memory limit, some have none, of some it is unknown; one is a monitor's affair.
fn snapshot(containers: usize, taken_at: &str) -> Snapshot {
    let names = ["<script>alert(1)</script>", "웹 \u{202e}서버", "a\u{0}b\n{name}"];
    let container = |n: usize| {
        let name = names.get(n).map_or_else(|| format!("web-{n}"), |name| (*name).to_owned());
        let mut facts = json!({
            "id": format!("{n:064x}"),
            "name": name,
            "image_id": "i",
            "state": {"status": "running", "running": true},
            "host_config": {"readonly_rootfs": n.is_multiple_of(2), "privileged": n == 3},
            "alerts": [],
            "lost": 0,
        });
        match n % 3 {
            0 => facts["host_config"]["memory"] = json!(0),
            1 => facts["host_config"]["memory"] = json!(1 << 29),
            _ => {}
        }
        if n == 4 {
            facts["alerts"] = json!([{
                "at": taken_at, "rule": "r", "priority": "critical", "text": "said", "command": "x",
                "checks": ["container-not-privileged"], "count": 1,
            }]);
        }
        facts
    };
    let all: Vec<Value> = (0..containers).map(container).collect();
    serde_json::from_value(json!({
        "schema": "haechi/snapshot/v1",
        "haechi_version": "0",
        "taken_at": taken_at,
        "took_ms": 1,
        "host": {"hostname": "web-1"},
        "engine": {"name": "web-1"},
        "containers": all,
        "networks": [],
        "gaps": [{"kind": "image", "id": "", "fact": "", "cause": "permission", "detail": "no <b>way</b>"}],
    }))
    .unwrap()
}

fn now() -> String {
    Timestamp::now().to_string()
}

/// What a verification decides.
fn decide(desk: &Desk, snapshot: &Snapshot, exceptions: &[Exception]) -> Report {
    let mut policy = Loaded::defaults();
    policy.policy.exceptions.extend(exceptions.iter().cloned());
    let benchmark = desk.setup.content.benchmark(CIS).unwrap();
    haechi_checks::verify(&desk.setup.content, benchmark, snapshot, &policy).unwrap()
}

/// All findings of an item, by pages of `limit`.
async fn findings(desk: &Desk, id: &str, limit: u32) -> Vec<FindingRow> {
    let mut question =
        ShowItem { benchmark: CIS.into(), item: id.into(), limit, ..ShowItem::default() };
    let mut all = Vec::new();
    loop {
        let page = item(desk, &caller(), &question).await.unwrap();
        assert!(page.findings.len() <= limit as usize);
        all.extend(page.findings);
        match page.next {
            Some(next) => question.after = Some(next),
            None => return all,
        }
    }
}

async fn picture(desk: &Desk) -> Picture {
    overview(desk, &caller(), &Overview::default()).await.unwrap()
}

/// What pages show is this report: overview, items, and every finding of every item.
async fn shows(desk: &Desk, report: &Report) {
    let picture = picture(desk).await;
    assert_eq!(picture.score, report.score);
    let line = picture.verification.unwrap();
    assert_eq!((line.counts, line.score), (report.summary.findings, report.score.total));
    assert_eq!(picture.host, report.host);
    for line in &picture.areas {
        assert_eq!(line.counts, report.summary.areas[&line.area], "{}", line.area);
        assert_eq!(line.failing, report.summary.failing_by_area[&line.area], "{}", line.area);
    }
    let question = ListItems { benchmark: CIS.into(), ..ListItems::default() };
    let items = items(desk, &caller(), &question).await.unwrap();
    assert_eq!(items.counts, report.summary.items);
    assert_eq!(items.rows.len(), report.items.len());
    for (row, item) in items.rows.iter().zip(&report.items) {
        assert_eq!((&row.id, row.status), (&item.id, item.status));
        assert_eq!(row.counts.total() as usize, item.findings.len());
        let mut shown: Vec<Finding> = Vec::new();
        for row in findings(desk, &item.id, 7).await {
            assert!(row.items.contains(&item.id));
            let open = !matches!(row.finding.status, Status::Pass | Status::NotApplicable);
            assert_eq!(row.since.is_some(), open, "{}: {}", item.id, row.finding.status);
            shown.push(row.finding);
        }
        let worst_first = shown.is_sorted_by_key(|finding| {
            (Reverse(finding.status), Reverse(finding.severity), finding.check.clone())
        });
        assert!(worst_first, "{}", item.id);
        shown.sort_by_key(Finding::key_owned);
        let mut decided = item.findings.clone();
        decided.sort_by_key(Finding::key_owned);
        assert_eq!(shown, decided, "{}", item.id);
    }
}

trait Keyed {
    fn key_owned(&self) -> (String, haechi_core::Subject);
}

impl Keyed for Finding {
    fn key_owned(&self) -> (String, haechi_core::Subject) {
        (self.check.clone(), self.subject.clone())
    }
}

fn accept(subject: &str) -> Accept {
    Accept {
        check: MEMORY.into(),
        kind: None,
        subject: subject.into(),
        reason: " measured elsewhere ".into(),
        expires: today().saturating_add(30.days()),
    }
}

#[tokio::test]
async fn before_the_first_verification_nothing_looks_good() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), &defaults()).await;
    let picture = picture(&desk).await;
    assert_eq!((picture.verification, picture.score.total), (None, None));
    assert_eq!(picture.areas.len(), 3);
    assert!(picture.areas.iter().all(|area| area.score.is_none() && area.counts.total() == 0));
    let question = ListItems { benchmark: CIS.into(), ..ListItems::default() };
    let items = items(&desk, &caller(), &question).await.unwrap();
    assert_eq!((items.rows.len(), items.counts.unverified), (104, 104));
    assert!(findings(&desk, "5.10", 50).await.is_empty());
    let lines = benchmarks(&desk, &caller(), &ListBenchmarks::default()).await.unwrap().rows;
    let ids: Vec<&str> = lines.iter().map(|line| line.id.as_str()).collect();
    assert_eq!((ids, lines[0].items), (vec![CIS, "haechi-runtime"], 104));
}

#[tokio::test]
async fn pages_show_exactly_what_was_decided() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), &defaults()).await;
    let report = decide(&desk, &snapshot(12, &now()), &[]);
    let statuses = |status| distinct(&report.items).any(|finding| finding.status == status);
    assert!(
        Status::WORST_FIRST.into_iter().filter(|status| *status != Status::Excepted).all(statuses)
    );
    desk.setup.store.record(&report, true).await.unwrap();
    shows(&desk, &report).await;
}

#[tokio::test]
async fn what_is_accepted_shows_at_once_as_the_next_verification_decides_it() {
    let root = tempfile::tempdir().unwrap();
    let policy = defaults();
    let desk = desk(root.path(), &policy).await;
    let snapshot = snapshot(30, &now());
    let before = decide(&desk, &snapshot, &[]);
    desk.setup.store.record(&before, true).await.unwrap();
    let mut accepted = Vec::new();
    for pattern in ["web-2?", "web-9", "*script*"] {
        let line = exceptions::accept(&desk, &caller(), &accept(pattern)).await.unwrap();
        assert_eq!(line.exception.owner, "operator");
        assert_eq!(line.exception.reason, "measured elsewhere");
        accepted.push(line);
    }
    let known: Vec<Exception> = accepted.iter().map(|line| line.exception.clone()).collect();
    let after = decide(&desk, &snapshot, &known);
    let excepted = |report: &Report| report.summary.findings.excepted;
    assert_eq!((excepted(&before), excepted(&after)), (0, 5));
    shows(&desk, &after).await;
    // And after a verification that knew them, taken back one by one.
    desk.setup.store.record(&after, true).await.unwrap();
    shows(&desk, &after).await;
    for line in &accepted {
        let question = Withdraw { number: line.number.unwrap() };
        exceptions::withdraw(&desk, &caller(), &question).await.unwrap();
        let again = exceptions::withdraw(&desk, &caller(), &question).await;
        assert_eq!(again, Err(Refusal::Missing));
    }
    shows(&desk, &before).await;
    // The policy's file counts as well; one that cannot be read accepts nothing.
    policy.lock().unwrap().as_mut().unwrap().policy.exceptions = known.clone();
    shows(&desk, &after).await;
    let listed = exceptions::list(&desk, &caller(), &ListExceptions::default()).await.unwrap();
    assert_eq!((listed.rows.len(), listed.rows[0].number), (3, None));
    *policy.lock().unwrap() = None;
    shows(&desk, &before).await;
    // One whose last day was yesterday counts no longer.
    let mut ended = Loaded::defaults();
    ended.policy.exceptions = known;
    for exception in &mut ended.policy.exceptions {
        exception.expires = today().yesterday().unwrap();
    }
    *policy.lock().unwrap() = Some(ended);
    shows(&desk, &before).await;
    let listed = exceptions::list(&desk, &caller(), &ListExceptions::default()).await.unwrap();
    assert!(listed.rows.iter().all(|line| line.expired));
}

#[tokio::test]
async fn a_page_goes_on_where_it_ended_although_there_is_a_newer_verification() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), &defaults()).await;
    let report = decide(&desk, &snapshot(60, &now()), &[]);
    desk.setup.store.record(&report, true).await.unwrap();
    let all = findings(&desk, "5.10", 50).await;
    assert_eq!(all.len(), 60);
    let mut question =
        ShowItem { benchmark: CIS.into(), item: "5.10".into(), limit: 13, ..ShowItem::default() };
    let first = item(&desk, &caller(), &question).await.unwrap();
    desk.setup.store.record(&report, true).await.unwrap();
    question.after = first.next;
    let second = item(&desk, &caller(), &question).await.unwrap();
    let names = |rows: &[FindingRow]| -> Vec<String> {
        rows.iter().map(|row| row.finding.subject.name.clone()).collect()
    };
    assert_eq!(names(&second.findings), names(&all[13..26]));
    assert_eq!(second.history.len(), 2);
    question.status = Some(Status::Unverified);
    question.after = None;
    let of_status = item(&desk, &caller(), &question).await.unwrap();
    assert!(of_status.findings.iter().all(|row| row.finding.status == Status::Unverified));
    assert_eq!((of_status.findings.len(), of_status.item.counts.unverified), (13, 20));
    for cursor in
        ["", "1", "1-", "-1-2", "1-99999", "99-1", "x-y", "1-1-1", "99999999999999999999-1"]
    {
        question.after = Some(cursor.into());
        let refused = item(&desk, &caller(), &question).await;
        assert_eq!(refused, Err(Refusal::invalid("after", "not-a-cursor")), "{cursor}");
    }
}

#[tokio::test]
async fn a_page_ends_before_it_is_too_long_to_be_sent() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), &defaults()).await;
    let mut report = decide(&desk, &snapshot(400, &now()), &[]);
    report.items.retain(|item| item.id == "5.10");
    for finding in report.items.iter_mut().flat_map(|item| &mut item.findings) {
        finding.evidence[0].seen = "\u{1}".repeat(60_000);
    }
    desk.setup.store.record(&report, true).await.unwrap();
    let question =
        ShowItem { benchmark: CIS.into(), item: "5.10".into(), limit: 500, ..ShowItem::default() };
    let page = item(&desk, &caller(), &question).await.unwrap();
    let sent = serde_json::to_vec(&page).unwrap().len();
    assert!(sent < haechi_protocol::frame::ANSWER_MAX as usize, "{sent} bytes");
    assert!(page.next.is_some());
    assert_eq!(findings(&desk, "5.10", 500).await.len(), 400);
}

#[tokio::test]
async fn items_are_found_by_area_status_severity_and_words() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), &defaults()).await;
    let report = decide(&desk, &snapshot(12, &now()), &[]);
    desk.setup.store.record(&report, true).await.unwrap();
    let ask = async |question: ListItems| {
        let question = ListItems { benchmark: CIS.into(), ..question };
        let items = items(&desk, &caller(), &question).await.unwrap();
        assert_eq!(items.counts, report.summary.items, "counts are of all");
        items.rows
    };
    use haechi_core::{Area, Severity};
    let rows = ask(ListItems { area: Some(Area::Image), ..ListItems::default() }).await;
    assert!(!rows.is_empty() && rows.iter().all(|row| row.areas.contains(&Area::Image)));
    let rows = ask(ListItems { status: Some(Status::Fail), ..ListItems::default() }).await;
    assert_eq!(rows.len() as u64, report.summary.items.fail);
    let rows = ask(ListItems { severity: Some(Severity::Critical), ..ListItems::default() }).await;
    assert!(!rows.is_empty() && rows.iter().all(|row| row.severity == Severity::Critical));
    let text = |text: &str| ListItems { text: Some(text.into()), ..ListItems::default() };
    assert!(ask(text("ALERT(1)")).await.iter().any(|row| row.id == "5.10"));
    assert!(ask(text("메모리")).await.iter().any(|row| row.id == "5.10"));
    assert_eq!(ask(text("no such thing")).await.len(), 0);
    assert_eq!(ask(text("  ")).await.len(), 104);
    let long = ListItems { benchmark: CIS.into(), ..text(&"x".repeat(201)) };
    let refused = items(&desk, &caller(), &long).await;
    assert_eq!(refused, Err(Refusal::invalid("text", "too-long")));
    let unknown = ListItems { benchmark: "other".into(), ..ListItems::default() };
    assert_eq!(items(&desk, &caller(), &unknown).await, Err(Refusal::Missing));
    let unknown = ShowItem { benchmark: CIS.into(), item: "9.99".into(), ..ShowItem::default() };
    assert_eq!(item(&desk, &caller(), &unknown).await, Err(Refusal::Missing));
}

#[tokio::test]
async fn findings_of_a_subject_are_those_of_all_benchmarks_worst_first() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), &defaults()).await;
    let snapshot = snapshot(12, &now());
    desk.setup.store.record(&decide(&desk, &snapshot, &[]), true).await.unwrap();
    let runtime = desk.setup.content.benchmark("haechi-runtime").unwrap();
    let policy = Loaded::defaults();
    let other = haechi_checks::verify(&desk.setup.content, runtime, &snapshot, &policy).unwrap();
    desk.setup.store.record(&other, true).await.unwrap();
    exceptions::accept(&desk, &caller(), &accept("web-3")).await.unwrap();
    let id = format!("{:064x}", 3);
    let rows = of_subject(&desk, SubjectKind::Container, &id).await.unwrap();
    assert!(rows.is_sorted_by_key(|row| Reverse(row.finding.status)));
    assert!(rows.iter().all(|row| row.finding.subject.id == id));
    let memory = rows.iter().find(|row| row.finding.check == MEMORY).unwrap();
    assert_eq!(memory.finding.status, Status::Excepted);
    assert_eq!(memory.items, ["5.10"]);
    assert!(rows.iter().any(|row| row.benchmark == "haechi-runtime"));
    let mut checks: Vec<&str> = rows.iter().map(|row| row.finding.check.as_str()).collect();
    checks.sort_unstable();
    assert!(checks.windows(2).all(|two| two[0] != two[1]), "each once");
    assert!(of_subject(&desk, SubjectKind::Image, &id).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_accepted_has_a_check_a_subject_a_reason_and_an_end() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), &defaults()).await;
    let refused = async |change: fn(&mut Accept)| {
        let mut question = accept("web");
        change(&mut question);
        exceptions::accept(&desk, &caller(), &question).await.unwrap_err()
    };
    let invalid = Refusal::invalid;
    assert_eq!(refused(|q| q.check = "none".into()).await, invalid("check", "unknown"));
    assert_eq!(refused(|q| q.subject = " \t".into()).await, invalid("subject", "empty"));
    assert_eq!(refused(|q| q.subject = "*".repeat(4097)).await, invalid("subject", "too-long"));
    assert_eq!(refused(|q| q.reason = "\u{3000}\n".into()).await, invalid("reason", "empty"));
    assert_eq!(refused(|q| q.reason = "가".repeat(1001)).await, invalid("reason", "too-long"));
    let yesterday = refused(|q| q.expires = today().yesterday().unwrap()).await;
    assert_eq!(yesterday, invalid("expires", "in-the-past"));
    let late = refused(|q| q.expires = today().saturating_add(1.year()).tomorrow().unwrap()).await;
    assert_eq!(late, invalid("expires", "more-than-a-year"));
    assert_eq!(desk.setup.store.exceptions().await.unwrap(), [], "nothing was kept");
    for days in [0, 365] {
        let mut question = accept("web");
        question.expires = today().saturating_add(days.days());
        exceptions::accept(&desk, &caller(), &question).await.unwrap();
        let again = exceptions::accept(&desk, &caller(), &question).await;
        assert_eq!(again, Err(Refusal::Conflict));
    }
}

#[tokio::test]
async fn a_period_is_told_as_it_was_decided() {
    let root = tempfile::tempdir().unwrap();
    let desk = desk(root.path(), &defaults()).await;
    let day = |back: i32| today().saturating_sub(back.days());
    let at = |back: i32| format!("{}T01:00:00Z", day(back));
    let ask = async |from: i32, to: i32| {
        let question =
            haechi_protocol::Report { benchmark: CIS.into(), from: day(from), to: day(to) };
        period::report(&desk, &caller(), &question).await
    };
    let nothing = ask(5, 0).await.unwrap();
    assert_eq!((nothing.picture.verification, nothing.verifications.len()), (None, 0));
    assert!(nothing.items.iter().all(|row| row.status == Status::Unverified));
    for back in [40, 9, 5, 3] {
        let report = decide(&desk, &snapshot(12 + back as usize, &at(back)), &[]);
        desk.setup.store.record(&report, true).await.unwrap();
    }
    let line = exceptions::accept(&desk, &caller(), &accept("web-9")).await.unwrap();
    let report = ask(9, 4).await.unwrap();
    let days: Vec<String> = report.verifications.iter().map(|line| line.taken_at.clone()).collect();
    assert_eq!(days, [at(9), at(5)]);
    let then = decide(&desk, &snapshot(17, &at(5)), &[]);
    assert_eq!(report.picture.score, then.score);
    assert_eq!(report.picture.movement.unwrap().since, at(40), "since what was before the period");
    let memory = report.items.iter().find(|row| row.id == "5.10").unwrap();
    let decided = then.items.iter().find(|item| item.id == "5.10").unwrap();
    assert_eq!((memory.status, memory.counts.total()), (decided.status, 17));
    assert!(report.exceptions.is_empty(), "accepted after it");
    let present = ask(2, 0).await.unwrap();
    assert_eq!(present.exceptions.len(), 1);
    assert!(present.exceptions[0].accepted_at.is_some());
    assert_eq!(present.exceptions[0].withdrawn_at, None);
    assert_eq!(present.picture.verification, None, "what was verified before is not of it");
    assert!(!present.picture.ranked && !report.picture.ranked, "no inventory is kept");
    assert_eq!(present.watched, Watched::default());
    let at = |hour| format!("{}T0{hour}:00:00Z", today()).parse().unwrap();
    let watch = |container: &str, since: u8, until: u8| Watch {
        container: container.into(),
        since: at(since),
        from_start: true,
        until: at(until),
        lost: 2,
        activity_missed: false,
    };
    let watches = [watch("a", 1, 4), watch("b", 2, 3), watch("b", 6, 7), watch("c", 3, 5)];
    desk.setup.store.watched(&watches).await.unwrap();
    let seen = Watched { containers: 3, seconds: 5 * 3600, lost: 8, activity_missed: false };
    assert_eq!(ask(2, 0).await.unwrap().watched, seen);
    assert_eq!(ask(2, 1).await.unwrap().watched, Watched::default());
    exceptions::withdraw(&desk, &caller(), &Withdraw { number: line.number.unwrap() })
        .await
        .unwrap();
    let present = ask(2, 0).await.unwrap();
    assert_eq!(present.exceptions.len(), 1, "it was there today");
    assert!(present.exceptions[0].withdrawn_at.is_some(), "and does not look as if it still were");
    let invalid = Refusal::invalid;
    assert_eq!(ask(1, 2).await, Err(invalid("from", "after-the-end")));
    assert_eq!(ask(1, -1).await, Err(invalid("to", "in-the-future")));
    assert_eq!(ask(366, 0).await, Err(invalid("from", "more-than-a-year")));
    assert!(ask(365, 0).await.is_ok());
}
