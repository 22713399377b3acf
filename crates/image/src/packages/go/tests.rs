//! Blobs made here, in both forms.

use super::*;

const MODULES: &str = "path\texample.org/tool/cmd\n\
    mod\texample.org/tool\t(devel)\t\n\
    dep\texample.org/a\tv1.0.0\th1:x=\n\
    dep\texample.org/b\tv1.0.0\n\
    =>\texample.org/fork/b\tv1.0.1\th1:y=\n\
    dep\texample.org/c\tv0.0.0\n\
    =>\t./staging/c\t\n\
    build\t-compiler=gc\n\
    build\tvcs.revision=0123456789abcdef\n";

fn framed(text: &str) -> Vec<u8> {
    [&[b'<'; 16], text.as_bytes(), &[b'>'; 16]].concat()
}

fn varint(mut n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

fn inline(version: &str, modules: &str) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend([8, 2]);
    out.resize(32, 0);
    for text in [version.as_bytes().to_vec(), framed(modules)] {
        out.extend(varint(text.len()));
        out.extend(text);
    }
    out
}

/// The smallest 64-bit ELF with one loaded segment that is the whole file, at address 0x10000.
fn elf(body: &[u8]) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    out.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    out.extend(0x10000_u64.to_le_bytes());
    out.extend(64_u64.to_le_bytes());
    out.extend(0_u64.to_le_bytes());
    out.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    let size = (128 + body.len()) as u64;
    out.extend([1, 0, 0, 0, 6, 0, 0, 0]);
    for word in [0, 0x10000, 0x10000, size, size, 0x1000] {
        out.extend(word.to_le_bytes());
    }
    out.resize(128, 0);
    out.extend(body);
    out
}

fn read_all(content: &[u8]) -> Found {
    let mut found = Found::default();
    let meta = Meta { path: "usr/bin/tool", ..Meta::default() };
    let file = object::File::parse(content).ok();
    read(&meta, file.as_ref(), content, &mut found);
    found
}

fn names(found: &Found) -> Vec<String> {
    found.packages.iter().map(|p| format!("{}@{}", p.name, p.version)).collect()
}

const EXPECTED: [&str; 5] = [
    "stdlib@1.22.1",
    "example.org/tool@(devel)+0123456789abcdef",
    "example.org/a@v1.0.0",
    "example.org/fork/b@v1.0.1",
    "example.org/c@(devel)",
];

#[test]
fn the_inline_form() {
    let found = read_all(&elf(&inline("go1.22.1 X:boringcrypto", MODULES)));
    assert_eq!(names(&found), EXPECTED);
    assert_eq!(found.unread, Vec::<String>::new());
}

#[test]
fn the_form_with_pointers() {
    for big_endian in [false, true] {
        let text = framed(MODULES);
        let base = 0x10000_u64 + 128;
        let word = |n: u64| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
        let mut body = MAGIC.to_vec();
        body.extend([8, u8::from(big_endian)]);
        body.extend(word(base + 32));
        body.extend(word(base + 48));
        body.extend([word(base + 64), word(8)].concat());
        body.extend([word(base + 72), word(text.len() as u64)].concat());
        body.extend(b"go1.22.1");
        body.extend(&text);
        let content = elf(&body);
        let found = read_all(&content);
        assert_eq!(names(&found), EXPECTED);
        // Cut off, it is no panic.
        for end in 0..content.len() {
            read_all(&content[..end]);
        }
    }
}

#[test]
fn the_magic_as_data_is_passed_over() {
    let mut body = MAGIC.to_vec();
    body.extend(b"\x08\x02 the magic of build information");
    body.resize(64, 0);
    body.extend(inline("go1.22.1", MODULES));
    assert_eq!(names(&read_all(&elf(&body))), EXPECTED);
    assert_eq!(read_all(&elf(b"nothing to do with it")), Found::default());
}

#[test]
fn a_program_that_says_nothing_is_named() {
    let found = read_all(&elf(b"\xf1\xff\xff\xff\x00\x00\x01\x08 runtime.goexit"));
    assert_eq!(found.unread, ["usr/bin/tool: a Go program without build information"]);
}

#[test]
fn a_program_built_without_modules_is_named() {
    for (modules, notes) in
        [("path\tcmd/gofmt\n", 0), ("path\tgithub.com/docker/docker/cmd/dockerd\n", 1), ("", 1)]
    {
        let found = read_all(&elf(&inline("go1.19.8", modules)));
        assert_eq!(names(&found), ["stdlib@1.19.8"]);
        assert_eq!(found.unread.len(), notes, "{modules}");
    }
}

#[test]
fn a_length_that_lies_is_refused() {
    assert_eq!(counted(b"\xff\xff\xff\xff\xff\xff"), None);
    assert_eq!(counted(b"\x05abc"), None);
    assert_eq!(counted(b"\x03abcd"), Some((&b"abc"[..], &b"d"[..])));
}

#[test]
fn the_version_that_a_build_script_gave() {
    let module = "example.org/tool/v2";
    for (flags, expected) in [
        (r#""-s -w -X main.version=1.2.3""#, Some("v1.2.3")),
        (r#""-X 'example.org/tool/v2/pkg/version.Version=v1.2.3-rc1'""#, Some("v1.2.3-rc1")),
        ("-X=example.org/other.Version=1.2.3", None),
        ("-X main.version=dev", None),
        ("-X main.date=2024.1", None),
    ] {
        assert_eq!(stamped(flags, module).as_deref(), expected, "{flags}");
    }
}
