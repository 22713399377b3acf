//! What pages show of images, as plain values: every string in words and safe to show, every number counted.
//!
//! The same for the page about one image and for the images of a verification.

use haechi_core::report::fixes::FixLine;
use haechi_core::report::images::{FlawLine, ImageLine, LayerLine};
use haechi_core::report::profiles::PackageState;
use haechi_core::text::visible;
use haechi_core::verdict::Safety;
use haechi_core::vulnerability::{Rating, Vulnerability};

use super::list::short_id;
use super::table::score;
use super::words::{counted, percent, size, step, upgrade};
use crate::labels::{Labels, key};

/// Fixes, and containers, of one image in a page about many.
const FIXES_MAX: usize = 20;
const CONTAINERS_MAX: usize = 24;

/// One image of a verification.
pub(crate) struct ImageView {
    pub(crate) anchor: String,
    pub(crate) name: String,
    pub(crate) safety: Option<Safety>,
    pub(crate) about: Vec<String>,
    pub(crate) ratings: Option<Vec<(Rating, u64)>>,
    pub(crate) fixable: String,
    pub(crate) containers: Vec<String>,
    pub(crate) containers_more: Option<String>,
    pub(crate) problems: Vec<String>,
    pub(crate) problems_more: Option<String>,
    pub(crate) fixes: Vec<FixView>,
    pub(crate) fixes_more: Option<String>,
    pub(crate) flaws: Vec<FlawView>,
    pub(crate) flaws_more: Option<String>,
    pub(crate) layers: Vec<LayerView>,
    pub(crate) layers_more: Option<String>,
}

/// One upgrade.
pub(crate) struct FixView {
    pub(crate) package: String,
    pub(crate) versions: String,
    pub(crate) command: Option<String>,
    pub(crate) layer: Option<String>,
    pub(crate) removes: Vec<(Rating, u64)>,
    pub(crate) exploited: u64,
    pub(crate) ids: Vec<String>,
    pub(crate) ids_more: Option<String>,
}

/// One vulnerability.
pub(crate) struct FlawView {
    pub(crate) id: String,
    /// Where to read on; only `https`.
    pub(crate) url: Option<String>,
    pub(crate) rating: Rating,
    pub(crate) score: Option<String>,
    pub(crate) exploited: bool,
    pub(crate) epss: Option<String>,
    pub(crate) layer: Option<String>,
    pub(crate) package: String,
    pub(crate) installed: String,
    /// The version that fixes it, or in words why there is none.
    pub(crate) fixed: Option<String>,
    pub(crate) unfixed: Option<&'static str>,
    /// What was seen of the package; absent if no container of the image was watched.
    pub(crate) seen: Option<PackageState>,
    pub(crate) title: String,
}

/// One layer.
pub(crate) struct LayerView {
    pub(crate) number: usize,
    pub(crate) step: String,
    pub(crate) about: Vec<String>,
    pub(crate) ratings: Vec<(Rating, u64)>,
    /// Its part of all vulnerabilities, of 100.
    pub(crate) share: f64,
}

impl ImageView {
    pub(crate) fn of(number: usize, line: &ImageLine, t: &Labels) -> Self {
        let shown = |text: &String| visible(text).into_owned();
        let more = |n: u64| t.more(usize::try_from(n).unwrap_or(usize::MAX));
        let age = t.days(line.age_days).map(|days| format!("{} {days}", t.get(key::AGE)));
        let mut about: Vec<String> = [
            (!line.distro.is_empty()).then(|| shown(&line.distro)),
            (line.size >= 0).then(|| size(line.size)),
            age,
        ]
        .into_iter()
        .flatten()
        .collect();
        about.extend(line.tags.iter().filter(|tag| **tag != line.name).map(shown));
        for (label, n) in [(key::MALWARE, line.malware), (key::SECRETS, line.secrets)] {
            if n > 0 {
                about.push(format!("{} {n}", t.get(label)));
            }
        }
        let fixes = line.fixes.len().saturating_sub(FIXES_MAX) as u64 + line.fixes_more;
        Self {
            anchor: format!("image-{number}"),
            name: visible(short_id(&line.name)).into_owned(),
            safety: line.safety,
            about,
            ratings: line.ratings.as_ref().map(|ratings| counted(ratings).collect()),
            fixable: line.fixable.to_string(),
            containers: line.containers.iter().take(CONTAINERS_MAX).map(shown).collect(),
            containers_more: t.more(line.containers.len().saturating_sub(CONTAINERS_MAX)),
            problems: line.problems.iter().map(shown).collect(),
            problems_more: more(line.problems_more),
            fixes: line.fixes.iter().take(FIXES_MAX).map(|fix| FixView::of(fix, t)).collect(),
            fixes_more: more(fixes),
            flaws: line.flaws.iter().map(|flaw| FlawView::of_line(flaw, t)).collect(),
            flaws_more: more(line.flaws_more),
            layers: layers(line, t),
            layers_more: more(line.layers_more),
        }
    }
}

impl FixView {
    pub(crate) fn of(fix: &FixLine, t: &Labels) -> Self {
        let shown = |text: &String| visible(text).into_owned();
        Self {
            package: shown(&fix.package),
            versions: upgrade("", &fix.installed, &fix.fixed).trim_start().to_owned(),
            command: Some(shown(&fix.command)).filter(|command| !command.is_empty()),
            layer: t.layer(fix.layer),
            removes: counted(&fix.removes).collect(),
            exploited: fix.exploited,
            ids: fix.ids.iter().map(shown).collect(),
            ids_more: t.more(usize::try_from(fix.ids_more).unwrap_or(usize::MAX)),
        }
    }
}

impl FlawView {
    fn of_line(flaw: &FlawLine, t: &Labels) -> Self {
        let shown = |text: &String| visible(text).into_owned();
        let fixed = Some(shown(&flaw.fixed)).filter(|fixed| !fixed.is_empty());
        Self {
            id: shown(&flaw.id),
            url: None,
            rating: flaw.rating,
            score: None,
            exploited: flaw.exploited,
            epss: flaw.epss.map(percent),
            layer: t.layer(flaw.layer),
            package: shown(&flaw.package),
            installed: shown(&flaw.installed),
            unfixed: fixed.is_none().then(|| t.get(key::FIX_AFFECTED)),
            fixed,
            seen: flaw.seen,
            title: String::new(),
        }
    }

    pub(crate) fn of(flaw: &Vulnerability, seen: Option<PackageState>, t: &Labels) -> Self {
        let mut view = Self::of_line(&FlawLine { seen, ..FlawLine::from(flaw) }, t);
        // A feed may say anything; only a plain web address becomes a link.
        let plain = |url: &&String| {
            url.starts_with("https://") && url.bytes().all(|b| b.is_ascii_graphic())
        };
        view.url = flaw.urls.iter().find(plain).cloned();
        view.score = score(flaw);
        view.title = visible(&flaw.title).into_owned();
        view.unfixed = flaw.fixed.is_empty().then(|| t.fix_state(flaw.state));
        view
    }
}

/// The layers of an image, base first.
#[expect(clippy::cast_precision_loss, reason = "counts of vulnerabilities are far below 2^52")]
pub(crate) fn layers(line: &ImageLine, t: &Labels) -> Vec<LayerView> {
    let all = line.total().unwrap_or(0).max(1) as f64;
    let of = |(n, layer): (usize, &LayerLine)| {
        let mut about = Vec::new();
        if layer.size >= 0 {
            about.push(size(layer.size));
        }
        for (label, n) in [(key::PACKAGES, layer.packages), (key::SECRETS, count(layer.secrets))] {
            if n > 0 {
                about.push(format!("{} {n}", t.get(label)));
            }
        }
        LayerView {
            number: n + 1,
            step: step(&layer.created_by),
            about,
            ratings: counted(&layer.ratings).collect(),
            share: 100.0 * layer.ratings.values().sum::<u64>() as f64 / all,
        }
    };
    line.layers.iter().enumerate().map(of).collect()
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
