//! A finished build, seen as something to deploy.

use std::path::{Path, PathBuf};

use crate::manifest::{ArtifactRecord, Machine, Manifest};
use crate::vocab::Digest;

/// What a target deploys.
#[derive(Debug, Clone)]
pub struct Release {
    /// `out/NAME`.
    pub directory: PathBuf,
    pub manifest: Manifest,
    /// Of the images, the machine and the target's settings: another one is another generation.
    pub id: Digest,
}

impl Release {
    /// `settings`: the target's own, as text; what changes the machine changes the generation.
    pub fn new(directory: &Path, manifest: Manifest, settings: &str) -> Self {
        let machine = serde_json::to_string(&manifest.machine).expect("a machine has only string keys");
        let mut text = format!("{}\n{machine}\n{settings}\n", manifest.image_digest);
        for artifact in
            manifest.artifacts.iter().filter(|artifact| matches!(artifact.kind.as_str(), "ova" | "vmdk" | "vmx"))
        {
            text += &format!("{} {}\n", artifact.file, artifact.sha256);
        }
        Release { directory: directory.to_owned(), id: Digest::of(text.as_bytes()), manifest }
    }

    pub fn machine(&self) -> &Machine {
        &self.manifest.machine
    }

    /// The artifact of a kind ("ova", "vmx") whose name ends in `suffix`.
    pub fn artifact(&self, kind: &str, suffix: &str) -> Option<&ArtifactRecord> {
        self.manifest.artifacts.iter().find(|artifact| artifact.kind == kind && artifact.file.ends_with(suffix))
    }

    pub fn path(&self, artifact: &ArtifactRecord) -> PathBuf {
        self.directory.join(&artifact.file)
    }
}
