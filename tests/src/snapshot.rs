//! Snapshots that tests change: a real one of this host, with other facts in it.

use std::path::PathBuf;
use std::sync::OnceLock;

use haechi_core::Report;
use serde_json::{Value, json};

use crate::program::{Done, Haechi};

/// Facts of this host, collected once, as JSON.
#[derive(Clone)]
pub struct Snapshot {
    /// The facts.
    pub json: Value,
}

impl Snapshot {
    /// This host as it is.
    pub fn real() -> Self {
        static REAL: OnceLock<Value> = OnceLock::new();
        let collect = || Haechi::new(&["collect"]).lab_policy().run().must_end_with(0).json();
        Self { json: REAL.get_or_init(collect).clone() }
    }

    /// The same with a fact changed; the path is a JSON pointer, and what is missing on it is made.
    pub fn with(mut self, pointer: &str, fact: Value) -> Self {
        let mut place = &mut self.json;
        for key in pointer.split('/').skip(1) {
            place = match (place.is_array(), key.parse::<usize>()) {
                (true, Ok(index)) => &mut place[index],
                _ => {
                    if !place.is_object() {
                        *place = json!({});
                    }
                    &mut place[key]
                }
            };
        }
        *place = fact;
        self.known(pointer)
    }

    /// Forgets gaps about what is known now.
    fn known(mut self, pointer: &str) -> Self {
        let kind = pointer.split('/').nth(1).unwrap_or_default().to_owned();
        if let Some(gaps) = self.json["gaps"].as_array_mut() {
            gaps.retain(|gap| gap["kind"].as_str() != Some(&kind));
        }
        self
    }

    /// The pointer of a container, for [`Snapshot::with`].
    pub fn container(&self, name: &str) -> String {
        let all = self.json["containers"].as_array().expect("the engine's containers were seen");
        let at = all.iter().position(|c| c["name"] == name);
        format!("/containers/{}", at.unwrap_or_else(|| panic!("no container {name}")))
    }

    /// Verifies it against a benchmark, in JSON.
    pub fn verify(&self, benchmark: &str) -> Report<String> {
        self.run(&["--benchmark", benchmark, "--format", "json"]).report()
    }

    /// Verifies it.
    pub fn run(&self, arguments: &[&str]) -> Done {
        verify_text(&self.json.to_string(), arguments)
    }
}

/// Verifies any text as a snapshot.
pub fn verify_text(text: &str, arguments: &[&str]) -> Done {
    let mut haechi =
        Haechi::new(&[["verify", "--snapshot", "given.json"].as_slice(), arguments].concat());
    let path: PathBuf = haechi.dir().join("given.json");
    std::fs::write(path, text).unwrap();
    haechi.run()
}

/// A container as facts: everything observed, nothing wrong with it, and this name.
pub fn container_named(name: &str) -> Value {
    let real = Snapshot::real();
    let mut container = real.json.pointer(&real.container("haechi-lab-exemplary")).unwrap().clone();
    container["name"] = json!(name);
    container
}
