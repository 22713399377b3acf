//! Takes connections, speaks TLS, and hands requests to the application; at most so many connections, at most so many
//! of one address, and none that only sits there.
//!
//! Nothing but TLS is spoken: whoever sends plain HTTP is hung up on.

use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::house::{Crowd, House, Seat};
use crate::visitor::Peer;

/// Time that a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Time that the head of a request may take; with HTTP/1 the time between two requests, too.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// Time that a connection stays without a request.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// Time that those who are being answered get at the end.
const GRACE: Duration = Duration::from_secs(10);
/// Bytes of the head of a request.
const HEAD_MAX: u16 = 32 << 10;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Requests at a time on one connection (HTTP/2).
const AT_A_TIME: u32 = 32;
/// Milliseconds after which a connection is given up whose other end takes nothing.
const UNTAKEN_MS: u32 = 30_000;

/// What TLS is spoken with.
///
/// # Errors
/// Certificate or key are none, or do not fit each other.
pub fn tls(certificate: &str, key: &str) -> anyhow::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Prepares a listener: what is set here every connection has.
///
/// # Errors
/// It is no TCP listener.
pub fn prepare(listener: &std::net::TcpListener) -> std::io::Result<()> {
    rustix::net::sockopt::set_tcp_nodelay(listener, true)?;
    rustix::net::sockopt::set_tcp_user_timeout(listener, UNTAKEN_MS)?;
    listener.set_nonblocking(true)
}

/// Serves until the house stops; those who are being answered then get 10 s.
pub async fn serve(listener: TcpListener, tls: TlsAcceptor, app: Router, house: Arc<House>) {
    let limits = house.limits;
    let crowd = Crowd::new(limits.connections, limits.connections_per_address);
    let tasks = TaskTracker::new();
    let stop = house.stop.clone();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or the other end is gone already: others may still come.
                tracing::warn!("no connection could be taken: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(seat) = crowd.enter(network(peer.ip())) else {
            house.metrics.refused("connection");
            continue;
        };
        let peer = Peer(peer.ip().to_canonical());
        tasks.spawn(connection(stream, peer, tls.clone(), app.clone(), Arc::clone(&house), seat));
    }
    // Who wants to connect now is told that there is nobody, instead of waiting.
    drop(listener);
    tasks.close();
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::warn!("{} connections were cut off", tasks.len());
    }
}

/// Who counts as one: an address, or a network that one subscriber gets (IPv6, RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}

async fn connection(
    stream: TcpStream,
    peer: Peer,
    tls: TlsAcceptor,
    app: Router,
    house: Arc<House>,
    _seat: Seat<IpAddr>,
) {
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await else {
        house.metrics.refused("handshake");
        return;
    };
    house.metrics.connections.inc();
    let builder = builder(stream.get_ref().1.alpn_protocol() == Some(b"h2"));
    let (busy, mut watching) = watch::channel(Busy::default());
    let busy = Arc::new(busy);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let answering = Answering::new(&busy);
        let app = app.clone();
        async move {
            let response = app.oneshot(request).await?;
            // It is busy until the last byte of the answer: a live stream has no end.
            Ok::<_, std::convert::Infallible>(response.map(|body| {
                body.map_frame(move |frame| {
                    let _ = &answering;
                    frame
                })
            }))
        }
    });
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut serving => Some(ended),
        () = idle(&mut watching) => None,
        () = house.stop.cancelled() => None,
    };
    if ended.is_none() {
        serving.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(GRACE, serving).await;
    }
    house.metrics.connections.dec();
}

fn builder(http2: bool) -> Builder<TokioExecutor> {
    // The protocol is known from the handshake: its first bytes are not waited for.
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX.into())
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(AT_A_TIME)
        .max_header_list_size(HEAD_MAX.into())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Requests that began and ended.
#[derive(Debug, Default, Clone, Copy)]
struct Busy {
    began: u64,
    ended: u64,
}

/// A request that is being answered.
struct Answering(Arc<watch::Sender<Busy>>);

impl Answering {
    fn new(busy: &Arc<watch::Sender<Busy>>) -> Self {
        busy.send_modify(|busy| busy.began += 1);
        Self(Arc::clone(busy))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.send_modify(|busy| busy.ended += 1);
    }
}

/// Comes back once there was no request for a while.
async fn idle(watching: &mut watch::Receiver<Busy>) {
    loop {
        if watching.wait_for(|busy| busy.began == busy.ended).await.is_err() {
            return std::future::pending().await;
        }
        if tokio::time::timeout(IDLE_TIME, watching.changed()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_counts_as_one() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_idle_after_a_while() {
        let (busy, mut watching) = watch::channel(Busy::default());
        let busy = Arc::new(busy);
        let began = tokio::time::Instant::now();
        let answering = Answering::new(&busy);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(100)).await;
            drop(answering);
            tokio::time::sleep(Duration::from_secs(30)).await;
            drop(Answering::new(&busy));
            std::future::pending::<()>().await;
        });
        idle(&mut watching).await;
        assert_eq!(began.elapsed().as_secs(), 100 + 30 + IDLE_TIME.as_secs());
    }
}
