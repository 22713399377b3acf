//! A snapshot and a policy as the variables that expressions read, and the subjects that checks are about.
//!
//! Each fact is turned into a value of the expression language once, however many checks read it. Joins that
//! checks need (a container's image, an image's containers) are made here.

use cel::{Context, Value};
use haechi_core::facts::{Gap, Snapshot};
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
        Self { snapshot, host, shared }
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
            SubjectKind::Engine => one(snapshot.engine.kind.as_deref().unwrap_or("engine"), &self.host.id),
            SubjectKind::Swarm => one("swarm", snapshot.swarm.id.as_deref().unwrap_or_default()),
            SubjectKind::Container => self.containers(),
            SubjectKind::Image => self.images(),
            SubjectKind::Network => snapshot.networks.as_ref().map(|all| {
                all.iter().map(|n| entry(kind, "network", n, n.name.as_deref(), n.id.as_deref())).collect()
            }),
            SubjectKind::Volume => snapshot.volumes.as_ref().map(|all| {
                all.iter().map(|v| entry(kind, "volume", v, v.name.as_deref(), v.name.as_deref())).collect()
            }),
            SubjectKind::Service => snapshot.services.as_ref().map(|all| {
                all.iter().map(|s| entry(kind, "service", s, s.name.as_deref(), s.id.as_deref())).collect()
            }),
            SubjectKind::File => snapshot.files.as_ref().map(|all| {
                all.iter().map(|f| entry(kind, "file", f, f.path.as_deref(), f.path.as_deref())).collect()
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
        let images = self.snapshot.images.as_deref().unwrap_or_default();
        let all = self.snapshot.containers.as_ref()?;
        Some(
            all.iter()
                .map(|container| {
                    let name = container.name.as_deref();
                    let id = container.id.as_deref();
                    let mut entry = entry(SubjectKind::Container, "container", container, name, id);
                    let image = images.iter().find(|i| i.id.is_some() && i.id == container.image_id);
                    if let Some(image) = image {
                        entry.variables.push(("image", value(image)));
                        entry.image_id.clone_from(&image.id);
                    }
                    entry
                })
                .collect(),
        )
    }

    fn images(&self) -> Option<Vec<Entry>> {
        let containers = self.snapshot.containers.as_ref();
        let all = self.snapshot.images.as_ref()?;
        Some(
            all.iter()
                .map(|image| {
                    let id = image.id.as_deref();
                    let name = image.tags.as_ref().and_then(|tags| tags.first()).map(String::as_str);
                    let mut entry = entry(SubjectKind::Image, "image", image, name.or(id), id);
                    // Shadows the list of all containers; unknown stays unknown.
                    if let Some(containers) = containers {
                        let mine: Vec<_> = containers
                            .iter()
                            .filter(|c| c.image_id.is_some() && c.image_id == image.id)
                            .collect();
                        entry.variables.push(("containers", value(&mine)));
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
        places.flat_map(move |place| {
            self.snapshot.gaps.iter().filter(move |gap| concerns(gap, entry, place))
        })
    }
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

/// Whether a gap is about a fact that is read at `place` for the subject of `entry`.
fn concerns(gap: &Gap, entry: &Entry, (variable, path): &Place) -> bool {
    let (kind, id) = match variable.as_str() {
        "host" => (SubjectKind::Host, Some("")),
        "engine" => (SubjectKind::Engine, Some("")),
        "swarm" => (SubjectKind::Swarm, Some("")),
        "container" => (SubjectKind::Container, Some(entry.subject.id.as_str())),
        "image" if entry.subject.kind == SubjectKind::Container => {
            (SubjectKind::Image, Some(entry.image_id.as_deref().unwrap_or_default()))
        }
        "image" => (SubjectKind::Image, Some(entry.subject.id.as_str())),
        "network" => (SubjectKind::Network, Some(entry.subject.id.as_str())),
        "volume" => (SubjectKind::Volume, Some(entry.subject.id.as_str())),
        "service" => (SubjectKind::Service, Some(entry.subject.id.as_str())),
        "file" => (SubjectKind::File, Some(entry.subject.id.as_str())),
        "containers" => (SubjectKind::Container, None),
        "images" => (SubjectKind::Image, None),
        "networks" => (SubjectKind::Network, None),
        "volumes" => (SubjectKind::Volume, None),
        "services" => (SubjectKind::Service, None),
        "files" => (SubjectKind::File, None),
        _ => return false,
    };
    if gap.kind != kind {
        return false;
    }
    // A gap of the whole kind concerns each of its subjects only as a list, not one that is there.
    let same = match id {
        Some("") => gap.id.is_empty(),
        Some(id) => gap.id == id,
        None => true,
    };
    same && related(&gap.fact, path)
}

/// Whether one path leads to or through the other.
fn related(fact: &str, path: &[String]) -> bool {
    fact.split('.').filter(|part| !part.is_empty()).zip(path).all(|(a, b)| a == b)
}
