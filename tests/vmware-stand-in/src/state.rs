//! What the stand-in knows of a machine between two calls: `machines/ID/machine.json`.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::hash;

const FILE_NAME: &str = "machine.json";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// As it was named at the start, absolute.
    pub vmx: PathBuf,
    /// Of this host, for QEMU's forwarded ports.
    pub address: IpAddr,
    pub running: Option<Running>,
    /// Files of the disks, canonical.
    pub disks: Vec<PathBuf>,
    /// CDs by device ("sata0:1").
    pub devices: BTreeMap<String, Device>,
    /// guestVar by name.
    pub variables: BTreeMap<String, String>,
    pub starts: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// `None` on paper.
    pub process: Option<Process>,
    pub since: f64,
    /// Seconds since 1970 at which it goes off by itself.
    pub dies_at: Option<f64>,
    pub gui: bool,
}

/// A process that is not taken for another one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub id: i32,
    /// In clock ticks since the host's boot.
    pub born: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub file: PathBuf,
    pub connected: bool,
}

impl Process {
    pub(crate) fn of(id: i32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name in parentheses may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let alive = !matches!(fields.next()?, "Z" | "X");
        let born = fields.nth(18)?.parse().ok()?;
        alive.then_some(Process { id, born })
    }

    pub(crate) fn lives(self) -> bool {
        Process::of(self.id) == Some(self)
    }

    pub(crate) fn kill(self) {
        if self.lives() {
            // It may have ended by itself since.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.id), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// The same for each spelling of a path.
pub(crate) fn identity(vmx: &Path) -> String {
    let directory = vmx.parent().and_then(|at| at.canonicalize().ok());
    let path = match (directory, vmx.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        _ => vmx.to_owned(),
    };
    format!("{:016X}", hash(path.as_os_str().as_encoded_bytes()))
}

impl State {
    pub(crate) fn new(vmx: &Path, network: [u8; 2]) -> State {
        let number = hash(identity(vmx).as_bytes());
        let part = |shift: u32| u8::try_from((number >> shift) % 254).unwrap_or(0) + 1;
        State {
            vmx: vmx.to_owned(),
            address: Ipv4Addr::new(network[0], network[1], part(8), part(24)).into(),
            running: None,
            disks: Vec::new(),
            devices: BTreeMap::new(),
            variables: BTreeMap::new(),
            starts: 0,
        }
    }

    pub(crate) fn load(directory: &Path) -> io::Result<Option<State>> {
        match std::fs::read_to_string(directory.join(FILE_NAME)) {
            Ok(text) => Ok(Some(serde_json::from_str(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn save(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory)?;
        crate::replace(&directory.join(FILE_NAME), serde_json::to_string_pretty(self)?.as_bytes())
    }
}
