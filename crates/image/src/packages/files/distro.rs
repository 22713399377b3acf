//! Which distribution it is: `os-release`, and in old images the release files that came before it.
//!
//! Of the older files only what they really say is taken.

use haechi_core::inventory::Distro;

use super::text::text;
use crate::reader::{Found, Meta, Unread};

/// Longest line that is looked at.
const LINE_MAX: usize = 4096;

/// How much a file that names the distribution counts: the lowest number wins. Nothing for other files.
///
/// `os-release` first, `/etc` before `/usr/lib` (os-release(5)); then the release files, those of a derivative before
/// those that it keeps from its origin: CentOS has `redhat-release` too, Ubuntu has `debian_version` too.
pub fn precedence(path: &str) -> Option<u8> {
    const ORDER: [&str; 14] = [
        "etc/os-release",
        "usr/lib/os-release",
        "etc/alpine-release",
        "etc/rocky-release",
        "etc/almalinux-release",
        "etc/oracle-release",
        "etc/centos-release",
        "etc/fedora-release",
        "etc/photon-release",
        "etc/mariner-release",
        "etc/azurelinux-release",
        "etc/redhat-release",
        "etc/system-release",
        "etc/debian_version",
    ];
    ORDER.iter().position(|name| *name == path).and_then(|index| u8::try_from(index).ok())
}

pub(super) fn wants(meta: &Meta<'_>, _head: &[u8]) -> bool {
    precedence(meta.path).is_some()
}

pub(super) fn read(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let content = text(content);
    found.distro = match meta.path {
        "etc/os-release" | "usr/lib/os-release" => os_release(&content),
        "etc/alpine-release" => named("alpine", first_line(&content)),
        "etc/debian_version" => debian_version(first_line(&content)),
        _ => release_sentence(first_line(&content)),
    };
    match found.distro {
        Some(_) => Ok(()),
        // An empty file is common (`scratch` with a bind target); it names nothing and hides nothing.
        None if content.trim().is_empty() => Ok(()),
        None => Err(Unread("it names no distribution".into())),
    }
}

fn first_line(content: &str) -> &str {
    let line = content.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    if line.len() > LINE_MAX { "" } else { line }
}

fn named(id: &str, version: &str) -> Option<Distro> {
    (!version.is_empty()).then(|| Distro {
        id: id.to_owned(),
        version: version.to_owned(),
        ..Distro::default()
    })
}

/// os-release(5). Of a repeated name the last value counts, as in a shell.
fn os_release(content: &str) -> Option<Distro> {
    let mut distro = Distro::default();
    let mut name = String::new();
    for line in content.lines().map(str::trim).filter(|line| line.len() <= LINE_MAX) {
        let Some((key, value)) = line.split_once('=') else { continue };
        if line.starts_with('#') {
            continue;
        }
        let value = unquoted(value);
        match key {
            "ID" => distro.id = value,
            "VERSION_ID" => distro.version = value,
            "VERSION_CODENAME" => distro.codename = value,
            "PRETTY_NAME" => distro.name = value,
            "NAME" => name = value,
            "ID_LIKE" => distro.like = value.split_whitespace().map(str::to_owned).collect(),
            _ => {}
        }
    }
    if distro.name.is_empty() {
        distro.name = name;
    }
    if distro.version.is_empty() {
        distro.version.clone_from(&distro.codename);
    }
    (!distro.id.is_empty()).then_some(distro)
}

/// A value as a shell would assign it: no quotes, single or double, `\` before a special character.
fn unquoted(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut quote = None;
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None) => out.extend(chars.next()),
            ('\\', Some('"')) if chars.peek().is_some_and(|c| "\"$\\`".contains(*c)) => {
                out.extend(chars.next());
            }
            // An unquoted space ends the value.
            (c, None) if c.is_whitespace() => break,
            (c, _) => out.push(c),
        }
    }
    out
}

/// `12.5`, or `trixie/sid` before a release. The version of Debian is the number before the point.
fn debian_version(line: &str) -> Option<Distro> {
    let (version, rest) = line.split_once(['.', '/']).unwrap_or((line, ""));
    let is_number = version.bytes().all(|byte| byte.is_ascii_digit());
    let mut distro = named("debian", version)?;
    if !is_number {
        if rest != "sid" || version.contains(char::is_whitespace) {
            return None;
        }
        distro.codename = version.to_owned();
    }
    Some(distro)
}

/// `NAME release VERSION (codename)`, or `NAME VERSION` by Photon and Mariner.
fn release_sentence(line: &str) -> Option<Distro> {
    const IDS: [(&str, &str); 10] = [
        ("red hat enterprise linux", "rhel"),
        ("centos", "centos"),
        ("fedora", "fedora"),
        ("rocky linux", "rocky"),
        ("almalinux", "almalinux"),
        ("oracle linux", "ol"),
        ("amazon linux", "amzn"),
        ("vmware photon", "photon"),
        ("cbl-mariner", "mariner"),
        ("microsoft azure linux", "azurelinux"),
    ];
    let lower = line.to_ascii_lowercase();
    let id = IDS.iter().find(|(name, _)| lower.starts_with(name)).map(|(_, id)| *id)?;
    let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let version = line.split_whitespace().find(is_version)?;
    let mut distro = named(id, version)?;
    distro.name = line.to_owned();
    Some(distro)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(path: &str, content: &str) -> Option<Distro> {
        let mut found = Found::default();
        let meta = Meta { path, ..Meta::default() };
        let _ = read(&meta, content.as_bytes(), &mut found);
        found.distro
    }

    #[test]
    fn os_release_with_all_kinds_of_quotes() {
        let distro = read_all(
            "etc/os-release",
            "# c\nNAME=\"A \\\"B\\\"\"\r\nID=ubuntu\nID_LIKE='debian x'\nVERSION_ID=\"22.04\"\n\
             VERSION_CODENAME=jammy # no\nPRETTY_NAME=a\\ b\nBUG=1\n",
        )
        .unwrap();
        assert_eq!(
            (&*distro.id, &*distro.version, &*distro.codename),
            ("ubuntu", "22.04", "jammy")
        );
        assert_eq!((&*distro.name, distro.like.len()), ("a b", 2));
    }

    #[test]
    fn testing_has_its_codename_as_version() {
        let distro =
            read_all("usr/lib/os-release", "ID=debian\nVERSION_CODENAME=trixie\n").unwrap();
        assert_eq!(distro.version, "trixie");
        assert_eq!(read_all("etc/os-release", "NAME=x\n"), None);
    }

    #[test]
    fn older_files_say_what_they_say() {
        let cases = [
            ("etc/redhat-release", "CentOS release 6.10 (Final)\n", "centos", "6.10"),
            (
                "etc/redhat-release",
                "Red Hat Enterprise Linux Server release 7.9 (Maipo)",
                "rhel",
                "7.9",
            ),
            ("etc/system-release", "Amazon Linux release 2 (Karoo)", "amzn", "2"),
            ("etc/photon-release", "VMware Photon OS 4.0\nPHOTON_BUILD_NUMBER=x", "photon", "4.0"),
            ("etc/alpine-release", "3.4.0\n", "alpine", "3.4.0"),
            ("etc/debian_version", "12.5\n", "debian", "12"),
            ("etc/debian_version", "trixie/sid\n", "debian", "trixie"),
        ];
        for (path, content, id, version) in cases {
            let distro = read_all(path, content).unwrap();
            assert_eq!((&*distro.id, &*distro.version), (id, version), "{content}");
        }
        assert_eq!(read_all("etc/debian_version", "what is this"), None);
        assert_eq!(read_all("etc/redhat-release", "My own 1"), None);
    }

    #[test]
    fn os_release_wins() {
        assert!(precedence("etc/os-release") < precedence("usr/lib/os-release"));
        assert!(precedence("usr/lib/os-release") < precedence("etc/alpine-release"));
        assert!(precedence("etc/centos-release") < precedence("etc/redhat-release"));
        assert_eq!(precedence("etc/passwd"), None);
    }
}
