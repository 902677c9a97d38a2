//! A daemon's parts for tests: an inventory, a store in a temporary directory, and a node that goes through an installation by the
//! registry's own methods.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use netboot::{Declared, MacAddr};
use provd::app::{App, Shared};
use provd::control::{Control, Settings};
use provd::pen::Pen;
use provd::registry::{FirstBoot, Phase, Places, Progress, Registry, Report};
use provd::store::{Store, Token};

pub(crate) struct Lab {
    pub(crate) app: Shared,
    pub(crate) directory: tempfile::TempDir,
}

impl Lab {
    /// With so many nodes: node1, node2, ...; their installer is at hand.
    pub(crate) fn new(nodes: usize) -> Lab {
        Lab::with_bmcs(nodes, &[])
    }

    /// The first nodes have these BMCs, whose credentials are the simulator's.
    pub(crate) fn with_bmcs(nodes: usize, bmcs: &[SocketAddr]) -> Lab {
        let directory = tempfile::tempdir().unwrap();
        for file in ["vmlinuz", "initrd", "noble.iso"] {
            let path = directory.path().join("served/media/noble").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let declared = declared(nodes, bmcs);
        fs::write(directory.path().join("provd.json"), serde_json::to_string(&declared).unwrap()).unwrap();
        fs::create_dir_all(directory.path().join("secrets/bmc")).unwrap();
        let app = open(&directory, declared);
        let lab = Lab { app, directory };
        for number in 1..=bmcs.len() {
            lab.credentials(number, "operator:sup3r-s3cret-pw\n", 0o600);
        }
        lab
    }

    /// Writes a node's file.
    pub(crate) fn credentials(&self, number: usize, text: &str, mode: u32) {
        let path = self.directory.path().join(format!("secrets/bmc/node{number}"));
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// As a daemon that is started again finds it.
    pub(crate) fn opened_again(&self) -> Shared {
        let app = open(&self.directory, self.app.registry.declared().clone());
        provd::control::recover(&app).unwrap();
        app
    }

    pub(crate) fn store(&self) -> &Store {
        self.app.registry.store()
    }
}

fn open(directory: &tempfile::TempDir, declared: Declared) -> Shared {
    let store = Arc::new(Store::open(&directory.path().join("state.db")).unwrap());
    let places = Places { served: directory.path().join("served"), grub_nodes: None };
    let registry = Registry::open(declared, places, Arc::clone(&store), Timestamp::now()).unwrap();
    let control = Control::new(Settings {
        secrets: directory.path().join("secrets"),
        patience: bmc::Patience {
            connect: Duration::from_secs(2),
            request: Duration::from_secs(3),
            busy: Duration::from_millis(200),
            graceful: Duration::from_millis(300),
            settle: Duration::from_millis(300),
            post: Duration::from_millis(300),
            poll: Duration::from_millis(10),
            whole: None,
        },
        ..Settings::default()
    });
    Arc::new(App {
        registry,
        pen: Pen::new(store),
        control,
        image: Some("sha256:feed".to_owned()),
        state: directory.path().to_owned(),
    })
}

fn declared(nodes: usize, bmcs: &[SocketAddr]) -> Declared {
    let nodes: Vec<_> = (1..=nodes)
        .map(|number| {
            serde_json::json!({"hostname": format!("node{number}"), "mac": mac(number).to_string(),
                "address": address(number).to_string(), "address6": null, "addresses": {}, "memory": null,
                "secure-boot": false, "install": "noble",
                "disk": (number == 1).then(|| serde_json::json!({"serial": "S3Z*", "min-size": 200_000_000_000_u64})),
                "bmc": bmcs.get(number - 1).map(|at| serde_json::json!({"address": at.ip(), "mac": null, "port": at.port(),
                    "kind": "redfish", "credentials": null})), "roles": [], "dhcp-options": {}})
        })
        .collect();
    let text = serde_json::json!({"format": 1, "name": "mylab",
        "site": {"server": "127.0.0.1", "subnet": "10.10.0.0/16", "domain": "lab.example", "gateway": null},
        "inventory": {"nodes": nodes},
        "installers": {"noble": {"medium": true, "system": {"release": "ubuntu-24.04", "locale": "C.UTF-8",
            "keyboard": {"layout": "us", "variant": null}, "timezone": "Etc/UTC",
            "account": {"name": "ubuntu", "password-hash": null, "ssh-keys": []},
            "storage": "direct", "addressing": "dhcp", "packages": [], "mirror": null, "early-commands": [],
            "late-commands": [], "kernel-parameters": []}}},
        "control": {"arming": 3600, "silence": 1800, "first-boot": 1800, "webhooks": []}});
    serde_json::from_value(text).unwrap()
}

pub(crate) fn mac(number: usize) -> MacAddr {
    let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
    MacAddr::from_bytes([0x52, 0x54, 0, 0, high, low])
}

pub(crate) fn address(number: usize) -> IpAddr {
    let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
    IpAddr::from([10, 10, high, low])
}

/// A node on its way through an installation.
pub(crate) struct Walk<'a> {
    registry: &'a Registry,
    number: usize,
    seed: Option<Token>,
    report: Option<Token>,
}

impl<'a> Walk<'a> {
    pub(crate) fn of(app: &'a App, number: usize) -> Self {
        Walk { registry: &app.registry, number, seed: None, report: None }
    }

    /// One whose answers were on a CD.
    pub(crate) fn reporting(app: &'a App, number: usize, report: Token) -> Self {
        Walk { report: Some(report), ..Walk::of(app, number) }
    }

    /// The tokens that it was given.
    pub(crate) fn secrets(&self) -> Vec<String> {
        [&self.seed, &self.report].into_iter().flatten().map(Token::reveal).collect()
    }

    fn from(&self) -> IpAddr {
        address(self.number)
    }

    /// It asks for its boot script.
    pub(crate) fn boot(&mut self) {
        let answer = self.registry.boot(mac(self.number), self.from(), Timestamp::now()).unwrap().unwrap();
        self.seed = Some(token_after(&answer.ipxe, "/seed/"));
    }

    /// It reads its answers.
    pub(crate) fn read_answers(&mut self) {
        let seed = self.registry.seed(self.seed.as_ref().unwrap(), "user-data", self.from(), Timestamp::now()).unwrap();
        self.report = Some(token_after(&seed.text, "/report/"));
    }

    pub(crate) fn report(&self, report: Report) {
        self.registry.report(self.report.as_ref().unwrap(), report, self.from(), Timestamp::now()).unwrap();
    }

    pub(crate) fn step(&self, name: &str, text: &str) {
        let progress = Progress {
            kind: Phase::Start,
            name: name.to_owned(),
            text: text.to_owned(),
            at: Some(Timestamp::now()),
            result: None,
        };
        self.report(Report::Progress(progress));
    }

    pub(crate) fn first_boot(&self) {
        self.report(Report::FirstBoot(FirstBoot {
            hostname: format!("node{}", self.number),
            address: self.from(),
            ssh_host_keys: vec![
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample root@node".to_owned(),
            ],
        }));
    }
}

fn token_after(text: &str, before: &str) -> Token {
    let start = text.find(before).unwrap_or_else(|| panic!("no {before} in {text}")) + before.len();
    text[start..start + 32].parse().unwrap()
}
