//! Which distribution a component or a purl means, in the names of `os-release`.

use haechi_core::inventory::Distro;

use super::super::component::Component;

/// A distribution by id and version.
pub(super) fn new(id: &str, version: &str) -> Distro {
    let numbered = version.starts_with(|c: char| c.is_ascii_digit());
    Distro {
        id: id.to_owned(),
        version: version.to_owned(),
        codename: if numbered { String::new() } else { version.to_owned() },
        ..Distro::default()
    }
}

/// From a component of the type operating-system.
pub(super) fn of(component: &Component) -> Distro {
    let text = |names: &[&str]| component.get(names).map(str::to_owned);
    let id = text(&["haechi:distro-id", "syft:distro:id"]).unwrap_or_else(|| id(&component.name));
    let version = text(&["syft:distro:versionID"]).unwrap_or_else(|| component.version.clone());
    let like = (0..8)
        .map_while(|n| component.get(&[&format!("syft:distro:idLike:{n}")]))
        .map(str::to_owned);
    Distro {
        codename: text(&["haechi:distro-codename", "syft:distro:versionCodename"])
            .unwrap_or_else(|| new(&id, &version).codename),
        name: text(&["haechi:distro-name", "syft:distro:prettyName"]).unwrap_or_default(),
        like: match text(&["haechi:distro-like"]) {
            Some(like) => like.split(' ').map(str::to_owned).collect(),
            None => like.collect(),
        },
        id,
        version,
    }
}

/// The id in `os-release` of a distribution that other tools call by a name of their own.
pub(super) fn id(name: &str) -> String {
    let name = name.to_lowercase();
    match name.as_str() {
        "redhat" | "red hat enterprise linux" | "red hat" => "rhel",
        "amazon" | "amazonlinux" | "amazon linux" => "amzn",
        "oracle" | "oracle linux" | "oraclelinux" => "ol",
        "alma" => "almalinux",
        "suse linux enterprise server" | "sle" | "suse" | "slem" => "sles",
        "opensuse.leap" | "opensuse leap" => "opensuse-leap",
        "opensuse.tumbleweed" | "opensuse tumbleweed" => "opensuse-tumbleweed",
        "alpine linux" => "alpine",
        "cbl-mariner" => "mariner",
        "azure" => "azurelinux",
        _ => return name,
    }
    .to_owned()
}

/// From a purl's namespace and its qualifier `distro`: `debian-12`, `12`, `bookworm`, or nothing.
pub(super) fn of_purl(namespace: &str, distro: &str) -> Option<(String, String)> {
    if distro.is_empty() {
        return None;
    }
    if let Some(rest) = distro.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('-'))
        && !namespace.is_empty()
        && !matches!(rest, "leap" | "tumbleweed")
        && !rest.starts_with("leap-")
        && !rest.starts_with("tumbleweed-")
    {
        return Some((id(namespace), rest.to_owned()));
    }
    if distro.starts_with(|c: char| c.is_ascii_digit()) {
        return (!namespace.is_empty()).then(|| (id(namespace), distro.to_owned()));
    }
    match distro.rsplit_once('-') {
        Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => {
            Some((id(name), version.to_owned()))
        }
        // A codename alone, as in the specification's example (`distro=jessie`).
        None if !namespace.is_empty() && id(namespace) != id(distro) => {
            Some((id(namespace), distro.to_owned()))
        }
        _ => Some((id(distro), String::new())),
    }
}

/// Whether a distribution named in fewer words is the same one.
pub(super) fn agrees(distro: &Distro, id: &str, version: &str) -> bool {
    let begins = |long: &str, short: &str| {
        long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    distro.id == id
        && (version.is_empty()
            || distro.version.is_empty()
            || begins(&distro.version, version)
            || begins(version, &distro.version)
            || version == distro.codename)
}
