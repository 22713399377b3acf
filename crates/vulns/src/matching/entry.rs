//! A flaw with all that is known about it, as it is reported. Asks the database only for flaws that a package has,
//! and only once for each.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use haechi_core::inventory::{Distro, Package};
use haechi_core::vulnerability::{Epss, Exploited, FixState, Vulnerability};

use super::merge::{Flaw, best_name};
use super::{Decision, command, merge, range, rank, severity};
use crate::advisory::{Detail, Lookup, LookupError, Record, Statement};

/// Names of a flaw that are looked up; honest flaws have three or four.
const NAMES_MAX: usize = 16;
/// Links that are shown.
const URLS_MAX: usize = 10;

/// Ecosystems, and the name of a flaw.
type Question = (Rc<[String]>, String);

/// What the database says about vulnerabilities, each asked once.
pub struct Facts<'a> {
    data: &'a dyn Lookup,
    details: HashMap<Question, Rc<Vec<Detail>>>,
    exploited: HashMap<String, Option<Exploited>>,
    epss: HashMap<String, Option<Epss>>,
}

impl<'a> Facts<'a> {
    /// Nothing asked yet.
    pub fn new(data: &'a dyn Lookup) -> Self {
        Self { data, details: HashMap::new(), exploited: HashMap::new(), epss: HashMap::new() }
    }

    fn details(
        &mut self,
        id: &str,
        ecosystems: &Rc<[String]>,
    ) -> Result<Rc<Vec<Detail>>, LookupError> {
        let key = (Rc::clone(ecosystems), id.to_owned());
        if let Some(found) = self.details.get(&key) {
            return Ok(Rc::clone(found));
        }
        let found = Rc::new(self.data.details(id, ecosystems)?);
        self.details.insert(key, Rc::clone(&found));
        Ok(found)
    }

    fn threat(&mut self, cve: &str) -> Result<(Option<Exploited>, Option<Epss>), LookupError> {
        if !self.exploited.contains_key(cve) {
            self.exploited.insert(cve.to_owned(), self.data.exploited(cve)?);
            self.epss.insert(cve.to_owned(), self.data.epss(cve)?);
        }
        let exploited = self.exploited.get(cve).cloned().flatten();
        Ok((exploited, self.epss.get(cve).copied().flatten()))
    }

    /// The entry for a flaw; none if all that names it was rejected.
    pub(super) fn describe(
        &mut self,
        package: &Package,
        flaw: &Flaw,
        decision: &Decision,
        distro: Option<&Distro>,
    ) -> Result<Option<Vulnerability>, LookupError> {
        let Some((names, records, details)) = self.valid(flaw, &decision.ecosystems)? else {
            return Ok(None);
        };
        let id = best_name(&names);
        let mut exploited: Option<Exploited> = None;
        let mut epss: Option<Epss> = None;
        for cve in names.iter().filter(|name| name.starts_with("CVE-")).take(NAMES_MAX) {
            let (kev, likely) = self.threat(cve)?;
            exploited = exploited.or(kev);
            if likely.is_some_and(|l| epss.is_none_or(|e| l.score > e.score)) {
                epss = likely;
            }
        }
        let affecting: Vec<&Record> = records.iter().map(Rc::as_ref).collect();
        let fixed = range::fix(&affecting, decision.scheme, &decision.version).unwrap_or_default();
        let state = state(&records, !fixed.is_empty());
        let malicious = names
            .iter()
            .chain(records.iter().map(|record| &record.id))
            .any(|name| name.starts_with("MAL-"));
        let rated = severity::rate(malicious, decision.vendor, &records, &details);
        let command = if fixed.is_empty() {
            String::new()
        } else {
            command::command(package, distro, &fixed)
        };
        let first = |get: fn(&Detail) -> &str| {
            details.iter().map(get).find(|text| !text.is_empty()).unwrap_or_default().to_owned()
        };
        let mut urls: Vec<String> = Vec::new();
        for url in details.iter().flat_map(|detail| &detail.urls) {
            if urls.len() < URLS_MAX && !urls.contains(url) {
                urls.push(url.clone());
            }
        }
        let cwes: BTreeSet<&String> = details.iter().flat_map(|detail| &detail.cwes).collect();
        let advisories: BTreeSet<&String> = records.iter().map(|record| &record.id).collect();
        Ok(Some(Vulnerability {
            aliases: names.iter().filter(|name| **name != id).cloned().collect(),
            advisories: advisories.into_iter().filter(|name| **name != id).cloned().collect(),
            package: package.purl.clone(),
            kind: package.kind,
            name: package.name.clone(),
            installed: package.version.clone(),
            path: package.path.clone(),
            layer: package.layer,
            state,
            fixed,
            command,
            rank: rank::rank(rated.rating, exploited.is_some(), epss, state),
            rating: rated.rating,
            rated_by: rated.rated_by,
            scores: rated.scores,
            exploited,
            epss,
            title: first(|detail| &detail.title),
            description: first(|detail| &detail.description),
            urls,
            cwes: cwes.into_iter().cloned().collect(),
            published: first(|detail| &detail.published),
            source: records.first().map(|record| record.feed.clone()).unwrap_or_default(),
            id,
        }))
    }

    /// The names, records and details of a flaw without what was rejected. A rejected CVE takes the records along that
    /// are about it alone; an advisory of another source with a name of its own stands.
    #[expect(clippy::type_complexity, reason = "three lists that belong together, used once")]
    fn valid(
        &mut self,
        flaw: &Flaw,
        ecosystems: &Rc<[String]>,
    ) -> Result<Option<(BTreeSet<String>, Vec<Rc<Record>>, Vec<Detail>)>, LookupError> {
        let mut names = flaw.names.clone();
        let mut details = Vec::new();
        let mut rejected = BTreeSet::new();
        let best = best_name(&names);
        let others = flaw.names.iter().filter(|name| **name != best);
        let covering = flaw.records.iter().map(|record| &record.id);
        let mut asked = BTreeSet::new();
        for name in std::iter::once(&best).chain(others).chain(covering) {
            // An advisory over several flaws describes them all: it speaks only where nothing better does.
            let covers_more = !names.contains(name);
            if asked.len() >= NAMES_MAX
                || (covers_more && !details.is_empty())
                || !asked.insert(name)
            {
                continue;
            }
            let found = self.details(name, ecosystems)?;
            if found.iter().any(|detail| detail.rejected && detail.id == *name) {
                rejected.insert(name.clone());
                continue;
            }
            details.extend(found.iter().filter(|detail| !detail.rejected).cloned());
        }
        names.retain(|name| {
            !rejected.contains(name)
                && merge::cve_in(name).is_none_or(|cve| !rejected.contains(cve))
        });
        let stands = |record: &&Rc<Record>| names.contains(&record.id) || rejected.is_empty();
        let records: Vec<Rc<Record>> = flaw.records.iter().filter(stands).cloned().collect();
        Ok((!names.is_empty() && !records.is_empty()).then_some((names, records, details)))
    }
}

fn state(records: &[Rc<Record>], has_fix: bool) -> FixState {
    if records.iter().all(|r| r.statement == Statement::Affected(FixState::UnderInvestigation)) {
        return FixState::UnderInvestigation;
    }
    if has_fix {
        return FixState::Fixed;
    }
    records
        .iter()
        .find_map(|record| match record.statement {
            Statement::Affected(state) if state != FixState::Fixed => Some(state),
            _ => None,
        })
        .unwrap_or(FixState::Affected)
}
