//! Builds that end early, and what they say; whole builds are in `tests/appliance_build`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::BuildError;
use super::media::ArmError;
use super::outputs::write_tree;
use super::pipeline::{Build, other_arming};
use crate::fetch::Network;
use crate::tree::{MemoryContents, Node, Tree};
use crate::vocab::{Epoch, ImagePath, Remedy, Silent};

/// A build of `directory/profile.toml` that reaches no network.
fn offline(directory: &Path) -> Build<'static> {
    Build {
        profile: directory.join("profile.toml"),
        store: directory.join("store"),
        out: directory.join("out"),
        program: "/nowhere/provbuild".into(),
        jobs: 1,
        network: Network { offline: true, ..Network::default() },
        now: Epoch(1_800_000_000),
        host_apt: None,
        tree_limit: 1 << 30,
        armed: BTreeSet::new(),
        daemon: Vec::new(),
        progress: &Silent,
    }
}

#[test]
fn a_medium_of_this_machine_is_judged_before_anything_is_fetched() {
    let directory = tempfile::tempdir().unwrap();
    let profile = format!(
        "[appliance]\nname = \"lab\"\n[distribution]\nname = \"debian\"\nrelease = \"13\"\nkernel = \"none\"\n\
         [network.provisioning]\naddress = \"10.10.1.1/24\"\n[installer.noble]\ndistribution = \"ubuntu\"\n\
         release = \"24.04\"\nmedia = \"bake\"\niso = {{ path = \"swapped.iso\", sha256 = \"{}\" }}\n",
        "0".repeat(64)
    );
    fs::write(directory.path().join("profile.toml"), profile).unwrap();
    fs::write(directory.path().join("swapped.iso"), "some other file").unwrap();
    // There is no lock either: getting one would fail, as there is no network.
    match offline(directory.path()).run() {
        Err(BuildError::Media(error)) => assert_eq!(error.medium, "installer 'noble'", "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(!directory.path().join("profile.lock").exists());
}

#[test]
fn arming_faults_are_said_once_each_with_its_remedy() {
    let unknown = |node: &str| ArmError::Unknown { node: node.to_owned(), near: Some("node1".to_owned()) };
    let one = BuildError::Arm(vec![unknown("nod1")]);
    assert_eq!(one.to_string(), "there is no node 'nod1' to arm");
    assert_eq!(one.help().unwrap(), "did you mean 'node1'?");
    let far = ArmError::Unknown { node: "x".to_owned(), near: None };
    let three = BuildError::Arm(vec![unknown("nod1"), far, ArmError::NoInstaller { node: "node3".to_owned() }]);
    let expected = "3 nodes cannot be armed:
  there is no node 'nod1' to arm; did you mean 'node1'?
  there is no node 'x' to arm; name it as nodes.toml does
  the node 'node3' cannot be armed: nodes.toml names no installer for it; add `install = \"...\"` to the node";
    assert_eq!(three.to_string(), expected);
    assert_eq!(three.help(), None);
}

#[test]
fn a_plan_tells_another_arming_from_a_touched_file() {
    let set = |nodes: &[&str]| nodes.iter().map(|node| (*node).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(other_arming(&set(&[]), &set(&[])), None);
    let why = |before: &[&str], now: &[&str]| other_arming(&set(before), &set(now)).unwrap();
    assert_eq!(why(&["node1"], &[]), "the last build was with --arm node1, this one is without --arm");
    assert_eq!(
        why(&[], &["node1", "node2"]),
        "the last build was without --arm, this one is with --arm node1 --arm node2"
    );
}

/// The servers' accounts are not the builder's.
#[test]
fn a_boot_tree_can_be_read_by_everybody_whatever_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    let mut contents = MemoryContents::new();
    let mut tree = Tree::new();
    let file = Node::file(contents.add("text"));
    tree.insert_with_parents(ImagePath::literal("/http/nodes/a.ipxe"), file);
    let boot = directory.path().join("boot");
    // Other tests of this process make files for themselves alone, at worst.
    let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let written = write_tree(&tree, &contents, &boot);
    nix::sys::stat::umask(before);
    assert_eq!(written.unwrap().len(), 1);
    for (path, mode) in [("", 0o755), ("http", 0o755), ("http/nodes", 0o755), ("http/nodes/a.ipxe", 0o644)] {
        let found = fs::metadata(boot.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode, "{path}: {found:o}");
    }
}
