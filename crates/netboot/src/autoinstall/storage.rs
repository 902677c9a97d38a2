//! The `storage` section: how subiquity divides the disk that the preflight found.
//!
//! Guided layouts (`layout`) where subiquity has one, and curtin's actions (`config`) for partitions that the profile
//! writes. Both name the disk by [`PLACEHOLDER`] only.
//!
//! A `config` has both kinds of boot partition, so that the disk's division does not depend on how the machine was started:
//! partition 1 for GRUB's core image (BIOS), partition 2 the EFI system partition. subiquity installs GRUB wherever
//! `grub_device` is true, on the disk (needed for BIOS, of no effect for UEFI) and on the ESP (needed for UEFI; on a BIOS
//! machine grub-install into a FAT partition fails): the preflight sets the latter.

use serde::Serialize;

use crate::disk_choice::{PLACEHOLDER, UEFI_PLACEHOLDER};
use crate::seed::SeedError;
use crate::{FileSystem, Partition, Sizing, System};

const MIB: u64 = 1 << 20;
/// GRUB's core image takes some tens of KiB; partitions start at whole MiB.
const BIOS_GRUB: u64 = MIB;
/// What subiquity's own layouts give it on a disk of usual size.
const ESP: u64 = 1 << 30;

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Storage {
    Layout {
        layout: Layout,
    },
    Config {
        /// No swap file beside what the profile writes.
        swap: Swap,
        config: Vec<Action>,
    },
}

impl Storage {
    pub(super) fn of(system: &System) -> Result<Self, SeedError> {
        let layout = |name, sizing_policy| {
            let layout = Layout { name, sizing_policy, matching: DiskMatch { path: PLACEHOLDER } };
            Ok(Storage::Layout { layout })
        };
        match &system.storage {
            crate::Storage::Direct => layout("direct", None),
            crate::Storage::Lvm { sizing: Sizing::Scaled } => layout("lvm", Some("scaled")),
            crate::Storage::Lvm { sizing: Sizing::All } => layout("lvm", Some("all")),
            crate::Storage::Zfs if system.release.traits().zfs => layout("zfs", None),
            crate::Storage::Zfs => Err(SeedError::Zfs {
                release: system.release,
                reason: "its installer has no such layout, and would take the disk as a plain one",
            }),
            crate::Storage::Partitions(partitions) => {
                Ok(Storage::Config { swap: Swap { size: 0 }, config: actions(partitions) })
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Layout {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sizing_policy: Option<&'static str>,
    #[serde(rename = "match")]
    matching: DiskMatch,
}

/// `path` alone: a second key could only make the match fail, or be ignored.
#[derive(Serialize)]
pub(super) struct DiskMatch {
    path: &'static str,
}

#[derive(Serialize)]
pub(super) struct Swap {
    size: u32,
}

/// Of curtin's storage configuration, version 1.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Action {
    Disk {
        id: &'static str,
        #[serde(rename = "match")]
        matching: DiskMatch,
        ptable: &'static str,
        wipe: &'static str,
        preserve: bool,
        grub_device: bool,
    },
    Partition {
        id: String,
        device: &'static str,
        number: usize,
        /// Bytes; -1 for the rest.
        size: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        flag: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        grub_device: Option<&'static str>,
        wipe: &'static str,
        preserve: bool,
    },
    Format {
        id: String,
        volume: String,
        fstype: &'static str,
        preserve: bool,
    },
    Mount {
        id: String,
        device: String,
        /// Empty for swap.
        path: String,
    },
}

const DISK: &str = "disk";

fn actions(partitions: &[Partition]) -> Vec<Action> {
    let mut actions = vec![Action::Disk {
        id: DISK,
        matching: DiskMatch { path: PLACEHOLDER },
        ptable: "gpt",
        wipe: "superblock-recursive",
        preserve: false,
        grub_device: true,
    }];
    let partition = |number: usize, size: Option<u64>, flag, grub_device| Action::Partition {
        id: format!("partition-{number}"),
        device: DISK,
        number,
        size: size.map_or(-1, bytes),
        flag,
        grub_device,
        wipe: "superblock",
        preserve: false,
    };
    actions.push(partition(1, Some(BIOS_GRUB), Some("bios_grub"), None));
    actions.push(partition(2, Some(ESP), Some("boot"), Some(UEFI_PLACEHOLDER)));
    actions.extend(filled(2, "fat32", "/boot/efi"));
    for (number, entry) in (3..).zip(partitions) {
        let (fstype, flag) = match entry.format {
            FileSystem::Ext4 => ("ext4", None),
            FileSystem::Xfs => ("xfs", None),
            FileSystem::Btrfs => ("btrfs", None),
            FileSystem::Swap => ("swap", Some("swap")),
        };
        actions.push(partition(number, entry.size, flag, None));
        actions.extend(filled(number, fstype, entry.mount.as_deref().unwrap_or_default()));
    }
    actions
}

/// Whole MiB, at least what was asked for: curtin's partitions start at whole MiB.
fn bytes(size: u64) -> i64 {
    i64::try_from(size.div_ceil(MIB).saturating_mul(MIB)).unwrap_or(i64::MAX)
}

fn filled(number: usize, fstype: &'static str, path: &str) -> [Action; 2] {
    let (volume, format) = (format!("partition-{number}"), format!("format-{number}"));
    [
        Action::Format { id: format.clone(), volume, fstype, preserve: false },
        Action::Mount { id: format!("mount-{number}"), device: format, path: path.to_owned() },
    ]
}
