//! What NAME.vmx says: the build's .vmx, the profile's settings, and what Workstation itself has added to the machine. Pure.
//!
//! Everything comes anew from the build and the profile, so that two deployments of one build are configured alike. Kept from the former file
//! is only what makes it the same machine to its guest: see [`is_identity`]. Not kept, among others: `checkpoint.vmState`, which is
//! the memory of a suspended machine and belongs to another system disk; the window's place; what somebody has changed by hand, adapters and
//! CD drives that were added included. Only a disk that was added is not dropped: [`other_disk`] finds it, and the machine is left alone.

use super::layout::{Layout, SEED, STATE};
use super::vmx::Dictionary;
use crate::manifest::Machine;
use crate::profile::{Controller, Link, Workstation};

/// The seed medium's place.
pub(super) const SEED_DEVICE: &str = "sata0:1";

/// What the machine is to be.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) generation: u32,
    pub(super) machine: &'a Machine,
    pub(super) settings: &'a Workstation,
    pub(super) seed: bool,
}

/// Makes the machine's file of the build's.
pub(super) fn compose(base: &Dictionary, former: Option<&Dictionary>, wanted: &Wanted<'_>) -> Dictionary {
    let mut vmx = base.clone();
    vmx.remove(|name| {
        ["scsi", "nvme", "sata", "ide", "ethernet"]
            .iter()
            .any(|kind| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
    });
    let machine = wanted.machine;
    vmx.set("displayName", wanted.name);
    vmx.set("nvram", &format!("{}.nvram", wanted.name));
    vmx.set("memsize", &(machine.memory_bytes >> 20).to_string());
    vmx.set("numvcpus", &machine.cpus.to_string());
    vmx.set("firmware", &machine.firmware);
    vmx.set("uefi.secureBoot.enabled", truth(machine.secure_boot));
    vmx.set("tools.syncTime", "FALSE");
    // Nobody is there to answer: a moved directory is the same machine, anything else takes its default.
    vmx.set("uuid.action", "keep");
    vmx.set("msg.autoAnswer", "TRUE");
    vmx.set("cdrom.showIsoLockWarning", "FALSE");
    disks(&mut vmx, wanted);
    adapter(&mut vmx, 0, &wanted.settings.uplink, &machine.uplink_mac);
    adapter(&mut vmx, 1, &wanted.settings.provisioning, &machine.provisioning_mac);
    for (name, value) in former.into_iter().flat_map(Dictionary::entries) {
        if is_identity(name, &vmx) {
            vmx.set(name, value);
        }
    }
    vmx
}

fn disks(vmx: &mut Dictionary, wanted: &Wanted<'_>) {
    let controller = match wanted.settings.controller {
        Controller::Pvscsi => "scsi0",
        Controller::Nvme => "nvme0",
    };
    vmx.set(&format!("{controller}.present"), "TRUE");
    if controller == "scsi0" {
        vmx.set("scsi0.virtualDev", "pvscsi");
    }
    for (unit, file) in [Layout::system_in_vmx(wanted.generation).as_str(), STATE].into_iter().enumerate() {
        vmx.set(&format!("{controller}:{unit}.present"), "TRUE");
        vmx.set(&format!("{controller}:{unit}.fileName"), file);
        if controller == "scsi0" {
            vmx.set(&format!("{controller}:{unit}.deviceType"), "scsi-hardDisk");
        }
    }
    // The controller stays when the medium is gone: the guest finds its other devices where they were.
    vmx.set("sata0.present", "TRUE");
    if wanted.seed {
        for (key, value) in
            [("present", "TRUE"), ("deviceType", "cdrom-image"), ("fileName", SEED), ("startConnected", "TRUE")]
        {
            vmx.set(&format!("{SEED_DEVICE}.{key}"), value);
        }
    }
}

fn adapter(vmx: &mut Dictionary, index: usize, link: &Link, mac: &str) {
    let mut set = |key: &str, value: &str| vmx.set(&format!("ethernet{index}.{key}"), value);
    set("present", "TRUE");
    set("virtualDev", "vmxnet3");
    set("startConnected", "TRUE");
    set("addressType", "static");
    set("address", mac);
    if !is_static_address(mac) {
        // Workstation hands out addresses of its own in the rest of VMware's range, and is suspicious of all others.
        set("checkMACAddress", "FALSE");
    }
    let connection = match link {
        Link::Nat => "nat",
        Link::Bridged => "bridged",
        Link::HostOnly => "hostonly",
        Link::Named(_) => "custom",
    };
    set("connectionType", connection);
    if let Link::Named(name) = link {
        set("vnet", name);
    }
}

/// 00:50:56:00:00:00 to 00:50:56:3f:ff:ff, VMware's range for addresses that somebody has chosen.
fn is_static_address(mac: &str) -> bool {
    let mac = mac.to_ascii_lowercase();
    mac.strip_prefix("00:50:56:").is_some_and(|rest| matches!(rest.as_bytes().first(), Some(b'0'..=b'3')))
}

/// What Workstation adds at the first start and the guest's view depends on: the firmware's UUID (machine ids and licences hang on it) and
/// where it was made, the id for VMCI that is derived from it, the NVMe subsystem's name, and the PCI slot of every device that the
/// machine still has.
fn is_identity(name: &str, new: &Dictionary) -> bool {
    let name = name.to_ascii_lowercase();
    match name.strip_suffix(".pcislotnumber") {
        Some(device) => new.is_true(&format!("{device}.present")),
        None => match name.as_str() {
            "uuid.bios" | "uuid.location" | "vc.uuid" | "vmci0.id" => true,
            "nvme0.subnqnuuid" => new.is_true("nvme0.present"),
            _ => false,
        },
    }
}

/// The file of the first disk, whatever it hangs on.
pub(super) fn system_disk(vmx: &Dictionary) -> Option<&str> {
    disk(vmx, 0)
}

pub(super) fn state_disk(vmx: &Dictionary) -> Option<&str> {
    disk(vmx, 1)
}

fn disk(vmx: &Dictionary, unit: u8) -> Option<&str> {
    vmx.get(&format!("{}.fileName", disk_device(vmx, unit)?))
}

fn disk_device(vmx: &Dictionary, unit: u8) -> Option<String> {
    let devices = ["scsi0", "nvme0"].into_iter().map(|controller| format!("{controller}:{unit}"));
    let is_there =
        |device: &String| vmx.is_true(&format!("{device}.present")) && vmx.get(&format!("{device}.fileName")).is_some();
    devices.into_iter().find(is_there)
}

/// Device and file of the first disk that is neither the system's nor the state's: somebody has added it. CDs are no disks.
pub(super) fn other_disk(vmx: &Dictionary) -> Option<(&str, &str)> {
    let ours = [disk_device(vmx, 0), disk_device(vmx, 1)];
    vmx.entries().find_map(|(name, file)| {
        let (device, key) = name.rsplit_once('.')?;
        let is = |key: &str, wanted: &dyn Fn(&str) -> bool| vmx.get(&format!("{device}.{key}")).is_some_and(wanted);
        // Whatever else VMware takes for a truth: only what is surely switched off is passed over.
        let there = is("present", &|value| !value.eq_ignore_ascii_case("false"));
        let cd = is("deviceType", &|value| value.to_ascii_lowercase().contains("cdrom"));
        let known = ours.iter().flatten().any(|known| known.eq_ignore_ascii_case(device));
        let other = key.eq_ignore_ascii_case("fileName") && is_unit(device) && there && !cd && !known;
        other.then_some((device, file))
    })
}

/// `scsi0:2`: a place for a disk or a CD.
fn is_unit(device: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let device = device.to_ascii_lowercase();
    ["scsi", "nvme", "sata", "ide"].iter().any(|kind| {
        let place = device.strip_prefix(kind).and_then(|rest| rest.split_once(':'));
        place.is_some_and(|(controller, unit)| number(controller) && number(unit))
    })
}

/// The machine without its seed medium; `None` if it has none.
pub(super) fn without_seed(vmx: &Dictionary) -> Option<Dictionary> {
    let mut without = vmx.clone();
    without.remove(|name| name.strip_prefix(SEED_DEVICE).is_some_and(|rest| rest.starts_with('.')));
    (without != *vmx).then_some(without)
}

fn truth(value: bool) -> &'static str {
    if value { "TRUE" } else { "FALSE" }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{machine, settings};
    use super::*;

    /// As the image stage writes it, shortened.
    const BASE: &str = concat!(
        ".encoding = \"UTF-8\"\nannotation = \"provbuild appliance lab, |22Ubuntu|22\"\nconfig.version = \"8\"\n",
        "displayName = \"lab\"\nethernet0.connectionType = \"nat\"\nethernet1.connectionType = \"hostonly\"\n",
        "ethernet1.present = \"TRUE\"\nfirmware = \"efi\"\nfloppy0.present = \"FALSE\"\nguestOS = \"ubuntu-64\"\n",
        "memsize = \"8192\"\nnumvcpus = \"8\"\npciBridge0.present = \"TRUE\"\npciBridge4.functions = \"8\"\n",
        "pciBridge4.present = \"TRUE\"\npciBridge4.virtualDev = \"pcieRootPort\"\nscsi0.present = \"TRUE\"\n",
        "scsi0:0.fileName = \"lab-disk.vmdk\"\nscsi0:0.present = \"TRUE\"\nscsi0.virtualDev = \"pvscsi\"\n",
        "virtualHW.version = \"17\"\nvmci0.present = \"TRUE\"\n",
    );

    fn base() -> Dictionary {
        let (base, faults) = Dictionary::parse(BASE.as_bytes());
        assert!(faults.is_empty(), "{faults:?}");
        base
    }

    fn composed(former: Option<&str>, change: impl FnOnce(&mut Workstation), seed: bool) -> Dictionary {
        let mut settings = settings();
        change(&mut settings);
        let former = former.map(|text| Dictionary::parse(text.as_bytes()).0);
        let wanted = Wanted { name: "lab", generation: 3, machine: &machine(), settings: &settings, seed };
        compose(&base(), former.as_ref(), &wanted)
    }

    #[test]
    fn the_first_start() {
        insta::assert_snapshot!(composed(None, |_| {}, true).to_text());
    }

    #[test]
    fn nvme_and_other_networks() {
        let vmx = composed(
            None,
            |settings| {
                settings.controller = Controller::Nvme;
                settings.uplink = Link::Bridged;
                settings.provisioning = Link::Named("vmnet7".to_owned());
            },
            false,
        );
        assert_eq!(system_disk(&vmx), Some("generations/3/system.vmdk"));
        assert_eq!((vmx.get("nvme0:1.fileName"), state_disk(&vmx)), (Some("state.vmdk"), Some("state.vmdk")));
        assert!(vmx.get("scsi0.present").is_none() && vmx.get("nvme0:0.deviceType").is_none());
        assert_eq!((vmx.get("ethernet0.connectionType"), vmx.get("ethernet0.vnet")), (Some("bridged"), None));
        assert_eq!((vmx.get("ethernet1.connectionType"), vmx.get("ethernet1.vnet")), (Some("custom"), Some("vmnet7")));
        assert!(vmx.entries().all(|(name, _)| !name.starts_with("sata0:")));
    }

    #[test]
    fn the_machine_stays_the_same_to_its_guest() {
        let former = concat!(
            ".encoding = \"windows-1252\"\r\nUUID.bios = \"56 4d 01 02 03 04 05 06-07 08 09 0a 0b 0c 0d 0e\"\r\n",
            "uuid.location = \"56 4d 99\"\r\nvmci0.id = \"-77\"\r\nethernet0.pciSlotNumber = \"192\"\r\n",
            "scsi0.pciSlotNumber = \"160\"\r\npciBridge4.pciSlotNumber = \"21\"\r\nusb.pciSlotNumber = \"32\"\r\n",
            "checkpoint.vmState = \"lab.vmss\"\r\nmemsize = \"512\"\r\nscsi0:0.fileName = \"generations/2/system.vmdk\"\r\n",
            "sata0:1.present = \"TRUE\"\r\nethernet2.present = \"TRUE\"\r\n",
        );
        let vmx = composed(Some(former), |_| {}, false);
        assert_eq!(vmx.get("uuid.bios"), Some("56 4d 01 02 03 04 05 06-07 08 09 0a 0b 0c 0d 0e"));
        assert_eq!((vmx.get("uuid.location"), vmx.get("vmci0.id")), (Some("56 4d 99"), Some("-77")));
        assert_eq!(vmx.get("ethernet0.pciSlotNumber"), Some("192"));
        assert_eq!((vmx.get("scsi0.pciSlotNumber"), vmx.get("pciBridge4.pciSlotNumber")), (Some("160"), Some("21")));
        for gone in ["usb.pciSlotNumber", "checkpoint.vmState", "sata0:1.present", "ethernet2.present"] {
            assert_eq!(vmx.get(gone), None, "{gone}");
        }
        assert_eq!(vmx.get("memsize"), Some("4096"));
        assert_eq!(system_disk(&vmx), Some("generations/3/system.vmdk"));
        let nvme = composed(Some(former), |settings| settings.controller = Controller::Nvme, false);
        assert_eq!(nvme.get("scsi0.pciSlotNumber"), None);
    }

    #[test]
    fn a_disk_that_somebody_added_is_found_and_nothing_else() {
        let with = |more: &str| {
            let text = composed(None, |_| {}, true).to_text() + more;
            other_disk(&Dictionary::parse(text.as_bytes()).0).map(|(device, file)| format!("{device} {file}"))
        };
        assert_eq!(with(""), None);
        let nvme = composed(None, |settings| settings.controller = Controller::Nvme, false);
        assert_eq!(other_disk(&nvme), None);
        for other in [
            // CDs, one that is not there, a floppy, adapters.
            "sata0:0.present = \"TRUE\"\nsata0:0.fileName = \"auto detect\"\nsata0:0.deviceType = \"cdrom-raw\"\n",
            "ide1:0.present = \"TRUE\"\nide1:0.fileName = \"a.iso\"\nide1:0.deviceType = \"atapi-CDROM\"\n",
            "scsi0:2.present = \"false\"\nscsi0:2.fileName = \"data.vmdk\"\n",
            "scsi0:2.fileName = \"data.vmdk\"\n",
            "floppy0.present = \"TRUE\"\nfloppy0.fileName = \"a.flp\"\n",
            "ethernet2.present = \"TRUE\"\nserial0.present = \"TRUE\"\nserial0.fileName = \"log\"\n",
        ] {
            assert_eq!(with(other), None, "{other}");
        }
        for (device, more) in [
            ("scsi0:2", "SCSI0:2.Present = \"TRUE\"\nscsi0:2.deviceType = \"scsi-hardDisk\"\n"),
            ("scsi1:0", "scsi1:0.present = \"TRUE\"\n"),
            ("nvme0:1", "nvme0:1.present = \"1\"\n"),
            ("sata0:2", "sata0:2.present = \"TRUE\"\nsata0:2.deviceType = \"disk\"\n"),
            ("IDE0:1", "IDE0:1.present = \"TRUE\"\nIDE0:1.deviceType = \"rawDisk\"\n"),
        ] {
            let found = with(&format!("{more}{device}.filename = \"data.vmdk\"\n"));
            assert_eq!(found, Some(format!("{device} data.vmdk")));
        }
    }

    #[test]
    fn composing_twice_changes_nothing() {
        let once = composed(None, |_| {}, false);
        let twice = composed(Some(&once.to_text()), |_| {}, false);
        assert_eq!(once.to_text(), twice.to_text());
    }

    #[test]
    fn without_its_medium_the_rest_is_the_same() {
        let with = composed(None, |_| {}, true);
        let without = without_seed(&with).unwrap();
        assert_eq!(without.to_text(), composed(None, |_| {}, false).to_text());
        assert_eq!(without_seed(&without), None);
    }

    #[test]
    fn only_vmwares_static_addresses_are_taken_for_such() {
        assert!(is_static_address("00:50:56:3F:ff:ff") && is_static_address("00:50:56:00:00:00"));
        assert!(!is_static_address("00:50:56:40:00:00") && !is_static_address("52:54:00:00:00:01"));
    }
}
