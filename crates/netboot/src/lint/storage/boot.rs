//! Whether the installed disk can be booted: where the boot loader goes, on BIOS and on UEFI.
//!
//! The installer asks for a disk with `grub_device` (BIOS), or for a partition with `grub_device` whose file system is
//! mounted at /boot/efi (UEFI), or for a `prep` partition (POWER).

use std::ops::Range;

use super::config::Action;
use crate::lint::report::Report;

pub(super) fn check(actions: &[Action<'_>], at: &Range<usize>, report: &mut Report<'_>) {
    let of = |kind: &'static str| actions.iter().filter(move |action| action.kind == kind);
    let by_id = |id: &str| actions.iter().find(|action| action.id == id && !id.is_empty());
    for mount in of("mount") {
        let path = mount.node.get("path").and_then(|node| Some((node, node.text()?)));
        if let Some((node, _)) =
            path.filter(|(_, path)| path.starts_with("/boot/efi/") && path.trim_end_matches('/') == "/boot/efi")
        {
            report
                .error(&node.range, "the installer looks for '/boot/efi' letter by letter: it finds no boot loader's partition, and stops")
                .help("write '/boot/efi'");
        }
    }
    // The partition that is mounted at /boot/efi, and its file system.
    let efi = of("mount")
        .find(|mount| mount.reference("path").is_some_and(|path| path.trim_end_matches('/') == "/boot/efi"))
        .and_then(|mount| by_id(mount.reference("device")?))
        .and_then(|format| Some((format, by_id(format.reference("volume")?)?)));
    let bios = of("disk").find(|disk| disk.is("grub_device"));
    let uefi = efi.filter(|(_, partition)| partition.is("grub_device"));
    let prep =
        of("partition").any(|partition| partition.is("grub_device") && partition.reference("flag") == Some("prep"));

    match (efi, bios, uefi) {
        (Some((_, partition)), _, None) => {
            let message = "the partition for /boot/efi has no 'grub_device: true': a UEFI machine does not install";
            let place = partition.node.entry("id").map_or(&partition.node.range, |id| &id.value.range);
            let help = "add 'grub_device: true' to this partition";
            // With a boot loader for BIOS the document is sound for such machines.
            match bios {
                Some(_) => report.warning(place, message).help(help),
                None => report.error(place, message).help(help),
            };
        }
        (None, None, _) if !prep => {
            report
                .error(at, "no action takes the boot loader: the installer stops")
                .help(
                    "UEFI: a partition with 'flag: boot' and 'grub_device: true', formatted as fat32, mounted at /boot/efi; \
                     BIOS: 'grub_device: true' on the disk",
                );
        }
        _ => {}
    }
    if let Some((format, partition)) = uefi {
        let fstype = format.reference("fstype").unwrap_or("");
        if !matches!(fstype, "fat32" | "vfat" | "fat" | "fat16" | "fat12") {
            let place = format.node.get("fstype").map_or(&format.node.range, |node| &node.range);
            report.error(place, "firmware reads /boot/efi only from FAT").help("write 'fstype: fat32'");
        }
        if partition.kind == "partition" && partition.reference("flag") != Some("boot") && !partition.is("preserve") {
            let place = partition.node.entry("flag").map_or(&partition.node.range, |flag| &flag.key.range);
            report
                .error(
                    place,
                    "the partition for /boot/efi has no 'flag: boot': firmware does not know it for an EFI partition",
                )
                .help("add 'flag: boot'");
        }
    }
    if let Some(disk) = bios.filter(|disk| !disk.is("preserve")) {
        let gpt = !matches!(disk.reference("ptable"), Some("msdos" | "dos" | "vtoc"));
        let own = |partition: &&Action<'_>| partition.reference("device") == Some(disk.id);
        let space = of("partition").filter(own).any(|partition| partition.reference("flag") == Some("bios_grub"));
        let partitioned = of("partition").any(|partition| own(&partition));
        if gpt && partitioned && !space {
            let place = disk.node.entry("grub_device").map_or(&disk.node.range, |entry| &entry.key.range);
            let message =
                "a BIOS boot loader on GPT needs a partition with 'flag: bios_grub': grub-install fails without";
            let help = "add a partition of 1M with 'flag: bios_grub' as the first one, or boot by UEFI";
            match uefi {
                Some(_) => report.warning(place, message).help(help),
                None => report.error(place, message).help(help),
            };
        }
    }
}
