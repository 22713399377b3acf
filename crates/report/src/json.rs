//! The report as it is, for programs, and the JSON Schemas of what Haechi reads and writes.
//!
//! The schemas are committed in `docs/schema/`; a test proves that the committed files are fresh.

use std::io::Write;

use haechi_core::activity::{ACTIVITY_SCHEMA, Activity};
use haechi_core::alert::{ALERT_SCHEMA, Alert};
use haechi_core::event::{EVENT_SCHEMA, EventLine};
use haechi_core::facts::SNAPSHOT_SCHEMA;
use haechi_core::profile::{PROFILE_SCHEMA, Profile};
use haechi_core::report::REPORT_SCHEMA;
use haechi_core::response::{ACTION_SCHEMA, Action};
use haechi_core::{Report, Snapshot};
use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::RenderError;

/// Writes the report as indented JSON.
///
/// # Errors
/// The writer refused.
pub fn write(report: &Report<String>, out: &mut dyn Write) -> Result<(), RenderError> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    Ok(writeln!(out)?)
}

/// The JSON Schema of a report in one language, as [`write()`] writes it.
pub fn report_schema() -> Value {
    versioned::<Report<String>>("Haechi report", REPORT_SCHEMA)
}

/// The JSON Schema of a snapshot.
pub fn snapshot_schema() -> Value {
    versioned::<Snapshot>("Haechi snapshot", SNAPSHOT_SCHEMA)
}

/// The JSON Schema of what was learned of a workload.
pub fn profile_schema() -> Value {
    versioned::<Profile>("Haechi profile", PROFILE_SCHEMA)
}

/// The JSON Schema of an alert of the monitor.
pub fn alert_schema() -> Value {
    versioned::<Alert>("Haechi alert", ALERT_SCHEMA)
}

/// The JSON Schema of an answer to an alert.
pub fn action_schema() -> Value {
    versioned::<Action>("Haechi action", ACTION_SCHEMA)
}

/// The JSON Schema of an event that the monitor shows.
pub fn event_schema() -> Value {
    versioned::<EventLine>("Haechi event", EVENT_SCHEMA)
}

/// The JSON Schema of something that was done through the engine.
pub fn activity_schema() -> Value {
    versioned::<Line<Activity>>("Haechi activity", ACTIVITY_SCHEMA)
}

/// Something whose type has no name of its format, as it is written.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is asked for")]
struct Line<T> {
    /// Format and version.
    schema: String,
    #[serde(flatten)]
    value: T,
}

pub(crate) fn versioned<T: JsonSchema>(title: &str, version: &str) -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), json!(title));
    }
    if let Some(field) = schema.pointer_mut("/properties/schema").and_then(Value::as_object_mut) {
        field.insert("const".to_owned(), json!(version));
    }
    schema
}
