//! The good way: a machine, another build in it, back again, gone.

use std::fs;

use crate::fake_build::Behaviour::Healthy;
use crate::lab::{Lab, PASSWORD};

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_the_first_deployment_makes_the_machine() {
    let lab = Lab::new();
    let image = lab.build(1, Healthy);
    let said = lab.deploy(&[]);
    said.is(0, &[&format!("https://{}/", lab.guest.address), "generation 1 is healthy"]);
    assert!(lab.is_running() && lab.current() == Some(1));

    let boots = lab.guest.boots();
    assert!(boots.len() == 1 && boots[0].image == image.to_string() && !boots[0].state, "{boots:?}");
    let seed = boots[0].seed.as_ref().expect("it boots with a seed medium");
    assert_eq!((&seed["state"], &seed["generation"]), (&"new".into(), &1.into()));
    assert_eq!(seed["secrets"]["bmc/node1"], PASSWORD);

    // The medium is ejected, wiped and removed; the secret is nowhere else.
    assert!(lab.commands().contains(&"disconnectNamedDevice".to_owned()), "{:?}", lab.commands());
    lab.the_medium_is_wiped();
    lab.no_secret_is_left();
    assert!(!said.stdout.contains(PASSWORD) && !said.stderr.contains(PASSWORD));
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_the_same_build_twice_changes_nothing() {
    let lab = Lab::new();
    lab.build(1, Healthy);
    lab.deploy(&[]).is(0, &[]);
    let (files, calls) = (lab.files(), lab.commands().len());
    lab.deploy(&[]).is(0, &["nothing changed"]);
    assert_eq!(lab.files(), files);
    for command in &lab.commands()[calls..] {
        let asks = ["list", "getGuestIPAddress", "checkToolsState", "readVariable"];
        assert!(asks.contains(&command.as_str()), "{command} changes something");
    }
    assert_eq!(lab.guest.boots().len(), 1);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_plan_touches_nothing() {
    let lab = Lab::new();
    lab.build(1, Healthy);
    lab.deploy(&["--plan"]).is(0, &["copy the build's system disk", "make an empty state disk", "start the machine"]);
    assert!(lab.files().is_empty() && lab.count("start") == 0);
    lab.deploy(&[]).is(0, &[]);
    let files = lab.files();
    lab.build(2, Healthy);
    lab.deploy(&["--plan"]).is(0, &["generation 2"]);
    lab.deploy(&["--rollback", "--plan"]).is(3, &["there is no healthy generation before 1"]);
    lab.run("destroy", &["--with-state", "--plan"]).is(0, &["remove the state disk"]);
    assert_eq!(lab.files(), files);
    assert!(lab.is_running());
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_a_new_build_swaps_the_system_disk_and_keeps_the_state() {
    let lab = Lab::new();
    lab.build(1, Healthy);
    lab.deploy(&[]).is(0, &[]);
    let state = lab.state_disk();
    let image = lab.build(2, Healthy);
    lab.deploy(&[]).is(0, &["generation 2 is healthy"]);
    lab.state_is_intact(&state);
    let boot = lab.guest.boots().pop().unwrap();
    assert!(boot.image == image.to_string() && boot.state, "{boot:?}");
    assert_eq!(boot.seed.unwrap()["state"], "keep");
    assert_eq!(lab.current(), Some(2));
    lab.no_secret_is_left();

    lab.deploy(&["--rollback"]).is(0, &["generation 1 is healthy"]);
    lab.state_is_intact(&state);
    assert!(lab.guest.boots().pop().unwrap().seed.is_none(), "the secrets are on the state disk already");
    lab.deploy(&["--rollback", "--to", "2"]).is(0, &["generation 2 is healthy"]);
    lab.deploy(&["--rollback", "--to", "7"]).is(3, &["there is no generation 7"]);
    lab.state_is_intact(&state);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_old_generations_are_pruned_by_count() {
    let lab = Lab::with("keep = 1\n");
    for version in 1..=4 {
        lab.build(version, Healthy);
        lab.deploy(&[]).is(0, &[&format!("generation {version} is healthy")]);
    }
    let mut left: Vec<String> = fs::read_dir(lab.at("generations"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["3", "4"]);
    lab.run("generations", &[]).is(0, &["running, state disk in use", "current", "healthy"]);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_secrets_are_renewed_without_a_new_generation() {
    let lab = Lab::new();
    lab.build(1, Healthy);
    lab.deploy(&[]).is(0, &[]);
    let state = lab.state_disk();
    fs::write(lab.path("secrets/node1"), "ADMIN:another-one").unwrap();
    lab.deploy(&["--renew-secrets"]).is(0, &["generation 1 is healthy"]);
    let boots = lab.guest.boots();
    assert!(boots.len() == 2 && boots[1].state);
    let seed = boots[1].seed.as_ref().unwrap();
    assert_eq!((&seed["state"], &seed["secrets"]["bmc/node1"]), (&"keep".into(), &"ADMIN:another-one".into()));
    lab.the_medium_is_wiped();
    lab.state_is_intact(&state);
}

#[test]
#[ignore = "needs port 443 of the loopback (root)"]
fn sandbox_destroy_keeps_the_state_unless_it_is_named() {
    let lab = Lab::new();
    lab.run("destroy", &[]).is(0, &["there was nothing"]);
    lab.build(1, Healthy);
    lab.deploy(&[]).is(0, &[]);
    let state = lab.state_disk();
    lab.run("destroy", &[]).is(0, &["the state disk is kept"]);
    assert!(!lab.is_running() && !lab.at("lab.vmx").exists());
    lab.state_is_intact(&state);
    // Whoever deploys next goes on with it.
    lab.deploy(&[]).is(0, &[]);
    lab.state_is_intact(&state);
    assert!(lab.guest.boots().pop().unwrap().state);
    lab.run("destroy", &["--with-state"]).is(0, &["the state disk are gone"]);
    assert!(!lab.at("state.vmdk").exists() && !lab.is_running());
    lab.run("destroy", &["--with-state"]).is(0, &["there was nothing"]);
    assert_eq!(lab.count("deleteVM"), 0, "it would take the state disk along");
}
