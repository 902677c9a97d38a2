//! What installers read, judged by the programs that read it: xorriso, isoinfo and the kernel for the seed CD, cloud-init for
//! its documents, netplan for the network, debconf for the preseed file, PyYAML for what subiquity makes of a document
//! before the preflight edits it.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use netboot::{
    Account, Addressing, DiskSelector, FileSystem, Keyboard, Node, Partition, Release, Site, Sizing, Storage, System,
    seed_files,
};
use sha2::{Digest, Sha256};

/// The modules of Debian's packages are the system interpreter's, whatever else is first in PATH.
const PYTHON: &str = "/usr/bin/python3";

fn judge(program: &str, package: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    Command::new(program).args(arguments).env("PATH", path).output().unwrap_or_else(|error| {
        panic!("{program}: {error}; scripts/install-test-tools installs it (package {package})")
    })
}

fn good(program: &str, package: &str, arguments: &[&str]) -> String {
    let output = judge(program, package, arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{out}\n{err}", output.status);
    format!("{out}{err}")
}

fn node() -> Node {
    Node {
        hostname: "node1".parse().unwrap(),
        mac: "52:54:00:12:34:56".parse().unwrap(),
        address: "10.10.1.21".parse().unwrap(),
        address6: Some("fd00::21/64".parse().unwrap()),
        addresses: BTreeMap::new(),
        memory: None,
        secure_boot: false,
        install: Some("os".to_owned()),
        disk: Some(DiskSelector { serial: Some("it's \"odd\"; $(x) * ".to_owned()), ..DiskSelector::default() }),
        bmc: None,
        bios: None,
        roles: BTreeSet::new(),
        dhcp_options: BTreeMap::new(),
    }
}

fn system(release: Release, storage: Storage) -> System {
    System {
        release,
        locale: "de_DE.UTF-8".to_owned(),
        keyboard: Keyboard { layout: "de".to_owned(), variant: Some("nodeadkeys".to_owned()) },
        timezone: "Europe/Berlin".to_owned(),
        account: Account {
            name: "operator".to_owned(),
            password_hash: None,
            ssh_keys: vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBk it's: # me".to_owned()],
        },
        storage,
        addressing: Addressing::Static,
        packages: vec!["htop".to_owned()],
        mirror: Some("http://mirror.lab/archive".to_owned()),
        early_commands: vec!["printf 'a: b\\n# c\\n'\nexit 0".to_owned()],
        late_commands: vec!["echo \"no\" | tee /target/root/x".to_owned()],
        kernel_parameters: vec!["console=ttyS0,115200n8".to_owned()],
    }
}

fn site() -> Site<'static> {
    let server = "10.10.1.1".parse().unwrap();
    Site { server, subnet: "10.10.1.0/24".parse().unwrap(), domain: "lab.example", gateway: Some(server) }
}

fn partitions() -> Storage {
    let partition = |mount: Option<&str>, size, format| Partition { mount: mount.map(str::to_owned), size, format };
    Storage::Partitions(vec![
        partition(None, Some(8 << 30), FileSystem::Swap),
        partition(Some("/"), None, FileSystem::Ext4),
    ])
}

/// Where an installation reports to; a seed is the same to its readers with it and without.
const REPORT: Option<&str> = Some("http://10.10.1.1/report/0123456789abcdef0123456789abcdef");

/// Writes the seed's files into a folder.
fn lay_out(release: Release, storage: Storage, report: Option<&str>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in seed_files(&node(), &system(release, storage), &site(), report).unwrap() {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn contents() -> Vec<(&'static str, Vec<u8>)> {
    let long: Vec<u8> = (0..3_000_000_u32).flat_map(|number| number.to_le_bytes()).take(2 * 1024 * 1024 + 1).collect();
    vec![
        ("user-data", long),
        ("meta-data", b"instance-id: x\n".to_vec()),
        ("vendor-data", Vec::new()),
        ("network-config", vec![b'#'; 2048]),
    ]
}

fn image(contents: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    let files: Vec<(&str, &[u8])> = contents.iter().map(|(name, content)| (*name, content.as_slice())).collect();
    netboot::cidata(&files, 1_700_000_000).unwrap()
}

#[test]
fn the_bytes_of_a_seed_cd_are_pinned() {
    let small = [("meta-data", b"instance-id: node1\n".to_vec()), ("user-data", b"#cloud-config\n".to_vec())];
    let digest = hex::encode(Sha256::digest(image(&small)));
    assert_eq!(digest, "f1ecee12647c89c72b81bfa4422a1a24482b833f3a9bdd3125cd66141cffa49b");
}

#[test]
#[ignore = "needs xorriso and isoinfo"]
fn sandbox_every_reader_finds_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (iso, tree) = (path("seed.iso"), path("tree"));
    let contents = contents();
    std::fs::write(&iso, image(&contents)).unwrap();

    // Rock Ridge, and every block within the image.
    let said = good("xorriso", "xorriso", &["-abort_on", "WARNING", "-indev", &iso, "-check_media", "--"]);
    assert!(!said.to_lowercase().contains("damaged"), "{said}");
    good("xorriso", "xorriso", &["-osirrox", "on", "-indev", &iso, "-extract", "/", &tree]);
    let mut found: Vec<String> =
        std::fs::read_dir(&tree).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, ["meta-data", "network-config", "user-data", "vendor-data"]);
    for (name, content) in &contents {
        assert!(&std::fs::read(Path::new(&tree).join(name)).unwrap() == content, "{name}");
    }
    let listed = good("xorriso", "xorriso", &["-indev", &iso, "-find", "/", "-type", "f", "-exec", "lsdl"]);
    assert_eq!(listed.matches("-r--r--r--    1 0        0").count(), 4, "{listed}");
    assert!(listed.contains("Nov 14  2023"), "{listed}");

    // Joliet, and the descriptors.
    let descriptors = good("isoinfo", "genisoimage", &["-d", "-i", &iso]);
    for line in ["Volume id: cidata", "Joliet with UCS level 3 found", "Rock Ridge signatures version 1 found"] {
        assert!(descriptors.contains(line), "{descriptors}");
    }
    for (view, names) in [("-J", ["/meta-data", "/user-data"]), ("-R", ["/meta-data", "/user-data"])] {
        let listed = good("isoinfo", "genisoimage", &[view, "-f", "-i", &iso]);
        for name in names {
            assert!(listed.lines().any(|line| line.trim_end_matches(";1") == name), "{view}: {listed}");
        }
    }
    for (name, content) in &contents {
        let joliet = judge("isoinfo", "genisoimage", &["-J", "-i", &iso, "-x", &format!("/{name};1")]).stdout;
        let plain = judge("isoinfo", "genisoimage", &["-J", "-i", &iso, "-x", &format!("/{name}")]).stdout;
        assert!(&joliet == content || &plain == content, "{name}");
    }
}

/// The label by which cloud-init's search (`blkid -t LABEL=cidata`) finds the medium, and its files by a third reader, once by Rock Ridge
/// and once by Joliet. (The kernels of the machines where these tests run have no ISO 9660: nobody mounts it here.)
#[test]
#[ignore = "needs blkid and bsdtar"]
fn sandbox_the_label_is_found_and_libarchive_reads_both_trees() {
    let folder = tempfile::tempdir().unwrap();
    let iso = folder.path().join("seed.iso");
    let contents = contents();
    std::fs::write(&iso, image(&contents)).unwrap();
    let iso = iso.to_str().unwrap();
    let found = good("blkid", "util-linux", &["-p", "-o", "export", iso]);
    assert!(found.lines().any(|line| line == "LABEL=cidata"), "{found}");
    assert!(found.lines().any(|line| line == "TYPE=iso9660"), "{found}");
    for without in ["iso9660:!joliet", "iso9660:!rockridge"] {
        for (name, content) in &contents {
            let read = judge("bsdtar", "libarchive-tools", &["-x", "-O", "--options", without, "-f", iso, name]);
            assert!(read.status.success() && &read.stdout == content, "{without}: {name}");
        }
    }
}

/// cloud-init's NoCloud code on the files of the CD, and its schema on what runs at the first boot.
#[test]
#[ignore = "needs cloud-init"]
fn sandbox_cloud_init_reads_the_seed_cd() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (release, storage, report) in [
        (Release::Ubuntu2404, Storage::Zfs, None),
        (Release::Ubuntu2404, Storage::Direct, REPORT),
        (Release::Ubuntu2204, partitions(), REPORT),
        (Release::Ubuntu2204, partitions(), None),
    ] {
        let files = seed_files(&node(), &system(release, storage), &site(), report).unwrap();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        std::fs::write(path("seed.iso"), netboot::cidata(&files, 0).unwrap()).unwrap();
        let _ = std::fs::remove_dir_all(path("tree"));
        good("xorriso", "xorriso", &["-osirrox", "on", "-indev", &path("seed.iso"), "-extract", "/", &path("tree")]);
        let script = r##"
import sys, yaml
from cloudinit import helpers, util
from cloudinit.sources import DataSourceNoCloud as nocloud
from cloudinit.distros import ubuntu
tree, inner = sys.argv[1:]
seeded = util.pathprefix2dict(tree + "/", required=["user-data", "meta-data"], optional=["vendor-data", "network-config"])
paths = helpers.Paths({"cloud_dir": tree + "-cloud", "run_dir": tree + "-run"})
config = {"datasource": {"NoCloud": {"fs_label": None}}}
source = nocloud.DataSourceNoCloud(config, ubuntu.Distro("ubuntu", config, paths), paths)
source.seed_dirs = [tree + "/"]
assert source._get_data(), "the seed is not taken"
assert source.metadata["instance-id"] == "provbuild-node1", source.metadata
assert source.metadata["local-hostname"] == "node1", source.metadata
assert source.network_config["ethernets"]["provisioning"]["match"] == {"macaddress": "52:54:00:12:34:56"}
assert source.network_config["version"] == 2
user = source.userdata_raw
user = user.decode() if isinstance(user, bytes) else user
assert user.startswith("#cloud-config\n")
autoinstall = yaml.safe_load(user)["autoinstall"]
assert 'echo "no" | tee /target/root/x' in autoinstall["late-commands"], autoinstall
with open(inner, "w") as file:
    file.write("#cloud-config\n" + yaml.dump(autoinstall["user-data"]))
"##;
        good(PYTHON, "cloud-init", &["-c", script, &path("tree"), &path("inner")]);
        let said = good("cloud-init", "cloud-init", &["schema", "--config-file", &path("inner")]);
        assert!(said.contains("Valid"), "{said}");
    }
}

/// netplan's exit code says little: what it writes is the verdict.
#[test]
#[ignore = "needs netplan"]
fn sandbox_netplan_accepts_the_network() {
    let folder = lay_out(Release::Ubuntu2404, Storage::Direct, None);
    let text = std::fs::read_to_string(folder.path().join("network-config")).unwrap();
    let indented: String = text.lines().map(|line| format!("  {line}\n")).collect();
    let root = folder.path().join("root");
    let file = root.join("etc/netplan/50-node.yaml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, format!("network:\n{indented}")).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let said = good("netplan", "netplan.io", &["generate", "--root-dir", root.to_str().unwrap()]);
    assert_eq!(said, "", "no warning either");
    let written = std::fs::read_to_string(root.join("run/systemd/network/10-netplan-provisioning.network")).unwrap();
    for line in [
        "PermanentMACAddress=52:54:00:12:34:56",
        "Address=10.10.1.21/24",
        "Address=fd00::21/64",
        "DNS=10.10.1.1",
        "Domains=lab.example",
        "Gateway=10.10.1.1",
    ] {
        assert!(written.lines().any(|found| found == line), "{line}: {written}");
    }
    assert!(!written.contains("DHCP="), "{written}");
}

#[test]
#[ignore = "needs debconf"]
fn sandbox_debconf_accepts_the_preseed_file() {
    for (storage, report) in [
        (Storage::Direct, None),
        (Storage::Lvm { sizing: Sizing::Scaled }, REPORT),
        (partitions(), None),
        (partitions(), REPORT),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut system = system(Release::Debian13, storage);
        system.account.password_hash = Some("$y$j9T$abc/def.$ghi".to_owned());
        for (name, text) in seed_files(&node(), &system, &site(), report).unwrap() {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let file = folder.path().join("preseed.cfg");
        let said = good("debconf-set-selections", "debconf", &["--checkonly", file.to_str().unwrap()]);
        assert_eq!(said, "");
    }
}

/// subiquity takes `autoinstall` out of the document and writes it with PyYAML, with these arguments (server.py,
/// load_cloud_config). The preflight edits that text: afterwards the disk is named, and nothing else has changed.
#[test]
#[ignore = "needs cloud-init's PyYAML"]
fn sandbox_the_preflight_edits_what_subiquity_writes() {
    for (release, storage) in [
        (Release::Ubuntu2404, Storage::Direct),
        (Release::Ubuntu2404, partitions()),
        (Release::Ubuntu2204, Storage::Lvm { sizing: Sizing::All }),
    ] {
        for (uefi, report) in [(false, None), (false, REPORT), (true, None), (true, REPORT)] {
            let folder = lay_out(release, storage.clone(), report);
            let root: PathBuf = folder.path().join("root");
            let write = |path: &str, text: &str| {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            };
            write("proc/self/mountinfo", "22 1 0:21 / / rw - tmpfs tmpfs rw\n");
            write("sys/class/net/eno1/address", "52:54:00:12:34:56\n");
            for (name, number, serial) in [("sda", "8:0", "other"), ("sdb", "8:16", "it's \"odd\"; $(x) *something* ")]
            {
                write(&format!("sys/block/{name}/dev"), number);
                write(&format!("sys/block/{name}/size"), "4194304\n");
                write(&format!("run/udev/data/b{number}"), &format!("E:ID_SERIAL={serial}\n"));
            }
            if uefi {
                write("sys/firmware/efi/fw_platform_size", "64\n");
            }
            let script = r#"
import subprocess, sys, yaml
seed, root, uefi = sys.argv[1:]
with open(seed) as file:
    config = yaml.safe_load(file)["autoinstall"]
text = yaml.dump(config, line_break="\n", indent=4, explicit_start=True, explicit_end=True, default_flow_style=False,
                 Dumper=yaml.dumper.SafeDumper)
with open(root + "/autoinstall.yaml", "w") as file:
    file.write(text)
subprocess.run(["sh", "-c", config["early-commands"][-1]], check=True, env={"PROVBUILD_ROOT": root, "PATH": "/usr/bin:/bin"})
with open(root + "/autoinstall.yaml") as file:
    after = yaml.safe_load(file)
def put(value):
    if isinstance(value, dict):
        return {key: put(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [put(inner) for inner in value]
    return {"/dev/provbuild-disk": "/dev/sdb", "provbuild-uefi": uefi == "uefi"}.get(value, value)
assert "/dev/sdb" in repr(after["storage"])
assert after == {**config, "storage": put(config["storage"])}, after
"#;
            let seed = folder.path().join("user-data");
            let (seed, root) = (seed.to_str().unwrap(), root.to_str().unwrap());
            good(PYTHON, "cloud-init", &["-c", script, seed, root, if uefi { "uefi" } else { "bios" }]);
        }
    }
}

/// A profile with a node for each kind of installer, below target/tmp.
fn project(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let profile = r#"
nodes = "nodes.toml"
[appliance]
name = "seeds"
[appliance.users.ops]
sudo = true
ssh-keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKxTPgI9S0QK/kYCHZQXF1T6kQEUU0S2CzI6aZxR0Ijk ops@desk"]
[distribution]
name = "debian"
release = "13"
[network.provisioning]
address = "10.10.1.1/24"
[installer.noble]
distribution = "ubuntu"
release = "24.04"
[installer.trixie]
distribution = "debian"
release = "13"
"#;
    let nodes = r#"
[[node]]
hostname = "node1"
mac = "52:54:00:aa:00:01"
address = "10.10.1.21"
install = "noble"

[[node]]
hostname = "node2"
mac = "52:54:00:aa:00:02"
address = "10.10.1.22"
install = "trixie"

[[node]]
hostname = "spare"
mac = "52:54:00:aa:00:03"
address = "10.10.1.23"
"#;
    std::fs::write(folder.join("profile.toml"), profile).unwrap();
    std::fs::write(folder.join("nodes.toml"), nodes).unwrap();
    folder
}

fn provbuild(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provbuild"));
    command.args(["cidata", "profile.toml"]).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn the_command_writes_the_image_and_prints_its_path() {
    let folder = project("seeds-command");
    let output = provbuild(&folder, &["node1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "node1-cidata.iso\n");
    let image = std::fs::read(folder.join("node1-cidata.iso")).unwrap();
    assert_eq!(&image[16 * 2048 + 1..16 * 2048 + 6], b"CD001");
    let said = String::from_utf8_lossy(&image);
    assert!(said.contains("#cloud-config\nautoinstall:\n") && said.contains("fqdn: node1."));

    let named = provbuild(&folder, &["node1", "--output", "other.iso"]);
    assert_eq!(String::from_utf8_lossy(&named.stdout), "other.iso\n");
    assert!(std::fs::read(folder.join("other.iso")).unwrap() == image, "twice the same bytes");
    assert!(provbuild(&folder, &["node1", "--output", "-"]).stdout == image);
    let mut left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["node1-cidata.iso", "nodes.toml", "other.iso", "profile.toml"]);
}

#[test]
fn the_command_says_what_is_wrong() {
    let folder = project("seeds-faults");
    let mut all = String::new();
    for arguments in [&["nod1"][..], &["bananas"], &["spare"], &["node2"], &["node1", "--output", "none/x.iso"]] {
        let output = provbuild(&folder, arguments);
        assert_eq!(output.stdout, b"");
        all.push_str(&format!("{arguments:?}: {}\n", output.status.code().unwrap()));
        all.push_str(&String::from_utf8(output.stderr).unwrap());
    }
    insta::assert_snapshot!(all, @r#"
    ["nod1"]: 3
    error: no node is called 'nod1'
    help: did you mean 'node1'?
    ["bananas"]: 3
    error: no node is called 'bananas'
    help: the nodes are node1, node2, spare
    ["spare"]: 3
    error: node spare has no installer: there is nothing to seed
    help: give it `install = "NAME"` in nodes.toml, of an `[installer.NAME]` of the profile
    ["node2"]: 3
    error: node node2 installs debian 13, which reads a preseed file and no seed CD
    help: let it boot from the network; or start Debian's CD with `auto url=...` on its kernel line, and the node's preseed.cfg of the boot tree (out/NAME/boot/http/seed/NODE/) at that URL
    ["node1", "--output", "none/x.iso"]: 9
    error: cannot write none/x.iso: No such file or directory (os error 2)
    help: its directory does not exist: make it, or choose another path
    "#);
}
