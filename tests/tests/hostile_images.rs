//! Images that were made to harm: none crashes the scan, none passes while something was not read, and what is wrong
//! with their other layers is still found.

use std::fs;
use std::io::Write;
use std::process::Command;

use haechi_core::inventory::{ProblemKind, Scan};
use haechi_core::verdict::Safety;
use haechi_tests::{
    Compression, Feeds, Haechi, Image, Layer, Pad, Scanned, as_tar, children, problem, scan,
    scan_bytes, until, write_below,
};

const ZEROS: usize = 64 << 20;
const FILES: u32 = 1_000_000;

/// A layer with a danger: whatever is above it, this has to be found.
fn base() -> Layer {
    Layer::new().mode("opt/base", 0o4644, "x").file("srv/data", "y")
}

fn found_base(scan: &Scan) {
    assert!(
        scan.setid_files.iter().any(|f| f.path == "/opt/base" && f.layer == Some(0)),
        "{scan:?}"
    );
}

/// Not all was read: no pass, and the base is found all the same.
fn doubtful(scanned: &Scanned) {
    assert_eq!(scanned.done.code, 2, "{:?}", scanned.done);
    assert_eq!(scanned.report.verdict.safety, Safety::Undecided);
    assert!(!scanned.done.stderr.contains("panicked"), "{}", scanned.done.stderr);
    found_base(&scanned.report.scan);
}

/// An archive whose second layer is these bytes, whatever its configuration says.
fn second(bytes: Vec<u8>) -> Vec<u8> {
    let mut files = Image::of([base(), Layer::new()]).docker_files();
    files[1].1 = bytes;
    as_tar(&files)
}

#[test]
fn what_is_honest_passes() {
    // Or else the others would prove nothing.
    let layer = Layer::new()
        .link("loop/a", "b")
        .link("loop/b", "a")
        .link("abs", "/opt/base")
        .link("dangling", "/nowhere")
        .entry(b'3', b"dev/char", 0o600, b"", b"")
        .entry(b'4', b"dev/block", 0o600, b"", b"")
        .entry(b'6', b"run/pipe", 0o600, b"", b"")
        .hard("opt/second", "opt/base");
    let scanned = scan_bytes(&Image::of([base(), layer]).docker_archive());
    assert_eq!(scanned.done.code, 0, "{:?}", scanned.report.scan.problems);
    found_base(&scanned.report.scan);
}

#[test]
fn a_bomb_of_zeros() {
    // 10 GiB in 160 members of gzip (RFC 1952 §2.2: a file is a series of members).
    let mut bomb = Compression::Gzip.of(&Layer::new().stated(b'0', "zeros", 10 << 30).open());
    let mut zeros = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    zeros.write_all(&vec![0; ZEROS]).unwrap();
    let zeros = zeros.finish().unwrap();
    (0..160).for_each(|_| bomb.extend(&zeros));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.tar");
    fs::write(&path, second(bomb)).unwrap();
    let words = ["image", "scan", "--format", "json", "--archive", path.to_str().unwrap()];
    let mut peak = 0;
    let done = Haechi::new(&words).begin().watched(|id| {
        for process in children(id).into_iter().chain([id]) {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
            peak = peak.max(kib.unwrap_or_default());
        }
    });
    let scanned = Scanned::of(done);
    doubtful(&scanned);
    let problem = problem(&scanned.report.scan, ProblemKind::Limit);
    assert_eq!(problem.layer, Some(1), "{problem:?}");
    assert!(peak > 1000 && peak < 600 << 10, "{peak} KiB");
}

#[test]
fn a_million_files() {
    let mut layer = Vec::new();
    let entry = Layer::new().file("many/0000000", "").open();
    let sum: u32 =
        entry[..148].iter().chain(&entry[156..]).map(|&b| u32::from(b)).sum::<u32>() + 8 * 32;
    for n in 0..FILES {
        let at = layer.len();
        layer.extend(&entry);
        let digits = format!("{n:07}");
        layer[at + 5..at + 12].copy_from_slice(digits.as_bytes());
        let more: u32 = digits.bytes().map(|b| u32::from(b - b'0')).sum();
        layer[at + 148..at + 154].copy_from_slice(format!("{:06o}", sum + more).as_bytes());
    }
    layer.extend(Layer::new().mode("last", 0o4644, "x").done());
    let image = Image::of_bytes([base().done(), layer]);
    let mut files = image.docker_files();
    files[1].1 = Compression::Zstd.of(&files[1].1);
    let scanned = scan_bytes(&as_tar(&files));
    let found = &scanned.report.scan;
    found_base(found);
    assert_eq!(found.problems, []);
    assert_eq!(found.layers[1].entries, u64::from(FILES) + 1);
    assert!(found.setid_files.iter().any(|f| f.path == "/last"));
    assert_eq!(scanned.done.code, 0);
}

#[test]
fn layers_that_are_cut_or_changed() {
    let upper = || {
        Layer::new()
            .file("a", vec![b'a'; 5000])
            .mode("late", 0o4644, "x")
            .file("b", vec![7; 90_000])
    };
    let whole = upper().done();
    for bytes in [whole[..3000].to_vec(), whole[..whole.len() - 70_000].to_vec()] {
        let scanned = scan_bytes(&second(bytes));
        doubtful(&scanned);
        assert_eq!(problem(&scanned.report.scan, ProblemKind::Truncated).layer, Some(1));
    }
    // The archive itself ends in the middle.
    let archive = Image::of([base(), upper()]).docker_archive();
    for cut in [archive.len() / 2, archive.len() - 3000] {
        let scanned = scan_bytes(&archive[..cut]);
        assert_eq!(scanned.done.code, 2);
        problem(&scanned.report.scan, ProblemKind::Truncated);
        assert!(scanned.report.verdict.safety == Safety::Undecided);
    }
    // Compressed layers of a layout: cut, and one bit flipped.
    for compression in [Compression::Gzip, Compression::Zstd] {
        for harm in [
            |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2),
            |bytes: &mut Vec<u8>| {
                let at = bytes.len() / 2;
                bytes[at] ^= 0x10;
            },
        ] {
            let mut files = Image::of([base(), upper()]).oci_files(compression);
            harm(&mut files[1].1);
            let dir = tempfile::tempdir().unwrap();
            write_below(dir.path(), &files);
            for scanned in [
                scan_bytes(&as_tar(&files)),
                scan(&["--oci-layout", dir.path().to_str().unwrap()], None),
            ] {
                doubtful(&scanned);
                let problems = &scanned.report.scan.problems;
                let kinds = [
                    ProblemKind::Truncated,
                    ProblemKind::Corrupt,
                    ProblemKind::DigestMismatch,
                    ProblemKind::Absent,
                ];
                assert!(
                    problems.iter().any(|p| p.layer == Some(1) && kinds.contains(&p.kind)),
                    "{problems:?}"
                );
            }
        }
    }
}

#[test]
fn another_layer_than_the_one_named() {
    let other = Layer::new().mode("smuggled", 0o4644, "x").done();
    let scanned = scan_bytes(&second(other.clone()));
    doubtful(&scanned);
    let mismatch = problem(&scanned.report.scan, ProblemKind::DigestMismatch);
    assert_eq!(mismatch.layer, Some(1), "{mismatch:?}");
    let mut files = Image::of([base(), Layer::new()]).oci_files(Compression::Gzip);
    files[1].1 = Compression::Gzip.of(&other);
    let dir = tempfile::tempdir().unwrap();
    write_below(dir.path(), &files);
    for scanned in
        [scan_bytes(&as_tar(&files)), scan(&["--oci-layout", dir.path().to_str().unwrap()], None)]
    {
        doubtful(&scanned);
    }
    // A layer that the manifest names and nobody has.
    let mut files = Image::of([base(), Layer::new().file("x", "y")]).docker_files();
    files.remove(1);
    let scanned = scan_bytes(&as_tar(&files));
    doubtful(&scanned);
    assert_eq!(problem(&scanned.report.scan, ProblemKind::Absent).layer, Some(1));
}

#[test]
fn names_that_lead_out() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("written").display().to_string();
    let up = "../".repeat(20);
    let layer = Layer::new()
        .file(&format!("{up}{}", target.trim_start_matches('/')), "x")
        .file(&target, "x")
        .link("out", dir.path().to_str().unwrap())
        .file("out/written", "x")
        .hard("shadow", &format!("{up}etc/shadow"))
        .link(&format!("{up}etc/passwd"), "/x");
    let scanned = scan_bytes(&Image::of([base(), layer]).docker_archive());
    assert_ne!(scanned.report.verdict.safety, Safety::Safe);
    doubtful(&scanned);
    let escape = problem(&scanned.report.scan, ProblemKind::Escape);
    assert!(escape.place.contains(".."), "{escape:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is written");
    assert!(!scanned.done.stdout.contains("root:"), "nothing of the host is read");
}

#[test]
fn names_that_are_no_text() {
    let layer = Layer::new()
        .entry(b'0', b"opt/\xff\xfe\x1b[2J", 0o4644, b"", b"x")
        .entry(b'0', &[b'n'; 5000], 0o4644, b"", b"x")
        .entry(b'0', b"late", 0o4644, b"", b"x");
    let scanned = scan_bytes(&Image::of([base(), layer]).docker_archive());
    found_base(&scanned.report.scan);
    let upper = scanned.report.scan.setid_files.iter().filter(|f| f.layer == Some(1)).count();
    let told = scanned.report.scan.problems.iter().filter(|p| p.layer == Some(1)).count();
    assert!(upper == 3 || told > 0 && scanned.done.code == 2, "{:?}", scanned.report.scan);
    assert!(scanned.report.scan.setid_files.iter().any(|f| f.path == "/late"));
    let words = ["image", "scan", "--no-color", "--archive", "-"];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let layer = Layer::new().entry(b'0', b"opt/\x1b[2J", 0o4644, b"", b"x");
    fs::write(&path, Image::of([layer]).docker_archive()).unwrap();
    let table = Haechi::new(&words).input(fs::File::open(path).unwrap()).run();
    assert!(!table.stdout.contains('\x1b'), "{:?}", table.stdout);
}

#[test]
fn a_link_to_nowhere() {
    let layer =
        Layer::new().hard("gone", "not/there").hard("self", "self").mode("late", 0o4644, "x");
    let scanned = scan_bytes(&Image::of([base(), layer]).docker_archive());
    found_base(&scanned.report.scan);
    assert!(scanned.report.scan.setid_files.iter().any(|f| f.path == "/late"));
    assert_eq!(
        scanned.done.code, 2,
        "what it would be is not known: {:?}",
        scanned.report.scan.problems
    );
}

/// 100 GB of nothing in GNU's old form (typeflag S) and in PAX 1.0.
#[test]
fn sparse_files() {
    const SIZE: u64 = 100_000_000_000;
    let mut gnu = Layer::new().entry(b'S', b"gnu", 0o644, b"", b"end").open();
    gnu[386..398].copy_from_slice(b"00000001000\0");
    gnu[398..410].copy_from_slice(b"00000000003\0");
    gnu[483..495].copy_from_slice(&[&[0x80, 0, 0, 0][..], &SIZE.to_be_bytes()].concat());
    // GNU's own magic.
    gnu[257..265].copy_from_slice(b"ustar  \0");
    gnu[148..156].copy_from_slice(b"        ");
    let sum: u32 = gnu[..512].iter().map(|&b| u32::from(b)).sum();
    gnu[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let records: String = [
        ("GNU.sparse.major", "1".to_owned()),
        ("GNU.sparse.minor", "0".to_owned()),
        ("GNU.sparse.name", "pax".to_owned()),
        ("GNU.sparse.realsize", SIZE.to_string()),
    ]
    .iter()
    .map(|(key, value)| {
        // The length counts its own digits (POSIX.1-2001, pax).
        let rest = format!(" {key}={value}\n");
        let length = rest.len() + 2;
        assert!((10..100).contains(&length));
        format!("{length}{rest}")
    })
    .collect();
    let mut content = b"1\n0\n3\n".to_vec();
    content.pad();
    content.extend(b"abc");
    for layer in [
        Layer::new().raw(gnu),
        Layer::new()
            .entry(b'x', b"PaxHeaders/pax", 0o644, b"", records.as_bytes())
            .file("GNUSparseFile.0/pax", content),
    ] {
        let scanned =
            scan_bytes(&Image::of([base(), layer.mode("late", 0o4644, "x")]).docker_archive());
        found_base(&scanned.report.scan);
        let late = scanned.report.scan.setid_files.iter().any(|f| f.path == "/late");
        assert!(late || scanned.done.code == 2, "{:?}", scanned.report.scan.problems);
    }
}

#[test]
fn added_and_deleted_again_and_again() {
    let add = || Layer::new().mode("opt/tool", 0o4644, "x");
    let delete = || Layer::new().delete("opt/tool");
    let setid = |layers: Vec<Layer>| {
        let scanned = scan_bytes(&Image::of([vec![base()], layers].concat()).docker_archive());
        found_base(&scanned.report.scan);
        let all = scanned.report.scan.setid_files;
        all.into_iter().filter(|f| f.path == "/opt/tool").map(|f| f.layer).collect::<Vec<_>>()
    };
    assert_eq!(setid(vec![add(), delete()]), []);
    assert_eq!(setid(vec![add(), delete(), add()]), [Some(3)]);
    assert_eq!(setid(vec![add(), delete(), add(), delete()]), []);
    // A whiteout is about the layers below, not about its own (OCI image specification, layer.md).
    assert_eq!(setid(vec![add(), add().delete("opt/tool")]), [Some(2)]);
    assert_eq!(setid(vec![add(), delete().mode("opt/tool", 0o4644, "x")]), [Some(2)]);
    // All of a directory that layers below brought, and nothing of its own layer.
    let opaque = Layer::new().file("opt/.wh..wh..opq", "").mode("opt/new", 0o4644, "x");
    let scanned = scan_bytes(&Image::of([base(), add(), opaque]).docker_archive());
    let left: Vec<&str> = scanned.report.scan.setid_files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(left, ["/opt/new"]);
}

const STATUS: &str = "Package: NAME\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0-1\nDescription: d\n\n";

/// A database that knows Debian 12 and has `acme-bad` as critical.
fn known() -> tempfile::TempDir {
    let feeds = Feeds::new();
    feeds.zip(
        "osv/Debian/all.zip",
        &[feeds.critical("CVE-2026-0001", "Debian:12", "acme-bad", "2.0-1")],
    );
    let data = tempfile::tempdir().unwrap();
    feeds.load(data.path());
    data
}

fn scan_with(data: &tempfile::TempDir, image: &Image) -> Scanned {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar");
    fs::write(&path, image.docker_archive()).unwrap();
    scan(&["--archive", path.to_str().unwrap()], Some(data.path()))
}

#[test]
fn distributions_that_are_not_what_they_seem() {
    let data = known();
    let os = |layer: Layer, text: &str| {
        if text.is_empty() { layer } else { layer.file("etc/os-release", text) }
    };
    let image = |text: &str, name: &str| {
        Image::of([os(base(), text).file("var/lib/dpkg/status", STATUS.replace("NAME", name))])
    };
    let debian = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n";
    assert_eq!(scan_with(&data, &image(debian, "acme-good")).done.code, 0);
    assert_eq!(scan_with(&data, &image(debian, "acme-bad")).done.code, 1);
    for unknown in ["", "ID=plan10\nVERSION_ID=1\n", "ID=debian\nVERSION_ID=99\n", "ID=\n\0\n"] {
        let scanned = scan_with(&data, &image(unknown, "acme-bad"));
        doubtful(&scanned);
    }
    // The file is a loop of links.
    let looping = base()
        .link("etc/os-release", "a")
        .link("etc/a", "os-release")
        .file("var/lib/dpkg/status", STATUS.replace("NAME", "acme-bad"));
    doubtful(&scan_with(&data, &Image::of([looping])));
    // Replaced above: what is there in the end counts, and where it came from.
    let status = |name: &str| STATUS.replace("NAME", name);
    let replaced = Image::of([
        os(base(), debian).file("var/lib/dpkg/status", status("acme-good")),
        Layer::new().file("var/lib/dpkg/status", status("acme-good") + &status("acme-bad")),
    ]);
    let scanned = scan_with(&data, &replaced);
    assert_eq!(scanned.done.code, 1);
    let bad = scanned.report.scan.packages.iter().find(|p| p.name == "acme-bad").unwrap();
    assert_eq!(bad.layer, Some(1));
    // Behind a link: read there, or said not to have been read.
    let linked = Image::of([
        os(base(), debian).file("var/lib/dpkg/status", status("acme-good")),
        Layer::new()
            .delete("var/lib/dpkg")
            .link("var/lib/dpkg", "/srv/elsewhere")
            .file("srv/elsewhere/status", status("acme-bad")),
    ]);
    assert_ne!(scan_with(&data, &linked).done.code, 0);
    // Deleted: an image that says it is Debian has packages.
    let deleted = Image::of([
        os(base(), debian).file("var/lib/dpkg/status", status("acme-bad")),
        Layer::new().delete("var/lib/dpkg/status"),
    ]);
    doubtful(&scan_with(&data, &deleted));
}

#[test]
fn databases_of_rpm_that_are_broken() {
    let os = || base().file("etc/os-release", "ID=rocky\nVERSION_ID=9.4\n");
    for (path, bytes) in [
        ("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0 and then nonsense".repeat(200)),
        ("var/lib/rpm/rpmdb.sqlite", Vec::new()),
        ("var/lib/rpm/Packages", [&[0; 12][..], &[0x61, 0x15, 6, 0], &[0xff; 9000]].concat()),
        ("var/lib/rpm/Packages", vec![0; 100]),
        ("usr/lib/sysimage/rpm/Packages.db", [&b"RpmP"[..], &[0xff; 8000]].concat()),
    ] {
        // To SQLite, an empty file is an empty database.
        let empty = bytes.is_empty();
        let scanned = scan_bytes(&Image::of([os().file(path, bytes)]).docker_archive());
        doubtful(&scanned);
        let problems = &scanned.report.scan.problems;
        let named = |place: &str| place.contains(path) || empty && place == "package database";
        assert!(problems.iter().any(|p| named(&p.place)), "{path}: {problems:?}");
    }
}

#[test]
fn documents_with_two_meanings() {
    let mut files =
        Image::of([base(), Layer::new().mode("opt/second", 0o4644, "x")]).docker_files();
    let manifest = files.last_mut().unwrap();
    let text = String::from_utf8(manifest.1.clone()).unwrap();
    // One reader takes the first list of layers, another the last.
    manifest.1 =
        text.replace("\"Layers\":", "\"Layers\":[\"layer0/layer.tar\"],\"Layers\":").into_bytes();
    assert_ne!(text.as_bytes(), manifest.1);
    let done = archive(&as_tar(&files));
    if done.code != 2 {
        // The engine takes the last.
        assert_eq!(Scanned::of(done).report.scan.setid_files.len(), 2);
    }
    for nonsense in [&b"[]"[..], b"{", b"[{}]", b"null", &b"[".repeat(100_000)] {
        files.last_mut().unwrap().1 = nonsense.to_vec();
        assert_eq!(archive(&as_tar(&files)).code, 2, "{:?}", &nonsense[..nonsense.len().min(9)]);
    }
    for nothing in [&b""[..], b"\x1f\x8b", &[0; 10_240], b"hello"] {
        assert_eq!(archive(nothing).code, 2);
    }
}

fn archive(bytes: &[u8]) -> haechi_tests::Done {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar");
    fs::write(&path, bytes).unwrap();
    let done =
        Haechi::new(&["image", "scan", "--format", "json", "--archive", path.to_str().unwrap()])
            .run();
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    done
}

#[test]
fn a_worker_that_is_killed() {
    let archive = Image::of([base(), Layer::new().file("big", vec![1; 4 << 20])]).docker_archive();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let words = ["image", "scan", "--format", "json", "--archive", "-"];
    let mut haechi = Haechi::new(&words).input(reader);
    let running = haechi.begin();
    // The first layer, and the beginning of the second.
    writer.write_all(&archive[..2 << 20]).unwrap();
    let mut workers = Vec::new();
    until("a worker reads", || {
        workers = children(running.id());
        workers.len() == 1
    });
    let worker = workers[0];
    let killed = Command::new("kill").args(["-KILL", &worker.to_string()]).status().unwrap();
    assert!(killed.success());
    let _ = writer.write_all(&archive[2 << 20..]);
    drop(writer);
    let scanned = Scanned::of(running.end());
    assert_eq!(scanned.done.code, 2);
    assert_eq!(scanned.report.verdict.safety, Safety::Undecided);
    let crashed = problem(&scanned.report.scan, ProblemKind::Crashed);
    assert!(crashed.detail.contains("signal: 9"), "{crashed:?}");
}
