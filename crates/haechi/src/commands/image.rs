//! `haechi image`: open, match, judge, show; and the mark.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haechi_core::inventory::{Part, Scan};
use haechi_core::verdict::{ImageReport, Safety};
use haechi_core::vulnerability::Rating;
use haechi_examine::engine::{self, EngineError};
use haechi_facts::engine::http::HttpApi;
use haechi_facts::root::Root;
use haechi_image::cache::Cache;
use haechi_image::dangers::{malware::Rules, secrets::Detectors};
use haechi_image::layer::Depth;
use haechi_image::layout::Layout;
use haechi_image::open::{self, Options, ScanError};
use haechi_image::registry::Registry;
use haechi_image::{pull, registry, sbom};
use haechi_report::image::ImageFormat;
use haechi_vulns::vex;
use jiff::Timestamp;

use crate::args::{
    Image, ImageFailOn, ImageFormatArg, ImageReading, ImageSbom, ImageScan, ImageSource, SbomFormat,
};
use crate::failure::Failure;
use crate::setting::Setting;
use crate::{exit, output};

/// A larger VEX document or SBOM is not read.
const DOCUMENT_MAX: u64 = 256 << 20;

pub async fn run(command: &Image, setting: &Setting) -> anyhow::Result<u8> {
    match command {
        Image::Scan(args) => scan(args, setting).await,
        Image::Sbom(args) => bill(args, setting).await,
        Image::List(args) => super::images::list(args, setting).await,
        Image::Mark(args) => super::images::mark(args, setting).await,
        Image::Unmark(args) => super::images::unmark(args, setting).await,
        Image::Marks { format } => super::marks::list(*format, setting).await,
    }
}

async fn scan(args: &ImageScan, setting: &Setting) -> anyhow::Result<u8> {
    let files: Vec<(&Path, ImageFormatArg)> = args
        .output
        .iter()
        .map(|path| Ok((path.as_path(), format_of(path, args)?)))
        .collect::<anyhow::Result<_>>()?;
    let policy = setting.policy()?;
    let mut examiner = super::images::examiner(setting, &policy)?;
    examiner.statements = statements(&args.vex)?;
    examiner.declared = counts_lock_files(&args.source, &args.reading);
    let scan = opened(&args.source, &args.reading, Depth::Everything, setting).await?;
    let mut report = examiner.judge(scan, Vec::new())?;
    match super::profiled::seen(&report.scan, setting).await {
        Ok(seen) => report.seen = seen,
        Err(why) => tracing::warn!("what runs of it is not known: {why:#}"),
    }
    for (path, format) in &files {
        output::file(path, |out| render(&report, *format, setting, false, out))?;
        setting.note("written", &[("path", &path.display().to_string())]);
    }
    if files.is_empty() || !setting.quiet {
        let format = if files.is_empty() {
            args.format.unwrap_or(ImageFormatArg::Table)
        } else {
            ImageFormatArg::Table
        };
        output::stdout(|out| render(&report, format, setting, true, out))?;
    }
    Ok(code(&report, args.fail_on))
}

fn format_of(path: &Path, args: &ImageScan) -> anyhow::Result<ImageFormatArg> {
    let by_name = match path.extension().and_then(|e| e.to_str()) {
        Some("html" | "htm") => Some(ImageFormatArg::Html),
        Some("json") => Some(ImageFormatArg::Json),
        Some("sarif") => Some(ImageFormatArg::Sarif),
        Some("csv") => Some(ImageFormatArg::Csv),
        Some("md") => Some(ImageFormatArg::Markdown),
        Some("txt") => Some(ImageFormatArg::Table),
        _ => None,
    };
    let chosen =
        if args.output.len() == 1 { args.format.or(by_name) } else { by_name.or(args.format) };
    chosen.ok_or_else(|| Failure::UnknownImageFormat(path.display().to_string()).into())
}

fn render(
    report: &ImageReport,
    format: ImageFormatArg,
    setting: &Setting,
    terminal: bool,
    out: &mut dyn std::io::Write,
) -> anyhow::Result<()> {
    let format = match format {
        ImageFormatArg::Table => ImageFormat::Table,
        ImageFormatArg::Json => ImageFormat::Json,
        ImageFormatArg::Html => ImageFormat::Html,
        ImageFormatArg::Sarif => ImageFormat::Sarif,
        ImageFormatArg::Csv => ImageFormat::Csv,
        ImageFormatArg::Markdown => ImageFormat::Markdown,
        ImageFormatArg::Cyclonedx => {
            let bill = sbom::cyclonedx(&report.scan, Some(&report.assessment), Timestamp::now());
            return json(&bill, out);
        }
        ImageFormatArg::Openvex => {
            let document =
                vex::openvex(&report.scan, &report.assessment, "haechi", Timestamp::now());
            return json(&document, out);
        }
    };
    let mut layout = setting.layout();
    if !terminal || format != ImageFormat::Table {
        layout.color = false;
    }
    Ok(haechi_report::image::render(report, format, setting.lang, &layout, out)?)
}

fn json(value: &serde_json::Value, out: &mut dyn std::io::Write) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}

/// The exit code of a scan.
fn code(report: &ImageReport, fail_on: ImageFailOn) -> u8 {
    let least = match fail_on {
        ImageFailOn::Never => return exit::CLEAN,
        ImageFailOn::Unsafe => {
            return match report.verdict.safety {
                Safety::Unsafe => exit::FINDINGS,
                Safety::Undecided => exit::COULD_NOT_VERIFY,
                Safety::Safe => exit::CLEAN,
            };
        }
        ImageFailOn::Low => Rating::Low,
        ImageFailOn::Medium => Rating::Medium,
        ImageFailOn::High => Rating::High,
        ImageFailOn::Critical => Rating::Critical,
    };
    if report.verdict.safety == Safety::Unsafe
        || report.assessment.vulnerabilities.iter().any(|v| v.rating >= least)
    {
        exit::FINDINGS
    } else if report.verdict.safety == Safety::Undecided {
        exit::COULD_NOT_VERIFY
    } else {
        exit::CLEAN
    }
}

async fn bill(args: &ImageSbom, setting: &Setting) -> anyhow::Result<u8> {
    let scan = opened(&args.source, &args.reading, Depth::Packages, setting).await?;
    let whole = scan.is_whole(Part::Packages);
    let now = Timestamp::now();
    let bill = match bill_format(args) {
        SbomFormat::Spdx => sbom::spdx(&scan, now),
        SbomFormat::Cyclonedx => sbom::cyclonedx(&scan, None, now),
    };
    match &args.output {
        None => output::stdout(|out| json(&bill, out))?,
        Some(path) => {
            output::file(path, |out| json(&bill, out))?;
            setting.note("written", &[("path", &path.display().to_string())]);
        }
    }
    for problem in scan.problems.iter().filter(|p| p.affects.contains(&Part::Packages)).take(20) {
        setting.note("image-problem", &[("place", &problem.place), ("why", &problem.detail)]);
    }
    Ok(if whole { exit::CLEAN } else { exit::COULD_NOT_VERIFY })
}

/// The format of an SBOM: as given, or as the file's name tells.
fn bill_format(args: &ImageSbom) -> SbomFormat {
    let name = args.output.as_deref().and_then(Path::file_name).unwrap_or_default();
    let spdx = name.to_string_lossy().to_lowercase().ends_with(".spdx.json");
    args.format.unwrap_or(if spdx { SbomFormat::Spdx } else { SbomFormat::Cyclonedx })
}

/// VEX documents.
fn statements(files: &[std::path::PathBuf]) -> anyhow::Result<Vec<vex::Statement>> {
    let mut out = Vec::new();
    for path in files {
        let bytes = document(path)?;
        let place = path.display();
        let mut read = vex::read(&bytes).map_err(|e| anyhow::anyhow!("{place}: {e}"))?;
        for statement in &mut read {
            statement.origin = place.to_string();
        }
        out.extend(read);
    }
    Ok(out)
}

fn document(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(DOCUMENT_MAX + 1).read_to_end(&mut bytes)?;
    } else {
        let file = std::fs::File::open(path).map_err(|e| Failure::file(path, e))?;
        file.take(DOCUMENT_MAX + 1).read_to_end(&mut bytes).map_err(|e| Failure::file(path, e))?;
    }
    if bytes.len() as u64 > DOCUMENT_MAX {
        anyhow::bail!("{}: more than {DOCUMENT_MAX} bytes", path.display());
    }
    Ok(bytes)
}

fn counts_lock_files(source: &ImageSource, reading: &ImageReading) -> bool {
    reading.lock_files || source.rootfs.is_some() || source.sbom.is_some()
}

/// How images are read.
pub fn options(reading: &ImageReading, setting: &Setting) -> anyhow::Result<Options> {
    let fingerprint = match &reading.yara {
        None => Rules::own_fingerprint(),
        Some(folder) => Rules::with_folder(folder)
            .map_err(|e| Failure::BadRules(e.to_string()))?
            .0
            .fingerprint(),
    };
    let fingerprint = fingerprint
        .rotate_left(1)
        .wrapping_add(Detectors::fingerprint())
        .wrapping_add(u64::from(reading.lock_files));
    let cache = if reading.no_cache {
        None
    } else {
        match Cache::open(&setting.data_dir(), fingerprint) {
            Ok(cache) => Some(cache),
            Err(error) => {
                setting.note("no-cache", &[("why", &error.to_string())]);
                None
            }
        }
    };
    Ok(Options {
        program: "/proc/self/exe".into(),
        cache,
        yara: reading.yara.as_ref().map(std::fs::canonicalize).transpose()?,
        only: Vec::new(),
        lock_files: reading.lock_files,
        depth: Depth::Everything,
        platform: reading.platform.clone().unwrap_or_else(this_platform),
        timeout: Duration::from_secs(reading.image_timeout),
    })
}

/// How images of an engine are read: there is nothing to pick.
///
/// # Errors
/// An option picks something all the same.
pub fn engine_options(reading: &ImageReading, setting: &Setting) -> anyhow::Result<Options> {
    nothing_to_pick(reading)?;
    options(reading, setting)
}

/// Whoever picks an image where there is only one would believe that it was picked.
fn nothing_to_pick(reading: &ImageReading) -> Result<(), Failure> {
    match (&reading.image, &reading.platform) {
        (Some(_), _) => Err(Failure::Pointless("image")),
        (None, Some(_)) => Err(Failure::Pointless("platform")),
        (None, None) => Ok(()),
    }
}

/// `linux/amd64` on such a machine.
fn this_platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    };
    format!("linux/{architecture}")
}

/// The engine.
pub fn api(setting: &Setting) -> anyhow::Result<Arc<HttpApi>> {
    let root = Root::new(&setting.root);
    let api = HttpApi::connect(setting.host.as_deref(), &root, Duration::from_secs(30))?;
    Ok(Arc::new(api))
}

/// How registries are asked.
pub fn registries(reading: &ImageReading) -> registry::Options {
    let mut options = registry::Options::from_environment();
    options.insecure.extend(reading.insecure_registry.iter().cloned());
    options
}

/// An engine's "not found" in our words; other failures as they are.
fn absent(error: EngineError, failure: Failure) -> anyhow::Error {
    match error {
        EngineError::Api(api) if api.is_not_found() => failure.into(),
        // What it wraps says the same, so it stands alone.
        EngineError::Api(api) => api.into(),
        EngineError::Scan(scan) => scan.into(),
    }
}

/// Why a file or folder gives no scan, in our words as far as there are some.
fn not_opened(error: ScanError, path: &Path) -> anyhow::Error {
    match error {
        ScanError::Io { error, .. } => Failure::file(path, error).into(),
        ScanError::NoArchive(place) => Failure::NoArchive(place).into(),
        other => other.into(),
    }
}

/// Opens an image wherever it is.
async fn opened(
    source: &ImageSource,
    reading: &ImageReading,
    depth: Depth,
    setting: &Setting,
) -> anyhow::Result<Scan> {
    let several =
        source.archive.is_some() || source.oci_layout.is_some() || source.registry.is_some();
    if !several {
        nothing_to_pick(reading)?;
    }
    let mut options = options(reading, setting)?;
    options.lock_files = counts_lock_files(source, reading);
    options.depth = depth;
    let wanted = reading.image.as_deref();
    if let Some(reference) = &source.reference {
        let image = engine::image(&*api(setting)?, reference, &options).await;
        return image.map_err(|e| absent(e, Failure::NoSuchImage(reference.clone())));
    }
    if let Some(name) = &source.container {
        let container = engine::container(&*api(setting)?, name, &options).await;
        return container.map_err(|e| absent(e, Failure::NoSuchContainer(name.clone())));
    }
    if let Some(path) = &source.archive {
        if path == Path::new("-") {
            let stdin = tokio::io::stdin();
            let archive = open::archive(stdin, "stdin", wanted, Vec::new(), &options).await;
            return archive.map_err(|error| not_opened(error, path));
        }
        let archive = open::archive_file(path, wanted, &options).await;
        return archive.map_err(|error| not_opened(error, path));
    }
    if let Some(path) = &source.oci_layout {
        let layout = Layout::open(path)?;
        return Ok(pull::scan(&layout, &path.display().to_string(), wanted, &options).await?);
    }
    if let Some(reference) = &source.registry {
        let registry = Registry::new(reference, &registries(reading))?;
        return Ok(pull::scan(&registry, reference, wanted, &options).await?);
    }
    if let Some(path) = &source.rootfs {
        return open::folder(path, &options).await.map_err(|error| not_opened(error, path));
    }
    let path = source.sbom.as_deref().unwrap_or(Path::new("-"));
    let mut scan =
        sbom::read(&document(path)?).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
    if scan.subject.reference.is_empty() {
        scan.subject.reference = path.display().to_string();
    }
    Ok(scan)
}

#[cfg(test)]
mod tests {
    use haechi_facts::engine::ApiError;

    use super::*;

    #[test]
    fn an_image_that_does_not_exist_is_one_sentence() {
        let error = |code| {
            let api = ApiError::Status(code, "No such image: nosuch:latest".into());
            absent(api.into(), Failure::NoSuchImage("nosuch".into()))
        };
        let failure = error(404);
        assert!(matches!(failure.downcast_ref(), Some(Failure::NoSuchImage(n)) if n == "nosuch"));
        // Anything else is said once.
        let chain: Vec<String> = error(500).chain().map(ToString::to_string).collect();
        assert_eq!(chain, ["the engine answered 500: No such image: nosuch:latest"]);
    }
}
