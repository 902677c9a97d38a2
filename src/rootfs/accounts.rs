//! Fixed ids for the services' system users.
//!
//! Packages take the next free id when they are configured, so that one more package would renumber the users after it,
//! while the state disk outlives the image and keeps the old numbers. The accounts below are therefore made before any
//! package is configured; the packages find them and leave them as they are.

use std::io;

use super::failure::Failure;
use super::in_tree;
use super::unpack::Unpacked;

/// One account: made only where `package` is installed.
struct Account {
    package: &'static str,
    name: &'static str,
    id: u32,
    gecos: &'static str,
    home: &'static str,
}

const fn account(
    package: &'static str,
    name: &'static str,
    id: u32,
    gecos: &'static str,
    home: &'static str,
) -> Account {
    Account { package, name, id, gecos, home }
}

/// Gecos and home as the packages themselves give them. Ids from 900 on: above what adduser and sysusers hand out first.
const ACCOUNTS: [Account; 8] = [
    account("systemd", "systemd-network", 901, "systemd Network Management", "/"),
    account("systemd-resolved", "systemd-resolve", 902, "systemd Resolver", "/"),
    account("systemd-timesyncd", "systemd-timesync", 903, "systemd Time Synchronization", "/"),
    account("dbus-system-bus-common", "messagebus", 904, "System Message Bus", "/nonexistent"),
    account("openssh-server", "sshd", 905, "sshd user", "/run/sshd"),
    account("dnsmasq-base", "dnsmasq", 906, "dnsmasq", "/var/lib/misc"),
    account("chrony", "_chrony", 907, "Chrony daemon", "/var/lib/chrony"),
    account("tcpdump", "tcpdump", 908, "", "/nonexistent"),
];

/// Accounts whose group is nogroup, as their packages make them.
const IN_NOGROUP: [&str; 2] = ["sshd", "dnsmasq"];
const NOGROUP: u32 = 65534;

/// Adds the accounts to passwd(5), group(5), shadow(5) and gshadow(5), where those files exist.
pub(super) fn reserve(packages: &[Unpacked]) -> Result<(), Failure> {
    let installed = |name: &str| packages.iter().any(|package| package.control.package() == name);
    let wanted: Vec<&Account> = ACCOUNTS.iter().filter(|account| installed(account.package)).collect();
    let group = |account: &Account| if IN_NOGROUP.contains(&account.name) { NOGROUP } else { account.id };
    append("/etc/passwd", &wanted, |a| {
        Some(format!("{}:x:{}:{}:{}:{}:/usr/sbin/nologin", a.name, a.id, group(a), a.gecos, a.home))
    })?;
    append("/etc/group", &wanted, |a| (group(a) == a.id).then(|| format!("{}:x:{}:", a.name, a.id)))?;
    append("/etc/shadow", &wanted, |a| Some(format!("{}:!*:1::::::", a.name)))?;
    append("/etc/gshadow", &wanted, |a| (group(a) == a.id).then(|| format!("{}:!*::", a.name)))
}

fn append(path: &str, accounts: &[&Account], line: impl Fn(&Account) -> Option<String>) -> Result<(), Failure> {
    let mut text = match in_tree::read(path) {
        Ok(bytes) => bytes,
        // shadow files are made later, from what passwd and group say then.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::io(format!("read {path}"))(error)),
    };
    for line in accounts.iter().filter_map(|account| line(account)) {
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    in_tree::rewrite(path, &text).map_err(Failure::io(format!("write {path}")))
}
