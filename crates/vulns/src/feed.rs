//! Feeds: what others publish, read into [`crate::advisory`]'s form.
//!
//! Each reader takes bytes and hands [`Parcel`]s to a [`Sink`], one for each entry of the feed. An entry that is not
//! understood is reported with its name and the rest loads; input that is unreadable as a whole is an error.
//! A reader neither opens files nor compares versions; which reader a file needs, [`shape`] finds in its content.

use std::io::{self, Read};

use haechi_core::vulnerability::{Epss, Exploited, Rating};

use crate::advisory::{CpeRecord, Detail, Record};

pub mod archive;
pub mod debian;
pub mod epss;
pub mod json;
pub mod kev;
pub mod nvd;
pub mod osv;
pub mod secdb;
pub mod shape;

/// Longest JSON document of one advisory: the largest known are some MB (kernel advisories with all versions).
pub const MAX_ENTRY: u64 = 64 << 20;
/// Longest feed after decompression: the largest known (NVD as one file) is below 3 GB.
pub const MAX_FEED: u64 = 16 << 30;
/// Longest name or id that is kept: real ones are below 300 bytes (Maven, Go), and they become keys.
pub const MAX_NAME: usize = 1024;
/// Longest description that is kept, in characters.
const MAX_DESCRIPTION: usize = 1000;
/// Most links that are kept for one entry.
const MAX_URLS: usize = 10;

/// One entry of a feed: an advisory, a CVE, a package's list of fixes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parcel {
    /// Its name in the feed.
    pub id: String,
    /// When it was last changed (RFC 3339 or a day); empty if the feed does not say. The newest of two wins.
    pub modified: String,
    /// What it says.
    pub items: Vec<Item>,
}

/// One thing that an entry says.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// About a package.
    Record {
        /// The ecosystem as the feed writes it.
        ecosystem: String,
        /// The package as the feed writes it.
        name: String,
        /// The advisory.
        record: Box<Record>,
    },
    /// About a vulnerability. The text is that of the ecosystems named, or of the feed as a whole if there are none.
    Detail {
        /// The ecosystems without release (`Debian`, `npm`).
        bases: Vec<String>,
        /// What is known.
        detail: Box<Detail>,
    },
    /// About a product.
    Product(CpeRecord),
    /// The CVE is known to be exploited.
    Exploited(String, Exploited),
    /// How likely the CVE is to be exploited.
    Epss(String, Epss),
}

/// Where readers put what they read.
pub trait Sink {
    /// Takes an entry.
    ///
    /// # Errors
    /// It cannot be kept (disk full, cancelled): reading ends.
    fn take(&mut self, parcel: Parcel) -> Result<(), FeedError>;
    /// Notes an entry that was not understood.
    fn broken(&mut self, name: &str, why: &str);
    /// Notes a moment (RFC 3339 or a day) from which content is.
    fn dated(&mut self, when: &str);
}

/// Why a feed could not be read as a whole.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Reading or decompressing failed.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It is not JSON (any more): place and cause.
    #[error("not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is something else than expected.
    #[error("{0}")]
    Shape(String),
    /// What was read could not be kept.
    #[error("cannot keep what was read: {0}")]
    Keep(String),
}

/// A reader that ends in an error, not silently, when there is more than `left` bytes.
pub struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Capped<R> {
    /// At most `limit` bytes of `inner`.
    pub fn new(inner: R, limit: u64) -> Self {
        Self { inner, left: limit }
    }
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => {
                self.left = left;
                Ok(n)
            }
            None => Err(io::Error::other("longer than is read of one input")),
        }
    }
}

/// The ecosystem without its release: `Debian` of `Debian:12`.
pub fn base(ecosystem: &str) -> &str {
    ecosystem.split(':').next().unwrap_or_default()
}

/// A severity as feeds write it in words (GitHub, Debian, Ubuntu, Red Hat and its rebuilds, Bitnami).
pub fn rating(word: &str) -> Option<Rating> {
    // Debian's tracker marks with stars what it took over from NVD.
    Some(match word.trim().trim_end_matches('*').to_ascii_lowercase().as_str() {
        "critical" => Rating::Critical,
        "high" | "important" => Rating::High,
        "medium" | "moderate" => Rating::Medium,
        "low" => Rating::Low,
        "negligible" | "unimportant" | "none" => Rating::Negligible,
        _ => return None,
    })
}

/// The first [`MAX_DESCRIPTION`] characters.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(MAX_DESCRIPTION).collect()
}

/// Whether something can be a key: not empty, no NUL (the separator of keys), not too long.
pub(crate) fn keyable(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME && !text.contains('\0')
}

#[cfg(test)]
pub(crate) mod testing {
    //! A sink that remembers.
    use super::{FeedError, Item, Parcel, Record, Sink};

    #[derive(Default)]
    pub(crate) struct Basket {
        pub parcels: Vec<Parcel>,
        pub broken: Vec<(String, String)>,
        pub dates: Vec<String>,
    }

    impl Sink for Basket {
        fn take(&mut self, parcel: Parcel) -> Result<(), FeedError> {
            self.parcels.push(parcel);
            Ok(())
        }
        fn broken(&mut self, name: &str, why: &str) {
            self.broken.push((name.to_owned(), why.to_owned()));
        }
        fn dated(&mut self, when: &str) {
            self.dates.push(when.to_owned());
        }
    }

    impl Basket {
        /// All records with ecosystem and name.
        pub(crate) fn records(&self) -> Vec<(&str, &str, &Record)> {
            let items = self.parcels.iter().flat_map(|p| &p.items);
            items
                .filter_map(|i| match i {
                    Item::Record { ecosystem, name, record } => {
                        Some((ecosystem.as_str(), name.as_str(), &**record))
                    }
                    _ => None,
                })
                .collect()
        }
    }
}
