//! Go programs: the build information that the linker puts into every binary.
//!
//! Reads the main module, its dependencies (with replacements) and the version of Go, from the inline form
//! (Go 1.18 and later) and the form with pointers (earlier), as documented by Go's package `debug/buildinfo`. It does
//! not look at symbols: a dependency counts even if the linker dropped all of its code. Called by
//! [`super::programs`], which opens each binary once.

use haechi_core::inventory::{Package, PackageKind};
use object::{Object as _, ObjectSection as _, ObjectSegment as _};

use crate::reader::{Found, Meta, Reader};

/// Readers of this file: none of its own, see [`super::programs::READERS`].
pub const READERS: &[Reader] = &[];

/// What the blob begins with.
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The blob starts at a multiple of this.
const ALIGNMENT: usize = 16;
/// Places with the magic that are tried: the Go tools carry it as data a few times, a hostile file more often.
const CANDIDATES_MAX: usize = 64;
/// Bytes of module information: Kubernetes, with 300 modules, has 40 KiB.
const TEXT_MAX: usize = 16 << 20;
/// Modules of one program: the largest known have two thousand.
const MODULES_MAX: usize = 50_000;
/// What a module without a released version is called by Go.
const DEVEL: &str = "(devel)";

/// What one binary says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Info {
    /// Version of Go, without `go`.
    pub go: String,
    /// The main module and its version.
    pub main: Option<(String, String)>,
    /// Dependencies, replacements applied.
    pub deps: Vec<(String, String)>,
    /// Lines that could not be used, or a limit that was met.
    pub unread: Option<String>,
}

/// Adds the modules of a binary and gives what it says, or tells that it is a Go program which says nothing.
pub(super) fn read(
    meta: &Meta<'_>,
    file: Option<&object::File<'_>>,
    content: &[u8],
    found: &mut Found,
) -> Option<Info> {
    let Some(info) = info(file, content) else {
        if is_go(file, content) {
            found.unread.push(format!("{}: a Go program without build information", meta.path));
        }
        return None;
    };
    if let Some(why) = &info.unread {
        found.unread.push(format!("{}: Go build information: {why}", meta.path));
    }
    let package =
        |name: &str, version: &str| Package::new(PackageKind::Golang, name, version, meta.path);
    found.packages.push(package("stdlib", &info.go));
    for (name, version) in info.main.iter().chain(&info.deps) {
        found.packages.push(package(name, version));
    }
    Some(info)
}

fn info(file: Option<&object::File<'_>>, content: &[u8]) -> Option<Info> {
    // The section first; a binary may also carry the magic as plain data.
    let section = file.and_then(|file| {
        [".go.buildinfo", "__go_buildinfo"].into_iter().find_map(|name| {
            let (offset, _) = file.section_by_name(name)?.file_range()?;
            usize::try_from(offset).ok()
        })
    });
    let scan = memchr::memmem::find_iter(content, MAGIC)
        .filter(|at| at % ALIGNMENT == 0)
        .take(CANDIDATES_MAX);
    section.into_iter().chain(scan).find_map(|at| {
        let blob = content.get(at..)?;
        let (version, modules) = strings(file, blob)?;
        let version = std::str::from_utf8(version).ok()?;
        // `go1.22.1 X:boringcrypto`, `devel go1.23-abc123 Mon …`.
        let go = version
            .split_whitespace()
            .find_map(|word| word.strip_prefix("go"))
            .or_else(|| version.starts_with("devel").then_some(version))?;
        let mut info = Info { go: go.to_owned(), ..Info::default() };
        parse(modules, &mut info);
        if info.main.is_none() && info.deps.is_empty() && !is_standard(modules) {
            info.unread = Some("it names no modules (built outside of module mode)".to_owned());
        }
        Some(info)
    })
}

/// Whether a program without modules has none: one of Go's own tools, or files that only need the standard library.
/// Their path begins with a word; any other begins with a host name. Older programs give no path.
fn is_standard(modules: &[u8]) -> bool {
    let text = String::from_utf8_lossy(modules);
    let path = text.lines().find_map(|line| line.strip_prefix("path\t"));
    path.and_then(|path| path.split('/').next()).is_some_and(|first| !first.contains('.'))
}

/// The two strings of the blob: the version of Go, and the module information without its frame.
fn strings<'a>(file: Option<&object::File<'a>>, blob: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let rest = blob.strip_prefix(MAGIC)?;
    let (&[pointer_size, flags], _) = rest.split_first_chunk::<2>()?;
    let (version, modules) = if flags & 2 != 0 {
        let (version, rest) = counted(blob.get(32..)?)?;
        (version, counted(rest).map_or(&[][..], |(text, _)| text))
    } else {
        let order = Pointers { size: usize::from(pointer_size), big_endian: flags & 1 != 0 };
        let pointers = blob.get(ALIGNMENT..)?;
        let version = order.string(file?, order.get(pointers)?)?;
        let modules = order.get(pointers.get(order.size..)?).and_then(|at| order.string(file?, at));
        (version, modules.unwrap_or_default())
    };
    // Sixteen bytes before and after, and a line feed at the end, mark it.
    let framed = modules.len().checked_sub(ALIGNMENT).and_then(|end| modules.get(ALIGNMENT..end));
    Some((version, framed.filter(|text| text.ends_with(b"\n")).unwrap_or_default()))
}

/// A string after its length as a varint of base 128.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (index, &byte) in bytes.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x7f).checked_shl(u32::try_from(index).ok()? * 7)?;
        if byte & 0x80 == 0 {
            if length > TEXT_MAX {
                return None;
            }
            return bytes.get(index + 1..)?.split_at_checked(length);
        }
    }
    None
}

/// How a program writes addresses.
struct Pointers {
    size: usize,
    big_endian: bool,
}

impl Pointers {
    /// The address at the start of these bytes.
    fn get(&self, bytes: &[u8]) -> Option<u64> {
        if self.size == 8 {
            let (&bytes, _) = bytes.split_first_chunk::<8>()?;
            Some(if self.big_endian {
                u64::from_be_bytes(bytes)
            } else {
                u64::from_le_bytes(bytes)
            })
        } else if self.size == 4 {
            let (&bytes, _) = bytes.split_first_chunk::<4>()?;
            Some(u64::from(if self.big_endian {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }))
        } else {
            None
        }
    }

    /// The string whose header (address and length) is at this address.
    fn string<'a>(&self, file: &object::File<'a>, header: u64) -> Option<&'a [u8]> {
        let header = memory(file, header, u64::try_from(self.size).ok()? * 2)?;
        let length = self.get(header.get(self.size..)?)?;
        if usize::try_from(length).ok()? > TEXT_MAX {
            return None;
        }
        memory(file, self.get(header)?, length)
    }
}

/// What the program has in memory at an address.
fn memory<'a>(file: &object::File<'a>, address: u64, size: u64) -> Option<&'a [u8]> {
    file.segments().find_map(|segment| segment.data_range(address, size).ok().flatten())
}

/// Reads the lines `mod`, `dep`, `=>` and `build`.
fn parse(modules: &[u8], info: &mut Info) {
    let mut flags = None;
    let mut revision = None;
    let mut last_is_main = false;
    for line in String::from_utf8_lossy(modules).lines() {
        let mut fields = line.split('\t');
        let (word, name) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let version = fields.next().filter(|text| !text.is_empty()).unwrap_or(DEVEL).to_owned();
        match word {
            "mod" => {
                info.main = Some((name.to_owned(), version));
                last_is_main = true;
            }
            "dep" => {
                if info.deps.len() >= MODULES_MAX {
                    info.unread = Some(format!("more than {MODULES_MAX} modules"));
                    break;
                }
                info.deps.push((name.to_owned(), version));
                last_is_main = false;
            }
            "=>" => {
                let replaced = if last_is_main { info.main.as_mut() } else { info.deps.last_mut() };
                match replaced {
                    // A directory has no name that an advisory knows, and what is in it has no version.
                    Some(module) if name.starts_with(['.', '/']) => module.1 = DEVEL.to_owned(),
                    Some(module) => *module = (name.to_owned(), version),
                    None => info.unread = Some("a replacement of nothing".to_owned()),
                }
            }
            "build" => match name.split_once('=') {
                Some(("-ldflags", value)) => flags = Some(value.to_owned()),
                Some(("vcs.revision", value)) => revision = Some(value.to_owned()),
                _ => {}
            },
            _ => {}
        }
    }
    if let Some((name, version)) = &mut info.main
        && version.as_str() == DEVEL
    {
        let stamped = flags.as_deref().and_then(|flags| stamped(flags, name));
        *version = match (stamped, revision) {
            (Some(stamped), _) => stamped,
            (None, Some(revision)) => format!("{DEVEL}+{revision}"),
            (None, None) => DEVEL.to_owned(),
        };
    }
}

/// The version that a build script gave with `-ldflags "-X main.version=1.2.3"`, as Go writes versions.
fn stamped(flags: &str, module: &str) -> Option<String> {
    flags.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\')).find_map(|word| {
        let (variable, value) = word.split_once('=')?;
        let (package, variable) = variable.rsplit_once('.')?;
        let own = package == "main" || package == module || {
            package.strip_prefix(module).is_some_and(|rest| rest.starts_with('/'))
        };
        let number = value.strip_prefix('v').unwrap_or(value);
        let released = number.starts_with(|c: char| c.is_ascii_digit()) && number.contains('.');
        (own && released && variable.to_ascii_lowercase().ends_with("version"))
            .then(|| format!("v{number}"))
    })
}

/// Whether this is a Go program: its table of functions, by the section or by its header in a file without sections.
fn is_go(file: Option<&object::File<'_>>, content: &[u8]) -> bool {
    let named = [".gopclntab", ".data.rel.ro.gopclntab", "__gopclntab"];
    if file.is_some_and(|file| named.iter().any(|name| file.section_by_name(name).is_some())) {
        return true;
    }
    // One search that ends it for nearly every other program, before the sixteen below.
    if memchr::memmem::find(content, b"runtime.goexit").is_none() {
        return false;
    }
    // Magic of Go 1.20, 1.18, 1.16 and 1.2; two zeros; the smallest instruction; the size of a pointer.
    [0xf1_u8, 0xf0, 0xfa, 0xfb].into_iter().any(|first| {
        [[1_u8, 8], [4, 8], [1, 4], [4, 4]].into_iter().any(|[quantum, pointer]| {
            let magic = [first, 0xff, 0xff, 0xff, 0, 0, quantum, pointer];
            memchr::memmem::find(content, &magic).is_some()
        })
    })
}

#[cfg(test)]
mod tests;
