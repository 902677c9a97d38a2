//! `out/NAME` without a distribution in it: a real image of a small tree, with its manifest, in a second.
//!
//! The tree has one file that names the build and says how its appliance behaves: a guest on paper finds it in the machine's disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use provbuild::image::{DiskSpec, MachineSpec, write_images};
use provbuild::manifest::{self, ArtifactRecord, Inputs, Manifest, Tool};
use provbuild::profile::{DistributionName, OutputFormat};
use provbuild::tree::{MemoryContents, Node, Tree};
use provbuild::vocab::{ByteSize, Digest, DiskIds, Epoch, ImagePath};

/// What becomes of an appliance that is made from a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Healthy,
    /// It is reached, and says that it is not well.
    Unwell,
    /// It runs, and nobody answers at the page.
    Silent,
    /// Its tools never say an address.
    NoTools,
    /// It says that it is another image.
    Impostor,
}

pub(crate) const BEHAVIOURS: [(Behaviour, &str); 5] = [
    (Behaviour::Healthy, "healthy"),
    (Behaviour::Unwell, "unwell"),
    (Behaviour::Silent, "silent"),
    (Behaviour::NoTools, "no-tools"),
    (Behaviour::Impostor, "impostor"),
];

/// Stands before the digest and the behaviour in the image.
pub(crate) const MARK: &str = "provbuild-fake-image ";

/// Replaces `out/NAME` by a build that is another one for each `version`; gives its image digest.
pub(crate) fn build(out: &Path, name: &str, version: u32, behaviour: Behaviour) -> Digest {
    let image_digest = Digest::of(format!("image {version} {behaviour:?}").as_bytes());
    let word = BEHAVIOURS.iter().find(|(known, _)| *known == behaviour).unwrap().1;
    let mut contents = MemoryContents::new();
    let mark = Node::file(contents.add(format!("{MARK}{image_digest} {word}\n").into_bytes()));
    let loader = Node::file(contents.add(b"not really a boot loader".to_vec()));
    let (mut root, mut esp) = (Tree::new(), Tree::new());
    root.insert_with_parents(ImagePath::literal("/usr/lib/provbuild/image-digest"), mark);
    esp.insert_with_parents(ImagePath::literal("/EFI/BOOT/BOOTX64.EFI"), loader);
    let disk = DiskSpec {
        root: &root,
        esp: &esp,
        contents: &contents,
        size: ByteSize::mib(256),
        ids: DiskIds::derive(&image_digest),
        epoch: Epoch(1_714_057_833),
    };
    let machine = MachineSpec {
        name: name.to_owned(),
        description: "a build of a test".to_owned(),
        memory: ByteSize::gib(4),
        cpus: 2,
        distribution: DistributionName::Debian,
        uplink_mac: "00:50:56:00:00:01".parse().unwrap(),
        provisioning_mac: "00:50:56:00:00:02".parse().unwrap(),
        secure_boot: true,
    };
    let directory = out.join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir_all(&directory).unwrap();
    let formats = BTreeSet::from([OutputFormat::Vmx]);
    let artifacts = write_images(&disk, &machine, &formats, &directory).unwrap();
    let manifest = Manifest {
        format: manifest::FORMAT,
        name: name.to_owned(),
        tool: Tool { version: "0".into(), source: "0".into() },
        inputs: Inputs { profile: Digest::of(b"profile"), lock: Digest::of(b"lock"), epoch: disk.epoch },
        stages: Vec::new(),
        machine: manifest::Machine {
            memory_bytes: machine.memory.bytes(),
            cpus: machine.cpus,
            disk_bytes: disk.size.bytes(),
            firmware: "efi".into(),
            secure_boot: machine.secure_boot,
            uplink_mac: machine.uplink_mac.to_string(),
            provisioning_mac: machine.provisioning_mac.to_string(),
        },
        daemon: None,
        image_digest,
        artifacts: artifacts
            .into_iter()
            .map(|artifact| ArtifactRecord {
                file: artifact.path.file_name().unwrap().to_str().unwrap().to_owned(),
                kind: "vmx".into(),
                size: artifact.size,
                sha256: artifact.sha256,
            })
            .collect(),
    };
    fs::write(directory.join(manifest::FILE_NAME), manifest.to_text()).unwrap();
    image_digest
}
