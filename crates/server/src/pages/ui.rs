//! Small pieces of markup that stand in many places: a status, a severity, a verdict is always an icon and a word.
//!
//! Made of closed lists and of Haechi's own words only; nothing that somebody else named comes in here.

use std::borrow::Cow;

use askama::filters::Safe;
use haechi_core::alert::Priority;
use haechi_core::response::Outcome;
use haechi_core::verdict::Safety;
use haechi_core::vulnerability::Rating;
use haechi_core::{Severity, Status};
use haechi_protocol::JobState;

use super::words::Words;

fn marked(class: &str, name: &str, icon: &str, word: &str) -> Safe<String> {
    Safe(format!(
        "<span class=\"{class} {class}-{name}\"><svg aria-hidden=\"true\"><use href=\"#i-{icon}\"/></svg>{word}</span>"
    ))
}

/// Whether a finding is as it should be: nobody has to do or to answer for anything.
pub(super) fn is_good(status: Status) -> bool {
    matches!(status, Status::Pass | Status::NotApplicable)
}

impl Words {
    /// The severity of what has this status; none where it would make what is good look bad.
    pub(super) fn severity_of(&self, status: &Status, severity: &Severity) -> Safe<String> {
        if is_good(*status) { Safe(String::new()) } else { self.severity(severity) }
    }

    /// What was done, in the audit log; of an action that is not known, its name.
    pub(super) fn deed<'a>(&self, action: &'a str) -> Cow<'a, str> {
        self.word("audit.action", action)
    }

    /// What came of it.
    pub(super) fn came<'a>(&self, outcome: &'a str) -> Cow<'a, str> {
        self.word("audit.outcome", outcome)
    }

    /// How a detail of a record is called.
    pub(super) fn detail<'a>(&self, name: &'a str) -> Cow<'a, str> {
        self.word("audit.detail", name)
    }

    /// What went wrong with a piece of work: a word of Haechi's own as a sentence, else what its process said last.
    pub(super) fn failure<'a>(&self, problem: &'a str) -> Cow<'a, str> {
        match self.word("job.problem", problem) {
            Cow::Borrowed(said) => self.short(said, 400),
            own => own,
        }
    }

    /// The sentence for a word of a list that may grow elsewhere; the word itself if there is none.
    fn word<'a>(&self, family: &str, word: &'a str) -> Cow<'a, str> {
        let key = format!("{family}.{word}");
        if self.knows(&key) { Cow::Owned(self.get(&key).to_owned()) } else { self.name(word) }
    }

    /// A status.
    pub(super) fn status(&self, status: &Status) -> Safe<String> {
        let name = status.name();
        marked("st", name, name, &self.of("status", name))
    }

    /// A severity.
    pub(super) fn severity(&self, severity: &Severity) -> Safe<String> {
        let name = severity.name();
        marked("sev", name, name, &self.of("severity", name))
    }

    /// How bad a vulnerability is.
    pub(super) fn rating(&self, rating: &Rating) -> Safe<String> {
        let (icon, word) = match rating {
            Rating::Unknown => ("unverified", self.of("rating", "unknown")),
            Rating::Negligible => ("not-applicable", self.of("rating", "negligible")),
            other => (other.name(), self.of("severity", other.name())),
        };
        marked("sev", rating.name(), icon, &word)
    }

    /// What is thought of an image.
    pub(super) fn safety(&self, safety: &Option<Safety>) -> Safe<String> {
        let (name, icon) = match safety {
            Some(Safety::Unsafe) => ("unsafe", "fail"),
            Some(Safety::Undecided) => ("undecided", "unverified"),
            Some(Safety::Safe) => ("safe", "pass"),
            None => ("unscanned", "not-applicable"),
        };
        marked("safe", name, icon, &self.of("safety", name))
    }

    /// How urgent an alert is.
    pub(super) fn priority(&self, priority: &Priority) -> Safe<String> {
        let class = match priority {
            Priority::Emergency | Priority::Alert | Priority::Critical => "critical",
            Priority::Error => "high",
            Priority::Warning => "medium",
            _ => "low",
        };
        marked("sev", class, class, &self.of("priority", priority))
    }

    /// The state of a container, as the engine says it.
    pub(super) fn state(&self, state: &str) -> Safe<String> {
        let known =
            ["running", "paused", "exited", "created", "restarting", "dead", "removing", "gone"];
        let name = known.into_iter().find(|name| *name == state).unwrap_or("unknown");
        marked("state", name, name_of_state(name), &self.of("state", name))
    }

    /// What came of a response.
    pub(super) fn outcome(&self, outcome: &Outcome) -> Safe<String> {
        let (name, icon) = match outcome {
            Outcome::Done => ("done", "pass"),
            Outcome::Ended => ("ended", "resume"),
            Outcome::DryRun => ("dry_run", "not-applicable"),
            Outcome::Begun => ("begun", "unverified"),
            Outcome::Withheld(_) => ("withheld", "not-applicable"),
            Outcome::Failed(_) => ("failed", "fail"),
        };
        marked("out", name, icon, &self.of("outcome", name))
    }

    /// How far a piece of work is.
    pub(super) fn job(&self, state: &JobState) -> Safe<String> {
        let (name, icon) = match state {
            JobState::Waiting => ("waiting", "not-applicable"),
            JobState::Running => ("running", "running"),
            JobState::Done => ("done", "pass"),
            JobState::Failed => ("failed", "fail"),
        };
        marked("out", name, icon, &self.of("job", name))
    }
}

fn name_of_state(state: &str) -> &'static str {
    match state {
        "running" => "running",
        "paused" => "pause",
        "dead" => "fail",
        "unknown" => "unverified",
        _ => "not-applicable",
    }
}
