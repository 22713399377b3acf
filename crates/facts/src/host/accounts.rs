//! Accounts, the state of their passwords, and groups, from /etc/passwd, /etc/shadow and
//! /etc/group.
//!
//! Lines are read as the C library reads them, but a line that it would refuse still counts where
//! it could matter (user id 0, an empty password). Duplicates are kept: each line is an account.
//! Accounts that come from a directory service are not asked for.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::facts::{Account, Group};
use haechi_core::finding::{Cause, SubjectKind};

use crate::gaps::Gaps;
use crate::root::Root;

const PASSWD: &str = "/etc/passwd";
const SHADOW: &str = "/etc/shadow";
const GROUP: &str = "/etc/group";

/// Accounts of /etc/passwd, in its order.
pub(super) fn accounts(root: &Root, gaps: &Gaps) -> Option<Vec<Account>> {
    let passwd = gaps.keep(SubjectKind::Host, "accounts", root.read_text(PASSWD))?;
    let shadow = match root.read_text(SHADOW) {
        Ok(text) => Some(passwords(&text)),
        Err(error) if error.is_not_found() => Some(BTreeMap::new()),
        Err(error) => gaps.keep(SubjectKind::Host, "accounts", Err(error)),
    };
    let (accounts, odd) = parse_passwd(&passwd, shadow.as_ref());
    for line in odd {
        let detail = format!("{PASSWD}, line {line}: not an account as passwd(5) has it");
        gaps.record(SubjectKind::Host, "accounts", Cause::Missing, detail);
    }
    Some(accounts)
}

/// The accounts, and the numbers of lines that count but are incomplete, or that bring in accounts
/// from elsewhere.
fn parse_passwd(
    text: &str,
    shadow: Option<&BTreeMap<String, Password>>,
) -> (Vec<Account>, Vec<usize>) {
    let mut accounts = Vec::new();
    let mut odd = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split(':').collect();
        let (name, password) =
            (fields.first().copied().unwrap_or_default(), fields.get(1).copied());
        // `+name` and `-name` take accounts from NIS.
        let uid = fields.get(2).and_then(|field| id(field));
        let (Some(uid), Some(password), false) = (uid, password, name.starts_with(['+', '-']))
        else {
            odd.push(index + 1);
            continue;
        };
        let gid = fields.get(3).and_then(|field| id(field));
        if gid.is_none() {
            odd.push(index + 1);
        }
        let state = match password {
            // `##name` is how some systems say that the password is elsewhere.
            "x" => shadow.map(|s| s.get(name).copied().unwrap_or(Password::Unknown)),
            other if other.starts_with("##") => {
                shadow.map(|s| s.get(name).copied().unwrap_or(Password::Unknown))
            }
            other => Some(Password::of(other)),
        };
        accounts.push(Account {
            name: Some(name.to_owned()),
            uid: Some(uid),
            gid,
            shell: Some(fields.get(6).copied().unwrap_or_default().trim_end().to_owned()),
            password: state.map(|state| state.name().to_owned()),
        });
    }
    (accounts, odd)
}

/// A user or group id as the C library reads one: leading blanks and a sign are taken.
fn id(field: &str) -> Option<i64> {
    let digits = field.trim_start();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let value: i64 = digits.parse().ok()?;
    (-1..=i64::from(u32::MAX)).contains(&value).then_some(value)
}

/// State of a password, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Password {
    Unknown,
    Locked,
    Set,
    Empty,
}

impl Password {
    fn of(field: &str) -> Self {
        match field {
            "" => Self::Empty,
            _ if field.starts_with(['!', '*']) => Self::Locked,
            _ => Self::Set,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Locked => "locked",
            Self::Set => "set",
            Self::Empty => "empty",
        }
    }
}

/// States by name, from /etc/shadow. Of several lines for one name the worst counts.
fn passwords(text: &str) -> BTreeMap<String, Password> {
    let mut states = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.trim_start().split(':');
        let (Some(name), Some(field)) = (fields.next(), fields.next()) else { continue };
        let state = states.entry(name.to_owned()).or_insert(Password::Unknown);
        *state = Password::of(field).max(*state);
    }
    states
}

/// Groups of /etc/group, in its order. Whoever is listed in one of several groups with the same id
/// is a member of each, because the kernel knows only the id.
pub(super) fn groups(root: &Root, accounts: Option<&[Account]>, gaps: &Gaps) -> Option<Vec<Group>> {
    let text = gaps.keep(SubjectKind::Host, "groups", root.read_text(GROUP))?;
    let Some(accounts) = accounts else {
        let detail = format!("members need {PASSWD}, which could not be read");
        gaps.record(SubjectKind::Host, "groups", Cause::Missing, detail);
        return None;
    };
    let mut lines = Vec::new();
    let mut members: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for account in accounts {
        if let (Some(name), Some(gid)) = (&account.name, account.gid) {
            members.entry(gid).or_default().insert(name.clone());
        }
    }
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split(':').collect();
        let name = fields.first().copied().unwrap_or_default();
        let Some(gid) = fields.get(2).and_then(|field| id(field)) else {
            let detail = format!("{GROUP}, line {}: not a group as group(5) has it", index + 1);
            gaps.record(SubjectKind::Host, "groups", Cause::Missing, detail);
            continue;
        };
        let listed = fields.get(3).copied().unwrap_or_default().split(',').map(str::trim);
        members
            .entry(gid)
            .or_default()
            .extend(listed.filter(|member| !member.is_empty()).map(str::to_owned));
        lines.push((name.to_owned(), gid));
    }
    let group = |(name, gid): (String, i64)| Group {
        name: Some(name),
        gid: Some(gid),
        members: Some(members.get(&gid).into_iter().flatten().cloned().collect()),
    };
    Some(lines.into_iter().map(group).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join("etc").join(name), text).unwrap();
        }
        let root = Root::new(dir.path());
        (dir, root)
    }

    #[test]
    fn password_states_are_told_apart() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nopen::1000:1000::/:\n\
                      hash:$6$a$b:1001:1000::/:/bin/sh\n\
                      locked:!:1002:1000::/:\nshadowless:x:1003:1000::/:\nstar:x:1004:1000::/:\n\
                      halted:x:1005:1000::/:\nblank:x:1006:1000::/:\ntwice:x:1007:1000::/:\n";
        let shadow =
            "root:$y$x:1:::::\nstar:*:1:\nhalted:!$6$x:1:\nblank::1:\ntwice:!:\ntwice::\nbroken\n";
        let (_dir, root) = root(&[("passwd", passwd), ("shadow", shadow)]);
        let gaps = Gaps::default();
        let seen: Vec<_> = accounts(&root, &gaps)
            .unwrap()
            .into_iter()
            .map(|a| format!("{} {}", a.name.unwrap(), a.password.unwrap()))
            .collect();
        assert_eq!(
            seen,
            [
                "root set",
                "open empty",
                "hash set",
                "locked locked",
                "shadowless unknown",
                "star locked",
                "halted locked",
                "blank empty",
                "twice empty"
            ]
        );
        assert!(gaps.into_sorted().is_empty());
    }

    #[test]
    fn a_second_root_cannot_hide_in_a_broken_line() {
        let passwd = "root:x:0:0::/root:/bin/sh\nshort:x:0\n blanks::  +0:0\n\
                      root:x:0:0::/:/bin/sh\n\
                      zeros:x:000:1::/:\nminus:x:-0:1::/:\nnothing\n::\n+nis\n\
                      big:x:4294967296:0::/:\n";
        let (_dir, root) = root(&[("passwd", passwd)]);
        let gaps = Gaps::default();
        let accounts = accounts(&root, &gaps).unwrap();
        let zero: Vec<_> = accounts
            .iter()
            .filter(|a| a.uid == Some(0))
            .map(|a| a.name.as_deref().unwrap())
            .collect();
        assert_eq!(zero, ["root", "short", "blanks", "root", "zeros", "minus"]);
        assert_eq!(accounts[1].gid, None);
        assert_eq!(accounts[2].password.as_deref(), Some("empty"));
        assert_eq!(gaps.into_sorted().len(), 5, "short, nothing, ::, +nis, big");
    }

    #[test]
    fn a_shadow_file_that_cannot_be_read_leaves_the_states_open() {
        let (dir, root) = root(&[("passwd", "root:x:0:0::/:\nopen::1:1::/:\n")]);
        std::fs::create_dir(dir.path().join("etc/shadow")).unwrap();
        let gaps = Gaps::default();
        let accounts = accounts(&root, &gaps).unwrap();
        assert_eq!(accounts[0].password, None);
        assert_eq!(accounts[1].password.as_deref(), Some("empty"), "passwd says so itself");
        assert_eq!(gaps.into_sorted()[0].fact, "accounts");
    }

    #[test]
    fn members_are_listed_primary_and_of_the_same_id() {
        let files = [
            ("passwd", "ann:x:1:999::/:\nbob:x:2:2::/:\n"),
            ("group", "docker:x:999:cem,bob,,cem\nalias:x:999:eve\nempty:x:5:\nbad:x\n"),
        ];
        let (_dir, root) = root(&files);
        let gaps = Gaps::default();
        let accounts = accounts(&root, &gaps).unwrap();
        let groups = groups(&root, Some(&accounts), &gaps).unwrap();
        assert_eq!(groups.len(), 3);
        assert_eq!(groups[0].members.as_deref().unwrap(), ["ann", "bob", "cem", "eve"]);
        assert_eq!(groups[1].members, groups[0].members);
        assert!(groups[2].members.as_deref().unwrap().is_empty());
        assert_eq!(gaps.into_sorted().len(), 1);
        assert_eq!(super::groups(&root, None, &Gaps::default()), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_no_user_id_0_is_lost(text in "(?s).{0,200}", name in "[a-z]{1,8}") {
            let text = format!("{text}\n{name}::0:0:::\n");
            let (accounts, _) = parse_passwd(&text, None);
            let last = accounts.last().unwrap();
            prop_assert_eq!(last.uid, Some(0));
            prop_assert_eq!(last.password.as_deref(), Some("empty"));
            passwords(&text);
        }
    }
}
