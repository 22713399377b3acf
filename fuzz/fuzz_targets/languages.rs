//! Readers of installed Python, Node.js, Ruby, PHP and .NET packages and of lock files. The first byte picks the file.
#![no_main]

use haechi_fuzz::{choice, make, readers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, content)) = choice(data) else { return };
    let all = readers::all();
    let places = readers::LANGUAGES;
    match places.get(first % (places.len() + 2)) {
        Some(place) => readers::check(&all, *place, content),
        None if first % (places.len() + 2) == places.len() => {
            let egg = make::archive(&[("EGG-INFO/PKG-INFO", content)]);
            readers::check(&all, readers::other("usr/lib/python3/a.egg"), &egg);
        }
        None => {
            let cache = make::archive(&[("node_modules/a/package.json", content)]);
            readers::check(&all, readers::other("app/.yarn/cache/a.zip"), &cache);
        }
    }
});
