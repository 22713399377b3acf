//! Dangers that are no vulnerabilities: malware, secrets, settings and files, as rows that every format shows.

use haechi_core::Severity;
use haechi_core::inventory::{Change, DangerousFile, Scan};
use haechi_core::text::visible;

use super::words::rating_style;
use crate::labels::{Key, Labels, key};
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
    let files = |files: &[DangerousFile]| -> Vec<Row> {
        let rows = files.iter().map(|file| Row {
            what: mode(file),
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

/// Mode and owner: `4755 0:0`.
fn mode(file: &DangerousFile) -> String {
    format!("{:04o} {}:{}", file.mode & 0o7777, file.uid, file.gid)
}

/// A setting or a file that is a danger, for formats that programs read; strings as they are.
pub(super) struct Weakness<'a> {
    /// Stable name of its kind.
    pub(super) kind: &'static str,
    /// What that is called.
    pub(super) title: Key,
    /// How bad it is. That a file is missing is no danger by itself: images are slimmed that way.
    pub(super) severity: Severity,
    pub(super) path: &'a str,
    /// Counted from 1; 0 if there are none.
    pub(super) line: u32,
    pub(super) layer: Option<u32>,
    /// The setting, or mode and owner; empty if the kind says it all.
    pub(super) what: String,
    /// The package that owns the file; empty if none does.
    pub(super) package: &'a str,
}

/// All settings and files that are a danger.
pub(super) fn weaknesses(scan: &Scan) -> Vec<Weakness<'_>> {
    let sources = scan.weak_sources.iter().map(|source| Weakness {
        kind: "weak-source",
        title: key::WEAK_SOURCES,
        severity: Severity::High,
        path: &source.path,
        line: source.line,
        layer: source.layer,
        what: source.setting.clone(),
        package: "",
    });
    let altered = scan.altered_files.iter().map(|file| {
        let (kind, severity) = match file.change {
            Change::Changed => ("changed-file", Severity::Medium),
            Change::Missing => ("missing-file", Severity::Low),
        };
        Weakness {
            kind,
            title: key::ALTERED,
            severity,
            path: &file.path,
            line: 0,
            layer: file.layer,
            what: String::new(),
            package: &file.package,
        }
    });
    let setid = scan.setid_files.iter().map(|f| Weakness::of("setid-file", key::SETID, f));
    let open = scan.world_writable.iter().map(|f| Weakness::of("writable-file", key::WRITABLE, f));
    sources.chain(altered).chain(setid).chain(open).collect()
}

impl<'a> Weakness<'a> {
    fn of(kind: &'static str, title: Key, file: &'a DangerousFile) -> Self {
        Self {
            kind,
            title,
            severity: Severity::Medium,
            path: &file.path,
            line: 0,
            layer: file.layer,
            what: mode(file),
            package: &file.package,
        }
    }

    /// Where it is: `etc/pip.conf:3`.
    pub(super) fn place(&self) -> String {
        match self.line {
            0 => self.path.to_owned(),
            line => format!("{}:{line}", self.path),
        }
    }

    /// What there is to say besides the kind and the place.
    pub(super) fn words(&self) -> String {
        let parts = [self.what.as_str(), self.package].into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(" · ")
    }
}
