//! The appliance's services, outside an appliance: what provbuild renders, with paths, sockets and users of the test.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use provbuild::profile;
use provbuild::render::{Base, Rendered, Request, render};
use provbuild::tree::{Change, Kind, MemoryContents, Node, Tree};
use provbuild::vocab::{Digest, DiskIds, Epoch, ImagePath};

use crate::node::{self, Way, run};
use crate::wire;

pub(crate) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 10, 0, 1));
const SHA256: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[derive(Clone)]
pub(crate) struct Medium {
    /// Below the boot server's root.
    pub(crate) path: &'static str,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) work: PathBuf,
    pub(crate) sockets: PathBuf,
    /// Kernels, as nginx serves them.
    pub(crate) media: Vec<Medium>,
    /// Times that provd was killed so far.
    pub(crate) kills: Arc<AtomicUsize>,
}

pub(crate) struct Site {
    pub(crate) places: Places,
    services: Vec<Child>,
    provd: Option<Child>,
    /// The bridge: the name of the appliance's card.
    bridge: String,
    _directory: tempfile::TempDir,
}

/// Ended when dropped, also by a failed assertion.
impl Drop for Site {
    fn drop(&mut self) {
        for child in self.services.iter_mut().chain(&mut self.provd) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// provd stands beside provbuild.
fn provd() -> PathBuf {
    let provd = Path::new(env!("CARGO_BIN_EXE_provbuild")).with_file_name("provd");
    assert!(provd.exists(), "{} is missing: run `cargo build --release -p provd`", provd.display());
    provd
}

impl Site {
    pub(crate) fn new(nodes: usize) -> Site {
        let directory = tempfile::tempdir().unwrap();
        let work = directory.path().to_owned();
        fs::set_permissions(&work, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["sockets", "run/grub-nodes", "state/dnsmasq", "temporary"] {
            fs::create_dir_all(work.join(name)).unwrap();
        }
        let rendered = rendered(&work, nodes);
        unpack(&rendered, &work);
        let mut media = Vec::new();
        for (path, size) in [
            ("media/noble/vmlinuz", 300_000),
            ("media/noble/initrd", 10),
            ("media/noble/noble.iso", 10),
            ("media/trixie/vmlinuz", 200_000),
            ("media/trixie/initrd", 10),
        ] {
            let bytes: Vec<u8> = (0..size).map(|at: usize| (at * 31 + path.len()) as u8).collect();
            let file = work.join("srv/http").join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, &bytes).unwrap();
            if path.ends_with("/vmlinuz") {
                media.push(Medium { path, bytes });
            }
        }
        for installer in ["noble", "trixie"] {
            fs::write(work.join("srv/http/media").join(installer).join("sha256"), format!("{SHA256}\n")).unwrap();
        }
        let script = format!(
            "#!/bin/sh\nexport PROVD_DHCP_SOCKET={}\nexec {} dhcp-event \"$@\"\n",
            work.join("sockets/dhcp.sock").display(),
            provd().display()
        );
        fs::write(work.join("dhcp-event"), script).unwrap();
        fs::set_permissions(work.join("dhcp-event"), fs::Permissions::from_mode(0o755)).unwrap();
        let bridge = text(&rendered, "/etc/dnsmasq.d/provbuild.conf");
        let bridge = bridge.lines().find_map(|line| line.strip_prefix("interface=")).unwrap().to_owned();
        let places = Places { sockets: work.join("sockets"), work, media, kills: Arc::default() };
        Site { places, services: Vec::new(), provd: None, bridge, _directory: directory }
    }

    fn command(&self, program: &Path, log: &str) -> Command {
        let log = fs::File::options().append(true).create(true).open(self.places.work.join(log)).unwrap();
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    pub(crate) fn start(&mut self) {
        let (work, bridge) = (self.places.work.clone(), self.bridge.clone());
        for line in [
            "link set lo up".to_owned(),
            // Without an address of its own a bridge takes the lowest of its ports', another one as cables are plugged in.
            format!("link add {bridge} address 02:00:00:00:00:01 type bridge"),
            format!("addr add {SERVER}/16 dev {bridge}"),
            format!("link set {bridge} up"),
        ] {
            run(Command::new("ip").args(line.split(' ')));
        }
        self.start_provd();
        let nginx = work.join("nginx.conf");
        let mut command = self.command(Path::new("nginx"), "nginx.out");
        command.arg("-c").arg(nginx).arg("-e").arg(work.join("nginx.error")).args(["-g", "daemon off;"]);
        self.services.push(command.spawn().expect("nginx cannot be run: install nginx"));
        let mut command = self.command(Path::new("dnsmasq"), "dnsmasq.out");
        command.arg(format!("--conf-file={}", work.join("dnsmasq.conf").display())).arg("--keep-in-foreground");
        command.args(["--log-facility=-", "--pid-file="]);
        self.services.push(command.spawn().expect("dnsmasq cannot be run: install dnsmasq"));
        let start = Instant::now();
        while !wire::http(SocketAddr::new(SERVER, 80), "GET", "/boot.ipxe", b"")
            .is_ok_and(|answer| answer.status == 200)
        {
            assert!(start.elapsed() < Duration::from_secs(30), "nginx does not answer:\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn start_provd(&mut self) {
        let work = &self.places.work;
        let mut command = self.command(&provd(), "provd.out");
        command.arg("serve").arg("--declared").arg(work.join("provd.json")).arg("--database");
        command.arg(work.join("state/state.db")).arg("--served").arg(work.join("srv/http")).arg("--grub-nodes");
        command.arg(work.join("run/grub-nodes")).arg("--sockets").arg(work.join("sockets"));
        self.provd = Some(command.spawn().unwrap());
    }

    pub(crate) fn kill_provd(&mut self) {
        let mut provd = self.provd.take().unwrap();
        assert_eq!(provd.try_wait().unwrap(), None, "provd has ended by itself:\n{}", self.logs());
        provd.kill().unwrap();
        provd.wait().unwrap();
    }

    /// Puts a cable with the node's MAC address into the thread's network namespace.
    pub(crate) fn plug(&self, number: usize, thread: i32) {
        let port = format!("port{number}");
        let (mac, thread) = (node::mac(number), thread.to_string());
        run(Command::new("ip")
            .args(["link", "add", &port, "type", "veth", "peer", "name", "eth0"])
            .args(["address", &mac, "netns", &thread]));
        run(Command::new("ip").args(["link", "set", &port, "master", &self.bridge, "up"]));
    }

    pub(crate) fn api(&self, path: &str) -> serde_json::Value {
        let answer = wire::local(&self.places.sockets.join("local.sock"), "GET", path, b"").unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(answer.status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// A machine that is in no inventory: it boots its own disk, and its stanza makes it a node.
    pub(crate) fn stranger(&self) {
        let mac = "52:54:00:f1:01:01";
        for line in [
            "link add stranger type veth peer name other".to_owned(),
            format!("link set stranger master {}", self.bridge),
            "link set stranger up".to_owned(),
            format!("link set other address {mac}"),
            "link set other up".to_owned(),
        ] {
            run(Command::new("ip").args(line.split(' ')));
        }
        let name = "hostname:blade7";
        run(Command::new("busybox")
            .args(["udhcpc", "-i", "other", "-f", "-q", "-n", "-t", "20", "-T", "3", "-s", "/bin/true"])
            .args(["-V", "PXEClient:Arch:00007", "-x", name]));
        let path = format!("/nodes/{}.ipxe", mac.replace(':', "-"));
        assert_eq!(wire::http(SocketAddr::new(SERVER, 80), "GET", &path, b"").unwrap().status, 404);
        let start = Instant::now();
        let stanza = loop {
            let strangers = self.api("/api/v1/strangers");
            let seen = strangers.as_array().unwrap().iter().find(|stranger| stranger["mac"] == mac).cloned();
            if let Some(seen) = seen.filter(|seen| seen["vendor"] == "PXEClient:Arch:00007") {
                break seen["stanza"].as_str().unwrap().to_owned();
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{strangers}");
            std::thread::sleep(Duration::from_millis(100));
        };
        assert!(stanza.contains("hostname = \"blade7\""), "{stanza}");
        let nodes = self.places.work.join("nodes.toml");
        fs::File::options().append(true).open(nodes).unwrap().write_all(stanza.as_bytes()).unwrap();
        run(Command::new(env!("CARGO_BIN_EXE_provbuild")).arg("check").arg(self.places.work.join("profile.toml")));
    }

    /// What nginx, provd and dnsmasq wrote.
    pub(crate) fn logs(&self) -> String {
        let names = ["access", "nginx.error", "nginx.out", "provd.out", "dnsmasq.out"];
        let read = |name: &&str| fs::read(self.places.work.join(name)).ok();
        names.iter().filter_map(read).map(|text| String::from_utf8_lossy(&text).into_owned()).collect()
    }
}

fn rendered(work: &Path, nodes: usize) -> Rendered {
    let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/debian.toml");
    let profile = format!(
        "imports = [{profiles:?}]\nnodes = \"nodes.toml\"\n\n[appliance]\nname = \"fleet\"\n\n\
         [network.provisioning]\naddress = \"{SERVER}/16\"\ndhcp.range = \"10.10.9.1-10.10.9.50\"\n\n\
         [installer.noble]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\n\
         iso = {{ url = \"http://192.0.2.1/noble.iso\", sha256 = \"{SHA256}\" }}\n\n\
         [installer.trixie]\ndistribution = \"debian\"\nrelease = \"13\"\n\
         netboot = {{ url = \"http://192.0.2.1/netboot.tar.gz\", sha256 = \"{SHA256}\" }}\n"
    );
    fs::write(work.join("profile.toml"), profile).unwrap();
    let stanzas = (1..=nodes).map(|number| {
        let install = match node::way(number) {
            Way::Debian => "trixie",
            Way::Grub | Way::Ubuntu => "noble",
        };
        format!(
            "[[node]]\nhostname = \"{}\"\nmac = \"{}\"\naddress = \"{}\"\ninstall = \"{install}\"\n\n",
            node::hostname(number),
            node::mac(number),
            node::address(number)
        )
    });
    fs::write(work.join("nodes.toml"), stanzas.collect::<String>()).unwrap();
    let mut loaded = profile::load(&work.join("profile.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    // The check refuses this for an installer of another distribution than the appliance; nothing is booted here.
    for (number, node) in (1..).zip(&mut loaded.profile.inventory.nodes) {
        node.secure_boot = node::way(number) == Way::Grub;
    }
    let (tree, contents) = base();
    let ids = DiskIds::derive(&Digest::of(b"fleet"));
    let program = fs::read(provd()).unwrap();
    let request = Request {
        base: Base { tree: &tree, contents: &contents },
        ids: &ids,
        epoch: Epoch(1_760_000_000),
        media: &Default::default(),
        armed: &netboot::Armed::none(),
        daemon: Some(&program),
        sum: None,
    };
    render(&loaded.profile, &request).unwrap_or_else(|error| panic!("{error}\n{:#?}", error.faults))
}

/// What a distribution would bring, by name only.
fn base() -> (Tree, MemoryContents) {
    let (mut tree, mut contents) = (Tree::new(), MemoryContents::new());
    tree.insert(ImagePath::literal("/lib"), Node::symlink("usr/lib"));
    let mut add = |path: &str, text: &str| {
        let content = contents.add(text);
        tree.insert_with_parents(ImagePath::literal(path), Node::file(content));
    };
    add("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
    add("/etc/shadow", "root:*:19000:0:99999:7:::\n");
    add("/etc/group", "root:x:0:\nadm:x:4:\nsystemd-journal:x:999:\n");
    add("/etc/gshadow", "root:*::\nadm:*::\nsystemd-journal:!*::\n");
    for path in [
        "/etc/skel/.profile",
        "/etc/nftables.conf",
        "/etc/nginx/nginx.conf",
        "/usr/bin/sudo",
        "/usr/bin/curl",
        "/usr/bin/bsdtar",
        "/usr/sbin/sshd",
        "/usr/sbin/nft",
        "/usr/sbin/nginx",
        "/usr/sbin/dnsmasq",
        "/usr/sbin/mkfs.ext4",
        "/usr/lib/systemd/systemd-networkd",
        "/usr/lib/systemd/systemd-resolved",
        "/usr/lib/systemd/systemd-timesyncd",
        "/usr/share/zoneinfo/Etc/UTC",
        "/usr/lib/ipxe/undionly.kpxe",
        "/usr/lib/ipxe/snponly.efi",
        "/usr/lib/ipxe/ipxe.efi",
        "/boot/vmlinuz-6.12.9-amd64",
        "/boot/initrd.img-6.12.9-amd64",
        "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
        "/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",
        "/usr/lib/shim/shimx64.efi.signed",
        "/usr/lib/shim/mmx64.efi",
    ] {
        add(path, path);
    }
    for (unit, target) in [
        ("basic.target", ""),
        ("apt-daily.timer", "WantedBy=timers.target"),
        ("systemd-networkd-wait-online.service", "WantedBy=network-online.target"),
        ("dnsmasq.service", "WantedBy=multi-user.target"),
        ("nginx.service", "WantedBy=multi-user.target"),
        ("nftables.service", "WantedBy=sysinit.target"),
        ("ssh.service", "WantedBy=multi-user.target"),
        ("ssh.socket", "WantedBy=sockets.target"),
        ("systemd-networkd.service", "WantedBy=multi-user.target"),
        ("systemd-networkd.socket", "WantedBy=sockets.target"),
        ("systemd-resolved.service", "WantedBy=sysinit.target"),
        ("systemd-timesyncd.service", "WantedBy=sysinit.target"),
    ] {
        add(&format!("/usr/lib/systemd/system/{unit}"), &format!("[Install]\n{target}\n"));
    }
    (tree, contents)
}

fn changed(change: &Change) -> Option<&Node> {
    match change {
        Change::Add(node) | Change::Replace(node) => Some(node),
        _ => None,
    }
}

fn text(rendered: &Rendered, path: &str) -> String {
    let node = rendered.overlay.get(&ImagePath::literal(path)).and_then(changed);
    let Some(Node { kind: Kind::File(content), .. }) = node else { panic!("{path}: {node:?}") };
    String::from_utf8(rendered.contents.get(content).unwrap().to_vec()).unwrap()
}

/// Replaces a text that must be there: what is rendered may change, and this must not go unseen.
fn replaced(text: &str, pairs: &[(&str, String)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "no '{from}' in:\n{text}");
        text.replace(from, to)
    })
}

/// The boot tree, and the services' files with other paths, logs and users; nothing else is changed.
fn unpack(rendered: &Rendered, work: &Path) {
    let at = |name: &str| work.join(name).display().to_string();
    for (path, change) in rendered.overlay.iter() {
        let Some(below) = path.to_string().strip_prefix("/srv/provbuild/").map(str::to_owned) else { continue };
        let target = work.join("srv").join(below);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        match changed(change).map(|node| &node.kind) {
            Some(Kind::Directory) => fs::create_dir_all(target).unwrap(),
            Some(Kind::Symlink { target: to }) => {
                let to = to.replace("/run/provbuild", &at("run")).replace("/var/lib/provbuild", &at("state"));
                if to.starts_with('/') {
                    fs::create_dir_all(&to).unwrap();
                }
                std::os::unix::fs::symlink(to, target).unwrap();
            }
            // A loader of the base, of which only the name is there.
            Some(Kind::File(content)) => {
                fs::write(target, rendered.contents.get(content).unwrap_or(b"loader")).unwrap()
            }
            _ => {}
        }
    }
    let nginx = replaced(
        &text(rendered, "/etc/nginx/nginx.conf"),
        &[
            ("user www-data;", "user root;".to_owned()),
            ("pid /run/nginx.pid;", format!("pid {};", at("nginx.pid"))),
            (
                "error_log syslog:server=unix:/dev/log,nohostname warn;",
                format!("error_log {} warn;", at("nginx.error")),
            ),
            ("access_log syslog:server=unix:/dev/log,nohostname,severity=info", format!("access_log {}", at("access"))),
            ("/run/provd/", format!("{}/", at("sockets"))),
            ("/run/provbuild/", format!("{}/", at("run"))),
            ("/srv/provbuild", at("srv")),
            (
                "http {\n",
                ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .iter()
                    .fold("http {\n".to_owned(), |text, kind| {
                        format!("{text}\t{kind}_temp_path {};\n", at(&format!("temporary/{kind}")))
                    }),
            ),
        ],
    );
    fs::write(work.join("nginx.conf"), nginx).unwrap();
    let dnsmasq = replaced(
        &text(rendered, "/etc/dnsmasq.d/provbuild.conf"),
        &[
            ("\nuser=dnsmasq\n", "\nuser=root\n".to_owned()),
            ("dhcp-scriptuser=dnsmasq", "dhcp-scriptuser=root".to_owned()),
            ("dhcp-script=/usr/lib/provbuild/dhcp-event", format!("dhcp-script={}", at("dhcp-event"))),
            ("/var/lib/provbuild", at("state")),
            ("/srv/provbuild", at("srv")),
            ("resolv-file=", "no-resolv\n#".to_owned()),
        ],
    );
    fs::write(work.join("dnsmasq.conf"), dnsmasq).unwrap();
    fs::write(work.join("provd.json"), text(rendered, "/etc/provbuild/provd.json")).unwrap();
}
