//! What keeps a container in: no-new-privileges, seccomp, AppArmor, SELinux, masked kernel paths.
//!
//! Options, the engine's defaults and, for a container that runs here, the kernel's word; of two answers the
//! weaker protection is told. Whether it is enough is not decided here.

use haechi_core::facts::{Container, ContainerSecurity};
use haechi_core::finding::Cause;
use serde_json::Value;

use super::containers::Surroundings;
use super::json::{self, Reader};
use super::processes::Group;
use super::rights::Kernel;

mod seccomp;
pub(super) use seccomp::default_action;

/// Characters of a security option that are shown; a seccomp profile has 15,000.
const OPTION_MAX: usize = 200;

/// Security options as given, with a seccomp profile's text left out.
pub(super) fn shown_options(options: &[String]) -> Vec<String> {
    let shown = |option: &String| match setting(option, "seccomp") {
        Some(profile) if profile.contains('{') => "seccomp=custom profile".to_owned(),
        _ => option.chars().take(OPTION_MAX).collect(),
    };
    options.iter().map(shown).collect()
}

/// The value of `name=value`, or `name:value` as old engines have it.
fn setting<'o>(option: &'o str, name: &str) -> Option<&'o str> {
    option.trim().strip_prefix(name)?.strip_prefix(['=', ':'])
}

/// The security settings of a container in force.
pub(super) fn security(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    group: Option<&Group<'_>>,
    kernel: Option<&Kernel>,
    container: &Container,
) -> ContainerSecurity {
    let privileged = container.host_config.as_ref().and_then(|given| given.privileged);
    // The shown options have lost a profile's text, so they are read again.
    let options = reader.at("HostConfig.SecurityOpt").map_or(Some(Vec::new()), json::texts);
    let (Some(privileged), Some(options)) = (privileged, options) else {
        reader.gap("security", Cause::Missing, "the engine's answer lacks its security options");
        return ContainerSecurity::default();
    };
    ContainerSecurity {
        no_new_privileges: no_new_privileges(around, reader, kernel, &options),
        seccomp: seccomp(around, reader, kernel, privileged, &options),
        apparmor: apparmor(around, reader, group, privileged, &options),
        selinux: Some(selinux(around, reader, container, privileged, &options)),
        system_paths_unconfined: Some(system_paths_unconfined(reader, privileged, &options)),
    }
}

fn no_new_privileges(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    kernel: Option<&Kernel>,
    options: &[String],
) -> Option<bool> {
    // The process's own word: what is not in force there is not in force.
    if kernel.and_then(|kernel| kernel.no_new_privileges) == Some(false) {
        return Some(false);
    }
    let own = options.iter().rev().find_map(|option| {
        let rest = option.trim().strip_prefix("no-new-privileges")?;
        Some(matches!(
            rest.trim_start_matches(['=', ':']),
            "" | "true" | "1" | "t" | "T" | "TRUE" | "True"
        ))
    });
    let default = || {
        if super::info::podman(around.engine) {
            return Some(false);
        }
        around.engine.config.as_ref()?.no_new_privileges.as_ref()?.value
    };
    let found = own.or_else(default);
    if found.is_none() {
        let detail = "whether the daemon sets it for all containers is not known";
        reader.gap("security.no_new_privileges", Cause::Missing, detail);
    }
    found
}

fn seccomp(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    kernel: Option<&Kernel>,
    privileged: bool,
    options: &[String],
) -> Option<String> {
    let own = options.iter().rev().find_map(|option| setting(option, "seccomp"));
    let daemon = around.engine.seccomp.as_ref();
    let unfiltered = kernel.is_some_and(|kernel| kernel.seccomp == Some(0));
    let unknown = |detail: String| {
        reader.gap("security.seccomp", Cause::Missing, detail);
        None
    };
    let found = match own {
        _ if daemon.and_then(|daemon| daemon.enabled) == Some(false) => "off",
        _ if privileged || unfiltered => "unconfined",
        Some("unconfined") => "unconfined",
        Some("builtin" | "default") => "default",
        Some(profile) => match own_profile(around, profile) {
            Ok(profile) => seccomp::judge(&profile),
            Err(detail) => return unknown(detail),
        },
        None => match daemon.and_then(|daemon| daemon.profile.as_deref()) {
            Some("unconfined") => "unconfined",
            Some("default" | "builtin") => "default",
            Some(path) => match daemon.and_then(|daemon| daemon.default_action.as_deref()) {
                Some(action) if seccomp::lets(action) => "unconfined",
                Some(_) => "custom",
                None => {
                    return unknown(format!("what the engine's profile {path} does is not known"));
                }
            },
            None => return unknown("the engine's default profile is not known".into()),
        },
    };
    Some(found.to_owned())
}

/// A profile as a container was given it: Docker hands on the text, Podman the path.
fn own_profile(around: &Surroundings<'_>, profile: &str) -> Result<Value, String> {
    let malformed = |error| format!("its seccomp profile is malformed: {error}");
    if !profile.starts_with('/') {
        return serde_json::from_str(profile).map_err(malformed);
    }
    if !around.daemon.local {
        return Err(format!("its seccomp profile {profile} is on another host"));
    }
    let bytes = around.scene.root.read(profile).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(malformed)
}

fn apparmor(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    group: Option<&Group<'_>>,
    privileged: bool,
    options: &[String],
) -> Option<String> {
    let Some(engine) = around.engine.apparmor else {
        let detail = "whether the engine uses AppArmor is not known";
        reader.gap("security.apparmor", Cause::Missing, detail);
        return None;
    };
    if !engine {
        return Some(String::new());
    }
    let own = options.iter().rev().find_map(|option| setting(option, "apparmor"));
    let configured = match (own, text_of(reader, "AppArmorProfile")) {
        (Some("unconfined"), _) => "unconfined",
        (None, _) if privileged => "unconfined",
        (Some(profile), "") => profile,
        // Filled in at the first start.
        (None, "") => "docker-default",
        (_, profile) => profile,
    };
    let read = |group: &Group<'_>| {
        let path = |rest: &str| around.scene.root.proc(&format!("{}/attr/{rest}", group.first.pid));
        let read = |rest| std::fs::read_to_string(path(rest)).ok();
        read("apparmor/current").or_else(|| read("current"))
    };
    let kernel = group.and_then(read);
    Some(match kernel.as_deref().map(|text| text.trim_end_matches(['\0', '\n'])) {
        None | Some("") => configured.to_owned(),
        // In complain mode a profile only writes a log.
        Some(label) => match label.split_once(" (") {
            Some((profile, "enforce)" | "kill)")) => profile.to_owned(),
            _ => "unconfined".to_owned(),
        },
    })
}

fn text_of<'a>(reader: Reader<'a>, path: &str) -> &'a str {
    reader.at(path).and_then(Value::as_str).unwrap_or_default()
}

fn selinux(
    around: &Surroundings<'_>,
    reader: Reader<'_>,
    container: &Container,
    privileged: bool,
    options: &[String],
) -> String {
    let labels: Vec<&str> = options.iter().filter_map(|option| setting(option, "label")).collect();
    let runs = container.state.as_ref().and_then(|state| state.running) == Some(true);
    // A running container without a label on an engine that labels is not confined.
    let unlabelled = around.engine.selinux == Some(true)
        && runs
        && reader.at("ProcessLabel").is_some()
        && text_of(reader, "ProcessLabel").is_empty();
    if privileged || unlabelled || labels.contains(&"disable") {
        "disabled".into()
    } else if labels.is_empty() {
        "default".into()
    } else {
        labels.join(",")
    }
}

fn system_paths_unconfined(reader: Reader<'_>, privileged: bool, options: &[String]) -> bool {
    // The `docker` command turns the option into empty lists.
    let emptied = |path: &str| reader.at(path).and_then(Value::as_array).is_some_and(Vec::is_empty);
    options.iter().any(|option| setting(option, "systempaths") == Some("unconfined"))
        || (!privileged
            && (emptied("HostConfig.MaskedPaths") || emptied("HostConfig.ReadonlyPaths")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_s_text_is_not_shown() {
        let options = ["seccomp={\"defaultAction\":\"x\"}".to_owned(), "apparmor=mine".to_owned()];
        assert_eq!(shown_options(&options), ["seccomp=custom profile", "apparmor=mine"]);
    }
}
