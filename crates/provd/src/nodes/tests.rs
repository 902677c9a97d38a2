//! Nodes as they really ask: the addresses and tokens that they use are read from the documents that they were given.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use jiff::Timestamp;
use netboot::{Declared, MacAddr, Release};
use proptest::prelude::*;
use tower::ServiceExt as _;

use super::{CLIENT_ADDRESS, router};
use crate::app::{App, Shared};
use crate::control::{Control, Settings};
use crate::pen::Pen;
use crate::registry::tests::Lab;
use crate::registry::{Actor, ReportedEvent};
use crate::store::Audited;

const NODE1: &str = "10.10.1.21";
const NODE2: &str = "10.10.1.22";

/// An appliance with an Ubuntu node (1) and a Debian node (2).
struct Site {
    lab: Lab,
    app: Shared,
    router: Router,
}

#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    body: String,
}

/// What a refusal must leave as it is.
#[derive(Debug, PartialEq)]
struct Untouched {
    states: Vec<(MacAddr, crate::state::State)>,
    head: (u64, String),
    events: Vec<Vec<ReportedEvent>>,
    logs: Vec<Option<String>>,
}

fn mac(last: u8) -> MacAddr {
    MacAddr::from_bytes([0x52, 0x54, 0, 0, 0, last])
}

fn declared(mut declared: Declared) -> Declared {
    let mut trixie = declared.installers["noble"].clone();
    trixie.system.release = Release::Debian13;
    declared.installers.insert("trixie".to_owned(), trixie);
    declared.inventory.nodes[1].install = Some("trixie".to_owned());
    declared
}

impl Site {
    fn new() -> Site {
        let mut lab = Lab::new();
        lab.declared = declared(lab.declared);
        let registry = lab.open(Timestamp::now());
        let pen = Pen::new(Arc::clone(registry.store()));
        let control = Control::new(Settings::default());
        let app: Shared = Arc::new(App { registry, pen, control, image: None, state: "/nonexistent".into() });
        let router = router(Arc::clone(&app));
        Site { lab, app, router }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let head = request.method() == Method::HEAD;
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        if status >= 400 && !head {
            let error: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}"));
            assert!(body.ends_with('\n') && body.lines().count() == 1 && error["error"].is_string(), "{body}");
        }
        Answer { status, body }
    }

    async fn ask(&self, method: Method, path: &str, from: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path).header(CLIENT_ADDRESS, from);
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str, from: &str) -> Answer {
        self.ask(Method::GET, path, from, "").await
    }

    /// What is given, which must be something.
    async fn given(&self, url: &str, from: &str) -> String {
        let answer = self.get(path_of(url), from).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.body);
        answer.body
    }

    async fn post(&self, url: &str, from: &str, body: impl Into<Body>) -> u16 {
        self.ask(Method::POST, path_of(url), from, body).await.status
    }

    fn arm(&self, last: u8) {
        let actor = Actor { who: "admin".to_owned(), origin: "local".to_owned() };
        self.app.registry.arm(mac(last), &actor, "test", Timestamp::now()).unwrap();
    }

    fn state(&self, last: u8) -> (&'static str, String) {
        let state = self.app.registry.node(mac(last)).unwrap().stored.state;
        (state.name(), state.detail())
    }

    fn now(&self) -> Untouched {
        let registry = &self.app.registry;
        let nodes = registry.nodes();
        Untouched {
            states: nodes.iter().map(|node| (node.stored.mac, node.stored.state.clone())).collect(),
            head: Audited::verify(registry.store()).unwrap().unwrap(),
            events: nodes.iter().map(|node| registry.events(node.stored.mac, 100_000).unwrap()).collect(),
            logs: nodes.iter().map(|node| registry.log(node.stored.mac).unwrap()).collect(),
        }
    }

    /// The seed's URL on the kernel line of a boot script.
    async fn boots(&self, last: u8, from: &str) -> String {
        let script = self.given(&format!("/nodes/52-54-00-00-00-0{last}.ipxe"), from).await;
        let at = script.find("http://10.10.1.1/seed/").unwrap_or_else(|| panic!("{script}"));
        script[at..].split_whitespace().next().unwrap().to_owned()
    }

    /// Node 1 up to its answers: where it reports to.
    async fn ubuntu_installs(&self) -> String {
        self.arm(1);
        let seed = self.boots(1, NODE1).await;
        assert_eq!(self.state(1).0, "booting");
        for file in ["meta-data", "vendor-data", "network-config"] {
            self.given(&format!("{seed}{file}"), NODE1).await;
        }
        assert_eq!(self.state(1).0, "booting");
        let user_data = self.given(&format!("{seed}user-data"), NODE1).await;
        assert_eq!(self.state(1).0, "installing");
        endpoint(&user_data)
    }
}

/// Requests come by nginx, which gives the path alone.
fn path_of(url: &str) -> &str {
    url.strip_prefix("http://10.10.1.1").unwrap_or(url)
}

fn endpoint(user_data: &str) -> String {
    let line = user_data.lines().find_map(|line| line.trim().strip_prefix("endpoint: "));
    line.unwrap_or_else(|| panic!("{user_data}")).to_owned()
}

fn event(name: &str, kind: &str, timestamp: f64) -> String {
    let result = if kind == "finish" { r#", "result": "SUCCESS""# } else { "" };
    format!(
        r#"{{"name": "{name}", "description": "d", "event_type": "{kind}", "origin": "curtin", "timestamp": {timestamp:.3},
        "level": "INFO"{result}}}"#
    )
}

fn first_boot(hostname: &str, address: &str) -> String {
    format!(r#"{{"hostname":"{hostname}","address":"{address}","ssh-host-keys":["ssh-ed25519 AAAA root@x"]}}"#)
}

fn seconds() -> f64 {
    Timestamp::now().as_microsecond() as f64 / 1e6
}

#[tokio::test]
async fn an_ubuntu_node_from_its_disk_to_verified() {
    let site = Site::new();
    let script = site.given("/nodes/52-54-00-00-00-01.ipxe", NODE1).await;
    assert!(!script.contains("seed") && site.state(1).0 == "disk", "{script}");
    let report = site.ubuntu_installs().await;
    // It starts again: its disk may be half written, and boots all the same.
    let again = site.given("/grub/nodes/52-54-00-00-00-01.cfg", NODE1).await;
    assert!(!again.contains("seed"), "{again}");

    let now = seconds();
    assert_eq!(site.post(&report, NODE1, event("subiquity/Network", "start", now)).await, 200);
    assert_eq!(site.state(1), ("installing", "subiquity/Network".to_owned()));
    // Twice, and one that was held up.
    let before = site.now();
    assert_eq!(site.post(&report, NODE1, event("subiquity/Network", "start", now)).await, 200);
    assert_eq!(site.now(), before);
    assert_eq!(site.post(&report, NODE1, event("subiquity/Early", "start", now - 30.0)).await, 200);
    assert_eq!(site.state(1).1, "subiquity/Network");
    assert_eq!(site.post(&report, NODE1, event("subiquity/Network", "finish", now + 1.0)).await, 200);
    // A clock that nobody has set.
    assert_eq!(site.post(&report, NODE1, event("subiquity/Install", "start", 12.0)).await, 200);
    assert_eq!(site.state(1).1, "subiquity/Install");
    let events = site.app.registry.events(mac(1), 100).unwrap();
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!((events[2].kind.as_str(), events[2].result.as_deref()), ("finish", Some("SUCCESS")));

    assert_eq!(site.post(&format!("{report}/installed"), NODE1, "").await, 200);
    assert_eq!(site.state(1).0, "installed");
    let before = site.now();
    assert_eq!(site.post(&format!("{report}/installed"), NODE1, "").await, 200);
    assert_eq!(site.now(), before, "the same again");
    assert_eq!(site.post(&report, NODE1, event("subiquity/Late", "finish", now + 9.0)).await, 200);
    assert_eq!(site.state(1).0, "installed");
    assert_eq!(site.post(&format!("{report}/first-boot"), NODE1, first_boot("node1", NODE1)).await, 200);
    assert_eq!(site.state(1).0, "verified");
    let state = site.app.registry.node(mac(1)).unwrap().stored.state;
    assert!(format!("{state:?}").contains(r#"host_keys: ["ssh-ed25519 AAAA"]"#), "{state:?}");
    // All is said: the token is of no use any more.
    let before = site.now();
    assert_eq!(site.post(&format!("{report}/first-boot"), NODE1, first_boot("node1", NODE1)).await, 410);
    assert_eq!(site.post(&format!("{report}/failed"), NODE1, "late").await, 410);
    assert_eq!(site.now(), before);
    assert_eq!(site.state(2).0, "disk");
}

#[tokio::test]
async fn a_debian_node_from_its_disk_to_verified() {
    let site = Site::new();
    site.arm(2);
    let script = site.given("/grub/nodes/52-54-00-00-00-02.cfg", NODE2).await;
    assert!(script.contains("ARMED"), "{script}");
    let preseed = site.boots(2, NODE2).await;
    let folder = preseed.strip_suffix("/preseed.cfg").unwrap();
    let answers = site.given(&preseed, NODE2).await;
    assert!(!answers.contains("/report/") && !answers.contains("/seed/"), "no token in what the target's logs keep");
    assert_eq!(site.state(2).0, "booting");
    // In the order of preseed/early_command.
    let late = site.given(&format!("{folder}/late.sh"), NODE2).await;
    assert_eq!(site.state(2).0, "booting");
    let early = site.given(&format!("{folder}/early.sh"), NODE2).await;
    assert_eq!(site.state(2).0, "installing");
    let at = early.find("http://10.10.1.1/report/").unwrap();
    let report = early[at..].split('\'').next().unwrap();
    assert!(!late.contains("/report/0"), "{late}");

    assert_eq!(site.post(&format!("{report}/step"), NODE2, "preseed: has read its answers\n").await, 200);
    // From the first report on nobody reads the answers again.
    let before = site.now();
    assert_eq!(site.get(path_of(&format!("{folder}/late.sh")), NODE2).await.status, 410);
    assert_eq!(site.post(&format!("{report}/step"), NODE2, "preseed: has read its answers\n").await, 200);
    assert_eq!(site.now(), before, "a step twice");
    assert_eq!(site.post(&format!("{report}/step"), NODE2, "partman: partitions /dev/sda\n").await, 200);
    assert_eq!(site.state(2), ("installing", "partman: partitions /dev/sda".to_owned()));
    // The end goes unheard; the first boot shows that there was one.
    assert_eq!(site.post(&format!("{report}/first-boot"), NODE2, first_boot("node2.lab.example", NODE2)).await, 200);
    assert_eq!(site.state(2).0, "verified");
    let audit = site.app.registry.audit(Some(mac(2)), 0, 100).unwrap();
    let ways: Vec<&str> = audit.iter().map(|line| line.line.to.as_str()).collect();
    let expected = ["disk", "armed", "booting", "installing", "installing", "installing", "installed", "verified"];
    assert_eq!(ways, expected);
}

#[tokio::test]
async fn a_failure_leaves_its_log_without_tokens() {
    let site = Site::new();
    let report = site.ubuntu_installs().await;
    let token = report.rsplit('/').next().unwrap();
    let log = format!("endpoint: {report}\nalone: {token}\n\u{1b}[31mred\u{1b}[0m \u{0}x\n\u{fc}\n");
    let reason = format!("curtin\u{7} failed: see {report}/x");
    let body = format!("{reason}\n{log}");
    assert_eq!(site.post(&format!("{report}/failed"), NODE1, body).await, 200);
    let expected = "curtin  failed: see http://10.10.1.1/report/[token]/x";
    assert_eq!(site.state(1), ("failed", expected.to_owned()));
    let kept = site.app.registry.log(mac(1)).unwrap().unwrap();
    assert_eq!(kept, "endpoint: http://10.10.1.1/report/[token]\nalone: [token]\n [31mred [0m  x\n\u{fc}\n");
    let everything = format!("{:?}", site.now());
    assert!(!everything.contains(token), "{everything}");
    // It failed: nothing of this attempt is heard any more, and the disk is what it boots.
    let before = site.now();
    for end in ["", "/step", "/installed", "/failed", "/first-boot"] {
        let body = if end == "/first-boot" { first_boot("node1", NODE1) } else { event("x", "start", 1e9) };
        let body = if end == "/installed" { String::new() } else { body };
        assert_eq!(site.post(&format!("{report}{end}"), NODE1, body).await, 410, "{end}");
    }
    assert!(!site.given("/nodes/52-54-00-00-00-01.ipxe", NODE1).await.contains("seed"));
    assert_eq!(site.now(), before);
}

#[tokio::test]
async fn a_system_that_is_another_one_fails() {
    for (hostname, address, keys, reason) in [
        ("node2", NODE1, true, "calls itself 'node2'"),
        ("node1", "10.10.1.99", true, "has the address 10.10.1.99"),
        ("node1", NODE1, false, "has no ssh host key"),
    ] {
        let site = Site::new();
        let report = site.ubuntu_installs().await;
        let body = first_boot(hostname, address);
        let body = if keys { body } else { body.replace("\"ssh-ed25519 AAAA root@x\"", "") };
        assert_eq!(site.post(&format!("{report}/first-boot"), NODE1, body).await, 200);
        let (state, detail) = site.state(1);
        assert!(state == "failed" && detail.contains(reason), "{state}: {detail}");
    }
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let site = Site::new();
    let report = site.ubuntu_installs().await;
    assert_eq!(site.post(&report, NODE1, event("subiquity/a", "start", seconds())).await, 200);
    let first = site.boots_of_node2().await;
    let before = site.now();
    let posts: Vec<(String, &str, Vec<u8>, u16)> = vec![
        // A token that is guessed, of the other purpose, and of another node.
        (format!("/report/{}", "0".repeat(32)), NODE1, event("x", "start", 1e9).into(), 403),
        (report.replace("/report/", "/seed/"), NODE1, event("x", "start", 1e9).into(), 404),
        (format!("/report/{}", &first[first.find("/seed/").unwrap() + 6..][..32]), NODE2, "{}".into(), 400),
        (
            format!("/report/{}", &first[first.find("/seed/").unwrap() + 6..][..32]),
            NODE2,
            event("x", "start", 1e9).into(),
            403,
        ),
        (report.clone(), NODE2, event("x", "start", 1e9).into(), 403),
        (format!("{report}/failed"), NODE2, "x".into(), 403),
        // Not what it should be.
        (report.clone(), NODE1, event("x", "start", 1e9).as_bytes()[..60].to_vec(), 400),
        (report.clone(), NODE1, event("x", "note", 1e9).into(), 400),
        (report.clone(), NODE1, vec![], 400),
        (format!("{report}/step"), NODE1, vec![], 400),
        (format!("{report}/step"), NODE1, vec![0xff, 0xfe], 400),
        (format!("{report}/installed"), NODE1, "x".into(), 400),
        (format!("{report}/first-boot"), NODE1, "{}".into(), 400),
        (report.to_uppercase().replace("HTTP://10.10.1.1/REPORT", "/report"), NODE1, "{}".into(), 400),
        // Too much.
        (report.clone(), NODE1, vec![b' '; 64 * 1024 + 1], 413),
        (format!("{report}/step"), NODE1, vec![b'a'; 64 * 1024 + 1], 413),
        (format!("{report}/first-boot"), NODE1, vec![b' '; 64 * 1024 + 1], 413),
        (format!("{report}/failed"), NODE1, vec![b'a'; 1024 * 1024 + 1], 413),
        (format!("{report}/failed/"), NODE1, "x".into(), 400),
        (format!("{report}?x"), NODE1, event("x", "start", 1e9).into(), 400),
    ];
    for (url, from, body, status) in posts {
        let length = body.len();
        assert_eq!(site.post(&url, from, body).await, status, "{from} {url} {length}");
        assert_eq!(site.now(), before, "{from} {url}");
    }
    // Used up, of another, not there.
    for (path, from, status) in [
        (first.replace("preseed.cfg", "user-data"), NODE2, 404),
        (first.replace("preseed.cfg", "..%2fpreseed.cfg"), NODE2, 400),
        (first.clone(), NODE1, 403),
        (format!("{report}/user-data"), NODE1, 404),
        (report.clone(), NODE1, 405),
    ] {
        assert_eq!(site.get(path_of(&path), from).await.status, status, "{from} {path}");
        assert_eq!(site.now(), before, "{from} {path}");
    }
    // Reading needs GET: HEAD would use the answers up.
    let early = first.replace("preseed.cfg", "early.sh");
    assert_eq!(site.ask(Method::HEAD, path_of(&early), NODE2, "").await.status, 405);
    assert_eq!(site.now(), before);

    // No address, two, or none at all.
    for headers in [&[][..], &[NODE1, NODE1], &["node1"], &["10.10.1.21, 10.10.1.22"], &[""]] {
        let mut request = Request::builder().uri("/nodes/52-54-00-00-00-01.ipxe");
        for header in headers {
            request = request.header(CLIENT_ADDRESS, *header);
        }
        assert_eq!(site.send(request.body(Body::empty()).unwrap()).await.status, 400, "{headers:?}");
    }
    assert_eq!(site.now(), before);
}

impl Site {
    /// Node 2 up to its boot script.
    async fn boots_of_node2(&self) -> String {
        self.arm(2);
        self.boots(2, NODE2).await
    }
}

#[tokio::test]
async fn an_attempt_that_was_given_up_says_nothing_any_more() {
    let site = Site::new();
    let actor = Actor { who: "admin".to_owned(), origin: "local".to_owned() };
    let old = site.ubuntu_installs().await;
    assert!(site.app.registry.disarm(mac(1), &actor, "test", Timestamp::now()).unwrap());
    let before = site.now();
    assert_eq!(site.post(&old, NODE1, event("x", "start", seconds())).await, 410);
    assert_eq!(site.now(), before);
    let new = site.ubuntu_installs().await;
    assert_ne!(new, old);
    let before = site.now();
    assert_eq!(site.post(&old, NODE1, event("x", "start", seconds())).await, 410);
    assert_eq!(site.post(&format!("{old}/failed"), NODE1, "x").await, 410);
    assert_eq!(site.now(), before);
    assert_eq!(site.post(&new, NODE1, event("x", "start", seconds())).await, 200);
}

#[tokio::test]
async fn a_flood_of_events_ends() {
    let site = Site::new();
    let report = site.ubuntu_installs().await;
    // As many as are taken, put there at once.
    site.app
        .registry
        .store()
        .write(|t| {
            let mut insert = t.prepare(
                "INSERT INTO events (mac, attempt, at, kind, name, text, digest) VALUES (?, 1, ?, 'start', 'x', '', ?)",
            )?;
            for number in 0..5000 {
                insert.execute((mac(1).to_string(), Timestamp::now().to_string(), format!("{number}")))?;
            }
            Ok(())
        })
        .unwrap();
    let before = site.now();
    for number in 0..3 {
        let name = format!("flood{number}");
        assert_eq!(site.post(&report, NODE1, event(&name, "start", seconds())).await, 200);
        assert_eq!(site.post(&report, NODE1, event(&name, "finish", seconds())).await, 200);
    }
    assert_eq!(site.now(), before);
    assert_eq!(site.post(&format!("{report}/failed"), NODE1, "reason").await, 200);
    assert_eq!(site.state(1).0, "failed");
    assert_eq!(site.app.registry.events(mac(1), 100_000).unwrap().len(), 5001);
}

#[tokio::test]
async fn a_store_that_fails_leaves_the_machine_to_its_own_disk() {
    let site = Site::new();
    site.arm(1);
    site.app.registry.store().write(|t| Ok(t.execute_batch("DROP TABLE tokens")?)).unwrap();
    let answer = site.get("/nodes/52-54-00-00-00-01.ipxe", NODE1).await;
    assert_eq!(answer, Answer { status: 503, body: "{\"error\":\"not now\"}\n".to_owned() });
    let path = format!("/seed/{}/user-data", "0".repeat(32));
    assert_eq!(site.get(&path, NODE1).await.status, 503);
    assert_eq!(site.state(1).0, "armed");
    drop(site.lab);
}

#[tokio::test]
async fn a_stranger_is_no_node() {
    let site = Site::new();
    let before = site.now();
    let answer = site.get("/nodes/52-54-00-00-00-09.ipxe", "10.10.1.150").await;
    assert_eq!(answer, Answer { status: 404, body: "{\"error\":\"this machine is no node\"}\n".to_owned() });
    assert_eq!(site.now(), before);
}

/// Paths that are nearly ours.
fn path() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => proptest::sample::select(&[
            "nodes", "grub", "seed", "report", "step", "failed", "installed", "first-boot", "user-data", "preseed.cfg", "cidata.iso", "..",
            ".", "", "%2e%2e", "%00", "52-54-00-00-00-01.ipxe", "52-54-00-00-00-01.cfg", "52:54:00:00:00:01.ipxe",
            "0123456789abcdef0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF",
        ][..]).prop_map(str::to_owned),
        1 => "[!-~]{0,40}",
    ];
    proptest::collection::vec(word, 0..5).prop_map(|words| format!("/{}", words.join("/")))
}

#[test]
fn nothing_that_is_thrown_at_it_moves_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let site = Site::new();
    let report = runtime.block_on(site.ubuntu_installs());
    let own = path_of(&report).to_owned();
    let before = site.now();
    let config = ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() };
    let method = proptest::sample::select(&["GET", "POST", "HEAD", "PUT", "X"][..]);
    let ends = proptest::sample::select(&["", "/step", "/installed", "/failed", "/first-boot"][..]);
    let from: &[Option<&str>] = &[Some(NODE2), Some("10.10.1.99"), Some("::1"), Some("x"), None];
    let from = proptest::sample::select(from);
    // With the node's own token, but from elsewhere; or from the node, but without its token.
    let paths = (path(), ends, any::<bool>());
    let body = proptest::collection::vec(any::<u8>(), 0..2000);
    let all = (method, paths, from, body);
    proptest!(config, |((method, (path, end, own_token), from, body) in all)| {
        let (path, from) = match own_token {
            true => (format!("{own}{end}"), from),
            false => (path, from.or(Some(NODE2))),
        };
        let mut request = Request::builder().method(method).uri(path.as_str());
        if let Some(from) = from {
            request = request.header(CLIENT_ADDRESS, from);
        }
        // What is no URI at all does not come through nginx.
        let Ok(request) = request.body(Body::from(body)) else { return Ok(()) };
        let answer = runtime.block_on(site.router.clone().oneshot(request)).unwrap();
        let status = answer.status().as_u16();
        prop_assert!(status < 500, "{} {}: {}", method, path, status);
        let boots = status == 200 && path.contains("nodes");
        prop_assert!((400..500).contains(&status) || boots, "{} {}: {}", method, path, status);
    });
    assert_eq!(site.now(), before);
}
