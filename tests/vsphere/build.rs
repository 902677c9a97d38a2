//! A small build: an OVA as the image stage writes it, and its manifest.

use std::collections::BTreeSet;
use std::path::Path;

use provbuild::deploy::{Fate, Generation, Record, Release};
use provbuild::image::{DiskSpec, MachineSpec, write_images};
use provbuild::manifest::{ArtifactRecord, Inputs, Machine, Manifest, Tool};
use provbuild::profile::{DistributionName, OutputFormat};
use provbuild::tree::{MemoryContents, Node, Tree};
use provbuild::vocab::{ByteSize, Digest, DiskIds, Epoch, ImagePath};

pub(crate) const UPLINK: &str = "00:50:56:00:00:01";
pub(crate) const PROVISIONING: &str = "00:50:56:00:00:02";
const DISK: ByteSize = ByteSize::mib(256);

/// Builds in `directory`; `text` makes one build another than the other.
pub(crate) fn release(directory: &Path, text: &str) -> Release {
    let mut contents = MemoryContents::new();
    let (mut root, mut esp) = (Tree::new(), Tree::new());
    // Enough that a transfer can be cut off in its middle.
    let noise: Vec<u8> =
        (0..400_000_u32).flat_map(|number| Digest::of(&number.to_le_bytes()).as_bytes()[..8].to_vec()).collect();
    for (path, bytes) in [("/etc/hostname", text.as_bytes().to_vec()), ("/usr/lib/noise", noise)] {
        root.insert_with_parents(ImagePath::literal(path), Node::file(contents.add(bytes)));
    }
    esp.insert_with_parents(ImagePath::literal("/EFI/BOOT/BOOTX64.EFI"), Node::file(contents.add(b"loader".to_vec())));
    let epoch = Epoch(1_714_057_833);
    let disk = DiskSpec {
        root: &root,
        esp: &esp,
        contents: &contents,
        size: DISK,
        ids: DiskIds::derive(&Digest::of(text.as_bytes())),
        epoch,
    };
    let machine = MachineSpec {
        name: "mylab".into(),
        description: "a test".into(),
        memory: ByteSize::gib(4),
        cpus: 2,
        distribution: DistributionName::Ubuntu,
        uplink_mac: UPLINK.parse().unwrap(),
        provisioning_mac: PROVISIONING.parse().unwrap(),
        secure_boot: true,
    };
    let formats = BTreeSet::from([OutputFormat::Ova, OutputFormat::Vmdk]);
    let artifacts = write_images(&disk, &machine, &formats, directory).unwrap();
    let record = |artifact: &provbuild::image::Artifact| ArtifactRecord {
        file: artifact.path.file_name().unwrap().to_str().unwrap().to_owned(),
        kind: if artifact.format == OutputFormat::Ova { "ova" } else { "vmdk" }.to_owned(),
        size: artifact.size,
        sha256: artifact.sha256,
    };
    let digest = Digest::of(text.as_bytes());
    let manifest = Manifest {
        format: provbuild::manifest::FORMAT,
        name: "mylab".to_owned(),
        tool: Tool { version: "0".to_owned(), source: "test".to_owned() },
        inputs: Inputs { profile: digest, lock: digest, epoch },
        stages: Vec::new(),
        machine: Machine {
            memory_bytes: ByteSize::gib(4).bytes(),
            cpus: 2,
            disk_bytes: DISK.bytes(),
            firmware: "efi".to_owned(),
            secure_boot: true,
            uplink_mac: UPLINK.to_owned(),
            provisioning_mac: PROVISIONING.to_owned(),
        },
        daemon: None,
        image_digest: digest,
        artifacts: artifacts.iter().map(record).collect(),
    };
    std::fs::write(directory.join(provbuild::manifest::FILE_NAME), manifest.to_text()).unwrap();
    Release::new(directory, manifest, "test")
}

pub(crate) fn record() -> Record {
    Record::new("mylab", "5d0e0000111122223333444455556666".to_owned())
}

/// Adds what the engine would, before the disk is staged.
pub(crate) fn generation(record: &mut Record, number: u32, release: &Release) -> Generation {
    let generation = Generation {
        number,
        id: release.id,
        image_digest: release.manifest.image_digest,
        made: Epoch(1_714_057_833),
        machine: release.machine().clone(),
        disk: None,
        fate: Fate::Untried,
    };
    record.generations.push(generation.clone());
    generation
}
