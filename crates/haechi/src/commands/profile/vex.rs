//! OpenVEX of what runs of a workload's image.
//!
//! Says of a package that it is not affected only if every workload of the image that is known here was watched well enough, and
//! every container of it that runs was watched ([`haechi_examine::vex`]).

use haechi_core::text::visible;
use haechi_examine::{engine, vex};
use haechi_facts::redact;
use haechi_image::layer::Depth;
use haechi_profile::coverage::Coverage;
use haechi_profile::image;
use haechi_profile::texts;
use jiff::Timestamp;

use super::{find, json, notes, store_failure, write};
use crate::args::ProfileVex;
use crate::commands::image::{api, engine_options};
use crate::commands::{images, verify};
use crate::exit;
use crate::failure::Failure;
use crate::setting::Setting;

pub(super) async fn run(args: &ProfileVex, setting: &Setting) -> anyhow::Result<u8> {
    let source = &args.source;
    let mut profiles = match (&source.file, &source.target) {
        (Some(file), _) => vec![super::read(file)?],
        (None, target) => {
            let (_, meant) = find::stored(target.as_deref().unwrap_or_default(), setting).await?;
            let store = crate::commands::store(setting).await?;
            let mut all = Vec::new();
            for (id, head) in store.workloads().await.map_err(store_failure)? {
                if head.workload.image == meant.workload.image {
                    all.push(store.profile(id).await.map_err(store_failure)?);
                }
            }
            all
        }
    };
    let snapshot = match &source.snapshot {
        Some(file) => verify::read(file)?,
        None => find::engine(setting).await?,
    };
    let image = profiles.first().map(|one| one.workload.image.clone()).unwrap_or_default();
    let mut coverages = Vec::new();
    for profile in &mut profiles {
        let today = find::given(profile, &snapshot).unwrap_or_default();
        coverages.push(Coverage::of(profile, &find::rule(&today, setting)?));
        // It is read by others.
        profile.workload.command = redact::arguments(&profile.workload.command);
    }

    let mut options = engine_options(&args.reading, setting)?;
    options.depth = Depth::Packages;
    let mut scan = engine::image(&*api(setting)?, &image, &options)
        .await
        .map_err(|error| anyhow::anyhow!("{}: {error}", visible(&image)))?;
    let named = profiles.iter().map(|one| &one.image_name).find(|name| !name.is_empty());
    if let Some(name) = named {
        scan.subject.reference.clone_from(name);
    }
    let examiner = images::examiner(setting, &setting.policy()?)?;
    if examiner.database.is_none() {
        let said = texts::say(setting.lang, "vex-no-database", &[]);
        return Err(Failure::Said(said).into());
    }
    let report = examiner.judge(scan, Vec::new())?;

    let workloads: Vec<vex::Workload<'_>> = profiles.iter().zip(&coverages).collect();
    let running = image::running(&snapshot, &image);
    let document = vex::openvex(&report, &workloads, running.as_ref(), "haechi", Timestamp::now());
    let statements = document.get("statements").and_then(serde_json::Value::as_array);
    let count = |key: &str, wanted: &str| {
        let all = statements.into_iter().flatten();
        all.filter(|one| one.get(key).is_some_and(|told| told == wanted)).count()
    };
    let status = |wanted: &str| count("status", wanted).to_string();
    if statements.is_none_or(Vec::is_empty) {
        // A document without statements is none.
        notes(setting, &[texts::say(setting.lang, "vex-nothing", &[])]);
        return Ok(exit::CLEAN);
    }
    let idle = count("justification", vex::IDLE);
    let values = [
        ("idle", idle.to_string()),
        ("other", count("status", "not_affected").saturating_sub(idle).to_string()),
        ("affected", status("affected")),
        ("open", status("under_investigation")),
        ("fixed", status("fixed")),
    ];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    notes(setting, &[texts::say(setting.lang, "vex-counted", &values)]);
    write(args.output.as_deref(), setting, |out| json(&document, out))
}
