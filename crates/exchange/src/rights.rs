//! What a container is given: the least privilege in force, or the same as today with a record of what goes beyond it.
//!
//! Promises to take nothing away that the profile does not speak of: what is not known is left as it is.

use std::collections::BTreeSet;

use haechi_profile::calls;
use haechi_profile::least::Least;
use haechi_profile::seccomp::{Filter, Made, Syscalls};
use haechi_profile::today::Today;
use haechi_profile::writable::Tmpfs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::heard::PROOF;
use crate::plan::{is_same, put};

/// Not permitted.
const EPERM: u32 = 1;

/// What is to be other than today.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// The seccomp profile, as the engine reads it.
    pub seccomp: Value,
    /// All capabilities that it holds; `None`: as today.
    pub capabilities: Option<BTreeSet<String>>,
    /// Whether the root file system is made read-only; else it is as today.
    pub read_only: bool,
    /// Folders in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// Most processes and threads; `None`: as today.
    pub pids: Option<u64>,
    /// Most memory in bytes; `None`: as today.
    pub memory: Option<u64>,
    /// Folders that look like data to be kept: because of them the root stays writable.
    pub kept: Vec<String>,
}

impl Rights {
    /// The least privilege. The root file system stays as it is if data would have to be in memory that looks like it is to be
    /// kept: it would be gone with each restart.
    pub fn least(least: &Least) -> Self {
        let (lost, fleeting): (Vec<Tmpfs>, Vec<Tmpfs>) =
            least.tmpfs().iter().cloned().partition(|tmpfs| tmpfs.may_be_kept);
        let mut kept: Vec<String> = lost.into_iter().map(|tmpfs| tmpfs.path).collect();
        if least.is_read_only_today {
            // It stays so, and nothing was ever kept there.
            kept.clear();
        }
        let read_only = least.is_read_only() && kept.is_empty();
        Self {
            seccomp: json!(least.calls.filter),
            capabilities: least.capabilities.used.clone(),
            read_only,
            tmpfs: if read_only { fleeting } else { Vec::new() },
            pids: least.pids,
            memory: least.memory,
            kept,
        }
    }

    /// As today, with each call beyond the profile recorded by the kernel.
    pub fn logging(made: &Made, today: &Today) -> Self {
        Self {
            seccomp: json!(logging(made, today)),
            capabilities: None,
            read_only: false,
            tmpfs: Vec::new(),
            pids: None,
            memory: None,
            kept: Vec::new(),
        }
    }

    /// Puts it into what the engine is asked for.
    pub(crate) fn put(&self, body: &mut Value) {
        let options = body.pointer("/HostConfig/SecurityOpt").and_then(Value::as_array);
        let is_other = |option: &&Value| {
            let option = option.as_str().unwrap_or_default();
            !(option.starts_with("seccomp=") || option.starts_with("seccomp:"))
        };
        let mut options: Vec<Value> =
            options.into_iter().flatten().filter(is_other).cloned().collect();
        options.push(json!(format!("seccomp={}", self.seccomp)));
        let mut set = |key: &str, value: Value| put(body, &["HostConfig", key], value);
        set("SecurityOpt", json!(options));
        if let Some(capabilities) = &self.capabilities {
            set("CapDrop", json!(["ALL"]));
            set("CapAdd", json!(capabilities));
        }
        if self.read_only {
            set("ReadonlyRootfs", json!(true));
        }
        if let Some(pids) = self.pids {
            set("PidsLimit", json!(pids));
        }
        if let Some(memory) = self.memory {
            set("Memory", json!(memory));
            for key in ["MemoryReservation", "KernelMemory"] {
                let asked = body.pointer(&format!("/HostConfig/{key}")).and_then(Value::as_u64);
                if asked.is_some_and(|asked| asked > memory) {
                    put(body, &["HostConfig", key], json!(memory));
                }
            }
        }
        for tmpfs in &self.tmpfs {
            let given = body.pointer("/HostConfig/Tmpfs").and_then(Value::as_object);
            if !given.is_some_and(|all| all.keys().any(|at| is_same(at, &tmpfs.path))) {
                let options = if tmpfs.executes { "exec" } else { "" };
                put(body, &["HostConfig", "Tmpfs", &tmpfs.path], json!(options));
            }
        }
    }
}

/// What is refused today is refused, what the profile has is allowed, and what is between is allowed and recorded.
fn logging(made: &Made, today: &Today) -> Filter {
    let mut filter = made.filter.clone();
    filter.default_action = "SCMP_ACT_LOG";
    filter.default_errno_ret = None;
    // By this one it is known that records are heard.
    filter.syscalls.iter_mut().for_each(|rule| rule.names.retain(|name| name != PROOF));
    // A call of an entry that is not named would end the process.
    filter.architectures = vec!["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
    if today.seccomp.as_deref() == Some("default") {
        let held = today.capabilities.iter().flatten().map(String::as_str);
        let given = calls::docker(held);
        let answered: BTreeSet<&str> =
            filter.syscalls.iter().flat_map(|rule| &rule.names).map(String::as_str).collect();
        let is_refused =
            |name: &&str| !given.contains(name) && !answered.contains(name) && *name != PROOF;
        let refused = calls::native().into_iter().filter(is_refused);
        let refused = refused.map(str::to_owned).collect();
        filter.syscalls.push(Syscalls {
            names: refused,
            action: "SCMP_ACT_ERRNO",
            errno_ret: Some(EPERM),
            args: Vec::new(),
        });
    }
    filter
}

#[cfg(test)]
mod tests {
    use haechi_core::profile::{Entry, Kind, Profile, Run};
    use haechi_profile::coverage::{Coverage, Rule};
    use jiff::Timestamp;

    use super::*;

    /// A profile with these entries, watched for an hour.
    fn known(entries: &[(Kind, &str)]) -> Profile {
        let entry = |(kind, value): &(Kind, &str)| Entry {
            kind: *kind,
            value: (*value).into(),
            first_at: Timestamp::UNIX_EPOCH,
            container: "c".into(),
            origin: String::new(),
            program: String::new(),
        };
        let run = Run {
            container: "c".into(),
            name: "web".into(),
            since: Timestamp::UNIX_EPOCH,
            until: Timestamp::from_second(3600).unwrap(),
            phases: [].into(),
            gaps: [].into(),
            tasks_max: 5,
            memory_max: 20 << 20,
        };
        let entries = entries.iter().map(entry).collect();
        Profile { entries, runs: vec![run], ..Profile::default() }
    }

    fn least(profile: &Profile, today: &Today) -> Least {
        let rule = Rule { quiet_min: 0, has_health_check: false };
        Least::of(profile, &Coverage::of(profile, &rule), today)
    }

    #[test]
    fn only_what_the_profile_speaks_of_is_other_than_before() {
        let profile = known(&[(Kind::Call, "read"), (Kind::Capability, "CHOWN")]);
        let mut body = json!({"HostConfig": {
            "SecurityOpt": ["no-new-privileges", "seccomp=unconfined", "seccomp:x", "apparmor=a"],
            "Tmpfs": {"/tmp/": "size=1m"}, "CapAdd": ["NET_ADMIN"], "Memory": 0,
            "MemoryReservation": 1_u64 << 40, "ShmSize": 7,
        }});
        let mut rights = Rights::least(&least(&profile, &Today::default()));
        rights.tmpfs = ["/tmp", "/run"]
            .map(|path| Tmpfs { path: path.into(), executes: path == "/run", may_be_kept: false })
            .into();
        rights.put(&mut body);
        let host = &body["HostConfig"];
        let options: Vec<&str> =
            host["SecurityOpt"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(options[..2], ["no-new-privileges", "apparmor=a"]);
        assert!(options.len() == 3 && options[2].contains("SCMP_ACT_ERRNO"), "{options:?}");
        assert_eq!((&host["CapDrop"], &host["CapAdd"]), (&json!(["ALL"]), &json!(["CHOWN"])));
        assert_eq!(host["Tmpfs"], json!({"/tmp/": "size=1m", "/run": "exec"}));
        assert_eq!((&host["Memory"], &host["ShmSize"]), (&json!(64 << 20), &json!(7)));
        assert_eq!(host["MemoryReservation"], json!(64 << 20), "else the engine refuses it");
        assert_eq!((&host["PidsLimit"], &host["ReadonlyRootfs"]), (&json!(24), &json!(true)));
    }

    #[test]
    fn data_that_is_meant_to_be_kept_never_goes_to_memory() {
        let mut profile = known(&[(Kind::Written, "/var/lib/app/db"), (Kind::Written, "/tmp/x")]);
        let rights = Rights::least(&least(&profile, &Today::default()));
        assert!(!rights.read_only && rights.tmpfs.is_empty(), "{rights:?}");
        assert_eq!(rights.kept, ["/var/lib/app"]);
        let today = Today { read_only: Some(true), ..Today::default() };
        let rights = Rights::least(&least(&profile, &today));
        assert!(rights.read_only && rights.kept.is_empty(), "it stays so");
        assert!(rights.tmpfs.iter().all(|tmpfs| tmpfs.path == "/tmp"), "{rights:?}");
        profile.entries.remove(0);
        let rights = Rights::least(&least(&profile, &Today::default()));
        assert!(rights.read_only && rights.tmpfs.len() == 1 && rights.kept.is_empty());
    }

    #[test]
    fn in_log_mode_nothing_is_taken_away_and_nothing_is_given() {
        let profile = known(&[(Kind::Call, "read")]);
        let today = Today {
            seccomp: Some("default".into()),
            capabilities: Some(["CHOWN".to_owned()].into()),
            ..Today::default()
        };
        let least = least(&profile, &today);
        let rights = Rights::logging(&least.calls, &today);
        assert!(rights.capabilities.is_none() && rights.memory.is_none() && !rights.read_only);
        assert_eq!(rights.seccomp["defaultAction"], "SCMP_ACT_LOG");
        assert_eq!(rights.seccomp.get("defaultErrnoRet"), None, "the engine refuses it");
        let rules = rights.seccomp["syscalls"].as_array().unwrap();
        let has =
            |rule: &Value, name: &str| rule["names"].as_array().unwrap().contains(&json!(name));
        let refused = rules.last().unwrap();
        assert!(has(refused, "mount") && has(refused, "chroot"), "Docker refuses them today");
        assert!(!has(refused, "read") && !has(refused, "connect") && !has(refused, "clone3"));
        assert!(!rules.iter().any(|rule| has(rule, PROOF)), "each start is recorded");
        let free = Today { seccomp: Some("unconfined".into()), ..Today::default() };
        let seccomp = Rights::logging(&least.calls, &free).seccomp;
        let rules = seccomp["syscalls"].as_array().unwrap();
        assert!(!rules.iter().any(|rule| has(rule, "mount")));
    }
}
