//! What is a vendor's own.

use redfish_simulator::{Model, Simulator};
use serde_json::json;

use super::client::started;

const FIXED: &str = "/redfish/v1/Systems/1/Oem/Supermicro/FixedBootOrder";

#[tokio::test]
async fn the_fixed_boot_order_is_permuted_and_booted() {
    let (bmc, plain, model) = started(Model::supermicro_x11()).await;
    let mut order = bmc.state().fixed_boot_order;
    order.swap(0, 7);
    let answer = plain.patch(FIXED, json!({"FixedBootOrder": order})).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body["Success"].is_object());
    assert_eq!(plain.get(FIXED).await.body["FixedBootOrder"], json!(order));
    plain.reset(&model, "ForceRestart").await;
    assert!(bmc.state().boots[0].target.starts_with("UEFI Network:"));
    order[3] = "Something else".into();
    assert_eq!(plain.patch(FIXED, json!({"FixedBootOrder": order})).await.status, 400);
    order.pop();
    assert_eq!(plain.patch(FIXED, json!({"FixedBootOrder": order})).await.status, 400);
}

#[tokio::test]
async fn supermicro_lets_fall_back_what_a_patch_leaves_out() {
    let (bmc, plain, _) = started(Model::supermicro_x11()).await;
    let system = "/redfish/v1/Systems/1";
    let whole = json!({"Boot": {"BootSourceOverrideEnabled": "Continuous", "BootSourceOverrideTarget": "Hdd", "BootSourceOverrideMode": "UEFI"}});
    assert_eq!(plain.patch(system, whole).await.status, 200);
    assert_eq!((bmc.state().boot.enabled.as_str(), bmc.state().boot.mode.as_str()), ("Continuous", "UEFI"));
    plain.patch(system, json!({"Boot": {"BootSourceOverrideTarget": "Pxe"}})).await;
    assert_eq!((bmc.state().boot.enabled.as_str(), bmc.state().boot.mode.as_str()), ("Once", "Legacy"));
    let order = plain.patch(system, json!({"Boot": {"BootOrder": []}})).await;
    assert_eq!((order.status, order.messages()), (400, vec!["PropertyUnknown".to_string()]));
}

#[tokio::test]
async fn supermicros_pending_settings_are_shown_alone() {
    let (_bmc, plain, _) = started(Model::supermicro_x11()).await;
    let sd = "/redfish/v1/Systems/1/Bios/SD";
    assert!(plain.get(sd).await.body.get("Attributes").is_none());
    assert_eq!(plain.patch(sd, json!({"Attributes": {"QuietBoot_0038": false}})).await.status, 200);
    assert_eq!(plain.get(sd).await.body["Attributes"], json!({"QuietBoot_0038": false}));
}

#[tokio::test]
async fn x11_mounts_an_image_from_a_share() {
    let (bmc, plain, _) = started(Model::supermicro_x11()).await;
    let cd = "/redfish/v1/Managers/1/VM1/CfgCD";
    let mount = format!("{cd}/Actions/IsoConfig.Mount");
    assert_eq!(plain.post(&mount, json!({})).await.status, 400, "nothing is configured");
    let config = json!({"Host": "http://10.10.1.1", "Path": "/media/seed.iso", "Username": "", "Password": ""});
    assert_eq!(plain.patch(cd, config).await.status, 200);
    assert_eq!(plain.send("POST", &mount, &[], None).await.unwrap().status, 200);
    assert!(bmc.state().cfg_cd.mounted);
    assert_eq!(plain.get("/redfish/v1/Managers/1/VM1/CD1").await.body["Inserted"], true);
    assert_eq!(plain.post(&format!("{cd}/Actions/IsoConfig.UnMount"), json!({})).await.status, 200);
    assert!(!bmc.state().cfg_cd.mounted);
    let collection =
        plain.get("/redfish/v1/Managers/1").await.body["VirtualMedia"]["@odata.id"].as_str().unwrap().to_string();
    let collection = plain.get(&collection).await.body;
    assert_eq!(
        (&collection["Members"], &collection["Oem"]["Supermicro"]["VirtualMediaConfig"]["@odata.id"]),
        (&json!([]), &json!(cd))
    );
}

#[tokio::test]
async fn dell_applies_only_what_has_an_apply_time() {
    let (bmc, plain, model) = started(Model::dell()).await;
    let settings = "/redfish/v1/Systems/System.Embedded.1/Bios/Settings";
    let quiet = |bmc: &Simulator| bmc.state().bios["QuietBoot"].clone();
    plain.patch(settings, json!({"Attributes": {"QuietBoot": false}})).await;
    plain.reset(&model, "ForceRestart").await;
    assert_eq!(quiet(&bmc), true);
    let timed = json!({"Attributes": {"QuietBoot": false}, "@Redfish.SettingsApplyTime": {"ApplyTime": "OnReset"}});
    assert_eq!(plain.patch(settings, timed).await.status, 200);
    plain.reset(&model, "ForceRestart").await;
    assert_eq!(quiet(&bmc), false);
}
