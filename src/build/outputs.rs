//! The last stages: configuration over the tree, images, boot files, manifest, into a staging directory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use netboot::Armed;

use super::daemon::Daemon;
use super::error::BuildError;
use super::keys::{CODE, Keys};
use super::locking::Locked;
use crate::fetch::Store;
use crate::image::{self, DiskSpec, MachineSpec};
use crate::manifest::{ArtifactRecord, DaemonRecord, FORMAT, Inputs, Machine, Manifest, StageRecord, Tool};
use crate::media::Objects;
use crate::media::sum::Sum;
use crate::profile::{OutputFormat, Profile};
use crate::render::{self, InstallerFiles};
use crate::tree::{Contents, Kind, Layered, MemoryContents, Node, Pack, Tree};
use crate::vocab::{Digest, DiskIds, ImagePath, Progress, Stage};

/// Everything that the outputs are made from.
pub(super) struct Ingredients<'a> {
    pub(super) profile: &'a Profile,
    pub(super) profile_digest: Digest,
    pub(super) locked: &'a Locked,
    pub(super) keys: Keys,
    pub(super) pack: &'a Pack,
    /// Holds the media.
    pub(super) store: &'a Store,
    pub(super) media: &'a BTreeMap<String, InstallerFiles>,
    pub(super) armed: &'a Armed,
    pub(super) daemon: Option<&'a Daemon>,
    pub(super) sum: Option<&'a Sum>,
}

/// Fills `directory` with the artifacts and their manifest. `previous` is where an earlier build may lie: what did not change
/// is taken from it, and the bytes are the same without.
pub(super) fn write(
    inputs: &Ingredients<'_>,
    directory: &Path,
    previous: &Path,
    progress: &dyn Progress,
) -> Result<Manifest, BuildError> {
    let profile = inputs.profile;
    let epoch = inputs.locked.lock.epoch;
    let ids = DiskIds::derive(&inputs.keys.disk);
    let rendered = super::pipeline::timed(progress, Stage::Render, || {
        let base = render::Base { tree: &inputs.pack.tree, contents: inputs.pack };
        let daemon = inputs.daemon.map(|daemon| daemon.bytes.as_slice());
        let sum = inputs.sum.map(|sum| &sum.tree);
        let request = render::Request { base, ids: &ids, epoch, media: inputs.media, armed: inputs.armed, daemon, sum };
        Ok::<_, BuildError>(render::render(profile, &request)?)
    })?;
    let mut root = rendered.overlay.apply(&inputs.pack.tree).map_err(BuildError::Conflicts)?;
    let (image_digest, name_plate) = sign(&mut root);
    let objects = Objects(inputs.store);
    let mut layers: Vec<&dyn Contents> = vec![&rendered.contents, &name_plate, inputs.pack, &objects];
    layers.extend(inputs.sum.map(|sum| &sum.contents as &dyn Contents));
    let contents = Layered(layers);
    let boot = write_tree(&rendered.boot, &contents, &directory.join("boot"))?;

    let machine = MachineSpec {
        name: profile.name.clone(),
        description: format!("provbuild appliance {}", profile.name),
        memory: profile.appliance.memory,
        cpus: profile.appliance.cpus,
        distribution: profile.distribution.name,
        uplink_mac: profile.network.uplink.mac,
        provisioning_mac: profile.network.provisioning.mac,
        secure_boot: profile.appliance.secure_boot,
    };
    let disk =
        DiskSpec { root: &root, esp: &rendered.esp, contents: &contents, size: profile.appliance.disk, ids, epoch };
    let artifacts = super::pipeline::timed(progress, Stage::Image, || {
        Ok::<_, BuildError>(image::write_images_reusing(&disk, &machine, &profile.outputs, directory, Some(previous))?)
    })?;
    let mut records: Vec<ArtifactRecord> = artifacts
        .iter()
        .map(|artifact| ArtifactRecord {
            file: artifact.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            kind: format_name(artifact.format).to_owned(),
            size: artifact.size,
            sha256: artifact.sha256,
        })
        .collect();
    records.extend(boot);
    let manifest = Manifest {
        format: FORMAT,
        name: profile.name.clone(),
        tool: Tool { version: env!("CARGO_PKG_VERSION").to_owned(), source: CODE.to_owned() },
        inputs: Inputs { profile: inputs.profile_digest, lock: inputs.locked.digest, epoch },
        stages: vec![
            StageRecord { stage: Stage::Lock, key: inputs.locked.digest },
            StageRecord { stage: Stage::Rootfs, key: inputs.keys.rootfs },
            StageRecord { stage: Stage::Image, key: inputs.keys.outputs },
        ],
        machine: Machine {
            memory_bytes: machine.memory.bytes(),
            cpus: machine.cpus,
            disk_bytes: profile.appliance.disk.bytes(),
            firmware: "efi".to_owned(),
            secure_boot: machine.secure_boot,
            uplink_mac: machine.uplink_mac.to_string(),
            provisioning_mac: machine.provisioning_mac.to_string(),
        },
        daemon: inputs.daemon.map(|daemon| DaemonRecord { sha256: daemon.digest, size: daemon.bytes.len() as u64 }),
        image_digest,
        artifacts: records,
    };
    let path = directory.join(crate::manifest::FILE_NAME);
    fs::write(&path, manifest.to_text()).map_err(|source| BuildError::Io { path, source })?;
    Ok(manifest)
}

/// Puts the tree's digest into the tree, where the running appliance reads what it is; the digest is that of the tree without
/// this file.
fn sign(root: &mut Tree) -> (Digest, MemoryContents) {
    let digest = root.digest();
    let mut contents = MemoryContents::new();
    let node = Node::file(contents.add(format!("{digest}\n")));
    root.insert_with_parents(ImagePath::literal(render::IMAGE_DIGEST), node);
    (digest, contents)
}

fn format_name(format: OutputFormat) -> &'static str {
    match format {
        OutputFormat::Ova => "ova",
        OutputFormat::Vmdk => "vmdk",
        OutputFormat::Vmx => "vmx",
        OutputFormat::Qcow2 => "qcow2",
        OutputFormat::Raw => "raw",
    }
}

/// Writes a tree's directories, files and links below a directory of the host, for people to serve themselves. Whatever the
/// caller's umask is, the servers' accounts can read it.
pub(super) fn write_tree(
    tree: &Tree,
    contents: &dyn Contents,
    target: &Path,
) -> Result<Vec<ArtifactRecord>, BuildError> {
    let mode = |node: &Node| fs::Permissions::from_mode(node.mode.bits() & 0o755);
    let mut records = Vec::new();
    for (path, node) in tree.iter() {
        let here = target.join(path.relative());
        let result = match &node.kind {
            Kind::Directory => fs::create_dir_all(&here).and_then(|()| fs::set_permissions(&here, mode(node))),
            Kind::File(content) => {
                records.push(ArtifactRecord {
                    file: format!("boot{path}"),
                    kind: "boot".to_owned(),
                    size: content.size,
                    sha256: content.digest,
                });
                contents.open(content).and_then(|mut reader| {
                    let mut file = fs::File::options().write(true).create_new(true).open(&here)?;
                    io::copy(&mut reader, &mut file)?;
                    file.set_permissions(mode(node))
                })
            }
            Kind::Symlink { target } => symlink(target, &here),
            other => Err(io::Error::other(format!("a boot tree cannot hold {other:?}"))),
        };
        result.map_err(|source| BuildError::Io { path: here, source })?;
    }
    Ok(records)
}
