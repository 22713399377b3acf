//! A real browser: Debian's Chromium, headless, driven through its own driver, as people use the dashboard.
//!
//! What a page lacks for people who use it otherwise is found by axe-core, fetched once from the npm registry.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::PrintConfiguration;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{PATIENCE, target};

/// The package that looks at pages, with its version.
const AXE: &str = "axe-core@4.10.3";
/// Chromium's own log, in its folder.
const CONSOLE: &str = "console.log";
/// Rules that no page may break: WCAG 2.1 A and AA.
const LOOK: &str = "const done = arguments[arguments.length - 1];
    axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})
        .then(found => done(found.violations.map(v => ({
            id: v.id, impact: v.impact, help: v.help,
            nodes: v.nodes.slice(0, 5).map(n => n.html + ' ' + n.failureSummary)
        }))), error => done([{id: 'axe', impact: 'critical', help: String(error), nodes: []}]));";

/// A browser with its driver; both end with it.
pub struct Browser {
    /// The session.
    pub client: Client,
    driver: Child,
    profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver's group: the browser is in it.
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// Opens a browser with a window of this size, in points.
    pub async fn open(width: u32, height: u32) -> Self {
        use std::os::unix::process::CommandExt;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver (Debian: chromium-driver) starts");
        let out = driver.stdout.take().expect("it was piped");
        let port = BufReader::new(out)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                Some(port.trim_end_matches('.').to_owned())
            })
            .expect("chromedriver says where it listens");
        let profile = TempDir::new().expect("a folder");
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--lang=en".to_owned(),
            "--enable-logging".to_owned(),
            format!("--log-file={}", profile.path().join(CONSOLE).display()),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {"args": arguments, "prefs": {"intl.accept_languages": "en"}},
        });
        let Value::Object(wanted) = wanted else { unreachable!("it is an object") };
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(wanted)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromedriver opens a browser");
        client.set_window_size(width, height).await.expect("a window of this size");
        Self { client, driver, profile }
    }

    /// What pages' scripts complained about, and what a page's policy kept it from: lines of the console.
    pub fn complaints(&self) -> Vec<String> {
        let said = std::fs::read(self.profile.path().join(CONSOLE)).expect("Chromium keeps a log");
        let said = String::from_utf8_lossy(&said);
        let told = said.lines().filter(|line| line.contains(":CONSOLE:"));
        // What Chromium would do otherwise in a form is its own opinion.
        told.filter(|line| !line.contains("] \"[DOM] ")).map(str::to_owned).collect()
    }

    /// Waits for an element.
    pub async fn wait(&self, css: &str) -> fantoccini::elements::Element {
        eprintln!("waiting for {css}");
        let waiting = self.client.wait().at_most(PATIENCE).every(Duration::from_millis(50));
        match waiting.for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => panic!("{css} is not on the page ({error}):\n{}", self.text().await),
        }
    }

    /// Writes into a field.
    pub async fn write(&self, css: &str, text: &str) {
        let field = self.wait(css).await;
        field.clear().await.expect("a field");
        field.send_keys(text).await.expect("a field takes text");
    }

    /// Clicks.
    pub async fn click(&self, css: &str) {
        self.wait(css).await.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// What can be read on the page.
    pub async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    /// Waits until a text can be read on the page.
    pub async fn reads(&self, text: &str) {
        let begin = std::time::Instant::now();
        while !self.text().await.contains(text) {
            assert!(begin.elapsed() < PATIENCE, "{text:?} is not on:\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Keeps a picture of the page in the folder of the build.
    pub async fn picture(&self, name: &str) {
        let png = self.client.screenshot().await.expect("a picture");
        std::fs::write(folder().join(format!("{name}.png")), png).expect("a file");
    }

    /// Prints the page as its own style says, keeps that in the folder of the build, and counts its sheets.
    pub async fn print(&self, name: &str) -> usize {
        let paper = PrintConfiguration::builder().background(true).build().expect("a paper");
        let pdf = self.client.print(paper).await.expect("a page that can be printed");
        assert!(pdf.starts_with(b"%PDF-"), "{name} is no PDF: {} bytes", pdf.len());
        std::fs::write(folder().join(format!("{name}.pdf")), &pdf).expect("a file");
        // Each sheet is an object of its own, and their list is another one.
        let objects = |kind: &str| String::from_utf8_lossy(&pdf).matches(kind).count();
        objects("/Type /Page") - objects("/Type /Pages")
    }

    /// What the page lacks: broken rules that are serious or critical, in words.
    pub async fn lacks(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(axe()).expect("axe-core");
        // Through the driver: the page's own policy lets no foreign script in.
        self.client.execute(&axe, vec![]).await.expect("axe-core runs");
        let found = self.client.execute_async(LOOK, vec![]).await.expect("axe-core looks");
        let found = found.as_array().cloned().unwrap_or_default();
        let serious = |one: &&Value| matches!(one["impact"].as_str(), Some("serious" | "critical"));
        found.iter().filter(serious).map(Value::to_string).collect()
    }
}

/// Where pictures and prints are kept.
fn folder() -> PathBuf {
    let folder = target().join("dashboard");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The script of axe-core.
fn axe() -> PathBuf {
    let folder = target().join("axe");
    let script = folder.join("package/axe.min.js");
    if !script.is_file() {
        std::fs::create_dir_all(&folder).expect("a folder");
        let packed = Command::new("npm")
            .args(["pack", "--silent", AXE])
            .current_dir(&folder)
            .output()
            .expect("npm starts");
        assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
        let archive = String::from_utf8_lossy(&packed.stdout).trim().to_owned();
        let unpacked = Command::new("tar").args(["xzf", &archive]).current_dir(&folder).status();
        assert!(unpacked.expect("tar starts").success());
    }
    script
}
