//! Keeping secrets out of snapshots.
//!
//! [`secret_kind`] says what a value looks like, [`text`], [`arguments`], [`labels`] and [`environment`] give
//! texts without the secrets that are recognised. Recognition is by name (`DB_PASSWORD`) and by form (`AKIA…`);
//! it prefers hiding too much over showing one secret. It cannot find a secret that has neither.

mod names;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use haechi_core::facts::EnvVar;
use regex::{Captures, Regex};

use names::{is_harmless, is_placeholder, name_kind};

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// Arguments of one command line that are kept.
const ARGUMENTS_MAX: usize = 64;
/// Bytes of one command line that are kept.
const ARGUMENTS_BYTES_MAX: usize = 4096;

/// Bytes of any other text that are kept: labels and build steps are written by people.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Bytes of a value that are looked at to tell what it is.
const VALUE_BYTES_MAX: usize = 4096;

/// Secrets that are known by their form, whatever their name.
const FORMS: [(&str, &str); 12] = [
    (
        "private-key",
        r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
    ),
    ("aws-access-key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("github-token", r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,})"),
    ("gitlab-token", r"\bglpat-[A-Za-z0-9_\-]{16,}"),
    ("slack-token", r"\bxox[abeoprs]-[A-Za-z0-9\-]{8,}"),
    ("stripe-key", r"\b[rs]k_live_[A-Za-z0-9]{8,}"),
    ("google-api-key", r"\bAIza[A-Za-z0-9_\-]{30,}"),
    ("swarm-key", r"\bSWM(?:KEY|TKN)-1-[A-Za-z0-9+/\-]{16,}"),
    ("jwt", r"\beyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]*"),
    (
        "connection-password",
        r"(?i)(?P<before>\b(?:password|pwd)\s*=\s*)(?P<secret>[^;\s'\x22]{4,})(?P<after>;)",
    ),
    (
        "authorization",
        r"(?P<before>\b(?:[Bb]asic|[Bb]earer)\s+)(?P<secret>[A-Za-z0-9+/=_.\-]{12,})(?P<after>)",
    ),
    (
        "url-password",
        r"(?P<before>[A-Za-z][A-Za-z0-9+.\-]*://[^\s/@:'\x22]*:)(?P<secret>[^\s/'\x22]+)(?P<after>@)",
    ),
];

struct Patterns {
    forms: Vec<(&'static str, Regex)>,
    /// A name and what separates it from its value.
    named: Regex,
    /// Credentials in the way of `curl -u user:password`.
    user: Regex,
    /// An HTTP header that carries credentials.
    header: Regex,
    /// The beginning of a variable in an `ENV` instruction.
    variable: Regex,
}

/// `None` if a pattern does not compile, which a test rules out; then everything is redacted.
static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    let forms: Result<_, regex::Error> =
        FORMS.iter().map(|(kind, form)| Ok((*kind, Regex::new(form)?))).collect();
    Some(Patterns {
        forms: forms.ok()?,
        named: Regex::new(r#"(?P<flag>-{0,2})(?P<name>[A-Za-z][A-Za-z0-9_.\-]*)(?:\\?["'])?(?:(?P<sign>\s*[=:]\s*)|(?P<space>\s+))"#).ok()?,
        user: Regex::new(r"(?P<before>(?:^|[\s'\x22,])(?:-u|--user)(?:[ =]\s*|['\x22]\s*,\s*)?['\x22]?[^\s:'\x22,]+:)(?P<secret>[^\s'\x22]+)(?P<after>)").ok()?,
        header: Regex::new(r"(?i)(?P<before>\b(?:authorization\s*[:=]\s*|bearer\s+)(?:(?:bearer|basic|token)\s+)?)(?P<secret>[^\s'\x22]+)(?P<after>)").ok()?,
        variable: Regex::new(r"(?:^|\s)(?P<name>[A-Za-z_][A-Za-z0-9_]*)=").ok()?,
    })
});

/// Which kind of secret a named value looks like; `None` if it looks like none.
pub fn secret_kind(name: &str, value: &str) -> Option<&'static str> {
    let Some(patterns) = PATTERNS.as_ref() else { return Some("secret") };
    let by_form = |(kind, form): &(&'static str, Regex)| {
        let found = form.captures(value)?;
        // `postgres://user:${PASSWORD}@db` holds no password.
        let secret = found.name("secret").map_or("x", |m| m.as_str());
        (!is_placeholder(secret)).then_some(*kind)
    };
    patterns.forms.iter().find_map(by_form).or_else(|| {
        let (kind, is_value) = name_kind(name)?;
        (!is_harmless(value, is_value)).then_some(kind)
    })
}

/// The text without the secrets in it.
pub fn text(text: &str) -> String {
    let Some(patterns) = PATTERNS.as_ref() else { return REDACTED.into() };
    // Secrets of known form first: a name before one must not split it.
    let mut out = shorten(text.to_owned(), TEXT_BYTES_MAX);
    for form in
        patterns.forms.iter().map(|(_, form)| form).chain([&patterns.user, &patterns.header])
    {
        if form.is_match(&out) {
            out = form.replace_all(&out, hide).into_owned();
        }
    }
    hide_named(&out, &patterns.named)
}

/// Whether a text has a secret in it that [`text`] would hide.
pub fn holds_secret(content: &str) -> bool {
    text(content) != content
}

/// The match with only its `secret` part hidden, or all of it if it has no such part.
fn hide(found: &Captures<'_>) -> String {
    let part = |name| found.name(name).map_or("", |part| part.as_str());
    match found.name("secret") {
        Some(secret) if is_placeholder(secret.as_str()) => {
            format!("{}{}{}", part("before"), secret.as_str(), part("after"))
        }
        _ => format!("{}{REDACTED}{}", part("before"), part("after")),
    }
}

/// Hides values that follow a name that promises a secret.
fn hide_named(text: &str, named: &Regex) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    let mut from = 0;
    while let Some(found) = named.captures_at(text, from) {
        let Some(whole) = found.get(0) else { break };
        from = whole.end();
        let name = found.name("name").map_or("", |m| m.as_str());
        let is_flag = found.name("flag").is_some_and(|flag| !flag.is_empty());
        if found.name("space").is_some() && !is_flag {
            continue;
        }
        // Secrets of known form are gone already: without a telling name there is nothing more to find. This also
        // keeps the work linear: a text of nothing but `a=a=a=…` looks at no value.
        if name_kind(name).is_none() {
            continue;
        }
        let rest = text.get(from..).unwrap_or_default();
        let (value, after) = rest.split_at(value_length(rest));
        let looked_at = value.get(..value.floor_char_boundary(VALUE_BYTES_MAX)).unwrap_or(value);
        if secret_kind(name, looked_at.trim_matches(['"', '\'', '\\'])).is_some() {
            out.push_str(text.get(done..from).unwrap_or_default());
            out.push_str(REDACTED);
            done = text.len() - after.len();
            from = done;
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// Length of the shell word or quoted JSON text at the start of `text`.
fn value_length(text: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    let mut after_quote = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match (quote, c) {
            // A backslash keeps its meaning between double quotes only.
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), c) if open == c => {
                quote = None;
                after_quote = true;
            }
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() || ";&|".contains(c) => return at,
            (None, ',' | '}' | ']' | ')') if after_quote => return at,
            (None, _) => {}
        }
    }
    text.len()
}

/// The arguments of a command without the secrets in them, and no more than a report can show.
pub fn arguments(arguments: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut bytes = 0;
    let mut next_is_secret = false;
    let mut next_is_script = false;
    for argument in arguments {
        if kept.len() == ARGUMENTS_MAX || bytes >= ARGUMENTS_BYTES_MAX {
            kept.push("…".into());
            break;
        }
        let is_flag = argument.starts_with('-');
        let name = argument.trim_start_matches('-');
        let shown = match name.split_once('=') {
            _ if next_is_secret && !is_harmless(argument, true) => REDACTED.to_owned(),
            // A script: its values end where its words do.
            _ if next_is_script => text(argument),
            // The whole rest of the argument is the value here, spaces included.
            Some((before, value)) if secret_kind(before, value).is_some() && is_name(before) => {
                let start = argument.len() - value.len();
                format!("{}{REDACTED}", argument.get(..start).unwrap_or_default())
            }
            _ => text(argument),
        };
        next_is_script = is_flag && name.ends_with('c') && !argument.starts_with("--");
        next_is_secret = is_flag && is_name(name) && name_kind(name).is_some();
        let left = ARGUMENTS_BYTES_MAX - bytes.min(ARGUMENTS_BYTES_MAX);
        let shown = shorten(shown, left);
        bytes += shown.len();
        kept.push(shown);
    }
    kept
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// At most `bytes` bytes of `text`, cut between characters and marked.
fn shorten(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
    text
}

/// Labels without the secrets in them.
pub fn labels(labels: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    labels
        .into_iter()
        .map(|(name, value)| {
            let value = match secret_kind(&name, &value) {
                Some(_) => REDACTED.to_owned(),
                None => text(&value),
            };
            (name, value)
        })
        .collect()
}

/// Environment variables (`NAME=value`) without their values, sorted by name.
pub fn environment(variables: &[String]) -> Vec<EnvVar> {
    let variable = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        EnvVar {
            name: Some(name.to_owned()),
            secret: Some(secret_kind(name, value).unwrap_or_default().to_owned()),
        }
    };
    let mut variables: Vec<_> = variables.iter().map(variable).collect();
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    variables
}

/// The variables of an `ENV` instruction (`A=some words B=more`) without the secrets in them: there a value
/// may have spaces without quotes, because the engine writes it down unquoted.
pub fn variables(instruction: &str) -> String {
    let Some(patterns) = PATTERNS.as_ref() else { return REDACTED.into() };
    let starts: Vec<_> = patterns
        .variable
        .captures_iter(instruction)
        .filter_map(|found| Some((found.name("name")?.as_str(), found.get(0)?.end())))
        .collect();
    let Some(first) = starts.first() else { return text(instruction) };
    let mut out = instruction.get(..first.1 - first.0.len() - 1).unwrap_or_default().to_owned();
    for (index, (name, start)) in starts.iter().enumerate() {
        let end =
            starts.get(index + 1).map_or(instruction.len(), |(next, end)| end - next.len() - 1);
        let value = instruction.get(*start..end).unwrap_or_default();
        let shown = match secret_kind(name, value.trim().trim_matches(['"', '\''])) {
            Some(_) if end < instruction.len() => format!("{REDACTED} "),
            Some(_) => REDACTED.to_owned(),
            None => text(value),
        };
        out.push_str(&format!("{name}={shown}"));
    }
    out
}

#[cfg(test)]
mod tests;
