//! A daemon's parts for tests: an inventory, a store in a temporary directory, and a node that goes through an installation by the
//! registry's own methods.

use std::fs;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use netboot::{Declared, MacAddr};
use provd::app::{App, Shared};
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
        let directory = tempfile::tempdir().unwrap();
        for file in ["vmlinuz", "initrd", "noble.iso"] {
            let path = directory.path().join("served/media/noble").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let declared = declared(nodes);
        fs::write(directory.path().join("provd.json"), serde_json::to_string(&declared).unwrap()).unwrap();
        let app = open(&directory, declared);
        Lab { app, directory }
    }

    pub(crate) fn store(&self) -> &Store {
        self.app.registry.store()
    }
}

fn open(directory: &tempfile::TempDir, declared: Declared) -> Shared {
    let store = Arc::new(Store::open(&directory.path().join("state.db")).unwrap());
    let places = Places { served: directory.path().join("served"), grub_nodes: None };
    let registry = Registry::open(declared, places, Arc::clone(&store), Timestamp::now()).unwrap();
    Arc::new(App { registry, pen: Pen::new(store), image: Some("sha256:feed".to_owned()) })
}

fn declared(nodes: usize) -> Declared {
    let nodes: Vec<_> = (1..=nodes)
        .map(|number| {
            serde_json::json!({"hostname": format!("node{number}"), "mac": mac(number).to_string(),
                "address": address(number).to_string(), "address6": null, "addresses": {}, "memory": null,
                "secure-boot": false, "install": "noble",
                "disk": (number == 1).then(|| serde_json::json!({"serial": "S3Z*", "min-size": 200_000_000_000_u64})),
                "bmc": null, "roles": [], "dhcp-options": {}})
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
