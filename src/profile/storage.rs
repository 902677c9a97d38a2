//! `[installer.*.storage]` -> [`Storage`]: how a node's disk is divided, and what an installer could not follow.

use std::collections::BTreeMap;

use netboot::{FileSystem, Partition, Program, Release, Storage};

use super::fault::Fault;
use super::reader::{At, Decoding, Section};
use super::source::Span;
use super::word::*;
use crate::vocab::ByteSize;

/// What a node's disk selector is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    /// Bytes that the partitions of a given size take together.
    pub(super) bytes: u64,
    /// Where they are listed.
    pub(super) span: Span,
}

/// Mount points that are no file systems of a disk.
const OF_THE_KERNEL: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];

pub(super) fn storage(
    cx: &mut Decoding,
    section: &Section<'_>,
    release: Option<Release>,
) -> (Option<Storage>, Option<Needs>) {
    let layout = section.word::<StorageLayout>(cx, "layout");
    let sizing = section.word::<VolumeSizing>(cx, "sizing");
    let tables = section.tables("partition");
    let partitions: Vec<_> = tables.iter().filter_map(|table| partition(cx, table)).collect();
    let Some(layout) = layout else { return (None, None) };

    // What comes from an import cannot be taken back by a profile that chooses another layout: it is passed over.
    let meant = |span: Span| section.key("layout").is_none_or(|layout| layout.file == span.file);
    if layout.value != StorageLayout::Lvm
        && let Some(span) = section.key("sizing")
        && meant(span)
    {
        let fault = Fault::new("`sizing` has no meaning without logical volumes").label(span, "");
        cx.fault(said(fault, section, &layout).help("write layout = \"lvm\", or leave `sizing` out"));
    }
    if layout.value == StorageLayout::Zfs
        && let Some(release) = release
        && release.traits().program == Program::DebianInstaller
    {
        let fault = Fault::at(layout.span, format!("the installer of {release} cannot make a root file system on ZFS"));
        cx.fault(fault.help("write layout = \"direct\", \"lvm\" or \"partitions\""));
    }
    let mut needs = None;
    match (layout.value, tables.as_slice()) {
        (StorageLayout::Partitions, []) => {
            let fault = Fault::at(layout.span, "no partition is listed");
            cx.fault(
                fault.help("add [[installer.NAME.storage.partition]] with mount = \"/\", or choose another layout"),
            );
        }
        (StorageLayout::Partitions, [first, ..]) => {
            // A partition that was refused could be the missing one.
            if partitions.len() == tables.len() {
                together(cx, &partitions, layout.span);
            }
            let bytes = partitions.iter().filter_map(|at| at.partition.size).fold(0u64, u64::saturating_add);
            needs = Some(Needs { bytes, span: first.span });
        }
        (_, [first, ..]) if meant(first.span) => {
            let fault = Fault::new("partitions have no meaning in this layout").label(first.span, "");
            cx.fault(said(fault, section, &layout).help("write layout = \"partitions\", or leave the partitions out"));
        }
        _ => {}
    }
    let storage = match layout.value {
        StorageLayout::Direct => Some(Storage::Direct),
        StorageLayout::Lvm => sizing.map(|sizing| Storage::Lvm { sizing: sizing.value.0 }),
        StorageLayout::Zfs => Some(Storage::Zfs),
        StorageLayout::Partitions => Some(Storage::Partitions(partitions.into_iter().map(|at| at.partition).collect())),
    };
    (storage, needs)
}

/// Shows the layout where it is written; a default has no place of its own.
fn said(fault: Fault, section: &Section<'_>, layout: &At<StorageLayout>) -> Fault {
    match section.key("layout") {
        Some(_) => fault.label(layout.span, "the layout"),
        None => fault,
    }
}

struct PartitionAt {
    partition: Partition,
    span: Span,
    mount: Span,
}

fn partition(cx: &mut Decoding, section: &Section<'_>) -> Option<PartitionAt> {
    let mount = section.word::<MountPoint>(cx, "mount");
    let size = section.word::<ByteSize>(cx, "size");
    let format = section.word::<PartitionFormat>(cx, "format")?.value.0;
    match (&mount, format) {
        (Some(mount), FileSystem::Swap) => {
            let fault = Fault::at(mount.span, "swap has no mount point");
            cx.fault(fault.help("leave `mount` out, or choose a file system as `format`"));
        }
        (None, format) if format != FileSystem::Swap => {
            if section.key("mount").is_none() {
                let fault = Fault::at(section.span, "the partition has no mount point");
                cx.fault(fault.help("add `mount = \"...\"`, or format = \"swap\""));
            }
            return None;
        }
        (Some(mount), _) if mount.value.0 == "/boot/efi" => {
            let fault = Fault::at(mount.span, "the bootloader's own partition is made without being listed");
            cx.fault(fault.help("leave this partition out"));
        }
        (Some(mount), _) if OF_THE_KERNEL.contains(&mount.value.0.as_str()) => {
            cx.fault(Fault::at(mount.span, format!("{} is made by the running system, on no disk", mount.value.0)));
        }
        _ => {}
    }
    if section.key("size").is_some() && size.is_none() {
        return None;
    }
    if let Some(size) = &size
        && size.bytes() == 0
    {
        cx.fault(Fault::at(size.span, "a partition of no size").help("leave `size` out to take the rest of the disk"));
    }
    Some(PartitionAt {
        mount: mount.as_ref().map_or(section.span, |mount| mount.span),
        partition: Partition { mount: mount.map(|at| at.value.0), size: size.map(|at| at.bytes()), format },
        span: section.span,
    })
}

/// What must hold among the partitions of one disk.
fn together(cx: &mut Decoding, partitions: &[PartitionAt], layout: Span) {
    let mut mounts: BTreeMap<&str, Span> = BTreeMap::new();
    for at in partitions {
        let Some(mount) = at.partition.mount.as_deref() else { continue };
        match mounts.get(mount) {
            Some(before) => {
                let fault = Fault::new(format!("two partitions are mounted at {mount}"));
                cx.fault(fault.label(at.mount, "the second").label(*before, "the first"));
            }
            None => {
                mounts.insert(mount, at.mount);
            }
        }
    }
    if !mounts.contains_key("/") {
        let fault = Fault::at(layout, "no partition is mounted at \"/\"");
        cx.fault(fault.help("add a partition with mount = \"/\""));
    }
    let mut open = partitions.iter().filter(|at| at.partition.size.is_none());
    match (open.next(), open.next(), partitions.last()) {
        (Some(first), Some(second), _) => {
            let fault = Fault::new("two partitions without a size: only one can take the rest of the disk");
            cx.fault(
                fault.label(second.span, "this one").label(first.span, "and this one").help("add `size = \"...\"`"),
            );
        }
        (Some(rest), None, Some(last)) if rest.span != last.span => {
            let fault = Fault::new("the partition that takes the rest of the disk is not the last one");
            let fault = fault.label(rest.span, "without a size").label(last.span, "the last");
            cx.fault(fault.help("move it to the end, or give it a size"));
        }
        _ => {}
    }
}
