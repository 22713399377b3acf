//! What feeds say, in one form: [`Record`] (an advisory about one package), [`Detail`] (about one vulnerability)
//! and [`CpeRecord`] (NVD's ranges for products), and [`Lookup`], how the matcher asks for them.
//!
//! Feeds are turned into these once, when the database is built. Nothing here knows a file format or compares versions.

use haechi_core::vulnerability::{DataSource, Epss, Exploited, FixState, Rating};
use serde::{Deserialize, Serialize};

/// One advisory about one package of one ecosystem.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Id in its feed: `GHSA-…`, `DSA-…`, `CVE-…`.
    pub id: String,
    /// Other names of the very same vulnerability; for an advisory that sums up several (DSA, RHSA, ALSA), [`Self::covers`].
    pub aliases: Vec<String>,
    /// The vulnerabilities that an advisory sums up (OSV `upstream`, or `related` where a distribution uses that).
    pub covers: Vec<String>,
    /// The feed: `osv/Debian`, `debian-tracker`, `alpine-secdb/v3.20`.
    pub feed: String,
    /// Ranges of affected versions. A version is affected if any range or [`Self::versions`] has it.
    pub ranges: Vec<Range>,
    /// Affected versions one by one.
    pub versions: Vec<String>,
    /// What the distribution says about this package beyond ranges.
    pub statement: Statement,
    /// How bad its source says it is.
    pub rating: Option<Rating>,
    /// CVSS vectors that come with it, each with who gave it.
    pub vectors: Vec<(String, String)>,
    /// For rpm: the module that it is about (`nodejs:18`); empty for all.
    pub module: String,
    /// Architectures that it is about; empty for all.
    pub arches: Vec<String>,
    /// Whether its source took it back. Withdrawn records never match.
    pub withdrawn: bool,
}

/// What a distribution says about a vulnerability in one package.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statement {
    /// Nothing: the ranges decide.
    #[default]
    None,
    /// Not affected, whatever upstream's ranges say.
    NotAffected,
    /// Affected, with this state if no range has a fix.
    Affected(FixState),
}

/// A range of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Whether the events are in semantic versions rather than in the ecosystem's own order.
    pub semver: bool,
    /// Events in the order of the feed (OSV schema, "affected[].ranges[].events").
    pub events: Vec<Event>,
}

/// One event of a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Affected from this version on; `0` is before every version.
    Introduced(String),
    /// Not affected any more from this version on.
    Fixed(String),
    /// Affected up to and with this version.
    LastAffected(String),
    /// Not affected from this version on, as far as the range goes (OSV `limit`).
    Limit(String),
}

/// What is known of a vulnerability, whatever the package.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// Its id in this feed.
    pub id: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// One line.
    pub title: String,
    /// Some lines, shortened to 1000 characters.
    pub description: String,
    /// When it was published; empty if unknown.
    pub published: String,
    /// When it was last changed; empty if unknown.
    pub modified: String,
    /// CVSS vectors, each with who gave it: `nvd`, `ghsa`, `cisa-adp` …
    pub vectors: Vec<(String, String)>,
    /// How bad the feed says it is, in words.
    pub rating: Option<Rating>,
    /// Weaknesses.
    pub cwes: Vec<String>,
    /// Links, at most 10.
    pub urls: Vec<String>,
    /// Whether it was rejected (NVD `vulnStatus` Rejected): such an entry only says that the id is not to be used.
    pub rejected: bool,
}

/// A range of a product in NVD's terms (CPE 2.3 match criteria), for programs that no package owns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpeRecord {
    /// The CVE.
    pub id: String,
    /// Vendor of the CPE.
    pub vendor: String,
    /// Product of the CPE.
    pub product: String,
    /// The one version, if the criteria names one; empty if the range decides.
    pub version: String,
    /// First version, and whether it is affected itself.
    pub start: Option<(String, bool)>,
    /// Last version, and whether it is affected itself.
    pub end: Option<(String, bool)>,
    /// Whether it is affected only in combination with another product (an AND configuration).
    pub conditional: bool,
}

/// How the matcher asks for data, from several threads. The database answers; in tests, a list.
pub trait Lookup: Sync {
    /// Records about a package. `name` is already in [`normal_name`] form.
    ///
    /// # Errors
    /// The database cannot be read.
    fn records(&self, ecosystem: &str, name: &str) -> Result<Vec<Record>, LookupError>;
    /// What feeds say about a vulnerability, best first (OSV before NVD): those that speak for one of these ecosystems,
    /// and those that speak for none (NVD).
    ///
    /// # Errors
    /// The database cannot be read.
    fn details(&self, id: &str, ecosystems: &[String]) -> Result<Vec<Detail>, LookupError>;
    /// NVD's ranges for a product.
    ///
    /// # Errors
    /// The database cannot be read.
    fn products(&self, vendor: &str, product: &str) -> Result<Vec<CpeRecord>, LookupError>;
    /// Known to be exploited?
    ///
    /// # Errors
    /// The database cannot be read.
    fn exploited(&self, cve: &str) -> Result<Option<Exploited>, LookupError>;
    /// How likely to be exploited?
    ///
    /// # Errors
    /// The database cannot be read.
    fn epss(&self, cve: &str) -> Result<Option<Epss>, LookupError>;
    /// Whether there is any data for an ecosystem (`Debian:12`, `npm`): without, nothing can be decided.
    fn knows(&self, ecosystem: &str) -> bool;
    /// All ecosystems whose name begins so: some distributions file one release under many names
    /// (`Red Hat:enterprise_linux:9::baseos`). Without an answer, such distributions cannot be decided.
    fn ecosystems(&self, prefix: &str) -> Vec<String> {
        let _ = prefix;
        Vec::new()
    }
    /// The sources that speak for an ecosystem, to see how old they are.
    fn sources_of(&self, ecosystem: &str) -> Vec<DataSource>;
    /// All sources.
    fn sources(&self) -> Vec<DataSource>;
}

/// Why the database did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the vulnerability database cannot be read: {0}; `haechi db update` makes it anew")]
pub struct LookupError(pub String);

/// The form of a package name under which records are kept and looked up.
///
/// PyPI: PEP 503; NuGet and Packagist: lower case; else as it is.
pub fn normal_name(ecosystem: &str, name: &str) -> String {
    let base = ecosystem.split(':').next().unwrap_or_default();
    match base {
        "PyPI" => {
            let mut out = String::with_capacity(name.len());
            for c in name.chars() {
                if matches!(c, '-' | '_' | '.') {
                    if !out.ends_with('-') {
                        out.push('-');
                    }
                } else {
                    out.extend(c.to_lowercase());
                }
            }
            out
        }
        "NuGet" | "Packagist" => name.to_lowercase(),
        _ => name.to_owned(),
    }
}
