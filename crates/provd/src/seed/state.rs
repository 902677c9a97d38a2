//! Which disk is the state disk, and whether one is to be made.
//!
//! | state disk | seed medium | marker | outcome |
//! |---|---|---|---|
//! | there | | | mounted |
//! | several | | | a failure |
//! | none | "new" | | the one empty disk is formatted, then mounted; none or several: a failure |
//! | none | "keep" | | a failure |
//! | none | none | there | a failure |
//! | none | none | none | the state lies on the system disk |
//!
//! The marker lies on the system disk and is written as soon as a medium was seen: from then on this system does not start its daemon
//! without the state disk. Before a disk is formatted its place is noted beside the marker: a machine that is switched off meanwhile leaves
//! a disk that is neither empty nor anything, and the next boot begins with it again. The label comes last, so that it stands for a whole
//! file system; until then there is another label, with which every system may begin again.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use netboot::{Seed, SeedState};

use super::disks::{self, Content, Disk};
use super::{MediumError, read};

/// Label of the state disk's file system.
const LABEL: &str = "provbuild-state";
/// Label of one that is not finished, and so was never used.
const UNFINISHED: &str = "provbuild-begun";
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
    /// Between the two looks before a disk is formatted.
    pub apart: Duration,
    /// For CD drives to say what is in them.
    pub drives: Duration,
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
        "there is no state disk yet, and none of the disks is empty; an empty one of 1 GiB or more becomes it. A disk whose formatting \
         was cut off under another build counts as not empty: where it is that one and nothing else, clear it by hand (wipefs --all DISK; \
         dd if=/dev/zero of=DISK bs=1M count=1) and start again, or let provbuild make a new one (destroy --with-state, deploy). Disks: {0}"
    )]
    NoneEmpty(String),
    #[error(
        "more than one disk has the label {LABEL}, and only one can be the state disk: detach the others. They are: {0}"
    )]
    Labelled(String),
    #[error("{0} has the label {LABEL}, and does not appear below /dev/disk/by-label")]
    Hidden(String),
    #[error("the seed medium is in {0}, and does not appear below /dev/disk/by-label")]
    HiddenMedium(String),
    #[error("the disks change while they are looked at; start again when all of them are there. Disks: {0}")]
    Unsettled(String),
    #[error("there is no state disk yet, and more than one disk is empty: leave one of them. Disks: {0}")]
    Several(String),
    #[error("cannot {what}: {source}")]
    Io { what: String, source: io::Error },
}

/// What other programs do.
pub trait Tools {
    /// What a device holds.
    ///
    /// # Errors
    /// That is not clear.
    fn probe(&self, device: &Path) -> io::Result<Content>;

    /// The devices whose file system has the state disk's label.
    ///
    /// # Errors
    /// They could not be looked at.
    fn labelled(&self) -> io::Result<Vec<PathBuf>>;

    /// What is in a CD drive.
    fn drive(&self, device: &Path) -> Drive;

    /// Makes the file system, on the disk when this returns, as one that is not finished.
    ///
    /// # Errors
    /// It is not made, or not whole.
    fn format(&self, device: &Path) -> io::Result<()>;

    /// Gives the file system the state disk's label, on the disk when this returns.
    ///
    /// # Errors
    /// It may have the one label or the other.
    fn finish(&self, device: &Path) -> io::Result<()>;

    /// Lets udev look at the device again, and waits until it has.
    ///
    /// # Errors
    /// udev could not be asked.
    fn announce(&self, device: &Path) -> io::Result<()>;
}

/// What a CD drive says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drive {
    Empty,
    /// A medium that is no seed.
    Other,
    Seed,
    /// It is not ready, or its medium cannot be read.
    Busy,
}

/// Finds the state disk, or makes it where the seed medium says so.
///
/// # Errors
/// There must be one and is not, or it is not clear which disk it is to be.
pub fn prepare(places: &Places, tools: &dyn Tools) -> Result<Outcome, StateError> {
    let io = |what: String| move |source| StateError::Io { what, source };
    await_medium(places, tools)?;
    let seed = read(&places.medium)?;
    if let Some(seed) = &seed {
        mark(places, seed).map_err(io(format!("write {}", places.marker().display())))?;
    }
    let deployed = seed.is_some() || places.marker().exists();
    let new = seed.as_ref().is_some_and(|seed| seed.state == SeedState::New);
    let mut left = places.patience;
    let mut looked: Option<Vec<Disk>> = None;
    loop {
        // udev's link is one of them, whichever it saw last.
        let labelled = tools.labelled().map_err(io("look for the state disk".to_owned()))?;
        if labelled.len() > 1 {
            return Err(StateError::Labelled(names(&labelled)));
        }
        if places.state().exists() {
            forget(places).map_err(io(format!("remove {}", places.note().display())))?;
            return Ok(Outcome::Mount);
        }
        if let [device] = &*labelled {
            tools.announce(device).map_err(io(format!("have udev look at {}", device.display())))?;
            if !places.state().exists() {
                pause(&mut left).ok_or_else(|| StateError::Hidden(names(&labelled)))?;
            }
            continue;
        }
        if !deployed {
            return Ok(Outcome::None);
        }
        let disks = disks::disks(&places.sys, &places.dev, &places.mountinfo, &|device| tools.probe(device))
            .map_err(io("look at the disks".to_owned()))?;
        match choose(&disks, places, new) {
            Ok(disk) if looked.as_ref() == Some(&disks) => {
                make(places, tools, disk).map_err(io(format!("make the state disk {}", disk.device.display())))?;
                return Ok(Outcome::Made(disk.device.clone()));
            }
            // A disk that comes late may be the state disk, or a second empty one.
            Ok(_) => {
                if looked.is_some() && left.is_zero() {
                    return Err(StateError::Unsettled(listed(&disks)));
                }
                looked = Some(disks);
                std::thread::sleep(places.apart);
                left = left.saturating_sub(places.apart);
            }
            // More disks make several no fewer.
            Err(refused @ StateError::Several(_)) => return Err(refused),
            Err(refused) => {
                looked = None;
                pause(&mut left).ok_or(refused)?;
            }
        }
    }
}

/// Waits for udev to show the seed medium, where a CD drive has one or does not say yet what it has. It was asked to settle before; a
/// drive may take some seconds more to read what is in it.
fn await_medium(places: &Places, tools: &dyn Tools) -> Result<(), StateError> {
    let io = |what: String| move |source| StateError::Io { what, source };
    let mut left = places.drives;
    while !places.medium.exists() {
        let drives = disks::drives(&places.sys, &places.dev).map_err(io("look at the CD drives".to_owned()))?;
        let found: Vec<_> = drives.iter().map(|device| (device, tools.drive(device))).collect();
        let seed = found.iter().find(|(_, drive)| *drive == Drive::Seed).map(|(device, _)| *device);
        if let Some(device) = seed {
            tools.announce(device).map_err(io(format!("have udev look at {}", device.display())))?;
            if places.medium.exists() {
                break;
            }
        } else if found.iter().all(|(_, drive)| *drive != Drive::Busy) {
            break;
        }
        if pause(&mut left).is_none() {
            // A medium that nobody can read is no seed of ours.
            return seed.map_or(Ok(()), |device| Err(StateError::HiddenMedium(device.display().to_string())));
        }
    }
    Ok(())
}

/// `None` where no time is left.
fn pause(left: &mut Duration) -> Option<()> {
    let pause = PAUSE.min(*left);
    *left -= pause;
    std::thread::sleep(pause);
    (!pause.is_zero()).then_some(())
}

fn names(devices: &[PathBuf]) -> String {
    devices.iter().map(|device| device.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn listed(disks: &[Disk]) -> String {
    disks.iter().map(Disk::to_string).collect::<Vec<_>>().join("; ")
}

/// The disk that is to be formatted.
fn choose<'d>(disks: &'d [Disk], places: &Places, new: bool) -> Result<&'d Disk, StateError> {
    let all = || listed(disks);
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
    tools.finish(&disk.device)?;
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

const BLKID: &str = "/usr/sbin/blkid";

// linux/cdrom.h
const CDROM_DRIVE_STATUS: libc::Ioctl = 0x5326;
const CDSL_CURRENT: libc::c_int = libc::c_int::MAX;
const CDS_NO_DISC: libc::c_int = 1;
const CDS_TRAY_OPEN: libc::c_int = 2;
const CDS_DRIVE_NOT_READY: libc::c_int = 3;

/// The system's own programs.
#[derive(Debug, Clone, Copy)]
pub struct Programs;

impl Tools for Programs {
    fn probe(&self, device: &Path) -> io::Result<Content> {
        // blkid's 2 is also for a device that it cannot read.
        File::open(device)?.read_exact(&mut [0])?;
        let mut command = Command::new(BLKID);
        let output = command.args(["--probe", "--output", "export"]).arg(device).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let known: Vec<&str> = ["TYPE", "PTTYPE"].into_iter().filter_map(value).collect();
        // blkid(8): 2, if nothing is known of it; 8, if several are possible.
        match output.status.code() {
            Some(2) if said.trim().is_empty() && output.stderr.is_empty() => Ok(Content::Nothing),
            Some(0) if known == ["ext4"] && value("LABEL") == Some(UNFINISHED) => Ok(Content::Unfinished),
            Some(0) if known.is_empty() => Ok(Content::Other("something that blkid knows".to_owned())),
            Some(0) => Ok(Content::Other(known.join(", "))),
            _ => Err(io::Error::other(format!("blkid: {}", output.status))),
        }
    }

    fn labelled(&self) -> io::Result<Vec<PathBuf>> {
        // Without its cache, that names disks of former boots.
        let mut command = Command::new(BLKID);
        command.args(["--cache-file", "/dev/null", "--output", "device", "--match-token", &format!("LABEL={LABEL}")]);
        let output = command.stdin(Stdio::null()).output()?;
        // blkid(8): 2, if there is none.
        match output.status.code() {
            Some(0 | 2) => {
                let mut found: Vec<PathBuf> =
                    String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect();
                found.sort();
                found.dedup();
                Ok(found)
            }
            _ => Err(failed(&command, &output)),
        }
    }

    fn drive(&self, device: &Path) -> Drive {
        // Without this flag an empty drive cannot be opened at all, nor one that is not ready.
        let Ok(drive) = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(device) else {
            return Drive::Busy;
        };
        // SAFETY: the descriptor is open, and this request takes a number and writes to no memory of ours.
        let status = unsafe { libc::ioctl(drive.as_raw_fd(), CDROM_DRIVE_STATUS, CDSL_CURRENT) };
        match status {
            CDS_NO_DISC | CDS_TRAY_OPEN => return Drive::Empty,
            CDS_DRIVE_NOT_READY => return Drive::Busy,
            // Also where the drive does not tell: its medium does.
            _ => {}
        }
        match File::open(device).and_then(|mut medium| Seed::is_on(&mut medium)) {
            Ok(true) => Drive::Seed,
            Ok(false) => Drive::Other,
            Err(error) if error.raw_os_error() == Some(libc::ENOMEDIUM) => Drive::Empty,
            Err(_) => Drive::Busy,
        }
    }

    fn format(&self, device: &Path) -> io::Result<()> {
        // -F: it asks nobody; whatever is mounted or in use it refuses all the same.
        run(Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-F", "-L", UNFINISHED]).arg(device))?;
        File::open(device)?.sync_all()
    }

    fn finish(&self, device: &Path) -> io::Result<()> {
        run(Command::new("/usr/sbin/e2label").arg(device).arg(LABEL))?;
        File::open(device)?.sync_all()
    }

    fn announce(&self, device: &Path) -> io::Result<()> {
        run(Command::new("/usr/bin/udevadm").args(["trigger", "--settle", "--action=change"]).arg(device))
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(command, &output)),
    }
}

fn failed(command: &Command, output: &Output) -> io::Error {
    let said = String::from_utf8_lossy(&output.stderr);
    io::Error::other(format!("{}: {}: {}", command.get_program().display(), output.status, said.trim()))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
