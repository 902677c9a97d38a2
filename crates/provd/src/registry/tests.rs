//! The whole way of a node, and what must not happen on it.

use std::fs;

use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::*;
use crate::store::Token;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);
const FROM: &str = "10.10.1.21";

pub(crate) struct Lab {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) declared: Declared,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let directory = tempfile::tempdir().unwrap();
        for (name, paths) in [("trixie", "vmlinuz initrd"), ("noble", "vmlinuz initrd noble.iso")] {
            for file in paths.split(' ') {
                let path = directory.path().join("served/media").join(name).join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "x").unwrap();
            }
        }
        fs::create_dir_all(directory.path().join("grub")).unwrap();
        Lab { directory, declared: declared() }
    }

    pub(crate) fn open(&self, now: Timestamp) -> Registry {
        let store = Arc::new(Store::open(&self.directory.path().join("state.db")).unwrap());
        let places = Places {
            served: self.directory.path().join("served"),
            grub_nodes: Some(self.directory.path().join("grub")),
        };
        Registry::open(self.declared.clone(), places, store, now).unwrap()
    }
}

fn declared() -> Declared {
    let text = r#"{"format": 1, "name": "lab",
        "site": {"server": "10.10.1.1", "subnet": "10.10.1.0/24", "domain": "lab.example", "gateway": "10.10.1.1"},
        "inventory": {"nodes": [
            {"hostname": "node1", "mac": "52:54:00:00:00:01", "address": "10.10.1.21", "address6": null, "addresses": {},
             "memory": null, "secure-boot": true, "install": "noble", "disk": null, "bmc": null, "roles": [], "dhcp-options": {}},
            {"hostname": "node2", "mac": "52:54:00:00:00:02", "address": "10.10.1.22", "address6": null, "addresses": {},
             "memory": null, "secure-boot": false, "install": "noble", "disk": null, "bmc": null, "roles": [], "dhcp-options": {}}]},
        "installers": {"noble": {"medium": true, "system": {"release": "ubuntu-24.04", "locale": "C.UTF-8",
            "keyboard": {"layout": "us", "variant": null}, "timezone": "Etc/UTC",
            "account": {"name": "ubuntu", "password-hash": null, "ssh-keys": []},
            "storage": "direct", "addressing": "dhcp", "packages": [], "mirror": null, "early-commands": [],
            "late-commands": [], "kernel-parameters": []}}},
        "control": {"arming": 3600, "silence": 1800, "first-boot": 1800, "webhooks": []}}"#;
    serde_json::from_str(text).unwrap()
}

fn mac(last: u8) -> MacAddr {
    MacAddr::from_bytes([0x52, 0x54, 0, 0, 0, last])
}

fn from() -> IpAddr {
    FROM.parse().unwrap()
}

fn admin() -> Actor {
    Actor { who: "admin".to_owned(), origin: "local".to_owned() }
}

fn installs(answer: &BootAnswer) -> bool {
    assert_eq!(answer.ipxe.contains("kernel http"), answer.grub.contains("linux /"));
    answer.ipxe.contains("kernel http")
}

fn token_in(text: &str, before: &str) -> Token {
    let start = text.find(before).unwrap_or_else(|| panic!("no {before} in {text}")) + before.len();
    text[start..start + 32].parse().unwrap()
}

fn state(registry: &Registry, last: u8) -> &'static str {
    registry.node(mac(last)).unwrap().stored.state.name()
}

/// Arms node 1 and lets it read its answers; its token for reports.
fn installing(registry: &Registry, now: Timestamp) -> Token {
    registry.arm(mac(1), &admin(), "test", now).unwrap();
    let token = token_in(&registry.boot(mac(1), from(), now).unwrap().unwrap().ipxe, "/seed/");
    token_in(&registry.seed(&token, "user-data", from(), now).unwrap().text, "/report/")
}

#[test]
fn nobody_installs_who_is_not_armed() {
    let lab = Lab::new();
    let registry = lab.open(START);
    assert!(!installs(&registry.boot(mac(1), from(), START).unwrap().unwrap()));
    assert_eq!(registry.boot(mac(9), from(), START).unwrap(), None);
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    assert!(!installs(&registry.boot(mac(2), "10.10.1.22".parse().unwrap(), START).unwrap().unwrap()));
    // Another machine in the node's name.
    assert!(!installs(&registry.boot(mac(1), "10.10.1.99".parse().unwrap(), START).unwrap().unwrap()));
    assert_eq!(state(&registry, 1), "armed");
    assert!(matches!(registry.arm(mac(1), &admin(), "twice", START), Err(ArmError::Busy { .. })));
    let late = START + 2.hours();
    assert!(!installs(&registry.boot(mac(1), from(), late).unwrap().unwrap()));
    registry.tick(late).unwrap();
    assert_eq!(state(&registry, 1), "disk");
}

#[test]
fn a_medium_that_will_never_come_is_told_from_one_that_is_late() {
    let mut lab = Lab::new();
    fs::remove_file(lab.directory.path().join("served/media/noble/noble.iso")).unwrap();
    let refused = |lab: &Lab| lab.open(START).arm(mac(1), &admin(), "test", START).unwrap_err().to_string();
    let late = "the medium of installer 'noble' is not there yet: systemctl status provbuild-medium-noble";
    assert_eq!(refused(&lab), late);
    lab.declared.installers.get_mut("noble").unwrap().medium = false;
    let never = "installer 'noble' has no medium: add `iso` or `netboot` to [installer.noble] in the profile and build the \
                 appliance again";
    assert_eq!(refused(&lab), never);
}

#[test]
fn an_armed_node_that_does_not_install_is_told_why() {
    let lab = Lab::new();
    let registry = lab.open(START);
    let elsewhere: IpAddr = "10.10.1.99".parse().unwrap();
    let refused = || registry.node(mac(1)).unwrap().refused.map(|refused| (refused.from, refused.reason));
    // One that is not armed was refused nothing, whoever asks.
    registry.boot(mac(1), elsewhere, START).unwrap();
    assert_eq!(refused(), None);

    registry.arm(mac(1), &admin(), "test", START).unwrap();
    let asks = |from: IpAddr, reason: netboot::Reason| {
        let answer = registry.boot(mac(1), from, START).unwrap().unwrap();
        assert!(!installs(&answer));
        for script in [&answer.ipxe, &answer.grub] {
            assert!(script.contains(&format!("({reason})")), "{script}");
        }
        assert_eq!(refused(), Some((from, reason)));
    };
    asks(elsewhere, netboot::Reason::OtherAddress);
    assert_eq!(state(&registry, 1), "armed");
    let iso = lab.directory.path().join("served/media/noble/noble.iso");
    fs::rename(&iso, iso.with_extension("away")).unwrap();
    asks(from(), netboot::Reason::NoMedium);
    fs::rename(iso.with_extension("away"), &iso).unwrap();
    while installs(&registry.boot(mac(1), from(), START).unwrap().unwrap()) {}
    asks(from(), netboot::Reason::TooOften);

    registry.disarm(mac(1), &admin(), "test", START).unwrap();
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    assert_eq!(refused(), None);
}

#[test]
fn answers_are_handed_out_once_and_only_to_the_node() {
    let lab = Lab::new();
    let registry = lab.open(START);
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    let grub = lab.directory.path().join("grub/52-54-00-00-00-01.cfg");
    assert!(fs::read_to_string(&grub).unwrap().contains("ARMED"));
    let answer = registry.boot(mac(1), from(), START).unwrap().unwrap();
    assert!(installs(&answer));
    let token = token_in(&answer.ipxe, "/seed/");
    assert!(matches!(registry.seed(&Token::new(), "user-data", from(), START), Err(Refused::Token)));
    let elsewhere = "10.10.1.22".parse().unwrap();
    assert!(matches!(registry.seed(&token, "user-data", elsewhere, START), Err(Refused::Address)));
    assert!(matches!(registry.seed(&token, "../user-data", from(), START), Err(Refused::File)));
    assert!(matches!(registry.seed(&token, "user-data", from(), START + 2.hours()), Err(Refused::Gone)));
    // Until it has read its answers, a node that starts again is told the same.
    assert!(installs(&registry.boot(mac(1), from(), START).unwrap().unwrap()));
    registry.seed(&token, "meta-data", from(), START).unwrap();
    assert_eq!(state(&registry, 1), "booting");
}

#[test]
fn a_removed_node_is_disarmed_at_the_next_start() {
    let mut lab = Lab::new();
    let registry = lab.open(START);
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    let token = token_in(&registry.boot(mac(1), from(), START).unwrap().unwrap().ipxe, "/seed/");
    drop(registry);
    // The daemon starts again: what was armed is armed.
    let registry = lab.open(START);
    assert_eq!((state(&registry, 1), state(&registry, 2)), ("booting", "disk"));
    drop(registry);
    let removed = lab.declared.inventory.nodes.remove(0);
    let registry = lab.open(START);
    assert_eq!(state(&registry, 1), "unknown");
    assert_eq!(registry.boot(mac(1), from(), START).unwrap(), None);
    assert!(registry.seed(&token, "user-data", from(), START).is_err());
    assert!(fs::read_dir(lab.directory.path().join("grub")).unwrap().next().is_none());
    drop(registry);
    lab.declared.inventory.nodes.insert(0, removed);
    let registry = lab.open(START + SignedDuration::from_secs(60));
    assert_eq!(state(&registry, 1), "disk");
    assert!(registry.seed(&token, "user-data", from(), START).is_err());
    let (lines, _) = Audited::verify(registry.store()).unwrap().unwrap();
    assert_eq!(lines, 6);
}

#[test]
fn a_script_has_a_token_that_is_good_or_is_not_there() {
    let lab = Lab::new();
    lab.open(START).arm(mac(1), &admin(), "test", START).unwrap();
    let grub = lab.directory.path().join("grub/52-54-00-00-00-01.cfg");
    let mut restarts = 1;
    loop {
        // Each start writes the script anew, with a token of its own, as long as the attempt may have one.
        let registry = lab.open(START);
        let Ok(script) = fs::read_to_string(&grub) else { break };
        registry.seed(&token_in(&script, "/seed/"), "meta-data", from(), START).unwrap();
        restarts += 1;
        assert!(restarts <= TOKENS_PER_ATTEMPT);
    }
    assert_eq!(restarts, TOKENS_PER_ATTEMPT);
    assert!(!installs(&lab.open(START).boot(mac(1), from(), START).unwrap().unwrap()));
}

#[test]
fn what_is_refused_is_no_sign_of_life() {
    let lab = Lab::new();
    let registry = lab.open(START);
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    let token = token_in(&registry.boot(mac(1), from(), START).unwrap().unwrap().ipxe, "/seed/");
    let heard = || registry.node(mac(1)).unwrap().stored.heard;
    let later = START + SignedDuration::from_secs(60);
    assert!(registry.seed(&token, "user-datum", from(), later).is_err());
    assert!(registry.report(&token, Report::Installed, from(), later).is_err());
    assert_eq!(heard(), Some(START));
    registry.seed(&token, "user-data", from(), later).unwrap();
    assert_eq!(heard(), Some(later));
}

#[test]
fn a_silent_installation_stalls_and_goes_on_when_it_is_heard_again() {
    let lab = Lab::new();
    let registry = lab.open(START);
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    let token = token_in(&registry.boot(mac(1), from(), START).unwrap().unwrap().ipxe, "/seed/");
    let report = token_in(&registry.seed(&token, "user-data", from(), START).unwrap().text, "/report/");
    let silent = START + 2.hours();
    registry.tick(silent).unwrap();
    assert_eq!(state(&registry, 1), "stalled");
    assert!(!installs(&registry.boot(mac(1), from(), silent).unwrap().unwrap()));
    registry.report(&report, Report::Installed, from(), silent).unwrap();
    assert_eq!(state(&registry, 1), "installed");
    // From here on the answers are closed, whether their token has expired or not.
    assert!(matches!(registry.seed(&token, "user-data", from(), START), Err(Refused::Gone)));
    let (lines, _) = Audited::verify(registry.store()).unwrap().unwrap();
    // Two nodes declared; armed, booting, installing, stalled, installing, installed.
    assert_eq!(lines, 8);
}

#[test]
fn a_timeline_is_in_the_order_in_which_it_came_whatever_the_node_s_clock_says() {
    let lab = Lab::new();
    let registry = lab.open(START);
    let report = installing(&registry, START);
    // A battery that is empty, a clock that is set in the middle; the last one comes twice.
    let said = [0, 1_900_000_000, 1_800_000_000, 1_800_000_000];
    for (second, said) in (1..).zip(said) {
        let at = Some(Timestamp::from_second(said).unwrap());
        let name = format!("step-{said}");
        let progress = Progress { kind: Phase::Start, name, text: String::new(), at, result: None };
        registry.report(&report, Report::Progress(progress), from(), START + second.seconds()).unwrap();
    }
    let events = registry.events(mac(1), 10).unwrap();
    let found: Vec<_> = events.iter().map(|event| (event.name.as_str(), event.at)).collect();
    let at = |second: i64| START + second.seconds();
    assert_eq!(found, [("step-0", at(1)), ("step-1900000000", at(2)), ("step-1800000000", at(3))]);
}

#[test]
fn what_old_attempts_left_goes_and_the_audit_log_stays() {
    let lab = Lab::new();
    let registry = lab.open(START);
    let count = |sql: &str| registry.store().read(|c| Ok(c.query_row(sql, [], |row| row.get::<_, i64>(0))?)).unwrap();
    for attempt in 1..=13 {
        let report = installing(&registry, START);
        let failed = Report::Failed { reason: "test".to_owned(), log: Some(format!("log {attempt}")) };
        registry.report(&report, failed, from(), START).unwrap();
    }
    for table in ["events", "logs", "tokens"] {
        let oldest = count(&format!("SELECT min(attempt) FROM {table}"));
        assert_eq!((oldest, count(&format!("SELECT count(DISTINCT attempt) FROM {table}"))), (4, 10), "{table}");
    }
    assert_eq!(registry.log(mac(1)).unwrap().as_deref(), Some("log 13"));
    // Two nodes declared; armed, booting, installing, failed.
    let (lines, _) = Audited::verify(registry.store()).unwrap().unwrap();
    assert_eq!(lines, 2 + 13 * 4);
}

/// Node 1 has a BMC.
fn with_bmc() -> (Lab, IpAddr) {
    let mut lab = Lab::new();
    let bmc = r#"{"address": "10.20.0.11", "mac": null, "kind": "redfish", "credentials": null}"#;
    lab.declared.inventory.nodes[0].bmc = serde_json::from_str(bmc).unwrap();
    (lab, "10.20.0.11".parse().unwrap())
}

#[test]
fn a_seed_cd_ends_every_other_way_to_the_answers() {
    let (lab, bmc) = with_bmc();
    let registry = lab.open(START);
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    // A loader may have read this by TFTP, where nobody could be told.
    let grub = lab.directory.path().join("grub/52-54-00-00-00-01.cfg");
    let read_before = token_in(&fs::read_to_string(&grub).unwrap(), "/seed/");
    let token = registry.seed_cd(mac(1), &admin(), START).unwrap();
    assert!(!grub.exists());
    assert_eq!(state(&registry, 1), "installing");
    assert!(matches!(registry.seed(&read_before, "user-data", from(), START), Err(Refused::Gone)));
    assert!(matches!(registry.seed(&token, "user-data", bmc, START), Err(Refused::Token)));
    registry.script_was_read(mac(1), from(), START).unwrap();
    assert!(!installs(&registry.boot(mac(1), from(), START).unwrap().unwrap()));
    assert!(matches!(registry.seed_cd(mac(1), &admin(), START), Err(CdError::NotArmed { state: "installing", .. })));
    assert!(matches!(registry.cd(&token, from(), START), Err(Refused::Address)));
    let image = registry.cd(&token, bmc, START).unwrap().image;
    let report = token_in(&String::from_utf8_lossy(&image), "/report/");
    // Disarmed: neither is good any more.
    assert!(registry.disarm(mac(1), &admin(), "test", START).unwrap());
    assert!(matches!(registry.cd(&token, bmc, START), Err(Refused::Gone)));
    assert!(matches!(registry.report(&report, Report::Installed, from(), START), Err(Refused::Gone)));
}

#[test]
fn a_seed_cd_waits_for_its_machine_until_the_arming_would_have_expired() {
    let (lab, bmc) = with_bmc();
    let registry = lab.open(START);
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    assert!(matches!(registry.seed_cd(mac(1), &admin(), START + 2.hours()), Err(CdError::Expired(_))));
    let token = registry.seed_cd(mac(1), &admin(), START).unwrap();
    let silent = START + 40.minutes();
    registry.tick(silent).unwrap();
    assert_eq!(state(&registry, 1), "stalled");
    let image = registry.cd(&token, bmc, silent).unwrap().image;
    assert!(matches!(registry.cd(&token, bmc, START + 60.minutes()), Err(Refused::Gone)));
    assert!(matches!(registry.cd(&token, bmc, START - 1.hours()), Err(Refused::Gone)), "the clock was set back");
    registry.tick(START + 61.minutes()).unwrap();
    assert!(matches!(registry.cd(&token, bmc, silent), Err(Refused::Gone)), "it is kept in memory");
    // It may still say that it was started in time.
    let report = token_in(&String::from_utf8_lossy(&image), "/report/");
    registry.report(&report, Report::Installed, from(), START + 61.minutes()).unwrap();
    assert_eq!(state(&registry, 1), "installed");
}

#[test]
fn taking_a_seed_cd_back_leaves_an_installation_that_goes_on() {
    let (lab, bmc) = with_bmc();
    let registry = lab.open(START);
    let withdraw = |attempt| registry.withdraw_cd(mac(1), attempt, &admin(), "test", START).unwrap();
    // From the network, without a CD.
    let report = installing(&registry, START);
    assert!(!withdraw(1));
    registry.report(&report, Report::Failed { reason: "test".to_owned(), log: None }, from(), START).unwrap();
    // From a CD of which the installer has reported.
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    let token = registry.seed_cd(mac(1), &admin(), START).unwrap();
    let report = token_in(&String::from_utf8_lossy(&registry.cd(&token, bmc, START).unwrap().image), "/report/");
    assert!(!withdraw(1), "another attempt");
    let step = Progress { kind: Phase::Start, name: "x".to_owned(), text: String::new(), at: None, result: None };
    registry.report(&report, Report::Progress(step), from(), START).unwrap();
    assert!(!withdraw(2));
    assert_eq!(state(&registry, 1), "installing");
    registry.disarm(mac(1), &admin(), "test", START).unwrap();
    // One that is armed still, and one whose CD nobody has used.
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    assert!(withdraw(3));
    assert_eq!(state(&registry, 1), "disk");
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    registry.seed_cd(mac(1), &admin(), START).unwrap();
    assert!(withdraw(4));
    assert_eq!(state(&registry, 1), "failed");
    assert!(!withdraw(4));
}

#[test]
fn debian_gets_no_seed_cd_and_stays_armed() {
    let (mut lab, _) = with_bmc();
    lab.declared.installers.get_mut("noble").unwrap().system.release = netboot::Release::Debian13;
    let registry = lab.open(START);
    registry.arm(mac(1), &admin(), "test", START).unwrap();
    assert!(matches!(registry.cd_allowed(mac(1), START), Err(CdError::Preseed(_))));
    assert!(matches!(registry.seed_cd(mac(1), &admin(), START), Err(CdError::Preseed(_))));
    assert_eq!(state(&registry, 1), "armed");
    assert!(matches!(registry.cd_allowed(mac(2), START), Err(CdError::NoBmc(_))));
}
