//! What the readers of package databases share: notes with a limit, paths in one form, checksums as text.

use crate::reader::Found;

/// Notes that are kept for one file: enough to see what is wrong, and a hostile file cannot fill memory with them.
const NOTES_MAX: usize = 50;

/// Longest path that is kept: Linux opens none longer than 4096 bytes.
pub(in crate::packages) const PATH_MAX: usize = 4096;

/// Notes that a part of the file could not be read. Beyond a limit only that there is more.
pub(in crate::packages) fn note(found: &mut Found, text: impl FnOnce() -> String) {
    if found.unread.len() < NOTES_MAX {
        found.unread.push(text());
    } else if found.unread.len() == NOTES_MAX {
        found.unread.push("and more that is not listed here".into());
    }
}

/// A name from the file for a note: short, and nothing in it that could move a cursor.
pub(in crate::packages) fn shown(raw: &str) -> String {
    let short: String = raw.chars().take(80).collect();
    haechi_core::text::visible(&short).into_owned()
}

/// Bytes as text: UTF-8 as it is, other bytes as `\xNN`, as in [`crate::reader::Meta::path`].
pub(in crate::packages) fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// The path of an owned file in the form of [`crate::reader::Meta::path`]; nothing for the root itself, for a path
/// that leads out of it and for one that is too long.
pub(in crate::packages) fn owned_path(raw: &[u8]) -> Option<String> {
    if raw.len() > PATH_MAX {
        return None;
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in raw.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| text(&parts.join(&b'/')))
}

/// Bytes written as exactly `2 * N` hexadecimal digits.
pub(in crate::packages) fn hex<const N: usize>(raw: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    let (pairs, rest) = raw.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        assert_eq!(owned_path(b"/usr//bin/./ls").as_deref(), Some("usr/bin/ls"));
        assert_eq!(owned_path(b"/."), None);
        assert_eq!(owned_path(b"/../x"), None);
        assert_eq!(owned_path(b"a\xff").as_deref(), Some("a\\xff"));
    }

    #[test]
    fn digits_are_read_only_in_full() {
        assert_eq!(hex::<2>(b"0aFf"), Some([10, 255]));
        assert_eq!(hex::<2>(b"0aF"), None);
        assert_eq!(hex::<2>(b"0aFg"), None);
        assert_eq!(hex::<1>(b"0aFf"), None);
    }

    #[test]
    fn notes_are_bounded() {
        let mut found = Found::default();
        for _ in 0..1000 {
            note(&mut found, || "x".into());
        }
        assert_eq!(found.unread.len(), NOTES_MAX + 1);
    }
}
