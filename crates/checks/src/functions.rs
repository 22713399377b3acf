//! Haechi's own functions of the expression language: few, pure, documented in `docs/checks.md`.
//!
//! A wrong argument is an error, and an error is "unverified": no function guesses.

use std::net::IpAddr;
use std::path::{Component, Path};
use std::sync::Arc;

use cel::objects::Map;
use cel::{Context, DeclarationError, Env, ExecutionError, Value, extensions};
use haechi_core::policy;

type Answer<T> = Result<T, ExecutionError>;

/// The environment in which checks are compiled: CEL with its string and list extensions.
pub(crate) fn environment() -> Arc<Env> {
    let mut env = Env::stdlib();
    for extension in [extensions::strings, extensions::lists] {
        if let Err(error) = env.add_extension(extension) {
            // Cannot happen with a fresh environment; without the extension, checks that use it are refused.
            tracing::error!(%error, "expression extension is missing");
        }
    }
    Arc::new(env)
}

/// Adds the functions to a context.
pub(crate) fn declare(context: &mut Context<'_, '_>) -> Result<(), DeclarationError> {
    context.add_function("path_within", path_within)?;
    context.add_function("matches_pattern", matches_pattern)?;
    context.add_function("matches_any", matches_any)?;
    context.add_function("allowed_by", allowed_by)?;
    context.add_function("audited", audited)?;
    context.add_function("quote", quote)?;
    context.add_function("octal", octal)?;
    context.add_function("mode_within", mode_within)?;
    context.add_function("is_loopback", is_loopback)?;
    context.add_function("is_wildcard", is_wildcard)
}

fn path_within(path: Arc<String>, dir: Arc<String>) -> Answer<bool> {
    let path = normal(&path, "path_within")?;
    Ok(path.starts_with(normal(&dir, "path_within")?))
}

/// An absolute path without `.`, `..` and doubled slashes; a relative one is an error.
fn normal(path: &str, function: &str) -> Answer<std::path::PathBuf> {
    if !path.starts_with('/') {
        return Err(ExecutionError::function_error(function, format!("`{path}` is not absolute")));
    }
    let mut clean = std::path::PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    Ok(clean)
}

fn matches_pattern(pattern: Arc<String>, text: Arc<String>) -> bool {
    policy::matches_pattern(&pattern, &text)
}

fn matches_any(patterns: Value, text: Arc<String>) -> Answer<bool> {
    let Value::List(patterns) = patterns else {
        let why = "the first argument must be a list";
        return Err(ExecutionError::function_error("matches_any", why));
    };
    Ok(patterns.iter().any(|pattern| match pattern {
        Value::String(pattern) => policy::matches_pattern(pattern, &text),
        _ => false,
    }))
}

fn allowed_by(patterns: Value, name: Arc<String>) -> Answer<Value> {
    let Value::Map(map) = patterns else {
        return Err(ExecutionError::function_error(
            "allowed_by",
            "the first argument must be a map",
        ));
    };
    let mut allowed = Vec::new();
    for (pattern, values) in map.map.iter() {
        if let (cel::objects::Key::String(pattern), Value::List(values)) = (pattern, values)
            && policy::matches_pattern(pattern, &name)
        {
            allowed.extend(values.iter().cloned());
        }
    }
    Ok(Value::List(Arc::new(allowed)))
}

fn quote(text: Arc<String>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text.as_str().to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn octal(mode: i64) -> String {
    format!("{mode:04o}")
}

fn mode_within(mode: i64, max: i64) -> bool {
    mode & !max & 0o7777 == 0
}

fn is_loopback(address: Arc<String>) -> bool {
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}

fn is_wildcard(address: Arc<String>) -> bool {
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    bare.is_empty()
        || bare == "*"
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_unspecified())
}

/// One audit rule, read from facts.
struct Rule {
    always: bool,
    list: String,
    path: String,
    dir: String,
    permissions: String,
    limited: bool,
    text: String,
}

/// Whether loaded audit rules report every access of the given kinds to a file or, with all below, a directory.
///
/// The kernel takes the first rule of a list that matches (`kernel/auditsc.c`), so a `never` rule before the watch
/// silences it; one on the `task` list silences everything; the `exclude` list can drop the records themselves.
fn audited(rules: Arc<Vec<Value>>, file: Value, permissions: Arc<String>) -> Answer<bool> {
    let Value::Map(file) = file else {
        return Err(ExecutionError::function_error(
            "audited",
            "the second argument must be a file",
        ));
    };
    let rules = rules.iter().map(rule).collect::<Answer<Vec<_>>>()?;
    let (path, real_path) = (text(&file, "path")?, text(&file, "real_path")?);
    let is_dir = text(&file, "kind")? == "directory";
    // The kernel watches a link itself, not what it leads to (`audit_get_nd` in `kernel/audit_watch.c`): a write to
    // the target goes unnoticed. A folder on the way may be a link, that one it follows.
    let through_link = path != real_path && !matches!(field(&file, "link"), Ok(Value::Bool(false)));
    let paths = if through_link { vec![real_path] } else { vec![path, real_path] };
    let silenced = rules.iter().any(|rule| match rule.list.as_str() {
        "task" => !rule.always,
        "exclude" => {
            !["msgtype", "MSGTYPE"].iter().any(|m| rule.text.contains(m))
                || hides_records(&rule.text)
        }
        "filesystem" => !rule.always && !about_kernel_file_systems(&rule.text),
        _ => false,
    });
    if silenced {
        return Ok(false);
    }
    Ok(permissions.chars().all(|access| {
        paths.iter().filter(|path| !path.is_empty()).any(|path| {
            for rule in rules.iter().filter(|rule| rule.list == "exit") {
                let watches_dir = !rule.dir.is_empty() && Path::new(path).starts_with(&rule.dir);
                let watches_file = !rule.path.is_empty() && rule.path == *path && !is_dir;
                let about_nothing = rule.path.is_empty() && rule.dir.is_empty();
                if !rule.always {
                    // A rule that silences part of it (below the directory, or some users) breaks the watch too.
                    let below = is_dir
                        && [&rule.dir, &rule.path]
                            .iter()
                            .any(|inner| !inner.is_empty() && Path::new(inner).starts_with(path));
                    if watches_dir || watches_file || about_nothing || below {
                        return false;
                    }
                } else if (watches_dir || watches_file)
                    && !rule.limited
                    && rule.permissions.contains(access)
                {
                    return true;
                }
            }
            false
        })
    }))
}

/// tracefs and debugfs, by name or, as the kernel tells it, by magic number (`include/uapi/linux/magic.h`).
fn about_kernel_file_systems(text: &str) -> bool {
    let (tracefs, debugfs) = (0x7472_6163_u32, 0x6462_6720_u32);
    [tracefs.to_string(), format!("{tracefs:#x}"), debugfs.to_string(), format!("{debugfs:#x}")]
        .iter()
        .map(String::as_str)
        .chain(["tracefs", "debugfs"])
        .any(|name| text.contains(name))
}

fn hides_records(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    ["SYSCALL", "PATH", "CWD", "CONFIG_CHANGE", "1300", "1302", "1307", "!=", ">", "<"]
        .iter()
        .any(|record| text.contains(record))
}

fn rule(value: &Value) -> Answer<Rule> {
    let Value::Map(map) = value else {
        return Err(ExecutionError::function_error(
            "audited",
            "the first argument must be audit rules",
        ));
    };
    Ok(Rule {
        always: text(map, "action")? == "always",
        list: text(map, "list")?,
        path: text(map, "path")?,
        dir: text(map, "dir")?,
        permissions: text(map, "permissions")?,
        limited: matches!(field(map, "limited")?, Value::Bool(true)),
        text: text(map, "text")?,
    })
}

fn field<'a>(map: &'a Map, name: &str) -> Answer<&'a Value> {
    map.get(&cel::objects::KeyRef::String(name)).ok_or_else(|| ExecutionError::no_such_key(name))
}

fn text(map: &Map, name: &str) -> Answer<String> {
    match field(map, name)? {
        Value::String(text) => Ok(text.as_str().to_owned()),
        _ => Err(ExecutionError::function_error("audited", format!("`{name}` must be text"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arc(text: &str) -> Arc<String> {
        Arc::new(text.to_owned())
    }

    #[test]
    fn paths_are_compared_by_component_and_cleaned() {
        assert!(path_within(arc("/etc/ssh"), arc("/etc")).unwrap());
        assert!(path_within(arc("/etc"), arc("/etc")).unwrap());
        assert!(path_within(arc("/etc"), arc("/")).unwrap());
        assert!(path_within(arc("/var/../etc/x"), arc("/etc")).unwrap());
        assert!(!path_within(arc("/etcetera"), arc("/etc")).unwrap());
        assert!(path_within(arc("etc"), arc("/etc")).is_err());
    }

    #[test]
    fn modes_allow_no_bit_outside() {
        assert!(mode_within(0o444, 0o644));
        assert!(!mode_within(0o664, 0o644));
        assert!(!mode_within(0o4644, 0o644));
        assert_eq!(octal(0o640), "0640");
    }

    #[test]
    fn wildcards_and_loopbacks_in_every_spelling() {
        for address in ["", "0.0.0.0", "::", "[::]", "::ffff:0.0.0.0", "*"] {
            assert!(is_wildcard(arc(address)), "{address}");
        }
        assert!(!is_wildcard(arc("10.0.0.1")));
        for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "localhost"] {
            assert!(is_loopback(arc(address)), "{address}");
        }
        assert!(!is_loopback(arc("10.0.0.1")));
    }

    #[test]
    fn quoting_leaves_nothing_for_the_shell() {
        assert_eq!(quote(arc("web-1")), "web-1");
        assert_eq!(quote(arc("a b'; rm -rf /")), r"'a b'\''; rm -rf /'");
        assert_eq!(quote(arc("-rf")), "'-rf'");
        assert_eq!(quote(arc("")), "''");
    }
}
