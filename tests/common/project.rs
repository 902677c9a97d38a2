//! A profile of a test's own in a folder of its own, built by the real tool: profiles/debian.toml with the test's nodes.
//!
//! All heavy tests share one store below target/, so that the archive is asked once; `$PROVBUILD_TEST_STORE` names another.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use provbuild::manifest::Manifest;

/// Two nodes of the subnet 10.10.1.0/24.
pub(crate) const NODES: &str = r#"
[[node]]
hostname = "node1"
mac = "52:54:00:aa:00:01"
address = "10.10.1.21"

[[node]]
hostname = "node2"
mac = "52:54:00:aa:00:02"
address = "10.10.1.22"
"#;

/// The appliance's daemon, that `scripts/build-provd` puts beside the tool.
pub(crate) fn daemon() -> PathBuf {
    let daemon = Path::new(env!("CARGO_BIN_EXE_provbuild")).with_file_name("provd-amd64");
    assert!(daemon.exists(), "{} is missing: run scripts/build-provd", daemon.display());
    daemon
}

pub(crate) struct Project {
    pub(crate) directory: PathBuf,
    pub(crate) name: &'static str,
}

impl Project {
    /// Writes profile.toml and nodes.toml below target/tmp; an earlier lock there stays, as it would on a user's disk.
    pub(crate) fn new(name: &'static str, formats: &[&str], more: &str) -> Project {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
        let profile = format!(
            "imports = [{imports:?}]\nnodes = \"nodes.toml\"\n\n[appliance]\nname = {name:?}\n\n\
             [network.provisioning]\naddress = \"10.10.1.1/24\"\ndhcp.range = \"10.10.1.100-10.10.1.150\"\n\n\
             [outputs]\nformats = {{ replace = {formats:?} }}\n{more}",
            imports = profiles.join("debian.toml"),
        );
        std::fs::write(directory.join("profile.toml"), profile).unwrap();
        std::fs::write(directory.join("nodes.toml"), NODES).unwrap();
        Project { directory, name }
    }

    pub(crate) fn store() -> PathBuf {
        std::env::var_os("PROVBUILD_TEST_STORE")
            .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("store"), PathBuf::from)
    }

    /// `provbuild build`, with the shared store, into `out/` of this folder unless the arguments say otherwise.
    pub(crate) fn build(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provbuild"));
        command.args(["build", "profile.toml"]).args(arguments).current_dir(&self.directory);
        if !arguments.contains(&"--store") {
            command.arg("--store").arg(Project::store());
        }
        command
    }

    /// The same, which must succeed; gives the manifest.
    pub(crate) fn built(&self, arguments: &[&str]) -> Manifest {
        let output = self.build(arguments);
        let (said, listed) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "provbuild build: {}\n{said}\n{listed}", output.status);
        Manifest::read(&self.out()).unwrap()
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.directory.join("out").join(self.name)
    }
}
