//! One source in one file: redb tables of compressed lists, and what is known about the source itself.
//!
//! A file is written once, in the order of its keys, under a temporary name ([`Draft`]), and then only read
//! ([`Store`]). What it cannot read of a file is an error, never an empty answer.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase, TableDefinition, TableError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::DbError;

/// The form of these files. Another number is not read: `haechi db update` makes them anew.
pub const FORMAT: u32 = 1;
/// Values from this length on are compressed: below, it gains nothing.
const COMPRESS_FROM: usize = 256;
/// Longest list after decompression: the largest known (all CVEs of the kernel in one release) is below 50 MB.
const MAX_VALUE: u64 = 1 << 30;
/// What redb may hold of one file in memory. Some sixty files may be open.
const CACHE: usize = 16 << 20;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;
const META: Table = TableDefinition::new("meta");

/// What a table holds. The order is that in which a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// `ecosystem NUL name` to records.
    Record = 1,
    /// Id to details.
    Detail = 2,
    /// Another name to ids.
    Alias = 3,
    /// `vendor:product` to ranges.
    Product = 4,
    /// CVE to [`haechi_core::vulnerability::Exploited`].
    Exploited = 5,
    /// CVE to [`haechi_core::vulnerability::Epss`].
    Epss = 6,
}

impl Kind {
    /// All, in order.
    pub const ALL: [Self; 6] =
        [Self::Record, Self::Detail, Self::Alias, Self::Product, Self::Exploited, Self::Epss];

    fn table(self) -> Table {
        TableDefinition::new(match self {
            Self::Record => "records",
            Self::Detail => "details",
            Self::Alias => "aliases",
            Self::Product => "products",
            Self::Exploited => "exploited",
            Self::Epss => "epss",
        })
    }
}

/// Where the content of a source came from: decides by what its age is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// From the publisher itself: it is as new as the day on which it was fetched.
    Publisher,
    /// From a mirror: as new as what it says of itself.
    Mirror,
    /// From a folder: the same.
    #[default]
    Folder,
}

/// What is known about a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Its name: `osv/Debian`.
    pub name: String,
    /// Where it came from: addresses or file names, the first 20.
    pub from: Vec<String>,
    /// How it came.
    pub via: Via,
    /// The server's `ETag` of the one file that it is made of; empty if there is none.
    pub etag: String,
    /// The server's `Last-Modified`; empty if there is none.
    pub last_modified: String,
    /// SHA-256 of the input (of the digests of its files, if there are several), hexadecimal.
    pub sha256: String,
    /// When it was fetched or last confirmed (RFC 3339).
    pub fetched_at: String,
    /// Newest moment that the content names (RFC 3339); empty if it names none.
    pub data_at: String,
    /// The moment by which its age is counted (RFC 3339), see [`super::age`]; empty if nothing is known.
    pub as_of: String,
    /// Entries.
    pub records: u64,
    /// Entries that were not understood.
    pub broken: u64,
    /// The first 20 of these: name and cause.
    pub broken_examples: Vec<(String, String)>,
    /// Package records by ecosystem.
    pub ecosystems: BTreeMap<String, u64>,
    /// Entries by the year in the CVE's name; only of sources whose years are compared (`feeds.yaml`).
    #[serde(default)]
    pub years: BTreeMap<u16, u64>,
    /// Whether the operator declared it complete.
    #[serde(default)]
    pub declared_complete: bool,
}

/// A list as it is kept: a byte that says how, and postcard.
///
/// # Errors
/// It cannot be encoded.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> io::Result<Vec<u8>> {
    let plain = postcard::to_stdvec(value).map_err(io::Error::other)?;
    let mut out = Vec::new();
    if plain.len() < COMPRESS_FROM {
        out.push(0);
        out.extend_from_slice(&plain);
    } else {
        out.push(1);
        // States its length, so that it is read at once.
        out.extend(zstd::bulk::compress(&plain, 3)?);
    }
    Ok(out)
}

thread_local! {
    /// Made once: a new one for each of thousands of small entries costs more than reading them.
    static DECOMPRESSION: std::cell::RefCell<zstd::zstd_safe::DCtx<'static>> =
        std::cell::RefCell::new(zstd::zstd_safe::DCtx::create());
}

/// The length of an entry, if it states one that is believed: memory is reserved by it.
fn stated(packed: &[u8]) -> Option<usize> {
    let length = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten()?;
    let length = usize::try_from(length).ok()?;
    (length <= (64 << 10) + packed.len().saturating_mul(32)).then_some(length)
}

/// The opposite of [`encode`].
///
/// # Errors
/// The bytes are damaged.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let damaged = |e: &dyn std::fmt::Display| format!("a damaged entry: {e}");
    match bytes.split_first() {
        Some((0, plain)) => postcard::from_bytes(plain).map_err(|e| damaged(&e)),
        Some((1, packed)) => {
            if let Some(length) = stated(packed) {
                let mut plain = Vec::with_capacity(length);
                DECOMPRESSION
                    .with_borrow_mut(|context| context.decompress(&mut plain, packed))
                    .map_err(|code| damaged(&zstd::zstd_safe::get_error_name(code)))?;
                return postcard::from_bytes(&plain).map_err(|e| damaged(&e));
            }
            let mut plain = Vec::new();
            let len = DECOMPRESSION.with_borrow_mut(|context| {
                // Whatever an earlier, damaged entry has left.
                let reset = zstd::zstd_safe::ResetDirective::SessionOnly;
                context
                    .reset(reset)
                    .map_err(|code| damaged(&zstd::zstd_safe::get_error_name(code)))?;
                let decoder = zstd::stream::read::Decoder::with_context(packed, context);
                decoder.take(MAX_VALUE + 1).read_to_end(&mut plain).map_err(|e| damaged(&e))
            })?;
            if len as u64 > MAX_VALUE {
                return Err(damaged(&"too long"));
            }
            postcard::from_bytes(&plain).map_err(|e| damaged(&e))
        }
        _ => Err(damaged(&"unknown form")),
    }
}

/// The name of a source's file. Everything that is not plain is written as `%XX`, so that no name leads elsewhere.
pub fn file_name(source: &str) -> String {
    // The first slash is that between kind and what it is of: `osv/Debian`.
    let (kind, of) = source.split_once('/').map_or((source, None), |(kind, of)| (kind, Some(of)));
    let mut out = String::new();
    for (i, part) in [Some(kind), of].into_iter().flatten().enumerate() {
        if i > 0 {
            out.push('-');
        }
        for b in part.bytes() {
            match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(b)),
                b'.' if !out.is_empty() => out.push('.'),
                other => out.push_str(&format!("%{other:02X}")),
            }
        }
    }
    out + ".redb"
}

/// What is written into a file.
pub trait Content {
    /// The next pair of a table, sorted by key, until there is none.
    ///
    /// # Errors
    /// It cannot be made.
    fn next(&mut self, kind: Kind) -> Result<Option<super::sort::Pair>, DbError>;
    /// What is known about the source; asked last.
    fn meta(&mut self) -> Meta;
}

/// A source that is being written, under a temporary name.
pub struct Draft {
    db: redb::Database,
    temporary: PathBuf,
}

impl Draft {
    /// Begins a file beside the one that it will replace.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn new(dir: &Path, source: &str) -> Result<Self, DbError> {
        let temporary = dir.join(format!("{}{}", super::TEMPORARY, file_name(source)));
        let failed = |e: &dyn std::fmt::Display| DbError::Write(temporary.clone(), e.to_string());
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&error)),
            _ => {}
        }
        let db = redb::Builder::new()
            .set_cache_size(64 << 20)
            .create(&temporary)
            .map_err(|e| failed(&e))?;
        Ok(Self { db, temporary })
    }

    /// Writes all tables and what is known about the source, durably, and returns the temporary file's name.
    ///
    /// # Errors
    /// Writing fails (disk full), or the content does.
    pub fn write(self, content: &mut dyn Content) -> Result<PathBuf, DbError> {
        let Self { db, temporary } = self;
        let failed = |e: &dyn std::fmt::Display| DbError::Write(temporary.clone(), e.to_string());
        let txn = db.begin_write().map_err(|e| failed(&e))?;
        for kind in Kind::ALL {
            let mut table = None;
            while let Some((key, value)) = content.next(kind)? {
                let table = match &mut table {
                    Some(table) => table,
                    None => table.insert(txn.open_table(kind.table()).map_err(|e| failed(&e))?),
                };
                table.insert(key.as_slice(), value.as_slice()).map_err(|e| failed(&e))?;
            }
        }
        {
            let mut table = txn.open_table(META).map_err(|e| failed(&e))?;
            let json = serde_json::to_vec(&content.meta()).map_err(|e| failed(&e))?;
            table.insert(&b"format"[..], &FORMAT.to_le_bytes()[..]).map_err(|e| failed(&e))?;
            table.insert(&b"meta"[..], json.as_slice()).map_err(|e| failed(&e))?;
        }
        txn.commit().map_err(|e| failed(&e))?;
        drop(db);
        std::fs::File::open(&temporary).and_then(|f| f.sync_all()).map_err(|e| failed(&e))?;
        Ok(temporary)
    }
}

/// Changes what is known about a source, and nothing else: in a copy, which then takes its place.
///
/// # Errors
/// The source cannot be read, or the copy not be written.
pub fn touch(dir: &Path, source: &str, change: &mut dyn FnMut(&mut Meta)) -> Result<(), DbError> {
    let path = dir.join(file_name(source));
    let temporary = dir.join(format!("{}{}", super::TEMPORARY, file_name(source)));
    let failed = |e: &dyn std::fmt::Display| DbError::Write(temporary.clone(), e.to_string());
    let mut meta = Store::open(&path)?.meta;
    change(&mut meta);
    std::fs::copy(&path, &temporary).map_err(|e| failed(&e))?;
    let db = redb::Builder::new().set_cache_size(CACHE).open(&temporary).map_err(|e| failed(&e))?;
    let txn = db.begin_write().map_err(|e| failed(&e))?;
    let json = serde_json::to_vec(&meta).map_err(|e| failed(&e))?;
    txn.open_table(META)
        .and_then(|mut table| Ok(table.insert(&b"meta"[..], json.as_slice()).map(drop)?))
        .map_err(|e| failed(&e))?;
    txn.commit().map_err(|e| failed(&e))?;
    drop(db);
    std::fs::File::open(&temporary).and_then(|f| f.sync_all()).map_err(|e| failed(&e))?;
    std::fs::rename(&temporary, &path).map_err(|e| failed(&e))
}

/// What is done with a key and its bytes.
pub type EachPair<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), String> + 'a;

type Opened = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A source that is read.
pub struct Store {
    /// What is known about it.
    pub meta: Meta,
    /// Its file.
    pub path: PathBuf,
    tables: BTreeMap<u8, Opened>,
    // Behind the tables, so that it is dropped after them.
    _db: ReadOnlyDatabase,
}

impl Store {
    /// Opens a file.
    ///
    /// # Errors
    /// It is damaged, of another format, or in use by a writer.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        let bad = |why: String| DbError::Damaged(path.to_owned(), why);
        guarded(|| Self::open_unguarded(path)).map_err(bad)
    }

    fn open_unguarded(path: &Path) -> Result<Self, String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let db = redb::Builder::new()
            .set_cache_size(CACHE)
            .open_read_only(path)
            .map_err(|e| text(&e))?;
        let txn = db.begin_read().map_err(|e| text(&e))?;
        let meta = txn.open_table(META).map_err(|e| text(&e))?;
        let part = |key: &[u8]| meta.get_owned(key).map_err(|e| text(&e));
        let format = part(b"format")?.ok_or("it has no format number")?;
        if format.value() != FORMAT.to_le_bytes() {
            return Err(format!("its format is not {FORMAT}: `haechi db update` makes it anew"));
        }
        let known = part(b"meta")?.ok_or("it does not say what it is")?;
        let known: Meta = serde_json::from_slice(known.value()).map_err(|e| text(&e))?;
        let mut tables = BTreeMap::new();
        for kind in Kind::ALL {
            match txn.open_table(kind.table()) {
                Ok(table) => {
                    tables.insert(kind as u8, table);
                }
                Err(TableError::TableDoesNotExist(_)) => {}
                Err(error) => return Err(text(&error)),
            }
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if file_name(&known.name) != name.strip_prefix(super::TEMPORARY).unwrap_or(&name) {
            return Err(format!("it is the source `{}` under another name", known.name));
        }
        Ok(Self { meta: known, path: path.to_owned(), tables, _db: db })
    }

    /// The list under a key; empty if there is none.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn get<T: DeserializeOwned + Default>(&self, kind: Kind, key: &[u8]) -> Result<T, String> {
        let Some(table) = self.tables.get(&(kind as u8)) else { return Ok(T::default()) };
        guarded(|| match table.get_owned(key).map_err(|e| e.to_string())? {
            Some(bytes) => decode(bytes.value()),
            None => Ok(T::default()),
        })
        .map_err(|e| format!("{}: {e}", self.path.display()))
    }

    /// Calls `each` with every key and its bytes.
    ///
    /// # Errors
    /// The file is damaged, or `each` ends it.
    pub fn each(&self, kind: Kind, each: &mut EachPair<'_>) -> Result<(), String> {
        let Some(table) = self.tables.get(&(kind as u8)) else { return Ok(()) };
        guarded(|| {
            for entry in table.range_owned::<&[u8]>(..).map_err(|e| e.to_string())? {
                let (key, value) = entry.map_err(|e| e.to_string())?;
                each(key.value(), value.value())?;
            }
            Ok(())
        })
        .map_err(|e| format!("{}: {e}", self.path.display()))
    }
}

/// redb trusts pages that it wrote itself; on a damaged file a check of its own may panic, which is an error here.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the file is damaged".to_owned()))
}
