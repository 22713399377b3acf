//! Finds things by their names: containers, images, vulnerabilities, items and alerts.
//!
//! What is named exactly so comes first, then what begins so, then what has the text in it somewhere.

use haechi_core::Lang;
use haechi_facts::engine::api::encode;
use haechi_protocol::{Found, FoundRow, Refusal, Search};
use haechi_store::{ContainerFilter, ImageFilter};

use crate::accounts::Caller;
use crate::{Desk, containers, unavailable};

/// Things of one kind that are found.
const MOST: u32 = 10;
/// The least that is looked for.
const TEXT_MIN: usize = 2;

/// Answers [`Search`].
pub(crate) async fn search(
    desk: &Desk,
    _caller: &Caller,
    question: &Search,
) -> Result<Found, Refusal> {
    let text = containers::text(Some(&question.text))?.unwrap_or_default();
    if text.chars().count() < TEXT_MIN {
        return Err(Refusal::invalid("text", "too-short"));
    }
    let mut rows = in_inventory(desk, &text).await?;
    rows.extend(items(desk, &text));
    rows.extend(alerts(desk, &text).await?);
    let sought = text.to_lowercase();
    rows.sort_by_cached_key(|row| how_far(&row.title.to_lowercase(), &sought));
    Ok(Found { rows })
}

/// How far a title is from what is looked for.
fn how_far(title: &str, sought: &str) -> u8 {
    match title.find(sought) {
        Some(0) if title.len() == sought.len() => 0,
        Some(0) => 1,
        Some(_) => 2,
        None => 3,
    }
}

async fn in_inventory(desk: &Desk, text: &str) -> Result<Vec<FoundRow>, Refusal> {
    let Some(inventory) = containers::inventory(desk).await? else { return Ok(Vec::new()) };
    let store = &desk.setup.store;
    let mut rows = Vec::new();
    let filter =
        ContainerFilter { text: Some(text.to_owned()), limit: MOST, ..ContainerFilter::default() };
    for one in store.kept_containers(inventory.id, &filter).await.map_err(unavailable)? {
        let link = format!("/containers/{}", encode(&one.id));
        rows.push(row("container", one.name, one.image, link));
    }
    let filter = ImageFilter { text: Some(text.to_owned()), limit: MOST, ..ImageFilter::default() };
    for one in store.kept_images(inventory.id, &filter).await.map_err(unavailable)? {
        let link = format!("/images/{}", encode(&one.line.id));
        rows.push(row("image", one.line.name, one.line.distro, link));
    }
    let flaws = store.found_flaws(&inventory.host, text, MOST).await.map_err(unavailable)?;
    for one in flaws {
        let link = format!("/images/{}", encode(&one.image));
        let detail = match store.kept_image(inventory.id, &one.image).await.map_err(unavailable)? {
            Some(image) => image.line.name,
            None => continue,
        };
        let detail = match one.images.saturating_sub(1) {
            0 => detail,
            more => format!("{detail} +{more}"),
        };
        rows.push(match one.id.is_empty() {
            true => row("vulnerability", one.package, detail, link),
            false => row("vulnerability", one.id, format!("{} · {detail}", one.package), link),
        });
    }
    Ok(rows)
}

/// Items of the benchmarks that are verified, in the language of what is looked for.
fn items(desk: &Desk, text: &str) -> Vec<FoundRow> {
    let sought = text.to_lowercase();
    let hangul = |c: char| matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7a3}');
    let lang = if text.chars().any(hangul) { Lang::Ko } else { Lang::En };
    let content = &desk.setup.content;
    let benchmarks = desk.setup.benchmarks.iter().filter_map(|id| content.benchmark(id));
    let all =
        benchmarks.flat_map(|benchmark| benchmark.items().map(move |(_, item)| (benchmark, item)));
    all.filter(|(_, item)| {
        item.id == text
            || item.title.get(lang).to_lowercase().contains(&sought)
            || item.checks.iter().any(|check| check.contains(&sought))
    })
    .take(usize::try_from(MOST).unwrap_or_default())
    .map(|(benchmark, item)| {
        let link = format!("/checklist/{}/{}", encode(&benchmark.id), encode(&item.id));
        let title = format!("{} {}", item.id, item.title.get(lang));
        row("item", title, benchmark.title.clone(), link)
    })
    .collect()
}

async fn alerts(desk: &Desk, text: &str) -> Result<Vec<FoundRow>, Refusal> {
    let store = &desk.setup.store;
    let mut rows = Vec::new();
    for (rule, _) in store.rules_named(text, MOST).await.map_err(unavailable)? {
        let link = format!("/events?rule={}", encode(&rule));
        rows.push(row("alert", rule, String::new(), link));
    }
    for (name, newest) in store.alerted_named(text, MOST).await.map_err(unavailable)? {
        let Some(alert) = store.alert(newest).await.map_err(unavailable)? else { continue };
        let link = format!("/events?container={}", encode(&alert.container.id));
        rows.push(row("alert", name, alert.rule, link));
    }
    Ok(rows)
}

fn row(kind: &str, title: String, detail: String, link: String) -> FoundRow {
    FoundRow { kind: kind.to_owned(), title, detail, link }
}
