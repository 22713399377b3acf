//! Which package a component is.

use haechi_core::inventory::{Package, PackageKind, SourcePackage};

use super::super::component::Component;
use super::super::purls::{self, NoPackage};
use super::{distros, kind_named};

/// Types of components that are no software by themselves (CycloneDX 1.6, `component.type`; SPDX 2.3 §7.24).
const NO_SOFTWARE: [&str; 8] = [
    "file",
    "data",
    "device",
    "cryptographic-asset",
    "archive",
    "source-file",
    "machine-learning-model",
    "other-repository",
];

/// What a component is.
pub(super) enum Outcome {
    /// A package, and the distribution that it names.
    Package(Box<Package>, Option<(String, String)>),
    /// Something that cannot be matched as its kind, and why; perhaps by its CPE names.
    Left(String, Option<Box<Package>>),
    /// No software.
    Nothing,
}

/// Decides what a component is.
pub(super) fn of(component: &Component) -> Outcome {
    if let Some(package) = own(component).filter(|package| !package.name.is_empty()) {
        return Outcome::Package(Box::new(package), None);
    }
    let reason = match purls::parse(&component.purl) {
        Ok(parsed) => {
            let distro = distros::of_purl(&parsed.namespace, &parsed.distro)
                .filter(|_| parsed.package.kind.is_distribution());
            let package = completed(parsed.package, component);
            // It would match nothing, which looks like a sound package.
            if package.name.is_empty() {
                return Outcome::Left("packages without a name".into(), None);
            }
            return Outcome::Package(Box::new(package), distro);
        }
        Err(NoPackage::Type(kind)) => {
            let kind: String = kind.chars().take(40).collect();
            format!("purls of the type {kind}, which is not matched")
        }
        Err(NoPackage::Invalid) if !component.purl.is_empty() => {
            "what should be a purl is none".into()
        }
        Err(NoPackage::Invalid) => {
            if is_no_software(component) {
                return Outcome::Nothing;
            }
            return match by_cpe(component) {
                Some(package) => Outcome::Package(Box::new(package), None),
                None => Outcome::Left("neither purl nor CPE name".into(), None),
            };
        }
    };
    Outcome::Left(reason, by_cpe(component).map(Box::new))
}

/// A file, or the lock file or package database that Trivy hangs packages on.
fn is_no_software(component: &Component) -> bool {
    NO_SOFTWARE.contains(&component.kind.as_str())
        || (component.kind == "application"
            && component.get(&["aquasecurity:trivy:Class"]).is_some())
}

/// A package that Haechi itself wrote.
fn own(component: &Component) -> Option<Package> {
    let text = |name: &str| component.properties.get(name).cloned().unwrap_or_default();
    let kind = kind_named(component.properties.get("haechi:kind")?)?;
    let mut package = Package::new(kind, &component.name, &component.version, text("haechi:path"));
    package.arch = text("haechi:arch");
    package.source = component
        .properties
        .get("haechi:source")
        .map(|name| SourcePackage { name: name.clone(), version: text("haechi:source-version") });
    package.purl.clone_from(&component.purl);
    package.layer = component.properties.get("haechi:layer").and_then(|layer| layer.parse().ok());
    package.licenses = component.all("haechi:license").map(str::to_owned).collect();
    package.vendor.clone_from(&component.vendor);
    package.module = text("haechi:module");
    package.declared_only = component.properties.contains_key("haechi:declared-only");
    package.cpes = component.all("haechi:cpe").map(str::to_owned).collect();
    Some(package)
}

/// A package from its purl, with what the component says besides.
fn completed(mut package: Package, component: &Component) -> Package {
    if package.version.is_empty() {
        package.version.clone_from(&component.version);
    }
    if package.kind == PackageKind::Golang {
        package.name = go_module(&package.name, component);
    }
    if package.kind == PackageKind::Npm
        && !package.name.starts_with('@')
        && component.group.starts_with('@')
    {
        package.name = format!("{}/{}", component.group, package.name);
    }
    let text = |names: &[&str]| component.get(names).unwrap_or_default().to_owned();
    if package.kind.is_distribution() {
        package.source = trivy_source(component).or(package.source).or_else(|| {
            let name = text(&[
                "syft:metadata:source",
                "syft:metadata:originPackage",
                "syft:metadata:sourceRpm",
            ]);
            let stated = text(&["syft:metadata:sourceVersion"]);
            let name = if stated.is_empty() { name } else { format!("{name}@{stated}") };
            purls::source(package.kind, &name, &package.version)
        });
        if package.module.is_empty() {
            package.module =
                text(&["aquasecurity:trivy:Modularitylabel", "syft:metadata:modularityLabel"]);
        }
    }
    package.path = if component.path.is_empty() {
        text(&["aquasecurity:trivy:FilePath", "syft:location:0:path"])
            .trim_start_matches('/')
            .to_owned()
    } else {
        component.path.trim_start_matches('/').to_owned()
    };
    if package.kind == PackageKind::Generic {
        // Tools guess the CPE names of everything; only where nothing better is known are they asked.
        package.cpes = cpes(component);
    }
    package.licenses.clone_from(&component.licenses);
    package.vendor.clone_from(&component.vendor);
    package
}

/// A Go module's path: with the case that a canonical purl has lost, and the part that is in the subpath.
fn go_module(name: &str, component: &Component) -> String {
    let stated = component.full_name("/");
    let subpath = purls::subpath(&component.purl);
    let long = format!("{name}/{subpath}");
    if stated.eq_ignore_ascii_case(name)
        || (!subpath.is_empty() && stated.eq_ignore_ascii_case(&long))
    {
        return stated;
    }
    let is_major = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()) && !n.is_empty())
    };
    if is_major(subpath) { long } else { name.to_owned() }
}

/// The source package from Trivy's properties.
fn trivy_source(component: &Component) -> Option<SourcePackage> {
    let name = component.get(&["aquasecurity:trivy:SrcName"])?.to_owned();
    let mut version =
        component.get(&["aquasecurity:trivy:SrcVersion"]).unwrap_or_default().to_owned();
    if let Some(release) = component.get(&["aquasecurity:trivy:SrcRelease"]) {
        version = format!("{version}-{release}");
    }
    let epoch = component.get(&["aquasecurity:trivy:SrcEpoch"]).unwrap_or_default();
    Some(SourcePackage { name, version: purls::with_epoch(epoch, version) })
}

/// A program known by its CPE names.
fn by_cpe(component: &Component) -> Option<Package> {
    let cpes = cpes(component);
    let mut parts = fields(cpes.first()?).into_iter().skip(4);
    let (product, version) = (parts.next()?, parts.next()?);
    let name = if component.name.is_empty() { product } else { component.full_name("/") };
    let version = if component.version.is_empty() { version } else { component.version.clone() };
    let mut package = Package::new(PackageKind::Generic, name, version, "");
    package.purl.clone_from(&component.purl);
    package.cpes.clone_from(&cpes);
    Some(completed(package, component))
}

/// The CPE names in the form of CPE 2.3; those that cannot be brought into it are left out.
fn cpes(component: &Component) -> Vec<String> {
    let mut out: Vec<String> = component.cpes.iter().filter_map(|cpe| formatted(cpe)).collect();
    out.sort();
    out.dedup();
    out
}

/// CPE 2.3 from either form (NISTIR 7695 §6.1, §6.2); URIs with percent-encoding or packed fields are not read.
fn formatted(cpe: &str) -> Option<String> {
    if cpe.starts_with("cpe:2.3:") {
        return (fields(cpe).len() == 13).then(|| cpe.to_owned());
    }
    let rest = cpe.strip_prefix("cpe:/")?;
    let parts: Vec<&str> = rest.split(':').collect();
    if parts.len() > 7 || parts.len() < 3 || rest.contains(['%', '~']) {
        return None;
    }
    let mut out = vec!["cpe".to_owned(), "2.3".to_owned()];
    for index in 0..11 {
        let part = parts.get(index).copied().filter(|part| !part.is_empty()).unwrap_or("*");
        out.push(if part == "*" { part.to_owned() } else { escaped(part) });
    }
    Some(out.join(":"))
}

fn escaped(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for c in part.chars() {
        if !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The fields of a CPE 2.3 name; `\:` does not end a field, and escapes are taken off.
fn fields(cpe: &str) -> Vec<String> {
    let (mut out, mut field, mut escape) = (Vec::new(), String::new(), false);
    for c in cpe.chars() {
        match c {
            '\\' if !escape => escape = true,
            ':' if !escape => out.push(std::mem::take(&mut field)),
            c => {
                field.push(c);
                escape = false;
            }
        }
    }
    out.push(field);
    out
}
