//! The page: nothing from outside runs or is fetched, every finding is there, and it stays small.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at once")]

mod common;

use common::{large, small};
use haechi_core::{Lang, Report};
use haechi_report::{Format, Options, render};

fn page(report: &Report, lang: Lang) -> String {
    let mut out = Vec::new();
    render(report, Format::Html, lang, &Options::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The page without its one style and one script, which are ours.
fn markup(page: &str) -> String {
    let mut markup = page.to_owned();
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        assert_eq!(markup.matches(open).count(), 1, "{open}");
        let (before, rest) = markup.split_once(open).unwrap();
        let (_, after) = rest.split_once(close).unwrap();
        markup = format!("{before}{after}");
    }
    markup
}

#[test]
fn names_are_escaped() {
    for lang in [Lang::En, Lang::Ko] {
        let markup = markup(&page(&small(), lang));
        assert!(!markup.contains("<script"));
        assert!(!markup.contains("<b>bold"));
        assert!(markup.contains("&#60;script&#62;alert(1)"));
        // Whatever a name says, it stays inside its quotes: no tag has an event handler.
        for tag in
            markup.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag)
        {
            let outside: String = tag.split('"').step_by(2).collect();
            assert!(!outside.contains(" on"), "{tag}");
        }
    }
}

#[test]
fn the_page_asks_for_nothing() {
    let page = page(&large(5), Lang::En);
    let markup = markup(&page);
    for attribute in
        ["src=\"", "action=\"", "srcset=\"", "style=\"", "<link", "<img", "<iframe", "<base"]
    {
        assert!(!markup.contains(attribute), "{attribute}");
    }
    for target in markup.split("href=\"").skip(1) {
        assert!(target.starts_with('#'), "{}", &target[..20]);
    }
    assert!(!page.contains("@import") && !page.contains("url(http") && !page.contains("fetch("));
}

#[test]
fn the_policy_names_the_very_style_and_script() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let page = page(&small(), Lang::En);
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let (_, rest) = page.split_once(open).unwrap();
        let (text, _) = rest.split_once(close).unwrap();
        let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text));
        assert!(
            page.contains(&format!("sha256-{}", hash.replace('+', "&#43;")))
                || page.contains(&format!("sha256-{hash}"))
        );
    }
    assert!(page.contains("default-src &#39;none&#39;"));
}

#[test]
fn every_item_is_there_and_every_link_leads_somewhere() {
    let report = large(40);
    let page = page(&report, Lang::Ko);
    assert!(page.contains("<html lang=\"ko\">"));
    for n in 1..=report.items.len() {
        assert_eq!(page.matches(&format!("id=\"item-{n}\"")).count(), 1);
    }
    for target in markup(&page).split("href=\"#").skip(1).filter_map(|rest| rest.split_once('"')) {
        assert!(page.contains(&format!("id=\"{}\"", target.0)), "{}", target.0);
    }
}

#[test]
fn a_hundred_containers_fit_in_a_megabyte() {
    let report = large(100);
    assert!(report.summary.findings.total() > 3000);
    let size = page(&report, Lang::Ko).len();
    assert!(size < 1 << 20, "{size} bytes");
}

#[test]
fn profiles_are_drawn_and_told_in_words() {
    let mut report = small();
    let en = page(&report, Lang::En);
    assert!(en.contains("<a href=\"#profiles\">") && en.contains("<section class=\"profiles\""));
    let says = "241 things known after 6 d 2 h. Something new came last after 2 d 23 h.";
    assert!(en.contains(&format!("role=\"img\" aria-label=\"{says}\"")), "the drawing in words");
    for words in [
        "61 used · 94 needed · 329 allowed today",
        "held and never used: CHOWN KILL",
        "present only 118",
        // What is not known is never a zero.
        "40 used · 72 needed · not known allowed today",
        "not known used · not known held today",
        "The image was not taken apart.",
        "<b>system calls, files, network</b>: Nothing new for 2 min",
        "it still learns",
    ] {
        assert!(en.contains(words), "{words}");
    }
    let ko = page(&report, Lang::Ko);
    assert!(ko.contains("안정되지 않음") && ko.contains("실행됨 6") && !ko.contains("profile."));
    report.profiles.clear();
    let none = page(&report, Lang::En);
    assert!(none.contains("<code>haechi monitor --profile</code>"), "how to make one");
    assert!(!none.contains("class=\"learned\"") && !none.contains("href=\"#profiles\""));
}
