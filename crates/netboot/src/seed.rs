//! The files that an installer reads for one node: one function for every release.
//!
//! In: the node, the system that it gets, the network around it. Out: file names and texts for `seed/HOSTNAME/` of the boot
//! server. No secret is in them but the password's hash, where the profile has one.

use crate::autoinstall::SeedDocuments;
use crate::{Node, Program, Release, Site, System, preseed};

/// Name and text of each file, in the order of the names.
pub type SeedFiles = Vec<(&'static str, String)>;

/// What keeps a node from getting its files.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("{release} cannot be installed on ZFS: {reason}")]
    Zfs { release: Release, reason: &'static str },
    #[error("{release} is installed by debian-installer, which does not read cloud-init's documents")]
    NoCloudInit { release: Release },
    #[error("{what} '{value}' cannot be said in a preseed file: {reason}")]
    Preseed { what: &'static str, value: String, reason: &'static str },
    #[error("writing YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// Where a node's seed lies where nobody hands out tokens, below the boot server's root.
pub fn static_seed_path(node: &Node) -> String {
    format!("seed/{}", node.hostname)
}

/// The seed of `node`. `report` is the URL, without a trailing slash, that this one installation reports its progress to, and
/// the installed system its first boot; without one nothing is reported.
///
/// # Errors
/// What the release's installer cannot do, or could not be told.
pub fn seed_files(node: &Node, system: &System, site: &Site<'_>, report: Option<&str>) -> Result<SeedFiles, SeedError> {
    match system.release.traits().program {
        Program::Subiquity => Ok(SeedDocuments::render(node, system, site, report)?.into_files()),
        Program::DebianInstaller => preseed::files(node, system, site, report),
    }
}
