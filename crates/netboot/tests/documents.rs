//! Every autoinstall document that is emitted: valid by subiquity's own schema, and read back as what was put in.

mod judges;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use judges::Schema;
use netboot::{
    Account, Addressing, DiskSelector, FileSystem, Keyboard, Node, Partition, Release, Site, Sizing, Storage, System,
    seed_files,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// For the property test: one process for all cases.
static SCHEMA: LazyLock<Option<Schema>> = LazyLock::new(Schema::load);

const UBUNTU: [Release; 2] = [Release::Ubuntu2404, Release::Ubuntu2204];

fn node() -> Node {
    Node {
        hostname: "node1".parse().unwrap(),
        mac: "52:54:00:12:34:56".parse().unwrap(),
        address: "10.10.1.21".parse().unwrap(),
        address6: None,
        addresses: BTreeMap::new(),
        memory: None,
        secure_boot: false,
        install: Some("os".to_owned()),
        disk: None,
        bmc: None,
        bios: None,
        roles: BTreeSet::new(),
        dhcp_options: BTreeMap::new(),
    }
}

fn system(release: Release) -> System {
    System {
        release,
        locale: "C.UTF-8".to_owned(),
        keyboard: Keyboard { layout: "us".to_owned(), variant: None },
        timezone: "Etc/UTC".to_owned(),
        account: Account { name: "admin".to_owned(), password_hash: None, ssh_keys: vec![] },
        storage: Storage::Direct,
        addressing: Addressing::Dhcp,
        packages: vec![],
        mirror: None,
        early_commands: vec![],
        late_commands: vec![],
        kernel_parameters: vec![],
    }
}

fn site() -> Site<'static> {
    let server = "10.10.1.1".parse().unwrap();
    Site { server, subnet: "10.10.1.0/24".parse().unwrap(), domain: "lab.example", gateway: Some(server) }
}

/// Where an installation reports to, as the appliance's daemon says it.
const REPORT: &str = "http://10.10.1.1/report/0123456789abcdef0123456789abcdef";

/// The value of each document by its name; user-data without its wrapper.
fn documents(node: &Node, system: &System, site: &Site<'_>, report: Option<&str>) -> BTreeMap<&'static str, Value> {
    let files = seed_files(node, system, site, report).unwrap();
    let read = |(name, text): (&'static str, String)| {
        let mut value: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        if name == "user-data" {
            assert!(text.starts_with("#cloud-config\n"));
            let map = value.as_object_mut().unwrap();
            assert_eq!(map.len(), 1, "nothing beside `autoinstall`");
            value = map.remove("autoinstall").unwrap();
        }
        (name, value)
    };
    files.into_iter().map(read).collect()
}

fn storages() -> Vec<Storage> {
    let partition = |mount: Option<&str>, size, format| Partition { mount: mount.map(str::to_owned), size, format };
    vec![
        Storage::Direct,
        Storage::Lvm { sizing: Sizing::Scaled },
        Storage::Lvm { sizing: Sizing::All },
        Storage::Zfs,
        Storage::Partitions(vec![partition(Some("/"), None, FileSystem::Btrfs)]),
        Storage::Partitions(vec![
            partition(Some("/boot"), Some(1_000_000_001), FileSystem::Ext4),
            partition(None, Some(8 << 30), FileSystem::Swap),
            partition(Some("/"), Some(64 << 30), FileSystem::Xfs),
            partition(Some("/srv/a b"), None, FileSystem::Ext4),
        ]),
    ]
}

fn valid(schema: &Schema, document: &Value) {
    let errors = schema.complaints(document);
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}

#[test]
fn ubuntu_every_combination_is_valid() {
    let Some(schema) = Schema::load() else { return };
    let mut seen = 0;
    for release in UBUNTU {
        for storage in storages() {
            if storage == Storage::Zfs && !release.traits().zfs {
                continue;
            }
            for bits in 0..128_u8 {
                let on = |bit: u8| bits & (1 << bit) != 0;
                let mut node = node();
                let mut site = site();
                let mut system = System { storage: storage.clone(), ..system(release) };
                node.address6 = on(0).then(|| "fd00::21/64".parse().unwrap());
                system.addressing = if on(1) { Addressing::Static } else { Addressing::Dhcp };
                site.gateway = site.gateway.filter(|_| on(2));
                system.mirror = on(3).then(|| "http://mirror.lab/ubuntu".to_owned());
                system.account.password_hash = on(4).then(|| "$6$salt$hash".to_owned());
                if on(5) {
                    system.packages = vec!["htop".to_owned()];
                    system.keyboard.variant = Some("dvorak".to_owned());
                    system.account.ssh_keys = vec!["ssh-ed25519 AAAA a@b".to_owned()];
                }
                if on(6) {
                    node.disk = Some(DiskSelector { ssd: Some(true), min_size: Some(5), ..DiskSelector::default() });
                    system.early_commands = vec!["true".to_owned()];
                    system.late_commands = vec!["false".to_owned()];
                    system.kernel_parameters = vec!["quiet".to_owned()];
                }
                let plain = documents(&node, &system, &site, None);
                let reports = documents(&node, &system, &site, Some(REPORT));
                valid(&schema, &plain["user-data"]);
                valid(&schema, &reports["user-data"]);
                reports_beside(&plain, &reports);
                seen += 2;
            }
        }
    }
    assert_eq!(seen, 2 * 11 * 128);
}

/// A document that reports is the other one, with what reports added.
fn reports_beside(plain: &BTreeMap<&'static str, Value>, reports: &BTreeMap<&'static str, Value>) {
    for name in ["meta-data", "network-config", "vendor-data"] {
        assert_eq!(plain[name], reports[name]);
    }
    let mut reports = reports["user-data"].as_object().unwrap().clone();
    let mut plain = plain["user-data"].as_object().unwrap().clone();
    let keys: Vec<&String> = reports.keys().collect();
    assert_eq!(keys[..2], ["version", "reporting"]);
    let hook = json!({"provbuild": {"type": "webhook", "endpoint": REPORT, "level": "INFO"}});
    assert_eq!(reports.shift_remove("reporting"), Some(hook));
    let failed = json!(["bash /run/provbuild/report failed || true"]);
    assert_eq!(reports.shift_remove("error-commands"), Some(failed));
    let mut list = |name: &str| reports.remove(name).unwrap().as_array().unwrap().clone();
    let (early, late) = (list("early-commands"), list("late-commands"));
    let mut list = |name: &str| plain.remove(name).map(|list| list.as_array().unwrap().clone()).unwrap_or_default();
    let (plain_early, plain_late) = (list("early-commands"), list("late-commands"));
    assert!(early[0].as_str().unwrap().contains(REPORT));
    assert_eq!(early.len(), plain_early.len() + 1);
    assert_eq!(early[1..early.len() - 1], plain_early[..plain_early.len() - 1]);
    assert_eq!(late[..late.len() - 2], plain_late);
    assert!(late[late.len() - 2].as_str().unwrap().contains("/target/var/lib/provbuild/first-boot"));
    assert_eq!(late[late.len() - 1], "bash /run/provbuild/report installed || true");
    assert!(!late.iter().any(|command| command.as_str().unwrap().contains(REPORT)));
    assert_eq!(reports, plain);
}

/// A key and a hash that are well-formed, as a checked profile has them.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKpJb0Y1lHDhJ1cKyy7pnmKzKkQ1S2MXwPdE6TQKpHnv ops@desk";
const HASH: &str = "$6$saltsalt$\
    qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

#[test]
fn our_own_linter_finds_nothing_in_what_is_emitted() {
    for release in UBUNTU {
        for storage in storages() {
            if storage == Storage::Zfs && !release.traits().zfs {
                continue;
            }
            for bits in 0..16_u8 {
                let on = |bit: u8| bits & (1 << bit) != 0;
                let mut node = node();
                let mut system = System { storage: storage.clone(), ..system(release) };
                system.account = Account {
                    name: "ops".to_owned(),
                    password_hash: on(0).then(|| HASH.to_owned()),
                    ssh_keys: vec![KEY.to_owned()],
                };
                system.addressing = if on(1) { Addressing::Static } else { Addressing::Dhcp };
                system.mirror = on(2).then(|| "http://mirror.lab/ubuntu".to_owned());
                node.address6 = on(1).then(|| "fd00::21/64".parse().unwrap());
                if on(3) {
                    node.disk = Some(DiskSelector { serial: Some("S3Z*".to_owned()), ..DiskSelector::default() });
                    system.packages = vec!["htop".to_owned()];
                    system.kernel_parameters = vec!["console=ttyS0".to_owned()];
                }
                for report in [None, Some(REPORT)] {
                    let files = seed_files(&node, &system, &site(), report).unwrap();
                    let (_, text) = files.iter().find(|(name, _)| *name == "user-data").unwrap();
                    let found = netboot::lint::lint(text, release).findings;
                    assert!(found.is_empty(), "{release}: {found:#?}\n{text}");
                }
            }
        }
    }
}

/// The schema's `network` and `storage` say little: these are the rules that they leave out.
#[test]
fn what_the_schema_leaves_open_holds() {
    for release in UBUNTU {
        for storage in storages() {
            if storage == Storage::Zfs && !release.traits().zfs {
                continue;
            }
            let system = System { storage, addressing: Addressing::Static, ..system(release) };
            let documents = documents(&node(), &system, &site(), None);
            let (user_data, network) = (&documents["user-data"], &documents["network-config"]);
            assert_eq!(&user_data["network"], network);
            assert_eq!(
                network["ethernets"]["provisioning"],
                json!({
                    "match": {"macaddress": "52:54:00:12:34:56"},
                    "dhcp4": false,
                    "addresses": ["10.10.1.21/24"],
                    "routes": [{"to": "default", "via": "10.10.1.1"}],
                    "nameservers": {"addresses": ["10.10.1.1"], "search": ["lab.example"]},
                })
            );
            let storage = user_data["storage"].as_object().unwrap();
            let disk = json!({"path": "/dev/provbuild-disk"});
            match storage.get("layout") {
                Some(layout) => {
                    assert!(!storage.contains_key("config"));
                    assert_eq!(layout["match"], disk);
                }
                None => config(storage["config"].as_array().unwrap(), &disk),
            }
        }
    }
}

/// References go backwards only, numbers count up, only the last partition is open, `/` and `/boot/efi` are mounted.
fn config(actions: &[Value], disk: &Value) {
    let mut ids = BTreeSet::new();
    let mut mounts = BTreeSet::new();
    let mut sizes = Vec::new();
    for action in actions {
        for key in ["device", "volume"] {
            if let Some(reference) = action.get(key) {
                assert!(ids.contains(reference.as_str().unwrap()), "{action}");
            }
        }
        match action["type"].as_str().unwrap() {
            "disk" => assert_eq!(&action["match"], disk),
            "partition" => {
                sizes.push(action["size"].as_i64().unwrap());
                assert_eq!(action["number"], sizes.len());
            }
            "mount" => {
                let path = action["path"].as_str().unwrap();
                assert!(path.is_empty() || mounts.insert(path), "{path} twice");
            }
            _ => {}
        }
        assert!(ids.insert(action["id"].as_str().unwrap()));
    }
    assert!(mounts.contains("/") && mounts.contains("/boot/efi"));
    let (last, others) = sizes.split_last().unwrap();
    assert!(*last == -1 && others.iter().all(|size| *size > 0 && size % (1 << 20) == 0), "{sizes:?}");
}

/// Words that YAML, a shell or a person could take for something else.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(
            &[
                "no",
                "on",
                "~",
                "null",
                "12:30:45",
                "0o17",
                "1e3",
                "- a",
                "a: b",
                "#x",
                "*a",
                "&a",
                "!a",
                "%a",
                "@a",
                "`a",
                "|",
                ">",
                "'",
                "\"",
                "\\",
                "{",
                "[",
                "a #b",
                " a ",
                "\ta",
                "---",
                "...",
                "=",
                "<<",
                "é",
                "\u{2028}",
                "\u{feff}a",
                "a\nb\n",
                "path: /dev/provbuild-disk",
                "\u{85}",
                "0x1F",
                ".inf",
                "2001-01-01",
                "?",
                "a\\\nb",
                "\u{1f600}",
            ][..]
        )
        .prop_map(str::to_owned),
        "[ -~]{0,80}",
        "\\PC{0,40}",
        "[a-z:#'\"\\\\ \n\t-]{0,60}",
    ]
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(hostile(), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn ubuntu_hostile_words_come_back_as_they_were(
        name in hostile(), keys in lines(), commands in lines(), early in lines(), packages in lines(), locale in hostile(),
        serial in hostile(), hash in proptest::option::of(hostile()), timezone in hostile(), mirror in proptest::option::of(hostile()),
        newer: bool
    ) {
        let release = UBUNTU[usize::from(newer)];
        let mut node = node();
        node.disk = Some(DiskSelector { serial: Some(serial), ..DiskSelector::default() });
        let system = System {
            locale, timezone, mirror, packages,
            account: Account { name, password_hash: hash, ssh_keys: keys },
            early_commands: early,
            late_commands: commands,
            ..system(release)
        };
        let documents = documents(&node, &system, &site(), None);
        let found = &documents["user-data"];
        if let Some(schema) = &*SCHEMA {
            valid(schema, found);
        }
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let texts = |values: &[String]| values.iter().cloned().map(Value::from).collect::<Vec<_>>();
        prop_assert_eq!(&found["locale"], &json!(system.locale));
        prop_assert_eq!(&found["timezone"], &json!(system.timezone));
        prop_assert_eq!(list(&found["packages"]), texts(&system.packages));
        prop_assert_eq!(list(&found["late-commands"]), texts(&system.late_commands));
        let early = list(&found["early-commands"]);
        prop_assert_eq!(&early[..early.len() - 1], &texts(&system.early_commands)[..]);
        prop_assert!(early.last().unwrap().as_str().unwrap().starts_with("unset want_serial"));
        let user = &found["user-data"]["users"][0];
        prop_assert_eq!(&user["name"], &json!(system.account.name));
        prop_assert_eq!(list(&user["ssh_authorized_keys"]), texts(&system.account.ssh_keys));
        prop_assert_eq!(user.get("passwd").cloned(), system.account.password_hash.clone().map(Value::from));
        prop_assert_eq!(&user["lock_passwd"], &json!(system.account.password_hash.is_none()));
        let uri = match release {
            Release::Ubuntu2404 => &found["apt"]["mirror-selection"]["primary"][0]["uri"],
            _ => &found["apt"]["primary"][0]["uri"],
        };
        prop_assert_eq!(uri.as_str(), system.mirror.as_deref());
    }
}
