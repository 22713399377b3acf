//! Judges what containers do.
//!
//! Events of the kernel come in, in order; each is told apart by container and process ([`container`], [`tree`]), shown
//! to the rules in the words of Falco's fields ([`fields`]), and becomes an [`haechi_core::alert::Alert`] where a rule
//! matches; the policy says how that is answered ([`respond`]), and [`watch`] is all of it at work. It promises that an
//! event of a container that it does not know by name is judged all the same, and that the judging thread ([`judge`])
//! waits for nobody. It draws no picture and loads nothing into the kernel but what `haechi-sensor` does.

pub mod arguments;
pub mod bundle;
pub mod container;
pub mod evidence;
pub mod fallback;
pub mod fields;
pub mod flags;
pub mod hands;
pub mod identity;
pub mod judge;
pub mod judged_before;
pub mod learn;
pub mod looks;
pub mod monitor;
pub mod redact;
pub mod respond;
pub mod running;
pub mod source;
pub mod throttle;
pub mod tree;
pub mod unkept;
pub mod view;
pub mod watch;

pub use container::{Container, Containers};
pub use monitor::{Clock, Monitor};

/// Files of which reading is told: last parts of paths, and folders.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// Last parts of paths.
    pub names: Vec<String>,
    /// Last parts of the paths of folders.
    pub folders: Vec<String>,
}

impl Watched {
    /// Our own list.
    ///
    /// # Errors
    /// It is broken. A test rules that out.
    pub fn embedded() -> Result<Self, serde_norway::Error> {
        serde_norway::from_str(include_str!("../../../rules/watched.yaml"))
    }
}

/// Our own rules: file name and content.
pub const RULES: (&str, &str) = ("rules/haechi.yaml", include_str!("../../../rules/haechi.yaml"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_ours_runs() {
        let loaded = haechi_rules::Rules::load(&[RULES], &fields::Fields);
        assert_eq!(loaded.problems, []);
        let listed = loaded.rules.list();
        assert!(listed.len() >= 25);
        assert!(listed.iter().all(|rule| rule.state == haechi_rules::State::Runs), "{listed:?}");
        assert!(!Watched::embedded().unwrap().names.is_empty());
    }
}
