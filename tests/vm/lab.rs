//! A private network for virtual machines and clients: a network namespace with a bridge, the provisioning network.
//!
//! Needs no root where unprivileged user namespaces are allowed and /dev/net/tun can be opened. The machines run inside
//! the namespace too, so their uplink (QEMU's user network) reaches nothing outside: what a test sees does not depend on
//! the site. The namespace lives as long as the process that holds it, and that ends with the test, however it ends.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The bridge, and the client's own interface on it.
pub(crate) const BRIDGE: &str = "prov";

pub(crate) struct Lab {
    holder: Child,
    own_user_namespace: bool,
    /// Where consoles and captured files are kept after the test, for whoever reads a failed run.
    pub(crate) directory: PathBuf,
}

impl Lab {
    /// A lab with `taps` ports (`tap0`, `tap1`, ...) on the bridge.
    pub(crate) fn new(name: &str, taps: usize) -> Lab {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm").join(name);
        if let Err(error) = std::fs::remove_dir_all(&directory) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", directory.display());
        }
        std::fs::create_dir_all(&directory).unwrap();

        let own_user_namespace = !nix::unistd::geteuid().is_root();
        let mut setup =
            format!("set -e; ip link set lo up; ip link add {BRIDGE} type bridge; ip link set {BRIDGE} up; ");
        for tap in 0..taps {
            setup += &format!("ip tuntap add tap{tap} mode tap; ip link set tap{tap} master {BRIDGE} up; ");
        }
        // `cat` ends when the test's end of the pipe is closed, also when the test is killed.
        setup += "echo ready; exec cat > /dev/null";
        let mut command = Command::new("unshare");
        if own_user_namespace {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--net", "--mount", "sh", "-c", &setup]);
        let mut holder = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("unshare cannot be run: install util-linux");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line != "ready\n" {
            let mut said = String::new();
            holder.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!(
                "no network namespace with a bridge and taps can be made here: {said}\
                 (needs iproute2, /dev/net/tun, and root or unprivileged user namespaces)"
            );
        }
        Lab { holder, own_user_namespace, directory }
    }

    /// Process id that stands for the namespace, as nsenter and `ip link ... netns` take it.
    pub(crate) fn holder_id(&self) -> u32 {
        self.holder.id()
    }

    /// A command that will run inside the namespace.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.holder.id().to_string());
        if self.own_user_namespace {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["--net", "--mount", "--", program]);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command inside the namespace; panics with what it said if it fails.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.try_run(program, arguments);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn try_run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().unwrap_or_else(|error| panic!("nsenter {program}: {error}"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Nothing can be done about a process that is already gone.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
