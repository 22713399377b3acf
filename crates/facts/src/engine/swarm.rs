//! The swarm and its services, as far as this engine knows them: managers know all, workers little.
//!
//! Of the unlock key only a keyed hash is kept, of configs and secrets only names and counts. How long a key
//! has been in use is the store's knowledge, so with auto-lock those two facts stay absent here.

use base64::Engine as _;
use haechi_core::facts::{Listener, Snapshot, Swarm};
use haechi_core::finding::{Cause, SubjectKind};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;
use x509_parser::pem::Pem;

use super::daemon::Daemon;
use super::json::{self, Absent, Reader, at, text_at};
use super::listeners::SwarmSockets;
use super::{Api, ApiError, Call, Scene};
use crate::days_between;
use crate::gaps::Observed;
use crate::redact;

/// Port of the data plane unless the swarm was made with another.
const DATA_PORT: u16 = 4789;
/// Facts that only a manager can tell.
const OF_MANAGERS: [&str; 12] = [
    "id",
    "managers",
    "nodes",
    "created_at",
    "age_days",
    "auto_lock",
    "unlock_key_hash",
    "node_cert_days",
    "ca_age_days",
    "secrets",
    "suspicious_configs",
    "services",
];

/// What a manager was asked.
pub(super) struct Asked {
    swarm: Result<Value, ApiError>,
    nodes: Result<Value, ApiError>,
    services: Result<Value, ApiError>,
    secrets: Result<Value, ApiError>,
    configs: Result<Value, ApiError>,
    unlock_key: Result<Value, ApiError>,
}

/// Whether the engine is a manager of a swarm.
pub(super) fn is_manager(info: &Value) -> bool {
    at(info, "Swarm.ControlAvailable").and_then(Value::as_bool) == Some(true)
}

/// Whether the engine is part of a swarm.
pub(super) fn is_member(info: &Value) -> bool {
    !matches!(text_at(info, "Swarm.LocalNodeState"), "" | "inactive")
}

/// Asks a manager about its swarm.
pub(super) async fn ask(api: &dyn Api) -> Asked {
    let (swarm, nodes, services, secrets, configs, unlock_key) = futures_util::join!(
        api.ask(Call::Swarm),
        api.ask(Call::Nodes),
        api.ask(Call::Services),
        api.ask(Call::Secrets),
        api.ask(Call::Configs),
        api.ask(Call::UnlockKey),
    );
    Asked { swarm, nodes, services, secrets, configs, unlock_key }
}

/// The port of the data plane.
pub(super) fn data_port(asked: Option<&Asked>) -> u16 {
    asked
        .and_then(|asked| json::int(asked.swarm.as_ref().ok()?.get("DataPathPort")?))
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port != 0)
        .unwrap_or(DATA_PORT)
}

/// Fills the swarm and its services.
pub(super) fn fill(
    scene: Scene<'_>,
    daemon: &Daemon,
    info: Option<&Value>,
    asked: Option<Asked>,
    sockets: SwarmSockets,
    snapshot: &mut Snapshot,
) {
    let gap = |fact: &str, cause, detail: String| {
        scene.gaps.record(SubjectKind::Swarm, fact, cause, detail);
    };
    let Some(info) = info.filter(|info| at(info, "Swarm").is_some()) else {
        let detail = "the engine does not say whether it is in a swarm";
        gap("", Cause::Missing, detail.into());
        scene.gaps.record(SubjectKind::Service, "", Cause::Missing, detail);
        return;
    };
    if !is_member(info) {
        snapshot.swarm = inactive();
        snapshot.services = Some(Vec::new());
        return;
    }
    let mut swarm = Swarm {
        state: Some(text_at(info, "Swarm.LocalNodeState").to_owned()),
        manager: Some(is_manager(info)),
        ..Swarm::default()
    };
    match sockets {
        Ok(sockets) => swarm.listeners = Some(sockets),
        Err((cause, detail)) => gap("listeners", cause, detail),
    }
    fill_addresses(scene, daemon, info, &mut swarm);
    match asked {
        Some(asked) => {
            snapshot.services = super::services::build(scene, asked.services.clone());
            swarm.services = count(scene, &asked.services, "services");
            fill_manager(scene, asked, &mut swarm);
        }
        None => {
            for fact in OF_MANAGERS {
                gap(fact, Cause::Unreachable, "only a manager knows; verify a manager".into());
            }
            snapshot.services = Some(Vec::new());
        }
    }
    if swarm.auto_lock == Some(false) {
        swarm.unlock_key_hash = Some(String::new());
        swarm.unlock_key_seen_days = Some(0);
        swarm.unlock_key_rotation_seen = Some(false);
    } else if swarm.auto_lock.is_none() {
        for fact in ["unlock_key_seen_days", "unlock_key_rotation_seen"] {
            gap(fact, Cause::Missing, "whether managers are locked is not known".into());
        }
    }
    snapshot.swarm = swarm;
}

/// An engine that is in no swarm, with every fact said.
fn inactive() -> Swarm {
    let none = || Some(String::new());
    Swarm {
        id: none(),
        state: Some("inactive".into()),
        manager: Some(false),
        managers: Some(0),
        nodes: Some(0),
        created_at: none(),
        age_days: Some(0),
        auto_lock: Some(false),
        unlock_key_hash: none(),
        unlock_key_seen_days: Some(0),
        unlock_key_rotation_seen: Some(false),
        node_cert_days: Some(0),
        ca_age_days: Some(0),
        advertise_address: none(),
        data_path_address: none(),
        listeners: Some(Vec::<Listener>::new()),
        secrets: Some(0),
        suspicious_configs: Some(Vec::new()),
        services: Some(0),
    }
}

/// The addresses as given when the node joined, from the engine's own notes on this machine.
fn fill_addresses(scene: Scene<'_>, daemon: &Daemon, info: &Value, swarm: &mut Swarm) {
    let gap = |fact: &str, cause, detail: String| {
        scene.gaps.record(SubjectKind::Swarm, fact, cause, detail);
    };
    let state = if daemon.local {
        let path = format!("{}/swarm/docker-state.json", text_at(info, "DockerRootDir"));
        match scene.root.read(&path) {
            Ok(bytes) => serde_json::from_slice::<Value>(&bytes)
                .map_err(|error| (Cause::Missing, format!("{path}: {error}"))),
            Err(error) => Err((error.gap_cause(), error.to_string())),
        }
    } else {
        Err(daemon.elsewhere())
    };
    match &state {
        Ok(state) => {
            swarm.data_path_address = Some(without_port(text_at(state, "DataPathAddr")));
        }
        Err((cause, detail)) => gap("data_path_address", *cause, detail.clone()),
    }
    let noted = state.as_ref().ok().map(|state| text_at(state, "AdvertiseAddr"));
    let address = noted.filter(|address| !address.is_empty());
    let address = without_port(address.unwrap_or_else(|| text_at(info, "Swarm.NodeAddr")));
    if address.is_empty() {
        gap("advertise_address", Cause::Missing, "the engine does not say its address".into());
    } else {
        swarm.advertise_address = Some(address);
    }
}

/// An address without its port; IPv6 addresses with a port are in brackets.
fn without_port(address: &str) -> String {
    if address.parse::<std::net::IpAddr>().is_ok() {
        return address.to_owned();
    }
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn fill_manager(scene: Scene<'_>, asked: Asked, swarm: &mut Swarm) {
    let gaps = scene.gaps;
    let keep = |fact: &str, error: &ApiError| {
        gaps.record(SubjectKind::Swarm, fact, error.gap_cause(), error.to_string());
    };
    match &asked.swarm {
        Ok(value) => fill_cluster(scene, value, swarm),
        Err(error) => {
            for fact in
                ["id", "created_at", "age_days", "auto_lock", "node_cert_days", "ca_age_days"]
            {
                keep(fact, error);
            }
        }
    }
    match asked.nodes.as_ref().map(Value::as_array) {
        Ok(Some(nodes)) => {
            let is_manager = |node: &&Value| text_at(node, "Spec.Role") == "manager";
            swarm.nodes = i64::try_from(nodes.len()).ok();
            swarm.managers = i64::try_from(nodes.iter().filter(is_manager).count()).ok();
        }
        Ok(None) => {
            for fact in ["nodes", "managers"] {
                gaps.record(
                    SubjectKind::Swarm,
                    fact,
                    Cause::Missing,
                    "the list of nodes is malformed",
                );
            }
        }
        Err(error) => ["nodes", "managers"].iter().for_each(|fact| keep(fact, error)),
    }
    swarm.secrets = count(scene, &asked.secrets, "secrets");
    swarm.suspicious_configs = match asked.configs.as_ref().map(Value::as_array) {
        Ok(Some(configs)) => Some(suspicious_configs(configs)),
        Ok(None) => {
            let detail = "the list of configs is malformed";
            gaps.record(SubjectKind::Swarm, "suspicious_configs", Cause::Missing, detail);
            None
        }
        Err(error) => {
            keep("suspicious_configs", error);
            None
        }
    };
    if swarm.auto_lock != Some(false) {
        match asked.unlock_key.as_ref().map(|answer| text_at(answer, "UnlockKey")) {
            Ok("") => {
                let detail = "the engine does not tell the unlock key";
                gaps.record(SubjectKind::Swarm, "unlock_key_hash", Cause::Missing, detail);
            }
            Ok(key) => swarm.unlock_key_hash = hash(&scene.options.unlock_key_salt, key),
            Err(error) => keep("unlock_key_hash", error),
        }
    }
}

/// A keyed hash, so that a key is recognised again but cannot be guessed from the snapshot.
fn hash(salt: &[u8; 32], key: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt).ok()?;
    mac.update(key.as_bytes());
    let bytes = mac.finalize().into_bytes();
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn fill_cluster(scene: Scene<'_>, value: &Value, swarm: &mut Swarm) {
    const DAY_NS: i64 = 86_400_000_000_000;
    let now = scene.options.now;
    let reader = Reader::new(value, scene.gaps, SubjectKind::Swarm, "");
    swarm.id = reader.text("ID", "id", Absent::Unknown);
    match reader.time("CreatedAt", "created_at").flatten() {
        Some(created) => {
            swarm.created_at = Some(created.to_string());
            swarm.age_days = Some(days_between(created, now));
        }
        None => {
            for fact in ["created_at", "age_days"] {
                reader.gap(fact, Cause::Missing, "the swarm's time of creation is not known");
            }
        }
    }
    swarm.auto_lock = reader.bool(
        "Spec.EncryptionConfig.AutoLockManagers",
        "auto_lock",
        // Left out by engines that have an empty EncryptionConfig.
        if reader.at("Spec").is_some() { Absent::Means(false) } else { Absent::Unknown },
    );
    swarm.node_cert_days = reader
        .int("Spec.CAConfig.NodeCertExpiry", "node_cert_days", Absent::Unknown)
        .map(|expiry| expiry.max(0) / DAY_NS + i64::from(expiry.max(0) % DAY_NS != 0));
    swarm.ca_age_days = oldest_certificate(text_at(value, "TLSInfo.TrustRoot"))
        .map(|issued| days_between(issued, now));
    if swarm.ca_age_days.is_none() {
        reader.gap("ca_age_days", Cause::Missing, "the swarm's root certificate is not understood");
    }
}

/// When the oldest certificate of a PEM text was issued: while a root is rotated there are two.
fn oldest_certificate(pem: &str) -> Option<Timestamp> {
    let mut oldest: Option<Timestamp> = None;
    for block in Pem::iter_from_buffer(pem.as_bytes()) {
        let block = block.ok()?;
        let issued = block.parse_x509().ok()?.validity().not_before.timestamp();
        let issued = Timestamp::from_second(issued).ok()?;
        oldest = Some(oldest.map_or(issued, |known| known.min(issued)));
    }
    oldest
}

fn count(scene: Scene<'_>, answer: &Result<Value, ApiError>, fact: &str) -> Option<i64> {
    let (cause, detail) = match answer {
        Ok(Value::Array(items)) => return i64::try_from(items.len()).ok(),
        Ok(Value::Null) => return Some(0),
        Ok(_) => (Cause::Missing, format!("the list of {fact} is malformed")),
        Err(error) => (error.gap_cause(), error.to_string()),
    };
    scene.gaps.record(SubjectKind::Swarm, fact, cause, detail);
    None
}

/// Names of configs whose content looks like a secret, sorted.
fn suspicious_configs(configs: &[Value]) -> Vec<String> {
    let suspicious = |config: &&Value| {
        let data = text_at(config, "Spec.Data");
        match base64::engine::general_purpose::STANDARD.decode(data) {
            Ok(bytes) => redact::holds_secret(&String::from_utf8_lossy(&bytes)),
            // What is not understood is not cleared.
            Err(_) => true,
        }
    };
    let name = |config: &Value| text_at(config, "Spec.Name").to_owned();
    let mut names: Vec<String> = configs.iter().filter(suspicious).map(name).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_lose_their_port() {
        assert_eq!(without_port("10.0.0.1:2377"), "10.0.0.1");
        assert_eq!(without_port("10.0.0.1"), "10.0.0.1");
        assert_eq!(without_port("[fe80::1]:2377"), "fe80::1");
        assert_eq!(without_port("fe80::1"), "fe80::1");
        assert_eq!(without_port("eth0"), "eth0");
    }

    #[test]
    fn keys_are_hashed_with_the_salt() {
        let first = hash(&[1; 32], "SWMKEY-1-a").unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(hash(&[1; 32], "SWMKEY-1-a").unwrap(), first);
        assert_ne!(hash(&[2; 32], "SWMKEY-1-a").unwrap(), first);
        assert_ne!(hash(&[1; 32], "SWMKEY-1-b").unwrap(), first);
    }

    #[test]
    fn configs_with_secrets_are_named() {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let config = |name: &str, data: String| json!({"Spec": {"Name": name, "Data": data}});
        let configs = [
            config("plain", encode("listen = 80\n")),
            config("keyed", encode("db_password = hunter2\n")),
            config("odd", "not base64!".into()),
        ];
        assert_eq!(suspicious_configs(&configs), ["keyed", "odd"]);
    }

    #[test]
    fn broken_certificates_have_no_age() {
        assert_eq!(oldest_certificate(""), None);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(oldest_certificate(broken), None);
        let issued = oldest_certificate(include_str!("tests/ca.pem")).unwrap();
        assert_eq!(issued.as_second(), 1_795_372_026);
    }
}
