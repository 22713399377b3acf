//! A made-up machine in a temporary folder, and an engine on it.

use super::Recorded;
use crate::root::Root;
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;

pub(super) const CONTAINER: &str =
    "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
const IMAGE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const NETWORK: &str = "2222222222222222222222222222222222222222222222222222222222222222";

pub(super) struct Machine {
    dir: tempfile::TempDir,
    _socket: UnixListener,
}

impl Machine {
    /// dockerd is process 50; the container `web` has a shell (60, root) and a renamed sshd (61, uid 1000).
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for folder in ["run", "etc/docker", "var/lib/docker/volumes/data/_data", "srv"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        symlink("/run", at("var/run")).unwrap();
        symlink("/etc", at("srv/innocent")).unwrap();
        let socket = UnixListener::bind(at("run/docker.sock")).unwrap();
        let machine = Self { dir, _socket: socket };
        machine.write("etc/docker/daemon.json", r#"{"userland-proxy": false}"#);
        machine.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        machine.write("bin/dockerd", "daemon");
        machine.write("bin/busybox", "box");
        machine.write("bin/worker", "sshd_config OpenSSH_9");
        machine.write("proc/sys/kernel/osrelease", "6.1.0-1\n");
        machine.write("proc/sys/kernel/hostname", "box1\n");
        machine.write("proc/sys/kernel/cap_last_cap", "40\n");
        // The daemon started after its file was written.
        machine.write("proc/stat", "cpu 1\nbtime 4000000000\n");
        machine.process(1, "systemd", "/", "bin/busybox", "init", 0);
        machine.process(
            50,
            "dockerd",
            "/system.slice/docker.service",
            "bin/dockerd",
            "dockerd\0-H\0unix://",
            0,
        );
        machine.write("proc/50/cmdline", "dockerd\0-Hunix://\0-Htcp://0.0.0.0:2375\0");
        let group = format!("/docker/{CONTAINER}");
        machine.process(60, "sh", &group, "bin/busybox", "sh\0--password=hunter2\0", 0);
        machine.process(61, "worker", &group, "bin/worker", "worker\0", 1000);
        machine.write("proc/1/mountinfo", "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
        for pid in [1, 50] {
            let line = "0: 00000002 00000000 00010000 0001 01 500 /run/docker.sock";
            machine.write(&format!("proc/{pid}/net/unix"), &format!("Num RefCount\n{line}\n"));
        }
        machine.socket(50, 500, 3);
        machine.socket(50, 501, 4);
        machine.tcp(50, &[("00000000:0947", 501)]);
        machine.socket(61, 601, 3);
        machine.tcp(60, &[("00000000:0016", 601), ("0B00007F:8235", 602)]);
        machine.tcp(1, &[]);
        machine
    }

    pub(super) fn path(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    pub(super) fn root(&self) -> Root {
        Root::new(self.dir.path())
    }

    pub(super) fn endpoint(&self) -> String {
        format!("unix://{}", self.path("run/docker.sock").display())
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Lets something else serve the engine's socket.
    pub(super) fn rename_daemon(&self, name: &str) {
        self.write(&format!("bin/{name}"), "x");
        std::fs::remove_file(self.path("proc/50/exe")).unwrap();
        symlink(self.path(&format!("bin/{name}")), self.path("proc/50/exe")).unwrap();
        self.write(
            "proc/50/stat",
            &format!("50 ({name}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 0 0\n"),
        );
    }

    fn process(&self, pid: i32, name: &str, group: &str, program: &str, line: &str, uid: u32) {
        let file = |file: &str| format!("proc/{pid}/{file}");
        self.write(
            &file("stat"),
            &format!("{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 0 0\n"),
        );
        self.write(
            &file("status"),
            &format!(
                "Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nCapBnd:\t00000000a80425fb\n\
                 NoNewPrivs:\t0\nSeccomp:\t0\n"
            ),
        );
        self.write(&file("cgroup"), &format!("0::{group}\n"));
        self.write(&file("cmdline"), line);
        self.write(&file("uid_map"), "0 0 4294967295\n");
        std::fs::create_dir_all(self.path(&file("fd"))).unwrap();
        std::fs::create_dir_all(self.path(&file("ns"))).unwrap();
        symlink(self.path(program), self.path(&file("exe"))).unwrap();
        let inside = group.starts_with("/docker");
        let number = if inside { "9" } else { "4026531836" };
        symlink(format!("pid:[{number}]"), self.path(&file("ns/pid"))).unwrap();
        symlink(format!("net:[{number}]"), self.path(&file("ns/net"))).unwrap();
    }

    fn socket(&self, pid: i32, inode: u64, fd: u32) {
        symlink(format!("socket:[{inode}]"), self.path(&format!("proc/{pid}/fd/{fd}"))).unwrap();
    }

    fn tcp(&self, pid: i32, sockets: &[(&str, u64)]) {
        let mut text = String::from("  sl  local_address\n");
        for (address, inode) in sockets {
            text += &format!("0: {address} 00000000:0000 0A 0:0 00:0 0 0 0 {inode} 1\n");
        }
        self.write(&format!("proc/{pid}/net/tcp"), &text);
        self.write(&format!("proc/{pid}/net/udp"), "  sl  local_address\n");
    }

    /// A change time in the future of every file, as the kernel keeps it.
    pub(super) fn changed(&self, path: &str) -> i64 {
        std::fs::metadata(self.path(path)).unwrap().ctime()
    }
}

/// The recorded answer to an inspect of the container.
pub(super) fn inspect() -> Value {
    serde_json::from_str(include_str!("container.json")).unwrap()
}

pub(super) fn docker(machine: &Machine) -> Recorded {
    assert!(machine.changed("etc/docker/daemon.json") < 4_000_000_000);
    let network = json!({"Id": NETWORK, "Name": "bridge", "Driver": "bridge", "Scope": "local",
        "Internal": false, "Containers": {CONTAINER: {"Name": "web"}},
        "Options": {"com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": "false"}});
    Recorded::default()
        .with("/version", json!({"Version": "24.0.7", "ApiVersion": "1.43",
            "Components": [{"Name": "Engine", "Version": "24.0.7"}, {"Name": "runc", "Version": "1.1.9"}]}))
        .with("/info", json!({"ID": "E1", "Name": "box1", "OperatingSystem": "Test", "KernelVersion": "6.1.0-1",
            "DockerRootDir": "/var/lib/docker", "Driver": "overlay2", "CgroupDriver": "systemd",
            "CgroupVersion": "2", "ExperimentalBuild": false, "Debug": false, "LiveRestoreEnabled": false,
            "LoggingDriver": "json-file", "Plugins": {"Authorization": null},
            "RegistryConfig": {"InsecureRegistryCIDRs": ["127.0.0.0/8"], "IndexConfigs": {}},
            "Swarm": {"LocalNodeState": "inactive", "ControlAvailable": false},
            "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"]}))
        .with("/containers/json?all=1", json!([{"Id": CONTAINER, "Names": ["/web"]}]))
        .with(&format!("/containers/{CONTAINER}/json"), inspect())
        .with("/images/json", json!([{"Id": IMAGE}]))
        .with(&format!("/images/{IMAGE}/json"), json!({"Id": IMAGE, "RepoTags": ["web:latest"],
            "RepoDigests": [], "Created": "2026-01-01T00:00:00Z", "Size": 5, "Architecture": "amd64",
            "Config": {"User": "", "Env": null}}))
        .with(&format!("/images/{IMAGE}/history"), json!([
            {"CreatedBy": "/bin/sh -c #(nop)  ENV DB_PASSWORD=hunter2 x", "Size": 0},
            {"CreatedBy": "/bin/sh -c apt-get update", "Size": 5}]))
        .with("/networks", json!([network]))
        .with(&format!("/networks/{NETWORK}"), network)
        .with("/volumes", json!({"Volumes": [{"Name": "data", "Driver": "local", "Options": null,
            "Mountpoint": "/var/lib/docker/volumes/data/_data", "Labels": null}]}))
}
