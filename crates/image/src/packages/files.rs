//! Files about the system as a whole: its distribution, its accounts, and settings of package managers that skip
//! verification. Which of several files names the distribution is told by [`precedence`], and decided when layers
//! are merged.

mod apt_conf;
mod command;
mod distro;
pub(in crate::packages) mod text;
mod weak;

pub use command::weak_in_command;
pub use distro::precedence;

use crate::reader::{Found, Meta, Reader, Unread};

/// `os-release` and its like have a few hundred bytes, `passwd` and settings a few thousand.
const SIZE_MAX: u64 = 4 << 20;

/// Readers of this file.
pub const READERS: &[Reader] = &[
    Reader { name: "distribution", size_max: SIZE_MAX, wants: distro::wants, read: distro::read },
    Reader { name: "accounts", size_max: SIZE_MAX, wants: is_passwd, read: read_passwd },
    Reader {
        name: "package manager settings",
        size_max: SIZE_MAX,
        wants: weak::wants,
        read: weak::read,
    },
];

fn is_passwd(meta: &Meta<'_>, _head: &[u8]) -> bool {
    matches!(meta.path, "etc/passwd" | "usr/lib/passwd")
}

/// `name:password:uid:…`, passwd(5). Lines that are none are ignored, as by the C library.
fn read_passwd(_meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    for line in content.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b':');
        let (Some(name), Some(uid)) = (fields.next(), fields.nth(1)) else { continue };
        let uid = str::from_utf8(uid).ok().and_then(|uid| uid.trim().parse().ok());
        if let Some(uid) = uid.filter(|uid| *uid >= 0 && !name.is_empty()) {
            found.accounts.push((text::text(name), uid));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_have_a_name_and_an_id() {
        let mut found = Found::default();
        let content = b"root:x:0:0:root:/root:/bin/sh\n# no\nbad:x:y:0\n:x:1:1\napp:x:1000:1000::/:\r\nneg:x:-1:1";
        read_passwd(&Meta::default(), content, &mut found).unwrap();
        assert_eq!(found.accounts, [("root".into(), 0), ("app".into(), 1000)]);
    }
}
