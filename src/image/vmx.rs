//! The configuration of a machine for VMware Workstation, Player and Fusion.
//!
//! In: the machine and the name of its writable disk. Out: the text of NAME.vmx, keys sorted, nothing of the build host.
//! This is the base that `deploy` reads as a dictionary and overrides (networks, disks, seed medium); opened by hand it is a whole
//! machine. Keys and spelling are those of VMware's own files (libvirt `src/vmx/vmx.c`, open-vm-tools `lib/dict/dictll.c`).

use std::collections::BTreeMap;

use super::MachineSpec;
use super::machine::{Guest, HARDWARE_VERSION};

pub(super) fn render(machine: &MachineSpec, disk_file_name: &str) -> String {
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |key: &str, value: &str| keys.insert(key.to_owned(), value.to_owned());
    set("annotation", &machine.description);
    set("config.version", "8");
    set("displayName", &machine.name);
    set("firmware", "efi");
    set("floppy0.present", "FALSE");
    set("guestOS", Guest::of(machine.distribution).vmx);
    set("hpet0.present", "TRUE");
    set("memsize", &machine.memory_mib().to_string());
    set("numvcpus", &machine.cpus.to_string());
    set("pciBridge0.present", "TRUE");
    // PVSCSI, NVMe and vmxnet3 are PCI Express devices: without root ports the machine ends with "No PCIe slot available".
    for bridge in 4..8 {
        set(&format!("pciBridge{bridge}.present"), "TRUE");
        set(&format!("pciBridge{bridge}.virtualDev"), "pcieRootPort");
        set(&format!("pciBridge{bridge}.functions"), "8");
    }
    set("powerType.powerOff", "soft");
    set("powerType.reset", "soft");
    // A clock in UTC, whatever the host's zone.
    set("rtc.diffFromUTC", "0");
    // For CDs (the seed medium): the controller stays when they come and go, so the guest's devices keep their places.
    set("sata0.present", "TRUE");
    set("scsi0.present", "TRUE");
    set("scsi0.virtualDev", "pvscsi");
    set("scsi0:0.deviceType", "scsi-hardDisk");
    set("scsi0:0.fileName", disk_file_name);
    set("scsi0:0.present", "TRUE");
    set("tools.syncTime", "FALSE");
    set("uefi.secureBoot.enabled", if machine.secure_boot { "TRUE" } else { "FALSE" });
    set("virtualHW.version", &HARDWARE_VERSION.to_string());
    set("vmci0.present", "TRUE");
    for (index, ((_, _, mac), network)) in machine.adapters().into_iter().zip(["nat", "bridged"]).enumerate() {
        set(&format!("ethernet{index}.present"), "TRUE");
        set(&format!("ethernet{index}.virtualDev"), "vmxnet3");
        set(&format!("ethernet{index}.connectionType"), network);
        set(&format!("ethernet{index}.addressType"), "static");
        set(&format!("ethernet{index}.address"), &mac.to_string());
        set(&format!("ethernet{index}.startConnected"), "TRUE");
    }
    // Workstation wants to know the encoding before the first text.
    let first = ".encoding = \"UTF-8\"\n".to_owned();
    keys.iter().fold(first, |text, (key, value)| text + &format!("{key} = \"{}\"\n", escape(value)))
}

/// In a .vmx, `|XX` stands for the byte XX where a character has a meaning of its own.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |out, c| match c {
        '"' | '|' | '#' | '\u{0}'..='\u{1f}' | '\u{7f}' => out + &format!("|{:02X}", c as u32),
        c => out + c.encode_utf8(&mut [0; 4]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(escape("a\"\nb|c ü"), "a|22|0Ab|7Cc ü");
    }

    #[test]
    fn the_whole_file() {
        insta::assert_snapshot!(render(&crate::image::tests::machine(), "mylab-disk.vmdk"));
    }
}
