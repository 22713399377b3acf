//! A snapshot and a policy as the variables that expressions read, and the subjects that checks are about.
//!
//! Each fact is turned into a value of the expression language once, however many checks read it. Joins that
//! checks need (a container's image, an image's containers) are made here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cel::{Context, Value};
use haechi_core::facts::{File, Gap, Snapshot};
use haechi_core::{Cause, Policy, Subject, SubjectKind};
use serde::Serialize;

use crate::places::Place;

/// A subject with the variables that are its own.
pub(crate) struct Entry {
    pub(crate) subject: Subject,
    pub(crate) variables: Vec<(&'static str, Value)>,
    /// Id of the image that `image` is for a container.
    image_id: Option<String>,
}

/// The subjects of one kind, as far as they are known.
pub(crate) struct Subjects {
    pub(crate) entries: Vec<Entry>,
    /// Why the list itself is not, or not completely, known.
    pub(crate) gap: Option<Gap>,
}

/// Everything that checks read.
pub(crate) struct World<'a> {
    snapshot: &'a Snapshot,
    gaps: BTreeMap<SubjectKind, GapsOfKind<'a>>,
    pub(crate) host: Subject,
    shared: Vec<(&'static str, Value)>,
}

fn value<T: Serialize>(facts: &T) -> Value {
    // Facts are plain structs of strings, numbers, lists and maps with text keys: all of them have a CEL form.
    // Should one ever not, Null makes every expression that reads it fail, which is "unverified".
    cel::to_value(facts).unwrap_or(Value::Null)
}

impl<'a> World<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, policy: &Policy) -> Self {
        let name = [&snapshot.host.hostname, &snapshot.engine.name]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .cloned();
        let host = Subject {
            kind: SubjectKind::Host,
            name: name.unwrap_or_else(|| "host".into()),
            id: snapshot.engine.id.clone().unwrap_or_default(),
        };
        let mut shared = vec![
            ("host", value(&snapshot.host)),
            ("engine", value(&snapshot.engine)),
            ("swarm", value(&snapshot.swarm)),
            ("history", value(&snapshot.history)),
            ("policy", value(policy)),
        ];
        // An unknown list is an undeclared variable: reading it is an error, and an error is "unverified".
        let mut list = |name, facts: Option<Value>| shared.extend(facts.map(|facts| (name, facts)));
        list("containers", snapshot.containers.as_ref().map(value));
        list("images", snapshot.images.as_ref().map(value));
        list("networks", snapshot.networks.as_ref().map(value));
        list("volumes", snapshot.volumes.as_ref().map(value));
        list("services", snapshot.services.as_ref().map(value));
        list("files", snapshot.files.as_ref().map(value));
        Self { snapshot, gaps: index(&snapshot.gaps), host, shared }
    }

    /// Binds the variables that all checks share.
    pub(crate) fn bind(&self, context: &mut Context<'_, '_>) {
        for (name, value) in &self.shared {
            context.add_variable_from_value(*name, value.clone());
        }
    }

    /// The subjects of a kind.
    pub(crate) fn subjects(&self, kind: SubjectKind) -> Subjects {
        let snapshot = self.snapshot;
        let one = |name: &str, id: &str| {
            let subject = Subject { kind, name: name.to_owned(), id: id.to_owned() };
            Some(vec![Entry { subject, variables: Vec::new(), image_id: None }])
        };
        let entries = match kind {
            SubjectKind::Host => one(&self.host.name, &self.host.id),
            SubjectKind::Engine => {
                one(snapshot.engine.kind.as_deref().unwrap_or("engine"), &self.host.id)
            }
            SubjectKind::Swarm => one("swarm", snapshot.swarm.id.as_deref().unwrap_or_default()),
            SubjectKind::Container => self.containers(),
            SubjectKind::Image => self.images(),
            SubjectKind::Network => snapshot.networks.as_ref().map(|all| {
                all.iter()
                    .map(|n| entry(kind, "network", n, n.name.as_deref(), n.id.as_deref()))
                    .collect()
            }),
            SubjectKind::Volume => snapshot.volumes.as_ref().map(|all| {
                all.iter()
                    .map(|v| entry(kind, "volume", v, v.name.as_deref(), v.name.as_deref()))
                    .collect()
            }),
            SubjectKind::Service => snapshot.services.as_ref().map(|all| {
                all.iter()
                    .map(|s| entry(kind, "service", s, s.name.as_deref(), s.id.as_deref()))
                    .collect()
            }),
            SubjectKind::File => snapshot.files.as_ref().map(|all| {
                let name = |f: &'a File| f.path.as_deref().or(f.role.as_deref());
                all.iter().map(|f| entry(kind, "file", f, name(f), name(f))).collect()
            }),
        };
        let gap = snapshot
            .gaps
            .iter()
            .find(|gap| gap.kind == kind && gap.id.is_empty() && gap.fact.is_empty())
            .cloned();
        // A list that is not there is unknown, also when nobody recorded why: never "nothing to verify".
        let gap = gap.or_else(|| entries.is_none().then(|| unlisted(kind)));
        Subjects { entries: entries.unwrap_or_default(), gap }
    }

    fn containers(&self) -> Option<Vec<Entry>> {
        // Made once and shared: many containers run the same image.
        let images: HashMap<&str, Value> = self
            .snapshot
            .images
            .iter()
            .flatten()
            .filter_map(|image| Some((image.id.as_deref()?, value(image))))
            .collect();
        let all = self.snapshot.containers.as_ref()?;
        Some(
            all.iter()
                .map(|container| {
                    let name = container.name.as_deref();
                    let id = container.id.as_deref();
                    let mut entry = entry(SubjectKind::Container, "container", container, name, id);
                    let image = container.image_id.as_deref().and_then(|id| images.get(id));
                    if let Some(image) = image {
                        entry.variables.push(("image", image.clone()));
                        entry.image_id.clone_from(&container.image_id);
                    }
                    entry
                })
                .collect(),
        )
    }

    fn images(&self) -> Option<Vec<Entry>> {
        let containers = self.snapshot.containers.as_ref().map(|all| {
            let mut by_image: HashMap<&str, Vec<Value>> = HashMap::new();
            for container in all {
                if let Some(id) = container.image_id.as_deref() {
                    by_image.entry(id).or_default().push(value(container));
                }
            }
            by_image
                .into_iter()
                .map(|(id, mine)| (id, Value::List(Arc::new(mine))))
                .collect::<HashMap<_, _>>()
        });
        let all = self.snapshot.images.as_ref()?;
        Some(
            all.iter()
                .map(|image| {
                    let id = image.id.as_deref();
                    let name =
                        image.tags.as_ref().and_then(|tags| tags.first()).map(String::as_str);
                    let mut entry = entry(SubjectKind::Image, "image", image, name.or(id), id);
                    // Shadows the list of all containers; unknown stays unknown.
                    if let Some(containers) = &containers {
                        let mine = id.and_then(|id| containers.get(id)).cloned();
                        let mine = mine.unwrap_or_else(|| Value::List(Arc::default()));
                        entry.variables.push(("containers", mine));
                    }
                    entry
                })
                .collect(),
        )
    }

    /// The gaps behind facts that an expression reads for a subject.
    pub(crate) fn gaps<'s>(
        &'s self,
        entry: &'s Entry,
        places: impl Iterator<Item = &'s Place> + 's,
    ) -> impl Iterator<Item = &'s Gap> + 's {
        places.flat_map(move |(variable, path)| {
            let of_kind = whose(variable, entry).and_then(|(kind, id)| {
                let gaps = self.gaps.get(&kind)?;
                let of = |id: &str| gaps.by_id.get(id).map(Vec::as_slice).unwrap_or_default();
                Some(match id {
                    // How many there are depends on the list alone, not on facts of its elements.
                    None if path.is_empty() => (of(""), &[][..]),
                    None => (gaps.all.as_slice(), &[][..]),
                    Some("") => (of(""), &[][..]),
                    // A fact that is missing for all of a kind is missing for each of them.
                    Some(id) => (of(id), of("")),
                })
            });
            let (own, shared) = of_kind.unwrap_or_default();
            let shared = shared.iter().filter(|gap| !gap.fact.is_empty());
            own.iter().chain(shared).copied().filter(move |gap| related(&gap.fact, path))
        })
    }
}

/// The gaps of one kind of subject, found by id: a snapshot may have very many.
#[derive(Default)]
struct GapsOfKind<'a> {
    all: Vec<&'a Gap>,
    by_id: HashMap<&'a str, Vec<&'a Gap>>,
}

fn index(gaps: &[Gap]) -> BTreeMap<SubjectKind, GapsOfKind<'_>> {
    let mut index: BTreeMap<SubjectKind, GapsOfKind<'_>> = BTreeMap::new();
    for gap in gaps {
        let of_kind = index.entry(gap.kind).or_default();
        of_kind.all.push(gap);
        of_kind.by_id.entry(&gap.id).or_default().push(gap);
    }
    index
}

/// The gap of a list that is absent without a recorded reason.
fn unlisted(kind: SubjectKind) -> Gap {
    Gap {
        kind,
        id: String::new(),
        fact: String::new(),
        cause: Cause::Missing,
        detail: format!("the snapshot has no list of {kind}s"),
    }
}

fn entry<T: Serialize>(
    kind: SubjectKind,
    variable: &'static str,
    facts: &T,
    name: Option<&str>,
    id: Option<&str>,
) -> Entry {
    let id = id.unwrap_or_default().to_owned();
    let name = name.map_or_else(|| id.clone(), str::to_owned);
    Entry {
        subject: Subject { kind, name, id },
        variables: vec![(variable, value(facts))],
        image_id: None,
    }
}

/// Whose facts a variable holds for a subject: the kind, and the id unless it holds all of the kind.
///
/// A gap of a whole kind has no id: it concerns lists of the kind, not a single subject that is there.
fn whose<'e>(variable: &str, entry: &'e Entry) -> Option<(SubjectKind, Option<&'e str>)> {
    let own = Some(entry.subject.id.as_str());
    Some(match variable {
        "host" => (SubjectKind::Host, Some("")),
        "engine" => (SubjectKind::Engine, Some("")),
        "swarm" => (SubjectKind::Swarm, Some("")),
        "container" => (SubjectKind::Container, own),
        "image" if entry.subject.kind == SubjectKind::Container => {
            (SubjectKind::Image, Some(entry.image_id.as_deref()?))
        }
        "image" => (SubjectKind::Image, own),
        "network" => (SubjectKind::Network, own),
        "volume" => (SubjectKind::Volume, own),
        "service" => (SubjectKind::Service, own),
        "file" => (SubjectKind::File, own),
        "containers" => (SubjectKind::Container, None),
        "images" => (SubjectKind::Image, None),
        "networks" => (SubjectKind::Network, None),
        "volumes" => (SubjectKind::Volume, None),
        "services" => (SubjectKind::Service, None),
        "files" => (SubjectKind::File, None),
        _ => return None,
    })
}

/// Whether one path leads to or through the other.
fn related(fact: &str, path: &[String]) -> bool {
    fact.split('.').filter(|part| !part.is_empty()).zip(path).all(|(a, b)| a == b)
}
