//! A small WebDriver client (W3C WebDriver, 2018) for chromedriver, with Chromium's own additions for emulation.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    runtime: tokio::runtime::Runtime,
}

/// The key under which an element's reference stands.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long a page may take to come.
const PATIENCE: Duration = Duration::from_secs(15);

impl Browser {
    pub(crate) fn start(profile: &Path) -> Browser {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("/usr/bin/chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is needed");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut browser = Browser { driver, port, session: String::new(), runtime };
        let end = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "chromedriver does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        let data = profile.join("chromium");
        let made = browser.call("POST", "/session", &json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "acceptInsecureCerts": true,
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900",
                format!("--user-data-dir={}", data.display())]}}}}));
        browser.session = made["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// The value of an answer; an error of the driver ends the test.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_call(method, path, body).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let path = if self.session.is_empty() { path.to_owned() } else { format!("/session/{}{path}", self.session) };
        let (status, text) = self.runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let body = if method == "GET" || method == "DELETE" { String::new() } else { body.to_string() };
            let request = hyper::Request::builder()
                .method(method)
                .uri(&path)
                .header("host", format!("localhost:{}", self.port))
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(body)))
                .unwrap();
            let answer = sender.send_request(request).await.unwrap();
            let status = answer.status();
            (status, answer.into_body().collect().await.unwrap().to_bytes())
        });
        let answer: Value = serde_json::from_slice(&text).unwrap();
        match status.is_success() {
            true => Ok(answer["value"].clone()),
            false => Err(format!("{method} {path}: {}", answer["value"]["message"])),
        }
    }

    /// Something with an element of a page that may be just on its way: tried again until it can be done.
    fn with<T>(&self, selector: &str, what: impl Fn(&str) -> Result<T, String>) -> T {
        let start = Instant::now();
        loop {
            let found = self.try_call("POST", "/element", &json!({"using": "css selector", "value": selector}));
            let done = found.and_then(|found| what(found[ELEMENT].as_str().unwrap()));
            match done {
                Ok(done) => return done,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{selector}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    /// The value that a piece of script returns.
    pub(crate) fn eval(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// The value that a piece of script gives to `done`.
    pub(crate) fn eval_later(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.call("POST", "/execute/async", &json!({"script": script, "args": []}))
    }

    /// Keys to whatever has the focus.
    pub(crate) fn keys(&self, text: &str) {
        let actions: Vec<Value> = text
            .chars()
            .flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})])
            .collect();
        self.call("POST", "/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}));
    }

    pub(crate) fn click(&self, selector: &str) {
        self.with(selector, |element| self.try_call("POST", &format!("/element/{element}/click"), &json!({})));
    }

    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let keys = json!({ "text": text });
        self.with(selector, |element| self.try_call("POST", &format!("/element/{element}/value"), &keys));
    }

    /// Waits until the page says this, also where no script runs.
    pub(crate) fn wait_for_text(&self, text: &str) {
        self.with("body", |element| {
            let all = self.try_call("GET", &format!("/element/{element}/text"), &Value::Null)?;
            match all.as_str().unwrap().contains(text) {
                true => Ok(()),
                false => Err(format!("the page does not say '{text}' but {all}")),
            }
        });
    }

    pub(crate) fn screenshot(&self) -> Vec<u8> {
        let text = self.call("GET", "/screenshot", &Value::Null);
        base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap()
    }

    /// What the console has got since the last call, from warnings on.
    pub(crate) fn console(&self) -> Vec<String> {
        let lines = self.call("POST", "/se/log", &json!({"type": "browser"}));
        let bad = |line: &&Value| matches!(line["level"].as_str(), Some("SEVERE" | "WARNING"));
        lines.as_array().unwrap().iter().filter(bad).map(|line| line["message"].to_string()).collect()
    }

    pub(crate) fn cdp(&self, command: &str, params: &Value) -> Value {
        self.call("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": params}))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closes Chromium too; a driver that is killed leaves it behind.
        let path = format!("/session/{}", self.session);
        if !self.session.is_empty() {
            let request =
                format!("DELETE {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n", self.port);
            if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) {
                use std::io::{Read as _, Write as _};
                let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
                let _ = stream.write_all(request.as_bytes());
                let _ = stream.read(&mut [0; 512]);
            }
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
