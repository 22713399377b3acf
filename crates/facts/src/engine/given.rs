//! What a container was given: its HostConfig, and the ports published for it.
//!
//! One to one from the inspect, in the words of the facts; what it amounts to is worked out elsewhere.

use haechi_core::facts::{Device, HostConfig, PublishedPort};
use haechi_core::finding::Cause;
use serde_json::Value;

use super::json::{self, Absent, Reader, text_at};

/// The HostConfig.
pub(super) fn host_config(reader: Reader<'_>) -> HostConfig {
    let text = |path: &str, fact: &str, absent| {
        reader.text(&format!("HostConfig.{path}"), &format!("host_config.{fact}"), absent)
    };
    let int = |path: &str, fact: &str| {
        reader.int(&format!("HostConfig.{path}"), &format!("host_config.{fact}"), Absent::Unknown)
    };
    let bool = |path: &str, fact: &str| {
        reader.bool(&format!("HostConfig.{path}"), &format!("host_config.{fact}"), Absent::Unknown)
    };
    let texts = |path: &str, fact: &str| {
        reader.texts(&format!("HostConfig.{path}"), &format!("host_config.{fact}"))
    };
    // Without HostConfig nothing below may take a default.
    if reader.at("HostConfig").is_none() {
        reader.gap("host_config", Cause::Missing, "the engine's answer has no HostConfig");
        return HostConfig::default();
    }
    HostConfig {
        privileged: bool("Privileged", "privileged"),
        cap_add: texts("CapAdd", "cap_add").map(super::capabilities::plain),
        cap_drop: texts("CapDrop", "cap_drop").map(super::capabilities::plain),
        security_opt: texts("SecurityOpt", "security_opt")
            .map(|o| super::confinement::shown_options(&o)),
        network_mode: text("NetworkMode", "network_mode", Absent::Unknown),
        pid_mode: text("PidMode", "pid_mode", Absent::Unknown),
        ipc_mode: text("IpcMode", "ipc_mode", Absent::Unknown),
        uts_mode: text("UTSMode", "uts_mode", Absent::Unknown),
        userns_mode: text("UsernsMode", "userns_mode", Absent::Unknown),
        // Engines before 20.10 have no such namespaces and leave it out.
        cgroupns_mode: text("CgroupnsMode", "cgroupns_mode", Absent::Means("host")),
        cgroup_parent: text("CgroupParent", "cgroup_parent", Absent::Unknown),
        readonly_rootfs: bool("ReadonlyRootfs", "readonly_rootfs"),
        memory: int("Memory", "memory"),
        nano_cpus: int("NanoCpus", "nano_cpus"),
        cpu_shares: int("CpuShares", "cpu_shares"),
        cpu_quota: int("CpuQuota", "cpu_quota"),
        cpu_period: reader.int("HostConfig.CpuPeriod", "host_config.cpu_period", Absent::Means(0)),
        cpuset_cpus: text("CpusetCpus", "cpuset_cpus", Absent::Unknown),
        pids_limit: reader.int("HostConfig.PidsLimit", "host_config.pids_limit", Absent::Means(0)),
        restart_policy: text("RestartPolicy.Name", "restart_policy", Absent::Unknown)
            .map(|policy| if policy.is_empty() { "no".into() } else { policy }),
        restart_retries: int("RestartPolicy.MaximumRetryCount", "restart_retries"),
        devices: reader
            .list("HostConfig.Devices", "host_config.devices")
            .map(|devices| devices.iter().map(device).collect()),
        device_cgroup_rules: texts("DeviceCgroupRules", "device_cgroup_rules"),
        device_requests: reader
            .list("HostConfig.DeviceRequests", "host_config.device_requests")
            .map(|requests| requests.iter().map(device_request).collect()),
        ulimits: ulimits(reader),
        log_driver: text("LogConfig.Type", "log_driver", Absent::Unknown),
        runtime: text("Runtime", "runtime", Absent::Means("")),
        publish_all_ports: bool("PublishAllPorts", "publish_all_ports"),
        volumes_from: texts("VolumesFrom", "volumes_from"),
        group_add: texts("GroupAdd", "group_add"),
        sysctls: reader.map("HostConfig.Sysctls", "host_config.sysctls").map(|sysctls| {
            sysctls.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
        }),
    }
}

fn device(device: &Value) -> Device {
    let text = |path| Some(text_at(device, path).to_owned());
    Device {
        host_path: text("PathOnHost"),
        container_path: text("PathInContainer"),
        permissions: text("CgroupPermissions"),
    }
}

fn device_request(request: &Value) -> String {
    let sets = request.get("Capabilities").and_then(Value::as_array);
    let words = sets.into_iter().flatten().filter_map(json::texts).flatten();
    let words: Vec<String> = words.collect();
    format!("{}:{}", text_at(request, "Driver"), words.join(","))
}

fn ulimits(reader: Reader<'_>) -> Option<Vec<String>> {
    let fact = "host_config.ulimits";
    let limit = |limit: &Value| {
        let number = |field| json::int(limit.get(field)?);
        Some(format!("{}={}:{}", text_at(limit, "Name"), number("Soft")?, number("Hard")?))
    };
    let limits: Option<Vec<String>> =
        reader.list("HostConfig.Ulimits", fact)?.iter().map(limit).collect();
    if limits.is_none() {
        reader.gap(fact, Cause::Missing, "a limit in the engine's answer is malformed");
    }
    limits
}

/// Ports as configured and, for a running container, as they are.
pub(super) fn ports(reader: Reader<'_>) -> Option<Vec<PublishedPort>> {
    let mut ports = Vec::new();
    for path in ["NetworkSettings.Ports", "HostConfig.PortBindings"] {
        let Some(found) = reader.at(path) else { continue };
        let Some(found) = found.as_object().and_then(|map| map.iter().map(bindings).collect())
        else {
            reader.gap(
                "ports",
                Cause::Missing,
                format!("{path} in the engine's answer is malformed"),
            );
            return None;
        };
        let found: Vec<Vec<Binding>> = found;
        for Binding { port, chosen } in found.into_iter().flatten() {
            // A binding whose port the engine chooses is shown as configured only while it has none.
            let chosen = chosen
                && ports.iter().any(|known: &PublishedPort| {
                    (known.container_port, &known.protocol) == (port.container_port, &port.protocol)
                });
            if !chosen && !ports.contains(&port) {
                ports.push(port);
            }
        }
    }
    ports.sort_by_key(|port| {
        (port.container_port, port.protocol.clone(), port.host_address.clone(), port.host_port)
    });
    Some(ports)
}

/// A published port, and whether the engine chooses the port of the host at the start.
struct Binding {
    port: PublishedPort,
    chosen: bool,
}

/// The bindings of one port, as `"80/tcp": [{"HostIp": "", "HostPort": "8080"}]`; null for none.
fn bindings((port, bindings): (&String, &Value)) -> Option<Vec<Binding>> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let number: u16 = number.parse().ok()?;
    let bindings = match bindings {
        Value::Null => return Some(Vec::new()),
        Value::Array(bindings) => bindings,
        _ => return None,
    };
    let binding = |binding: &Value| {
        let (first, last) = match text_at(binding, "HostPort") {
            "" => (0, 0),
            // A range: the engine chooses one of it at the start.
            range => {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?)
            }
        };
        let address = match text_at(binding, "HostIp") {
            "" => "0.0.0.0",
            address => address,
        };
        let port = PublishedPort {
            container_port: Some(number.into()),
            protocol: Some(protocol.to_ascii_lowercase()),
            host_address: Some(address.to_owned()),
            // The lowest of a range: the engine tries it first.
            host_port: Some(first.min(last).into()),
        };
        Some(Binding { port, chosen: first == 0 || first != last })
    };
    bindings.iter().map(binding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_range_is_shown_by_its_lowest_port_until_one_was_chosen() {
        let seen = |answer: &Value| {
            let gaps = crate::gaps::Gaps::default();
            let kind = haechi_core::finding::SubjectKind::Container;
            let ports = ports(Reader::new(answer, &gaps, kind, "c")).unwrap();
            ports.iter().map(|port| port.host_port.unwrap()).collect::<Vec<_>>()
        };
        let range = json!({"8080/tcp": [{"HostIp": "", "HostPort": "80-90"}]});
        assert_eq!(seen(&json!({"HostConfig": {"PortBindings": range}})), [80]);
        let chosen = json!({"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "83"}]});
        let running = json!({"HostConfig": {"PortBindings": range},
            "NetworkSettings": {"Ports": chosen}});
        assert_eq!(seen(&running), [83]);
    }
}
