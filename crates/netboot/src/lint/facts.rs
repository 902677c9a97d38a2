//! What differs between the installers of Ubuntu's releases, as data.
//!
//! Source: subiquity's git history; 22.04's media carry installers from mid 2022 (22.04) on, so that what came later is
//! there on some of them only.

use crate::Release;

/// One release's installer.
#[derive(Debug)]
pub(super) struct Facts {
    /// "24.04".
    pub(super) version: &'static str,
    pub(super) layouts: &'static [&'static str],
    /// What an unknown layout name does.
    pub(super) unknown_layout: &'static str,
    pub(super) match_keys: &'static [&'static str],
    /// `match` may be a list, of which the first that fits counts, on all media: 24.04.1's stop at one (AttributeError), 24.08's take it.
    pub(super) match_lists: bool,
    /// Sections that the first media of the release do not know.
    pub(super) unknown_sections: &'static [&'static str],
    /// All media know the layout's `sizing-policy`.
    pub(super) sizing_policy: bool,
    /// All media know apt's `mirror-selection`.
    pub(super) mirror_selection: bool,
    /// What happens without a usable mirror where `apt.fallback` is left out.
    pub(super) fallback: &'static str,
    /// Autoinstall sections outside of `autoinstall:` stop the installer.
    pub(super) refuses_misplaced: bool,
}

const NOBLE: Facts = Facts {
    version: "24.04",
    layouts: &["direct", "lvm", "zfs", "hybrid", "dd"],
    unknown_layout: "the installer silently takes 'direct'",
    match_keys: &["size", "serial", "model", "vendor", "path", "ssd", "install-media", "id_path", "devpath"],
    match_lists: false,
    unknown_sections: &[],
    sizing_policy: true,
    mirror_selection: true,
    fallback: "this installer goes on offline, and those before 24.04 stop",
    refuses_misplaced: true,
};

const JAMMY: Facts = Facts {
    version: "22.04",
    layouts: &["direct", "lvm"],
    unknown_layout: "the first media of 22.04 stop, and later ones silently take 'direct'",
    match_keys: &["size", "serial", "model", "vendor", "path", "ssd"],
    match_lists: false,
    unknown_sections: &["source", "oem", "codecs", "ubuntu-pro", "active-directory"],
    sizing_policy: false,
    mirror_selection: false,
    fallback: "the first media of 22.04 fail late, and later ones stop or go on offline",
    refuses_misplaced: false,
};

/// `None` for a system that does not install by user-data.
pub(super) fn of(release: Release) -> Option<&'static Facts> {
    match release {
        Release::Ubuntu2404 => Some(&NOBLE),
        Release::Ubuntu2204 => Some(&JAMMY),
        Release::Debian13 => None,
    }
}

/// User names that the installer keeps for the system. Sorted, for binary search.
pub(super) const RESERVED_USERS: &[&str] = &[
    "Debian-exim",
    "adm",
    "admin",
    "alias",
    "asterisk",
    "audio",
    "backup",
    "bin",
    "bind",
    "cdrom",
    "ceph",
    "crontab",
    "cupsys",
    "daemon",
    "dcc",
    "dhcp",
    "dialout",
    "dictd",
    "dip",
    "disk",
    "dnsmasq",
    "dovecot",
    "fax",
    "fetchmail",
    "firebird",
    "floppy",
    "ftn",
    "ftp",
    "fuse",
    "games",
    "gdm",
    "gnats",
    "grsec-proc",
    "grsec-sock-all",
    "grsec-sock-clt",
    "grsec-sock-srv",
    "grsec-tpe",
    "haclient",
    "hacluster",
    "haldaemon",
    "hplilp",
    "identd",
    "input",
    "irc",
    "jwhois",
    "klog",
    "kmem",
    "kvm",
    "libvirt-qemu",
    "list",
    "lp",
    "lpadmin",
    "maas",
    "mail",
    "man",
    "messagebus",
    "mysql",
    "mythtv",
    "netdev",
    "netplan",
    "news",
    "nobody",
    "nogroup",
    "opensrf",
    "operator",
    "plugdev",
    "powerdev",
    "proxy",
    "qmail",
    "qmaild",
    "qmaill",
    "qmailp",
    "qmailq",
    "qmailr",
    "qmails",
    "radvd",
    "render",
    "root",
    "saned",
    "sasl",
    "sbuild",
    "scanner",
    "sgx",
    "shadow",
    "slocate",
    "slurm",
    "src",
    "ssh",
    "sshd",
    "ssl-cert",
    "sslwrap",
    "staff",
    "statd",
    "sudo",
    "sync",
    "sys",
    "syslog",
    "tac-plus",
    "tape",
    "telnetd",
    "tftpd",
    "tty",
    "users",
    "utmp",
    "uucp",
    "vchkpw",
    "video",
    "voice",
    "vpopmail",
    "www-data",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_sorted() {
        assert!(RESERVED_USERS.is_sorted());
    }
}
