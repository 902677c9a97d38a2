//! The one-time boot: sent complete, read back, and an error where it did not stay.

use bmc::{BootMode, BootTarget, Verb};
use redfish_simulator::{Fault, Model, Vendor};
use serde_json::json;

use crate::common::Bench;

fn once(target: BootTarget) -> Verb {
    Verb::BootOnce { target, mode: BootMode::Uefi }
}

#[tokio::test]
async fn each_target_is_set_once_and_taken_back() {
    let bench = Bench::generic().await;
    for (target, name) in [
        (BootTarget::Pxe, "Pxe"),
        (BootTarget::Disk, "Hdd"),
        (BootTarget::Cd, "Cd"),
        (BootTarget::Bios, "BiosSetup"),
        (BootTarget::UefiHttp, "UefiHttp"),
    ] {
        assert_eq!(bench.line(&once(target)).await, format!("{name} once (UEFI)"));
        assert_eq!(bench.state().boot.target, name);
    }
    let all = json!({ "BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe", "BootSourceOverrideMode": "UEFI" });
    assert_eq!(bench.writes()[0].body, json!({ "Boot": all }), "firmware fills in what is left out");
    assert_eq!(bench.line(&once(BootTarget::None)).await, "as always");
    assert_eq!(bench.state().boot.enabled, "Disabled");
}

#[tokio::test]
async fn what_is_as_wanted_is_not_sent() {
    let bench = Bench::generic().await;
    bench.run(&once(BootTarget::Pxe)).await.unwrap();
    bench.bmc.forget_requests();
    assert_eq!(bench.line(&once(BootTarget::Pxe)).await, "Pxe once (UEFI); it was so already, nothing was sent");
    bench.run(&once(BootTarget::None)).await.unwrap();
    assert_eq!(bench.line(&once(BootTarget::None)).await, "as always; it was so already, nothing was sent");
    assert_eq!(bench.writes().len(), 1);
}

#[tokio::test]
async fn taking_it_back_leaves_the_mode_as_it_is() {
    // This vendor's firmware makes Legacy of a mode that is left out.
    let bench = Bench::supermicro().await;
    bench.run(&once(BootTarget::Pxe)).await.unwrap();
    bench.run(&once(BootTarget::None)).await.unwrap();
    assert_eq!(bench.state().boot.mode, "UEFI");
    let keep = Verb::BootOnce { target: BootTarget::Disk, mode: BootMode::Keep };
    assert_eq!(bench.line(&keep).await, "Hdd once (UEFI)");
}

#[tokio::test]
async fn a_mode_that_silently_reverts_is_an_error_that_says_what_is_there() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::SilentModeRevert);
    assert_eq!(
        bench.failure(&once(BootTarget::Pxe)).await,
        "asked for BootSourceOverrideMode = UEFI, and the BMC accepted it, but there is Legacy\n\
         help: it was taken back: it boots as before; `--mode keep` leaves the mode to the machine"
    );
    assert_eq!(bench.line(&once(BootTarget::None)).await, "as always; it was so already, nothing was sent");
}

#[tokio::test]
async fn an_override_that_is_ignored_is_an_error() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::SilentOverrideIgnored);
    let text = bench.unchanged(&once(BootTarget::Pxe)).await;
    assert!(
        text.starts_with("asked for BootSourceOverrideTarget = Pxe, and the BMC accepted it, but there is None\n"),
        "{text}"
    );
}

#[tokio::test]
async fn once_that_becomes_for_ever_is_an_error() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::OnceStaysContinuous);
    assert_eq!(
        bench.failure(&once(BootTarget::Pxe)).await,
        "asked for BootSourceOverrideEnabled = Once, and the BMC accepted it, but there is Continuous\n\
         help: it was taken back: it boots as before"
    );
    assert_eq!(bench.line(&once(BootTarget::None)).await, "as always; it was so already, nothing was sent");
}

#[tokio::test]
async fn a_board_that_refuses_the_mode_gets_the_override_without_it() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::RejectsUefiMode);
    assert_eq!(
        bench.line(&once(BootTarget::Pxe)).await,
        "Pxe once (UEFI); without BootSourceOverrideMode, which this BMC refuses"
    );
    let statuses: Vec<u16> = bench.writes().iter().map(|one| one.status).collect();
    assert_eq!(statuses, [400, 200]);
    // Where the machine's own mode is another one, that is no success.
    let other = Bench::new(Model { boot_mode: "Legacy".into(), ..Model::generic() }).await;
    other.bmc.fault(Fault::RejectsUefiMode);
    let text = other.failure(&once(BootTarget::Pxe)).await;
    assert!(
        text.starts_with(
            "asked for BootSourceOverrideMode = UEFI, which the BMC refuses (The property BootSourceOverrideMode"
        ) && text.contains("help: it was taken back: it boots as before"),
        "{text}"
    );
}

#[tokio::test]
async fn a_board_without_modes_is_sent_none() {
    let bench = Bench::new(Model { boot_modes: vec![], ..Model::generic() }).await;
    assert_eq!(
        bench.line(&once(BootTarget::Pxe)).await,
        "Pxe once; this BMC knows no mode: the machine's own stays, UEFI or not"
    );
    assert!(bench.writes()[0].body["Boot"].get("BootSourceOverrideMode").is_none());
}

#[tokio::test]
async fn a_board_of_the_table_is_not_even_asked_for_the_mode() {
    let model = Model {
        vendor: Vendor::Generic,
        manufacturer: "HPE".into(),
        product: "ProLiant DL360 Gen9".into(),
        ..Model::hpe()
    };
    let bench = Bench::new(model).await;
    let line = bench.line(&once(BootTarget::Pxe)).await;
    assert!(
        line.starts_with(
            "Pxe once (UEFI); without BootSourceOverrideMode: this board ignores or refuses it (openstack/ironic"
        ),
        "{line}"
    );
    assert!(bench.writes()[0].body["Boot"].get("BootSourceOverrideMode").is_none());
}

#[tokio::test]
async fn a_mode_or_a_target_that_the_board_does_not_list_is_not_sent() {
    let legacy = Model { boot_modes: vec!["Legacy".into()], boot_mode: "Legacy".into(), ..Model::generic() };
    let bench = Bench::new(legacy).await;
    assert_eq!(
        bench.unchanged(&once(BootTarget::Pxe)).await,
        "this BMC cannot boot once in mode UEFI: its modes are Legacy"
    );
    assert!(bench.writes().is_empty());
    let bench = Bench::supermicro().await;
    assert_eq!(
        bench.unchanged(&once(BootTarget::UefiHttp)).await,
        "this BMC cannot boot once from uefi-http: its targets are None, Pxe, Hdd, Diags, Cd, BiosSetup, \
         FloppyRemovableMedia, UsbKey, UsbHdd"
    );
    assert!(bench.writes().is_empty());
}

#[tokio::test]
async fn a_virtual_cd_is_a_usb_cd_on_this_vendors_boards_where_they_list_one() {
    let mut model = Model::supermicro_x11();
    model.boot_targets.push("UsbCd".into());
    let bench = Bench::new(model).await;
    assert_eq!(bench.line(&once(BootTarget::Cd)).await, "UsbCd once (UEFI)");
    let bench = Bench::supermicro().await;
    assert_eq!(bench.line(&once(BootTarget::Cd)).await, "Cd once (UEFI)");
}
