//! Killed, at each of vmrun's commands: the next deployment completes what was begun, or takes it back, and the state is as it was.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::fake_build::Behaviour::{Healthy, Silent};
use crate::lab::Lab;

/// Where provbuild is killed: at the Nth such command, before it is carried out or after.
const MOMENTS: [&str; 8] = [
    "start before",
    "start after",
    "list before",
    "list before 2",
    "getGuestIPAddress before",
    "getGuestIPAddress after 2",
    "disconnectNamedDevice before",
    "disconnectNamedDevice after",
];

/// Arms the fault, and deploys. Whether it was killed.
fn cut(lab: &Lab, moment: &str) -> bool {
    lab.bench.fault("kills-caller", moment).unwrap();
    let said = lab.deploy(&[]);
    lab.bench.heal(None).unwrap();
    assert!(said.code.is_none() || said.code == Some(0), "{moment}: {said:?}");
    said.code.is_none()
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_first_deployment_that_was_cut_off_is_completed() {
    let mut cuts = 0;
    for moment in MOMENTS {
        let lab = Lab::new();
        lab.build(1, Healthy);
        cuts += u32::from(cut(&lab, moment));
        lab.deploy(&[]).is(0, &[]);
        assert!(lab.is_running() && lab.current() == Some(1), "{moment}");
        lab.the_medium_is_wiped();
        let boots = lab.guest.boots();
        assert!(boots[0].seed.is_some() && !boots[0].state, "{moment}: {boots:?}");
        lab.no_secret_is_left();
    }
    assert!(cuts >= 5, "only {cuts} were cut off at all");
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_an_upgrade_that_was_cut_off_is_completed() {
    let mut cuts = 0;
    for moment in MOMENTS.into_iter().chain(["stop before", "stop after"]) {
        let lab = Lab::new();
        lab.build(1, Healthy);
        lab.deploy(&[]).is(0, &[]);
        let state = lab.state_disk();
        let image = lab.build(2, Healthy);
        cuts += u32::from(cut(&lab, moment));
        lab.state_is_intact(&state);
        lab.deploy(&[]).is(0, &[]);
        assert!(lab.is_running() && lab.current() == Some(2), "{moment}");
        assert_eq!(lab.guest.boots().pop().unwrap().image, image.to_string(), "{moment}");
        lab.state_is_intact(&state);
        lab.no_secret_is_left();
    }
    assert!(cuts >= 6, "only {cuts} were cut off at all");
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_way_back_that_was_cut_off_is_completed() {
    // The second start, stop and configuration are those of the way back.
    for moment in ["start before 2", "start after 2", "stop before 2", "stop after 2"] {
        let lab = Lab::new();
        lab.build(1, Healthy);
        lab.deploy(&[]).is(0, &[]);
        let state = lab.state_disk();
        lab.build(2, Silent);
        lab.bench.fault("kills-caller", moment).unwrap();
        let said = lab.deploy(&[]);
        assert!(matches!(said.code, None | Some(16)), "{moment}: {said:?}");
        lab.bench.heal(None).unwrap();
        lab.deploy(&["--rollback"]).is(0, &["generation 1 is healthy"]);
        assert!(lab.is_running() && lab.current() == Some(1), "{moment}");
        lab.state_is_intact(&state);
        lab.no_secret_is_left();
    }
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_two_at_once_do_not_meet() {
    let lab = Lab::new();
    lab.build(1, Healthy);
    lab.bench.fault("hang", "start 4").unwrap();
    let mut first = lab.command("deploy", &[]).spawn().unwrap();
    let begin = Instant::now();
    while !lab.at("deployment.json").exists() {
        assert!(begin.elapsed() < Duration::from_secs(30), "the first one does nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = lab.deploy(&[]);
    assert!(second.code.is_some_and(|code| code != 0), "{second:?}");
    assert!(first.wait().unwrap().success());
    assert_eq!(lab.count("start"), 1);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_killed_while_it_copies() {
    // At moments that nobody has chosen: the copy, the state disk, the configuration.
    for milliseconds in [20, 60, 120, 250, 500, 900] {
        let lab = Lab::new();
        lab.build(1, Healthy);
        let mut child = lab.command("deploy", &[]).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
        // It may be through already.
        let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
        child.wait().unwrap();
        lab.deploy(&[]).is(0, &[]);
        assert!(lab.is_running() && lab.current() == Some(1), "{milliseconds} ms");
        lab.no_secret_is_left();
    }
}
