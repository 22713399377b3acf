//! Every way of the API's document, asked in every way that must be refused.

use std::fmt::Write as _;

use haechi_protocol::Role;
use haechi_server::order::Limits;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use serde_json::{Map, Value, json};

use crate::support::{CSRF, SESSION, Server, body, desk, request, sample};

/// A way that the document has.
struct Way<'a> {
    path: &'a str,
    method: String,
    operation: &'a Value,
}

impl Way<'_> {
    fn all(document: &Value) -> Vec<Way<'_>> {
        let paths = document["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().iter().map(|(method, operation)| Way {
                    path,
                    method: method.to_uppercase(),
                    operation,
                })
            })
            .collect()
    }

    /// Its path with something in the place of each part, and what the query has to have.
    fn uri(&self, document: &Value) -> String {
        let mut path = self.path.to_owned();
        let mut query = String::new();
        let parameters = self.operation.get("parameters").and_then(Value::as_array);
        for parameter in parameters.into_iter().flatten().filter(|one| one["required"] == true) {
            let name = parameter["name"].as_str().unwrap();
            let value = sample(document, &parameter["schema"]);
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &value),
                _ => write!(query, "&{name}={value}").unwrap(),
            }
        }
        format!("{path}?{}", query.trim_start_matches('&')).trim_end_matches('?').to_owned()
    }

    fn body(&self, document: &Value) -> Option<Value> {
        let schema = &self.operation.get("requestBody")?["content"]["application/json"]["schema"];
        Some(sample(document, schema))
    }

    fn role(&self) -> Option<Role> {
        Some(self.operation.get("x-role")?.as_str()?.parse().unwrap())
    }

    fn open(&self) -> bool {
        self.operation["security"] == json!([])
    }

    /// A request that is right, but for who asks.
    fn request(&self, document: &Value, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
        let mut headers = headers.to_vec();
        let body = self.body(document).map(|body| body.to_string());
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        request(&self.method, &self.uri(document), &headers, &body.unwrap_or_default())
    }
}

/// Whether an answer is a refusal as the document has it, with the headers that every answer has.
async fn refused(way: &Way<'_>, document: &Value, response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let place = format!("{} {}", way.method, way.path);
    if !matches!(status, 405) {
        let known = &way.operation["responses"][status.to_string().as_str()];
        assert!(!known.is_null(), "{place}: {status} is not in the document");
    }
    dressed(&response);
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{place}");
    let allow = response.headers().get("allow").is_some();
    assert_eq!(allow, status == 405, "{place}");
    assert_eq!(response.headers().get("www-authenticate").is_some(), status == 401, "{place}");
    let problem: Value = serde_json::from_str(&body(response).await).unwrap();
    let mut schema = document["components"]["schemas"]["Problem"].clone();
    schema["components"] = document["components"].clone();
    jsonschema::validate(&schema, &problem).unwrap();
    assert_eq!(problem["status"], status);
    let field = problem.pointer("/field/name").and_then(Value::as_str).unwrap_or_default();
    let problem = problem["error"].as_str().unwrap();
    (status, format!("{problem} {field}").trim().to_owned())
}

fn dressed(response: &Response<Incoming>) {
    let headers = response.headers();
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("strict-transport-security", "max-age=31536000"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(headers[name], value);
    }
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
    assert!(!policy.contains("unsafe"));
    assert!(headers.contains_key("permissions-policy"));
}

#[tokio::test]
async fn every_way_refuses_what_it_must_refuse() {
    let document = haechi_server::openapi::document();
    let server = Server::start(desk(), Limits::default()).await;
    let mut table = String::from("| way | login | role | forged | method | body | unknown |\n");
    for way in Way::all(&document) {
        let place = format!("{} {}", way.method, way.path);
        let told = async |request| {
            let response = server.send(request).await;
            refused(&way, &document, response).await
        };
        let said = |(status, word): (u16, String)| format!("{status} {word}");

        let login = match way.open() {
            true => "–".to_owned(),
            false => {
                let ended = ("cookie", "__Host-haechi=ended");
                for nobody in [&[][..], &[ended], &[("authorization", "Bearer ended")]] {
                    let answer = told(way.request(&document, nobody)).await;
                    assert_eq!(answer, (401, "unauthenticated".to_owned()), "{place}");
                }
                "401".to_owned()
            }
        };

        let less = match way.role() {
            Some(Role::Viewer) => Some("nobody"),
            role => Role::ALL.iter().rev().find(|less| Some(**less) < role).map(|less| less.name()),
        };
        let role = match less {
            None => "–".to_owned(),
            Some(less) => {
                let token = format!("Bearer {less}");
                let answer = told(way.request(&document, &[("authorization", &token)])).await;
                assert_eq!(answer, (403, "forbidden".to_owned()), "{place}");
                "403".to_owned()
            }
        };

        let cookie = format!("__Host-haechi={SESSION}");
        let forged = match way.method.as_str() {
            "GET" => "–".to_owned(),
            _ => {
                let own = [("cookie", cookie.as_str()), ("x-haechi-csrf", CSRF)];
                for (name, value) in
                    [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]
                {
                    let headers = [own[0], own[1], (name, value)];
                    let answer = told(way.request(&document, &headers)).await;
                    assert_eq!(answer, (403, "cross-site".to_owned()), "{place}");
                }
                if !way.open() {
                    for csrf in ["", "wrong"] {
                        let headers = [own[0], ("x-haechi-csrf", csrf)];
                        let answer = told(way.request(&document, &headers)).await;
                        assert_eq!(answer, (403, "forbidden".to_owned()), "{place}");
                    }
                }
                "403".to_owned()
            }
        };

        let admin = ("authorization", "Bearer admin");
        let uri = way.uri(&document);
        let item = document["paths"][way.path].as_object().unwrap();
        let mut method = String::new();
        for other in ["PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"] {
            if !item.contains_key(&other.to_lowercase()) {
                let answer = told(request(other, &uri, &[admin], "")).await;
                assert_eq!(answer, (405, "method-not-allowed".to_owned()), "{other} {}", way.path);
                method = said(answer);
            }
        }

        let json = ("content-type", "application/json");
        let mut wrong = String::from("–");
        let question = way.path.starts_with("/api/") && !way.path.ends_with(".json");
        if question {
            let send = async |headers: &[(&str, &str)], body: &str| {
                told(request(&way.method, &uri, headers, body)).await.0
            };
            let right = way.body(&document).unwrap_or_else(|| json!({})).to_string();
            for body in ["{", "[]", "null", "\"\"", "{\"a\":1}{", "\u{feff}{}", "가"] {
                assert_eq!(send(&[admin, json], body).await, 400, "{place} {body}");
            }
            let deep = "[".repeat(10_000);
            assert_eq!(send(&[admin, json], &deep).await, 400, "{place}");
            for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
                let status = send(&[admin, ("content-type", kind)], &right).await;
                assert_eq!(status, 415, "{place} {kind}");
            }
            assert_eq!(send(&[admin], &right).await, 415, "{place}");
            let long = format!("{{\"x\":\"{}\"}}", "x".repeat(64 << 10));
            assert_eq!(send(&[admin, json], &long).await, 413, "{place}");
            if let Some(Value::Object(parts)) = way.body(&document) {
                for name in parts.keys() {
                    let mut with = parts.clone();
                    with.insert(name.clone(), json!({"a": [1]}));
                    let with = Value::Object(with).to_string();
                    assert_eq!(send(&[admin, json], &with).await, 422, "{place} {name}");
                    let mut with = parts.clone();
                    with.insert(name.clone(), json!("a\0b"));
                    let with = Value::Object(with).to_string();
                    assert_eq!(send(&[admin, json], &with).await, 422, "{place} {name}");
                }
            }
            wrong = "400 413 415 422".to_owned();
        }

        let mut unknown = String::from("–");
        if question {
            let with = format!("{uri}{}no_such_part=1", if uri.contains('?') { '&' } else { '?' });
            let body = way.body(&document).map(|body| body.to_string()).unwrap_or_default();
            let headers = if body.is_empty() { vec![admin] } else { vec![admin, json] };
            let answer = told(request(&way.method, &with, &headers, &body)).await;
            assert_eq!(answer.0, 422, "{place}");
            let mut parts: Map<String, Value> =
                way.body(&document).and_then(|body| body.as_object().cloned()).unwrap_or_default();
            parts.insert("no_such_part".to_owned(), json!(1));
            let body = Value::Object(parts).to_string();
            let answer = told(request(&way.method, &uri, &[admin, json], &body)).await;
            assert_eq!(answer, (422, "invalid no_such_part".to_owned()), "{place}");
            unknown = said(answer);
        }
        writeln!(
            table,
            "| {place} | {login} | {role} | {forged} | {method} | {wrong} | {unknown} |"
        )
        .unwrap();
    }
    println!("{table}");
}

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    let document = haechi_server::openapi::document();
    let server = Server::start(desk(), Limits::default()).await;
    for way in Way::all(&document).into_iter().filter(|way| way.path != "/events/stream") {
        let place = format!("{} {}", way.method, way.path);
        let mut request = way.request(&document, &[("authorization", "Bearer admin")]);
        if way.operation["operationId"] == "Login" {
            let right = json!({"name": "haechi", "password": "right"}).to_string();
            *request.body_mut() = Full::from(right);
        }
        let response = server.send(request).await;
        dressed(&response);
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        let (status, cookie) = (response.status(), response.headers().get("set-cookie").cloned());
        let text = body(response).await;
        assert_eq!(status, 200, "{place}: {text}");
        let known = &way.operation["responses"]["200"];
        let content = known["content"].as_object().unwrap();
        let (_, content) =
            content.iter().find(|(name, _)| kind.starts_with(name.as_str())).expect("its kind");
        let mut schema = content["schema"].clone();
        schema["components"] = document["components"].clone();
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text.clone()));
        jsonschema::validate(&schema, &value).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(cookie.is_some(), known.get("headers").is_some(), "{place}");
        assert!(!text.contains(SESSION), "{place}: no script may read the secret");
    }
}

#[tokio::test]
async fn a_login_gives_a_cookie_and_a_logout_takes_it() {
    let server = Server::start(desk(), Limits::default()).await;
    let json = ("content-type", "application/json");
    let login = r#"{"name":"haechi","password":"right"}"#;
    let response = server
        .send_http2(request("POST", "https://localhost/api/v1/session", &[json], login))
        .await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert_eq!(
        cookie,
        format!("__Host-haechi={SESSION}; Path=/; Secure; HttpOnly; SameSite=Strict")
    );
    let me: Value = serde_json::from_str(&body(response).await).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let headers = [("cookie", cookie), ("x-haechi-csrf", me["csrf"].as_str().unwrap())];
    let response = server.send(request("DELETE", "/api/v1/session", &headers, "")).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    let wrong = r#"{"name":"haechi","password":"wrong"}"#;
    let response = server.send(request("POST", "/api/v1/session", &[json], wrong)).await;
    assert_eq!(response.status(), 401);
    assert!(response.headers().get("set-cookie").is_none());
}

#[tokio::test]
async fn paths_that_are_no_ways_are_missing_and_senseless_ones_malformed() {
    let server = Server::start(desk(), Limits::default()).await;
    let admin = ("authorization", "Bearer admin");
    for (path, status) in [
        ("/api", 404),
        ("/api/v1", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/images/%ff", 400),
        ("/api/v1/images/%00", 422),
        ("/api/v1/alerts/one", 422),
        ("/api/v1/alerts?limit=-1", 422),
        ("/api/v1/alerts?limit=4294967296", 422),
        ("/api/v1/alerts?priority=huge", 422),
        ("/api/v1/alerts?since=yesterday", 422),
    ] {
        let response = server.send(request("GET", path, &[admin], "")).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
    }
    let response = server.send(request("GET", "/healthz", &[("host", "evil.example")], "")).await;
    assert_eq!(response.status(), 421);
}

#[tokio::test]
async fn a_path_without_a_page_is_told_in_a_page_to_whoever_reads_pages() {
    let server = Server::start(desk(), Limits::default()).await;
    let html = ("accept", "text/html,application/xhtml+xml;q=0.9");
    let path = "/no/%3Cscript%3Esuch?page";
    for (lang, said) in [("en", "There is no such page"), ("ko", "없는 페이지입니다")] {
        let headers = [html, ("accept-language", lang)];
        let response = server.send(request("GET", path, &headers, "")).await;
        assert_eq!(response.status(), 404);
        dressed(&response);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
        let text = body(response).await;
        assert!(text.contains(said) && text.contains("href=\"/\""), "{text}");
        assert!(!text.contains("such?page"), "what was asked for is not repeated");
    }
    for (path, headers) in
        [(path, &[][..]), (path, &[("accept", "*/*")]), ("/api/x", &[html]), ("/api", &[html])]
    {
        let response = server.send(request("GET", path, headers, "")).await;
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
    }
}
