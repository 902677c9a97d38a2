//! Selectors that no disk can match, one at a time, and those that choose.

use super::fault_tests::{NETWORK, node, one, profile};
use super::tests::load_texts;

#[test]
fn faults_of_disk_selectors() {
    let long = format!("serial = \"{}\"", "S".repeat(129));
    let cases = [
        ("disk_sizes_crossed", "min-size = \"2TB\", max-size = \"1TB\""),
        ("disk_empty", ""),
        ("disk_glob_empty", "serial = \"\""),
        ("disk_glob_open", "model = \"Samsung[12\""),
        ("disk_serial_long", long.as_str()),
        ("disk_serial_with_blank", "serial = \" S3Z9NB0K\""),
        ("disk_wwn_by_id", "wwn = \"wwn-0x5002538E40B2F7A4\""),
        ("disk_wwn_no_number", "wwn = \"samsung\""),
        ("disk_path_outside_dev", "path = \"/disk/by-id/nvme-1\""),
        ("disk_path_relative", "path = \"sda\""),
        ("disk_path_of_a_partition", "path = \"/dev/nvme0n1p2\""),
        ("disk_path_optical", "path = \"/dev/sr0\""),
        ("disk_path_mapped", "path = \"/dev/dm-0\""),
        ("disk_path_mapper", "path = \"/dev/mapper/x\""),
        ("disk_path_raid", "path = \"/dev/md0\""),
        ("disk_path_nbd", "path = \"/dev/nbd*\""),
        ("disk_path_drbd", "path = \"/dev/drbd1\""),
        ("disk_path_flash", "path = \"/dev/mtdblock0\""),
        ("disk_path_boot_area", "path = \"/dev/mmcblk0boot0\""),
        ("disk_path_protected_memory", "path = \"/dev/mmcblk0rpmb\""),
        ("disk_path_controller", "path = \"/dev/nvme0\""),
        ("disk_path_folder", "path = \"/dev/\""),
        ("disk_path_with_blank", "path = \"/dev/sda \""),
        ("disk_path_by_uuid", "path = \"/dev/disk/by-uuid/1234-ABCD\""),
        ("disk_path_by_partlabel", "path = \"/dev/disk/by-partlabel/root\""),
        ("disk_path_device", "path = \"/dev/null\""),
        ("disk_path_by_id_itself", "path = \"/dev/disk/by-id/\""),
        ("disk_path_with_dots", "path = \"/dev/../sda\""),
        ("disk_path_by_id_of_a_volume", "path = \"/dev/disk/by-id/dm-name-vg0-root\""),
        ("disk_path_glob_of_partitions", "path = \"/dev/disk/by-id/ata-1*part1\""),
        ("disk_glob_backwards", "serial = \"[z-a]\""),
        ("disk_any_serial", "serial = \"*\""),
        ("disk_any_path", "path = \"/dev/*\", model = \"?*\""),
        ("disk_any_size", "min-size = \"0GB\""),
        ("disk_key_misspelt", "sreial = \"X\""),
        ("disk_ssd_no_flag", "ssd = \"yes\""),
        ("disk_too_small", "max-size = \"200MB\""),
        ("disk_smaller_than_the_partitions", "max-size = \"64GB\""),
    ];
    let installer = "[installer.u]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\nstorage.layout = \"partitions\"\n\
                     [[installer.u.storage.partition]]\nmount = \"/\"\nsize = \"100GiB\"\n";
    let small = "[installer.u]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\n";
    for (name, selector) in cases {
        let installer = if name.ends_with("partitions") { installer } else { small };
        let lines = format!("install = \"u\"\ndisk = {{ {selector} }}");
        one(name, &profile(NETWORK, installer), &node(&lines));
    }
}

#[test]
fn selectors_that_choose_are_accepted() {
    for selector in [
        "serial = \"*\", model = \"Samsung*\"",
        "min-size = \"0GB\", ssd = true",
        "serial = \"S*\"",
        "path = \"/dev/nvme?n1\"",
        "path = \"/dev/mmcblk0\"",
        "path = \"/dev/[sv]da\"",
        "path = \"/dev/disk/by-*/ata-1*\"",
        "path = \"/dev/disk/by-id/ata-[!0]*\"",
        "path = \"/dev/pmem0\"",
        "path = \"/dev/disk/by-id/nvme-SN123*\"",
        "path = \"/dev/disk/by-path/pci-0000:00:1f.2-ata-1\"",
    ] {
        let nodes = node(&format!("disk = {{ {selector} }}"));
        let loaded = load_texts(&[("profile.toml", &profile(NETWORK, "")), ("nodes.toml", &nodes)]);
        assert!(loaded.is_ok(), "{selector}: {}", loaded.unwrap_err());
    }
}

#[test]
fn no_path_but_a_disks_is_accepted() {
    for path in [
        "tty0",
        "disk",
        "disk/by-id",
        "disk/by-path/",
        "disk/by-diskseq/1",
        "/sda",
        "./sda",
        "disk/../sda",
        "vg0/root",
        "sd",
        "sd*1",
        "nvme*",
        "disk/by-id/md-uuid-x",
        "disk/by-id/lvm-pv-uuid-x",
    ] {
        let nodes = node(&format!("disk = {{ path = \"/dev/{path}\" }}"));
        let loaded = load_texts(&[("profile.toml", &profile(NETWORK, "")), ("nodes.toml", &nodes)]);
        let accepted = loaded.is_ok();
        // Stars may stand for what makes it a disk's name.
        assert_eq!(accepted, ["sd*1", "nvme*"].contains(&path), "{path}");
    }
}
