//! The real engine, asked with the `docker` command, and what a test makes in it.

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

/// Containers and images of the engine, by name or id, that are gone when the test ends.
pub struct Gone(Vec<String>);

impl Gone {
    /// These; what a run that was killed left of them goes at once.
    pub fn of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let gone = Self(names.into_iter().map(Into::into).collect());
        gone.remove();
        gone
    }

    fn remove(&self) {
        for kind in ["rm", "rmi"] {
            // What is not there cannot be removed, and need not be.
            let _ = Command::new("docker").args([kind, "--force"]).args(&self.0).output();
        }
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.remove();
    }
}
