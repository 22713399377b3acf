//! The engine's security options (`name=seccomp,profile=builtin`), as `info` lists them.
//!
//! Splits them into names and values; what they mean is up to the caller.

/// The security options of an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SecurityOptions(Vec<Vec<(String, String)>>);

impl SecurityOptions {
    /// Understands the list of `info`. Engines before API 1.25 gave bare names.
    pub(super) fn parse(list: &[String]) -> Self {
        let pair = |part: &str| match part.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => ("name".to_owned(), part.to_owned()),
        };
        Self(list.iter().map(|option| option.split(',').map(pair).collect()).collect())
    }

    fn find(&self, name: &str) -> Option<&Vec<(String, String)>> {
        self.0.iter().find(|parts| parts.iter().any(|(key, value)| key == "name" && value == name))
    }

    /// Whether an option is listed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The seccomp profile: `None` if the engine does not use seccomp, else `default`, `unconfined` or a path.
    pub(super) fn seccomp_profile(&self) -> Option<&str> {
        let parts = self.find("seccomp")?;
        match parts.iter().find(|(key, _)| key == "profile").map(|(_, value)| value.as_str()) {
            // Engines since 23 call their own profile `builtin`.
            None | Some("" | "builtin" | "default") => Some("default"),
            Some(other) => Some(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_old_and_new_engines_are_understood() {
        let parse = |list: &[&str]| {
            SecurityOptions::parse(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
        };
        let options = parse(&["name=apparmor", "name=seccomp,profile=builtin", "name=userns"]);
        assert!(options.has("apparmor") && options.has("userns") && !options.has("selinux"));
        assert_eq!(options.seccomp_profile(), Some("default"));
        assert_eq!(parse(&["seccomp"]).seccomp_profile(), Some("default"));
        assert_eq!(
            parse(&["name=seccomp,profile=unconfined"]).seccomp_profile(),
            Some("unconfined")
        );
        assert_eq!(
            parse(&["name=seccomp,profile=/etc/s.json"]).seccomp_profile(),
            Some("/etc/s.json")
        );
        assert_eq!(parse(&[]).seccomp_profile(), None);
    }
}
