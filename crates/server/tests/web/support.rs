//! A server on a port of its own, a desk that is made up, and a client that trusts the certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use haechi_protocol::{Ask, Asked, Credential, LoggedIn, Me, Refusal, Role};
use haechi_server::certificate;
use haechi_server::connections::{prepare, serve, tls};
use haechi_server::desk::{Awaited, Desk};
use haechi_server::house::House;
use haechi_server::order::Limits;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// The secret of the session that there is.
pub const SESSION: &str = "session-secret";
/// Its token against forged requests.
pub const CSRF: &str = "csrf-token";

/// A server.
pub struct Server {
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub serving: tokio::task::JoinHandle<()>,
    trusted: Arc<RootCertStore>,
}

impl Server {
    pub async fn start(desk: Desk, limits: Limits) -> Self {
        let (certificate, key) = certificate::make(&["localhost".to_owned()]).unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        prepare(&listener).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let house = House::new(vec!["localhost".to_owned()], limits, stop.clone());
        let app = haechi_server::app(desk, Arc::clone(&house));
        let tls = tls(&certificate, &key).unwrap();
        let serving = tokio::spawn(serve(listener, tls, app, house));
        let mut trusted = RootCertStore::empty();
        trusted.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
        Self { address, stop, serving, trusted: Arc::new(trusted) }
    }

    /// A connection with TLS.
    pub async fn connect(&self, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::clone(&self.trusted))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Sends a request on a connection of its own.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TokioIo::new(self.connect("http/1.1").await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let host = "localhost".parse().unwrap();
        request.headers_mut().entry("host").or_insert(host);
        sender.send_request(request).await.unwrap()
    }

    /// The same by HTTP/2.
    pub async fn send_http2(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TokioIo::new(self.connect("h2").await.unwrap());
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }
}

/// A request.
pub fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::from(body.to_owned())).unwrap()
}

/// The body of an answer.
pub async fn body(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A desk where each token is called as the role that it has, with one session (an admin's).
/// What it answers is made up from the answer's schema.
pub fn desk() -> Desk {
    let document = Arc::new(haechi_server::openapi::document());
    Desk::new(move |asked| {
        let answer = answer(&asked, &document);
        Box::pin(async { answer }) as Awaited
    })
}

fn answer(asked: &Asked, document: &Value) -> Result<Value, Refusal> {
    let route = asked.ask.route();
    let role = who(asked)?;
    if route.role > role {
        return Err(if role.is_none() { Refusal::Unauthenticated } else { Refusal::Forbidden });
    }
    let me = Me {
        name: "haechi".to_owned(),
        role: role.unwrap_or(Role::Viewer),
        csrf: CSRF.to_owned(),
        must_change_password: false,
        expires: "2030-01-01T00:00:00Z".parse().unwrap(),
    };
    match &asked.ask {
        Ask::Login(login) if login.password == "right" => {
            let secret = SESSION.to_owned();
            Ok(serde_json::to_value(LoggedIn { secret, me }).unwrap())
        }
        Ask::Login(_) => Err(Refusal::WrongPassword),
        Ask::Who(_) => Ok(serde_json::to_value(me).unwrap()),
        _ => {
            let method = route.method.name().to_lowercase();
            let operation = &document["paths"][route.path][method.as_str()];
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            Ok(sample(document, schema))
        }
    }
}

fn who(asked: &Asked) -> Result<Option<Role>, Refusal> {
    match &asked.credential {
        Credential::None => Ok(None),
        Credential::Session { secret, csrf } if secret == SESSION => {
            match asked.ask.route().method.changes() && csrf != CSRF {
                true => Err(Refusal::Forbidden),
                false => Ok(Some(Role::Admin)),
            }
        }
        Credential::Session { .. } => Err(Refusal::Unauthenticated),
        Credential::Token(token) if token == "nobody" => Err(Refusal::Forbidden),
        Credential::Token(token) => token.parse().map(Some).map_err(|_| Refusal::Unauthenticated),
    }
}

/// The least that fits a schema.
pub fn sample(document: &Value, schema: &Value) -> Value {
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        return sample(document, document.pointer(to.trim_start_matches('#')).unwrap());
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(word).and_then(|some| some.get(0)) {
            return sample(document, first);
        }
    }
    if let Some(value) = schema.get("const").or_else(|| schema.get("enum")?.get(0)) {
        return value.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(some) => some[0].clone(),
        kind => kind.clone(),
    };
    match kind.as_str() {
        Some("object") => {
            let required = schema.get("required").and_then(Value::as_array);
            let names = required.into_iter().flatten().filter_map(Value::as_str);
            names
                .map(|name| (name.to_owned(), sample(document, &schema["properties"][name])))
                .collect()
        }
        Some("array") => {
            let parts = schema.get("prefixItems").and_then(Value::as_array);
            parts.into_iter().flatten().map(|one| sample(document, one)).collect()
        }
        Some("string") => match schema.get("format").and_then(Value::as_str) {
            Some("date") => json!("2026-01-01"),
            Some("date-time") => json!("2026-01-01T00:00:00Z"),
            _ => {
                let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or_default();
                json!(format!("{:-<1$}", "2026-01-01", usize::try_from(least).unwrap()))
            }
        },
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        _ => Value::Null,
    }
}
