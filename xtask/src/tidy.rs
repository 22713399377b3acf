//! `cargo xtask tidy`: what no compiler looks at.
//!
//! Files open with what they are for and stay short, nothing is left to do, texts exist in both languages,
//! and what is generated (schemas, the lab's table) or promised (commands in documents) is true.

mod documents;
mod files;
mod texts;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{Failed, haechi, output, repository, say};

/// What is not as it should be.
type Complaints = Vec<String>;

/// All of it; needs the built program.
pub fn run() -> Result<()> {
    let mut complaints = without_program()?;
    // The newer of the two builds is the one that was just made.
    let built = ["debug", "release"].map(haechi).into_iter().filter_map(Result::ok);
    let program = built
        .max_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok())
        .context("haechi is not built: `cargo build`")?;
    complaints.extend(schemas(&program)?);
    complaints.extend(documents::commands(&program)?);
    if complaints.is_empty() {
        say("Tidy.");
        return Ok(());
    }
    complaints.sort();
    complaints.iter().for_each(say);
    Err(Failed(format!("{} things are not tidy", complaints.len())).into())
}

/// What can be seen without the built program.
fn without_program() -> Result<Complaints> {
    let mut complaints = files::complaints()?;
    complaints.extend(texts::complaints()?);
    let (page, missing) = crate::lab::table()?;
    complaints.extend(missing);
    let path = repository()?.join("docs/lab.md");
    if std::fs::read_to_string(path).unwrap_or_default() != page {
        complaints.push("docs/lab.md: not fresh; run `cargo xtask lab docs`".into());
    }
    Ok(complaints)
}

/// The committed schemas are those that the program has.
fn schemas(program: &Path) -> Result<Complaints> {
    let mut complaints = Vec::new();
    for (what, file) in [("report", "report"), ("snapshot", "snapshot"), ("image", "image-report")]
    {
        let mut schema = Command::new(program);
        schema.args(["schema", what]);
        let now = output(schema)?;
        let name = format!("docs/schema/{file}-v1.json");
        let committed = std::fs::read_to_string(repository()?.join(&name)).unwrap_or_default();
        if committed.trim_end() != now {
            complaints.push(format!("{name}: not fresh; run `haechi schema {what} > {name}`"));
        }
    }
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    #[test]
    fn everything_is_tidy() {
        let complaints = super::without_program().unwrap();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}
