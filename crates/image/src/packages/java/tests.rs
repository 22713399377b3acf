//! Archives made here.

use super::*;
use std::io::Write as _;
use zip::write::SimpleFileOptions;

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn read_as(path: &str, content: &[u8]) -> (Vec<String>, Vec<String>, Result<(), Unread>) {
    let mut found = Found::default();
    let meta = Meta { path, size: content.len() as u64, ..Meta::default() };
    assert!(wants(&meta, content), "{path} is not wanted");
    let result = read(&meta, content, &mut found);
    let packages =
        found.packages.iter().map(|p| format!("{} {} {}", p.name, p.version, p.path)).collect();
    (packages, found.unread, result)
}

fn properties(group: &str, artifact: &str, version: &str) -> Vec<u8> {
    format!("#Created\ngroupId={group}\nartifactId={artifact}\r\nversion={version}\n").into_bytes()
}

#[test]
fn archives_in_archives() {
    let inner = zip(&[("META-INF/maven/g/a/pom.properties", &properties("g", "a", "1"))]);
    let war = zip(&[("WEB-INF/lib/a-1.jar", &inner), ("WEB-INF/lib/broken.jar", b"no zip")]);
    let ear = zip(&[("app.war", &war)]);
    let (packages, unread, result) = read_as("srv/app.ear", &ear);
    assert_eq!(packages, ["g:a 1 srv/app.ear!/app.war!/WEB-INF/lib/a-1.jar"]);
    assert_eq!(unread.len(), 1);
    assert!(unread[0].starts_with("srv/app.ear!/app.war!/WEB-INF/lib/broken.jar: "), "{unread:?}");
    assert!(result.is_ok());
}

#[test]
fn a_shaded_archive_is_all_of_them() {
    let jar = zip(&[
        ("META-INF/maven/g/own/pom.properties", &properties("g", "own", "1.0")),
        ("META-INF/maven/h/other/pom.properties", &properties("h", "other", "2.0")),
        ("META-INF/maven/h/other/pom.xml", b"<project><artifactId>no</artifactId></project>"),
    ]);
    let (packages, unread, _) = read_as("own-1.0.jar", &jar);
    assert_eq!(packages, ["g:own 1.0 own-1.0.jar", "h:other 2.0 own-1.0.jar"]);
    assert!(unread.is_empty());
    // Under a name that none of them has, it is one more.
    let (packages, _, _) = read_as("snakeyaml-1.26.jar", &jar);
    assert!(packages.contains(&"org.yaml:snakeyaml 1.26 snakeyaml-1.26.jar".to_owned()));
}

#[test]
fn a_pom_instead_of_properties() {
    let pom = b"<?xml version='1.0'?><project><parent><groupId>g</groupId><version>3</version></parent>
        <artifactId>a</artifactId><version>${v}-${project.parent.version}</version>
        <properties><v>1.${w}</v><w>2</w></properties>
        <dependencies><dependency><artifactId>no</artifactId></dependency></dependencies></project>";
    let (packages, _, _) = read_as("a.jar", &zip(&[("META-INF/maven/g/a/pom.xml", pom)]));
    assert_eq!(packages, ["g:a 1.2-3 a.jar"]);
    let endless = b"<project><artifactId>a</artifactId><version>${v}</version>
        <properties><v>${v}</v></properties></project>";
    let (packages, unread, _) = read_as("a.jar", &zip(&[("META-INF/maven/g/a/pom.xml", endless)]));
    assert!(packages.is_empty());
    assert_eq!(unread.len(), 1);
}

#[test]
fn a_manifest_or_a_name() {
    for (path, manifest, expected, unread) in [
        (
            "log4j-core-2.14.1.jar",
            "Implementation-Version: 2.14.1\n",
            "org.apache.logging.log4j:log4j-core 2.14.1",
            0,
        ),
        ("x.jar", "Bundle-SymbolicName: a.b.lib;x=y\nBundle-Version: 1.2\n", "x 1.2", 1),
        ("lib-1.2.jar", "Bundle-SymbolicName: a.b.lib\n", "a.b:lib 1.2", 0),
        ("x.jar", "Implementation-Title: a.b#lib;1.2\n", "a.b:lib 1.2", 0),
        (
            "p.hpi",
            "Short-Name: git\nGroup-Id: org.x.plugins\nPlugin-Version: 4.1 (a)\n",
            "org.x.plugins:git 4.1",
            0,
        ),
        ("thing-1.2.jar", "Implementation-Version: ${project.version}\n", "thing 1.2", 1),
    ] {
        let jar = zip(&[("META-INF/MANIFEST.MF", manifest.as_bytes())]);
        let (packages, notes, _) = read_as(path, &jar);
        assert_eq!(packages, [format!("{expected} {path}")]);
        assert_eq!(notes.len(), unread, "{path}: {notes:?}");
    }
}

#[test]
fn the_class_behind_log4shell_is_never_passed_over() {
    let class = "shaded/org/apache/logging/log4j/core/lookup/JndiLookup.class";
    let main: &[u8] = b"Main-Class: a.B\n";
    let (_, unread, _) = read_as("app.jar", &zip(&[(class, b""), ("META-INF/MANIFEST.MF", main)]));
    assert_eq!(unread, ["app.jar: classes of log4j-core (JndiLookup) of unknown version"]);
    let known = properties("org.apache.logging.log4j", "log4j-core", "2.14.1");
    let name = "META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties";
    let (packages, unread, _) = read_as("app.jar", &zip(&[(class, b""), (name, &known)]));
    assert_eq!(packages.len(), 1);
    assert!(unread.is_empty());
}

#[test]
fn a_library_that_says_nothing_is_named_and_an_application_is_not() {
    let (_, unread, _) = read_as("lib.jar", &zip(&[("a/B.class", b"")]));
    assert_eq!(unread.len(), 1);
    let main: &[u8] = b"Main-Class: a.B\n";
    let (_, unread, _) =
        read_as("app.jar", &zip(&[("a/B.class", b""), ("META-INF/MANIFEST.MF", main)]));
    assert!(unread.is_empty());
}

#[test]
fn bombs_are_named() {
    let mut nested = zip(&[("x", b"")]);
    for _ in 0..DEPTH_MAX + 2 {
        nested = zip(&[("n.jar", &nested)]);
    }
    let (_, unread, _) = read_as("n.jar", &nested);
    assert!(unread[0].ends_with("archives deep"), "{unread:?}");
    let zeros = vec![0_u8; 40 << 20];
    let (_, unread, _) = read_as("z.jar", &zip(&[("big.jar", &zeros)]));
    assert_eq!(unread, ["z.jar!/big.jar: too large when decompressed"]);
}

#[test]
fn another_name_and_no_archive_at_all() {
    let jar = zip(&[
        ("META-INF/", b""),
        ("META-INF/maven/g/a/pom.properties", &properties("g", "a", "1")),
    ]);
    assert_eq!(read_as("usr/bin/tool", &jar).0.len(), 1);
    assert!(read_as("a.jar", b"no archive").2.is_err());
    for end in 0..jar.len() {
        let mut found = Found::default();
        let _ = read(&Meta { path: "a.jar", ..Meta::default() }, &jar[..end], &mut found);
    }
    let mut script = b"#!/bin/sh\nexec java -jar $0\n".to_vec();
    script.extend(&jar);
    assert_eq!(read_as("app.jar", &script).0.len(), 1);
    let pdf = Meta { path: "usr/x.rar", size: 9, ..Meta::default() };
    assert!(!wants(&pdf, b"Rar!\x1a\x07"));
}
