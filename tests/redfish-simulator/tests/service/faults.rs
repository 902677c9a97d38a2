//! Every fault does what it says: one that did nothing would make the tests of its users vacuous.

use std::time::{Duration, Instant};

use redfish_simulator::{Boot, Cut, Fault, Lasts, Model, Power, Refuses, Simulator};
use serde_json::{Value, json};

use super::client::{Plain, started};

const SYSTEM: &str = "/redfish/v1/Systems/437XR1138R2";
const SETTINGS: &str = "/redfish/v1/Systems/437XR1138R2/Bios/Settings";
const BIOS: &str = "/redfish/v1/Systems/437XR1138R2/Bios";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";
const ROOT: &str = "/redfish/v1";

async fn faulty(fault: Fault) -> (Simulator, Plain, Model) {
    let (bmc, plain, model) = started(Model::generic()).await;
    bmc.fault(fault);
    (bmc, plain, model)
}

fn once_pxe() -> Value {
    json!({"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe", "BootSourceOverrideMode": "UEFI"}})
}

async fn log_in(bmc: &Simulator, plain: &Plain) -> super::client::Answer {
    let (user, password) = bmc.credentials();
    plain.post(SESSIONS, json!({"UserName": user, "Password": password})).await
}

#[tokio::test]
async fn silent_mode_revert_leaves_legacy() {
    let (bmc, plain, _) = faulty(Fault::SilentModeRevert).await;
    assert_eq!(plain.patch(SYSTEM, once_pxe()).await.status, 200);
    let boot = &plain.get(SYSTEM).await.body["Boot"];
    assert_eq!(
        (boot["BootSourceOverrideTarget"].as_str(), boot["BootSourceOverrideMode"].as_str()),
        (Some("Pxe"), Some("Legacy"))
    );
    bmc.heal();
    plain.patch(SYSTEM, once_pxe()).await;
    assert_eq!(bmc.state().boot.mode, "UEFI");
}

#[tokio::test]
async fn a_board_that_rejects_the_mode_takes_the_rest() {
    let (bmc, plain, _) = faulty(Fault::RejectsUefiMode).await;
    let refused = plain.patch(SYSTEM, once_pxe()).await;
    assert_eq!((refused.status, refused.messages()), (400, vec!["PropertyNotWritable".to_string()]));
    assert_eq!(bmc.state().boot.enabled, "Disabled");
    let without = json!({"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}});
    assert_eq!(plain.patch(SYSTEM, without).await.status, 200);
}

#[tokio::test]
async fn once_can_become_continuous() {
    let (bmc, plain, model) = faulty(Fault::OnceStaysContinuous).await;
    plain.patch(SYSTEM, once_pxe()).await;
    assert_eq!(plain.get(SYSTEM).await.body["Boot"]["BootSourceOverrideEnabled"], "Continuous");
    plain.reset(&model, "PowerCycle").await;
    plain.reset(&model, "PowerCycle").await;
    assert!(bmc.state().boots.iter().all(|boot| boot.target == "Pxe"));
}

#[tokio::test]
async fn an_override_can_be_ignored() {
    let (bmc, plain, _) = faulty(Fault::SilentOverrideIgnored).await;
    assert_eq!(plain.patch(SYSTEM, once_pxe()).await.status, 200);
    assert_eq!(bmc.state().boot.enabled, "Disabled");
}

#[tokio::test]
async fn an_override_can_stay_after_the_boot() {
    let (bmc, plain, model) = faulty(Fault::OverrideNeverConsumed).await;
    plain.patch(SYSTEM, once_pxe()).await;
    plain.reset(&model, "PowerCycle").await;
    assert_eq!(bmc.state().boots, [Boot { target: "Pxe".into(), mode: "UEFI".into() }]);
    assert_eq!(plain.get(SYSTEM).await.body["Boot"]["BootSourceOverrideEnabled"], "Once");
}

#[tokio::test]
async fn an_override_can_be_lost_before_its_boot() {
    let (bmc, plain, model) = faulty(Fault::OverrideLostInPost).await;
    plain.patch(SYSTEM, once_pxe()).await;
    assert_eq!(plain.get(SYSTEM).await.body["Boot"]["BootSourceOverrideTarget"], "Pxe");
    plain.reset(&model, "PowerCycle").await;
    assert_eq!(bmc.state().boots[0].target, "Boot0001");
    assert_eq!(bmc.state().boot.mode, "Legacy");
}

/// Status of a PATCH with the tag as it was sent, with the other form, with `*` and without.
async fn with_tags(fault: Fault) -> [u16; 4] {
    let (_bmc, plain, _) = faulty(fault).await;
    let mut statuses = [0; 4];
    for (index, status) in statuses.iter_mut().enumerate() {
        let sent = plain.get(SYSTEM).await.header("ETag").to_string();
        let other = sent.strip_prefix("W/").map_or(format!("W/{sent}"), str::to_string);
        let headers = match index {
            0 => vec![("If-Match", sent.as_str())],
            1 => vec![("If-Match", other.as_str())],
            2 => vec![("If-Match", "*")],
            _ => vec![],
        };
        let body = json!({"AssetTag": format!("tag {index}")});
        *status = plain.send("PATCH", SYSTEM, &headers, Some(&body)).await.unwrap().status;
    }
    statuses
}

#[tokio::test]
async fn etags_can_be_wrong_in_four_ways() {
    assert_eq!(with_tags(Fault::PreconditionFailed).await, [412, 412, 200, 200]);
    assert_eq!(with_tags(Fault::WeakEtags).await, [412, 200, 200, 200]);
    assert_eq!(with_tags(Fault::StrongEtagsWantWeak).await, [412, 200, 200, 200]);
    assert_eq!(with_tags(Fault::EtagRequired).await, [200, 412, 200, 428]);
}

#[tokio::test]
async fn weak_and_strong_are_what_they_say() {
    let (bmc, plain, _) = faulty(Fault::WeakEtags).await;
    assert!(plain.get(SYSTEM).await.header("ETag").starts_with("W/\""));
    bmc.heal();
    bmc.fault(Fault::StrongEtagsWantWeak);
    assert!(plain.get(SYSTEM).await.header("ETag").starts_with('"'));
}

#[tokio::test]
async fn in_post_writes_are_refused_so_many_times() {
    let (_bmc, plain, _) = faulty(Fault::InPost { refuses: Refuses::Writes, lasts: Lasts::Requests(2) }).await;
    assert_eq!(plain.get(SYSTEM).await.status, 200);
    for expected in [503, 503, 200] {
        let answer = plain.patch(SYSTEM, once_pxe()).await;
        assert_eq!(answer.status, expected);
        assert_eq!(answer.header("Retry-After"), if expected == 503 { "1" } else { "" });
    }
}

#[tokio::test]
async fn in_post_can_mean_everything_for_a_time() {
    let lasts = Lasts::For(Duration::from_millis(150));
    let (_bmc, plain, _) = faulty(Fault::InPost { refuses: Refuses::Everything, lasts }).await;
    assert_eq!(plain.get(ROOT).await.status, 503);
    tokio::time::sleep(Duration::from_millis(160)).await;
    assert_eq!(plain.get(ROOT).await.status, 200);
}

#[tokio::test]
async fn post_follows_a_boot_and_ends() {
    let (bmc, plain, model) = started(Model { post: Duration::from_millis(150), ..Model::generic() }).await;
    bmc.fault(Fault::InPost { refuses: Refuses::Writes, lasts: Lasts::Post });
    assert_eq!(plain.patch(SYSTEM, once_pxe()).await.status, 200);
    plain.reset(&model, "ForceRestart").await;
    assert!(bmc.state().post);
    assert_eq!(plain.get(SYSTEM).await.body["BootProgress"]["LastState"], "SystemHardwareInitializationComplete");
    assert_eq!(plain.patch(SYSTEM, once_pxe()).await.status, 503);
    tokio::time::sleep(Duration::from_millis(160)).await;
    assert_eq!(plain.patch(SYSTEM, once_pxe()).await.status, 200);
}

#[tokio::test]
async fn a_missing_licence_is_said_in_the_vendors_words() {
    for (model, id) in [
        (Model::supermicro_x11(), "OemLicenseNotPassed"),
        (Model::dell(), "LIC501"),
        (Model::hpe(), "LicenseKeyRequired"),
        (Model::generic(), "LicenseRequired"),
    ] {
        let (bmc, plain, model) = started(model).await;
        bmc.fault(Fault::Licence);
        let path = format!("/redfish/v1/Systems/{}/Bios/{}", model.system, model.settings);
        let answer = plain.patch(&path, json!({"Attributes": {}})).await;
        assert_eq!((answer.status, answer.messages()), (403, vec![id.to_string()]));
        assert!(plain.reset(&model, "ForceRestart").await.status < 300, "power is free");
    }
    let (bmc, plain, _) = started(Model::supermicro_x11()).await;
    bmc.fault(Fault::Licence);
    let fixed = "/redfish/v1/Systems/1/Oem/Supermicro/FixedBootOrder";
    assert_eq!(plain.patch(fixed, json!({"FixedBootOrder": []})).await.status, 403);
}

#[tokio::test]
async fn the_bios_can_be_elsewhere_absent_or_not_implemented() {
    let (bmc, plain, _) = faulty(Fault::SettingsAtSd).await;
    let sd = format!("{BIOS}/SD");
    assert_eq!(plain.get(BIOS).await.body["@Redfish.Settings"]["SettingsObject"]["@odata.id"], sd);
    assert_eq!(plain.get(SETTINGS).await.status, 404);
    assert_eq!(plain.patch(&sd, json!({"Attributes": {"QuietBoot": false}})).await.status, 200);
    bmc.heal();
    bmc.fault(Fault::BiosAbsent);
    assert_eq!(plain.get(BIOS).await.status, 404);
    assert!(plain.get(SYSTEM).await.body.get("Bios").is_none());
    bmc.heal();
    bmc.fault(Fault::Bios501);
    assert_eq!(plain.get(BIOS).await.status, 501);
    assert!(plain.get(SYSTEM).await.body.get("Bios").is_some());
}

#[tokio::test]
async fn bios_settings_can_be_lost_in_three_ways() {
    let quiet = || json!({"Attributes": {"QuietBoot": false}});
    let (bmc, plain, model) = faulty(Fault::BiosSilentRevert).await;
    plain.patch(SETTINGS, quiet()).await;
    assert_eq!(plain.get(SETTINGS).await.body["Attributes"]["QuietBoot"], false);
    plain.reset(&model, "ForceRestart").await;
    assert_eq!((&bmc.state().bios["QuietBoot"], bmc.state().bios_pending.len()), (&json!(true), 0));
    let (bmc, plain, model) = faulty(Fault::BiosRefusedInPost).await;
    plain.patch(SETTINGS, quiet()).await;
    plain.reset(&model, "ForceRestart").await;
    assert_eq!(bmc.state().bios["QuietBoot"], true);
    let message = &plain.get(BIOS).await.body["@Redfish.Settings"]["Messages"][0];
    assert_eq!(message["MessageArgs"], json!(["QuietBoot"]));
    let (bmc, plain, _) = faulty(Fault::BiosWriteIgnored).await;
    assert_eq!(plain.patch(SETTINGS, quiet()).await.status, 200);
    assert!(bmc.state().bios_pending.is_empty());
}

#[tokio::test]
async fn a_boot_order_can_be_ignored() {
    let (bmc, plain, _) = faulty(Fault::OrderIgnored).await;
    let order = json!({"Boot": {"BootOrder": ["Boot0002", "Boot0001", "Boot0003", "Boot0004"]}});
    assert_eq!(plain.patch(SYSTEM, order.clone()).await.status, 200);
    assert_eq!(bmc.state().boot_order[0], "Boot0001");
    bmc.heal();
    plain.patch(SYSTEM, order).await;
    assert_eq!(bmc.state().boot_order[0], "Boot0002");
}

#[tokio::test]
async fn answers_can_be_slow_as_a_whole_and_byte_by_byte() {
    let (bmc, plain, _) = faulty(Fault::Slow(Duration::from_millis(80))).await;
    let begin = Instant::now();
    plain.get("/redfish").await;
    assert!(begin.elapsed() >= Duration::from_millis(80));
    bmc.heal();
    bmc.fault(Fault::SlowBody(Duration::from_millis(5)));
    let begin = Instant::now();
    let bytes = plain.get("/redfish").await.body.to_string().len() as u32;
    assert!(begin.elapsed() >= Duration::from_millis(5) * (bytes - 1));
}

#[tokio::test]
async fn connections_can_be_cut_before_and_in_the_answer() {
    let (bmc, plain, _) = faulty(Fault::Cut(Cut::BeforeHeaders)).await;
    assert!(plain.send("GET", ROOT, &[], None).await.is_err());
    bmc.heal();
    bmc.fault(Fault::Cut(Cut::InBody));
    let error = plain.send("GET", ROOT, &[], None).await.err().unwrap();
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    bmc.heal();
    assert_eq!(plain.get(ROOT).await.status, 200);
}

#[tokio::test]
async fn a_body_can_be_no_json_or_too_much() {
    let (bmc, plain, _) = faulty(Fault::GarbageJson).await;
    let answer = plain.get(SYSTEM).await;
    assert_eq!((answer.status, answer.body), (200, Value::Null));
    bmc.heal();
    bmc.fault(Fault::HugeBody(3 << 20));
    assert_eq!(plain.get(SYSTEM).await.header("Content-Length"), (3 << 20).to_string());
}

#[tokio::test]
async fn a_redirect_leads_to_another_host() {
    let (_bmc, plain, _) = faulty(Fault::RedirectsElsewhere).await;
    let answer = plain.get(SYSTEM).await;
    assert_eq!((answer.status, answer.header("Location")), (302, format!("https://192.0.2.1{SYSTEM}").as_str()));
}

#[tokio::test]
async fn power_can_be_ignored_partly_ignored_or_slow() {
    let (bmc, plain, model) = faulty(Fault::PowerIgnored).await;
    assert_eq!(plain.reset(&model, "ForceOff").await.status, 204);
    assert_eq!(bmc.state().power, Power::On);
    bmc.heal();
    bmc.fault(Fault::GracefulIgnored);
    assert_eq!(plain.reset(&model, "GracefulShutdown").await.status, 204);
    assert_eq!(bmc.state().power, Power::On);
    plain.reset(&model, "ForceOff").await;
    assert_eq!(bmc.state().power, Power::Off);
    bmc.heal();
    bmc.fault(Fault::PowerSlow(Duration::from_millis(150)));
    plain.reset(&model, "On").await;
    assert_eq!(bmc.state().power, Power::PoweringOn);
    tokio::time::sleep(Duration::from_millis(160)).await;
    assert_eq!(bmc.state().power, Power::On);
}

#[tokio::test]
async fn a_password_must_be_changed_first() {
    let (bmc, plain, _) = faulty(Fault::PasswordChangeRequired).await;
    let made = log_in(&bmc, &plain).await;
    assert_eq!(made.status, 201);
    let id = made.body["@Message.ExtendedInfo"][0]["MessageId"].as_str().unwrap().to_string();
    assert!(id.ends_with("PasswordChangeRequired"));
    let refused = plain.get(SYSTEM).await;
    assert_eq!((refused.status, refused.messages()), (403, vec!["PasswordChangeRequired".to_string()]));
    let token = made.header("X-Auth-Token").to_string();
    let (with, account) = ([("X-Auth-Token", token.as_str())], "/redfish/v1/AccountService/Accounts/1");
    let body = json!({"Password": "another-pw-123"});
    assert_eq!(plain.send("PATCH", account, &with, Some(&body)).await.unwrap().status, 200);
    assert_eq!(plain.send("GET", SYSTEM, &with, None).await.unwrap().status, 200);
}

#[tokio::test]
async fn sessions_can_be_full_missing_or_short() {
    let (bmc, plain, _) = faulty(Fault::SessionLimit).await;
    let full = log_in(&bmc, &plain).await;
    assert_eq!((full.status, full.messages()), (503, vec!["SessionLimitExceeded".to_string()]));
    for status in [404, 405, 501] {
        bmc.heal();
        bmc.fault(Fault::NoSessions(status));
        assert_eq!(log_in(&bmc, &plain).await.status, status);
        assert_eq!(plain.get(SYSTEM).await.status, 200, "basic goes on");
    }
    bmc.heal();
    bmc.fault(Fault::SessionsExpire);
    let token = log_in(&bmc, &plain).await.header("X-Auth-Token").to_string();
    let with = [("X-Auth-Token", token.as_str())];
    assert_eq!(plain.send("GET", SYSTEM, &with, None).await.unwrap().status, 200);
    assert_eq!(plain.send("GET", SYSTEM, &with, None).await.unwrap().status, 401);
}

#[tokio::test]
async fn basic_can_be_off() {
    let (bmc, plain, _) = faulty(Fault::BasicOff).await;
    assert_eq!(plain.get(SYSTEM).await.status, 401);
    let token = log_in(&bmc, &plain).await.header("X-Auth-Token").to_string();
    assert_eq!(plain.send("GET", SYSTEM, &[("X-Auth-Token", &token)], None).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_write_can_be_a_task_that_ends_well_or_not() {
    let (bmc, plain, _) = started(Model { task_time: Duration::from_millis(100), ..Model::generic() }).await;
    bmc.fault(Fault::TasksForWrites);
    let accepted = plain.patch(SYSTEM, once_pxe()).await;
    assert_eq!((accepted.status, accepted.body["TaskState"].as_str()), (202, Some("Running")));
    let monitor = accepted.header("Location").to_string();
    assert_eq!(plain.get(&monitor).await.status, 202);
    assert_eq!(bmc.state().boot.enabled, "Disabled", "not done yet");
    tokio::time::sleep(Duration::from_millis(110)).await;
    assert_eq!(plain.get(&monitor).await.status, 200);
    assert_eq!(bmc.state().boot.enabled, "Once");
    bmc.fault(Fault::TasksFail);
    let accepted = plain.patch(SYSTEM, json!({"AssetTag": "x"})).await;
    tokio::time::sleep(Duration::from_millis(110)).await;
    assert_eq!(plain.get(accepted.header("Location")).await.status, 500);
    assert_ne!(bmc.state().asset_tag, "x");
}

#[tokio::test]
async fn media_can_be_ignored() {
    let (bmc, plain, _) = faulty(Fault::MediaIgnored).await;
    let insert = "/redfish/v1/Managers/BMC/VirtualMedia/CD1/Actions/VirtualMedia.InsertMedia";
    let body = json!({"Image": "http://10.10.1.1/seed.iso"});
    assert_eq!(plain.post(insert, body.clone()).await.status, 204);
    assert!(!bmc.state().media["CD1"].inserted);
    bmc.heal();
    assert_eq!(plain.post(insert, body).await.status, 204);
    assert!(bmc.state().media["CD1"].inserted);
}

#[tokio::test]
async fn texts_can_be_hostile_in_names_and_in_errors() {
    let (_bmc, plain, _) = faulty(Fault::HostileText).await;
    let system = plain.get(SYSTEM).await;
    assert!(system.body["Name"].as_str().unwrap().contains("\u{1b}["));
    let error = plain.patch(SYSTEM, json!({"Nonsense": 1})).await;
    assert_eq!(error.status, 400);
    assert!(error.body["error"]["message"].as_str().unwrap().contains("\u{1b}]0;"));
    assert!(error.body["error"]["message"].as_str().unwrap().len() > 10_000);
}

#[tokio::test]
async fn errors_can_be_odd() {
    let (bmc, plain, _) = faulty(Fault::ErrorsOldShape).await;
    let error = plain.get("/redfish/v1/Nothing").await.body["error"].clone();
    assert!(error["Message"].is_string() && error["@Message.ExtendedInfo"].is_object());
    bmc.fault(Fault::ErrorsHtml);
    let answer = plain.get("/redfish/v1/Nothing").await;
    assert_eq!((answer.status, answer.header("Content-Type"), &answer.body), (404, "text/html", &Value::Null));
}

#[tokio::test]
async fn a_fault_can_be_for_some_requests_only() {
    let (bmc, plain, _) = started(Model::generic()).await;
    bmc.fault_at("GET", "/Bios", Fault::GarbageJson);
    assert_eq!(plain.get(BIOS).await.body, Value::Null);
    assert_eq!(plain.get(SYSTEM).await.body["PowerState"], "On");
}

/// The names of the command line are unique, and lead back to their faults.
#[test]
fn every_fault_has_a_name() {
    for (name, fault) in Fault::all() {
        assert_eq!(name.parse::<Fault>().as_ref(), Ok(&fault));
    }
    assert!("nonsense".parse::<Fault>().unwrap_err().contains("weak-etags"));
}
