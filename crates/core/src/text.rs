//! Words for people, in English and Korean.
//!
//! [`Text`] is one sentence in both languages; [`Lang`] chooses one; [`Catalog`] is a file of named
//! sentences (`texts/*.yaml`). Formatting of numbers and dates is the renderer's business.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_general_category::{GeneralCategory, get_general_category};

mod phrase;

pub use phrase::Phrases;

/// A language that reports and messages are written in.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Korean (한국어).
    Ko,
}

impl Lang {
    /// The language of a POSIX locale name such as `ko_KR.UTF-8`: Korean for `ko…`, else English.
    pub fn from_locale(locale: &str) -> Self {
        if locale.starts_with("ko") { Self::Ko } else { Self::En }
    }

    /// The BCP 47 code, as used in HTML's `lang`.
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ko => "ko",
        }
    }
}

/// One sentence in both languages. Cheap to clone.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// English.
    pub en: Arc<str>,
    /// Korean.
    pub ko: Arc<str>,
}

impl Text {
    /// Both languages.
    pub fn new(en: &str, ko: &str) -> Self {
        Self { en: en.into(), ko: ko.into() }
    }

    /// The sentence in one language.
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Ko => &self.ko,
        }
    }

    /// The same words in both languages with `{name}` replaced; unknown names stay as they are.
    pub fn fill(&self, values: &[(&str, &str)]) -> Self {
        Self { en: fill(&self.en, values).into(), ko: fill(&self.ko, values).into() }
    }
}

fn fill(template: &str, values: &[(&str, &str)]) -> String {
    // One pass, so that a value which itself contains `{…}` is never expanded again.
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        out.push_str(before);
        let named = after.find('}').and_then(|close| {
            let name = after.get(1..close)?;
            let (_, value) = values.iter().find(|(key, _)| *key == name)?;
            Some((close, *value))
        });
        match named {
            Some((close, value)) => {
                out.push_str(value);
                rest = after.get(close + 1..).unwrap_or_default();
            }
            None => {
                out.push('{');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// A file of named sentences: `key: {en: …, ko: …}`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Catalog(BTreeMap<String, Text>);

impl Catalog {
    /// Parses a YAML catalog.
    ///
    /// # Errors
    /// The YAML is broken, or a sentence lacks a language; the error names line and column.
    pub fn parse(yaml: &str) -> Result<Self, serde_norway::Error> {
        serde_norway::from_str(yaml)
    }

    /// The sentence `key` in `lang`. An unknown key is shown as itself, so that a missing text is
    /// seen and nothing fails because of it; a test of each catalog's owner proves there is none.
    pub fn get<'a>(&'a self, lang: Lang, key: &'a str) -> &'a str {
        self.0.get(key).map_or(key, |text| text.get(lang))
    }

    /// The sentence with `{name}` replaced.
    pub fn with<'a>(&'a self, lang: Lang, key: &'a str, values: &[(&str, &str)]) -> Cow<'a, str> {
        Cow::Owned(fill(self.get(lang, key), values))
    }

    /// Only the sentences whose keys begin with one of these.
    #[must_use]
    pub fn beginning(mut self, prefixes: &[&str]) -> Self {
        self.0.retain(|key, _| prefixes.iter().any(|prefix| key.starts_with(prefix)));
        self
    }

    /// With the sentences of another; of two with the same key the other's.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Combining marks in a row that are drawn: words that people write have fewer on a letter.
const MARKS_MAX: usize = 4;

/// Makes a string from another system safe to show: control characters, line separators, letters that cannot be seen or
/// steer direction, and combining marks from the fifth in a row on become visible escapes (`\u{1b}`), so that a
/// container's name cannot move a cursor, forge a line, reorder a report, look like another name or paint over others.
pub fn visible(raw: &str) -> Cow<'_, str> {
    if looked_at(raw).all(|(_, shown)| shown) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len() + 8);
    for (c, shown) in looked_at(raw) {
        if shown {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    Cow::Owned(out)
}

/// Each character, and whether it is shown as it is.
fn looked_at(raw: &str) -> impl Iterator<Item = (char, bool)> {
    let mut marks = 0;
    raw.chars().map(move |c| {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        (c, marks <= MARKS_MAX && !is_hidden(c))
    })
}

fn is_mark(c: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark, SpacingMark};
    matches!(get_general_category(c), EnclosingMark | NonspacingMark | SpacingMark)
}

/// Whether a character does something and shows nothing: controls, what Unicode lets fonts leave out
/// (`Default_Ignorable_Code_Point`), line separators, annotations, the blank of Braille and what is no character.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_filled_once_and_unknown_names_stay() {
        let text = Text::new("{name} has {count} of {other}", "{name}: {count}");
        let filled = text.fill(&[("name", "{count}"), ("count", "3")]);
        assert_eq!(&*filled.en, "{count} has 3 of {other}");
        assert_eq!(&*filled.ko, "{count}: 3");
    }

    #[test]
    fn control_and_bidi_characters_become_visible_and_korean_stays() {
        assert_eq!(visible("웹-서버"), "웹-서버");
        assert_eq!(visible("a\x1b[31mb\n"), "a\\u{1b}[31mb\\u{a}");
        assert_eq!(visible("\u{202e}gpj.exe"), "\\u{202e}gpj.exe");
    }

    #[test]
    fn letters_that_show_nothing_become_visible() {
        for c in [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{180e}',
            '\u{200b}',
            '\u{200f}',
            '\u{2028}',
            '\u{2060}',
            '\u{206a}',
            '\u{206f}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff0}',
            '\u{fff9}',
            '\u{ffff}',
            '\u{1bca0}',
            '\u{1d173}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{e0fff}',
        ] {
            let shown = format!("web{}", c.escape_unicode());
            assert_eq!(visible(&format!("web{c}")), shown, "{shown}");
        }
    }

    #[test]
    fn words_of_people_stay_and_heaps_of_marks_do_not() {
        // Composed and decomposed Korean, Vietnamese, Thai, Arabic, Hebrew with points, Hindi, Tibetan.
        for word in [
            "결제-1",
            "\u{1100}\u{1167}\u{11af}",
            "Vie\u{323}\u{302}t",
            "ที่นี่",
            "مُحَمَّد",
            "בְּרֵאשִׁ֖ית",
            "स्त्री",
            "བསྒྲུབས",
            "🔥",
            "\u{fffd}",
        ] {
            assert!(matches!(visible(word), Cow::Borrowed(same) if same == word), "{word}");
        }
        for mark in ['\u{300}', '\u{489}', '\u{e34}', '\u{20dd}', '\u{1d165}'] {
            let heap = mark.to_string().repeat(300);
            let four = mark.to_string().repeat(4);
            let escaped = mark.escape_unicode().to_string().repeat(296);
            let shown = visible(&format!("a{heap}b{four}")).into_owned();
            assert_eq!(shown, format!("a{four}{escaped}b{four}"));
        }
    }
}
