//! A container as it is at this moment, from /proc and its control group on this host.

use std::time::{Duration, Instant};

use haechi_facts::live::{self, Groups, Live, Use};
use haechi_facts::root::Root;
use haechi_protocol::{Connection, ProcessRow, Resources};

use crate::Desk;

/// How long a container has to be seen: it may make whoever looks at it wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// The least time over which the use of processors is measured.
const MEASURED: Duration = Duration::from_millis(60);

/// What is seen now.
#[derive(Debug, Default)]
pub(super) struct Now {
    pub(super) processes: Option<Vec<ProcessRow>>,
    pub(super) connections: Vec<Connection>,
    pub(super) resources: Option<Resources>,
    pub(super) unseen: Vec<String>,
}

/// Looks at a container.
pub(super) async fn look(desk: &Desk, id: &str) -> Now {
    let (root, id) = (Root::new(&desk.setup.root), id.to_owned());
    let looking = tokio::task::spawn_blocking(move || now(&root, &id));
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(now)) => now,
        Ok(Err(error)) => unseen(error.to_string()),
        Err(_) => unseen("it could not be seen in time".to_owned()),
    }
}

fn unseen(why: String) -> Now {
    Now { unseen: vec![why], ..Now::default() }
}

fn now(root: &Root, id: &str) -> Now {
    let groups = match Groups::read(root) {
        Ok(groups) => groups,
        Err(error) => return unseen(format!("control groups: {error}")),
    };
    let Some(group) = groups.of(id) else { return Now::default() };
    let (began, before) = (Instant::now(), group.usage());
    let live = live::look(root, group);
    std::thread::sleep(MEASURED.saturating_sub(began.elapsed()));
    let after = group.usage();
    told(live, before, after, began.elapsed())
}

fn told(live: Live, before: Use, after: Use, over: Duration) -> Now {
    let processes = live.processes.into_iter().map(|one| ProcessRow {
        pid: one.pid,
        parent: one.parent,
        uid: one.uid,
        command: one.command,
    });
    let connections = live.sockets.into_iter().map(|one| Connection {
        protocol: one.protocol.to_owned(),
        local: one.local.to_string(),
        remote: one.remote.map(|remote| remote.to_string()).unwrap_or_default(),
    });
    let processes: Vec<ProcessRow> = processes.collect();
    Now {
        // A group without processes is what is left of a container; one of which they could not be seen is told as that.
        processes: (!processes.is_empty()).then_some(processes),
        connections: connections.collect(),
        resources: Some(Resources {
            memory: after.memory,
            memory_max: after.memory_max,
            cpu: share(before.cpu_us, after.cpu_us, over),
            cpu_us: after.cpu_us,
            cpu_max: after.cpu_max,
            pids: after.pids,
            pids_max: after.pids_max,
        }),
        unseen: live.unseen,
    }
}

/// Processors in use on average.
fn share(before: Option<u64>, after: Option<u64>, over: Duration) -> Option<f64> {
    let used = Duration::from_micros(after?.checked_sub(before?)?);
    let over = over.as_secs_f64();
    (over > 0.0).then(|| (used.as_secs_f64() / over * 100.0).round() / 100.0)
}
