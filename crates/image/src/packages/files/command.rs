//! Build steps that skip verification: what the history of an image says was run.
//!
//! Splits a step into words as a shell roughly would, without running or expanding anything. It gives the program and
//! the option, never the rest of the line, which may hold secrets.

use super::weak::{go, is_plain_http};

/// Longest step that is looked at; a Dockerfile's are below 64 KiB.
const STEP_MAX: usize = 1 << 20;

/// Most settings of one step.
const FOUND_MAX: usize = 100;

/// Options that skip verification: program (by its name in [`PROGRAMS`]) and option.
const OPTIONS: [(&str, &str); 24] = [
    ("apt", "--allow-unauthenticated"),
    ("apt", "--allow-insecure-repositories"),
    ("apt", "--force-yes"),
    ("aptitude", "--allow-untrusted"),
    ("dpkg", "--force-bad-verify"),
    ("debootstrap", "--no-check-gpg"),
    ("yum", "--nogpgcheck"),
    ("yum", "--no-gpgchecks"),
    ("zypper", "--no-gpg-checks"),
    ("zypper", "--allow-unsigned-rpm"),
    ("rpm", "--nosignature"),
    ("rpm", "--nodigest"),
    ("rpm", "--noverify"),
    ("apk", "--allow-untrusted"),
    ("pip", "--trusted-host"),
    ("npm", "--no-strict-ssl"),
    ("go", "-insecure"),
    ("curl", "--insecure"),
    ("curl", "-k"),
    ("curl", "--proxy-insecure"),
    ("wget", "--no-check-certificate"),
    ("gem", "--no-verify-ssl"),
    ("conda", "--insecure"),
    ("svn", "--trust-server-cert"),
];

/// Programs by their names, under the name that [`OPTIONS`] has.
const PROGRAMS: [(&str, &str); 28] = [
    ("apt", "apt"),
    ("apt-get", "apt"),
    ("aptitude", "aptitude"),
    ("dpkg", "dpkg"),
    ("debootstrap", "debootstrap"),
    ("yum", "yum"),
    ("dnf", "yum"),
    ("dnf5", "yum"),
    ("microdnf", "yum"),
    ("tdnf", "yum"),
    ("yum-config-manager", "yum"),
    ("zypper", "zypper"),
    ("rpm", "rpm"),
    ("apk", "apk"),
    ("pip", "pip"),
    ("pip2", "pip"),
    ("pip3", "pip"),
    ("uv", "pip"),
    ("npm", "npm"),
    ("yarn", "npm"),
    ("pnpm", "npm"),
    ("go", "go"),
    ("curl", "curl"),
    ("wget", "wget"),
    ("gem", "gem"),
    ("conda", "conda"),
    ("git", "git"),
    ("svn", "svn"),
];

/// What in a build step (`RUN`, `ENV` or a line of a shell) skips the verification of what it fetches: program and
/// option, or variable with value. Empty if there is nothing.
pub fn weak_in_command(step: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |text: String| {
        if found.len() < FOUND_MAX && !found.contains(&text) {
            found.push(text);
        }
    };
    let end = (0..=step.len().min(STEP_MAX)).rev().find(|&end| step.is_char_boundary(end));
    let step = step.get(..end.unwrap_or_default()).unwrap_or_default();
    for command in commands(step) {
        let mut program = "";
        let is_local = command.iter().any(|word| is_local_address(word));
        for (index, word) in command.iter().enumerate() {
            if let Some(text) = variable(word).or_else(|| setting(word)) {
                add(text);
            }
            let name = word.rsplit('/').next().unwrap_or_default();
            if let Some((_, known)) = PROGRAMS.iter().find(|(alias, _)| *alias == name) {
                // `pip install wget`: what a program is told to fetch is no program.
                if program.is_empty() || index == 0 {
                    program = known;
                }
                continue;
            }
            let option =
                OPTIONS.iter().find(|(of, option)| *of == program && is_option(word, option));
            if let Some((_, option)) = option.filter(|_| !is_local) {
                add(format!("{program} {option}"));
            }
            let next = command.get(index + 1).map(String::as_str);
            if let Some(text) = with_argument(program, word, next) {
                add(text);
            }
        }
    }
    found
}

/// Options whose argument decides.
fn with_argument(program: &str, word: &str, next: Option<&str>) -> Option<String> {
    let off = |value: &str| matches!(value, "false" | "0" | "off" | "no");
    let next = next.unwrap_or_default();
    let (option, value) = word.split_once('=').unwrap_or((word, next));
    match (program, option) {
        ("apt", "-o" | "--option") => setting(value),
        ("npm", "strict-ssl" | "--strict-ssl") if off(value) => Some("npm strict-ssl false".into()),
        ("npm", "registry" | "--registry") if is_plain_http(value) => {
            Some("npm registry http://".into())
        }
        ("pip", "-i" | "--index-url" | "--extra-index-url") if is_plain_http(value) => {
            Some(format!("pip {option} http://"))
        }
        ("git", "http.sslVerify" | "http.sslverify") if off(value) => {
            Some("git http.sslVerify false".into())
        }
        ("conda", "ssl_verify") if off(&value.to_ascii_lowercase()) => {
            Some("conda ssl_verify false".into())
        }
        ("gem", "--source" | "-s" | "--add") if is_plain_http(value) => {
            Some(format!("gem {option} http://"))
        }
        _ => None,
    }
}

/// Whether a word is this option. Short ones may be written together: `-fsSLk`.
fn is_option(word: &str, option: &str) -> bool {
    if option != "-k" {
        return word == option
            || (option.starts_with("--")
                && word.strip_prefix(option).is_some_and(|rest| rest.starts_with('=')));
    }
    let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')) else {
        return false;
    };
    // After a letter that takes an argument the rest is that argument.
    letters.chars().take_while(|c| !"AbcCdDeEFhHKmoPQrtTuUwxXyYz".contains(*c)).any(|c| c == 'k')
}

/// Variables that turn verification off, alone or before a command.
fn variable(word: &str) -> Option<String> {
    let (name, value) = word.split_once('=')?;
    let is_off = matches!(value, "0" | "false" | "no" | "off");
    let is_weak = match name.to_ascii_uppercase().as_str() {
        "GIT_SSL_NO_VERIFY" => !value.is_empty() && !is_off,
        "NODE_TLS_REJECT_UNAUTHORIZED"
        | "PYTHONHTTPSVERIFY"
        | "NPM_CONFIG_STRICT_SSL"
        | "YARN_STRICT_SSL"
        | "YARN_ENABLE_STRICT_SSL"
        | "CONDA_SSL_VERIFY" => is_off,
        "PIP_TRUSTED_HOST" => !value.is_empty(),
        "PIP_INDEX_URL" | "PIP_EXTRA_INDEX_URL" | "NPM_CONFIG_REGISTRY" => {
            return is_plain_http(value).then(|| format!("{name}=http://"));
        }
        "GOPROXY" => return go(word).then(|| format!("{name}=http://")),
        _ => go(word),
    };
    is_weak.then(|| format!("{name}={}", super::weak::harmless(value)))
}

/// Settings that a step writes into a file: `echo gpgcheck=0 >> x.repo`, `sed -i s/gpgcheck=1/gpgcheck=0/`.
fn setting(word: &str) -> Option<String> {
    const SETTINGS: [&str; 13] = [
        "trusted=yes",
        "allow-insecure=yes",
        "gpgcheck=0",
        "sslverify=0",
        "sslverify=false",
        "strict-ssl=false",
        "apt::get::allowunauthenticated=true",
        "apt::get::allowunauthenticated=1",
        "allowinsecurerepositories=true",
        "allowinsecurerepositories=1",
        "allowdowngradetoinsecurerepositories=true",
        "verify-peer=false",
        "verify-host=false",
    ];
    let lower = word.to_ascii_lowercase();
    let dense: String = lower.chars().filter(|c| !c.is_whitespace()).collect();
    SETTINGS
        .iter()
        .find(|setting| {
            // `repo_gpgcheck=0` alone is not weak: the packages' own signatures are still checked. `http.sslVerify` and
            // `--strict-ssl` are seen with their program.
            dense.match_indices(**setting).any(|(at, _)| {
                let before = dense.get(..at).unwrap_or_default();
                before.ends_with("pkg_") || !before.ends_with(['_', '-', '.'])
            })
        })
        .map(|setting| (*setting).to_owned())
}

fn is_local_address(word: &str) -> bool {
    let address = word.split_once("://").map(|(_, rest)| rest);
    address.is_some_and(|rest| {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        host == "localhost" || host.starts_with("127.")
    })
}

/// The words of each simple command. Quotes are taken away; `#` comments stay, they cost nothing.
fn commands(step: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    let mut chars = step.chars();
    let push = |commands: &mut Vec<Vec<String>>, word: &mut String| {
        if !word.is_empty()
            && let Some(last) = commands.last_mut()
        {
            last.push(std::mem::take(word));
        }
    };
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None) => match chars.next() {
                Some('\n') | None => push(&mut commands, &mut word),
                Some(c) => word.push(c),
            },
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (';' | '|' | '&' | '\n' | '(' | ')' | '`' | '{' | '}', None) => {
                push(&mut commands, &mut word);
                if commands.last().is_some_and(|last| !last.is_empty()) {
                    commands.push(Vec::new());
                }
            }
            (c, None) if c.is_whitespace() || matches!(c, ',') => push(&mut commands, &mut word),
            (c, _) => word.push(c),
        }
    }
    push(&mut commands, &mut word);
    // `sh -c "curl -k …"` and `["sh", "-c", "…"]`: what is in quotes may itself be commands.
    let inner: Vec<String> = commands
        .iter()
        .flat_map(|words| words.windows(2))
        .filter_map(|pair| match pair {
            [flag, script] if is_script_flag(flag) && script.contains(' ') => Some(script.clone()),
            _ => None,
        })
        .collect();
    // One level is enough: build tools write no more, and the work stays bounded.
    for script in inner {
        let parts = script.split([';', '|', '&', '\n', '(', ')', '`']);
        commands.extend(parts.map(|part| {
            part.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect()
        }));
    }
    commands
}

/// `-c`, `-ec`, `-lc`, `-exc` …
fn is_script_flag(flag: &str) -> bool {
    flag.strip_prefix('-').is_some_and(|letters| {
        letters.len() < 8 && letters.ends_with('c') && !letters.starts_with('-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_seen() {
        let cases = [
            (
                "/bin/sh -c apt-get update && apt-get install -y --allow-unauthenticated x",
                "apt --allow-unauthenticated",
            ),
            ("RUN apt-get -y --force-yes install x", "apt --force-yes"),
            ("|1 A=b /bin/sh -c dnf install -y --nogpgcheck x # buildkit", "yum --nogpgcheck"),
            ("zypper --no-gpg-checks in x", "zypper --no-gpg-checks"),
            ("apk add --no-cache --allow-untrusted ./x.apk", "apk --allow-untrusted"),
            ("pip3 install --trusted-host=pypi.example x", "pip --trusted-host"),
            ("python -m pip install -i http://u:p@x/simple y", "pip -i http://"),
            ("curl -fsSLk https://x | sh", "curl -k"),
            ("/usr/bin/curl --insecure https://x", "curl --insecure"),
            ("cd /x;wget --no-check-certificate https://x", "wget --no-check-certificate"),
            ("rpm -i --nosignature x.rpm", "rpm --nosignature"),
            ("npm config set strict-ssl false", "npm strict-ssl false"),
            ("npm install --registry http://a:b@x/", "npm registry http://"),
            ("npm i --strict-ssl=false", "npm strict-ssl false"),
            ("git config --global http.sslVerify false", "git http.sslVerify false"),
            ("git -c http.sslVerify=false clone https://x", "git http.sslVerify false"),
            ("ENV GIT_SSL_NO_VERIFY=1", "GIT_SSL_NO_VERIFY=1"),
            ("export NODE_TLS_REJECT_UNAUTHORIZED=0", "NODE_TLS_REJECT_UNAUTHORIZED=0"),
            ("GOFLAGS=-insecure go get x", "GOFLAGS=-insecure"),
            ("echo 'deb [trusted=yes] http://x y z' > /etc/apt/sources.list", "trusted=yes"),
            ("sed -i s/gpgcheck=1/gpgcheck=0/ /etc/yum.conf", "gpgcheck=0"),
            (
                "apt-get -o Acquire::AllowInsecureRepositories=true update",
                "allowinsecurerepositories=true",
            ),
            ("[\"sh\", \"-c\", \"curl -k https://x -o y\"]", "curl -k"),
            (
                "bash -ec 'set -x; wget --no-check-certificate https://x'",
                "wget --no-check-certificate",
            ),
        ];
        for (step, expected) in cases {
            assert_eq!(weak_in_command(step), [expected], "{step}");
        }
    }

    #[test]
    fn safe_steps_are_not() {
        for step in [
            "apt-get install -y --no-install-recommends curl wget",
            "curl -fsSL https://x -o k",
            "curl -okay https://x",
            "tar -xkf x && ls -k",
            "pip install wget --no-cache-dir",
            "ENV GIT_SSL_NO_VERIFY=",
            "ENV GOSUMDB=sum.golang.org GOPROXY=https://x,direct",
            "echo repo_gpgcheck=0",
            "curl -k https://localhost:8443/health",
            "GIT_SSL_NO_VERIFY=0 git clone x",
            "",
        ] {
            assert!(weak_in_command(step).is_empty(), "{step}: {:?}", weak_in_command(step));
        }
    }

    #[test]
    fn no_secret_gets_out() {
        let out =
            weak_in_command("curl -k -H 'Authorization: Bearer abcdef' https://u:p@x/").join(" ");
        assert_eq!(out, "curl -k");
    }

    #[test]
    fn long_steps_are_cut() {
        assert!(weak_in_command(&"é -c ".repeat(1 << 20)).is_empty());
    }
}
