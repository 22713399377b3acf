//! The least that a workload needs, as options of `docker run`, as a service of Compose, and as a pod of Kubernetes.
//!
//! Whatever a profile names is quoted; what cannot be quoted is not in it (see [`crate::writable`]).

use std::fmt::Write;

use haechi_core::profile::Profile;
use haechi_core::text::visible;
use serde_json::{Value, json};

use crate::least::Least;

/// What the fragment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A command line for a shell.
    Docker,
    /// A service of Compose.
    Compose,
    /// A pod of Kubernetes.
    Kubernetes,
}

/// Names that the fragment uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Name of the service or container; letters, digits and `-` only.
    pub service: String,
    /// The image; `IMAGE` if it has no name that an engine takes.
    pub image: String,
    /// File name of the seccomp profile.
    pub seccomp: String,
}

impl Names {
    /// Names for a workload, from the name of a container of it.
    pub fn of(profile: &Profile, container: &str) -> Self {
        let service = slug(container);
        // A reference begins with a letter or a digit: what does not could be taken for an option.
        let is_reference = |name: &&&String| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
            name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_plain)
        };
        let image = [&profile.image_name, &profile.workload.image];
        let image =
            image.iter().find(is_reference).map_or("IMAGE", |name| name.as_str()).to_owned();
        Self { seccomp: format!("{service}.seccomp.json"), service, image }
    }
}

/// What is left of a name if it may only have small letters, digits and `-`.
pub fn slug(name: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9') => c,
        _ => '-',
    };
    let name: String = name.chars().map(plain).take(50).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "container".to_owned() } else { name.to_owned() }
}

/// Writes the fragment; lines of remarks stand before it as comments.
pub fn write(least: &Least, names: &Names, format: Format, remarks: &[String]) -> String {
    let mut out = String::new();
    for remark in remarks.iter().flat_map(|remark| remark.lines()) {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "# {}", visible(remark));
    }
    out.push_str(&match format {
        Format::Docker => docker(least, names),
        Format::Compose => yaml(&compose(least, names)),
        Format::Kubernetes => yaml(&kubernetes(least, names)),
    });
    out
}

fn docker(least: &Least, names: &Names) -> String {
    let mut options = vec![option("--security-opt", &format!("seccomp={}", names.seccomp))];
    if let Some(used) = &least.capabilities.used {
        options.push("--cap-drop ALL".to_owned());
        options.extend(used.iter().map(|name| option("--cap-add", name)));
    }
    if least.no_new_privileges {
        options.push("--security-opt no-new-privileges".to_owned());
    }
    if least.is_read_only() {
        options.push("--read-only".to_owned());
    }
    options.extend(least.tmpfs().iter().map(|tmpfs| option("--tmpfs", &mount(tmpfs))));
    options.extend(least.pids.map(|limit| format!("--pids-limit {limit}")));
    options.extend(least.memory.map(|limit| format!("--memory {}m", limit >> 20)));
    options.push(quote(&names.image));
    format!("docker run \\\n  {}\n", options.join(" \\\n  "))
}

/// A folder in memory, as `--tmpfs` and Compose take it.
pub fn mount(tmpfs: &crate::writable::Tmpfs) -> String {
    format!("{}{}", tmpfs.path, if tmpfs.executes { ":exec" } else { "" })
}

fn option(name: &str, value: &str) -> String {
    format!("{name} {}", quote(value))
}

/// A word for a shell.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:@,+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn compose(least: &Least, names: &Names) -> Value {
    let mut security = vec![format!("seccomp=./{}", names.seccomp)];
    if least.no_new_privileges {
        security.push("no-new-privileges:true".to_owned());
    }
    let mut service = json!({"image": names.image, "security_opt": security});
    if let Some(used) = &least.capabilities.used {
        set(&mut service, "cap_drop", json!(["ALL"]));
        if !used.is_empty() {
            set(&mut service, "cap_add", json!(used));
        }
    }
    if least.is_read_only() {
        set(&mut service, "read_only", json!(true));
    }
    if !least.tmpfs().is_empty() {
        let tmpfs: Vec<String> = least.tmpfs().iter().map(mount).collect();
        set(&mut service, "tmpfs", json!(tmpfs));
    }
    if let Some(limit) = least.pids {
        set(&mut service, "pids_limit", json!(limit));
    }
    if let Some(limit) = least.memory {
        set(&mut service, "mem_limit", json!(format!("{}m", limit >> 20)));
    }
    json!({"services": {&names.service: service}})
}

fn kubernetes(least: &Least, names: &Names) -> Value {
    let mut security = json!({
        "seccompProfile": {"type": "Localhost", "localhostProfile": format!("profiles/{}", names.seccomp)},
    });
    if let Some(used) = &least.capabilities.used {
        let mut used = used.clone();
        // Docker lets everybody take such a port in a network of its own, Kubernetes does not.
        used.extend(least.has_low_port.then(|| "NET_BIND_SERVICE".to_owned()));
        set(&mut security, "capabilities", json!({"drop": ["ALL"], "add": used}));
    }
    if least.no_new_privileges {
        set(&mut security, "allowPrivilegeEscalation", json!(false));
    }
    if least.is_read_only() {
        set(&mut security, "readOnlyRootFilesystem", json!(true));
    }
    let mut container =
        json!({"name": names.service, "image": names.image, "securityContext": security});
    if let Some(limit) = least.memory {
        let limit = format!("{}Mi", limit >> 20);
        set(&mut container, "resources", json!({"limits": {"memory": limit}}));
    }
    let volumes =
        || least.tmpfs().iter().enumerate().map(|(at, tmpfs)| (format!("memory-{at}"), tmpfs));
    let mut spec = json!({});
    if !least.tmpfs().is_empty() {
        let mounts: Vec<Value> =
            volumes().map(|(name, tmpfs)| json!({"name": name, "mountPath": tmpfs.path})).collect();
        set(&mut container, "volumeMounts", json!(mounts));
        let all: Vec<Value> = volumes()
            .map(|(name, _)| json!({"name": name, "emptyDir": {"medium": "Memory"}}))
            .collect();
        set(&mut spec, "volumes", json!(all));
    }
    set(&mut spec, "containers", json!([container]));
    let metadata = json!({"name": names.service});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn yaml(value: &Value) -> String {
    serde_norway::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
