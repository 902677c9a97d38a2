//! What can go wrong inside the sandbox; crosses to the outside as JSON.

use std::io;

use serde::{Deserialize, Serialize};

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
}

impl Failure {
    pub(super) fn io(step: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        let step = step.into();
        move |error| Failure::Io { step, reason: error.to_string() }
    }

    /// The end of the log, where a program of the target wrote it.
    pub fn tail(&self) -> Option<&str> {
        match self {
            Failure::Script { tail, .. } | Failure::Program { tail, .. } => Some(tail),
            _ => None,
        }
    }
}
