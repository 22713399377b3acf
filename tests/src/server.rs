//! A web server that answers as a test says.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// Status: 200.
    pub status: u16,
    /// Header lines: `etag: "a"`.
    pub headers: Vec<String>,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Only a status.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A body.
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into() }
    }

    /// With a header line.
    pub fn header(mut self, line: impl Into<String>) -> Self {
        self.headers.push(line.into());
        self
    }
}

/// A server, as long as the test's process lives.
pub struct Server {
    /// Its address.
    pub url: String,
    /// The heads of all requests so far, lower-case but for the first line.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts one. The rule gets path with query, and head.
    pub fn start(rule: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let (log, rule) = (Arc::clone(&seen), Arc::new(rule));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, rule) = (Arc::clone(&log), Arc::clone(&rule));
                // Whoever is killed in the middle reads no answer; that ends the thread only.
                thread::spawn(move || answer(stream, &*rule, &log));
            }
        });
        Self { url, seen }
    }

    /// How many requests had this in their head.
    pub fn count(&self, what: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|head| head.contains(what)).count()
    }
}

fn answer(
    mut stream: TcpStream,
    rule: &(dyn Fn(&str, &str) -> Reply + Send + Sync),
    log: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while lines.read_line(&mut head).ok()? > 2 {}
    log.lock().unwrap().push(head.clone());
    let path = head.split(' ').nth(1)?;
    let reply = rule(path, &head);
    let mut text = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", reply.status);
    reply.headers.iter().for_each(|line| text.push_str(&format!("{line}\r\n")));
    text.push_str(&format!("content-length: {}\r\n\r\n", reply.body.len()));
    stream.write_all(text.as_bytes()).ok()?;
    stream.write_all(&reply.body).ok()
}
