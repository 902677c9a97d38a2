//! A node's answers as a CD: asked for by the API, inserted into the Redfish simulator, and read as its BMC would.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use provd::registry::{Refused, Report};
use provd::store::Token;
use redfish_simulator::{Fault, Model, Simulator};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::lab::{Lab, Walk, address, mac};
use crate::machine::site;
use crate::router::Site;

/// The simulator's.
const BMC: &str = "127.0.0.1";
const SECTOR: usize = 2048;

struct Read {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Read {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// A request at the nodes' socket, as nginx passes it on.
async fn read(site: &Site, method: &str, url: &str, from: &str, headers: &[(&str, &str)]) -> Read {
    let nodes: Router = provd::nodes::router(site.lab.app.clone());
    let path = url.strip_prefix("http://127.0.0.1").unwrap();
    let mut request = Request::builder().method(method).uri(path).header("x-provbuild-address", from);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = nodes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    Read { status, headers, body: answer.into_body().collect().await.unwrap().to_bytes().to_vec() }
}

fn insert() -> Value {
    json!({"verb": {"verb": "media-insert", "image": "cidata"}})
}

fn word_after(text: &[u8], before: &str) -> String {
    let text = String::from_utf8_lossy(text);
    let start = text.find(before).unwrap_or_else(|| panic!("no {before}")) + before.len();
    text[start..].chars().take_while(char::is_ascii_hexdigit).collect()
}

fn held(bmc: &Simulator) -> Option<String> {
    bmc.state().media.values().find(|medium| medium.inserted).and_then(|medium| medium.image.clone())
}

/// Tokens that are good for anything.
fn open_tokens(site: &Site) -> i64 {
    let count = "SELECT count(*) FROM tokens WHERE revoked = 0";
    site.lab.store().read(|c| Ok(c.query_row(count, [], |row| row.get(0))?)).unwrap()
}

impl Site {
    async fn arm(&self) {
        let armed = self.local("POST /api/v1/nodes/node1/arm", &json!({"confirm": "node1"})).await;
        assert!(armed.status.is_success(), "{}", armed.text);
    }

    /// A CD that the BMC has taken: its URL.
    async fn inserted(&self, bmc: &Simulator) -> String {
        self.arm().await;
        let ended = self.ended(&self.operate(&insert()).await).await;
        assert_eq!(ended["state"], "done", "{ended}");
        held(bmc).unwrap()
    }

    fn boots_installer(&self) -> bool {
        let answer = self.lab.app.registry.boot(mac(1), address(1), Timestamp::now()).unwrap().unwrap();
        answer.ipxe.contains("kernel http")
    }
}

#[tokio::test]
async fn a_seed_cd_is_read_by_its_bmc_alone_whole_and_in_parts() {
    let (bmc, site) = site(Model::generic()).await;
    let url = site.inserted(&bmc).await;
    assert!(url.ends_with("/cidata.iso"), "{url}");
    let whole = read(&site, "GET", &url, BMC, &[]).await;
    let length = whole.body.len();
    assert_eq!(whole.status, StatusCode::OK);
    assert_eq!(whole.header("content-type"), "application/octet-stream");
    assert_eq!((whole.header("accept-ranges"), whole.header("cache-control")), ("bytes", "no-store"));
    // ECMA-119 8.4: the volume's identifier.
    assert_eq!(&whole.body[16 * SECTOR + 1..][..5], b"CD001");
    assert_eq!(String::from_utf8_lossy(&whole.body[16 * SECTOR + 40..][..32]).trim_end(), "cidata");
    assert!(String::from_utf8_lossy(&whole.body).contains("#cloud-config"));
    let head = read(&site, "HEAD", &url, BMC, &[("range", "bytes=0-1")]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!((head.header("content-length"), head.header("accept-ranges")), (&*length.to_string(), "bytes"));

    let mut parts = Vec::new();
    for start in (0..length).step_by(16 * SECTOR) {
        let end = (start + 16 * SECTOR).min(length) - 1;
        let part = read(&site, "GET", &url, BMC, &[("range", &format!("bytes={start}-{end}"))]).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.header("content-range"), format!("bytes {start}-{end}/{length}"));
        assert_eq!(part.header("content-length"), part.body.len().to_string());
        parts.extend(part.body);
    }
    assert!(parts == whole.body, "the parts are another image");
    let behind = read(&site, "GET", &url, BMC, &[("range", &format!("bytes={length}-"))]).await;
    assert_eq!(
        (behind.status, behind.header("content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, &*format!("bytes */{length}"))
    );
    for several in [("range", "bytes=0-1,4-5"), ("range", "lines=1-2")] {
        assert_eq!(read(&site, "GET", &url, BMC, &[several]).await.body.len(), length);
    }
    let since = [("range", "bytes=0-1"), ("if-range", "\"x\"")];
    assert_eq!(read(&site, "GET", &url, BMC, &since).await.body.len(), length);

    // Not even by the node itself.
    for from in [address(1).to_string().as_str(), "10.10.0.2", "192.0.2.7"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(read(&site, method, &url, from, &[]).await.status, StatusCode::FORBIDDEN, "{method} {from}");
        }
    }
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(read(&site, method, &url, BMC, &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    // Its token is no other file's, and no other token is a CD's.
    let token = word_after(url.as_bytes(), "/seed/");
    let other = url.replace("cidata.iso", "user-data");
    assert_eq!(read(&site, "GET", &other, BMC, &[]).await.status, StatusCode::FORBIDDEN);
    let unknown = url.replace(&token, &Token::new().reveal());
    assert_eq!(read(&site, "GET", &unknown, BMC, &[]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.state(1), "installing");
}

#[tokio::test]
async fn a_seed_cd_uses_the_arming_up_and_leads_to_a_verified_node() {
    let (bmc, site) = site(Model::generic()).await;
    let url = site.inserted(&bmc).await;
    let token = word_after(url.as_bytes(), "/seed/");
    assert_eq!(site.state(1), "installing");
    assert!(!site.boots_installer());
    let second = site.operate(&insert()).await;
    let used = "node1 is installing: its seed is put on a CD only while it is armed";
    assert_eq!((second.status, second.error().as_str()), (StatusCode::CONFLICT, used));

    // What happened is told, and the token is not.
    let lines = site.lab.app.registry.audit(Some(mac(1)), 0, 1000).unwrap();
    let steps: Vec<_> = lines.iter().map(|a| (a.line.from.as_str(), a.line.to.as_str(), a.line.why.as_str())).collect();
    let handed_out = "its answers are handed out on a CD, to its BMC at 127.0.0.1";
    assert!(steps.contains(&("armed", "booting", handed_out)), "{steps:?}");
    assert!(steps.contains(&("booting", "installing", "the answers were handed out on a CD")), "{steps:?}");
    assert!(site.notes().iter().any(|(_, why)| why.contains("/seed/[token]/cidata.iso")), "{:?}", site.notes());
    let events = site.lab.app.registry.events(mac(1), 10).unwrap();
    assert_eq!(events.iter().map(|e| (e.name.as_str(), e.text.as_str())).collect::<Vec<_>>(), [("cidata", handed_out)]);
    let shown = site.local("GET /api/v1/nodes/node1", &json!({})).await.text;
    assert!(shown.contains("its answers are on a CD"), "{shown}");
    let operations = site.local("GET /api/v1/nodes/node1/operations", &json!({})).await.text;
    for text in [shown, operations, format!("{lines:?}{events:?}")] {
        assert!(!text.contains(&token), "{text}");
    }

    let image = read(&site, "GET", &url, BMC, &[]).await.body;
    let report: Token = word_after(&image, "http://127.0.0.1/report/").parse().unwrap();
    let registry = &site.lab.app.registry;
    let elsewhere = registry.report(&report, Report::Installed, BMC.parse().unwrap(), Timestamp::now());
    assert!(matches!(elsewhere, Err(Refused::Address)));
    assert_eq!(read(&site, "GET", &url, BMC, &[]).await.status, StatusCode::OK);
    let walk = Walk::reporting(&site.lab.app, 1, report);
    walk.step("subiquity/Network", "");
    for method in ["GET", "HEAD"] {
        assert_eq!(read(&site, method, &url, BMC, &[]).await.status, StatusCode::GONE, "it has reported");
    }
    walk.report(Report::Installed);
    walk.first_boot();
    assert_eq!(site.state(1), "verified");
    // What is taken out is told without its token.
    let ejected = site.ended(&site.operate(&json!({"verb": {"verb": "media-eject"}})).await).await;
    assert_eq!((&ejected["state"], ejected.to_string().contains(&token)), (&json!("done"), false), "{ejected}");
    // Another arming has another CD.
    assert_ne!(site.inserted(&bmc).await, url);
    assert_eq!(read(&site, "GET", &url, BMC, &[]).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn only_an_armed_node_gets_a_seed_cd() {
    let (bmc, site) = site(Model::generic()).await;
    let refused = |state: &str| format!("node1 is {state}: its seed is put on a CD only while it is armed");
    let answer = site.operate(&insert()).await;
    assert_eq!((answer.status, answer.error()), (StatusCode::CONFLICT, refused("disk")));
    site.arm().await;
    let app = site.lab.app.clone();
    let mut walk = Walk::of(&app, 1);
    walk.boot();
    let answer = site.operate(&insert()).await;
    assert_eq!((answer.status, answer.error()), (StatusCode::CONFLICT, refused("booting")));
    walk.read_answers();
    let answer = site.operate(&insert()).await;
    assert_eq!((answer.status, answer.error()), (StatusCode::CONFLICT, refused("installing")));
    // Its installation from the network goes on as it was.
    walk.report(Report::Installed);
    assert_eq!((site.state(1), held(&bmc), bmc.requests().len()), ("installed", None, 0));
    let none = site.local("POST /api/v1/nodes/node2/operations", &insert()).await;
    assert_eq!(
        (none.status, none.error().as_str()),
        (StatusCode::CONFLICT, "node2 has no BMC: set `bmc` in nodes.toml")
    );
}

#[tokio::test]
async fn a_seed_cd_that_is_not_inserted_leaves_the_node_disarmed() {
    let (mut bmc, site) = site(Model::generic()).await;
    let fails = async |kind: &str, state: &str| {
        site.arm().await;
        let operation = site.ended(&site.operate(&insert()).await).await;
        let message = operation["error"]["message"].as_str().unwrap();
        assert_eq!((&operation["error"]["kind"], site.state(1)), (&json!(kind), state), "{operation}");
        assert!(message.ends_with("; it is disarmed, and its seed CD is gone"), "{operation}");
        assert!(!message.contains("/seed/") || message.contains("/seed/[token]/"), "{operation}");
        assert_eq!(open_tokens(&site), 0);
        assert!(!site.boots_installer());
    };
    // It says that it holds the CD, and does not.
    bmc.fault(Fault::MediaIgnored);
    fails("not-applied", "failed").await;
    bmc.heal();
    bmc.stop();
    fails("unreachable", "failed").await;
    // Before anything was handed out.
    std::fs::remove_file(site.lab.directory.path().join("secrets/bmc/node1")).unwrap();
    fails("surroundings", "disk").await;
}

#[test]
fn a_restart_ends_a_seed_cd_and_disarms_where_it_was_being_inserted() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (bmcs, daemon) = (runtime(), runtime());
    let (slow, fast) =
        bmcs.block_on(async { (Simulator::start(Model::generic()).await, Simulator::start(Model::generic()).await) });
    slow.set_latency(Duration::from_millis(400));
    let (site, url) = daemon.block_on(async {
        let site = Site::of(Lab::with_bmcs(2, &[fast.address(), slow.address()]));
        let url = site.inserted(&fast).await;
        site.local("POST /api/v1/nodes/node2/arm", &json!({"confirm": "node2"})).await;
        let begun = site.local("POST /api/v1/nodes/node2/operations", &insert()).await;
        assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text);
        while site.state(2) != "installing" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(read(&site, "GET", &url, BMC, &[]).await.status, StatusCode::OK);
        (site, url)
    });
    drop(daemon);
    let app = site.lab.opened_again();
    let state = |number: usize| app.registry.node(mac(number)).unwrap().stored.state.name();
    assert_eq!((state(1), state(2)), ("installing", "failed"));
    let again = word_after(url.as_bytes(), "/seed/").parse().unwrap();
    assert!(matches!(app.registry.cd(&again, BMC.parse().unwrap(), Timestamp::now()), Err(Refused::Gone)));
}
