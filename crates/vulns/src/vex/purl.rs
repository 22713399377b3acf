//! Package URLs, as far as comparing two of them needs (<https://github.com/package-url/purl-spec>).

/// A package URL, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purl {
    /// Type, in lower case: `deb`, `oci`.
    pub kind: String,
    /// Namespace; may be empty.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Version; may be empty.
    pub version: String,
    /// Qualifiers.
    pub qualifiers: Vec<(String, String)>,
}

impl Purl {
    /// Reads one; none if it is no purl.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("pkg:")?.trim_start_matches('/');
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, rest) = rest.split_once('/')?;
        // The `@` of an npm scope stands at the beginning of a part, that of a version after a name.
        let (path, version) = match rest.rsplit_once('@') {
            Some((path, version))
                if !path.is_empty() && !path.ends_with('/') && !version.contains('/') =>
            {
                (path, version)
            }
            _ => (rest, ""),
        };
        let path = path.trim_matches('/');
        let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
        let qualifiers = qualifiers
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_lowercase(), decode(value)))
            .collect();
        let kind = kind.to_lowercase();
        let name = decode(name);
        // PEP 503: what PyPI holds for one name, a purl may spell in several ways.
        let name = if kind == "pypi" { crate::advisory::normal_name("PyPI", &name) } else { name };
        (!kind.is_empty() && !name.is_empty()).then(|| Self {
            kind,
            namespace: decode(namespace),
            name,
            version: decode(version),
            qualifiers,
        })
    }

    /// The value of a qualifier.
    pub fn qualifier(&self, key: &str) -> Option<&str> {
        self.qualifiers.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Whether a package is what this names: the same type, namespace and name; also version and qualifiers, as far
    /// as this has them. What the package does not state does not match what this demands.
    pub fn matches(&self, package: &Self) -> bool {
        self.kind == package.kind
            && self.namespace == package.namespace
            && self.name == package.name
            && (self.version.is_empty() || self.version == package.version)
            && self
                .qualifiers
                .iter()
                .all(|(key, value)| package.qualifier(key) == Some(value.as_str()))
    }
}

/// Without percent-encoding; bytes that give no UTF-8 stay visible as replacement characters, which match nothing.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = bytes.clone().take(2).map(char::from).collect::<String>();
        match u8::from_str_radix(&digits, 16) {
            Ok(decoded) if digits.len() == 2 && !digits.starts_with('+') => {
                out.push(decoded);
                bytes.nth(1);
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let purl = Purl::parse("pkg:npm/%40angular/core@1.2.3?a=b%2Fc#sub").unwrap();
        assert_eq!((purl.namespace.as_str(), purl.name.as_str()), ("@angular", "core"));
        assert_eq!(purl.version, "1.2.3");
        assert_eq!(purl.qualifier("a"), Some("b/c"));
        let purl = Purl::parse("pkg:npm/@angular/core").unwrap();
        assert_eq!((purl.namespace.as_str(), purl.version.as_str()), ("@angular", ""));
        assert_eq!(Purl::parse("pkg:oci/a@sha256%3Aff").unwrap().version, "sha256:ff");
        assert_eq!(Purl::parse("https://example.com"), None);
        assert_eq!(Purl::parse("pkg:"), None);
        assert_eq!(Purl::parse("pkg:deb/"), None);
    }

    #[test]
    fn a_purl_demands_no_more_than_it_states() {
        let package = Purl::parse("pkg:deb/debian/curl@7.88?arch=amd64&distro=debian-12").unwrap();
        for yes in
            ["pkg:deb/debian/curl", "pkg:deb/debian/curl@7.88", "pkg:deb/debian/curl?arch=amd64"]
        {
            assert!(Purl::parse(yes).unwrap().matches(&package), "{yes}");
        }
        for no in [
            "pkg:deb/debian/curl@7.89",
            "pkg:deb/ubuntu/curl",
            "pkg:deb/debian/curl?arch=arm64",
            "pkg:rpm/debian/curl",
        ] {
            assert!(!Purl::parse(no).unwrap().matches(&package), "{no}");
        }
    }
}
