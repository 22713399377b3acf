//! What names and values say: a name that promises a secret, a value that cannot be one.
//!
//! Words only; the forms of known secrets are [`super`]'s.

/// The kind of secret that a name promises, and whether the name is that of the value itself
/// (`DB_PASSWORD`) and not of something about it (`TOKENS_PER_MINUTE`).
pub(super) fn name_kind(name: &str) -> Option<(&'static str, bool)> {
    /// A last word that makes it a thing about a secret: a place, a length, a rule.
    const ABOUT: [&str; 34] = [
        "file",
        "files",
        "path",
        "dir",
        "directory",
        "name",
        "url",
        "uri",
        "endpoint",
        "host",
        "port",
        "ttl",
        "timeout",
        "length",
        "expiry",
        "expiration",
        "expires",
        "lifetime",
        "algorithm",
        "algo",
        "type",
        "policy",
        "enabled",
        "header",
        "field",
        "issuer",
        "audience",
        "method",
        "prefix",
        "arn",
        "version",
        "size",
        "count",
        "required",
    ];
    let words = words(name);
    let last = words.last()?.as_str();
    if ABOUT.contains(&last) {
        return None;
    }
    let joined = words.concat();
    let has = |word: &str| words.iter().any(|w| w == word);
    let kind =
        if ["password", "passwd", "passphrase", "passwort"].iter().any(|w| joined.contains(w))
            || has("pass")
            || has("pw")
            || (has("pwd") && words.len() > 1)
        {
            "password"
        } else if joined.contains("apikey") {
            "api-key"
        } else if joined.contains("privatekey") {
            "private-key"
        } else if joined.contains("accesskey") {
            "access-key"
        } else if joined.contains("secret") {
            "secret"
        } else if words.iter().any(|w| w.ends_with("token")) {
            "token"
        } else if joined.contains("credential")
            || has("creds")
            || has("hmac")
            || (has("auth") && words.len() > 1)
        {
            "credential"
        } else if ["signingkey", "encryptionkey", "masterkey", "authkey", "unlockkey"]
            .iter()
            .any(|w| joined.contains(w))
        {
            "key"
        } else {
            return None;
        };
    let names_value = ["password", "passwd", "pass", "pwd", "passphrase", "secret", "token", "key"];
    Some((kind, names_value.iter().any(|word| last.ends_with(word))))
}

/// Lower-case words of `DB_PASSWORD`, `dbPassword`, `db-password`, `com.example.password`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            words.push(String::new());
        } else {
            if c.is_uppercase() && lower {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a value cannot be the secret that its name promises.
pub(super) fn is_harmless(value: &str, name_is_of_value: bool) -> bool {
    const WORDS: [&str; 14] = [
        "true", "false", "yes", "no", "on", "off", "0", "1", "none", "null", "nil", "enabled",
        "disabled", "optional",
    ];
    let value = value.trim();
    let path = ["/", "./", "../", "~/"].iter().any(|start| value.starts_with(start))
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "/._-~@:".contains(c))
        // `/aB3x` alone could be a password; a path has at least two parts.
        && value.trim_start_matches(['.', '~', '/']).contains(['/', '.']);
    value.is_empty()
        || WORDS.contains(&value.to_ascii_lowercase().as_str())
        || is_placeholder(value)
        || path
        || (!name_is_of_value && value.chars().all(|c| c.is_ascii_digit() || ".smhd".contains(c)))
}

/// Whether a value stands for another one: `${X}`, `$X`, `<x>`, `{{x}}`, `***`, or was redacted already.
pub(super) fn is_placeholder(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    let variable = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let dollar = value.strip_prefix('$').is_some_and(|rest| {
        // `${X:-value}` carries a value.
        let inner = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(rest);
        let starts_as_name = !rest.starts_with(|c: char| c.is_ascii_digit());
        variable(inner) && starts_as_name
    });
    dollar
        || value == super::REDACTED
        || (value.starts_with('<') && value.ends_with('>'))
        || (value.starts_with("{{") && value.ends_with("}}"))
        || (!value.is_empty() && value.chars().all(|c| c == '*'))
}
