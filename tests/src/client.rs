//! A client of a running dashboard, over real TLS.

use std::process::Command;

use serde_json::{Value, json};

use crate::{Dashboard, PASSWORD};

/// Asks a dashboard, always with the same headers.
pub struct Client<'a> {
    dashboard: &'a Dashboard,
    headers: Vec<String>,
}

impl<'a> Client<'a> {
    /// Somebody who is not logged in.
    pub fn nobody(dashboard: &'a Dashboard) -> Self {
        Self { dashboard, headers: Vec::new() }
    }

    /// A program with an API token.
    pub fn with_token(dashboard: &'a Dashboard, secret: &str) -> Self {
        Self { dashboard, headers: vec![format!("Authorization: Bearer {secret}")] }
    }

    /// The first account, logged in, with its password changed to [`PASSWORD`].
    pub fn admin(dashboard: &'a Dashboard) -> Self {
        let client = Self::log_in(dashboard, "admin", &dashboard.first);
        assert_eq!(client.get("/api/v1/overview").0, 403, "only the password can be changed");
        let change = json!({"old": dashboard.first, "new": PASSWORD});
        let (status, told) = client.send("PUT", "/api/v1/session/password", Some(&change));
        assert_eq!(status, 200, "{told}");
        client
    }

    /// Somebody with this password.
    pub fn log_in(dashboard: &'a Dashboard, name: &str, password: &str) -> Self {
        let login = json!({"name": name, "password": password});
        let nobody = Self::nobody(dashboard);
        let (status, head, me) = nobody.whole("POST", "/api/v1/session", Some(&login));
        assert_eq!(status, 200, "{me}");
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.and_then(|cookie| cookie.split(';').next()).expect("a cookie");
        let csrf = me["csrf"].as_str().expect("a token against forged requests");
        let headers = vec![format!("Cookie: {cookie}"), format!("X-Haechi-CSRF: {csrf}")];
        Self { dashboard, headers }
    }

    /// The same session, as a page of another site could use it: with its cookie alone.
    pub fn without_csrf(&self) -> Self {
        let cookie = self.headers.iter().filter(|header| header.starts_with("Cookie:"));
        Self { dashboard: self.dashboard, headers: cookie.cloned().collect() }
    }

    /// Status, headers and body of an answer; status 0 if there was none.
    pub fn whole(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String, Value) {
        let mut command = Command::new("curl");
        command.args(["--silent", "--insecure", "--max-time", "120", "--include", "--http1.1"]);
        command.args(["--request", method, "--write-out", "\n%{http_code}"]);
        for header in &self.headers {
            command.args(["--header", header]);
        }
        if let Some(body) = body {
            let body = body.to_string();
            command.args(["--header", "Content-Type: application/json", "--data", &body]);
        }
        let output = command.arg(format!("{}{path}", self.dashboard.address)).output();
        let text = output.expect("this test needs curl: run `cargo xtask test`").stdout;
        let text = String::from_utf8_lossy(&text);
        let (text, status) = text.rsplit_once('\n').unwrap_or_default();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
        (status.parse().unwrap_or_default(), head.to_owned(), body)
    }

    /// Status and body.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, _, body) = self.whole(method, path, body);
        (status, body)
    }

    /// Status and body of what only looks.
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, None)
    }

    /// An API token of this client's account.
    pub fn token(&self, scope: &str) -> String {
        let asked = json!({"name": scope, "scope": scope, "days": 1});
        let (status, token) = self.send("POST", "/api/v1/tokens", Some(&asked));
        assert_eq!(status, 200, "{token}");
        token["secret"].as_str().expect("a secret").to_owned()
    }
}
