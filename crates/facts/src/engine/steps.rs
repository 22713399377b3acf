//! What a step of an image's history does, from the instruction that it records.
//!
//! Histories come from the classic builder (`/bin/sh -c #(nop) ADD …`), from BuildKit (`RUN … # buildkit`)
//! and from others; a keyword that cannot be told is empty. Commands are read in [`super::shell`].

use haechi_core::facts::BuildStep;

use super::packages::{self, Packages};
use super::shell;

/// Keywords of a Dockerfile that leave a step.
const KEYWORDS: [&str; 17] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
];
/// The one keyword that is not in the list above for want of a shorter line.
const WORKDIR: &str = "WORKDIR";
/// Endings of archives that ADD unpacks.
const ARCHIVES: [&str; 9] =
    [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst", ".tzst"];
/// Bytes of an instruction that are kept: no real one comes near.
const INSTRUCTION_MAX: usize = 64 << 10;

/// The step that `created_by` records.
pub(super) fn step(created_by: &str, size: i64) -> BuildStep {
    let created_by = match created_by.len() {
        0..=INSTRUCTION_MAX => created_by,
        _ => created_by.get(..created_by.floor_char_boundary(INSTRUCTION_MAX)).unwrap_or_default(),
    };
    let (keyword, rest) = split(created_by);
    let runs = if keyword == "RUN" { shell::packages(command(rest)) } else { Packages::default() };
    let instruction = match keyword {
        "ENV" => crate::redact::variables(created_by),
        _ => crate::redact::text(created_by),
    };
    BuildStep {
        instruction: Some(instruction),
        keyword: Some(keyword.to_owned()),
        size: Some(size),
        add_kind: Some(if keyword == "ADD" { add_kind(rest) } else { "" }.to_owned()),
        updates: Some(runs.updates),
        installs: Some(runs.installs),
    }
}

/// Keyword and the rest of the instruction.
fn split(created_by: &str) -> (&'static str, &str) {
    let text = created_by.trim();
    let text = text.strip_suffix("# buildkit").map_or(text, str::trim_end);
    // The classic builder's steps that run nothing.
    let (nop, text) = match text.split_once("#(nop)") {
        Some((shell, rest)) if !shell.contains('\n') && shell.len() < 200 => (true, rest.trim()),
        _ => (false, text),
    };
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let known = KEYWORDS.iter().chain([&WORKDIR]).find(|keyword| **keyword == first);
    if let Some(keyword) = known {
        return (keyword, rest.trim());
    }
    let is_run = !nop
        && (first.starts_with('|')
            || shell::is_shell(first)
            // The classic builder writes `RUN ["apt-get", "update"]` without any mark.
            || packages::is_package_manager(first));
    if is_run { ("RUN", text) } else { ("", text) }
}

/// The command of a RUN step without build arguments (`|2 A=b C=d e /bin/sh -c …`).
fn command(rest: &str) -> &str {
    if !rest.starts_with('|') {
        return rest;
    }
    // A build argument's value may have spaces, so the command begins at the first shell.
    rest.split_whitespace()
        .find(|word| shell::is_shell(word) || packages::is_package_manager(word))
        .and_then(|word| rest.find(word))
        .and_then(|at| rest.get(at..))
        .unwrap_or(rest)
}

/// What ADD adds. The classic builder records a checksum instead of the source, which tells only a folder.
fn add_kind(rest: &str) -> &'static str {
    let words: Vec<&str> = rest
        .split_whitespace()
        .map(|word| word.trim_matches(['[', ']', ',', '"']))
        .filter(|word| !word.is_empty() && !word.starts_with("--"))
        .collect();
    let sources = words.get(..words.len().saturating_sub(1)).unwrap_or_default();
    if let [source, "in"] = sources {
        return if source.starts_with("dir:") || source.starts_with("multi:") {
            "plain"
        } else {
            ""
        };
    }
    if let (Some(source), None) = (sources.first(), sources.get(1))
        && source.starts_with("file:")
    {
        return "";
    }
    let lower: Vec<String> = sources.iter().map(|source| source.to_ascii_lowercase()).collect();
    let any = |test: fn(&str) -> bool| lower.iter().any(|source| test(source));
    if lower.is_empty() {
        ""
    } else if any(is_remote) {
        "remote"
    } else if any(|source| ARCHIVES.iter().any(|ending| source.ends_with(ending))) {
        "archive"
    } else {
        "plain"
    }
}

fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "git@", "ssh://", "ftp://"]
        .iter()
        .any(|s| source.starts_with(s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keyword(text: &str) -> String {
        step(text, 0).keyword.unwrap()
    }

    #[test]
    fn keywords_are_found_whoever_built_it() {
        let cases = [
            ("/bin/sh -c #(nop) ADD file:0a1b in / ", "ADD"),
            ("/bin/sh -c #(nop)  CMD [\"bash\"]", "CMD"),
            ("ADD rootfs.tar / # buildkit", "ADD"),
            ("RUN /bin/sh -c apt-get update # buildkit", "RUN"),
            ("/bin/sh -c apt-get update", "RUN"),
            ("|1 A=some words /bin/sh -c make", "RUN"),
            ("/bin/bash -o pipefail -c make", "RUN"),
            ("apt-get update", "RUN"),
            ("WORKDIR /srv", "WORKDIR"),
            ("# debian.sh --arch 'amd64' out/ 'bookworm'", ""),
            ("", ""),
            ("bash", "RUN"),
        ];
        for (text, expected) in cases {
            assert_eq!(keyword(text), expected, "{text}");
        }
    }

    #[test]
    fn kinds_of_add_are_told_apart() {
        let cases = [
            ("ADD https://example.com/x.tar.gz /x # buildkit", "remote"),
            ("ADD --chown=1:1 git@github.com:a/b.git /x # buildkit", "remote"),
            ("ADD rootfs.tar.xz / # buildkit", "archive"),
            ("ADD a.txt b.TGZ /x/ # buildkit", "archive"),
            ("ADD src /x # buildkit", "plain"),
            ("/bin/sh -c #(nop) ADD file:0a1b in / ", ""),
            ("/bin/sh -c #(nop) ADD dir:0a1b in /x ", "plain"),
            ("COPY a /b # buildkit", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(step(text, 0).add_kind.unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn long_instructions_are_read_to_their_end() {
        let text = format!("RUN /bin/sh -c {} && apt-get update # buildkit", "x".repeat(5000));
        let step = step(&text, 7);
        assert_eq!((step.updates, step.installs, step.size), (Some(true), Some(false), Some(7)));
    }

    #[test]
    fn secrets_in_instructions_are_not_kept() {
        let shown = |text: &str| step(text, 0).instruction.unwrap();
        assert!(!shown("/bin/sh -c #(nop)  ENV DB_PASSWORD=hunter two").contains("two"));
        assert!(!shown("RUN |1 API_TOKEN=abcdef /bin/sh -c x # buildkit").contains("abcdef"));
    }

    proptest! {
        #[test]
        fn any_instruction_is_survived(text in "\\PC{0,200}") {
            let _ = step(&text, 0);
        }
    }
}
