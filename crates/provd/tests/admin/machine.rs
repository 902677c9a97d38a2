//! Nodes' BMCs by the API and the page: the router against the Redfish simulator, in one process.

use std::time::Duration;

use axum::http::StatusCode;
use provd::registry::Report;
use redfish_simulator::{Authentication, Fault, Model, Power, Simulator};
use serde_json::{Value, json};

use crate::lab::{Lab, Walk, mac};
use crate::router::{Answer, Site, ask, request};

const PASSWORD: &str = "sup3r-s3cret-pw";

pub(crate) async fn site(model: Model) -> (Simulator, Site) {
    let bmc = Simulator::start(model).await;
    let site = Site::of(Lab::with_bmcs(3, &[bmc.address()]));
    (bmc, site)
}

fn power(action: &str, manner: &str) -> Value {
    json!({"verb": {"verb": "power", "action": action, "manner": manner}})
}

impl Site {
    pub(crate) async fn operate(&self, body: &Value) -> Answer {
        self.local("POST /api/v1/nodes/node1/operations", body).await
    }

    /// The operation of an answer, at its end.
    pub(crate) async fn ended(&self, begun: &Answer) -> Value {
        assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text);
        let id = begun.json()["id"].as_u64().unwrap();
        for _ in 0..500 {
            let now = self.local(&format!("GET /api/v1/operations/{id}"), &json!({})).await.json();
            if now["state"] != "running" {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("operation {id} does not end");
    }

    /// What the audit log says about node1 that is about no change of its state.
    pub(crate) fn notes(&self) -> Vec<(String, String)> {
        let lines = self.lab.app.registry.audit(Some(mac(1)), 0, 1000).unwrap();
        let notes = lines.into_iter().filter(|audited| audited.line.from == audited.line.to);
        notes.map(|audited| (audited.line.detail, audited.line.why)).collect()
    }

    async fn install(&self) -> Value {
        let begun = self.local("POST /api/v1/nodes/node1/install", &json!({"confirm": "node1"})).await;
        self.ended(&begun).await
    }
}

#[tokio::test]
async fn what_writes_goes_on_by_itself_and_stands_in_the_audit_log() {
    let (bmc, site) = site(Model::generic()).await;
    let mut body = power("off", "forced");
    body["reason"] = json!("new fans");
    let begun = site.operate(&body).await;
    let json = begun.json();
    assert_eq!(
        (&json["state"], &json["title"], &json["who"]),
        (&json!("running"), &json!("power off"), &json!("root"))
    );
    let ended = site.ended(&begun).await;
    assert_eq!((&ended["state"], &ended["summary"]), (&json!("done"), &json!("on -> off (ForceOff)")), "{ended}");
    assert_eq!(ended["outcome"]["outcome"], "power");
    assert_eq!(bmc.state().power, Power::Off);
    let notes = site.notes();
    let [asked, pinned, done] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!(asked, &("power off by the BMC (operation 1)".to_owned(), "asked for: new fans".to_owned()));
    assert!(pinned.0.contains("SHA256:") && pinned.1 == "seen for the first time, and pinned", "{pinned:?}");
    assert_eq!(done, &("power off by the BMC (operation 1)".to_owned(), "done: on -> off (ForceOff)".to_owned()));
    assert_eq!(site.local("GET /api/v1/audit/verification", &json!({})).await.json()["valid"], true);
    // Neither a state nor an attempt has changed by it.
    assert_eq!(site.state(1), "disk");
    let listed = site.local("GET /api/v1/nodes/node1/operations", &json!({})).await.json();
    assert_eq!(listed, json!([ended]));
    assert_eq!(bmc.state().sessions, [], "the session is left open");
}

#[tokio::test]
async fn the_newest_fifty_are_kept() {
    let (bmc, site) = site(Model::generic()).await;
    for _ in 0..53 {
        site.ended(&site.operate(&power("on", "graceful")).await).await;
    }
    let listed = site.local("GET /api/v1/nodes/node1/operations", &json!({})).await.json();
    let ids: Vec<u64> = listed.as_array().unwrap().iter().map(|one| one["id"].as_u64().unwrap()).collect();
    assert_eq!((ids.len(), ids[0], ids[49]), (50, 53, 4));
    let gone = site.local("GET /api/v1/operations/3", &json!({})).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(bmc.state().power, Power::On);
}

#[tokio::test]
async fn readings_are_answered_when_they_were_read_and_not_kept() {
    let (_bmc, site) = site(Model::generic()).await;
    let read = site.operate(&json!({"verb": {"verb": "status"}})).await;
    let json = read.json();
    assert_eq!((read.status, &json["state"], &json["id"]), (StatusCode::OK, &json!("done"), &Value::Null));
    assert_eq!(json["outcome"]["result"]["power"], "On", "{json}");
    let raw = site.operate(&json!({"verb": {"verb": "raw", "path": "/redfish/v1/"}})).await.json();
    assert_eq!(raw["outcome"]["result"]["body"]["RedfishVersion"], "1.18.0");
    let nowhere = site.operate(&json!({"verb": {"verb": "raw", "path": "/etc/passwd"}})).await.json();
    assert_eq!((&nowhere["error"]["kind"], nowhere["error"]["help"].is_string()), (&json!("input"), true));
    assert_eq!(site.local("GET /api/v1/nodes/node1/operations", &json!({})).await.json(), json!([]));
    assert_eq!(site.notes().len(), 1, "only the certificate is worth a line");
}

#[tokio::test]
async fn one_operation_writes_at_a_time_and_a_few_readings_stand_beside_it() {
    let (bmc, site) = site(Model::generic()).await;
    bmc.set_latency(Duration::from_millis(60));
    let first = site.operate(&power("off", "forced")).await;
    let second = site.operate(&power("on", "graceful")).await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert!(second.error().starts_with("node1 is busy: root asked for power off, which goes on ("), "{}", second.text);
    let status = json!({"verb": {"verb": "status"}});
    let read = || site.operate(&status);
    let (a, b, c, d) = tokio::join!(read(), read(), read(), read());
    let (refused, read): (Vec<_>, Vec<_>) =
        [a, b, c, d].into_iter().partition(|answer| answer.status != StatusCode::OK);
    assert_eq!((refused.len(), read.len()), (1, 3));
    assert_eq!(refused[0].status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused[0].error(), "too many readings of node1 at a time: wait for one to end");
    assert_eq!(site.ended(&first).await["state"], "done");
    bmc.set_latency(Duration::ZERO);
    assert_eq!(site.ended(&site.operate(&power("on", "graceful")).await).await["state"], "done");
    assert_eq!(bmc.state().power, Power::On);
}

#[tokio::test]
async fn an_installation_is_not_interrupted_by_mistake() {
    let (bmc, site) = site(Model::generic()).await;
    site.local("POST /api/v1/nodes/node1/arm", &json!({"confirm": "node1"})).await;
    let app = site.lab.app.clone();
    let mut walk = Walk::of(&app, 1);
    walk.boot();
    for state in ["booting", "installing", "installed"] {
        assert_eq!(site.state(1), state);
        for verb in [power("cycle", "forced"), json!({"verb": {"verb": "bios-apply", "restart": true}})] {
            let refused = site.operate(&verb).await;
            assert_eq!(refused.status, StatusCode::CONFLICT);
            assert!(refused.error().starts_with(&format!("node1 is {state}: ")), "{}", refused.text);
        }
        let install = site.local("POST /api/v1/nodes/node1/install", &json!({"confirm": "node1"})).await;
        assert_eq!(
            (install.status, install.error()),
            (StatusCode::CONFLICT, format!("node1 is {state}: disarm it first"))
        );
        // What interrupts nothing is done.
        assert_eq!(site.ended(&site.operate(&power("on", "graceful")).await).await["state"], "done");
        match state {
            "booting" => walk.read_answers(),
            _ => walk.report(Report::Installed),
        }
    }
    assert_eq!(bmc.state().boots, [], "it was started again");
    let mut forced = power("cycle", "forced");
    forced["force"] = json!(true);
    assert_eq!(site.ended(&site.operate(&forced).await).await["state"], "done");
    assert!(site.notes().iter().any(|(_, why)| why == "asked for, whatever goes on"));
    walk.first_boot();
    assert_eq!(site.ended(&site.operate(&power("cycle", "forced")).await).await["state"], "done");
}

#[tokio::test]
async fn whoever_may_only_read_reads() {
    let (bmc, site) = site(Model::generic()).await;
    let token = site.token("dashboard", true).await;
    let line = "POST /api/v1/nodes/node1/operations";
    for verb in ["status", "sensors", "inventory", "boot-order-get", "bios-get", "bios-plan", "bios-diff"] {
        let answer = site.api(line, &token, &json!({"verb": {"verb": verb}})).await;
        assert_eq!(answer.status, StatusCode::OK, "{verb}: {}", answer.text);
    }
    assert_eq!(site.api("GET /api/v1/nodes/node1/certificate", &token, &json!({})).await.status, StatusCode::OK);
    bmc.forget_requests();
    for body in [
        json!({"verb": {"verb": "raw", "path": "/redfish/v1/"}}),
        power("off", "forced"),
        json!({"verb": {"verb": "boot-once", "target": "pxe"}}),
        json!({"verb": {"verb": "media-insert", "image": "http://x/y.iso"}}),
        json!({"verb": "nonsense"}),
        json!({}),
    ] {
        let answer = site.api(line, &token, &body).await;
        assert_eq!((answer.status, answer.error()), (StatusCode::FORBIDDEN, "this login may only read".to_owned()));
    }
    for line in ["POST /api/v1/nodes/node1/install", "DELETE /api/v1/nodes/node1/certificate"] {
        let answer = site.api(line, &token, &json!({"confirm": "node1"})).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{line}");
    }
    // The same by the page.
    let (cookie, csrf) = site.log_in(true).await;
    let page = ask(&site.web, request("GET /nodes/node1", &[("cookie", &cookie)], "")).await.text;
    assert!(page.contains("Read status") && !page.contains("/machine/"), "{page}");
    let same = [("sec-fetch-site", "same-origin")];
    let form = format!("csrf={csrf}&confirm=node1");
    for button in ["on", "cycle", "install"] {
        let answer = site.form(&format!("/nodes/node1/machine/{button}"), &cookie, &same, &form).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{button}");
        let question = format!("GET /nodes/node1/machine/{button}");
        assert_eq!(ask(&site.web, request(&question, &[("cookie", &cookie)], "")).await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!((bmc.requests().len(), site.state(1)), (0, "disk"));
    let read = site.form("/nodes/node1/status", &cookie, &same, &form).await;
    assert_eq!(read.status, StatusCode::SEE_OTHER);
    // Nobody reads by another page's form.
    for headers in [vec![], vec![("sec-fetch-site", "cross-site")]] {
        assert_eq!(site.form("/nodes/node1/status", &cookie, &headers, &form).await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(site.form("/nodes/node1/status", &cookie, &same, "").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_page_shows_the_machine_and_acts_without_a_script() {
    let (bmc, site) = site(Model::generic()).await;
    let (cookie, csrf) = site.log_in(false).await;
    let page = |path: &'static str| {
        let (web, cookie) = (site.web.clone(), cookie.clone());
        async move { ask(&web, request(&format!("GET {path}"), &[("cookie", &cookie)], "")).await.text }
    };
    let before = page("/nodes/node1").await;
    assert!(before.contains("How it is was not read yet") && before.contains("Nothing was done with its BMC yet"));
    assert!(!page("/nodes/node2").await.contains("Read status"), "node2 has no BMC");
    let same = [("sec-fetch-site", "same-origin")];
    let csrf = format!("csrf={csrf}");
    let read = site.form("/nodes/node1/status", &cookie, &same, &csrf).await;
    assert_eq!(read.headers["location"], "/nodes/node1#machine");
    let read = page("/nodes/node1").await;
    assert!(read.contains("<dt>Power</dt><dd>On</dd>") && read.contains("<dd>as always</dd>"), "{read}");
    assert!(page("/nodes/node1/machine/cycle").await.contains("Power cycle: node1?"));
    let acted = site.form("/nodes/node1/machine/cycle", &cookie, &same, &format!("{csrf}&reason=hangs")).await;
    assert_eq!((acted.status, &acted.headers["location"]), (StatusCode::SEE_OTHER, &"/nodes/node1".parse().unwrap()));
    let mut shown = String::new();
    for _ in 0..300 {
        shown = page("/nodes/node1").await;
        if shown.contains("on -&gt; on (ForceOff, On)") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        shown.contains("<strong>power cycle</strong><span class=\"text\">on -&gt; on (ForceOff, On)</span>"),
        "{shown}"
    );
    assert!(shown.contains("root (192.0.2.7)") && shown.contains("How it is was not read yet"), "{shown}");
    assert_eq!(bmc.state().boots.len(), 1);
    // Installing wants the name; what was wrong is said on the same page.
    let refused = site.form("/nodes/node1/machine/install", &cookie, &same, &format!("{csrf}&confirm=node2")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.text.contains("confirm by giving the node&#39;s host name")
            || refused.text.contains("confirm by giving the node's host name")
    );
    assert_eq!(site.form("/nodes/node2/machine/on", &cookie, &same, &csrf).await.status, StatusCode::CONFLICT);
    assert_eq!(site.form("/nodes/node1/machine/explode", &cookie, &same, &csrf).await.status, StatusCode::BAD_REQUEST);
    // While it installs, a person must say that he means it.
    site.local("POST /api/v1/nodes/node1/arm", &json!({"confirm": "node1"})).await;
    let app = site.lab.app.clone();
    Walk::of(&app, 1).boot();
    assert!(page("/nodes/node1/machine/cycle").await.contains("An installation goes on"));
    let refused = site.form("/nodes/node1/machine/cycle", &cookie, &same, &csrf).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let forced = site.form("/nodes/node1/machine/cycle", &cookie, &same, &format!("{csrf}&force=yes")).await;
    assert_eq!(forced.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_bmcs_say_is_text_and_no_answer_has_a_password() {
    let hostile = "<script>alert(1)</script>\"'&";
    let model =
        Model { manufacturer: hostile.into(), product: hostile.into(), serial: hostile.into(), ..Model::generic() };
    let (bmc, site) = site(model).await;
    bmc.fault(Fault::HostileText);
    site.operate(&json!({"verb": {"verb": "status"}})).await;
    let (cookie, _) = site.log_in(false).await;
    let answer = ask(&site.web, request("GET /nodes/node1", &[("cookie", &cookie)], "")).await;
    assert!(answer.text.contains("&lt;script&gt;alert(1)"), "{}", answer.text);
    bmc.fault(Fault::Licence);
    bmc.fault(Fault::PasswordChangeRequired);
    site.ended(&site.operate(&json!({"verb": {"verb": "boot-once", "target": "pxe"}})).await).await;
    site.operate(&json!({"verb": {"verb": "status"}})).await;
    for line in [
        "/nodes/node1",
        "/nodes/node1/machine/cycle",
        "/audit",
        "/api/v1/nodes",
        "/api/v1/nodes/node1",
        "/api/v1/nodes/node1/operations",
        "/api/v1/nodes/node1/timeline",
        "/api/v1/operations/1",
        "/api/v1/audit",
    ] {
        let answer = ask(&site.web, request(&format!("GET {line}"), &[("cookie", &cookie)], "")).await;
        assert_eq!(answer.status, StatusCode::OK, "{line}");
        assert!(!answer.text.contains(PASSWORD), "{line}");
        assert!(!answer.text.contains('\u{1b}'), "{line}");
        if !line.starts_with("/api/") {
            assert_eq!(answer.text.matches("<script").count(), 1, "{line}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn whoever_hangs_up_leaves_nothing_open() {
    let (bmc, site) = site(Model::generic()).await;
    bmc.set_latency(Duration::from_millis(40));
    let status = json!({"verb": {"verb": "status"}});
    let reading = tokio::time::timeout(Duration::from_millis(100), site.operate(&status)).await;
    assert!(reading.is_err(), "it was too quick for this test");
    let write = power("off", "forced");
    let _ = tokio::time::timeout(Duration::from_millis(1), site.operate(&write)).await;
    for _ in 0..300 {
        let state = bmc.state();
        if state.power == Power::Off && state.sessions.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let state = bmc.state();
    assert_eq!((state.power, state.sessions), (Power::Off, vec![]));
}

/// Runs `work` in a runtime of its own, which ends then, with whatever goes on in it: as a daemon that is killed.
fn killed_after<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let value = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(5));
    value
}

#[test]
fn a_restart_says_what_it_interrupted_and_takes_back_what_had_not_begun() {
    let bmcs = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let slow = |method: &'static str, path: &'static str| {
        bmcs.block_on(async move {
            let bmc = Simulator::start(Model::generic()).await;
            bmc.fault_at(method, path, Fault::Slow(Duration::from_secs(60)));
            bmc
        })
    };
    // The first hangs where it sets the boot, the second where it resets, the third in a plain verb.
    let (boots, resets, plain) = (slow("PATCH", ""), slow("POST", "Reset"), slow("PATCH", ""));
    let lab = Lab::with_bmcs(3, &[boots.address(), resets.address(), plain.address()]);
    let site = killed_after(async move {
        let site = Site::of(lab);
        for node in ["node1", "node2"] {
            let begun = site.local(&format!("POST /api/v1/nodes/{node}/install"), &json!({"confirm": node})).await;
            assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text);
        }
        let once = json!({"verb": {"verb": "boot-once", "target": "pxe"}});
        assert_eq!(site.local("POST /api/v1/nodes/node3/operations", &once).await.status, StatusCode::ACCEPTED);
        let at = |number: usize, step: &'static str| {
            let line = format!("GET /api/v1/operations/{number}");
            let site = &site;
            async move {
                for _ in 0..500 {
                    if site.local(&line, &json!({})).await.json()["step"].as_str().unwrap().contains(step) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                panic!("{line} is never at {step}");
            }
        };
        at(1, "boot once pxe").await;
        at(2, "power cycle: reset: ForceOff").await;
        at(3, "boot once pxe").await;
        assert_eq!((site.state(1), site.state(2)), ("armed", "armed"));
        site
    });
    let app = site.lab.opened_again();
    let state = |number: usize| app.registry.node(mac(number)).unwrap().stored.state.name();
    assert_eq!((state(1), state(2), state(3)), ("disk", "armed", "disk"));
    let site = Site { web: provd::admin::router(app.clone()), local: provd::admin::local_router(app.clone()), ..site };
    bmcs.block_on(async {
        let mut found = Vec::new();
        for id in 1..=3 {
            let json = site.local(&format!("GET /api/v1/operations/{id}"), &json!({})).await.json();
            assert_eq!((&json["state"], &json["error"]["kind"]), (&json!("failed"), &json!("interrupted")), "{json}");
            found.push((json["error"]["message"].to_string(), json["error"]["help"].to_string()));
        }
        assert!(found[0].0.contains("provd was restarted meanwhile; the node is disarmed again"), "{found:?}");
        assert!(
            found[1].0.ends_with("provd was restarted meanwhile; the machine may be off\"")
                && found[1].1.contains("provd show node2"),
            "{found:?}"
        );
        assert!(found[0].1.contains("provd node boot once none node1"), "{found:?}");
        assert!(found[1].1.contains("if it is off: provd node power on node2"), "{found:?}");
        assert!(found[2].1.contains("ask for its status: provd node status node3"), "{found:?}");
        // It is free for the next one.
        plain.heal();
        let begun = site.local("POST /api/v1/nodes/node3/operations", &power("on", "graceful")).await;
        assert_eq!(site.ended(&begun).await["state"], "done");
        let valid = site.local("GET /api/v1/audit/verification", &json!({})).await.json();
        assert_eq!(valid["valid"], true);
    });
}

#[tokio::test]
async fn installing_arms_boots_from_the_network_and_cycles_the_power() {
    let (bmc, site) = site(Model::generic()).await;
    let wrong = site.local("POST /api/v1/nodes/node1/install", &json!({"confirm": "node2"})).await;
    assert_eq!((wrong.status, site.state(1)), (StatusCode::UNPROCESSABLE_ENTITY, "disk"));
    let operation = site.install().await;
    assert_eq!(operation["state"], "done", "{operation}");
    assert_eq!((&operation["verb"], &operation["title"]), (&json!({"verb": "install"}), &json!("install")));
    let boots: Vec<_> = bmc.state().boots.iter().map(|boot| format!("{} {}", boot.target, boot.mode)).collect();
    assert_eq!((boots, site.state(1)), (vec!["Pxe UEFI".to_owned()], "armed"));
    let again = site.local("POST /api/v1/nodes/node1/install", &json!({"confirm": "node1"})).await;
    assert_eq!((again.status, again.error()), (StatusCode::CONFLICT, "node1 is armed: disarm it first".to_owned()));
    let app = site.lab.app.clone();
    let mut walk = Walk::of(&app, 1);
    walk.boot();
    walk.read_answers();
    walk.report(Report::Installed);
    walk.first_boot();
    assert_eq!(site.state(1), "verified");
    // A machine that is off is switched on.
    site.ended(&site.operate(&power("off", "forced")).await).await;
    assert_eq!(site.install().await["state"], "done");
    assert_eq!((bmc.state().power, bmc.state().boots.len()), (Power::On, 2));
}

#[tokio::test]
async fn an_installation_that_does_not_begin_leaves_the_node_disarmed() {
    let (mut bmc, site) = site(Model { reset_types: vec!["On".into()], ..Model::generic() }).await;
    // It says that it boots from the network, and does not.
    bmc.fault(Fault::SilentOverrideIgnored);
    let operation = site.install().await;
    assert_eq!((&operation["error"]["kind"], site.state(1)), (&json!("not-applied"), "disk"), "{operation}");
    assert!(operation["error"]["message"].as_str().unwrap().ends_with("; it is disarmed again"), "{operation}");
    bmc.heal();
    // It cannot cut the power. That it would have booted from the network is taken back.
    let operation = site.install().await;
    assert_eq!((&operation["error"]["kind"], site.state(1)), (&json!("refused"), "disk"), "{operation}");
    assert!(bmc.requests().iter().any(|request| request.method == "PATCH"), "it was not told to boot from the network");
    let status = site.operate(&json!({"verb": {"verb": "status"}})).await.json();
    assert_ne!(status["outcome"]["result"]["boot"]["target"], "Pxe", "{status}");
    assert!(!operation["error"]["help"].to_string().contains("boot once none"), "{operation}");
    // It is not there.
    bmc.stop();
    let operation = site.install().await;
    assert_eq!((&operation["error"]["kind"], site.state(1)), (&json!("unreachable"), "disk"), "{operation}");
    assert!(operation["error"]["help"].as_str().unwrap().contains("`provd node boot once none node1`"), "{operation}");
    assert_eq!(bmc.state().boots, []);
    // Without credentials it is not even armed.
    let before = site.lab.app.registry.node(mac(1)).unwrap().stored.attempts;
    std::fs::remove_file(site.lab.directory.path().join("secrets/bmc/node1")).unwrap();
    let operation = site.install().await;
    assert_eq!(operation["error"]["kind"], "surroundings");
    assert_eq!(site.lab.app.registry.node(mac(1)).unwrap().stored.attempts, before);
}

#[tokio::test]
async fn an_installation_whose_power_was_touched_stays_armed() {
    let (bmc, site) = site(Model::generic()).await;
    bmc.fault(Fault::PowerIgnored);
    let operation = site.install().await;
    assert_eq!((&operation["error"]["kind"], site.state(1)), (&json!("not-applied"), "armed"), "{operation}");
    let help = operation["error"]["help"].as_str().unwrap();
    assert!(help.contains("`provd show node1`") && help.contains("`provd disarm node1`"), "{help}");
}

#[tokio::test]
async fn credentials_that_are_wrong_or_open_are_said_by_their_file() {
    let (bmc, site) = site(Model::generic()).await;
    site.lab.credentials(1, &format!("operator:{PASSWORD}\n"), 0o644);
    let read = site.operate(&json!({"verb": {"verb": "status"}})).await.json();
    let message = read["error"]["message"].as_str().unwrap();
    assert!(message.ends_with("secrets/bmc/node1: others than the daemon may read it"), "{message}");
    assert_eq!((read["error"]["kind"].as_str(), bmc.requests().len()), (Some("surroundings"), 0));
    site.lab.credentials(1, "operator:wr0ng-pw\n", 0o600);
    let read = site.operate(&json!({"verb": {"verb": "status"}})).await;
    assert_eq!(read.json()["error"]["kind"], "trust");
    assert!(!read.text.contains("wr0ng-pw"));
    // The next operation reads them anew.
    site.lab.credentials(1, &format!("operator:{PASSWORD}\n"), 0o600);
    assert_eq!(site.operate(&json!({"verb": {"verb": "status"}})).await.json()["state"], "done");
}

#[tokio::test]
async fn another_certificate_is_refused_until_the_first_is_forgotten() {
    let (bmc, site) = site(Model::generic()).await;
    let trust = "/api/v1/nodes/node1/certificate";
    let looked = site.local(&format!("GET {trust}"), &json!({})).await.json();
    assert_eq!((&looked["pinned"], looked["shown"].is_string()), (&Value::Null, true), "{looked}");
    assert_eq!(site.local(&format!("DELETE {trust}"), &json!({})).await.status, StatusCode::NOT_FOUND);
    let status = json!({"verb": {"verb": "status"}});
    assert_eq!(site.operate(&status).await.json()["outcome"]["result"]["first-seen"], true);
    let same = site.local(&format!("GET {trust}"), &json!({})).await.json();
    assert_eq!((&same["pinned"], &same["shown"]), (&looked["shown"], &looked["shown"]));
    bmc.new_certificate();
    bmc.forget_requests();
    let refused = site.operate(&status).await.json();
    assert_eq!(refused["error"]["kind"], "trust", "{refused}");
    let other = site.local(&format!("GET {trust}"), &json!({})).await.json();
    assert_eq!(other["pinned"], looked["shown"]);
    assert_ne!(other["shown"], looked["shown"]);
    // Nobody was told the password.
    assert!(bmc.requests().iter().all(|request| request.authentication == Authentication::Nothing));
    assert!(bmc.requests().iter().all(|request| request.method == "GET"));
    assert_eq!(site.local(&format!("DELETE {trust}"), &json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.operate(&status).await.json()["state"], "done");
    let whys: Vec<String> = site.notes().into_iter().map(|(_, why)| why).collect();
    let pinned = "seen for the first time, and pinned";
    assert_eq!(whys, [pinned, "forgotten: the next one that is shown is pinned", pinned]);
}

#[tokio::test]
async fn media_by_a_word() {
    let (bmc, site) = site(Model::generic()).await;
    let insert = |image: &str| json!({"verb": {"verb": "media-insert", "image": image}});
    // The medium must be ready.
    std::fs::remove_file(site.lab.directory.path().join("served/media/noble/noble.iso")).unwrap();
    let none = site.ended(&site.operate(&insert("installer")).await).await;
    assert_eq!(none["error"]["kind"], "input", "{none}");
    assert!(bmc.state().media.iter().all(|(_, medium)| !medium.inserted));
}

#[tokio::test]
async fn a_share_s_password_is_refused_before_it_is_written_down() {
    let (bmc, site) = site(Model::generic()).await;
    for image in ["smb://ada:sup3r-s3cret-pw@10.0.0.1/iso/a.iso", "http://ada:sup3r-s3cret-pw@10.0.0.1/a.iso"] {
        let refused = site.operate(&json!({"verb": {"verb": "media-insert", "image": image}})).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
        assert!(refused.error().contains("no password") && !refused.text.contains(PASSWORD), "{}", refused.text);
    }
    assert_eq!(site.local("GET /api/v1/nodes/node1/operations", &json!({})).await.json(), json!([]));
    assert_eq!((site.notes().len(), bmc.requests().len()), (0, 0));
}

#[tokio::test]
async fn readings_take_no_place_from_what_writes() {
    let (bmc, _) = site(Model::generic()).await;
    bmc.set_latency(Duration::from_millis(150));
    let site = Site::of(Lab::with_bmcs(30, &[bmc.address(); 30]));
    let status = json!({"verb": {"verb": "status"}});
    let lines: Vec<String> = (1..=30).map(|number| format!("POST /api/v1/nodes/node{number}/operations")).collect();
    let readings = lines.iter().flat_map(|line| [line; 3]).map(|line| site.local(line, &status));
    let write = async {
        // After the readings have begun.
        tokio::time::sleep(Duration::from_millis(30)).await;
        site.operate(&power("on", "graceful")).await
    };
    let (readings, write) = tokio::join!(futures_util::future::join_all(readings), write);
    let refused = readings.iter().filter(|answer| answer.text.contains("too many operations at a time")).count();
    assert_eq!((refused, write.status), (90 - 64, StatusCode::ACCEPTED), "{}", write.text);
    site.ended(&write).await;
}

#[tokio::test]
async fn a_node_without_a_bmc_is_told_so() {
    let (_bmc, site) = site(Model::generic()).await;
    for (line, body) in [
        ("POST /api/v1/nodes/node2/operations", power("on", "graceful")),
        ("POST /api/v1/nodes/node2/operations", json!({"verb": {"verb": "status"}})),
        ("POST /api/v1/nodes/node2/install", json!({"confirm": "node2"})),
        ("GET /api/v1/nodes/node2/certificate", json!({})),
    ] {
        let answer = site.local(line, &body).await;
        assert_eq!(
            (answer.status, answer.error()),
            (StatusCode::CONFLICT, "node2 has no BMC: set `bmc` in nodes.toml".to_owned())
        );
    }
    for (body, status) in [
        (json!({"verb": "power"}), 422),
        (json!({"verb": {"verb": "explode"}}), 422),
        (json!({"verb": {"verb": "power", "action": "off", "manner": "forced", "more": 1}}), 422),
        (json!({"verb": {"verb": "status"}, "insecure": true}), 422),
        (json!({"verb": {"verb": "power", "action": "off"}, "reason": "a\nb"}), 400),
    ] {
        let answer = site.operate(&body).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text);
        answer.error();
    }
    assert_eq!(
        site.local("POST /api/v1/nodes/node9/operations", &power("on", "graceful")).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(site.local("GET /api/v1/operations/x", &json!({})).await.status, StatusCode::NOT_FOUND);
}
