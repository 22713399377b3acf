//! `haechi policy`: write a commented policy, validate one.

use std::io::Write;

use haechi_core::policy::TEMPLATE;

use crate::args::Policy;
use crate::failure::Failure;
use crate::setting::{Setting, read_policy};
use crate::{exit, output};

pub fn run(command: &Policy, setting: &Setting) -> anyhow::Result<u8> {
    match command {
        Policy::Init { file: None } => {
            output::stdout(|out| Ok(out.write_all(TEMPLATE.as_bytes())?))?
        }
        Policy::Init { file: Some(path) } => {
            let mut file = match std::fs::File::create_new(path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    return Err(Failure::Exists(path.display().to_string()).into());
                }
                Err(error) => return Err(Failure::file(path, error).into()),
            };
            file.write_all(TEMPLATE.as_bytes()).map_err(|e| Failure::file(path, e))?;
            setting.note("policy-written", &[("path", &path.display().to_string())]);
        }
        Policy::Check { file } => match file.clone().or_else(|| setting.policy_file()) {
            Some(path) => {
                read_policy(&path)?;
                setting.note("policy-valid", &[("path", &path.display().to_string())]);
            }
            None => setting.note("policy-defaults", &[]),
        },
    }
    Ok(exit::CLEAN)
}
