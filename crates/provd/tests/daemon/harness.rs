//! A directory with everything that the daemon needs, and the daemon in it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use netboot::{Declared, MacAddr};
use provd::store::{Audited, Store};

pub(crate) const PROVD: &str = env!("CARGO_BIN_EXE_provd");
/// Longest time for what takes moments.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Lab {
    pub(crate) directory: tempfile::TempDir,
}

pub(crate) fn mac(number: u8) -> MacAddr {
    MacAddr::from_bytes([0x52, 0x54, 0, 0, 0, number])
}

pub(crate) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 10, 1, number)
}

/// Nodes 10, 11, ... of 10.10.1.0/24, that all install `noble`.
pub(crate) fn declared(nodes: u8, webhooks: &[String]) -> Declared {
    let node = |number: u8| {
        serde_json::json!({"hostname": format!("node{number}"), "mac": mac(number), "address": address(number),
            "address6": null, "addresses": {}, "memory": null, "secure-boot": true, "install": "noble", "disk": null,
            "bmc": null, "roles": [], "dhcp-options": {}})
    };
    let nodes: Vec<_> = (10..10 + nodes).map(node).collect();
    serde_json::from_value(serde_json::json!({"format": 1, "name": "lab",
        "site": {"server": "10.10.1.1", "subnet": "10.10.1.0/24", "domain": "lab.example", "gateway": "10.10.1.1"},
        "inventory": {"nodes": nodes},
        "installers": {"noble": {"medium": true, "system": {"release": "ubuntu-24.04", "locale": "C.UTF-8",
            "keyboard": {"layout": "us", "variant": null}, "timezone": "Etc/UTC",
            "account": {"name": "ubuntu", "password-hash": null, "ssh-keys": []},
            "storage": "direct", "addressing": "dhcp", "packages": [], "mirror": null, "early-commands": [],
            "late-commands": [], "kernel-parameters": []}}},
        "control": {"arming": 3600, "silence": 1800, "first-boot": 1800, "webhooks": webhooks}}))
    .unwrap()
}

impl Lab {
    pub(crate) fn new(declared: &Declared) -> Lab {
        let lab = Lab { directory: tempfile::tempdir().unwrap() };
        for directory in ["served/media/noble", "grub", "sockets"] {
            fs::create_dir_all(lab.path(directory)).unwrap();
        }
        for file in ["vmlinuz", "initrd", "noble.iso"] {
            fs::write(lab.path("served/media/noble").join(file), file).unwrap();
        }
        fs::write(lab.path("declared.json"), serde_json::to_string(declared).unwrap()).unwrap();
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The command that serves from this directory.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(PROVD);
        command.arg("serve");
        for (option, name) in [
            ("--declared", "declared.json"),
            ("--database", "state.db"),
            ("--served", "served"),
            ("--grub-nodes", "grub"),
            ("--sockets", "sockets"),
            ("--webhook-secret", "webhook-secret"),
            ("--webhook-authorities", "webhook-ca.pem"),
        ] {
            command.arg(option).arg(self.path(name));
        }
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.log_file());
        command
    }

    fn log_file(&self) -> fs::File {
        fs::File::options().append(true).create(true).open(self.path("log")).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn start(&self) -> Daemon {
        let mut daemon = Daemon { child: self.command().spawn().unwrap() };
        wait_for(|| {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("provd ended with {status}:\n{}", self.log());
            }
            self.request("dhcp", "GET", "/", "").is_ok().then_some(())
        });
        daemon
    }

    /// A start that must fail: its status, and what it said.
    pub(crate) fn start_in_vain(&self, command: &mut Command) -> (ExitStatus, String) {
        let before = self.log().len();
        let mut child = command.spawn().unwrap();
        let status = wait_for(|| child.try_wait().unwrap());
        (status, self.log()[before..].to_owned())
    }

    /// One request over one of the sockets: status and body.
    pub(crate) fn request(&self, socket: &str, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
        self.request_from(socket, method, path, body, "10.10.1.250")
    }

    /// The same, for a client that nginx saw at this address.
    pub(crate) fn request_from(
        &self,
        socket: &str,
        method: &str,
        path: &str,
        body: &str,
        from: &str,
    ) -> io::Result<(u16, String)> {
        let mut stream = UnixStream::connect(self.path("sockets").join(format!("{socket}.sock")))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: provd\r\nConnection: close\r\nX-Provbuild-Address: {from}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        Ok((status, body.to_owned()))
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.path("state.db")).unwrap()
    }

    /// The audit log, whose chain is checked.
    pub(crate) fn audit(&self) -> Vec<Audited> {
        let store = self.store();
        Audited::verify(&store).unwrap().unwrap();
        store.read(|connection| Audited::after(connection, None, 0, 1_000_000)).unwrap()
    }
}

/// The daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
}

impl Drop for Daemon {
    /// SIGKILL: the daemon cannot tidy up.
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is an answer.
pub(crate) fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "nothing happened for {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
