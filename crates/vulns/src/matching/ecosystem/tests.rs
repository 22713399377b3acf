//! Tests of where advisories are.

use super::*;

fn at(kind: PackageKind, id: &str, version: &str, name: &str) -> Option<Place> {
    let distro =
        Distro { id: id.into(), version: version.into(), name: name.into(), ..Distro::default() };
    match home(&Package::new(kind, "x", "1-1", "p"), Some(&distro)) {
        Home::Known(place) => Some(place),
        _ => None,
    }
}

fn first(kind: PackageKind, id: &str, version: &str) -> String {
    at(kind, id, version, "").map(|place| place.ecosystems[0].clone()).unwrap_or_default()
}

#[test]
fn releases_have_their_names() {
    use PackageKind::{Apk, Deb, Rpm};
    for (kind, id, version, expected) in [
        (Deb, "debian", "12", "Debian:12"),
        (Deb, "debian", "12.5", "Debian:12"),
        (Deb, "debian", "trixie/sid", "Debian:13"),
        (Deb, "debian", "sid", "Debian:unstable"),
        (Deb, "debian", "unheard", ""),
        (Deb, "ubuntu", "22.04", "Ubuntu:22.04:LTS"),
        (Deb, "ubuntu", "23.04", "Ubuntu:23.04"),
        (Deb, "ubuntu", "24.10", "Ubuntu:24.10"),
        (Apk, "alpine", "3.20.3", "Alpine:v3.20"),
        (Apk, "alpine", "3.21_alpha20240807", "Alpine:edge"),
        (Apk, "wolfi", "20230201", "Wolfi"),
        (Rpm, "almalinux", "9.4", "AlmaLinux:9"),
        (Rpm, "rocky", "8.9", "Rocky Linux:8"),
        (Rpm, "amzn", "2023", "Amazon Linux:2023"),
        (Rpm, "azurelinux", "3.0", "Azure Linux:3"),
        (Rpm, "photon", "5.0", "Photon OS:5.0"),
        (Rpm, "opensuse-leap", "15.6", "openSUSE:Leap 15.6"),
        (Rpm, "mageia", "9", "Mageia:9"),
        (Deb, "linuxmint", "21", ""),
        (Rpm, "centos", "9", ""),
        (Rpm, "debian", "12", ""),
    ] {
        assert_eq!(first(kind, id, version), expected, "{id} {version}");
    }
    let euler = at(Rpm, "openEuler", "24.03", "openEuler 24.03 (LTS-SP1)").unwrap();
    assert_eq!(euler.ecosystems, ["openEuler:24.03-LTS-SP1"]);
}

#[test]
fn families_hold_their_streams_and_no_others() {
    let rhel = at(PackageKind::Rpm, "rhel", "9.4", "").unwrap().family.unwrap();
    assert!(rhel.has("Red Hat:enterprise_linux:9::baseos"));
    assert!(rhel.has("Red Hat:enterprise_linux:9"));
    assert!(!rhel.has("Red Hat:enterprise_linux:91::baseos"));
    assert!(!rhel.has("Red Hat:rhel_eus:9.4::baseos"));
    let sles = at(PackageKind::Rpm, "sles", "15.5", "").unwrap().family.unwrap();
    assert!(sles.has("SUSE:Linux Enterprise Server 15 SP5"));
    assert!(sles.has("SUSE:Linux Enterprise Module for Basesystem 15 SP5"));
    assert!(sles.has("SUSE:Linux Enterprise Server 15 SP5-LTSS"));
    assert!(!sles.has("SUSE:Linux Enterprise Server 15 SP4"));
    assert!(!sles.has("SUSE:Linux Enterprise Micro 15 SP5"));
    assert!(at(PackageKind::Rpm, "centos", "8", "CentOS Stream 8").is_none());
    assert!(at(PackageKind::Rpm, "centos", "7", "CentOS Linux 7").is_some());
}

#[test]
fn ubuntu_pro_speaks_first_for_its_own_builds() {
    let distro = Distro { id: "ubuntu".into(), version: "18.04".into(), ..Distro::default() };
    let order = |version: &str| match home(
        &Package::new(PackageKind::Deb, "x", version, "p"),
        Some(&distro),
    ) {
        Home::Known(place) => place.ecosystems,
        _ => Vec::new(),
    };
    assert_eq!(order("1-1"), ["Ubuntu:18.04:LTS", "Ubuntu:18.04", "Ubuntu:Pro:18.04:LTS"]);
    assert_eq!(order("1-1+esm1")[0], "Ubuntu:Pro:18.04:LTS");
}
