//! `bios get`, `plan`, `apply` and `diff` by Redfish.

use bmc::{BiosApplied, BiosAttributes, BiosPlan, Kind, Outcome, Verb};
use netboot::BiosValue;
use redfish_simulator::{Fault, Lasts, Model, Refuses};
use serde_json::json;

use crate::common::{Bench, patience, text};

fn get(attributes: &[&str]) -> Verb {
    Verb::BiosGet { attributes: attributes.iter().map(|name| name.to_string()).collect() }
}

const PLAN: Verb = Verb::BiosPlan {};
const DIFF: Verb = Verb::BiosDiff {};
const APPLY: Verb = Verb::BiosApply { restart: false };
const RESTART: Verb = Verb::BiosApply { restart: true };

async fn attributes(bench: &Bench, verb: &Verb) -> BiosAttributes {
    match bench.outcome(verb).await {
        Outcome::BiosGet(found) => found,
        other => panic!("{other:?}"),
    }
}

async fn plan(bench: &Bench) -> BiosPlan {
    match bench.outcome(&PLAN).await {
        Outcome::BiosPlan(plan) => plan,
        other => panic!("{other:?}"),
    }
}

async fn apply(bench: &Bench, verb: &Verb) -> BiosApplied {
    match bench.outcome(verb).await {
        Outcome::BiosApply(applied) => applied,
        other => panic!("{other:?}"),
    }
}

/// Two that differ, one that does not.
async fn usual() -> Bench {
    Bench::supermicro().await.declare(&[
        ("QuietBoot", BiosValue::Flag(false)),
        ("BootModeSelect_0045", text("UEFI")),
        ("OnboardLAN1OptionROM", text("PXE")),
    ])
}

#[tokio::test]
async fn settings_are_shown_with_what_they_may_be() {
    let bench = Bench::supermicro().await;
    let all = attributes(&bench, &get(&[])).await;
    assert!(all.attributes.len() > 8, "{all:?}");
    let some = attributes(&bench, &get(&["WatchDogTimeout", "BootModeSelect", "BIOSVersion_0002"])).await;
    let some: Vec<_> = some
        .attributes
        .iter()
        .map(|one| {
            (one.name.as_str(), one.value.clone(), one.kind.as_deref().unwrap(), one.allowed.as_str(), one.read_only)
        })
        .collect();
    assert_eq!(
        some,
        [
            ("WatchDogTimeout_0040", json!(5), "Integer", "1 to 255", false),
            ("BootModeSelect_0045", json!("DUAL"), "Enumeration", "LEGACY, UEFI, DUAL", false),
            ("BIOSVersion_0002", json!("1.7"), "String", "up to 16 characters", true),
        ]
    );
    assert_eq!(bench.line(&get(&["QuietBoot"])).await, "QuietBoot_0038 = true");
    assert_eq!(
        bench.outcome(&get(&["QuietBoot", "BootModeSelect"])).await.details(),
        "QuietBoot_0038       true  boolean; true, false; default true\n\
         BootModeSelect_0045  DUAL  enumeration; LEGACY, UEFI, DUAL; default DUAL\n"
    );
}

#[tokio::test]
async fn an_attribute_that_is_not_there_is_answered_with_the_nearest() {
    let error = Bench::supermicro().await.failure(&get(&["QuietBot", "Bananas"])).await;
    assert_eq!(error.kind(), Kind::Input);
    assert_eq!(
        error.to_string(),
        "this board's BIOS settings: 'QuietBot' is unknown: did you mean 'QuietBoot_0038'?; 'Bananas' is unknown"
    );
}

#[tokio::test]
async fn a_plan_tells_what_would_change_what_is_so_and_what_waits() {
    let bench = usual().await;
    bench.bmc.tamper(|state| drop(state.bios_pending.insert("BootModeSelect_0045".into(), json!("UEFI"))));
    let plan = plan(&bench).await;
    let names = |changes: &[bmc::BiosChange]| changes.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&plan.changes), ["QuietBoot_0038"]);
    assert_eq!(names(&plan.waiting), ["BootModeSelect_0045"]);
    assert_eq!(plan.same, ["OnboardLAN1OptionROM_0023"]);
    let outcome = bench.outcome(&PLAN).await;
    assert_eq!(outcome.summary(), "1 to change, 1 waiting for a restart, 1 as declared");
    assert_eq!(
        outcome.details(),
        "change  QuietBoot_0038       true -> false\nwaits   BootModeSelect_0045  DUAL -> UEFI\n"
    );
    assert_eq!(bench.writes(), [], "a plan writes nothing");
}

#[tokio::test]
async fn only_what_differs_is_sent_and_a_second_time_nothing() {
    let bench = usual().await;
    let applied = apply(&bench, &APPLY).await;
    assert_eq!((applied.sent.len(), applied.in_force, applied.restarted), (2, false, false));
    let writes = bench.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!((writes[0].method.as_str(), writes[0].path.as_str()), ("PATCH", "/redfish/v1/Systems/1/Bios/SD"));
    let body = &writes[0].body;
    assert_eq!(body["Attributes"], json!({"QuietBoot_0038": false, "BootModeSelect_0045": "UEFI"}));
    assert_eq!(body["@Redfish.SettingsApplyTime"]["ApplyTime"], "OnReset", "it says that it wants one");
    assert_eq!(bench.line(&APPLY).await, "nothing sent: 2 wait for a restart already");
    assert_eq!(bench.writes().len(), 1, "the second time sends nothing");
    assert_eq!(bench.bmc.state().boots.len(), 0, "nothing restarts unasked");
}

#[tokio::test]
async fn with_a_restart_the_settings_are_in_force_and_then_there_is_nothing_to_do() {
    let bench = usual().await;
    assert_eq!(bench.line(&RESTART).await, "2 settings changed and in force");
    let state = bench.bmc.state();
    assert_eq!((&state.bios["QuietBoot_0038"], &state.bios["BootModeSelect_0045"]), (&json!(false), &json!("UEFI")));
    assert_eq!(state.boots.len(), 1);
    bench.bmc.forget_requests();
    assert_eq!(bench.line(&RESTART).await, "nothing sent: 3 settings as declared already");
    assert_eq!(bench.writes(), []);
    assert_eq!(bench.bmc.state().boots.len(), 1, "nothing to restart for");
}

#[tokio::test]
async fn what_waits_already_is_brought_into_force_without_sending_it_again() {
    let bench = usual().await;
    bench.line(&APPLY).await;
    bench.bmc.forget_requests();
    let applied = apply(&bench, &RESTART).await;
    assert_eq!((applied.sent.len(), applied.waited.len(), applied.in_force), (0, 2, true));
    assert!(bench.writes().iter().all(|one| one.method == "POST"), "{:?}", bench.writes());
}

#[tokio::test]
async fn all_faults_of_the_declared_settings_are_told_at_once_and_nothing_is_sent() {
    let bench = Bench::supermicro().await.declare(&[
        ("QuietBot", BiosValue::Flag(true)),
        ("QuietBoot", text("Enabled")),
        ("BootModeSelect", text("Uefi")),
        ("WatchDogTimeout", BiosValue::Number(256)),
        ("SystemLabel", text("a label that is too long for it")),
        ("BIOSVersion", text("2.0")),
        ("OnboardLAN1OptionROM", text("EFI")),
    ]);
    for verb in [PLAN, APPLY, RESTART] {
        let error = bench.failure(&verb).await;
        assert_eq!(error.kind(), Kind::Input);
        for part in [
            "'QuietBot' is unknown: did you mean 'QuietBoot_0038'?",
            "'QuietBoot_0038' is true or false, and 'Enabled' is none",
            "'BootModeSelect_0045' cannot be 'Uefi': there are LEGACY, UEFI, DUAL",
            "'WatchDogTimeout_0040' cannot be 256: 1 to 255 is allowed",
            "'SystemLabel_00FF' has up to 20 characters",
            "'BIOSVersion_0002' is read-only",
        ] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }
    assert_eq!(bench.writes(), []);
}

#[tokio::test]
async fn a_name_without_suffix_that_fits_two_attributes_is_refused_with_both() {
    let mut model = Model::supermicro_x11();
    let mut twin = model.attributes[2].clone();
    twin.name = "QuietBoot_0099".into();
    model.attributes.push(twin);
    let bench = Bench::new(model).await.declare(&[("QuietBoot", BiosValue::Flag(false))]);
    let error = bench.failure(&APPLY).await.to_string();
    assert!(error.contains("'QuietBoot' could be any of QuietBoot_0038, QuietBoot_0099"), "{error}");
    let bench = bench.declare(&[("QuietBoot_0099", BiosValue::Flag(false))]);
    assert_eq!(apply(&bench, &APPLY).await.sent[0].name, "QuietBoot_0099");
}

#[tokio::test]
async fn two_names_of_one_attribute_may_not_ask_for_two_values() {
    let bench = Bench::supermicro()
        .await
        .declare(&[("QuietBoot", BiosValue::Flag(false)), ("QuietBoot_0038", BiosValue::Flag(true))]);
    let error = bench.failure(&PLAN).await.to_string();
    assert!(error.contains("are both 'QuietBoot_0038'"), "{error}");
}

#[tokio::test]
async fn a_silent_revert_names_every_setting_with_what_was_asked_and_what_is_there() {
    let bench = usual().await;
    bench.bmc.fault(Fault::BiosSilentRevert);
    let error = bench.failure(&RESTART).await;
    assert_eq!(error.kind(), Kind::NotApplied);
    assert_eq!(
        error.to_string(),
        "asked for 2 BIOS settings = BootModeSelect_0045=UEFI, QuietBoot_0038=false, and the BMC accepted it, but there is \
         BootModeSelect_0045=DUAL, QuietBoot_0038=true"
    );
}

#[tokio::test]
async fn a_write_that_leaves_nothing_pending_is_no_success() {
    let bench = usual().await.declare(&[("QuietBoot", BiosValue::Flag(false))]);
    bench.bmc.fault(Fault::BiosWriteIgnored);
    let error = bench.failure(&RESTART).await;
    assert_eq!(error.kind(), Kind::NotApplied);
    assert!(
        error.to_string().contains("QuietBoot_0038 = false, and the BMC accepted it, but there is true"),
        "{error}"
    );
    assert_eq!(bench.bmc.state().boots.len(), 0, "there is nothing to restart for");
}

#[tokio::test]
async fn post_is_waited_through() {
    let mut model = Model::supermicro_x11();
    model.post = std::time::Duration::from_millis(150);
    let bench = Bench::new(model).await.declare(&[("QuietBoot", BiosValue::Flag(false))]);
    bench.bmc.fault(Fault::InPost { refuses: Refuses::Everything, lasts: Lasts::Post });
    assert_eq!(bench.line(&RESTART).await, "1 setting changed and in force");
}

#[tokio::test]
async fn what_somebody_else_has_pending_is_shown_and_overruled_where_it_is_declared_otherwise() {
    let bench = usual().await;
    assert_eq!(bench.line(&DIFF).await, "nothing waits for a restart");
    bench.bmc.tamper(|state| drop(state.bios_pending.insert("OnboardLAN1OptionROM_0023".into(), json!("EFI"))));
    let outcome = bench.outcome(&DIFF).await;
    assert_eq!(outcome.summary(), "1 waits for a restart");
    assert_eq!(outcome.details(), "waits  OnboardLAN1OptionROM_0023  PXE -> EFI\n");
    let plan = plan(&bench).await;
    assert!(plan.changes.iter().any(|one| one.name == "OnboardLAN1OptionROM_0023"), "it would not stay as declared");
    bench.line(&RESTART).await;
    assert_eq!(bench.bmc.state().bios["OnboardLAN1OptionROM_0023"], "PXE");
}

#[tokio::test]
async fn a_board_by_the_book_that_shows_all_settings_as_pending_has_few_that_wait() {
    let bench = Bench::generic().await;
    assert_eq!(bench.line(&DIFF).await, "nothing waits for a restart");
    let name = attributes(&bench, &get(&[]))
        .await
        .attributes
        .iter()
        .find(|one| one.allowed.contains("true"))
        .map(|one| one.name.clone());
    let (name, now) = match name {
        Some(name) => (name.clone(), bench.bmc.state().bios[&name] == true),
        None => panic!("no check box"),
    };
    let bench = bench.declare(&[(&name, BiosValue::Flag(!now))]);
    assert_eq!(bench.line(&APPLY).await, "1 setting sent; 1 waits for a restart");
    assert_eq!(bench.line(&DIFF).await, "1 waits for a restart");
}

#[tokio::test]
async fn tasks_and_etags_and_another_place_of_the_settings_are_no_obstacle() {
    for fault in [Fault::TasksForWrites, Fault::WeakEtags, Fault::EtagRequired, Fault::SettingsAtSd] {
        let mut bench = Bench::generic().await;
        bench.machine.patience.settle = patience().post;
        bench.bmc.fault(fault.clone());
        let all = attributes(&bench, &get(&[])).await;
        let flag = all.attributes.iter().find(|one| one.kind.as_deref() == Some("Boolean")).unwrap();
        let bench = bench.declare(&[(&flag.name, BiosValue::Flag(flag.value != true))]);
        assert_eq!(bench.line(&RESTART).await, "1 setting changed and in force", "{fault:?}");
    }
}

#[tokio::test]
async fn a_board_without_bios_settings_says_what_could_be_done() {
    for fault in [Fault::Bios501, Fault::BiosAbsent] {
        let bench = usual().await;
        bench.bmc.fault(fault);
        for verb in [get(&[]), PLAN, RESTART, DIFF] {
            let error = bench.failure(&verb).await;
            assert_eq!(error.kind(), Kind::Refused);
            assert!(error.to_string().contains("SUM may be able to: give the profile its archive ([sum])"), "{error}");
        }
        assert_eq!(bench.writes(), []);
    }
}

#[tokio::test]
async fn a_missing_licence_is_named_and_nothing_is_changed() {
    let bench = usual().await;
    bench.bmc.fault(Fault::Licence);
    let error = bench.failure(&RESTART).await;
    assert!(error.to_string().starts_with("the board has no licence to change the BIOS settings"), "{error}");
    assert_eq!((bench.bmc.state().boots.len(), bench.bmc.state().bios_pending.len()), (0, 0));
}

#[tokio::test]
async fn without_declared_settings_there_is_nothing_to_compare_with() {
    let bench = Bench::generic().await;
    for verb in [PLAN, APPLY] {
        let error = bench.failure(&verb).await;
        assert_eq!(error.kind(), Kind::Input);
        assert_eq!(error.to_string(), "no BIOS settings are declared for this node");
    }
}

#[tokio::test]
async fn without_a_registry_the_present_value_says_the_type() {
    let mut model = Model::supermicro_x11();
    model.registry = String::new();
    let bench = Bench::new(model).await.declare(&[("QuietBoot", text("Enabled")), ("BootModeSelect", text("UEFI"))]);
    let error = bench.failure(&PLAN).await.to_string();
    assert!(error.ends_with("'QuietBoot_0038' is true or false, and 'Enabled' is none"), "{error}");
    let bench = bench.declare(&[("BootModeSelect", text("UEFI"))]);
    assert_eq!(bench.line(&RESTART).await, "1 setting changed and in force");
}

#[tokio::test]
async fn hostile_texts_reach_no_terminal() {
    let bench = usual().await;
    bench.bmc.fault(Fault::HostileText);
    let outcome = bench.outcome(&get(&[])).await;
    let text = outcome.summary() + &outcome.details() + &serde_json::to_string(&outcome).unwrap();
    assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()));
    assert!(!text.contains("\\u001b") && !text.contains('\u{202e}'));
}
