//! Autoinstall documents as text, and each option in them.

use super::*;
use crate::inventory::tests::node;
use crate::system::tests::{site, system};
use crate::{Addressing, DiskSelector, FileSystem, Keyboard, Partition, Release, Sizing, Storage};

/// The documents, the preflight's script left out of the text.
fn text(node: &Node, system: &System) -> String {
    let seed = SeedDocuments::render(node, system, &site(), None).unwrap();
    let whole: String = seed.files().iter().map(|(name, text)| format!("--- {name}\n{text}")).collect();
    let (start, end) = (whole.find("unset want_").unwrap(), whole.find("does not name $found\"").unwrap());
    format!("{}[the preflight]{}", &whole[..start], &whole[end + 21..])
}

#[test]
fn seed_of_a_node() {
    let mut node = node("node1", "52:54:00:12:34:56", "10.10.1.21");
    node.disk = Some(DiskSelector { serial: Some("S3Z*".to_owned()), ..DiskSelector::default() });
    insta::assert_snapshot!(text(&node, &system()));
}

#[test]
fn every_option_has_its_effect() {
    let mut node = node("node1", "52:54:00:12:34:56", "10.10.1.21");
    node.address6 = Some("fd00::21/64".parse().unwrap());
    let partition = |mount: Option<&str>, size, format| Partition { mount: mount.map(str::to_owned), size, format };
    let mut system = System {
        release: Release::Ubuntu2404,
        locale: "de_DE.UTF-8".to_owned(),
        keyboard: Keyboard { layout: "de".to_owned(), variant: Some("nodeadkeys".to_owned()) },
        timezone: "Europe/Berlin".to_owned(),
        storage: Storage::Partitions(vec![
            partition(Some("/"), Some(40 << 30), FileSystem::Ext4),
            partition(None, Some(8_000_000_000), FileSystem::Swap),
            partition(Some("/srv"), None, FileSystem::Xfs),
        ]),
        addressing: Addressing::Static,
        mirror: Some("http://mirror.lab/ubuntu".to_owned()),
        early_commands: vec!["modprobe mpt3sas".to_owned()],
        kernel_parameters: vec!["console=ttyS0,115200n8".to_owned(), "mitigations=auto".to_owned()],
        ..system()
    };
    system.account.password_hash = Some("$6$salt$hash".to_owned());
    insta::assert_snapshot!("every_option_24_04", text(&node, &system));
    system.release = Release::Ubuntu2204;
    system.storage = Storage::Lvm { sizing: Sizing::All };
    insta::assert_snapshot!("every_option_22_04", text(&node, &system));
}

#[test]
fn zfs_is_for_the_installers_that_know_it() {
    let node = node("node1", "52:54:00:12:34:56", "10.10.1.21");
    let mut system = System { storage: Storage::Zfs, ..system() };
    assert!(text(&node, &system).contains("name: zfs"));
    system.release = Release::Ubuntu2204;
    let error = SeedDocuments::render(&node, &system, &site(), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ubuntu 22.04 cannot be installed on ZFS: its installer has no such layout, and would take the disk as a plain one"
    );
}

#[test]
fn kernel_parameters_pass_two_shells() {
    let words = ["a=b c".to_owned(), "q='x'".to_owned(), "d=\"$HOME\"".to_owned()];
    let command = kernel_command(&words).unwrap();
    let printing = command.split(" && ").nth(1).unwrap().split(" >").next().unwrap().to_owned();
    let run = |script: &str| {
        let output = std::process::Command::new("sh").args(["-c", script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let file = run(&printing);
    assert_eq!(
        run(&format!("GRUB_CMDLINE_LINUX=quiet\n{file}printf %s \"$GRUB_CMDLINE_LINUX\"")),
        format!("quiet {}", words.join(" "))
    );
}
