//! What is shown of a place where a secret was found.
//!
//! Only what the expression matched before the secret, shortened, and the part of the secret that says its kind
//! (`ghp_`). Long runs of letters and digits are replaced, because what stands before a secret may be one.

use haechi_core::text::visible;

/// Characters before the secret that are shown.
const BEFORE_MAX: usize = 24;
/// Characters of a word that may be a name; longer ones may be a secret.
const WORD_MAX: usize = 20;
/// Characters of a preview.
pub(super) const PREVIEW_MAX: usize = 40;

/// The preview: the end of `before`, then `sign`, `prefix` and `…`.
pub(super) fn shown(before: &[u8], sign: &[u8], prefix: &str) -> String {
    let before = String::from_utf8_lossy(before);
    let before = before.rsplit('\n').next().unwrap_or_default();
    let mut safe = String::new();
    for word in before.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')) {
        if word.chars().count() > WORD_MAX {
            safe.push('…');
        } else {
            safe.push_str(word);
        }
    }
    let all = format!("{}{}", safe, String::from_utf8_lossy(sign));
    let skipped = all.chars().count().saturating_sub(BEFORE_MAX);
    let end: String = all.chars().skip(skipped).collect();
    let text = visible(end.trim_start()).into_owned();
    // Escapes make it longer again.
    let room = PREVIEW_MAX.saturating_sub(prefix.chars().count() + 1);
    let skipped = text.chars().count().saturating_sub(room);
    let start: String = text.chars().skip(skipped).collect();
    format!("{start}{prefix}…")
}
