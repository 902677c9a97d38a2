//! Which installers' media a build needs, and who the static boot tree installs.

use std::collections::{BTreeMap, BTreeSet};

use netboot::{Armed, Node};

use super::error::BuildError;
use crate::fetch::FileFetcher;
use crate::media::{self, MediaError, Medium, Reason};
use crate::profile::{self, Media, Profile};
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

/// Whether there is anything to do for [`prepare`].
pub(super) fn wanted(profile: &Profile, armed: &Armed) -> bool {
    !needed(profile, armed).is_empty() || media_of(profile).any(|(_, _, medium)| medium.signed.is_some())
}

fn media_of(profile: &Profile) -> impl Iterator<Item = (&str, &profile::Installer, &profile::Medium)> {
    let all = profile.installers.iter();
    all.filter_map(|(name, installer)| installer.medium.as_ref().map(|medium| (name.as_str(), installer, medium)))
}

/// Checks the signed lists of all media, also of those that the appliance will fetch; fetches, verifies and reads the ones that are needed here.
pub(super) fn prepare(
    profile: &Profile,
    armed: &Armed,
    fetcher: &FileFetcher<'_>,
    now: Epoch,
) -> Result<BTreeMap<String, InstallerFiles>, BuildError> {
    for (name, installer, medium) in media_of(profile) {
        media::verify(name, installer, medium, fetcher, now)?;
    }
    let mut ready = BTreeMap::new();
    for (name, medium) in needed(profile, armed) {
        let installer = &profile.installers[name];
        let Medium { kernel, initrd, whole } = media::prepare(name, installer, medium, fetcher)?;
        let iso = (medium.kind == profile::MediumKind::Iso).then_some(whole);
        if let Some(iso) = iso {
            enough_memory(profile, name, iso.size)?;
        }
        ready.insert(name.to_owned(), InstallerFiles { kernel, initrd, iso });
    }
    Ok(ready)
}

/// The check did what it could without the file: now its size is known.
fn enough_memory(profile: &Profile, name: &str, size: u64) -> Result<(), MediaError> {
    let needed = profile::memory_for(size);
    let short = profile.inventory.nodes.iter().filter(|node| node.install.as_deref() == Some(name));
    let short = short.filter(|node| node.memory.is_some_and(|memory| memory < needed));
    let nodes: Vec<String> = short.map(|node| node.hostname.to_string()).collect();
    match nodes.is_empty() {
        true => Ok(()),
        false => {
            Err(MediaError { medium: format!("installer '{name}'"), reason: Reason::Memory { size, needed, nodes } })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::{Network, Store};
    use crate::vocab::Silent;

    #[test]
    fn a_medium_that_is_larger_than_was_thought_is_compared_with_the_nodes_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        let nodes = |memory: &str| {
            format!(
                "[[node]]\nhostname = \"n1\"\nmac = \"52:54:00:aa:00:01\"\naddress = \"10.10.1.21\"\nmemory = \"{memory}\"\ninstall = \"noble\"\n\
                 disk = {{ serial = \"S*\" }}\n"
            )
        };
        let text = format!(
            "nodes = \"nodes.toml\"\n[appliance]\nname = \"lab\"\n[distribution]\nname = \"debian\"\nrelease = \"13\"\n\
             [network.provisioning]\naddress = \"10.10.1.1/24\"\n\
             [installer.noble]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\n\
             iso = {{ url = \"http://192.0.2.1/noble.iso\", sha256 = \"{}\" }}\n",
            "0".repeat(64)
        );
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("nodes.toml"), nodes("16GiB")).unwrap();
        let profile = profile::load(&path).unwrap_or_else(|faults| panic!("{faults}")).profile;
        enough_memory(&profile, "noble", 3 << 30).unwrap();
        enough_memory(&profile, "other", 9 << 30).unwrap();
        let error = enough_memory(&profile, "noble", 9 << 30).unwrap_err();
        assert_eq!(
            error.to_string(),
            "installer 'noble': the ISO has 9663676416 bytes, and these nodes have less memory than the 20401094656 that it \
             takes to install from it: n1"
        );
    }

    #[test]
    fn the_signed_list_of_a_medium_that_only_the_appliance_fetches_is_checked_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        let profile = |signed: &str| {
            let text = format!(
                "[appliance]\nname = \"lab\"\n[distribution]\nname = \"debian\"\nrelease = \"13\"\n\
                 [network.provisioning]\naddress = \"10.10.1.1/24\"\n\
                 [installer.noble]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\nmedia = \"fetch\"\n\
                 [installer.noble.iso]\nurl = \"http://192.0.2.1/noble.iso\"\nsha256 = \"{}\"\n{signed}",
                "0".repeat(64)
            );
            std::fs::write(&path, text).unwrap();
            profile::load(&path).unwrap_or_else(|faults| panic!("{faults}")).profile
        };
        let store = Store::open(&folder.path().join("store")).unwrap();
        let fetcher = FileFetcher::new(&store, Network { offline: true, ..Network::default() }, &Silent);
        let armed = Armed::none();
        let signed = profile("sums = \"SHA256SUMS\"\nsignature = \"SHA256SUMS.gpg\"\n");
        assert!(wanted(&signed, &armed));
        let error = prepare(&signed, &armed, &fetcher, Epoch(0)).unwrap_err().to_string();
        assert!(error.starts_with("installer 'noble': ") && error.contains("SHA256SUMS"), "{error}");
        let plain = profile("");
        assert!(!wanted(&plain, &armed) && prepare(&plain, &armed, &fetcher, Epoch(0)).unwrap().is_empty());
    }
}
