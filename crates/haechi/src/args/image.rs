//! The options of `haechi image` and `haechi db`, as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::ListFormat;

/// What `haechi image` does.
#[derive(Debug, Subcommand)]
pub enum Image {
    /// Take one image apart and say what is wrong with it
    Scan(Box<ImageScan>),
    /// The packages of one image as an SBOM
    Sbom(Box<ImageSbom>),
    /// Every image of the engine with its verdict and the containers that run it
    List(ImageList),
    /// Give unsafe images the reference NAME:TAG-unsafe in place of NAME:TAG
    Mark(ImageMark),
    /// Take the mark away again
    Unmark(ImageMark),
    /// Which references were marked and unmarked, when and why
    Marks {
        /// Format
        #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
        format: ListFormat,
    },
}

/// Where the image is. One of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ImageSource {
    /// An image of the engine: reference or id
    #[arg(value_name = "REF")]
    pub reference: Option<String>,
    /// An archive of images (`docker save`, OCI layout as tar; plain, gzip or zstd); `-` is stdin
    #[arg(long, env = "HAECHI_ARCHIVE", value_name = "FILE")]
    pub archive: Option<PathBuf>,
    /// An OCI layout folder
    #[arg(long, env = "HAECHI_OCI_LAYOUT", value_name = "DIR")]
    pub oci_layout: Option<PathBuf>,
    /// An unpacked root file system
    #[arg(long, env = "HAECHI_ROOTFS", value_name = "DIR")]
    pub rootfs: Option<PathBuf>,
    /// An image in a registry, without an engine
    #[arg(long, env = "HAECHI_REGISTRY", value_name = "REF")]
    pub registry: Option<String>,
    /// A container of the engine: its image and what it changed since
    #[arg(long, env = "HAECHI_CONTAINER", value_name = "NAME")]
    pub container: Option<String>,
    /// An SBOM (CycloneDX or SPDX); `-` is stdin
    #[arg(long, env = "HAECHI_SBOM", value_name = "FILE")]
    pub sbom: Option<PathBuf>,
}

/// How the image is read.
#[derive(Debug, Args)]
pub struct ImageReading {
    /// Which image of an archive, layout or registry that has several: reference or digest
    #[arg(long, env = "HAECHI_IMAGE", value_name = "REF")]
    pub image: Option<String>,
    /// Platform, where an archive, layout or registry has several [default: linux and this machine's architecture]
    #[arg(long, env = "HAECHI_PLATFORM", value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Count packages that only a lock file names (always for --rootfs)
    #[arg(long, env = "HAECHI_LOCK_FILES")]
    pub lock_files: bool,
    /// Folder of YARA rules of the site
    #[arg(long, env = "HAECHI_YARA", value_name = "DIR")]
    pub yara: Option<PathBuf>,
    /// Most time for one image, in seconds
    #[arg(long, env = "HAECHI_IMAGE_TIMEOUT", value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub image_timeout: u64,
    /// Read every layer anew
    #[arg(long, env = "HAECHI_NO_CACHE")]
    pub no_cache: bool,
    /// Registries that may be asked without TLS (HOST[:PORT]; may be repeated)
    #[arg(long, env = "HAECHI_INSECURE_REGISTRY", value_name = "HOST", value_delimiter = ',')]
    pub insecure_registry: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ImageScan {
    #[command(flatten)]
    pub source: ImageSource,
    #[command(flatten)]
    pub reading: ImageReading,
    /// Format on stdout, or of a file whose name does not say it
    #[arg(long, env = "HAECHI_FORMAT", value_enum)]
    pub format: Option<ImageFormatArg>,
    /// Write the report to a file (may be repeated; .html .json .sarif .csv .md tell the format)
    #[arg(short, long, env = "HAECHI_OUTPUT", value_name = "FILE", value_delimiter = ',')]
    pub output: Vec<PathBuf>,
    /// VEX documents: OpenVEX or CycloneDX (may be repeated)
    #[arg(long, env = "HAECHI_VEX", value_name = "FILE", value_delimiter = ',')]
    pub vex: Vec<PathBuf>,
    /// When the exit code is 1: the image is unsafe by the policy, or has a vulnerability of this rating or worse
    #[arg(long, env = "HAECHI_FAIL_ON_IMAGE", value_enum, default_value = "unsafe")]
    pub fail_on: ImageFailOn,
}

#[derive(Debug, Args)]
pub struct ImageSbom {
    #[command(flatten)]
    pub source: ImageSource,
    #[command(flatten)]
    pub reading: ImageReading,
    /// Format [default: spdx for FILE.spdx.json, else cyclonedx]
    #[arg(long, env = "HAECHI_SBOM_FORMAT", value_enum)]
    pub format: Option<SbomFormat>,
    /// Write to a file instead of stdout
    #[arg(short, long, env = "HAECHI_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ImageList {
    #[command(flatten)]
    pub reading: ImageReading,
    /// Format
    #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
    pub format: ListFormat,
}

#[derive(Debug, Args)]
pub struct ImageMark {
    /// References or ids; every unsafe image (every marked one) if none is given
    #[arg(value_name = "REF")]
    pub references: Vec<String>,
    /// Do it; without, only say what would be done
    #[arg(long, env = "HAECHI_YES")]
    pub yes: bool,
    #[command(flatten)]
    pub reading: ImageReading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImageFormatArg {
    Table,
    Json,
    Html,
    Sarif,
    Csv,
    Markdown,
    /// CycloneDX 1.6 with vulnerabilities
    Cyclonedx,
    /// OpenVEX statements
    Openvex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SbomFormat {
    /// CycloneDX 1.6 JSON
    Cyclonedx,
    /// SPDX 2.3 JSON
    Spdx,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImageFailOn {
    Unsafe,
    Low,
    Medium,
    High,
    Critical,
    Never,
}

/// What `haechi db` does.
#[derive(Debug, Subcommand)]
pub enum Db {
    /// Bring the vulnerability database up to date
    Update {
        /// A mirror (http:// or https://) or a folder of feeds instead of the publishers
        #[arg(long, env = "HAECHI_DB_FROM", value_name = "DIR|URL")]
        from: Option<String>,
        /// Only these sources (may be repeated), as `osv/npm`, `nvd`, `kev`
        #[arg(long, env = "HAECHI_DB_SOURCES", value_name = "NAME", value_delimiter = ',')]
        source: Vec<String>,
        /// Declare that what comes from there is complete, though it may look partial
        #[arg(long, env = "HAECHI_DB_COMPLETE", requires = "from")]
        complete: bool,
    },
    /// Sources in the database, and how old they are
    Status {
        /// Format
        #[arg(long, env = "HAECHI_LIST_FORMAT", value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Write the database into one signed file
    Export {
        /// File to write
        #[arg(value_name = "FILE")]
        bundle: PathBuf,
        /// Private key to sign with (`haechi db keygen`)
        #[arg(long, env = "HAECHI_DB_KEY", value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Take over a database from a file that `export` wrote
    Import {
        /// File to read
        #[arg(value_name = "FILE")]
        bundle: PathBuf,
        /// Public keys that are trusted (may be repeated)
        #[arg(long, env = "HAECHI_DB_TRUSTED_KEY", value_name = "FILE", value_delimiter = ',')]
        key: Vec<PathBuf>,
        /// Take it without a signature of a trusted key
        #[arg(long, env = "HAECHI_DB_UNSIGNED")]
        unsigned: bool,
    },
    /// Make a pair of keys: FILE and FILE.pub
    Keygen {
        /// File of the private key
        #[arg(value_name = "FILE")]
        key: PathBuf,
    },
}
