//! Sentences of this crate, from `texts/checks.yaml`.

use std::sync::LazyLock;

use haechi_core::text::{Catalog, Lang};
use haechi_core::{Cause, Text};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    Catalog::parse(include_str!("../../../texts/checks.yaml")).unwrap_or_default()
});

/// The sentence `key` in both languages, filled.
pub(crate) fn text(key: &str, values: &[(&str, &str)]) -> Text {
    let template = Text::new(CATALOG.get(Lang::En, key), CATALOG.get(Lang::Ko, key));
    template.fill(values)
}

/// Why something is unverified, with the collector's own words.
pub(crate) fn cause(cause: Cause, detail: &Text) -> Text {
    let key = format!("cause-{}", cause.name());
    Text {
        en: text(&key, &[("detail", &detail.en)]).en,
        ko: text(&key, &[("detail", &detail.ko)]).ko,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_sentence() {
        for each in Cause::ALL {
            let text = cause(each, &Text::new("why", "왜"));
            assert!(!text.en.starts_with("cause-") && !text.ko.starts_with("cause-"), "{each}");
        }
        for key in ["no-subject", "incomplete", "nothing", "not-examined"] {
            assert_ne!(&*text(key, &[]).ko, key);
        }
    }
}
