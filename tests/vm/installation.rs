//! A real debian-installer installs a node, from the node's first DHCP request to its own first report.
//!
//! Everything of ours is real: the appliance as it is built and booted, the loaders, the answers with their scripts, provd. So is
//! the node: its firmware, debian-installer's kernel and initrd, the packages. What the site's mirror lacks of the installer's own
//! packages is filled in by `completed_archive.py`, unsigned, so the kernel's line says `allow_unauthenticated`: this test says
//! nothing about how the installer checks signatures. It takes most of an hour without KVM.

use std::fs;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use provbuild::vocab::Digest;

use crate::appliance::{self, Appliance};
use crate::common::project::Project;
use crate::lab::{BRIDGE, Lab};
use crate::machine::{Bus, Firmware, First, Link, Machine, Spec};

const INSTALLATION: Duration = Duration::from_secs(2 * 3600);
const BOOT: Duration = Duration::from_secs(480);
/// The lab on the provisioning network: where the node finds the archive.
const ARCHIVE: &str = "10.10.1.2";
const PORT: &str = "8078";
const ADDRESS: &str = "10.10.1.21";

/// A process that ends with the test.
struct Helper(Child);

impl Helper {
    /// Starts it, and waits until it says that it is ready.
    fn start(mut command: Command, said: &Path) -> Helper {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(said).unwrap());
        // SAFETY: prctl is async-signal-safe and touches nothing of the parent's.
        unsafe {
            command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?));
        }
        let mut child = command.spawn().expect("python3 cannot be run");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let helper = Helper(child);
        for line in lines {
            eprintln!("{line}");
            if line == "ready" {
                return helper;
            }
        }
        panic!("{command:?} has ended:\n{}", fs::read_to_string(said).unwrap_or_default());
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn script() -> Command {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/completed_archive.py"));
    command
}

/// An appliance with the installer's real kernel and initrd in its image, and one node.
fn build(netboot: &Path) -> Appliance {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installation");
    let (key, public) = appliance::key(&directory);
    let sha256 = Digest::of(&fs::read(netboot).unwrap());
    let installer = format!(
        "\n[network.provisioning]\nnat = false\n\n\
         [installer.trixie]\ndistribution = \"debian\"\nrelease = \"13\"\nmedia = \"bake\"\n\
         netboot = {{ path = {netboot:?}, sha256 = \"{sha256}\" }}\n\
         mirror = \"http://{ARCHIVE}:{PORT}/debian\"\n\
         late-commands = [\"echo done > /target/root/late-command\"]\n\
         kernel-parameters = [\"debian-installer/allow_unauthenticated=true\", \"console=ttyS0\", \"DEBIAN_FRONTEND=text\",\n    \"log_host={ARCHIVE}\"]\n\n\
         [installer.trixie.account]\nname = \"ops\"\nssh-keys = [{public:?}]\n"
    );
    let project = Project::new("installation", &["qcow2"], &appliance::tester(&public));
    let profile = project.directory.join("profile.toml");
    let text = fs::read_to_string(&profile).unwrap();
    // One table, once.
    let (rest, network) = installer.split_once("nat = false\n").map(|(_, rest)| (rest, "nat = false\n")).unwrap();
    let text = text.replace("[network.provisioning]\n", &format!("[network.provisioning]\n{network}"));
    fs::write(&profile, format!("{text}{rest}")).unwrap();
    let nodes = "[[node]]\nhostname = \"node1\"\nmac = \"52:54:00:aa:00:01\"\naddress = \"10.10.1.21\"\ninstall = \"trixie\"\n\
                 disk = { serial = \"RIGHT*\" }\n";
    fs::write(project.directory.join("nodes.toml"), nodes).unwrap();
    let manifest = project.built(&[]);
    Appliance { directory: project.out(), manifest, key }
}

/// A disk that somebody needs: something is written in both of its partitions. The first one is for GRUB on a machine with a
/// BIOS, which makes partman ask what it asks where firmware was switched to UEFI.
fn precious(path: &Path) -> Digest {
    let mut file = fs::File::create(path).unwrap();
    file.set_len(1 << 30).unwrap();
    let mut command = Command::new("sgdisk");
    command.args(["--new=1:2048:4095", "--typecode=1:ef02", "--new=2:4096:0", "--typecode=2:8300"]).arg(path);
    let output = command.output().expect("sgdisk cannot be run: install gdisk");
    assert!(output.status.success(), "{output:?}");
    let text = b"somebody needs this\n".repeat(50_000);
    for at in [2048 * 512, (1 << 30) - (4 << 20)] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&text).unwrap();
    }
    Digest::of(&fs::read(path).unwrap())
}

fn empty(path: &Path) {
    let status = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(path).arg("8G").status();
    assert!(status.expect("qemu-img cannot be run: install qemu-utils").success());
}

/// Runs a command on the installed node, as its own account.
fn on_node(lab: &Lab, key: &Path, command: &str) -> Result<String, String> {
    let login = format!("ops@{ADDRESS}");
    let mut arguments = vec!["120", "ssh", "-q", "-F", "/dev/null", "-i", key.to_str().unwrap(), "-o", "BatchMode=yes"];
    for option in
        ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=60", "IdentitiesOnly=yes"]
    {
        arguments.extend(["-o", option]);
    }
    arguments.extend([login.as_str(), command]);
    let output = lab.try_run("timeout", &arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr))) }
}

#[test]
#[ignore = "boots virtual machines and installs a whole system: most of an hour without KVM, from a mirror of Debian"]
fn hand_a_real_debian_installer_installs_an_armed_node() {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = temporary.join("vm-archive");
    fs::create_dir_all(&folder).unwrap();
    let lab = Lab::new("installation", 2);
    let mirror = std::env::var("PROVBUILD_MIRROR").unwrap_or("http://deb.debian.org/debian".to_owned());
    let socket = PathBuf::from(format!("/tmp/provbuild-archive-{}", std::process::id()));
    let mut serve = script();
    serve.arg("serve").arg(mirror).arg(&folder).arg(&socket);
    let _archive = Helper::start(serve, &lab.directory.join("archive.said"));
    lab.run("ip", &["addr", "add", &format!("{ARCHIVE}/24"), "dev", BRIDGE]);
    let mut relay = lab.command("python3");
    relay.args(script().get_args()).arg("relay").arg(&socket).arg(PORT).arg(lab.directory.join("node1.syslog"));
    let _relay = Helper::start(relay, &lab.directory.join("relay.said"));

    let appliance = build(&folder.join("netboot.tar.gz"));
    let mut machine =
        Machine::start(&lab, &appliance.spec("appliance", "installation.qcow2", Bus::Nvme, Firmware::Uefi));
    appliance.wait_until_it_runs(&mut machine);
    let ssh = |command: &str| machine.ssh(&appliance.key, command).unwrap_or_else(|error| panic!("{command}: {error}"));
    ssh("provd arm node1 --yes --reason test");

    let (right, other) = (lab.directory.join("right.qcow2"), lab.directory.join("other.raw"));
    empty(&right);
    let before = precious(&other);
    let spec = Spec {
        name: "node1",
        disk: None,
        bus: Bus::Nvme,
        // The wrong one comes first in the machine, and is named first by the kernel.
        own_disks: vec![(other.clone(), "OTHER1"), (right, "RIGHT1")],
        firmware: Firmware::Uefi,
        first: First::Pxe,
        memory_mib: 2048,
        nics: vec![(Link::Tap(1), "52:54:00:aa:00:01".into())],
        user: "ops",
    };
    let begin = Instant::now();
    let mut node = Machine::start(&lab, &spec);
    let mut last = String::new();
    node.wait_until("the node's own first report", INSTALLATION, |_| {
        std::thread::sleep(Duration::from_secs(15));
        // It may be too busy to answer in time.
        let Ok(shown) = machine.ssh(&appliance.key, "provd show node1") else { return false };
        // "node1 is installing: partman (since ...)"
        let state = shown.split(" (since").next().unwrap().to_owned();
        if state != last {
            eprintln!("after {} s: {state}", begin.elapsed().as_secs());
            last = state;
        }
        assert!(!last.starts_with("node1 is failed"), "{last}\n{}", ssh("provd log node1 | tail -n 60"));
        last.starts_with("node1 is verified")
    });
    eprintln!("{}", ssh("provd show node1"));

    node.wait_until("ssh to the node", BOOT, |_| on_node(&lab, &appliance.key, "true").is_ok());
    let node_says =
        |command: &str| on_node(&lab, &appliance.key, command).unwrap_or_else(|error| panic!("{command}: {error}"));
    assert_eq!(node_says("hostname --fqdn"), "node1.lab.internal\n");
    assert_eq!(node_says("sudo cat /root/late-command"), "done\n");
    assert_eq!(node_says("sudo passwd --status ops").split(' ').nth(1), Some("L"));
    assert_eq!(node_says("sudo passwd --status root").split(' ').nth(1), Some("L"));
    let disks = node_says("lsblk --noheadings --raw --nodeps --output NAME,SERIAL");
    let right = disks.lines().find_map(|line| line.strip_suffix(" RIGHT1")).unwrap_or_else(|| panic!("{disks}"));
    let table = node_says(&format!("lsblk --noheadings --raw --output FSTYPE,PARTTYPENAME,MOUNTPOINT /dev/{right}"));
    let rows: Vec<&str> = table.lines().map(str::trim).filter(|row| !row.is_empty()).collect();
    assert_eq!(rows, [r"vfat EFI\x20System /boot/efi", r"ext4 Linux\x20filesystem /"], "{table}");
    assert!(node_says("cat /proc/cmdline").contains("console=ttyS0"));
    // Nothing of the installation is left: neither the report's token nor the unit.
    node.wait_until("the reporter to remove itself", BOOT, |_| {
        on_node(&lab, &appliance.key, "test ! -e /var/lib/provbuild/report-url").is_ok()
    });
    assert_eq!(node_says("sudo find /var/lib /etc/systemd/system -name '*provbuild*'"), "");
    assert_eq!(node_says("systemctl --failed --plain --no-legend"), "");
    drop(node);
    assert!(Digest::of(&fs::read(&other).unwrap()) == before, "the disk that was not chosen has changed");
}
