//! Paths of an image, brought to one form: no leading `/`, no `.`, `..` or `//`, always text.
//!
//! It never touches a file system: what a path leads to is found in the [`crate::tree`].

/// Longest path that is kept. Linux opens none longer than 4096 bytes.
pub const PATH_MAX: usize = 4096;

/// Why an entry's name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPath {
    /// It leads out of the image.
    Escape,
    /// It is longer than [`PATH_MAX`].
    TooLong,
}

/// The one form of a name in an archive. The image's root is the empty string.
///
/// # Errors
/// It leads out of the image, or is too long.
pub fn normal(name: &[u8]) -> Result<String, BadPath> {
    if name.len() > PATH_MAX {
        return Err(BadPath::TooLong);
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop().ok_or(BadPath::Escape)?;
            }
            part => parts.push(part),
        }
    }
    Ok(text(&parts.join(&b'/')))
}

/// Bytes as text: UTF-8 as it is, other bytes as `\xNN`, so that two different names stay different.
pub fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// The folder that a path lies in; the root's is the root.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Where a symbolic link at `path` with this target leads: absolute targets start at the image's root, and `..`
/// above the root stays at the root, as in the kernel.
pub fn follow(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> =
        if target.starts_with('/') { Vec::new() } else { split(parent(path)).collect() };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The parts of a path.
pub fn split(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form() {
        assert_eq!(normal(b"./usr//bin/./ls"), Ok("usr/bin/ls".into()));
        assert_eq!(normal(b"/etc/"), Ok("etc".into()));
        assert_eq!(normal(b"a/../b"), Ok("b".into()));
        assert_eq!(normal(b"./"), Ok(String::new()));
        assert_eq!(normal(b"../../etc/passwd"), Err(BadPath::Escape));
        assert_eq!(normal(b"a/../../b"), Err(BadPath::Escape));
        assert_eq!(normal(&[b'a'; 5000]), Err(BadPath::TooLong));
    }

    #[test]
    fn names_that_are_no_text_stay_apart() {
        assert_eq!(normal(b"a\xffb"), Ok("a\\xffb".into()));
        assert_ne!(normal(b"a\xff"), normal(b"a\xfe"));
        assert_eq!(normal("한글/파일".as_bytes()), Ok("한글/파일".into()));
    }

    #[test]
    fn links_stay_inside() {
        assert_eq!(follow("bin", "usr/bin"), "usr/bin");
        assert_eq!(follow("var/lib/rpm", "../../usr/lib/sysimage/rpm"), "usr/lib/sysimage/rpm");
        assert_eq!(follow("a/b", "/etc/passwd"), "etc/passwd");
        assert_eq!(follow("a/b", "../../../../etc/passwd"), "etc/passwd");
    }
}
