//! The database as one signed file, for places without a network.
//!
//! A tar archive, compressed with zstd: `manifest.json` (names, sizes and SHA-256 of the sources), `manifest.sig` (an
//! ed25519 signature of it, base64), and the sources. Nothing is taken over before the signature and every digest are
//! right. Each source keeps its own dates: a bundle does not make old data new.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::build::hex;
use super::lock::Lock;
use super::store::{FORMAT, Meta, Store, file_name};
use super::{DbError, MAX_FILES, TEMPORARY, files};

const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.sig";
/// Longest manifest: some 100 bytes for each of [`MAX_FILES`] sources.
const MAX_MANIFEST: u64 = 1 << 20;
/// Longest source: the largest (NVD) is some hundred MB.
const MAX_SOURCE: u64 = 8 << 30;
/// First line of a key file's purpose, so that the two cannot be mixed up.
const SECRET: &str = "haechi-secret-key:";
const PUBLIC: &str = "haechi-public-key:";

/// What is in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of the sources, [`FORMAT`].
    pub format: u32,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// The sources.
    pub files: Vec<ManifestFile>,
}

/// A source in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Name of the file.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

/// Whose bundles are taken.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Those that one of these keys has signed.
    Keys(&'a [VerifyingKey]),
    /// Anybody's, signed or not: only if the caller's user said so.
    Anyone,
}

/// Makes a key pair, as the text of two files: secret and public.
///
/// # Errors
/// The system gives no random numbers.
pub fn keygen() -> Result<(String, String), DbError> {
    let mut seed = [0; 32];
    let random = tokio_rustls::rustls::crypto::ring::default_provider().secure_random;
    random
        .fill(&mut seed)
        .map_err(|_| DbError::Refused("the system gives no random numbers".to_owned()))?;
    let key = SigningKey::from_bytes(&seed);
    let public = format!("{PUBLIC}{}\n", STANDARD.encode(key.verifying_key().as_bytes()));
    Ok((format!("{SECRET}{}\n", STANDARD.encode(seed)), public))
}

/// Reads the text of a secret key file.
///
/// # Errors
/// It is none.
pub fn signing_key(text: &str) -> Result<SigningKey, DbError> {
    Ok(SigningKey::from_bytes(&key_bytes(text, SECRET)?))
}

/// Reads the text of a public key file.
///
/// # Errors
/// It is none.
pub fn verifying_key(text: &str) -> Result<VerifyingKey, DbError> {
    VerifyingKey::from_bytes(&key_bytes(text, PUBLIC)?)
        .map_err(|e| DbError::Refused(format!("not a public key: {e}")))
}

fn key_bytes(text: &str, kind: &str) -> Result<[u8; 32], DbError> {
    let refused = || {
        DbError::Refused(format!("not a key: a line `{kind}` with 32 bytes in base64 is expected"))
    };
    let encoded = text.trim().strip_prefix(kind).ok_or_else(refused)?;
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| refused())?;
    bytes.try_into().map_err(|_| refused())
}

/// Writes all sources of `dir` into one file, signed if there is a key. A source that cannot be read is an error.
///
/// # Errors
/// There is no source, one is damaged, or the file cannot be written; then there is none.
pub fn export(
    dir: &Path,
    out: &Path,
    key: Option<&SigningKey>,
    now: Timestamp,
) -> Result<Manifest, DbError> {
    let failed = |e: io::Error| DbError::Write(out.to_owned(), e.to_string());
    let mut manifest = Manifest { format: FORMAT, created_at: now.to_string(), files: Vec::new() };
    let mut sources = Vec::new();
    for path in files(dir)? {
        Store::open(&path)?;
        // Opened once: an update beside it renames, and leaves this file as it is.
        let mut file = File::open(&path).map_err(|e| DbError::Folder(path.clone(), e))?;
        let (bytes, sha256) = copy(&mut file, &mut io::sink(), u64::MAX).map_err(failed)?;
        file.rewind().map_err(failed)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        manifest.files.push(ManifestFile { name: name.clone(), bytes, sha256 });
        sources.push((name, bytes, file));
    }
    if sources.is_empty() {
        return Err(DbError::Refused(format!("{}: there is no source to export", dir.display())));
    }
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let write = || -> io::Result<()> {
        let encoder = zstd::stream::write::Encoder::new(BufWriter::new(temporary.as_file()), 3)?;
        let mut tar = tar::Builder::new(encoder);
        let text = serde_json::to_vec_pretty(&manifest)?;
        append(&mut tar, MANIFEST, text.len() as u64, text.as_slice())?;
        if let Some(key) = key {
            let signature = STANDARD.encode(key.sign(&text).to_bytes());
            append(&mut tar, SIGNATURE, signature.len() as u64, signature.as_bytes())?;
        }
        for (name, bytes, file) in sources {
            append(&mut tar, &name, bytes, file)?;
        }
        let mut out = tar.into_inner()?.finish()?;
        out.flush()?;
        out.get_ref().sync_all()
    };
    write().map_err(failed)?;
    temporary.persist(out).map_err(|e| failed(e.error))?;
    Ok(manifest)
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    name: &str,
    bytes: u64,
    data: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, data)
}

/// Takes over the sources of a bundle. Those that it does not have stay.
///
/// # Errors
/// It is not signed by a trusted key, is damaged, of another format, or cannot be written; then nothing was changed.
pub fn import(dir: &Path, bundle: &Path, trust: Trust<'_>) -> Result<Vec<Meta>, DbError> {
    let _lock = Lock::take(dir)?;
    let refused = |why: String| DbError::Refused(format!("{}: {why}", bundle.display()));
    let input = File::open(bundle).map_err(|e| refused(e.to_string()))?;
    let done = receive(dir, input, trust).map_err(refused);
    let staged = match done {
        Ok(staged) => staged,
        Err(error) => {
            // What was already written under temporary names; the next update would remove it as well.
            if let Ok(entries) = std::fs::read_dir(dir) {
                for entry in entries
                    .flatten()
                    .filter(|e| e.file_name().to_string_lossy().starts_with(TEMPORARY))
                {
                    let _ = std::fs::remove_file(entry.path());
                }
            }
            return Err(error);
        }
    };
    let mut metas = Vec::new();
    for (meta, temporary) in staged {
        let path = dir.join(file_name(&meta.name));
        std::fs::rename(&temporary, &path).map_err(|e| DbError::Write(path, e.to_string()))?;
        metas.push(meta);
    }
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|e| DbError::Write(dir.to_owned(), e.to_string()))?;
    Ok(metas)
}

/// Writes the sources under temporary names, verified.
fn receive(dir: &Path, input: File, trust: Trust<'_>) -> Result<Vec<(Meta, PathBuf)>, String> {
    let text = |e: io::Error| e.to_string();
    let decoder = zstd::stream::read::Decoder::new(BufReader::new(input)).map_err(text)?;
    let mut tar = tar::Archive::new(decoder);
    let mut entries = tar.entries().map_err(text)?;
    let mut next = || -> Result<Option<(String, tar::Entry<'_, _>)>, String> {
        let Some(entry) = entries.next().transpose().map_err(text)? else { return Ok(None) };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        Ok(Some((name, entry)))
    };
    let (name, mut entry) = next()?.ok_or("it is empty")?;
    if name != MANIFEST {
        return Err("it is no bundle: it does not begin with a manifest".to_owned());
    }
    let raw = short(&mut entry, MAX_MANIFEST)?;
    let mut following = next()?;
    let mut signature = None;
    if let Some((name, entry)) = &mut following
        && name == SIGNATURE
    {
        signature = Some(short(entry, 1024)?);
        following = next()?;
    }
    if let Trust::Keys(keys) = trust {
        verify(&raw, signature.as_deref(), keys)?;
    }
    let manifest: Manifest =
        serde_json::from_slice(&raw).map_err(|e| format!("its manifest: {e}"))?;
    if manifest.format != FORMAT {
        return Err(format!("its format is {}, not {FORMAT}", manifest.format));
    }
    if manifest.files.len() > MAX_FILES {
        return Err(format!("it has more than {MAX_FILES} sources"));
    }
    let mut staged: Vec<(Meta, PathBuf)> = Vec::new();
    let mut expected = manifest.files.iter();
    while let Some((name, mut entry)) = following {
        let file = expected
            .next()
            .filter(|f| f.name == name)
            .ok_or_else(|| format!("`{name}` is not in its manifest"))?;
        let plain = name.ends_with(".redb") && !name.starts_with('.') && !name.contains('/');
        if !plain || file.bytes > MAX_SOURCE {
            return Err(format!("`{name}` is no name of a source, or it is too long"));
        }
        let temporary = dir.join(format!("{TEMPORARY}{name}"));
        let mut out = File::create(&temporary).map_err(text)?;
        let (bytes, sha256) = copy(&mut entry, &mut out, file.bytes).map_err(text)?;
        out.sync_all().map_err(text)?;
        if bytes != file.bytes || sha256 != file.sha256 {
            return Err(format!("`{name}` is not what its manifest says"));
        }
        let meta = Store::open(&temporary).map_err(|e| e.to_string())?.meta;
        staged.push((meta, temporary));
        following = next()?;
    }
    match expected.next() {
        Some(file) => Err(format!("`{}` is missing", file.name)),
        None => Ok(staged),
    }
}

fn verify(manifest: &[u8], signature: Option<&[u8]>, keys: &[VerifyingKey]) -> Result<(), String> {
    let signature = signature.ok_or("it is not signed; `--unsigned` takes it all the same")?;
    let bytes =
        STANDARD.decode(signature.trim_ascii()).map_err(|_| "its signature is not readable")?;
    let signature = Signature::from_slice(&bytes).map_err(|_| "its signature is not readable")?;
    if keys.iter().any(|key| key.verify_strict(manifest, &signature).is_ok()) {
        return Ok(());
    }
    let keys =
        if keys.is_empty() { "no key was given" } else { "none of the given keys has signed it" };
    Err(format!(
        "{keys}; give the public key of whoever signed it with `--key FILE`, or take it without with `--unsigned`"
    ))
}

fn short(entry: &mut impl Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    entry.take(limit + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > limit { Err("its manifest is too long".to_owned()) } else { Ok(bytes) }
}

/// Copies, and gives length and SHA-256. More than `limit` bytes are an error.
fn copy(from: &mut impl Read, to: &mut impl Write, limit: u64) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let (mut buffer, mut done) = (vec![0; 1 << 16], 0_u64);
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok((done, hex(&hash.finalize())));
        }
        done += n as u64;
        if done > limit {
            return Err(io::Error::other("longer than its manifest says"));
        }
        let part = buffer.get(..n).unwrap_or_default();
        hash.update(part);
        to.write_all(part)?;
    }
}
