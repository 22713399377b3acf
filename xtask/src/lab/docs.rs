//! `docs/lab.md`: which subject fails and which passes each check, written from `lab/lab.yaml`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::spec::Spec;
use crate::run::{repository, say};

const FILES: [&str; 3] = ["container.yaml", "image.yaml", "operations.yaml"];

/// What this needs of a check.
#[derive(Deserialize)]
struct Check {
    id: String,
}

/// Writes the page.
pub fn write() -> Result<()> {
    let (page, complaints) = table()?;
    let path = repository()?.join("docs/lab.md");
    fs::write(&path, page).context(path.display().to_string())?;
    complaints.iter().for_each(say);
    say(format!("{} is written.", path.display()));
    Ok(())
}

/// The page, and what is missing in the lab.
pub fn table() -> Result<(String, Vec<String>)> {
    let (spec, _) = Spec::load()?;
    let by_check = spec.by_check();
    let mut page = String::from(
        "# The lab: which subject fails, which passes\n\n\
         Written by `cargo xtask lab docs` from `lab/lab.yaml`; do not edit. `cargo xtask lab up` makes the lab on the\n\
         engine of this machine, `cargo xtask lab down` removes it, and `cargo xtask test` verifies every cell of this\n\
         table with the built program and `lab/policy.toml`.\n",
    );
    let mut complaints = Vec::new();
    let mut known = BTreeMap::new();
    for file in FILES {
        let path = repository()?.join("checks").join(file);
        let text = fs::read_to_string(&path).context(path.display().to_string())?;
        let checks: Vec<Check> =
            serde_norway::from_str(&text).context(path.display().to_string())?;
        let title = file.trim_end_matches(".yaml");
        let _ = write!(
            page,
            "\n## checks/{file}\n\n| {title} check | fails | passes |\n|---|---|---|\n"
        );
        for check in checks {
            let [fails, passes] = by_check.get(check.id.as_str()).cloned().unwrap_or_default();
            let mut cell = |verdict: &str, subjects: Vec<String>| {
                let reason = spec
                    .not_shown
                    .iter()
                    .find(|n| n.check == check.id && n.verdicts.iter().any(|v| v == verdict));
                match (subjects.is_empty(), reason) {
                    (false, None) => subjects.join(", "),
                    (true, Some(reason)) => format!("– {}", reason.why),
                    (true, None) => {
                        complaints
                            .push(format!("lab.yaml: nothing shows a {verdict} of {}", check.id));
                        "missing".to_owned()
                    }
                    (false, Some(_)) => {
                        complaints.push(format!(
                            "lab.yaml: {} is shown to {verdict}, but listed as not shown",
                            check.id
                        ));
                        subjects.join(", ")
                    }
                }
            };
            let (fails, passes) = (cell("fail", fails), cell("pass", passes));
            let _ = writeln!(page, "| `{}` | {fails} | {passes} |", check.id);
            known.insert(check.id, ());
        }
    }
    for check in by_check.keys().copied().chain(spec.not_shown.iter().map(|n| n.check.as_str())) {
        if !known.contains_key(check) {
            complaints.push(format!("lab.yaml: there is no check `{check}`"));
        }
    }
    page.push_str("\n## Why each container is as it is\n\n");
    for container in &spec.containers {
        let _ = writeln!(page, "- `{}`: {}", container.name, container.why);
    }
    Ok((page, complaints))
}
