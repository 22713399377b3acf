//! What tests of the desk begin with: a desk over an empty store with the embedded content, and somebody who asks.

use std::path::Path;
use std::sync::Arc;

use haechi_checks::Content;
use haechi_protocol::Role;
use haechi_store::Store;

use crate::accounts::{Accounts, Caller, Proof};
use crate::{Desk, Setup};

/// The benchmark that is verified.
pub(crate) const CIS: &str = "cis-docker-1.13.0";

/// A desk on a made-up host below this folder.
pub(crate) async fn desk(root: &Path, change: impl FnOnce(&mut Setup)) -> Arc<Desk> {
    let data_dir = root.join("data");
    let store = Store::open(&data_dir).await.unwrap();
    let accounts = Accounts::open(store.clone(), &data_dir).await.unwrap();
    let content = Content::embedded().unwrap_or_else(|_| panic!("embedded content"));
    let mut setup = Setup {
        benchmarks: vec![CIS.into()],
        root: root.to_owned(),
        ..Setup::of(store, Arc::new(content))
    };
    change(&mut setup);
    Desk::new(setup, accounts)
}

/// Somebody of this role, whose account has its name.
pub(crate) fn caller(role: Role) -> Caller {
    Caller {
        account: 1,
        name: role.name().into(),
        role,
        scope: None,
        address: String::new(),
        must_change: false,
        proof: Proof::None,
    }
}
