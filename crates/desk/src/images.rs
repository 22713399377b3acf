//! Images as the last verification saw them.

use haechi_core::SubjectKind;
use haechi_core::risk::ImageKept;
use haechi_core::verdict::ImageReport;
use haechi_protocol::{ImagePage, ImageRow, LIMIT_MAX, ListImages, Ranked, Refusal, ShowImage};
use haechi_store::{ContainerFilter, ImageFilter, InventoryRow};

use crate::accounts::Caller;
use crate::{Desk, checklist, containers, profiles, unavailable};

/// Containers of an image that its page shows.
pub(crate) const CONTAINERS: u32 = 100;
/// Bytes of descriptions that are given whole; some images have more than any page can show.
const REPORT_MAX: usize = 8 << 20;

/// Answers [`ListImages`].
pub(crate) async fn list(
    desk: &Desk,
    _caller: &Caller,
    question: &ListImages,
) -> Result<Ranked<ImageRow>, Refusal> {
    let limit = question.limit.clamp(1, LIMIT_MAX);
    let filter = ImageFilter {
        safety: question.safety,
        text: containers::text(question.text.as_deref())?,
        after: containers::after(question.after.as_deref())?,
        limit,
    };
    let Some(inventory) = containers::inventory(desk).await? else {
        // Not that there are none: nobody knows.
        return Ok(Ranked { rows: Vec::new(), next: None, total: None, stale: false });
    };
    let kept = desk.setup.store.kept_images(inventory.id, &filter).await.map_err(unavailable)?;
    let next = containers::next(&kept, limit, |row| (row.rank, &row.line.id));
    let everything = question.safety.is_none() && filter.text.is_none();
    let total = match (everything, &filter.after, &next) {
        (true, ..) => u64::try_from(inventory.images).ok(),
        (false, None, None) => u64::try_from(kept.len()).ok(),
        _ => None,
    };
    let stale = !containers::is_fresh(desk, Some(&inventory)).await?;
    Ok(Ranked { rows: kept.into_iter().map(row).collect(), next, total, stale })
}

/// Answers [`ShowImage`].
pub(crate) async fn show(
    desk: &Desk,
    _caller: &Caller,
    question: &ShowImage,
) -> Result<ImagePage, Refusal> {
    let (store, id) = (&desk.setup.store, question.id.as_str());
    let inventory = containers::inventory(desk).await?.ok_or(Refusal::Missing)?;
    let kept = store.kept_image(inventory.id, id).await.map_err(unavailable)?;
    let kept = kept.ok_or(Refusal::Missing)?;
    let report = store.image_report(&inventory.host, id).await.map_err(unavailable)?;
    let used = kept.used.iter().cloned().collect();
    let filter = ContainerFilter {
        image_id: Some(id.to_owned()),
        limit: CONTAINERS,
        ..ContainerFilter::default()
    };
    let of_image = store.kept_containers(inventory.id, &filter).await.map_err(unavailable)?;
    let mut rows: Vec<_> = of_image.into_iter().map(containers::row).collect();
    containers::count_alerts(desk, &mut rows).await?;
    let running = containers::running(desk, &inventory, id, &rows).await?;
    let (seen, profiles) =
        profiles::of_image(desk, &inventory, id, report.as_ref(), &running).await?;
    Ok(ImagePage {
        image: row(kept),
        report: match report {
            Some(report) => Some(
                tokio::task::spawn_blocking(move || json(report))
                    .await
                    .map_err(unavailable)?
                    .map_err(unavailable)?,
            ),
            None => None,
        },
        findings: checklist::of_subject(desk, SubjectKind::Image, id).await?,
        containers: rows,
        used,
        seen,
        profiles,
    })
}

/// An image of the last verification, whole.
pub(crate) async fn of(
    desk: &Desk,
    inventory: &InventoryRow,
    id: &str,
) -> Result<Option<ImageRow>, Refusal> {
    let kept = desk.setup.store.kept_image(inventory.id, id).await.map_err(unavailable)?;
    Ok(kept.map(row))
}

fn row(kept: ImageKept) -> ImageRow {
    ImageRow { image: kept.line, rank: kept.rank, marked: kept.marked }
}

/// A report as JSON, without the lists of files of its packages, which no page shows. One that is too large even so says
/// less about each vulnerability.
fn json(mut report: ImageReport) -> serde_json::Result<serde_json::Value> {
    for package in &mut report.scan.packages {
        package.files.clear();
    }
    let told: usize =
        report.assessment.vulnerabilities.iter().map(|flaw| flaw.description.len()).sum();
    if told > REPORT_MAX {
        for flaw in &mut report.assessment.vulnerabilities {
            flaw.description.clear();
        }
    }
    serde_json::to_value(report)
}
