//! Sentences that a program makes in English, for readers of another language.
//!
//! What is wrong with a rule or what a kernel lacks is said where it is found, in one language. Here such a sentence is
//! recognised by its template and said in the other. What no template fits stays English: that is no failure.

use super::{Catalog, Lang, Text};

/// Sentences within sentences that are looked at.
const DEPTH: usize = 6;

/// Templates of sentences: `no field {name}`.
#[derive(Debug, Clone, Default)]
pub struct Phrases(Vec<Text>);

impl Phrases {
    /// The sentences of a catalog; their keys mean nothing.
    pub fn new(catalog: Catalog) -> Self {
        let mut texts: Vec<Text> = catalog.0.into_values().collect();
        // What says more is tried first.
        texts.sort_by_key(|text| std::cmp::Reverse(words(&text.en)));
        Self(texts)
    }

    /// The sentence in a language. Of one that begins with something else (`FILE:LINE: …`) that stays as it is.
    pub fn say(&self, lang: Lang, english: &str) -> String {
        if lang == Lang::En {
            return english.to_owned();
        }
        self.within(lang, english, DEPTH).unwrap_or_else(|| english.to_owned())
    }

    fn within(&self, lang: Lang, english: &str, depth: usize) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        for text in &self.0 {
            let Some(found) = read(&text.en, english) else { continue };
            let said: Vec<(&str, String)> = found
                .into_iter()
                .map(|(name, value)| {
                    (name, self.within(lang, value, depth).unwrap_or_else(|| value.to_owned()))
                })
                .collect();
            let values: Vec<(&str, &str)> =
                said.iter().map(|(name, value)| (*name, value.as_str())).collect();
            return Some(super::fill(text.get(lang), &values));
        }
        // The first part may have such a mark as well, the last that fits is the sentence.
        let (before, after) = english.split_once(": ")?;
        Some(format!("{before}: {}", self.within(lang, after, depth)?))
    }
}

/// How much of a template is no hole.
fn words(template: &str) -> usize {
    let holes: usize = template.split('{').skip(1).filter_map(|part| part.find('}')).sum();
    template.len().saturating_sub(holes)
}

/// What stands in the holes of a template, if a sentence fits it.
fn read<'p, 't>(mut template: &'p str, mut text: &'t str) -> Option<Vec<(&'p str, &'t str)>> {
    let mut found = Vec::new();
    while let Some((literal, hole)) = template.split_once('{') {
        text = text.strip_prefix(literal)?;
        let (name, after) = hole.split_once('}')?;
        let next = after.split('{').next().unwrap_or_default();
        let end = if next.len() == after.len() {
            text.len().checked_sub(next.len()).filter(|_| text.ends_with(next))?
        } else {
            text.find(next)?
        };
        let (value, rest) = text.split_at_checked(end).filter(|(value, _)| !value.is_empty())?;
        // What a sentence begins with is not what is before the sentence.
        if found.is_empty() && literal.is_empty() && value.contains(": ") {
            return None;
        }
        found.push((name, value));
        (template, text) = (after, rest);
    }
    (template == text).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrases() -> Phrases {
        let yaml = "a: {en: 'no field `{name}`', ko: '필드 `{name}` 없음'}\n\
                    b: {en: 'no field `{name}` ({test})', ko: '필드 `{name}` 없음({test})'}\n\
                    c: {en: 'does not run: {what}', ko: '실행되지 않음: {what}'}\n\
                    d: {en: 'at least {least}, not {value}', ko: '{value} 대신 {least} 이상'}\n\
                    e: {en: '{some} of {all} seen', ko: '{all} 가운데 {some}'}\n";
        Phrases::new(Catalog::parse(yaml).unwrap())
    }

    #[test]
    fn sentences_are_recognised_also_within_others() {
        for (english, korean) in [
            ("no field `x`", "필드 `x` 없음"),
            ("no field `x` (x = y)", "필드 `x` 없음(x = y)"),
            (
                "a.yaml:3: rule \"r\": does not run: no field `x`",
                "a.yaml:3: rule \"r\": 실행되지 않음: 필드 `x` 없음",
            ),
            ("at least 1, not 0", "0 대신 1 이상"),
            ("왜: 1 of 2 seen", "왜: 2 가운데 1"),
            ("no field ``", "no field ``"),
            ("something: else", "something: else"),
            ("한: no field `é`", "한: 필드 `é` 없음"),
            ("", ""),
        ] {
            assert_eq!(phrases().say(Lang::Ko, english), korean);
            assert_eq!(phrases().say(Lang::En, english), english);
        }
        let deep = "does not run: ".repeat(10_000);
        assert!(phrases().say(Lang::Ko, &deep).len() >= deep.len());
    }
}
