//! Writes verifications into a data directory until it is killed: the victim of the kill test.
//!
//! `writer DIR COUNT FINDINGS` prints the number of each verification once it was acknowledged;
//! `writer DIR check` looks for damage and prints how many there are. It is no tool for people.

#[path = "../tests/common/sample.rs"]
mod sample;

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use haechi_store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("which directory?")?;
    let count = arguments.next().ok_or("how many verifications?")?;
    let store = Store::open(Path::new(&dir)).await?;
    let mut out = std::io::stdout().lock();
    if count == "check" {
        store.check().await?;
        writeln!(out, "{}", store.history(None, u32::MAX).await?.len())?;
        return Ok(());
    }
    let findings = arguments.next().ok_or("how many findings?")?.parse()?;
    let host = format!("host-{}", std::process::id());
    for _ in 0..count.parse::<u64>()? {
        let report = sample::report(&host, "2026-07-28T09:30:00Z", findings);
        writeln!(out, "{}", store.record(&report, true).await?)?;
        out.flush()?;
    }
    Ok(())
}
