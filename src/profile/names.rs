//! Names that a profile may not take, and the first parts of time zones. Sorted, for binary search.

/// Users and groups of base-passwd, of the appliance's packages, and `admin`, whose group sudo trusts on Ubuntu.
pub(super) const RESERVED_USERS: &[&str] = &[
    "_apt",
    "_chrony",
    "_rpc",
    "adm",
    "admin",
    "audio",
    "avahi",
    "backup",
    "bin",
    "cdrom",
    "crontab",
    "daemon",
    "dialout",
    "dip",
    "disk",
    "dnsmasq",
    "fax",
    "floppy",
    "games",
    "gnats",
    "halt",
    "input",
    "irc",
    "kmem",
    "kvm",
    "landscape",
    "list",
    "lp",
    "lxd",
    "mail",
    "man",
    "messagebus",
    "netdev",
    "news",
    "nobody",
    "nogroup",
    "ntp",
    "operator",
    "plugdev",
    "polkitd",
    "pollinate",
    "postfix",
    "provd",
    "proxy",
    "render",
    "root",
    "sasl",
    "sgx",
    "shadow",
    "shutdown",
    "src",
    "ssh",
    "sshd",
    "staff",
    "statd",
    "sudo",
    "sync",
    "sys",
    "syslog",
    "tape",
    "tcpdump",
    "tftp",
    "tss",
    "tty",
    "ubuntu-core",
    "users",
    "utmp",
    "uucp",
    "uuidd",
    "video",
    "voice",
    "wheel",
    "www-data",
];

/// Areas of the IANA time zone database that a configuration should name.
pub(super) const TIMEZONE_AREAS: &[&str] = &[
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Etc",
    "Europe",
    "Indian",
    "Pacific",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(RESERVED_USERS.is_sorted());
        assert!(TIMEZONE_AREAS.is_sorted());
    }
}
