//! `cargo xtask bench`: what a verification of 1, 30 and 100 containers costs, and how it grows; what scans of images
//! ([`images`]) and a database of full size ([`database`]) cost; what it costs to be watched ([`monitor`]), and what the
//! dashboard costs on a large host ([`serve`]).
//!
//! Everything is measured in one run on one machine, turn by turn, beside `docker-bench-security` when
//! `HAECHI_BENCH_DOCKER_BENCH` names its folder. Figures of other machines or days are not comparable.

mod data;
mod database;
mod feeds;
mod images;
mod make;
mod monitor;
mod serve;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail};

use crate::measure::Cost;
use crate::needs::{self, For};
use crate::run::{Failed, cargo, docker, haechi, must, output, print, say};
use crate::{engine, lab};

const COUNTS: [usize; 3] = [1, 30, 100];
const LABEL: &str = "haechi.bench=1";
const PREFIX: &str = "haechi-bench-";
/// Containers started at the same time.
const WORKERS: usize = 4;
/// Promised in SPECIFICATION.md: 30 containers within this time and memory, and this much for each more.
const WALL_MS_MAX: f64 = 1000.0;
const PEAK_MIB_MAX: f64 = 100.0;
const GROWTH_MS_MAX: f64 = 10.0;

/// A program that is measured.
struct Tool {
    name: &'static str,
    words: Vec<String>,
    folder: Option<PathBuf>,
    /// The exit codes of a verification that ran.
    codes: &'static [i32],
}

/// Lowest, middle and highest of some runs.
#[derive(Clone, Copy)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

/// The containers of the bench: gone when it ends, however it ends.
struct Containers;

impl Drop for Containers {
    fn drop(&mut self) {
        if let Err(error) = remove() {
            say(format!("cannot remove {PREFIX}*: {error:#}"));
        }
    }
}

/// Measures what the words name, or everything.
pub fn run(words: &[&str]) -> Result<()> {
    let mut syft = None;
    let mut parts = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--syft" => syft = Some(PathBuf::from(words.next().context("--syft PROGRAM")?)),
            part @ ("containers" | "images" | "database" | "monitor" | "serve") => parts.push(part),
            other => bail!(
                "`{other}` is nothing that is measured: containers, images, database, monitor, serve"
            ),
        }
    }
    let rounds = match std::env::var("HAECHI_BENCH_RUNS") {
        Ok(text) => text.parse().context("HAECHI_BENCH_RUNS is a number")?,
        Err(_) => 5,
    };
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    // Together: one after the other, each would build what both need with other features.
    let fill = ["--package", "haechi-desk", "--bin", "haechi", "--example", "fill"];
    let fill = if wanted("serve") { fill.as_slice() } else { &[] };
    must(cargo(&[&["build", "--release", "--package", "haechi"], fill].concat())?)?;
    let mut missed = Vec::new();
    let mut note = |result: Result<()>| match result {
        Err(error) if error.is::<Failed>() => {
            missed.push(error.to_string());
            Ok(())
        }
        other => other,
    };
    // The database first: images are matched against it.
    if wanted("database") {
        note(database::run(rounds))?;
    }
    if wanted("images") {
        note(images::run(syft.as_deref(), rounds))?;
    }
    if wanted("containers") {
        note(containers(rounds))?;
    }
    if wanted("monitor") {
        note(monitor::run(rounds))?;
    }
    if wanted("serve") {
        note(serve::run())?;
    }
    if missed.is_empty() { Ok(()) } else { Err(Failed(missed.join("; ")).into()) }
}

fn containers(rounds: usize) -> Result<()> {
    needs::meet(For::Bench)?;
    engine::meet()?;
    remove()?;
    let data = tempfile::tempdir()?;
    let tools = tools(data.path())?;
    let others = docker(["ps", "--all", "--quiet"])?.lines().count();
    if others > 0 {
        say(format!("{others} other containers are on this engine and are verified as well."));
    }
    let image = lab::image("tools")?;
    let _containers = Containers;
    let mut medians = Vec::new();
    print(format!(
        "containers  program                {:^26}  {:^26}  {:^22}",
        "wall ms", "cpu ms", "peak MiB"
    ));
    for count in COUNTS {
        grow(count, &image)?;
        let costs = measure(&tools, rounds)?;
        for (tool, costs) in tools.iter().zip(&costs) {
            let [wall, cpu, peak] = [
                spread(costs, |cost| cost.wall_ms)?,
                spread(costs, |cost| cost.cpu_ms)?,
                spread(costs, |cost| cost.peak_mib)?,
            ];
            print(format!("{count:>10}  {:<21}  {wall:>26}  {cpu:>26}  {peak:>22}", tool.name));
            medians.push((count, tool.name, wall.median, cpu.median, peak.median));
        }
    }
    verdict(&tools, &medians)
}

fn tools(data: &Path) -> Result<Vec<Tool>> {
    let program = haechi("release")?.display().to_string();
    let verify = ["verify", "--quiet", "--data-dir"].map(ToOwned::to_owned);
    let words =
        std::iter::once(program).chain(verify).chain([data.display().to_string()]).collect();
    let mut tools = vec![Tool { name: "haechi verify", words, folder: None, codes: &[0, 1] }];
    match std::env::var_os("HAECHI_BENCH_DOCKER_BENCH").map(PathBuf::from) {
        Some(folder) if folder.join("docker-bench-security.sh").is_file() => tools.push(Tool {
            name: "docker-bench-security",
            words: ["sh", "docker-bench-security.sh", "-b", "-p"].map(ToOwned::to_owned).into(),
            folder: Some(folder),
            codes: &[0],
        }),
        Some(folder) => bail!("{} holds no docker-bench-security.sh", folder.display()),
        None => {
            say("HAECHI_BENCH_DOCKER_BENCH names no folder: docker-bench-security is not measured.")
        }
    }
    Ok(tools)
}

fn remove() -> Result<()> {
    let ids = docker(["ps", "--all", "--quiet", "--filter", &format!("label={LABEL}")])?;
    if !ids.is_empty() {
        docker(["rm", "--force"].into_iter().chain(ids.lines()))?;
    }
    Ok(())
}

/// Starts containers until there are so many.
fn grow(count: usize, image: &str) -> Result<()> {
    let there = docker(["ps", "--quiet", "--filter", &format!("label={LABEL}")])?.lines().count();
    let names: Vec<String> = (there..count).map(|number| format!("{PREFIX}{number:03}")).collect();
    let start = |name: &String| {
        let words =
            ["run", "--detach", "--name", name, "--label", LABEL, "--network", "none", image];
        docker(words.into_iter().chain(["sleep", "1000000"])).map(drop)
    };
    thread::scope(|threads| {
        let jobs: Vec<_> = names
            .chunks(names.len().div_ceil(WORKERS).max(1))
            .map(|names| threads.spawn(move || names.iter().try_for_each(start)))
            .collect();
        for job in jobs {
            job.join().map_err(|_| anyhow::anyhow!("a worker ended early"))??;
        }
        Ok(())
    })
}

/// Costs by tool. The first round warms caches and is not counted.
fn measure(tools: &[Tool], rounds: usize) -> Result<Vec<Vec<Cost>>> {
    let mut costs: Vec<Vec<Cost>> = tools.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds {
        for (tool, costs) in tools.iter().zip(&mut costs) {
            // Nobody waits a minute for a warm cache of a shell script.
            if round == 0 && tool.folder.is_some() {
                continue;
            }
            let cost = once(tool, "measure")?;
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    Ok(costs)
}

/// Runs a program once; `how` is `measure` or `measure-tree`.
fn once(tool: &Tool, how: &str) -> Result<Cost> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(how).args(&tool.words).env("SYFT_CHECK_FOR_APP_UPDATE", "false");
    if let Some(folder) = &tool.folder {
        command.current_dir(folder);
    }
    let cost: Cost = serde_json::from_str(&output(command)?)?;
    if !tool.codes.contains(&cost.code) {
        bail!("{} ended with {}", tool.name, cost.code);
    }
    Ok(cost)
}

fn spread(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> Result<Spread> {
    spread_of(costs.iter().map(of).collect())
}

fn spread_of(mut all: Vec<f64>) -> Result<Spread> {
    all.sort_by(f64::total_cmp);
    match (all.first(), all.get(all.len() / 2), all.last()) {
        (Some(least), Some(median), Some(most)) => {
            Ok(Spread { median: *median, least: *least, most: *most })
        }
        _ => bail!("nothing was measured"),
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{:.0} ({:.0}-{:.0})", self.median, self.least, self.most))
    }
}

/// A goal, what was measured, and whether it is below; the text says it.
fn goal(what: &str, value: f64, most: f64) -> bool {
    let reached = if value < most { "reached" } else { "NOT reached" };
    print(format!("goal: {what} < {most:.0}: {value:.1}, {reached}"));
    value < most
}

/// Growth, ratios, and whether what is promised is kept.
fn verdict(tools: &[Tool], medians: &[(usize, &str, f64, f64, f64)]) -> Result<()> {
    let of = |count: usize, name: &str| {
        let found = medians.iter().find(|(c, n, ..)| *c == count && *n == name);
        found.map(|(_, _, wall, cpu, peak)| (*wall, *cpu, *peak)).context("not measured")
    };
    let mut growths = Vec::new();
    print("");
    for tool in tools {
        let ((few, few_cpu, _), (many, many_cpu, _)) = (of(1, tool.name)?, of(100, tool.name)?);
        let (growth, growth_cpu) = ((many - few) / 99.0, (many_cpu - few_cpu) / 99.0);
        print(format!(
            "{}: {growth:.2} ms more for each container ({growth_cpu:.2} ms of processor)",
            tool.name
        ));
        growths.push(growth);
    }
    if let [own, other] = tools {
        for count in COUNTS {
            let ((wall, cpu, _), (wall_other, cpu_other, _)) =
                (of(count, own.name)?, of(count, other.name)?);
            print(format!(
                "{count} containers: {} takes {:.0} times as long and {:.0} times the processor",
                other.name,
                wall_other / wall,
                cpu_other / cpu
            ));
        }
    }
    let (wall, _, peak) = of(30, "haechi verify")?;
    let growth = growths.first().copied().context("not measured")?;
    let goals = [
        ("30 containers, wall ms", wall, WALL_MS_MAX),
        ("30 containers, peak MiB", peak, PEAK_MIB_MAX),
        ("each container more, ms", growth, GROWTH_MS_MAX),
    ];
    print("");
    let reached = goals.map(|(what, value, most)| goal(what, value, most));
    if reached.contains(&false) {
        return Err(Failed("a goal of SPECIFICATION.md is not reached".into()).into());
    }
    Ok(())
}
