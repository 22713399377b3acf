//! `haechi`: parse the command line, call, print, exit.
//!
//! No logic lives here: collecting is `haechi-facts`', deciding `haechi-checks`', keeping `haechi-store`',
//! rendering `haechi-report`'. Data goes to stdout, everything else to stderr.

mod args;
mod commands;
mod exit;
mod failure;
mod output;
mod setting;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Before anything else: the worker has no threads, files or settings but those that it needs.
    if std::env::args_os().nth(1).is_some_and(|name| name == haechi_image::worker::COMMAND) {
        return worker();
    }
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are data (stdout, 0); a mistake in the arguments is one of ours (stderr, 2).
            let code = if error.use_stderr() { exit::COULD_NOT_VERIFY } else { exit::CLEAN };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let setting = setting::Setting::of(&cli.global);
    setting.start_log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return setting.complain(&error.into()),
    };
    match runtime.block_on(commands::run(&cli.command, &setting)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => setting.complain(&error),
    }
}

/// The process that reads images; see `haechi-image`.
fn worker() -> ExitCode {
    match haechi_image::worker::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
