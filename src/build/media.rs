//! Which installers' media a build needs, and who the static boot tree installs.

use std::collections::{BTreeMap, BTreeSet};

use netboot::{Armed, Node};

use super::error::BuildError;
use crate::fetch::FileFetcher;
use crate::media::{self, Medium};
use crate::profile::{self, Media, Place, Profile};
use crate::render::InstallerFiles;
use crate::vocab::{Epoch, Remedy};

/// A node that cannot be armed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArmError {
    #[error("there is no node '{node}' to arm")]
    Unknown { node: String, near: Option<String> },
    #[error("the node '{node}' cannot be armed: nodes.toml names no installer for it")]
    NoInstaller { node: String },
    #[error("the node '{node}' cannot be armed: its installer '{installer}' has no medium")]
    NoMedium { node: String, installer: String },
}

impl Remedy for ArmError {
    fn help(&self) -> Option<String> {
        Some(match self {
            ArmError::Unknown { near: Some(near), .. } => format!("did you mean '{near}'?"),
            ArmError::Unknown { .. } => "name it as nodes.toml does".to_owned(),
            ArmError::NoInstaller { .. } => "add `install = \"...\"` to the node".to_owned(),
            ArmError::NoMedium { installer, .. } => {
                format!("give [installer.{installer}] an `iso` (Ubuntu) or a `netboot` (Debian), each with its sha256")
            }
        })
    }
}

/// Finds the nodes to arm, by host name; every name that cannot be armed is reported.
pub(super) fn armed(profile: &Profile, names: &BTreeSet<String>) -> Result<Armed, BuildError> {
    let (mut macs, mut faults) = (Vec::new(), Vec::new());
    for name in names {
        match armable(profile, name) {
            Ok(node) => macs.push(node.mac),
            Err(fault) => faults.push(fault),
        }
    }
    match faults.is_empty() {
        true => Ok(Armed::of(macs)),
        false => Err(BuildError::Arm(faults)),
    }
}

fn armable<'p>(profile: &'p Profile, name: &str) -> Result<&'p Node, ArmError> {
    let node = || name.to_owned();
    let Some(found) = profile.inventory.nodes.iter().find(|node| node.hostname.as_str() == name) else {
        let known = profile.inventory.nodes.iter().map(|node| node.hostname.as_str());
        let near = profile::nearest(name, known).map(str::to_owned);
        return Err(ArmError::Unknown { node: node(), near });
    };
    let Some(installer) = &found.install else { return Err(ArmError::NoInstaller { node: node() }) };
    match profile.installers.get(installer) {
        Some(known) if known.medium.is_some() => Ok(found),
        _ => Err(ArmError::NoMedium { node: node(), installer: installer.clone() }),
    }
}

/// The installers whose media are part of what is built, with the medium of each: those that are baked, and those that an
/// armed node installs from.
pub(super) fn needed<'p>(profile: &'p Profile, armed: &Armed) -> BTreeMap<&'p str, &'p profile::Medium> {
    let armed: BTreeSet<&str> = profile
        .inventory
        .nodes
        .iter()
        .filter(|node| armed.contains(node.mac))
        .filter_map(|node| node.install.as_deref())
        .collect();
    let installers = profile.installers.iter().filter_map(|(name, installer)| {
        let wanted = installer.media == Media::Bake || armed.contains(name.as_str());
        installer.medium.as_ref().filter(|_| wanted).map(|medium| (name.as_str(), medium))
    });
    installers.collect()
}

/// Whether a medium is a file of this machine.
pub(super) fn is_local(medium: &profile::Medium) -> bool {
    matches!(medium.place, Place::File(_))
}

/// Fetches or copies, verifies and reads media, by the installer's name.
pub(super) fn prepare(
    profile: &Profile,
    media: BTreeMap<&str, &profile::Medium>,
    fetcher: &FileFetcher<'_>,
    now: Epoch,
) -> Result<BTreeMap<String, InstallerFiles>, BuildError> {
    let mut ready = BTreeMap::new();
    for (name, medium) in media {
        let installer = &profile.installers[name];
        let Medium { kernel, initrd, whole } = media::prepare(name, installer, medium, fetcher, now)?;
        let iso = (medium.kind == profile::MediumKind::Iso).then_some(whole);
        ready.insert(name.to_owned(), InstallerFiles { kernel, initrd, iso });
    }
    Ok(ready)
}
