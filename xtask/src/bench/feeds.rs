//! Feeds of full size, made up: NVD's yearly files (300,000 CVEs) and OSV's archives (400,000 advisories).
//!
//! Their form and mix are those of the real ones: one package (`linux`) has thousands of advisories, most have none or
//! few; an advisory of Debian lists the versions of three releases. What they say is made up.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::data::Numbers;

/// CVEs, and the years that they are spread over.
pub const CVES: u64 = 300_000;
const YEARS: std::ops::RangeInclusive<u64> = 2002..=2026;
/// Products that CVEs are about.
const PRODUCTS: u64 = 40_000;

/// An ecosystem: its name, advisories, packages.
const ECOSYSTEMS: [(&str, u64, u64); 9] = [
    ("Debian", 100_000, 4_000),
    ("Ubuntu", 80_000, 4_000),
    ("npm", 150_000, 60_000),
    ("PyPI", 30_000, 8_000),
    ("Maven", 15_000, 5_000),
    ("Go", 10_000, 4_000),
    ("Alpine", 10_000, 1_500),
    ("crates.io", 3_000, 1_000),
    ("Packagist", 2_000, 800),
];
/// Share of a distribution's advisories that are about its kernel: one in so many.
const LINUX_EACH: u64 = 15;
/// Packages that a Debian image has, so that a scan of one finds something.
const DEBIAN: [&str; 24] = [
    "glibc",
    "openssl",
    "curl",
    "perl",
    "python3.11",
    "systemd",
    "util-linux",
    "zlib",
    "ncurses",
    "gnutls28",
    "pcre2",
    "libxml2",
    "expat",
    "krb5",
    "tar",
    "gzip",
    "bash",
    "coreutils",
    "dpkg",
    "apt",
    "nginx",
    "openssh",
    "sqlite3",
    "shadow",
];

/// All advisories together.
pub fn advisories() -> u64 {
    ECOSYSTEMS.iter().map(|(_, count, _)| count).sum()
}

/// Writes all feeds below a folder.
pub fn write(folder: &Path) -> Result<()> {
    nvd(&folder.join("nvd"))?;
    for (name, count, packages) in ECOSYSTEMS {
        let place = folder.join("osv").join(name);
        std::fs::create_dir_all(&place)?;
        let mut zip =
            ZipWriter::new(BufWriter::with_capacity(1 << 20, File::create(place.join("all.zip"))?));
        let mut numbers = Numbers::new(count);
        for number in 0..count {
            let advisory = advisory(name, number, packages, &mut numbers);
            let id = advisory.get("id").and_then(Value::as_str).unwrap_or_default();
            let options = SimpleFileOptions::default().compression_level(Some(1));
            zip.start_file(format!("{id}.json"), options)?;
            zip.write_all(&serde_json::to_vec(&advisory)?)?;
        }
        zip.finish()?.flush()?;
    }
    Ok(())
}

/// The name of a package of an ecosystem.
pub fn package(ecosystem: &str, number: u64) -> String {
    match ecosystem {
        "Debian" | "Ubuntu" => match usize::try_from(number).ok().and_then(|at| DEBIAN.get(at)) {
            Some(name) => (*name).to_owned(),
            None => format!("package-{number}"),
        },
        "Maven" => format!("org.example.group{}:artifact-{number}", number % 97),
        "Go" => format!("github.com/example{}/module-{number}", number % 89),
        "Packagist" => format!("vendor{}/package-{number}", number % 53),
        _ => format!("package-{number}"),
    }
}

/// The identifier of one of the CVEs.
fn cve(number: u64) -> String {
    let years = YEARS.end() - YEARS.start() + 1;
    format!("CVE-{}-{}", YEARS.start() + number % years, 1000 + number / years)
}

fn nvd(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let years = YEARS.end() - YEARS.start() + 1;
    for year in YEARS {
        let file = File::create(folder.join(format!("nvdcve-2.0-{year}.json.gz")))?;
        let mut out = flate2::write::GzEncoder::new(
            BufWriter::with_capacity(1 << 20, file),
            flate2::Compression::fast(),
        );
        let count = CVES / years;
        write!(
            out,
            r#"{{"resultsPerPage":{count},"startIndex":0,"totalResults":{count},"format":"NVD_CVE","version":"2.0","timestamp":"2026-11-01T00:00:00.000","vulnerabilities":["#
        )?;
        let mut numbers = Numbers::new(year);
        for number in 0..count {
            if number > 0 {
                out.write_all(b",")?;
            }
            let id = cve(number * years + year - YEARS.start());
            serde_json::to_writer(&mut out, &json!({"cve": one(&id, year, &mut numbers)}))?;
        }
        out.write_all(b"]}")?;
        out.finish()?.flush()?;
    }
    Ok(())
}

fn one(id: &str, year: u64, numbers: &mut Numbers) -> Value {
    let day =
        format!("{year}-{:02}-{:02}T10:15:08.000", 1 + numbers.below(12), 1 + numbers.below(28));
    let matches: Vec<Value> = (0..1 + numbers.few(8))
        .map(|_| {
            let product = numbers.few(PRODUCTS);
            let end = version(numbers);
            json!({
                "vulnerable": true,
                "criteria": format!("cpe:2.3:a:vendor{}:product-{product}:*:*:*:*:*:*:*:*", product % 997),
                "versionStartIncluding": "1.0.0", "versionEndExcluding": end,
                "matchCriteriaId": format!("{:016X}", numbers.next()),
            })
        })
        .collect();
    let links: Vec<Value> = (0..1 + numbers.below(6))
        .map(|_| json!({"url": format!("https://example.com/{}/{:x}", numbers.word(), numbers.next()), "source": "cve@mitre.org"}))
        .collect();
    let (words, vector) = (30 + numbers.below(40), vector(numbers));
    json!({
        "id": id, "sourceIdentifier": "cve@mitre.org", "published": day, "lastModified": day, "vulnStatus": "Analyzed",
        "descriptions": [
            {"lang": "en", "value": numbers.text(words)}, {"lang": "es", "value": numbers.text(words)},
        ],
        "metrics": {"cvssMetricV31": [{
            "source": "nvd@nist.gov", "type": "Primary",
            "cvssData": {"version": "3.1", "vectorString": vector, "baseScore": 7.5, "baseSeverity": "HIGH"},
            "exploitabilityScore": 3.9, "impactScore": 3.6,
        }]},
        "weaknesses": [{"source": "nvd@nist.gov", "type": "Primary", "description": [
            {"lang": "en", "value": format!("CWE-{}", 20 + numbers.few(900))},
        ]}],
        "configurations": [{"nodes": [{"operator": "OR", "negate": false, "cpeMatch": matches}]}],
        "references": links,
    })
}

fn vector(numbers: &mut Numbers) -> String {
    let mut letter = |of: &'static [&'static str]| numbers.one(of).copied().unwrap_or_default();
    format!(
        "CVSS:3.1/AV:{}/AC:{}/PR:{}/UI:{}/S:U/C:{}/I:{}/A:{}",
        letter(&["N", "L"]),
        letter(&["L", "H"]),
        letter(&["N", "L"]),
        letter(&["N", "R"]),
        letter(&["N", "L", "H"]),
        letter(&["N", "L", "H"]),
        letter(&["N", "L", "H"])
    )
}

fn version(numbers: &mut Numbers) -> String {
    format!("{}.{}.{}", 1 + numbers.below(9), numbers.below(30), numbers.below(30))
}

fn advisory(ecosystem: &str, number: u64, packages: u64, numbers: &mut Numbers) -> Value {
    let of = cve(numbers.below(CVES));
    let linux = matches!(ecosystem, "Debian" | "Ubuntu") && number.is_multiple_of(LINUX_EACH);
    let name = if linux { "linux".to_owned() } else { package(ecosystem, numbers.few(packages)) };
    let (id, alias) = match ecosystem {
        "Debian" => (format!("DEBIAN-{}", cve(number)), json!({"upstream": [cve(number)]})),
        "Ubuntu" => (format!("UBUNTU-{}", cve(number)), json!({"upstream": [cve(number)]})),
        "Alpine" => (format!("ALPINE-{}", cve(number)), json!({"upstream": [cve(number)]})),
        // Two thirds of npm's advisories are about packages made to do harm.
        "npm" if !number.is_multiple_of(3) => (format!("MAL-2025-{number}"), json!({})),
        "PyPI" => (format!("PYSEC-2024-{number}"), json!({"aliases": [of]})),
        "crates.io" => (format!("RUSTSEC-2024-{number:04}"), json!({"aliases": [of]})),
        "Go" => (format!("GO-2024-{number:04}"), json!({"aliases": [of]})),
        _ => (
            format!("GHSA-{:04x}-{:04x}-{:04x}", number % 65_536, number / 65_536, packages),
            json!({"aliases": [of]}),
        ),
    };
    let affected: Vec<Value> = match ecosystem {
        "Debian" => ["11", "12", "13"]
            .map(|r| distribution(&format!("Debian:{r}"), &name, linux, numbers))
            .into(),
        "Ubuntu" => ["22.04", "24.04"]
            .map(|r| distribution(&format!("Ubuntu:{r}:LTS"), &name, linux, numbers))
            .into(),
        "Alpine" => ["v3.19", "v3.20"]
            .map(|r| distribution(&format!("Alpine:{r}"), &name, false, numbers))
            .into(),
        _ if id.starts_with("MAL-") => vec![json!({
            "package": {"ecosystem": ecosystem, "name": format!("{name}-{number}")},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
        })],
        _ => {
            let kind = if matches!(ecosystem, "npm" | "Go" | "crates.io") {
                "SEMVER"
            } else {
                "ECOSYSTEM"
            };
            vec![json!({
                "package": {"ecosystem": ecosystem, "name": name},
                "ranges": [{"type": kind, "events": [{"introduced": "0"}, {"fixed": version(numbers)}]}],
            })]
        }
    };
    let mut out = json!({
        "schema_version": "1.6.0", "id": id,
        "modified": format!("2026-{:02}-{:02}T10:15:08Z", 1 + numbers.below(10), 1 + numbers.below(28)),
        "published": "2024-05-05T00:00:00Z",
        "summary": numbers.text(8),
        "details": numbers.text(60),
        "severity": [{"type": "CVSS_V3", "score": vector(numbers)}],
        "affected": affected,
        "references": [{"type": "WEB", "url": format!("https://example.com/{:x}", numbers.next())}],
    });
    if let (Some(out), Value::Object(alias)) = (out.as_object_mut(), alias) {
        out.extend(alias);
    }
    out
}

/// What one release says: most is fixed in a version, some is not; affected versions one by one.
fn distribution(ecosystem: &str, name: &str, linux: bool, numbers: &mut Numbers) -> Value {
    let revision = if ecosystem.starts_with("Alpine") { "-r" } else { "-" };
    let major = if linux {
        "6.1".to_owned()
    } else {
        format!("{}.{}", 1 + numbers.below(6), numbers.below(20))
    };
    let patch = numbers.below(140);
    let mut events = vec![json!({"introduced": "0"})];
    if numbers.below(10) > 0 {
        events.push(json!({"fixed": format!("{major}.{patch}{revision}1")}));
    }
    // The kernel of one release has had some hundred versions.
    let listed = if linux { patch.min(60) } else { patch.min(8) };
    let versions: Vec<String> = (0..listed)
        .map(|n| format!("{major}.{}{revision}1", patch.saturating_sub(n + 1)))
        .collect();
    json!({
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
        "versions": versions,
        "ecosystem_specific": {"urgency": "not yet assigned"},
    })
}
