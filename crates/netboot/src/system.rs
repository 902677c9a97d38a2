//! The system that an installer puts on a node, as the profile means it: the one input of autoinstall and preseed.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::Release;

/// Everything about an installed system that is the same on all nodes of an installer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct System {
    pub release: Release,
    /// As in locale.gen(5) ("C.UTF-8", "de_DE.UTF-8").
    pub locale: String,
    pub keyboard: Keyboard,
    /// IANA name.
    pub timezone: String,
    pub account: Account,
    pub storage: Storage,
    pub addressing: Addressing,
    /// Packages beside the installer's own.
    pub packages: Vec<String>,
    /// The archive to install from, an http or https URL without a trailing slash; `None` takes the distribution's own.
    pub mirror: Option<String>,
    /// Shell commands before the disk is touched.
    pub early_commands: Vec<String>,
    /// Shell commands at the end, with the new system at /target.
    pub late_commands: Vec<String>,
    /// Added to the kernel's command line, of the installer and of the installed system.
    pub kernel_parameters: Vec<String>,
}

/// As in keyboard(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyboard {
    pub layout: String,
    pub variant: Option<String>,
}

/// The account that may log in and become root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Account {
    pub name: String,
    /// crypt(3) hash; without one only a key opens the account.
    pub password_hash: Option<String>,
    /// authorized_keys lines, checked.
    pub ssh_keys: Vec<String>,
}

/// How the chosen disk is divided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// One root file system on a partition.
    Direct,
    /// Logical volumes.
    Lvm {
        sizing: Sizing,
    },
    Zfs,
    /// In this order on the disk; the bootloader's own partition is added in front. One has the mount point `/`.
    Partitions(Vec<Partition>),
}

/// How much of the volume group the root volume takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sizing {
    /// Leaves room for snapshots and further volumes.
    Scaled,
    All,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Partition {
    /// Absolute path; `None` for swap.
    pub mount: Option<String>,
    /// Bytes; `None` takes the rest of the disk, and stands at most once, last.
    pub size: Option<u64>,
    pub format: FileSystem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileSystem {
    Ext4,
    Xfs,
    Btrfs,
    Swap,
}

/// Where an installed node has its address from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addressing {
    /// The appliance's reservation.
    Dhcp,
    /// Its own configuration: the node does not need the appliance any more.
    Static,
}

/// The network around the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site<'a> {
    /// The boot server's address on the provisioning network; it answers DNS, TFTP and HTTP, and DHCP where the site has no
    /// server of its own.
    pub server: Ipv4Addr,
    pub subnet: Ipv4Net,
    /// DNS domain of the nodes.
    pub domain: &'a str,
    /// The nodes' router; `None` where they reach nothing but the subnet.
    pub gateway: Option<Ipv4Addr>,
}

impl Site<'_> {
    /// URL of the boot server, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.server)
    }
}

/// Paths of an installer's files below the boot server's root, without a leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPaths {
    pub kernel: String,
    pub initrd: String,
    /// The ISO itself, for installers that load it.
    pub iso: Option<String>,
}

impl MediaPaths {
    /// Where an installer's files lie, by the installer's name in the profile.
    pub fn of(installer: &str, release: Release) -> Self {
        let directory = format!("media/{installer}");
        MediaPaths {
            kernel: format!("{directory}/vmlinuz"),
            initrd: format!("{directory}/initrd"),
            iso: match release.traits().program {
                crate::Program::Subiquity => Some(format!("{directory}/{installer}.iso")),
                crate::Program::DebianInstaller => None,
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn system() -> System {
        System {
            release: Release::Ubuntu2404,
            locale: "C.UTF-8".to_owned(),
            keyboard: Keyboard { layout: "us".to_owned(), variant: None },
            timezone: "Etc/UTC".to_owned(),
            account: Account {
                name: "admin".to_owned(),
                password_hash: None,
                ssh_keys: vec!["ssh-ed25519 AAAA admin@example: 'odd' # comment".to_owned()],
            },
            storage: Storage::Direct,
            addressing: Addressing::Dhcp,
            packages: vec!["htop".to_owned()],
            mirror: None,
            early_commands: vec![],
            late_commands: vec!["curtin in-target -- systemctl enable ssh".to_owned()],
            kernel_parameters: vec![],
        }
    }

    pub(crate) fn site() -> Site<'static> {
        let server = "10.10.1.1".parse().unwrap();
        Site { server, subnet: "10.10.1.0/24".parse().unwrap(), domain: "lab.example", gateway: Some(server) }
    }
}
