//! Settings of package managers and download tools that skip verification, with line and text as written.
//!
//! What is only unusual is not listed: a repository over plain HTTP whose packages are signed (apt, dnf, apk), or one
//! whose metadata is not signed while its packages are. Credentials in addresses are left out of the text.

use haechi_core::inventory::WeakSource;

use super::apt_conf;
use super::text::{note, text};
use crate::reader::{Found, Meta, Unread};

/// Longest line that is looked at; minified JSON is longer and is no setting that someone wrote.
const LINE_MAX: usize = 16 << 10;

/// Most settings of one file: a hostile one must not fill memory.
const SETTINGS_MAX: usize = 1000;

/// Longest text of a setting that is kept.
const SETTING_MAX: usize = 300;

/// A kind of file, and how its lines are judged.
struct Kind {
    is: fn(&str) -> bool,
    weak: fn(&str) -> bool,
}

const KINDS: &[Kind] = &[
    Kind { is: is_apt_source, weak: apt_source },
    Kind { is: is_apt_conf, weak: |_| false },
    Kind { is: is_rpm_repository, weak: rpm_repository },
    Kind { is: |path| path == "etc/pacman.conf", weak: pacman },
    Kind { is: is_pip, weak: pip },
    Kind { is: |path| ends(path, &[".npmrc", "etc/npmrc", "npm/npmrc"]), weak: npm },
    Kind { is: |path| ends(path, &[".yarnrc", ".yarnrc.yml"]), weak: yarn },
    Kind { is: |path| ends(path, &[".gemrc", "etc/gemrc", ".bundle/config"]), weak: gem },
    Kind { is: is_composer, weak: composer },
    Kind { is: |path| ends(path, &[".config/go/env", "usr/local/go/go.env"]), weak: go },
    Kind { is: |path| ends(path, &[".curlrc", "etc/curlrc"]), weak: curl },
    Kind { is: |path| ends(path, &[".wgetrc", "etc/wgetrc"]), weak: wget },
    Kind { is: is_git, weak: git },
    Kind { is: |path| ends(path, &[".condarc", "conda/condarc"]), weak: conda },
];

pub(super) fn wants(meta: &Meta<'_>, _head: &[u8]) -> bool {
    // What a dependency brings with it is in effect nowhere.
    let is_foreign = meta
        .path
        .split('/')
        .any(|part| matches!(part, "node_modules" | "vendor" | "site-packages"));
    !is_foreign && KINDS.iter().any(|kind| (kind.is)(meta.path))
}

pub(super) fn read(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    let content = text(content);
    if is_apt_conf(meta.path) {
        let mut weak = Vec::new();
        apt_conf::settings(&content, |setting| {
            if apt_option(&setting.name, &setting.value) {
                let written = format!("{} \"{}\"", setting.name, setting.value);
                weak.push((setting.line, written));
            }
        });
        weak.into_iter().for_each(|(line, written)| add(meta, found, line, &written));
        return Ok(());
    }
    let Some(kind) = KINDS.iter().find(|kind| (kind.is)(meta.path)) else { return Ok(()) };
    for (index, line) in content.lines().enumerate() {
        if line.len() > LINE_MAX {
            note(found, || format!("line {} is too long", index + 1));
            continue;
        }
        let line = line.trim();
        if !line.starts_with(['#', ';']) && (kind.weak)(line) {
            add(meta, found, u32::try_from(index + 1).unwrap_or(u32::MAX), line);
        }
    }
    Ok(())
}

fn add(meta: &Meta<'_>, found: &mut Found, line: u32, written: &str) {
    if found.weak_sources.len() < SETTINGS_MAX {
        let path = meta.path.to_owned();
        found.weak_sources.push(WeakSource { path, line, setting: harmless(written), layer: None });
    }
}

/// The text without what stands between `://` and `@` in addresses, and without npm's tokens; short.
pub(super) fn harmless(written: &str) -> String {
    let mut out = String::new();
    for (index, part) in written.split("://").enumerate() {
        if index == 0 {
            out.push_str(part);
            continue;
        }
        out.push_str("://");
        let end =
            part.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(part.len());
        let (host, rest) = part.split_at_checked(end).unwrap_or((part, ""));
        out.push_str(host.rsplit_once('@').map_or(host, |(_, host)| host));
        // What follows `?` may be a token.
        let cut = rest.find('?').unwrap_or(rest.len());
        out.push_str(rest.get(..cut).unwrap_or(rest));
    }
    out.chars().take(SETTING_MAX).collect()
}

fn ends(path: &str, names: &[&str]) -> bool {
    names.iter().any(|name| {
        path.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    })
}

fn is_in(path: &str, folder: &str, extensions: &[&str]) -> bool {
    path.strip_prefix(folder).is_some_and(|name| {
        !name.contains('/') && extensions.iter().any(|extension| name.ends_with(extension))
    })
}

/// `key = value` or `key: value` or `key value`: key in lower case, value without quotes.
fn pair(line: &str) -> Option<(String, &str)> {
    let (key, value) = line.split_once(['=', ':', ' ', '\t'])?;
    let quotes = ['"', '\'', ',', ' ', '\t'];
    let value = value.trim_start_matches([' ', '\t', '=', ':']);
    let value = value.split(" #").next().unwrap_or(value);
    Some((key.trim_matches(quotes).to_ascii_lowercase(), value.trim_matches(quotes)))
}

fn is_off(value: &str) -> bool {
    ["0", "false", "no", "off", "n", "never", "disable", "without"]
        .iter()
        .any(|off| value.eq_ignore_ascii_case(off))
}

fn is_on(value: &str) -> bool {
    ["1", "true", "yes", "on", "y", "enable", "with"]
        .iter()
        .any(|on| value.eq_ignore_ascii_case(on))
}

/// An address without encryption that is not this machine itself.
pub(super) fn is_plain_http(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'', ' ']);
    let Some(rest) =
        value.get(..7).filter(|s| s.eq_ignore_ascii_case("http://")).and(value.get(7..))
    else {
        return false;
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let name = if host.starts_with('[') { host } else { host.split(':').next().unwrap_or(host) };
    !(name == "localhost" || name.starts_with("127.") || host.starts_with("[::1]"))
}

fn is_apt_source(path: &str) -> bool {
    path == "etc/apt/sources.list" || is_in(path, "etc/apt/sources.list.d/", &[".list", ".sources"])
}

/// sources.list(5): `deb [trusted=yes] …`, and `Trusted: yes` in the other format.
fn apt_source(line: &str) -> bool {
    const OPTIONS: [&str; 3] = ["trusted", "allow-insecure", "allow-weak"];
    let is_weak = |key: &str, value: &str| {
        OPTIONS.iter().any(|option| key.eq_ignore_ascii_case(option)) && is_on(value)
    };
    if line.starts_with("deb") && line.contains('[') {
        let options = line.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        let options = options.map_or("", |(options, _)| options);
        return options
            .split_whitespace()
            .any(|option| option.split_once('=').is_some_and(|(key, value)| is_weak(key, value)));
    }
    line.split_once(':').is_some_and(|(key, value)| is_weak(key.trim(), value.trim()))
}

fn is_apt_conf(path: &str) -> bool {
    // In the folder apt reads files without extension too (apt.conf(5)).
    path == "etc/apt/apt.conf"
        || path.strip_prefix("etc/apt/apt.conf.d/").is_some_and(|name| {
            !name.contains('/') && (name.ends_with(".conf") || !name.contains('.'))
        })
}

/// An option of apt.conf(5); names are in lower case.
fn apt_option(name: &str, value: &str) -> bool {
    match name {
        "apt::get::allowunauthenticated"
        | "apt::get::force-yes"
        | "aptitude::cmdline::ignore-trust-violations"
        | "acquire::allowinsecurerepositories"
        | "acquire::allowweakrepositories"
        | "acquire::allowdowngradetoinsecurerepositories" => is_on(value),
        "apt::authentication::trustcdrom" => false,
        name if name.starts_with("acquire::https::") => {
            (name.ends_with("::verify-peer") || name.ends_with("::verify-host")) && is_off(value)
        }
        _ => false,
    }
}

fn is_rpm_repository(path: &str) -> bool {
    matches!(
        path,
        "etc/yum.conf" | "etc/dnf/dnf.conf" | "etc/tdnf/tdnf.conf" | "etc/zypp/zypp.conf"
    ) || ["etc/yum.repos.d/", "etc/zypp/repos.d/", "etc/distro.repos.d/"]
        .iter()
        .any(|folder| is_in(path, folder, &[".repo"]))
}

fn rpm_repository(line: &str) -> bool {
    pair(line).is_some_and(|(key, value)| match key.as_str() {
        "gpgcheck" | "pkg_gpgcheck" | "pkg_gpg_check" | "sslverify" | "proxy_sslverify" => {
            is_off(value)
        }
        "baseurl" => value.contains("ssl_verify=no"),
        _ => false,
    })
}

/// pacman.conf(5).
fn pacman(line: &str) -> bool {
    pair(line).is_some_and(|(key, value)| {
        key.ends_with("siglevel")
            && value
                .split_whitespace()
                .any(|word| matches!(word, "Never" | "TrustAll" | "PackageNever"))
    })
}

fn is_pip(path: &str) -> bool {
    ends(path, &["pip.conf", "pip/pip.ini"])
}

/// pip's configuration; a list of values continues on indented lines.
fn pip(line: &str) -> bool {
    match pair(line) {
        _ if is_plain_http(line) => true,
        Some((key, value)) => match key.replace('_', "-").as_str() {
            "trusted-host" => true,
            "index-url" | "extra-index-url" | "find-links" | "index" => {
                value.split_whitespace().any(is_plain_http)
            }
            _ => false,
        },
        None => false,
    }
}

/// `strict-ssl=false`, `registry=http://…`, `@scope:registry=http://…`.
fn npm(line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else { return false };
    let (key, value) = (key.trim(), value.trim().trim_matches(['"', '\'']));
    match key {
        "strict-ssl" => is_off(value),
        "registry" => is_plain_http(value),
        scoped => scoped.ends_with(":registry") && is_plain_http(value),
    }
}

fn yarn(line: &str) -> bool {
    pair(line).is_some_and(|(key, value)| match key.as_str() {
        "strict-ssl" | "enablestrictssl" => is_off(value),
        "registry" | "npmregistryserver" => is_plain_http(value),
        "checksumbehavior" => value == "ignore",
        "unsafehttpwhitelist" => true,
        _ => false,
    })
}

fn gem(line: &str) -> bool {
    if let Some(source) = line.strip_prefix('-') {
        return is_plain_http(source.trim());
    }
    pair(line.trim_start_matches(':')).is_some_and(|(key, value)| match key.as_str() {
        "ssl_verify_mode" | "bundle_ssl_verify_mode" => value == "0",
        key => key.starts_with("bundle_mirror__") && is_plain_http(value),
    })
}

fn is_composer(path: &str) -> bool {
    ends(path, &["composer.json", ".composer/config.json", "composer/config.json"])
}

fn composer(line: &str) -> bool {
    let dense: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    dense.contains("\"secure-http\":false") || dense.contains("\"disable-tls\":true")
}

/// `go env -w` and the environment.
pub(super) fn go(line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else { return false };
    let value = value.trim().trim_matches(['"', '\'']);
    match key.trim() {
        "GOINSECURE" | "GONOSUMDB" | "GONOSUMCHECK" => !value.is_empty() && !is_off(value),
        "GOSUMDB" => value == "off",
        "GOPROXY" => value.split([',', '|']).any(is_plain_http),
        "GOFLAGS" => {
            value.split_whitespace().any(|flag| flag.trim_start_matches('-') == "insecure")
        }
        _ => false,
    }
}

fn curl(line: &str) -> bool {
    let option = line.split(['=', ':', ' ', '\t']).next().unwrap_or_default();
    matches!(option, "-k" | "insecure" | "--insecure" | "proxy-insecure" | "--proxy-insecure")
}

fn wget(line: &str) -> bool {
    // wget reads names without case, `-` and `_`.
    pair(line).is_some_and(|(key, value)| {
        key.replace(['-', '_'], "") == "checkcertificate" && is_off(value)
    })
}

fn is_git(path: &str) -> bool {
    ends(path, &[".gitconfig", "etc/gitconfig", ".config/git/config", ".git/config"])
}

fn git(line: &str) -> bool {
    // `[http] sslVerify = false` may stand on one line.
    let line = line.rsplit_once(']').map_or(line, |(_, rest)| rest.trim());
    pair(line).is_some_and(|(key, value)| key == "sslverify" && is_off(value))
}

fn conda(line: &str) -> bool {
    pair(line).is_some_and(|(key, value)| key == "ssl_verify" && is_off(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, content: &str) -> Vec<u32> {
        let meta = Meta { path, ..Meta::default() };
        assert!(wants(&meta, b""), "{path}");
        let mut found = Found::default();
        read(&meta, content.as_bytes(), &mut found).unwrap();
        found.weak_sources.iter().map(|weak| weak.line).collect()
    }

    #[test]
    fn each_kind_is_seen_and_its_safe_form_is_not() {
        let cases: [(&str, &str, &[u32]); 24] = [
            (
                "etc/apt/sources.list",
                "deb [arch=amd64 trusted=yes] http://a b c\n# deb [trusted=yes] x\ndeb http://a b c",
                &[1],
            ),
            (
                "etc/apt/sources.list.d/a.list",
                "deb [ allow-insecure=yes ] http://a b c\ndeb [trusted=no] a",
                &[1],
            ),
            (
                "etc/apt/sources.list.d/a.sources",
                "Types: deb\nTrusted: yes\nAllow-Insecure: no",
                &[2],
            ),
            (
                "etc/apt/apt.conf.d/99x",
                "APT::Get::AllowUnauthenticated \"true\";\nAcquire { https { Verify-Peer \"false\"; }; };\nAcquire::AllowInsecureRepositories 0;",
                &[1, 2],
            ),
            (
                "etc/yum.repos.d/a.repo",
                "[a]\ngpgcheck=1\nrepo_gpgcheck=0\ngpgcheck = 0\nsslverify=False",
                &[4, 5],
            ),
            ("etc/zypp/repos.d/a.repo", "gpgcheck=off", &[1]),
            ("etc/pacman.conf", "SigLevel = Never\nSigLevel = Required DatabaseOptional", &[1]),
            (
                "root/.config/pip/pip.conf",
                "[global]\ntrusted-host = a\nindex-url = https://a\nextra-index-url =\n    http://b/simple\n",
                &[2, 5],
            ),
            (
                "etc/pip.conf",
                "index-url=http://u:p@a/simple\nindex-url=http://localhost:3141/",
                &[1],
            ),
            (
                "app/.npmrc",
                "strict-ssl=false\nregistry=http://a/\n@x:registry = http://b\nregistry=https://a",
                &[1, 2, 3],
            ),
            (
                "app/.yarnrc",
                "strict-ssl false\nregistry \"http://a\"\nregistry \"https://a\"",
                &[1, 2],
            ),
            ("app/.yarnrc.yml", "enableStrictSsl: false\nnpmRegistryServer: \"http://a\"", &[1, 2]),
            (
                "root/.gemrc",
                "---\n:ssl_verify_mode: 0\n:sources:\n- http://a/\n- https://a/",
                &[2, 4],
            ),
            ("app/.bundle/config", "BUNDLE_SSL_VERIFY_MODE: \"0\"", &[1]),
            (
                "root/.composer/config.json",
                "{\"config\": {\n\"secure-http\" : false,\n\"disable-tls\": false}}",
                &[2],
            ),
            (
                "root/.config/go/env",
                "GOINSECURE=*\nGOSUMDB=off\nGOFLAGS=-mod=mod -insecure\nGOPROXY=https://a\nGOINSECURE=",
                &[1, 2, 3],
            ),
            ("root/.curlrc", "insecure\n-k\n--silent", &[1, 2]),
            ("etc/wgetrc", "check_certificate = off\ncheck_certificate = on", &[1]),
            (
                "root/.gitconfig",
                "[http]\n\tsslVerify = false\n[http] sslverify=0\nsslVerify = true",
                &[2, 3],
            ),
            ("root/.condarc", "ssl_verify: false", &[1]),
            ("etc/dnf/dnf.conf", "[main]\ngpgcheck=1\n", &[]),
            ("etc/yum.conf", "gpgcheck=0", &[1]),
            ("etc/apt/apt.conf", "APT::Get::Assume-Yes \"true\";", &[]),
            ("etc/npmrc", "# strict-ssl=false\n; strict-ssl=false", &[]),
        ];
        for (path, content, expected) in cases {
            assert_eq!(lines(path, content), expected, "{path}: {content}");
        }
    }

    #[test]
    fn no_password_is_kept() {
        assert_eq!(harmless("index-url = http://u:p@w@h/x?t=1 y"), "index-url = http://h/x");
        assert_eq!(harmless("a http://h/ b https://t@i"), "a http://h/ b https://i");
        assert!(harmless(&"x".repeat(10_000)).len() <= SETTING_MAX);
    }

    #[test]
    fn settings_of_dependencies_are_not_in_effect() {
        let path = "app/node_modules/a/.npmrc";
        assert!(!wants(&Meta { path, ..Meta::default() }, b""));
    }
}
