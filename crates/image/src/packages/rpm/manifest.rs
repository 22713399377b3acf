//! Azure Linux's distroless images: one line for each package, made by `rpm -qa --qf` with tabs between.
//!
//! Columns: name, version-release, installed at, built at, vendor, epoch, size, architecture, epoch number, source.

use haechi_core::inventory::{Package, PackageKind};

use super::record::{source, stated, with_epoch};
use crate::packages::files::text::{note, text};
use crate::reader::{Found, Meta, Unread};

pub(super) fn read(meta: &Meta<'_>, content: &[u8], found: &mut Found) -> Result<(), Unread> {
    for (index, line) in content.split(|&byte| byte == b'\n').enumerate() {
        let line = text(line.trim_ascii_end());
        if line.is_empty() {
            continue;
        }
        let columns: Vec<&str> = line.split('\t').take(11).map(stated).collect();
        let [name, version, _, _, vendor, epoch, _, arch, _, from] = columns[..] else {
            note(found, || format!("line {} has not 10 columns", index + 1));
            continue;
        };
        if name.is_empty() || version.is_empty() {
            note(found, || format!("line {} has no name or version", index + 1));
            continue;
        }
        if name == "gpg-pubkey" {
            continue;
        }
        let epoch = epoch.parse().unwrap_or_default();
        let version = with_epoch(epoch, version);
        let mut package = Package::new(PackageKind::Rpm, name, version, meta.path);
        package.arch = arch.to_owned();
        package.vendor = vendor.to_owned();
        package.source = source(from, epoch);
        found.packages.push(package);
    }
    Ok(())
}
