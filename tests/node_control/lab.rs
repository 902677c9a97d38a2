//! Simulated BMCs on addresses of the loopback, a profile and a nodes.toml that name them, and the real tool.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use redfish_simulator::{Model, Simulator};

/// For what takes moments, on a machine that has other things to do as well.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Lab {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) bmcs: Vec<Simulator>,
}

impl Lab {
    /// node1, node2, ..., each with a BMC by the book.
    pub(crate) fn new(nodes: u8) -> Lab {
        Lab::of((0..nodes).map(|_| Model::generic()).collect())
    }

    pub(crate) fn of(models: Vec<Model>) -> Lab {
        let bind = |(index, model): (usize, Model)| {
            let address = SocketAddr::new(address(index + 1).into(), 0);
            Simulator::bind_blocking(address, model).unwrap()
        };
        let bmcs: Vec<Simulator> = models.into_iter().enumerate().map(bind).collect();
        let lab = Lab { directory: tempfile::tempdir().unwrap(), bmcs };
        fs::DirBuilder::new().mode(0o700).create(lab.path("secrets")).unwrap();
        for (index, bmc) in lab.bmcs.iter().enumerate() {
            let (user, password) = bmc.credentials();
            lab.secret(&format!("secrets/node{}", index + 1), &format!("{user}:{password}\n"));
        }
        lab.profile("");
        let ports: Vec<u16> = lab.bmcs.iter().map(|bmc| bmc.address().port()).collect();
        lab.nodes(&ports, &|number| format!("file:secrets/node{number}"), "");
        lab
    }

    pub(crate) fn profile(&self, more: &str) {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/debian.toml");
        let text = format!(
            "imports = [{base:?}]\nnodes = \"nodes.toml\"\n\n[appliance]\nname = \"lab\"\n\n\
             [network.provisioning]\naddress = \"10.10.1.1/24\"\ndhcp.range = \"10.10.1.100-10.10.1.150\"\n{more}"
        );
        fs::write(self.path("profile.toml"), text).unwrap();
    }

    /// Writes nodes.toml. `more` stands in every node's own table.
    pub(crate) fn nodes(&self, ports: &[u16], credentials: &dyn Fn(usize) -> String, more: &str) {
        let node = |(index, port): (usize, &u16)| {
            let number = index + 1;
            format!(
                "[[node]]\nhostname = \"node{number}\"\nmac = \"52:54:00:aa:00:{number:02x}\"\naddress = \"10.10.1.{}\"\n\
                 bmc = {{ address = \"{}\", port = {port}, kind = \"redfish\", credentials = \"{}\" }}\n{more}\n",
                number + 10,
                address(number),
                credentials(number),
            )
        };
        fs::write(self.path("nodes.toml"), ports.iter().enumerate().map(node).collect::<String>()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file that only its owner reads.
    pub(crate) fn secret(&self, name: &str, text: &str) {
        let mut options = fs::File::options();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(self.path(name)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    }

    /// `provbuild node ...` with nothing of this test's own environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provbuild"));
        command.arg("node").args(arguments).current_dir(self.directory.path());
        command.env_clear().env("HOME", self.path("home"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().unwrap())
    }

    /// Starts it, and lets the test do something meanwhile.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.path("home/.local/state/provbuild/bmc-certificates")
    }

    /// Requests that no BMC answered.
    pub(crate) fn nothing_was_sent(&self) {
        for bmc in &self.bmcs {
            assert!(bmc.requests().is_empty(), "{:?}", bmc.requests());
        }
    }
}

pub(crate) fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, u8::try_from(number).unwrap())
}

pub(crate) fn ip(number: usize) -> IpAddr {
    address(number).into()
}

/// What a run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Said {
        Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The code is this one, and the texts hold these.
    #[track_caller]
    pub(crate) fn is(&self, code: i32, texts: &[&str]) -> &Said {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        for text in texts {
            assert!(
                self.stdout.contains(text) || self.stderr.contains(text),
                "no '{text}' in\n{}\n{}",
                self.stdout,
                self.stderr
            );
        }
        self
    }

    /// Those of the nodes: where something failed, one more sums it up.
    pub(crate) fn objects(&self) -> Vec<serde_json::Value> {
        let all = self.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        let (errors, nodes): (Vec<_>, _) = all.partition(|object: &serde_json::Value| object["event"] == "error");
        let codes: Vec<_> = errors.iter().map(|error| error["code"].as_i64()).collect();
        assert_eq!(codes, if self.code == 0 { vec![] } else { vec![Some(self.code.into())] }, "{self:?}");
        nodes
    }
}

/// Ctrl-C.
pub(crate) fn interrupt(child: &Child) {
    signal(child, Signal::SIGINT);
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}

/// Asks until there is an answer.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what} has not happened for {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
