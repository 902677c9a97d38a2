//! Power that is slow, ignored, or shows in nothing.

use std::time::{Duration, Instant};

use bmc::{Manner, Outcome, PowerAction, PowerChange, Step, Verb};
use redfish_simulator::{Cut, Fault, Model, Power};

use crate::common::Bench;

fn power(action: PowerAction, manner: Manner) -> Verb {
    Verb::Power { action, manner }
}

async fn change(bench: &Bench, verb: &Verb) -> PowerChange {
    match bench.run(verb).await.unwrap() {
        Outcome::Power(change) => change,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cycle_is_proven_by_off_and_on() {
    let bench = Bench::generic().await;
    let verb = power(PowerAction::Cycle, Manner::Forced);
    let done = change(&bench, &verb).await;
    assert_eq!((done.sent, done.proven), (vec!["ForceOff".to_owned(), "On".to_owned()], true));
    assert_eq!(bench.state().boots.len(), 1);
    assert_eq!(bench.line(&verb).await, "on -> on (ForceOff, On)");
}

#[tokio::test]
async fn slow_power_is_waited_for() {
    let mut bench = Bench::new(Model { power_delay: Duration::from_millis(120), ..Model::generic() }).await;
    bench.machine.patience.settle = Duration::from_secs(5);
    let begun = Instant::now();
    assert_eq!(bench.line(&power(PowerAction::Cycle, Manner::Forced)).await, "on -> on (ForceOff, On)");
    assert!(begun.elapsed() >= Duration::from_millis(240));
    assert_eq!(bench.state().power, Power::On);
}

#[tokio::test]
async fn a_machine_that_is_on_its_way_is_not_asked_again() {
    let mut bench = Bench::new(Model { power_delay: Duration::from_millis(150), ..Model::generic() }).await;
    bench.machine.patience.settle = Duration::from_millis(10);
    bench.run(&power(PowerAction::Off, Manner::Forced)).await.unwrap_err();
    assert_eq!(bench.state().power, Power::PoweringOff);
    bench.machine.patience.settle = Duration::from_secs(5);
    // Off must come first: a BMC refuses to switch on what is being switched off.
    assert_eq!(bench.line(&power(PowerAction::On, Manner::Graceful)).await, "poweringoff -> on (On)");
    assert_eq!(bench.state().resets, ["ForceOff", "On"]);
}

#[tokio::test]
async fn a_graceful_request_that_is_ignored_is_an_error_unless_force_was_asked_for() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::GracefulIgnored);
    assert_eq!(
        bench.failure(&power(PowerAction::Off, Manner::Graceful)).await,
        "asked for PowerState = Off, and the BMC accepted it, but there is On\n\
         help: an operating system may ignore a graceful request: --force cuts the power where it does not end in time; where that was ignored too, look at the console, or reset the BMC"
    );
    assert_eq!(bench.state().power, Power::On);
    assert_eq!(
        bench.line(&power(PowerAction::Off, Manner::ThenForced)).await,
        "on -> off (GracefulShutdown, ForceOff)"
    );
    assert_eq!(bench.state().power, Power::Off);
}

#[tokio::test]
async fn a_reset_that_is_ignored_is_an_error() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::PowerIgnored);
    let text = bench.failure(&power(PowerAction::Cycle, Manner::Forced)).await;
    assert!(text.starts_with("asked for PowerState = Off, and the BMC accepted it, but there is On; the machine was being switched off and on, and is off or may go off\n"), "{text}");
    assert_eq!(bench.state().resets, ["ForceOff"], "one request, and none to switch on what is on");
    bench.bmc.heal();
    bench.run(&power(PowerAction::Off, Manner::Forced)).await.unwrap();
    bench.bmc.fault(Fault::PowerIgnored);
    let text = bench.failure(&power(PowerAction::On, Manner::Forced)).await;
    assert!(text.starts_with("asked for PowerState = On, and the BMC accepted it, but there is Off\n"), "{text}");
}

#[tokio::test]
async fn a_restart_that_shows_in_nothing_is_not_called_proven() {
    // No BootProgress, no LastResetTime, and PowerState stays On.
    let bench = Bench::supermicro().await;
    let done = change(&bench, &power(PowerAction::Reset, Manner::Forced)).await;
    assert_eq!((done.proven, done.sent.as_slice()), (false, ["ForceRestart".to_owned()].as_slice()));
    assert_eq!(
        bench.line(&power(PowerAction::Reset, Manner::Graceful)).await,
        "on, accepted; this BMC shows nothing that proves it (GracefulRestart)"
    );
    assert_eq!(bench.state().boots.len(), 2);
}

#[tokio::test]
async fn a_restart_is_proven_by_the_progress_of_the_boot() {
    let bench = Bench::new(Model { post: Duration::from_millis(40), ..Model::generic() }).await;
    assert_eq!(bench.line(&power(PowerAction::Reset, Manner::Graceful)).await, "restarted (GracefulRestart)");
    assert_eq!(bench.state().boots.len(), 1);
}

#[tokio::test]
async fn a_forced_restart_without_signs_goes_by_off_and_on() {
    let bench = Bench::supermicro().await;
    bench.bmc.fault(Fault::GracefulIgnored);
    let done = change(&bench, &power(PowerAction::Reset, Manner::ThenForced)).await;
    assert_eq!(done.sent, ["GracefulShutdown", "ForceOff", "On"]);
    assert!(done.proven);
    assert_eq!(bench.state().boots.len(), 1);
}

#[tokio::test]
async fn a_machine_that_is_off_is_not_restarted() {
    let bench = Bench::generic().await;
    bench.run(&power(PowerAction::Off, Manner::Forced)).await.unwrap();
    assert_eq!(
        bench.unchanged(&power(PowerAction::Reset, Manner::Forced)).await,
        "the machine is off: there is nothing to restart\nhelp: power on"
    );
}

#[tokio::test]
async fn a_reset_type_that_the_bmc_does_not_have_is_not_sent() {
    let bench = Bench::new(Model { reset_types: vec!["On".into(), "ForceOff".into()], ..Model::generic() }).await;
    assert_eq!(
        bench.unchanged(&power(PowerAction::Off, Manner::Graceful)).await,
        "this BMC cannot shut the system down gracefully: its reset types are On, ForceOff"
    );
    assert!(bench.writes().is_empty());
    assert_eq!(bench.line(&power(PowerAction::Off, Manner::ThenForced)).await, "on -> off (ForceOff)");
}

#[tokio::test]
async fn a_reset_whose_answer_is_cut_is_sent_once_and_judged_by_the_power_state() {
    for cut in [Cut::BeforeHeaders, Cut::InBody] {
        let bench = Bench::generic().await;
        bench.bmc.fault_at("POST", "Reset", Fault::Cut(cut));
        assert_eq!(bench.line(&power(PowerAction::Off, Manner::Forced)).await, "on -> off (ForceOff)");
        assert_eq!(bench.state().resets, ["ForceOff"]);
        assert_eq!(bench.writes().len(), 1);
    }
}

#[tokio::test]
async fn a_bmc_that_fails_for_a_moment_after_off_is_waited_for_and_the_machine_switched_on() {
    let mut bench = Bench::new(Model { power_delay: Duration::from_millis(50), ..Model::generic() }).await;
    bench.machine.patience.settle = Duration::from_secs(5);
    let bench = &bench;
    let failing = std::sync::atomic::AtomicBool::new(false);
    let verb = verb_cycle();
    let tell = |step: Step<'_>| {
        if matches!(step, Step::Reset(kind) if kind == "ForceOff") {
            bench.bmc.fault_at("GET", "Systems", Fault::GarbageJson);
            failing.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    };
    let run = bench.machine.run(&verb, &tell);
    let heal = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        bench.bmc.heal();
    };
    let (result, ()) = tokio::join!(run, heal);
    assert_eq!(result.unwrap().summary(), "on -> on (ForceOff, On)");
    assert!(failing.into_inner());
    assert_eq!(bench.state().power, Power::On);
}

fn verb_cycle() -> Verb {
    power(PowerAction::Cycle, Manner::Forced)
}

#[tokio::test]
async fn a_cycle_that_could_not_switch_on_again_is_refused_while_the_machine_is_on() {
    let types = vec!["ForceOff".into(), "ForceRestart".into()];
    let bench = Bench::new(Model { reset_types: types, ..Model::generic() }).await;
    let text = bench.unchanged(&verb_cycle()).await;
    assert!(text.starts_with("this BMC cannot power on: its reset types are"), "{text}");
    assert_eq!(bench.state().power, Power::On);
}

#[tokio::test]
async fn whoever_is_left_with_a_machine_that_goes_off_is_told_so() {
    let bench = Bench::new(Model { power_delay: Duration::from_millis(400), ..Model::generic() }).await;
    let text = bench.failure(&verb_cycle()).await;
    assert!(text.contains("is off or may go off\nhelp: power on"), "{text}");
}

#[tokio::test]
async fn a_reset_that_was_refused_has_not_touched_the_power() {
    let bench = Bench::new(Model { reset_types: vec!["ForceOff".into()], ..Model::generic() }).await;
    bench.bmc.fault_at("POST", "Reset", Fault::PasswordChangeRequired);
    let touched = std::sync::Mutex::new(Vec::new());
    let verb = power(PowerAction::Off, Manner::Forced);
    let tell = |step: Step<'_>| {
        if let Step::Reset(kind) = step {
            touched.lock().unwrap().push(kind.to_owned());
        }
    };
    bench.machine.run(&verb, &tell).await.unwrap_err();
    assert!(touched.lock().unwrap().is_empty());
    bench.bmc.heal();
    bench.machine.run(&verb, &tell).await.unwrap();
    assert_eq!(*touched.lock().unwrap(), ["ForceOff"]);
}

#[tokio::test]
async fn a_verb_whose_time_is_over_leaves_no_session() {
    let mut bench = Bench::new(Model { power_delay: Duration::from_secs(3), ..Model::generic() }).await;
    bench.machine.patience.settle = Duration::from_secs(5);
    bench.machine.patience.whole = Some(Duration::from_millis(300));
    let text = bench.failure(&verb_cycle()).await;
    assert!(text.starts_with("BMC broke off its answer to power cycle: it was not over in"), "{text}");
    assert!(bench.bmc.state().sessions.is_empty());
}
