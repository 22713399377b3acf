//! Manifests: which configuration and which layers make an image. Docker's `manifest.json`, and OCI's index and
//! manifest (<https://github.com/opencontainers/image-spec/blob/main/manifest.md>; Docker's media types mean the same).

use std::fmt;

use serde_json::Value;

/// Largest manifest or index that is read (registries refuse larger ones).
pub const SIZE_MAX: usize = 4 << 20;
/// Most images in one index or archive.
const IMAGES_MAX: usize = 10_000;

/// Why a manifest is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadManifest(pub String);

fn bad(what: impl Into<String>) -> BadManifest {
    BadManifest(what.into())
}

/// One image of a docker archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveImage {
    /// Path of its configuration in the archive.
    pub config: String,
    /// References.
    pub tags: Vec<String>,
    /// Paths of its layers in the archive, base first.
    pub layers: Vec<String>,
}

/// Reads a docker archive's `manifest.json`.
///
/// # Errors
/// It is none.
pub fn archive(json: &[u8]) -> Result<Vec<ArchiveImage>, BadManifest> {
    let value = parse(json, "manifest.json")?;
    let images = value.as_array().ok_or_else(|| bad("manifest.json is no list of images"))?;
    images
        .iter()
        .take(IMAGES_MAX)
        .map(|image| {
            let strings = |key: &str| -> Vec<String> {
                let list = image.get(key).and_then(Value::as_array);
                list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
            };
            let config = image
                .get("Config")
                .and_then(Value::as_str)
                .ok_or_else(|| bad("manifest.json has an image without configuration (Config)"))?;
            let stated = image.get("Layers").and_then(Value::as_array).map_or(0, Vec::len);
            let layers = strings("Layers");
            if layers.len() != stated {
                return Err(bad("manifest.json has a layer whose name is no text"));
            }
            Ok(ArchiveImage { config: config.to_owned(), tags: strings("RepoTags"), layers })
        })
        .collect()
}

/// Something that a manifest or index names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// `sha256:…`.
    pub digest: String,
    /// Bytes that it says to have.
    pub size: u64,
    /// `os/architecture[/variant]`; empty if not stated.
    pub platform: String,
    /// The reference that an index gives it (`org.opencontainers.image.ref.name`, or containerd's full name).
    pub name: String,
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digest)?;
        for part in [&self.name, &self.platform] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        Ok(())
    }
}

/// What an OCI document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A list of manifests.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest {
        /// Its configuration.
        config: Descriptor,
        /// Its layers, base first.
        layers: Vec<Descriptor>,
    },
}

/// Reads an OCI index or manifest, or Docker's.
///
/// # Errors
/// It is neither.
pub fn document(json: &[u8], place: &str) -> Result<Document, BadManifest> {
    let value = parse(json, place)?;
    if let Some(manifests) = value.get("manifests").and_then(Value::as_array) {
        let manifests = manifests.iter().take(IMAGES_MAX).map(|m| descriptor(m, place));
        return Ok(Document::Index(manifests.collect::<Result<_, _>>()?));
    }
    let config = value
        .get("config")
        .ok_or_else(|| bad(format!("{place} is neither an index nor the manifest of an image")))?;
    let layers = value
        .get("layers")
        .and_then(Value::as_array)
        .ok_or_else(|| bad(format!("{place} names no layers")))?;
    Ok(Document::Manifest {
        config: descriptor(config, place)?,
        layers: layers.iter().map(|layer| descriptor(layer, place)).collect::<Result<_, _>>()?,
    })
}

fn descriptor(value: &Value, place: &str) -> Result<Descriptor, BadManifest> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let digest = text("/digest").to_owned();
    if !is_digest(&digest) {
        return Err(bad(format!("{place} names something by `{digest:.80}`, which is no digest")));
    }
    let mut platform = String::new();
    for part in ["/platform/os", "/platform/architecture", "/platform/variant"] {
        let part = text(part);
        if !part.is_empty() {
            if !platform.is_empty() {
                platform.push('/');
            }
            platform.push_str(part);
        }
    }
    let full = text("/annotations/io.containerd.image.name");
    let short = text("/annotations/org.opencontainers.image.ref.name");
    Ok(Descriptor {
        media_type: text("/mediaType").to_owned(),
        digest,
        size: value.get("size").and_then(Value::as_u64).unwrap_or_default(),
        platform,
        name: if full.is_empty() { short } else { full }.to_owned(),
    })
}

/// Whether a text is a digest that names a blob; such a text is safe as part of a path.
pub fn is_digest(text: &str) -> bool {
    let hex = |hex: &str, length| {
        hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    match text.split_once(':') {
        Some(("sha256", digest)) => hex(digest, 64),
        Some(("sha512", digest)) => hex(digest, 128),
        _ => false,
    }
}

/// Whether a manifest of an index is an image at all: BuildKit adds attestations beside images.
fn is_image(descriptor: &Descriptor) -> bool {
    descriptor.platform != "unknown/unknown"
}

/// Picks one of an index: by name or digest if given, then by platform.
///
/// # Errors
/// None fits, or several do; the message lists them.
pub fn pick<'d>(
    manifests: &'d [Descriptor],
    wanted: Option<&str>,
    platform: &str,
) -> Result<&'d Descriptor, BadManifest> {
    let mut fits: Vec<&Descriptor> = manifests.iter().filter(|m| is_image(m)).collect();
    if let Some(wanted) = wanted {
        let named: Vec<&Descriptor> = fits
            .iter()
            .copied()
            .filter(|m| {
                m.name == wanted || m.digest == wanted || m.name.ends_with(&format!(":{wanted}"))
            })
            .collect();
        // In an index of one image's platforms nothing has a name.
        if !named.is_empty() || fits.iter().any(|m| !m.name.is_empty()) {
            fits = named;
        }
    }
    if fits.len() > 1 {
        let on: Vec<&Descriptor> =
            fits.iter().copied().filter(|m| is_platform(&m.platform, platform)).collect();
        if !on.is_empty() {
            fits = on;
        }
    }
    match fits.as_slice() {
        [one] => Ok(one),
        // The same image under several names.
        [first, rest @ ..] if rest.iter().all(|m| m.digest == first.digest) => Ok(first),
        _ => {
            let list: Vec<String> = manifests.iter().take(20).map(ToString::to_string).collect();
            let what =
                wanted.map_or_else(|| platform.to_owned(), |w| format!("{w} for {platform}"));
            let how =
                if fits.is_empty() { "there is no image" } else { "there are several images" };
            Err(bad(format!("{how} {what} here: {}", list.join(", "))))
        }
    }
}

/// Whether a platform is the wanted one; a wanted one without variant takes any.
fn is_platform(platform: &str, wanted: &str) -> bool {
    platform == wanted || platform.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'))
}

fn parse(json: &[u8], place: &str) -> Result<Value, BadManifest> {
    if json.len() > SIZE_MAX {
        return Err(bad(format!("{place} has more than {SIZE_MAX} bytes")));
    }
    serde_json::from_slice(json).map_err(|error| bad(format!("{place} is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:7a3ebe5bfd1a4a19797d20b0c0bb39d44393e9a03fd852c0865b0f540d868df0";

    fn on(platform: &str, name: &str) -> Descriptor {
        let digest = D.replace("7a", if platform.contains("arm") { "00" } else { "11" });
        Descriptor { digest, platform: platform.into(), name: name.into(), ..Descriptor::default() }
    }

    #[test]
    fn a_docker_archive() {
        let json = br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["x/layer.tar"]},{"Config":"d","RepoTags":null,"Layers":[]}]"#;
        let images = archive(json).unwrap_or_default();
        assert_eq!(images.len(), 2);
        assert_eq!(images.first().map(|i| i.tags.clone()), Some(vec!["a:1".into()]));
        assert!(archive(b"null").is_err());
        assert!(archive(br#"[{"Layers":[]}]"#).is_err());
        assert!(archive(br#"[{"Config":"c","Layers":[1]}]"#).is_err());
    }

    #[test]
    fn index_and_manifest() {
        let index = format!(
            r#"{{"manifests":[{{"digest":"{D}","platform":{{"os":"linux","architecture":"arm","variant":"v7"}}}}]}}"#
        );
        let Ok(Document::Index(list)) = document(index.as_bytes(), "index.json") else {
            panic!("no index")
        };
        assert_eq!(list.first().map(|d| d.platform.as_str()), Some("linux/arm/v7"));
        let manifest = format!(r#"{{"config":{{"digest":"{D}"}},"layers":[]}}"#);
        assert!(matches!(document(manifest.as_bytes(), "m"), Ok(Document::Manifest { .. })));
        assert!(document(b"{}", "m").is_err());
        assert!(document(br#"{"config":{"digest":"sha256:../../etc"},"layers":[]}"#, "m").is_err());
    }

    #[test]
    fn one_is_picked_or_none() {
        let list = [on("linux/amd64", ""), on("linux/arm64/v8", ""), on("unknown/unknown", "")];
        assert_eq!(
            pick(&list, None, "linux/amd64").map(|d| d.platform.as_str()),
            Ok("linux/amd64")
        );
        assert_eq!(
            pick(&list, None, "linux/arm64").map(|d| d.platform.as_str()),
            Ok("linux/arm64/v8")
        );
        assert!(pick(&list, None, "linux/s390x").is_err());
        let named = [on("", "a:1"), on("linux/arm64", "b:1")];
        assert_eq!(pick(&named, Some("b:1"), "linux/amd64").map(|d| d.name.as_str()), Ok("b:1"));
        assert!(pick(&named, Some("c"), "linux/amd64").is_err());
        assert!(pick(&[], None, "linux/amd64").is_err());
    }
}
