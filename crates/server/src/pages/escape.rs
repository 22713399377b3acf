//! How every value gets into a page: first made visible (control characters, direction overrides), then escaped.
//!
//! Templates have no other way to write a value, so a name that a container chose can neither be markup nor reorder a
//! line. Text of several lines is split by the template ([`super::words::Words::lines`]) before it comes here.

use std::fmt::{self, Write};

use askama::filters::{Escaper, Html};
use haechi_core::text::visible;

/// The escaper of all templates.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visible;

impl Escaper for Visible {
    fn write_escaped_str<W: Write>(&self, dest: W, string: &str) -> fmt::Result {
        Html.write_escaped_str(dest, &visible(string))
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;

    #[derive(Template)]
    #[template(source = "<b title=\"{{ name }}\">{{ name }}</b>", ext = "html")]
    struct Named<'a> {
        name: &'a str,
    }

    #[test]
    fn a_value_is_neither_markup_nor_invisible() {
        let name = "<script>alert('1')</script>\"\u{202e}gpj\n해치";
        let html = Named { name }.render().unwrap_or_default();
        assert!(!html.contains("<script"), "{html}");
        assert!(!html.contains('\u{202e}') && !html.contains('\n'), "{html}");
        assert!(html.contains("해치") && html.contains("\\u{202e}gpj\\u{a}"), "{html}");
        assert_eq!(html.matches('"').count(), 2, "{html}");
    }
}
