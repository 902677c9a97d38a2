//! What a deployment brings its appliance at the first boots: the state disk and the secrets.
//!
//! ```text
//! seed medium ─┬─► state: which disk is the state disk, and whether it is to be made
//!              ├─► secrets: files for the daemon, written aside and renamed
//!              └─► deployment: on the state disk, which deployment has come that far
//! ```
//! Both run as root, once at each boot, before the daemon. In: the medium labelled [`netboot::SEED_VOLUME`], where there is one.
//! Invariants: a disk is formatted only where it is the one empty one and the medium says so; a machine that was deployed never keeps
//! its state on the system disk; nothing secret is said.

mod deployment;
mod disks;
mod secrets;
mod state;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use netboot::{BadSeed, Seed};

pub use deployment::{DEPLOYMENT, DEPLOYMENT_FILE, Deployment};
pub use disks::Content;
pub use secrets::{Delivered, deliver};
pub use state::{Drive, Outcome, Places, Programs, StateError, Tools, prepare};

/// Where udev shows the medium.
pub const MEDIUM: &str = "/dev/disk/by-label/PROVSEED";

#[derive(Debug, thiserror::Error)]
#[error("the seed medium {}: {reason}", path.display())]
pub struct MediumError {
    path: PathBuf,
    reason: BadSeed,
}

/// The seed of a medium; `None` where there is none.
///
/// # Errors
/// There is one, and it is not what provbuild writes.
pub fn read(path: &Path) -> Result<Option<Seed>, MediumError> {
    let failed = |reason| MediumError { path: path.to_owned(), reason };
    match File::open(path) {
        Ok(mut medium) => Seed::read(&mut medium).map(Some).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error.into())),
    }
}
