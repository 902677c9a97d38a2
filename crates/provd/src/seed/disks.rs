//! The machine's disks as sysfs has them, and which of them is empty.
//!
//! In: `/sys`, `/dev`, `/proc/self/mountinfo`. Out: each disk with why it is not to be formatted. Invariant: a disk counts as empty only
//! where everything says so: no partition, no user, nothing that blkid knows, zeros at both ends. The one exception is a file system of ours that says of itself that it was never
//! used.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes at each end that must be zero: where file systems, RAID and partition tables say that they are there.
const END: u64 = 1 << 20;
/// Bytes of the smallest state disk: what `deploy.state-disk` accepts.
const SMALLEST: u64 = 1 << 30;
/// sysfs counts in these, whatever the disk's own sectors are.
const SECTOR: u64 = 512;

/// What a device holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing that is known.
    Nothing,
    /// A state disk's file system that was never used: its making was cut off before it got the label.
    Unfinished,
    /// In a word or two.
    Other(String),
}

/// One disk; what is no disk (CD drives, loops, memory) is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) device: PathBuf,
    pub(super) size: u64,
    /// Its place in the machine.
    pub(super) identity: String,
    /// `None`: nothing speaks against it.
    pub(super) taken: Option<String>,
    /// As [`Disk::taken`], whatever its ends hold: a disk whose formatting was cut off.
    pub(super) begun: bool,
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.taken.as_deref().unwrap_or("empty");
        write!(f, "{} ({} MiB): {state}", self.device.display(), self.size >> 20)
    }
}

/// All disks, by name. `probe` says what a device holds.
pub(super) fn disks(
    sys: &Path,
    dev: &Path,
    mountinfo: &Path,
    probe: &dyn Fn(&Path) -> io::Result<Content>,
) -> io::Result<Vec<Disk>> {
    let system = root_disk(sys, mountinfo)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(sys.join("block"))? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let directory = fs::canonicalize(sys.join("block").join(name))?;
        let says = |what: &str| fs::read_to_string(directory.join(what)).map(|text| text.trim().to_owned());
        let flag = |what: &str| says(what).is_ok_and(|text| text != "0");
        // A memory card or a stick is nobody's state disk.
        if !directory.join("device").exists() || flag("removable") || flag("hidden") {
            continue;
        }
        let size = says("size")?.parse::<u64>().map_err(io::Error::other)?.saturating_mul(SECTOR);
        let device = dev.join(name);
        let is_partition = |entry: &fs::DirEntry| entry.path().join("partition").exists();
        let mut inside = fs::read_dir(&directory)?.filter_map(Result::ok);
        let held = fs::read_dir(directory.join("holders")).is_ok_and(|mut holders| holders.next().is_some());
        let mut begun = false;
        let taken = if directory == system {
            Some("the system's own".to_owned())
        } else if flag("ro") {
            Some("read-only".to_owned())
        } else if size < SMALLEST {
            Some("smaller than 1 GiB".to_owned())
        } else if inside.any(|entry| is_partition(&entry)) {
            Some("has partitions".to_owned())
        } else if held {
            Some("in use".to_owned())
        } else {
            match probe(&device) {
                Ok(Content::Other(what)) => Some(format!("holds {what}")),
                Ok(Content::Unfinished) => None,
                Ok(Content::Nothing) => {
                    begun = true;
                    match is_zero(&device, size) {
                        Ok(true) => None,
                        Ok(false) => Some("not empty".to_owned()),
                        Err(error) => Some(format!("cannot be read: {error}")),
                    }
                }
                Err(error) => Some(format!("cannot be examined: {error}")),
            }
        };
        let identity = directory.strip_prefix(fs::canonicalize(sys)?).unwrap_or(&directory).display().to_string();
        found.push(Disk { device, size, identity, taken, begun });
    }
    found.sort_by(|a, b| a.device.cmp(&b.device));
    Ok(found)
}

/// The CD drives, by name.
pub(super) fn drives(sys: &Path, dev: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(sys.join("block"))? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("sr"));
        if number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())) {
            found.push(dev.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// sysfs' directory of the disk with the root file system.
fn root_disk(sys: &Path, mountinfo: &Path) -> io::Result<PathBuf> {
    let text = fs::read_to_string(mountinfo)?;
    // proc_pid_mountinfo(5): id, parent, major:minor, root, mount point. The last one lies on top.
    let fields = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let number =
        fields.filter(|fields| fields.get(4) == Some(&"/")).filter_map(|fields| fields.get(2).copied()).next_back();
    let number = number.ok_or_else(|| io::Error::other("no root file system is mounted"))?;
    let directory = fs::canonicalize(sys.join("dev/block").join(number)).map_err(|error| {
        io::Error::new(error.kind(), format!("the disk of the root file system ({number}): {error}"))
    })?;
    Ok(match directory.join("partition").exists() {
        true => directory.parent().unwrap_or(&directory).to_owned(),
        false => directory,
    })
}

fn is_zero(device: &Path, size: u64) -> io::Result<bool> {
    let mut file = File::open(device)?;
    let mut bytes = vec![0; END as usize];
    for at in [0, size - END] {
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut bytes)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}
