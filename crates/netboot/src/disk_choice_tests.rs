//! The preflight as shells run it, on machines that are folders.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::tempdir::Folder;

/// A machine as far as the script sees it: a folder.
struct Machine {
    root: Folder,
}

impl Machine {
    fn new() -> Self {
        let machine = Machine { root: Folder::new() };
        machine.write("sys/class/net/lo/address", "00:00:00:00:00:00\n");
        machine.write("sys/class/net/eno1/address", "52:54:00:12:34:56\n");
        machine.write("proc/self/mountinfo", "22 1 0:21 / / rw - tmpfs tmpfs rw\n");
        machine.write(
            "autoinstall.yaml",
            &format!("version: 1\nstorage:\n    layout:\n        match:\n            path: {PLACEHOLDER}\n"),
        );
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// `gib` of size; `udev` are lines of its database.
    fn disk(&self, name: &str, number: &str, gib: u64, ssd: bool, udev: &str) -> &Self {
        let folder = format!("sys/block/{name}");
        self.write(&format!("{folder}/dev"), &format!("{number}\n"));
        self.write(&format!("{folder}/size"), &format!("{}\n", gib << 21));
        self.write(&format!("{folder}/ro"), "0\n");
        self.write(&format!("{folder}/queue/rotational"), if ssd { "0\n" } else { "1\n" });
        self.write(&format!("run/udev/data/b{number}"), udev);
        self
    }

    /// The chosen disk, or the message, the same from every shell.
    fn choose(&self, disk: Option<&DiskSelector>) -> Result<String, String> {
        let after = self.rewrite(disk)?;
        Ok(after.lines().find_map(|line| line.trim().strip_prefix("path: ")).unwrap().to_owned())
    }

    /// The text of autoinstall.yaml afterwards; the file itself stays as it was, for the next question.
    fn rewrite(&self, disk: Option<&DiskSelector>) -> Result<String, String> {
        let text = fs::read_to_string(self.root.join("autoinstall.yaml")).unwrap();
        let shells: [&[&str]; 2] = [&["dash"], &["busybox", "sh"]];
        let mut answers = shells.into_iter().filter(|shell| {
            let there = Command::new(shell[0]).arg("true").output().is_ok();
            if !there {
                eprintln!("LEFT OUT: {} is not installed", shell[0]);
            }
            there || std::env::var_os("CI").is_some()
        });
        let answer = |shell: &[&str]| {
            let output = Command::new(shell[0])
                .args(&shell[1..])
                .args(["-c", &for_subiquity(&node_with(disk), false)])
                .env("PROVBUILD_ROOT", self.root.as_os_str())
                .env("want_serial", "from the environment")
                .output()
                .unwrap();
            let message = String::from_utf8(output.stderr).unwrap();
            let after = fs::read_to_string(self.root.join("autoinstall.yaml")).unwrap();
            if !output.status.success() {
                assert_eq!(after, text, "a script that stops has changed nothing");
                return Err(message);
            }
            fs::write(self.root.join("autoinstall.yaml"), &text).unwrap();
            assert!(message.contains("the system goes to"), "{message}");
            Ok(after)
        };
        let first = answer(answers.next().expect("a POSIX shell is installed"));
        for shell in answers {
            assert_eq!(answer(shell), first, "{shell:?}");
        }
        first
    }
}

fn node_with(disk: Option<&DiskSelector>) -> Node {
    let mut node = crate::inventory::tests::node("node1", "52:54:00:12:34:56", "10.10.1.21");
    node.disk = disk.cloned();
    node
}

fn selector(set: impl FnOnce(&mut DiskSelector)) -> DiskSelector {
    let mut selector = DiskSelector::default();
    set(&mut selector);
    selector
}

fn two_disks() -> Machine {
    let machine = Machine::new();
    machine
        .disk(
            "sda",
            "8:0",
            200,
            true,
            "S:disk/by-id/ata-Samsung_SSD_860_S3Z8\nS:disk/by-path/pci-0000:00:17.0-ata-1\nE:ID_SERIAL=Samsung_SSD_860_S3Z8\n\
             E:ID_SERIAL_SHORT=S3Z8\nE:ID_MODEL=Samsung_SSD_860\nE:ID_WWN=0x5002538e\n",
        )
        .disk("sdb", "8:16", 4000, false, "E:ID_SERIAL_SHORT=ZC1\nE:ID_MODEL=ST4000NM\nE:ID_VENDOR=SEAGATE\nE:ID_WWN=0x5000c500\n");
    machine
}

#[test]
fn every_field_selects() {
    let machine = two_disks();
    type Set = fn(&mut DiskSelector);
    let first: [Set; 9] = [
        |s| s.serial = Some("S3Z*".into()),
        |s| s.serial = Some("*_S3Z?".into()),
        |s| s.model = Some("Samsung*".into()),
        |s| s.wwn = Some("0x500253*".into()),
        |s| s.path = Some("/dev/sda".into()),
        |s| s.path = Some("/dev/disk/by-path/*-ata-1".into()),
        |s| s.path = Some("/dev/disk/by-id/ata-Samsung*".into()),
        |s| s.max_size = Some(200 << 30),
        |s| s.ssd = Some(true),
    ];
    for (index, set) in first.into_iter().enumerate() {
        assert_eq!(machine.choose(Some(&selector(set))), Ok("/dev/sda".to_owned()), "{index}");
    }
    let second: [Set; 4] = [
        |s| s.vendor = Some("SEAGATE".into()),
        |s| s.min_size = Some((200 << 30) + 1),
        |s| s.ssd = Some(false),
        |s| {
            s.serial = Some("*".into());
            s.model = Some("ST*".into());
            s.min_size = Some(1 << 40);
        },
    ];
    for (index, set) in second.into_iter().enumerate() {
        assert_eq!(machine.choose(Some(&selector(set))), Ok("/dev/sdb".to_owned()), "{index}");
    }
}

#[test]
fn none_and_several_stop() {
    let machine = two_disks();
    let none = machine.choose(Some(&selector(|s| s.serial = Some("S3Z".into())))).unwrap_err();
    insta::assert_snapshot!(none, @r#"
    provbuild: STOPPED, nothing was erased: no disk matches the node's selector, { serial = "S3Z" }; the disks of this machine are:
        /dev/sda: 204800 MiB, solid-state, serial S3Z8, model Samsung_SSD_860, wwn 0x5002538e
        /dev/sdb: 4096000 MiB, rotating, serial ZC1, model ST4000NM, vendor SEAGATE, wwn 0x5000c500
    "#);
    let several = machine.choose(Some(&selector(|s| s.min_size = Some(1 << 30)))).unwrap_err();
    insta::assert_snapshot!(several, @r#"
    provbuild: STOPPED, nothing was erased: 2 disks match the node's selector, { min-size = 1073741824 bytes }, and one must; the disks of this machine are:
        /dev/sda: 204800 MiB, solid-state, serial S3Z8, model Samsung_SSD_860, wwn 0x5002538e (matches)
        /dev/sdb: 4096000 MiB, rotating, serial ZC1, model ST4000NM, vendor SEAGATE, wwn 0x5000c500 (matches)
    "#);
    let unsaid = machine.choose(None).unwrap_err();
    assert!(unsaid.contains("2 disks match the node's selector, which is \"the only disk\""), "{unsaid}");
    // What is empty matches nothing; a disk without the property neither.
    assert!(machine.choose(Some(&selector(|s| s.serial = Some(String::new())))).is_err());
    machine.disk("sdc", "8:32", 10, true, "");
    assert!(
        machine
            .choose(Some(&selector(|s| {
                s.serial = Some("*".into());
                s.max_size = Some(10 << 30)
            })))
            .is_err()
    );
}

#[test]
fn another_machine_is_left_alone() {
    let machine = two_disks();
    let target = selector(|s| s.serial = Some("S3Z8".into()));
    assert!(machine.choose(Some(&target)).is_ok());
    machine.write("sys/class/net/eno1/address", "52:54:00:12:34:57\n");
    let message = machine.choose(Some(&target)).unwrap_err();
    assert_eq!(
        message,
        "provbuild: STOPPED, nothing was erased: this machine is another one: it has no network card with the address \
         52:54:00:12:34:56\n"
    );
}

#[test]
fn without_a_selector_a_disk_that_cannot_be_used_or_may_be_removed_is_no_reason_for_the_other() {
    let broken = |prepare: &dyn Fn(&Machine)| {
        let machine = Machine::new();
        machine.disk("sda", "8:0", 100, true, "").disk("sdb", "8:16", 100, true, "");
        assert!(machine.choose(None).is_err(), "two disks");
        prepare(&machine);
        machine.choose(None)
    };
    for stopped in [
        broken(&|machine| machine.write("sys/block/sda/ro", "1\n")),
        broken(&|machine| machine.write("sys/block/sda/size", "0\n")),
    ] {
        let message = stopped.unwrap_err();
        assert!(message.contains("and /dev/sda is there as well, though it cannot be used"), "{message}");
    }
    // A card reader without a card, and a stick.
    let reader = broken(&|machine| {
        machine.write("sys/block/sda/size", "0\n");
        machine.write("sys/block/sda/removable", "1\n");
    });
    assert_eq!(reader, Ok("/dev/sdb".to_owned()));
    assert_eq!(broken(&|machine| machine.write("run/udev/data/b8:0", "E:ID_BUS=usb\n")), Ok("/dev/sdb".to_owned()));
    let stick = Machine::new();
    stick.disk("sda", "8:0", 100, true, "E:ID_BUS=usb\nE:ID_SERIAL_SHORT=STICK\n");
    assert!(stick.choose(None).unwrap_err().contains("no disk matches"));
    assert_eq!(stick.choose(Some(&selector(|s| s.serial = Some("STICK".into())))), Ok("/dev/sda".to_owned()));
}

#[test]
fn a_disk_whose_array_reaches_over_others_is_refused() {
    let target = selector(|s| s.serial = Some("OS1".into()));
    let machine = || {
        let machine = Machine::new();
        machine.disk("sda", "8:0", 100, true, "E:ID_SERIAL_SHORT=OS1\n").disk("sdb", "8:16", 100, true, "");
        for (disk, number) in [("sda", "8:1"), ("sdb", "8:17")] {
            machine.write(&format!("sys/block/{disk}/{disk}1/dev"), &format!("{number}\n"));
        }
        machine
    };
    assert_eq!(machine().choose(Some(&target)), Ok("/dev/sda".to_owned()));

    // Assembled: md0 on a partition of each, and a volume on md0.
    let assembled = machine();
    assembled.write("sys/block/md0/dev", "9:0\n");
    assembled.write("sys/block/dm-0/dev", "253:0\n");
    assembled.write("sys/block/sda/sda1/holders/md0", "");
    assembled.write("sys/block/md0/slaves/sda1", "");
    assembled.write("sys/block/md0/holders/dm-0", "");
    assembled.write("sys/block/dm-0/slaves/md0", "");
    assert_eq!(assembled.choose(Some(&target)), Ok("/dev/sda".to_owned()), "all of it is on this disk");
    assembled.write("sys/block/md0/slaves/sdb1", "");
    let message = assembled.choose(Some(&target)).unwrap_err();
    assert!(message.contains("/dev/sda is a part of md0 together with sdb1"), "{message}");

    // Mounted through it.
    let mounted = machine();
    mounted.write("sys/block/dm-0/dev", "253:0\n");
    mounted.write("sys/block/sda/sda1/holders/dm-0", "");
    mounted.write("sys/block/dm-0/slaves/sda1", "");
    mounted.write("proc/self/mountinfo", "22 1 0:21 / / rw - tmpfs tmpfs rw\n30 22 253:0 / /cdrom ro - iso9660 x ro\n");
    let message = mounted.choose(Some(&target)).unwrap_err();
    assert!(message.contains("in use by the installer"), "{message}");

    // Not assembled: only what udev read from the members tells.
    let dormant = machine();
    for number in ["8:1", "8:17"] {
        dormant.write(&format!("run/udev/data/b{number}"), "E:ID_FS_TYPE=linux_raid_member\nE:ID_FS_UUID=abc-1\n");
    }
    let message = dormant.choose(Some(&target)).unwrap_err();
    assert!(message.contains("/dev/sda and sdb1 are parts of the same linux_raid_member"), "{message}");
    dormant.write("run/udev/data/b8:17", "E:ID_FS_TYPE=linux_raid_member\nE:ID_FS_UUID=abc-2\n");
    assert_eq!(dormant.choose(Some(&target)), Ok("/dev/sda".to_owned()));

    // Debian's partitioner compares names by their beginning.
    let many = machine();
    many.disk("sdaa", "65:160", 100, true, "");
    assert_eq!(many.choose(Some(&target)), Ok("/dev/sda".to_owned()));
    let script = script(&node_with(Some(&target)), Told::Debian, false);
    let run = |script: &str| {
        // As there it would wait for ever, the test only looks at what is said.
        let script = script.replace("while :; do sleep 60; done", "exit 1");
        let output = Command::new("dash").args(["-c", &script]).env("PROVBUILD_ROOT", many.root.as_os_str()).output();
        String::from_utf8(output.unwrap().stderr).unwrap()
    };
    assert!(run(&script).contains("partman would take /dev/sdaa for a part of /dev/sda"));
}

#[test]
fn without_a_selector_the_only_disk_is_meant() {
    let machine = Machine::new();
    let none = machine.choose(None).unwrap_err();
    assert!(none.contains("no disk matches") && none.ends_with("the disks of this machine are: none\n"), "{none}");
    machine.disk("nvme0n1", "259:0", 100, true, "");
    assert_eq!(machine.choose(None), Ok("/dev/nvme0n1".to_owned()));
}

#[test]
fn what_is_no_target_is_left_out() {
    let machine = Machine::new();
    machine.disk("vda", "254:0", 100, false, "E:ID_SERIAL=target\n");
    for (index, name) in
        ["loop0", "ram0", "zram0", "sr0", "fd0", "dm-0", "md127", "nbd0", "mmcblk0boot0", "nvme0c1n1", "sdz"]
            .iter()
            .enumerate()
    {
        machine.disk(name, &format!("7:{index}"), 100, false, "");
    }
    machine.write("sys/block/nvme0c1n1/hidden", "1\n");
    machine.write("sys/block/sdz/size", "0\n");
    machine.write("sys/block/sdz/removable", "1\n");
    // The medium that the installer runs from: a partition of it is mounted.
    machine.disk("sdb", "8:16", 30, false, "");
    machine.write("sys/block/sdb/sdb1/dev", "8:17\n");
    machine.write(
        "proc/self/mountinfo",
        "22 1 0:21 / / rw - tmpfs tmpfs rw\n30 22 8:17 / /cdrom ro - iso9660 /dev/sdb1 ro\n",
    );
    machine.disk("sdc", "8:32", 30, false, "E:ID_FS_TYPE=iso9660\n");
    machine.disk("sdd", "8:48", 30, false, "E:ID_FS_LABEL=cidata\n");
    assert_eq!(machine.choose(None), Ok("/dev/vda".to_owned()));
    machine.disk("sde", "8:64", 30, false, "");
    machine.write("sys/block/sde/ro", "1\n");
    let message = machine.choose(Some(&selector(|s| s.max_size = Some(30 << 30)))).unwrap_err();
    insta::assert_snapshot!(message, @r"
    provbuild: STOPPED, nothing was erased: no disk matches the node's selector, { max-size = 32212254720 bytes }; the disks of this machine are:
        /dev/sdb: 30720 MiB, rotating (left out: in use by the installer)
        /dev/sdc: 30720 MiB, rotating (left out: an installation medium)
        /dev/sdd: 30720 MiB, rotating (left out: a seed of cloud-init)
        /dev/sde: 30720 MiB, rotating (left out: read-only)
        /dev/vda: 102400 MiB, rotating, serial target
    ");
}

#[test]
fn hostile_values_are_only_values() {
    let odd = "a b'\"$(touch /tmp/owned)`x`;|&* [z]\\";
    let machine = Machine::new();
    machine.disk("sda", "8:0", 10, true, &format!("E:ID_SERIAL={odd}\n"));
    machine.disk("sdb", "8:16", 10, true, "E:ID_SERIAL=other\n");
    // Blanks at the ends, as firmware writes them, count for nothing.
    machine.disk("cciss!c0d0", "104:0", 10, true, "");
    machine.write("sys/block/cciss!c0d0/device/serial", "   padded serial   \n");
    let by = |serial: &str| machine.choose(Some(&selector(|s| s.serial = Some(serial.to_owned()))));
    assert_eq!(by("a b'\"$(touch /tmp/owned)`x`;|&\\* \\[z\\]\\\\"), Ok("/dev/sda".to_owned()));
    assert_eq!(by("a b'\"$(*)`x`;|&?*"), Ok("/dev/sda".to_owned()));
    assert_eq!(by("padded serial"), Ok("/dev/cciss/c0d0".to_owned()));
    assert_eq!(by("[!a-np-z]ther"), Ok("/dev/sdb".to_owned()));
    for none in ["'", "$(echo other)", "other\n", "-e", "!", "sda", "a b"] {
        assert!(by(none).is_err(), "{none:?}");
    }
    assert!(!Path::new("/tmp/owned").exists());
}

#[test]
fn the_file_must_have_exactly_one_place() {
    let machine = Machine::new();
    machine.disk("sda", "8:0", 10, true, "");
    for text in ["version: 1\n".to_owned(), format!("a:\n  path: {PLACEHOLDER}\nb:\n  path: {PLACEHOLDER}\n")] {
        machine.write("autoinstall.yaml", &text);
        let message = machine.choose(None).unwrap_err();
        assert!(message.contains("has not exactly one line"), "{message}");
    }
}

#[test]
fn grub_goes_onto_the_esp_of_uefi_machines_only() {
    let machine = Machine::new();
    machine.disk("sda", "8:0", 10, true, "");
    let text = format!(
        "config:\n-   grub_device: true\n    match:\n        path: {PLACEHOLDER}\n-   grub_device: {UEFI_PLACEHOLDER}\n"
    );
    for (uefi, word) in [(false, "false"), (true, "true")] {
        machine.write("autoinstall.yaml", &text);
        if uefi {
            machine.write("sys/firmware/efi/fw_platform_size", "64\n");
        }
        assert_eq!(
            machine.rewrite(None).unwrap(),
            text.replace(PLACEHOLDER, "/dev/sda").replace(UEFI_PLACEHOLDER, word)
        );
    }
}

/// What the script edits is made of the same document, script and all: it must not find itself.
#[test]
fn the_script_has_no_placeholder() {
    assert!(!for_subiquity(&node_with(None), false).contains(PLACEHOLDER));
}
