//! Swarm services: image, environment, labels and secrets that they use.
//!
//! Only what a manager tells; the tasks of a service on this machine are containers.

use haechi_core::facts::Service;
use haechi_core::finding::SubjectKind;
use serde_json::Value;

use super::json::{Absent, Reader, text_at};
use super::{ApiError, Scene};
use crate::redact;

/// The services, sorted by name; `None` with a gap if they are not known.
pub(super) fn build(scene: Scene<'_>, list: Result<Value, ApiError>) -> Option<Vec<Service>> {
    let items = super::items(scene.gaps, SubjectKind::Service, list, "")?;
    let mut services: Vec<Service> = items.iter().map(|item| service(scene, item)).collect();
    services.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Some(services)
}

fn service(scene: Scene<'_>, value: &Value) -> Service {
    let id = text_at(value, "ID");
    let reader = Reader::new(value, scene.gaps, SubjectKind::Service, id);
    let spec = "Spec.TaskTemplate.ContainerSpec";
    let labels = || {
        let mut labels = reader.map("Spec.Labels", "suspicious_labels")?;
        labels.extend(reader.map(&format!("{spec}.Labels"), "suspicious_labels")?);
        let suspicious = |(name, value): &(String, String)| {
            redact::secret_kind(name, value).is_some() || redact::holds_secret(value)
        };
        let mut names: Vec<String> =
            labels.into_iter().filter(suspicious).map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        Some(names)
    };
    let secrets = || {
        let name = |secret: &Value| text_at(secret, "SecretName").to_owned();
        let secrets = reader.list(&format!("{spec}.Secrets"), "secrets")?;
        Some(secrets.iter().map(name).collect())
    };
    Service {
        id: Some(id.to_owned()),
        name: reader.text("Spec.Name", "name", Absent::Unknown),
        // A service that runs a plugin or is attached to a network has no container.
        image_ref: reader.text(&format!("{spec}.Image"), "image_ref", Absent::Means("")),
        env: reader
            .texts(&format!("{spec}.Env"), "env")
            .map(|variables| redact::environment(&variables)),
        suspicious_labels: labels(),
        secrets: secrets(),
    }
}
