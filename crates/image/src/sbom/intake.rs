//! Components become a [`Scan`]: which are packages, of which distribution, and what could not be taken.
//!
//! A component that is not taken is counted, with examples, as a [`Problem`]; only components that are no software
//! (files, the image itself, the lock file that others hang on) are left out silently.

use std::collections::{BTreeMap, HashMap};

use haechi_core::inventory::{
    Distro, INVENTORY_SCHEMA, Package, PackageKind, Part, Problem, ProblemKind, Scan, ScanLayer,
    ScanSubject, SourcePackage,
};

use super::component::Component;
use super::{COMPONENTS_MAX, SbomError, purls};

mod distros;
mod packages;

/// Examples named in a problem.
const EXAMPLES: usize = 3;

/// Components that were not taken for one reason.
#[derive(Debug, Default)]
struct Left {
    count: u64,
    examples: Vec<String>,
}

/// Collects components.
#[derive(Debug, Default)]
pub(super) struct Intake {
    seen: usize,
    /// Whether Haechi wrote the document, which says of itself what is missing in it.
    is_own: bool,
    subject: ScanSubject,
    distro: Option<Distro>,
    /// Further distributions that components or purls name, each with how many packages say so.
    claimed: BTreeMap<(String, String), u64>,
    layers: Vec<ScanLayer>,
    /// The layer's digest of a package, until all layers are known.
    digests: HashMap<usize, String>,
    packages: Vec<Package>,
    left: BTreeMap<String, Left>,
    problems: Vec<Problem>,
}

impl Intake {
    /// Counts a component before it is kept anywhere.
    ///
    /// # Errors
    /// There are too many.
    pub fn count(&mut self) -> Result<(), SbomError> {
        self.seen += 1;
        if self.seen > COMPONENTS_MAX {
            return Err(SbomError::Limit(format!("more than {COMPONENTS_MAX} components")));
        }
        Ok(())
    }

    /// Takes a component; returns the number of the package that it is, if it is one.
    pub fn take(&mut self, component: Component) -> Option<usize> {
        if component.root {
            self.subject(&component);
        }
        if component.kind == "operating-system" {
            self.operating_system(&component);
            return None;
        }
        if component.root && (component.kind == "container" || component.purl.is_empty()) {
            return None;
        }
        match packages::of(&component) {
            packages::Outcome::Package(package, distro) => {
                if let Some(distro) = distro {
                    *self.claimed.entry(distro).or_default() += 1;
                }
                Some(self.push(*package, &component))
            }
            packages::Outcome::Left(reason, rest) => {
                self.leave(&component, reason);
                rest.map(|package| self.push(*package, &component))
            }
            packages::Outcome::Nothing => None,
        }
    }

    /// Takes a package that Haechi itself stated.
    pub fn own(&mut self, package: Package) -> usize {
        self.packages.push(package);
        self.packages.len() - 1
    }

    fn push(&mut self, package: Package, component: &Component) -> usize {
        let number = self.packages.len();
        let digest = component.get(&[
            "aquasecurity:trivy:LayerDiffID",
            "syft:location:0:layerID",
            "aquasecurity:trivy:LayerDigest",
        ]);
        if let (None, Some(digest)) = (package.layer, digest) {
            self.digests.insert(number, digest.to_owned());
        }
        self.packages.push(package);
        number
    }

    fn leave(&mut self, component: &Component, reason: String) {
        // Reasons name types of purls, which a hostile document can have without end.
        let reason = if self.left.len() < 64 || self.left.contains_key(&reason) {
            reason
        } else {
            "other components".into()
        };
        let left = self.left.entry(reason).or_default();
        left.count += 1;
        if left.examples.len() < EXAMPLES {
            let what = if component.purl.is_empty() {
                component.full_name("/")
            } else {
                component.purl.clone()
            };
            left.examples.push(what.chars().take(120).collect());
        }
    }

    /// What the document is about.
    fn subject(&mut self, component: &Component) {
        let digest = |text: &str| {
            text.split(['@', '?'])
                .find(|part| part.starts_with("sha256:"))
                .unwrap_or_default()
                .to_owned()
        };
        self.subject.reference = component.full_name("/");
        self.is_own |= component.properties.contains_key("haechi:subject");
        let purl = component.purl.replace("%3A", ":").replace("%3a", ":");
        self.subject.digest = [digest(&purl), digest(&component.version)]
            .into_iter()
            .find(|d| !d.is_empty())
            .unwrap_or_default();
        let text = |names: &[&str]| component.get(names).unwrap_or_default().to_owned();
        self.subject.id = text(&["haechi:image-id", "aquasecurity:trivy:ImageID"]);
        self.subject.architecture = text(&["haechi:architecture"]);
        self.subject.os = text(&["haechi:os"]);
        self.subject.created_at = text(&["haechi:created"]);
        self.subject.tags = component.all("haechi:tag").map(str::to_owned).collect();
        for digest in
            component.all("haechi:layer-digest").chain(component.all("aquasecurity:trivy:DiffID"))
        {
            self.layer(digest);
        }
        component.all("haechi:problem").for_each(|text| self.stated_problem(text));
    }

    /// A layer, base first.
    pub fn layer(&mut self, digest: &str) {
        self.layers.push(ScanLayer { digest: digest.to_owned(), ..ScanLayer::default() });
    }

    /// A problem of the scan that the document was written from.
    pub fn stated_problem(&mut self, json: &str) {
        match serde_json::from_str(json) {
            Ok(problem) => self.problems.push(problem),
            Err(error) => self
                .problem(ProblemKind::Corrupt, format!("a stated problem cannot be read: {error}")),
        }
    }

    /// Something that makes the packages doubtful.
    pub fn problem(&mut self, kind: ProblemKind, detail: String) {
        self.problems.push(Problem {
            kind,
            place: "sbom".into(),
            layer: None,
            detail,
            affects: vec![Part::Packages],
        });
    }

    /// Whether it is known already that packages may be missing.
    pub fn is_doubtful(&self) -> bool {
        self.problems.iter().any(|problem| problem.affects.contains(&Part::Packages))
    }

    /// The subject, for formats that know more of it.
    pub fn subject_mut(&mut self) -> &mut ScanSubject {
        &mut self.subject
    }

    /// The distribution, as an operating-system component says.
    fn operating_system(&mut self, component: &Component) {
        self.distribution(distros::of(component));
    }

    /// A distribution that the document states.
    pub fn distribution(&mut self, distro: Distro) {
        match &self.distro {
            None if !distro.id.is_empty() => self.distro = Some(distro),
            Some(known) if *known == distro => {}
            _ => *self.claimed.entry((distro.id, distro.version)).or_default() += 1,
        }
    }

    /// Says from which source package a package is built, unless that is known.
    pub fn built_from(&mut self, number: usize, source: SourcePackage) {
        if let Some(package) = self.packages.get_mut(number)
            && package.source.is_none()
            && package.kind.is_distribution()
        {
            package.source = Some(source);
        }
    }

    /// The scan.
    pub fn finish(mut self) -> Scan {
        self.settle_distro();
        let index: HashMap<String, u32> = self
            .layers
            .iter()
            .enumerate()
            .filter_map(|(at, layer)| Some((layer.digest.clone(), u32::try_from(at).ok()?)))
            .collect();
        for (number, digest) in &self.digests {
            if let Some(package) = self.packages.get_mut(*number) {
                package.layer = index.get(digest).copied();
            }
        }
        for package in &mut self.packages {
            if package.purl.is_empty() {
                package.purl = crate::purl::of(package, self.distro.as_ref());
            }
        }
        self.packages.sort();
        self.packages.dedup();
        for (reason, left) in std::mem::take(&mut self.left) {
            let examples = left.examples.join(", ");
            self.problem(
                ProblemKind::Unsupported,
                format!("{}: {reason} ({examples})", counted(left.count)),
            );
        }
        if self.packages.is_empty() && self.problems.is_empty() && !self.is_own {
            self.problem(ProblemKind::Absent, "the document lists no package at all".into());
        }
        self.problems.push(super::not_in_an_sbom());
        self.problems.sort();
        self.problems.dedup();
        self.subject.kind = "sbom".into();
        Scan {
            schema: INVENTORY_SCHEMA.to_owned(),
            subject: self.subject,
            distro: self.distro,
            layers: self.layers,
            packages: self.packages,
            problems: self.problems,
            ..Scan::default()
        }
    }

    /// A scan has one distribution: the stated one, else the one that most purls name.
    fn settle_distro(&mut self) {
        let claimed = std::mem::take(&mut self.claimed);
        if self.distro.is_none() {
            let most = claimed.iter().max_by_key(|(name, count)| (**count, name.1.len()));
            self.distro = most.map(|((id, version), _)| distros::new(id, version));
        }
        let Some(distro) = &self.distro else {
            if self.packages.iter().any(|package| package.kind.is_distribution()) {
                let detail =
                    "there are packages of a distribution, but nothing names it".to_owned();
                self.problems.push(Problem {
                    kind: ProblemKind::UnknownDistro,
                    place: "sbom".into(),
                    layer: None,
                    detail,
                    affects: vec![],
                });
            }
            return;
        };
        let others: Vec<String> = claimed
            .iter()
            .filter(|((id, version), _)| !distros::agrees(distro, id, version))
            .take(EXAMPLES)
            .map(|((id, version), count)| format!("{id} {version} ({})", counted(*count)))
            .collect();
        if !others.is_empty() {
            let detail = format!(
                "packages are of several distributions; all are matched as {} {}, but some say {}",
                distro.id,
                distro.version,
                others.join(", ")
            );
            self.problem(ProblemKind::UnknownDistro, detail);
        }
    }
}

fn counted(count: u64) -> String {
    if count == 1 { "1 component".into() } else { format!("{count} components") }
}

/// The kind by its name.
fn kind_named(name: &str) -> Option<PackageKind> {
    PackageKind::ALL.into_iter().find(|kind| kind.name() == name)
}

/// Whether a purl says that the package is of a kind that is matched.
pub(super) fn is_matched(purl: &str) -> bool {
    purls::parse(purl).is_ok()
}
