//! What was built, from what: `manifest.json`, the contract with everything that uses the outputs.
//!
//! ```text
//! out/NAME/manifest.json
//!   format      version of this format
//!   tool        version of provbuild and fingerprint of its source
//!   inputs      digests of the profile's meaning and of the lock, the image's one time
//!   stages      each stage with its key: the digest of everything that it read
//!   machine     the virtual machine that the image expects
//!   daemon      provd inside the image
//!   image_digest   of the root file system: what the running appliance says of itself at /healthz
//!   artifacts   every file with its size in bytes and its SHA-256
//! ```
//! Invariant: the same inputs and tool give the same bytes; no path, user, host or time of the build is in it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::vocab::{Digest, Epoch, Stage};

pub const FORMAT: u32 = 2;
pub const FILE_NAME: &str = "manifest.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    pub name: String,
    pub tool: Tool,
    pub inputs: Inputs,
    pub stages: Vec<StageRecord>,
    pub machine: Machine,
    /// `None` in an image that cannot boot by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon: Option<DaemonRecord>,
    /// Digest of the root file system's tree; the image holds it as well.
    pub image_digest: Digest,
    pub artifacts: Vec<ArtifactRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    pub version: String,
    /// Fingerprint of the source that the tool was built from.
    pub source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Digest of the profile as it is meant: comments and layout do not count.
    pub profile: Digest,
    pub lock: Digest,
    pub epoch: Epoch,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRecord {
    pub stage: Stage,
    pub key: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    pub memory_bytes: u64,
    pub cpus: u32,
    pub disk_bytes: u64,
    pub firmware: String,
    pub secure_boot: bool,
    pub uplink_mac: String,
    pub provisioning_mac: String,
}

/// The appliance's daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaemonRecord {
    pub sha256: Digest,
    /// Length in bytes.
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRecord {
    /// Path below the directory of the manifest.
    pub file: String,
    /// "ova", "vmdk", "vmx", "qcow2", "raw", or "boot" for a file of the boot tree.
    pub kind: String,
    /// Length in bytes.
    pub size: u64,
    pub sha256: Digest,
}

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: not a manifest of format {FORMAT}: {reason}", path.display())]
    Format { path: PathBuf, reason: String },
}

impl Manifest {
    /// The file's text: JSON, two spaces, one newline at the end.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a manifest has only string keys");
        text.push('\n');
        text
    }

    pub fn read(directory: &Path) -> Result<Self, ManifestError> {
        let path = directory.join(FILE_NAME);
        let text = std::fs::read_to_string(&path).map_err(|source| ManifestError::Io { path: path.clone(), source })?;
        let bad = |reason: String| ManifestError::Format { path: path.clone(), reason };
        let manifest: Manifest = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        match manifest.format {
            FORMAT => Ok(manifest),
            other => Err(bad(format!("it has format {other}"))),
        }
    }

    pub fn key(&self, stage: Stage) -> Option<Digest> {
        self.stages.iter().find(|record| record.stage == stage).map(|record| record.key)
    }
}
