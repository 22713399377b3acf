//! What every command needs: language, places of files, and how to print.

use std::env;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use haechi_core::Lang;
use haechi_core::policy::{self, Loaded};
use haechi_core::text::{Catalog, Phrases, visible};
use haechi_report::Options;

use crate::args::{Global, LangArg};
use crate::exit;
use crate::failure::Failure;

static TEXTS: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::parse(include_str!("../../../texts/cli.yaml")).unwrap_or_default());

/// What other parts of Haechi say in English.
static PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    let catalog = Catalog::parse(include_str!("../../../texts/phrases.yaml"));
    Phrases::new(catalog.unwrap_or_default())
});

/// What every command needs.
#[derive(Clone)]
pub struct Setting {
    pub lang: Lang,
    pub root: PathBuf,
    pub host: Option<String>,
    pub quiet: bool,
    pub verbose: u8,
    /// Whether how far work is goes to stdout, as lines of JSON: for the desk.
    pub beats: bool,
    color: bool,
    policy: Option<PathBuf>,
    data_dir: Option<PathBuf>,
}

impl Setting {
    pub fn of(global: &Global) -> Self {
        let lang = match global.lang {
            Some(LangArg::En) => Lang::En,
            Some(LangArg::Ko) => Lang::Ko,
            None => {
                let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
                    .into_iter()
                    .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
                Lang::from_locale(&locale.unwrap_or_default())
            }
        };
        let no_color = global.no_color || env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self {
            lang,
            root: global.root.clone(),
            host: global.host.clone(),
            quiet: global.quiet,
            verbose: global.verbose,
            beats: false,
            color: !no_color && std::io::stdout().is_terminal(),
            policy: global.policy.clone(),
            data_dir: global.data_dir.clone(),
        }
    }

    /// The global options, for another process of Haechi's own.
    pub fn options(&self) -> Vec<OsString> {
        let mut options: Vec<OsString> = vec!["--root".into(), self.root.clone().into()];
        options.extend(["--data-dir".into(), self.data_dir().into()]);
        if let Some(policy) = &self.policy {
            options.extend(["--policy".into(), policy.into()]);
        }
        if let Some(host) = &self.host {
            options.extend(["--host".into(), host.into()]);
        }
        options
    }

    /// Tells the desk how far work is.
    pub fn beat(&self, done: u64, total: u64) {
        if self.beats
            && let Ok(line) = serde_json::to_string(&haechi_desk::Progress { done, total })
        {
            // The desk that went away needs to know nothing.
            let _ = crate::output::stdout(|out| Ok(writeln!(out, "{line}")?));
        }
    }

    /// Without options, for tests.
    #[cfg(test)]
    pub fn plain(lang: Lang) -> Self {
        Self {
            lang,
            root: "/".into(),
            host: None,
            quiet: true,
            verbose: 0,
            beats: false,
            color: false,
            policy: None,
            data_dir: None,
        }
    }

    /// Starts the log: on stderr, warnings only unless asked for more.
    pub fn start_log(&self) {
        let level = match (self.quiet, self.verbose) {
            (true, _) => "error",
            (false, 0 | 1) => "warn",
            (false, 2) => "haechi=debug,warn",
            (false, _) => "debug",
        };
        let filter = tracing_subscriber::EnvFilter::try_from_env("HAECHI_LOG")
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(self.color && std::io::stderr().is_terminal())
            .init();
    }

    /// A sentence in the user's language.
    pub fn text(&self, key: &str, values: &[(&str, &str)]) -> String {
        // Values may come from an engine or a file: they cannot move a cursor or forge a line. Those of ours that
        // list places, one a line, keep their lines.
        let shown: Vec<(&str, String)> = values
            .iter()
            .map(|(name, value)| {
                let shown = match *name {
                    "places" | "lines" => {
                        let lines: Vec<String> =
                            value.lines().map(|line| self.said(line)).collect();
                        lines.join("\n")
                    }
                    "why" | "error" | "problem" | "gives" => self.said(value),
                    _ => visible(value).into_owned(),
                };
                (*name, shown)
            })
            .collect();
        let shown: Vec<(&str, &str)> = shown.iter().map(|(n, v)| (*n, v.as_str())).collect();
        TEXTS.with(self.lang, key, &shown).into_owned()
    }

    /// A sentence that another part of Haechi made in English, in the user's language where it is known.
    pub fn said(&self, english: &str) -> String {
        visible(&PHRASES.say(self.lang, english)).into_owned()
    }

    /// Prints a sentence to stderr, unless quiet.
    pub fn note(&self, key: &str, values: &[(&str, &str)]) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{}", self.text(key, values));
        }
    }

    /// Prints an error with its causes and how to mend it; the exit code that goes with it.
    pub fn complain(&self, error: &anyhow::Error) -> ExitCode {
        let mut err = std::io::stderr();
        if is_broken_pipe(error) {
            // Whoever read our output has read enough; but a report that was not delivered is no clean one.
            return ExitCode::from(exit::COULD_NOT_VERIFY);
        }
        let message = match error.downcast_ref::<Failure>() {
            Some(failure) => failure.in_words(self),
            None => {
                let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
                self.said(&chain.join(": "))
            }
        };
        let _ = writeln!(err, "haechi: {message}");
        ExitCode::from(exit::COULD_NOT_VERIFY)
    }

    /// How to lay out text on stdout.
    pub fn layout(&self) -> Options {
        let columns = rustix::termios::tcgetwinsize(std::io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| *columns > 0)
            .or_else(|| env::var("COLUMNS").ok()?.parse().ok());
        Options { width: columns.unwrap_or(100), color: self.color, verbose: self.verbose > 0 }
    }

    fn as_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    /// Where verifications are kept.
    pub fn data_dir(&self) -> PathBuf {
        if let Some(dir) = &self.data_dir {
            return dir.clone();
        }
        if Self::as_root() {
            return "/var/lib/haechi".into();
        }
        xdg("XDG_DATA_HOME", ".local/share").join("haechi")
    }

    /// The policy in force: the one given, else the one in its place, else the defaults.
    pub fn policy(&self) -> anyhow::Result<Loaded> {
        match self.policy_file() {
            Some(path) => read_policy(&path),
            None => Ok(Loaded::defaults()),
        }
    }

    /// The policy file in force; `None` means defaults.
    pub fn policy_file(&self) -> Option<PathBuf> {
        if self.policy.is_some() {
            return self.policy.clone();
        }
        let place = if Self::as_root() {
            PathBuf::from("/etc/haechi/policy.toml")
        } else {
            xdg("XDG_CONFIG_HOME", ".config").join("haechi/policy.toml")
        };
        // A link to nowhere is not "no policy": it is found out when it is read.
        place.symlink_metadata().is_ok().then_some(place)
    }

    /// The folder of the site's own content: `checks`, `benchmarks`.
    pub fn site_dir(&self, what: &str) -> PathBuf {
        PathBuf::from(format!("/etc/haechi/{what}.d"))
    }
}

fn xdg(variable: &str, below_home: &str) -> PathBuf {
    match env::var_os(variable).map(PathBuf::from) {
        Some(dir) if dir.is_absolute() => dir,
        _ => PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/".into())).join(below_home),
    }
}

/// Reads and validates a policy file.
pub fn read_policy(path: &Path) -> anyhow::Result<Loaded> {
    let name = path.display().to_string();
    let text = read_trusted(path, policy::SIZE_MAX as u64)?;
    Loaded::parse(&name, &text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::PolicyInvalid(lines.join("\n")).into()
    })
}

/// Reads a file that decides what passes. A policy can even name commands, so it must not be another user's to
/// change: it belongs to root or to whoever runs Haechi, and nobody else may write it.
pub fn read_trusted(path: &Path, size_max: u64) -> anyhow::Result<String> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let fail = |error| Failure::file(path, error);
    // A pipe without a writer must not hold us up.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file =
        std::fs::File::options().read(true).custom_flags(nonblock).open(path).map_err(fail)?;
    let meta = file.metadata().map_err(fail)?;
    if !meta.is_file() {
        return Err(fail(std::io::Error::other("is not a file")).into());
    }
    trusted(path, &meta)?;
    let mut text = String::new();
    file.take(size_max + 1).read_to_string(&mut text).map_err(fail)?;
    if text.len() as u64 > size_max {
        let error = std::io::Error::other(format!("more than {size_max} bytes"));
        return Err(fail(error).into());
    }
    Ok(text)
}

/// Refuses what others than root and whoever runs Haechi can change.
pub fn trusted(path: &Path, meta: &std::fs::Metadata) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let me = rustix::process::geteuid().as_raw();
    if (meta.uid() != 0 && meta.uid() != me) || meta.mode() & 0o022 != 0 {
        return Err(Failure::Untrusted(path.display().to_string()).into());
    }
    Ok(())
}

/// Whether nobody reads our output any more.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_in_english_is_said_in_korean_with_the_same_holes() {
        let texts = include_str!("../../../texts/phrases.yaml");
        let all: std::collections::BTreeMap<String, haechi_core::Text> =
            serde_norway::from_str(texts).unwrap();
        let holes = |text: &str| -> std::collections::BTreeSet<String> {
            let inside = text.split('{').skip(1).filter_map(|part| part.split_once('}'));
            inside.map(|(name, _)| name.to_owned()).collect()
        };
        for (key, text) in &all {
            assert_eq!(holes(&text.en), holes(&text.ko), "{key}");
            let words = text.en.split('{').filter_map(|part| part.split('}').next_back());
            let words: usize = words.map(str::len).sum();
            assert!(words >= 3 && !text.en.contains("}{"), "{key} fits anything");
        }
        let setting = Setting::plain(Lang::Ko);
        let rules = "- rule: r\n  desc: d\n  output: o\n  priority: ERROR\n  condition: x.y = 1\n";
        let files = [("a.yaml", rules), ("b.yaml", "- rule: s\n  desc: d\n")];
        for problem in haechi_rules::Rules::load(&files, &haechi_monitor::fields::Fields).problems {
            let said = setting.said(&problem.to_string());
            assert!(said.contains("없음"), "{said}");
        }
        let policy = "[monitor]\nactions_max = 0\ndenied_programs = [\"a/b\"]\n[[monitor.responses]]\nresponse = \"kill\"\n";
        for error in Loaded::parse("p.toml", policy).unwrap_err() {
            let said = setting.said(&error.to_string());
            assert!(said.starts_with("p.toml: monitor.") && said.contains("한다"), "{said}");
        }
    }

    #[test]
    fn every_failure_has_words_in_both_languages() {
        for key in crate::failure::KEYS.iter().chain(crate::commands::NOTES) {
            for lang in [Lang::En, Lang::Ko] {
                assert_ne!(TEXTS.get(lang, key), *key, "{key} in {lang:?}");
            }
        }
        let known: Vec<&str> =
            crate::failure::KEYS.iter().chain(crate::commands::NOTES).copied().collect();
        for key in TEXTS.keys() {
            assert!(known.contains(&key), "`{key}` is not used");
        }
    }
}
