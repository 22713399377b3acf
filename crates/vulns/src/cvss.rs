//! Scores from CVSS vectors: v2, v3.0, v3.1, v4.0.
//!
//! The score is the most specific one that the vector allows: environmental, else temporal, else base (v4.0 has only one).
//! Which metrics must be there, and in which order, is checked here; the equations are the crate `cvss`'s.
//! A vector that the specification does not allow has no score.

use std::str::FromStr;

use haechi_core::vulnerability::Rating;

/// What a vector says.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Version of CVSS: `2.0`, `3.0`, `3.1` or `4.0`.
    pub version: &'static str,
    /// 0.0 to 10.0, with one decimal.
    pub score: f64,
    /// The score in words.
    pub rating: Rating,
}

/// A vector without a score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{vector}` is no CVSS vector: {reason}")]
pub struct BadVector {
    /// The vector as it was, shortened to [`LONGEST`] bytes.
    pub vector: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The longest vector that is read, in bytes. With every metric of v4.0 it is about 200.
pub const LONGEST: usize = 512;

/// Scores a vector. One of v2 has no prefix and may be in parentheses, as in NVD's data.
///
/// # Errors
/// It is of no version known here, or has not the metrics that its version demands.
pub fn score(vector: &str) -> Result<Scored, BadVector> {
    let bad = |reason: String| {
        let end = vector.floor_char_boundary(LONGEST);
        BadVector { vector: vector.get(..end).unwrap_or_default().to_owned(), reason }
    };
    let text = vector.trim_ascii();
    if text.len() > LONGEST {
        return Err(bad(format!("it is longer than {LONGEST} bytes")));
    }
    let (version, result) = if let Some(metrics) = text.strip_prefix("CVSS:3.0/") {
        ("3.0", v3(text, metrics))
    } else if let Some(metrics) = text.strip_prefix("CVSS:3.1/") {
        ("3.1", v3(text, metrics))
    } else if let Some(metrics) = text.strip_prefix("CVSS:4.0/") {
        ("4.0", v4(text, metrics))
    } else if text.starts_with("CVSS:") {
        return Err(bad("of this version there is none".to_owned()));
    } else {
        let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
        ("2.0", v2(inner.unwrap_or(text)))
    };
    let score = result.map_err(bad)?;
    Ok(Scored { version, score, rating: Rating::of_score(score) })
}

/// Metrics of v2 in their order (guide §2.4): base, temporal and environmental, each complete or absent.
const V2_BASE: [&str; 6] = ["AV", "AC", "Au", "C", "I", "A"];
const V2_TEMPORAL: [&str; 3] = ["E", "RL", "RC"];
const V2_ENVIRONMENTAL: [&str; 5] = ["CDP", "TD", "CR", "IR", "AR"];

/// Metrics of v3 that must be there (§6); their order is free.
const V3_BASE: [&str; 8] = ["AV", "AC", "PR", "UI", "S", "C", "I", "A"];
const V3_TEMPORAL: [&str; 3] = ["E", "RL", "RC"];

/// Metrics of v4.0 in their order (§7); the first 11 must be there.
const V4: [&str; 32] = [
    "AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA", "E", "CR", "IR", "AR", "MAV",
    "MAC", "MAT", "MPR", "MUI", "MVC", "MVI", "MVA", "MSC", "MSI", "MSA", "S", "AU", "R", "V",
    "RE", "U",
];
const V4_BASE: usize = 11;

/// Names of the metrics in a vector without prefix.
fn names(metrics: &str) -> Result<Vec<&str>, String> {
    let name = |metric: &'_ str| metric.split_once(':').map(|(name, _)| name.len());
    metrics
        .split('/')
        .map(|metric| {
            name(metric)
                .and_then(|end| metric.get(..end))
                .ok_or_else(|| format!("`{metric}` is no metric"))
        })
        .collect()
}

fn v2(text: &str) -> Result<f64, String> {
    let names = names(text)?;
    let mut rest = names.strip_prefix(&V2_BASE).ok_or("it does not begin with the base metrics")?;
    let after_temporal = rest.strip_prefix(&V2_TEMPORAL);
    rest = after_temporal.unwrap_or(rest);
    let after_environmental = rest.strip_prefix(&V2_ENVIRONMENTAL);
    rest = after_environmental.unwrap_or(rest);
    if let Some(name) = rest.first() {
        return Err(format!("`{name}` is out of place, or its group is not complete"));
    }
    let vector = cvss::v2::Vector::from_str(text).map_err(|error| error.to_string())?;
    Ok(if after_environmental.is_some() {
        vector.environmental_score()
    } else if after_temporal.is_some() {
        vector.temporal_score()
    } else {
        vector.score()
    }
    .value())
}

fn v3(text: &str, metrics: &str) -> Result<f64, String> {
    let names = names(metrics)?;
    if let Some(absent) = V3_BASE.iter().find(|name| !names.contains(name)) {
        return Err(format!("`{absent}` is missing"));
    }
    let vector = cvss::v3::Vector::from_str(text).map_err(|error| error.to_string())?;
    let beyond = |name: &&str| !V3_BASE.contains(name) && !V3_TEMPORAL.contains(name);
    Ok(if names.iter().any(beyond) {
        vector.environmental_score()
    } else if names.len() > V3_BASE.len() {
        vector.temporal_score()
    } else {
        vector.base_score()
    }
    .value())
}

fn v4(text: &str, metrics: &str) -> Result<f64, String> {
    let names = names(metrics)?;
    let mut known = V4.iter().enumerate();
    for (index, name) in names.iter().enumerate() {
        match known.find(|(_, known)| *known == name) {
            Some((place, _)) if index >= V4_BASE || place == index => {}
            _ => return Err(format!("`{name}` is unknown, out of place, or comes twice")),
        }
    }
    if names.len() < V4_BASE {
        return Err("a base metric is missing".to_owned());
    }
    let vector = cvss::v4::Vector::from_str(text).map_err(|error| error.to_string())?;
    Ok(vector.score().value())
}

#[cfg(test)]
mod tests;
