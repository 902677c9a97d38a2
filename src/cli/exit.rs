//! Exit codes: one per kind of failure, documented, stable.

use crate::build::{BuildError, DaemonError};
use crate::deploy::qemu::RunError;
use crate::fetch::{FetchError, MirrorError, Tried};
use crate::media::{MediaError, Reason};

pub(super) const TABLE: &str = "Exit codes:
   0  done
   1  provbuild itself failed: please report it (101 likewise)
   2  wrong arguments
   3  faults in the profile, the nodes, a linted file or an inventory to import
   4  the lock does not cover the profile, or the packages cannot be resolved
   5  the archive cannot be reached, or lacks a file
   6  an index, a package or an installer's medium is not what was signed, locked or asked for
   7  the packages could not be unpacked or configured, or there is no sandbox
   8  the configuration or the image could not be made
   9  a file could not be read or written, a secret could not be had; the disk may be full
  10  the virtual machine did not run
  11  a BMC or the appliance cannot be reached, or was busy for too long
  12  a certificate is not the one that was seen first, or credentials were refused
  13  a BMC or the appliance cannot or will not do it
  14  a BMC accepted it, and reading back shows something else
  15  an installation failed, or could not be followed to its end
  16  what was deployed did not become healthy
 130  interrupted: something was left out, or left in the middle";

/// A failure's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Done = 0,
    Arguments = 2,
    Profile = 3,
    Lock = 4,
    Unreachable = 5,
    Unverified = 6,
    Rootfs = 7,
    Image = 8,
    Io = 9,
    Machine = 10,
    Bmc = 11,
    Trust = 12,
    Refused = 13,
    NotApplied = 14,
    Installation = 15,
    Unhealthy = 16,
    Interrupted = 130,
}

impl From<&BuildError> for Exit {
    fn from(error: &BuildError) -> Self {
        if error.is_disk_full() {
            return Exit::Io;
        }
        match error {
            BuildError::Profile(_) | BuildError::Arm(_) => Exit::Profile,
            BuildError::Media(error) => (&**error).into(),
            BuildError::Lock { .. } | BuildError::Drift { .. } => Exit::Lock,
            BuildError::Fetch(error) => error.into(),
            BuildError::Rootfs(_) => Exit::Rootfs,
            BuildError::Daemon(DaemonError::Io { .. }) => Exit::Io,
            BuildError::Daemon(_) | BuildError::Render(_) | BuildError::Conflicts(_) | BuildError::Image(_) => {
                Exit::Image
            }
            BuildError::Pack(_) | BuildError::Manifest(_) | BuildError::Io { .. } => Exit::Io,
        }
    }
}

impl From<&MediaError> for Exit {
    fn from(error: &MediaError) -> Self {
        match &error.reason {
            Reason::Fetch(error) => error.into(),
            Reason::Read(_) | Reason::File { .. } => Exit::Io,
            _ => Exit::Unverified,
        }
    }
}

impl From<&FetchError> for Exit {
    fn from(error: &FetchError) -> Self {
        let altered = |tried: &Tried| {
            tried.0.iter().any(|(_, answer)| {
                matches!(answer, MirrorError::Release(_) | MirrorError::Index(_) | MirrorError::Altered { .. })
            })
        };
        match error {
            FetchError::Index { tried, .. } if altered(tried) => Exit::Unverified,
            FetchError::Packages { failed, .. } if failed.iter().any(|package| altered(&package.tried)) => {
                Exit::Unverified
            }
            FetchError::File { tried, .. } if altered(tried) => Exit::Unverified,
            FetchError::Keyring(_) | FetchError::OtherFile(_) => Exit::Unverified,
            FetchError::DiskFull(_)
            | FetchError::Io { .. }
            | FetchError::StoreFormat { .. }
            | FetchError::NotAStore(_)
            | FetchError::Stored(_) => Exit::Io,
            FetchError::Index { .. }
            | FetchError::Packages { .. }
            | FetchError::File { .. }
            | FetchError::NoMirrors(_)
            | FetchError::Offline(_)
            | FetchError::Client(_) => Exit::Unreachable,
        }
    }
}

impl From<&RunError> for Exit {
    fn from(error: &RunError) -> Self {
        match error {
            RunError::Manifest(_) | RunError::Io { .. } | RunError::Secrets(_) => Exit::Io,
            RunError::Seed(_) => Exit::Profile,
            RunError::State { .. }
            | RunError::NoDisk(_)
            | RunError::OtherBase(_)
            | RunError::Qemu(_)
            | RunError::Ended(_) => Exit::Machine,
        }
    }
}
