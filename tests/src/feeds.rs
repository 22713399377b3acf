//! Small feeds of vulnerability data, in the forms of their publishers, about packages that tests make up.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The present, as feeds write it.
pub fn now() -> String {
    day(0)
}

/// So many days ago, as feeds write it.
pub fn day(ago: i64) -> String {
    let at = Timestamp::now().checked_sub((ago * 24).hours()).unwrap();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A folder of feeds.
pub struct Feeds {
    dir: TempDir,
    date: String,
}

impl Default for Feeds {
    fn default() -> Self {
        Self::new()
    }
}

impl Feeds {
    /// An empty one; what is put in is of today.
    pub fn new() -> Self {
        Self::of(0)
    }

    /// The same; what is put in is so many days old.
    pub fn of(days: i64) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), date: day(days) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file of these bytes.
    pub fn put(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// An OSV advisory: affected from the beginning, fixed in `fixed` (never, if that is empty).
    pub fn osv(&self, id: &str, ecosystem: &str, package: &str, fixed: &str) -> Value {
        let mut events = vec![json!({"introduced": "0"})];
        if !fixed.is_empty() {
            events.push(json!({"fixed": fixed}));
        }
        json!({
            "schema_version": "1.6.0", "id": id, "modified": self.date, "published": self.date,
            "summary": format!("{package} can be made to fall over"),
            "affected": [{
                "package": {"ecosystem": ecosystem, "name": package},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }],
        })
    }

    /// An advisory with a CVSS vector of the worst.
    pub fn critical(&self, id: &str, ecosystem: &str, package: &str, fixed: &str) -> Value {
        let mut osv = self.osv(id, ecosystem, package, fixed);
        let vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
        osv["severity"] = json!([{"type": "CVSS_V3", "score": vector}]);
        osv
    }

    /// OSV's export of an ecosystem.
    pub fn zip(&self, path: &str, advisories: &[Value]) -> PathBuf {
        let texts: Vec<(String, String)> = advisories
            .iter()
            .enumerate()
            .map(|(n, osv)| (format!("{n}.json"), osv.to_string()))
            .collect();
        self.put(path, Self::zipped(&texts))
    }

    /// A zip archive.
    pub fn zipped<B: AsRef<[u8]>>(members: &[(String, B)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, text) in members {
            zip.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_ref()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    /// CISA's catalogue with these.
    pub fn kev(&self, cves: &[&str]) -> String {
        let entry = |cve: &&str| json!({"cveID": cve, "dateAdded": "2026-01-05", "knownRansomwareCampaignUse": "Known"});
        let entries: Vec<Value> = cves.iter().map(entry).collect();
        json!({"catalogVersion": "1", "dateReleased": self.date, "count": entries.len(), "vulnerabilities": entries})
            .to_string()
    }

    /// EPSS scores of a day: lines of `CVE,score,percentile`.
    pub fn epss(&self, lines: &[&str]) -> String {
        let lines = lines.join("\n");
        format!("#model_version:v1,score_date:{}\ncve,epss,percentile\n{lines}\n", self.date)
    }

    /// A page of NVD's API, one CVE after the other: id, description, CVSS vector.
    pub fn nvd(&self, total: usize, cves: &[(&str, &str, &str)]) -> String {
        let entry = |(id, text, vector): &(&str, &str, &str)| {
            json!({"cve": {
                "id": id, "sourceIdentifier": "cve@example.org", "vulnStatus": "Analyzed",
                "published": self.date.trim_end_matches('Z'), "lastModified": self.date.trim_end_matches('Z'),
                "descriptions": [{"lang": "en", "value": text}],
                "metrics": {"cvssMetricV31": [{"source": "nvd@nist.gov", "type": "Primary",
                    "cvssData": {"version": "3.1", "vectorString": vector}}]},
                "references": [],
            }})
        };
        let entries: Vec<Value> = cves.iter().map(entry).collect();
        json!({
            "resultsPerPage": entries.len(), "startIndex": 0, "totalResults": total, "format": "NVD_CVE",
            "version": "2.0", "timestamp": self.date.trim_end_matches('Z'), "vulnerabilities": entries,
        })
        .to_string()
    }

    /// Makes a database of it in this data folder, declared complete, and demands that it works.
    pub fn load(&self, data: &Path) {
        let words = ["db", "update", "--complete", "--from", self.path().to_str().unwrap()];
        crate::Haechi::new(&words).data(data).run().must_end_with(0);
    }
}
