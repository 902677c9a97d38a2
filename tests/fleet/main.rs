//! A hundred nodes, each in a network namespace of its own, walk from DHCP to verified: the real dnsmasq, nginx and provd, with the
//! configuration that provbuild renders, and provd killed in the middle.
//!
//! The test starts its own program again inside new namespaces (root, or unprivileged user namespaces): everything in there ends
//! with it, however it ends, and nothing outside is touched.

mod node;
mod site;
mod wire;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use node::{Node, Told};
use site::Site;

const INSIDE: &str = "PROVBUILD_FLEET_INSIDE";
const NODES: usize = 100;
/// Times that provd is killed while nodes are on their way.
const KILLS: usize = 5;
/// For everything, on two cores that have other things to do as well.
const LIMIT: Duration = Duration::from_secs(420);

#[test]
#[ignore = "needs dnsmasq, nginx, busybox, iproute2, and root or user namespaces; a minute or two"]
fn sandbox_a_hundred_nodes_walk_from_dhcp_to_verified() {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &LIMIT.as_secs().to_string(), "unshare"]);
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", "inside", "--ignored", "--nocapture"]);
    let status = command.env(INSIDE, "1").status().expect("unshare cannot be run: install util-linux");
    assert!(status.success(), "{status}");
}

#[test]
#[ignore = "the inner half of the test above, that starts it"]
fn inside() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let mut site = Site::new(NODES);
    site.start();
    let (places, count) = (site.places.clone(), AtomicUsize::new(0));
    let (ready, threads) = mpsc::channel();
    let all: Vec<Told> = std::thread::scope(|scope| {
        let walks: Vec<_> = (1..=NODES)
            .map(|number| {
                let (ready, places, count) = (ready.clone(), places.clone(), &count);
                scope.spawn(move || {
                    let told = Node::new(number, places, ready).walk();
                    count.fetch_add(1, Ordering::Relaxed);
                    told
                })
            })
            .collect();
        drop(ready);
        for (number, thread, plugged) in threads.iter().take(NODES) {
            site.plug(number, thread);
            plugged.send(()).unwrap();
        }
        // While nodes are at every place of their way.
        let mut last = Instant::now();
        let kills = || places.kills.load(Ordering::Relaxed);
        while count.load(Ordering::Relaxed) < NODES && !walks.iter().all(|walk| walk.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            if kills() < KILLS && last.elapsed() > Duration::from_millis(1200) {
                site.kill_provd();
                site.start_provd();
                places.kills.fetch_add(1, Ordering::Relaxed);
                last = Instant::now();
            }
        }
        let told = walks.into_iter().map(|walk| walk.join().unwrap()).collect();
        assert_eq!(kills(), KILLS);
        told
    });
    site.stranger();
    judge(&site, &all);
}

/// What must hold at the end.
fn judge(site: &Site, all: &[Told]) {
    let nodes = site.api("/api/v1/nodes");
    let listed: Vec<&serde_json::Value> = match &nodes {
        serde_json::Value::Array(nodes) => nodes.iter().collect(),
        other => other["nodes"].as_array().unwrap_or_else(|| panic!("{other}")).iter().collect(),
    };
    assert_eq!(listed.len(), NODES);
    for node in listed {
        let hostname = node["hostname"].as_str().unwrap();
        let number: usize = hostname.strip_prefix("fleet").unwrap().parse().unwrap();
        let wanted = if node::fails(number) { "failed" } else { "verified" };
        assert_eq!(node["state"], wanted, "{node}");
    }
    let verification = site.api("/api/v1/audit/verification");
    assert_eq!(verification["valid"], true, "{verification}");
    // Each node: declared, armed, booting, installing, steps, installed, verified.
    assert!(verification["lines"].as_u64().unwrap() > 6 * NODES as u64 - 20, "{verification}");

    let mut tokens = BTreeSet::new();
    for told in all {
        for token in &told.tokens {
            assert!(tokens.insert(token.as_str()), "two nodes have one token");
        }
        for text in &told.texts {
            for word in words_like(text, "fleet", 3) {
                assert_eq!(word, told.hostname, "{} was told of {word}:\n{text}", told.hostname);
            }
            for separator in ["-", ":"] {
                let prefix = format!("52{separator}54{separator}00{separator}f1{separator}00{separator}");
                for word in words_like(text, &prefix, 2) {
                    let mac = word.replace('-', ":");
                    assert_eq!(mac, told.mac, "{} was told of {mac}:\n{text}", told.hostname);
                }
            }
        }
    }
    assert!(tokens.len() >= 2 * NODES, "{}", tokens.len());
    for told in all {
        for text in &told.texts {
            for token in words_of_hex(text) {
                assert!(
                    !tokens.contains(token) || told.tokens.contains(token),
                    "{} has another's token",
                    told.hostname
                );
            }
        }
    }
    let logs = site.logs();
    assert!(logs.contains("fleet001") || logs.contains("/nodes/"), "the logs are empty");
    for token in words_of_hex(&logs) {
        assert!(!tokens.contains(token), "a token is in a log");
    }
}

/// Every place where `prefix` is followed by so many hexadecimal digits.
fn words_like<'a>(text: &'a str, prefix: &str, digits: usize) -> Vec<&'a str> {
    let starts = text.match_indices(prefix).map(|(at, _)| at);
    let words = starts.filter_map(|at| text.get(at..at + prefix.len() + digits));
    words.filter(|word| word[prefix.len()..].bytes().all(|b| b.is_ascii_hexdigit())).collect()
}

/// Runs of 32 hexadecimal digits, as tokens are.
fn words_of_hex(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 32).collect()
}
