//! Sessions and basic authentication; a wrong password is tried once.

use bmc::{BootMode, BootTarget, Credentials, Kind, Verb};
use redfish_simulator::{Authentication, Fault};

use crate::common::Bench;

const STATUS: Verb = Verb::Status {};
const ONCE: Verb = Verb::BootOnce { target: BootTarget::Pxe, mode: BootMode::Uefi };

fn wrong(bench: &mut Bench) {
    let user = bench.bmc.credentials().0;
    bench.machine.credentials = Credentials::parse(&format!("{user}:wrong-pw")).unwrap();
}

/// How often somebody tried to log in with a password.
fn tries(bench: &Bench) -> usize {
    let with_password = |one: &redfish_simulator::Recorded| {
        one.authentication == Authentication::Basic || one.method == "POST" && one.path.ends_with("/Sessions")
    };
    bench.bmc.requests().iter().filter(|one| with_password(one)).count()
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    for fault in [None, Some(Fault::NoSessions(404)), Some(Fault::SessionLimit)] {
        let mut bench = Bench::generic().await;
        wrong(&mut bench);
        bench.bmc.fault(fault.clone().unwrap_or(Fault::MediaIgnored));
        let text = bench.unchanged(&ONCE).await;
        assert!(text.starts_with("BMC refuses the user name or the password: "), "{text}");
        assert!(
            text.ends_with(
                "\nhelp: check what the node's `credentials` name; some BMCs lock an account after a few tries"
            ),
            "{text}"
        );
        let password = tries(&bench);
        assert_eq!(password, 1 + usize::from(fault == Some(Fault::NoSessions(404))), "{fault:?}");
        assert_eq!(bench.run(&ONCE).await.unwrap_err().kind(), Kind::Trust);
    }
}

#[tokio::test]
async fn without_sessions_the_password_goes_with_each_request() {
    for fault in [Fault::NoSessions(404), Fault::NoSessions(501), Fault::NoSessions(405), Fault::SessionLimit] {
        let bench = Bench::generic().await;
        bench.bmc.fault(fault);
        assert!(bench.run(&STATUS).await.unwrap().details().contains("login        basic\n"));
        assert_eq!(bench.line(&ONCE).await, "Pxe once (UEFI)");
    }
}

#[tokio::test]
async fn a_bmc_with_sessions_only_works() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::BasicOff);
    assert_eq!(bench.line(&ONCE).await, "Pxe once (UEFI)");
    assert!(bench.bmc.requests().iter().all(|one| one.authentication != Authentication::Basic));
}

#[tokio::test]
async fn a_session_that_ends_is_begun_anew_and_never_becomes_basic() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::SessionsExpire);
    assert_eq!(bench.line(&ONCE).await, "Pxe once (UEFI)");
    assert!(bench.bmc.requests().iter().all(|one| one.authentication != Authentication::Basic));
}

#[tokio::test]
async fn a_password_that_must_be_changed_is_named_as_that() {
    let expected = "BMC wants the account's password changed before anything else\n\
        help: change it in the BMC's own web page (or PATCH Password of /redfish/v1/AccountService/Accounts/1), \
        then write the new one where the node's `credentials` point";
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::PasswordChangeRequired);
    assert_eq!(bench.unchanged(&ONCE).await, expected);
    assert!(bench.writes().is_empty());
    assert_eq!(bench.bmc.state().sessions, [], "the session is ended");
    bench.bmc.fault(Fault::NoSessions(404));
    assert_eq!(bench.unchanged(&ONCE).await, expected);
    assert_eq!(bench.run(&STATUS).await.unwrap_err().kind(), Kind::Trust);
}
