//! Brings the rooms together: the images of a host are opened ([`engine`]), matched and judged ([`Examiner`]), and what
//! came out becomes facts for the checks ([`facts`]) and, if a person says so, a mark on the image ([`mark`]).
//!
//! It reads no image and compares no version itself. Only [`mark`] changes anything, and only references of images.

pub mod behaviour;
pub mod engine;
pub mod facts;
pub mod host;
pub mod mark;
pub mod newest;
pub mod risk;
pub mod vex;

use haechi_core::finding::Cause;
use haechi_core::inventory::Scan;
use haechi_core::policy::{Images, Policy, matches_pattern};
use haechi_core::verdict::{IMAGE_REPORT_SCHEMA, ImageReport, Verdict};
use haechi_core::vulnerability::{Assessment, Undecided};
use haechi_vulns::advisory::LookupError;
use haechi_vulns::db::Database;
use haechi_vulns::matching::{self, Accepted};
use haechi_vulns::vex::Statement;
use jiff::Timestamp;

/// Matches and judges scans, by one database and one policy.
pub struct Examiner {
    /// The vulnerability database; without, every package is undecided.
    pub database: Option<Database>,
    /// Statements of VEX documents.
    pub statements: Vec<Statement>,
    /// What makes an image unsafe, and what is accepted.
    pub policy: Images,
    /// Whether packages count that only a lock file names.
    pub declared: bool,
    /// The present.
    pub now: Timestamp,
}

impl Examiner {
    /// An examiner for this policy.
    pub fn new(database: Option<Database>, policy: &Policy, now: Timestamp) -> Self {
        let policy = policy.images.clone();
        Self { database, statements: Vec::new(), policy, declared: false, now }
    }

    /// Judges a scan. `containers` run the image.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn judge(&self, scan: Scan, containers: Vec<String>) -> Result<ImageReport, LookupError> {
        let assessment = match &self.database {
            Some(database) => matching::assess(&scan, database, &self.options(&scan), self.now)?,
            None => no_database(&scan),
        };
        let verdict = Verdict::of(&scan, &assessment, &self.policy);
        Ok(ImageReport {
            schema: IMAGE_REPORT_SCHEMA.into(),
            haechi_version: env!("CARGO_PKG_VERSION").into(),
            taken_at: self.now.to_string(),
            scan,
            assessment,
            verdict,
            containers,
            seen: Default::default(),
        })
    }

    fn options(&self, scan: &Scan) -> matching::Options {
        let subject = &scan.subject;
        let is_about = |pattern: &str| {
            pattern == "*"
                || std::iter::once(&subject.reference)
                    .chain(&subject.tags)
                    .any(|name| matches_pattern(pattern, name))
        };
        let accepted = self.policy.accepted.iter().filter(|a| is_about(&a.image));
        let mut out = Vec::new();
        for rule in accepted {
            let of = |package: String| Accepted {
                id: rule.id.clone(),
                package,
                reason: format!("{} ({})", rule.reason, rule.owner),
                expires: rule.expires,
            };
            if rule.package == "*" {
                out.push(of(String::new()));
            } else {
                let names =
                    scan.packages.iter().filter(|p| matches_pattern(&rule.package, &p.name));
                out.extend(names.map(|p| of(p.name.clone())));
            }
        }
        matching::Options {
            statements: self.statements.clone(),
            accepted: out,
            declared: self.declared,
        }
    }
}

/// What can be said without a database: nothing about any package.
fn no_database(scan: &Scan) -> Assessment {
    let undecided = scan.packages.iter().map(|package| Undecided {
        package: package.purl.clone(),
        name: package.name.clone(),
        version: package.version.clone(),
        cause: Cause::NeedsDatabase,
        detail: "there is no vulnerability database; `haechi db update` makes one".into(),
    });
    Assessment { undecided: undecided.collect(), ..Assessment::default() }
}
