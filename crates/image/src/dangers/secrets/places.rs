//! What the path and the first bytes of a file say about secrets in it.
//!
//! A path is a hint: it lowers a severity or keeps passwords that are known by name alone from being looked for. Only
//! pictures, sounds, fonts, packed data and the tests of a language's own distribution are not looked at.

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The site's, or unknown.
    Own,
    /// Documentation, or the code of the distribution's own libraries in a place where no site puts files.
    Documentation,
    /// A test or example of an installed library: its keys are public, or at least no use elsewhere.
    LibraryTest,
}

impl Place {
    pub fn of(path: &str) -> Self {
        if is_documentation(path) {
            Self::Documentation
        } else if is_test_of_library(path) {
            Self::LibraryTest
        } else {
            Self::Own
        }
    }
}

/// Whether it is a program or a library: ELF, PE, static library.
pub(super) fn is_program(content: &[u8]) -> bool {
    content.starts_with(b"\x7fELF")
        || content.starts_with(b"!<arch>\n")
        || content.starts_with(b"MZ")
}

/// Whether secrets are looked for in a file, from its path and first bytes.
///
/// Not in compressed data other than zip and gzip, in pictures, sounds and fonts, and in the tests of the language's
/// own distribution, whose keys are public. Programs are searched: keys are built into them. Documentation is searched
/// for secrets with a form, because keys are put there too, but it is not unpacked.
pub fn is_candidate(path: &str, head: &[u8]) -> bool {
    const MAGIC: [&[u8]; 14] = [
        b"\xfd7zXZ\0",
        b"BZh",
        b"\x28\xb5\x2f\xfd",
        b"7z\xbc\xaf\x27\x1c",
        b"\x89PNG",
        b"\xff\xd8\xff",
        b"GIF8",
        b"wOFF",
        b"wOF2",
        b"OTTO",
        b"\0\x01\0\0\0",
        b"OggS",
        b"ID3",
        b"TZif",
    ];
    const TOOLCHAIN_TESTS: [&str; 4] =
        ["usr/local/go/src/", "usr/local/go/test/", "usr/lib/go-1", "usr/share/go-1"];
    let python_tests = (path.starts_with("usr/lib/python3")
        || path.starts_with("usr/local/lib/python3"))
        && path.split('/').nth(if path.starts_with("usr/local/") { 4 } else { 3 }) == Some("test");
    let packed = head.starts_with(b"\x1f\x8b") || head.starts_with(b"PK\x03\x04");
    let inert = MAGIC.iter().any(|magic| head.starts_with(magic));
    let toolchain = TOOLCHAIN_TESTS.iter().any(|folder| path.starts_with(folder));
    let skipped = inert || toolchain || python_tests || (packed && is_documentation(path));
    !skipped
}

/// Whether it is there to be read by people, and installed by a package.
pub fn is_documentation(path: &str) -> bool {
    const FOLDERS: [&str; 13] = [
        "usr/share/doc/",
        "usr/share/man/",
        "usr/share/info/",
        "usr/share/locale/",
        "usr/share/i18n/",
        "usr/share/zoneinfo/",
        "usr/share/perl/",
        "usr/share/perl5/",
        // Only packages of Debian install here; pip writes to usr/local.
        "usr/lib/python3/dist-packages/",
        "usr/share/bash-completion/",
        "var/lib/dpkg/info/",
        "usr/share/vim/",
        "usr/share/gtk-doc/",
    ];
    // The metadata of a Python package holds its README.
    let metadata = path.rsplit('/').next() == Some("PKG-INFO")
        || path.contains(".dist-info/METADATA")
        || path.ends_with(".egg-info");
    FOLDERS.iter().any(|folder| path.starts_with(folder)) || metadata
}

fn is_test_of_library(path: &str) -> bool {
    const LIBRARIES: [&str; 7] =
        ["site-packages", "dist-packages", "node_modules", "gems", "vendor", "mod", "third_party"];
    const TESTS: [&str; 8] =
        ["test", "tests", "testdata", "test_data", "__tests__", "spec", "fixtures", "examples"];
    let mut parts = path.split('/');
    parts.any(|part| LIBRARIES.contains(&part)) && parts.any(|part| TESTS.contains(&part))
}

/// Whether a file is in a tree of libraries that a package manager installs: its code is not the site's.
pub(super) fn is_library(path: &str) -> bool {
    const TREES: [&str; 5] = ["site-packages", "dist-packages", "node_modules", "gems", "vendor"];
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let mut before = "";
    folders.split('/').any(|part| {
        // Go keeps modules in `pkg/mod`; `mod` alone is a common name.
        let is_tree = TREES.contains(&part) || (before == "pkg" && part == "mod");
        before = part;
        is_tree
    })
}

/// Whether a variable of this name holds a secret itself, not a file or a switch.
pub(super) fn names_secret(name: &str) -> bool {
    const SECRET: [&str; 12] = [
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "SECRET",
        "TOKEN",
        "APIKEY",
        "API_KEY",
        "ACCESS_KEY",
        "PRIVATE_KEY",
        "CREDENTIALS",
        "PASSWORT",
        "SECRET_KEY",
    ];
    const OTHER: [&str; 16] = [
        "_FILE",
        "_PATH",
        "_DIR",
        "_URL",
        "_URI",
        "_NAME",
        "_ID",
        "_TTL",
        "_EXPIRY",
        "_LENGTH",
        "_POLICY",
        "_TYPE",
        "_ENABLED",
        "_PLUGIN",
        "_ENDPOINT",
        "_ALGORITHM",
    ];
    let upper = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let own = SECRET.iter().any(|word| upper.contains(word))
        || upper.ends_with("_PASS")
        || upper.ends_with("_PWD")
        || upper == "PGPASS";
    own && !OTHER.iter().any(|end| upper.ends_with(end)) && !upper.contains("ALLOW_EMPTY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates() {
        for (path, head) in [
            ("srv/.env", b"A=1".as_slice()),
            ("usr/bin/a", b"\x7fELF"),
            ("srv/app.jar", b"PK\x03\x04"),
            ("srv/dump.sql.gz", b"\x1f\x8b\x08"),
            ("usr/share/doc/a/key.pem", b"-----BEGIN"),
            ("usr/lib/python3/dist-packages/a/test/key.pem", b"-----BEGIN"),
            ("srv/empty", b""),
        ] {
            assert!(is_candidate(path, head), "{path}");
        }
        for (path, head) in [
            ("srv/a.png", b"\x89PNG".as_slice()),
            ("srv/a.xz", b"\xfd7zXZ\0"),
            ("usr/share/doc/a/changelog.gz", b"\x1f\x8b\x08"),
            ("usr/local/go/src/crypto/tls/key.pem", b"-----BEGIN"),
            ("usr/lib/python3.11/test/key.pem", b"-----BEGIN"),
            ("usr/local/lib/python3.12/test/key.pem", b"-----BEGIN"),
        ] {
            assert!(!is_candidate(path, head), "{path}");
        }
    }

    #[test]
    fn libraries() {
        for path in [
            "srv/app/node_modules/a/b.js",
            "usr/local/lib/python3.11/site-packages/a.py",
            "root/go/pkg/mod/a.site/b@v1/c.go",
            "srv/app/vendor/a/b/c.php",
            "usr/local/bundle/gems/a-1/lib/a.rb",
        ] {
            assert!(is_library(path), "{path}");
        }
        for path in ["srv/app/mod/a.go", "srv/vendors/a.js", "srv/vendor", "a.py"] {
            assert!(!is_library(path), "{path}");
        }
    }

    #[test]
    fn places() {
        for (path, place) in [
            ("srv/app/tests/key.pem", Place::Own),
            ("srv/node_modules/a/index.js", Place::Own),
            ("srv/node_modules/a/test/key.pem", Place::LibraryTest),
            ("usr/share/doc/a/key.pem", Place::Documentation),
            ("srv/usr/share/doc/a", Place::Own),
            ("usr/lib/python3/dist-packages/a.py", Place::Documentation),
            ("usr/local/lib/python3.11/site-packages/a.py", Place::Own),
            ("usr/lib/python3/dist-packages/A.egg-info/PKG-INFO", Place::Documentation),
        ] {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }
}
