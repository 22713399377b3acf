//! The rules of the monitor: where their files are, what is wrong with them, and their list.
//!
//! One set for all commands: `haechi monitor` runs it, and `haechi verify` asks which checks it names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use haechi_core::policy::MonitorPolicy;
use haechi_core::text::visible;
use haechi_monitor::fields::Fields;
use haechi_rules::{Listed, Loaded, Problem, Rules, Severity, State};
use serde::Serialize;

use crate::args::{AlertFormat, Monitor as Args};
use crate::failure::Failure;
use crate::setting::{Setting, read_trusted, trusted};
use crate::{exit, output};

/// A larger file of rules is not read.
const SIZE_MAX: u64 = 4 << 20;
/// The site's own rules: `/etc/haechi/rules.d`.
const SITE: &str = "rules";
/// Folders within folders that are read, and files of all of them.
const DEPTH_MAX: usize = 8;
const FILES_MAX: usize = 1000;
/// What tags that name a check begin with.
const CHECK: &str = "check:";
/// The rule that tells in a dry run what the policy refuses, called as the refusal is when it is real.
pub const REFUSED: &str = "Program refused by the policy";

/// Files of rules, in the order in which they are read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Files {
    pub paths: Vec<PathBuf>,
    /// Folders and files that are not read: too deep, too many, or links to folders.
    pub ignored: Vec<PathBuf>,
}

impl Files {
    /// The site's and those given.
    pub fn find(only_given: bool, given: &[PathBuf], setting: &Setting) -> anyhow::Result<Self> {
        let mut files = Self::default();
        let site = setting.site_dir(SITE);
        if !only_given && site.is_dir() {
            files.add(&site)?;
        }
        for path in given {
            if path.is_dir() {
                files.add(path)?;
            } else {
                files.paths.push(path.clone());
            }
        }
        Ok(files)
    }

    /// A folder and those within it, in the order of their paths; what is hidden is left out.
    fn add(&mut self, folder: &Path) -> anyhow::Result<()> {
        let mut found = Self::default();
        found.walk(folder, 0)?;
        found.paths.sort();
        found.ignored.extend(found.paths.split_off(found.paths.len().min(FILES_MAX)));
        self.paths.extend(found.paths);
        self.ignored.extend(found.ignored);
        Ok(())
    }

    fn walk(&mut self, folder: &Path, depth: usize) -> anyhow::Result<()> {
        let failed = |error| Failure::file(folder, error);
        trusted(folder, &std::fs::metadata(folder).map_err(failed)?)?;
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if kind.is_dir() && depth < DEPTH_MAX {
                self.walk(&path, depth + 1)?;
            } else if path.is_dir() {
                self.ignored.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
                self.paths.push(path);
            }
        }
        Ok(())
    }
}

/// Haechi's own rules, the site's and those given, with their names; `policy` adds what it refuses in a dry run.
fn texts(
    args: &Args,
    policy: &MonitorPolicy,
    setting: &Setting,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    if !args.only_rules {
        let (name, text) = haechi_monitor::RULES;
        texts.push((name.to_owned(), text.to_owned()));
    }
    texts.extend(of_files(&Files::find(args.only_rules, &args.rules, setting)?, setting)?);
    texts.extend(refused(policy).map(|text| ("[monitor] denied_programs".to_owned(), text)));
    Ok(texts)
}

fn of_files(files: &Files, setting: &Setting) -> anyhow::Result<Vec<(String, String)>> {
    for path in &files.ignored {
        setting.note("rules-ignored", &[("path", &path.display().to_string())]);
    }
    let read = |path: &PathBuf| Ok((path.display().to_string(), read_trusted(path, SIZE_MAX)?));
    files.paths.iter().map(read).collect()
}

/// Reads the rules and says what is wrong with them.
pub fn load(args: &Args, policy: &MonitorPolicy, setting: &Setting) -> anyhow::Result<Loaded> {
    let mut loaded = Rules::load(&texts(args, policy, setting)?, &Fields);
    loaded.problems.extend(unknown_checks(loaded.rules.list(), setting));
    for problem in &loaded.problems {
        setting.note("rule-problem", &[("problem", &problem.to_string())]);
    }
    Ok(loaded)
}

/// Tags of rules that name no check: their alerts would be evidence for nothing.
fn unknown_checks(rules: &[Listed], setting: &Setting) -> Vec<Problem> {
    let content = match super::content(setting) {
        Ok(content) => content,
        Err(error) => {
            setting.complain(&error);
            return Vec::new();
        }
    };
    let known: BTreeSet<&str> = content.checks().map(|check| check.id.as_str()).collect();
    let unknown = |rule: &Listed| -> Vec<Problem> {
        let ids = checks(rule).filter(|id| !known.contains(id));
        ids.map(|id| Problem {
            severity: Severity::Note,
            file: rule.file.clone(),
            line: rule.line,
            rule: Some(rule.name.clone()),
            what: format!("the tag `{CHECK}{id}` names no check that there is"),
        })
        .collect()
    };
    rules.iter().flat_map(unknown).collect()
}

/// The checks that a rule names.
fn checks(rule: &Listed) -> impl Iterator<Item = &str> {
    rule.tags.iter().filter_map(|tag| tag.strip_prefix(CHECK))
}

/// Ids of the checks that rules of this host name: Haechi's own rules and the site's, whether or not each of them runs.
pub fn checks_of_host(setting: &Setting) -> Vec<String> {
    let (name, text) = haechi_monitor::RULES;
    let mut texts = vec![(name.to_owned(), text.to_owned())];
    match Files::find(false, &[], setting).and_then(|files| of_files(&files, setting)) {
        Ok(found) => texts.extend(found),
        // The monitor refuses them as well.
        Err(why) => drop(setting.complain(&why)),
    }
    let loaded = Rules::load(&texts, &Fields);
    let running = loaded.rules.list().iter().filter(|rule| rule.state != State::Disabled);
    let ids: BTreeSet<&str> = running.flat_map(checks).collect();
    ids.into_iter().map(str::to_owned).collect()
}

/// A rule that tells which programs the policy would refuse; none if it is no dry run, or refuses nothing.
fn refused(policy: &MonitorPolicy) -> Option<String> {
    if !policy.dry_run || policy.denied_programs.is_empty() {
        return None;
    }
    // The kernel goes by the name of the file itself; of a script also by the script's, which is among the arguments.
    let programs = policy.denied_programs.iter().map(|name| {
        let end = quoted(&format!("/{name}"));
        format!(
            "proc.exepath endswith {end} or (evt.arg.filename endswith {end} and proc.args contains val(evt.arg.filename))"
        )
    });
    let programs: Vec<String> = programs.collect();
    let condition = format!(
        "evt.type in (execve, execveat) and evt.rawres >= 0 and ({})",
        programs.join(" or ")
    );
    let rule = serde_json::json!([{
        "rule": REFUSED,
        "desc": "The policy refuses this program; in a dry run it is only told.",
        "condition": condition,
        "output": "%proc.exepath would be refused (command=%proc.cmdline container=%container.name)",
        "priority": "ERROR",
        "tags": ["deny"],
    }]);
    Some(rule.to_string())
}

/// A word of the rule language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A rule as it is listed for programs.
#[derive(Serialize)]
struct Line<'a> {
    rule: &'a str,
    priority: &'a str,
    state: &'a str,
    lacks: Option<&'a str>,
    tags: &'a [String],
    checks: Vec<&'a str>,
    file: &'a str,
    line: usize,
    description: &'a str,
}

/// Writes the list of all rules.
pub fn list(loaded: &Loaded, format: AlertFormat, setting: &Setting) -> anyhow::Result<u8> {
    output::stdout(|out| {
        for rule in loaded.rules.list() {
            let (state, lacks) = match &rule.state {
                State::Runs => ("runs", None),
                State::Disabled => ("disabled", None),
                State::LeftOut(what) => ("left_out", Some(what.as_str())),
            };
            if format == AlertFormat::Json {
                let line = Line {
                    rule: &rule.name,
                    priority: rule.priority.name(),
                    state,
                    lacks,
                    tags: &rule.tags,
                    checks: checks(rule).collect(),
                    file: &rule.file,
                    line: rule.line,
                    description: &rule.description,
                };
                serde_json::to_writer(&mut *out, &line)?;
                writeln!(out)?;
                continue;
            }
            let state =
                setting.text(&format!("rule-{state}"), &[("why", lacks.unwrap_or_default())]);
            writeln!(out, "{:<13}  {}  ({state})", rule.priority.name(), visible(&rule.name))?;
            let place = format!("{}:{}  {}", rule.file, rule.line, rule.tags.join(", "));
            writeln!(out, "{:<13}  {}", "", visible(place.trim_end()))?;
        }
        Ok(())
    })?;
    Ok(exit::CLEAN)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn folders_within_folders_are_read_in_order_and_what_is_not_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["b/c", "..data", "d1/d2/d3/d4/d5/d6/d7/d8/d9"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in ["b/c/2.yaml", "a.yml", "z.yaml", "b/1.yaml", "..data/x.yaml", "b/notes.txt"] {
            fs::write(at(file), "[]").unwrap();
        }
        std::os::unix::fs::symlink(at("b"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("z.yaml"), at("y.yaml")).unwrap();
        let mut files = Files::default();
        files.add(dir.path()).unwrap();
        let expected = ["a.yml", "b/1.yaml", "b/c/2.yaml", "y.yaml", "z.yaml"].map(at);
        assert_eq!(files.paths, expected);
        files.ignored.sort();
        assert_eq!(files.ignored, ["d1/d2/d3/d4/d5/d6/d7/d8/d9", "link"].map(at));

        for number in 0..FILES_MAX {
            fs::write(at(&format!("b/c/m{number}.yaml")), "[]").unwrap();
        }
        let mut files = Files::default();
        files.add(dir.path()).unwrap();
        assert_eq!((files.paths.len(), files.ignored.len()), (FILES_MAX, 2 + 5));
    }

    #[test]
    fn what_the_policy_refuses_is_a_rule_in_a_dry_run() {
        let names = ["nc", "a\"b\\c d"].map(str::to_owned).to_vec();
        let mut policy = MonitorPolicy { denied_programs: names, ..MonitorPolicy::default() };
        assert_eq!(refused(&policy), None);
        policy.dry_run = true;
        let loaded = Rules::load(&[("policy", refused(&policy).unwrap())], &Fields);
        assert_eq!(loaded.problems, []);
        assert_eq!(loaded.rules.running()[0].name, REFUSED);
        policy.denied_programs.clear();
        assert_eq!(refused(&policy), None);
    }
}
