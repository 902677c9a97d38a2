//! A profile with a Workstation to deploy to, in a directory of the test's own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use provbuild::vocab::Digest;
use vmware_stand_in::{Bench, Mode};

use crate::fake_build::{self, Behaviour};
use crate::guest::Guest;

pub(crate) const NAME: &str = "lab";
/// Of node1's BMC; never seen anywhere but on the seed medium.
pub(crate) const PASSWORD: &str = "ADMIN:c0rrect-horse-battery";

pub(crate) struct Lab {
    pub(crate) guest: Guest,
    pub(crate) bench: Arc<Bench>,
    directory: tempfile::TempDir,
}

/// What a run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// The code is this one, and the texts hold these.
    #[track_caller]
    pub(crate) fn is(&self, code: i32, texts: &[&str]) -> &Said {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        for text in texts {
            let (out, err) = (&self.stdout, &self.stderr);
            assert!(out.contains(text) || err.contains(text), "no '{text}' in\n{out}\n{err}");
        }
        self
    }
}

impl Lab {
    pub(crate) fn new() -> Lab {
        Lab::with("")
    }

    /// `more` stands in the profile's table [deploy].
    pub(crate) fn with(more: &str) -> Lab {
        let directory = tempfile::tempdir().unwrap();
        let stub = Bench::executable().expect("stub-vmrun is built: cargo build --release -p vmware-stand-in");
        let mut bench = Bench::new(&directory.path().join("stand-in"), Mode::Paper, &stub).unwrap();
        bench.set("VMWARE_STANDIN_SOFT_STOP", "30").unwrap();
        bench.address(None).unwrap();
        let bench = Arc::new(bench);
        let vmx = directory.path().canonicalize().unwrap().join(format!("vms/{NAME}/{NAME}.vmx"));
        let guest = Guest::new(bench.clone(), vmx);
        let lab = Lab { guest, bench, directory };
        fs::create_dir(lab.path("secrets")).unwrap();
        fs::set_permissions(lab.path("secrets"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(lab.path("secrets/node1"), PASSWORD).unwrap();
        fs::set_permissions(lab.path("secrets/node1"), fs::Permissions::from_mode(0o600)).unwrap();
        let nodes = "[[node]]\nhostname = \"node1\"\nmac = \"52:54:00:aa:00:01\"\naddress = \"10.10.1.11\"\n\
                     bmc = { address = \"10.10.2.11\", kind = \"redfish\", credentials = \"file:secrets/node1\" }\n";
        fs::write(lab.path("nodes.toml"), nodes).unwrap();
        lab.profile(more);
        lab
    }

    pub(crate) fn profile(&self, more: &str) {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/debian.toml");
        let mut timeouts = String::new();
        for (key, value) in [("health-timeout", "1min"), ("stop-timeout", "1min")] {
            if !more.contains(key) {
                timeouts += &format!("{key} = \"{value}\"\n");
            }
        }
        let text = format!(
            "imports = [{base:?}]\nnodes = \"nodes.toml\"\n\n[appliance]\nname = {NAME:?}\n\n\
             [network.provisioning]\naddress = \"10.10.1.1/24\"\ndhcp.range = \"10.10.1.100-10.10.1.150\"\n\n\
             [outputs]\nformats = {{ replace = [\"vmx\"] }}\n\n\
             [deploy]\nstate-disk = \"1GiB\"\n{timeouts}{more}\n[deploy.workstation]\ndirectory = \"vms\"\n"
        );
        fs::write(self.path("profile.toml"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    /// Of the machine.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path("vms").join(NAME).join(name)
    }

    /// Makes another build.
    pub(crate) fn build(&self, version: u32, behaviour: Behaviour) -> Digest {
        fake_build::build(&self.path("out"), NAME, version, behaviour)
    }

    /// `provbuild COMMAND profile.toml ...`, with vmrun in its PATH and nothing else of the test's environment.
    pub(crate) fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut built = Command::new(env!("CARGO_BIN_EXE_provbuild"));
        built.args([command, "profile.toml"]).args(arguments).current_dir(self.directory.path());
        if command == "deploy" && !arguments.contains(&"--rollback") {
            built.arg("--no-build");
        }
        let path = format!("{}:/usr/bin:/bin", self.bench.bin().display());
        built.env_clear().env("HOME", self.path("home")).env("PATH", path);
        built.stdin(Stdio::null());
        built
    }

    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> Said {
        said(&mut self.command(command, arguments))
    }

    pub(crate) fn deploy(&self, arguments: &[&str]) -> Said {
        self.run("deploy", arguments)
    }

    /// The record, as `generations --json` has it.
    pub(crate) fn generations(&self) -> serde_json::Value {
        let said = self.run("generations", &["--json"]);
        said.is(0, &[]);
        serde_json::from_str(&said.stdout).unwrap()
    }

    pub(crate) fn current(&self) -> Option<u64> {
        self.generations()["record"]["current"].as_u64()
    }

    /// vmrun's commands so far.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.bench.calls().unwrap().iter().map(|call| call.command().to_owned()).collect()
    }

    /// How often vmrun was asked for this, whatever it answered.
    pub(crate) fn count(&self, command: &str) -> usize {
        self.commands().iter().filter(|known| *known == command).count()
    }

    pub(crate) fn is_running(&self) -> bool {
        let output = Command::new(self.bench.vmrun()).arg("list").output().unwrap();
        String::from_utf8(output.stdout).unwrap().starts_with("Total running VMs: 1")
    }

    /// Every file of the machine with its digest and when it was last written.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, (Digest, i64, i64)> {
        let mut found = BTreeMap::new();
        let mut directories = vec![self.path("vms")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let about = path.metadata().unwrap();
                    found.insert(
                        path.clone(),
                        (Digest::of(&fs::read(&path).unwrap()), about.mtime(), about.mtime_nsec()),
                    );
                }
            }
        }
        found
    }

    /// The state disk is the one that the first boot has formatted, and nothing has touched it since.
    #[track_caller]
    pub(crate) fn state_is_intact(&self, before: &StateDisk) {
        assert_eq!(&self.state_disk(), before);
    }

    pub(crate) fn state_disk(&self) -> StateDisk {
        let path = self.at("state.vmdk");
        StateDisk { inode: path.metadata().unwrap().ino(), digest: Digest::of(&fs::read(path).unwrap()) }
    }

    /// No file holds the secret, but the one that the operator has put it in; and vmrun was not told it.
    #[track_caller]
    /// While the machine runs a file of zeros stays in its place.
    #[track_caller]
    pub(crate) fn the_medium_is_wiped(&self) {
        let medium = fs::read(self.at("seed.iso")).unwrap_or_default();
        assert!(medium.iter().all(|byte| *byte == 0), "the seed medium is not wiped");
    }

    pub(crate) fn no_secret_is_left(&self) {
        let mut directories = vec![self.path("vms"), self.path("out"), self.path("stand-in"), self.path("home")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if let Ok(bytes) = fs::read(&path) {
                    let held = memchr::memmem::find(&bytes, PASSWORD.as_bytes()).is_some();
                    assert!(!held, "{} holds the password", path.display());
                }
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateDisk {
    inode: u64,
    digest: Digest,
}

pub(crate) fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
