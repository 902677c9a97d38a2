//! The stage as the build sees it.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::inside::Request;
use crate::exec::sandbox::{Sandbox, SandboxError};
use crate::vocab::{Epoch, Progress, Remedy, Stage};

/// A verified .deb.
#[derive(Debug, Clone)]
pub struct PackageFile {
    pub name: String,
    pub path: PathBuf,
}

/// Why there is no root file system.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("{failure}")]
    Work { failure: Failure, log: PathBuf },
}

impl Remedy for RootfsError {
    fn help(&self) -> Option<String> {
        match self {
            RootfsError::Sandbox(error) => error.help(),
            RootfsError::Work { failure, log } => Some(match failure {
                Failure::Package { .. } => {
                    "the file's checksum is the lock's: the archive itself ships it so; exclude the package".to_owned()
                }
                Failure::FileConflict { packages, .. } => {
                    format!("exclude one of the two: distribution.exclude = [\"{}\"]", packages.1)
                }
                Failure::TooLarge { .. } => "free memory, or ask for fewer packages".to_owned(),
                Failure::Script { tail, .. } | Failure::Program { tail, .. } => {
                    format!("its last words were:\n{}\nthe whole log: {}", tail.trim_end(), log.display())
                }
                Failure::Pack { disk_full: true, .. } => {
                    "free some space, or put the store elsewhere with --store; then build again".to_owned()
                }
                Failure::Io { .. } | Failure::Pack { .. } => return None,
            }),
        }
    }
}

/// Makes the configured tree of the packages and packs it into `pack`, an existing directory.
///
/// `program` is provbuild itself; `size_limit` bounds the tree, in bytes; `log` receives what the packages' scripts say.
pub fn build(
    program: &Path,
    packages: &[PackageFile],
    epoch: Epoch,
    size_limit: u64,
    pack: &Path,
    log: &Path,
    progress: &dyn Progress,
) -> Result<(), RootfsError> {
    let request = Request {
        packages: packages.iter().map(|package| package.path.clone()).collect(),
        pack: pack.to_owned(),
        log: log.to_owned(),
        epoch,
        size_limit,
    };
    let sandbox = Sandbox::start(program, &request)?;
    let verdict = sandbox.finish(|step| progress.note(Stage::Rootfs, step.to_owned()))?;
    verdict.map_err(|value| RootfsError::Work {
        failure: serde_json::from_value(value)
            .unwrap_or_else(|error| Failure::Io { step: "hear of the failure".into(), reason: error.to_string() }),
        log: log.to_owned(),
    })
}
