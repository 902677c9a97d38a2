//! The page in a real browser: headless Chromium, driven by WebDriver (W3C), against the daemon's router behind a real nginx with TLS.
//!
//! Needs chromium, chromedriver and nginx. Screenshots are kept in `CARGO_TARGET_TMPDIR/screenshots`.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::extract::ConnectInfo;
use axum::http::Request;
use http_body_util::BodyExt as _;
use provd::admin::{self, Peer};
use provd::pen::Sighting;
use provd::registry::Report;
use redfish_simulator::{Model, Simulator};
use serde_json::json;
use tower::ServiceExt as _;

use crate::lab::{Lab, Walk, mac};
use crate::webdriver::Browser;

/// Ends with the test, whatever its end.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What stands in front of the daemon in the appliance: TLS, and the client's address in a header.
fn nginx(directory: &Path, port: u16) -> Process {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(directory.join("cert.pem"), key.cert.pem()).unwrap();
    fs::write(directory.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
    let at = directory.display();
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {at}/nginx.pid; error_log {at}/nginx.log;
         events {{ worker_connections 128; }}
         http {{
             access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f;
             uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
             server {{
                 listen 127.0.0.1:{port} ssl; ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem;
                 location / {{
                     proxy_pass http://unix:{at}/web.sock; proxy_http_version 1.1; proxy_set_header Connection \"\";
                     proxy_set_header Host $http_host; proxy_set_header X-Provbuild-Address $remote_addr; proxy_buffering off;
                 }}
             }}
         }}"
    );
    fs::write(directory.join("nginx.conf"), config).unwrap();
    let nginx = Command::new("nginx")
        .args(["-p", directory.to_str().unwrap(), "-c", directory.join("nginx.conf").to_str().unwrap()])
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx is needed");
    Process(nginx)
}

/// The daemon's side: a runtime of its own, so that all its connections end with it.
fn serve(lab: &Lab) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let path = lab.directory.path().join("web.sock");
    let _ = fs::remove_file(&path);
    let router = admin::router(lab.app.clone());
    let _entered = runtime.enter();
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    runtime
}

fn login_code(lab: &Lab) -> String {
    let local = admin::local_router(lab.app.clone());
    let mut request = Request::post("/api/v1/logins")
        .header("content-type", "application/json")
        .body(axum::body::Body::from("{}"))
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(Peer { uid: Some(0) }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let answer = local.oneshot(request).await.unwrap();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        json["code"].as_str().unwrap().to_owned()
    })
}

struct Site {
    lab: Lab,
    browser: Browser,
    base: String,
    shots: PathBuf,
    _nginx: Process,
}

impl Site {
    fn new(nodes: usize) -> Site {
        Site::of(Lab::new(nodes))
    }

    fn of(lab: Lab) -> Site {
        let port = free_port();
        let nginx = nginx(lab.directory.path(), port);
        let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        fs::create_dir_all(&shots).unwrap();
        let browser = Browser::start(lab.directory.path());
        Site { lab, browser, base: format!("https://localhost:{port}"), shots, _nginx: nginx }
    }

    fn go(&self, path: &str) {
        self.browser.go(&format!("{}{path}", self.base));
    }

    fn shot(&self, name: &str) {
        fs::write(self.shots.join(format!("{name}.png")), self.browser.screenshot()).unwrap();
    }

    /// Waits until an expression is true in the page.
    fn until(&self, expression: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.browser.eval(&format!("return !!({expression})")) != json!(true) {
            if Instant::now() > end {
                self.shot("failed");
                panic!("never true: {expression}\n{}", self.browser.eval("return document.body.innerText"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log_in(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(self.base.trim_start_matches("https://")).is_err() {
            assert!(Instant::now() < end, "nginx does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.go(&format!("/login#{}", login_code(&self.lab)));
        // The code has left the address, and the button is where Enter goes.
        self.until("document.getElementById('secret').value.length === 32 && location.hash === ''");
        self.browser.keys("\u{e007}");
        self.until("document.querySelector('#connection')?.dataset.state === 'on'");
    }

    fn row(&self, number: usize) -> String {
        format!("document.querySelector('tr[data-mac=\"{}\"]')", mac(number))
    }

    fn until_state(&self, number: usize, state: &str) {
        self.until(&format!("{}.querySelector('.badge').textContent === '{state}'", self.row(number)));
    }

    /// Of everything that was loaded since the last navigation, and of the console.
    fn nothing_strange(&self) {
        let foreign = self.browser.eval(
            "return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith(location.origin + '/'))",
        );
        assert_eq!(foreign, json!([]));
        let errors: Vec<String> = self.browser.console();
        assert!(errors.is_empty(), "{errors:#?}");
    }

    fn no_sideways(&self) {
        let wide = self.browser.eval("return [document.documentElement.scrollWidth, innerWidth]");
        assert!(wide[0].as_u64() <= wide[1].as_u64(), "{wide}: it scrolls sideways");
    }
}

#[test]
#[ignore = "needs chromium, chromedriver and nginx"]
fn sandbox_browser_shows_an_install_live() {
    let site = Site::new(12);
    let serving = serve(&site.lab);
    site.log_in();
    let app = site.lab.app.clone();
    site.browser.eval("window.sameDocument = true");
    site.shot("01-nodes");

    // Arm, by the mouse and the dialog; a wrong name is refused in the dialog.
    site.browser.click(&format!("#arm-{}", mac(1).to_string().replace(':', "\\:")));
    site.until("document.getElementById('dialog').open && document.activeElement.name === 'confirm'");
    site.browser.keys("node2\u{e007}");
    site.until("!document.querySelector('#dialog .fault').hidden");
    site.shot("02-refused");
    assert_eq!(app.registry.node(mac(1)).unwrap().stored.state.name(), "disk");
    site.browser
        .eval("document.getElementById('confirm-name').value = ''; document.getElementById('confirm-name').focus()");
    site.browser.keys("node1");
    site.shot("03-confirm");
    site.browser.keys("\u{e007}");
    site.until_state(1, "armed");
    site.until("!document.getElementById('dialog').open");

    // The console has the refusal above; from here on nothing more may come.
    site.browser.console();
    let mut walk = Walk::of(&app, 1);
    walk.boot();
    site.until_state(1, "booting");
    walk.read_answers();
    site.until_state(1, "installing");
    walk.step("subiquity/Install/install/curtin_install", "installing system");
    site.until(&format!("{}.querySelector('.detail').textContent.includes('curtin_install')", site.row(1)));
    site.shot("04-installing");
    walk.report(Report::Installed);
    site.until_state(1, "installed");
    walk.first_boot();
    site.until_state(1, "verified");
    site.until(&format!("{}.querySelector('.stages').dataset.stage === '5'", site.row(1)));
    site.until("document.getElementById('said').textContent === 'node1 is verified'");
    assert_eq!(site.browser.eval("return window.sameDocument"), json!(true), "the page was loaded again");
    site.shot("05-verified");
    site.nothing_strange();

    // The other pages.
    site.go("/nodes/node1");
    site.until("document.querySelector('.timeline') && document.querySelector('#connection').dataset.state === 'on'");
    site.browser.wait_for_text("curtin_install");
    site.shot("06-node");
    app.registry.tick(jiff::Timestamp::now()).unwrap();
    let hostile = Sighting {
        hostname: Some("<img src=x onerror=alert(1)>".to_owned()),
        vendor: Some("PXEClient:Arch:00007".to_owned()),
        fingerprint: Some("1,3,6,12,15,28,42".to_owned()),
        address: Some("10.10.200.7".parse().unwrap()),
    };
    app.pen.note(mac(99), &hostile, jiff::Timestamp::now()).unwrap();
    for (path, name) in [("/strangers", "07-strangers"), ("/audit?verify=1", "08-audit"), ("/services", "09-services")]
    {
        site.go(path);
        site.until("document.readyState === 'complete'");
        assert_eq!(site.browser.eval("return document.querySelectorAll('main img').length"), json!(0));
        site.shot(name);
        site.nothing_strange();
    }

    // A failure, on its own page, which shows it without being asked for again.
    site.go("/nodes/node2");
    site.until("document.querySelector('#connection').dataset.state === 'on'");
    let actor = provd::registry::Actor { who: "ada".to_owned(), origin: "local".to_owned() };
    app.registry.arm(mac(2), &actor, "test", jiff::Timestamp::now()).unwrap();
    let mut walk = Walk::of(&app, 2);
    walk.boot();
    walk.read_answers();
    walk.step("subiquity/Filesystem/apply_autoinstall_config", "");
    walk.report(Report::Failed {
        reason: "no disk matches serial S3Z*".to_owned(),
        log: Some("curtin: one\ncurtin: two\n".to_owned()),
    });
    site.until("document.querySelector('h1 .badge').textContent === 'failed' && document.querySelector('.log')");
    site.shot("10-failed");
    site.nothing_strange();

    // The daemon goes, and comes back: what happened meanwhile is shown.
    site.go("/");
    site.until("document.querySelector('#connection').dataset.state === 'on'");
    serving.shutdown_background();
    site.until("!document.getElementById('lost').hidden");
    site.shot("11-lost");
    app.registry.arm(mac(3), &actor, "test", jiff::Timestamp::now()).unwrap();
    let _serving = serve(&site.lab);
    site.until_state(3, "armed");
    site.until("document.getElementById('lost').hidden");
}

#[test]
#[ignore = "needs chromium, chromedriver and nginx"]
fn sandbox_browser_cycles_a_machines_power_and_sees_it_live() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bmc = runtime.block_on(Simulator::start(Model::generic()));
    let site = Site::of(Lab::with_bmcs(2, &[bmc.address()]));
    let _serving = serve(&site.lab);
    site.log_in();
    site.go("/nodes/node1");
    site.until("document.querySelector('#connection').dataset.state === 'on'");
    site.browser.eval("window.sameDocument = true");
    site.browser.click("#read-status");
    site.until("document.querySelector('#status dd')?.textContent === 'On'");
    site.shot("12-machine-status");

    // Slow enough to be seen on its way.
    bmc.set_latency(Duration::from_millis(150));
    site.browser.click("#machine-cycle");
    site.until("document.getElementById('dialog').open && document.activeElement.name === 'reason'");
    site.shot("13-machine-confirm");
    site.browser.keys("hangs\u{e007}");
    site.until("!document.getElementById('dialog').open");
    site.until("document.querySelector('.operations .badge')?.textContent === 'running'");
    site.shot("14-machine-running");
    site.until("document.querySelector('.operations .badge').textContent === 'done'");
    site.until("document.querySelector('.operations .text').textContent === 'on -> on (ForceOff, On)'");
    site.until("document.getElementById('said').textContent.startsWith('power cycle done')");
    assert_eq!(site.browser.eval("return window.sameDocument"), json!(true), "the page was loaded again");
    assert_eq!(bmc.state().boots.len(), 1);
    site.shot("15-machine-done");
    site.nothing_strange();

    for dark in [false, true] {
        site.browser.cdp(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" }}]}),
        );
        site.browser.cdp(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true}),
        );
        for (path, name) in [("/nodes/node1", "machine"), ("/nodes/node1/machine/install", "machine-confirm")] {
            site.go(path);
            site.until("document.readyState === 'complete'");
            site.no_sideways();
            site.shot(&format!("phone-{}-{name}", if dark { "dark" } else { "light" }));
        }
    }
}

#[test]
#[ignore = "needs chromium, chromedriver and nginx"]
fn sandbox_browser_on_a_phone_by_keyboard_and_without_script() {
    let site = Site::new(1000);
    let _serving = serve(&site.lab);
    site.log_in();
    let app = site.lab.app.clone();

    // By keyboard alone: to the search, to the node, to its button, into the dialog and back.
    site.browser.keys("\u{e004}");
    site.until("document.activeElement.className === 'skip'");
    site.browser.eval("document.getElementById('q').focus()");
    site.browser.keys("node777");
    site.until("[...document.querySelectorAll('tbody tr')].filter(row => !row.hidden).length === 1");
    let mut steps = 0;
    while site.browser.eval("return document.activeElement.dataset.action ?? ''") != json!("arm") {
        site.browser.keys("\u{e004}");
        steps += 1;
        assert!(steps < 30, "the button cannot be reached");
    }
    let ring = site.browser.eval("return getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(ring, json!("solid"), "the focus is not seen");
    site.browser.keys("\u{e007}");
    site.until("document.getElementById('dialog').open");
    for _ in 0..8 {
        site.browser.keys("\u{e004}");
        let inside = site.browser.eval("return document.activeElement === document.body || document.getElementById('dialog').contains(document.activeElement)");
        assert_eq!(inside, json!(true), "the focus has left the dialog");
    }
    site.browser.keys("\u{e00c}");
    site.until("!document.getElementById('dialog').open && document.activeElement.dataset.action === 'arm'");
    site.browser.keys("\u{e007}");
    site.until("document.getElementById('dialog').open && document.activeElement.name === 'confirm'");
    site.browser.keys("node777\u{e004}new disk\u{e007}");
    site.until_state(777, "armed");
    let line = app.registry.audit(Some(mac(777)), 0, 10).unwrap().pop().unwrap().line;
    assert_eq!((line.who.as_str(), line.origin.as_str(), line.why.as_str()), ("root", "127.0.0.1", "new disk"));

    // A change touches its row and no other.
    site.browser.eval(
        "document.getElementById('q').value = ''; document.getElementById('q').dispatchEvent(new Event('input'))",
    );
    site.browser.eval(
        "window.touched = new Set(); new MutationObserver(all => all.forEach(m => {
             const row = (m.target.closest ?? m.target.parentElement.closest).call(m.target.closest ? m.target : m.target.parentElement, 'tr');
             if (row) touched.add(row.dataset.mac) })).observe(document.querySelector('tbody'),
         {subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ['data-state']})",
    );
    let mut walk = Walk::of(&app, 777);
    walk.boot();
    site.until_state(777, "booting");
    assert_eq!(site.browser.eval("return [...touched]"), json!([mac(777).to_string()]));

    // A phone, light and dark.
    for dark in [false, true] {
        site.browser.cdp(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" }}]}),
        );
        site.browser.cdp(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true}),
        );
        for (path, name) in [
            ("/?state=booting", "table"),
            ("/nodes/node777", "node"),
            ("/nodes/node5/arm", "confirm"),
            ("/strangers", "strangers"),
            ("/audit", "audit"),
            ("/services", "services"),
        ] {
            site.go(path);
            site.until("document.readyState === 'complete'");
            site.no_sideways();
            site.shot(&format!("phone-{}-{name}", if dark { "dark" } else { "light" }));
        }
        let ground = site.browser.eval("return getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground, json!(if dark { "rgb(16, 21, 27)" } else { "rgb(246, 247, 249)" }));
    }
    site.browser.cdp("Emulation.clearDeviceMetricsOverride", &json!({}));
    site.go("/");
    site.until("document.querySelector('#connection').dataset.state === 'on'");
    site.shot("dark-nodes");
    site.nothing_strange();

    // Another page's form, with the session's cookie: refused. So is ours without its token.
    let status = site.browser.eval_later(
        "fetch('/nodes/node5/arm', {method: 'POST', body: new URLSearchParams({confirm: 'node5'})}).then(a => done(a.status), e => done(String(e)))",
    );
    assert_eq!(status, json!(403));
    assert_eq!(app.registry.node(mac(5)).unwrap().stored.state.name(), "disk");

    // Without a script: the same links and forms.
    site.browser.cdp("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    site.go("/?q=node5&state=disk");
    site.browser.click(&format!("#arm-{}", mac(5).to_string().replace(':', "\\:")));
    site.browser.type_into("#confirm-name", "node6");
    site.browser.click("#confirm button");
    site.browser.wait_for_text("confirm by giving the node's host name");
    site.browser.type_into("#confirm-name", "node5");
    site.browser.click("#confirm button");
    site.browser.wait_for_text("It installs at its next boot");
    assert_eq!(app.registry.node(mac(5)).unwrap().stored.state.name(), "armed");
    site.shot("without-script");
}
