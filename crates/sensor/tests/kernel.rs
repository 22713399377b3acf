//! On this machine's kernel: every hook loads and tells what it should. Needs root and a kernel with BPF; without them
//! it fails, as on machines of this project both are there.

use std::time::{Duration, Instant};

use haechi_sensor::{Options, Record, Sensor, selftest};

/// What has not come by then never comes.
const PATIENCE: Duration = Duration::from_secs(600);

#[test]
fn every_hook_tells_what_it_should() {
    let unseen: Vec<_> = selftest()
        .unwrap()
        .into_iter()
        .filter(|tried| !tried.seen)
        .map(|tried| tried.what)
        .collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

#[test]
fn this_kernel_lacks_nothing_and_a_container_that_was_there_is_known() {
    let id = format!("5e1e{:060x}", std::process::id());
    let hybrid = std::path::Path::new("/sys/fs/cgroup/unified");
    let root = if hybrid.exists() { hybrid } else { std::path::Path::new("/sys/fs/cgroup") };
    let group = root.join(&id);
    std::fs::create_dir(&group).unwrap();
    let mut found = None;
    let (mut sensor, abilities) = Sensor::load(&Options::default()).unwrap();
    let end = Instant::now() + PATIENCE;
    while found.is_none() && Instant::now() < end {
        sensor
            .next_batch(Duration::from_millis(100), &mut |record| {
                if let Record::New { container, path, outer, .. } = record
                    && container == id
                {
                    found = Some((path, outer));
                }
            })
            .unwrap();
    }
    std::fs::remove_dir(&group).unwrap();
    assert_eq!(found, Some((format!("/{id}"), None)));
    // Probes are an option of the kernel; without them paths are looked up after a call.
    let probes = std::path::Path::new("/sys/bus/event_source/devices/kprobe").exists();
    let missing: Vec<_> = abilities
        .into_iter()
        .filter(|one| one.missing.is_some() && (probes || !one.name.starts_with("security_")))
        .collect();
    assert_eq!(missing, []);
}
