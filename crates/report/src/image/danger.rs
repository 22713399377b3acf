//! Dangers that are no vulnerabilities: malware, secrets, settings and files, as rows that every format shows.

use haechi_core::inventory::{Change, Scan};
use haechi_core::text::visible;

use super::words::rating_style;
use crate::labels::{Labels, key};
use crate::sheet::Style;
use haechi_core::vulnerability::Rating;

/// Dangers of one kind.
pub(super) struct Danger {
    pub(super) title: &'static str,
    pub(super) style: Style,
    pub(super) rows: Vec<Row>,
}

/// One of them; every string is safe to show.
pub(super) struct Row {
    pub(super) what: String,
    pub(super) place: String,
    pub(super) note: String,
}

/// All dangers, the worst kind first; kinds without any are left out.
pub(super) fn dangers(scan: &Scan, labels: &Labels) -> Vec<Danger> {
    let note = |layer: Option<u32>, deleted: bool, more: &str| {
        let deleted = deleted.then(|| labels.get(key::STILL_THERE).to_owned());
        let more = (!more.is_empty()).then(|| visible(more).into_owned());
        [labels.layer(layer), deleted, more].into_iter().flatten().collect::<Vec<_>>().join(" · ")
    };
    let at = |place: &str, line: u32| match line {
        0 => visible(place).into_owned(),
        line => format!("{}:{line}", visible(place)),
    };
    let shown = |text: &str| visible(text).into_owned();
    let malware = scan.malware.iter().map(|hit| Row {
        what: shown(&hit.rule),
        place: shown(&hit.path),
        note: note(hit.layer, hit.deleted, &hit.description),
    });
    let secrets = scan.secrets.iter().map(|secret| Row {
        what: shown(&secret.detector),
        place: at(&secret.place, secret.line),
        note: note(secret.layer, secret.deleted, &secret.preview),
    });
    let weak = scan.weak_sources.iter().map(|source| Row {
        what: shown(&source.setting),
        place: at(&source.path, source.line),
        note: note(source.layer, false, ""),
    });
    let altered = scan.altered_files.iter().map(|file| Row {
        what: labels
            .get(match file.change {
                Change::Changed => key::CHANGED,
                Change::Missing => key::MISSING,
            })
            .to_owned(),
        place: shown(&file.path),
        note: note(file.layer, false, &file.package),
    });
    let files = |files: &[haechi_core::inventory::DangerousFile]| -> Vec<Row> {
        let rows = files.iter().map(|file| Row {
            what: format!("{:04o} {}:{}", file.mode & 0o7777, file.uid, file.gid),
            place: shown(&file.path),
            note: note(file.layer, false, &file.package),
        });
        rows.collect()
    };
    let kinds = [
        (key::MALWARE, Rating::Critical, malware.collect()),
        (key::SECRETS, Rating::High, secrets.collect()),
        (key::WEAK_SOURCES, Rating::High, weak.collect()),
        (key::ALTERED, Rating::Medium, altered.collect()),
        (key::SETID, Rating::Medium, files(&scan.setid_files)),
        (key::WRITABLE, Rating::Medium, files(&scan.world_writable)),
    ];
    kinds
        .into_iter()
        .filter(|(_, _, rows): &(_, _, Vec<Row>)| !rows.is_empty())
        .map(|(title, rating, rows)| Danger {
            title: labels.get(title),
            style: rating_style(rating),
            rows,
        })
        .collect()
}
