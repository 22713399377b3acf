//! What a container is allowed, and nothing else, held by the kernel (BPF LSM): programs and files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use haechi_core::allowance::{Allowance, Mode, Writable};
use haechi_core::event::Origin;
use haechi_sensor::{Because, Deny, Refusal, Tier};

use super::{Group, Lines, Outcome, RAN, REFUSED};

/// Enters a group, mounts of its own and a root, and becomes a program.
const ENTER: &str = "echo $$ > \"$0/cgroup.procs\" && exec /bin/busybox unshare -m /bin/busybox chroot /box/merged \"$@\"";

struct Box {
    group: Group,
}

impl Box {
    /// The exit status of a shell's script inside.
    fn status(&self, script: &str) -> Result<i32, std::io::Error> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", ENTER]).arg(&self.group.0).args(["/sh", "-c", script]);
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.status()?.code().ok_or_else(|| std::io::Error::other("it was killed"))
    }

    fn merged() -> PathBuf {
        "/box/merged".into()
    }
}

fn overlay() -> Outcome {
    for folder in ["bin", "data", "tmp"] {
        fs::create_dir_all(Path::new("/box/lower").join(folder))?;
    }
    for folder in ["upper", "work", "merged"] {
        fs::create_dir_all(Path::new("/box").join(folder))?;
    }
    for file in ["bin/busybox", "sh", "known", "other"] {
        fs::copy("/bin/busybox", Path::new("/box/lower").join(file))?;
    }
    fs::write("/box/lower/data/file", "image\n")?;
    let layers = "lowerdir=/box/lower,upperdir=/box/upper,workdir=/box/work";
    let mut mount = Command::new("/bin/mount");
    mount.args(["-t", "overlay", "overlay", "-o", layers, "/box/merged"]);
    if mount.status()?.success() { Ok(()) } else { Err("no overlay could be mounted".into()) }
}

fn allowance(writable: Option<Writable>) -> Allowance {
    let image = |path: &str| (path.to_owned(), [Origin::Image].into());
    // What enters is started outside of the overlay.
    let enters = ("/bin/busybox".to_owned(), [Origin::Image, Origin::Mounted].into());
    Allowance { programs: [image("/sh"), image("/known"), enters].into(), writable }
}

pub(super) fn allow(lines: &mut Lines) -> Outcome {
    let (mut deny, _) = Deny::with_tier(Tier::Lsm);
    overlay()?;
    let one = Box { group: Group::new('7')? };
    let neighbour = Box { group: Group::new('8')? };
    let (group, merged) = (one.group.id()?, Box::merged());
    deny.watch(group, Some(&merged))?;
    lines.same("allowed: at first all runs", one.status("/other")?, RAN);

    let programs = allowance(None);
    let lacks = deny.allow_only(group, Some(&merged), Some((&programs, Mode::DryRun)))?;
    lines.same("allowed: programs can be limited", lacks, None);
    lines.same("dry run: a known program runs", one.status("/known")?, RAN);
    lines.same("dry run: another runs", one.status("/other")?, RAN);
    told(
        lines,
        &mut deny,
        "dry run: only the other is told",
        &[("/other", Because::NotAllowed, false)],
    )?;

    deny.allow_only(group, Some(&merged), Some((&programs, Mode::Deny)))?;
    lines.same("allowed: a known program runs", one.status("/known")?, RAN);
    lines.same("allowed: another is refused", one.status("/other")?, REFUSED);
    lines.same("allowed: in another container it runs", neighbour.status("/other")?, RAN);
    let copy = one.status("/bin/busybox cp /known /tmp/copy; /tmp/copy")?;
    lines.same("allowed: a copy elsewhere is refused", copy, REFUSED);
    let bound = one.status("/bin/busybox mount -o bind /other /known && /known")?;
    lines.same("allowed: another mounted over it is refused", bound, REFUSED);
    let root = "/bin/busybox mkdir -p /tmp/r && /bin/busybox cp /other /tmp/r/known && /bin/busybox chroot /tmp/r /known";
    lines.same("allowed: another root does not help", one.status(root)?, REFUSED);
    let deep = "n=$(printf '%0100d' 0); mkdir -p /tmp/$n/$n/$n; cp /known /tmp/$n/$n/$n/x; /tmp/$n/$n/$n/x";
    let deep = deep.replace("mkdir", "/bin/busybox mkdir").replace("cp ", "/bin/busybox cp ");
    lines.same("allowed: too long a path is refused", one.status(&deep)?, REFUSED);
    let replaced = one.status("/bin/busybox cp /other /known; /known")?;
    lines.same("allowed: overwritten it is refused", replaced, REFUSED);
    let wanted = [
        ("/other", Because::NotAllowed, true),
        ("/tmp/copy", Because::NotAllowed, true),
        ("/other", Because::NotAllowed, true),
        ("/tmp/r/known", Because::NotAllowed, true),
    ];
    told(lines, &mut deny, "allowed: each is told", &wanted)?;

    let writable =
        Writable { folders: ["/data".to_owned()].into(), files: ["/.pid".to_owned()].into() };
    let files = allowance(Some(writable));
    let lacks = deny.allow_only(group, Some(&merged), Some((&files, Mode::DryRun)))?;
    lines.same("files: writing can be limited", lacks, None);
    lines.same("files: dry run refuses nothing", one.status("echo x > /tmp/dry")?, 0);
    told(lines, &mut deny, "files: it is told", &[("/tmp/dry", Because::Written, false)])?;
    deny.allow_only(group, Some(&merged), Some((&files, Mode::Deny)))?;
    for (what, script, may) in [
        ("a new file in a folder that is written", "echo x > /data/new", true),
        ("a file of the image there", "echo x >> /data/file", true),
        ("a folder below", "/bin/busybox mkdir /data/a && echo x > /data/a/b", true),
        ("renaming there", "/bin/busybox mv /data/new /data/newer", true),
        ("a single file", "echo 1 > /.pid", true),
        ("reading elsewhere", "/bin/busybox cmp /sh /other", true),
        ("a new file elsewhere", "echo x > /tmp/no", false),
        ("one with the same beginning", "echo x > /.pid2", false),
        ("changing a file of the image elsewhere", "echo x >> /other", false),
        ("removing", "/bin/busybox rm -f /other", false),
        ("renaming out", "/bin/busybox mv /data/newer /tmp/newer", false),
        ("a folder", "/bin/busybox mkdir /d", false),
        ("a link", "/bin/busybox ln -s /data /l", false),
    ] {
        let found = one.status(script)? == 0;
        lines.same(&format!("files: {what}"), found, may);
    }
    lines.is(
        "files: nothing is left of what was refused",
        !Path::new("/box/merged/tmp/no").exists(),
    );
    let outside = neighbour.status("echo x > /tmp/yes")?;
    lines.same("files: another container writes", outside, 0);
    deny.forget(group)?;
    lines.same("allowed: forgotten, all runs", one.status("/other; echo x > /tmp/late")?, 0);
    Ok(())
}

/// What was told: these, in this order, maybe with more behind.
fn told(
    lines: &mut Lines,
    deny: &mut Deny,
    what: &str,
    wanted: &[(&str, Because, bool)],
) -> Outcome {
    let mut found: Vec<Refusal> = Vec::new();
    while found.len() < wanted.len() {
        let more = deny.next(Duration::from_secs(5))?;
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    found.extend(deny.refused());
    let found: Vec<_> =
        found.iter().map(|one| (one.path.as_str(), one.because, one.is_refused)).collect();
    let problem = (!found.starts_with(wanted)).then(|| format!("{found:?}"));
    lines.tell(what, problem);
    Ok(())
}
