//! How well a workload is known: how long it was watched, when something new was seen last, and whether that is enough.
//!
//! [`Coverage::of`] decides it by one rule, for each part of a profile by itself; `docs/profile.md` says it in words. A
//! profile is settled if every part of it is. That a part is settled is no promise that nothing else will ever be done: it
//! says that enough was seen without anything new.

use std::collections::{BTreeMap, BTreeSet};

use haechi_core::Lang;
use haechi_core::profile::{Entry, Gap, Kind, Phase, Profile, Run};
use haechi_core::text::Text;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calls;
use crate::texts::{self, duration};

mod watched;

use watched::Watched;

/// Milliseconds of an hour.
const HOUR: u64 = 3_600_000;
/// A container that was just started is starting for so long.
const STARTING: SignedDuration = SignedDuration::from_secs(60);
/// What it does to stop is told within so long before its end, and a little after it.
const STOPPING: SignedDuration = SignedDuration::from_secs(15);

/// One call for all that sockets do (socketcall(2)): who is talked to, and where it listens, is not told.
const SOCKET_CALL: &str = "compat:socketcall";

/// What a site asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Seconds without anything new that are the least.
    pub quiet_min: u64,
    /// Whether the container has a health check: then that has to be seen.
    pub has_health_check: bool,
}

/// What is known together, and missing together.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// System calls and their arguments.
    Calls,
    /// Capabilities.
    Capabilities,
    /// Programs and libraries.
    Programs,
    /// Files that were read or written. A new file in a folder that was used already is nothing new: many are named by
    /// chance.
    Files,
    /// Peers and ports.
    Network,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Calls, Self::Capabilities, Self::Programs, Self::Files, Self::Network];

    /// The part that entries of a kind are in.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Call | Kind::RefusedCall | Kind::Argument => Self::Calls,
            Kind::Capability | Kind::RefusedCapability => Self::Capabilities,
            Kind::Executed | Kind::Mapped => Self::Programs,
            Kind::Read | Kind::Written => Self::Files,
            Kind::Peer | Kind::Listening => Self::Network,
        }
    }

    /// Its name in data and in keys of texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Capabilities => "capabilities",
            Self::Programs => "programs",
            Self::Files => "files",
            Self::Network => "network",
        }
    }

    /// Whether a gap can hide something of it in the running phase. That the start was not seen hides nothing of what came
    /// after it: a whole start is asked for by itself.
    pub fn is_hidden_by(self, gap: Gap) -> bool {
        match gap {
            Gap::Start => false,
            Gap::Lost | Gap::Full | Gap::Left => true,
            Gap::Calls => self == Self::Calls,
            Gap::Capabilities => self == Self::Capabilities,
            Gap::Files => matches!(self, Self::Files | Self::Programs),
            // It opens files and connects.
            Gap::IoUring => matches!(self, Self::Files | Self::Network),
        }
    }

    /// Whether nothing of it could be missed in a stretch of time.
    pub fn is_whole_in(self, run: &Run) -> bool {
        !run.gaps.iter().any(|gap| self.is_hidden_by(*gap))
    }

    /// Whether a new build of the image has no part in it, so that what was known of the one before is known of it.
    pub fn outlives_builds(self) -> bool {
        matches!(self, Self::Capabilities | Self::Network)
    }
}

/// Why a part is not settled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Unsettled {
    /// It was never watched.
    NotWatched,
    /// It was never watched without this gap, or another of those named.
    Gap {
        /// Which.
        gap: Gap,
    },
    /// This phase was not seen in whole.
    Phase {
        /// Which.
        phase: Phase,
    },
    /// The network was asked for through `socketcall` of the 32-bit entry, of which only that much is told.
    SocketCall,
    /// Something new came too recently.
    TooRecent {
        /// Seconds since something new was seen.
        quiet: u64,
        /// Seconds that are asked for.
        needed: u64,
        /// Whether that is as long as it took to learn it; else it is what the site asks for.
        by_learning: bool,
    },
}

impl Unsettled {
    /// The reason as a sentence in both languages.
    pub fn text(&self) -> Text {
        Text::new(&self.say(Lang::En), &self.say(Lang::Ko))
    }

    /// The reason as a sentence.
    pub fn say(&self, lang: Lang) -> String {
        match self {
            Self::NotWatched => texts::say(lang, "why-not-watched", &[]),
            Self::Gap { gap } => texts::say(lang, &format!("why-gap-{}", texts::key(gap)), &[]),
            Self::SocketCall => texts::say(lang, "why-socket-call", &[]),
            Self::Phase { phase } => {
                texts::say(lang, &format!("why-phase-{}", texts::key(phase)), &[])
            }
            Self::TooRecent { quiet, needed, by_learning } => {
                let key = if *by_learning { "why-recent-learning" } else { "why-recent" };
                let values =
                    [("quiet", duration(lang, *quiet)), ("needed", duration(lang, *needed))];
                texts::say(
                    lang,
                    key,
                    &values.each_ref().map(|(name, value)| (*name, value.as_str())),
                )
            }
        }
    }
}

/// How well one part is known. Times are of the clock: two containers watched at once count once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartCoverage {
    /// Entries of it.
    pub entries: u64,
    /// Seconds of watching that it took to learn them; of what is done in starting or stopping, so much of that alone.
    pub learned_in: u64,
    /// Seconds of watching since something new was seen last, in which nothing of it could be missed.
    pub quiet: u64,
    /// Why it is not settled; empty if it is.
    pub unsettled: Vec<Unsettled>,
}

/// How well a workload is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// Stretches of time in which it was watched.
    pub runs: u64,
    /// Containers that were watched.
    pub containers: u64,
    /// Seconds of container time that were watched: two containers at once count twice.
    pub observed: u64,
    /// Seconds in which at least one was watched.
    pub watched: u64,
    /// Seconds of watching until something new was seen last, whatever it was.
    pub learned_in: u64,
    /// Seconds of watching since.
    pub quiet: u64,
    /// New entries in each hour of watching in which there were some: hour, from 0, and how many.
    pub curve: BTreeMap<u64, u64>,
    /// Parts of its life that were seen.
    pub phases: BTreeSet<Phase>,
    /// Seconds of container time with each gap.
    pub gaps: BTreeMap<Gap, u64>,
    /// Each part by itself.
    pub parts: BTreeMap<Part, PartCoverage>,
}

impl Coverage {
    /// How well the workload of a profile is known.
    pub fn of(profile: &Profile, rule: &Rule) -> Self {
        let own = || profile.own_runs();
        let all = Watched::of(own());
        let news = news(profile, &all);
        let last = news.iter().map(|new| new.at).max();
        let mut gaps = BTreeMap::new();
        for run in own() {
            for gap in &run.gaps {
                *gaps.entry(*gap).or_default() += seconds(watched::length(run));
            }
        }
        let mut curve = BTreeMap::new();
        for new in &news {
            let before = u64::try_from(all.until(new.at).max(1) - 1).unwrap_or_default();
            *curve.entry(before / HOUR).or_default() += 1;
        }
        let containers: BTreeSet<&str> = own().map(|run| run.container.as_str()).collect();
        let learned = last.map_or(0, |at| all.until(at));
        Self {
            runs: own().count() as u64,
            containers: containers.len() as u64,
            observed: own().map(|run| seconds(watched::length(run))).sum(),
            watched: seconds(all.total()),
            learned_in: seconds(learned),
            quiet: seconds(all.total() - learned),
            curve,
            phases: own().flat_map(|run| run.phases.iter().copied()).collect(),
            gaps,
            parts: Part::ALL
                .into_iter()
                .map(|part| (part, PartCoverage::of(part, profile, rule, &news)))
                .collect(),
        }
    }

    /// Why these parts are not settled, each reason with the parts that it is about; nothing if they are.
    pub fn unsettled(&self, parts: &[Part]) -> BTreeMap<&Unsettled, BTreeSet<Part>> {
        let mut why: BTreeMap<&Unsettled, BTreeSet<Part>> = BTreeMap::new();
        for (part, coverage) in self.parts.iter().filter(|(part, _)| parts.contains(part)) {
            for one in &coverage.unsettled {
                why.entry(one).or_default().insert(*part);
            }
        }
        why
    }

    /// Whether all parts are settled.
    pub fn is_settled(&self) -> bool {
        self.unsettled(&Part::ALL).is_empty()
    }
}

impl PartCoverage {
    fn of(part: Part, profile: &Profile, rule: &Rule, news: &[New]) -> Self {
        let news = || news.iter().filter(|new| new.part == part);
        let last = news().map(|new| new.at).max();
        let whole = || profile.own_runs().filter(|run| part.is_whole_in(run));
        let learned_in = news().map(|new| new.took).max().unwrap_or_default();
        let quiet = Watched::of(whole()).since(last);
        let mut unsettled = Vec::new();
        if profile.own_runs().next().is_none() {
            unsettled.push(Unsettled::NotWatched);
        } else if whole().next().is_none() {
            let hiding = profile.own_runs().flat_map(|run| run.gaps.iter().copied());
            let hiding: BTreeSet<Gap> = hiding.filter(|gap| part.is_hidden_by(*gap)).collect();
            unsettled.extend(hiding.into_iter().map(|gap| Unsettled::Gap { gap }));
        } else if profile.predecessor.is_none() || !part.outlives_builds() {
            let seen: BTreeSet<Phase> = whole()
                .flat_map(|run| run.phases.iter().map(move |phase| (run, *phase)))
                .filter(|(run, phase)| *phase != Phase::Start || !run.gaps.contains(&Gap::Start))
                .map(|(_, phase)| phase)
                .collect();
            let once = |phase| profile.own_runs().any(|run| run.phases.contains(&phase));
            let needed = [
                (Phase::Start, true),
                (Phase::Run, true),
                (Phase::HealthCheck, rule.has_health_check || once(Phase::HealthCheck)),
                (Phase::Stop, once(Phase::Stop)),
            ];
            let missing =
                needed.into_iter().filter(|(phase, needed)| *needed && !seen.contains(phase));
            unsettled.extend(missing.map(|(phase, _)| Unsettled::Phase { phase }));
            let minimum = i64::try_from(rule.quiet_min).unwrap_or(i64::MAX).saturating_mul(1000);
            let needed = minimum.max(learned_in);
            if quiet < needed {
                let by_learning = learned_in > minimum;
                let (quiet, needed) = (seconds(quiet), seconds(needed));
                unsettled.push(Unsettled::TooRecent { quiet, needed, by_learning });
            }
        }
        let hides = |entry: &Entry| entry.kind == Kind::Call && entry.value == SOCKET_CALL;
        if part == Part::Network && profile.entries.iter().any(hides) {
            unsettled.push(Unsettled::SocketCall);
        }
        let entries = profile.known().filter(|entry| Part::of(entry.kind) == part).count();
        let (learned_in, quiet) = (seconds(learned_in), seconds(quiet));
        Self { entries: entries as u64, learned_in, quiet, unsettled }
    }
}

/// Something that was new.
struct New {
    part: Part,
    at: Timestamp,
    /// Milliseconds of watching that it took to see it.
    took: i64,
}

/// What makes an entry another than one of the same kind: of a file that is only read or written, its folder.
pub(crate) fn what(entry: &Entry) -> &str {
    match entry.kind {
        Kind::Read | Kind::Written => entry.value.rsplit_once('/').map_or("", |(folder, _)| folder),
        _ => entry.value.as_str(),
    }
}

/// What was new, and when. What was taken over is not, nor is what every container does.
fn news(profile: &Profile, all: &Watched) -> Vec<New> {
    let carried: BTreeSet<(Kind, &str)> =
        profile.carried.iter().map(|entry| (entry.kind, what(entry))).collect();
    let mut first: BTreeMap<(Kind, &str), &Entry> = BTreeMap::new();
    let is_own = |entry: &&Entry| {
        let is_everybodys = entry.kind == Kind::Call && calls::is_everybodys(&entry.value);
        !is_everybodys && !carried.contains(&(entry.kind, what(entry)))
    };
    for entry in profile.learned().filter(is_own) {
        let known = first.entry((entry.kind, what(entry))).or_insert(entry);
        if entry.first_at < known.first_at {
            *known = entry;
        }
    }
    let mut runs: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    for run in &profile.runs {
        runs.entry(&run.container).or_default().push(run);
    }
    let took = |entry: &Entry| {
        let of_it = runs.get(entry.container.as_str()).into_iter().flatten();
        let in_phase = of_it.filter_map(|run| in_phase(run, entry.first_at)).min();
        in_phase.unwrap_or_else(|| all.until(entry.first_at))
    };
    // Somebody looked at what was learned on purpose: it says little about how long such a workload is to be watched.
    let is_vouched = |entry: &Entry| profile.ruled_at.is_some_and(|ruled| entry.first_at > ruled);
    let new = |((kind, _), entry): ((Kind, &str), &Entry)| New {
        part: Part::of(kind),
        at: entry.first_at,
        took: if is_vouched(entry) { 0 } else { took(entry) },
    };
    first.into_iter().map(new).collect()
}

/// For how long a container had been starting or stopping at a moment, if it was. However long it ran before it stopped: what
/// it does then is seen when it stops, and not after so long.
fn in_phase(run: &Run, at: Timestamp) -> Option<i64> {
    let since = at.duration_since(run.since);
    if run.phases.contains(&Phase::Start) && !since.is_negative() && since <= STARTING {
        return i64::try_from(since.as_millis()).ok();
    }
    let left = run.until.duration_since(at);
    (run.phases.contains(&Phase::Stop) && left.abs() <= STOPPING).then_some(0)
}

fn seconds(milliseconds: i64) -> u64 {
    u64::try_from(milliseconds).unwrap_or_default() / 1000
}

#[cfg(test)]
mod tests;
