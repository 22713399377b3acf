//! Small databases of all three kinds, whole and broken.

use super::header::Tag;
use super::*;
use crate::reader::Digest;

enum Value<'a> {
    Text(&'a str),
    Texts(&'a [&'a str]),
    Ints(&'a [u32]),
    Chars(&'a [u8]),
}

fn header(tags: &[(Tag, Value<'_>)]) -> Vec<u8> {
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, value) in tags {
        while matches!(value, Value::Ints(_)) && data.len() % 4 != 0 {
            data.push(0);
        }
        let offset = data.len();
        let (kind, count) = match value {
            Value::Text(text) => {
                data.extend([text.as_bytes(), b"\0"].concat());
                (6, 1)
            }
            Value::Texts(texts) => {
                texts.iter().for_each(|text| data.extend([text.as_bytes(), b"\0"].concat()));
                (8, texts.len())
            }
            Value::Ints(ints) => {
                ints.iter().for_each(|int| data.extend(int.to_be_bytes()));
                (4, ints.len())
            }
            Value::Chars(chars) => {
                data.extend(*chars);
                (1, chars.len())
            }
        };
        for word in [*tag as usize, kind, offset, count] {
            index.extend(u32::try_from(word).unwrap().to_be_bytes());
        }
    }
    let sizes = [tags.len(), data.len()].map(|size| u32::try_from(size).unwrap().to_be_bytes());
    [sizes.concat(), index, data].concat()
}

fn package(name: &str) -> Vec<u8> {
    header(&[
        (Tag::Name, Value::Text(name)),
        (Tag::Version, Value::Text("1.0")),
        (Tag::Release, Value::Text("2.el9")),
    ])
}

fn whole() -> Vec<u8> {
    header(&[
        (Tag::Name, Value::Text("openssl-libs")),
        (Tag::Version, Value::Text("3.0.7")),
        (Tag::Release, Value::Text("1.el9")),
        (Tag::Epoch, Value::Ints(&[1])),
        (Tag::Arch, Value::Text("x86_64")),
        (Tag::SourceRpm, Value::Text("openssl-3.0.7-1.el9.src.rpm")),
        (Tag::License, Value::Text("ASL 2.0")),
        (Tag::Vendor, Value::Text("V")),
        (Tag::ModularityLabel, Value::Text("m:1:2:3")),
        (Tag::BaseNames, Value::Texts(&["a", "b.conf", "c.log", "doc", "lib"])),
        (Tag::DirNames, Value::Texts(&["/usr/lib/", "/etc/"])),
        (Tag::DirIndexes, Value::Ints(&[0, 1, 1, 0, 9])),
        (Tag::FileFlags, Value::Ints(&[0, 1 | 16, 64, 2, 0])),
        (Tag::FileStates, Value::Chars(&[0, 0, 0, 2, 0])),
        (Tag::FileDigestAlgo, Value::Ints(&[8])),
        (Tag::FileDigests, Value::Texts(&[&"ab".repeat(32), "abcd", "", "", ""])),
    ])
}

fn read_at(path: &str, content: &[u8]) -> Found {
    let meta = Meta { path, ..Meta::default() };
    let mut found = Found::default();
    let reader = READERS.iter().find(|reader| (reader.wants)(&meta, content)).unwrap();
    if let Err(Unread(why)) = (reader.read)(&meta, content, &mut found) {
        found.unread.push(why);
    }
    found
}

fn read(content: &[u8]) -> Found {
    read_at("var/lib/rpm/Packages", content)
}

fn names(found: &Found) -> Vec<&str> {
    found.packages.iter().map(|package| package.name.as_str()).collect()
}

fn ndb(blobs: &[Vec<u8>]) -> Vec<u8> {
    let le = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    let mut file = [&b"RpmP"[..], &le(0), &le(1), &le(1), &[0; 16]].concat();
    let mut data = Vec::new();
    for (number, blob) in (1..).zip(blobs) {
        let mut raw = [&b"BlbS"[..], &le(number), &le(1), &le(blob.len()), blob].concat();
        raw.resize((raw.len() + 12).next_multiple_of(16), 0);
        file.extend(
            [&b"Slot"[..], &le(number), &le(256 + data.len() / 16), &le(raw.len() / 16)].concat(),
        );
        data.extend(raw);
    }
    while file.len() < 4096 {
        file.extend([&b"Slot"[..], &[0; 12]].concat());
    }
    [file, data].concat()
}

const PAGE: usize = 512;

/// A page of Berkeley DB with 32-bit words at offsets in the given byte order.
fn page(kind: u8, big: bool, halves: &[(usize, usize)], words: &[(usize, usize)]) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[25] = kind;
    for (at, value) in words {
        let value = u32::try_from(*value).unwrap();
        let bytes = if big { value.to_be_bytes() } else { value.to_le_bytes() };
        page[*at..at + 4].copy_from_slice(&bytes);
    }
    for (at, value) in halves {
        let value = u16::try_from(*value).unwrap();
        let bytes = if big { value.to_be_bytes() } else { value.to_le_bytes() };
        page[*at..at + 2].copy_from_slice(&bytes);
    }
    page
}

/// One page with the number record, one with a value on the page, one with a value over overflow pages.
fn bdb(big: bool) -> Vec<u8> {
    let small = package("small");
    let large = whole();
    let order = |value: usize| {
        let value = u32::try_from(value).unwrap();
        if big { value.to_be_bytes() } else { value.to_le_bytes() }
    };
    let items = [
        vec![1, 0, 0, 0, 0],
        vec![1, 9, 0, 0, 0],
        [&[1][..], &order(1)].concat(),
        [&[1][..], &small].concat(),
        [&[1][..], &order(2)].concat(),
        [&[3, 0, 0, 0][..], &order(2), &order(large.len())].concat(),
    ];
    let mut starts = Vec::new();
    let mut end = PAGE;
    for (index, item) in items.iter().enumerate() {
        end -= item.len();
        starts.push((26 + 2 * index, end));
    }
    starts.push((20, items.len()));
    let mut hash = page(13, big, &starts, &[]);
    hash[end..].copy_from_slice(&items.iter().rev().flatten().copied().collect::<Vec<u8>>());
    let overflow = large.chunks(PAGE - 26).collect::<Vec<_>>();
    let meta = [(12, 0x0006_1561), (16, 9), (20, PAGE), (32, 1 + overflow.len())];
    let mut file = [page(8, big, &[], &meta), hash].concat();
    for (number, part) in (3..).zip(&overflow) {
        let mut page = page(7, big, &[(22, part.len())], &[(16, number)]);
        page[26..26 + part.len()].copy_from_slice(part);
        file.extend(page);
    }
    file
}

fn sqlite(statements: &str, blobs: &[Vec<u8>]) -> Vec<u8> {
    let database = rusqlite::Connection::open_in_memory().unwrap();
    database.execute_batch(statements).unwrap();
    for blob in blobs {
        database.execute("INSERT INTO Packages (blob) VALUES (?1)", [blob]).unwrap();
    }
    database.serialize("main").unwrap().to_vec()
}

const TABLE: &str =
    "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL);";

#[test]
fn a_header_gives_a_package_and_its_files() {
    let found = read(&ndb(&[whole()]));
    let package = found.packages.first().unwrap();
    assert_eq!((&*package.name, &*package.version), ("openssl-libs", "1:3.0.7-1.el9"));
    assert_eq!((&*package.arch, &*package.vendor, &*package.module), ("x86_64", "V", "m:1:2:3"));
    let source = package.source.clone().unwrap();
    assert_eq!((&*source.name, &*source.version), ("openssl", "1:3.0.7-1.el9"));
    let files: Vec<_> = found.owned.first().unwrap().files.iter().collect();
    let seen: Vec<_> = files.iter().map(|f| (&*f.path, f.digest.clone(), f.config)).collect();
    let expected = [
        ("usr/lib/a", Some(Digest::Sha256([0xab; 32])), false),
        ("etc/b.conf", Some(Digest::Other), true),
        ("etc/c.log", None, true),
    ];
    assert_eq!(seen, expected);
    // The last file has a folder that does not exist.
    assert_eq!(found.unread.len(), 1, "{:?}", found.unread);
}

#[test]
fn ndb_with_a_broken_slot_keeps_the_others() {
    let good = ndb(&[package("a"), package("gpg-pubkey"), package("b")]);
    assert_eq!(names(&read(&good)), ["a", "b"]);
    assert!(read(&good).unread.is_empty());
    let mut bad = good.clone();
    bad[32 + 8] = 0xff;
    bad[32 + 9] = 0xff;
    assert_eq!((names(&read(&bad)), read(&bad).unread.len()), (vec!["b"], 1));
    let cut = read(&good[..good.len() - 40]);
    assert_eq!((names(&cut), cut.unread.len()), (vec!["a"], 1));
}

#[test]
fn berkeley_databases_of_both_byte_orders() {
    for big in [false, true] {
        let found = read(&bdb(big));
        assert_eq!(names(&found), ["small", "openssl-libs"], "{:?}", found.unread);
        assert_eq!(found.unread.len(), 1, "{:?}", found.unread);
    }
}

#[test]
fn broken_pages_of_a_berkeley_database_are_named() {
    let mut looped = bdb(false);
    // The second overflow page leads to itself, and its stated size is larger than what is there.
    looped[2 * PAGE + 16] = 2;
    let found = read(&looped);
    assert_eq!(names(&found).first(), Some(&"small"));
    assert!(!found.unread.is_empty());
    let cut = bdb(false);
    let found = read(&cut[..3 * PAGE]);
    assert_eq!((names(&found), found.unread.len()), (vec!["small"], 2));
    let mut odd = bdb(false);
    odd[PAGE + 26] = 3;
    odd[PAGE + 27] = 0;
    let found = read(&odd);
    assert_eq!((found.packages.len(), found.unread.len()), (0, 1));
    let mut encrypted = bdb(false);
    encrypted[24] = 1;
    assert_eq!((read(&encrypted).packages.len(), read(&encrypted).unread.len()), (0, 1));
}

#[test]
fn sqlite_is_read_also_in_wal_mode() {
    let mut file = sqlite(TABLE, &[package("a"), whole(), b"junk".to_vec()]);
    file[18] = 2;
    file[19] = 2;
    let found = read_at("usr/lib/sysimage/rpm/rpmdb.sqlite", &file);
    assert_eq!(names(&found), ["a", "openssl-libs"]);
    assert_eq!(found.unread.len(), 2, "{:?}", found.unread);
}

#[test]
fn a_hostile_schema_is_refused() {
    let endless = "CREATE VIEW Packages AS WITH RECURSIVE t(hnum, blob) AS \
                   (SELECT 1, x'00' UNION ALL SELECT hnum + 1, blob FROM t) SELECT * FROM t;";
    let computed = "CREATE TABLE Packages (hnum INTEGER, blob AS (zeroblob(1000000000)));";
    for statements in [endless, computed, "CREATE TABLE Other (x);"] {
        let found = read_at("var/lib/rpm/rpmdb.sqlite", &sqlite(statements, &[]));
        assert_eq!((found.packages.len(), found.unread.len()), (0, 1), "{statements}");
    }
}

#[test]
fn what_is_no_database_is_named() {
    assert_eq!(read(b"hello").unread.len(), 1);
    assert!(read(b"").unread.is_empty());
    assert_eq!(read_at("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0").unread.len(), 1);
    assert_eq!(read_at("var/lib/rpm/rpmdb.sqlite-wal", &[1; 100]).unread.len(), 1);
    assert!(read_at("var/lib/rpm/rpmdb.sqlite-wal", b"").unread.is_empty());
}

#[test]
fn many_records_on_the_same_bytes_are_refused() {
    let mut file = ndb(&[package("a")]);
    let slot: Vec<u8> = file[32..48].to_vec();
    for at in (48..4096).step_by(16) {
        file[at..at + 16].copy_from_slice(&slot);
    }
    let found = read(&file);
    assert!(found.packages.len() < 254 && !found.unread.is_empty());
}

#[test]
fn a_manifest_has_ten_columns() {
    let line = "openssl\t1.1-2.cm2\t1\t1\tMicrosoft\t1\t9\tx86_64\t1\topenssl-1.1-2.cm2.src.rpm\n";
    let none = line.replace("\t1\t9", "\t(none)\t9").replace("openssl\t", "zlib\t");
    let found =
        read_at("var/lib/rpmmanifest/container-manifest-2", format!("{line}{none}x\n").as_bytes());
    let seen: Vec<_> = found.packages.iter().map(|p| (&*p.name, &*p.version)).collect();
    assert_eq!(seen, [("openssl", "1:1.1-2.cm2"), ("zlib", "1.1-2.cm2")]);
    assert_eq!(found.unread.len(), 1);
}

proptest::proptest! {
    #[test]
    fn damage_never_panics(big: bool, kind in 0..3, at in 0_usize..6000, byte: u8) {
        let mut file = match kind {
            0 => ndb(&[whole(), package("a")]),
            1 => bdb(big),
            _ => sqlite(TABLE, &[whole(), package("a")]),
        };
        let at = at % file.len();
        file[at] = byte;
        read(&file);
        read(&file[..at]);
    }
}
