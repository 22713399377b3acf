//! A package from a purl (<https://github.com/package-url/purl-spec>) of another tool.
//!
//! The rules of types are not enforced: a purl with a namespace where none should be is still read, and case is
//! kept, because names of Go modules have it and the specification's lower case loses it.

use haechi_core::inventory::{Package, PackageKind, SourcePackage};
use packageurl::PackageUrl;

/// What a purl says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    /// The package, without path.
    pub package: Package,
    /// Namespace; for distributions, which one.
    pub namespace: String,
    /// Qualifier `distro`.
    pub distro: String,
}

/// Why a purl gives no package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoPackage {
    /// Its type is none that Haechi matches.
    Type(String),
    /// It is no purl.
    Invalid,
}

/// Longest purl; real ones have some hundred bytes.
const LENGTH_MAX: usize = 8192;

/// Reads a purl.
pub(super) fn parse(text: &str) -> Result<Parsed, NoPackage> {
    let rest = text.strip_prefix("pkg:").ok_or(NoPackage::Invalid)?.trim_start_matches('/');
    if text.len() > LENGTH_MAX {
        return Err(NoPackage::Invalid);
    }
    let (kind, rest) = rest.split_once('/').ok_or(NoPackage::Invalid)?;
    let kind = kind.to_ascii_lowercase();
    // A type without rules: nothing is refused, no case is lost.
    let purl: PackageUrl<'_> = format!("pkg:any/{rest}").parse().map_err(|_| NoPackage::Invalid)?;
    let kind = match kind.as_str() {
        "alpine" => PackageKind::Apk, // what Syft wrote before the type was named
        name => *PackageKind::ALL.iter().find(|k| k.name() == name).ok_or(NoPackage::Type(kind))?,
    };
    let qualifier =
        |name: &str| purl.qualifiers().get(name).map(ToString::to_string).unwrap_or_default();
    let namespace = purl.namespace().unwrap_or_default().to_owned();
    let name = name(kind, &namespace, &purl);
    let mut version = purl.version().unwrap_or_default().to_owned();
    if matches!(kind, PackageKind::Rpm | PackageKind::Deb) {
        version = with_epoch(&qualifier("epoch"), version);
    }
    let mut package = Package::new(kind, name, version, "");
    package.purl = text.to_owned();
    if kind.is_distribution() {
        package.arch = qualifier("arch");
        package.module = qualifier("rpmmod");
        package.source = source(kind, &qualifier("upstream"), &package.version);
    }
    Ok(Parsed { package, namespace, distro: qualifier("distro") })
}

/// The name as the ecosystem writes it.
fn name(kind: PackageKind, namespace: &str, purl: &PackageUrl<'_>) -> String {
    let name = purl.name();
    match kind {
        PackageKind::Deb | PackageKind::Apk | PackageKind::Rpm => name.to_owned(),
        _ if namespace.is_empty() => name.to_owned(),
        PackageKind::Maven => format!("{namespace}:{name}"),
        _ => format!("{namespace}/{name}"),
    }
}

/// The part of a Go module's name that Syft puts into the subpath.
pub(super) fn subpath(purl: &str) -> &str {
    purl.split_once('#').map_or("", |(_, path)| path)
}

/// A version with an epoch that stands apart; 0 is the same as none.
pub(super) fn with_epoch(epoch: &str, version: String) -> String {
    if matches!(epoch, "" | "0") || version.contains(':') {
        version
    } else {
        format!("{epoch}:{version}")
    }
}

/// A source package from Syft's `upstream`: the name of a source rpm, or `name`, or `name@version`.
pub(super) fn source(kind: PackageKind, upstream: &str, version: &str) -> Option<SourcePackage> {
    if upstream.is_empty() {
        return None;
    }
    if kind == PackageKind::Rpm
        && let Some(stem) =
            upstream.strip_suffix(".src.rpm").or_else(|| upstream.strip_suffix(".nosrc.rpm"))
    {
        let (rest, release) = stem.rsplit_once('-')?;
        let (name, source) = rest.rsplit_once('-')?;
        let epoch = version.split_once(':').map_or("", |(epoch, _)| epoch);
        return Some(SourcePackage {
            name: name.to_owned(),
            version: with_epoch(epoch, format!("{source}-{release}")),
        });
    }
    let (name, stated) = upstream.split_once('@').unwrap_or((upstream, ""));
    let version = if stated.is_empty() { version } else { stated };
    Some(SourcePackage { name: name.to_owned(), version: version.to_owned() })
}
