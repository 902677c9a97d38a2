//! The simulator without faults does what the standard says.

use super::client::started;
use redfish_simulator::{Boot, Model, Power};
use serde_json::{Value, json};

const SYSTEM: &str = "/redfish/v1/Systems/437XR1138R2";

#[tokio::test]
async fn the_root_needs_no_password_and_the_rest_does() {
    let (_bmc, plain, _) = started(Model::generic()).await;
    let root = plain.send("GET", "/redfish/v1/", &[("Anonymous", "")], None).await.unwrap();
    assert_eq!((root.status, root.body["@odata.id"].as_str()), (200, Some("/redfish/v1/")));
    let systems = plain.send("GET", "/redfish/v1/Systems", &[("Anonymous", "")], None).await.unwrap();
    assert_eq!(systems.status, 401);
    assert!(systems.header("WWW-Authenticate").starts_with("Basic"));
    assert_eq!(plain.get("/redfish/v1/Systems").await.body["Members"][0]["@odata.id"], SYSTEM);
}

/// Every link leads somewhere: a walk from the root over all models.
#[tokio::test]
async fn no_link_of_any_model_is_dead() {
    for name in Model::NAMES {
        let (_bmc, plain, _) = started(Model::by_name(name).unwrap()).await;
        let mut todo = vec!["/redfish/v1/".to_string()];
        let mut seen = std::collections::BTreeSet::new();
        while let Some(path) = todo.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let answer = plain.get(&path).await;
            assert_eq!(answer.status, 200, "{name}: {path}");
            assert_eq!(answer.body["@odata.id"].as_str().map(|id| id == path), Some(true), "{name}: {path}");
            links(&answer.body, &mut todo);
        }
        assert!(seen.len() > 30, "{name}: {}", seen.len());
    }
}

fn links(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            let id = object.get("@odata.id").and_then(Value::as_str).filter(|id| !id.contains('#'));
            found.extend(id.map(str::to_string));
            object.values().for_each(|inner| links(inner, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| links(inner, found)),
        _ => {}
    }
}

#[tokio::test]
async fn a_session_is_opened_used_and_closed() {
    let (bmc, plain, _) = started(Model::generic()).await;
    let sessions = "/redfish/v1/SessionService/Sessions";
    let (user, password) = bmc.credentials();
    let wrong = plain.post(sessions, json!({"UserName": user, "Password": "no"})).await;
    assert_eq!(wrong.status, 401);
    let made = plain.post(sessions, json!({"UserName": user, "Password": password})).await;
    assert_eq!(made.status, 201);
    let (token, location) = (made.header("X-Auth-Token").to_string(), made.header("Location").to_string());
    let with = [("X-Auth-Token", token.as_str())];
    assert_eq!(plain.send("GET", SYSTEM, &with, None).await.unwrap().status, 200);
    assert_eq!(bmc.state().sessions.len(), 1);
    assert_eq!(plain.send("DELETE", &location, &with, None).await.unwrap().status, 204);
    assert_eq!(plain.send("GET", SYSTEM, &with, None).await.unwrap().status, 401);
    assert!(!format!("{:?}", bmc.requests()).contains(password));
}

#[tokio::test]
async fn a_one_time_override_is_used_once() {
    let (bmc, plain, model) = started(Model::generic()).await;
    let boot = json!({"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe", "BootSourceOverrideMode": "UEFI"}});
    assert_eq!(plain.patch(SYSTEM, boot).await.status, 200);
    assert_eq!(plain.reset(&model, "PowerCycle").await.status, 204);
    assert_eq!(plain.reset(&model, "ForceRestart").await.status, 204);
    let boots =
        [Boot { target: "Pxe".into(), mode: "UEFI".into() }, Boot { target: "Boot0001".into(), mode: "UEFI".into() }];
    assert_eq!(bmc.state().boots, boots);
    assert_eq!(plain.get(SYSTEM).await.body["Boot"]["BootSourceOverrideEnabled"], "Disabled");
}

#[tokio::test]
async fn power_goes_off_and_on() {
    let (bmc, plain, model) = started(Model::generic()).await;
    plain.reset(&model, "GracefulShutdown").await;
    assert_eq!(plain.get(SYSTEM).await.body["PowerState"], "Off");
    assert_eq!(bmc.state().power, Power::Off);
    plain.reset(&model, "On").await;
    assert_eq!(bmc.state().power, Power::On);
    assert_eq!(plain.reset(&model, "Nonsense").await.status, 400);
    assert_eq!(bmc.state().resets, ["GracefulShutdown", "On"]);
}

#[tokio::test]
async fn bios_settings_wait_for_the_reset() {
    let (bmc, plain, model) = started(Model::generic()).await;
    let settings = format!("{SYSTEM}/Bios/Settings");
    let bios = format!("{SYSTEM}/Bios");
    assert_eq!(plain.patch(&settings, json!({"Attributes": {"QuietBoot": false}})).await.status, 200);
    assert_eq!(plain.get(&bios).await.body["Attributes"]["QuietBoot"], true);
    assert_eq!(plain.get(&settings).await.body["Attributes"]["QuietBoot"], false);
    plain.reset(&model, "ForceRestart").await;
    assert_eq!(plain.get(&bios).await.body["Attributes"]["QuietBoot"], false);
    assert!(bmc.state().bios_pending.is_empty());
}

#[tokio::test]
async fn a_wrong_attribute_is_named_and_nothing_is_pending() {
    let (bmc, plain, _) = started(Model::generic()).await;
    let asked = json!({"Attributes": {
        "QuietBoot": "yes", "ProcTurboMode": "Perhaps", "BootRetryDelay": 7, "ServiceTag": "X", "NoSuch": 1, "SriovGlobal": "Enabled",
    }});
    let answer = plain.patch(&format!("{SYSTEM}/Bios/Settings"), asked).await;
    assert_eq!(answer.status, 400);
    let expected = [
        "PropertyValueTypeError",
        "PropertyValueNotInList",
        "PropertyValueOutOfRange",
        "PropertyNotWritable",
        "PropertyUnknown",
    ];
    assert_eq!(answer.messages(), expected);
    assert!(bmc.state().bios_pending.is_empty());
}

#[tokio::test]
async fn an_old_etag_is_refused() {
    let (_bmc, plain, _) = started(Model::generic()).await;
    let tag = plain.get(SYSTEM).await.header("ETag").to_string();
    let body = json!({"AssetTag": "a"});
    let with = [("If-Match", tag.as_str())];
    assert_eq!(plain.send("PATCH", SYSTEM, &with, Some(&body)).await.unwrap().status, 200);
    assert_eq!(plain.send("PATCH", SYSTEM, &with, Some(&json!({"AssetTag": "b"}))).await.unwrap().status, 412);
    assert_eq!(plain.get(SYSTEM).await.body["AssetTag"], "a");
}

#[tokio::test]
async fn a_boot_is_told_once() {
    let (bmc, plain, model) = started(Model::generic()).await;
    let heard = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = std::sync::Arc::clone(&heard);
    bmc.on_boot(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    });
    plain.reset(&model, "ForceRestart").await;
    plain.get(SYSTEM).await;
    assert_eq!(heard.load(std::sync::atomic::Ordering::SeqCst), 1);
}
