//! Keys of the stages: the digest of everything that a stage reads, its own code included.

use std::collections::BTreeSet;

use crate::lock::Lock;
use crate::vocab::{Digest, Hasher};

/// Fingerprint of the whole source (build.rs).
pub const CODE: &str = env!("PROVBUILD_CODE");
/// Fingerprint of the part that makes root file systems.
const ROOTFS_CODE: &str = env!("PROVBUILD_ROOTFS_CODE");

/// The keys of one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) rootfs: Digest,
    /// Render, image and manifest read the same things: the tree, the profile, the lock, the daemon and who is armed. Files
    /// that the profile names (media, SUM) are in it by their digests.
    pub(super) outputs: Digest,
    /// Seed of the disk's identifiers.
    pub(super) disk: Digest,
}

impl Keys {
    pub(super) fn of(
        profile_name: &str,
        profile: &Digest,
        lock: &Lock,
        lock_digest: &Digest,
        armed: &BTreeSet<String>,
        daemon: Option<&Digest>,
    ) -> Self {
        let rootfs = {
            let mut hasher = Hasher::new();
            hasher.field(b"rootfs");
            hasher.field(ROOTFS_CODE.as_bytes());
            hasher.field(&lock.epoch.0.to_le_bytes());
            lock.packages.iter().for_each(|package| hasher.field(package.sha256.as_bytes()));
            hasher.finish()
        };
        let outputs = {
            let mut hasher = Hasher::new();
            hasher.field(b"outputs");
            hasher.field(CODE.as_bytes());
            [&rootfs, profile, lock_digest].iter().for_each(|digest| hasher.field(digest.as_bytes()));
            hasher.field(daemon.map_or(&[][..], |digest| digest.as_bytes()));
            armed.iter().for_each(|node| hasher.field(node.as_bytes()));
            hasher.finish()
        };
        let disk = {
            let mut hasher = Hasher::new();
            hasher.field(b"disk");
            hasher.field(profile_name.as_bytes());
            hasher.field(lock_digest.as_bytes());
            hasher.finish()
        };
        Keys { rootfs, outputs, disk }
    }
}
