//! A container's file system as the host sees it: where its files really are, and whether they are still the image's.
//!
//! Promises that no link, mount or other root of the container leads out of its own overlay, and that what cannot be told
//! is not taken for the image's. Of a file only the name of its loader is read.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use haechi_core::event::Origin;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{FileKind, ReadCache, ReadRef, elf};
use rustix::fs::{Mode, OFlags, ResolveFlags, Stat, fstat, openat2};

/// `S_IFREG` and `S_IFMT`.
const KIND_REGULAR: u32 = 0o100_000;
const KIND: u32 = 0o170_000;

/// The mounted overlay of a container, and the folder of its writable layer.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    folder: PathBuf,
    upper: PathBuf,
}

impl Place {
    /// The overlay that is mounted at a folder, or the root of the process whose `/proc/PID/root` the folder is.
    pub(crate) fn of(folder: &Path) -> Result<Self, String> {
        let process = folder.strip_prefix("/proc").ok().and_then(Path::parent);
        let (viewer, place) = match process {
            Some(pid) if folder.ends_with("root") => (Path::new("/proc").join(pid), Path::new("/")),
            _ => (PathBuf::from("/proc/self"), folder),
        };
        let mounts = fs::read_to_string(viewer.join("mountinfo")).map_err(|e| e.to_string())?;
        let place = place.to_str().ok_or("its folder has no text for a name")?;
        let upper = upper_of(&mounts, place).ok_or("its writable layer is not known")?;
        // An engine whose list of layers is too long for the kernel gives paths from the folder of all containers.
        let upper = match (upper.is_absolute(), folder.parent().and_then(Path::parent)) {
            (true, _) => upper,
            (false, Some(all)) => all.join(upper),
            (false, None) => return Err("its writable layer is not known".into()),
        };
        if !upper.is_dir() {
            return Err(format!("its writable layer cannot be reached: {}", upper.display()));
        }
        Ok(Self { folder: folder.to_owned(), upper })
    }

    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self { folder: PathBuf::new(), upper: PathBuf::new() }
    }

    /// Whether a file is the one at this path of the overlay itself, whatever the container mounted over it.
    pub(crate) fn is_at(&self, path: &str, file: &Stat) -> bool {
        let found = beneath(&self.folder, path).and_then(|found| fstat(found).ok());
        found.is_some_and(|found| (found.st_dev, found.st_ino) == (file.st_dev, file.st_ino))
    }

    /// Whether the file at a path is in the writable layer, or still the image's.
    pub(crate) fn origin(&self, path: &str) -> Origin {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let Ok(upper) = File::open(&self.upper) else { return Origin::Changed };
        match openat2(upper, path.trim_start_matches('/'), flags, Mode::empty(), strict) {
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Origin::Image,
            _ => Origin::Changed,
        }
    }

    /// Where a path leads over the links of the container; `None` if nowhere in its own file system.
    pub(crate) fn real(&self, path: &str) -> Option<String> {
        let root = File::open(&self.folder).ok()?;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let found = openat2(root, path, flags, Mode::empty(), inside).ok()?;
        let told = fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()?;
        let whole = fs::canonicalize(&self.folder).ok()?;
        // Seen through a process it is told from the container's root already.
        let own = told.strip_prefix(&whole).unwrap_or(&told);
        let text = own.to_str()?.trim_start_matches('/');
        Some(format!("/{text}"))
    }

    /// The real path of the loader that a program names, if that is the image's.
    pub(crate) fn loader(&self, program: &str) -> Option<String> {
        let found = beneath(&self.folder, program)?;
        let stat = fstat(&found).ok()?;
        if stat.st_mode & KIND != KIND_REGULAR {
            return None;
        }
        let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()?;
        let loader = self.real(&interpreter(&ReadCache::new(file))?)?;
        (self.origin(&loader) == Origin::Image).then_some(loader)
    }
}

/// The file at a path, without a link or another mount on the way.
fn beneath(folder: &Path, path: &str) -> Option<OwnedFd> {
    let folder = File::open(folder).ok()?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(folder, path.trim_start_matches('/'), flags, Mode::empty(), strict).ok()
}

/// The loader that a program names (`PT_INTERP`).
fn interpreter<'d>(data: impl ReadRef<'d>) -> Option<String> {
    match FileKind::parse(data).ok()? {
        FileKind::Elf64 => interpreter_of::<elf::FileHeader64<object::Endianness>>(data),
        FileKind::Elf32 => interpreter_of::<elf::FileHeader32<object::Endianness>>(data),
        _ => None,
    }
}

fn interpreter_of<'d, Header: FileHeader<Endian = object::Endianness>>(
    data: impl ReadRef<'d>,
) -> Option<String> {
    let header = Header::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let parts = header.program_headers(endian, data).ok()?;
    let name = parts.iter().find_map(|part| part.interpreter(endian, data).ok().flatten())?;
    String::from_utf8(name.to_vec()).ok()
}

/// The writable layer of the overlay at a place, from what the kernel says of the mounts (proc_pid_mountinfo(5)); the last
/// mount there counts.
fn upper_of(mounts: &str, place: &str) -> Option<PathBuf> {
    let kind = mounts.lines().rev().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        (unescaped(mount.split(' ').nth(4)?) == place).then_some(kind)
    })?;
    let options = kind.strip_prefix("overlay ")?.split(' ').nth(1)?;
    let upper = options.split(',').find_map(|option| option.strip_prefix("upperdir="))?;
    Some(unescaped(upper).into())
}

/// A text of that file, with the characters that it writes as numbers.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (number, character)| text.replace(number, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
30 1 0:50 / /over\\040lay/merged rw,relatime shared:4 - overlay overlay rw,lowerdir=/l,upperdir=/up\\040per,workdir=/w
31 1 0:51 / /relative/merged rw - overlay overlay rw,lowerdir=l/A,upperdir=x/diff,workdir=x/work
32 1 0:52 / /read-only rw - overlay overlay ro,lowerdir=l/A:l/B
33 1 0:53 / /twice rw - overlay overlay rw,upperdir=/first
34 1 0:54 / /twice rw - tmpfs tmpfs rw
";

    #[test]
    fn the_writable_layer_is_that_of_the_mount_on_top() {
        let upper = |place| upper_of(MOUNTS, place);
        assert_eq!(upper("/over lay/merged"), Some("/up per".into()));
        assert_eq!(upper("/relative/merged"), Some("x/diff".into()));
        for place in ["/", "/read-only", "/twice", "/none"] {
            assert_eq!(upper(place), None, "{place}");
        }
        assert!(Place::of(Path::new("/")).is_err());
    }

    #[test]
    fn links_lead_nowhere_else_and_what_cannot_be_told_is_not_the_images() {
        let root = std::env::temp_dir().join(format!("haechi-place-{}", std::process::id()));
        for folder in ["merged/usr/bin", "upper/opt"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let (folder, upper) = (root.join("merged"), root.join("upper"));
        std::os::unix::fs::symlink("/usr/bin", folder.join("bin")).unwrap();
        std::os::unix::fs::symlink("/../../../../etc", folder.join("out")).unwrap();
        for file in ["merged/usr/bin/a", "upper/opt/b"] {
            fs::write(root.join(file), "x").unwrap();
        }
        let place = Place { folder: folder.clone(), upper };
        assert_eq!(place.real("/bin/a").as_deref(), Some("/usr/bin/a"));
        assert_eq!(place.real("/out/passwd"), None);
        let stat = rustix::fs::stat(folder.join("usr/bin/a")).unwrap();
        assert!(place.is_at("/usr/bin/a", &stat));
        assert!(!place.is_at("/bin/a", &stat), "over a link");
        assert!(!place.is_at("/../merged/usr/bin/a", &stat));
        assert_eq!(place.origin("/usr/bin/a"), Origin::Image);
        assert_eq!(place.origin("/opt/b"), Origin::Changed);
        assert_eq!(place.loader("/usr/bin/a"), None, "no program");
        let gone = Place { folder, upper: root.join("gone") };
        assert_eq!(gone.origin("/usr/bin/a"), Origin::Changed);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_program_names_its_loader() {
        let own = File::open("/proc/self/exe").unwrap();
        let named = interpreter(&ReadCache::new(own));
        assert!(named.is_none_or(|name| name.starts_with('/')));
        let script: &[u8] = b"#!/bin/sh\n";
        assert_eq!(interpreter(script), None);
    }
}
