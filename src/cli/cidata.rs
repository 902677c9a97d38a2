//! `provbuild cidata`: the NoCloud seed of one node as an ISO image.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use netboot::{CidataError, Program, Release, SeedDocuments, SeedError};

use super::exit::Exit;
use crate::profile::{self, Faults, Profile};
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
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
}

impl Failure {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Failure::Profile(_) | Failure::Unknown { .. } | Failure::NoInstaller { .. } | Failure::Debian { .. } => {
                Exit::Profile
            }
            Failure::Seed { .. } | Failure::Image { .. } => Exit::Image,
            Failure::Write { .. } => Exit::Io,
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
            Failure::Profile(_) | Failure::Seed { .. } | Failure::Image { .. } | Failure::Write { .. } => None,
        }
    }
}

/// Writes the image; the path that was written, `None` for stdout.
///
/// `output` is a file, `-` for stdout, or `None` for `NODE-cidata.iso` in the working directory.
pub(super) fn cidata(profile: &Path, node: &str, output: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let loaded = profile::load(profile).map_err(Failure::Profile)?;
    let image = image(&loaded.profile, node)?;
    let path = match output {
        Some(path) if path.as_os_str() == "-" => {
            let written = io::stdout().write_all(&image);
            return written.map(|()| None).map_err(|error| Failure::Write { path: "stdout".into(), error });
        }
        Some(path) => path.to_owned(),
        None => format!("{node}-cidata.iso").into(),
    };
    write(&path, &image).map_err(|error| Failure::Write { path: path.clone(), error })?;
    Ok(Some(path))
}

fn image(profile: &Profile, name: &str) -> Result<Vec<u8>, Failure> {
    let nodes = &profile.inventory.nodes;
    let Some(node) = nodes.iter().find(|node| node.hostname.as_str() == name) else {
        let known: Vec<String> = nodes.iter().map(|node| node.hostname.to_string()).collect();
        let near = profile::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        return Err(Failure::Unknown { name: name.to_owned(), near, known });
    };
    let node_name = || node.hostname.to_string();
    let installer = node.install.as_ref().and_then(|name| profile.installers.get(name));
    let Some(installer) = installer else { return Err(Failure::NoInstaller { node: node_name() }) };
    let release = installer.system.release;
    if release.traits().program != Program::Subiquity {
        return Err(Failure::Debian { node: node_name(), release });
    }
    let seed = SeedDocuments::render(node, &installer.system, &profile.site(), None)
        .map_err(|reason| Failure::Seed { node: node_name(), reason })?;
    let files = seed.files().map(|(name, text)| (name, text.as_bytes()));
    netboot::cidata(&files, TIME).map_err(|reason| Failure::Image { node: node_name(), reason })
}

/// Aside first: who reads the path sees the former image, or the whole new one. What is no file (a drive with a stick in it, a pipe) is written
/// itself. The answers may have the hash of a password, so the file is its owner's.
fn write(path: &Path, image: &[u8]) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(there) if !there.is_file() => {
            let mut there = std::fs::OpenOptions::new().write(true).open(path)?;
            there.write_all(image)?;
            return match there.sync_all() {
                // A pipe or a terminal has nothing to sync.
                Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => Ok(()),
                other => other,
            };
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A link stays one: its target is replaced.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Says so without the name of the file aside.
    std::fs::metadata(directory)?;
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(image)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
