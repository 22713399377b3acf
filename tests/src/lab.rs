//! The lab as the tests see it: what it says has to fail and to pass, and a verification of it.

use std::fs;
use std::sync::OnceLock;

use haechi_core::{Report, Status};
use serde::Deserialize;

use crate::program::{Haechi, repository};
use crate::{docker, findings};

/// The lab and its verification.
pub struct Lab {
    /// The verification against CIS Docker 1.13.0 with the lab's policy.
    pub report: Report<String>,
    /// The one against CIS Docker 1.6.0, which asks for more of containers.
    pub newer: Report<String>,
    /// What has to be so.
    pub expectations: Vec<Expectation>,
}

/// A check has to decide so for a subject.
#[derive(Debug)]
pub struct Expectation {
    /// Id of the check.
    pub check: String,
    /// Name or id of the subject.
    pub subject: String,
    /// Its name in the lab.
    pub name: String,
    /// What has to be decided.
    pub status: Status,
}

#[derive(Deserialize)]
struct Spec {
    volumes: Vec<Entry>,
    images: Vec<Entry>,
    containers: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    fails: Vec<String>,
    #[serde(default)]
    passes: Vec<String>,
}

/// The lab, verified once for all tests of a program.
pub fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let there = docker(&["ps", "--all", "--quiet", "--filter", "label=haechi.lab=1"]);
        assert!(!there.is_empty(), "the lab is not there: run `cargo xtask lab up`");
        let verify = |benchmark: &str| {
            let words = ["verify", "--benchmark", benchmark, "--format", "json"];
            Haechi::new(&words).lab_policy().report()
        };
        Lab {
            report: verify("cis-docker-1.13.0"),
            newer: verify("cis-docker-1.6.0"),
            expectations: expectations(),
        }
    })
}

fn expectations() -> Vec<Expectation> {
    let text = fs::read_to_string(repository().join("lab/lab.yaml")).unwrap();
    let spec: Spec = serde_norway::from_str(&text).unwrap();
    let image = |entry: &Entry| {
        // Images lose and share names; their ids are certain.
        let label = format!("label=haechi.lab.image={}", entry.name);
        let id = docker(&["images", "--quiet", "--no-trunc", "--filter", &label]);
        id.lines().next().unwrap_or_else(|| panic!("no image {}", entry.name)).to_owned()
    };
    let mut all = Vec::new();
    let mut add = |entry: &Entry, subject: String| {
        for (checks, status) in [(&entry.fails, Status::Fail), (&entry.passes, Status::Pass)] {
            all.extend(checks.iter().map(|check| Expectation {
                check: check.clone(),
                subject: subject.clone(),
                name: entry.name.clone(),
                status,
            }));
        }
    };
    spec.containers.iter().chain(&spec.volumes).for_each(|entry| add(entry, entry.name.clone()));
    spec.images.iter().for_each(|entry| add(entry, image(entry)));
    all
}

impl Expectation {
    /// What is not as expected in both benchmarks, or in the one that asks, in words.
    pub fn broken_in(&self, lab: &Lab) -> Option<String> {
        let asks = |report: &&Report<String>| !findings(report, &self.check).is_empty();
        let reports = [&lab.report, &lab.newer];
        if !reports.iter().any(asks) {
            return Some(format!("no benchmark asks for {}", self.check));
        }
        reports.into_iter().filter(asks).find_map(|report| self.broken(report))
    }

    /// What is not as expected, in words.
    pub fn broken(&self, report: &Report<String>) -> Option<String> {
        let all = findings(report, &self.check);
        let is_it = |s: &haechi_core::Subject| s.name == self.subject || s.id == self.subject;
        let found = all.into_iter().find(|finding| is_it(&finding.subject));
        match found {
            Some(finding) if finding.status == self.status => None,
            Some(finding) => Some(format!("{}, not {}", crate::seen(finding), self.status)),
            None => Some(format!("{} says nothing about {}", self.check, self.name)),
        }
    }
}
