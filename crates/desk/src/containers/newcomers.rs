//! Containers that run and that the last verification did not see: nothing is known of them, and that is said.
//!
//! Which run is told by their control groups, which is quick on a host with 10,000 of them; the engine is only asked for
//! the names of the few that are new. If it does not answer, they are shown without.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use haechi_core::report::Counts;
use haechi_facts::engine::api::{Api, Call};
use haechi_facts::engine::http::HttpApi;
use haechi_facts::live::Groups;
use haechi_facts::root::Root;
use haechi_protocol::{ContainerRow, Refusal};
use haechi_store::InventoryRow;
use serde_json::Value;

use crate::quiet::Quiet;
use crate::{Desk, unavailable};

/// Newcomers that are shown; after so many it is time for a verification.
const MOST: usize = 50;
/// Questions to the engine at the same time.
const AT_ONCE: usize = 8;
/// How long the engine has for a name: a page waits for it.
const ENGINE: Duration = Duration::from_secs(1);
/// Digits of a container's id, and of what people are shown of it.
const ID: usize = 64;
const ID_SHORT: usize = 12;
/// Whoever asks for containers asks the engine: what it does not say is not told each time.
static SILENT: Quiet = Quiet::new();

/// Whether a text is the full id of a container.
pub(crate) fn is_container_id(id: &str) -> bool {
    id.len() == ID && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Those that are not in the inventory, by their names; with a text only those whose name, id or image has it in it.
pub(super) async fn list(
    desk: &Desk,
    inventory: Option<&InventoryRow>,
    text: Option<&str>,
) -> Result<Vec<ContainerRow>, Refusal> {
    let root = Root::new(&desk.setup.root);
    let running = tokio::task::spawn_blocking(move || {
        Groups::read(&root).map(|groups| groups.running().map(str::to_owned).collect::<Vec<_>>())
    });
    let running = match running.await.map_err(unavailable)? {
        Ok(running) => running,
        Err(error) => {
            SILENT.warn(format_args!("which containers run now is not known: {error}"));
            return Ok(Vec::new());
        }
    };
    let store = &desk.setup.store;
    let mut new = match inventory {
        Some(inventory) => store.not_kept(inventory.id, &running).await.map_err(unavailable)?,
        None => running,
    };
    new.truncate(MOST);
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let engine = connect(desk);
    let rows = stream::iter(new).map(|id| {
        let engine = engine.as_ref();
        async move {
            match inspect(engine, &id).await {
                Inspected::Is(row) => Some(*row),
                Inspected::Runs | Inspected::Unknown => Some(nameless(&id)),
                // It has ended, or is another engine's.
                Inspected::Gone => None,
            }
        }
    });
    let mut rows: Vec<ContainerRow> =
        rows.buffer_unordered(AT_ONCE).filter_map(|row| async { row }).collect().await;
    if let Some(text) = text {
        let text = text.to_lowercase();
        let has = |part: &str| part.to_lowercase().contains(&text);
        rows.retain(|row| has(&row.name) || has(&row.id) || has(&row.image));
    }
    rows.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(rows)
}

/// What there is of this id now: of another engine's container the control group is all that tells.
pub(super) async fn one(desk: &Desk, id: &str) -> Result<Inspected, Refusal> {
    let told = inspect(connect(desk).as_ref(), id).await;
    if matches!(told, Inspected::Is(_)) {
        return Ok(told);
    }
    let (root, sought) = (Root::new(&desk.setup.root), id.to_owned());
    let runs = tokio::task::spawn_blocking(move || {
        Groups::read(&root).map(|groups| groups.of(&sought).is_some())
    });
    Ok(match runs.await.map_err(unavailable)? {
        Ok(true) => Inspected::Runs,
        Ok(false) => told,
        Err(_) => Inspected::Unknown,
    })
}

/// What is known of an id at this moment.
pub(super) enum Inspected {
    /// The engine says what it is.
    Is(Box<ContainerRow>),
    /// It has processes, and the engine does not say more.
    Runs,
    /// There is none.
    Gone,
    /// The engine does not answer, and nothing runs.
    Unknown,
}

fn connect(desk: &Desk) -> Option<HttpApi> {
    let root = Root::new(&desk.setup.root);
    let connected = HttpApi::connect(desk.setup.endpoint.as_deref(), &root, ENGINE);
    connected.map_err(|error| SILENT.warn(format_args!("the engine is not asked: {error}"))).ok()
}

async fn inspect(engine: Option<&HttpApi>, id: &str) -> Inspected {
    let Some(engine) = engine else { return Inspected::Unknown };
    match engine.ask(Call::Container(id)).await {
        Ok(answer) => {
            let text = |pointer: &str| {
                answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            Inspected::Is(Box::new(ContainerRow {
                name: text("/Name").trim_start_matches('/').to_owned(),
                image: text("/Config/Image"),
                image_id: text("/Image"),
                state: text("/State/Status"),
                ..nameless(id)
            }))
        }
        Err(error) if error.is_not_found() => Inspected::Gone,
        Err(error) => {
            SILENT.warn(format_args!("the engine did not say what {id} is: {error}"));
            Inspected::Unknown
        }
    }
}

/// A container of which only the id is known.
pub(super) fn nameless(id: &str) -> ContainerRow {
    ContainerRow {
        id: id.to_owned(),
        name: id.get(..ID_SHORT).unwrap_or(id).to_owned(),
        image: String::new(),
        image_id: String::new(),
        safety: None,
        state: "running".to_owned(),
        verified: false,
        rank: 0.0,
        counts: Counts::default(),
        failing: BTreeMap::new(),
        alerts: 0,
    }
}
