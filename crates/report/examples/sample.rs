//! Writes a sample report in every format and language to a directory, to look at: `cargo run -p haechi-report
//! --example sample -- DIR [CONTAINERS]`. It verifies nothing.

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use haechi_core::Lang;
use haechi_report::{Format, Options, render};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let directory = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let containers = arguments.next().and_then(|n| n.to_str()?.parse().ok()).unwrap_or(40);
    std::fs::create_dir_all(&directory)?;
    for (name, report) in [("large", common::large(containers)), ("small", common::small())] {
        for lang in [Lang::En, Lang::Ko] {
            for format in Format::ALL {
                let path = directory.join(format!("{name}-{}.{format}", lang.code()));
                let mut out = BufWriter::new(File::create(path)?);
                let options = Options { color: true, ..Options::default() };
                render(&report, format, lang, &options, &mut out)?;
            }
        }
    }
    Ok(())
}
