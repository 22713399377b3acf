//! An image's configuration (<https://github.com/opencontainers/image-spec/blob/main/config.md>): who it runs as, how it
//! was built, which layers it has.
//!
//! Read field by field: one field of an unexpected type costs that field, not the image. Duplicate keys: the last
//! one counts, as in every engine.

use serde_json::Value;

/// Largest configuration that is read.
pub const SIZE_MAX: usize = 8 << 20;

/// What is used of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Architecture, with variant: `arm64/v8`.
    pub architecture: String,
    /// Operating system.
    pub os: String,
    /// When it was made.
    pub created: String,
    /// `User`; empty means root.
    pub user: String,
    /// Environment, with values. Not to be kept.
    pub env: Vec<(String, String)>,
    /// Labels. Not to be kept.
    pub labels: Vec<(String, String)>,
    /// Build steps, oldest first: the command, and whether it made a layer.
    pub history: Vec<(String, bool)>,
    /// Digests of the uncompressed layers, base first.
    pub diff_ids: Vec<String>,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// It is no JSON object, or names no layers.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        if json.len() > SIZE_MAX {
            return Err(format!("the configuration has more than {SIZE_MAX} bytes"));
        }
        let value: Value = serde_json::from_slice(json)
            .map_err(|error| format!("the configuration is no JSON: {error}"))?;
        if !value.is_object() {
            return Err("the configuration is no JSON object".into());
        }
        let settings = value.get("config");
        let variant = text(value.get("variant"));
        let mut architecture = text(value.get("architecture"));
        if !variant.is_empty() {
            architecture = format!("{architecture}/{variant}");
        }
        let diff_ids = value
            .pointer("/rootfs/diff_ids")
            .and_then(Value::as_array)
            .ok_or("the configuration names no layers (rootfs.diff_ids)")?;
        Ok(Self {
            architecture,
            os: text(value.get("os")),
            created: text(value.get("created")),
            user: text(settings.and_then(|c| c.get("User"))),
            env: list(settings.and_then(|c| c.get("Env")))
                .map(|entry| {
                    let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
                    (name.to_owned(), value.to_owned())
                })
                .collect(),
            labels: settings
                .and_then(|c| c.get("Labels"))
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), text(Some(value))))
                .collect(),
            history: value
                .get("history")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|step| {
                    let empty = step.get("empty_layer").and_then(Value::as_bool).unwrap_or(false);
                    (text(step.get("created_by")), !empty)
                })
                .collect(),
            diff_ids: diff_ids.iter().map(|id| text(Some(id))).collect(),
        })
    }

    /// The build step behind each layer; empty where history does not fit the layers.
    pub fn steps(&self) -> Vec<String> {
        let steps: Vec<String> =
            self.history.iter().filter(|(_, layer)| *layer).map(|(step, _)| step.clone()).collect();
        if steps.len() == self.diff_ids.len() {
            steps
        } else {
            vec![String::new(); self.diff_ids.len()]
        }
    }
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_read() {
        let json = br#"{"architecture":"arm","variant":"v7","os":"linux","config":{"User":"app","Env":["A=b=c","D"],
            "Labels":{"x":"y"}},"history":[{"created_by":"a"},{"created_by":"b","empty_layer":true}],
            "rootfs":{"diff_ids":["sha256:1"]}}"#;
        let config = Config::parse(json);
        assert_eq!(
            config,
            Ok(Config {
                architecture: "arm/v7".into(),
                os: "linux".into(),
                user: "app".into(),
                env: vec![("A".into(), "b=c".into()), ("D".into(), String::new())],
                labels: vec![("x".into(), "y".into())],
                history: vec![("a".into(), true), ("b".into(), false)],
                diff_ids: vec!["sha256:1".into()],
                ..Config::default()
            })
        );
        assert_eq!(config.map(|c| c.steps()), Ok(vec!["a".into()]));
    }

    #[test]
    fn what_is_no_configuration_is_an_error() {
        assert!(Config::parse(b"[]").is_err());
        assert!(Config::parse(b"{}").is_err());
        assert!(Config::parse(b"{").is_err());
    }
}
