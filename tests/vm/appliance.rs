//! The appliance of profiles/debian.toml, with a test's key and nodes, built from the real archive and booted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use provbuild::manifest::Manifest;
use provbuild::vocab::Digest;

use crate::client::{Asks, Client};
use crate::common::netboot::{KERNEL, netboot};
use crate::common::project::{NODES, Project};
use crate::lab::Lab;
use crate::machine::{Bus, Firmware, First, Link, Machine, Spec};

/// A boot takes about a minute on two quiet cores without KVM; other tests may be running.
const BOOT: Duration = Duration::from_secs(480);
const LOGIN: Duration = Duration::from_secs(240);

const SERVER: &str = "10.10.1.1";
/// The host, as QEMU's user network shows it: the lab.
const UPLINK: &str = "10.0.2.2";
/// Port of a publisher of media there.
const PUBLISHER: u16 = 8099;

pub(crate) struct Appliance {
    pub(crate) directory: PathBuf,
    pub(crate) manifest: Manifest,
    pub(crate) key: PathBuf,
}

/// A key for ssh in `directory`, and its public line. It stays for the next run.
pub(crate) fn key(directory: &Path) -> (PathBuf, String) {
    std::fs::create_dir_all(directory).unwrap();
    let key = directory.join("key");
    if !key.exists() {
        let status = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(status.expect("ssh-keygen cannot be run: install openssh-client").success());
    }
    let public = std::fs::read_to_string(directory.join("key.pub")).unwrap();
    (key, public.trim().to_owned())
}

/// Who logs in to an appliance, in its profile.
pub(crate) fn tester(public: &str) -> String {
    format!("\n[appliance.users.tester]\nsudo = true\nssh-keys = [{public:?}]\n")
}

/// Builds it once for all tests of this program; the store stays for the next run.
pub(crate) fn appliance() -> &'static Appliance {
    static BUILT: OnceLock<Appliance> = OnceLock::new();
    BUILT.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm-test");
        let (key, public) = key(&directory);
        let user = tester(&public);
        let sha256 = Digest::of(&std::fs::read(netboot(&directory)).unwrap());
        let installer = format!(
            "\n[installer.trixie]\ndistribution = \"debian\"\nrelease = \"13\"\n\
             netboot = {{ url = \"http://{UPLINK}:{PUBLISHER}/netboot.tar.gz\", sha256 = \"{sha256}\" }}\n"
        );
        let project = Project::new("vm-test", &["qcow2", "vmdk"], &format!("{user}{installer}"));
        let nodes = NODES.replace("address = \"10.10.1.21\"\n", "address = \"10.10.1.21\"\ninstall = \"trixie\"\n");
        std::fs::write(project.directory.join("nodes.toml"), nodes).unwrap();
        let manifest = project.built(&[]);
        Appliance { directory: project.out(), manifest, key }
    })
}

impl Appliance {
    /// Its machine: the cards with the addresses that the image expects, uplink first.
    pub(crate) fn spec(&self, name: &'static str, file: &str, bus: Bus, firmware: Firmware) -> Spec {
        Spec {
            name,
            disk: Some(self.directory.join(file)),
            bus,
            own_disks: Vec::new(),
            firmware,
            first: First::Disk,
            memory_mib: 1536,
            nics: vec![
                (Link::Uplink, self.manifest.machine.uplink_mac.clone()),
                (Link::Tap(0), self.manifest.machine.provisioning_mac.clone()),
            ],
            user: "tester",
        }
    }

    pub(crate) fn wait_until_it_runs(&self, machine: &mut Machine<'_>) {
        machine.wait_for("login:", BOOT);
        machine.wait_for_ssh(&self.key, LOGIN);
        // `--wait` ends when the boot has; the exit status only repeats what is printed.
        // A service that is started again and again is no failed one: the daemon is asked for by name.
        let state = machine.ssh(
            &self.key,
            "systemctl is-system-running --wait; systemctl --failed --plain --no-legend; systemctl is-active provd.service; true",
        );
        if state.as_deref() != Ok("running\nactive\n") {
            let journal = machine.ssh(&self.key, "sudo journalctl --boot --priority=warning --no-pager | tail -n 60");
            panic!("the system does not run as it should: {state:?}\n{}", journal.unwrap_or_else(|error| error));
        }
    }

    fn secure_boot(&self, machine: &Machine<'_>) -> String {
        // efivarfs: four bytes of attributes, then the value.
        let path = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
        machine.ssh(&self.key, &format!("od -An -tu1 -j4 {path}")).unwrap().trim().to_owned()
    }
}

#[test]
#[ignore = "boots a virtual machine"]
fn vm_the_appliance_boots_and_serves_its_nodes() {
    let appliance = appliance();
    let lab = Lab::new("appliance", 2);
    let www = appliance.directory.parent().and_then(Path::parent).unwrap().join("www");
    let port = PUBLISHER.to_string();
    let mut publisher =
        lab.command("timeout").args(["1200", "busybox", "httpd", "-f", "-p", &port, "-h"]).arg(&www).spawn().unwrap();
    let mut machine = Machine::start(&lab, &appliance.spec("appliance", "vm-test.qcow2", Bus::Nvme, Firmware::Uefi));
    appliance.wait_until_it_runs(&mut machine);
    assert_eq!(appliance.secure_boot(&machine), "0");

    // A node's firmware: an address by its MAC, and iPXE by TFTP.
    let client = Client::new(&lab, "52:54:00:aa:00:01");
    let lease = client.dhcp(Asks::UefiFirmware).unwrap();
    assert_eq!((lease.address(), lease.boot_file()), ("10.10.1.21", "snponly.efi"));
    assert_eq!((lease.field("hostname"), lease.next_server()), ("node1", SERVER));
    let loader = client.tftp(SERVER, lease.boot_file()).unwrap();
    let expected = std::fs::read(appliance.directory.join("boot/tftp/snponly.efi")).unwrap();
    assert!(
        loader.starts_with(b"MZ") && loader == expected,
        "{} bytes by TFTP, {} in boot/",
        loader.len(),
        expected.len()
    );

    // iPXE: its script by HTTP, and from there the node's own.
    let lease = client.dhcp(Asks::Ipxe).unwrap();
    assert_eq!((lease.address(), lease.boot_file()), ("10.10.1.21", "http://10.10.1.1/boot.ipxe"));
    let entry = String::from_utf8(client.http(lease.boot_file()).unwrap()).unwrap();
    assert!(entry.starts_with("#!ipxe\n") && entry.contains("nodes/${netX/mac:hexhyp}.ipxe"), "{entry}");
    let script = String::from_utf8(client.http("http://10.10.1.1/nodes/52-54-00-aa-00-01.ipxe").unwrap()).unwrap();
    assert!(script.starts_with("#!ipxe\n# node1 "), "{script}");
    client.http("http://10.10.1.1/nodes/52-54-00-aa-00-99.ipxe").unwrap_err();
    the_daemon_is_there(appliance, &machine, &client);

    // The medium that the appliance was told to fetch: its own unit has fetched and verified it onto the state, and both
    // servers follow the links to it.
    machine.wait_until("the installer's medium", LOGIN, |machine| {
        machine.ssh(&appliance.key, "test -e /var/lib/provbuild/media/trixie/vmlinuz").is_ok()
    });
    assert_eq!(client.http("http://10.10.1.1/media/trixie/vmlinuz").unwrap(), KERNEL.as_bytes());
    assert_eq!(client.tftp(SERVER, "media/trixie/vmlinuz").unwrap(), KERNEL.as_bytes());
    let said = machine.ssh(&appliance.key, "sudo journalctl --boot --no-pager --unit=provbuild-medium-trixie").unwrap();
    assert!(said.contains("trixie: verified and ready"), "{said}");
    let _ = publisher.kill();
    let _ = publisher.wait();
    a_person_arms_a_node(appliance, &machine, &client);

    // A machine that nobody knows gets a dynamic address, and the same first script.
    let stranger = Client::new(&lab, "52:54:00:aa:00:99").dhcp(Asks::Ipxe).unwrap();
    assert!(stranger.address().starts_with("10.10.1.1") && stranger.address() != SERVER, "{}", stranger.address());

    // The same from a real firmware's own PXE client: a second machine with an empty disk slot.
    let node = Spec {
        name: "node2",
        disk: None,
        bus: Bus::Nvme,
        own_disks: Vec::new(),
        firmware: Firmware::Uefi,
        first: First::Pxe,
        memory_mib: 512,
        nics: vec![(Link::Tap(1), "52:54:00:aa:00:02".into())],
        user: "nobody",
    };
    let mut node = Machine::start(&lab, &node);
    node.wait_until("the node's script at the web server", BOOT, |_| {
        let log = machine.ssh(&appliance.key, "sudo journalctl --boot --no-pager --grep=52-54-00-aa-00-02.ipxe");
        log.is_ok_and(|log| log.contains("GET /nodes/52-54-00-aa-00-02.ipxe") && log.contains(" 200 "))
    });
}

/// provd runs as it should, says to the site which image it is, and says nothing of that to the nodes.
fn the_daemon_is_there(appliance: &Appliance, machine: &Machine<'_>, client: &Client<'_>) {
    let ssh = |command: &str| machine.ssh(&appliance.key, command).unwrap_or_else(|error| panic!("{command}: {error}"));
    assert_eq!(ssh("systemctl is-active provd.service provbuild-certificate.service nginx.service | uniq"), "active\n");
    assert_eq!(ssh("systemctl show --property=NRestarts provd.service"), "NRestarts=0\n");
    let sockets = "nodes.sock root www-data 660\nweb.sock root www-data 660\nlocal.sock root provd 660\ndhcp.sock dnsmasq root 600\n";
    assert_eq!(ssh("cd /run/provd && stat -c '%n %U %G %a' nodes.sock web.sock local.sock dhcp.sock"), sockets);
    let state = "drwx------ provd\n-rw------- root\ndrwxr-xr-x provd\n";
    let paths = "/var/lib/provbuild/provd /var/lib/provbuild/tls/key.pem /run/provbuild/grub-nodes";
    assert_eq!(ssh(&format!("sudo stat -c '%A %U' {paths}")), state);
    assert_eq!(ssh("sudo -u nobody cat /etc/provbuild/provd.json > /dev/null 2>&1 || echo refused"), "refused\n");
    eprintln!("{}", ssh("systemd-analyze security --no-pager provd.service | tail -n 1").trim());

    // The site: page and API by TLS, and the image is the manifest's.
    let digest = appliance.manifest.image_digest.to_string();
    assert_eq!(ssh("cat /usr/lib/provbuild/image-digest").trim(), digest);
    let health = machine.page("/healthz").unwrap();
    assert!(health.contains(&digest), "{health}");

    // The nodes: their own paths, and nothing else, whatever address they ask for.
    for path in ["api/v1/nodes", "healthz", "metrics", "login"] {
        client.http(&format!("http://{SERVER}/{path}")).unwrap_err();
    }
    let uplink = ssh("ip -4 -o addr show dev uplink | awk '{sub(\"/.*\", \"\", $4); print $4; exit}'");
    for address in [SERVER, uplink.trim()] {
        let refused = client.tls(address);
        assert!(refused.is_err(), "a node reaches the page at {address}: {refused:?}");
    }
    // GRUB's scripts are the daemon's as well: nobody is armed, so there is none, and the first one goes on without.
    client.tftp(SERVER, "grub/nodes/52-54-00-aa-00-01.cfg").unwrap_err();
    assert!(!client.tftp(SERVER, "grub/grub.cfg").unwrap().is_empty());
}

/// On the appliance's own command line, in the person's name; what was armed outlives a daemon that is killed.
fn a_person_arms_a_node(appliance: &Appliance, machine: &Machine<'_>, client: &Client<'_>) {
    let ssh = |command: &str| machine.ssh(&appliance.key, command).unwrap_or_else(|error| panic!("{command}: {error}"));
    let script = || String::from_utf8(client.http("http://10.10.1.1/nodes/52-54-00-aa-00-01.ipxe").unwrap()).unwrap();
    assert!(script().contains("boots its own disk"), "{}", script());
    ssh("provd arm node1 --yes --reason vm-test");
    let log = ssh("provd audit --node node1");
    assert!(log.lines().any(|line| line.contains("armed") && line.contains("tester")), "{log}");
    ssh("sudo systemctl kill --signal=KILL provd.service; sleep 3; systemctl is-active provd.service");
    let installs = script();
    assert!(installs.contains("kernel http://10.10.1.1/media/trixie/vmlinuz"), "{installs}");
    assert!(ssh("provd show node1").contains("booting"));
    ssh("provd disarm node1");
    assert!(script().contains("boots its own disk"), "{}", script());
    assert!(ssh("provd audit --verify").starts_with("valid: "));
    assert!(ssh("provd login").contains("https://"));
}

#[test]
#[ignore = "boots a virtual machine"]
fn vm_the_appliance_boots_with_secure_boot_from_its_vmdk() {
    let appliance = appliance();
    let lab = Lab::new("appliance-secure", 1);
    let spec = appliance.spec("appliance", "vm-test.vmdk", Bus::Ahci, Firmware::SecureBoot);
    let mut machine = Machine::start(&lab, &spec);
    appliance.wait_until_it_runs(&mut machine);
    assert_eq!(appliance.secure_boot(&machine), "1");
    // The kernel knows as well, and has locked itself down.
    let lockdown = machine.ssh(&appliance.key, "cat /sys/kernel/security/lockdown").unwrap();
    assert!(lockdown.contains("[integrity]"), "{lockdown}");
}
