//! `haechi schema`, `completion`, `man`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::{Cli, SchemaOf};
use crate::{exit, output};

pub fn schema(what: SchemaOf) -> anyhow::Result<u8> {
    let schema: serde_json::Value = match what {
        SchemaOf::Report => haechi_report::report_schema(),
        SchemaOf::Snapshot => haechi_report::snapshot_schema(),
        SchemaOf::Image => haechi_report::image_schema(),
        SchemaOf::Profile => haechi_report::profile_schema(),
        SchemaOf::Alert => haechi_report::alert_schema(),
        SchemaOf::Action => haechi_report::action_schema(),
        SchemaOf::Activity => haechi_report::activity_schema(),
        SchemaOf::Event => haechi_report::event_schema(),
        SchemaOf::Openapi => haechi_server::openapi::document(),
    };
    output::stdout(|out| {
        serde_json::to_writer_pretty(&mut *out, &schema)?;
        Ok(writeln!(out)?)
    })?;
    Ok(exit::CLEAN)
}

pub fn completion(shell: Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "haechi", &mut script);
    output::stdout(|out| Ok(out.write_all(&script)?))?;
    Ok(exit::CLEAN)
}

pub fn man() -> anyhow::Result<u8> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    output::stdout(|out| Ok(out.write_all(&page)?))?;
    Ok(exit::CLEAN)
}
