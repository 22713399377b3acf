//! Prints what containers do as lines of JSON, until it is ended. Needs root.
//!
//! `watch [NAME…]`: names of files whose reading is told as well. `watch --selftest`: tries each hook.
//! `watch --count`: only counts, once a second.
#![expect(clippy::print_stdout, reason = "its purpose")]

use std::time::Duration;

use haechi_sensor::{Options, Record, Sensor};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("--selftest") {
        for tried in haechi_sensor::selftest()? {
            println!("{}", json!({"tried": tried.what, "seen": tried.seen}));
        }
        return Ok(());
    }
    if std::env::args().nth(1).as_deref() == Some("--count") {
        return count();
    }
    let names: Vec<String> = std::env::args().skip(1).collect();
    let options = Options { watch_names: names, ..Options::default() };
    let (mut sensor, abilities) = Sensor::load(&options)?;
    for ability in abilities {
        println!(
            "{}",
            json!({"ability": ability.name, "gives": ability.gives, "missing": ability.missing})
        );
    }
    let mut quiet = 0;
    loop {
        let given = sensor.next_batch(Duration::from_millis(500), &mut |record| match record {
            Record::Event(seen) => println!(
                "{}",
                json!({"event": seen.event, "cut": seen.cut, "compat": seen.compat})
            ),
            Record::New { cgroup, container, path, outer } => println!(
                "{}",
                json!({"new": cgroup, "container": container, "path": path, "outer": outer})
            ),
            Record::Gone { cgroup, container, losses } => println!(
                "{}",
                json!({"gone": cgroup, "container": container, "sent": losses.sent, "lost": losses.lost})
            ),
        })?;
        quiet = if given == 0 { quiet + 1 } else { 0 };
        if quiet == 1 {
            let missed = sensor.missed()?;
            let unread = (missed.life, missed.groups, missed.unread);
            let losses: Vec<_> = sensor
                .losses()?
                .into_iter()
                .map(|(group, losses)| (group, losses.sent, losses.lost))
                .collect();
            println!("{}", json!({"losses": losses, "missed": unread}));
        }
    }
}

/// How many records came in each second, and what was lost.
fn count() -> Result<(), Box<dyn std::error::Error>> {
    let (mut sensor, _) = Sensor::load(&Options::default())?;
    loop {
        let start = std::time::Instant::now();
        let mut records = 0;
        let mut lost = 0;
        while start.elapsed() < Duration::from_secs(1) {
            sensor.next_batch(Duration::from_millis(100), &mut |record| {
                records += 1;
                if let Record::Gone { losses, .. } = record {
                    lost += losses.lost;
                }
            })?;
        }
        let present: u64 = sensor.losses()?.values().map(|losses| losses.lost).sum();
        println!("{}", json!({"records": records, "lost": present, "lost_by_gone": lost}));
    }
}
