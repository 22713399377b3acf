//! The audit log's files beside the database: the key that signs, the one that verifies, and the newest checkpoint.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use ed25519_dalek::SigningKey;
use haechi_audit::{Checkpoint, public_of, public_text, secret_of, secret_text};

use super::secret;

/// The key that signs: only its owner reads it.
const SECRET_FILE: &str = "audit.key";
/// The key that verifies: to be given to whoever verifies.
pub const PUBLIC_FILE: &str = "audit.pub";
/// The newest checkpoint: to be copied elsewhere.
pub const HEAD_FILE: &str = "audit.head";
/// What stood there instead of the newest checkpoint.
const UNREADABLE_FILE: &str = "audit.unreadable";
/// A larger file is none of these.
const SIZE_MAX: u64 = 64 << 10;

/// The key that signs; made if nothing was ever signed.
pub fn open(dir: &Path, was_signed: bool) -> anyhow::Result<SigningKey> {
    let path = dir.join(SECRET_FILE);
    if !path.try_exists().with_context(|| path.display().to_string())? {
        if was_signed {
            bail!(
                "{}: the key of the audit log is missing, and what was signed with it would not verify with another. Put it \
                 back, or begin a new log in another data directory",
                path.display()
            );
        }
        let key = SigningKey::from_bytes(&secret::random::<32>()?);
        // Of two processes that make one, the first wins.
        place(dir, SECRET_FILE, &secret_text(&key), 0o600, false)
            .with_context(|| path.display().to_string())?;
    }
    let mode =
        fs::metadata(&path).with_context(|| path.display().to_string())?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "{}: other users can read it (mode {:04o}); mend with `chmod 600`",
            path.display(),
            mode & 0o7777
        );
    }
    let key = secret_of(&read(&path)?).with_context(|| path.display().to_string())?;
    let public = dir.join(PUBLIC_FILE);
    if !public.try_exists().with_context(|| public.display().to_string())? {
        place(dir, PUBLIC_FILE, &public_text(&key.verifying_key()), 0o644, true)
            .with_context(|| public.display().to_string())?;
    }
    if public_of(&read(&public)?).ok() != Some(key.verifying_key()) {
        bail!(
            "{}: is not the public key of {SECRET_FILE}; remove it and it is written again",
            public.display()
        );
    }
    Ok(key)
}

/// What the file of the newest checkpoint has.
pub enum Head {
    /// There is no such file.
    Missing,
    /// Something that Haechi does not write, or it cannot be read.
    Unreadable,
    /// The newest checkpoint when it was written.
    There(Checkpoint),
}

/// The newest checkpoint as it was written to its file.
pub fn head(dir: &Path) -> Head {
    let path = dir.join(HEAD_FILE);
    if matches!(path.try_exists(), Ok(false)) && !path.is_symlink() {
        return Head::Missing;
    }
    let point = read(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    point.map_or(Head::Unreadable, Head::There)
}

/// Writes the newest checkpoint to its file, unless a newer one is there.
pub fn write_head(dir: &Path, point: &Checkpoint) -> io::Result<()> {
    if matches!(head(dir), Head::There(there) if there.number >= point.number) {
        return Ok(());
    }
    let text = serde_json::to_string(point)?;
    place(dir, HEAD_FILE, &format!("{text}\n"), 0o644, true)
}

/// Puts a checkpoint that does not fit the log aside: it is the proof that the log was changed.
pub fn put_head_aside(dir: &Path, number: u64) -> io::Result<()> {
    fs::rename(dir.join(HEAD_FILE), dir.join(format!("{HEAD_FILE}.{number}")))
}

/// Puts what is no checkpoint aside, under a name that is not taken for that of one.
pub fn put_unreadable_aside(dir: &Path) -> io::Result<()> {
    fs::rename(dir.join(HEAD_FILE), dir.join(UNREADABLE_FILE))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let file = File::open(path).with_context(|| path.display().to_string())?;
    file.take(SIZE_MAX).read_to_string(&mut text).with_context(|| path.display().to_string())?;
    Ok(text)
}

/// Puts a whole file into its place; one that is there is replaced only if asked.
fn place(dir: &Path, name: &str, text: &str, mode: u32, replace: bool) -> io::Result<()> {
    // A number that nobody else has, so that two processes do not write the same file.
    let digits = u64::from_le_bytes(secret::random::<8>()?);
    let part = dir.join(format!(".{name}.{digits:016x}"));
    let done = (|| {
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&part)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        if replace {
            return fs::rename(&part, dir.join(name));
        }
        match fs::hard_link(&part, dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => fs::remove_file(&part),
        }
    })();
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done?;
    File::open(dir)?.sync_all()
}
