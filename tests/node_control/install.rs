//! `provbuild node install`: the real provd, a simulated BMC, and a node that reports as installers do.

use std::process::{Child, Stdio};
use std::time::Duration;

use redfish_simulator::{Fault, Model, Power};

use crate::appliance::Appliance;
use crate::lab::{Lab, Said, interrupt, wait_for};

struct Site {
    lab: Lab,
    appliance: Appliance,
}

impl Site {
    fn of(model: Model) -> Site {
        let lab = Lab::of(vec![model]);
        let sha256 = "1".repeat(64);
        lab.profile(&format!(
            "\n[installer.noble]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\n\
             iso = {{ url = \"http://192.0.2.1/noble.iso\", sha256 = \"{sha256}\" }}\n"
        ));
        let port = lab.bmcs[0].address().port();
        lab.nodes(&[port], &|_| "file:secrets/node1".to_owned(), "install = \"noble\"");
        Site { lab, appliance: Appliance::start() }
    }

    fn start(&self, more: &[&str]) -> Child {
        let url = self.appliance.url();
        let mut arguments = vec!["install", "node1", "--appliance", &url];
        arguments.extend(more);
        let mut command = self.lab.command(&arguments);
        command.env("PROVBUILD_TOKEN", &self.appliance.token).stdin(Stdio::null()).spawn().unwrap()
    }

    fn run(&self, more: &[&str]) -> Said {
        self.said(self.start(more))
    }

    fn said(&self, child: Child) -> Said {
        let said = Said::of(child.wait_with_output().unwrap());
        assert!(!said.stdout.contains(&self.appliance.token) && !said.stderr.contains(&self.appliance.token));
        said
    }

    /// Until the node was switched off and on.
    fn powered(&self) {
        wait_for("the power cycle", || (self.lab.bmcs[0].state().resets.len() == 2).then_some(()));
    }

    fn state_is(&self, state: &str) {
        wait_for(state, || (self.appliance.state() == state).then_some(()));
    }
}

#[test]
#[ignore = "needs provd beside the tool: cargo build --release -p provd"]
fn sandbox_an_installation_is_followed_until_it_is_verified() {
    let mut site = Site::of(Model::generic());
    let child = site.start(&["--yes"]);
    site.powered();
    let boot = site.lab.bmcs[0].state().boots.last().cloned().unwrap();
    assert_eq!(boot.target, "Pxe", "{boot:?}");
    let report = site.appliance.boots();
    // Away in the middle: the stream is taken up again.
    site.appliance.kill_provd();
    std::thread::sleep(Duration::from_millis(500));
    site.appliance.start_provd();
    site.appliance.installs(&report);
    std::thread::sleep(Duration::from_millis(1500));
    site.appliance.ends(&report);
    let said = site.said(child);
    said.is(
        0,
        &[
            "node1: armed",
            "node1: booting",
            "node1: installing",
            "node1: installed",
            "node1: verified",
            "erases its only disk",
        ],
    );
    assert!(said.stdout.starts_with("node1: verified after "), "{said:?}");
    assert_eq!(site.lab.bmcs[0].state().resets, ["ForceOff", "On"]);

    // Once more, from what is verified, with the certificate signed by an authority of ours: itself.
    let authority = site.appliance.certificate().display().to_string();
    let child = site.start(&["--yes", "--json", "--appliance-ca", &authority]);
    wait_for("four resets", || (site.lab.bmcs[0].state().resets.len() == 4).then_some(()));
    let report = site.appliance.boots();
    site.appliance.installs(&report);
    site.appliance.fails(&report);
    let said = site.said(child);
    said.is(15, &["(it is verified now)", "the installation failed", "the disk is broken", "provd log node1"]);
    assert_eq!(said.objects()[0]["error"]["kind"], "installation");
}

#[test]
#[ignore = "needs provd beside the tool: cargo build --release -p provd"]
fn sandbox_what_fails_before_the_power_was_touched_is_taken_back() {
    let site = Site::of(Model::generic());
    let bmc = &site.lab.bmcs[0];
    site.run(&[]).is(2, &["installing noble on node1 erases its only disk", "--yes"]);
    assert_eq!(site.appliance.state(), "disk");

    bmc.fault(Fault::SilentOverrideIgnored);
    site.run(&["--yes", "--wait", "1"]).is(14, &["node1 is disarmed again"]);
    bmc.heal();
    assert_eq!(site.appliance.state(), "disk");
    assert!(bmc.state().resets.is_empty());

    // What is found out before anything is armed.
    site.lab.secret("secrets/node1", "ADMIN:wrong\n");
    site.run(&["--yes"]).is(12, &["refuses the user name or the password"]);
    site.lab.secret("secrets/wrong", "0123456789abcdef0123456789abcdef\n");
    site.run(&["--yes", "--token", "file:secrets/wrong"])
        .is(12, &["refuses the token of file:secrets/wrong", "provd token create"]);
    let pins = std::fs::read_to_string(site.lab.pins()).unwrap();
    let line = pins.lines().find(|line| line.starts_with("https://")).unwrap();
    let other = format!("{} SHA256:{}", line.split(' ').next().unwrap(), "0".repeat(64));
    std::fs::write(site.lab.pins(), pins.replace(line, &other)).unwrap();
    site.run(&["--yes"]).is(12, &["shows another certificate than before", "trust --appliance --forget"]);
    assert_eq!(site.appliance.state(), "disk");
    let said = site.lab.run(&["install", "node1", "--yes", "--appliance", "https://127.0.0.1:9"]);
    said.is(9, &["env:PROVBUILD_TOKEN: the variable is not set"]);
    let mut command = site.lab.command(&["install", "node1", "--yes", "--appliance", "https://127.0.0.1:9"]);
    Said::of(command.env("PROVBUILD_TOKEN", "x").output().unwrap())
        .is(11, &["the appliance https://127.0.0.1:9/ cannot be reached"]);
    let output = site.lab.command(&["install", "node1", "--yes"]).env("PROVBUILD_TOKEN", "x").output().unwrap();
    Said::of(output).is(2, &["nobody says where the appliance is", "PROVBUILD_APPLIANCE"]);
}

#[test]
#[ignore = "needs provd beside the tool: cargo build --release -p provd"]
fn sandbox_a_bmc_that_cannot_boot_from_the_network_leaves_no_node_armed() {
    let targets = ["None", "Hdd"].map(str::to_owned).to_vec();
    let site = Site::of(Model { boot_targets: targets, ..Model::generic() });
    site.run(&["--yes"]).is(13, &["error: node1: this BMC cannot boot once from pxe", "node1 is disarmed again"]);
    assert_eq!(site.appliance.state(), "disk");
    assert!(site.lab.bmcs[0].state().resets.is_empty());
}

#[test]
#[ignore = "needs provd beside the tool: cargo build --release -p provd"]
fn sandbox_ctrl_c_before_the_power_is_touched_disarms() {
    let site = Site::of(Model::generic());
    let bmc = &site.lab.bmcs[0];
    bmc.fault_at("PATCH", "", Fault::Slow(Duration::from_secs(2)));
    let child = site.start(&["--yes"]);
    site.state_is("armed");
    std::thread::sleep(Duration::from_millis(700));
    interrupt(&child);
    site.said(child).is(130, &["the power was not touched; node1 is disarmed again"]);
    assert_eq!(site.appliance.state(), "disk");
    let state = bmc.state();
    assert!(state.resets.is_empty());
    assert!(state.boot.enabled == "Disabled" || state.boot.target == "None", "{:?}", state.boot);
}

#[test]
#[ignore = "needs provd beside the tool: cargo build --release -p provd"]
fn sandbox_ctrl_c_in_the_power_cycle_finishes_it_and_while_following_leaves_it() {
    let site = Site::of(Model { power_delay: Duration::from_millis(1500), ..Model::generic() });
    let child = site.start(&["--yes"]);
    wait_for("the first reset", || (!site.lab.bmcs[0].state().resets.is_empty()).then_some(()));
    interrupt(&child);
    let said = site.said(child);
    said.is(130, &["goes on without being followed", "provd events --follow", "give it up: provd disarm node1"]);
    let state = site.lab.bmcs[0].state();
    assert_eq!((state.resets.len(), state.power), (2, Power::On));
    assert_eq!(site.appliance.state(), "armed");
    // Armed already: said, and nothing done.
    site.run(&["--yes"]).is(13, &["it is armed already", "nothing was changed"]);

    let site = Site::of(Model::generic());
    let child = site.start(&["--yes"]);
    site.powered();
    site.appliance.boots();
    std::thread::sleep(Duration::from_millis(700));
    interrupt(&child);
    site.said(child).is(130, &["node1: armed", "goes on without being followed"]);
    assert_eq!(site.appliance.state(), "installing");
}
