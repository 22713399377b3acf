//! Reads SPDX 2.2 and 2.3 tag-value (<https://spdx.github.io/spdx-spec/v2.3/conformance/>): `Tag: value` lines, values
//! over several lines in `<text>`.

use haechi_core::inventory::Scan;

use super::SbomError;
use super::spdx_json::{Collected, Element, comment, kind, reference, vendor};

/// Whether a text begins like a document: its first tag is the version.
pub(super) fn is(text: &str) -> bool {
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    // The order of tags is not fixed, but the version comes among the first in every document.
    lines.by_ref().take(20).any(|line| line.starts_with("SPDXVersion:"))
}

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Scan, SbomError> {
    let mut state = Tags::default();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let broken =
            |why: &str| SbomError::Broken("SPDX tag-value", format!("line {}: {why}", number + 1));
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (tag, value) = line.split_once(':').ok_or_else(|| broken("it is no `Tag: value`"))?;
        let value = value.trim_start();
        let Some(first) = value.strip_prefix("<text>") else {
            state.take(tag, value.to_owned())?;
            continue;
        };
        let mut whole = first.to_owned();
        let mut open = !whole.contains("</text>");
        while open {
            let (_, next) = lines.next().ok_or_else(|| broken("its <text> does not end"))?;
            // Only the newest line can have the end, so that a long text is not searched again and again.
            if let Some((last, _)) = next.split_once("</text>") {
                whole.push('\n');
                whole.push_str(last);
                open = false;
            } else {
                whole.push('\n');
                whole.push_str(next);
            }
        }
        let whole = whole.split("</text>").next().unwrap_or_default().to_owned();
        state.take(tag, whole)?;
    }
    state.close()?;
    Ok(state.collected.finish(&state.version))
}

#[derive(Default)]
struct Tags {
    version: String,
    /// The package that is open; files and snippets close it.
    element: Option<Element>,
    /// The purpose, which comes after the identifier.
    purpose: String,
    collected: Collected,
}

impl Tags {
    fn take(&mut self, tag: &str, value: String) -> Result<(), SbomError> {
        match tag {
            "SPDXVersion" => self.version = value,
            "PackageName" => {
                self.close()?;
                let mut element = Element::default();
                element.component.name = value;
                self.element = Some(element);
            }
            "FileName" | "SnippetSPDXID" | "LicenseID" => self.close()?,
            "Relationship" => {
                let mut words = value.split_whitespace();
                if let (Some(from), Some(kind), Some(to)) =
                    (words.next(), words.next(), words.next())
                {
                    self.collected.relationship(from, kind, to)?;
                }
            }
            _ => {
                if let Some(element) = &mut self.element {
                    Self::field(element, &mut self.purpose, tag, value);
                }
            }
        }
        Ok(())
    }

    fn field(element: &mut Element, purpose: &mut String, tag: &str, value: String) {
        let component = &mut element.component;
        match tag {
            "SPDXID" => element.id = value,
            "PackageVersion" => component.version = value,
            "PackageSupplier" => component.vendor = vendor(&value),
            "PackageLicenseDeclared" => component.license(value),
            "PackageSourceInfo" => element.source_info = value,
            "PrimaryPackagePurpose" => *purpose = value,
            "ExternalRef" => {
                let mut words = value.splitn(3, ' ');
                if let (Some(_), Some(kind), Some(locator)) =
                    (words.next(), words.next(), words.next())
                {
                    reference(component, kind, locator.trim().to_owned());
                }
            }
            "PackageAttributionText" | "AnnotationComment" => comment(element, &value),
            _ => {}
        }
    }

    fn close(&mut self) -> Result<(), SbomError> {
        let purpose = std::mem::take(&mut self.purpose);
        if let Some(mut element) = self.element.take() {
            element.component.kind = kind(&purpose, &element.id);
            self.collected.element(element)?;
        }
        Ok(())
    }
}
