//! Names of programs that are refused: in every watched container, and in single ones. Checks and holds them; refuses
//! nothing by itself.

use std::collections::{BTreeMap, BTreeSet};

use super::DenyError;

/// Bytes of a name. The kernel side has 64 with the NUL, and a name that was cut there has 63, so that none of these
/// can be the beginning of a longer one.
pub(crate) const NAME_BYTES: usize = 62;
/// How many names there may be in all: half of what the kernel side holds, as it holds the old and the new at once.
const PAIRS: usize = 8192;

/// See above. Group 0 is every container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names(BTreeMap<u64, BTreeSet<String>>);

impl Names {
    /// These names, with those of one group exchanged. Of a path the last part counts.
    pub(crate) fn with(&self, group: u64, names: &[String]) -> Result<Self, DenyError> {
        let mut new = self.clone();
        let names = names.iter().map(|name| checked(name)).collect::<Result<BTreeSet<_>, _>>()?;
        if names.is_empty() {
            new.0.remove(&group);
        } else {
            new.0.insert(group, names);
        }
        let pairs = new.pairs().count();
        if pairs > PAIRS {
            return Err(DenyError::TooMany { names: pairs, most: PAIRS });
        }
        Ok(new)
    }

    /// Each name with its group.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (u64, &str)> {
        self.0.iter().flat_map(|(group, names)| names.iter().map(|name| (*group, name.as_str())))
    }

    /// Whether there are none at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there are none for a group.
    pub(crate) fn has_none_of(&self, group: u64) -> bool {
        !self.0.contains_key(&group)
    }

    /// Whether a name is refused in some group.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.0.values().any(|names| names.contains(name))
    }

    /// Whether a name is refused in a group; in one that is not known, if it is refused in all.
    pub(crate) fn refuses(&self, group: Option<u64>, name: &str) -> bool {
        [Some(0), group]
            .into_iter()
            .flatten()
            .any(|group| self.0.get(&group).is_some_and(|names| names.contains(name)))
    }
}

fn checked(name: &str) -> Result<String, DenyError> {
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if last.is_empty() || last.len() > NAME_BYTES || last.contains('\0') {
        return Err(DenyError::Name { name: name.to_owned(), most: NAME_BYTES });
    }
    Ok(last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_name_is_refused_where_it_was_said() {
        let all = Names::default().with(0, &names(&["/usr/sbin/sshd", "nc"])).unwrap();
        let both = all.with(7, &names(&["apt"])).unwrap();
        assert!(both.refuses(None, "sshd") && both.refuses(Some(7), "nc"));
        assert!(both.refuses(Some(7), "apt") && both.knows("apt"));
        assert!(!both.refuses(Some(8), "apt") && !both.refuses(None, "apt"));
        assert!(!both.knows("ssh") && !both.knows("/usr/sbin/sshd"));
        let none = both.with(7, &[]).unwrap();
        assert_eq!(none, all);
        assert!(none.has_none_of(7) && !none.has_none_of(0));
    }

    #[test]
    fn names_that_cannot_be_compared_are_not_taken() {
        let longest = "x".repeat(NAME_BYTES);
        assert!(Names::default().with(0, std::slice::from_ref(&longest)).is_ok());
        for bad in [format!("{longest}x"), String::new(), "/".into(), "a\0b".into()] {
            assert!(Names::default().with(0, &[bad]).is_err());
        }
        let many: Vec<_> = (0..=PAIRS).map(|number| format!("p{number}")).collect();
        assert!(Names::default().with(0, &many).is_err());
        assert!(Names::default().with(0, many.get(1..).unwrap()).is_ok());
    }
}
