//! What Workstation does not start, and why.

use std::fs;

use vmware_stand_in::Mode;
use vmware_stand_in::machine::{Link, Machine};

use crate::lab::{Lab, VMX};

#[test]
fn the_machine_is_what_the_file_says() {
    let lab = Lab::new(Mode::Paper);
    let machine = Machine::read(&lab.vmx()).unwrap();
    assert_eq!((machine.name.as_str(), machine.memory_mib, machine.cpus), ("lab", 512, 2));
    assert_eq!((machine.efi, machine.secure_boot, machine.nvram), (true, false, lab.path("lab.nvram")));
    let disks: Vec<_> = machine.disks.iter().map(|disk| (disk.device.as_str(), disk.file.clone())).collect();
    assert_eq!(disks, [("scsi0:0", lab.path("system.vmdk")), ("scsi0:1", lab.path("state.vmdk"))]);
    assert!(machine.cds.len() == 1 && machine.cds[0].connected && machine.cds[0].device == "sata0:1");
    let cards: Vec<_> = machine.cards.iter().map(|card| (card.mac.as_str(), card.link)).collect();
    assert_eq!(cards, [("00:50:56:00:00:01", Link::Nat), ("00:50:56:3f:00:02", Link::Other)]);

    lab.with("sata0:1.fileName = \"seed.iso\"", "sata0:1.fileName = \"seed.iso\"\nSATA0:1.STARTCONNECTED = \"false\"");
    assert!(!Machine::read(&lab.vmx()).unwrap().cds[0].connected);
    lab.with("scsi0:1.present = \"TRUE\"", "scsi0:1.present = \"FALSE\"");
    assert_eq!(Machine::read(&lab.vmx()).unwrap().disks.len(), 1);
    fs::write(lab.vmx(), VMX.replace("scsi0.virtualDev = \"pvscsi\"\n", "").replace("scsi0", "nvme0")).unwrap();
    assert_eq!(Machine::read(&lab.vmx()).unwrap().disks[1].device, "nvme0:1");
    // A question that is answered by itself: the machine starts without the CD.
    lab.with("fileName = \"seed.iso\"", "fileName = \"gone.iso\"\nmsg.autoAnswer = \"TRUE\"");
    assert!(!Machine::read(&lab.vmx()).unwrap().cds[0].connected);
}

#[test]
fn what_workstation_refuses_is_refused() {
    let lab = Lab::new(Mode::Paper);
    let unreadable = "Cannot read the virtual machine configuration file";
    for (from, to, reason) in [
        ("displayName = \"lab\"", "displayName = \"lab\"\nDISPLAYNAME = \"x\"", "Dictionary problem"),
        ("displayName = \"lab\"", "displayName = \"lab\"\r", "Dictionary problem"),
        ("displayName = \"lab\"\n", "", unreadable),
        ("virtualHW.version = \"17\"\n", "", unreadable),
        ("config.version = \"8\"\n", "", unreadable),
        ("guestOS = \"debian11-64\"\n", "", unreadable),
        ("virtualHW.version = \"17\"", "virtualHW.version = \"99\"", "this Workstation cannot run it"),
        ("virtualHW.version = \"17\"", "virtualHW.version = \"x\"", "not a number"),
        ("memsize = \"512\"", "memsize = \"511\"", "a multiple of 4"),
        ("numvcpus = \"2\"", "numvcpus = \"0\"", "numvcpus"),
        ("numvcpus = \"2\"", "numvcpus = \"2\"\ncpuid.coresPerSocket = \"4\"", "numvcpus"),
        ("virtualDev = \"pvscsi\"", "virtualDev = \"virtio\"", "invalid value: scsi0.virtualDev"),
        ("virtualDev = \"vmxnet3\"", "virtualDev = \"virtio\"", "invalid value: ethernet0.virtualDev"),
        ("connectionType = \"nat\"", "connectionType = \"NATs\"", "invalid value: ethernet0.connectionType"),
        ("\"vmnet2\"", "\"lab\"", "invalid value: ethernet1.vnet"),
        ("00:50:56:00:00:01", "00:50:56:40:00:01", "not an allowed static Ethernet address"),
        ("00:50:56:00:00:01", "52:54:00:00:00:01", "not an allowed static Ethernet address"),
        ("00:50:56:00:00:01", "00:50:56:00:00", "not an allowed static Ethernet address"),
        ("00:50:56:00:00:01", "00:50:56:3f:00:02", "is there twice"),
        ("\"system.vmdk\"", "\"stream.vmdk\"", "Unsupported or invalid disk type"),
        ("\"system.vmdk\"", "\"gone.vmdk\"", "Cannot open the disk"),
        ("\"system.vmdk\"", "\"seed.iso\"", "not a virtual disk"),
        ("\"system.vmdk\"", "\".\\system.vmdk\"", "with / between directories"),
        ("\"seed.iso\"", "\"gone.iso\"", "Cannot connect file"),
        ("pciBridge4.present = \"TRUE\"", "pciBridge4.present = \"FALSE\"", "No PCIe slot available for scsi0"),
        ("pciBridge4.functions = \"8\"", "pciBridge4.functions = \"2\"", "No PCIe slot available for Ethernet1"),
        ("pciBridge4.virtualDev = \"pcieRootPort\"\n", "", "invalid value: pciBridge4.virtualDev"),
        ("firmware = \"efi\"", "firmware = \"uefi\"", "invalid value: firmware"),
        (
            "firmware = \"efi\"\nuefi.secureBoot.enabled = \"FALSE\"",
            "uefi.secureBoot.enabled = \"TRUE\"",
            "needs firmware",
        ),
        ("scsi0.present = \"TRUE\"\n", "", "has no adapter"),
        ("scsi0:1.present = \"TRUE\"", "scsi0:7.present = \"TRUE\"", "no such place"),
        ("scsi0.present = \"TRUE\"", "scsi0.present = \"1\"", "TRUE or FALSE"),
    ] {
        lab.with(from, to);
        let (code, said) = lab.asked("start", &["nogui"]);
        assert!(code == 255 && said.starts_with("Error: ") && said.contains(reason), "{to}: {said}");
        assert!(lab.vmrun(&["list"]).1.contains(": 0"), "{to}");
    }
    lab.with("lab", "lab");
    assert_eq!(lab.asked("start", &["nogui"]).0, 0, "and without that, it starts");
}
