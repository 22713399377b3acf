//! The API's document in `docs/openapi.json` is that of the code. `HAECHI_BLESS=1` rewrites it.

use std::path::Path;

#[test]
fn the_committed_document_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let mut fresh = serde_json::to_string_pretty(&haechi_server::openapi::document()).unwrap();
    fresh.push('\n');
    if std::env::var_os("HAECHI_BLESS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "docs/openapi.json is stale: run with HAECHI_BLESS=1");
}
