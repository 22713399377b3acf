//! Packages of .NET: `*.deps.json` beside an application or in a shared framework, and packages that NuGet unpacked
//! (`packages/<id>/<version>/<id>.nuspec`).
//!
//! A shared framework is reported under its own name and under that of its runtime pack
//! (`Microsoft.NETCore.App.Runtime.linux-x64`), which advisories use. The version resource of a `.dll` is not read, so
//! an assembly that no `*.deps.json` names is not seen; neither is what a single-file application carries inside.

use std::collections::BTreeSet;

use haechi_core::inventory::{Package, PackageKind};
use serde_json::Value;

use super::lockfiles::xml::{Step, walk};
use super::node::json_members;
use crate::reader::{Found, Meta, Reader, Unread};

/// Readers of this file.
pub const READERS: &[Reader] = &[
    Reader {
        name: ".NET deps.json",
        // About 500 bytes for each assembly; the largest have some 2 MiB.
        size_max: 16 << 20,
        wants: |meta, _| meta.name().ends_with(".deps.json"),
        read: read_deps,
    },
    Reader {
        name: "nuspec",
        // Some KiB; those with release notes have some more.
        size_max: 4 << 20,
        wants: |meta, _| {
            meta.name().ends_with(".nuspec")
                && meta.path.rsplit('/').skip(1).take(3).any(|part| part == "packages")
        },
        read: read_nuspec,
    },
];

fn read_deps(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let members = json_members(content, &["libraries", "runtimeTarget"])?;
    let mut packages = BTreeSet::new();
    if let Some((framework, version)) = shared_framework(meta.path) {
        packages.insert((framework.to_owned(), version.to_owned()));
        let target = members.get("runtimeTarget").and_then(|target| target.get("name"));
        let target = target.and_then(Value::as_str).and_then(|name| name.split_once('/'));
        if let Some((_, platform)) = target {
            packages.insert((format!("{framework}.Runtime.{platform}"), version.to_owned()));
        }
    } else if !members.contains_key("libraries") {
        return Err(Unread("it has no libraries".to_owned()));
    }
    let libraries = members.get("libraries").and_then(Value::as_object);
    for (library, about) in libraries.into_iter().flatten() {
        let kind = about.get("type").and_then(Value::as_str).unwrap_or_default();
        // The others are the application itself (`project`) and assemblies of it (`reference`).
        if !matches!(kind.to_ascii_lowercase().as_str(), "package" | "runtimepack") {
            continue;
        }
        match library.split_once('/') {
            Some((name, version)) if !name.is_empty() && !version.is_empty() => {
                let name = name.strip_prefix("runtimepack.").unwrap_or(name);
                packages.insert((name.to_owned(), version.to_owned()));
            }
            _ => found.unread.push(format!("library `{library}` is not name/version")),
        }
    }
    found.packages.extend(
        packages
            .into_iter()
            .map(|(name, version)| Package::new(PackageKind::Nuget, name, version, meta.path)),
    );
    Ok(())
}

/// Name and version of the framework, from `shared/<name>/<version>/<name>.deps.json`.
fn shared_framework(path: &str) -> Option<(&str, &str)> {
    let mut parts = path.rsplit('/');
    let name = parts.next()?.strip_suffix(".deps.json")?;
    let version = parts.next()?;
    (parts.next()? == name && parts.next()? == "shared").then_some((name, version))
}

fn read_nuspec(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let (mut id, mut version) = (String::new(), String::new());
    walk(content, |path, step| {
        if let Step::Text(text) = step {
            match path {
                [_, metadata, field] if metadata == "metadata" && field == "id" => {
                    id = text.to_owned()
                }
                [_, metadata, field] if metadata == "metadata" && field == "version" => {
                    version = text.to_owned();
                }
                _ => {}
            }
        }
    })?;
    if id.is_empty() || version.is_empty() {
        return Err(Unread("it states no id or no version".to_owned()));
    }
    found.packages.push(Package::new(PackageKind::Nuget, id, version, meta.path));
    Ok(())
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
    fn packages_and_runtime_packs_of_an_application_are_read() {
        let content = b"\xef\xbb\xbf{\"targets\": {}, \"libraries\": {\
\"App/1.0.0\": {\"type\": \"project\"}, \"Newtonsoft.Json/12.0.3\": {\"type\": \"package\"},\
\"runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/6.0.5\": {\"type\": \"runtimepack\"},\
\"Odd\": {\"type\": \"package\"}}}";
        let (found, result) = read_at("app/App.deps.json", content);
        assert_eq!(result, Ok(()));
        assert_eq!(
            names(&found),
            [("Microsoft.NETCore.App.Runtime.linux-x64", "6.0.5"), ("Newtonsoft.Json", "12.0.3")]
        );
        assert_eq!(found.unread.len(), 1);
    }

    #[test]
    fn a_shared_framework_has_its_own_name_and_that_of_its_runtime_pack() {
        let content = br#"{"runtimeTarget": {"name": ".NETCoreApp,Version=v8.0/linux-musl-x64"}, "libraries": {
            "Microsoft.NETCore.App.Runtime.linux-musl-x64/8.0.1": {"type": "package"}}}"#;
        let path =
            "usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.1/Microsoft.NETCore.App.deps.json";
        assert_eq!(
            names(&read_at(path, content).0),
            [
                ("Microsoft.NETCore.App", "8.0.1"),
                ("Microsoft.NETCore.App.Runtime.linux-musl-x64", "8.0.1")
            ]
        );
    }

    #[test]
    fn broken_files_are_told() {
        for broken in [&b""[..], b"{}", b"[]", b"{\"libraries\"", b"\xff"] {
            assert!(read_at("a.deps.json", broken).1.is_err());
        }
    }

    #[test]
    fn an_unpacked_package_is_read() {
        let content = br#"<?xml version="1.0"?><package xmlns="x"><metadata><id>A.B</id><version>1.2.0</version>
            <dependencies><dependency id="C" version="3"/></dependencies></metadata></package>"#;
        let (found, _) = read_at("root/.nuget/packages/a.b/1.2.0/a.b.nuspec", content);
        assert_eq!(names(&found), [("A.B", "1.2.0")]);
        assert!(read_at("packages/a/1/a.nuspec", b"<package/>").1.is_err());
        assert!(read_at("packages/a/1/a.nuspec", b"<package>").1.is_err());
    }
}
