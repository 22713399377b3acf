//! Tests of packages of Node.js.

use std::io::Write;

use super::*;

fn read(path: &str, content: &[u8]) -> (Vec<(String, String)>, Result<(), Unread>) {
    let meta = Meta { path, ..Meta::default() };
    let mut found = Found::default();
    let result = match READERS.iter().find(|reader| (reader.wants)(&meta, content)) {
        Some(reader) => (reader.read)(&meta, content, &mut found),
        None => Err(Unread("not wanted".to_owned())),
    };
    let names = found.packages.into_iter().map(|p| (p.name, p.version)).collect();
    (names, result)
}

fn one(name: &str, version: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), version.to_owned())]
}

#[test]
fn an_installed_package_is_read() {
    let content =
        br#"{"name": "@a/b", "version": "1.2.3", "license": {"type": "MIT"}, "x": [[{}]]}"#;
    let (packages, result) = read("srv/node_modules/@a/b/package.json", content);
    assert_eq!((packages, result), (one("@a/b", "1.2.3"), Ok(())));
}

#[test]
fn where_packages_are() {
    let content = br#"{"name": "a", "version": "1.0.0"}"#;
    for path in [
        "usr/local/lib/node_modules/npm/node_modules/a/package.json",
        "usr/share/nodejs/a/package.json",
        "app/node_modules/.pnpm/a@1.0.0/node_modules/a/package.json",
        "app/node_modules/b/vendored/a/package.json",
    ] {
        assert_eq!(read(path, content).0, one("a", "1.0.0"), "{path}");
    }
    for path in ["app/package.json", "app/my_node_modules/a/package.json"] {
        assert_eq!(read(path, content).1, Err(Unread("not wanted".to_owned())), "{path}");
    }
}

#[test]
fn the_last_of_two_members_counts_as_in_javascript() {
    let content = br#"{"name": "a", "version": "9.9.9", "version": "1.0.0"}"#;
    assert_eq!(read("node_modules/a/package.json", content).0, one("a", "1.0.0"));
}

#[test]
fn a_mark_and_latin_1_do_not_hide_a_package() {
    let content =
        b"\xef\xbb\xbf{\"name\": \"a\", \"version\": \"1.0.0\", \"author\": \"Andr\xe9\"}";
    assert_eq!(read("node_modules/a/package.json", content).0, one("a", "1.0.0"));
}

#[test]
fn a_package_without_version_is_told_and_a_mere_folder_is_not() {
    let named = br#"{"name": "a"}"#;
    assert!(read("node_modules/a/package.json", named).1.is_err());
    assert_eq!(read("node_modules/a/esm/package.json", named), (vec![], Ok(())));
    let private = br#"{"name": "dist", "version": "1.0.0", "private": true}"#;
    assert_eq!(read("node_modules/a/dist/package.json", private), (vec![], Ok(())));
    assert_eq!(read("node_modules/dist/package.json", private).0, one("dist", "1.0.0"));
    let folder = br#"{"type": "module"}"#;
    assert_eq!(read("node_modules/a/package.json", folder), (vec![], Ok(())));
}

#[test]
fn broken_files_are_told_except_in_tests_of_a_package() {
    for broken in [&b""[..], b"{", b"null", b"[]", &[b'['; 100_000], b"{\"name\": \"a\""] {
        assert!(read("node_modules/a/package.json", broken).1.is_err());
        assert!(read("node_modules/test/package.json", broken).1.is_err());
        assert!(read("node_modules/a/test/x/package.json", broken).1.is_ok());
    }
    let deep = format!(r#"{{"name": "a", "version": "1.0.0", "x": {}"#, "[".repeat(1 << 20));
    assert!(read("node_modules/a/package.json", deep.as_bytes()).1.is_err());
}

#[test]
fn the_yarn_cache_is_read() {
    let mut bytes = Cursor::new(Vec::new());
    let mut zip = zip::ZipWriter::new(&mut bytes);
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("node_modules/a/package.json", options).unwrap();
    zip.write_all(br#"{"name": "a", "version": "1.0.0"}"#).unwrap();
    zip.start_file("node_modules/a/esm/package.json", options).unwrap();
    zip.write_all(b"{").unwrap();
    zip.finish().unwrap();
    let path = "app/.yarn/cache/a-npm-1.0.0-0123456789-abcdef.zip";
    assert_eq!(read(path, bytes.get_ref()), (one("a", "1.0.0"), Ok(())));
    assert!(read(path, b"PK nothing").1.is_err());
}
