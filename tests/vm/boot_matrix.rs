//! The boot matrix: real firmware, real dnsmasq and nginx with the rendered configuration, every way to boot.
//!
//! The tree is rendered over the root file system of the real build: its loaders and its kernel are the distribution's signed
//! ones. Only the initrd is the test's, and shows the command line. The tree lies at /srv/provbuild of the lab's own mount
//! namespace; the services' files are used as they are, with what a test must differ in on the command line.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use netboot::{Armed, Installation, MediaPaths, Node, Site};
use provbuild::fetch::Store;
use provbuild::profile::{self, Dhcp, Profile};
use provbuild::render::{self, Base, InstallerFiles, Request};
use provbuild::tree::{Contents, Kind, Layered, MemoryContents, Pack};
use provbuild::vocab::{Digest, DiskIds, Epoch, Stage};

use crate::appliance::appliance;
use crate::common::project::Project;
use crate::lab::{BRIDGE, Lab};
use crate::machine::{Bus, Firmware, First, Link, Machine, Spec};
use crate::probe;

/// One boot takes 15 (BIOS) to 40 seconds (Secure Boot) on two quiet cores without KVM; other tests may be running.
const BOOT: Duration = Duration::from_secs(480);
const SERVER: &str = "10.10.1.1";

const INSTALLER: &str = "
[installer.probe]
distribution = \"ubuntu\"
release = \"24.04\"
iso = { url = \"https://installer.example/ubuntu.iso\", sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" }
";

/// Every character that a kernel parameter may have and that means something to a loader.
const PARAMETERS: [&str; 2] = ["console=ttyS0", "odd=a;b|c&d<e>$f{g}*h?[i]!j~k#l"];

/// Host name, last byte of the MAC and of the address, Secure Boot.
const NODES: [(&str, u8, bool); 10] = [
    ("bios", 0x01, false),
    ("undi", 0x02, false),
    ("uefi", 0x03, false),
    ("uefi-http", 0x04, false),
    ("secure", 0x05, true),
    ("secure-http", 0x06, true),
    ("idle", 0x07, false),
    ("idle-secure", 0x08, true),
    ("idle-bios", 0x09, false),
    ("idle-secure-http", 0x0a, true),
];

fn mac(last: u8) -> String {
    format!("52:54:00:aa:01:{last:02x}")
}

fn nodes() -> String {
    NODES
        .iter()
        .map(|(name, last, secure)| {
            format!(
                "[[node]]\nhostname = \"{name}\"\nmac = \"{}\"\naddress = \"10.10.1.{}\"\ninstall = \"probe\"\nsecure-boot = {secure}\n",
                mac(*last),
                20 + last
            )
        })
        .collect()
}

/// A rendered tree in a directory, and what its nodes must be told.
struct Served {
    directory: PathBuf,
    profile: Profile,
}

impl Served {
    /// Renders the boot tree with all nodes armed but those whose names begin with "idle".
    ///
    /// It asks the renderer itself, with a medium that nobody has to fetch; `provbuild build --arm` asks it the same.
    fn render(name: &'static str, change: impl FnOnce(&mut Profile)) -> Served {
        let appliance = appliance();
        let project = Project::new(name, &["raw"], INSTALLER);
        fs::write(project.directory.join("nodes.toml"), nodes()).unwrap();
        let mut profile = profile::load(&project.directory.join("profile.toml"))
            .unwrap_or_else(|faults| panic!("{faults:?}"))
            .profile;
        for installer in profile.installers.values_mut() {
            installer.system.kernel_parameters = PARAMETERS.map(str::to_owned).into();
        }
        change(&mut profile);

        let rootfs = appliance.manifest.stages.iter().find(|record| record.stage == Stage::Rootfs).unwrap().key;
        let store = Store::open(&Project::store()).unwrap();
        let pack = Pack::open(&store.stage_dir(&rootfs).unwrap()).unwrap();
        let kernels: Vec<_> =
            pack.tree.iter().filter(|(path, _)| path.as_str().starts_with("/boot/vmlinuz-")).collect();
        let [(kernel, _)] = kernels[..] else { panic!("not one kernel: {kernels:?}") };
        let mut own = MemoryContents::new();
        let files = InstallerFiles {
            kernel: pack.tree.content(kernel).unwrap(),
            initrd: own.add(probe::initrd(&project.directory)),
            iso: Some(own.add("not an ISO: nobody loads it")),
        };
        let media = BTreeMap::from([("probe".to_owned(), files)]);
        let install = |node: &&Node| !node.hostname.starts_with("idle");
        let armed = Armed::of(profile.inventory.nodes.iter().filter(install).map(|node| node.mac));
        let base = Base { tree: &pack.tree, contents: &pack };
        let ids = DiskIds::derive(&Digest::of(b"boot matrix"));
        // The tree beside the image is what is served here: static, and without a daemon.
        let daemon = Some(&b"stands for the daemon"[..]);
        let request =
            Request { base, ids: &ids, epoch: Epoch(1_760_000_000), media: &media, armed: &armed, daemon, sum: None };
        let rendered = render::render(&profile, &request).unwrap_or_else(|error| panic!("{error}"));

        let directory = project.directory.join("boot");
        if let Err(error) = fs::remove_dir_all(&directory) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", directory.display());
        }
        let contents = Layered(vec![&rendered.contents, &own, &pack]);
        for (path, node) in rendered.boot.iter() {
            let here = directory.join(path.relative());
            match &node.kind {
                Kind::Directory => fs::create_dir_all(&here).unwrap(),
                Kind::File(content) => fs::write(&here, contents.read(content).unwrap()).unwrap(),
                other => panic!("{path}: {other:?}"),
            }
        }
        Served { directory, profile }
    }

    fn node(&self, name: &str) -> &Node {
        self.profile.inventory.nodes.iter().find(|node| &*node.hostname == name).unwrap()
    }

    /// The words that a node's kernel must get.
    fn arguments(&self, name: &str) -> Vec<String> {
        let provisioning = &self.profile.network.provisioning;
        let site = Site {
            server: provisioning.address.addr(),
            subnet: provisioning.address.trunc(),
            domain: &provisioning.domain,
            gateway: provisioning.gateway,
        };
        let system = &self.profile.installers["probe"].system;
        let paths = MediaPaths::of("probe", system.release);
        let arguments =
            Installation::of(self.node(name), system, &paths, &site, &netboot::static_seed_path(self.node(name)))
                .unwrap()
                .arguments()
                .to_vec();
        let seed = format!("ds=nocloud;s=http://{SERVER}/seed/{name}/");
        assert!(arguments.contains(&seed) && arguments.contains(&PARAMETERS[1].to_owned()), "{arguments:?}");
        arguments
    }
}

/// A service that ends with the test.
struct Service(Child);

impl Service {
    fn start(lab: &Lab, program: &str, arguments: &[&str]) -> Service {
        let log = fs::File::create(lab.directory.join(format!("{program}.said"))).unwrap();
        let mut command = lab.command(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        // SAFETY: prctl is async-signal-safe and touches nothing of the parent's.
        unsafe {
            command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?));
        }
        Service(command.spawn().expect("nsenter cannot be run: install util-linux"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // nsenter has become the service itself, which is asked to end: nginx takes its workers along. It may have ended
        // already: then there is nothing to ask.
        let _ = nix::sys::signal::kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The boot server's address and its files in the lab, as the README of the tree tells it.
fn place(lab: &Lab, served: &Served) {
    lab.run("ip", &["addr", "add", "10.10.1.1/24", "dev", BRIDGE]);
    lab.run("mount", &["-t", "tmpfs", "none", "/srv"]);
    lab.run("mkdir", &["/srv/provbuild"]);
    lab.run("mount", &["--bind", served.directory.to_str().unwrap(), "/srv/provbuild"]);
}

fn dnsmasq(lab: &Lab, more: &[&str]) -> Service {
    let leases = format!("--dhcp-leasefile={}", lab.directory.join("leases").display());
    let log = format!("--log-facility={}", lab.directory.join("dnsmasq.log").display());
    // Root alone exists in the lab's user namespace; nothing is asked upstream.
    let mut arguments = vec!["--keep-in-foreground", "--user=", "--group=", "--pid-file=", "--no-resolv", "--log-dhcp"];
    arguments.extend([leases.as_str(), log.as_str()]);
    arguments.extend(more);
    let service = Service::start(lab, "dnsmasq", &arguments);
    wait_for(lab, "DHCP", &["-lun", "sport", "=", ":67"]);
    service
}

fn rendered_dnsmasq(lab: &Lab) -> Service {
    dnsmasq(lab, &["--conf-file=/srv/provbuild/dnsmasq.conf"])
}

/// The rendered server inside the least configuration around it.
fn nginx(lab: &Lab) -> Service {
    let directory = lab.directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {directory}/{kind};\n"))
        .collect();
    let text = format!(
        "user root;\nworker_processes 1;\npid {directory}/nginx.pid;\nerror_log {directory}/nginx.error;\ndaemon off;\nevents {{}}\n\
         http {{\naccess_log {directory}/nginx.access;\n{temporary}include /srv/provbuild/nginx.conf;\n}}\n"
    );
    let main = lab.directory.join("nginx.conf");
    fs::write(&main, text).unwrap();
    let service = Service::start(lab, "nginx", &["-c", main.to_str().unwrap()]);
    wait_for(lab, "HTTP", &["-ltn", "sport", "=", ":80"]);
    service
}

fn wait_for(lab: &Lab, what: &str, filter: &[&str]) {
    let begin = Instant::now();
    while lab.run("ss", &[&["--no-header"], filter].concat()).is_empty() {
        if begin.elapsed() > Duration::from_secs(10) {
            let said: String = ["dnsmasq.said", "dnsmasq.log", "nginx.said", "nginx.error"]
                .iter()
                .map(|name| fs::read_to_string(lab.directory.join(name)).unwrap_or_default())
                .collect();
            panic!("nothing listens for {what}:\n{said}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The command line of a machine that has started its kernel, without what loaders add of their own: the image's name,
/// `BOOT_IMAGE=` and iPXE's `initrd=`.
fn command_line(machine: &mut Machine<'_>) -> Vec<String> {
    machine.wait_for(probe::END, BOOT);
    let text = machine.console_text();
    let (_, rest) = text.split_once(probe::BEGIN).expect("an end without a beginning");
    let line = rest.split_once(probe::END).unwrap().0;
    let own = |word: &&str| *word == "vmlinuz" || word.starts_with("BOOT_IMAGE=") || word.starts_with("initrd=");
    line.split_whitespace().filter(|word| !own(word)).map(str::to_owned).collect()
}

fn spec(name: &'static str, port: usize, mac: String, firmware: Firmware, first: First) -> Spec {
    Spec {
        name,
        disk: None,
        bus: Bus::Nvme,
        own_disks: Vec::new(),
        firmware,
        first,
        memory_mib: 512,
        nics: vec![(Link::Tap(port), mac)],
        user: "nobody",
    }
}

/// Runs two machines at a time, each with a port of its own.
fn two_at_a_time<T: Sync>(clients: &[T], run: impl Fn(usize, &T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (next, run) = (&next, &run);
        for _ in 0..2 {
            scope.spawn(move || {
                while let Some((port, client)) =
                    clients.iter().enumerate().nth(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    run(port, client);
                }
            });
        }
    });
}

fn last(name: &str) -> u8 {
    NODES.iter().find(|node| node.0 == name).unwrap().1
}

#[test]
#[ignore = "boots virtual machines"]
fn vm_every_firmware_hands_the_same_words_to_the_kernel() {
    let served = Served::render("boot-matrix", |_| ());
    let lab = Lab::new("boot-matrix", 5);
    place(&lab, &served);
    let (_dnsmasq, _nginx) = (rendered_dnsmasq(&lab), nginx(&lab));
    let clients = [
        ("bios", Firmware::Bios, First::Pxe),
        ("uefi", Firmware::Uefi, First::Pxe),
        ("secure", Firmware::SecureBoot, First::Pxe),
        ("uefi-http", Firmware::Uefi, First::HttpBoot),
        ("secure-http", Firmware::SecureBoot, First::HttpBoot),
    ];
    two_at_a_time(&clients, |port, (name, firmware, first)| {
        let mut machine = Machine::start(&lab, &spec(name, port, mac(last(name)), *firmware, *first));
        assert_eq!(command_line(&mut machine), served.arguments(name), "{name}");
        let secure = machine.console_text().contains("Secure Boot is enabled");
        assert_eq!(secure, *firmware == Firmware::SecureBoot, "{name}");
    });
    // Each came by the way that it was meant to.
    let dhcp = fs::read_to_string(lab.directory.join("dnsmasq.log")).unwrap();
    let http = fs::read_to_string(lab.directory.join("nginx.access")).unwrap();
    for loader in ["snponly.efi", "shimx64.efi", "grubx64.efi", "grub/grub.cfg", "grub/nodes/52-54-00-aa-01-05.cfg"] {
        assert!(
            dhcp.contains(&format!("sent /srv/provbuild/tftp/{loader} ")),
            "{loader} was not fetched by TFTP:\n{dhcp}"
        );
    }
    for path in [
        "/boot.ipxe",
        "/nodes/52-54-00-aa-01-01.ipxe",
        "/snponly.efi",
        "/shimx64.efi",
        "/grub/nodes/52-54-00-aa-01-06.cfg",
    ] {
        assert!(http.contains(&format!("GET {path} HTTP/1.1\" 200")), "{path} was not fetched by HTTP:\n{http}");
    }
}

/// QEMU's BIOS network ROM is an iPXE, so that the firmware's own first step is played: another dnsmasq gives the ROM
/// undionly.kpxe, as the rendered one gives it to a BIOS client that is not iPXE, and makes way as soon as it was sent.
#[test]
#[ignore = "boots a virtual machine"]
fn vm_undionly_goes_on_where_a_bios_has_loaded_it() {
    let served = Served::render("boot-undionly", |_| ());
    let lab = Lab::new("boot-undionly", 1);
    place(&lab, &served);
    let _nginx = nginx(&lab);
    let range = ["--conf-file=/dev/null", "--port=0", "--bind-dynamic", "--listen-address=10.10.1.1"];
    let boot = [
        "--dhcp-range=10.10.1.100,10.10.1.150",
        "--dhcp-boot=undionly.kpxe",
        "--enable-tftp",
        "--tftp-root=/srv/provbuild/tftp",
    ];
    let rom = dnsmasq(&lab, &[&range[..], &boot[..]].concat());
    let mut machine = Machine::start(&lab, &spec("undi", 0, mac(last("undi")), Firmware::Bios, First::Pxe));
    let log = lab.directory.join("dnsmasq.log");
    machine.wait_until("undionly.kpxe by TFTP", BOOT, |_| {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("sent /srv/provbuild/tftp/undionly.kpxe"))
    });
    drop(rom);
    let _dnsmasq = rendered_dnsmasq(&lab);
    assert_eq!(command_line(&mut machine), served.arguments("undi"));
}

/// Nobody is installed who is not armed: the machine ends at its own disk, whatever its firmware.
#[test]
#[ignore = "boots virtual machines"]
fn vm_whoever_is_not_armed_ends_at_its_own_disk() {
    let served = Served::render("boot-own-disk", |_| ());
    let lab = Lab::new("boot-own-disk", 6);
    place(&lab, &served);
    let (_dnsmasq, _nginx) = (rendered_dnsmasq(&lab), nginx(&lab));
    let tftp = served.directory.join("tftp");
    let efi = probe::efi_disk(&lab.directory, &tftp.join("shimx64.efi"), &tftp.join("grubx64.efi"));
    let bios = probe::bios_disk(&lab.directory);
    let stranger = 0x99;
    let clients = [
        ("stranger-bios", stranger, Firmware::Bios, First::Pxe),
        ("stranger-uefi", stranger + 1, Firmware::Uefi, First::Pxe),
        ("idle", last("idle"), Firmware::Uefi, First::Pxe),
        ("idle-bios", last("idle-bios"), Firmware::Bios, First::Pxe),
        ("idle-secure", last("idle-secure"), Firmware::SecureBoot, First::Pxe),
        ("idle-secure-http", last("idle-secure-http"), Firmware::SecureBoot, First::HttpBoot),
    ];
    two_at_a_time(&clients, |port, (name, last, firmware, first)| {
        let disk = if *firmware == Firmware::Bios { &bios } else { &efi };
        let spec = Spec { disk: Some(disk.clone()), ..spec(name, port, mac(*last), *firmware, *first) };
        let mut machine = Machine::start(&lab, &spec);
        machine.wait_for(probe::OWN_DISK, BOOT);
        assert!(!machine.console_text().contains(probe::BEGIN), "{name} has started an installer");
    });
    let http = fs::read_to_string(lab.directory.join("nginx.access")).unwrap();
    // They came by way of the network, not past it; and a machine that is not listed has no script of its own.
    for line in ["GET /nodes/52-54-00-aa-01-07.ipxe HTTP/1.1\" 200", "GET /nodes/52-54-00-aa-01-99.ipxe HTTP/1.1\" 404"]
    {
        assert!(http.contains(line), "{line}:\n{http}");
    }
    let dhcp = fs::read_to_string(lab.directory.join("dnsmasq.log")).unwrap();
    assert!(dhcp.contains("sent /srv/provbuild/tftp/grub/nodes/52-54-00-aa-01-08.cfg"), "{dhcp}");
}

/// The site's DHCP server gives the addresses and says nothing about booting; dnsmasq beside it adds that, by MAC as well.
#[test]
#[ignore = "boots virtual machines"]
fn vm_a_proxy_boots_nodes_that_have_their_address_from_the_site() {
    let served = Served::render("boot-proxy", |profile| profile.network.provisioning.dhcp = Dhcp::Proxy);
    let lab = Lab::new("boot-proxy", 3);
    place(&lab, &served);
    let (_dnsmasq, _nginx) = (rendered_dnsmasq(&lab), nginx(&lab));
    // The site's server sits at the other end of a cable, in a namespace inside the lab.
    let site = format!(
        "set -e; ip link set lo up; ip link add far type veth peer name near netns {holder}; ip link set far up; \
         ip addr add 10.10.1.5/24 dev far; exec dnsmasq --conf-file=/dev/null --keep-in-foreground --port=0 --interface=far \
         --bind-interfaces --user= --group= --pid-file= --dhcp-range=10.10.1.60,10.10.1.90 --dhcp-leasefile={directory}/site.leases \
         --log-dhcp --log-facility={directory}/site.log",
        holder = lab.holder_id(),
        directory = lab.directory.display(),
    );
    let _site = Service::start(&lab, "unshare", &["--net", "sh", "-c", &site]);
    let begin = Instant::now();
    while !lab.try_run("ip", &["link", "set", "near", "master", BRIDGE, "up"]).status.success() {
        assert!(begin.elapsed() < Duration::from_secs(10), "the site's cable did not appear");
        std::thread::sleep(Duration::from_millis(50));
    }
    let clients = [("bios", Firmware::Bios), ("uefi", Firmware::Uefi), ("secure", Firmware::SecureBoot)];
    two_at_a_time(&clients, |port, (name, firmware)| {
        let mut machine = Machine::start(&lab, &spec(name, port, mac(last(name)), *firmware, First::Pxe));
        assert_eq!(command_line(&mut machine), served.arguments(name), "{name}");
    });
    let log = |name: &str| fs::read_to_string(lab.directory.join(name)).unwrap();
    assert!(log("site.log").contains("DHCPACK(far)") && !log("dnsmasq.log").contains("DHCPACK("));
}
