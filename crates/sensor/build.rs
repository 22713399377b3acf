//! Compiles the programs in `bpf/` with clang, so that Haechi carries them and needs no compiler where it runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Each is loaded by itself, as a kernel may take one and refuse another.
const OBJECTS: [&str; 3] = ["sensor", "deny", "cut"];
/// Names under which distributions have the tools.
const CLANG: [&str; 8] =
    ["clang", "clang-14", "clang-15", "clang-16", "clang-17", "clang-18", "clang-19", "clang-20"];

fn main() -> Result<(), String> {
    let folder = Path::new("../../bpf");
    println!("cargo:rerun-if-changed={}", folder.display());
    println!("cargo:rerun-if-env-changed=PATH");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let clang = CLANG.into_iter().find(|name| runs(name)).ok_or(
        "clang is missing: it compiles the programs that run in the kernel; `apt-get install clang`",
    )?;
    OBJECTS.into_iter().try_for_each(|name| compile(clang, folder, &out, name))
}

/// Compiles one of them.
fn compile(clang: &str, folder: &Path, out: &Path, name: &str) -> Result<(), String> {
    let source = folder.join(format!("{name}.bpf.c"));
    let object = out.join(format!("{name}.bpf.o"));
    let status = Command::new(clang)
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror"])
        // Helpers are declared once for all programs.
        .args(["-Wno-unused-variable", "-Wno-unused-const-variable", "-Wno-unknown-attributes"])
        .arg("-c")
        .arg(&source)
        .arg("-o")
        .arg(&object)
        .status()
        .map_err(|error| format!("{clang}: {error}"))?;
    if !status.success() {
        return Err(format!("{clang} could not compile {}", source.display()));
    }
    strip(clang, &object);
    fs::metadata(&object).map(drop).map_err(|error| format!("{}: {error}", object.display()))
}

/// Takes out what only debuggers read; BTF stays. Without the tool the object is larger and as good.
fn strip(clang: &str, object: &Path) {
    let of_version = clang.replace("clang", "llvm-strip");
    for tool in [of_version.as_str(), "llvm-strip", "llvm-strip-14"] {
        let stripped = Command::new(tool).arg("-g").arg(object).status();
        if stripped.is_ok_and(|status| status.success()) {
            return;
        }
    }
}

/// Whether a program is there.
fn runs(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
}
