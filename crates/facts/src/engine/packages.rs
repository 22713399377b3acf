//! Package managers: which of their commands fetch lists, and which install.
//!
//! One command at a time, split into words already ([`super::shell`]).

/// What a command line does with packages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Packages {
    /// It fetches lists of packages.
    pub(super) updates: bool,
    /// It installs or upgrades packages.
    pub(super) installs: bool,
    /// It has a command that only running it would tell: one in a variable, or one that a shell reads.
    pub(super) opaque: bool,
}

/// Package managers: options that take the next word, commands that update lists, commands that install.
struct Manager {
    names: &'static [&'static str],
    valued: &'static [&'static str],
    updates: &'static [&'static str],
    installs: &'static [&'static str],
}

const MANAGERS: [Manager; 7] = [
    Manager {
        names: &["apt-get", "apt", "aptitude", "nala"],
        valued: &[
            "-o",
            "-c",
            "-t",
            "-a",
            "--option",
            "--config-file",
            "--target-release",
            "--default-release",
        ],
        updates: &["update"],
        installs: &[
            "install",
            "reinstall",
            "upgrade",
            "dist-upgrade",
            "full-upgrade",
            "safe-upgrade",
            "build-dep",
            "satisfy",
        ],
    },
    Manager {
        names: &["apk"],
        valued: &[
            "-X",
            "--repository",
            "-p",
            "--root",
            "--keys-dir",
            "--repositories-file",
            "--arch",
            "--cache-dir",
            "--wait",
            "--timeout",
        ],
        updates: &["update"],
        installs: &["add", "upgrade", "fix"],
    },
    Manager {
        names: &["yum", "dnf", "dnf5", "microdnf", "tdnf"],
        valued: &[
            "-c",
            "--config",
            "-d",
            "-e",
            "-x",
            "--exclude",
            "--enablerepo",
            "--disablerepo",
            "--releasever",
            "--installroot",
            "--setopt",
            "--repo",
        ],
        updates: &["makecache", "check-update"],
        installs: &[
            "install",
            "update",
            "upgrade",
            "reinstall",
            "groupinstall",
            "localinstall",
            "group",
            "distro-sync",
            "swap",
            "update-minimal",
            "upgrade-minimal",
        ],
    },
    Manager {
        names: &["zypper"],
        valued: &[
            "-R",
            "--root",
            "-c",
            "--config",
            "-D",
            "--reposd-dir",
            "-p",
            "--plus-repo",
            "--installroot",
        ],
        updates: &["refresh", "ref"],
        installs: &["install", "in", "update", "up", "patch", "dist-upgrade", "dup"],
    },
    Manager {
        names: &["opkg"],
        valued: &["-f", "--conf", "-d", "--dest", "-o", "--offline-root"],
        updates: &["update"],
        installs: &["install", "upgrade"],
    },
    Manager {
        names: &["pip", "pip2", "pip3", "pipx", "conda", "mamba", "gem", "npm", "pnpm"],
        valued: &["--proxy", "--cache-dir", "--log", "--prefix", "-n", "-p"],
        updates: &[],
        installs: &["install", "i", "ci", "add", "update", "upgrade"],
    },
    Manager { names: &["yarn"], valued: &["--cwd"], updates: &[], installs: &["add", "install"] },
];

/// Whether a word is a package manager's program.
pub(super) fn is_package_manager(word: &str) -> bool {
    let name = super::shell::base(word);
    ["pacman", "emerge", "xbps-install", "dpkg", "rpm"].contains(&name)
        || MANAGERS.iter().any(|manager| manager.names.contains(&name))
}

/// Notes what one command does: a program's name and its arguments.
pub(super) fn read(program: &str, rest: &[&str], found: &mut Packages) {
    match program {
        "pacman" => pacman(rest, found),
        "emerge" => {
            let syncs = rest.contains(&"--sync");
            found.updates |= syncs;
            found.installs |= !syncs && rest.iter().any(|word| !word.starts_with('-'));
        }
        "emaint" | "emerge-webrsync" => found.updates = true,
        "xbps-install" => {
            let packages = rest.iter().any(|word| !word.starts_with('-') || word.contains('u'));
            found.updates |= !packages;
            found.installs |= packages;
        }
        "dpkg" | "rpm" => {
            let installs = ["-i", "--install", "-U", "--upgrade", "-ivh", "-Uvh"];
            found.installs |= rest.iter().any(|word| installs.contains(word));
        }
        // `python3 -m pip install …`
        name if name.starts_with("python") && rest.get(..2) == Some(&["-m", "pip"]) => {
            found.installs |= rest.contains(&"install");
        }
        name => {
            let manager = MANAGERS.iter().find(|manager| manager.names.contains(&name));
            let Some(manager) = manager else { return };
            let Some(command) = subcommand(manager, rest) else { return };
            found.opaque |= command.contains('$');
            found.updates |= manager.updates.contains(&command);
            found.installs |= manager.installs.contains(&command);
        }
    }
}

/// What the words of a script suggest whose commands cannot be followed: an update if a manager and its command
/// for it occur anywhere, an installation only if one of the same manager is joined behind.
pub(super) fn guess(text: &str, found: &mut Packages) {
    for manager in &MANAGERS {
        let is_used =
            words(text).any(|(_, word)| manager.names.contains(&super::shell::base(word)));
        let update = words(text).find(|(_, word)| manager.updates.contains(word));
        let Some((at, _)) = update.filter(|_| is_used) else { continue };
        found.updates = true;
        let behind = text.get(at..).unwrap_or_default();
        let joint = behind.find("&&").into_iter().chain(behind.find(';')).min();
        let behind = joint.and_then(|joint| behind.get(joint..)).unwrap_or_default();
        found.installs |= words(behind).any(|(_, word)| manager.installs.contains(&word));
    }
}

/// Words between blanks, quotes and signs, with their places.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = text.as_ptr().addr();
    text.split(|c: char| c.is_whitespace() || "\"'`;&|(){}=$\\,".contains(c))
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr().addr() - start, word))
}

/// The first word that is neither an option nor an option's value.
fn subcommand<'w>(manager: &Manager, words: &[&'w str]) -> Option<&'w str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            return Some(word);
        }
        if manager.valued.contains(word) {
            words.next();
        }
    }
    None
}

fn pacman(words: &[&str], found: &mut Packages) {
    let short = |letter: char| {
        words
            .iter()
            .any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
    };
    let long = |name: &str| words.contains(&name);
    let packages = words.iter().any(|word| !word.starts_with('-'));
    if short('U') || long("--upgrade") {
        found.installs = true;
    }
    if short('S') || long("--sync") {
        found.updates |= short('y') || long("--refresh");
        found.installs |= packages || short('u') || long("--sysupgrade");
    }
}
