//! Tests of packages of Python.

use std::io::{Cursor, Write};

use super::*;

fn read(path: &str, content: &[u8]) -> (Found, Result<(), Unread>) {
    let meta = Meta { path, ..Meta::default() };
    let mut found = Found::default();
    let result = match READERS.iter().find(|reader| (reader.wants)(&meta, content)) {
        Some(reader) => (reader.read)(&meta, content, &mut found),
        None => Err(Unread("not wanted".to_owned())),
    };
    (found, result)
}

fn names(found: &Found) -> Vec<(&str, &str)> {
    found.packages.iter().map(|p| (p.name.as_str(), p.version.as_str())).collect()
}

const METADATA: &[u8] = b"Metadata-Version: 2.1\r\nname: Foo.Bar\r\nVersion: 1.0rc1\r\nAuthor: UNKNOWN\r\n\
Author-email: a@b\r\nLicense: The text\r\n  goes on\r\nClassifier: License :: OSI Approved :: MIT License\r\n\
\r\nVersion: 9\r\n";

#[test]
fn the_header_is_read_and_the_readme_is_not() {
    for path in [
        "usr/lib/python3/site-packages/foo_bar-1.0rc1.dist-info/METADATA",
        "x/foo_bar-1.0rc1.egg-info/PKG-INFO",
        "x/foo_bar-1.0rc1.egg-info",
        "x/foo.egg/EGG-INFO/PKG-INFO",
        "x/Foo.DIST-INFO/METADATA",
    ] {
        let (found, result) = read(path, METADATA);
        assert_eq!(result, Ok(()), "{path}");
        assert_eq!(names(&found), [("Foo.Bar", "1.0rc1")], "{path}");
        assert_eq!(found.packages[0].licenses, ["MIT License"]);
        assert_eq!(found.packages[0].vendor, "a@b");
    }
    assert_eq!(read("x/METADATA", METADATA).1, Err(Unread("not wanted".to_owned())));
}

#[test]
fn a_package_without_name_or_version_is_told() {
    let path = "x/a.dist-info/METADATA";
    for content in [
        &b""[..],
        b"Name: a\n",
        b"Version: 1\n",
        b"Name:\nVersion: 1\n",
        b"\xff\xfe\0",
        b"\n\nName: a\nVersion: 1\n",
    ] {
        let (found, result) = read(path, content);
        assert!(result.is_err());
        assert_eq!(found.packages, []);
    }
    assert_eq!(
        names(&read(path, b"\xef\xbb\xbfName: a\nVersion: 1\nAuthor: \xe9\n").0),
        [("a", "1")]
    );
}

#[test]
fn an_egg_is_read() {
    let mut bytes = Cursor::new(Vec::new());
    let mut zip = zip::ZipWriter::new(&mut bytes);
    zip.start_file("EGG-INFO/PKG-INFO", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"Name: a\nVersion: 2\n").unwrap();
    zip.finish().unwrap();
    let (found, result) = read("x/a-2-py3.egg", bytes.get_ref());
    assert_eq!(result, Ok(()));
    assert_eq!(names(&found), [("a", "2")]);
    assert_eq!(found.packages[0].path, "x/a-2-py3.egg!/EGG-INFO/PKG-INFO");
    assert!(read("x/a.egg", b"PK\x05\x06").1.is_err());
}

#[test]
fn the_record_names_files_with_their_digests() {
    let content = b"foo/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n\
../../../bin/foo,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n\
\"a,b.py\",md5=1B2M2Y8AsgTpgAmY7PhCfg,0\nfoo/x.pyc,,\n/etc/foo,sha512=AAAA,\n../../../../../../out,,\n\
bad.py,sha256=short,1\n";
    let (found, result) =
        read("usr/lib/python3.12/site-packages/foo_bar-1.0.dist-info/RECORD", content);
    assert_eq!(result, Ok(()));
    assert_eq!(found.owned[0].package, "foo_bar");
    let files: Vec<_> =
        found.owned[0].files.iter().map(|file| (file.path.as_str(), file.digest.clone())).collect();
    let base = "usr/lib/python3.12/site-packages";
    let empty: [u8; 32] = [
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ];
    let md5 = [
        0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04, 0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42,
        0x7e,
    ];
    assert_eq!(
        files,
        [
            (format!("{base}/foo/__init__.py").as_str(), Some(Digest::Sha256(empty))),
            ("usr/bin/foo", Some(Digest::Sha256(empty))),
            (format!("{base}/a,b.py").as_str(), Some(Digest::Md5(md5))),
            (format!("{base}/foo/x.pyc").as_str(), None),
            ("etc/foo", Some(Digest::Other)),
            (format!("{base}/bad.py").as_str(), Some(Digest::Other)),
        ]
    );
}

#[test]
fn what_pip_carries_inside_is_read() {
    let content = b"CacheControl==0.14.0 # x\nrequests==2.32.3\n    certifi==2024.8.30\nrich[x]==1 ; y\n# a==1\n";
    let (found, _) = read("x/pip/_vendor/vendor.txt", content);
    assert_eq!(
        names(&found),
        [
            ("CacheControl", "0.14.0"),
            ("requests", "2.32.3"),
            ("certifi", "2024.8.30"),
            ("rich", "1")
        ]
    );
}
