//! The built `haechi`, run in a place and an environment of its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use haechi_core::Report;
use serde_json::Value;
use tempfile::TempDir;

/// No command of Haechi takes longer than this, whatever the engine does.
const PATIENCE: Duration = Duration::from_secs(120);

/// The clone.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The program under test: beside the tests, or where `HAECHI_BIN` says.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HAECHI_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("haechi");
    assert!(path.is_file(), "{} is missing: run `cargo xtask test`", path.display());
    path
}

/// A call of Haechi.
pub struct Haechi {
    command: Command,
    dir: TempDir,
    _copy: Option<TempDir>,
}

/// How it ended and what it said.
#[derive(Debug)]
pub struct Done {
    /// Exit code; -1 if it was killed.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Haechi {
    /// `haechi ARGUMENTS`, with no policy and an empty data folder.
    pub fn new(arguments: &[&str]) -> Self {
        Self::of(Command::new(binary()), arguments, None)
    }

    /// The same as a user who is nobody and in no group.
    pub fn as_nobody(arguments: &[&str]) -> Self {
        // Nobody can enter neither the clone nor the build folder: they may belong to root alone.
        let copy = tempfile::tempdir().unwrap();
        let program = copy.path().join("haechi");
        fs::copy(binary(), &program).unwrap();
        open(copy.path());
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
        let haechi = Self::of(command, arguments, Some(copy));
        for path in [haechi.dir().to_owned(), haechi.dir().join("data")] {
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("this test needs root");
        }
        haechi
    }

    fn of(mut command: Command, arguments: &[&str], copy: Option<TempDir>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let policy = dir.path().join("policy.toml");
        fs::write(&policy, "").unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", dir.path())
            .env("LANG", "C.UTF-8")
            .env("HAECHI_DATA_DIR", dir.path().join("data"))
            .env("HAECHI_POLICY", policy)
            .current_dir(dir.path());
        Self { command, dir, _copy: copy }
    }

    /// Its own folder, where it runs.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Keeps its verifications in this folder.
    pub fn data(self, folder: &Path) -> Self {
        self.env("HAECHI_DATA_DIR", folder)
    }

    /// Uses this policy.
    pub fn policy(self, text: &str) -> Self {
        fs::write(self.dir().join("policy.toml"), text).unwrap();
        self
    }

    /// Uses the lab's policy.
    pub fn lab_policy(self) -> Self {
        let policy = repository().join("lab/policy.toml");
        self.env("HAECHI_POLICY", policy)
    }

    /// Starts it and comes back at once; what it says is lost.
    pub fn start(&mut self) -> Child {
        let quiet = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.spawn().unwrap()
    }

    /// Runs it to its end. Files instead of pipes: what it says is never too much.
    pub fn run(&mut self) -> Done {
        let out = self.dir.path().join("stdout");
        let err = self.dir.path().join("stderr");
        self.command
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap());
        let begin = Instant::now();
        let mut child = self.command.spawn().expect("haechi can be started");
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begin.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                let said = fs::read_to_string(err).unwrap_or_default();
                panic!("{:?} did not end within {PATIENCE:?}: {said}", self.command);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Done {
            code: status.code().unwrap_or(-1),
            stdout: read(out),
            stderr: read(err),
            took: begin.elapsed(),
        }
    }

    /// Runs it and reads its JSON report.
    pub fn report(&mut self) -> Report<String> {
        self.run().report()
    }
}

impl Done {
    /// The report on standard output.
    pub fn report(&self) -> Report<String> {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no report ({error}): {self:?}"))
    }

    /// The JSON on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Demands an exit code.
    pub fn must_end_with(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            code,
            "stdout: {}\nstderr: {}",
            head(&self.stdout),
            head(&self.stderr)
        );
        self
    }
}

fn head(text: &str) -> String {
    text.chars().take(2000).collect()
}

/// Lets everybody read.
fn open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
