//! The pen under floods and hostile texts, and what its stanzas say.

use jiff::ToSpan as _;
use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn mac(number: u32) -> MacAddr {
    let [a, b, c, d] = number.to_be_bytes();
    MacAddr::from_bytes([2, 0, a, b, c, d])
}

fn declared(subnet: &str, dynamic: Option<[&str; 2]>) -> Declared {
    let dynamic = dynamic.map(|ends| ends.map(|end| end.parse::<Ipv4Addr>().unwrap()));
    let node = |last: u8| {
        serde_json::json!({"hostname": format!("node{last}"), "mac": mac(last.into()), "address": format!("10.10.1.{last}"),
            "address6": null, "addresses": {}, "memory": null, "secure-boot": false, "install": null, "disk": null, "bmc": null,
            "roles": [], "dhcp-options": {}})
    };
    serde_json::from_value(serde_json::json!({"format": 1, "name": "lab",
        "site": {"server": "10.10.1.1", "subnet": subnet, "domain": "lab.example", "gateway": "10.10.1.2", "dynamic": dynamic},
        "inventory": {"nodes": [node(3), node(4)]}, "installers": {},
        "control": {"arming": 1, "silence": 1, "first-boot": 1, "webhooks": []}}))
    .unwrap()
}

fn open(directory: &tempfile::TempDir, declared: &Declared) -> Pen {
    Pen::of_site(Arc::new(Store::open(&directory.path().join("state.db")).unwrap()), declared)
}

fn rows(pen: &Pen) -> usize {
    pen.store.read(|c| Ok(c.query_row("SELECT count(*) FROM pen", [], |row| row.get::<_, i64>(0))?)).unwrap() as usize
}

#[test]
fn sightings_of_one_machine_come_together_and_outlive_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let site = declared("10.10.1.0/24", Some(["10.10.1.5", "10.10.1.200"]));
    let pen = open(&directory, &site);
    let lease = Sighting {
        address: "10.10.1.77".parse().ok(),
        fingerprint: Some("1,3,6".to_owned()),
        vendor: Some("PXEClient:Arch:00007".to_owned()),
        hostname: Some("Blade7.example".to_owned()),
    };
    assert!(pen.note(mac(7), &lease, START).unwrap());
    let boot = Sighting { address: "10.10.1.78".parse().ok(), ..Sighting::default() };
    assert!(!pen.note(mac(7), &boot, START + 2.seconds()).unwrap());
    assert!(!pen.note(mac(3), &lease, START).unwrap(), "a node is no stranger");
    pen.flush(START).unwrap();
    let before = pen.all().unwrap();
    assert_eq!(
        Pen::stanza(&before[0]),
        "# Seen from 2027-01-15T08:00:00Z to 2027-01-15T08:00:02Z, at 10.10.1.78; \
        calls itself: Blade7.example; vendor: PXEClient:Arch:00007\n[[node]]\nhostname = \"blade7\"\nmac = \"02:00:00:00:00:07\"\n\
        address = \"10.10.1.201\"\n# install = \"NAME OF AN INSTALLER\"\n"
    );
    drop(pen);

    let pen = open(&directory, &site);
    assert_eq!(pen.all().unwrap(), before);
    drop(pen);
    let pen = open(&directory, &site);
    assert!(pen.forget(mac(7)).unwrap() && !pen.forget(mac(7)).unwrap());
    assert_eq!((pen.all().unwrap(), rows(&pen)), (vec![], 0));
    pen.note(mac(7), &lease, START).unwrap();
    pen.flush(START).unwrap();
    drop(pen);
    // It has become a node.
    let mut site = site;
    site.inventory.nodes[0].mac = mac(7);
    let pen = open(&directory, &site);
    assert_eq!(pen.all().unwrap(), []);
    pen.flush(START + 1.hour()).unwrap();
    assert_eq!(rows(&pen), 0);
}

#[test]
fn a_flood_is_bounded_in_memory_and_on_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let pen = open(&directory, &declared("10.10.0.0/16", None));
    for number in 100..100 + LIMIT as u32 + 500 {
        pen.note(mac(number), &Sighting::default(), START + i64::from(number).seconds()).unwrap();
    }
    let all = pen.all().unwrap();
    assert_eq!(all.len(), LIMIT);
    assert_eq!(all[0].mac, mac(100 + LIMIT as u32 + 499));
    assert!(!all.iter().any(|stranger| stranger.mac == mac(599)));
    assert!(all.iter().any(|stranger| stranger.mac == mac(600)));
    let addresses: BTreeSet<_> = all.iter().map(|stranger| stranger.proposed_address.unwrap()).collect();
    assert_eq!(addresses.len(), LIMIT);

    let now = START + 5000.seconds();
    pen.flush(now).unwrap();
    assert_eq!(rows(&pen), ROWS);
    // The same machines again and again are not written again and again.
    let changes = |pen: &Pen| pen.store.read(|c| Ok(c.total_changes())).unwrap();
    for _ in 0..LIMIT / ROWS {
        pen.flush(now).unwrap();
    }
    assert_eq!(rows(&pen), LIMIT);
    let before = changes(&pen);
    for _ in 0..100 {
        pen.note(mac(700), &Sighting::default(), now).unwrap();
        pen.flush(now).unwrap();
    }
    assert_eq!(changes(&pen), before);
    pen.flush(now + 61.seconds()).unwrap();
    assert!(changes(&pen) > before);
    // Machines that make room leave the disk too.
    for number in 1_000_000..1_000_000 + LIMIT as u32 {
        pen.note(mac(number), &Sighting::default(), now + 70.seconds()).unwrap();
    }
    for _ in 0..LIMIT / ROWS {
        pen.flush(now + 70.seconds()).unwrap();
    }
    assert_eq!(rows(&pen), LIMIT);
    assert_eq!(pen.all().unwrap().len(), LIMIT);
}

#[test]
fn proposals_keep_to_the_subnet() {
    let directory = tempfile::tempdir().unwrap();
    // Of 14 addresses: 1 and 2 are the server's and the gateway's, 3 and 4 nodes', 6 to 13 dynamic. 5 and 14 are free.
    let pen = open(&directory, &declared("10.10.1.0/28", Some(["10.10.1.6", "10.10.1.13"])));
    for number in 100..103 {
        pen.note(mac(number), &Sighting::default(), START).unwrap();
    }
    let proposed = |pen: &Pen| {
        let mut all = pen.all().unwrap();
        all.sort_by_key(|stranger| stranger.mac);
        all.iter().map(|stranger| stranger.proposed_address.map(|a| a.octets()[3])).collect::<Vec<_>>()
    };
    assert_eq!(proposed(&pen), [Some(5), Some(14), None]);
    let taken = Sighting { address: "10.10.1.5".parse().ok(), ..Sighting::default() };
    pen.note(mac(102), &taken, START).unwrap();
    assert_eq!(proposed(&pen), [Some(14), None, None]);
    let last = pen.all().unwrap().pop().unwrap();
    assert!(Pen::stanza(&last).contains("no address of the subnet is free"));
}

proptest! {
    #[test]
    fn hostile_texts_stay_in_their_line(
        hostname in proptest::collection::vec(any::<char>(), 0..300),
        vendor: String,
        fingerprint: String,
    ) {
        let seen = Sighting {
            address: None,
            fingerprint: Some(fingerprint),
            vendor: Some(format!("{vendor}\n[[node]]\nhostname = \"x\"")),
            hostname: Some(hostname.into_iter().collect()),
        };
        let mut stranger = Kept::new(mac(9), START).stranger;
        stranger.merge(&seen, START);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        prop_assert!(text(&stranger.vendor).len() <= TEXT && text(&stranger.hostname).len() <= TEXT);
        let mut strangers = [stranger];
        Taken::of(&declared("10.10.1.0/24", None)).propose(&mut strangers);
        let stanza = Pen::stanza(&strangers[0]);
        prop_assert!(stanza.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)), "{}", stanza);
        let lines: Vec<&str> = stanza.lines().collect();
        prop_assert_eq!(lines.len(), 6);
        prop_assert!(lines[0].starts_with("# ") && lines[1] == "[[node]]");
        let name = lines[2].strip_prefix("hostname = \"").unwrap().strip_suffix('"').unwrap();
        prop_assert!(name.parse::<Hostname>().is_ok(), "{}", name);
    }
}
