//! Mounts of a container, with the paths of the host that are really seen inside.
//!
//! Links are resolved below the root, local volumes that bind a path of the host are followed to it, a volume's
//! directory that leads elsewhere is too, and so are mounts on the host ([`places`]). Engine sockets are found
//! wherever they are reachable ([`sockets`]).

mod places;
mod sockets;

use std::path::Path;

use haechi_core::facts::ContainerMount;
use haechi_core::finding::Cause;
use serde_json::Value;

use super::containers::Surroundings;
use super::json::{Reader, text_at};
use super::volumes::{Bound, Volumes};
pub(super) use places::resolve;
pub(super) use sockets::Sockets;

/// What is known of the paths behind a mount.
#[derive(Debug, Default)]
struct Seen {
    /// All that were found.
    paths: Vec<String>,
    /// Why there may be more.
    gaps: Vec<(Cause, String)>,
}

/// The mounts of an inspected container.
pub(super) fn build(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    volumes: Option<&Volumes>,
) -> Option<Vec<ContainerMount>> {
    if reader.at("Mounts").is_none() {
        // Engines write no mounts as an empty list.
        reader.gap("mounts", Cause::Missing, "the engine's answer has no Mounts");
        return None;
    }
    let mounts = reader.list("Mounts", "mounts")?;
    let mut mounts: Vec<ContainerMount> =
        mounts.iter().map(|mount| build_one(around, reader, volumes, mount)).collect();
    let tmpfs = reader.keys("HostConfig.Tmpfs", "mounts").unwrap_or_default();
    for destination in tmpfs {
        if !mounts.iter().any(|mount| mount.destination.as_ref() == Some(&destination)) {
            mounts.push(ContainerMount {
                kind: Some("tmpfs".into()),
                name: Some(String::new()),
                source: Some(String::new()),
                host_path: Some(String::new()),
                host_paths: Some(Vec::new()),
                destination: Some(destination),
                writable: Some(true),
                propagation: Some(String::new()),
                engine_sockets: Some(Vec::new()),
            });
        }
    }
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    Some(mounts)
}

fn build_one(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    volumes: Option<&Volumes>,
    mount: &Value,
) -> ContainerMount {
    let text = |field| text_at(mount, field).to_owned();
    let (name, source) = (text("Name"), text("Source"));
    let kind = match text_at(mount, "Type") {
        // Engines before 1.13 do not say.
        "" if name.is_empty() => "bind".to_owned(),
        "" => "volume".to_owned(),
        kind => kind.to_owned(),
    };
    let writable = mount.get("RW").and_then(Value::as_bool);
    if writable.is_none() {
        reader.gap(
            "mounts.writable",
            Cause::Missing,
            "the engine does not say which mounts can be written",
        );
    }
    let seen = match kind.as_str() {
        "bind" | "npipe" => host_paths(around, &[&source]),
        "volume" | "cluster" => volume_paths(around, volumes, mount, &name, &source),
        _ => Seen::default(),
    };
    let sockets = sockets(around, &seen);
    if let Err((cause, detail)) = &sockets {
        reader.gap("mounts.engine_sockets", *cause, detail.clone());
    }
    let known = seen.gaps.is_empty() || !seen.paths.is_empty();
    for (cause, detail) in &seen.gaps {
        if !known {
            reader.gap("mounts.host_path", *cause, detail.clone());
        }
        // What was found is told nevertheless: it is enough for a failure, and never for a pass.
        reader.gap("mounts.host_paths", *cause, detail.clone());
    }
    ContainerMount {
        kind: Some(kind),
        name: Some(name),
        source: Some(source),
        host_path: known.then(|| seen.paths.first().cloned().unwrap_or_default()),
        host_paths: known.then_some(seen.paths),
        destination: Some(text("Destination")),
        writable,
        propagation: Some(text("Propagation")),
        engine_sockets: sockets.ok(),
    }
}

/// The engine sockets at or below what is seen.
fn sockets(around: &Surroundings<'_>, seen: &Seen) -> Result<Vec<String>, (Cause, String)> {
    let mut found: Vec<String> = Vec::new();
    let mut unknown = seen.gaps.first().cloned();
    for path in &seen.paths {
        match around.sockets.below(around.scene.root, path) {
            Ok(sockets) => found.extend(sockets),
            Err(why) => unknown = unknown.or(Some(why)),
        }
    }
    let mut once = std::collections::BTreeSet::new();
    found.retain(|socket| once.insert(socket.clone()));
    match unknown {
        // One that is seen is enough to know.
        Some(why) if found.is_empty() => Err(why),
        _ => Ok(found),
    }
}

/// All places of what these paths lead to.
fn host_paths(around: &Surroundings<'_>, sources: &[&str]) -> Seen {
    let mut seen = Seen::default();
    if !around.daemon.local {
        seen.gaps.push(around.daemon.elsewhere());
        return seen;
    }
    for source in sources {
        match absolute(around, source).and_then(|path| resolve(around.scene.root, &path)) {
            Ok(path) => add_places(around, &path, &mut seen),
            Err(why) => seen.gaps.push(why),
        }
    }
    seen.gaps.extend(around.sockets.places.unknown().cloned());
    seen
}

/// Adds a real path and all its other places; where the engine's data lie, also as the engine calls it.
fn add_places(around: &Surroundings<'_>, path: &str, seen: &mut Seen) {
    let data = data_root(around);
    let mut places = around.sockets.places.behind(path, data);
    if let Ok(real) = resolve(around.scene.root, data)
        && real != data
    {
        let real = Path::new(&real);
        let names: Vec<String> = places
            .iter()
            .filter_map(|place| match Path::new(place).strip_prefix(real) {
                Ok(rest) => Some(Path::new(data).join(rest).display().to_string()),
                Err(_) => real.starts_with(place).then(|| data.to_owned()),
            })
            .collect();
        places.extend(names);
    }
    for place in places {
        if !seen.paths.contains(&place) {
            seen.paths.push(place);
        }
    }
}

fn data_root<'a>(around: &Surroundings<'a>) -> &'a str {
    let data = around.engine.data_root.as_deref().filter(|data| data.starts_with('/'));
    data.unwrap_or("/var/lib/docker")
}

/// The path as the daemon takes it: a relative one is below the directory that it runs in.
fn absolute(around: &Surroundings<'_>, path: &str) -> Result<String, (Cause, String)> {
    if path.starts_with('/') {
        return Ok(path.to_owned());
    }
    let root = around.scene.root;
    let process = around.daemon.process.as_ref().ok_or_else(|| around.daemon.unseen())?;
    let link = std::fs::read_link(root.proc(&format!("{}/cwd", process.pid))).map_err(|error| {
        (Cause::Permission, format!("the directory of the daemon's process: {error}"))
    })?;
    // Seen from a container, the kernel tells the path with the place where the host is mounted.
    let directory = link.strip_prefix(root.base()).unwrap_or(&link);
    Ok(Path::new("/").join(directory).join(path).display().to_string())
}

/// The paths of the host behind a volume; none if the engine keeps the data at its own place.
fn volume_paths(
    around: &Surroundings<'_>,
    volumes: Option<&Volumes>,
    mount: &Value,
    name: &str,
    source: &str,
) -> Seen {
    let missing = |detail: String| Seen { gaps: vec![(Cause::Missing, detail)], ..Seen::default() };
    let Some(volumes) = volumes else {
        return missing("the engine's volumes are not known".into());
    };
    if let Some(bound) = volumes.bound(name) {
        return bound_paths(around, name, bound);
    }
    if text_at(mount, "Type") == "cluster" || source.is_empty() {
        return Seen::default();
    }
    if !volumes.has(name) {
        return missing(format!("the volume {name:?} is not in the engine's list"));
    }
    let all = host_paths(around, &[source]);
    let (Some(real), true) = (all.paths.first(), around.daemon.local) else { return all };
    let Ok(data) = resolve(around.scene.root, data_root(around)) else { return all };
    let own = ["volumes", "plugins"].map(|place| Path::new(&data).join(place));
    let Some(place) = own.iter().find(|place| Path::new(real).starts_with(place)) else {
        return all;
    };
    // The engine's own directory; but something of the host may be mounted on it, or below it.
    let places = &around.sockets.places;
    let mut seen = Seen { gaps: all.gaps.clone(), ..Seen::default() };
    seen.paths = if places.is_mounted_below(real, place) {
        all.paths.iter().filter(|path| !Path::new(path).starts_with(place)).cloned().collect()
    } else {
        places.mounted_below(real, &data)
    };
    let named = Path::new(data_root(around));
    seen.paths.retain(|path| !Path::new(path).starts_with(named.join("volumes")));
    seen
}

/// What a volume's driver options show.
fn bound_paths(around: &Surroundings<'_>, name: &str, bound: &Bound) -> Seen {
    let sources: Vec<&str> = bound.paths.iter().chain(&bound.disks).map(String::as_str).collect();
    let mut seen = host_paths(around, &sources);
    for disk in &bound.disks {
        let real = absolute(around, disk).and_then(|path| resolve(around.scene.root, &path));
        if !real.is_ok_and(|real| Path::new(&real).starts_with("/dev")) {
            let detail = format!("the volume {name:?} shows the disk {disk:?}, which is not known");
            seen.gaps.push((Cause::Missing, detail));
        }
    }
    if !bound.unknown.is_empty() {
        let detail =
            format!("the volume {name:?} is mounted in a way not known: {}", bound.unknown);
        seen.gaps.push((Cause::Missing, detail));
    }
    seen
}
