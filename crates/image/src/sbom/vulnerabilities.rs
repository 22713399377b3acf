//! The vulnerabilities of a CycloneDX document (<https://cyclonedx.org/docs/1.6/json/#vulnerabilities>).

use std::collections::HashMap;

use haechi_core::vulnerability::{Assessment, FixState, Rating, Suppressed, Vulnerability};
use serde_json::{Map, Value, json};

use super::cyclonedx::{ROOT, property};

/// All vulnerabilities; those that do not count here have an analysis that says why.
pub(super) fn all(assessment: &Assessment, index: &HashMap<(&str, &str), &str>) -> Value {
    let count = assessment.vulnerabilities.iter().map(|v| (v, None));
    let not = assessment.suppressed.iter().map(|(v, why)| (v, Some(why)));
    count.chain(not).enumerate().map(|(number, (v, why))| one(number, v, why, index)).collect()
}

fn one(
    number: usize,
    v: &Vulnerability,
    suppressed: Option<&Suppressed>,
    index: &HashMap<(&str, &str), &str>,
) -> Value {
    let package = v.package.as_str();
    let affected = index
        .get(&(package, v.path.as_str()))
        .or_else(|| index.get(&(package, "")))
        .copied()
        .unwrap_or(ROOT);
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("bom-ref", format!("haechi:vulnerability-{number}").into());
    put("id", v.id.as_str().into());
    put("source", json!({"name": v.source}));
    if !v.aliases.is_empty() {
        put(
            "references",
            v.aliases.iter().map(|id| json!({"id": id, "source": {"name": v.source}})).collect(),
        );
    }
    put("ratings", ratings(v).into());
    let cwes: Vec<u32> = v
        .cwes
        .iter()
        .filter_map(|cwe| cwe.strip_prefix("CWE-")?.parse().ok())
        .filter(|n| *n > 0)
        .collect();
    if !cwes.is_empty() {
        put("cwes", cwes.into());
    }
    for (key, value) in [("description", &v.title), ("detail", &v.description)] {
        if !value.is_empty() {
            put(key, value.as_str().into());
        }
    }
    if !v.fixed.is_empty() {
        let how = if v.command.is_empty() { String::new() } else { format!(": `{}`", v.command) };
        put("recommendation", format!("Update {} to {}{how}", v.name, v.fixed).into());
    }
    let urls: Vec<Value> =
        v.urls.iter().filter(|url| is_url(url)).map(|url| json!({"url": url})).collect();
    if !urls.is_empty() {
        put("advisories", urls.into());
    }
    if let Some(published) = moment(&v.published) {
        put("published", published.into());
    }
    if let Some(analysis) = analysis(v, suppressed) {
        put("analysis", analysis);
    }
    put(
        "affects",
        json!([{"ref": affected, "versions": [{"version": v.installed, "status": "affected"}]}]),
    );
    put("properties", properties(v).into());
    out.into()
}

fn ratings(v: &Vulnerability) -> Vec<Value> {
    let by = if v.rated_by.is_empty() { "haechi" } else { v.rated_by.as_str() };
    let mut out = vec![json!({"source": {"name": by}, "severity": severity(v.rating)})];
    for score in &v.scores {
        let method = match score.version.as_str() {
            "2.0" => "CVSSv2",
            "3.0" => "CVSSv3",
            "3.1" => "CVSSv31",
            "4.0" => "CVSSv4",
            _ => "other",
        };
        out.push(json!({
            "source": {"name": score.by},
            "score": score.score,
            "severity": severity(Rating::of_score(score.score)),
            "method": method,
            "vector": score.vector,
        }));
    }
    out
}

/// The format's word; what is negligible to a distribution is information, not nothing.
fn severity(rating: Rating) -> &'static str {
    if rating == Rating::Negligible { "info" } else { rating.name() }
}

fn analysis(v: &Vulnerability, suppressed: Option<&Suppressed>) -> Option<Value> {
    let Some(why) = suppressed else {
        return (v.state == FixState::UnderInvestigation).then(|| json!({"state": "in_triage"}));
    };
    let state = match why.status.as_str() {
        "not_affected" => "not_affected",
        "fixed" => "resolved",
        // Accepted: it is there, and someone answers for it.
        _ => "exploitable",
    };
    let mut out = Map::new();
    out.insert("state".into(), state.into());
    // The words of OpenVEX and CSAF in CycloneDX's.
    let justification = match why.reason.as_str() {
        "component_not_present" | "vulnerable_code_not_present" => Some("code_not_present"),
        "vulnerable_code_not_in_execute_path" => Some("code_not_reachable"),
        "inline_mitigations_already_exist" => Some("protected_by_mitigating_control"),
        _ => None,
    };
    if let Some(justification) = justification {
        out.insert("justification".into(), justification.into());
    }
    if state == "exploitable" {
        out.insert("response".into(), json!(["will_not_fix"]));
    }
    out.insert("detail".into(), format!("{} ({}): {}", why.status, why.by, why.reason).into());
    Some(out.into())
}

fn properties(v: &Vulnerability) -> Vec<Value> {
    let state = serde_json::to_value(v.state)
        .ok()
        .and_then(|s| s.as_str().map(str::to_owned))
        .unwrap_or_default();
    let mut out =
        vec![property("haechi:state", state), property("haechi:rank", format!("{:.1}", v.rank))];
    if !v.fixed.is_empty() {
        out.push(property("haechi:fixed", &v.fixed));
    }
    out.extend(v.advisories.iter().map(|id| property("haechi:advisory", id)));
    if let Some(exploited) = &v.exploited {
        out.push(property("haechi:exploited-since", &exploited.added));
    }
    if let Some(epss) = &v.epss {
        out.push(property("haechi:epss", epss.score.to_string()));
    }
    out
}

/// A moment from RFC 3339 or a day; nothing from other texts, which the format forbids.
fn moment(text: &str) -> Option<String> {
    let moment = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    moment.parse::<jiff::Timestamp>().ok().map(|at| at.to_string())
}

/// Whether a text can stand where the format wants an IRI.
fn is_url(text: &str) -> bool {
    (text.starts_with("https://") || text.starts_with("http://"))
        && !text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"{}|\\^`[]".contains(c))
}
