//! Binaries: opened once, shown to everything that can tell what is in them.
//!
//! Gives the modules of Go programs ([`super::go`]), the crates of Rust programs ([`super::rust`]) and well-known
//! programs and libraries by their own version strings ([`table`], from `programs.yaml`), whether or not a package
//! owns the file: that is found out when layers are merged. It runs nothing and unpacks nothing: a packed program is
//! named as unread.

use crate::reader::{Found, Meta, Reader, Unread};

mod table;

/// Readers of this file.
pub const READERS: &[Reader] = &[
    Reader { name: "program", size_max: SIZE_MAX, wants: wants_binary, read: read_binary },
    Reader {
        name: "version file",
        size_max: TEXT_MAX,
        wants: table::wants_text,
        read: table::read_text,
    },
];

/// The largest binaries that people ship (browsers, inference servers) have a few hundred MiB.
const SIZE_MAX: u64 = 512 << 20;
/// A version file has a few lines.
const TEXT_MAX: u64 = 64 << 10;
/// UPX puts its mark right after the headers and again at the end.
const UPX_HEAD: usize = 1024;
/// As above.
const UPX_TAIL: usize = 64;

fn wants_binary(meta: &Meta<'_>, head: &[u8]) -> bool {
    if head.starts_with(b"\x7fELF") {
        // Relocatable files (kernel modules, `.o`) are neither.
        return meta.is_executable() || meta.name().contains(".so") || table::wants(meta.name());
    }
    let mach_o: [&[u8]; 4] =
        [b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce"];
    if mach_o.iter().any(|magic| head.starts_with(magic)) {
        return true;
    }
    head.starts_with(b"MZ") && meta.name().to_ascii_lowercase().ends_with(".exe")
}

fn read_binary(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let parsed = object::File::parse(content);
    let file = parsed.as_ref().ok();
    if is_packed(content) {
        found.unread.push(format!("{}: a program packed with UPX", meta.path));
    }
    let go = super::go::read(meta, file, content, found);
    super::rust::read(meta, file, content, found);
    table::read(meta, content, go.as_ref(), found);
    match parsed {
        Ok(_) => Ok(()),
        Err(error) => Err(Unread(format!("no well-formed program: {error}"))),
    }
}

fn is_packed(content: &[u8]) -> bool {
    let head = content.get(..UPX_HEAD).unwrap_or(content);
    let tail = content.get(content.len().saturating_sub(UPX_TAIL)..).unwrap_or_default();
    [head, tail].into_iter().any(|part| memchr::memmem::find(part, b"UPX!").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_are_wanted() {
        let wanted = |path: &str, mode: u32, head: &[u8]| {
            wants_binary(&Meta { path, mode, ..Meta::default() }, head)
        };
        assert!(wanted("usr/bin/app", 0o755, b"\x7fELF"));
        assert!(wanted("lib/libz.so.1.2.13", 0o644, b"\x7fELF"));
        assert!(!wanted("lib/modules/x.ko", 0o644, b"\x7fELF"));
        assert!(!wanted("usr/bin/script", 0o755, b"#!/bin/sh"));
        assert!(wanted("app.EXE", 0o644, b"MZ"));
    }

    #[test]
    fn a_packed_and_a_broken_program_are_named() {
        let mut found = Found::default();
        let meta = Meta { path: "app", ..Meta::default() };
        let result = read_binary(&meta, b"\x7fELF\x02\x01\x01 UPX! and so on", &mut found);
        assert!(result.is_err());
        assert_eq!(found.unread, ["app: a program packed with UPX"]);
    }
}
