//! Tar archives from arbitrary bytes: entries whose headers are whole, with names that collide across layers.

use arbitrary::{Result, Unstructured};

use crate::readers;

/// Folders and files that are deleted, hidden and replaced by each other.
const NAMES: [&str; 16] = [
    "a",
    "a/b",
    "a/b/c",
    "a/d",
    "b",
    "b/c",
    "etc",
    "etc/passwd",
    "etc/os-release",
    "lib",
    "usr/lib",
    "c",
    "c/a/b",
    "./a//b",
    "/b/./d",
    "é",
];
/// Most bytes of one file: larger ones only cost time.
const SIZE_MAX: usize = 4096;

/// An archive and what is known about it.
#[derive(Default)]
pub struct Made {
    /// The archive, with its end.
    pub bytes: Vec<u8>,
    /// Where entries begin and the last one ends.
    pub borders: Vec<usize>,
    /// Regular files, not sparse ones, in order: path as written and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// Whether there is nothing but files, folders and whiteouts, no path twice, none below a file.
    pub plain: bool,
    /// Whiteouts and opaque folders, as the paths that they delete (opaque ones with `/` behind).
    pub deleted: Vec<String>,
}

fn field(header: &mut [u8], at: usize, text: &[u8]) {
    header[at..at + text.len()].copy_from_slice(text);
}

/// One entry (tar(5), "POSIX ustar Archives"); the name is cut to what its field holds.
pub fn entry(kind: u8, name: &[u8], link: &[u8], mode: u32, content: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 512];
    field(&mut out, 0, &name[..name.len().min(100)]);
    field(&mut out, 100, format!("{mode:07o}\0").as_bytes());
    field(&mut out, 108, b"0000000\00000000\0");
    field(&mut out, 124, format!("{:011o}\0", content.len()).as_bytes());
    field(&mut out, 136, b"00000000000\0        ");
    out[156] = kind;
    field(&mut out, 157, &link[..link.len().min(100)]);
    field(&mut out, 257, b"ustar\x0000");
    let sum: u32 = out.iter().map(|&b| u32::from(b)).sum();
    field(&mut out, 148, format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// One record of a PAX header (pax(1), "pax Extended Header").
pub fn pax(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length += 1;
    }
    let mut out = format!("{length} {key}=").into_bytes();
    out.extend_from_slice(value);
    out.push(b'\n');
    out
}

/// An archive of up to 12 entries.
pub fn made(u: &mut Unstructured<'_>) -> Result<Made> {
    let mut made = Made { plain: true, ..Made::default() };
    let mut paths: Vec<(String, bool)> = Vec::new();
    for _ in 0..u.int_in_range(0..=12)? {
        made.borders.push(made.bytes.len());
        let name = match u.int_in_range(0..=3)? {
            0 => {
                let places = [readers::DISTRO, readers::LANGUAGES, readers::BINARIES].concat();
                u.choose(&places)?.path
            }
            1 => u.choose(&["../x", "x/../../y", "", "/", ".", "a/.wh.", ".wh.."])?,
            _ => u.choose(&NAMES)?,
        };
        let length = u.int_in_range(0..=SIZE_MAX)?.min(u.len());
        let kind = u.int_in_range(0_u8..=15)?;
        let mode = 0o4755;
        // A name twice, or a file above another name, is decided by order: not for the simple model of what is there.
        let normal = haechi_image::path::normal(name.as_bytes()).unwrap_or_default();
        let folder = kind == 5;
        let clash = |(other, is_folder): &(String, bool)| {
            *other == normal
                || !folder && other.starts_with(&format!("{normal}/"))
                || !is_folder && normal.starts_with(&format!("{other}/"))
        };
        if normal.is_empty() || normal.contains(".wh.") || paths.iter().any(clash) {
            made.plain = false;
        }
        match kind {
            0..=4 => {
                let content = u.bytes(length)?;
                made.bytes.extend(entry(b'0', name.as_bytes(), b"", mode, content));
                made.files.push((name.to_owned(), content.to_vec()));
                paths.push((normal, false));
            }
            5 => {
                made.bytes.extend(entry(b'5', name.as_bytes(), b"", 0o755, b""));
                paths.push((normal, true));
            }
            6 | 7 => {
                let (parent, last) = name.rsplit_once('/').unwrap_or(("", name));
                let (name, deleted) = if kind == 6 {
                    (format!("{parent}/.wh.{last}"), normal)
                } else {
                    (format!("{normal}/.wh..wh..opq"), format!("{normal}/"))
                };
                made.bytes.extend(entry(b'0', name.as_bytes(), b"", 0o644, b""));
                made.deleted.push(deleted);
            }
            8 | 9 => {
                made.plain = false;
                let target = *u.choose(&NAMES)?;
                let target =
                    if u.arbitrary()? { format!("../{target}") } else { target.to_owned() };
                let kind = if kind == 8 { b'1' } else { b'2' };
                made.bytes.extend(entry(kind, name.as_bytes(), target.as_bytes(), mode, b""));
            }
            10 => {
                made.plain = false;
                let content = u.bytes(length)?;
                let long = format!("{}{name}", "long/".repeat(u.int_in_range(0..=900)?));
                let mut records = pax("path", long.as_bytes());
                records.extend(pax(
                    u.choose(&["size", "uid", "comment", "linkpath"])?,
                    u.bytes(u.len().min(4))?,
                ));
                made.bytes.extend(entry(b'x', b"pax", b"", 0, &records));
                made.bytes.extend(entry(b'0', b"short", b"", mode, content));
            }
            11 => {
                made.plain = false;
                made.bytes.extend(sparse(u, name, length)?);
            }
            12 => {
                made.plain = false;
                let long = format!("{}{name}\0", "long/".repeat(u.int_in_range(0..=900)?));
                let kind = *u.choose(b"LK")?;
                made.bytes.extend(entry(kind, b"././@LongLink", b"", 0, long.as_bytes()));
                made.bytes.extend(entry(*u.choose(b"012")?, b"short", b"b", mode, b""));
            }
            13 => {
                made.plain = false;
                let content = u.bytes(length)?;
                made.bytes.extend(entry(b'g', b"pax", b"", 0, content));
            }
            _ => {
                made.plain = false;
                let content = u.bytes(length)?;
                made.bytes.extend(entry(u.arbitrary()?, name.as_bytes(), b"a", mode, content));
            }
        }
    }
    made.borders.push(made.bytes.len());
    made.bytes.resize(made.bytes.len() + 1024, 0);
    Ok(made)
}

/// A sparse file of GNU tar's formats 0.0, 0.1 or 1.0, with a map that may be wrong. Holes are small: large ones only
/// cost time.
fn sparse(u: &mut Unstructured<'_>, name: &str, length: usize) -> Result<Vec<u8>> {
    let mut pieces = Vec::new();
    for _ in 0..u.int_in_range(0..=4)? {
        pieces.push((u.int_in_range(0_u32..=20_000)?, u.int_in_range(0_u32..=2000)?));
    }
    let mut records =
        pax("GNU.sparse.realsize", u.int_in_range(0..=40_000)?.to_string().as_bytes());
    records.extend(pax("GNU.sparse.name", name.as_bytes()));
    let mut content = Vec::new();
    match u.int_in_range(0..=2)? {
        0 => {
            for (at, count) in &pieces {
                records.extend(pax("GNU.sparse.offset", at.to_string().as_bytes()));
                records.extend(pax("GNU.sparse.numbytes", count.to_string().as_bytes()));
            }
        }
        1 => {
            let map: Vec<String> =
                pieces.iter().map(|(at, count)| format!("{at},{count}")).collect();
            records.extend(pax("GNU.sparse.map", map.join(",").as_bytes()));
        }
        _ => {
            records.extend(pax("GNU.sparse.major", b"1"));
            records.extend(pax("GNU.sparse.minor", b"0"));
            content.extend(format!("{}\n", pieces.len()).bytes());
            content.extend(
                pieces.iter().flat_map(|(at, count)| format!("{at}\n{count}\n").into_bytes()),
            );
            content.resize(content.len().next_multiple_of(512), 0);
        }
    }
    content.extend_from_slice(u.bytes(length.min(u.len()))?);
    let mut out = entry(b'x', b"pax", b"", 0, &records);
    out.extend(entry(b'0', b"GNUSparseFile.0/x", b"", 0o644, &content));
    Ok(out)
}
