//! Whether a source looks like all that its publisher publishes: [`shortfall`].
//!
//! A part of a feed, taken for the whole, would call packages sound of which it does not speak. How much there is at
//! least says `feeds.yaml`; that a feed has more than this proves nothing, and of one that is not listed nothing is known.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use super::store::Meta;

/// Of so many entries, one may be broken: publishers make a mistake now and then, and one that Haechi does not understand
/// at all breaks more of them.
const BROKEN_ONE_IN: u64 = 1000;

/// What a whole feed has at least.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Least {
    /// Name of the source; `*` at its end stands for anything.
    source: String,
    records: u64,
    #[serde(default)]
    years: BTreeMap<u16, u64>,
}

static LEAST: LazyLock<Result<Vec<Least>, String>> = LazyLock::new(|| {
    serde_norway::from_str(include_str!("../../feeds.yaml")).map_err(|e| e.to_string())
});

impl Least {
    fn is_of(&self, source: &str) -> bool {
        match self.source.strip_suffix('*') {
            Some(begin) => source.starts_with(begin),
            None => self.source == source,
        }
    }
}

/// Why a source looks partial. Its [`std::fmt::Display`] goes on after the source's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortfall {
    /// It has fewer entries than a whole one.
    Few {
        /// Entries.
        records: u64,
        /// What a whole one has at least.
        least: u64,
    },
    /// It has fewer entries of one year than a whole one.
    FewOfYear {
        /// The year in the names of CVEs.
        year: u16,
        /// Entries of that year.
        records: u64,
        /// What a whole one has at least.
        least: u64,
    },
    /// Too many of its entries were not understood.
    Broken {
        /// All entries.
        records: u64,
        /// Those that were not understood.
        broken: u64,
    },
    /// What whole ones have at least cannot be read.
    Unknown(String),
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted =
            |n: &u64| if *n == 1 { "1 record".to_owned() } else { format!("{n} records") };
        match self {
            Self::Few { records, least } => {
                write!(f, "has {}, and a whole one has at least {least}", counted(records))
            }
            Self::FewOfYear { year, records, least } => {
                write!(
                    f,
                    "has {} of {year}, and a whole one has at least {least}",
                    counted(records)
                )
            }
            Self::Broken { records, broken } => {
                write!(f, "has {}, of which {broken} were not understood", counted(records))
            }
            Self::Unknown(why) => write!(f, "cannot be compared with what is published: {why}"),
        }
    }
}

/// Why a source looks partial, if it does.
pub fn shortfall(meta: &Meta) -> Option<Shortfall> {
    let least = match &*LEAST {
        Ok(least) => least.iter().find(|least| least.is_of(&meta.name)),
        // A test rules that out.
        Err(why) => return Some(Shortfall::Unknown(why.clone())),
    };
    if let Some(least) = least {
        if meta.records < least.records {
            return Some(Shortfall::Few { records: meta.records, least: least.records });
        }
        let of = |year: &u16| meta.years.get(year).copied().unwrap_or_default();
        if let Some((year, least)) = least.years.iter().find(|(year, least)| of(year) < **least) {
            return Some(Shortfall::FewOfYear { year: *year, records: of(year), least: *least });
        }
    }
    let all = meta.records.saturating_add(meta.broken);
    (meta.broken.saturating_mul(BROKEN_ONE_IN) > all)
        .then_some(Shortfall::Broken { records: all, broken: meta.broken })
}

/// The year in a CVE's name.
pub fn year(id: &[u8]) -> Option<u16> {
    let id = std::str::from_utf8(id).ok()?;
    id.strip_prefix("CVE-")?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(name: &str, records: u64, broken: u64) -> Meta {
        Meta { name: name.into(), records, broken, ..Meta::default() }
    }

    #[test]
    fn the_list_is_readable_and_each_minimum_can_be_reached() {
        let least = LEAST.as_ref().unwrap();
        for (i, one) in least.iter().enumerate() {
            assert!(one.records > 0, "{}", one.source);
            assert!(
                !least.iter().take(i).any(|before| before.is_of(&one.source)),
                "{} is never asked",
                one.source
            );
        }
        // What is fetched unless others are named is compared.
        for source in ["osv/Debian", "osv/npm", "debian-tracker", "alpine-secdb/edge", "nvd", "kev"]
        {
            assert!(shortfall(&meta(source, 1, 0)).is_some(), "{source}");
        }
    }

    #[test]
    fn few_records_are_a_part_and_what_is_not_listed_is_believed() {
        let why = shortfall(&meta("osv/Debian", 19_999, 0)).unwrap().to_string();
        assert!(why.contains("19999") && why.contains("20000"), "{why}");
        assert_eq!(shortfall(&meta("osv/Debian", 20_000, 0)), None);
        assert!(shortfall(&meta("alpine-secdb/v3.20", 2577, 0)).is_some(), "only `main`");
        assert_eq!(shortfall(&meta("alpine-secdb/v3.2", 305, 0)), None);
        assert_eq!(shortfall(&meta("osv/Hackage", 1, 0)), None);
    }

    #[test]
    fn more_than_one_in_a_thousand_broken_is_a_part() {
        assert_eq!(shortfall(&meta("osv/Debian", 39_960, 40)), None);
        assert!(shortfall(&meta("osv/Debian", 39_960, 41)).is_some());
        assert!(
            shortfall(&meta("osv/Hackage", 16, 1))
                .unwrap()
                .to_string()
                .contains("1 were not understood")
        );
    }

    #[test]
    fn a_missing_year_of_nvd_is_a_part() {
        let mut nvd = meta("nvd", 300_000, 0);
        nvd.years = (1999..=2026).map(|year| (year, 40_000)).collect();
        assert_eq!(shortfall(&nvd), None);
        nvd.years.remove(&2019);
        assert!(shortfall(&nvd).unwrap().to_string().contains("of 2019"));
        assert_eq!(
            (year(b"CVE-2019-0001"), year(b"GHSA-2019-0001"), year(b"CVE-x-1")),
            (Some(2019), None, None)
        );
    }
}
