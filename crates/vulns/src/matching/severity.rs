//! How bad a flaw is, and who says so.
//!
//! The first of these that speaks gives the rating: for a distribution's package, the distribution's own word; the
//! scores, CVSS 4 before 3 before 2, and of one version NVD before CNA before GHSA before others; the word of a feed.
//! Every score is computed here from its vector. A malicious package is critical, whatever else is said.

use std::rc::Rc;

use haechi_core::vulnerability::{Rating, Score};

use crate::advisory::{Detail, Record};
use crate::cvss;

/// A rating with its reasons.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Severity {
    /// How bad.
    pub rating: Rating,
    /// Who says so; empty if nobody does.
    pub rated_by: String,
    /// All scores, best source first.
    pub scores: Vec<Score>,
}

/// Rates a flaw. `vendor` is the distribution's name; empty for languages.
pub fn rate(malicious: bool, vendor: &str, records: &[Rc<Record>], details: &[Detail]) -> Severity {
    // A record has one or two vectors for each source; more is noise.
    const SCORES_MAX: usize = 24;
    let mut scores: Vec<Score> = Vec::new();
    let vectors = records
        .iter()
        .flat_map(|record| &record.vectors)
        .chain(details.iter().flat_map(|detail| &detail.vectors));
    for (by, vector) in vectors {
        if scores.len() >= SCORES_MAX || scores.iter().any(|s| s.by == *by && s.vector == *vector) {
            continue;
        }
        if let Ok(scored) = cvss::score(vector) {
            scores.push(Score {
                by: by.clone(),
                version: scored.version.to_owned(),
                vector: vector.clone(),
                score: scored.score,
            });
        }
    }
    scores.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| b.score.total_cmp(&a.score)));

    let known = |rating: &Rating| *rating != Rating::Unknown;
    let word = |record: &Rc<Record>| {
        record.rating.filter(known).map(|rating| (rating, record.feed.clone()))
    };
    let (rating, rated_by) = if malicious {
        (Rating::Critical, "malicious package".to_owned())
    } else if let Some((rating, _)) = records.iter().filter(|_| !vendor.is_empty()).find_map(word) {
        (rating, vendor.to_owned())
    } else if let Some(score) = scores.first() {
        (Rating::of_score(score.score), format!("{} {}", score.by, score.version))
    } else if let Some(found) = records.iter().find_map(word) {
        found
    } else if let Some((rating, id)) =
        details.iter().find_map(|d| Some((d.rating.filter(known)?, d.id.clone())))
    {
        (rating, id)
    } else {
        (Rating::Unknown, String::new())
    };
    Severity { rating, rated_by, scores }
}

/// Best first: major version falling, then source, then minor version falling.
fn key(score: &Score) -> (u8, u8, std::cmp::Reverse<String>) {
    let version = match score.version.as_bytes().first() {
        Some(b'4') => 0,
        Some(b'3') => 1,
        _ => 2,
    };
    let source = match score.by.as_str() {
        by if by.starts_with("nvd") => 0,
        by if by.starts_with("cna") => 1,
        by if by.starts_with("ghsa") => 2,
        _ => 3,
    };
    (version, source, std::cmp::Reverse(score.version.clone()))
}
