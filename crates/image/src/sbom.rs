//! SBOMs: a [`Scan`] as CycloneDX or SPDX, and the SBOM of another tool as a [`Scan`].
//!
//! Written documents are valid against the official schemas. Reading promises that whatever of the document is no
//! package that Haechi can match is counted among the scan's problems. An SBOM knows nothing of files, secrets and
//! malware: those parts of a scan that was read are never whole. It judges nothing and fetches nothing.

use haechi_core::inventory::{Problem, Scan};

mod component;
mod cyclonedx;
mod cyclonedx_json;
mod cyclonedx_xml;
mod intake;
mod licenses;
mod purls;
mod spdx_json;
mod spdx_tags;
mod spdx_write;
mod syft;
#[cfg(test)]
mod tests;
mod vulnerabilities;

pub use cyclonedx::cyclonedx;
pub use spdx_write::spdx;

/// Largest document: an image with 100,000 components and all their CPEs has some 100 MB.
pub const BYTES_MAX: usize = 256 * 1024 * 1024;

/// Most components: ten times what the largest images have. Each costs half a kilobyte at least.
const COMPONENTS_MAX: usize = 500_000;

/// Deepest nesting of components; parsers of JSON stop at 128 levels by themselves.
const DEPTH_MAX: usize = 32;

/// Why a document could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SbomError {
    /// It is none of the formats that are read.
    #[error(
        "this is no SBOM in a format that is read (CycloneDX JSON or XML, SPDX 2.2 or 2.3 JSON or tag-value, Syft JSON): {0}"
    )]
    Unknown(String),
    /// It breaks the rules of its format; format, place and reason.
    #[error("the {0} document is broken: {1}")]
    Broken(&'static str, String),
    /// It is too large, too deep or has too many components.
    #[error("the document is beyond a limit: {0}")]
    Limit(String),
}

/// Reads an SBOM: CycloneDX 1.2 to 1.6 (JSON, XML), SPDX 2.2 and 2.3 (JSON, tag-value), Syft's JSON.
///
/// # Errors
/// It is in no known format, breaks its rules, or is beyond a limit. What is well formed but cannot be matched
/// is no error: it is among [`Scan::problems`].
pub fn read(bytes: &[u8]) -> Result<Scan, SbomError> {
    if bytes.len() > BYTES_MAX {
        return Err(SbomError::Limit(format!("more than {} MiB", BYTES_MAX / 1024 / 1024)));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        SbomError::Unknown(format!("it is no UTF-8 at byte {}", error.valid_up_to()))
    })?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.as_bytes().first() {
        None => Err(SbomError::Unknown("it is empty".into())),
        Some(b'<') => cyclonedx_xml::read(text),
        Some(b'{') => json(text),
        Some(_) if spdx_tags::is(text) => spdx_tags::read(text),
        Some(_) => Err(SbomError::Unknown("it is neither JSON nor XML nor tag-value".into())),
    }
}

/// Which of the JSON formats it is, from the key that each of them must have.
fn json(text: &str) -> Result<Scan, SbomError> {
    /// The keys that tell formats apart. Everything else is skipped without being kept.
    #[derive(serde::Deserialize)]
    struct Marks {
        #[serde(rename = "bomFormat")]
        bom_format: Option<String>,
        #[serde(rename = "spdxVersion")]
        spdx_version: Option<String>,
        artifacts: Option<serde::de::IgnoredAny>,
        descriptor: Option<serde::de::IgnoredAny>,
        #[serde(rename = "@context")]
        context: Option<serde::de::IgnoredAny>,
    }
    let marks: Marks = serde_json::from_str(text)
        .map_err(|error| SbomError::Unknown(format!("it is no valid JSON: {error}")))?;
    match marks {
        Marks { bom_format: Some(format), .. } if format == "CycloneDX" => {
            cyclonedx_json::read(text)
        }
        Marks { spdx_version: Some(version), .. } => spdx_json::read(text, &version),
        Marks { artifacts: Some(_), descriptor: Some(_), .. } => syft::read(text),
        Marks { context: Some(_), .. } => {
            Err(SbomError::Unknown("SPDX 3 or another JSON-LD document".into()))
        }
        _ => Err(SbomError::Unknown("it has none of bomFormat, spdxVersion, artifacts".into())),
    }
}

/// What every SBOM leaves open.
fn not_in_an_sbom() -> Problem {
    use haechi_core::inventory::{Part, ProblemKind};
    Problem {
        kind: ProblemKind::Absent,
        place: "sbom".into(),
        layer: None,
        detail: "an SBOM lists packages; files, secrets and malware were not looked at".into(),
        affects: vec![Part::Files, Part::Secrets, Part::Malware],
    }
}
