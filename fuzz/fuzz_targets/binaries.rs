//! Readers of programs (Go, Rust, others) and Java archives. The first byte picks raw bytes under some name, or bytes
//! as a section of a whole ELF or a member of a whole archive.
#![no_main]

use haechi_fuzz::{choice, make, readers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, content)) = choice(data) else { return };
    let all = haechi_image::packages::readers();
    let places = readers::BINARIES;
    let program = readers::other("usr/local/bin/app");
    let jar = readers::other("app/a-1.0.jar");
    let made = first % (places.len() + 7);
    if let Some(place) = places.get(made) {
        return readers::check(&all, *place, content);
    }
    let (place, bytes) = match made - places.len() {
        0 => (program, make::elf(&[(".text", b"x"), (".dep-v0", &make::zlib(content))])),
        1 => (program, make::elf(&[(".go.buildinfo", content), (".rodata", content)])),
        2 => {
            let mut info = b"\xff Go buildinf:\x08\x02".to_vec();
            info.extend([0; 16]);
            info.extend(content);
            (program, make::elf(&[(".go.buildinfo", &info)]))
        }
        3 => (readers::other("usr/sbin/nginx"), make::elf(&[(".rodata", content)])),
        4 => (jar, make::archive(&[("META-INF/MANIFEST.MF", content)])),
        5 => (
            jar,
            make::archive(&[("META-INF/maven/g/a/pom.properties", content), ("x.jar", content)]),
        ),
        _ => (jar, make::archive(&[("META-INF/maven/g/a/pom.xml", content)])),
    };
    readers::check(&all, place, &bytes);
});
