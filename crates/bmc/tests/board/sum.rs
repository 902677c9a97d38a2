//! SUM in the place of Redfish: which of them is taken, and what is read back. The driver itself is tested in `src/sum/tests.rs`.
//!
//! SUM knows port 443 only, so that those tests need the right to listen there; each has an address of its own.

use bmc::{Kind, Outcome, SumTool, Verb};
use redfish_simulator::sum::StubSum;
use redfish_simulator::{Fault, Model};

use crate::common::{Bench, for_sum, text};

const PLAN: Verb = Verb::BiosPlan {};
const APPLY: Verb = Verb::BiosApply { restart: false };
const RESTART: Verb = Verb::BiosApply { restart: true };

struct WithSum {
    bench: Bench,
    stub: StubSum,
    _directory: tempfile::TempDir,
}

/// A board whose Redfish has no BIOS, and SUM, which does.
async fn with_sum(address: &str, fault: Option<Fault>) -> WithSum {
    let mut bench = Bench::at(address, Model::supermicro_x11()).await;
    let stub = StubSum::executable().expect("stub-sum is built: cargo build --release -p redfish-simulator");
    let directory = tempfile::tempdir_in(stub.parent().unwrap()).unwrap();
    let program = directory.path().join("sum");
    std::fs::hard_link(stub, &program).unwrap();
    let state = directory.path().join("stub-sum-state");
    let stub = StubSum::at(&state);
    let (user, password) = bench.bmc.credentials();
    stub.change(|settings| (settings.user, settings.password) = (user.into(), password.into())).unwrap();
    bench.bmc.on_boot(move || StubSum::at(&state).reboot().unwrap());
    if let Some(fault) = fault {
        bench.bmc.fault(fault);
    }
    bench.machine.patience.busy = std::time::Duration::from_secs(20);
    bench.machine.patience.post = std::time::Duration::from_secs(2);
    bench.machine.sum = Some(SumTool { program });
    bench.machine.bios =
        Some(for_sum(&[("Boot|Boot mode select", "UEFI"), ("Advanced|CPU Configuration|Hyper-threading", "Enabled")]));
    WithSum { bench, stub, _directory: directory }
}

impl WithSum {
    fn commands(&self) -> Vec<String> {
        let calls = self.stub.calls().unwrap();
        calls.iter().map(|call| call[call.iter().position(|part| part == "-c").unwrap() + 1].clone()).collect()
    }
}

#[tokio::test]
async fn another_port_than_443_is_no_bmc_for_sum() {
    let with = with_sum("127.0.0.1:0", Some(Fault::BiosAbsent)).await;
    let error = with.bench.failure(&PLAN).await;
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("SUM knows port 443 only"), "{error}");
    assert!(with.commands().is_empty());
}

#[tokio::test]
async fn settings_for_sum_without_sum_say_what_is_missing() {
    let mut bench = Bench::supermicro().await;
    bench.machine.bios = Some(for_sum(&[("Boot|Boot mode select", "UEFI")]));
    let error = bench.failure(&APPLY).await;
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.help().unwrap().contains("[sum] path, sha256"));
}

#[tokio::test]
#[ignore = "listens on port 443 of the loopback"]
async fn sandbox_sum_steps_in_where_redfish_has_no_bios_settings_or_no_licence_for_them() {
    for (number, fault) in [(2, Fault::BiosAbsent), (3, Fault::Bios501), (4, Fault::Licence)] {
        let with = with_sum(&format!("127.0.0.{number}:443"), Some(fault.clone())).await;
        let mut with = WithSum { bench: with.bench.declare(&[("BootModeSelect", text("UEFI"))]), ..with };
        assert_eq!(with.bench.line(&RESTART).await, "1 setting changed and in force, by SUM", "{fault:?}");
        let bios = with.stub.settings().unwrap().bios;
        assert_eq!(bios.value(&["Boot"], "Boot mode select", None), Some("UEFI"));
        assert_eq!(with.commands(), ["GetCurrentBiosCfg", "ChangeBiosCfg", "GetCurrentBiosCfg"]);
        assert_eq!(with.bench.bmc.state().boots.len(), 1);
        // Without a map for SUM there is nothing that it could do.
        with.bench.machine.bios.as_mut().unwrap().sum.clear();
        with.bench.bmc.forget_requests();
        let error = with.bench.failure(&RESTART).await;
        if !matches!(fault, Fault::Licence) {
            assert!(error.to_string().contains("name the settings in [bios.NAME.sum]"), "{error}");
        }
        assert_eq!(with.commands().len(), 3);
    }
}

#[tokio::test]
#[ignore = "listens on port 443 of the loopback"]
async fn sandbox_nothing_is_changed_by_sum_where_nothing_differs() {
    let with = with_sum("127.0.0.5:443", None).await;
    let outcome = with.bench.outcome(&PLAN).await;
    assert_eq!(outcome.summary(), "1 to change, 1 as declared, by SUM");
    assert_eq!(outcome.details(), "change  Boot|Boot mode select  DUAL -> UEFI\n");
    with.bench.line(&RESTART).await;
    assert_eq!(with.bench.line(&RESTART).await, "nothing sent: 2 settings as declared already");
    let changes = with.commands().iter().filter(|command| *command == "ChangeBiosCfg").count();
    assert_eq!((changes, with.bench.bmc.state().boots.len()), (1, 1));
}

#[tokio::test]
#[ignore = "listens on port 443 of the loopback"]
async fn sandbox_what_sum_changed_and_the_board_lost_is_an_error() {
    let with = with_sum("127.0.0.6:443", None).await;
    with.stub.change(|settings| settings.loses_changes = true).unwrap();
    let mut bench = with.bench;
    bench.machine.patience.post = std::time::Duration::from_millis(200);
    let error = bench.failure(&RESTART).await;
    assert_eq!(error.kind(), Kind::NotApplied);
    assert_eq!(error.to_string(), "asked for Boot|Boot mode select = UEFI, and the BMC accepted it, but there is DUAL");
}

#[tokio::test]
#[ignore = "listens on port 443 of the loopback"]
async fn sandbox_a_value_that_is_no_option_changes_nothing() {
    let mut with = with_sum("127.0.0.7:443", None).await;
    with.bench.machine.bios =
        Some(for_sum(&[("Boot|Boot mode select", "Uefi"), ("Boot|LEGACY to EFI support", "Enabled")]));
    let error = with.bench.failure(&RESTART).await;
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.to_string().contains("cannot be 'Uefi': there are LEGACY, UEFI, DUAL"), "{error}");
    assert_eq!(with.commands(), ["GetCurrentBiosCfg"]);
    assert!(with.stub.settings().unwrap().pending.is_empty());
}

#[tokio::test]
#[ignore = "listens on port 443 of the loopback"]
async fn sandbox_sum_shows_the_settings_of_a_board_whose_redfish_does_not() {
    let with = with_sum("127.0.0.8:443", Some(Fault::BiosAbsent)).await;
    let verb = Verb::BiosGet { attributes: vec!["Boot|Boot mode select".to_owned()] };
    let outcome = with.bench.outcome(&verb).await;
    assert_eq!(outcome.summary(), "Boot|Boot mode select = DUAL");
    assert!(outcome.details().contains("LEGACY, UEFI, DUAL"), "{}", outcome.details());
    assert!(matches!(outcome, Outcome::BiosGet(found) if found.through == bmc::Way::Sum));
}
