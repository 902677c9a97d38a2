//! Which disk is the state disk, and whether one is to be made.
//!
//! | state disk | seed medium | marker | outcome |
//! |---|---|---|---|
//! | there | | | mounted |
//! | none | "new" | | the one empty disk is formatted, then mounted; none or several: a failure |
//! | none | "keep" | | a failure |
//! | none | none | there | a failure |
//! | none | none | none | the state lies on the system disk |
//!
//! The marker lies on the system disk and is written as soon as a medium was seen: from then on this system does not start its daemon
//! without the state disk. Before a disk is formatted its place is noted beside the marker: a machine that is switched off meanwhile leaves
//! a disk that is neither empty nor anything, and the next boot begins with it again.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use netboot::{Seed, SeedState};

use super::disks::{self, Disk};
use super::{MediumError, read};

/// Label of the state disk's file system.
const LABEL: &str = "provbuild-state";
const PAUSE: Duration = Duration::from_secs(1);

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Places {
    pub sys: PathBuf,
    pub dev: PathBuf,
    pub mountinfo: PathBuf,
    /// Where udev shows the seed medium.
    pub medium: PathBuf,
    /// Directory on the system disk for the marker and the note.
    pub memory: PathBuf,
    /// For a state disk that must be there to appear.
    pub patience: Duration,
}

impl Places {
    /// Where udev shows the state disk.
    fn state(&self) -> PathBuf {
        self.dev.join("disk/by-label").join(LABEL)
    }

    fn marker(&self) -> PathBuf {
        self.memory.join("deployed")
    }

    fn note(&self) -> PathBuf {
        self.memory.join("formatting")
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The state disk is there.
    Mount,
    /// The same, and it was made just now.
    Made(PathBuf),
    /// Nobody speaks of a state disk.
    None,
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(transparent)]
    Medium(#[from] MediumError),
    #[error(
        "this appliance was deployed with a state disk, and there is none with the label {LABEL}; attach it and start again. Disks: {0}"
    )]
    Missing(String),
    #[error(
        "there is no state disk yet, and none of the disks is empty; an empty one of 1 GiB or more becomes it. Disks: {0}"
    )]
    NoneEmpty(String),
    #[error("there is no state disk yet, and more than one disk is empty: leave one of them. Disks: {0}")]
    Several(String),
    #[error("cannot {what}: {source}")]
    Io { what: String, source: io::Error },
}

/// What other programs do.
pub trait Tools {
    /// What a device holds, in a word; `None` for nothing that is known.
    ///
    /// # Errors
    /// That is not clear.
    fn probe(&self, device: &Path) -> io::Result<Option<String>>;

    /// Makes the file system, on the disk when this returns.
    ///
    /// # Errors
    /// It is not made, or not whole.
    fn format(&self, device: &Path) -> io::Result<()>;

    /// Lets udev look at the device again, and waits until it has.
    ///
    /// # Errors
    /// udev could not be asked.
    fn announce(&self, device: &Path) -> io::Result<()>;
}

/// Finds the state disk, or makes it where the seed medium says so.
///
/// # Errors
/// There must be one and is not, or it is not clear which disk it is to be.
pub fn prepare(places: &Places, tools: &dyn Tools) -> Result<Outcome, StateError> {
    let io = |what: String| move |source| StateError::Io { what, source };
    let seed = read(&places.medium)?;
    if let Some(seed) = &seed {
        mark(places, seed).map_err(io(format!("write {}", places.marker().display())))?;
    }
    let deployed = seed.is_some() || places.marker().exists();
    let new = seed.as_ref().is_some_and(|seed| seed.state == SeedState::New);
    let mut left = if deployed { places.patience } else { Duration::ZERO };
    loop {
        if places.state().exists() {
            forget(places).map_err(io(format!("remove {}", places.note().display())))?;
            return Ok(Outcome::Mount);
        }
        if !deployed {
            return Ok(Outcome::None);
        }
        let disks = disks::disks(&places.sys, &places.dev, &places.mountinfo, &|device| tools.probe(device))
            .map_err(io("look at the disks".to_owned()))?;
        let refused = match choose(&disks, places, new) {
            Ok(disk) => {
                make(places, tools, disk).map_err(io(format!("make the state disk {}", disk.device.display())))?;
                return Ok(Outcome::Made(disk.device.clone()));
            }
            Err(refused) => refused,
        };
        // More disks make several no fewer.
        if left.is_zero() || matches!(refused, StateError::Several(_)) {
            return Err(refused);
        }
        let pause = PAUSE.min(left);
        std::thread::sleep(pause);
        left -= pause;
    }
}

/// The disk that is to be formatted.
fn choose<'d>(disks: &'d [Disk], places: &Places, new: bool) -> Result<&'d Disk, StateError> {
    let all = || disks.iter().map(Disk::to_string).collect::<Vec<_>>().join("; ");
    if !new {
        return Err(StateError::Missing(all()));
    }
    let noted = fs::read_to_string(places.note()).ok();
    let begun = |disk: &Disk| disk.begun && noted.as_deref() == Some(&note(disk));
    let mut empty = disks.iter().filter(|disk| disk.taken.is_none() || begun(disk));
    match (empty.next(), empty.next()) {
        (Some(disk), None) => Ok(disk),
        (Some(_), Some(_)) => Err(StateError::Several(all())),
        (None, _) => Err(StateError::NoneEmpty(all())),
    }
}

fn make(places: &Places, tools: &dyn Tools, disk: &Disk) -> io::Result<()> {
    write(&places.memory, &places.note(), &note(disk))?;
    tools.format(&disk.device)?;
    forget(places)?;
    tools.announce(&disk.device)
}

fn note(disk: &Disk) -> String {
    format!("{} {}\n", disk.size, disk.identity)
}

fn mark(places: &Places, seed: &Seed) -> io::Result<()> {
    let text = format!("deployment {}\ngeneration {}\n", seed.deployment, seed.generation);
    if fs::read_to_string(places.marker()).is_ok_and(|found| found == text) {
        return Ok(());
    }
    write(&places.memory, &places.marker(), &text)
}

fn forget(places: &Places) -> io::Result<()> {
    match fs::remove_file(places.note()) {
        Ok(()) => File::open(&places.memory)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn write(directory: &Path, path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let aside = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o644).open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(aside, path)?;
    File::open(directory)?.sync_all()
}

/// The system's own programs.
#[derive(Debug, Clone, Copy)]
pub struct Programs;

impl Tools for Programs {
    fn probe(&self, device: &Path) -> io::Result<Option<String>> {
        // blkid's 2 is also for a device that it cannot read.
        File::open(device)?.read_exact(&mut [0])?;
        let mut command = Command::new("/usr/sbin/blkid");
        let output = command
            .args(["--probe", "--output", "value", "--match-tag", "TYPE", "--match-tag", "PTTYPE"])
            .arg(device)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(", ");
        // blkid(8): 2, if nothing is known of it; 8, if several are possible.
        match output.status.code() {
            Some(2) if said.is_empty() && output.stderr.is_empty() => Ok(None),
            Some(0) => Ok(Some(if said.is_empty() { "something that blkid knows".to_owned() } else { said })),
            _ => Err(io::Error::other(format!("blkid: {}", output.status))),
        }
    }

    fn format(&self, device: &Path) -> io::Result<()> {
        // -F: it asks nobody; whatever is mounted or in use it refuses all the same.
        run(Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-F", "-L", LABEL]).arg(device))
    }

    fn announce(&self, device: &Path) -> io::Result<()> {
        run(Command::new("/usr/bin/udevadm").args(["trigger", "--settle", "--action=change"]).arg(device))
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{}: {}: {}",
            command.get_program().display(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
