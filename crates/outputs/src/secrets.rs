//! The file with what nobody else may know of a webhook: its address if that is a secret, headers, and a signing key.
//!
//! Only its owner may read it; it is never shown, and no error repeats its content.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde::Deserialize;

use crate::OutputError;

/// A larger file is none of secrets.
const SIZE_MAX: u64 = 64 << 10;

/// Secrets of a webhook, as TOML.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Secrets {
    /// Its address, instead of the one given openly.
    pub url: Option<String>,
    /// Key of the signature.
    pub signing_key: Option<String>,
    /// Headers of every request.
    pub headers: BTreeMap<String, String>,
}

impl Secrets {
    pub(crate) fn read(path: &Path) -> Result<Self, OutputError> {
        let wrong = |why: String| OutputError::Secrets { path: path.to_owned(), why };
        // A pipe without a writer must not hold us up.
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = std::fs::File::options()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(|error| wrong(error.to_string()))?;
        let meta = file.metadata().map_err(|error| wrong(error.to_string()))?;
        let me = rustix::process::geteuid().as_raw();
        if !meta.is_file() {
            return Err(wrong("is not a file".into()));
        }
        if (meta.uid() != me && meta.uid() != 0) || meta.mode() & 0o077 != 0 {
            let mode = meta.mode() & 0o7777;
            return Err(wrong(format!(
                "other users can read or change it (mode {mode:04o}, user id {}); mend with `chmod 600` and `chown`",
                meta.uid()
            )));
        }
        let mut text = String::new();
        file.take(SIZE_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|error| wrong(error.to_string()))?;
        if text.len() as u64 > SIZE_MAX {
            return Err(wrong(format!("more than {SIZE_MAX} bytes")));
        }
        toml::from_str(&text).map_err(|error: toml::de::Error| {
            // Where, not what: the error's own words quote the file.
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            wrong(format!("line {line}: not TOML with `url`, `signing_key` and `[headers]`"))
        })
    }
}
