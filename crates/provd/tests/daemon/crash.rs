//! Killed at any moment, the daemon's memory loses nothing that it acknowledged.
//!
//! The parent starts this test's program again as a worker, which takes steps of nodes through the registry and says each one
//! once it is acknowledged; kills it after a random time; looks at what is on the disk; and starts the next.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use netboot::MacAddr;
use provd::registry::{Actor, FirstBoot, Phase, Places, Progress, Registry, Report};
use provd::store::{Store, Token};

use crate::harness::{Lab, address, declared, mac};

const NODES: u8 = 6;
const KILLS: u32 = 60;
const DIRECTORY: &str = "PROVD_TEST_WORKER_DIRECTORY";
const SEED: &str = "PROVD_TEST_WORKER_SEED";

/// xorshift64 (Marsaglia, 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn open(directory: PathBuf) -> Registry {
    let store = Arc::new(Store::open(&directory.join("state.db")).unwrap());
    let places = Places { served: directory.join("served"), grub_nodes: Some(directory.join("grub")) };
    Registry::open(declared(NODES, &[]), places, store, Timestamp::now()).unwrap()
}

fn token_after(text: &str, before: &str) -> Token {
    let start = text.find(before).unwrap() + before.len();
    text[start..start + 32].parse().unwrap()
}

/// Says a line to the parent. Its pipe holds it also when this process is killed right after.
fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("said {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[test]
#[ignore = "the other half of killed_at_any_moment, that starts it"]
fn worker() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let mut random = Random(std::env::var(SEED).unwrap().parse().unwrap());
    let registry = open(directory.into());
    let admin = Actor { who: "admin".to_owned(), origin: "local".to_owned() };
    let (mut seeds, mut reports) = (BTreeMap::<u8, Token>::new(), BTreeMap::<u8, Token>::new());
    loop {
        let number = 10 + random.below(NODES.into()) as u8;
        let (mac, from, now) = (mac(number), address(number).into(), Timestamp::now());
        let attempt = registry.node(mac).unwrap().stored.attempts;
        let state = || registry.node(mac).unwrap().stored.state.name();
        match random.below(9) {
            0 | 1 => {
                if let Ok(attempt) = registry.arm(mac, &admin, "test", now) {
                    say(format_args!("state {mac} {} armed", attempt.number));
                }
            }
            2 | 3 => {
                let answer = registry.boot(mac, from, now).unwrap().unwrap();
                if answer.ipxe.contains("kernel http") {
                    seeds.insert(number, token_after(&answer.ipxe, "/seed/"));
                    say(format_args!("installer {mac} {attempt}"));
                    say(format_args!("state {mac} {attempt} booting"));
                }
            }
            4 | 5 => {
                if let Some(token) = seeds.get(&number)
                    && let Ok(seed) = registry.seed(token, "user-data", from, now)
                    && seed.text.contains("/report/")
                {
                    reports.insert(number, token_after(&seed.text, "/report/"));
                    say(format_args!("read {mac} {attempt}"));
                }
            }
            6 | 7 => {
                let Some(token) = reports.get(&number) else { continue };
                let name = format!("step/{}", random.below(1000));
                let report = match random.below(5) {
                    0 => Report::Installed,
                    1 => Report::Failed { reason: "test".to_owned(), log: Some("log\n".repeat(1000)) },
                    2 => Report::FirstBoot(FirstBoot {
                        hostname: format!("node{number}"),
                        address: from,
                        ssh_host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
                    }),
                    _ => {
                        let (kind, text) = (Phase::Start, String::new());
                        Report::Progress(Progress { kind, name, text, at: None, result: None })
                    }
                };
                if registry.report(token, report, from, now).is_ok() {
                    say(format_args!("state {mac} {attempt} {}", state()));
                }
            }
            // Tokens are lost with their process: without this nodes would stay where the last one left them.
            _ => {
                if registry.disarm(mac, &admin, "test", now).unwrap() {
                    say(format_args!("state {mac} {attempt} {}", state()));
                }
            }
        }
    }
}

#[derive(Default)]
struct Said {
    /// Steps that were acknowledged: node, state.
    states: Vec<(MacAddr, String)>,
    /// Attempts whose answers were handed out.
    read: BTreeSet<(MacAddr, u64)>,
}

impl Said {
    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let (mac, attempt) = (words[1].parse::<MacAddr>().unwrap(), words[2].parse::<u64>().unwrap());
        match words[0] {
            "state" => self.states.push((mac, words[3].to_owned())),
            "read" => {
                self.read.insert((mac, attempt));
                self.states.push((mac, "installing".to_owned()));
            }
            "installer" => assert!(!self.read.contains(&(mac, attempt)), "an installer after its answers: {line}"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn killed_at_any_moment() {
    let lab = Lab::new(&declared(NODES, &[]));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut said = Said::default();
    let mut seen = BTreeMap::<String, u32>::new();
    for round in 0..KILLS {
        let already = match round {
            0 => 0,
            _ => lab.audit().len(),
        };
        said.states.clear();
        let mut worker = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::worker", "--ignored", "--nocapture", "--quiet"])
            .env(DIRECTORY, lab.directory.path())
            .env(SEED, (random.below(u64::MAX - 1) + 1).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(worker.stdout.take().unwrap());
        let mut line = String::new();
        // Its first word; from there on any moment may be its last.
        while !line.contains("said ") {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "{:?}", worker.wait_with_output());
        }
        std::thread::sleep(Duration::from_micros(random.below(40_000)));
        worker.kill().unwrap();
        loop {
            // What the pipe still holds was acknowledged too; a line cut by the kill was not.
            if let Some((_, whole)) = line.trim_end_matches('\n').split_once("said ").filter(|_| line.ends_with('\n')) {
                said.take(whole);
            }
            line.clear();
            if out.read_line(&mut line).unwrap() == 0 {
                break;
            }
        }
        worker.wait().unwrap();

        // The log holds every acknowledged state, in this order for each node.
        let audit = lab.audit();
        for number in 10..10 + NODES {
            let mac = mac(number);
            let mut steps =
                audit[already..].iter().filter(|line| line.line.mac == mac).map(|line| line.line.to.as_str());
            // Where it was when this worker began; no line tells of it again.
            let mut last = audit[..already].iter().rfind(|line| line.line.mac == mac).map_or("", |line| &line.line.to);
            for (_, state) in said.states.iter().filter(|(of, _)| *of == mac) {
                *seen.entry(state.clone()).or_default() += 1;
                if last != state {
                    assert!(steps.any(|step| step == state), "round {round}: {mac} {state} is lost");
                }
                last = state;
            }
        }
        // GRUB's scripts: none but of nodes that may install, before and after the next start.
        let (before, after) = (scripts(&lab), open(lab.directory.path().to_owned()));
        let may: BTreeSet<String> = after
            .nodes()
            .iter()
            .filter(|node| matches!(node.stored.state.name(), "armed" | "booting"))
            .map(|node| node.stored.mac.hyphenated())
            .collect();
        assert!(before.is_subset(&may), "round {round}: {before:?}, {may:?}");
        assert_eq!(scripts(&lab), may, "round {round}");
        for node in after.nodes() {
            let (mac, state) = (node.stored.mac, node.stored.state.name());
            let last = audit.iter().rfind(|line| line.line.mac == mac).unwrap();
            assert_eq!(last.line.to, state, "round {round}: {mac}");
        }
    }
    // It would prove nothing if the workers had not come far.
    for state in ["armed", "booting", "installing", "installed", "failed", "verified", "disk"] {
        assert!(seen.contains_key(state), "{seen:?}");
    }
    assert!(said.read.len() > 10, "{}", said.read.len());
}

fn scripts(lab: &Lab) -> BTreeSet<String> {
    let names = std::fs::read_dir(lab.path("grub")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| Some(name.to_str()?.strip_suffix(".cfg")?.to_owned())).collect()
}
