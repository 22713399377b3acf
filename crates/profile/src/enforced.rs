//! What is said of an enforced profile: who does it and how well, and what was found that the profile does not have.
//!
//! Sentences only, for people: values come from the caller, and nothing is claimed that no monitor said lately. Nothing is
//! decided or enforced here.

use haechi_core::Lang;
use haechi_core::allowance::Mode;
use jiff::Timestamp;

use crate::allowed::Allowed;
use crate::texts;

/// What a monitor says that it does now.
#[derive(Debug, Clone, Copy)]
pub struct Doing<'a> {
    /// What it really does.
    pub mode: Mode,
    /// By what: `lsm` or `fanotify`; empty if by nothing.
    pub tier: &'a str,
    /// For how many containers.
    pub containers: u64,
    /// What it cannot do; empty if it can all of it.
    pub problem: &'a str,
}

/// Something that a profile did not have when it was found.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// What was in force.
    pub mode: Mode,
    /// Why: `not-allowed`, `replaced` or `written`.
    pub because: &'a str,
    /// Path of the program or file.
    pub value: &'a str,
    /// Where it lay, as in a profile.
    pub origin: &'a str,
    /// When it was first.
    pub first_at: Timestamp,
    /// How often.
    pub times: u64,
    /// Whether the profile has it by now.
    pub is_known: bool,
}

/// Whether a profile has by now what was found: `because`, path, and where it lay.
#[must_use]
pub fn has(allowed: &Allowed, because: &str, value: &str, origin: &str) -> bool {
    match because {
        "written" => allowed.has_file(value),
        _ => allowed.has_program(value, origin),
    }
}

/// Who does it, and how well; `None` if no monitor said lately that it does anything.
#[must_use]
pub fn doing(asked: Mode, by: Option<Doing<'_>>, lang: Lang) -> Vec<String> {
    let Some(by) = by else {
        let key = if asked == Mode::Deny { "enforce-nobody" } else { "enforce-nobody-tells" };
        return vec![texts::say(lang, key, &[])];
    };
    let count = by.containers.to_string();
    let tier = if by.tier == "lsm" { "BPF LSM" } else { by.tier };
    let key = match (tier, by.mode < asked) {
        ("", _) => "enforce-unable",
        (_, true) => "enforce-only-told",
        (_, false) => "enforce-guarded",
    };
    let mut lines = vec![texts::say(lang, key, &[("count", &count), ("tier", tier)])];
    if !tier.is_empty() {
        lines.push(texts::say(lang, &format!("enforce-limits-{}", by.tier), &[]));
    }
    if !by.problem.is_empty() {
        lines.push(texts::say(lang, "enforce-problem", &[("problem", by.problem)]));
    }
    lines
}

/// Why something is not what the profile has.
#[must_use]
pub fn why(one: &Found<'_>, lang: Lang) -> String {
    let say = |key: String| texts::say(lang, &key, &[]);
    let lay = match one.origin {
        "" => String::new(),
        origin => say(format!("enforce-lay-{origin}")),
    };
    say(format!("enforce-why-{}", one.because)) + &lay
}

/// What was done about it, or would be.
#[must_use]
pub fn done(one: &Found<'_>, lang: Lang) -> String {
    let key = match (one.mode, one.is_known) {
        (Mode::DryRun, true) => "enforce-done-known".to_owned(),
        (mode, _) => format!("enforce-done-{}", mode.name()),
    };
    texts::say(lang, &key, &[])
}

/// All of it in one line.
#[must_use]
pub fn line(one: &Found<'_>, lang: Lang) -> String {
    let at = one.first_at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let (why, done, times) = (why(one, lang), done(one, lang), one.times.to_string());
    let values =
        [("at", &*at), ("path", one.value), ("why", &why), ("times", &times), ("done", &done)];
    texts::say(lang, "enforce-found", &values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_claimed_that_nobody_does() {
        let by = |mode, tier, problem| Some(Doing { mode, tier, containers: 2, problem });
        for lang in [Lang::En, Lang::Ko] {
            let say = |by| doing(Mode::Deny, by, lang).join("\n");
            let done = texts::say(lang, "enforce-guarded", &[("count", "2"), ("tier", "fanotify")]);
            assert!(say(by(Mode::Deny, "fanotify", "")).contains(&done));
            for other in
                [None, by(Mode::DryRun, "fanotify", ""), by(Mode::Deny, "", "this kernel cannot")]
            {
                let said = say(other);
                assert!(!said.contains(&done) && !said.contains("enforce-"), "{said}");
            }
            let limited = say(by(Mode::Deny, "fanotify", "a\nb"));
            assert!(!limited.contains("a\nb") && !limited.contains("enforce-"), "{limited}");
        }
    }

    #[test]
    fn all_that_can_be_found_is_said_in_both_languages() {
        for because in ["not-allowed", "replaced", "written"] {
            for origin in ["", "image", "changed", "mounted", "memory"] {
                for mode in [Mode::DryRun, Mode::Deny] {
                    let one = Found {
                        mode,
                        because,
                        value: "/x\n\u{1b}[2J",
                        origin,
                        first_at: Timestamp::UNIX_EPOCH,
                        times: 3,
                        is_known: false,
                    };
                    let [en, ko] = [Lang::En, Lang::Ko].map(|lang| line(&one, lang));
                    assert!(
                        en != ko && !en.contains("enforce-") && !ko.contains("enforce-"),
                        "{en} {ko}"
                    );
                    assert!(!en.contains(['\n', '\u{1b}']), "{en}");
                }
            }
        }
    }
}
