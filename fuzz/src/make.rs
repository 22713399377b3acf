//! Files made around hostile bytes: ELF, zip, rpm's NDB.

use std::io::{Cursor, Write};

/// A 64-bit little-endian ELF program with these sections (System V ABI, "ELF Header", "Section Header").
pub fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut names = vec![0];
    let mut data = Vec::new();
    let mut headers = vec![0; 64];
    let header = |name: usize, kind: u32, offset: usize, size: usize| {
        let mut out = Vec::new();
        out.extend((name as u32).to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(2_u64.to_le_bytes());
        out.extend((0x40_0000 + offset as u64).to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        out.extend((size as u64).to_le_bytes());
        out.extend([0; 8]);
        out.extend(16_u64.to_le_bytes());
        out.extend(0_u64.to_le_bytes());
        out
    };
    for (name, content) in sections {
        while data.len() % 16 != 0 {
            data.push(0);
        }
        headers.extend(header(names.len(), 1, 64 + data.len(), content.len()));
        names.extend(name.as_bytes());
        names.push(0);
        data.extend_from_slice(content);
    }
    let place = 64 + data.len();
    let own = names.len();
    names.extend(b".shstrtab\0");
    headers.extend(header(own, 3, place, names.len()));
    data.extend(&names);
    let count = sections.len() as u16 + 2;
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend(2_u16.to_le_bytes());
    out.extend(62_u16.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
    out.extend(0_u64.to_le_bytes());
    out.extend(0_u64.to_le_bytes());
    out.extend((64 + data.len() as u64).to_le_bytes());
    out.extend(0_u32.to_le_bytes());
    for half in [64, 0, 0, 64, count, count - 1] {
        out.extend(half.to_le_bytes());
    }
    out.extend(data);
    out.extend(headers);
    out
}

/// zlib (RFC 1950).
pub fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(plain).and_then(|()| out.finish()).expect("memory takes it")
}

/// gzip (RFC 1952).
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(plain).and_then(|()| out.finish()).expect("memory takes it")
}

/// zstd (RFC 8878).
pub fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 1).expect("memory takes it")
}

/// A zip archive. A name that zip refuses is left out.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        let options = zip::write::SimpleFileOptions::default();
        if out.start_file(*name, options).is_ok() {
            out.write_all(content).expect("memory takes it");
        }
    }
    out.finish().map(Cursor::into_inner).unwrap_or_default()
}

/// rpm's NDB with these headers (rpm's `lib/backend/ndb/rpmpkg.c`), at most 250.
pub fn ndb(headers: &[&[u8]]) -> Vec<u8> {
    let mut out = b"RpmP".to_vec();
    for word in [0_u32, 1, 1, 1, 0, 0, 0] {
        out.extend(word.to_le_bytes());
    }
    let mut blobs = Vec::new();
    for (number, header) in headers.iter().take(250).enumerate() {
        let number = number as u32 + 1;
        let blocks = (16 + header.len()).div_ceil(16);
        out.extend(b"Slot");
        out.extend(number.to_le_bytes());
        out.extend(((4096 + blobs.len()) as u32 / 16).to_le_bytes());
        out.extend((blocks as u32).to_le_bytes());
        let end = blobs.len() + blocks * 16;
        blobs.extend(b"BlbS");
        blobs.extend(number.to_le_bytes());
        blobs.extend(1_u32.to_le_bytes());
        blobs.extend((header.len() as u32).to_le_bytes());
        blobs.extend_from_slice(header);
        blobs.resize(end, 0);
    }
    while out.len() < 4096 {
        out.extend(b"Slot");
        out.extend([0; 12]);
    }
    out.extend(blobs);
    out
}

/// An rpm header of texts: tag and value.
pub fn rpm_header(texts: &[(u32, &str)]) -> Vec<u8> {
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, text) in texts {
        for word in [*tag, 6, data.len() as u32, 1] {
            index.extend(word.to_be_bytes());
        }
        data.extend(text.as_bytes());
        data.push(0);
    }
    let mut out = (texts.len() as u32).to_be_bytes().to_vec();
    out.extend((data.len() as u32).to_be_bytes());
    out.extend(index);
    out.extend(data);
    out
}
