//! `haechi benchmark`: list, show, coverage, test.

use std::collections::BTreeSet;
use std::path::PathBuf;

use haechi_checks::{Benchmark, Content, examples};
use haechi_report::lists;

use crate::args;
use crate::failure::Failure;
use crate::setting::Setting;
use crate::{exit, output};

pub fn run(command: &args::Benchmark, setting: &Setting) -> anyhow::Result<u8> {
    match command {
        args::Benchmark::List => list(setting),
        args::Benchmark::Show { id } => show(id, setting),
        args::Benchmark::Coverage => coverage(setting),
        args::Benchmark::Test { files } => test(files, setting),
    }
}

fn list(setting: &Setting) -> anyhow::Result<u8> {
    let content = super::content(setting)?;
    let lines: Vec<_> = content
        .benchmarks()
        .iter()
        .map(|benchmark| {
            let checks: BTreeSet<&String> =
                benchmark.items().flat_map(|(_, item)| &item.checks).collect();
            lists::BenchmarkLine {
                id: benchmark.id.clone(),
                title: benchmark.title.clone(),
                items: benchmark.items().count() as u64,
                checks: checks.len() as u64,
            }
        })
        .collect();
    output::stdout(|out| Ok(lists::benchmark_list(&lines, setting.lang, &setting.layout(), out)?))?;
    Ok(exit::CLEAN)
}

fn shown(benchmark: &Benchmark, setting: &Setting) -> lists::Benchmark {
    lists::Benchmark {
        id: benchmark.id.clone(),
        title: benchmark.title.clone(),
        items: benchmark
            .items()
            .map(|(section, item)| lists::BenchmarkItem {
                id: item.id.clone(),
                title: item.title.get(setting.lang).to_owned(),
                section: section.title.get(setting.lang).to_owned(),
                checks: item.checks.clone(),
            })
            .collect(),
    }
}

fn find<'a>(content: &'a Content, id: &str) -> anyhow::Result<&'a Benchmark> {
    let known =
        || content.benchmarks().iter().map(|b| b.id.as_str()).collect::<Vec<_>>().join(", ");
    let unknown = || Failure::UnknownBenchmark { id: id.to_owned(), known: known() };
    Ok(content.benchmark(id).ok_or_else(unknown)?)
}

fn show(id: &str, setting: &Setting) -> anyhow::Result<u8> {
    let content = super::content(setting)?;
    let benchmark = shown(find(&content, id)?, setting);
    output::stdout(|out| {
        Ok(lists::benchmark_table(&benchmark, setting.lang, &setting.layout(), out)?)
    })?;
    Ok(exit::CLEAN)
}

fn coverage(setting: &Setting) -> anyhow::Result<u8> {
    let content = super::content(setting)?;
    let published = Content::coverage()?;
    let benchmark = find(&content, &published.benchmark)?;
    let mut tools: Vec<lists::ToolCoverage> = published
        .tools
        .into_iter()
        .map(|tool| lists::ToolCoverage {
            name: tool.name,
            items: tool.items.into_iter().collect(),
        })
        .collect();
    let decided = benchmark.items().filter(|(_, item)| content.decides(item));
    tools.push(lists::ToolCoverage {
        name: "Haechi".into(),
        items: decided.map(|(_, item)| item.id.clone()).collect(),
    });
    let coverage = lists::Coverage { benchmark: shown(benchmark, setting), tools };
    output::stdout(|out| {
        lists::coverage_table(&coverage, setting.lang, &setting.layout(), out)?;
        Ok(writeln!(out, "\n{}", published.source.get(setting.lang))?)
    })?;
    Ok(exit::CLEAN)
}

fn test(files: &[PathBuf], setting: &Setting) -> anyhow::Result<u8> {
    let content = if files.is_empty() {
        super::content(setting)?
    } else {
        let sources: Vec<_> =
            files.iter().map(|path| super::source(path)).collect::<Result<_, _>>()?;
        Content::of_checks(&sources).map_err(|errors| super::invalid(&errors))?
    };
    let outcomes = examples::run(&content).map_err(|errors| super::invalid(&errors))?;
    let lines: Vec<String> = outcomes
        .iter()
        .flat_map(|o| o.complaints.iter().map(move |complaint| format!("{}: {complaint}", o.check)))
        .collect();
    if !lines.is_empty() {
        return Err(Failure::ExamplesFailed(lines.join("\n")).into());
    }
    let total: usize = outcomes.iter().map(|o| o.examples).sum();
    let values = [("checks", outcomes.len().to_string()), ("examples", total.to_string())];
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    setting.note("examples-passed", &values);
    Ok(exit::CLEAN)
}
