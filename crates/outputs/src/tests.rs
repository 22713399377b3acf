//! What is sent arrives, whole and signed; what cannot be sent is counted; nobody waits.

use std::os::unix::fs::PermissionsExt;

use haechi_core::alert::{ALERT_SCHEMA, AlertContainer, Priority};
use haechi_core::event::{self, Event};
use haechi_core::response::{ACTION_SCHEMA, Outcome, Response, Speed};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram};

use super::*;

fn alert(text: &str) -> Alert {
    Alert {
        schema: ALERT_SCHEMA.into(),
        at: Timestamp::from_nanosecond(1_800_000_000_123_456_789).unwrap(),
        rule: "Shell".into(),
        priority: Priority::Critical,
        text: text.into(),
        tags: Vec::new(),
        checks: vec!["no-shell".into()],
        container: AlertContainer {
            id: "a".repeat(64),
            name: "web".into(),
            image: "nginx".into(),
            ..AlertContainer::default()
        },
        program: "/bin/sh".into(),
        command: "sh".into(),
        ancestors: Vec::new(),
        event: Event {
            at: 0,
            cgroup: 0,
            process: event::Process::default(),
            call: "execve".into(),
            result: 0,
            action: event::Action::Exit(0),
        },
    }
}

fn action() -> Action {
    Action {
        schema: ACTION_SCHEMA.into(),
        at: Timestamp::from_second(1_800_000_000).unwrap(),
        response: Response::Pause,
        container: AlertContainer::default(),
        pid: 0,
        rule: "Shell".into(),
        cause: "because".into(),
        outcome: Outcome::Failed("no".into()),
        speed: Speed::default(),
        until: None,
        evidence: None,
    }
}

async fn syslog(address: SyslogAddress) -> Outputs {
    let syslog = Syslog { host: "my host".into(), ..Syslog::new(address) };
    Outputs::new(Config { syslog: Some(syslog), ..Config::default() }).await.unwrap()
}

#[test]
fn a_message_is_one_line_as_the_standard_has_it() {
    let config =
        Syslog { address: SyslogAddress::Udp("x:1".into()), facility: 10, host: "my host".into() };
    let line = syslog::line(&config, &Message::Alert(Box::new(alert("a\nb\u{1b}[0m"))));
    let id = std::process::id();
    let expected = format!(
        "<82>1 2027-01-15T08:00:00.123456Z myhost haechi {id} alert - \u{feff}Shell: a\\nb\\u{{1b}}[0m \
         checks=no-shell container=web id=aaaaaaaaaaaa image=nginx"
    );
    assert_eq!(line.replace("\\u{a}", "\\n"), expected);
    let line = syslog::line(&config, &Message::Action(Box::new(action())));
    assert!(line.starts_with("<83>1 ") && line.contains("pause failed (no): Shell"), "{line}");
}

#[test]
fn addresses_of_syslog_are_understood_or_refused() {
    for good in ["unix:///dev/log", "udp://log.example:514", "tcp://[::1]:601"] {
        good.parse::<SyslogAddress>().unwrap();
    }
    for bad in ["", "/dev/log", "unix://x", "udp://host", "udp://:514", "tls://h:1", "tcp://h:0"] {
        assert!(bad.parse::<SyslogAddress>().is_err(), "{bad}");
    }
    assert!(
        Syslog { facility: 24, ..Syslog::new(SyslogAddress::Udp("x:1".into())) }.check().is_err()
    );
}

#[tokio::test]
async fn datagrams_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let outputs = syslog(SyslogAddress::Unix(path.clone())).await;
    outputs.alert(&alert("before the server"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    // The server comes later, and nothing is lost.
    let server = UnixDatagram::bind(&path).unwrap();
    let mut bytes = [0; 10_000];
    let length = server.recv(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert!(text.contains("before the server"), "{text}");
    assert_eq!(outputs.close().await, 0);

    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let outputs = syslog(SyslogAddress::Udp(server.local_addr().unwrap().to_string())).await;
    outputs.alert(&alert(&"é".repeat(9000)));
    let length = server.recv(&mut bytes).await.unwrap();
    assert!(length <= 2048 && std::str::from_utf8(&bytes[..length]).is_ok(), "{length}");
    assert_eq!(outputs.close().await, 0);
}

#[tokio::test]
async fn a_stream_is_counted_in_octets_and_taken_up_again() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let outputs = syslog(SyslogAddress::Tcp(server.local_addr().unwrap().to_string())).await;
    for round in ["first", "second"] {
        outputs.alert(&alert(round));
        let (mut stream, _) = server.accept().await.unwrap();
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).await.unwrap();
        let text = std::str::from_utf8(&bytes[..length]).unwrap();
        let (count, line) = text.split_once(' ').unwrap();
        assert_eq!(count.parse::<usize>().unwrap(), line.len());
        assert!(line.contains(round));
        // The server goes away; the next message must not vanish with the old connection.
        drop(stream);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(outputs.close().await, 0);
}

/// Answers one request with a status; what was asked.
async fn answer(server: &TcpListener, status: &str) -> (String, Vec<u8>) {
    let (mut stream, _) = server.accept().await.unwrap();
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0);
        bytes.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
            break (head.to_owned(), length.unwrap().parse::<usize>().unwrap());
        }
    };
    while bytes.len() < head.len() + 4 + length {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap();
        bytes.extend_from_slice(&part[..read]);
    }
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    (head.to_ascii_lowercase(), bytes[head.len() + 4..].to_vec())
}

#[tokio::test]
async fn a_webhook_gets_signed_json_also_after_failures() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets.toml");
    let url = format!("http://{}/hook", server.local_addr().unwrap());
    let text = format!(
        "url = \"{url}\"\nsigning_key = \"key\"\n[headers]\nAuthorization = \"Bearer x\"\n"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let webhook = Webhook { url: None, secrets: Some(path) };
    let config = Config { webhook: Some(webhook), ..Config::default() };
    let outputs = Outputs::new(config).await.unwrap();
    outputs.alert(&alert("hello"));
    answer(&server, "503 Busy").await;
    let (head, body) = answer(&server, "204 Done").await;
    let value = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default().to_owned()
    };
    assert_eq!(serde_json::from_slice::<Alert>(&body).unwrap(), alert("hello"));
    assert_eq!(
        (value("authorization"), value("haechi-event")),
        ("bearer x".into(), "alert".into())
    );
    let signature = webhook::sign(b"key", &value("haechi-timestamp"), &body).unwrap();
    assert_eq!(value("haechi-signature"), format!("sha256={signature}"));
    // What is refused is given up at once, and what comes after it is sent.
    outputs.action(&action());
    let (head, _) = answer(&server, "400 No").await;
    assert!(head.contains("haechi-event: action"));
    outputs.alert(&alert("again"));
    answer(&server, "200 OK").await;
    let metrics = outputs.metrics().clone();
    assert_eq!(outputs.close().await, 1);
    let sent = metrics.of(Way::Webhook).sent.load(Ordering::Relaxed);
    assert_eq!(sent, 2);
    assert!(metrics.text().contains("haechi_output_dropped_total{output=\"webhook\"} 1"));
}

#[test]
fn the_signature_is_that_of_the_standard() {
    // RFC 4231, test case 7, whose data has a full stop in it.
    let before =
        "This is a test using a larger than block-size key and a larger than block-size data";
    let after = b" The key needs to be hashed before being used by the HMAC algorithm.";
    assert_eq!(
        webhook::sign(&[0xaa; 131], before, after).unwrap(),
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
    );
    assert_ne!(webhook::sign(b"a", "1", b"x"), webhook::sign(b"a", "1", b"y"));
    assert_ne!(webhook::sign(b"a", "1", b"x"), webhook::sign(b"b", "1", b"x"));
    assert_ne!(webhook::sign(b"a", "1", b"x"), webhook::sign(b"a", "2", b"x"));
}

#[tokio::test]
async fn nobody_waits_for_a_server_that_hangs() {
    // It accepts and says nothing.
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    let webhook = Webhook { url: Some(url), secrets: None };
    let config = Config { webhook: Some(webhook), ..Config::default() };
    let outputs = Outputs::new(config).await.unwrap();
    let before = std::time::Instant::now();
    let one = alert("x");
    for _ in 0..WAITING + 500 {
        outputs.alert(&one);
    }
    assert!(before.elapsed() < Duration::from_secs(5));
    let dropped = outputs.close().await;
    assert!(before.elapsed() < CLOSING + Duration::from_secs(10));
    assert_eq!(dropped, WAITING as u64 + 500, "all are counted");
}

#[tokio::test]
async fn secrets_that_others_can_read_are_refused_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets.toml");
    let new = async |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let webhook = Webhook { url: None, secrets: Some(path.clone()) };
        let made = Outputs::new(Config { webhook: Some(webhook), ..Config::default() }).await;
        made.map(drop).map_err(|error| error.to_string())
    };
    let good = "url = \"https://hooks.example/hunter2\"";
    assert_eq!(new(good, 0o600).await, Ok(()));
    for (text, mode) in [
        (good, 0o640),
        (good, 0o604),
        ("headers = \"hunter2\"", 0o600),
        ("url = \"hunter2\"", 0o600),
        ("url = \"ftp://hunter2\"", 0o600),
        ("unknown = \"hunter2\"", 0o600),
        ("\nheaders = {\"X\" = \"hunter2\\n\"}\nurl = \"http://x\"", 0o600),
        ("", 0o600),
    ] {
        let why = new(text, mode).await.unwrap_err();
        assert!(!why.contains("hunter2"), "{why}");
    }
}

#[tokio::test]
async fn metrics_are_offered_and_nothing_else() {
    let config = Config { metrics: Some(([127, 0, 0, 1], 0).into()), ..Config::default() };
    let outputs = Outputs::new(config).await.unwrap();
    outputs.alert(&alert("x"));
    let address = outputs.metrics_address().unwrap();
    for (request, status, has) in [
        (
            "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            "200",
            "alerts_total{priority=\"critical\"} 1",
        ),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404", ""),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405", ""),
        ("nonsense\r\n\r\n", "400", ""),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")) && text.contains(has), "{text}");
    }
    outputs.close().await;
    assert!(TcpStream::connect(address).await.is_err(), "closed");
}

#[tokio::test]
async fn udp_messages_go_on_when_somebody_listens_again() {
    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let outputs = syslog(SyslogAddress::Udp(address.to_string())).await;
    for number in 0..3 {
        outputs.alert(&alert(&format!("nobody {number}")));
    }
    // The first goes out unnoticed, the next one tells that nobody took it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let server = UdpSocket::bind(address).await.unwrap();
    outputs.alert(&alert("somebody"));
    // Nothing is lost.
    let mut bytes = [0; 4096];
    for text in ["nobody 0", "nobody 1", "nobody 2", "somebody"] {
        let length = server.recv(&mut bytes).await.unwrap();
        let line = String::from_utf8_lossy(&bytes[..length]).into_owned();
        assert!(line.contains(text), "{text}: {line}");
    }
    assert_eq!(outputs.close().await, 0);
}
