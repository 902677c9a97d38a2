//! What a lock pins.

use serde::{Deserialize, Serialize};

use super::request::Request;
use crate::vocab::{Digest, Epoch};

/// Version of the lock file's format.
pub const LOCK_FORMAT: u32 = 1;

/// A pinned build input set; `profile.lock` is its TOML form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Version of this format.
    pub format: u32,
    /// Digest of the part of the profile that chose the packages: another one means drift.
    pub request: Digest,
    /// The one time of the image: the newest `Date:` of the signed indices.
    pub epoch: Epoch,
    pub distribution: String,
    pub codename: String,
    pub architecture: String,
    /// The request in words, so that drift can be shown; `request` is its digest.
    pub requested: Request,
    #[serde(rename = "suite", default)]
    pub suites: Vec<LockedSuite>,
    /// Sorted by name.
    #[serde(rename = "package", default)]
    pub packages: Vec<LockedPackage>,
}

/// One suite whose signed index was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedSuite {
    /// "noble", "noble-updates", "trixie-security".
    pub suite: String,
    /// Digest of the InRelease (or Release) file.
    pub release: Digest,
    /// `Date:` of that file: an older one offered later is a rollback.
    pub date: Epoch,
    /// Fingerprint of the certificate that signed it, uppercase hexadecimal.
    pub signer: String,
}

/// One .deb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedPackage {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// Suite whose index lists it: tells which mirrors have it.
    pub suite: String,
    /// Path below the mirror's root.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    pub sha256: Digest,
}
