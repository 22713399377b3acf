//! The effective configuration: daemon.json, the running daemon's command line, and what the API reports.
//!
//! Truth, in this order: what the API reports, the command line, daemon.json, the engine's default. A value
//! that rests on daemon.json or on a default is only known if that file is what the daemon read when it
//! started; otherwise it is absent with a gap. Where the places disagree, a sentence says so.

use std::collections::HashSet;
use std::fmt::Debug;

use haechi_core::facts::{
    Engine, EngineConfig, Network, SettingBool, SettingList, SettingText, Snapshot,
};
use haechi_core::finding::{Cause, SubjectKind};
use serde_json::Value;

use super::Scene;
use super::daemon::Daemon;
use super::file::{self, ConfigFile, FileValue};
use super::flags::Flags;
use super::json::text_at;
use super::options::SecurityOptions;
use place::Place;

mod place;

/// What the API says about options, where it does.
#[derive(Debug, Default)]
struct Reported {
    icc: Option<bool>,
    log_driver: Option<String>,
    insecure_registries: Option<Vec<String>>,
    live_restore: Option<bool>,
    experimental: Option<bool>,
    authorization_plugins: Option<Vec<String>>,
    seccomp_profile: Option<String>,
    userns: Option<bool>,
    no_new_privileges: Option<bool>,
}

impl Reported {
    fn new(engine: &Engine, networks: Option<&[Network]>) -> Self {
        let bridge = networks.into_iter().flatten().find(|n| n.default_bridge == Some(true));
        let options = engine.security_options.as_deref().map(SecurityOptions::parse);
        let profile = engine.seccomp.as_ref().and_then(|seccomp| seccomp.profile.clone());
        Self {
            icc: bridge.and_then(|network| network.icc),
            log_driver: engine.log_driver.clone(),
            insecure_registries: engine.insecure_registries.clone(),
            live_restore: engine.live_restore,
            experimental: engine.experimental,
            authorization_plugins: engine.authorization_plugins.clone(),
            seccomp_profile: profile
                .map(|profile| if profile == "default" { String::new() } else { profile }),
            userns: engine.userns,
            // Only newer engines list it, so its absence says nothing.
            no_new_privileges: options.is_some_and(|o| o.has("no-new-privileges")).then_some(true),
        }
    }
}

/// Everything that an option's value is decided from.
struct Sources<'a> {
    scene: Scene<'a>,
    flags: Option<Flags>,
    file: ConfigFile,
    /// Why a value that rests on the file or a default is not known.
    doubt: Option<(Cause, String)>,
    contradictions: Vec<String>,
}

/// Sockets of the daemon that are no API.
#[derive(Debug, Default)]
pub(super) struct Private {
    /// Where it serves its metrics, as given: `127.0.0.1:9323`.
    pub(super) metrics: Option<String>,
    /// The directory in which it keeps sockets for its own use.
    pub(super) exec_root: String,
}

/// Fills the configuration, daemon.json and their contradictions.
pub(super) fn fill(scene: Scene<'_>, daemon: &Daemon, snapshot: &mut Snapshot) -> Private {
    let gap = |fact: &str, (cause, detail): (Cause, String)| {
        scene.gaps.record(SubjectKind::Engine, fact, cause, detail);
    };
    let engine = &mut snapshot.engine;
    if super::info::podman(engine) {
        let none = || (Cause::Missing, "Podman has no daemon configuration".to_owned());
        for fact in ["config", "contradictions", "unknown_keys", "daemon_json"] {
            gap(fact, none());
        }
        return Private::default();
    }
    if !daemon.local {
        for fact in ["contradictions", "unknown_keys", "daemon_json"] {
            gap(fact, daemon.elsewhere());
        }
    }
    let running = daemon.process.as_ref();
    let flags = running.map(|running| Flags::parse(&running.arguments));
    let place = running.map(|running| Place::of(scene.root, running.pid)).unwrap_or_default();
    let file = match flags.as_ref().and_then(|flags| flags.text("config-file")) {
        Some(given) => file::read_given(scene.root, &given, place.directory.as_deref()),
        None => {
            let rootless = (engine.rootless == Some(true))
                .then(|| file::rootless_path(scene.root, running?.uid))
                .flatten();
            file::read(scene.root, rootless.as_deref().unwrap_or(file::DEFAULT_PATH))
        }
    };
    let path = file.path().to_owned();
    let started = running.and_then(|running| running.started);
    let doubt = if !daemon.local {
        Some(daemon.elsewhere())
    } else if running.is_none() {
        Some(daemon.unseen())
    } else if file.changed_after(started) == Some(false) {
        None
    } else {
        let detail = format!("{path} was changed after the daemon started; restart the daemon");
        Some((Cause::Missing, detail))
    };
    let mut sources = Sources { scene, flags, file, doubt, contradictions: Vec::new() };
    let reported = Reported::new(engine, snapshot.networks.as_deref());
    let mut config = sources.config(&reported);
    place.complete_tls(scene, &mut config);
    engine.config = Some(config);
    let private = sources.private();
    if daemon.local {
        let mut facts = sources.file.facts(started);
        if started.is_none() && facts.exists == Some(true) {
            facts.changed_after_start = None;
            gap("daemon_json.changed_after_start", daemon.unseen());
        }
        if let Some(problem) = sources.file.problem() {
            gap("daemon_json", problem);
        }
        engine.daemon_json = Some(facts);
        engine.unknown_keys = sources.file.unknown_keys();
        if engine.unknown_keys.is_none() {
            gap("unknown_keys", (Cause::Missing, format!("{path} is not understood")));
        }
        if running.is_none() {
            gap("contradictions", daemon.unseen());
        } else {
            engine.contradictions = Some(sources.contradictions);
        }
    }
    private
}

impl Sources<'_> {
    fn config(&mut self, api: &Reported) -> EngineConfig {
        EngineConfig {
            icc: self.bool("icc", api.icc, true),
            log_level: self.text("log-level", None, "info"),
            iptables: self.bool("iptables", None, true),
            storage_opts: self.list("storage-opts", None),
            tls: self.bool("tls", None, false),
            tls_verify: self.bool("tlsverify", None, false),
            tls_ca_cert: self.text("tlscacert", None, ""),
            tls_cert: self.text("tlscert", None, ""),
            tls_key: self.text("tlskey", None, ""),
            default_ulimits: self.list("default-ulimits", None),
            userns_remap: self.userns(api.userns),
            cgroup_parent: self.text("cgroup-parent", None, ""),
            log_driver: self.text("log-driver", api.log_driver.clone(), "json-file"),
            log_opts: self.list("log-opts", None),
            disable_legacy_registry: self.bool("disable-legacy-registry", None, false),
            live_restore: self.bool("live-restore", api.live_restore, false),
            userland_proxy: self.bool("userland-proxy", None, true),
            seccomp_profile: self.text("seccomp-profile", api.seccomp_profile.clone(), ""),
            experimental: self.bool("experimental", api.experimental, false),
            no_new_privileges: self.bool("no-new-privileges", api.no_new_privileges, false),
            hosts: self.list("hosts", None),
            content_trust: self.text("content-trust", None, ""),
            insecure_registries: self.list("insecure-registries", api.insecure_registries.clone()),
            authorization_plugins: self
                .list("authorization-plugins", api.authorization_plugins.clone()),
        }
    }

    /// Decides one option. `agree` tells whether two values mean the same.
    fn decide<T: Clone + Debug>(
        &mut self,
        key: &str,
        api: Option<T>,
        flag: Option<T>,
        file: FileValue<T>,
        default: T,
        agree: impl Fn(&T, &T) -> bool,
    ) -> Option<(T, String)> {
        let in_file = match &file {
            FileValue::Set(value) => Some(value),
            _ => None,
        };
        let what = if key == "icc" { "the default bridge" } else { "the API" };
        let places =
            [("daemon.json", in_file), ("the command line", flag.as_ref()), (what, api.as_ref())];
        let said: Vec<_> = places.iter().filter_map(|(p, value)| Some((*p, (*value)?))).collect();
        for pair in said.windows(2) {
            if let [(a, left), (b, right)] = pair
                && !agree(left, right)
            {
                let sentence = format!("{key}: {a} says {left:?}, {b} says {right:?}");
                self.contradictions.push(crate::redact::text(&sentence));
            }
        }
        if let Some(value) = api {
            return Some((value, "API".into()));
        }
        if let Some(value) = flag {
            return Some((value, "command line".into()));
        }
        let (cause, detail) = match (&self.doubt, file) {
            (Some(doubt), _) => doubt.clone(),
            (None, FileValue::Set(value)) => return Some((value, "daemon.json".into())),
            (None, FileValue::Unset) => return Some((default, "default".into())),
            (None, FileValue::Unknown(cause, detail)) => (cause, detail),
        };
        let fact = format!("config.{}", fact_name(key));
        self.scene.gaps.record(SubjectKind::Engine, &fact, cause, detail);
        None
    }

    fn bool(&mut self, key: &str, api: Option<bool>, default: bool) -> Option<SettingBool> {
        let flag = match self.flags.as_ref().and_then(|flags| flags.bool(key)) {
            Some(None) => {
                let fact = format!("config.{}", fact_name(key));
                let detail = format!("--{key} on the daemon's command line is neither yes nor no");
                self.scene.gaps.record(SubjectKind::Engine, &fact, Cause::Missing, detail);
                return None;
            }
            flag => flag.flatten(),
        };
        let file = self.file.get(key, Value::as_bool);
        let (value, source) = self.decide(key, api, flag, file, default, |a, b| a == b)?;
        Some(SettingBool { value: Some(value), source: Some(source) })
    }

    fn text(&mut self, key: &str, api: Option<String>, default: &str) -> Option<SettingText> {
        let flag = self.flags.as_ref().and_then(|flags| flags.text(key));
        let file = self.file.get(key, |value| match value {
            Value::String(text) => Some(text.clone()),
            // Mirantis' engine: {"content-trust": {"mode": "enforced", …}}.
            Value::Object(_) if key == "content-trust" => Some(text_at(value, "mode").to_owned()),
            _ => None,
        });
        let agree = |a: &String, b: &String| {
            let plain = |text: &str| match text {
                // The engine's own seccomp profile has three names.
                "builtin" | "default" if key == "seccomp-profile" => String::new(),
                other => other.to_owned(),
            };
            plain(a) == plain(b)
        };
        let (value, source) = self.decide(key, api, flag, file, default.to_owned(), agree)?;
        Some(SettingText { value: Some(value), source: Some(source) })
    }

    fn list(&mut self, key: &str, api: Option<Vec<String>>) -> Option<SettingList> {
        let flag = self.flags.as_ref().and_then(|flags| flags.list(key));
        let file = self.file.get(key, |value| list(key, value));
        // The API adds what the engine knows by itself, so only what it lacks is a contradiction.
        let agree = |a: &Vec<String>, b: &Vec<String>| a.iter().all(|item| b.contains(item));
        let default = Vec::new();
        let (value, source) = self.decide(key, api, flag, file, default, agree)?;
        let value = match key {
            "default-ulimits" => last_ones(value.into_iter().map(whole_limit).collect()),
            "log-opts" => last_ones(value),
            _ => value,
        };
        let redact = |item: &String| crate::redact::text(item);
        Some(SettingList { value: Some(value.iter().map(redact).collect()), source: Some(source) })
    }

    /// Sockets that are no API, by the options in force.
    fn private(&self) -> Private {
        let in_force = |key: &str| {
            self.flags.as_ref()?.text(key).or_else(|| {
                match self.file.get(key, |value| value.as_str().map(str::to_owned)) {
                    FileValue::Set(text) if self.doubt.is_none() => Some(text),
                    _ => None,
                }
            })
        };
        Private {
            metrics: in_force("metrics-addr"),
            exec_root: in_force("exec-root").unwrap_or_else(|| "/var/run/docker".into()),
        }
    }

    /// The API says whether users are mapped, the file and the command line say to whom.
    fn userns(&mut self, api: Option<bool>) -> Option<SettingText> {
        let key = "userns-remap";
        if api == Some(false) {
            return self.text(key, Some(String::new()), "");
        }
        let found = self.text(key, None, "")?;
        if api == Some(true) && found.value.as_deref() == Some("") {
            let sentence = format!("{key}: not configured, the API says that it is in force");
            self.contradictions.push(sentence);
            let detail = "users are mapped, but nothing here says how";
            let fact = format!("config.{}", fact_name(key));
            self.scene.gaps.record(SubjectKind::Engine, &fact, Cause::Missing, detail);
            return None;
        }
        Some(found)
    }
}

/// The field of [`EngineConfig`] that an option of daemon.json fills.
fn fact_name(key: &str) -> String {
    match key {
        "tlsverify" => "tls_verify".into(),
        "tlscacert" => "tls_ca_cert".into(),
        "tlscert" => "tls_cert".into(),
        "tlskey" => "tls_key".into(),
        other => other.replace('-', "_"),
    }
}

/// A list option of daemon.json as the command line would give it.
fn list(key: &str, value: &Value) -> Option<Vec<String>> {
    match (key, value) {
        ("default-ulimits", Value::Object(limits)) => limits
            .iter()
            .map(|(name, limit)| {
                let number = |field: &str| super::json::int(limit.get(field)?);
                let hard = number("Hard")?;
                // The engine goes by the name inside, if there is one.
                let name = limit.get("Name").map_or(Some(name.as_str()), Value::as_str)?;
                Some(format!("{name}={}:{hard}", number("Soft").unwrap_or(hard)))
            })
            .collect(),
        ("log-opts", Value::Object(options)) => options
            .iter()
            .map(|(name, value)| Some(format!("{name}={}", value.as_str()?)))
            .collect(),
        (_, Value::Array(_)) => super::json::texts(value),
        _ => None,
    }
}

/// A limit as `name=soft:hard`; one value means both.
fn whole_limit(limit: String) -> String {
    match limit.split_once('=') {
        Some((name, value)) if !value.contains(':') => format!("{name}={value}:{value}"),
        _ => limit,
    }
}

/// Of `name=value` with the same name the last one, which is in force.
fn last_ones(options: Vec<String>) -> Vec<String> {
    let name = |option: &String| option.split('=').next().unwrap_or_default().to_owned();
    let mut seen = HashSet::new();
    let mut kept: Vec<String> =
        options.into_iter().rev().filter(|option| seen.insert(name(option))).collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests;
