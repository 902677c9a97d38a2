//! Locks and fetches from the real Debian archive, by the mirror that this host's apt uses.
//!
//! Judge: apt itself, asked what it would install into an empty system, must choose the same packages.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use provbuild::fetch::{DEFAULT_JOBS, Fetcher, HostApt, Mirrors, Network, Store};
use provbuild::lock::{Keyring, Lock, resolve};
use provbuild::profile::Distribution;
use provbuild::vocab::{Epoch, Silent};

use crate::distribution;

const PACKAGES: &str = "systemd-sysv dbus dnsmasq nginx-light nftables openssh-server linux-image-cloud-amd64 \
                        grub-efi-amd64-signed shim-signed initramfs-tools zstd iproute2 ipxe open-vm-tools";

/// Trixie with the pockets that a machine has.
fn trixie(packages: &str) -> Distribution {
    Distribution { pockets: vec!["updates".to_owned(), "security".to_owned()], ..distribution(packages) }
}

fn now() -> Epoch {
    Epoch(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as u32)
}

#[test]
#[ignore = "network: the Debian archive"]
fn net_debian_set_is_locked_and_fetched_and_equals_apts_choice() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let distribution = trixie(PACKAGES);
    let host = HostApt::read(Path::new("/"));
    let mirrors = Mirrors::new(&distribution, host.as_ref());
    let network = Network::from_environment(|name| std::env::var(name).ok());
    let fetcher = Fetcher::new(&store, mirrors.clone(), network, &Silent, DEFAULT_JOBS);
    let keyring = Keyring::builtin(distribution.name).unwrap();

    let start = Instant::now();
    let indices = fetcher.indices(&distribution, &keyring, now(), None).unwrap();
    eprintln!("indices from the network: {:?}", start.elapsed());
    let start = Instant::now();
    fetcher.indices(&distribution, &keyring, now(), None).unwrap();
    eprintln!("indices again (store has them): {:?}", start.elapsed());
    let start = Instant::now();
    let lock = resolve(&distribution, &indices).unwrap();
    eprintln!("parse and resolve: {:?}, {} packages", start.elapsed(), lock.packages.len());
    assert_eq!(Lock::from_toml(&lock.to_toml().unwrap()).unwrap(), lock);

    let start = Instant::now();
    let packages = fetcher.packages(&lock).unwrap();
    let bytes: u64 = lock.packages.iter().map(|package| package.size).sum();
    eprintln!("packages: {:?}, {bytes} bytes", start.elapsed());
    assert_eq!(packages.len(), lock.packages.len());
    let start = Instant::now();
    fetcher.packages(&lock).unwrap();
    eprintln!("packages again: {:?}", start.elapsed());
    assert_eq!(store.verify().unwrap(), []);

    let offline = Network { offline: true, ..Network::default() };
    let fetcher = Fetcher::new(&store, mirrors.clone(), offline, &Silent, DEFAULT_JOBS);
    let again = fetcher.indices(&distribution, &keyring, now(), Some(&lock)).unwrap();
    assert_eq!(resolve(&distribution, &again).unwrap(), lock);

    let apt = Apt::new(dir.path(), &mirrors);
    let base = base_names(&apt);
    for packages in
        [PACKAGES, "systemd-sysv", "openssh-server python3 chrony", "task-xfce-desktop", "default-jre mariadb-server"]
    {
        let start = Instant::now();
        let lock = resolve(&trixie(packages), &again).unwrap();
        eprintln!("{packages}: {} packages in {:?}", lock.packages.len(), start.elapsed());
        let ours: BTreeSet<(String, String)> =
            lock.packages.iter().map(|package| (package.name.clone(), package.version.clone())).collect();
        let theirs = apt.choice(&base, packages);
        let only_ours: Vec<_> = ours.difference(&theirs).collect();
        let only_theirs: Vec<_> = theirs.difference(&ours).collect();
        assert!(
            only_ours.is_empty() && only_theirs.is_empty(),
            "{packages}\nours: {only_ours:?}\napt's: {only_theirs:?}"
        );
    }
}

/// An apt with an empty system of its own.
struct Apt {
    root: std::path::PathBuf,
}

impl Apt {
    fn new(dir: &Path, mirrors: &Mirrors) -> Apt {
        let root = dir.join("apt");
        for sub in ["state/lists/partial", "cache/archives/partial", "etc"] {
            std::fs::create_dir_all(root.join(sub)).unwrap();
        }
        std::fs::write(root.join("status"), "").unwrap();
        let (main, security) = (&mirrors.main.indices[0], &mirrors.security.indices[0]);
        let keyring = root.join("keyring.gpg");
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lock/keyrings/debian.pgp"), &keyring).unwrap();
        let keyring = keyring.display();
        let sources = format!(
            "deb [signed-by={keyring}] {main} trixie main\ndeb [signed-by={keyring}] {main} trixie-updates main\n\
             deb [signed-by={keyring}] {security} trixie-security main\n"
        );
        std::fs::write(root.join("etc/sources.list"), sources).unwrap();
        let shown = root.display();
        let config = format!(
            "Dir::State \"{shown}/state\";\nDir::State::status \"{shown}/status\";\nDir::Cache \"{shown}/cache\";\n\
             Dir::Etc \"{shown}/etc\";\nDir::Etc::sourcelist \"{shown}/etc/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
             Dir::Etc::parts \"-\";\nDir::Etc::main \"-\";\nAPT::Install-Recommends \"false\";\n\
             APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\nAPT::Sandbox::User \"root\";\n"
        );
        std::fs::write(root.join("apt.conf"), config).unwrap();
        let apt = Apt { root };
        apt.run("apt-get", &["update"]);
        apt
    }

    fn run(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program)
            .env("APT_CONFIG", self.root.join("apt.conf"))
            .args(args)
            .output()
            .unwrap_or_else(|error| panic!("{program} does not run (install the package apt): {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn choice(&self, base: &[String], packages: &str) -> BTreeSet<(String, String)> {
        let mut words = vec!["-s", "install"];
        words.extend(base.iter().map(String::as_str));
        words.extend(packages.split_ascii_whitespace());
        self.run("apt-get", &words)
            .lines()
            .filter_map(|line| {
                // "Inst base-files (13.8 Debian:13.0/stable [amd64])"
                let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
                let version = rest.split_once('(')?.1.split(' ').next()?;
                Some((name.to_owned(), version.to_owned()))
            })
            .collect()
    }
}

/// Essential, priority required, apt: as apt's own cache tells it.
fn base_names(apt: &Apt) -> Vec<String> {
    let mut names = vec!["apt".to_owned()];
    let mut name = "";
    let text = apt.run("apt-cache", &["dumpavail"]);
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("Package", value)) => name = value,
            Some(("Essential", "yes")) | Some(("Priority", "required")) => names.push(name.to_owned()),
            _ => {}
        }
    }
    names.sort();
    names.dedup();
    names
}
