//! Tests of lock files.

use super::*;

/// Names with versions, what was told, and how it ended.
type Outcome = (Vec<(String, String)>, Vec<String>, Result<(), Unread>);

fn read(path: &str, content: &[u8]) -> Outcome {
    let meta = Meta { path, ..Meta::default() };
    let mut found = Found::default();
    let reader = READERS.iter().find(|reader| (reader.wants)(&meta, content)).unwrap();
    let result = (reader.read)(&meta, content, &mut found);
    assert!(found.packages.iter().all(|package| package.declared_only && package.path == path));
    let names = found.packages.into_iter().map(|p| (p.name, p.version)).collect();
    (names, found.unread, result)
}

/// What is read without complaint, as `name version`.
fn names(path: &str, content: &str) -> Vec<String> {
    let (names, unread, result) = read(path, content.as_bytes());
    assert_eq!((unread, result), (vec![], Ok(())));
    names.into_iter().map(|(name, version)| format!("{name} {version}")).collect()
}

#[test]
fn npm_2_and_3() {
    let content = r#"{"lockfileVersion": 3, "packages": {
        "": {"name": "app", "version": "1.0.0"}, "packages/own": {"version": "1.0.0"},
        "node_modules/own": {"link": true, "resolved": "packages/own"},
        "node_modules/a": {"version": "1.0.0"}, "node_modules/b/node_modules/@s/a": {"version": "2.0.0"},
        "node_modules/d": {"version": "3.0.0", "dev": true}, "node_modules/o": {"version": "4.0.0", "devOptional": true},
        "node_modules/alias": {"version": "5.0.0", "name": "real"}}, "dependencies": {"x": {"version": "9"}}}"#;
    assert_eq!(
        names("package-lock.json", content),
        ["@s/a 2.0.0", "a 1.0.0", "o 4.0.0", "real 5.0.0"]
    );
}

#[test]
fn npm_1() {
    let content = r#"{"lockfileVersion": 1, "dependencies": {
        "a": {"version": "1.0.0", "dependencies": {"b": {"version": "2.0.0"}, "d": {"version": "1", "dev": true}}},
        "alias": {"version": "npm:@s/real@3.0.0"}, "g": {"version": "git+https://x#0123"}}}"#;
    let all = ["@s/real 3.0.0", "a 1.0.0", "b 2.0.0", "g git+https://x#0123"];
    assert_eq!(names("x/npm-shrinkwrap.json", content), all);
    assert_eq!(names("package-lock.json", r#"{"lockfileVersion": 1}"#), [""; 0]);
}

#[test]
fn yarn_1_and_later() {
    let first = "# yarn lockfile v1\n\n\n\"@s/a@^1.0.0\", \"@s/a@^1.1\":\n  version \"1.1.0\"\n  resolved \"https://x\"\n  \
dependencies:\n    version \"^9\"\n\nb@1:\n  \"version\" \"1.0.0\"\n\nalias@npm:real@^2:\n  version \"2.0.0\"\n";
    assert_eq!(names("yarn.lock", first), ["@s/a 1.1.0", "b 1.0.0", "real 2.0.0"]);
    let later = "__metadata:\n  version: 6\n\n\"@s/a@npm:^1.0.0, @s/a@npm:^1.1\":\n  version: 1.1.0\n  resolution: \"@s/a@npm:1.1.0\"\n\n\
\"app@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"app@workspace:.\"\n  linkType: soft\n\n\
\"t@patch:t@^4\":\n  version: 4.0.0\n  resolution: \"t@patch:t@npm%3A4.0.0#x\"\n";
    assert_eq!(names("yarn.lock", later), ["@s/a 1.1.0", "t 4.0.0"]);
    assert_eq!(read("yarn.lock", b"a@1:\n  resolved \"x\"\n").1.len(), 1);
    assert!(read("yarn.lock", b"<<<<<<< ours\n").2.is_err());
}

#[test]
fn pnpm_5_6_and_9() {
    let five = "lockfileVersion: 5.4\npackages:\n  /@s/a/1.0.0_b@2.0.0:\n    dev: false\n  /b/2.0.0:\n    resolution: {}\n  \
/d/1.0.0:\n    dev: true\n  file:x:\n    name: n\n    version: 1.2.3\n";
    assert_eq!(names("pnpm-lock.yaml", five), ["@s/a 1.0.0", "b 2.0.0", "n 1.2.3"]);
    let six = "lockfileVersion: '6.0'\npackages:\n  /@s/a@1.0.0(b@2.0.0):\n    dev: false\n  /d@1.0.0:\n    dev: true\n";
    assert_eq!(names("pnpm-lock.yaml", six), ["@s/a 1.0.0"]);
    let nine = "lockfileVersion: '9.0'\npackages:\n  '@s/a@1.0.0':\n    resolution: {}\n  b@2.0.0:\n    resolution: {}\n\
snapshots:\n  b@2.0.0(c@1): {}\n";
    assert_eq!(names("pnpm-lock.yaml", nine), ["@s/a 1.0.0", "b 2.0.0"]);
    let odd = "lockfileVersion: '9.0'\npackages:\n  odd: {}\n  b@2.0.0: {}\n";
    let (names, unread, _) = read("pnpm-lock.yaml", odd.as_bytes());
    assert_eq!((names.len(), unread.len()), (1, 1));
}

#[test]
fn aliases_in_yaml_are_no_bomb() {
    let mut bomb = "lockfileVersion: 9\na0: &a0 [x, x]\n".to_owned();
    for n in 1..60 {
        let before = n - 1;
        bomb.push_str(&format!("a{n}: &a{n} [*a{before}, *a{before}]\n"));
    }
    assert!(read("pnpm-lock.yaml", bomb.as_bytes()).2.is_err());
}

#[test]
fn bun_with_comments_and_trailing_commas() {
    let content = "{ // a comment, \"\n \"lockfileVersion\": 1, /* another */ /**/ \"workspaces\": {\"\": {\"name\": \"x\",},},\n\
\"packages\": {\n \"a\": [\"a@1.0.0\", \"//,]\", {}, \"sha,\\\"]\"],\n \"b/@s/c\": [\"@s/c@2.0.0\"],\n \"w\": [\"w@workspace:w\",], }, }";
    assert_eq!(names("bun.lock", content), ["@s/c 2.0.0", "a 1.0.0"]);
    assert_eq!(read("bun.lock", b"{\"packages\": {\"a\": 1, \"b\": []}}").1.len(), 2);
}

#[test]
fn requirements_with_exact_versions() {
    let content = "# a==1\n-r other.txt\n--index-url https://x/==1\nRequests[socks] == 2.0 ; python_version < '3' # b==1\nc>=1\n\
d==1.*\ne===1.0+x\nf==1.0 \\\n    --hash=sha256:00\ng @ https://x\nh==$V\ni==2.0,!=3\nj== --x\nk==1\\";
    assert_eq!(
        names("requirements.txt", content),
        ["Requests 2.0", "e 1.0+x", "f 1.0", "i 2.0", "k 1"]
    );
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("a==1\r\n".bytes().flat_map(|b| [b, 0])).collect();
    assert_eq!(read("requirements.txt", &wide).0, [("a".to_owned(), "1".to_owned())]);
    let wanted = |path| is_requirements(&Meta { path, ..Meta::default() });
    assert!(wanted("x/requirements-prod.txt") && wanted("requirements.txt"));
    assert!(!wanted("requirements-dev.txt") && !wanted("requirementsx.txt"));
}

#[test]
fn locks_of_python_in_toml() {
    let poetry = "[[package]]\nname = \"a\"\nversion = \"1\"\n[[package]]\nname = \"d\"\nversion = \"1\"\ncategory = \"dev\"\n\
[[package]]\nname = \"t\"\nversion = \"1\"\ngroups = [\"dev\", \"test\"]\n[[package]]\nname = \"b\"\nversion = \"2\"\ngroups = [\"main\", \"dev\"]\n";
    assert_eq!(names("poetry.lock", poetry), ["a 1", "b 2"]);
    let uv = "version = 1\n[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { registry = \"https://x\" }\n\
[[package]]\nname = \"own\"\nversion = \"0\"\nsource = { virtual = \".\" }\n";
    assert_eq!(names("uv.lock", uv), ["a 1"]);
    let pylock = "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nversion = \"1\"\n[[packages]]\nname = \"own\"\ndirectory = { path = \".\" }\n";
    assert_eq!(names("pylock.dev.toml", pylock), ["a 1"]);
    assert_eq!(read("uv.lock", b"[[package]]\nname = \"a\"\n").1.len(), 1);
}

#[test]
fn pipenv() {
    let content = r#"{"_meta": {}, "default": {"a": {"version": "==1.0"}}, "develop": {"d": {"version": "==1"}}}"#;
    assert_eq!(names("Pipfile.lock", content), ["a 1.0"]);
    assert_eq!(read("Pipfile.lock", br#"{"default": {"a": {"git": "x"}}}"#).1.len(), 1);
}

#[test]
fn go_modules() {
    let content = "module example.com/m\n\ngo 1.22\ntoolchain go1.22.1-custom\n\nrequire (\n\ta.b/c v1.0.0\n\td.e/f v1.1.0 // indirect\n\
\tg.h/i v1.2.0\n)\nrequire j.k/l v1.3.0+incompatible\n\nreplace d.e/f => fork.x/f v9.0.0\nreplace g.h/i v1.2.0 => ./local\n\
replace j.k/l v0.0.1 => other v1\nexclude (\n\tx v1.0.0\n)\nretract [v1.0.0, v1.1.0]\n";
    assert_eq!(
        names("go.mod", content),
        [
            "a.b/c v1.0.0",
            "fork.x/f v9.0.0",
            "g.h/i v1.2.0",
            "j.k/l v1.3.0+incompatible",
            "stdlib v1.22.1"
        ]
    );
    assert_eq!(names("go.mod", "module m\ngo 1.21.3\n"), ["stdlib v1.21.3"]);
    assert_eq!(read("go.mod", b"module m\nrequire a\n").1.len(), 1);
    assert!(read("go.mod", b"{}").2.is_err());
}

#[test]
fn cargo_and_bundler() {
    let cargo = "version = 3\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\n";
    assert_eq!(names("Cargo.lock", cargo), ["a 1.0.0"]);
    let gems = "GIT\n  remote: https://x\n  specs:\n    g (0.1)\n\nPATH\n  remote: .\n  specs:\n    own (1.0)\n\nGEM\n  remote: https://rubygems.org/\n\
\n  specs:\n    a (1.0)\n      b (~> 2)\n    n (1.15.0-x86_64-linux)\n\nDEPENDENCIES\n  a\n    z (9)\n\nBUNDLED WITH\n   2.3\n";
    assert_eq!(names("Gemfile.lock", gems), ["a 1.0", "g 0.1", "n 1.15.0"]);
    assert!(read("gems.locked", b"nothing").2.is_err());
}

#[test]
fn composer_and_gradle() {
    let composer = r#"{"packages": [{"name": "a/b", "version": "v1.0"}, {"name": "c/d"}], "packages-dev": [{"name": "e/f", "version": "1"}]}"#;
    let (names_read, unread, _) = read("composer.lock", composer.as_bytes());
    assert_eq!((names_read.len(), unread.len()), (1, 1));
    let gradle = "# comment\na.b:c:1.0=compileClasspath,testRuntimeClasspath\nd:e:2.0=testCompileClasspath\nempty=annotationProcessor\n";
    assert_eq!(names("gradle.lockfile", gradle), ["a.b:c 1.0"]);
    assert_eq!(read("buildscript-gradle.lockfile", b"odd").1.len(), 1);
}

#[test]
fn nuget() {
    let lock = "\u{feff}{\"version\": 1, \"dependencies\": {\"net6.0\": {\"A\": {\"type\": \"Direct\", \"resolved\": \"1.0\"}, \
\"Own\": {\"type\": \"Project\"}}, \"net8.0\": {\"A\": {\"type\": \"Transitive\", \"resolved\": \"2.0\"}}}}";
    assert_eq!(names("packages.lock.json", lock), ["A 1.0", "A 2.0"]);
    let config = "<?xml version=\"1.0\"?><packages><package id=\"A\" version=\"1.0\" /><package id='D' version='1' developmentDependency='true'/></packages>";
    assert_eq!(names("packages.config", config), ["A 1.0"]);
    let assets = r#"{"libraries": {"A/1.0": {"type": "package"}, "Own/1.0": {"type": "project"}}}"#;
    assert_eq!(names("obj/project.assets.json", assets), ["A 1.0"]);
    let props = "<Project><PropertyGroup><V>3.0</V></PropertyGroup><ItemGroup><PackageVersion Include=\"A\" Version=\"[1.0]\"/>\
<PackageVersion Include=\"B\"><Version>2.0</Version></PackageVersion><PackageVersion Update=\"C\" Version=\"$(V)\"/></ItemGroup></Project>";
    assert_eq!(names("Directory.Packages.props", props), ["A 1.0", "B 2.0", "C 3.0"]);
    let ranges = b"<Project><ItemGroup><PackageVersion Include=\"A\" Version=\"1.*\"/><PackageVersion Include=\"B\" Version=\"$(W)\"/></ItemGroup></Project>";
    assert_eq!(read("x.packages.props", ranges).1.len(), 2);
}

#[test]
fn maven() {
    let pom = "<project xmlns='x'><parent><groupId>p</groupId><version>7</version></parent><artifactId>own</artifactId>\
<properties><v>${w}</v><w>1.0</w></properties>\
<dependencyManagement><dependencies><dependency><groupId>m</groupId><artifactId>m</artifactId><version>2.0</version></dependency></dependencies></dependencyManagement>\
<dependencies><dependency><groupId>a&amp;b</groupId><artifactId>a</artifactId><version><!-- x -->${v}</version>\
<exclusions><exclusion><groupId>no</groupId></exclusion></exclusions></dependency>\
<dependency><groupId>m</groupId><artifactId>m</artifactId></dependency>\
<dependency><groupId>${project.groupId}</groupId><artifactId>s</artifactId><version>${project.version}</version></dependency>\
<dependency><groupId>t</groupId><artifactId>t</artifactId><version>1</version><scope>test</scope></dependency></dependencies>\
<build><plugins><plugin><dependencies><dependency><groupId>no</groupId><artifactId>no</artifactId><version>1</version></dependency></dependencies></plugin></plugins></build></project>";
    assert_eq!(names("pom.xml", pom), ["a&b:a 1.0", "m:m 2.0", "p:s 7"]);
    let open = b"<project><dependencies><dependency><groupId>g</groupId><artifactId>a</artifactId></dependency>\
<dependency><groupId>g</groupId><artifactId>b</artifactId><version>${x}</version></dependency></dependencies></project>";
    assert_eq!(read("pom.xml", open).1.len(), 2);
}

#[test]
fn properties_that_grow_are_stopped() {
    let mut pom = "<project><properties><a0>x</a0>".to_owned();
    for n in 1..40 {
        let before = n - 1;
        pom.push_str(&format!("<a{n}>${{a{before}}}${{a{before}}}</a{n}>"));
    }
    pom.push_str("<b>${c}</b><c>${b}</c></properties><dependencies>");
    for version in ["${a39}", "${b}", "${"] {
        pom.push_str(&format!("<dependency><groupId>g</groupId><artifactId>a</artifactId><version>{version}</version></dependency>"));
    }
    pom.push_str("</dependencies></project>");
    assert_eq!(read("pom.xml", pom.as_bytes()).1.len(), 3);
}

#[test]
fn broken_files_are_told_and_nothing_panics() {
    let all = [
        "package-lock.json",
        "bun.lock",
        "pnpm-lock.yaml",
        "Pipfile.lock",
        "go.mod",
        "Gemfile.lock",
        "composer.lock",
        "packages.lock.json",
        "packages.config",
        "project.assets.json",
        "Directory.Packages.props",
        "pom.xml",
    ];
    let toml = ["Cargo.lock", "poetry.lock", "uv.lock", "pylock.toml", "yarn.lock"];
    let deep: [Vec<u8>; 4] = [
        vec![b'['; 1 << 16],
        b"{\"a\":".repeat(1 << 14),
        b"<a>".repeat(1 << 14),
        b"- ".repeat(1 << 14),
    ];
    for path in all {
        for broken in [&b""[..], b"\0\xff\xfe", b"{", b"<", b"[]", b"\xff\xfe\0"] {
            assert!(read(path, broken).2.is_err(), "{path} {broken:?}");
        }
    }
    for path in all.into_iter().chain(toml) {
        for broken in &deep {
            let (_, unread, result) = read(path, broken);
            assert!(result.is_err() || !unread.is_empty(), "{path}");
        }
        assert!(read(path, b"{\"packages\": 1, \"dependencies\": 2, \"default\": [3], \"libraries\": 4, \"lockfileVersion\": null").2.is_err());
    }
}

#[test]
fn many_complaints_are_counted() {
    let content = "odd\n".repeat(100);
    let (_, unread, _) = read("gradle.lockfile", content.as_bytes());
    assert_eq!(unread.len(), UNREAD_MAX + 1);
    assert_eq!(unread.last().unwrap(), "and 80 more");
}

#[test]
fn sbt_and_what_is_not_matched() {
    let content = r#"{"lockVersion": 1, "dependencies": [
        {"org": "org.a", "name": "b", "version": "1.0", "configurations": ["compile", "test"]},
        {"org": "org.t", "name": "t", "version": "2.0", "configurations": ["test"]},
        {"org": "org.x", "name": "c", "version": "3.0"}]}"#;
    assert_eq!(names("build.sbt.lock", content), ["org.a:b 1.0", "org.x:c 3.0"]);
    let (packages, _, result) = read("app/conan.lock", b"{}");
    assert!(packages.is_empty() && result.is_err());
}
