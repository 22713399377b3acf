//! Work of `haechi serve`, each piece a process of its own: it keeps what it finds, and says on stdout how far it is.

use std::sync::Arc;
use std::time::Duration;

use crate::args::Work;
use crate::exit;
use crate::failure::Failure;
use crate::setting::Setting;

use super::inventory::{self, Verified};
use super::{collect, verify, watched};

pub async fn run(work: &Work, setting: &Setting) -> anyhow::Result<u8> {
    // With the desk that asked for it, work ends: what is kept is kept whole or not at all.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    let mut setting = setting.clone();
    setting.beats = true;
    let setting = &setting;
    match work {
        Work::Verify { benchmark, timeout, offline, reading } => {
            let content = Arc::new(super::content(setting)?);
            let mut policy = setting.policy()?;
            let store = super::store(setting).await?;
            let accepted = store.exceptions().await.map_err(super::store_failure)?;
            policy.policy.exceptions.extend(accepted.into_iter().map(|(_, exception)| exception));
            let store = Ok(store);
            let timeout = Duration::from_secs(*timeout);
            let mut snapshot = collect::facts(setting, &policy, timeout, &store).await;
            let images = collect::images(&mut snapshot, &policy, reading, *offline, setting).await;
            watched::packages(&mut snapshot, &images, &store, &policy).await;
            let store = store?;
            let (mut first, mut reports) = (None, Vec::new());
            for id in benchmark {
                let Some(benchmark) = content.benchmark(id) else {
                    let known = String::new();
                    return Err(Failure::UnknownBenchmark { id: id.clone(), known }.into());
                };
                let mut report = haechi_checks::verify(&content, benchmark, &snapshot, &policy)
                    .map_err(|errors| super::invalid(&errors))?;
                let id = verify::kept(&mut report, &snapshot, &store)
                    .await
                    .map_err(super::store_failure)?;
                first = first.or(Some(id));
                reports.push(report);
            }
            if let Some(id) = first {
                let (reports, policy) = (reports.iter().collect(), &policy.policy);
                let verified = Verified { snapshot: &snapshot, reports, images: &images, policy };
                inventory::keep(&verified, id, &store, setting)
                    .await
                    .map_err(super::store_failure)?;
            }
            store.close().await;
            Ok(exit::CLEAN)
        }
    }
}
