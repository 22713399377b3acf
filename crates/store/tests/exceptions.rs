//! Exceptions are kept, listed in order, and forgotten for good.

use haechi_core::SubjectKind;
use haechi_core::policy::Exception;
use haechi_store::{Store, StoreError};
use jiff::civil::Date;

fn exception(check: &str, kind: Option<SubjectKind>) -> Exception {
    Exception {
        check: check.into(),
        kind,
        subject: "웹-*".into(),
        reason: "reviewed; it's fine".into(),
        owner: "platform".into(),
        expires: Date::constant(2026, 12, 31),
    }
}

#[tokio::test]
async fn exceptions_are_kept_until_they_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("data")).await.unwrap();
    let first = exception("container-not-privileged", None);
    let second = exception("image-user", Some(SubjectKind::Image));
    let one = store.add_exception(&first).await.unwrap();
    let two = store.add_exception(&second).await.unwrap();
    store.close().await;

    let store = Store::open(&dir.path().join("data")).await.unwrap();
    assert_eq!(store.exceptions().await.unwrap(), [(one, first), (two, second.clone())]);
    store.remove_exception(one).await.unwrap();
    assert!(
        matches!(store.remove_exception(one).await, Err(StoreError::NoException(n)) if n == one)
    );
    let three = store.add_exception(&second).await.unwrap();
    assert!(three > two, "no number is used twice");
    assert_eq!(store.exceptions().await.unwrap().len(), 2);
}
