//! Which licences are SPDX's (<https://spdx.org/licenses/>), and names for those that are not.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::hash::hex;

/// The identifier in SPDX's list, as the list writes it.
pub(super) fn id(text: &str) -> Option<&'static str> {
    spdx::license_id(text).map(|id| id.name).filter(|name| *name == text)
}

/// Licences of a document that SPDX's list does not have: identifier and text as stated.
#[derive(Default)]
pub(super) struct Extracted(pub BTreeMap<String, String>);

impl Extracted {
    /// One SPDX expression for everything that a package states. Several statements all hold.
    pub fn expression(&mut self, licenses: &[String]) -> String {
        let mut parts: Vec<String> = licenses
            .iter()
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
            .map(|text| if is_expression(text) { text.to_owned() } else { self.name(text) })
            .collect();
        parts.sort();
        parts.dedup();
        match parts.as_slice() {
            [] => "NOASSERTION".into(),
            [one] => one.clone(),
            several => several
                .iter()
                .map(|part| if part.contains(' ') { format!("({part})") } else { part.clone() })
                .collect::<Vec<_>>()
                .join(" AND "),
        }
    }

    /// A name of this document for a licence that SPDX does not know.
    fn name(&mut self, text: &str) -> String {
        let readable: String = text
            .chars()
            .filter_map(
                |c| if c.is_ascii_alphanumeric() { Some(c) } else { (c == ' ').then_some('-') },
            )
            .take(32)
            .collect();
        let digest: String = hex(&Sha256::digest(text.as_bytes())).chars().take(8).collect();
        let name = format!("LicenseRef-{readable}-{digest}");
        self.0.entry(name.clone()).or_insert_with(|| text.to_owned());
        name
    }
}

/// Whether a text is a valid expression of licences in SPDX's list. Those of other documents are none here.
fn is_expression(text: &str) -> bool {
    // The parser is no concern of ours beyond the length of honest expressions.
    text.len() <= 1000
        && text.is_ascii()
        && !text.contains("LicenseRef-")
        && !text.contains("AdditionRef-")
        // `+` on any licence is in the grammar, but readers know only those that are in the list with it.
        && text.split([' ', '(', ')']).all(|word| !word.ends_with('+') || id(word).is_some())
        && spdx::Expression::parse(text).is_ok()
}
