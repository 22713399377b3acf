//! Gems of Ruby that are installed: `specifications/*.gemspec`, `specifications/default/*.gemspec` (those that come
//! with Ruby), wherever the folder lies (also Bundler's `vendor/bundle`), and gems that Bundler took from a
//! repository (`bundler/gems/*/*.gemspec`).
//!
//! A specification is Ruby source; it is not run. RubyGems writes name, version and platform as literals, and those
//! are read. A specification that computes its version (a gem from a repository may) is told as unread.

use haechi_core::inventory::{Package, PackageKind};

use crate::reader::{Found, Meta, Reader, Unread};

/// Readers of this file.
pub const READERS: &[Reader] = &[Reader {
    name: "gemspec",
    // Those with a long list of files have some 100 KiB.
    size_max: 4 << 20,
    wants: |meta, _| is_specification(meta.path),
    read,
}];

fn is_specification(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    if !parts.next().is_some_and(|name| name.ends_with(".gemspec")) {
        return false;
    }
    matches!(
        [parts.next(), parts.next(), parts.next()],
        [Some("specifications"), ..]
            | [Some("default"), Some("specifications"), _]
            | [Some(_), Some("gems"), Some("bundler")]
    )
}

/// What a specification states.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stated {
    name: Option<String>,
    version: Option<String>,
    platform: Option<String>,
    licenses: Vec<String>,
    authors: Vec<String>,
}

/// `# stub: name version platform require_paths`, which RubyGems puts first so that it need not run the rest.
fn stub(text: &str) -> Option<Stated> {
    let line = text.lines().take(4).find_map(|line| line.strip_prefix("# stub: "))?;
    let mut words = line.split(' ');
    let mut word = || words.next().filter(|word| !word.is_empty()).map(str::to_owned);
    Some(Stated { name: word(), version: word(), platform: word(), ..Stated::default() })
}

/// Assignments of literals: `s.name = "rake".freeze`.
fn assignments(text: &str) -> Stated {
    let mut stated = Stated::default();
    for line in text.lines() {
        let Some((target, value)) = line.split_once('=') else { continue };
        let Some((receiver, attribute)) = target.trim().split_once('.') else { continue };
        if !receiver.chars().all(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let mut literals = literals(value);
        match attribute {
            "name" => stated.name = literals.next(),
            "version" => stated.version = version(value),
            "platform" => stated.platform = literals.next(),
            "license" | "licenses" => stated.licenses = literals.collect(),
            "author" | "authors" => stated.authors = literals.collect(),
            _ => {}
        }
    }
    stated
}

/// A version that is a literal, perhaps inside `Gem::Version.new(…)`; not one that is computed.
fn version(value: &str) -> Option<String> {
    let value = value.trim();
    let value = value
        .strip_prefix("Gem::Version.new")
        .map_or(value, |rest| rest.trim_start().trim_start_matches('(').trim_start());
    value.starts_with(['"', '\'']).then(|| literals(value).next()).flatten()
}

/// The string literals in a line. One with `#{…}` in it is no literal.
fn literals(line: &str) -> impl Iterator<Item = String> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(['"', '\''])?;
            let quote = if rest.get(start..)?.starts_with('"') { '"' } else { '\'' };
            let (text, after) = rest.get(start + 1..)?.split_once(quote)?;
            rest = after;
            if !text.is_empty() && !text.contains("#{") {
                return Some(text.to_owned());
            }
        }
    })
}

fn read(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let text = String::from_utf8_lossy(content);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let stub = stub(text).unwrap_or_default();
    let stated = assignments(text);
    if let (Some(first), Some(second)) = (&stub.version, &stated.version)
        && first != second
    {
        found.unread.push(format!("it says version {first} first and {second} then"));
    }
    let name = stub.name.or(stated.name).ok_or_else(|| Unread("it states no name".to_owned()))?;
    let version = stub.version.or(stated.version);
    let version = version.ok_or_else(|| Unread(format!("the version of {name} is computed")))?;
    let mut package = Package::new(PackageKind::Gem, name, version, meta.path);
    let platform = stub.platform.or(stated.platform);
    package.arch = platform.filter(|platform| platform != "ruby").unwrap_or_default();
    package.licenses = stated.licenses;
    package.vendor = stated.authors.join(", ");
    found.packages.push(package);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_at(path: &str, content: &[u8]) -> (Found, Result<(), Unread>) {
        let meta = Meta { path, ..Meta::default() };
        let mut found = Found::default();
        let reader = READERS.iter().find(|reader| (reader.wants)(&meta, content)).unwrap();
        let result = (reader.read)(&meta, content, &mut found);
        (found, result)
    }

    fn names(found: &Found) -> Vec<(&str, &str, &str)> {
        let three = |p| {
            let p: &Package = p;
            (p.name.as_str(), p.version.as_str(), p.arch.as_str())
        };
        found.packages.iter().map(three).collect()
    }

    #[test]
    fn what_rubygems_writes_is_read() {
        let content = b"# -*- encoding: utf-8 -*-\n# stub: nokogiri 1.16.0 x86_64-linux lib\0ext\n\n\
Gem::Specification.new do |s|\n  s.name = \"nokogiri\".freeze\n  s.version = \"1.16.0\"\n\
  s.platform = \"x86_64-linux\".freeze\n  s.licenses = [\"MIT\".freeze, \"X\".freeze]\n  s.authors = [\"A\".freeze]\n";
        let (found, result) =
            read_at("gems/specifications/nokogiri-1.16.0-x86_64-linux.gemspec", content);
        assert_eq!(result, Ok(()));
        assert_eq!(names(&found), [("nokogiri", "1.16.0", "x86_64-linux")]);
        assert_eq!(found.packages[0].licenses, ["MIT", "X"]);
        assert_eq!(found.packages[0].vendor, "A");
        assert_eq!(found.unread, [""; 0]);
    }

    #[test]
    fn one_without_stub_is_read() {
        for version in [
            "'2.1.0'",
            "Gem::Version.new(\"2.1.0\")",
            "\"2.1.0\".freeze",
            "Gem::Version.new '2.1.0'",
        ] {
            let content = format!(
                "Gem::Specification.new do |spec|\n  spec.name    = 'json'\n  spec.version = {version}\nend\n"
            );
            let (found, _) =
                read_at("x/specifications/default/json-2.1.0.gemspec", content.as_bytes());
            assert_eq!(names(&found), [("json", "2.1.0", "")], "{version}");
        }
    }

    #[test]
    fn a_computed_version_is_told() {
        for version in ["Foo::VERSION", "\"#{MAJOR}.1\"", "File.read('VERSION')", ""] {
            let content = format!(
                "Gem::Specification.new do |s|\n  s.name = 'foo'\n  s.version = {version}\nend\n"
            );
            let (found, result) =
                read_at("x/bundler/gems/foo-0123/foo.gemspec", content.as_bytes());
            assert_eq!(
                result,
                Err(Unread("the version of foo is computed".to_owned())),
                "{version}"
            );
            assert_eq!(names(&found), []);
        }
        assert!(read_at("specifications/a.gemspec", b"\xff").1.is_err());
    }

    #[test]
    fn two_versions_are_told() {
        let content = b"# stub: a 2.0 ruby lib\ns.name = \"a\"\ns.version = \"1.0\"\n";
        let (found, _) = read_at("specifications/a-1.0.gemspec", content);
        assert_eq!(names(&found), [("a", "2.0", "")]);
        assert_eq!(found.unread.len(), 1);
    }

    #[test]
    fn only_installed_specifications_count() {
        assert!(is_specification("vendor/bundle/ruby/3.2.0/specifications/a-1.gemspec"));
        assert!(!is_specification("usr/lib/ruby/gems/3.2.0/gems/a-1/a.gemspec"));
        assert!(!is_specification("a.gemspec"));
        assert!(!is_specification("specifications/a.rb"));
    }
}
