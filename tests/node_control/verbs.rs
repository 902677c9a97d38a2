//! Verbs, their results, their exit codes.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use redfish_simulator::{Cut, Fault, Model, Power};

use crate::lab::{Lab, Said, interrupt, signal, wait_for};

#[test]
fn status_has_a_line_for_each_node_in_the_order_asked() {
    let lab = Lab::new(3);
    lab.bmcs[2].set_latency(Duration::from_millis(60));
    let said = lab.run(&["status", "node3", "node1", "node2"]);
    said.is(0, &[]);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    for (line, node) in lines.iter().zip(["node3", "node1", "node2"]) {
        assert!(line.starts_with(&format!("{node}  on, ok")), "{line}");
    }
    // Of one node everything is shown.
    lab.run(&["status", "node1"]).is(0, &["node1: on, ok", "  certificate  SHA256:", "  login        session"]);
    // The sessions were ended.
    assert!(lab.bmcs.iter().all(|bmc| bmc.state().sessions.is_empty()));
}

#[test]
fn json_is_one_object_for_each_node() {
    let lab = Lab::new(2);
    lab.bmcs[1].fault(Fault::GarbageJson);
    let said = lab.run(&["--json", "status", "--all", "--wait", "2"]);
    said.is(11, &[]);
    let objects = said.objects();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0]["node"], "node1");
    assert_eq!((&objects[0]["outcome"], &objects[0]["result"]["power"]), (&"status".into(), &"On".into()));
    assert_eq!(objects[1]["node"], "node2");
    assert_eq!(objects[1]["error"]["kind"], "unreachable");
    assert!(objects[1]["error"]["message"].as_str().unwrap().contains("makes no sense"), "{said:?}");
}

#[test]
fn a_power_cycle_is_read_back() {
    let lab = Lab::new(1);
    let said = lab.run(&["power", "cycle", "node1", "--now"]);
    said.is(0, &["node1: on -> on (ForceOff, On)", "node1: reset: ForceOff", "node1: reset: On"]);
    assert_eq!(lab.bmcs[0].state().resets, ["ForceOff", "On"]);
    assert_eq!(lab.bmcs[0].state().power, Power::On);
}

#[test]
fn one_that_cannot_be_reached_leaves_the_others_alone() {
    let mut lab = Lab::new(3);
    lab.bmcs[1].stop();
    let said = lab.run(&["boot", "once", "pxe", "--all"]);
    said.is(11, &["error: node2: 127.0.1.2:", "cannot be reached", "help: "]);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines, ["node1  Pxe once (UEFI)", "node2  - (unreachable)", "node3  Pxe once (UEFI)"]);
    for index in [0, 2] {
        assert_eq!(lab.bmcs[index].state().boot.target, "Pxe");
    }
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let lab = Lab::new(1);
    let bmc = &lab.bmcs[0];
    let status = ["status", "node1", "--wait", "2"];
    lab.run(&status).is(0, &[]);

    bmc.fault(Fault::Cut(Cut::BeforeHeaders));
    lab.run(&status).is(11, &["error: node1: "]);
    bmc.heal();

    lab.secret("secrets/node1", "ADMIN:not-the-one\n");
    lab.run(&status).is(12, &["refuses the user name or the password", "help: "]);
    let (user, password) = bmc.credentials();
    lab.secret("secrets/node1", &format!("{user}:{password}\n"));

    bmc.fault(Fault::Licence);
    lab.run(&["media", "insert", "http://192.0.2.1/a.iso", "node1"])
        .is(13, &["error: node1: the board has no licence to"]);
    bmc.heal();

    bmc.fault(Fault::SilentOverrideIgnored);
    lab.run(&["boot", "once", "pxe", "node1", "--wait", "1"])
        .is(14, &["error: node1: asked for BootSourceOverride", "but there is"]);
    assert_eq!(bmc.state().boot.target, "None");
}

#[test]
fn what_is_wrong_is_said_at_once_and_nothing_is_sent() {
    let lab = Lab::new(2);
    let said = lab.run(&["status", "node1", "nod2", "rack7"]);
    said.is(
        3,
        &["error: nod2: no node is called so\nhelp: did you mean 'node2'?", "error: rack7: no node is called so"],
    );
    lab.run(&["bios", "plan", "node1", "node2"])
        .is(3, &["error: node1: the node has no BIOS settings", "error: node2: "]);
    lab.run(&["bios", "plan", "--all"]).is(3, &["error: --all: no node has `bios`", "[bios.NAME]"]);
    lab.run(&["media", "insert", "cidata", "node1"]).is(3, &["provd node media insert cidata node1"]);
    lab.run(&["media", "insert", "installer", "node1"]).is(3, &["the node has no installer"]);
    lab.run(&["status"]).is(2, &["<NODE"]);
    lab.run(&["status", "node1", "--profile", "none.toml"]).is(3, &["none.toml cannot be read"]);

    let text = std::fs::read_to_string(lab.path("nodes.toml")).unwrap();
    let credentials = ", credentials = \"file:secrets/node2\"";
    let bare = "[[node]]\nhostname = \"bare\"\nmac = \"52:54:00:aa:01:01\"\naddress = \"10.10.1.99\"\n";
    std::fs::write(lab.path("nodes.toml"), format!("{}\n{bare}", text.replace(credentials, ""))).unwrap();
    let said = lab.run(&["--json", "power", "off", "node1", "node2", "bare", "--yes"]);
    said.is(3, &["error: node2: the node's BMC has no credentials", "error: bare: the node has no BMC"]);
    assert_eq!(said.objects().len(), 2);
    // All that have one: not the one without.
    lab.run(&["status", "--all"]).is(3, &["error: node2: "]);
    lab.nothing_was_sent();
}

#[test]
fn several_machines_are_not_interrupted_unasked() {
    let lab = Lab::new(2);
    for arguments in [["power", "off", "--all", "--now"], ["power", "reset", "node1", "node2"]] {
        lab.run(&arguments).is(2, &["interrupts 2 machines: node1, node2", "--yes"]);
    }
    lab.nothing_was_sent();
    lab.run(&["power", "off", "--all", "--now", "--yes"]).is(0, &["node1  on -> off (ForceOff)", "node2  on -> off"]);
    // One node was named by hand, and switching on interrupts nothing.
    lab.run(&["power", "on", "--all"]).is(0, &[]);
    lab.run(&["power", "off", "node1", "--now"]).is(0, &["on -> off"]);
}

#[test]
fn raw_is_the_resource_and_nothing_else() {
    let lab = Lab::new(2);
    let said = lab.run(&["raw", "get", "/redfish/v1/", "node1"]);
    said.is(0, &[]);
    let root: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(root["RedfishVersion"].is_string());
    lab.run(&["raw", "get", "/redfish/v1/", "--all"]).is(0, &["node1: /redfish/v1/: ", "node2: /redfish/v1/: "]);
    lab.run(&["raw", "get", "/etc/passwd", "node1"]).is(3, &["no path of Redfish"]);
}

#[test]
fn nodes_alone_are_enough_for_what_needs_no_profile() {
    let lab = Lab::new(1);
    std::fs::remove_file(lab.path("profile.toml")).unwrap();
    std::fs::create_dir(lab.path("elsewhere")).unwrap();
    std::fs::rename(lab.path("nodes.toml"), lab.path("elsewhere/nodes.toml")).unwrap();
    std::fs::rename(lab.path("secrets"), lab.path("elsewhere/secrets")).unwrap();
    lab.run(&["status", "node1"]).is(3, &["profile.toml cannot be read"]);
    lab.run(&["status", "node1", "--nodes", "elsewhere/nodes.toml"]).is(0, &["node1: on"]);
    lab.run(&["media", "insert", "installer", "node1", "--nodes", "elsewhere/nodes.toml"]).is(3, &["--profile FILE"]);
    let text = std::fs::read_to_string(lab.path("elsewhere/nodes.toml")).unwrap();
    std::fs::write(lab.path("elsewhere/nodes.toml"), format!("{text}bios = \"rack4\"\n")).unwrap();
    lab.run(&["bios", "plan", "node1", "--nodes", "elsewhere/nodes.toml"])
        .is(3, &["the node's BIOS settings stand in the profile", "--profile FILE"]);
    let said = lab.run(&["status", "node1", "--nodes", "nope.toml"]);
    assert!(!said.is(3, &["nope.toml cannot be read", "help: "]).stderr.contains("init"), "{said:?}");
}

#[test]
fn the_installers_iso_is_the_appliances() {
    let lab = Lab::new(1);
    let sha256 = "1".repeat(64);
    lab.profile(&format!(
        "\n[installer.noble]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\n\
         iso = {{ url = \"http://192.0.2.1/noble.iso\", sha256 = \"{sha256}\" }}\n"
    ));
    let port = lab.bmcs[0].address().port();
    lab.nodes(&[port], &|_| "file:secrets/node1".to_owned(), "install = \"noble\"");
    lab.run(&["media", "insert", "installer", "node1"]).is(0, &[]);
    let inserted: Vec<_> = lab.bmcs[0].state().media.values().filter_map(|medium| medium.image.clone()).collect();
    assert_eq!(inserted, ["http://10.10.1.1/media/noble/noble.iso"]);
}

#[test]
fn no_output_holds_a_password_and_no_argument_does() {
    let lab = Lab::new(1);
    let (user, password) = lab.bmcs[0].credentials();
    let line = format!("{user}:{password}");
    let shows = |said: &Said| said.stdout.contains(password) || said.stderr.contains(password);
    let port = lab.bmcs[0].address().port();
    lab.nodes(&[port], &|_| "env:BMC_NODE1".to_owned(), "");
    lab.run(&["status", "node1"]).is(9, &["env:BMC_NODE1: the variable is not set", "help: "]);
    lab.bmcs[0].set_latency(Duration::from_millis(100));
    let child = lab.command(&["--json", "status", "node1"]).env("BMC_NODE1", &line).spawn().unwrap();
    wait_for("a request", || (!lab.bmcs[0].requests().is_empty()).then_some(()));
    let arguments = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    assert!(!arguments.is_empty() && !String::from_utf8_lossy(&arguments).contains(password));
    let said = Said::of(child.wait_with_output().unwrap());
    assert!(!shows(said.is(0, &[])));
    lab.bmcs[0].set_latency(Duration::ZERO);

    // The secret where something else is expected.
    for text in [password.to_owned(), format!("{line}\n{line}\n"), format!("{user}\t{password}")] {
        lab.secret("secrets/node1", &text);
        lab.nodes(&[port], &|_| "file:secrets/node1".to_owned(), "");
        let said = lab.run(&["status", "node1"]);
        assert!(!shows(said.is(9, &["file:secrets/node1: "])));
    }
    lab.secret("secrets/node1", &format!("{user}:{password}x"));
    assert!(!shows(lab.run(&["status", "node1"]).is(12, &[])));
    std::fs::write(lab.path("secrets/open"), &line).unwrap();
    lab.nodes(&[port], &|_| "file:secrets/open".to_owned(), "");
    assert!(!shows(lab.run(&["status", "node1"]).is(9, &["may be read by others", "chmod 600"])));
}

#[test]
fn an_age_file_is_decrypted_with_the_identity_that_was_named() {
    let lab = Lab::new(1);
    let (user, password) = lab.bmcs[0].credentials();
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public();
    let recipients = std::iter::once(&recipient as &dyn age::Recipient);
    let mut bytes = Vec::new();
    let mut writer = age::Encryptor::with_recipients(recipients).unwrap().wrap_output(&mut bytes).unwrap();
    std::io::Write::write_all(&mut writer, format!("{user}:{password}\n").as_bytes()).unwrap();
    writer.finish().unwrap();
    std::fs::write(lab.path("secrets/node1.age"), &bytes).unwrap();
    let port = lab.bmcs[0].address().port();
    lab.nodes(&[port], &|_| "age:secrets/node1.age".to_owned(), "");
    lab.run(&["status", "node1"]).is(9, &["home/.config/provbuild/age.txt cannot be read", "--age-identity FILE"]);
    let line = secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    lab.secret("mine", &line);
    lab.run(&["status", "node1", "--age-identity", "mine"]).is(0, &["node1: on"]);
    let output = lab.command(&["status", "node1"]).env("PROVBUILD_AGE_IDENTITY", "mine").output().unwrap();
    Said::of(output).is(0, &["node1: on"]);
    std::fs::create_dir_all(lab.path("home/.config/provbuild")).unwrap();
    lab.secret("home/.config/provbuild/age.txt", &line);
    lab.run(&["status", "node1"]).is(0, &["node1: on"]);
}

/// So slow that a signal comes in between, also on a busy machine.
fn slow_to_switch() -> Model {
    Model { power_delay: Duration::from_millis(2500), ..Model::generic() }
}

#[test]
fn ctrl_c_leaves_no_machine_between_off_and_on() {
    let lab = Lab::of(vec![slow_to_switch(), slow_to_switch()]);
    // It still logs in when the other one is being switched.
    lab.bmcs[1].set_latency(Duration::from_secs(20));
    let child = lab.start(&["power", "cycle", "--all", "--now", "--yes", "--wait", "8"]);
    wait_for("the first reset", || (!lab.bmcs[0].state().resets.is_empty()).then_some(()));
    interrupt(&child);
    let said = Said::of(child.wait_with_output().unwrap());
    said.is(130, &["what has begun is finished first", "error: node2: interrupted before anything was changed"]);
    assert_eq!(said.stdout, "node1  on -> on (ForceOff, On)\nnode2  - (interrupted)\n");
    assert_eq!((lab.bmcs[0].state().power, lab.bmcs[0].state().resets.len()), (Power::On, 2));
    assert!(lab.bmcs[1].state().resets.is_empty());
}

#[test]
fn nodes_of_one_bmc_are_written_to_one_after_the_other() {
    let lab = Lab::of(vec![Model { power_delay: Duration::from_millis(100), ..Model::generic() }]);
    let port = lab.bmcs[0].address().port();
    lab.nodes(&[port, port], &|_| "file:secrets/node1".to_owned(), "");
    let text = std::fs::read_to_string(lab.path("nodes.toml")).unwrap();
    std::fs::write(lab.path("nodes.toml"), text.replace("127.0.1.2", "127.0.1.1")).unwrap();
    lab.run(&["power", "cycle", "--all", "--now", "--yes", "--wait", "4"]).is(0, &[]);
    // At once, the second one would find it off already.
    assert_eq!(lab.bmcs[0].state().resets, ["ForceOff", "On", "ForceOff", "On"]);
}

#[test]
fn a_second_ctrl_c_says_where_it_was_left() {
    let lab = Lab::of(vec![Model { power_delay: Duration::from_secs(30), ..Model::generic() }]);
    let child = lab.start(&["power", "cycle", "node1", "--now"]);
    wait_for("the first reset", || (!lab.bmcs[0].state().resets.is_empty()).then_some(()));
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(300));
    interrupt(&child);
    let said = Said::of(child.wait_with_output().unwrap());
    said.is(130, &["error: node1: left in the middle of 'reset: ForceOff'", "help: ask for its status"]);
}

/// A machine that was switched off is on again at the end, whatever has become of whoever was told.
#[track_caller]
fn is_on_again(lab: &Lab) {
    assert_eq!(
        (lab.bmcs[0].state().power, lab.bmcs[0].state().resets.clone()),
        (Power::On, vec!["ForceOff".into(), "On".into()])
    );
}

const CYCLE: [&str; 6] = ["power", "cycle", "node1", "--now", "--wait", "8"];

#[test]
fn a_reader_that_goes_away_leaves_no_machine_between_off_and_on() {
    let lab = Lab::of(vec![slow_to_switch()]);
    let mut child = lab.start(&CYCLE);
    wait_for("the first reset", || (!lab.bmcs[0].state().resets.is_empty()).then_some(()));
    drop((child.stderr.take(), child.stdout.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    is_on_again(&lab);
}

#[test]
fn a_terminal_that_goes_away_leaves_no_machine_between_off_and_on() {
    let lab = Lab::of(vec![slow_to_switch()]);
    let terminal = nix::pty::openpty(None, None).unwrap();
    let output = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut child = lab.command(&CYCLE).stdout(output()).stderr(output()).env("TERM", "xterm").spawn().unwrap();
    wait_for("the first reset", || (!lab.bmcs[0].state().resets.is_empty()).then_some(()));
    drop(terminal);
    // What is said at Ctrl-C goes to a terminal that is no more.
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    is_on_again(&lab);
}

#[test]
fn a_session_that_is_dropped_leaves_no_machine_between_off_and_on() {
    let lab = Lab::of(vec![slow_to_switch()]);
    let child = lab.start(&CYCLE);
    wait_for("the first reset", || (!lab.bmcs[0].state().resets.is_empty()).then_some(()));
    signal(&child, Signal::SIGHUP);
    // All that was asked for was done.
    Said::of(child.wait_with_output().unwrap()).is(0, &["what has begun is finished first", "node1: on -> on"]);
    is_on_again(&lab);
}

#[test]
fn its_memory_is_in_no_core_dump() {
    let lab = Lab::new(1);
    lab.bmcs[0].set_latency(Duration::from_millis(500));
    let dumped = |script: &str, ready: &dyn Fn()| {
        let command = lab.command(&["status", "node1"]);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", script]).arg(command.get_program()).args(command.get_args());
        shell.current_dir(lab.directory.path());
        shell.env("HOME", lab.path("home")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = shell.spawn().unwrap();
        ready();
        signal(&child, Signal::SIGABRT);
        std::os::unix::process::ExitStatusExt::core_dumped(&child.wait().unwrap())
    };
    let other = dumped("ulimit -c unlimited; exec sleep 60", &|| std::thread::sleep(Duration::from_millis(300)));
    assert!(other, "no program is dumped here, so nothing can be seen: see core(5), and `ulimit -H -c`");
    let ours = dumped("ulimit -c unlimited; exec \"$0\" \"$@\"", &|| {
        wait_for("a request", || (!lab.bmcs[0].requests().is_empty()).then_some(()));
    });
    assert!(!ours);
}

#[test]
fn readings_go_on_without_a_node_whose_secret_is_missing() {
    let lab = Lab::new(3);
    std::fs::remove_file(lab.path("secrets/node2")).unwrap();
    let said = lab.run(&["status", "--all"]);
    said.is(9, &["error: node2: file:secrets/node2: "]);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(lines[0].starts_with("node1  on") && lines[2].starts_with("node3  on"), "{lines:?}");
    assert_eq!(lines[1], "node2  - (surroundings)");
    let kinds: Vec<_> = lab
        .run(&["--json", "status", "--all"])
        .objects()
        .into_iter()
        .map(|line| line["error"]["kind"].clone())
        .collect();
    assert_eq!(kinds, [serde_json::Value::Null, "surroundings".into(), serde_json::Value::Null]);
    // What is written is written to all, or to none.
    lab.bmcs.iter().for_each(redfish_simulator::Simulator::forget_requests);
    lab.run(&["boot", "once", "pxe", "--all"]).is(9, &["error: node2: file:secrets/node2: "]);
    lab.nothing_was_sent();
}

#[test]
fn all_are_those_that_have_what_the_verb_is_about() {
    let lab = Lab::new(3);
    lab.profile("\n[bios.rack4.settings]\nBootMode = \"Uefi\"\n");
    let text = std::fs::read_to_string(lab.path("nodes.toml")).unwrap();
    let text = text.replacen(
        "kind = \"redfish\", credentials = \"file:secrets/node2\" }",
        "kind = \"redfish\", credentials = \"file:secrets/node2\" }\nbios = \"rack4\"",
        1,
    );
    std::fs::write(lab.path("nodes.toml"), text).unwrap();
    let said = lab.run(&["bios", "plan", "--all"]);
    said.is(0, &["node2: ", "left out, without `bios` in nodes.toml: node1, node3\n"]);
    assert!(lab.bmcs[0].requests().is_empty() && lab.bmcs[2].requests().is_empty());
    lab.run(&["bios", "plan", "node1", "node2"]).is(3, &["error: node1: the node has no BIOS settings"]);
}

#[test]
fn warnings_are_those_of_check() {
    let lab = Lab::new(1);
    // The loopback is a tunnel's end, of which `check` warns.
    let said = lab.run(&["status", "node1", "--nodes", "nodes.toml"]);
    assert!(!said.is(0, &[]).stderr.contains("warning"), "{said:?}");
    let text = std::fs::read_to_string(lab.path("nodes.toml")).unwrap();
    std::fs::write(lab.path("nodes.toml"), format!("{text}\nfaulty = 1\n")).unwrap();
    for arguments in [&["status", "node1"][..], &["status", "node1", "--nodes", "nodes.toml"]] {
        let said = lab.run(arguments);
        assert!(!said.is(3, &["faulty"]).stderr.contains("warning"), "{said:?}");
    }
}

#[test]
fn a_remedy_is_typed_as_it_stands() {
    let lab = Lab::new(1);
    lab.run(&["power", "off", "node1", "--now"]).is(0, &[]);
    lab.run(&["power", "reset", "node1"]).is(3, &["nothing to restart", "help: provbuild node power on node1\n"]);
}
