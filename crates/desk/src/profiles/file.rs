//! Files that follow from a profile, made by Haechi's own command.

use std::time::Duration;

use haechi_core::text::visible;
use haechi_protocol::{FileKind, MadeFile, MakeFile, Refusal};
use haechi_store::ProfileId;
use tokio::io::AsyncReadExt;

use crate::accounts::Caller;
use crate::{Desk, unavailable};

/// Taking an image apart takes a while; whoever asks waits for it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of a file, and of what is said about it.
const FILE_MAX: u64 = 16 << 20;
const SAID_MAX: u64 = 64 << 10;
/// Lines that are said at most, each of so many letters.
const LINES: usize = 40;
const LETTERS: usize = 500;

/// Answers [`MakeFile`].
pub(crate) async fn make(
    desk: &Desk,
    _caller: &Caller,
    question: &MakeFile,
) -> Result<MadeFile, Refusal> {
    let all = desk.setup.store.workloads().await.map_err(unavailable)?;
    if !all.iter().any(|(number, _)| *number == ProfileId(question.number)) {
        return Err(Refusal::Missing);
    }
    let number = question.number.to_string();
    let (words, name): (&[&str], String) = match question.kind {
        FileKind::Seccomp => (&["seccomp"], format!("profile-{number}.seccomp.json")),
        FileKind::Apparmor => (&["apparmor"], format!("profile-{number}.apparmor")),
        FileKind::Docker => (&["run", "--format", "docker"], format!("profile-{number}.sh")),
        FileKind::Compose => {
            (&["run", "--format", "compose"], format!("profile-{number}.compose.yaml"))
        }
        FileKind::Kubernetes => {
            (&["run", "--format", "kubernetes"], format!("profile-{number}.kubernetes.yaml"))
        }
        FileKind::Vex => (&["vex"], format!("profile-{number}.openvex.json")),
    };
    // A container may be called by a number, but not by this.
    let target = format!("#{number}");
    let arguments = [&["profile"], words, &[target.as_str()]].concat();
    let mut child = desk.jobs.command(&arguments).spawn().map_err(unavailable)?;
    let (mut content, mut said) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async {
        let out = async {
            match stdout {
                Some(out) => out.take(FILE_MAX).read_to_end(&mut content).await,
                None => Ok(0),
            }
        };
        let err = async {
            match stderr {
                Some(err) => err.take(SAID_MAX).read_to_end(&mut said).await,
                None => Ok(0),
            }
        };
        let (out, err) = tokio::join!(out, err);
        out.and(err)?;
        child.wait().await
    };
    let status = tokio::time::timeout(PATIENCE, reading)
        .await
        .map_err(|_| unavailable("making a file took too long"))?
        .map_err(unavailable)?;
    let content = String::from_utf8(content).map_err(unavailable)?;
    let said = String::from_utf8_lossy(&said);
    let short = |line: &str| visible(&line.chars().take(LETTERS).collect::<String>()).into_owned();
    let said = said.lines().filter(|line| !line.trim().is_empty()).take(LINES).map(short).collect();
    // What a process printed before it failed is no file.
    let content = Some(content).filter(|text| status.success() && !text.trim().is_empty());
    Ok(MadeFile { name, content, said })
}
