//! Tests of layers that try to hide what they hold.

use haechi_core::inventory::{Scan, ScanSubject};
use tar::{EntryType, Header};

use super::*;
use crate::content::WINDOW;
use crate::merge::merge;

struct Entry<'a> {
    name: &'a str,
    kind: EntryType,
    mode: u32,
    pax: &'a [(&'a str, &'a [u8])],
    content: &'a [u8],
}

const FILE: Entry<'_> =
    Entry { name: "", kind: EntryType::Regular, mode: 0o644, pax: &[], content: b"" };

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for entry in entries {
        archive.append_pax_extensions(entry.pax.iter().copied()).unwrap();
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_size(entry.content.len() as u64);
        header.set_cksum();
        archive.append(&header, entry.content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn layer(entries: &[Entry<'_>]) -> LayerScan {
    let bytes = archive(entries);
    let tools = crate::worker::tools(None, false).unwrap();
    super::layer(&tools, |builder| crate::tarball::read(&mut bytes.as_slice(), "layer", builder))
}

fn scan(entries: &[Entry<'_>]) -> Scan {
    merge(&[layer(entries)], None, ScanSubject::default())
}

fn file<'a>(name: &'a str, content: &'a [u8]) -> Entry<'a> {
    Entry { name, content, ..FILE }
}

#[test]
fn a_file_whose_name_ends_like_a_folders_is_a_file() {
    let scan = scan(&[Entry { name: "bin/x/", mode: 0o4755, content: b"\x7fELF", ..FILE }]);
    assert_eq!(scan.setid_files.len(), 1);
}

#[test]
fn capabilities_are_told_like_setuid() {
    let pax: &[(&str, &[u8])] = &[("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x20\0\0")];
    let scan = scan(&[Entry { name: "bin/ping", mode: 0o755, pax, content: b"x", ..FILE }]);
    assert_eq!(scan.setid_files.len(), 1);
}

#[test]
fn secrets_are_found_wherever_they_are_in_a_large_file() {
    let mut content = vec![b'\n'; WINDOW * 2 + 10];
    content.extend(b"aws_secret_access_key = \"wJalrXUtnFEMI9K7MDENG");
    content.extend(b"bPxRfiCYzQ8LkT3pVhA\"\n");
    let layer = layer(&[file("app/large.conf", &content)]);
    let line = u32::try_from(WINDOW * 2 + 11).unwrap();
    assert!(layer.secrets.iter().any(|(_, hit)| hit.line == line), "{:?}", layer.secrets);
}

const STATUS: &[u8] = b"Package: a\nStatus: install ok installed\nVersion: 1\n";
const SUMS: &[u8] = b"0123456789abcdef0123456789abcdef  usr/bin/a\n";

#[test]
fn a_packaged_file_that_became_a_link_is_altered() {
    let scan = scan(&[
        file("var/lib/dpkg/status", STATUS),
        file("var/lib/dpkg/info/a.md5sums", SUMS),
        Entry { name: "usr/bin/a", kind: EntryType::Symlink, ..FILE },
    ]);
    assert_eq!(scan.altered_files.len(), 1);
}

#[test]
fn checksums_that_were_not_computed_are_told() {
    let scan = scan(&[
        Entry { name: "etc/apk", kind: EntryType::Directory, ..FILE },
        file("usr/bin/a", b"other"),
        file("var/lib/dpkg/info/a.md5sums", SUMS),
        file("var/lib/dpkg/status", STATUS),
    ]);
    assert!(scan.altered_files.is_empty());
    assert!(scan.problems.iter().any(|p| p.affects == [Part::Files] && p.place == "usr/bin/a"));
}

/// A layer of which only packages are looked for.
fn inventory(entries: &[Entry<'_>]) -> LayerScan {
    let tools = crate::worker::package_tools(false);
    let bytes = archive(entries);
    super::layer(&tools, |builder| crate::tarball::read(&mut bytes.as_slice(), "layer", builder))
}

/// What a program of curl's name would say of itself.
const PROGRAM: &[u8] = b"\x7fELF\0curl 8.1.2\0CLIENT libcurl 8.1.2\0";

#[test]
fn an_inventory_has_the_same_packages_and_computes_only_checksums_that_tell_whose_they_are() {
    let sums = b"0123456789abcdef0123456789abcdef  usr/bin/curl\n";
    let large = vec![b'x'; 3 << 20];
    let entries = [
        file(
            "etc/key.conf",
            b"aws_secret_access_key = \"wJalrXUtnFEMI9K7MDENGbPxRfiCYzQ8LkT3pVhA\"\n",
        ),
        file("usr/share/large", &large),
        Entry { name: "usr/bin/curl", mode: 0o755, content: PROGRAM, ..FILE },
        file("var/lib/dpkg/info/curl.md5sums", sums),
        file("var/lib/dpkg/status", b"Package: curl\nStatus: install ok installed\nVersion: 1\n"),
    ];
    let (whole, only) = (layer(&entries), inventory(&entries));
    assert_eq!(whole.found, only.found);
    assert!(!whole.secrets.is_empty() && only.secrets.is_empty());
    let hashed =
        only.nodes.iter().filter(|node| matches!(&node.kind, NodeKind::File { sums: Some(_), .. }));
    let hashed: Vec<&str> = hashed.map(|node| node.path.as_str()).collect();
    assert!(hashed.contains(&"usr/bin/curl"), "{hashed:?}");
    assert!(
        !hashed.contains(&"usr/share/large") && !hashed.contains(&"etc/key.conf"),
        "{hashed:?}"
    );
    let [whole, only] = [whole, only].map(|layer| merge(&[layer], None, ScanSubject::default()));
    // A program put over a packaged file is a package of its own.
    assert!(
        whole.packages.iter().any(|p| p.path.ends_with("usr/bin/curl")),
        "{:?}",
        whole.packages
    );
    assert_eq!(whole.packages, only.packages);
    // And whoever judges an inventory learns that it proves nothing else.
    assert_eq!(whole.is_whole(Part::Packages), only.is_whole(Part::Packages));
    for part in [Part::Files, Part::Secrets, Part::Malware] {
        assert!(whole.is_whole(part) && !only.is_whole(part), "{part:?}");
    }
}

#[test]
fn a_link_to_a_file_of_another_package_and_another_name_of_one_belong_to_both() {
    let status = b"Package: a\nStatus: install ok installed\nVersion: 1\n\n\
        Package: b\nStatus: install ok installed\nVersion: 1\n";
    let archive = {
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |name: &str, kind: EntryType, link: &str, content: &[u8]| {
            let mut header = Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_cksum();
            archive.append(&header, content).unwrap();
        };
        let regular = EntryType::Regular;
        add("var/lib/dpkg/status", regular, "", status);
        add("var/lib/dpkg/info/a.list", regular, "", b"/.\n/usr/bin/check\n/usr/bin/out\n");
        add("var/lib/dpkg/info/b.list", regular, "", b"/.\n/usr/bin/server\n/usr/bin/other\n");
        add("usr/bin/check", regular, "", b"x");
        add("usr/bin/server", EntryType::Symlink, "check", b"");
        add("usr/bin/other", EntryType::Symlink, "/opt/unowned", b"");
        add("opt/unowned", regular, "", b"y");
        add("opt/tool", EntryType::Link, "usr/bin/check", b"");
        archive.into_inner().unwrap()
    };
    let tools = crate::worker::tools(None, false).unwrap();
    let layer = super::layer(&tools, |builder| {
        crate::tarball::read(&mut archive.as_slice(), "layer", builder)
    });
    let scan = merge(&[layer], None, ScanSubject::default());
    let files = |name: &str| {
        let package = scan.packages.iter().find(|package| package.name == name);
        package.unwrap().files.clone()
    };
    assert_eq!(files("a"), ["opt/tool", "usr/bin/check"]);
    assert_eq!(files("b"), ["usr/bin/check"]);
}
