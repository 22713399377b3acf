//! A registry as a small server in the test: what it asks for, breaks off, and lies about.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::blobs::digest_like;

/// Heads of requests, in the order they came.
type Log = Arc<Mutex<Vec<String>>>;

/// Answers each request, by its head and how many came before; one request per connection.
async fn serve(answer: impl Fn(&str, usize) -> Vec<u8> + Send + Sync + 'static) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let log = Log::default();
    let kept = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && head.len() < 8192 {
                match socket.read(&mut byte).await {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
                // A TLS client is turned away.
                if head == [0x16] {
                    break;
                }
            }
            if head.first() == Some(&0x16) {
                continue;
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let count = kept.lock().unwrap().len();
            kept.lock().unwrap().push(head.clone());
            let _ = socket.write_all(&answer(&head, count)).await;
            let _ = socket.shutdown().await;
        }
    });
    (host, log)
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}").into_bytes();
    if !headers.contains("Content-Length") {
        out.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    out.extend(b"\r\n");
    out.extend(body);
    out
}

fn options() -> Options {
    Options {
        wait: Duration::from_millis(5),
        timeout: Duration::from_secs(10),
        ..Options::default()
    }
}

fn registry(host: &str) -> Registry {
    Registry::new(&format!("{host}/a/b:1"), &options()).unwrap()
}

fn layer(bytes: &[u8]) -> Descriptor {
    let size = u64::try_from(bytes.len()).unwrap();
    Descriptor { digest: digest_like("", bytes), size, ..Descriptor::default() }
}

async fn read(registry: &Registry, layer: &Descriptor) -> Result<Vec<u8>, String> {
    let mut source = registry.layer(layer).await.map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    source.read_to_end(&mut out).await.map_err(|e| e.to_string())?;
    Ok(out)
}

#[test]
fn references_have_dockers_defaults() {
    let full = |text: &str| Registry::new(text, &options()).map(|r| r.reference()).ok();
    assert_eq!(full("alpine").as_deref(), Some("docker.io/library/alpine:latest"));
    assert_eq!(full("me/app:2").as_deref(), Some("docker.io/me/app:2"));
    assert_eq!(full("r.test:5000/x/y").as_deref(), Some("r.test:5000/x/y:latest"));
    let digest = digest_like("", b"");
    let pinned = format!("localhost/x@{digest}");
    assert_eq!(full(&pinned), Some(pinned.clone()));
    for wrong in ["", "A", "a b", "a:../x", "a@sha256:00", "http://x/y", "../x", "a?b"] {
        assert_eq!(full(wrong), None, "{wrong}");
    }
    let insecure = |text: &str| {
        let insecure = vec!["r.test:5000".into()];
        Registry::new(text, &Options { insecure, ..options() }).unwrap().is_insecure()
    };
    assert!(insecure("localhost:5000/x") && insecure("127.1.2.3/x") && insecure("r.test:5000/x"));
    assert!(
        !insecure("r.test/x") && !insecure("localhost.test/x") && !insecure("127.0.0.1.test/x")
    );
}

#[tokio::test]
async fn a_token_is_fetched_and_sent() {
    let (host, log) = serve(|head, _| {
        let host = head.split("host: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
        if head.starts_with("get /token") {
            return answer("200 OK", "", br#"{"token":"T0"}"#);
        }
        if head.contains("authorization: bearer t0") {
            return answer("200 OK", "", b"{}");
        }
        let ask =
            format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"\r\n");
        answer("401 Unauthorized", &ask, b"")
    })
    .await;
    let login = Some(Login { user: "u".into(), password: "p".into() });
    let registry =
        Registry::new(&format!("{host}/a/b:1"), &Options { login, ..options() }).unwrap();
    assert_eq!(registry.top().await.unwrap(), (b"{}".to_vec(), digest_like("", b"{}")));
    let log = log.lock().unwrap();
    let token = log.iter().find(|head| head.starts_with("get /token")).unwrap();
    assert!(token.contains("scope=repository%3aa%2fb%3apull&service=s"), "{token}");
    assert!(token.contains("authorization: basic dtpw"), "{token}");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_what_to_do() {
    let (host, _) =
        serve(|_, _| answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"r\"\r\n", b""))
            .await;
    let error = registry(&host).top().await.unwrap_err().to_string();
    assert!(error.contains(&format!("docker login {host}")), "{error}");
    let (host, log) = serve(|_, _| {
        let body = br#"{"errors":[{"message":"not\nyours"}]}"#;
        answer("403 Forbidden", "", body)
    })
    .await;
    let error = registry(&host).top().await.unwrap_err().to_string();
    assert!(error.contains("notyours"), "{error}");
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_redirect_gets_no_credentials() {
    let (store, seen) = serve(|head, _| {
        if head.contains("/denied") {
            return answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b"");
        }
        answer("200 OK", "", b"layer")
    })
    .await;
    let denied = digest_like("", b"denied");
    let place = denied.clone();
    let (host, _) = serve(move |head, _| {
        if !head.contains("authorization: basic") {
            return answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b"");
        }
        let to = if head.contains(&place) { "denied" } else { "store" };
        answer("307 Temporary Redirect", &format!("Location: http://{store}/{to}?secret\r\n"), b"")
    })
    .await;
    let login = Some(Login { user: "u".into(), password: "p".into() });
    let registry =
        Registry::new(&format!("{host}/a/b:1"), &Options { login, ..options() }).unwrap();
    assert_eq!(read(&registry, &layer(b"layer")).await.unwrap(), b"layer");
    let error = registry.document(Kind::Config, &denied).await.unwrap_err().to_string();
    assert!(error.contains("401") && !error.contains("secret"), "{error}");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|head| !head.contains("authorization")), "{seen:?}");
}

#[tokio::test]
async fn a_layer_goes_on_where_it_broke_off() {
    let (host, log) = serve(|head, _| match head.split("range: bytes=").nth(1) {
        None => answer("200 OK", "Content-Length: 10\r\n", b"0123"),
        Some(from) if from.starts_with("4-") => answer(
            "206 Partial Content",
            "Content-Range: bytes 4-9/10\r\nContent-Length: 6\r\n",
            b"45",
        ),
        // One that begins again.
        Some(_) => answer("200 OK", "", b"0123456789"),
    })
    .await;
    assert_eq!(read(&registry(&host), &layer(b"0123456789")).await.unwrap(), b"0123456789");
    assert_eq!(log.lock().unwrap().len(), 3);
    // Never whole: an error, not an end; neither if the answer looks whole.
    for length in [10, 4] {
        let (host, log) =
            serve(move |_, _| answer("200 OK", &format!("Content-Length: {length}\r\n"), b"0123"))
                .await;
        let error = read(&registry(&host), &layer(b"0123456789")).await.unwrap_err();
        assert!(error.contains("broke off after 4 bytes"), "{error}");
        assert_eq!(log.lock().unwrap().len(), 4);
    }
    // A part that was not asked for.
    let (host, _) = serve(|head, _| {
        if head.contains("range:") {
            return answer("206 Partial Content", "Content-Range: bytes 0-3/10\r\n", b"0123");
        }
        answer("200 OK", "Content-Length: 10\r\n", b"0123")
    })
    .await;
    assert!(read(&registry(&host), &layer(b"0123456789")).await.is_err());
}

#[tokio::test]
async fn a_document_that_breaks_off_is_asked_for_again() {
    let (host, _) = serve(|_, count| {
        answer("200 OK", "Content-Length: 2\r\n", if count < 2 { b"{" } else { b"{}" })
    })
    .await;
    assert_eq!(registry(&host).top().await.unwrap().0, b"{}");
    let (host, _) = serve(|_, _| answer("200 OK", "Content-Length: 2\r\n", b"{")).await;
    assert!(matches!(registry(&host).top().await, Err(BlobError::Unreachable { .. })));
}

#[tokio::test]
async fn what_is_too_large_or_wrong_is_refused() {
    let (host, _) = serve(|head, _| {
        if head.contains("/manifests/") {
            return answer("200 OK", "Content-Length: 99999999\r\n", b"{");
        }
        answer("200 OK", "", b"other")
    })
    .await;
    let registry = registry(&host);
    assert!(matches!(registry.top().await, Err(BlobError::TooLarge { .. })));
    let config = registry.document(Kind::Config, &digest_like("", b"x")).await;
    assert!(matches!(config, Err(BlobError::Digest { .. })));
    assert!(read(&registry, &layer(b"four")).await.unwrap_err().contains("more than 4 bytes"));
    let path = registry.document(Kind::Config, "sha256:../../v2").await;
    assert!(matches!(path, Err(BlobError::Malformed { .. })));
    let (host, _) = serve(|_, _| {
        let stated = digest_like("", b"{ }");
        answer("200 OK", &format!("Docker-Content-Digest: {stated}\r\n"), b"{}")
    })
    .await;
    let other = Registry::new(&format!("{host}/x"), &options()).unwrap();
    assert!(matches!(other.top().await, Err(BlobError::Digest { .. })));
    let pinned = format!("{host}/x@{}", digest_like("", b"mine"));
    let pinned = Registry::new(&pinned, &options()).unwrap();
    assert!(matches!(pinned.top().await, Err(BlobError::Digest { .. })));
}

#[tokio::test]
async fn a_body_without_length_is_limited_too() {
    let (host, _) = serve(|_, _| {
        let mut out = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
        out.resize(manifest::SIZE_MAX + 1000, b' ');
        out
    })
    .await;
    assert!(matches!(registry(&host).top().await, Err(BlobError::TooLarge { .. })));
}

#[tokio::test]
async fn a_digest_is_asked_for_without_a_body() {
    let (host, log) = serve(|_, _| {
        let stated = digest_like("", b"{}");
        answer("200 OK", &format!("Docker-Content-Digest: {stated}\r\n"), b"")
    })
    .await;
    let found = digest(&format!("{host}/a/b:1"), &options()).await.unwrap();
    assert_eq!(found, digest_like("", b"{}"));
    assert!(log.lock().unwrap().iter().all(|head| head.starts_with("head /v2/a/b/manifests/1 ")));
    // One that does not tell, and one that knows no HEAD: counted from the body.
    for status in ["200 OK", "405 Method Not Allowed"] {
        let (host, _) = serve(move |head, _| {
            answer(if head.starts_with("get") { "200 OK" } else { status }, "", b"")
        })
        .await;
        assert_eq!(digest(&format!("{host}/x"), &options()).await.unwrap(), digest_like("", b""));
    }
}

#[tokio::test]
async fn later_is_tried_again_and_not_for_ever() {
    let (host, log) = serve(|_, count| match count {
        0 => answer("429 Too Many Requests", "Retry-After: 0\r\n", b""),
        1 => answer("503 Service Unavailable", "", b""),
        _ => answer("200 OK", "", b"{}"),
    })
    .await;
    assert!(registry(&host).top().await.is_ok());
    assert_eq!(log.lock().unwrap().len(), 3);
    let (host, log) = serve(|_, _| answer("502 Bad Gateway", "", b"")).await;
    assert!(matches!(registry(&host).top().await, Err(BlobError::Unreachable { .. })));
    assert_eq!(log.lock().unwrap().len(), 4);
    let (host, log) = serve(|_, _| answer("404 Not Found", "", b"")).await;
    assert!(matches!(registry(&host).top().await, Err(BlobError::NotFound { .. })));
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_server_cannot_be_chosen_without_tls() {
    let inner = registry("r.test").inner;
    let bearer = "Bearer realm=\"http://evil.test/token\"";
    let mut headers = HeaderMap::new();
    headers.insert("www-authenticate", HeaderValue::from_static(bearer));
    let error = inner.log_in(&headers, "https://r.test").await.unwrap_err();
    assert!(error.to_string().contains("HTTPS"), "{error}");
}
