//! `provbuild cidata`: the NoCloud seed of one node as an ISO image.

use std::path::{Path, PathBuf};

use netboot::{CidataError, Node, Program, Release, SeedDocuments, SeedError};

use super::exit::Exit;
use super::output::{self, Existing};
use crate::profile::{self, Faults, Installer, Profile};
use crate::vocab::Remedy;

/// The time of everything in the image, 1980-01-01: the same documents give the same bytes, and no reader shows a date
/// before its epoch.
const TIME: u32 = 315_532_800;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Profile(Faults),
    #[error("no node is called '{name}'")]
    Unknown { name: String, near: Option<String>, known: Vec<String> },
    #[error("node {node} has no installer: there is nothing to seed")]
    NoInstaller { node: String },
    #[error("node {node} installs {release}, which reads a preseed file and no seed CD")]
    Debian { node: String, release: Release },
    #[error("the seed of node {node}: {reason}")]
    Seed { node: String, reason: SeedError },
    #[error("the seed of node {node}: {reason}")]
    Image { node: String, reason: CidataError },
}

impl Failure {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Failure::Profile(_) | Failure::Unknown { .. } | Failure::NoInstaller { .. } | Failure::Debian { .. } => {
                Exit::Profile
            }
            Failure::Seed { .. } | Failure::Image { .. } => Exit::Image,
        }
    }
}

impl Remedy for Failure {
    fn help(&self) -> Option<String> {
        match self {
            Failure::Unknown { near: Some(near), .. } => Some(format!("did you mean '{near}'?")),
            Failure::Unknown { known, .. } if known.is_empty() => Some("nodes.toml has no nodes yet".to_owned()),
            Failure::Unknown { known, .. } => Some(format!("the nodes are {}", known.join(", "))),
            Failure::NoInstaller { .. } => {
                Some("give it `install = \"NAME\"` in nodes.toml, of an `[installer.NAME]` of the profile".to_owned())
            }
            Failure::Debian { .. } => Some(
                "let it boot from the network; or start Debian's CD with `auto url=...` on its kernel line, and the node's \
                 preseed.cfg of the boot tree (out/NAME/boot/http/seed/NODE/) at that URL"
                    .to_owned(),
            ),
            Failure::Profile(_) | Failure::Seed { .. } | Failure::Image { .. } => None,
        }
    }
}

/// A seed that was written.
pub(super) struct Written {
    /// `None` for stdout.
    pub(super) path: Option<PathBuf>,
    /// The installer's name where nobody can log in to what it installs.
    pub(super) locked: Option<String>,
}

/// Writes the image.
///
/// `output` is a file, `-` for stdout, or `None` for `NODE-cidata.iso` in the working directory.
pub(super) fn cidata(profile: &Path, node: &str, output: Option<&Path>) -> Result<Written, super::failure::Failure> {
    super::failure::named_file(profile)?;
    let loaded = profile::load(profile).map_err(Failure::Profile)?;
    let (node, installer) = find(&loaded.profile, node)?;
    let image = image(&loaded.profile, node, installer)?;
    let account = &installer.system.account;
    let locked = account.password_hash.is_none() && account.ssh_keys.is_empty();
    let path = match output {
        Some(path) if path.as_os_str() == "-" => None,
        Some(path) => Some(path.to_owned()),
        None => Some(format!("{}-cidata.iso", node.hostname).into()),
    };
    match &path {
        None => output::print_bytes(&image)?,
        // The answers may have the hash of a password: the file is its owner's.
        Some(path) => output::file(path, &image, 0o600, Existing::Replaced)
            .map_err(|error| super::failure::Failure::Surroundings(format!("write {}", path.display()), error))?,
    }
    Ok(Written { path, locked: node.install.clone().filter(|_| locked) })
}

fn find<'a>(profile: &'a Profile, name: &str) -> Result<(&'a Node, &'a Installer), Failure> {
    let nodes = &profile.inventory.nodes;
    let Some(node) = nodes.iter().find(|node| node.hostname.as_str() == name) else {
        let known: Vec<String> = nodes.iter().map(|node| node.hostname.to_string()).collect();
        let near = profile::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        return Err(Failure::Unknown { name: name.to_owned(), near, known });
    };
    let installer = node.install.as_ref().and_then(|name| profile.installers.get(name));
    let Some(installer) = installer else { return Err(Failure::NoInstaller { node: node.hostname.to_string() }) };
    let release = installer.system.release;
    match release.traits().program {
        Program::Subiquity => Ok((node, installer)),
        _ => Err(Failure::Debian { node: node.hostname.to_string(), release }),
    }
}

fn image(profile: &Profile, node: &Node, installer: &Installer) -> Result<Vec<u8>, Failure> {
    let node_name = || node.hostname.to_string();
    let seed = SeedDocuments::render(node, &installer.system, &profile.site(), None)
        .map_err(|reason| Failure::Seed { node: node_name(), reason })?;
    let files = seed.files().map(|(name, text)| (name, text.as_bytes()));
    netboot::cidata(&files, TIME).map_err(|reason| Failure::Image { node: node_name(), reason })
}
