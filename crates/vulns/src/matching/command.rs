//! The command that brings a fixed version.
//!
//! Names and versions come from hostile images and end up in somebody's shell: a name or version with a character that
//! no honest one has, or that begins like an option, gets no command at all, and the rest is quoted where a shell
//! would read it otherwise.

use haechi_core::inventory::{Distro, Package, PackageKind};

/// The command for a package and the version to reach; empty if none is known.
pub fn command(package: &Package, distro: Option<&Distro>, fixed: &str) -> String {
    let name = package.name.as_str();
    if !is_plain(name) || !is_plain(fixed) {
        return String::new();
    }
    let id = distro.map_or("", |distro| distro.id.as_str());
    match package.kind {
        // Archives keep only their newest version, so an exact one could not be had: the newest is asked for.
        PackageKind::Deb => {
            let pro = if fixed.contains("esm") { "pro enable esm-infra esm-apps && " } else { "" };
            format!("{pro}apt-get update && apt-get install --only-upgrade {}", quoted(name))
        }
        PackageKind::Apk => format!("apk add --upgrade {}", quoted(&format!("{name}>={fixed}"))),
        PackageKind::Rpm => {
            let program = match id {
                "opensuse-leap" | "opensuse-tumbleweed" | "sles" | "sled" | "sles_sap" => {
                    "zypper update"
                }
                "photon" | "azurelinux" | "mariner" => "tdnf update",
                "amzn" if package.version.contains(".amzn2.") => "yum update",
                "rhel" | "centos" if package.version.contains(".el7") => "yum update",
                "rhel" | "centos" if package.version.contains(".el6") => "yum update",
                _ => "dnf upgrade-minimal",
            };
            format!("{program} {}", quoted(name))
        }
        PackageKind::Pypi => format!("pip install {}", quoted(&format!("{name}>={fixed}"))),
        PackageKind::Npm => format!("npm install {}", quoted(&format!("{name}@{fixed}"))),
        PackageKind::Golang if matches!(name, "stdlib" | "toolchain") => {
            format!("go get {}", quoted(&format!("go@{fixed}")))
        }
        PackageKind::Golang => {
            let fixed = fixed.strip_prefix('v').unwrap_or(fixed);
            format!("go get {}", quoted(&format!("{name}@v{fixed}")))
        }
        PackageKind::Cargo => {
            format!("cargo update -p {} --precise {}", quoted(name), quoted(fixed))
        }
        PackageKind::Maven => format!(
            "mvn versions:use-dep-version {} {} -DforceVersion=true",
            quoted(&format!("-Dincludes={name}")),
            quoted(&format!("-DdepVersion={fixed}"))
        ),
        PackageKind::Gem => {
            format!("gem install {} -v {}", quoted(name), quoted(&format!(">= {fixed}")))
        }
        PackageKind::Composer => {
            format!("composer require {}", quoted(&format!("{name}:>={fixed}")))
        }
        PackageKind::Nuget => {
            format!("dotnet add package {} --version {}", quoted(name), quoted(fixed))
        }
        PackageKind::Generic => String::new(),
    }
}

/// Whether only characters occur that package names and versions have, and it cannot be taken for an option.
fn is_plain(text: &str) -> bool {
    // Longer than any registry allows.
    const LENGTH_MAX: usize = 256;
    !text.is_empty()
        && text.len() <= LENGTH_MAX
        && !text.starts_with('-')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "@._+:/~^-!".contains(c))
}

/// The text as one word for a POSIX shell.
fn quoted(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "@._+:/=-".contains(c)) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: PackageKind, name: &str, fixed: &str) -> String {
        command(&Package::new(kind, name, "1", "p"), None, fixed)
    }

    #[test]
    fn every_ecosystem_has_its_own() {
        assert_eq!(
            of(PackageKind::Apk, "libssl3", "3.3.2-r1"),
            "apk add --upgrade 'libssl3>=3.3.2-r1'"
        );
        assert_eq!(
            of(PackageKind::Deb, "libssl3", "3.0.15-1~deb12u1"),
            "apt-get update && apt-get install --only-upgrade libssl3"
        );
        assert_eq!(of(PackageKind::Npm, "@a/b", "1.2.3"), "npm install @a/b@1.2.3");
        assert_eq!(
            of(PackageKind::Golang, "golang.org/x/net", "0.23.0"),
            "go get golang.org/x/net@v0.23.0"
        );
        assert_eq!(of(PackageKind::Golang, "stdlib", "1.22.3"), "go get go@1.22.3");
        assert_eq!(of(PackageKind::Pypi, "requests", "2.32.0"), "pip install 'requests>=2.32.0'");
    }

    #[test]
    fn hostile_names_get_no_command() {
        for name in ["a; rm -rf /", "$(id)", "a'b", "-rhttp://x", "a\nb", "`id`", ""] {
            assert_eq!(of(PackageKind::Pypi, name, "1.0"), "", "{name:?}");
        }
        assert_eq!(of(PackageKind::Npm, "a", "1.0 && id"), "");
    }
}
