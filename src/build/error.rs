//! Why there is no build.

use std::io;
use std::path::PathBuf;

use super::daemon::DaemonError;
use super::media::ArmError;
use crate::fetch::FetchError;
use crate::image::ImageError;
use crate::lock::{Drift, LockError};
use crate::manifest::ManifestError;
use crate::media::{MediaError, Reason};
use crate::profile::Faults;
use crate::render::RenderError;
use crate::rootfs::{Failure, RootfsError};
use crate::tree::{Conflict, PackError};
use crate::vocab::Remedy;

/// A stage's failure; `cli` maps each variant to an exit code.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{} faults in the profile", .0.count())]
    Profile(Faults),
    #[error("{}: {source}", path.display())]
    Lock { path: PathBuf, source: LockError },
    #[error("{} does not cover the profile any more:\n{drift}", path.display())]
    Drift { path: PathBuf, drift: Drift },
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{}", unarmed(.0))]
    Arm(Vec<ArmError>),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error(transparent)]
    Media(Box<MediaError>),
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Conflicts(Vec<Conflict>),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// One fault as it is; several below a line that counts them, each with its remedy.
fn unarmed(errors: &[ArmError]) -> String {
    if let [error] = errors {
        return error.to_string();
    }
    let line = |error: &ArmError| match error.help() {
        Some(help) => format!("\n  {error}; {help}"),
        None => format!("\n  {error}"),
    };
    format!("{} nodes cannot be armed:{}", errors.len(), errors.iter().map(line).collect::<String>())
}

impl BuildError {
    pub(super) fn io((path, source): (PathBuf, io::Error)) -> Self {
        BuildError::Io { path, source }
    }

    /// Whether a full disk is what stopped the build.
    pub fn is_disk_full(&self) -> bool {
        match self {
            BuildError::Rootfs(RootfsError::Work { failure, .. }) => {
                return matches!(failure, Failure::Pack { disk_full: true, .. });
            }
            // There, "no space" speaks of namespaces.
            BuildError::Rootfs(RootfsError::Sandbox(_)) => return false,
            BuildError::Media(error) if matches!(error.reason, Reason::Fetch(FetchError::DiskFull(_))) => return true,
            BuildError::Fetch(FetchError::DiskFull(_)) | BuildError::Image(ImageError::HostDiskFull { .. }) => {
                return true;
            }
            _ => {}
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>()
                && matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

impl From<MediaError> for BuildError {
    fn from(error: MediaError) -> Self {
        BuildError::Media(Box::new(error))
    }
}

impl Remedy for BuildError {
    fn help(&self) -> Option<String> {
        if self.is_disk_full() {
            return Some(
                "free some space, or put the store and out/ elsewhere with --store and --out; then build again".into(),
            );
        }
        match self {
            BuildError::Lock { source, .. } => source.help(),
            BuildError::Drift { .. } => {
                Some("review the difference, then write a new lock: provbuild lock PROFILE".into())
            }
            BuildError::Fetch(error) => error.help(),
            // Several have their remedies beside them.
            BuildError::Arm(errors) => match &errors[..] {
                [error] => error.help(),
                _ => None,
            },
            BuildError::Daemon(error) => error.help(),
            BuildError::Media(error) => error.help(),
            BuildError::Rootfs(error) => error.help(),
            BuildError::Render(error) => error.help(),
            BuildError::Conflicts(_) => Some("take the file out of the profile, or exclude the package".into()),
            BuildError::Image(error) => error.help(),
            BuildError::Pack(_) => {
                Some("the store is damaged: remove its stages/ directory; it will be made again".into())
            }
            BuildError::Profile(_) | BuildError::Manifest(_) | BuildError::Io { .. } => None,
        }
    }
}
