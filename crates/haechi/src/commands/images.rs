//! All images of the engine: `haechi image list`, `mark`, `unmark`, and what `haechi verify` needs of them.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use haechi_core::facts::Snapshot;
use haechi_core::policy::Loaded;
use haechi_core::verdict::{ImageReport, Safety};
use haechi_examine::{Examiner, engine, mark};
use haechi_facts::engine::http::HttpApi;
use haechi_facts::engine::{Api, Call};
use haechi_image::assemble::is_name;
use haechi_image::open::Options;
use haechi_vulns::db::{Database, Freshness};
use jiff::Timestamp;
use serde_json::Value;

use super::image;
use crate::args::{ImageList, ImageMark, ImageReading, ListFormat};
use crate::failure::Failure;
use crate::setting::Setting;
use crate::{exit, output};

/// Images that are read at the same time: a worker uses up to two processors.
const CONCURRENCY: usize = 2;

/// Digits of a shortened id: as many as engines show.
const ID_MIN: usize = 12;

/// An examiner with the database and the policy in force.
pub fn examiner(setting: &Setting, policy: &Loaded) -> anyhow::Result<Examiner> {
    let now = Timestamp::now();
    let age_days_max = policy.policy.limits.database_age_days_max;
    let database = Database::open(&super::db::folder(setting), Freshness { now, age_days_max })
        .map_err(|e| Failure::Store(e.to_string()))?;
    if database.is_none() {
        setting.note("no-database", &[]);
    }
    Ok(Examiner::new(database, &policy.policy, now))
}

/// An image of the engine, as its list tells.
struct Listed {
    id: String,
    tags: Vec<String>,
    containers: Vec<String>,
}

impl Listed {
    /// Whether a reference names it, by one of its tags or by its id.
    fn is(&self, reference: &str) -> bool {
        is_id(&self.id, reference) || self.tags.iter().any(|tag| is_name(tag, reference))
    }
}

async fn listed(api: &HttpApi) -> anyhow::Result<Vec<Listed>> {
    let strings = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let containers = api.ask(Call::Containers).await?;
    let mut by_image: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for container in containers.as_array().into_iter().flatten() {
        let image = container.get("ImageID").and_then(Value::as_str).unwrap_or_default();
        let name = strings(container.get("Names")).into_iter().next().unwrap_or_default();
        by_image.entry(image.to_owned()).or_default().push(name.trim_start_matches('/').to_owned());
    }
    let images = api.ask(Call::Images).await?;
    let mut out: Vec<Listed> = images
        .as_array()
        .into_iter()
        .flatten()
        .map(|image| {
            let id = image.get("Id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let mut tags = strings(image.get("RepoTags"));
            tags.retain(|tag| tag != "<none>:<none>");
            tags.sort();
            let mut containers = by_image.get(&id).cloned().unwrap_or_default();
            containers.sort();
            Listed { id, tags, containers }
        })
        .collect();
    out.sort_by(|a, b| (&a.tags, &a.id).cmp(&(&b.tags, &b.id)));
    Ok(out)
}

/// Reads and judges images of the engine; one that cannot be read is judged as that.
async fn judged(
    api: &Arc<HttpApi>,
    images: Vec<Listed>,
    examiner: &Examiner,
    options: &Options,
    setting: &Setting,
) -> anyhow::Result<Vec<ImageReport>> {
    let length = images.len() as u64;
    let bar = progress(images.len(), setting);
    setting.beat(0, length);
    let mut reports: Vec<(usize, ImageReport)> = stream::iter(images.into_iter().enumerate())
        .map(|(number, image)| {
            let (api, bar) = (Arc::clone(api), bar.clone());
            async move {
                let name = image.tags.first().unwrap_or(&image.id);
                bar.set_message(name.clone());
                let mut scan = match engine::image(&api, &image.id, options).await {
                    Ok(scan) => scan,
                    Err(error) => engine::unread(name, &error),
                };
                scan.subject.reference.clone_from(name);
                scan.subject.id.clone_from(&image.id);
                bar.inc(1);
                setting.beat(bar.position(), length);
                Ok((number, examiner.judge(scan, image.containers)?))
            }
        })
        .buffer_unordered(CONCURRENCY)
        .collect::<Vec<anyhow::Result<_>>>()
        .await
        .into_iter()
        .collect::<anyhow::Result<_>>()?;
    bar.finish_and_clear();
    reports.sort_by_key(|(number, _)| *number);
    if let Some(cache) = &options.cache
        && let Err(error) = cache.prune()
    {
        tracing::warn!("old results of layers stay: {error}");
    }
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}

fn progress(length: usize, setting: &Setting) -> indicatif::ProgressBar {
    if setting.quiet || !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(length as u64);
    if let Ok(style) = indicatif::ProgressStyle::with_template("{pos}/{len} {bar:20} {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

/// Takes all images of a snapshot apart, fills the facts that this gives, and gives the reports about them.
pub async fn examine(
    snapshot: &mut Snapshot,
    policy: &Loaded,
    reading: &ImageReading,
    offline: bool,
    setting: &Setting,
) -> anyhow::Result<Vec<ImageReport>> {
    let examiner = examiner(setting, policy)?;
    let options = image::engine_options(reading, setting)?;
    let mut reports = Vec::new();
    if let Some(images) = &snapshot.images {
        let wanted = images
            .iter()
            .filter_map(|image| {
                Some(Listed {
                    id: image.id.clone()?,
                    tags: image.tags.clone().unwrap_or_default(),
                    containers: image.used_by.clone().unwrap_or_default(),
                })
            })
            .collect();
        let api = image::api(setting)?;
        reports = judged(&api, wanted, &examiner, &options, setting).await?;
        let mut gaps = Vec::new();
        for image in snapshot.images.iter_mut().flatten() {
            let report = reports.iter().find(|r| Some(&r.scan.subject.id) == image.id.as_ref());
            if let Some(report) = report {
                gaps.extend(haechi_examine::facts::fill(image, report, examiner.now));
            }
        }
        snapshot.gaps.extend(gaps);
    }
    if !offline {
        haechi_examine::newest::fill(snapshot, &image::registries(reading)).await;
    }
    if snapshot.host.accounts.is_some() {
        haechi_examine::host::fill(snapshot, &setting.root, &examiner, &options).await?;
    }
    snapshot.gaps.sort();
    snapshot.gaps.dedup();
    Ok(reports)
}

pub async fn list(args: &ImageList, setting: &Setting) -> anyhow::Result<u8> {
    let policy = setting.policy()?;
    let examiner = examiner(setting, &policy)?;
    let options = image::engine_options(&args.reading, setting)?;
    let api = image::api(setting)?;
    let reports = judged(&api, listed(&api).await?, &examiner, &options, setting).await?;
    let mut layout = setting.layout();
    layout.color &= args.format == ListFormat::Table;
    output::stdout(|out| match args.format {
        ListFormat::Table => Ok(haechi_report::image::list(&reports, setting.lang, &layout, out)?),
        ListFormat::Json => Ok(haechi_report::image::list_json(&reports, out)?),
    })?;
    Ok(exit::CLEAN)
}

pub async fn mark(args: &ImageMark, setting: &Setting) -> anyhow::Result<u8> {
    let policy = setting.policy()?;
    let examiner = examiner(setting, &policy)?;
    let options = image::engine_options(&args.reading, setting)?;
    let api = image::api(setting)?;
    let mut wanted = listed(&api).await?;
    let named = names(&wanted);
    chosen(&mut wanted, &args.references)?;
    let reports = judged(&api, wanted, &examiner, &options, setting).await?;
    let (mut steps, mut refused) = (Vec::new(), false);
    for report in &reports {
        let subject = &report.scan.subject;
        if report.verdict.safety != Safety::Unsafe {
            if !args.references.is_empty() {
                let safety = report.verdict.safety.name();
                setting
                    .note("mark-not-unsafe", &[("image", &subject.reference), ("safety", safety)]);
            }
            continue;
        }
        let why = reasons(report, setting);
        for tag in subject.tags.iter().filter(|tag| is_chosen(&subject.id, tag, &args.references)) {
            match mark::mark(&subject.id, tag)
                .and_then(|step| mark::free(step, |to| named.get(to).cloned()))
            {
                Ok(step) => steps.push((step, why.clone())),
                Err(mark::NoStep::Already(_)) => {}
                Err(error) => {
                    setting.note("mark-impossible", &[("why", &error.to_string())]);
                    refused = true;
                }
            }
        }
    }
    done(&api, steps, "mark", args.yes, refused, setting).await
}

pub async fn unmark(args: &ImageMark, setting: &Setting) -> anyhow::Result<u8> {
    let api = image::api(setting)?;
    let mut wanted = listed(&api).await?;
    let named = names(&wanted);
    let references = marked(&wanted, &args.references, setting);
    chosen(&mut wanted, &references)?;
    // Without a name, only marks that were set here: `-unsafe` may be somebody's own word.
    let set = super::store(setting).await?.marks().await.map_err(super::store_failure)?;
    let ours = |id: &str, tag: &str| set.iter().any(|mark| mark.image == id && mark.after == tag);
    let (mut steps, mut refused) = (Vec::new(), false);
    for image in &wanted {
        for tag in image.tags.iter().filter(|tag| is_chosen(&image.id, tag, &references)) {
            let Ok(step) = mark::unmark(&image.id, tag) else { continue };
            if args.references.is_empty() && !ours(&image.id, tag) {
                setting.note("unmark-foreign", &[("image", tag)]);
                continue;
            }
            match mark::free(step, |to| named.get(to).cloned()) {
                Ok(step) => steps.push((step, String::new())),
                Err(error) => {
                    setting.note("unmark-impossible", &[("why", &error.to_string())]);
                    refused = true;
                }
            }
        }
    }
    done(&api, steps, "unmark", args.yes, refused, setting).await
}

/// Why an image is unsafe, in a few words.
fn reasons(report: &ImageReport, setting: &Setting) -> String {
    let shown: Vec<String> = report
        .verdict
        .reasons
        .iter()
        .take(3)
        .map(|r| haechi_report::image::reason(r, setting.lang))
        .collect();
    let more = report.verdict.reasons.len().saturating_sub(3) as u64 + report.verdict.more;
    if more == 0 { shown.join("; ") } else { format!("{}; +{more}", shown.join("; ")) }
}

/// The image that each reference names.
fn names(images: &[Listed]) -> BTreeMap<String, String> {
    let pairs = images
        .iter()
        .flat_map(|image| image.tags.iter().map(|tag| (tag.clone(), image.id.clone())));
    pairs.collect()
}

/// Keeps the images that references name; all if none is given.
fn chosen(images: &mut Vec<Listed>, references: &[String]) -> anyhow::Result<()> {
    for reference in references {
        if !images.iter().any(|image| image.is(reference)) {
            return Err(Failure::NoSuchImage(reference.clone()).into());
        }
    }
    if !references.is_empty() {
        images.retain(|image| references.iter().any(|reference| image.is(reference)));
    }
    Ok(())
}

/// Whether references name this tag of an image, or the image by its id.
fn is_chosen(id: &str, tag: &str, references: &[String]) -> bool {
    references.is_empty()
        || references.iter().any(|reference| is_id(id, reference) || is_name(tag, reference))
}

/// Whether a reference is an image's id, whole or as engines shorten it: at least twelve digits.
fn is_id(id: &str, reference: &str) -> bool {
    let digits = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).to_owned();
    let (id, reference) = (digits(id), digits(reference));
    reference.len() >= ID_MIN && id.starts_with(&reference)
}

/// References to unmark. Whoever names `web:1` means `web:1-unsafe`, if only that is there; if both are, the mark is
/// that of another image and has to be named.
fn marked(images: &[Listed], references: &[String], setting: &Setting) -> Vec<String> {
    let is_there = |reference: &str| images.iter().any(|image| image.is(reference));
    let each = |reference: &String| {
        let tagged = if reference.rsplit('/').next().is_some_and(|last| last.contains(':')) {
            reference.clone()
        } else {
            format!("{reference}:latest")
        };
        let marked = format!("{tagged}{}", mark::SUFFIX);
        match (is_there(reference), is_there(&marked)) {
            (false, true) => return marked,
            (true, true) => {
                setting.note("unmark-other", &[("image", reference), ("marked", &marked)]);
            }
            _ => {}
        }
        reference.clone()
    };
    references.iter().map(each).collect()
}

/// Does the steps, or says what would be done.
async fn done(
    api: &HttpApi,
    steps: Vec<(mark::Step, String)>,
    action: &str,
    yes: bool,
    refused: bool,
    setting: &Setting,
) -> anyhow::Result<u8> {
    let code = if refused { exit::COULD_NOT_VERIFY } else { exit::CLEAN };
    if steps.is_empty() {
        if !refused {
            setting.note(&format!("{action}-nothing"), &[]);
        }
        return Ok(code);
    }
    let store = if yes { Some(super::store(setting).await?) } else { None };
    for (step, why) in &steps {
        if let Some(store) = &store {
            mark::apply(api, step).await?;
            store
                .record_mark(&step.id, &step.from, &step.to, action, why, Timestamp::now())
                .await
                .map_err(super::store_failure)?;
        }
        let line = setting.text(
            if yes { "mark-done" } else { "mark-would" },
            &[("from", &step.from), ("to", &step.to), ("why", why)],
        );
        output::stdout(|out| Ok(writeln!(out, "{line}")?))?;
    }
    if !yes {
        setting.note("mark-dry", &[]);
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    fn image(id: &str, tags: &[&str]) -> Listed {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Listed { id: format!("sha256:{}", id.repeat(64)), tags, containers: Vec::new() }
    }

    #[test]
    fn an_image_is_named_by_tag_long_name_or_id() {
        let web = image("a", &["web:1"]);
        for name in ["web:1", "docker.io/library/web:1", "aaaaaaaaaaaa", "sha256:aaaaaaaaaaaa"] {
            assert!(web.is(name), "{name}");
        }
        for name in ["web", "web:2", "aaaa", "bbbbbbbbbbbb", "example.com/web:1"] {
            assert!(!web.is(name), "{name}");
        }
        let mut images = vec![web, image("b", &["b:latest"])];
        assert!(chosen(&mut images, &["nosuch".into()]).is_err());
        chosen(&mut images, &["b".into()]).unwrap();
        assert_eq!(images.len(), 1);
    }

    #[test]
    fn unmark_takes_the_plain_name_where_it_can_mean_nothing_else() {
        let setting = Setting::of(&Cli::parse_from(["haechi", "--quiet", "db", "status"]).global);
        let images = [image("a", &["web:1-unsafe", "db:1-unsafe"]), image("b", &["db:1"])];
        let asked = ["web:1".to_owned(), "db:1".to_owned(), "web:1-unsafe".to_owned()];
        assert_eq!(marked(&images, &asked, &setting), ["web:1-unsafe", "db:1", "web:1-unsafe"]);
    }
}
