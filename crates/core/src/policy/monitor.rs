//! What the site intends for running containers: which alerts are answered how, and what is never touched.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matches_pattern;
use crate::alert::{Alert, Priority};
use crate::response::Response;

section! {
    /// How running containers are watched, and what is done about alerts. Nothing but telling unless `haechi monitor
    /// --respond` asks for it.
    pub struct MonitorPolicy {
        /// Whether responses are only told and not done.
        pub dry_run: bool = false,
        /// Containers to which nothing is done, by name pattern.
        pub protected: Vec<String> = Vec::new(),
        /// Most responses within `actions_minutes`, over all containers; what is beyond is told only.
        pub actions_max: i64 = 10,
        /// See `actions_max`.
        pub actions_minutes: i64 = 10,
        /// Minutes after which a paused or cut off container runs again by itself; 0 means never.
        pub resume_minutes: i64 = 0,
        /// Hours that a container that ran before the monitor must be watched, until nothing seen counts as nothing done.
        pub observed_hours_min: i64 = 24,
        /// Days for which alerts, actions and activity are kept; 0 means for ever. What a verification needs of containers
        /// that exist stays.
        pub keep_days: i64 = 90,
        /// Most alerts, actions and rows of activity, each, that are kept; the oldest go first; 0 means any number.
        pub keep_rows: i64 = 200_000,
        /// Names of programs that no container may start, wherever they lie.
        pub denied_programs: Vec<String> = Vec::new(),
        /// Which alerts are answered how; the first line that fits an alert counts.
        pub responses: Vec<ResponsePolicy> = Vec::new(),
    }
}

/// Which alerts are answered how. What is not given fits all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponsePolicy {
    /// Pattern of the rule's name.
    #[serde(default = "any")]
    pub rule: String,
    /// A tag of the rule.
    #[serde(default)]
    pub tag: Option<String>,
    /// At least this urgent.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// Pattern of the container's name.
    #[serde(default = "any")]
    pub container: String,
    /// What is done.
    pub response: Response,
}

fn any() -> String {
    "*".to_owned()
}

impl ResponsePolicy {
    /// Whether it is about this rule, whatever the container.
    pub fn fits_rule(&self, name: &str, tags: &[String], priority: Priority) -> bool {
        matches_pattern(&self.rule, name)
            && self.tag.as_ref().is_none_or(|tag| tags.contains(tag))
            && self.priority.is_none_or(|least| priority <= least)
    }
}

impl MonitorPolicy {
    /// What makes no sense: the key, and why.
    pub(super) fn mistakes(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (at, line) in self.responses.iter().enumerate() {
            if line.rule == "*" && line.tag.is_none() && line.priority.is_none() {
                let why = "needs a rule, a tag or a priority: this one answers every alert";
                found.push((format!("monitor.responses[{at}]"), why.to_owned()));
            }
        }
        for (key, value) in [("keep_days", self.keep_days), ("keep_rows", self.keep_rows)] {
            if value < 0 {
                found.push((format!("monitor.{key}"), "must not be below 0".to_owned()));
            }
        }
        for name in &self.denied_programs {
            if name.is_empty() || name.len() > 63 || name.contains('/') {
                let why =
                    format!("`{name}` must be a file's name of at most 63 bytes, without `/`");
                found.push(("monitor.denied_programs".to_owned(), why));
            }
        }
        found
    }

    /// How an alert is answered.
    pub fn response(&self, alert: &Alert) -> Response {
        let fits = |line: &&ResponsePolicy| {
            line.fits_rule(&alert.rule, &alert.tags, alert.priority)
                && matches_pattern(&line.container, &alert.container.name)
        };
        self.responses.iter().find(fits).map_or(Response::Alert, |line| line.response)
    }

    /// Whether nothing is done to this container.
    pub fn protects(&self, container: &str) -> bool {
        self.protected.iter().any(|pattern| matches_pattern(pattern, container))
    }
}
