//! Connections that are too many, too slow, too long or not TLS.

use haechi_server::order::Limits;
use hyper::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Server, body, desk, request};

/// What comes until the other end closes.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let server = Server::start(desk(), Limits::default()).await;
    let response = server.send(request("GET", "/healthz", &[], "")).await;
    assert_eq!(response.version(), hyper::Version::HTTP_11);
    assert_eq!(body(response).await, "ok\n");
    let response = server.send_http2(request("GET", "https://localhost/healthz", &[], "")).await;
    assert_eq!(response.version(), hyper::Version::HTTP_2);
    assert_eq!(body(response).await, "ok\n");
}

#[tokio::test]
async fn plain_http_is_hung_up_on() {
    let server = Server::start(desk(), Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(!rest(&mut stream).await.contains("HTTP"));
}

#[tokio::test]
async fn more_connections_of_one_address_than_allowed_are_closed() {
    let limits = Limits { connections_per_address: 2, ..Limits::default() };
    let server = Server::start(desk(), limits).await;
    let first = server.connect("http/1.1").await.unwrap();
    let second = server.connect("http/1.1").await.unwrap();
    assert!(server.connect("http/1.1").await.is_err());
    drop((first, second));
    // Its place is free once the server has seen that it left.
    while server.connect("http/1.1").await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on() {
    let server = Server::start(desk(), Limits::default()).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut headless = server.connect("http/1.1").await.unwrap();
    headless.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").await.unwrap();
    let mut bodiless = server.connect("http/1.1").await.unwrap();
    let head = "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Content-Length: 100\r\n\r\n{";
    bodiless.write_all(head.as_bytes()).await.unwrap();
    let mut idle = server.connect("http/1.1").await.unwrap();
    let mut idle_http2 = server.connect("h2").await.unwrap();
    // From here on the clock jumps to whatever is waited for.
    tokio::time::pause();
    assert_eq!(rest(&mut silent).await, "");
    assert!(!rest(&mut headless).await.contains("200 OK"));
    assert!(rest(&mut bodiless).await.starts_with("HTTP/1.1 408 "));
    assert!(!rest(&mut idle).await.contains("200 OK"));
    assert!(!rest(&mut idle_http2).await.contains("HTTP/1"));
}

#[tokio::test]
async fn bodies_without_a_length_and_heads_without_an_end_are_cut_off() {
    let server = Server::start(desk(), Limits::default()).await;
    let mut chunked = server.connect("http/1.1").await.unwrap();
    let head = "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    chunked.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for _ in 0..3 {
        let _ = chunked.write_all(chunk.as_bytes()).await;
    }
    assert!(rest(&mut chunked).await.starts_with("HTTP/1.1 413 "));

    let mut long = server.connect("http/1.1").await.unwrap();
    long.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    let header = format!("X: {}\r\n", "x".repeat(60_000));
    let _ = long.write_all(header.as_bytes()).await;
    assert!(rest(&mut long).await.starts_with("HTTP/1.1 431 "));

    let mut many = Request::builder().uri("/healthz");
    for number in 0..100 {
        many = many.header(format!("x-{number}"), "x");
    }
    let response = server.send(many.body(http_body_util::Full::default()).unwrap()).await;
    assert_eq!(response.status(), 431);
}

#[tokio::test]
async fn at_the_end_nobody_is_taken_and_who_waits_is_let_go() {
    let server = Server::start(desk(), Limits::default()).await;
    let mut idle = server.connect("http/1.1").await.unwrap();
    server.stop.cancel();
    assert!(!rest(&mut idle).await.contains("200 OK"));
    server.serving.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
