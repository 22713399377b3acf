//! `cargo xtask`: one command for developers. `verify` and `test` prepare the machine by themselves.

mod bench;
mod engine;
mod lab;
mod measure;
mod needs;
mod run;
mod test;
mod tidy;
mod verify;
mod vm;

use std::process::ExitCode;

use run::say;

const USAGE: &str = "\
usage: cargo xtask <command>

  verify [--serve] [-- OPTIONS]
                          prepare this machine, build Haechi, verify this host, write haechi-report.html;
                          with --serve the dashboard runs afterwards, and its address is told
  test                    prepare this machine, then every test, on real containers
  lab up|down|status|docs containers, images, networks and volumes that break and keep the rules
  bench [containers|images|database|monitor|serve] [--syft PROGRAM]
                          time, processor and memory: of a verification of 1, 30 and 100 containers, of scans of
                          images (beside syft), of a database of full size, of being watched, of the dashboard; without
                          a word, all of them
  vm                      the kernel side in a virtual machine with Debian's own kernel: BPF LSM, AppArmor, control
                          groups of version 2 alone
  tidy                    what no compiler looks at: documents, texts, files

Exit codes: 0 it did what it says (verify: the verification ran, whatever it found),
            1 a test, vm, tidy or a goal of bench failed, 2 it could not be done";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["verify", rest @ ..] => verify::run(rest),
        ["test"] => test::run(),
        ["lab", "up"] => lab::up(),
        ["lab", "down"] => lab::down(),
        ["lab", "status"] => lab::status(),
        ["lab", "docs"] => lab::write_docs(),
        ["bench", rest @ ..] => bench::run(rest),
        ["vm"] => vm::run(),
        ["tidy"] => tidy::run(),
        ["measure", program, rest @ ..] => measure::run(program, rest),
        ["measure-tree", program, rest @ ..] => measure::run_tree(program, rest),
        ["help" | "--help" | "-h"] => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        _ => {
            say(USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format!("xtask: {error:#}"));
            ExitCode::from(if error.is::<run::Failed>() { 1 } else { 2 })
        }
    }
}
