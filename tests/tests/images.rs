//! Real images: what is in them is found, package by package, wherever they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use haechi_core::inventory::{Change, Part, Scan};
use haechi_tests::{
    Compression, Feeds, Gone, Haechi, Image, Layer, as_tar, debian, debian_package, docker,
    inventory, scan, scan_bytes, tool, write_below,
};

/// Layers above Debian's root: what each does is known to the test by its number.
const BUILD: &str = "\
FROM haechi-test-debian:base
COPY added.deb /opt/
RUN dpkg --install /opt/added.deb
RUN dpkg --purge --force-depends gpgv
RUN printf x >> /usr/bin/tac
RUN cp /bin/true /opt/raise && chmod 4755 /opt/raise
COPY key /root/service
RUN rm /root/service
RUN echo x > /etc/anybody && chmod 666 /etc/anybody
USER nobody
";

#[test]
fn debian_package_by_package() {
    let base = debian();
    let (deb, _) = debian_package("tree");
    let _gone = Gone::of(["haechi-test-debian:1", "haechi-test-debian:base"]);
    docker(&["import", base.to_str().unwrap(), "haechi-test-debian:base"]);
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::copy(deb, at("added.deb")).unwrap();
    tool("openssl", &["genpkey", "-algorithm", "ed25519", "-out", at("key").to_str().unwrap()]);
    fs::write(at("Dockerfile"), BUILD).unwrap();
    let built = Command::new("docker")
        .args(["build", "--quiet", "--network", "none", "--tag", "haechi-test-debian:1"])
        .arg(dir.path())
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let inside = |words: &[&str]| -> BTreeSet<String> {
        let run = ["run", "--rm", "--network", "none", "--user", "0", "haechi-test-debian:1"];
        docker(&[&run[..], words].concat()).lines().map(str::to_owned).collect()
    };

    let data = tempfile::tempdir().unwrap();
    let scanned = scan(&["haechi-test-debian:1"], Some(data.path()));
    let found = &scanned.report.scan;
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert_eq!(scanned.done.code, 2, "no database: nothing is safe");
    assert_eq!((found.subject.user.as_str(), found.subject.uid), ("nobody", Some(65534)));
    assert_eq!(found.layers.len(), 9);

    let format = "-f=${db:Status-Abbrev} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\\n";
    let queried = inside(&["dpkg-query", "-W", format]);
    let expected: BTreeSet<String> =
        queried.iter().filter_map(|line| line.strip_prefix("ii  ")).map(str::to_owned).collect();
    let seen: BTreeSet<String> = found
        .packages
        .iter()
        .map(|p| {
            let source = p.source.clone().unwrap();
            format!("{} {} {} {} {}", p.name, p.version, p.arch, source.name, source.version)
        })
        .collect();
    assert_eq!(seen, expected);
    assert!(expected.len() > 70, "{}", expected.len());
    for package in &found.packages {
        let layer = if package.name == "tree" { 2 } else { 0 };
        assert_eq!(package.layer, Some(layer), "{}", package.name);
    }
    assert!(!seen.iter().any(|line| line.starts_with("gpgv ")));

    let setid: BTreeSet<String> = found.setid_files.iter().map(|f| f.path.clone()).collect();
    assert_eq!(setid, inside(&["find", "/", "-xdev", "-type", "f", "-perm", "/6000"]));
    let raise = found.setid_files.iter().find(|f| f.path == "/opt/raise").unwrap();
    assert_eq!((raise.layer, raise.mode & 0o7777, raise.package.as_str()), (Some(5), 0o4755, ""));
    let mount = found.setid_files.iter().find(|f| f.path.ends_with("bin/mount")).unwrap();
    assert_eq!((mount.layer, mount.package.as_str()), (Some(0), "mount"));

    let changed: Vec<_> =
        found.altered_files.iter().filter(|f| f.change == Change::Changed).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!((changed[0].path.as_str(), changed[0].layer), ("/usr/bin/tac", Some(4)));
    assert_eq!(changed[0].package, "coreutils");

    // GnuTLS carries keys to test itself with.
    let own: Vec<_> = found.secrets.iter().filter(|s| !s.place.contains("libgnutls")).collect();
    let [secret] = own.as_slice() else { panic!("{own:?}") };
    assert_eq!(
        (secret.place.as_str(), secret.layer, secret.deleted),
        ("root/service", Some(6), true)
    );
    let text = fs::read_to_string(at("key")).unwrap();
    let body = text.lines().nth(1).unwrap();
    assert!(!scanned.done.stdout.contains(&body[20..40]), "the secret itself is nowhere");

    let writable: Vec<&str> = found.world_writable.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(writable, ["/etc/anybody"]);
    assert_eq!(found.world_writable[0].layer, Some(8));

    // The same from an archive, and from what is kept of its layers.
    let archive = at("saved.tar");
    docker(&["save", "--output", archive.to_str().unwrap(), "haechi-test-debian:1"]);
    let again = scan(&["--archive", archive.to_str().unwrap()], Some(data.path()));
    assert!(same(&again.report.scan, found));
}

/// Whether two scans found the same, however their images were named and packed.
fn same(a: &Scan, b: &Scan) -> bool {
    let strip = |scan: &Scan| Scan {
        subject: Default::default(),
        layers: scan
            .layers
            .iter()
            .cloned()
            .map(|mut l| {
                l.created_by.clear();
                l
            })
            .collect(),
        ..scan.clone()
    };
    strip(a) == strip(b)
}

/// busybox and a little of everything else.
fn little() -> Image {
    let busybox = fs::read("/bin/busybox").expect("busybox-static: run `cargo xtask test`");
    let key = tool("openssl", &["genpkey", "-algorithm", "ed25519"]);
    Image::of([
        Layer::new()
            .dir("bin/", 0o755)
            .mode("bin/busybox", 0o4755, &busybox)
            .link("bin/sh", "busybox")
            .file("etc/os-release", "ID=alpine\nVERSION_ID=3.20.3\n")
            .file(
                "lib/apk/db/installed",
                "P:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\nP:zlib\nV:1.3.1-r1\nA:x86_64\no:zlib\n\n",
            ),
        Layer::new()
            .file("lib/apk/db/installed", "P:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\n")
            .file("srv/key.pem", key)
            .mode("srv/open", 0o666, "x"),
        Layer::new().delete("srv/key.pem"),
    ])
}

#[test]
fn the_same_whatever_the_container() {
    let image = little();
    let plain = scan_bytes(&image.docker_archive()).report.scan;
    assert!(plain.problems.is_empty(), "{:?}", plain.problems);
    let said = Command::new("busybox").output().unwrap();
    let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    let version = said.split("BusyBox v").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let busybox = format!("generic busybox {version} 0");
    assert_eq!(inventory(&plain), ["apk musl 1.2.5-r0 0".to_owned(), busybox]);
    assert_eq!(plain.setid_files.len(), 1);
    assert_eq!(
        plain.secrets.iter().map(|s| (s.layer, s.deleted)).collect::<Vec<_>>(),
        [(Some(1), true)]
    );
    assert_eq!(
        plain.world_writable.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
        ["/srv/open"]
    );
    assert_eq!((plain.subject.user.as_str(), plain.subject.uid), ("1000", Some(1000)));

    for whole in [Compression::Gzip, Compression::Zstd] {
        let other = scan_bytes(&whole.of(&image.docker_archive())).report.scan;
        assert!(same(&other, &plain), "docker archive, {whole:?}");
    }
    for layers in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let files = image.oci_files(layers);
        let other = scan_bytes(&as_tar(&files)).report.scan;
        assert!(same(&other, &plain), "OCI layout as tar, {layers:?}: {:?}", other.problems);
        let dir = tempfile::tempdir().unwrap();
        write_below(dir.path(), &files);
        let other = scan(&["--oci-layout", dir.path().to_str().unwrap()], None).report.scan;
        assert!(same(&other, &plain), "OCI layout, {layers:?}: {:?}", other.problems);
        assert_eq!(other.subject.id, plain.subject.id);
    }
    // From a pipe.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar.zst");
    fs::write(&path, Compression::Zstd.of(&image.docker_archive())).unwrap();
    let words = ["image", "scan", "--format", "json", "--archive", "-"];
    let piped = Haechi::new(&words).input(fs::File::open(path).unwrap()).run();
    assert!(same(&haechi_tests::Scanned::of(piped).report.scan, &plain));
    // Both kinds of SBOM name the same packages.
    let archive = dir.path().join("image.tar");
    fs::write(&archive, image.docker_archive()).unwrap();
    for format in ["cyclonedx", "spdx"] {
        let sbom = dir.path().join(format);
        let write =
            ["image", "sbom", "--format", format, "--archive", archive.to_str().unwrap(), "-o"];
        Haechi::new(&[&write[..], &[sbom.to_str().unwrap()]].concat()).run().must_end_with(0);
        let back = scan(&["--sbom", sbom.to_str().unwrap()], None).report.scan;
        let names =
            |scan: &Scan| -> Vec<String> { scan.packages.iter().map(|p| p.purl.clone()).collect() };
        assert_eq!(names(&back), names(&plain), "{format}");
    }
}

/// Adds the files below a folder.
fn add(mut layer: Layer, folder: &Path, below: &Path) -> Layer {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            layer = add(layer, &path, below);
        } else if meta.is_file() {
            let name = path.strip_prefix(below).unwrap().to_str().unwrap();
            layer = layer.file(name, fs::read(&path).unwrap());
        }
    }
    layer
}

/// A Debian package without Debian: its files, and the upstream part of its version.
fn unpacked(layer: Layer, name: &str) -> (Layer, String) {
    let (deb, root) = debian_package(name);
    let version = tool("dpkg-deb", &["--field", deb.to_str().unwrap(), "Version"]);
    let version = version.rsplit_once('-').map_or(version.clone(), |(upstream, _)| upstream.into());
    let version = version.split('+').next().unwrap().to_owned();
    let version = version.split_once(':').map_or(version.clone(), |(_, rest)| rest.to_owned());
    (add(layer, &root, &root), version)
}

#[test]
fn packages_of_every_language() {
    let (layer, six) = unpacked(Layer::new(), "python3-six");
    let (layer, ms) = unpacked(layer, "node-ms");
    let (layer, rack) = unpacked(layer, "ruby-rack");
    let (layer, io) = unpacked(layer, "libcommons-io-java");
    let registry =
        fs::read(debian_package("docker-registry").1.join("usr/bin/docker-registry")).unwrap();
    let zip = |members: &[(&str, Vec<u8>)]| {
        let owned: Vec<_> = members.iter().map(|(n, b)| ((*n).to_owned(), b.clone())).collect();
        Feeds::zipped(&owned)
    };
    let pom = |name: &str, version: &str| {
        let text = format!("groupId=org.example\nartifactId={name}\nversion={version}\n");
        (format!("META-INF/maven/org.example/{name}/pom.properties"), text.into_bytes())
    };
    let (inner_path, inner_pom) = pom("inner", "2.5.1");
    let inner = zip(&[(&inner_path, inner_pom)]);
    let (outer_path, outer_pom) = pom("outer", "1.4.0");
    let outer = zip(&[(&outer_path, outer_pom), ("BOOT-INF/lib/inner.jar", inner)]);
    let layer = layer
        .mode("usr/local/bin/registry", 0o755, &registry)
        .file("app/outer.jar", outer)
        .file(
            "app/vendor/composer/installed.json",
            r#"{"packages": [{"name": "acme/router", "version": "v3.2.1", "type": "library"}], "dev": false}"#,
        )
        .file(
            "app/app.deps.json",
            r#"{"runtimeTarget": {"name": ".NETCoreApp,Version=v8.0"}, "targets": {".NETCoreApp,Version=v8.0": {
                "App/1.0.0": {"dependencies": {"Acme.Json": "13.0.1"}}, "Acme.Json/13.0.1": {"runtime": {"lib/net6.0/Acme.Json.dll": {}}}}},
                "libraries": {"App/1.0.0": {"type": "project", "serviceable": false, "sha512": ""},
                "Acme.Json/13.0.1": {"type": "package", "serviceable": true, "sha512": "sha512-x", "path": "acme.json/13.0.1"}}}"#,
        );
    let found = scan_bytes(&Image::of([layer]).docker_archive()).report.scan;
    // Debian builds outside of Go's module mode: such a program does not say what it is made of.
    let [go] = found.problems.as_slice() else { panic!("{:?}", found.problems) };
    assert_eq!(
        (go.place.as_str(), go.affects.as_slice()),
        ("usr/local/bin/registry", &[Part::Packages][..])
    );
    let seen = inventory(&found);
    for wanted in [
        format!("pypi six {six} 0"),
        format!("npm ms {ms} 0"),
        format!("gem rack {rack} 0"),
        format!("maven commons-io:commons-io {io} 0"),
        "maven org.example:outer 1.4.0 0".into(),
        "maven org.example:inner 2.5.1 0".into(),
        "composer acme/router v3.2.1 0".into(),
        "nuget Acme.Json 13.0.1 0".into(),
    ] {
        let same = |line: &&String| {
            line.eq_ignore_ascii_case(&wanted)
                || line.eq_ignore_ascii_case(&wanted.replace(" v3", " 3"))
        };
        assert!(seen.iter().any(|line| same(&line)), "{wanted} is not among {seen:#?}");
    }
    let inner = found.packages.iter().find(|p| p.name.ends_with("inner")).unwrap();
    assert_eq!(inner.path, "app/outer.jar!/BOOT-INF/lib/inner.jar");
    // The version of Go stands in the program itself.
    let text = String::from_utf8_lossy(&registry).into_owned();
    let go = found.packages.iter().find(|p| p.name == "stdlib").expect("Go's own library");
    assert!(
        text.contains(&format!("go{}", go.version.trim_start_matches(['v', 'g', 'o']))),
        "{go:?}"
    );
}

const SPEC: &str = "Name: NAME\nVersion: 1.2\nRelease: 3%{?dist}\nEpoch: EPOCH\nSummary: s\nLicense: MIT\nVendor: Acme\n\
BuildArch: noarch\n%description\nd\n%install\nmkdir -p %{buildroot}/opt\necho NAME > %{buildroot}/opt/NAME\n%files\n/opt/NAME\n";

#[test]
fn rpm_package_by_package() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let top = format!("_topdir {}", at("build"));
    let mut files = Vec::new();
    for (name, epoch) in [("acme-tool", "0"), ("acme-lib", "7")] {
        let spec = at(&format!("{name}.spec"));
        fs::write(&spec, SPEC.replace("NAME", name).replace("EPOCH", epoch)).unwrap();
        tool("rpmbuild", &["-bb", "--define", &top, "--define", "dist .el9", &spec]);
        files.push(format!("{}/RPMS/noarch/{name}-1.2-3.el9.noarch.rpm", at("build")));
    }
    let root = at("root");
    fs::create_dir(&root).unwrap();
    let rpm = |words: &[&str]| {
        let first = ["--root", &root, "--dbpath", "/var/lib/rpm", "--define", "_db_backend sqlite"];
        tool("rpm", &[&first[..], words].concat())
    };
    rpm(&["--initdb"]);
    let install = ["--install", "--nodeps", "--noscripts", "--nosignature"];
    rpm(&[&install[..], &[&files[0], &files[1]]].concat());
    let queried = rpm(&[
        "-qa",
        "--queryformat",
        "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH} %{SOURCERPM}\n",
    ]);
    let expected: BTreeSet<String> =
        queried.lines().map(|line| line.replacen(" 0:", " ", 1)).collect();
    assert_eq!(expected.len(), 2);

    fs::create_dir(Path::new(&root).join("etc")).unwrap();
    fs::write(Path::new(&root).join("etc/os-release"), "ID=rocky\nVERSION_ID=9.4\n").unwrap();
    fs::write(Path::new(&root).join("opt/acme-tool"), "changed").unwrap();
    let layer = add(Layer::new(), Path::new(&root), Path::new(&root));
    let packed = scan_bytes(&Image::of([layer]).docker_archive()).report.scan;
    let folder = scan(&["--rootfs", &root], None).report.scan;
    for found in [&packed, &folder] {
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        let seen: BTreeSet<String> = found
            .packages
            .iter()
            .map(|p| {
                let source = p.source.clone().unwrap();
                let version =
                    source.version.rsplit_once(':').map_or(source.version.as_str(), |(_, v)| v);
                let version_own = p.version.strip_prefix("0:").unwrap_or(&p.version);
                format!("{} {version_own} {} {}-{version}.src.rpm", p.name, p.arch, source.name)
            })
            .collect();
        assert_eq!(seen, expected);
        let altered: Vec<&str> = found.altered_files.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(altered, ["/opt/acme-tool"]);
    }
}

#[test]
fn an_inventory_never_serves_a_scan() {
    let mut image = little();
    let mut key = String::from("aws_secret_access_key = \"wJalrXUtnFEMI9K7MDENG");
    key.push_str("bPxRfiCYzQ8LkT3pVhA\"\n");
    image = Image::of_bytes([image.layers.remove(0), Layer::new().file("app/a.conf", key).done()]);
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("image.tar");
    fs::write(&archive, image.docker_archive()).unwrap();
    let archive = archive.to_str().unwrap();
    let bill = |name: &str| {
        let words = ["image", "sbom", "--archive", archive, "-o", name];
        let path = dir.path().join(name);
        let mut haechi = Haechi::new(&words).data(dir.path());
        haechi.run().must_end_with(0);
        fs::rename(haechi.dir().join(name), &path).unwrap();
        path
    };
    // The name of the file tells which kind of SBOM it is.
    let spdx = fs::read_to_string(bill("a.spdx.json")).unwrap();
    assert!(spdx.contains("SPDX-2.3"), "{spdx:.300}");
    let listed = fs::read_to_string(bill("a.cdx.json")).unwrap();
    assert!(listed.contains("CycloneDX") && listed.contains("only packages were looked for"));
    // Every layer is known now, but not deep enough.
    let scan = scan(&["--archive", archive], Some(dir.path())).report.scan;
    assert_eq!(scan.secrets.len(), 1, "{:?}", scan.problems);
    assert!(scan.is_whole(Part::Secrets) && scan.is_whole(Part::Malware));
    // And the other way round a scan does serve: the list is the same.
    let again = fs::read_to_string(bill("b.cdx.json")).unwrap();
    let components = |text: &str| {
        let bill: serde_json::Value = serde_json::from_str(text).unwrap();
        bill["components"].clone()
    };
    assert_eq!(components(&listed), components(&again));
}

#[test]
fn what_means_nothing_is_refused_and_what_is_not_known_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    let refused = |words: &[&str], says: &str| {
        let all = [&["image", "scan", "--quiet"][..], words].concat();
        let done = Haechi::new(&all).run().must_end_with(2);
        assert!(done.stdout.is_empty() && done.stderr.contains(says), "{words:?}: {}", done.stderr);
        assert_eq!(done.stderr.trim().lines().count(), 1, "{}", done.stderr);
    };
    refused(&["--rootfs", place, "--platform", "linux/arm64"], "HAECHI_PLATFORM");
    refused(&["--rootfs", place, "--image", "a"], "HAECHI_IMAGE");
    refused(&["--rootfs", place, "--yara", place], ".yara");
    refused(&["--rootfs", place, "--yara", "/no/such/folder"], ".yara");
    refused(&["--rootfs", "/no/such/folder"], "/no/such/folder does not exist");
    let text = dir.path().join("text");
    fs::write(&text, "no archive at all").unwrap();
    refused(&["--archive", text.to_str().unwrap()], "docker save");
    refused(&["--rootfs", place, "-o", "r.xml"], ".sarif");

    fs::create_dir_all(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
    let done = Haechi::new(&["image", "scan", "--rootfs", place]).run();
    for invented in ["root ", "0 B", "Layers", "layer 1"] {
        let shown = done.stdout.replace("root file system", "");
        assert!(!shown.contains(invented), "{invented}: {}", done.stdout);
    }
}
