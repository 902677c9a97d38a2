//! The command line against a daemon of its own: what it prints, and its exit codes.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redfish_simulator::{Fault, Model, Power, Simulator};
use serde_json::Value;

use crate::lab::Lab;

struct Daemon {
    lab: Lab,
    child: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    fn start() -> Daemon {
        Daemon::of(Lab::new(2))
    }

    fn of(lab: Lab) -> Daemon {
        let child = Self::serve(&lab);
        Daemon { lab, child }
    }

    /// Kills it, and starts it again.
    fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::remove_file(self.lab.directory.path().join("local.sock")).unwrap();
        self.child = Self::serve(&self.lab);
    }

    fn serve(lab: &Lab) -> Child {
        let at = |name: &str| lab.directory.path().join(name);
        let child = Command::new(env!("CARGO_BIN_EXE_provd"))
            .arg("serve")
            .args(
                [at("provd.json").as_os_str(), at("cli.db").as_os_str(), at("served").as_os_str(), at("").as_os_str()]
                    .into_iter()
                    .zip(["--declared", "--database", "--served", "--sockets"])
                    .flat_map(|(path, option)| [option.into(), path.to_owned()]),
            )
            .arg("--secrets")
            .arg(at("secrets"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while !at("local.sock").exists() {
            assert!(Instant::now() < end, "the daemon does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }

    /// What one of the daemon's sockets answers to the second node's address, head and body.
    fn ask(&self, socket: &str, path: &str) -> String {
        self.send(socket, &format!("GET {path}"), "")
    }

    fn send(&self, socket: &str, line: &str, body: &str) -> String {
        let mut stream = UnixStream::connect(self.lab.directory.path().join(socket)).unwrap();
        let address = crate::lab::address(2);
        let length = body.len();
        let head = format!(
            "Host: x\r\nConnection: close\r\nX-Provbuild-Address: {address}\r\nContent-Length: {length}\r\n\r\n"
        );
        write!(stream, "{line} HTTP/1.1\r\n{head}{body}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provd"));
        command.args(line.split(' ')).env("PROVD_SOCKET", self.lab.directory.path().join("local.sock"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Exit code, standard output, standard error.
    fn run(&self, line: &str) -> (i32, String, String) {
        let output = self.command(line).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn commands_say_what_they_did_by_their_exit_code() {
    let daemon = Daemon::start();
    let refused = daemon.run("arm node1");
    assert_eq!((refused.0, refused.1.as_str()), (2, ""));
    assert!(refused.2.contains("erases the disk of node1"), "{}", refused.2);
    let armed = daemon.run("arm node1 --yes --reason disk");
    assert_eq!((armed.0, armed.2.as_str()), (0, ""));
    assert!(armed.1.starts_with("node1 is armed: installs noble at its next network boot, until 2"), "{}", armed.1);
    assert!(armed.1.ends_with(" min)\n"), "{}", armed.1);
    let shown = daemon.run("show node1").1;
    assert!(shown.contains("\n  armed      until 2"), "{shown}");
    assert!(shown.contains("\n  disk       serial = S3Z*, min-size = 200000000000\n"), "{shown}");
    let other = daemon.run("show node2").1;
    assert!(other.contains("\n  disk       the only one\n") && !other.contains("until"), "{other}");
    assert_eq!(daemon.run("arm node1 --yes").0, 1);
    assert_eq!(daemon.run("show node9").0, 3);
    assert_eq!(daemon.run("audit --verify").0, 0);
    assert_eq!(daemon.run("frobnicate").0, 2);
    let no_state = daemon.run("nodes --state foo");
    assert_eq!((no_state.0, no_state.2.contains("possible values: unknown, disk, armed")), (2, true), "{}", no_state.2);
    assert!(daemon.run("events").1.lines().last().unwrap().contains("node1  disk -> armed"));
    let nodes: serde_json::Value = serde_json::from_str(&daemon.run("nodes --json --state armed").1).unwrap();
    assert_eq!((nodes.as_array().unwrap().len(), nodes[0]["hostname"].as_str()), (1, Some("node1")));
    assert!(daemon.run("login --address boot.lab").1.starts_with("https://boot.lab/login#"));
    assert_eq!(daemon.run("token create ci --expires 1d").0, 0);
    assert_eq!(daemon.run("token revoke ci").0, 0);
    assert_eq!(daemon.run("token revoke ci").0, 3);
    let nobody = daemon.run("nodes --socket /nonexistent/local.sock");
    assert_eq!((nobody.0, nobody.2.contains("does the daemon run")), (4, true));
}

#[test]
fn a_failed_node_is_shown_with_the_way_to_its_log() {
    let daemon = Daemon::start();
    assert_eq!(daemon.run("arm node2 --yes").0, 0);
    let script = daemon.ask("nodes.sock", "/nodes/52-54-00-00-00-02.ipxe");
    let token = script.split("/seed/").nth(1).unwrap().get(..32).unwrap();
    daemon.ask("nodes.sock", &format!("/seed/{token}/user-data"));
    assert!(!daemon.run("show node2").1.contains("provd log"));
    // What installs, and is given up, has failed.
    assert_eq!(daemon.run("disarm node2").0, 0);
    let shown = daemon.run("show node2").1;
    assert!(shown.ends_with("provd log node2\n"), "{shown}");
}

#[test]
fn what_nodes_are_refused_is_counted() {
    let daemon = Daemon::start();
    let refusals = |count: u32| {
        let text = daemon.ask("web.sock", "/metrics");
        assert!(text.contains(&format!("\nprovd_refusals_total {count}\n")), "{text}");
        assert!(text.contains("\nprovd_webhooks_dropped_total 0\n"), "{text}");
    };
    refusals(0);
    assert!(daemon.ask("nodes.sock", "/nodes/52-54-00-00-00-99.ipxe").starts_with("HTTP/1.1 404 "));
    assert!(daemon.ask("nodes.sock", "/elsewhere").starts_with("HTTP/1.1 404 "));
    refusals(2);
}

#[test]
fn whoever_follows_sees_changes_as_they_happen_and_outlives_the_daemon() {
    let mut daemon = Daemon::start();
    let mut follower = Command::new(env!("CARGO_BIN_EXE_provd"))
        .args(["events", "--follow"])
        .env("PROVD_SOCKET", daemon.lab.directory.path().join("local.sock"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(daemon.run("arm node2 --yes").0, 0);
    let mut out = follower.stdout.take().unwrap();
    read_until(&mut out, "node2  disk -> armed");
    daemon.restart();
    assert_eq!(daemon.run("disarm node2").0, 0);
    read_until(&mut out, "node2  armed -> disk");
    follower.kill().unwrap();
    let told = String::from_utf8(follower.wait_with_output().unwrap().stderr).unwrap();
    // Where it was back before the follower looked, there was nothing to say.
    assert!(told.is_empty() || told.contains("; waiting for it\nprovd: the daemon is back\n"), "{told}");
}

/// A runtime for simulators, which run beside the test, and so many of them.
fn simulators<const COUNT: usize>() -> (tokio::runtime::Runtime, [Simulator; COUNT]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bmcs = [(); COUNT].map(|()| runtime.block_on(Simulator::start(Model::generic())));
    (runtime, bmcs)
}

#[test]
fn verbs_go_to_several_nodes_at_once_and_the_exit_code_says_what_failed_first() {
    let (_runtime, [mut one, two]) = simulators();
    let daemon = Daemon::of(Lab::with_bmcs(3, &[one.address(), two.address()]));
    let status = daemon.run("node status --all");
    assert_eq!(status.0, 0, "{}", status.2);
    assert!(status.1.contains("node1: on, ok") && status.1.contains("node2: on, ok"), "{}", status.1);
    for bmc in [&one, &two] {
        bmc.set_latency(Duration::from_millis(100));
    }
    // Several machines are not interrupted without a word.
    let asked = daemon.run("node power off --now --all");
    assert_eq!((asked.0, asked.1.as_str()), (2, ""));
    assert!(asked.2.contains("power off interrupts 2 machines: node1, node2: give --yes to mean it"), "{}", asked.2);
    assert!([&one, &two].iter().all(|bmc| bmc.state().resets.is_empty()));
    let off = daemon.run("node power off --now node2 node1 --reason fans --yes");
    assert_eq!(off.0, 0, "{}", off.2);
    assert!(
        off.1.contains("node1: on -> off (ForceOff)\n") && off.1.contains("node2: on -> off (ForceOff)\n"),
        "{}",
        off.1
    );
    assert!(off.2.lines().any(|line| line.starts_with("node1: ")), "no step is told: {}", off.2);
    one.set_latency(Duration::ZERO);
    two.set_latency(Duration::ZERO);
    let listed = daemon.run("node operations node1");
    assert!(listed.1.contains("power off") && listed.1.contains("on -> off (ForceOff)"), "{}", listed.1);
    let audit = daemon.run("audit --node node1").1;
    assert!(audit.contains("asked for: fans") && audit.contains("done: on -> off"), "{audit}");

    // One object for each node, and the code of the first that failed.
    let json = daemon.run("node power on node1 node3 --json");
    assert_eq!(json.0, 1);
    let objects: Vec<Value> = json.1.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |node: &str| objects.iter().find(|object| object["node"] == node).unwrap();
    assert_eq!((objects.len(), &find("node1")["state"]), (2, &"done".into()));
    assert_eq!(find("node3")["error"]["message"], "node3 has no BMC: set `bmc` in nodes.toml");
    assert_eq!(daemon.run("node status node9 node3").0, 3);
    assert_eq!(daemon.run("node status node3 node9").0, 1);
    assert_eq!(daemon.run("node raw get /etc/passwd node1").0, 2);
    let raw = daemon.run("node raw get /redfish/v1/ node1");
    assert!(raw.0 == 0 && raw.1.contains("\"RedfishVersion\": \"1.18.0\""), "{}", raw.1);

    daemon.lab.credentials(2, "operator:sup3r-s3cret-pw\n", 0o640);
    let open = daemon.run("node status node2");
    assert!(
        open.0 == 9 && open.2.contains("others than the daemon may read it") && open.2.contains("help: sudo chmod"),
        "{}",
        open.2
    );
    daemon.lab.credentials(2, "operator:sup3r-s3cret-pw\n", 0o600);
    assert_eq!(daemon.run("node trust node2").0, 0);
    two.new_certificate();
    assert_eq!(daemon.run("node status node2").0, 12);
    let trust = daemon.run("node trust node2");
    assert!(trust.0 == 12 && trust.2.contains("compare it on the spot"), "{}", trust.2);
    assert_eq!(daemon.run("node trust node2 --forget").0, 0);
    assert_eq!(daemon.run("node trust node2 --forget").0, 3);
    assert_eq!(daemon.run("node status node2").0, 0);
    one.stop();
    assert_eq!(daemon.run("node status node2 node1").0, 11);
    assert!(daemon.run("node --help").1.contains("  14  it accepted, and reading back shows otherwise"));
}

#[test]
fn installing_is_followed_to_its_end() {
    let (_runtime, [one, two]) = simulators();
    let daemon = Daemon::of(Lab::with_bmcs(2, &[one.address(), two.address()]));
    let refused = daemon.run("node install node2");
    assert!(refused.0 == 2 && refused.2.contains("erases the disk of node2"), "{}", refused.2);
    let boots = |count: usize| {
        let end = Instant::now() + Duration::from_secs(20);
        while two.state().boots.len() < count {
            assert!(Instant::now() < end, "the machine is not started");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let report_of = || {
        let script = daemon.ask("nodes.sock", "/nodes/52-54-00-00-00-02.ipxe");
        let token = script.split("/seed/").nth(1).unwrap().get(..32).unwrap().to_owned();
        let seed = daemon.ask("nodes.sock", &format!("/seed/{token}/user-data"));
        format!("/report/{}", seed.split("/report/").nth(1).unwrap().get(..32).unwrap())
    };
    let installs = daemon.command("node install node2 --yes").spawn().unwrap();
    boots(1);
    let report = report_of();
    daemon.send("nodes.sock", &format!("POST {report}/installed"), "");
    let system = r#"{"hostname": "node2", "address": "10.10.0.2", "ssh-host-keys": ["ssh-ed25519 AAAA= root@node2"]}"#;
    daemon.send("nodes.sock", &format!("POST {report}/first-boot"), system);
    let ended = installs.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(
        (ended.status.code(), String::from_utf8(ended.stdout).unwrap().as_str()),
        (Some(0), "node2 is verified\n"),
        "{told}"
    );
    assert!(told.contains("node2: verified"), "{told}");
    // One that is given up has failed.
    let installs = daemon.command("node install node2 --yes").spawn().unwrap();
    boots(2);
    report_of();
    assert_eq!(daemon.run("disarm node2 --reason enough").0, 0);
    let ended = installs.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(15), "{told}");
    assert!(told.contains("node2 is failed: given up: enough") && told.contains("provd log node2"), "{told}");
}

#[test]
fn whoever_stops_following_leaves_the_installation_going() {
    let (_runtime, [one]) = simulators();
    let daemon = Daemon::of(Lab::with_bmcs(1, &[one.address()]));
    let follower = daemon.command("node install node1 --yes").spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while one.state().boots.is_empty() {
        assert!(Instant::now() < end, "the machine is not started");
        std::thread::sleep(Duration::from_millis(20));
    }
    let stopped = Command::new("kill").args(["-INT", &follower.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    let ended = follower.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(15), "{told}");
    assert!(told.contains("it goes on by itself") && told.contains("provd disarm node1"), "{told}");
    assert!(daemon.run("show node1").1.starts_with("node1 is armed"));
}

#[test]
fn a_daemon_that_is_told_to_stop_switches_on_again_what_it_has_switched_off() {
    let (_runtime, [one]) = simulators();
    one.fault(Fault::PowerSlow(Duration::from_millis(1500)));
    let mut daemon = Daemon::of(Lab::with_bmcs(1, &[one.address()]));
    let follower = daemon.command("node power cycle --now node1").spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while one.state().resets.is_empty() {
        assert!(Instant::now() < end, "the machine is not switched off");
        std::thread::sleep(Duration::from_millis(10));
    }
    let told = Command::new("kill").args(["-TERM", &daemon.child.id().to_string()]).status().unwrap();
    assert!(told.success());
    // What reads is answered, what would write is not begun.
    let end = Instant::now() + Duration::from_secs(20);
    let refused = loop {
        let refused = daemon.run("node boot once pxe node1");
        if !refused.2.contains("is busy") || Instant::now() > end {
            break refused;
        }
    };
    assert!(refused.0 == 1 && refused.2.contains("provd is stopping"), "{}", refused.2);
    assert_eq!(daemon.run("nodes").0, 0);
    assert!(one.state().resets == ["ForceOff"] && one.state().power != Power::On, "it was too quick for this test");
    assert!(daemon.child.wait().unwrap().success());
    assert_eq!(one.state().resets, ["ForceOff", "On"]);
    assert!(matches!(one.state().power, Power::On | Power::PoweringOn));
    // Its end is on the disk.
    daemon.restart();
    let followed = follower.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(followed.stdout).unwrap(), "node1: on -> on (ForceOff, On)\n");
    assert!(daemon.run("node operations node1").1.contains("done"));
}

fn read_until(out: &mut impl std::io::Read, wanted: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(wanted) {
        let mut bytes = [0; 512];
        let length = out.read(&mut bytes).unwrap();
        assert!(length > 0, "the stream has ended before '{wanted}'");
        seen.extend_from_slice(&bytes[..length]);
    }
}
