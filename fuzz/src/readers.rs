//! Runs readers of packages as the builder does, and holds them to what they promise: no panic, the same result for the
//! same bytes, packages that have a name and can be written down, and for JSON an error wherever it is none.

use haechi_image::purl;
use haechi_image::reader::{Found, Meta, Reader};

/// A path that a reader wants.
#[derive(Clone, Copy)]
pub struct Place {
    /// Path.
    pub path: &'static str,
    /// Whether its content is strict JSON: what is none must not be read in silence.
    pub json: bool,
}

/// Any format but JSON.
pub const fn other(path: &'static str) -> Place {
    Place { path, json: false }
}

/// JSON.
pub const fn json(path: &'static str) -> Place {
    Place { path, json: true }
}

/// The databases and settings of distributions.
pub const DISTRO: &[Place] = &[
    other("var/lib/dpkg/status"),
    other("var/lib/dpkg/status.d/base"),
    other("var/lib/dpkg/info/bash.list"),
    other("var/lib/dpkg/info/bash.md5sums"),
    other("var/lib/dpkg/diversions"),
    other("lib/apk/db/installed"),
    other("var/lib/rpm/rpmdb.sqlite"),
    other("var/lib/rpm/Packages"),
    other("usr/lib/sysimage/rpm/Packages.db"),
    other("var/lib/rpm/rpmdb.sqlite-wal"),
    other("var/lib/rpmmanifest/container-manifest-2"),
    other("etc/os-release"),
    other("etc/debian_version"),
    other("etc/alpine-release"),
    other("etc/redhat-release"),
    other("etc/photon-release"),
    other("etc/passwd"),
    other("etc/apt/sources.list"),
    other("etc/apt/sources.list.d/a.sources"),
    other("etc/apt/apt.conf.d/99x"),
    other("etc/apk/repositories"),
    other("etc/yum.repos.d/a.repo"),
    other("root/.pip/pip.conf"),
    other("root/.npmrc"),
    other("root/.gemrc"),
    other("root/.composer/config.json"),
    other("root/.gitconfig"),
    other("root/.curlrc"),
    other("root/.wgetrc"),
    other("root/.condarc"),
    other("usr/local/go/go.env"),
];

/// What interpreters have installed, and lock files.
pub const LANGUAGES: &[Place] = &[
    other("usr/lib/python3/site-packages/a-1.0.dist-info/METADATA"),
    other("usr/lib/python3/site-packages/a-1.0-py3.egg-info"),
    other("usr/lib/python3/site-packages/a-1.0.dist-info/RECORD"),
    other("usr/lib/python3/site-packages/a.egg"),
    other("usr/lib/python3/site-packages/pip/_vendor/vendor.txt"),
    json("app/node_modules/@a/b/package.json"),
    other("app/.yarn/cache/a.zip"),
    other("usr/lib/ruby/gems/3.2.0/specifications/a-1.0.gemspec"),
    json("app/vendor/composer/installed.json"),
    other("usr/share/php/.registry/a.reg"),
    json("app/a.deps.json"),
    other("app/packages/a/1.0/a.nuspec"),
    json("app/package-lock.json"),
    json("app/npm-shrinkwrap.json"),
    other("app/yarn.lock"),
    other("app/pnpm-lock.yaml"),
    other("app/bun.lock"),
    other("app/requirements.txt"),
    other("app/poetry.lock"),
    other("app/pdm.lock"),
    other("app/uv.lock"),
    other("app/pylock.toml"),
    json("app/Pipfile.lock"),
    other("app/go.mod"),
    other("app/Cargo.lock"),
    other("app/Gemfile.lock"),
    json("app/composer.lock"),
    json("app/packages.lock.json"),
    other("app/packages.config"),
    json("app/project.assets.json"),
    other("app/Directory.Packages.props"),
    other("app/gradle.lockfile"),
    other("app/pom.xml"),
];

/// Programs and Java archives.
pub const BINARIES: &[Place] = &[
    other("usr/local/bin/app"),
    other("usr/sbin/nginx"),
    other("usr/local/bin/node"),
    other("usr/local/bin/python3.12"),
    other("usr/lib/libssl.so.3"),
    other("usr/local/bin/redis-server"),
    other("app/a-1.0.jar"),
    other("app/a.war"),
    other("app/META-INF/maven/g/a/pom.properties"),
    other("usr/local/include/node/node_version.h"),
    other("usr/local/go/VERSION"),
];

/// Every reader there is, lock files too.
pub fn all() -> Vec<&'static Reader> {
    let mut readers = haechi_image::packages::readers();
    readers.extend(haechi_image::packages::lockfiles::READERS);
    readers
}

/// Gives content to every reader that wants it at this place.
pub fn check(readers: &[&'static Reader], place: Place, content: &[u8]) {
    let meta = Meta { path: place.path, mode: 0o755, uid: 0, gid: 0, size: content.len() as u64 };
    let head = content.get(..4096).unwrap_or(content);
    for reader in readers.iter().filter(|reader| (reader.wants)(&meta, head)) {
        let run = || {
            let mut found = Found::default();
            let result = (reader.read)(&meta, content, &mut found);
            (result, found)
        };
        let (result, found) = run();
        assert_eq!(run(), (result.clone(), found.clone()), "{} is not the same twice", reader.name);
        // Programs and archives are known by their content, whatever the name is.
        let by_name = !["program", "Java archive"].contains(&reader.name);
        if place.json && by_name && result.is_ok() && found.unread.is_empty() {
            // Broken UTF-8 inside a string costs nothing but that text.
            let text = String::from_utf8_lossy(content);
            let text = text.trim_start_matches('\u{feff}');
            let valid = serde_json::from_str::<serde::de::IgnoredAny>(text);
            assert!(valid.is_ok(), "{} took what is no JSON: {valid:?}", reader.name);
        }
        for package in &found.packages {
            assert!(!package.name.is_empty(), "{} has a package without a name", reader.name);
            assert!(package.path.starts_with(place.path), "{}: from {}", reader.name, package.path);
            let _ = purl::of(package, found.distro.as_ref());
        }
        let written = serde_json::to_vec(&found).expect("what was found can be written");
        let read: Found = serde_json::from_slice(&written).expect("and read again");
        assert_eq!(read, found);
    }
}
