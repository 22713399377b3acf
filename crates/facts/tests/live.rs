//! The collectors against the Docker engine of this machine. Needs root, the engine and a static busybox.
//!
//! Everything it makes has a unique prefix and is removed at the end. Haechi's own edge is never used to make
//! things: that is what the `docker` command is for.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at once")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use haechi_core::SubjectKind;
use haechi_core::facts::{Container, Snapshot};
use haechi_facts::{Options, collect};

/// Containers of one test, with a prefix of their own.
struct Lab {
    prefix: String,
}

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).output().expect("the docker command is there")
}

fn must(arguments: &[&str]) -> String {
    let output = docker(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Lab {
    fn new(name: &str) -> Self {
        let lab = Self { prefix: format!("haechi-live-{}-{name}", std::process::id()) };
        let dir = tempfile::tempdir().unwrap();
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|p| Path::new(p).exists());
        std::fs::copy(busybox.expect("busybox-static is there"), dir.path().join("busybox"))
            .unwrap();
        std::fs::write(
            dir.path().join("Dockerfile"),
            "FROM scratch\nCOPY busybox /bin/busybox\nENV APP_TOKEN=verysecretvalue\nUSER 1000\n\
             EXPOSE 8080\nENTRYPOINT [\"/bin/busybox\"]\nCMD [\"sleep\", \"600\"]\n",
        )
        .unwrap();
        let folder = dir.path().to_str().unwrap();
        must(&["build", "-q", "-t", &lab.image(), folder]);
        lab
    }

    fn image(&self) -> String {
        format!("{}:1", self.prefix)
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn run(&self, name: &str, options: &[&str], command: &[&str]) {
        let (name, image) = (self.name(name), self.image());
        // No network: the test does not depend on the state of the engine's bridge.
        let mut arguments = vec!["run", "-d", "--network=none", "--name", &name];
        arguments.extend(options);
        arguments.push(&image);
        arguments.extend(command);
        must(&arguments);
    }

    fn find<'s>(&self, snapshot: &'s Snapshot, name: &str) -> &'s Container {
        let name = self.name(name);
        let all = snapshot.containers.as_ref().expect("containers are known");
        all.iter().find(|c| c.name.as_deref() == Some(&name)).expect("the container is there")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let filter = format!("name={}", self.prefix);
        let ids = docker(&["ps", "-aq", "--filter", &filter]);
        for id in String::from_utf8_lossy(&ids.stdout).split_whitespace() {
            docker(&["rm", "-f", id]);
        }
        let volumes = docker(&["volume", "ls", "-q", "--filter", &filter]);
        for volume in String::from_utf8_lossy(&volumes.stdout).split_whitespace() {
            docker(&["volume", "rm", "-f", volume]);
        }
        docker(&["rmi", "-f", &self.image()]);
    }
}

async fn collect_now() -> Snapshot {
    collect(&Options {
        root: "/".into(),
        endpoint: Some("unix:///var/run/docker.sock".into()),
        // What has not come by then never comes.
        timeout: Duration::from_secs(600),
        now: jiff::Timestamp::now(),
        backups: Vec::new(),
        unlock_key_salt: [1; 32],
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_seen_as_they_are() {
    let lab = Lab::new("seen");
    let volume = lab.name("bound");
    let bound = ["--driver=local", "--opt=type=none", "--opt=o=bind", "--opt=device=/etc"];
    must(&[&["volume", "create"], bound.as_slice(), &[volume.as_str()]].concat());
    lab.run("plain", &[], &[]);
    lab.run(
        "open",
        &[
            "--user=0",
            "--cap-add=SYS_TIME",
            "--cap-drop=NET_RAW",
            "--security-opt=seccomp=unconfined",
            "--security-opt=no-new-privileges",
            "--pids-limit=50",
            "--memory=64m",
            "-v/var/run:/hostrun",
            "-v",
            &format!("{volume}:/hostetc"),
            "--restart=on-failure:5",
            "--env=DB_PASSWORD=verysecretvalue",
            "--label=api-key=verysecretvalue",
        ],
        &["httpd", "-f", "-p", "8080"],
    );
    lab.run("paused", &[], &[]);
    must(&["pause", &lab.name("paused")]);
    must(&["create", "--name", &lab.name("created"), "--privileged", &lab.image()]);
    let snapshot = collect_now().await;

    let engine = &snapshot.engine;
    assert_eq!(engine.kind.as_deref(), Some("docker"));
    assert_eq!(engine.local, Some(true), "{:?}", engine.local_reason);
    assert!(engine.process.as_ref().unwrap().program.as_ref().unwrap().ends_with("dockerd"));
    let listeners = engine.listeners.as_ref().unwrap();
    assert!(
        listeners.iter().any(|l| l.source.as_deref() == Some("kernel,configuration")),
        "{listeners:?}"
    );

    let plain = lab.find(&snapshot, "plain");
    let effective = plain.effective.as_ref().unwrap();
    assert_eq!((effective.uid, effective.runs_as_root), (Some(1000), Some(false)));
    assert_eq!(effective.capabilities.as_ref().unwrap().len(), 14);
    assert_eq!(plain.security.as_ref().unwrap().seccomp.as_deref(), Some("default"));
    assert_eq!(plain.processes.as_ref().unwrap().len(), 1);
    assert_eq!(plain.listeners, Some(Vec::new()));
    assert_eq!(plain.image_ref_id, plain.image_id);

    let open = lab.find(&snapshot, "open");
    let effective = open.effective.as_ref().unwrap();
    assert_eq!((effective.uid, effective.runs_as_root), (Some(0), Some(true)));
    let capabilities = effective.capabilities.as_ref().unwrap();
    assert!(capabilities.contains(&"SYS_TIME".into()) && !capabilities.contains(&"NET_RAW".into()));
    let security = open.security.as_ref().unwrap();
    assert_eq!(security.seccomp.as_deref(), Some("unconfined"));
    assert_eq!(security.no_new_privileges, Some(true));
    let given = open.host_config.as_ref().unwrap();
    assert_eq!((given.pids_limit, given.memory), (Some(50), Some(64 << 20)));
    assert_eq!(
        (given.restart_policy.as_deref(), given.restart_retries),
        (Some("on-failure"), Some(5))
    );
    let mounts = open.mounts.as_ref().unwrap();
    let paths: Vec<_> = mounts.iter().filter_map(|m| m.host_path.as_deref()).collect();
    assert_eq!(paths, ["/etc", "/run"]);
    assert!(mounts[1].engine_sockets.as_ref().unwrap().contains(&"/run/docker.sock".into()));
    let listener = &open.listeners.as_ref().unwrap()[0];
    assert_eq!((listener.port, listener.program.as_deref()), (Some(8080), Some("busybox")));

    let paused = lab.find(&snapshot, "paused").state.as_ref().unwrap();
    assert_eq!((paused.status.as_deref(), paused.running), (Some("paused"), Some(true)));
    let created = lab.find(&snapshot, "created");
    let rights = created.effective.as_ref().unwrap();
    assert!(rights.capabilities.as_ref().unwrap().contains(&"SYS_ADMIN".into()));
    assert_eq!(rights.source.as_deref(), Some("configuration"));

    let image = snapshot.images.as_ref().unwrap().iter().find(|i| i.id == plain.image_id).unwrap();
    let steps: Vec<_> =
        image.history.as_ref().unwrap().iter().map(|s| s.keyword.as_deref().unwrap()).collect();
    assert_eq!(steps, ["COPY", "ENV", "USER", "EXPOSE", "ENTRYPOINT", "CMD"]);
    assert_eq!(image.runs_as_root, Some(true), "one of its containers runs as root");
    let volumes = snapshot.volumes.as_ref().unwrap();
    let made = volumes.iter().find(|v| v.name.as_deref() == Some(&volume)).unwrap();
    assert_eq!(made.bound_path.as_deref(), Some("/etc"));

    let kinds =
        [SubjectKind::Engine, SubjectKind::Container, SubjectKind::Image, SubjectKind::Network];
    let ours: Vec<_> = snapshot.gaps.iter().filter(|gap| kinds.contains(&gap.kind)).collect();
    let named = |gap: &&&haechi_core::facts::Gap| {
        // Other tests on this machine may make and remove containers meanwhile.
        gap.id.is_empty()
            || snapshot.containers.iter().flatten().any(|c| {
                c.id.as_deref() == Some(&gap.id)
                    && c.name.as_ref().is_some_and(|n| n.starts_with(&lab.prefix))
            })
    };
    assert_eq!(ours.iter().filter(named).count(), 0, "{ours:?}");
    let text = serde_json::to_string(&snapshot).unwrap();
    assert!(!text.contains("verysecretvalue"), "a secret got through");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_containers_are_all_seen() {
    let lab = Lab::new("many");
    for number in 0..100 {
        must(&["create", "--name", &lab.name(&number.to_string()), &lab.image()]);
    }
    let snapshot = collect_now().await;
    let ours = snapshot.containers.as_ref().unwrap().iter().filter(|container| {
        container.name.as_ref().is_some_and(|name| name.starts_with(&lab.prefix))
    });
    assert_eq!(ours.count(), 100);
}
