//! Healthy machines: each verb does what it says, and says what it did.

use bmc::{BootMode, BootTarget, Kind, Manner, Outcome, PowerAction, Verb};
use redfish_simulator::{Fault, Model, Power};

use crate::common::Bench;

#[tokio::test]
async fn status_shows_what_the_machine_is_and_how_it_is() {
    let bench = Bench::generic().await;
    let outcome = bench.run(&Verb::Status {}).await.unwrap();
    assert_eq!(outcome.summary(), "on, ok, OSRunning");
    let pin = bench.bmc.certificate_sha256().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        outcome.details(),
        format!(
            "machine      Contoso 3500RX\nserial       437XR1138R2\nbios         P79 v1.45 (12/06/2017)\n\
             bmc          1.45.455b66-rev4\nlogin        session\n\
             certificate  SHA256:{pin} (seen for the first time)\n"
        )
    );
    let json = serde_json::to_value(&outcome).unwrap();
    assert_eq!(json["outcome"], "status");
    assert_eq!(json["result"]["first-seen"], true);
    assert_eq!(serde_json::from_value::<Outcome>(json).unwrap(), outcome);
    let again = bench.run(&Verb::Status {}).await.unwrap();
    assert!(again.details().ends_with(&format!("SHA256:{pin}\n")));
    assert!(bench.writes().is_empty());
}

#[tokio::test]
async fn every_model_is_found_by_its_links_and_switched_off_and_on() {
    for name in Model::NAMES {
        let bench = Bench::new(Model::by_name(name).unwrap()).await;
        let off = Verb::Power { action: PowerAction::Off, manner: Manner::Graceful };
        assert_eq!(bench.line(&off).await, "on -> off (GracefulShutdown)", "{name}");
        assert_eq!(bench.state().power, Power::Off);
        assert_eq!(bench.line(&off).await, "off already", "{name}");
        let once = Verb::BootOnce { target: BootTarget::Pxe, mode: BootMode::Uefi };
        assert_eq!(bench.line(&once).await, "Pxe once (UEFI)", "{name}");
        let on = Verb::Power { action: PowerAction::On, manner: Manner::Graceful };
        assert_eq!(bench.line(&on).await, "off -> on (On)", "{name}");
        let boots = bench.state().boots;
        assert_eq!((boots.len(), boots[0].target.as_str(), boots[0].mode.as_str()), (1, "Pxe", "UEFI"), "{name}");
        assert_eq!(bench.line(&on).await, "on already", "{name}");
        assert_eq!(bench.state().resets, ["GracefulShutdown", "On"], "{name}");
    }
}

#[tokio::test]
async fn no_session_is_left_behind() {
    let bench = Bench::generic().await;
    bench.run(&Verb::Status {}).await.unwrap();
    bench.bmc.fault(Fault::PowerIgnored);
    bench.run(&Verb::Power { action: PowerAction::Off, manner: Manner::Forced }).await.unwrap_err();
    bench.run(&Verb::Raw { path: "/redfish/v1/None".into() }).await.unwrap_err();
    assert_eq!(bench.bmc.state().sessions, []);
}

#[tokio::test]
async fn raw_gives_a_resource_as_it_is() {
    let bench = Bench::generic().await;
    let raw = |path: &str| Verb::Raw { path: path.to_owned() };
    let outcome = bench.run(&raw("/redfish/v1/Systems")).await.unwrap();
    assert_eq!(outcome.summary(), "/redfish/v1/Systems: ComputerSystemCollection, 6 properties");
    assert!(outcome.details().contains("\"/redfish/v1/Systems/437XR1138R2\""), "{}", outcome.details());
    assert_eq!(
        bench.failure(&raw("/redfish/v1/Nothing")).await,
        "this BMC cannot read /redfish/v1/Nothing: status 404: The resource at the URI '/redfish/v1/Nothing' was not found."
    );
    bench.bmc.forget_requests();
    for path in [
        "https://192.0.2.1/redfish/v1",
        "/etc/passwd",
        "//192.0.2.1/redfish/",
        "/redfish/../x",
        "/redfish/%2E%2e/x",
        "/redfish/\r\nX: y",
    ] {
        let error = bench.run(&raw(path)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Input, "{path}");
    }
    assert!(bench.bmc.requests().iter().all(|one| one.path.starts_with("/redfish/v1")));
}

#[tokio::test]
async fn a_system_is_chosen_by_id_uuid_or_name() {
    let mut bench = Bench::generic().await;
    for name in ["437XR1138R2", "38947555-7742-3448-3784-823347823834"] {
        bench.machine.system = Some(name.to_owned());
        assert_eq!(bench.line(&Verb::Status {}).await, "on, ok, OSRunning");
    }
    bench.machine.system = Some("2".to_owned());
    assert_eq!(bench.failure(&Verb::Status {}).await, "BMC has no system '2'\nhelp: it has 437XR1138R2");
}
