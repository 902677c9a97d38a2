//! Installers' media in a whole build: baked into the image, and beside it for the node that is armed.

use std::fs;

use provbuild::vocab::Digest;

use crate::common::project::Project;
use crate::images::cut;
use crate::judge;

const NODES: &str = r#"
[[node]]
hostname = "node1"
mac = "52:54:00:aa:00:01"
address = "10.10.1.21"
install = "noble"
disk = { serial = "S1*" }

[[node]]
hostname = "node2"
mac = "52:54:00:aa:00:02"
address = "10.10.1.22"
install = "noble"
disk = { serial = "S2*" }

[[node]]
hostname = "node3"
mac = "52:54:00:aa:00:03"
address = "10.10.1.23"
"#;

#[test]
#[ignore = "builds an appliance from the real archive"]
fn net_baked_media_are_in_the_image_and_only_the_armed_node_installs_beside_it() {
    // A stand-in for Ubuntu's ISO, with a kernel of a few bytes.
    let tree = tempfile::tempdir().unwrap();
    let file = |path: &str, bytes: &[u8]| {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    file(".disk/info", b"Ubuntu-Server 24.04.4 LTS - stand-in");
    file("casper/vmlinuz", b"stand-in for a kernel");
    file("casper/initrd", &[9; 5000]);
    let project = Project::new("baked", &["qcow2"], "");
    let iso = project.directory.join("stand-in.iso");
    let (iso_path, tree_path) = (iso.to_str().unwrap(), tree.path().to_str().unwrap());
    judge("xorriso", "xorriso", &["-as", "mkisofs", "-quiet", "-J", "-R", "-o", iso_path, tree_path]);
    let sha256 = Digest::of(&fs::read(&iso).unwrap());
    let installer = format!(
        "\n[installer.noble]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\nmedia = \"bake\"\n\
         iso = {{ path = \"stand-in.iso\", sha256 = \"{sha256}\" }}\n"
    );
    let project = Project::new("baked", &["qcow2"], &installer);
    fs::write(project.directory.join("nodes.toml"), NODES).unwrap();

    for (arm, kind) in [
        (&["--arm", "node9"][..], "there is no node 'node9' to arm"),
        (&["--arm", "node3"][..], "the node 'node3' cannot be armed: nodes.toml names no installer for it"),
    ] {
        let refused = project.build(arm);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(3) && said.contains(kind), "{said}");
    }

    let output = project.build(&["--arm", "node1"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("baked/boot/ installs node1 (52:54:00:aa:00:01) and erases its disk"), "{said}");
    let boot = project.out().join("boot");
    let read = |path: &str| fs::read_to_string(boot.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let armed = read("http/nodes/52-54-00-aa-00-01.ipxe");
    assert!(armed.contains("/media/noble/vmlinuz") && armed.contains("autoinstall"), "{armed}");
    for mac in ["52-54-00-aa-00-02", "52-54-00-aa-00-03"] {
        let script = read(&format!("http/nodes/{mac}.ipxe"));
        assert!(!script.contains("kernel "), "{script}");
    }
    assert_eq!(fs::read(boot.join("http/media/noble/noble.iso")).unwrap(), fs::read(&iso).unwrap());
    assert_eq!(fs::read(boot.join("tftp/media/noble/vmlinuz")).unwrap(), b"stand-in for a kernel");

    // Inside the image: the same media, and nobody armed.
    let raw = project.directory.join("raw");
    let part = project.directory.join("part");
    let (raw_path, part_path) = (raw.to_str().unwrap(), part.to_str().unwrap());
    let qcow2 = project.out().join("baked.qcow2");
    judge("qemu-utils", "qemu-img", &["convert", "-O", "raw", qcow2.to_str().unwrap(), raw_path]);
    cut(raw_path, 2, &part);
    fs::remove_file(&raw).unwrap();
    let inside = |path: &str| judge("e2fsprogs", "debugfs", &["-R", &format!("cat {path}"), part_path]);
    // No script that could install, whoever is armed beside it: the daemon gives them, and it arms nobody.
    for gone in ["http/nodes", "http/grub/nodes", "http/seed"] {
        let said = inside(&format!("/srv/provbuild/{gone}"));
        assert!(said.contains("File not found"), "{gone}: {said}");
    }
    assert!(!inside("/etc/provbuild/provd.json").contains("armed"));
    assert!(inside("/srv/provbuild/http/media/noble/vmlinuz").contains("stand-in for a kernel"));
    let into = project.directory.join("dumped.iso");
    let dump = format!("dump /srv/provbuild/http/media/noble/noble.iso {}", into.display());
    judge("e2fsprogs", "debugfs", &["-R", &dump, part_path]);
    assert_eq!(Digest::of(&fs::read(&into).unwrap()), sha256);
    for file in [&part, &into] {
        fs::remove_file(file).unwrap();
    }

    // A plan says why, and that it is no damage.
    let plan = crate::plan(&project);
    let why = "the last build was with --arm node1, this one is without --arm";
    assert!(plan.lines().any(|line| line.starts_with("image") && line.ends_with(why)), "{plan}");

    // Built without the word, nobody is armed any more; whether anybody reads along does not count.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = project.command(&[]);
    assert!(command.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap().success());
    let script = read("http/nodes/52-54-00-aa-00-01.ipxe");
    assert!(!script.contains("kernel "), "{script}");
}
