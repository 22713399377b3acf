//! Which packages of a scan are vulnerable: [`assess`].
//!
//! It promises that every package is decided or named in [`Assessment::undecided`] with the cause: a feed that is
//! missing, partial or too old, a distribution without one, a version that its rules do not read. A flaw appears once for each
//! package that has it. What was set aside (VEX, policy, a distribution that answers for its own build of a language's
//! package) is in [`Assessment::suppressed`] with the reason.
//!
//! It opens nothing and knows no clock but `now`. [`ecosystem`] says where advisories are, [`range`] evaluates one,
//! [`merge`] puts those of one flaw together, the rest describes the flaw.

pub mod command;
mod crew;
pub mod ecosystem;
mod entry;
pub mod merge;
pub mod owned;
pub mod products;
pub mod range;
pub mod rank;
pub mod severity;
mod subject;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use haechi_core::finding::Cause;
use haechi_core::inventory::{Package, PackageKind, Scan};
use haechi_core::vulnerability::{
    Assessment, Completeness, DataSource, Suppressed, Undecided, Vulnerability,
};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::advisory::{Lookup, LookupError, Record, normal_name};
use crate::version::Scheme;
use crate::vex;
use ecosystem::{Home, Place};
use merge::{Judged, Merged};

/// What the site adds.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Statements of VEX documents.
    pub statements: Vec<vex::Statement>,
    /// Vulnerabilities that the site accepts.
    pub accepted: Vec<Accepted>,
    /// Whether packages count that a lock file asks for and nobody saw installed. If not, their vulnerabilities are
    /// among the suppressed ones.
    pub declared: bool,
}

/// A vulnerability that the site accepts for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Any of its names.
    pub id: String,
    /// Name or purl of the package; empty for every package.
    pub package: String,
    /// Why, and who answers for it.
    pub reason: String,
    /// The last day (UTC) on which it counts.
    pub expires: Date,
}

/// Decides every package of a scan.
///
/// # Errors
/// The database cannot be read. Nothing else fails: what cannot be decided is among the undecided.
pub fn assess(
    scan: &Scan,
    data: &dyn Lookup,
    options: &Options,
    now: Timestamp,
) -> Result<Assessment, LookupError> {
    let sources = data.sources();
    let matcher = || Matcher {
        scan,
        data,
        options,
        today: now.to_zoned(jiff::tz::TimeZone::UTC).date(),
        sources: &sources,
        records: HashMap::new(),
        ecosystems: HashMap::new(),
        known: HashMap::new(),
        facts: entry::Facts::new(data),
        out: Assessment::default(),
    };
    let mut out = run(scan, matcher)?;
    out.vulnerabilities.sort_by(|a, b| b.rank.total_cmp(&a.rank).then_with(|| key(a).cmp(&key(b))));
    out.suppressed.sort_by(|a, b| key(&a.0).cmp(&key(&b.0)));
    out.undecided.sort();
    out.undecided.dedup();
    out.sources = sources;
    Ok(out)
}

fn key(entry: &Vulnerability) -> (&str, &str, &str, &str) {
    (&entry.id, &entry.name, &entry.installed, &entry.path)
}

/// An ecosystem as the database has it.
#[derive(Clone)]
struct Known {
    any: bool,
    /// Why its data proves nothing by saying nothing.
    doubts: Vec<(Cause, String)>,
}

struct Matcher<'a> {
    scan: &'a Scan,
    data: &'a dyn Lookup,
    options: &'a Options,
    today: Date,
    sources: &'a [DataSource],
    /// Binary packages of one source ask for the same records.
    records: HashMap<(String, String), Vec<Rc<Record>>>,
    ecosystems: HashMap<String, Vec<String>>,
    known: HashMap<String, Known>,
    facts: entry::Facts<'a>,
    out: Assessment,
}

/// What was found out about one package.
struct Decision {
    merged: Merged,
    scheme: Scheme,
    vendor: &'static str,
    version: String,
    /// Causes for which it is undecided although it was matched.
    doubts: Vec<(Cause, String)>,
    /// Ecosystems whose feeds were asked.
    ecosystems: Rc<[String]>,
    /// Whether the feeds decide it at all.
    decided: bool,
}

/// Matches all packages, on several threads, and puts together what each gave, in the order of the scan.
fn run<'a>(
    scan: &Scan,
    matcher: impl Fn() -> Matcher<'a> + Sync,
) -> Result<Assessment, LookupError> {
    let owners = owned::owners(scan);
    let owning: BTreeSet<usize> = owners.values().copied().collect();
    let (distribution, languages): (Vec<usize>, Vec<usize>) =
        (0..scan.packages.len()).partition(|index| {
            scan.packages.get(*index).is_some_and(|package| package.kind.is_distribution())
        });
    // Which distribution packages their own feeds really decide, for the languages' packages that they own.
    let first = crew::each(&scan.packages, distribution, &matcher, |matcher, index, package| {
        let decision = matcher.decide(package)?;
        let own =
            owning.contains(&index) && owned::is_distributions_own(package, scan.distro.as_ref());
        let answers = own && decision.decided && decision.doubts.is_empty();
        matcher.report(package, decision, None)?;
        Ok((answers, std::mem::take(&mut matcher.out)))
    })?;
    let answers: BTreeMap<usize, bool> =
        first.iter().map(|(index, (answers, _))| (*index, *answers)).collect();
    let second = crew::each(&scan.packages, languages, &matcher, |matcher, _, package| {
        let owner = owners
            .get(owned::file_of(package))
            .filter(|index| answers.get(index) == Some(&true))
            .and_then(|index| scan.packages.get(*index));
        let decision = matcher.decide(package)?;
        matcher.report(package, decision, owner)?;
        Ok(std::mem::take(&mut matcher.out))
    })?;
    let mut all = Assessment::default();
    let parts = first.into_iter().map(|(_, (_, part))| part);
    for part in parts.chain(second.into_iter().map(|(_, part)| part)) {
        all.vulnerabilities.extend(part.vulnerabilities);
        all.suppressed.extend(part.suppressed);
        all.undecided.extend(part.undecided);
    }
    Ok(all)
}

impl Matcher<'_> {
    fn decide(&mut self, package: &Package) -> Result<Decision, LookupError> {
        let home = ecosystem::home(package, self.scan.distro.as_ref());
        match home {
            Home::Known(place) => self.by_records(package, place),
            Home::Products => self.by_products(package),
            Home::Unknown(why) => Ok(Decision::not(Cause::NeedsDatabase, why)),
        }
    }

    /// Matches a package against the records of its ecosystems.
    fn by_records(&mut self, package: &Package, place: Place) -> Result<Decision, LookupError> {
        let mut ecosystems: Vec<(usize, String)> = Vec::new();
        for (order, name) in place.ecosystems.iter().enumerate() {
            if self.known(name).any {
                ecosystems.push((order, name.clone()));
            }
        }
        if let Some(family) = &place.family {
            for name in self.members(family) {
                ecosystems.push((place.ecosystems.len(), name));
            }
        }
        if ecosystems.is_empty() {
            let named = place.family.as_ref().map(ecosystem::Family::name);
            let named = named.as_ref().or(place.ecosystems.first()).map_or("", String::as_str);
            let why = format!("the database has no feed `{named}`; `haechi db update` fetches it");
            return Ok(Decision::not(Cause::NeedsDatabase, why));
        }
        let subjects = subject::subjects(package, place.names);
        let Some(version) = subjects.first().map(|subject| subject.version.clone()) else {
            return Ok(Decision::not(Cause::Missing, "it states no version".to_owned()));
        };
        if package.kind == PackageKind::Maven && !package.name.contains(':') {
            let why = "it states no group, and without one advisories cannot be found".to_owned();
            return Ok(Decision::not(Cause::Missing, why));
        }
        let mut judged: Vec<Judged> = Vec::new();
        let mut doubts = Vec::new();
        for (order, ecosystem) in &ecosystems {
            doubts.extend(self.known(ecosystem).doubts);
            let before = judged.len();
            for subject in &subjects {
                for record in self.records(ecosystem, &subject.name)? {
                    // Found under both names: one word is enough.
                    let twice = judged
                        .iter()
                        .skip(before)
                        .any(|j| j.record.id == record.id && j.record.feed == record.feed);
                    if subjects.len() > 1 && twice {
                        continue;
                    }
                    if record.withdrawn || !subject::is_about(&record, package) {
                        continue;
                    }
                    let verdict = range::judge(&record, place.scheme, &subject.version);
                    judged.push(Judged { record, verdict, place: *order });
                }
            }
        }
        doubts.sort();
        doubts.dedup();
        let merged = merge::merge(&judged, package.kind.is_distribution());
        Ok(Decision {
            merged,
            scheme: place.scheme,
            vendor: place.vendor,
            version,
            doubts,
            ecosystems: ecosystems.into_iter().map(|(_, name)| name).collect(),
            decided: true,
        })
    }

    /// Matches a program that no package owns against NVD's products.
    fn by_products(&mut self, package: &Package) -> Result<Decision, LookupError> {
        let mut names: Vec<(String, String, String)> =
            package.cpes.iter().filter_map(|cpe| products::parse_cpe(cpe)).collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            let why = "no package owns it, and no product name (CPE) is known for it".to_owned();
            return Ok(Decision::not(Cause::NeedsDatabase, why));
        }
        let nvd: Vec<DataSource> =
            self.sources.iter().filter(|s| s.name.starts_with("nvd")).cloned().collect();
        if nvd.is_empty() {
            let why = "the database has no feed `nvd`; `haechi db update` fetches it".to_owned();
            return Ok(Decision::not(Cause::NeedsDatabase, why));
        }
        let doubts = doubts(&nvd);
        let mut judged = Vec::new();
        let mut used = String::new();
        for (vendor, product, stated) in names {
            let version = if package.version.is_empty() { stated } else { package.version.clone() };
            if version.is_empty() {
                return Ok(Decision::not(Cause::Missing, "it states no version".to_owned()));
            }
            let found = self.data.products(&vendor, &product)?;
            for (record, verdict) in products::judge(&found, &version) {
                judged.push(Judged { record: Rc::new(record), verdict, place: 0 });
            }
            used = version;
        }
        let merged = merge::merge(&judged, false);
        Ok(Decision {
            merged,
            scheme: Scheme::Generic,
            vendor: "",
            version: used,
            doubts,
            ecosystems: Rc::default(),
            decided: true,
        })
    }

    fn report(
        &mut self,
        package: &Package,
        decision: Decision,
        owner: Option<&Package>,
    ) -> Result<(), LookupError> {
        // More names than this in one message help nobody; how many there are is said.
        const NAMED_MAX: usize = 10;
        for flaw in &decision.merged.flaws {
            let Some(entry) =
                self.facts.describe(package, flaw, &decision, self.scan.distro.as_ref())?
            else {
                continue;
            };
            match self.set_aside(package, &entry, owner) {
                Some(reason) => self.out.suppressed.push((entry, reason)),
                None => self.out.vulnerabilities.push(entry),
            }
        }
        // The distribution's own package is decided; what upstream's rules would say does not matter.
        if owner.is_some() {
            return Ok(());
        }
        let unreadable = &decision.merged.unreadable;
        if let Some((_, why)) = unreadable.first() {
            let names: Vec<&str> =
                unreadable.iter().take(NAMED_MAX).map(|(name, _)| name.as_str()).collect();
            let more = unreadable.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let detail = format!("cannot be compared with {}{more} ({why})", names.join(", "));
            self.undecided(package, Cause::Missing, detail);
        }
        // Also of a package in which something was found: it may be harmless or set aside, and what is missing not.
        for (cause, detail) in decision.doubts {
            self.undecided(package, cause, detail);
        }
        Ok(())
    }

    fn undecided(&mut self, package: &Package, cause: Cause, detail: String) {
        self.out.undecided.push(Undecided {
            package: if package.purl.is_empty() {
                package.name.clone()
            } else {
                package.purl.clone()
            },
            name: package.name.clone(),
            version: package.version.clone(),
            cause,
            detail,
        });
    }

    /// Why a vulnerability does not count here, if it does not.
    fn set_aside(
        &self,
        package: &Package,
        entry: &Vulnerability,
        owner: Option<&Package>,
    ) -> Option<Suppressed> {
        // A package that is malicious as a whole is so, whoever installed it.
        let malicious = entry.id.starts_with("MAL-");
        if let Some(owner) = owner.filter(|_| !malicious) {
            return Some(Suppressed {
                by: format!("distribution package {}", owner.name),
                status: "not_affected".to_owned(),
                reason: "the distribution built it and mends it under the upstream version; its own advisories decide"
                    .to_owned(),
            });
        }
        if let Some(reason) = vex::verdict(&self.options.statements, self.scan, entry) {
            return Some(reason);
        }
        let names = |id: &str| {
            entry.id == id
                || entry.aliases.iter().any(|a| a == id)
                || entry.advisories.iter().any(|a| a == id)
        };
        let accepted = self.options.accepted.iter().find(|accepted| {
            self.today <= accepted.expires
                && names(&accepted.id)
                && (accepted.package.is_empty()
                    || accepted.package == package.name
                    || accepted.package == package.purl)
        });
        if let Some(accepted) = accepted {
            return Some(Suppressed {
                by: "policy".to_owned(),
                status: "accepted".to_owned(),
                reason: accepted.reason.clone(),
            });
        }
        (package.declared_only && !self.options.declared).then(|| Suppressed {
            by: "lock file".to_owned(),
            status: "not_affected".to_owned(),
            reason: "only asked for by a lock file, not seen to be installed".to_owned(),
        })
    }

    fn records(&mut self, ecosystem: &str, name: &str) -> Result<Vec<Rc<Record>>, LookupError> {
        let key = (ecosystem.to_owned(), normal_name(ecosystem, name));
        if let Some(found) = self.records.get(&key) {
            return Ok(found.clone());
        }
        let found: Vec<Rc<Record>> =
            self.data.records(&key.0, &key.1)?.into_iter().map(Rc::new).collect();
        self.records.insert(key, found.clone());
        Ok(found)
    }

    fn known(&mut self, ecosystem: &str) -> Known {
        if let Some(known) = self.known.get(ecosystem) {
            return known.clone();
        }
        let sources = self.data.sources_of(ecosystem);
        let known = Known { any: self.data.knows(ecosystem), doubts: doubts(&sources) };
        self.known.insert(ecosystem.to_owned(), known.clone());
        known
    }

    fn members(&mut self, family: &ecosystem::Family) -> Vec<String> {
        let data = self.data;
        self.ecosystems
            .entry(family.name())
            .or_insert_with(|| {
                let mut all = data.ecosystems(family.prefix());
                all.retain(|name| family.has(name));
                all
            })
            .clone()
    }
}

/// Why sources that speak for the same packages prove nothing by saying nothing.
///
/// One that is old is enough: what it has not heard of yet, another one need not know either. But one that is whole
/// is enough against any that are partial, because all that speak for one ecosystem are made of the same list: OSV's
/// Debian of the tracker, its Alpine, Wolfi and Chainguard of their secdb.
fn doubts(sources: &[DataSource]) -> Vec<(Cause, String)> {
    let mut doubts: Vec<(Cause, String)> =
        sources.iter().find(|source| source.too_old).map(too_old).into_iter().collect();
    if sources.iter().all(|source| source.completeness == Completeness::Partial) {
        doubts.extend(sources.first().map(partial));
    }
    doubts
}

fn partial(source: &DataSource) -> (Cause, String) {
    let why = format!(
        "the feed `{}` {}, so that it knows nothing about a package proves nothing; `haechi db update` fetches all of \
         it, and `haechi db update --from … --complete` declares one complete that was cut on purpose",
        source.name, source.shortfall
    );
    (Cause::NeedsDatabase, why)
}

fn too_old(source: &DataSource) -> (Cause, String) {
    let from = source.of();
    let why = format!(
        "the feed `{}` is of {from}, older than the policy allows (`database_age_days_max` in `[limits]`); `haechi db \
         update` fetches it anew, `haechi db update --from DIR|URL` from a mirror",
        source.name
    );
    (Cause::DataTooOld, why)
}

impl Decision {
    fn not(cause: Cause, why: String) -> Self {
        Self {
            merged: Merged::default(),
            scheme: Scheme::Generic,
            vendor: "",
            version: String::new(),
            doubts: vec![(cause, why)],
            ecosystems: Rc::default(),
            decided: false,
        }
    }
}

#[cfg(test)]
mod tests;
