//! The real engine, asked with the `docker` command.

use std::process::Command;

/// Where the engine of this machine listens.
pub const SOCKET: &str = "/var/run/docker.sock";

/// Runs `docker`, demands that it works, and gives what it prints.
pub fn docker(arguments: &[&str]) -> String {
    let done = Command::new("docker")
        .args(arguments)
        .env("DOCKER_HOST", format!("unix://{SOCKET}"))
        .output()
        .expect("these tests need Docker: run `cargo xtask test`");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "docker {}: {said}\nThese tests need root and a running engine: run `cargo xtask test` as root",
        arguments.join(" ")
    );
    String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
}
