//! ETags, busy BMCs, cut and slow connections, tasks, and bodies that are not what they should be.

use std::time::{Duration, Instant};

use bmc::{BootMode, BootTarget, Kind, Manner, PowerAction, Verb};
use redfish_simulator::{Cut, Fault, Lasts, Model, Refuses};

use crate::common::Bench;

const STATUS: Verb = Verb::Status {};
const ONCE: Verb = Verb::BootOnce { target: BootTarget::Pxe, mode: BootMode::Uefi };
const OFF: Verb = Verb::Power { action: PowerAction::Off, manner: Manner::Forced };

#[tokio::test]
async fn every_way_of_getting_etags_wrong_is_coped_with() {
    for (fault, tries) in [
        (Fault::WeakEtags, 2),
        (Fault::StrongEtagsWantWeak, 2),
        (Fault::EtagRequired, 1),
        (Fault::PreconditionFailed, 3),
    ] {
        let bench = Bench::generic().await;
        bench.bmc.fault(fault.clone());
        assert_eq!(bench.line(&ONCE).await, "Pxe once (UEFI)", "{fault:?}");
        assert_eq!(bench.writes().len(), tries, "{fault:?}");
    }
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::PreconditionFailed);
    bench.run(&ONCE).await.unwrap();
    assert_eq!(bench.writes()[2].if_match.as_deref(), Some("*"));
}

#[tokio::test]
async fn an_action_carries_no_etag() {
    let bench = Bench::generic().await;
    bench.run(&OFF).await.unwrap();
    assert!(bench.writes().iter().all(|one| one.if_match.is_none()));
}

#[tokio::test]
async fn a_bmc_that_is_busy_is_waited_for() {
    for refuses in [Refuses::Writes, Refuses::Everything] {
        let mut bench = Bench::generic().await;
        bench.machine.patience.busy = Duration::from_secs(5);
        bench.bmc.fault(Fault::InPost { refuses, lasts: Lasts::Requests(3) });
        assert_eq!(bench.line(&ONCE).await, "Pxe once (UEFI)");
        assert_eq!(bench.line(&OFF).await, "on -> off (ForceOff)");
        assert_eq!(bench.state().resets, ["ForceOff"]);
    }
}

#[tokio::test]
async fn a_bmc_that_stays_busy_is_an_error_in_time() {
    let mut bench = Bench::generic().await;
    bench.machine.patience.busy = Duration::from_millis(60);
    bench.bmc.fault(Fault::InPost { refuses: Refuses::Writes, lasts: Lasts::For(Duration::from_secs(60)) });
    let begun = Instant::now();
    assert_eq!(
        bench.unchanged(&ONCE).await,
        "BMC was busy for 0 seconds: The service is temporarily unavailable.  Retry in 1 seconds.\n\
         help: look at the machine's console: it may wait in POST; then try again"
            .replace(".  Retry", ". Retry")
    );
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(bench.run(&ONCE).await.unwrap_err().kind(), Kind::Unreachable);
}

#[tokio::test]
async fn a_reading_that_is_cut_is_tried_again_and_then_an_error() {
    for cut in [Cut::BeforeHeaders, Cut::InBody] {
        let bench = Bench::generic().await;
        bench.bmc.fault_at("GET", "Systems/", Fault::Cut(cut));
        let text = bench.unchanged(&STATUS).await;
        assert!(text.starts_with("BMC broke off its answer to GET /redfish/v1/Systems/437XR1138R2: "), "{text}");
        assert!(text.ends_with("\nhelp: nothing was changed; try again"), "{text}");
        let tries = bench.bmc.requests().iter().filter(|one| one.path.ends_with("437XR1138R2")).count();
        assert_eq!(tries, 3);
    }
}

#[tokio::test]
async fn a_patch_that_is_cut_is_sent_again() {
    let bench = Bench::generic().await;
    bench.bmc.fault_at("PATCH", "", Fault::Cut(Cut::BeforeHeaders));
    let text = bench.failure(&ONCE).await;
    assert!(text.starts_with("BMC broke off its answer to PATCH /redfish/v1/Systems/437XR1138R2: "), "{text}");
    assert_eq!(bench.writes().len(), 3);
    // It was done nevertheless, and the next one finds it so.
    bench.bmc.heal();
    assert_eq!(bench.line(&ONCE).await, "Pxe once (UEFI); it was so already, nothing was sent");
}

#[tokio::test]
async fn a_slow_answer_or_body_ends_in_time() {
    for fault in [Fault::Slow(Duration::from_secs(30)), Fault::SlowBody(Duration::from_millis(100))] {
        let mut bench = Bench::generic().await;
        bench.machine.patience.request = Duration::from_millis(150);
        bench.bmc.fault_at("GET", "Systems/", fault);
        let begun = Instant::now();
        assert_eq!(
            bench.unchanged(&STATUS).await,
            "BMC broke off its answer to GET /redfish/v1/Systems/437XR1138R2: no answer in time\n\
             help: nothing was changed; try again"
        );
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn a_bmc_that_is_not_there_is_unreachable() {
    let mut bench = Bench::generic().await;
    bench.bmc.stop();
    let error = bench.run(&STATUS).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(
        bench.failure(&STATUS).await,
        "BMC cannot be reached: Connection refused (os error 111)\n\
         help: is its address right, is it powered, is there a way to its network from here?"
    );
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::RedirectsElsewhere);
    assert_eq!(
        bench.unchanged(&STATUS).await,
        "BMC gave an answer to GET /redfish/v1/ that makes no sense: \
         it redirects to 'https://192.0.2.1/redfish/v1', which is not this BMC"
    );
    bench.bmc.heal();
    bench.bmc.fault_at("PATCH", "", Fault::RedirectsElsewhere);
    assert!(bench.unchanged(&ONCE).await.contains("which is not this BMC"));
}

#[tokio::test]
async fn garbage_and_endless_bodies_are_errors() {
    let bench = Bench::generic().await;
    bench.bmc.fault_at("GET", "Systems/", Fault::GarbageJson);
    let text = bench.unchanged(&ONCE).await;
    assert!(
        text.starts_with("BMC gave an answer to GET /redfish/v1/Systems/437XR1138R2 that makes no sense: not JSON: "),
        "{text}"
    );
    bench.bmc.heal();
    bench.bmc.fault_at("GET", "Systems/", Fault::HugeBody(17 << 20));
    assert_eq!(
        bench.unchanged(&ONCE).await,
        "BMC gave an answer to GET /redfish/v1/Systems/437XR1138R2 that makes no sense: more than 16 MiB"
    );
    assert!(bench.writes().is_empty());
}

#[tokio::test]
async fn a_write_that_becomes_a_task_is_followed_to_its_end() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::TasksForWrites);
    assert_eq!(bench.line(&ONCE).await, "Pxe once (UEFI)");
    assert_eq!(bench.line(&OFF).await, "on -> off (ForceOff)");
    assert_eq!(bench.state().resets, ["ForceOff"]);
}

#[tokio::test]
async fn a_task_that_fails_is_the_writes_failure() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::TasksFail);
    let text = bench.unchanged(&ONCE).await;
    assert!(
        text.starts_with("the BMC refused to set the one-time boot (status 500): A general error has occurred."),
        "{text}"
    );
    assert_eq!(bench.run(&OFF).await.unwrap_err().kind(), Kind::Refused);
}

#[tokio::test]
async fn a_task_that_does_not_end_is_an_error_in_time() {
    let mut bench = Bench::new(Model { task_time: Duration::from_secs(60), ..Model::generic() }).await;
    bench.machine.patience.busy = Duration::from_millis(40);
    bench.bmc.fault(Fault::TasksForWrites);
    assert_eq!(
        bench.failure(&ONCE).await,
        "BMC was busy for 0 seconds: its task does not come to an end\n\
         help: look at the machine's console: it may wait in POST; then try again"
    );
}

#[tokio::test]
async fn hostile_texts_move_no_cursor() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::HostileText);
    for verb in [STATUS, ONCE, Verb::BootOrderGet {}, Verb::BootOrderSet { order: vec!["pxe".into()] }, OFF] {
        let outcome = bench.run(&verb).await.unwrap();
        let (line, lines) = (outcome.summary(), outcome.details());
        assert!(!line.chars().any(char::is_control) && line.chars().count() < 2000, "{line:?}");
        assert!(!lines.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{lines:?}");
    }
    let text = bench.failure(&Verb::Raw { path: "/redfish/v1/Nothing".into() }).await;
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}
