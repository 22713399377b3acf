//! An engine that misbehaves: a proxy before the real one that delays, changes or refuses single answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::engine::SOCKET;

/// What becomes of a request.
pub enum Answer {
    /// The engine's own answer.
    Forward,
    /// None, ever.
    Hang,
    /// This status and text.
    Say(u16, String),
    /// The engine's answer, changed.
    Edit(fn(&mut Value)),
}

type Rule = dyn Fn(&str) -> Answer + Send + Sync;

/// A proxy on a socket of its own, as long as the test lives.
pub struct Proxy {
    /// How Haechi finds it.
    pub url: String,
    _dir: Option<TempDir>,
}

impl Proxy {
    /// On a Unix socket. The rule gets the path of a call without version and query: `/containers/ID/json`.
    pub fn unix(rule: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let rule: Arc<Rule> = Arc::new(rule);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let rule = rule.clone();
                thread::spawn(move || serve(stream.try_clone().unwrap(), stream, &*rule));
            }
        });
        Self { url: format!("unix://{}", path.display()), _dir: Some(dir) }
    }

    /// On a loopback port.
    pub fn tcp(rule: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let rule: Arc<Rule> = Arc::new(rule);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let rule = rule.clone();
                let writer: TcpStream = stream.try_clone().unwrap();
                thread::spawn(move || serve(stream, writer, &*rule));
            }
        });
        Self { url: format!("tcp://127.0.0.1:{port}"), _dir: None }
    }
}

/// Serves one connection: one request, one answer.
fn serve(reader: impl Read, mut writer: impl Write, rule: &Rule) {
    // The client may leave at any moment: that is its right.
    let _ = answer(reader, &mut writer, rule);
}

fn answer(reader: impl Read, writer: &mut impl Write, rule: &Rule) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if line.is_empty() {
        return Ok(());
    }
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? <= 2 {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    match rule(&plain(&target)) {
        Answer::Forward => writer.write_all(&ask(&line, &body)?),
        // Until the test's process ends.
        Answer::Hang => loop {
            thread::park();
        },
        Answer::Say(status, text) => say(writer, status, &text),
        Answer::Edit(edit) => {
            let (status, mut value) = parse(&ask(&line, &body)?);
            edit(&mut value);
            say(writer, status, &value.to_string())
        }
    }
}

/// `/v1.41/info?x=y` is `/info`.
fn plain(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let mut parts = path.splitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(""), Some(version), Some(rest)) if version.starts_with("v1.") => format!("/{rest}"),
        _ => path.to_owned(),
    }
}

/// The id of a container that a call asks about.
pub fn id_in(path: &str) -> Option<&str> {
    path.strip_prefix("/containers/")?.strip_suffix("/json")
}

fn ask(line: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut engine = UnixStream::connect(SOCKET)?;
    let length = body.len();
    let head =
        format!("{line}Host: docker\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    engine.write_all(head.as_bytes())?;
    engine.write_all(body)?;
    let mut answer = Vec::new();
    engine.read_to_end(&mut answer)?;
    Ok(answer)
}

fn say(writer: &mut impl Write, status: u16, text: &str) -> io::Result<()> {
    write!(
        writer,
        "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{text}",
        text.len()
    )
}

/// Status and JSON of an answer, in chunks or not.
fn parse(answer: &[u8]) -> (u16, Value) {
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let (head, mut body) =
        (String::from_utf8_lossy(answer.get(..split).unwrap()), &answer[split + 4..]);
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap();
    let mut whole = Vec::new();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        loop {
            let end = body.windows(2).position(|w| w == b"\r\n").unwrap();
            let size = std::str::from_utf8(&body[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                break;
            }
            whole.extend_from_slice(&body[end + 2..end + 2 + size]);
            body = &body[end + 2 + size + 2..];
        }
    } else {
        whole = body.to_vec();
    }
    (status, serde_json::from_slice(&whole).unwrap_or(Value::Null))
}
