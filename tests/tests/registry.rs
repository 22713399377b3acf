//! A real registry with TLS and a password, of which the test is the authority: images are read from it without an
//! engine, and it tells whether a container runs what it has today.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use haechi_core::{Report, Status};
use haechi_tests::{
    Done, Gone, Haechi, Image, Layer, Scanned, debian_package, docker, expect, finding, tool, until,
};
use tempfile::TempDir;

/// A registry, on an address that Docker does not trust by itself (as it would loopback), as long as a test lives.
struct Registry {
    child: Child,
    dir: TempDir,
    host: String,
    trust: PathBuf,
}

impl Registry {
    fn start() -> Self {
        let address = docker(&[
            "network",
            "inspect",
            "bridge",
            "--format",
            "{{(index .IPAM.Config 0).Gateway}}",
        ]);
        let port = std::net::TcpListener::bind((address.as_str(), 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let host = format!("{address}:{port}");
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_owned();
        let at = |name: &str| folder.join(name).display().to_string();
        let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let ca = ["-x509", "-days", "2", "-subj", "/CN=authority of a test"];
        tool(
            "openssl",
            &[&new[..], &ca, &["-keyout", &at("ca.key"), "-out", &at("ca.crt")]].concat(),
        );
        let name = ["-subj", "/CN=registry", "-keyout", &at("key"), "-out", &at("csr")];
        tool("openssl", &[&new[..], &name].concat());
        fs::write(at("ext"), format!("subjectAltName=IP:{address}\nextendedKeyUsage=serverAuth\n"))
            .unwrap();
        tool(
            "openssl",
            &[
                "x509",
                "-req",
                "-in",
                &at("csr"),
                "-CA",
                &at("ca.crt"),
                "-CAkey",
                &at("ca.key"),
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                &at("ext"),
                "-out",
                &at("crt"),
            ],
        );
        let password = tool("htpasswd", &["-Bbn", "tester", "right"]);
        fs::write(at("htpasswd"), password).unwrap();
        fs::write(
            at("config.yml"),
            format!(
                "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '{host}', tls: {{certificate: {}, key: {}}}}}\n\
             auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                at("data"),
                at("crt"),
                at("key"),
                at("htpasswd"),
            ),
        )
        .unwrap();
        let child =
            Command::new(debian_package("docker-registry").1.join("usr/bin/docker-registry"))
                .args(["serve", &at("config.yml")])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(at("log")).unwrap())
                .spawn()
                .unwrap();
        let trust = Path::new("/etc/docker/certs.d").join(&host);
        let mut registry = Self { child, dir, host, trust };
        until("the registry listens", || {
            let ended = registry.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(at("log")).unwrap());
            std::net::TcpStream::connect(&registry.host).is_ok()
        });
        registry
    }

    /// Makes the engine and Haechi believe in its authority, in Docker's own way.
    fn trusted(&self) {
        fs::create_dir_all(&self.trust).unwrap();
        fs::copy(self.dir.path().join("ca.crt"), self.trust.join("ca.crt")).unwrap();
    }

    /// Docker's configuration with this password.
    fn login(&self, password: &str) -> PathBuf {
        let folder = self.dir.path().join(format!("login-{password}"));
        let both = tool("sh", &["-c", &format!("printf tester:{password} | base64")]);
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("config.json"),
            format!(r#"{{"auths": {{"{}": {{"auth": "{both}"}}}}}}"#, self.host),
        )
        .unwrap();
        folder
    }

    fn push(&self, image: &Image) {
        image.load();
        let config = self.login("right").display().to_string();
        docker(&["--config", &config, "push", "--quiet", &image.tag]);
    }

    fn scan(&self, reference: &str, password: &str, more: &[&str]) -> Done {
        let words = ["image", "scan", "--format", "json", "--registry", reference];
        Haechi::new(&[&words[..], more].concat()).env("DOCKER_CONFIG", self.login(password)).run()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.trust);
    }
}

fn image(tag: &str, text: &str) -> Image {
    let busybox = fs::read("/bin/busybox").unwrap();
    let layers = [
        Layer::new().mode("bin/busybox", 0o755, busybox).link("bin/sleep", "busybox"),
        Layer::new().mode("opt/tool", 0o4755, text),
    ];
    let mut image = Image::of(layers);
    image.tag = tag.to_owned();
    image.config = serde_json::json!({"Cmd": ["/bin/sleep", "100000"]});
    image
}

#[test]
fn pulled_judged_and_compared() {
    let registry = Registry::start();
    let tag = format!("{}/team/app:1", registry.host);
    let _gone = Gone::of(["haechi-test-current", &tag]);
    registry.trusted();
    let first = image(&tag, "one");
    registry.push(&first);

    let scanned = Scanned::of(registry.scan(&tag, "right", &[]));
    let found = &scanned.report.scan;
    assert_eq!(
        found.setid_files.iter().map(|f| (f.path.as_str(), f.layer)).collect::<Vec<_>>(),
        [("/opt/tool", Some(1))]
    );
    assert_eq!(found.subject.id, haechi_tests::digest(&first.configuration()));
    let by_digest = docker(&["inspect", "--format", "{{index .RepoDigests 0}}", &tag]);
    assert!(by_digest.ends_with(&found.subject.digest), "{by_digest} {}", found.subject.digest);
    let same = Scanned::of(registry.scan(&by_digest, "right", &[]));
    assert_eq!(same.report.scan.packages, found.packages);

    let wrong = registry.scan(&tag, "wrong", &[]).must_end_with(2);
    assert!(
        wrong.stderr.contains("401") || wrong.stderr.to_lowercase().contains("credential"),
        "{}",
        wrong.stderr
    );
    assert!(
        !wrong.stderr.contains("wrong\"") && !wrong.stderr.contains("tester:wrong"),
        "{}",
        wrong.stderr
    );
    let absent = registry.scan(&format!("{}/team/app:none", registry.host), "right", &[]);
    assert_eq!(absent.code, 2, "{absent:?}");

    // 5.27: the container runs what the registry has, until it has something else.
    docker(&["run", "--detach", "--name", "haechi-test-current", "--network", "none", &tag]);
    let verify = || -> Report<String> {
        Haechi::new(&["verify", "--benchmark", "cis-docker-1.13.0", "--format", "json"])
            .env("DOCKER_CONFIG", registry.login("right"))
            .report()
    };
    let newest = verify();
    expect(finding(&newest, "container-image-current", "haechi-test-current"), Status::Pass);
    let second = image(&tag, "two");
    let elsewhere = format!("{}/team/app:2", registry.host);
    let _second = Gone::of([&elsewhere]);
    // Under another name in the engine, the same in the registry: the engine's own tag must not move.
    registry.push(&Image { tag: elsewhere.clone(), ..second });
    let data =
        registry.dir.path().join("data/docker/registry/v2/repositories/team/app/_manifests/tags");
    fs::copy(data.join("2/current/link"), data.join("1/current/link")).unwrap();
    let older = verify();
    expect(finding(&older, "container-image-current", "haechi-test-current"), Status::Fail);

    // An authority that nobody knows.
    fs::remove_dir_all(&registry.trust).unwrap();
    let unknown = registry.scan(&tag, "right", &[]).must_end_with(2);
    assert!(unknown.stderr.to_lowercase().contains("certificate"), "{}", unknown.stderr);
    let insecure =
        Scanned::of(registry.scan(&tag, "right", &["--insecure-registry", &registry.host]));
    assert_eq!(insecure.report.scan.setid_files.len(), 1);
}
