//! The command line against a daemon of its own: what it prints, and its exit codes.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
        let lab = Lab::new(2);
        let at = |name: &str| lab.directory.path().join(name);
        let child = Command::new(env!("CARGO_BIN_EXE_provd"))
            .arg("serve")
            .args(
                [at("provd.json").as_os_str(), at("cli.db").as_os_str(), at("served").as_os_str(), at("").as_os_str()]
                    .into_iter()
                    .zip(["--declared", "--database", "--served", "--sockets"])
                    .flat_map(|(path, option)| [option.into(), path.to_owned()]),
            )
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while !at("local.sock").exists() {
            assert!(Instant::now() < end, "the daemon does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Daemon { lab, child }
    }

    /// Exit code, standard output, standard error.
    fn run(&self, line: &str) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_provd"))
            .args(line.split(' '))
            .env("PROVD_SOCKET", self.lab.directory.path().join("local.sock"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
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
    assert_eq!(armed.1, "node1 is armed: installs noble at its next network boot\n");
    assert_eq!(daemon.run("arm node1 --yes").0, 1);
    assert_eq!(daemon.run("show node9").0, 3);
    assert_eq!(daemon.run("audit --verify").0, 0);
    assert_eq!(daemon.run("frobnicate").0, 2);
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
fn whoever_follows_sees_changes_as_they_happen() {
    let daemon = Daemon::start();
    let mut follower = Command::new(env!("CARGO_BIN_EXE_provd"))
        .args(["events", "--follow"])
        .env("PROVD_SOCKET", daemon.lab.directory.path().join("local.sock"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(daemon.run("arm node2 --yes").0, 0);
    let mut seen = Vec::new();
    let mut out = follower.stdout.take().unwrap();
    while !String::from_utf8_lossy(&seen).contains("node2  disk -> armed") {
        let mut bytes = [0; 512];
        let length = out.read(&mut bytes).unwrap();
        assert!(length > 0, "the stream has ended");
        seen.extend_from_slice(&bytes[..length]);
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}
