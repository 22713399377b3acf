//! The least that a workload needs, and how that differs from what it is given today.
//!
//! Promises to give nothing that is refused today, as far as that is known, and says so where it is not.

use std::collections::BTreeSet;

use haechi_core::Lang;
use haechi_core::profile::{Gap, Kind, Profile, Run};
use serde::Serialize;

use crate::capabilities::{self, Capabilities};
use crate::coverage::{Coverage, Part};
use crate::seccomp::{self, Made};
use crate::texts::{self, bytes};
use crate::today::Today;
use crate::writable::{self, Writable};

/// Memory is limited in steps of so much.
const MEMORY_STEP: u64 = 16 << 20;
/// And so much more than was used at least.
const MEMORY_MORE: u64 = 32 << 20;
/// Processes are limited in steps of so many.
const PIDS_STEP: u64 = 8;
/// And so many more than there were at least.
const PIDS_MORE: u64 = 16;

/// Remarks of a kind that are shown.
const REMARKS: usize = 5;

/// The least that a workload needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Least {
    /// System calls.
    pub calls: Made,
    /// Capabilities.
    pub capabilities: Capabilities,
    /// Where it writes; `None`: it is not known.
    pub writable: Option<Writable>,
    /// Whether the root file system is read-only today: then it stays so.
    pub is_read_only_today: bool,
    /// Whether programs may gain no rights: only if that is so today, for it is not seen whether one did.
    pub no_new_privileges: bool,
    /// Whether it listens on a port below 1024.
    pub has_low_port: bool,
    /// Most processes and threads, with room; `None`: it is not known.
    pub pids: Option<u64>,
    /// Most memory in bytes, with room; `None`: it is not known.
    pub memory: Option<u64>,
}

impl Least {
    /// What follows from a profile, for a container that is given this today.
    pub fn of(profile: &Profile, coverage: &Coverage, today: &Today) -> Self {
        let is_settled = |part| coverage.unsettled(&[part]).is_empty();
        let knows_files = profile.runs.iter().any(|run| !run.gaps.contains(&Gap::Files));
        // What is given today was enough.
        let within = |limit: u64, today: Option<u64>| match today {
            Some(today) if today > 0 => limit.min(today),
            _ => limit,
        };
        let most = |of: fn(&Run) -> u64| profile.runs.iter().map(of).max();
        let pids = most(|run| run.tasks_max).filter(|most| *most > 0).map(|most| {
            let limit = most.saturating_mul(2).max(most.saturating_add(PIDS_MORE));
            within(up(limit, PIDS_STEP), today.pids)
        });
        let memory = most(|run| run.memory_max).filter(|most| *most > 0).map(|most| {
            let limit = most.saturating_add((most / 2).max(MEMORY_MORE));
            within(up(limit, MEMORY_STEP), today.memory)
        });
        Self {
            calls: seccomp::make(profile, is_settled(Part::Calls)).within(today),
            capabilities: capabilities::compare(profile, today.capabilities.as_ref()),
            writable: knows_files.then(|| writable::find(profile, &today.mounts)),
            is_read_only_today: today.read_only == Some(true),
            no_new_privileges: today.no_new_privileges == Some(true),
            has_low_port: profile.known().any(|entry| {
                let port = entry.value.split_once(' ').and_then(|(_, port)| port.parse().ok());
                entry.kind == Kind::Listening && port.is_some_and(|port: u16| port < 1024)
            }),
            pids,
            memory,
        }
    }

    /// Whether the root file system can be read-only.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only_today
            || self.writable.as_ref().is_some_and(|writable| writable.blocked.is_empty())
    }

    /// Folders in memory, if the root file system can be read-only.
    pub fn tmpfs(&self) -> &[writable::Tmpfs] {
        match &self.writable {
            Some(writable) if writable.blocked.is_empty() => &writable.tmpfs,
            _ => &[],
        }
    }

    /// Each setting: what it is today, and what it would be.
    pub fn differences(&self, today: &Today, lang: Lang) -> Vec<Difference> {
        let say = |key: &str| texts::say(lang, key, &[]);
        let unknown = || say("unknown");
        let list = |names: &BTreeSet<String>| match names.is_empty() {
            true => say("none"),
            false => names.iter().cloned().collect::<Vec<_>>().join(" "),
        };
        let yes = |is: bool| say(if is { "yes" } else { "no" });
        let limit = |of: Option<u64>, show: &dyn Fn(u64) -> String| match of {
            None => unknown(),
            Some(0) => say("no-limit"),
            Some(limit) => show(limit),
        };
        let count = |number: u64| number.to_string();
        let rows = [
            (
                "calls",
                today.calls().map_or_else(unknown, |number| number.to_string()),
                self.calls.allowed.len().to_string(),
            ),
            (
                "capabilities",
                today.capabilities.as_ref().map_or_else(unknown, list),
                self.capabilities.used.as_ref().map_or_else(unknown, list),
            ),
            ("read-only", today.read_only.map_or_else(unknown, yes), yes(self.is_read_only())),
            (
                "no-new-privileges",
                today.no_new_privileges.map_or_else(unknown, yes),
                // It is left as it is.
                today.no_new_privileges.map_or_else(unknown, yes),
            ),
            ("pids", limit(today.pids, &count), limit(self.pids, &count)),
            ("memory", limit(today.memory, &bytes), limit(self.memory, &bytes)),
        ];
        rows.map(|(of, today, then)| Difference { of: say(&format!("setting-{of}")), today, then })
            .into()
    }

    /// What has to be known before it is used.
    pub fn remarks(&self, lang: Lang) -> Vec<String> {
        let say = |key: &str, values: &[(&str, &str)]| texts::say(lang, key, values);
        let mut said = Vec::new();
        said.extend(self.calls.remarks(lang));
        said.extend(texts::named(
            lang,
            "remark-capabilities-withheld",
            &self.capabilities.withheld,
        ));
        said.extend(texts::named(lang, "remark-capabilities-beyond", &self.capabilities.beyond));
        if self.capabilities.used.is_none() {
            said.push(say("remark-capabilities", &[]));
        }
        match &self.writable {
            _ if self.is_read_only_today => {}
            None => said.push(say("remark-files", &[])),
            Some(writable) => {
                let blocked = writable.blocked.iter().map(|blocked| blocked.say(lang));
                said.extend(some(blocked, lang));
                let kept = self.tmpfs().iter().filter(|tmpfs| tmpfs.may_be_kept);
                said.extend(some(
                    kept.map(|tmpfs| say("remark-kept", &[("path", &tmpfs.path)])),
                    lang,
                ));
                if !self.tmpfs().is_empty() {
                    said.push(say("remark-tmpfs", &[]));
                }
                if writable.spares_caches && self.is_read_only() {
                    said.push(say("remark-caches", &[]));
                }
            }
        }
        if !self.no_new_privileges {
            said.push(say("remark-no-new-privileges", &[]));
        }
        said
    }
}

/// The first of some lines, and how many more there are: whoever owns the inside of a container can make as many as he likes.
fn some(mut lines: impl Iterator<Item = String>, lang: Lang) -> Vec<String> {
    let mut shown: Vec<String> = lines.by_ref().take(REMARKS).collect();
    let more = lines.count();
    if more > 0 {
        shown.push(texts::say(lang, "remark-more", &[("count", &more.to_string())]));
    }
    shown
}

/// A setting, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which.
    pub of: String,
    /// What it is today.
    pub today: String,
    /// What it would be.
    pub then: String,
}

fn up(value: u64, step: u64) -> u64 {
    value.div_ceil(step).saturating_mul(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Rule;
    use crate::testing::profile;

    fn least(profile: &Profile, today: &Today) -> Least {
        let rule = Rule { quiet_min: 3600, has_health_check: false };
        Least::of(profile, &Coverage::of(profile, &rule), today)
    }

    #[test]
    fn limits_have_room_and_never_take_what_was_enough() {
        let mut known = profile(&[(Kind::Call, "read")]);
        let found = least(&known, &Today::default());
        // 5 tasks and 20 MiB.
        assert_eq!((found.pids, found.memory), (Some(24), Some(64 << 20)));
        known.runs[0].tasks_max = 100;
        known.runs[0].memory_max = 1 << 30;
        let found = least(&known, &Today::default());
        assert_eq!((found.pids, found.memory), (Some(200), Some(1536 << 20)));
        let today = Today { pids: Some(150), memory: Some(0), ..Today::default() };
        assert_eq!(least(&known, &today).pids, Some(150));
        assert_eq!(least(&known, &today).memory, Some(1536 << 20));
        known.runs[0].tasks_max = u64::MAX;
        assert_eq!(least(&known, &today).pids, Some(150));
        known.runs[0].tasks_max = 0;
        assert_eq!(least(&known, &today).pids, None, "not known is no limit of nothing");
    }

    #[test]
    fn what_is_not_known_is_not_read_only() {
        let mut known = profile(&[(Kind::Call, "read")]);
        assert!(least(&known, &Today::default()).is_read_only());
        known.runs[0].gaps.insert(Gap::Files);
        let found = least(&known, &Today::default());
        assert!(!found.is_read_only() && found.writable.is_none());
        for lang in [Lang::En, Lang::Ko] {
            for row in found.differences(&Today::default(), lang) {
                let all = [&row.of, &row.today, &row.then];
                assert!(all.iter().all(|text| !text.starts_with("setting-") && !text.is_empty()));
            }
            assert!(found.remarks(lang).iter().all(|remark| !remark.starts_with("remark-")));
        }
        let today = Today { read_only: Some(true), ..Today::default() };
        assert!(least(&known, &today).is_read_only(), "what is so today stays so");
    }

    #[test]
    fn nothing_is_given_that_is_refused_today_and_what_is_not_known_is_said() {
        let known = profile(&[(Kind::Call, "mount"), (Kind::Capability, "SYS_ADMIN")]);
        let today = Today {
            capabilities: Some(["CHOWN".to_owned()].into()),
            seccomp: Some("default".into()),
            ..Today::default()
        };
        let found = least(&known, &today);
        assert_eq!(found.capabilities.used, Some(BTreeSet::new()));
        assert!(!found.calls.allowed.contains("mount"));
        for (found, words) in
            [(found, "stays refused"), (least(&known, &Today::default()), "today is not known")]
        {
            let said = found.remarks(Lang::En);
            for name in ["mount", "SYS_ADMIN"] {
                let is_said = |line: &String| line.contains(name) && line.contains(words);
                assert!(said.iter().any(is_said), "{name}: {said:?}");
            }
        }
    }
}
