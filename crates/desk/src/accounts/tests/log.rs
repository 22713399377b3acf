//! The audit log: chained across processes, signed, and what a changed one says.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use haechi_audit::{Checkpoint, Verdict, Wrong, check, public_of};
use haechi_store::StoreError;
use serde_json::json;

use super::*;

async fn record(log: &AuditLog, subject: &str) -> u64 {
    log.record("minji", HOME, "Accept", subject, "done", &json!({})).await.unwrap()
}

async fn verdict(place: &Place) -> Verdict {
    let data = place.dir.path().join("data");
    let key = public_of(&fs::read_to_string(data.join(PUBLIC_FILE)).unwrap()).unwrap();
    let points = place.store.checkpoints().await.unwrap();
    let all = place.store.audit_after(0, 10_000).await.unwrap();
    check(all.into_iter().map(Ok::<_, StoreError>), &points, &key).unwrap()
}

fn head(place: &Place) -> Checkpoint {
    let head = fs::read_to_string(place.dir.path().join("data").join(HEAD_FILE)).unwrap();
    serde_json::from_str(&head).unwrap()
}

#[tokio::test]
async fn records_are_chained_by_several_writers_and_signed_each_hundred_and_at_the_end() {
    let place = Place::new().await;
    let data = place.dir.path().join("data");
    let begin = record(place.accounts.log(), "0").await;
    let other = Store::open(&data).await.unwrap();
    let others = Arc::new(AuditLog::open(other, &data).await.unwrap());
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let others = Arc::clone(&others);
            tokio::spawn(async move {
                for n in 0..30 {
                    record(&others, &format!("{task} {n}")).await;
                }
            })
        })
        .collect();
    for n in 0..130 {
        record(place.accounts.log(), &format!("{n} 해치")).await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    let found = verdict(&place).await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.records, found.signed), (begin + 250, 200));
    assert_eq!(head(&place).number, 200);
    place.accounts.log().close().await;
    place.accounts.log().close().await;
    let found = verdict(&place).await;
    assert!(found.is_whole() && found.signed == begin + 250 && found.checkpoints == 3, "{found:?}");
    assert_eq!(head(&place).number, begin + 250);
    let mode = |name: &str| fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("audit.key"), mode("audit.pub"), mode("audit.head")), (0o600, 0o644, 0o644));
}

#[tokio::test]
async fn texts_are_made_visible_and_cut() {
    let place = Place::new().await;
    let long = "가\u{1b}[2J".repeat(4_000);
    let detail = json!({ "reason": long, "n": { "list": ["\u{202e}x"] } });
    place.accounts.log().record(&long, &long, &long, &long, &long, &detail).await.unwrap();
    let record = place.store.audit_page(None, None, 1).await.unwrap().remove(0).record;
    for text in [record.actor, record.address, record.action, record.subject, record.outcome] {
        assert!(
            text.len() <= 256 && text.starts_with("가\\u{1b}[2J") && text.ends_with('…'),
            "{text}"
        );
    }
    assert!(record.detail.len() <= 8 << 10 && record.detail.contains("\\\\u{202e}x"));
    let many: Vec<&str> = vec!["text"; 10_000];
    place.accounts.log().record("a", "", "b", "", "", &json!(many)).await.unwrap();
    let record = place.store.audit_page(None, None, 1).await.unwrap().remove(0).record;
    assert!(record.detail.starts_with("{\"cut\":") && record.detail.len() < 8 << 10);
    assert!(verdict(&place).await.is_whole());
}

#[tokio::test]
async fn what_an_account_did_is_found_with_what_its_tokens_did() {
    let place = Place::new().await;
    for actor in ["minji", "token ci of minji", "token minji of other", "uid 0"] {
        place.accounts.log().record(actor, "", "Verify", "", "done", &json!({})).await.unwrap();
    }
    let of = async |account: &str| {
        let page = place.store.audit_page(Some(account), None, 10).await.unwrap();
        page.into_iter().map(|kept| kept.record.actor).collect::<Vec<_>>()
    };
    assert_eq!(of("Minji").await, ["token ci of minji", "minji"]);
    assert_eq!(of("other").await, ["token minji of other"]);
    let page = place.store.audit_page(None, None, 2).await.unwrap();
    let before = page[1].record.number.cast_signed();
    let next = place.store.audit_page(None, Some(before), 1).await.unwrap();
    assert_eq!(next[0].record.number, page[1].record.number - 1);
}

#[tokio::test]
async fn the_key_is_not_made_anew_and_has_to_fit() {
    let place = Place::new().await;
    let data = place.dir.path().join("data");
    place.accounts.log().close().await;
    assert!(place.store.newest_checkpoint().await.unwrap().is_none(), "nothing was done yet");
    record(place.accounts.log(), "x").await;
    place.accounts.log().close().await;
    let open = || AuditLog::open(place.store.clone(), &data);
    let key = data.join("audit.key");
    let said = |result: anyhow::Result<AuditLog>| format!("{:#}", result.err().unwrap());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(said(open().await).contains("other users can read it"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(data.join("audit.pub")).unwrap();
    open().await.unwrap();
    fs::rename(&key, data.join("elsewhere")).unwrap();
    assert!(said(open().await).contains("missing"));
    assert!(!key.exists());
}

#[tokio::test]
async fn a_log_that_was_cut_is_told_when_it_is_opened_and_the_proof_is_kept() {
    let place = Place::new().await;
    let data = place.dir.path().join("data");
    for n in 0..5 {
        record(place.accounts.log(), &n.to_string()).await;
    }
    place.accounts.log().close().await;
    let head = data.join(HEAD_FILE);
    let newer = fs::read_to_string(&head).unwrap();
    // A head of a log that went on: this one was put back to an older state.
    let cut: Checkpoint = serde_json::from_str(&newer).unwrap();
    let key =
        haechi_audit::secret_of(&fs::read_to_string(data.join("audit.key")).unwrap()).unwrap();
    let longer = Checkpoint::sign(cut.number + 7, cut.hash, cut.at, &key);
    fs::write(&head, serde_json::to_string(&longer).unwrap()).unwrap();
    AuditLog::open(place.store.clone(), &data).await.unwrap().close().await;
    let aside = data.join(format!("{HEAD_FILE}.{}", longer.number));
    assert!(aside.exists());
    let last = place.store.audit_page(None, None, 1).await.unwrap().remove(0).record;
    assert_eq!((last.action.as_str(), last.outcome.as_str()), ("AuditLog", "broken"));
    assert!(last.detail.contains("does not fit"), "{}", last.detail);
    let found: Vec<Wrong> = verdict(&place).await.faults.iter().map(|fault| fault.wrong).collect();
    assert_eq!(found, [Wrong::Broken]);
}

#[tokio::test]
async fn a_cut_log_whose_head_is_gone_or_garbled_is_not_made_good_by_opening_it() {
    for garbled in [None, Some("nothing that could be read")] {
        let place = Place::new().await;
        let data = place.dir.path().join("data");
        let open = || AuditLog::open(place.store.clone(), &data);
        record(place.accounts.log(), "first").await;
        place.accounts.log().close().await;
        // Killed after the first checkpoint, before its file was written.
        fs::remove_file(data.join(HEAD_FILE)).unwrap();
        open().await.unwrap();
        assert!(verdict(&place).await.is_whole() && head(&place).number > 0);
        let number = record(place.accounts.log(), "second").await;
        place.accounts.log().close().await;
        match garbled {
            None => fs::remove_file(data.join(HEAD_FILE)).unwrap(),
            Some(text) => fs::write(data.join(HEAD_FILE), text).unwrap(),
        }
        for _ in 0..2 {
            open().await.unwrap().close().await;
        }
        let found = verdict(&place).await;
        let told: Vec<_> = found.faults.iter().map(|fault| (fault.first, fault.wrong)).collect();
        assert_eq!(told, [(number + 1, Wrong::Broken)], "once, and for good");
        assert_eq!((found.signed, head(&place).number), (number + 1, number + 1));
        assert_eq!(data.join("audit.unreadable").exists(), garbled.is_some());
    }
}
