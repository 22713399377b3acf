//! Readers of distributions' databases and settings. The first byte picks the file; beyond those, rpm headers inside
//! an NDB whose own structure is whole.
#![no_main]

use haechi_fuzz::{choice, make, readers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, content)) = choice(data) else { return };
    let all = haechi_image::packages::readers();
    let places = readers::DISTRO;
    match places.get(first % (places.len() + 1)) {
        Some(place) => readers::check(&all, *place, content),
        None => {
            // Two headers, so that one broken package does not hide the other.
            let whole = make::rpm_header(&[(1000, "whole"), (1001, "1"), (1002, "1")]);
            let database = make::ndb(&[content, &whole]);
            let place = readers::other("usr/lib/sysimage/rpm/Packages.db");
            readers::check(&all, place, &database);
        }
    }
});
