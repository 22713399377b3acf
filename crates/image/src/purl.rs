//! Package URLs (<https://github.com/package-url/purl-spec>), by the rules of each type.

use haechi_core::inventory::{Distro, Package, PackageKind};
use packageurl::PackageUrl;

/// The purl of a package. Names that no purl can carry give an empty string.
pub fn of(package: &Package, distro: Option<&Distro>) -> String {
    build(package, distro).unwrap_or_default()
}

fn build(package: &Package, distro: Option<&Distro>) -> Option<String> {
    let (namespace, name) = split(package, distro);
    let mut purl = PackageUrl::new(package.kind.name(), name.as_str()).ok()?;
    if !namespace.is_empty() {
        purl.with_namespace(namespace).ok()?;
    }
    let mut version = package.version.clone();
    if package.kind == PackageKind::Rpm
        && let Some((epoch, rest)) = package.version.split_once(':')
    {
        // The rpm type has the epoch as a qualifier.
        purl.add_qualifier("epoch", epoch.to_owned()).ok()?;
        version = rest.to_owned();
    }
    if !version.is_empty() {
        purl.with_version(version).ok()?;
    }
    if package.kind.is_distribution() {
        if !package.arch.is_empty() {
            purl.add_qualifier("arch", package.arch.clone()).ok()?;
        }
        if let Some(distro) = distro.filter(|d| !d.id.is_empty()) {
            let release = if distro.version.is_empty() {
                distro.id.clone()
            } else {
                format!("{}-{}", distro.id, distro.version)
            };
            purl.add_qualifier("distro", release).ok()?;
        }
    }
    Some(purl.to_string())
}

/// Namespace and name.
fn split(package: &Package, distro: Option<&Distro>) -> (String, String) {
    let name = package.name.as_str();
    let pair = |parts: Option<(&str, &str)>| {
        let (namespace, name) = parts.unwrap_or(("", name));
        (namespace.to_owned(), name.to_owned())
    };
    match package.kind {
        PackageKind::Deb | PackageKind::Apk | PackageKind::Rpm => {
            (distro.map(|d| d.id.clone()).unwrap_or_default(), name.to_owned())
        }
        PackageKind::Npm | PackageKind::Golang | PackageKind::Composer => {
            pair(name.rsplit_once('/'))
        }
        PackageKind::Maven => pair(name.split_once(':')),
        PackageKind::Pypi => (String::new(), name.to_lowercase().replace(['_', '.'], "-")),
        _ => pair(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purl(kind: PackageKind, name: &str, version: &str) -> String {
        let distro = Distro { id: "debian".into(), version: "12".into(), ..Distro::default() };
        let mut package = Package::new(kind, name, version, "x");
        if kind.is_distribution() {
            package.arch = "amd64".into();
        }
        of(&package, Some(&distro))
    }

    #[test]
    fn by_the_rules_of_each_type() {
        use PackageKind as K;
        for (kind, name, version, want) in [
            (
                K::Deb,
                "libc6",
                "2.36-9+deb12u4",
                "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12",
            ),
            (
                K::Rpm,
                "bash",
                "1:5.1-2",
                "pkg:rpm/debian/bash@5.1-2?arch=amd64&distro=debian-12&epoch=1",
            ),
            (K::Npm, "@types/node", "1.0.0", "pkg:npm/%40types/node@1.0.0"),
            (K::Golang, "github.com/a/b", "v1.2.3", "pkg:golang/github.com/a/b@v1.2.3"),
            (K::Maven, "org.a:b", "1", "pkg:maven/org.a/b@1"),
            (K::Pypi, "Typing_Extensions", "4", "pkg:pypi/typing-extensions@4"),
            (K::Gem, "rack", "2.0", "pkg:gem/rack@2.0"),
        ] {
            assert_eq!(purl(kind, name, version), want);
        }
        assert_eq!(purl(K::Gem, "", "1"), "");
    }
}
