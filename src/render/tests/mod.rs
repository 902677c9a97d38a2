//! Rendering as a whole: exact texts, and every generated file before the service's own checker.

mod boot;
mod checkers;
mod front;
mod sum;
mod vmware;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::profile::*;
use crate::tree::{Kind, Layered};
use crate::vocab::{Digest, ImagePath, Mode, Owner};

const EPOCH: Epoch = Epoch(1_760_000_000);
/// It is only copied.
const DAEMON: &[u8] = b"the daemon, which is not text: \xff";

fn ids() -> DiskIds {
    DiskIds::derive(&Digest::of(b"test"))
}

fn node(hostname: &str, mac: &str, address: &str) -> netboot::Node {
    netboot::Node {
        hostname: hostname.parse().unwrap(),
        mac: mac.parse().unwrap(),
        address: address.parse().unwrap(),
        address6: None,
        addresses: BTreeMap::new(),
        memory: None,
        secure_boot: false,
        install: Some("ubuntu-24-04".to_owned()),
        disk: None,
        bmc: None,
        bios: None,
        roles: BTreeSet::new(),
        dhcp_options: BTreeMap::new(),
    }
}

fn profile() -> Profile {
    let mut one = node("node1", "ac:1f:6b:6c:5a:76", "10.10.1.21");
    let ntp: netboot::DhcpOption = "ntp-server".parse().unwrap();
    one.dhcp_options.insert(ntp, ntp.value("10.10.1.1").unwrap());
    one.bmc = Some(netboot::Bmc {
        address: "10.10.1.11".parse().unwrap(),
        mac: Some("ac:1f:6b:6c:58:31".parse().unwrap()),
        port: netboot::Bmc::PORT,
        kind: netboot::BmcKind::Supermicro,
        system: None,
        credentials: None,
    });
    let installer = Installer {
        system: netboot::System {
            release: netboot::Release::Ubuntu2404,
            locale: "C.UTF-8".to_owned(),
            keyboard: netboot::Keyboard { layout: "us".to_owned(), variant: None },
            timezone: "Etc/UTC".to_owned(),
            account: netboot::Account {
                name: "admin".to_owned(),
                password_hash: None,
                ssh_keys: vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKey admin@example".to_owned()],
            },
            storage: netboot::Storage::Direct,
            addressing: netboot::Addressing::Dhcp,
            packages: vec![],
            mirror: None,
            early_commands: vec![],
            late_commands: vec![],
            kernel_parameters: vec![],
        },
        medium: None,
        media: Media::Fetch,
    };
    Profile {
        name: "mylab".to_owned(),
        appliance: Appliance {
            hostname: "mylab".parse().unwrap(),
            memory: crate::vocab::ByteSize::gib(2),
            cpus: 2,
            disk: crate::vocab::ByteSize::gib(25),
            timezone: "Etc/UTC".to_owned(),
            locale: "C.UTF-8".to_owned(),
            users: vec![
                User {
                    name: "admin".to_owned(),
                    sudo: true,
                    password_hash: None,
                    ssh_keys: vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKey admin@example".to_owned()],
                },
                User { name: "viewer".to_owned(), sudo: false, password_hash: None, ssh_keys: vec![] },
            ],
            ssh: Ssh { port: 22, password_authentication: false },
            sysctl: BTreeMap::from([("vm.swappiness".to_owned(), "10".to_owned())]),
            kernel_parameters: vec!["panic=30".to_owned(), "odd=a;b".to_owned()],
            secure_boot: true,
        },
        distribution: Distribution {
            name: DistributionName::Debian,
            release: "13".to_owned(),
            codename: "trixie".to_owned(),
            architecture: "amd64".to_owned(),
            components: vec!["main".to_owned()],
            mirrors: vec![],
            security_mirrors: vec![],
            snapshot: None,
            pockets: vec![],
            keyring: None,
            packages: BTreeSet::new(),
            exclude: BTreeSet::new(),
            recommends: false,
            kernel: Some("linux-image-cloud-amd64".to_owned()),
        },
        network: Network {
            uplink: Uplink {
                mac: "00:50:56:00:00:01".parse().unwrap(),
                addressing: Addressing::Dhcp,
                allow_tcp: BTreeSet::from([22, 443]),
            },
            provisioning: Provisioning {
                mac: "00:50:56:00:00:02".parse().unwrap(),
                address: "10.10.1.1/24".parse().unwrap(),
                dhcp: Dhcp::Authoritative {
                    range: Some(DhcpRange {
                        first: "10.10.1.100".parse().unwrap(),
                        last: "10.10.1.199".parse().unwrap(),
                    }),
                    lease_seconds: 3600,
                },
                domain: "lab.example".to_owned(),
                dns: vec![],
                nat: true,
                gateway: Some("10.10.1.1".parse().unwrap()),
                secure_boot: false,
                hosts: vec![ExtraHost {
                    name: "switch1".parse().unwrap(),
                    address: "10.10.1.2".parse().unwrap(),
                    mac: None,
                }],
            },
            bmc_subnet: Some("10.20.0.0/24".parse().unwrap()),
            bmc_filter: true,
        },
        installers: BTreeMap::from([("ubuntu-24-04".to_owned(), installer)]),
        outputs: BTreeSet::new(),
        files: BTreeMap::new(),
        inventory: Inventory { nodes: vec![one, node("node2", "ac:1f:6b:6c:5a:77", "10.10.1.22")] },
        control: Control::default(),
        bios: BTreeMap::new(),
        sum: None,
        deploy: Deploy::default(),
    }
}

/// A base of a few files, as the real packages have them where it matters.
struct TestBase {
    tree: Tree,
    contents: MemoryContents,
}

impl TestBase {
    fn new() -> Self {
        let mut base = TestBase { tree: Tree::new(), contents: MemoryContents::new() };
        base.tree.insert(ImagePath::literal("/lib"), Node::symlink("usr/lib"));
        base.add("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nold:x:1000:1000::/home/old:/bin/sh\n");
        base.add("/etc/shadow", "root:*:19000:0:99999:7:::\nold:!:19000:0:99999:7:::\n");
        base.add("/etc/group", "root:x:0:\nadm:x:4:\nold:x:1000:\nsystemd-journal:x:999:\n");
        base.add("/etc/gshadow", "root:*::\nadm:*::\nold:!::\nsystemd-journal:!*::\n");
        let shadow = Owner { uid: 0, gid: 42 };
        for path in ["/etc/shadow", "/etc/gshadow"] {
            let path = ImagePath::literal(path);
            let node = base.tree.get(&path).cloned().unwrap();
            base.tree.insert(path, node.with_mode(Mode::new(0o640)).with_owner(shadow));
        }
        base.add("/etc/skel/.profile", "# profile\n");
        base.add("/etc/nftables.conf", "theirs\n");
        base.add("/etc/nginx/nginx.conf", "theirs\n");
        base.tree
            .insert(ImagePath::literal("/etc/resolv.conf"), Node::symlink("../run/systemd/resolve/stub-resolv.conf"));
        for path in [
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
            "/boot/vmlinuz-6.12.117-amd64",
            "/boot/initrd.img-6.12.117-amd64",
            "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
            "/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",
            "/usr/lib/shim/shimx64.efi.signed.latest",
            "/usr/lib/shim/mmx64.efi",
        ] {
            base.add(path, path);
        }
        // As Ubuntu has it: an absolute link by way of /etc/alternatives.
        let link = |base: &mut TestBase, path: &str, target: &str| {
            base.tree.insert_with_parents(ImagePath::literal(path), Node::symlink(target));
        };
        link(&mut base, "/usr/lib/shim/shimx64.efi.signed", "/etc/alternatives/shimx64.efi.signed");
        link(&mut base, "/etc/alternatives/shimx64.efi.signed", "/usr/lib/shim/shimx64.efi.signed.latest");
        link(&mut base, "/etc/nginx/sites-enabled/default", "/etc/nginx/sites-available/default");
        link(&mut base, "/etc/systemd/system/sockets.target.wants/ssh.socket", "/usr/lib/systemd/system/ssh.socket");
        link(&mut base, "/etc/systemd/system/ssh.service.requires/ssh.socket", "/usr/lib/systemd/system/ssh.socket");
        link(
            &mut base,
            "/etc/systemd/system/multi-user.target.wants/nginx.service",
            "/lib/systemd/system/nginx.service",
        );
        for (unit, install) in [
            ("basic.target", ""),
            ("apt-daily.timer", "WantedBy=timers.target"),
            ("systemd-networkd-wait-online.service", "WantedBy=network-online.target"),
            ("dnsmasq.service", "WantedBy=multi-user.target"),
            ("nginx.service", "WantedBy=multi-user.target"),
            ("nftables.service", "WantedBy=sysinit.target"),
            ("ssh.service", "WantedBy=multi-user.target\nAlias=sshd.service"),
            ("ssh.socket", "WantedBy=sockets.target"),
            (
                "systemd-networkd.service",
                "WantedBy=multi-user.target\nAlso=systemd-networkd.socket\nAlias=dbus-org.freedesktop.network1.service\n\
                 Also=systemd-networkd-wait-online.service",
            ),
            ("systemd-networkd.socket", "WantedBy=sockets.target"),
            ("systemd-resolved.service", "WantedBy=sysinit.target"),
            ("systemd-timesyncd.service", "WantedBy=sysinit.target"),
        ] {
            base.add(&format!("/usr/lib/systemd/system/{unit}"), &format!("[Install]\n{install}\n"));
        }
        base
    }

    fn add(&mut self, path: &str, text: &str) {
        let content = self.contents.add(text);
        self.tree.insert_with_parents(ImagePath::literal(path), Node::file(content));
    }

    fn render(&self, profile: &Profile) -> Result<Rendered, RenderError> {
        self.render_armed(profile, &BTreeMap::new(), &Armed::none())
    }

    fn render_armed(
        &self,
        profile: &Profile,
        media: &BTreeMap<String, InstallerFiles>,
        armed: &Armed,
    ) -> Result<Rendered, RenderError> {
        let base = Base { tree: &self.tree, contents: &self.contents };
        render(profile, &Request { base, ids: &ids(), epoch: EPOCH, media, armed, daemon: Some(DAEMON), sum: None })
    }

    fn render_with_sum(&self, profile: &Profile, sum: &Tree) -> Result<Rendered, RenderError> {
        let (base, ids) = (Base { tree: &self.tree, contents: &self.contents }, ids());
        let (media, armed) = (BTreeMap::new(), Armed::none());
        render(
            profile,
            &Request {
                base,
                ids: &ids,
                epoch: EPOCH,
                media: &media,
                armed: &armed,
                daemon: Some(DAEMON),
                sum: Some(sum),
            },
        )
    }
}

fn text(rendered: &Rendered, path: &str) -> String {
    match rendered.overlay.get(&ImagePath::literal(path)) {
        Some(
            Change::Replace(Node { kind: Kind::File(content), .. })
            | Change::Add(Node { kind: Kind::File(content), .. }),
        ) => String::from_utf8(rendered.contents.get(content).unwrap().to_vec()).unwrap(),
        other => panic!("{path}: {other:?}"),
    }
}

fn boot_text(rendered: &Rendered, path: &str) -> String {
    let content = rendered.boot.content(&ImagePath::literal(path)).unwrap();
    String::from_utf8(rendered.contents.get(&content).unwrap().to_vec()).unwrap()
}

#[test]
fn the_overlay_applies_and_its_shape_is_known() {
    let base = TestBase::new();
    let rendered = base.render(&profile()).unwrap();
    let tree = rendered.overlay.apply(&base.tree).unwrap();
    assert_eq!(tree.check(), Ok(()));
    let all = Layered(vec![&rendered.contents, &base.contents]);
    for tree in [&tree, &rendered.esp, &rendered.boot] {
        for (_, node) in tree.iter() {
            if let Kind::File(content) = &node.kind {
                all.read(content).unwrap();
            }
        }
    }
    let shape: String = rendered
        .overlay
        .iter()
        .map(|(path, change)| match change {
            Change::Remove => format!("{path}: removed\n"),
            Change::Add(node) | Change::Replace(node) => {
                let what = match &node.kind {
                    Kind::Symlink { target } => format!(" -> {target}"),
                    Kind::Directory => "/".to_owned(),
                    _ => String::new(),
                };
                format!("{path}{what} {:04o} {}:{}\n", node.mode.bits(), node.owner.uid, node.owner.gid)
            }
        })
        .collect();
    insta::assert_snapshot!(shape);
}

#[test]
fn every_text_is_known() {
    let rendered = TestBase::new().render(&profile()).unwrap();
    let mut all = String::new();
    for (path, change) in rendered.overlay.iter() {
        if let Change::Add(Node { kind: Kind::File(content), .. })
        | Change::Replace(Node { kind: Kind::File(content), .. }) = change
            && let Some(bytes) = rendered.contents.get(content)
            && !path.as_str().starts_with("/srv/")
        {
            all += &format!("--- {path}\n{}", String::from_utf8_lossy(bytes));
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn all_faults_come_at_once_with_their_remedies() {
    let mut base = TestBase::new();
    for path in [
        "/usr/bin/sudo",
        "/usr/sbin/nginx",
        "/usr/sbin/mkfs.ext4",
        "/usr/lib/ipxe",
        "/boot/initrd.img-6.12.9-amd64",
        "/usr/lib/grub",
    ] {
        base.tree.remove(&ImagePath::literal(path));
    }
    base.tree.remove(&ImagePath::literal("/usr/lib/systemd/systemd-resolved"));
    base.add("/etc/gshadow", "root:*::\nbroken\n");
    let mut profile = profile();
    profile.appliance.timezone = "Europe/Atlantis".to_owned();
    profile.appliance.locale = "de_DE.UTF-8".to_owned();
    profile.appliance.users[1].name = "old".to_owned();
    let file = ExtraFile { content: b"x".to_vec(), mode: Mode::FILE };
    profile.files.insert(ImagePath::literal("/etc/hosts"), file);
    let error = base.render(&profile).unwrap_err();
    insta::assert_snapshot!(format!("{error}\nhelp:\n{}", crate::vocab::Remedy::help(&error).unwrap()));
}

#[test]
fn without_a_kernel_missing_services_are_left_out() {
    let mut base = TestBase::new();
    for path in ["/usr/sbin", "/usr/lib/ipxe", "/usr/lib/systemd", "/boot", "/usr/lib/shim", "/usr/bin/sudo"] {
        base.tree.remove(&ImagePath::literal(path));
    }
    let mut profile = profile();
    profile.distribution.kernel = None;
    let rendered = base.render(&profile).unwrap();
    assert!(rendered.esp.is_empty());
    assert!(rendered.overlay.get(&ImagePath::literal("/etc/dnsmasq.d/provbuild.conf")).is_none());
    assert_eq!(text(&rendered, "/etc/hostname"), "mylab\n");
    assert_eq!(rendered.overlay.apply(&base.tree).unwrap().check(), Ok(()));
}

#[test]
fn rendering_is_a_function() {
    let (one, two) = (TestBase::new().render(&profile()).unwrap(), TestBase::new().render(&profile()).unwrap());
    assert_eq!((one.overlay, one.esp, one.boot), (two.overlay, two.esp, two.boot));
}
