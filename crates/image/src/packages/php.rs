//! Packages of PHP that Composer installed (`vendor/composer/installed.json`, of Composer 1 and 2) and packages of
//! PEAR (`.registry/*.reg`).
//!
//! Versions stay as they are written (`v5.4.3`). Composer's `installed.php` says the same as its `installed.json` and
//! is not read: it would show every package twice.

use haechi_core::inventory::{Package, PackageKind};
use memchr::memmem;
use serde_json::Value;

use super::node::json;
use crate::reader::{Found, Meta, Reader, Unread};

/// Readers of this file.
pub const READERS: &[Reader] = &[
    Reader {
        name: "Composer installed.json",
        // About 3 KiB for each package; large applications have some hundred.
        size_max: 16 << 20,
        wants: |meta, head| {
            meta.name() == "installed.json"
                && (meta.path.ends_with("composer/installed.json")
                    || memmem::find(head, b"\"version_normalized\"").is_some())
        },
        read: read_composer,
    },
    Reader {
        name: "PEAR registry",
        // One package with its list of files.
        size_max: 4 << 20,
        wants: |meta, _| meta.path.contains(".registry/") && meta.name().ends_with(".reg"),
        read: read_pear,
    },
];

fn read_composer(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let root = json(content)?;
    let list = root.as_array().or_else(|| root.get("packages")?.as_array());
    let list = list.ok_or_else(|| Unread("it has no list of packages".to_owned()))?;
    for (index, entry) in list.iter().enumerate() {
        match composer_package(entry, meta.path) {
            Some(package) => found.packages.push(package),
            None => found.unread.push(format!("entry {index} lacks name or version")),
        }
    }
    Ok(())
}

/// One package in the form that `installed.json` and `composer.lock` share
/// (<https://getcomposer.org/doc/04-schema.md>).
pub(super) fn composer_package(entry: &Value, path: &str) -> Option<Package> {
    let text = |member: &str| entry.get(member)?.as_str().filter(|text| !text.is_empty());
    let mut package = Package::new(PackageKind::Composer, text("name")?, text("version")?, path);
    package.licenses = match entry.get("license") {
        Some(Value::String(license)) => vec![license.clone()],
        Some(Value::Array(list)) => {
            list.iter().filter_map(|license| license.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    Some(package)
}

/// PEAR keeps `package.xml` as a serialised array of PHP. Advisories name packages of PEAR as Composer does:
/// `pear/archive_tar`.
fn read_pear(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let text = String::from_utf8_lossy(content);
    let channel = after(&text, "s:7:\"channel\";").unwrap_or("pear.php.net");
    let vendor = channel.split('.').next().unwrap_or(channel);
    // Version 1 of the format calls the package `package` and its version `version`.
    let name = after(&text, "s:4:\"name\";").filter(|_| text.contains("s:7:\"channel\";"));
    let name = name.or_else(|| after(&text, "s:7:\"package\";"));
    let name = name.ok_or_else(|| Unread("it states no name".to_owned()))?;
    let version = match text.split_once("s:7:\"version\";a:") {
        Some((_, versions)) => after(versions, "s:7:\"release\";"),
        None => after(&text, "s:7:\"version\";"),
    };
    let version = version.ok_or_else(|| Unread(format!("{name} states no version")))?;
    let name = format!("{vendor}/{}", name.to_lowercase());
    found.packages.push(Package::new(PackageKind::Composer, name, version, meta.path));
    Ok(())
}

/// The string that follows a key: `s:5:"1.4.9";`.
fn after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(key)?;
    let (_, rest) = rest.strip_prefix("s:")?.split_once(":\"")?;
    rest.split_once("\";").map(|(value, _)| value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_at(path: &str, content: &[u8]) -> (Found, Result<(), Unread>) {
        let meta = Meta { path, ..Meta::default() };
        let mut found = Found::default();
        let reader = READERS.iter().find(|reader| (reader.wants)(&meta, content)).unwrap();
        let result = (reader.read)(&meta, content, &mut found);
        (found, result)
    }

    fn names(found: &Found) -> Vec<(&str, &str)> {
        found.packages.iter().map(|p| (p.name.as_str(), p.version.as_str())).collect()
    }

    #[test]
    fn both_forms_of_composer_are_read() {
        let list = r#"[{"name": "a/b", "version": "v5.4.3", "license": ["MIT"]}, {"name": "c/d", "version": "dev-main"}]"#;
        for content in [list.to_owned(), format!("{{\"packages\": {list}, \"dev\": true}}")] {
            let (found, result) = read_at("srv/vendor/composer/installed.json", content.as_bytes());
            assert_eq!(result, Ok(()));
            assert_eq!(names(&found), [("a/b", "v5.4.3"), ("c/d", "dev-main")]);
            assert_eq!(found.packages[0].licenses, ["MIT"]);
        }
    }

    #[test]
    fn what_lacks_a_version_is_told_and_the_rest_is_kept() {
        let content = br#"[{"name": "a/b"}, 7, {"name": "c/d", "version": "1"}]"#;
        let (found, result) = read_at("vendor/composer/installed.json", content);
        assert_eq!((result, names(&found)), (Ok(()), vec![("c/d", "1")]));
        assert_eq!(found.unread.len(), 2);
        for broken in [&b""[..], b"{}", b"{\"packages\": 1}", b"[[[", b"\xff"] {
            assert!(read_at("vendor/composer/installed.json", broken).1.is_err());
        }
    }

    #[test]
    fn an_unrelated_file_of_that_name_is_not_wanted() {
        let meta = Meta { path: "x/installed.json", ..Meta::default() };
        assert!(!READERS.iter().any(|reader| (reader.wants)(&meta, b"{}")));
    }

    #[test]
    fn the_registry_of_pear_is_read() {
        let second = br#"a:3:{s:4:"name";s:11:"Archive_Tar";s:7:"channel";s:12:"pear.php.net";s:7:"version";a:2:{s:7:"release";s:5:"1.4.9";s:3:"api";s:5:"1.4.0";}}"#;
        let (found, _) = read_at("usr/local/lib/php/.registry/archive_tar.reg", second);
        assert_eq!(names(&found), [("pear/archive_tar", "1.4.9")]);
        let first = br#"a:2:{s:7:"package";s:4:"XMLx";s:7:"version";s:3:"1.0";}"#;
        assert_eq!(names(&read_at(".registry/x.reg", first).0), [("pear/xmlx", "1.0")]);
        assert!(read_at(".registry/x.reg", b"a:0:{}").1.is_err());
    }
}
