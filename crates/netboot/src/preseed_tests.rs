//! Preseed files as text, what they refuse, and their scripts.

use super::*;
use crate::inventory::tests::node;
use crate::system::tests::{site, system};
use crate::{Account, DiskSelector, Keyboard, Release, seed_files};

fn debian() -> System {
    System { release: Release::Debian13, late_commands: vec!["in-target systemctl enable ssh".to_owned()], ..system() }
}

fn full() -> (Node, System) {
    let mut node = node("node1", "52:54:00:12:34:56", "10.10.1.21");
    node.address6 = Some("fd00::21/64".parse().unwrap());
    node.disk = Some(DiskSelector { serial: Some("S3Z*".to_owned()), ..DiskSelector::default() });
    let partition = |mount: Option<&str>, size, format| Partition { mount: mount.map(str::to_owned), size, format };
    let system = System {
        locale: "de_DE.UTF-8".to_owned(),
        keyboard: Keyboard { layout: "de".to_owned(), variant: Some("nodeadkeys".to_owned()) },
        timezone: "Europe/Berlin".to_owned(),
        account: Account { password_hash: Some("$6$salt$hash".to_owned()), ..system().account },
        storage: Storage::Partitions(vec![
            partition(Some("/"), Some(40 << 30), FileSystem::Ext4),
            partition(None, Some(8_000_000_000), FileSystem::Swap),
            partition(Some("/srv"), None, FileSystem::Btrfs),
        ]),
        addressing: Addressing::Static,
        mirror: Some("https://mirror.lab:8443/debian".to_owned()),
        early_commands: vec!["echo it's early".to_owned()],
        kernel_parameters: vec!["quiet".to_owned()],
        ..debian()
    };
    (node, system)
}

fn text(node: &Node, system: &System) -> String {
    let files = seed_files(node, system, &site(), None).unwrap();
    let whole: String = files.iter().map(|(name, text)| format!("--- {name}\n{text}")).collect();
    let (start, end) = (whole.find("# Finds the one disk").unwrap(), whole.find("say \"the system goes").unwrap());
    format!("{}[the search]\n{}", &whole[..start], &whole[end..])
}

#[test]
fn seed_of_a_debian_node() {
    insta::assert_snapshot!(text(&node("node1", "52:54:00:12:34:56", "10.10.1.21"), &debian()));
}

#[test]
fn every_option_has_its_effect() {
    let (node, system) = full();
    insta::assert_snapshot!(text(&node, &system));
}

#[test]
fn volumes() {
    let storage = Storage::Lvm { sizing: Sizing::Scaled };
    insta::assert_snapshot!(recipe(&storage, Firmware::Efi).unwrap(), @"provbuild :: 1074 1074 1074 free $iflabel{ gpt } method{ efi } format{ } . 1074 1074 1074 ext4 $bootable{ } method{ format } format{ } use_filesystem{ } filesystem{ ext4 } mountpoint{ /boot } . 2000 10000 107374 ext4 $lvmok{ } lv_name{ root } method{ format } format{ } use_filesystem{ } filesystem{ ext4 } mountpoint{ / } .");
}

#[test]
fn what_a_preseed_file_cannot_say_is_refused() {
    let node = node("node1", "52:54:00:12:34:56", "10.10.1.21");
    let error = |change: fn(&mut System)| {
        let mut system = debian();
        change(&mut system);
        seed_files(&node, &system, &site(), None).unwrap_err().to_string()
    };
    let mut all = String::new();
    for change in [
        |s: &mut System| s.storage = Storage::Zfs,
        |s: &mut System| s.timezone = "UTC\nd-i partman/confirm boolean true".to_owned(),
        |s: &mut System| s.packages = vec!["htop\\".to_owned()],
        |s: &mut System| s.mirror = Some("ftp://x/y".to_owned()),
        |s: &mut System| {
            let mount = Some("/a b".to_owned());
            s.storage = Storage::Partitions(vec![Partition { mount, size: None, format: FileSystem::Ext4 }]);
        },
    ] {
        let _ = writeln!(all, "{}", error(change).replace('\n', "(newline)"));
    }
    insta::assert_snapshot!(all, @r"
    debian 13 cannot be installed on ZFS: debian-installer has no ZFS
    timezone 'UTC(newline)d-i partman/confirm boolean true' cannot be said in a preseed file: it has a control character
    package 'htop\' cannot be said in a preseed file: a backslash at the end would join the next line
    mirror 'ftp://x/y' cannot be said in a preseed file: it is not an http or https URL
    mount point '/a b' cannot be said in a preseed file: a recipe takes letters, digits and /_-.+@ only
    ");
}

/// The scripts are sh, and a key or a command is only a word in them.
#[test]
fn scripts_parse() {
    let (node, mut system) = full();
    system.late_commands = vec!["echo 'a\nb' \"$x\"".to_owned()];
    system.account.ssh_keys = vec!["ssh-ed25519 AAAA it's; `x` $(y)".to_owned()];
    for (name, text) in seed_files(&node, &system, &site(), None).unwrap() {
        if name.ends_with(".sh") {
            let output = std::process::Command::new("sh").args(["-n", "-c", &text]).output().unwrap();
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
