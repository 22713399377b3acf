//! Small databases as dpkg, distroless images and broken tools write them.

use super::*;

fn read(path: &str, content: &[u8]) -> Found {
    let meta = Meta { path, ..Meta::default() };
    let mut found = Found::default();
    let reader = READERS.iter().find(|reader| (reader.wants)(&meta, content)).unwrap();
    if let Err(Unread(why)) = (reader.read)(&meta, content, &mut found) {
        found.unread.push(why);
    }
    found
}

fn status(content: &str) -> Found {
    read("var/lib/dpkg/status", content.as_bytes())
}

fn names(found: &Found) -> Vec<&str> {
    found.packages.iter().map(|package| package.name.as_str()).collect()
}

#[test]
fn a_database_elsewhere_is_told() {
    let content = b"Package: a\nStatus: install ok installed\nVersion: 1\n\n";
    let found = read("opt/dpkg/status", content);
    assert_eq!((found.packages.len(), found.unread.len()), (0, 1));
    let meta = Meta { path: "opt/app/status", ..Meta::default() };
    assert!(!READERS.iter().any(|reader| (reader.wants)(&meta, b"running")));
}

#[test]
fn a_package_with_everything() {
    let found = status(
        "Package: libfoo1\r\nStatus: install ok installed\r\nMaintainer: A B <a@b.example>\r\n\
         Architecture: amd64\r\nSource: foo (1:2.0-1)\r\nVersion: 1:2.0-1+b2\r\n\
         Description: x\r\n more: text\r\n .\r\nConffiles:\r\n \
         /etc/foo 0123456789abcdef0123456789abcdef\r\n \
         /etc/a b 0123456789abcdef0123456789abcdef obsolete\r\n /etc/new newconffile\r\n",
    );
    let package = found.packages.first().unwrap();
    assert_eq!((package.name.as_str(), package.version.as_str()), ("libfoo1", "1:2.0-1+b2"));
    assert_eq!((package.arch.as_str(), package.vendor.as_str()), ("amd64", "A B <a@b.example>"));
    let source = package.source.clone().unwrap();
    assert_eq!((source.name.as_str(), source.version.as_str()), ("foo", "1:2.0-1"));
    let files = &found.owned.first().unwrap().files;
    let seen: Vec<_> =
        files.iter().map(|f| (f.path.as_str(), f.digest.is_some(), f.config)).collect();
    assert_eq!(seen, [("etc/foo", true, true), ("etc/a b", true, true), ("etc/new", false, true)]);
    assert!(found.unread.is_empty(), "{:?}", found.unread);
}

#[test]
fn the_source_is_found_without_a_source_field() {
    let source = |field, version| source(field, "foo", version);
    assert_eq!(source("", "1.0-1+b12").version, "1.0-1");
    assert_eq!(source("", "1.0-1+b12").name, "foo");
    assert_eq!(source("", "1.0+beta").version, "1.0+beta");
    assert_eq!(source("bar", "1.0-1").name, "bar");
    assert_eq!(source("bar (2)", "1.0-1+b1").version, "2");
}

#[test]
fn what_has_files_is_installed() {
    let states = [
        ("install ok installed", true),
        ("hold ok installed", true),
        ("deinstall reinstreq installed", true),
        ("install ok unpacked", true),
        ("install ok half-configured", true),
        ("install reinstreq half-installed", true),
        ("install ok triggers-awaited", true),
        ("install ok triggers-pending", true),
        ("deinstall ok config-files", false),
        ("purge ok not-installed", false),
    ];
    for (state, expected) in states {
        let found = status(&format!("Package: a\nVersion: 1\nStatus: {state}\n"));
        assert_eq!(found.packages.len(), usize::from(expected), "{state}");
        assert!(found.unread.is_empty());
    }
    let odd = status("Package: a\nVersion: 1\nStatus: install ok odd\n");
    assert_eq!((odd.packages.len(), odd.unread.len()), (1, 1));
}

#[test]
fn a_broken_stanza_is_named_and_the_others_count() {
    let found = status(
        "Package: a\nStatus: install ok installed\n\nVersion: 1\n\nPackage: gone\nStatus: purge ok \
         not-installed\n\nno field\nPackage: b\nVersion: 2\n\n\n\nPackage: c\nVersion: 3",
    );
    assert_eq!(names(&found), ["b", "c"]);
    assert_eq!(found.unread.len(), 3, "{:?}", found.unread);
}

#[test]
fn the_last_of_equal_stanzas_counts() {
    let found = status(
        "Package: a\nArchitecture: amd64\nVersion: 1\n\nPackage: a\nArchitecture: i386\nVersion: 1\n\n\
         Package: a\nArchitecture: amd64\nVersion: 2\n",
    );
    let versions: Vec<_> = found.packages.iter().map(|p| (&*p.arch, &*p.version)).collect();
    assert_eq!(versions, [("i386", "1"), ("amd64", "2")]);
}

#[test]
fn distroless_images_have_one_file_for_each_package() {
    let found = read("var/lib/dpkg/status.d/base", b"Package: base-files\nVersion: 12\n");
    assert_eq!(names(&found), ["base-files"]);
    let sums = b"0123456789abcdef0123456789abcdef  etc/x y\nbroken\n";
    let found = read("var/lib/dpkg/status.d/base.md5sums", sums);
    let owned = found.owned.first().unwrap();
    assert_eq!(owned.package, "base");
    assert_eq!(owned.files.first().unwrap().path, "etc/x y");
    assert_eq!(found.unread.len(), 1);
}

#[test]
fn lists_and_diversions() {
    let found = read("var/lib/dpkg/info/a:amd64.list", b"/.\n/usr\n/usr/a\n");
    let owned = found.owned.first().unwrap();
    assert_eq!((owned.package.as_str(), owned.files.len()), ("a:amd64", 2));
    let found = read("var/lib/dpkg/diversions", b"/bin/sh\n/bin/sh.distrib\ndash\n/a\n/b\n");
    assert_eq!(found.owned.first().unwrap().package, "dash");
    assert!(found.owned.first().unwrap().files.first().unwrap().config);
    assert_eq!(found.unread.len(), 1);
}

#[test]
fn repeated_fields_cost_nothing() {
    let content = "Package: a\n".repeat(200_000);
    assert_eq!(status(&content).unread.len(), 1);
}
