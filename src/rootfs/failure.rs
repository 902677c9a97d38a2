//! What can go wrong inside the sandbox; crosses to the outside as JSON.

use std::io;

use serde::{Deserialize, Serialize};

use crate::tree::PackError;

/// Why the tree could not be made.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    #[error("{package}: {reason}")]
    Package { package: String, reason: String },
    #[error("{path}: shipped by {} and by {}, and neither replaces the other", packages.0, packages.1)]
    FileConflict { path: String, packages: (String, String) },
    #[error("the unpacked packages do not fit into {limit_mib} MiB of memory")]
    TooLarge { limit_mib: u64 },
    #[error("{package}: its {script} script failed ({status})")]
    Script { package: String, script: String, status: String, tail: String },
    #[error("{program} failed ({status})")]
    Program { program: String, status: String, tail: String },
    #[error("{step}: {reason}")]
    Io { step: String, reason: String },
    /// The host's side: the pack could not be written.
    #[error("write the configured tree into the store: {reason}")]
    Pack { reason: String, disk_full: bool },
}

impl Failure {
    pub(super) fn io(step: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        let step = step.into();
        move |error| match error.raw_os_error() {
            Some(nix::libc::ENOSPC) => Failure::too_large(),
            _ => Failure::Io { step, reason: error.to_string() },
        }
    }

    /// The tree's file system, which is memory, is full.
    pub(super) fn too_large() -> Failure {
        let size = nix::sys::statvfs::statvfs("/").map_or(0, |stat| stat.blocks() * stat.fragment_size());
        Failure::TooLarge { limit_mib: size >> 20 }
    }

    /// Whether nothing more can be written into the tree: then a program's failure has that cause.
    pub(super) fn tree_is_full() -> bool {
        nix::sys::statvfs::statvfs("/").is_ok_and(|stat| stat.blocks_available() == 0 || stat.files_available() == 0)
    }

    pub(super) fn pack(error: &PackError) -> Failure {
        let disk_full = matches!(error, PackError::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded));
        Failure::Pack { reason: error.to_string(), disk_full }
    }

    /// The end of the log, where a program of the target wrote it.
    pub fn tail(&self) -> Option<&str> {
        match self {
            Failure::Script { tail, .. } | Failure::Program { tail, .. } => Some(tail),
            _ => None,
        }
    }
}
