//! The order of versions, by each ecosystem's own rules.
//!
//! [`compare`] is a total preorder for each [`Scheme`] (Composer's `#` apart, which PHP itself does not order
//! consistently), takes time linear in its input, and never panics. Numbers have any length: nothing overflows.
//! A string that the ecosystem's own tool would not order is [`Unreadable`]; what the tool orders, however odd,
//! is ordered in the same way. It knows no ranges: those are read where advisories are matched.

mod apk;
mod composer;
mod deb;
mod gem;
mod generic;
mod maven;
mod pep440;
mod rpm;
mod scan;
mod semantic;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

/// The rules by which versions are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// dpkg (deb-version(7)).
    Deb,
    /// apk-tools.
    Apk,
    /// rpm (rpmvercmp, with epoch and release).
    Rpm,
    /// Semantic versions, read leniently: npm, crates.io, Go (with `v`, pseudo-versions, `+incompatible`).
    Semver,
    /// Python (PEP 440).
    Pep440,
    /// Maven (ComparableVersion).
    Maven,
    /// RubyGems (Gem::Version).
    Gem,
    /// PHP Composer (version_compare with Composer's normalisation).
    Composer,
    /// NuGet (SemVer with a fourth number, case-insensitive).
    Nuget,
    /// Numbers and words as they come; for NVD's product ranges.
    Generic,
}

/// A version that its scheme does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{version}` is no version by the rules of {scheme:?}")]
pub struct Unreadable {
    /// The scheme.
    pub scheme: Scheme,
    /// The version as it was, shortened to [`LONGEST`] bytes.
    pub version: String,
}

/// The longest version that is read, in bytes. The longest in public data have about 200 (RPM modules); a longer one is
/// hostile or no version.
pub const LONGEST: usize = 512;

/// Orders two versions. Space around them does not count.
///
/// # Errors
/// The first of the two that the scheme does not read.
pub fn compare(scheme: Scheme, a: &str, b: &str) -> Result<Ordering, Unreadable> {
    let (x, y) = (readable(scheme, a)?, readable(scheme, b)?);
    match scheme {
        Scheme::Deb => by(scheme, x, y, deb::parse, deb::Version::cmp),
        Scheme::Apk => Ok(apk::compare(x, y)),
        Scheme::Rpm => Ok(rpm::compare(x, y)),
        Scheme::Semver => by(scheme, x, y, semantic::parse, semantic::compare),
        Scheme::Pep440 => Ok(pep440::compare(x, y)),
        Scheme::Maven => Ok(maven::compare(x, y)),
        Scheme::Gem => by(scheme, x, y, gem::parse, gem::compare),
        Scheme::Composer => Ok(composer::compare(x, y)),
        Scheme::Nuget => by(scheme, x, y, semantic::parse, semantic::compare_ignoring_case),
        Scheme::Generic => Ok(generic::compare(x, y)),
    }
}

/// Whether a version is one that its ecosystem would publish today.
///
/// [`compare`] also orders what tools only tolerate: PyPI versions from before PEP 440, Composer branches (`dev-main`),
/// invalid Alpine versions, words without a number. Such an order is convention: it says little about what the
/// package holds, so who decides by it should say so.
pub fn conforms(scheme: Scheme, version: &str) -> bool {
    let Ok(s) = readable(scheme, version) else { return false };
    match scheme {
        Scheme::Apk => apk::is_valid(s),
        Scheme::Pep440 => pep440::is_valid(s),
        Scheme::Composer => {
            s.trim_start_matches(['v', 'V']).starts_with(|c: char| c.is_ascii_digit())
        }
        Scheme::Rpm | Scheme::Maven | Scheme::Generic => s.bytes().any(|b| b.is_ascii_digit()),
        // A version that begins with a letter is after all that begin with a digit, whatever it holds.
        Scheme::Deb => {
            let upstream = s.split_once(':').map_or(s, |(_, rest)| rest);
            deb::parse(s).is_some() && upstream.starts_with(|c: char| c.is_ascii_digit())
        }
        Scheme::Gem => gem::parse(s).is_some(),
        Scheme::Semver | Scheme::Nuget => semantic::parse(s).is_some(),
    }
}

/// Reads both with `parse` and orders them.
fn by<'a, T>(
    scheme: Scheme,
    a: &'a str,
    b: &'a str,
    parse: impl Fn(&'a str) -> Option<T>,
    order: impl Fn(&T, &T) -> Ordering,
) -> Result<Ordering, Unreadable> {
    let x = parse(a).ok_or_else(|| unreadable(scheme, a))?;
    let y = parse(b).ok_or_else(|| unreadable(scheme, b))?;
    Ok(order(&x, &y))
}

/// The version without space around it, if it can be one at all.
fn readable(scheme: Scheme, version: &str) -> Result<&str, Unreadable> {
    let trimmed = version.trim_ascii();
    // `$ { } @ %` are of placeholders that were never filled in (`${project.version}`); brackets, commas, `*`, `<`, `>`
    // and `|` are of ranges (`[1.0,2.0)`, `1.*`); the rest is of no version at all.
    let odd = |b: u8| {
        b.is_ascii_whitespace() || b.is_ascii_control() || b"${}@%[](),*<>|;?\"'`\\".contains(&b)
    };
    if trimmed.is_empty()
        || trimmed.len() > LONGEST
        || trimmed.bytes().any(odd)
        || !trimmed.bytes().any(|b| b.is_ascii_alphanumeric() || scheme == Scheme::Rpm)
    {
        return Err(unreadable(scheme, version));
    }
    Ok(trimmed)
}

fn unreadable(scheme: Scheme, version: &str) -> Unreadable {
    let end = version.floor_char_boundary(LONGEST);
    Unreadable { scheme, version: version.get(..end).unwrap_or_default().to_owned() }
}
