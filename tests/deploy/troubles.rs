//! Broken builds and a Workstation that does not do what it is asked: back to the generation before, with the state as it was.

use crate::fake_build::Behaviour::{self, Healthy};
use crate::lab::{Lab, said};

/// Generation 1 is healthy, the next build is not.
fn broken(lab: &Lab, behaviour: Behaviour) {
    lab.build(1, Healthy);
    lab.deploy(&[]).is(0, &[]);
    let state = lab.state_disk();
    let first = lab.guest.boots()[0].image.clone();
    lab.build(2, behaviour);
    lab.deploy(&[]).is(16, &["generation 1"]);
    assert!(lab.is_running() && lab.current() == Some(1), "{behaviour:?}");
    assert_eq!(lab.guest.boots().pop().unwrap().image, first, "{behaviour:?}");
    lab.state_is_intact(&state);
    lab.no_secret_is_left();
    // The next build finds its way.
    lab.build(3, Healthy);
    lab.deploy(&[]).is(0, &["is healthy"]);
    lab.state_is_intact(&state);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_an_unwell_build_is_taken_back() {
    broken(&Lab::new(), Behaviour::Unwell);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_silent_build_is_taken_back() {
    broken(&Lab::new(), Behaviour::Silent);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_build_without_tools_is_taken_back() {
    broken(&Lab::new(), Behaviour::NoTools);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_another_image_than_the_builds_is_taken_back() {
    broken(&Lab::new(), Behaviour::Impostor);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_broken_first_build_leaves_nothing_in_the_way() {
    let lab = Lab::new();
    lab.build(1, Behaviour::Silent);
    lab.deploy(&[]).is(16, &[]);
    assert_eq!(lab.current(), None);
    lab.build(2, Healthy);
    lab.deploy(&[]).is(0, &["is healthy"]);
    lab.no_secret_is_left();
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_guest_that_does_not_shut_down_is_switched_off() {
    let lab = Lab::new();
    lab.build(1, Healthy);
    lab.deploy(&[]).is(0, &[]);
    lab.bench.fault("soft-stop-ignored", "").unwrap();
    lab.build(2, Healthy);
    lab.deploy(&[]).is(0, &["generation 2 is healthy"]);
    let stops: Vec<String> = lab
        .bench
        .calls()
        .unwrap()
        .into_iter()
        .filter(|call| call.command() == "stop")
        .map(|call| call.arguments.last().unwrap().clone())
        .collect();
    assert_eq!(stops.last().unwrap(), "hard", "{stops:?}");
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_stop_that_is_done_and_denied_is_a_stop() {
    let lab = Lab::new();
    lab.build(1, Healthy);
    lab.deploy(&[]).is(0, &[]);
    lab.bench.fault("stop-done-but-fails", "1 Unknown error").unwrap();
    lab.build(2, Healthy);
    lab.deploy(&[]).is(0, &["generation 2 is healthy"]);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_machine_that_was_switched_off_is_started() {
    let lab = Lab::new();
    lab.build(1, Healthy);
    lab.deploy(&[]).is(0, &[]);
    let state = lab.state_disk();
    lab.bench.kill_all().unwrap();
    lab.deploy(&[]).is(0, &["generation 1 is healthy"]);
    assert_eq!(lab.guest.boots().len(), 2);
    lab.state_is_intact(&state);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_machine_that_does_not_start_is_told_with_vmruns_words() {
    let lab = Lab::new();
    lab.build(1, Healthy);
    lab.bench.fault("start-fails", "9 The operation was canceled").unwrap();
    let said = lab.deploy(&[]);
    assert!(matches!(said.code, Some(10 | 13 | 16)), "{said:?}");
    said.is(said.code.unwrap(), &["The operation was canceled"]);
    lab.bench.heal(None).unwrap();
    lab.deploy(&[]).is(0, &["is healthy"]);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_machine_that_goes_off_by_itself_is_noticed_before_the_timeout() {
    let lab = Lab::with("health-timeout = \"10min\"\n");
    lab.build(1, Healthy);
    lab.bench.fault("dies-after-start", "0").unwrap();
    let begin = std::time::Instant::now();
    let said = lab.deploy(&[]);
    assert!(said.code.is_some_and(|code| code != 0) && begin.elapsed().as_secs() < 120, "{said:?}");
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_lost_state_disk_is_not_replaced_by_an_empty_one() {
    let lab = Lab::new();
    lab.build(1, Healthy);
    lab.deploy(&[]).is(0, &[]);
    lab.run("destroy", &[]).is(0, &[]);
    std::fs::remove_file(lab.at("state.vmdk")).unwrap();
    lab.deploy(&[]).is(13, &["the state disk of lab is gone"]);
    assert!(!lab.at("state.vmdk").exists());
}

#[test]
fn where_vmrun_was_looked_for_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let base = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/debian.toml");
    let profile = format!(
        "imports = [{base:?}]\n[appliance]\nname = \"lab\"\n[outputs]\nformats = {{ replace = [\"vmx\"] }}\n\
         [deploy.workstation]\ndirectory = \"vms\"\n"
    );
    std::fs::write(directory.path().join("profile.toml"), profile).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_provbuild"));
    command.args(["generations", "profile.toml"]).current_dir(directory.path());
    command.env_clear().env("HOME", directory.path()).env("PATH", "/nowhere/bin");
    said(&mut command).is(10, &["vmrun", "/nowhere/bin"]);
}
