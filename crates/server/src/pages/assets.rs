//! Style, script and icon: served from memory under names that hold their hash, so that browsers keep them for good.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

const CSS: &str = concat!(
    include_str!("../../../report/templates/tokens.css"),
    include_str!("../../../report/templates/profiles.css"),
    include_str!("../../assets/base.css"),
    include_str!("../../assets/pages.css"),
    include_str!("../../assets/print.css"),
);
const JS: &str = include_str!("../../assets/web.js");
const ICON: &str = include_str!("../../assets/icon.svg");

/// A file that pages name.
struct Asset {
    path: String,
    kind: &'static str,
    body: &'static str,
}

impl Asset {
    fn new(name: &str, ending: &str, kind: &'static str, body: &'static str) -> Self {
        let mut hash = String::new();
        for byte in Sha256::digest(body).iter().take(8) {
            let _ = write!(hash, "{byte:02x}");
        }
        Self { path: format!("/assets/{name}.{hash}.{ending}"), kind, body }
    }
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new("web", "css", "text/css; charset=utf-8", CSS),
        Asset::new("web", "js", "text/javascript; charset=utf-8", JS),
        Asset::new("icon", "svg", "image/svg+xml", ICON),
    ]
});

/// Where the style is.
pub(super) fn css() -> &'static str {
    let [css, _, _] = &*ASSETS;
    &css.path
}

/// Where the script is.
pub(super) fn js() -> &'static str {
    let [_, js, _] = &*ASSETS;
    &js.path
}

/// Where the icon is.
pub(super) fn icon() -> &'static str {
    let [_, _, icon] = &*ASSETS;
    &icon.path
}

pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let found = ASSETS.iter().find(|asset| asset.path.strip_prefix("/assets/") == Some(&name));
    let Some(asset) = found else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_from_elsewhere() {
        for asset in &*ASSETS {
            let foreign = asset.body.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !foreign.contains("http://") && !foreign.contains("https://"),
                "{}",
                asset.path
            );
        }
    }
}
