//! Why a deployment fails, and what to do about it.

use std::io;
use std::path::Path;

use crate::vocab::Remedy;

/// What a failure is, for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The profile has no such target, or the build lacks what the target needs.
    Settings,
    /// A file could not be read or written, a disk is full, another process has the deployment.
    Io,
    /// The hypervisor is not there, or has failed.
    Hypervisor,
    /// The hypervisor or the appliance cannot be reached.
    Unreachable,
    /// A certificate is not the one that was expected, or credentials were refused.
    Trust,
    /// The hypervisor refuses: permission, licence, no such place.
    Refused,
    /// The machine runs, and is not healthy. What became of it is in the message.
    Unhealthy,
}

/// One failure: what failed and on what; `help` says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct DeployError {
    pub kind: Kind,
    pub message: String,
    pub help: Option<String>,
}

impl DeployError {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        DeployError { kind, message: message.into(), help: None }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A file of the host: "cannot WHAT PATH: ERROR".
    pub(super) fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        let failed = DeployError::new(Kind::Io, format!("cannot {what} {}: {error}", path.display()));
        match error.kind() {
            io::ErrorKind::StorageFull => failed.help("make room there; what was begun is taken up by the next deploy"),
            io::ErrorKind::PermissionDenied => failed.help("deploy as somebody who may write there"),
            _ => failed,
        }
    }
}

impl Remedy for DeployError {
    fn help(&self) -> Option<String> {
        self.help.clone()
    }
}

/// Where files of a target lie, with the failure to reach them.
pub(super) fn at<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> DeployError + use<'a> {
    move |error| DeployError::io(what, path, &error)
}
