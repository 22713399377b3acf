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
    // Before anything else: the workers have no threads, files or settings but those that they need.
    if let Some(name) = std::env::args_os().nth(1) {
        if name == haechi_image::worker::COMMAND {
            return worker(haechi_image::worker::main());
        }
        if name == haechi_server::order::COMMAND {
            return worker(commands::serve_web::serve_web());
        }
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

/// How a process that reads images (`haechi-image`) or hears requests (`haechi-server`) ended.
fn worker(ended: Result<(), impl std::fmt::Display>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}
