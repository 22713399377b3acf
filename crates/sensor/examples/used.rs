//! Shows what containers use, for so many seconds: `used SECONDS`. For developers; needs root.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::time::{Duration, Instant};

use haechi_core::capability;
use haechi_sensor::{Options, Sensor};

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: u64 = std::env::args().nth(1).as_deref().unwrap_or("10").parse()?;
    let (mut sensor, abilities) =
        Sensor::load(&Options { profile_bytes: 4 << 20, ..Options::default() })?;
    for one in abilities {
        println!("{}: {}", one.name, one.missing.as_deref().unwrap_or("there"));
    }
    let mut profiler = sensor.profiler().ok_or("no profiler")?;
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        sensor.next_batch(Duration::from_millis(1), &mut |_| {})?;
        profiler.next(Duration::from_millis(50), &mut |first| println!("{first:?}"))?;
    }
    for used in profiler.used()? {
        let (held, refused) = (
            capability::from_bits(used.capabilities),
            capability::from_bits(used.refused_capabilities),
        );
        println!(
            "{} {:?} since {:?} gone {:?} lost {} full {}",
            used.group, used.id, used.since, used.gone, used.lost, used.full
        );
        println!("  {} calls: {:?}", used.calls.len(), used.calls);
        println!("  refused calls: {:?}", used.refused_calls);
        println!("  capabilities: {held:?}; refused: {refused:?}");
    }
    Ok(())
}
