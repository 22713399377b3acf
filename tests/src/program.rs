//! The built `haechi`, run in a place and an environment of its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use haechi_core::Report;
use serde_json::Value;
use tempfile::TempDir;

use crate::layers;
use crate::wait::PATIENCE;

/// The clone.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder that cargo builds into: what costs time to make is kept there.
pub fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
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
    input: Option<Stdio>,
    /// Whether what was read of images before is found.
    shares: bool,
    _copy: Option<TempDir>,
}

/// One that runs.
pub struct Running {
    child: Child,
    begin: Instant,
    out: PathBuf,
    err: PathBuf,
    line: String,
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
    /// `haechi ARGUMENTS`, with no policy and an empty data folder. What was read of the engine's images before is
    /// found, but by `haechi image`: that is for reading.
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
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        // Nobody could not read what root keeps.
        let shares = copy.is_none() && arguments.first() != Some(&"image");
        if shares {
            layers::share(&data);
        }
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", dir.path())
            .env("LANG", "C.UTF-8")
            .env("HAECHI_DATA_DIR", data)
            .env("HAECHI_POLICY", policy)
            .current_dir(dir.path());
        Self { command, dir, input: None, shares, _copy: copy }
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
        if self.shares {
            layers::share(folder);
        }
        self.env("HAECHI_DATA_DIR", folder)
    }

    /// Uses this policy.
    pub fn policy(self, text: &str) -> Self {
        fs::write(self.dir().join("policy.toml"), text).unwrap();
        self
    }

    /// Uses the lab's policy, and the lab's feed as vulnerability database.
    pub fn lab_policy(self) -> Self {
        let policy = repository().join("lab/policy.toml");
        let database = lab_database().join("vulns");
        let mine = self.dir().join("data/vulns");
        fs::create_dir_all(&mine).unwrap();
        for file in fs::read_dir(database).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), mine.join(file.file_name())).unwrap();
        }
        self.env("HAECHI_POLICY", policy)
    }

    /// Starts it and comes back at once; what it says is lost.
    pub fn start(&mut self) -> Child {
        let quiet = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.spawn().unwrap()
    }

    /// Gives it something to read on stdin.
    pub fn input(mut self, from: impl Into<Stdio>) -> Self {
        self.input = Some(from.into());
        self
    }

    /// Runs it to its end.
    pub fn run(&mut self) -> Done {
        self.begin().end()
    }

    /// Starts it. Files instead of pipes: what it says is never too much.
    pub fn begin(&mut self) -> Running {
        let out = self.dir.path().join("stdout");
        let err = self.dir.path().join("stderr");
        self.command
            .stdin(self.input.take().unwrap_or_else(Stdio::null))
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap());
        let child = self.command.spawn().expect("haechi can be started");
        // What it reads belongs to it alone now: whoever writes to it learns when it ends.
        self.command.stdin(Stdio::null());
        let line = format!("{:?}", self.command);
        Running { child, begin: Instant::now(), out, err, line }
    }

    /// Runs it and reads its JSON report.
    pub fn report(&mut self) -> Report<String> {
        self.run().report()
    }
}

impl Running {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ends it with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end, and looks at it meanwhile.
    pub fn watched(mut self, mut look: impl FnMut(u32)) -> Done {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.begin.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                let said = fs::read_to_string(self.err).unwrap_or_default();
                panic!("{} did not end within {PATIENCE:?}: {said}", self.line);
            }
            look(self.child.id());
            std::thread::sleep(Duration::from_millis(5));
        };
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Done {
            code: status.code().unwrap_or(-1),
            stdout: read(self.out),
            stderr: read(self.err),
            took: self.begin.elapsed(),
        }
    }

    /// Waits for its end.
    pub fn end(self) -> Done {
        self.watched(|_| ())
    }
}

/// The processes that a process started, any thread of it.
pub fn children(id: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
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

/// A data folder with the vulnerability database made of the lab's feed, once for all tests of a program.
fn lab_database() -> &'static Path {
    static DATABASE: LazyLock<TempDir> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        let feeds = repository().join("lab/feeds");
        let mut update = Haechi::new(&["db", "update", "--from"]);
        update.command.arg(feeds).env("HAECHI_DATA_DIR", dir.path());
        update.run().must_end_with(0);
        dir
    });
    DATABASE.path()
}
