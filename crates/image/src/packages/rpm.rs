//! rpm (Red Hat, SUSE, Amazon, Azure, Photon …): installed packages, their files and the files' checksums.
//!
//! Reads all three databases that rpm has had (Berkeley DB hash, NDB, SQLite) without rpm, and the list that Azure
//! Linux's distroless images have instead. A version is `[epoch:]version-release`, the epoch only if it is not 0.
//! `gpg-pubkey` entries are the keys that rpm trusts, no packages: they are left out, although `rpm -qa` lists them.
//! It does not verify signatures of headers.

mod bdb;
mod bytes;
mod header;
mod manifest;
mod ndb;
mod record;
mod sqlite;
#[cfg(test)]
mod tests;

use crate::reader::{Found, Meta, Reader, Unread};
use record::Records;

/// Databases of 3000 packages have some 200 MB.
const SIZE_MAX: u64 = 512 << 20;

/// The list of Azure Linux has 200 bytes for each package.
const MANIFEST_SIZE_MAX: u64 = 16 << 20;

/// Readers of this file.
pub const READERS: &[Reader] = &[
    Reader { name: "rpm database", size_max: SIZE_MAX, wants: is_database, read: read_database },
    Reader { name: "rpm write-ahead log", size_max: SIZE_MAX, wants: is_log, read: read_log },
    Reader {
        name: "rpm manifest",
        size_max: MANIFEST_SIZE_MAX,
        wants: is_manifest,
        read: manifest::read,
    },
];

/// Where rpm's database is: long since, since Fedora 36 and in openSUSE, and in images made by rpm-ostree.
const FOLDERS: [&str; 3] = ["var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/"];

fn database_file<'a>(meta: &Meta<'a>) -> Option<&'a str> {
    FOLDERS.iter().find_map(|folder| meta.path.strip_prefix(folder))
}

fn is_database(meta: &Meta<'_>, _head: &[u8]) -> bool {
    matches!(database_file(meta), Some("Packages" | "Packages.db" | "rpmdb.sqlite"))
}

fn is_log(meta: &Meta<'_>, _head: &[u8]) -> bool {
    database_file(meta) == Some("rpmdb.sqlite-wal")
}

fn is_manifest(meta: &Meta<'_>, _head: &[u8]) -> bool {
    meta.path == "var/lib/rpmmanifest/container-manifest-2"
}

/// Tells the kind of database by its content: names have been reused.
fn read_database(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    if content.is_empty() {
        // What `touch` and half-made images leave. rpm treats it as a new database without packages.
        return Ok(());
    }
    let mut records = Records::new(meta.path, content.len(), found);
    if sqlite::is_sqlite(content) {
        sqlite::read(content, &mut records)
    } else if ndb::is_ndb(content) {
        ndb::read(content, &mut records)
    } else if let Some(database) = bdb::Database::open(content)? {
        database.read(&mut records)
    } else {
        Err(Unread("it is none of the databases that rpm has had".into()))
    }
}

/// Packages in the log are not yet in the database, and the database is another file.
fn read_log(_meta: &Meta<'_>, content: &[u8], _found: &mut Found) -> Result<(), Unread> {
    // 32 bytes are the head alone, without a page (<https://www.sqlite.org/walformat.html>).
    if content.len() <= 32 {
        return Ok(());
    }
    Err(Unread("changes that are not yet in rpmdb.sqlite cannot be read".into()))
}
