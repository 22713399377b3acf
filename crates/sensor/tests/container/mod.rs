//! Real containers for tests of the kernel edge: of one small image, removed when dropped. Needs Docker and busybox
//! (static).

#![allow(dead_code, reason = "each test uses its own part")]

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What has not happened by then never happens; no test says how fast something is.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A running container.
pub struct Container {
    name: String,
    id: String,
}

impl Container {
    /// Starts one that runs a shell script.
    pub fn start(script: &str) -> Self {
        Self::start_with(&[], script)
    }

    /// The same, with options of the engine.
    pub fn start_with(options: &[&str], script: &str) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("haechi-sensor-{}-{number}", process::id());
        let mut running = running();
        if *running == 0 {
            make_image();
        }
        let run = ["run", "--detach", "--name", &name];
        let id = docker(&[&run, options, &[&image(), "/bin/sh", "-c", script]].concat());
        *running += 1;
        Self { name, id }
    }

    /// Runs a command in it; its exit status.
    pub fn status(&self, words: &[&str]) -> i32 {
        let done = run(&[&["exec", &self.name], words].concat());
        done.status.code().unwrap()
    }

    /// The folder of its control group of version 2.
    pub fn group_folder(&self) -> PathBuf {
        let process = self.inspect("{{.State.Pid}}");
        let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
        let path = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
        let hybrid = Path::new("/sys/fs/cgroup/unified");
        let root = if hybrid.exists() { hybrid } else { Path::new("/sys/fs/cgroup") };
        let folder = root.join(path);
        assert!(folder.to_str().unwrap().contains(&self.id), "{}", folder.display());
        folder
    }

    /// The id of that group.
    pub fn group(&self) -> u64 {
        self.group_folder().metadata().unwrap().ino()
    }

    /// Where its file system is on the host.
    pub fn merged(&self) -> PathBuf {
        self.inspect("{{.GraphDriver.Data.MergedDir}}").into()
    }

    /// The same, through its first process.
    pub fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.inspect("{{.State.Pid}}")).into()
    }

    /// Its address on the bridge.
    pub fn address(&self) -> Ipv4Addr {
        self.inspect("{{.NetworkSettings.IPAddress}}").parse().unwrap()
    }

    fn inspect(&self, what: &str) -> String {
        docker(&["inspect", "--format", what, &self.name])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        run(&["rm", "--force", "--volumes", &self.name]);
        let mut running = running();
        *running -= 1;
        if *running == 0 {
            run(&["rmi", &image()]);
        }
    }
}

/// How many containers there are: the image is there as long as there is one.
static RUNNING: Mutex<u32> = Mutex::new(0);

fn running() -> MutexGuard<'static, u32> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn image() -> String {
    format!("haechi-sensor-test:{}", process::id())
}

/// Makes the image: busybox, and two programs that are copies of it and so say only that they ran (status 127).
fn make_image() {
    let root = std::env::temp_dir().join(format!("haechi-sensor-image-{}", process::id()));
    let mut places = ["/bin/busybox", "/usr/bin/busybox"].into_iter();
    let busybox = places.find(|path| Path::new(path).exists()).unwrap();
    for folder in ["bin", "usr/sbin", "tmp", "etc"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for copy in ["bin/busybox", "usr/sbin/haechi-unwanted", "usr/sbin/haechi-other"] {
        fs::copy(busybox, root.join(copy)).unwrap();
    }
    for link in ["sh", "sleep", "nc", "cat"] {
        symlink("busybox", root.join("bin").join(link)).unwrap();
    }
    let mut archive = Command::new("tar");
    archive.arg("-C").arg(&root).args(["-c", "."]).stdout(Stdio::piped());
    let mut archive = archive.spawn().unwrap();
    let import = Command::new("timeout")
        .args([&seconds(), "docker", "import", "-", &image()])
        .stdin(archive.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(archive.wait().unwrap().success() && import.status.success(), "{import:?}");
    fs::remove_dir_all(&root).unwrap();
}

fn seconds() -> String {
    PATIENCE.as_secs().to_string()
}

fn docker(words: &[&str]) -> String {
    let done = run(words);
    assert!(done.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn run(words: &[&str]) -> Output {
    Command::new("timeout")
        .args([&seconds(), "docker"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}
