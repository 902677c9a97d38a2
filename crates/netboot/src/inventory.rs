//! The checked nodes.
//!
//! Whoever holds an [`Inventory`] that `provbuild check` accepted may rely on: host names, MACs and addresses are
//! unique, addresses lie inside the provisioning subnet and outside its dynamic range, installers exist, and no secret
//! value is in here, only references to where it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv6Net;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{DhcpOption, DhcpValue, Hostname, MacAddr};

/// All nodes, in the order of nodes.toml.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    pub nodes: Vec<Node>,
}

/// One bare-metal machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Node {
    /// Unique.
    pub hostname: Hostname,
    /// The NIC that boots and that the operating system uses.
    pub mac: MacAddr,
    pub address: Ipv4Addr,
    /// Its IPv6 address with the subnet's prefix: a name server record, and the installed system's own configuration.
    pub address6: Option<Ipv6Net>,
    /// Addresses on further networks by the network's name ("ceph"); answered as `HOSTNAME-NETWORK`.
    pub addresses: BTreeMap<String, Ipv4Addr>,
    /// Bytes.
    pub memory: Option<u64>,
    /// The firmware enforces Secure Boot: the node is started through shim and GRUB.
    pub secure_boot: bool,
    /// Name of the installer; `None` where the node is only known.
    pub install: Option<String>,
    /// The disk to install on; `None` means the only one: with several the installation stops.
    pub disk: Option<DiskSelector>,
    pub bmc: Option<Bmc>,
    /// Name of the profile's BIOS settings for this machine.
    #[serde(default)]
    pub bios: Option<String>,
    /// Free words that templates and people group nodes by.
    pub roles: BTreeSet<String>,
    /// Further DHCP options for this node.
    pub dhcp_options: BTreeMap<DhcpOption, DhcpValue>,
}

/// Which disk of a node: every given field must match. At least one is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DiskSelector {
    /// Shell glob, as the next three.
    pub serial: Option<String>,
    pub model: Option<String>,
    pub vendor: Option<String>,
    pub wwn: Option<String>,
    /// `/dev/disk/by-...` or a glob of it.
    pub path: Option<String>,
    /// Bytes.
    pub min_size: Option<u64>,
    /// Bytes.
    pub max_size: Option<u64>,
    /// Solid state (`true`) or rotating (`false`).
    pub ssd: Option<bool>,
}

/// A node's baseboard management controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bmc {
    pub address: Ipv4Addr,
    /// With it the BMC gets its address by DHCP.
    pub mac: Option<MacAddr>,
    /// TCP port of its Redfish service.
    #[serde(default = "Bmc::port")]
    pub port: u16,
    pub kind: BmcKind,
    /// Which system is the node (id, UUID or name), where the BMC answers for several.
    #[serde(default)]
    pub system: Option<String>,
    pub credentials: Option<SecretRef>,
}

impl Bmc {
    /// HTTPS.
    pub const PORT: u16 = 443;

    fn port() -> u16 {
        Self::PORT
    }
}

/// Whose firmware a BMC runs: the dialect of Redfish that it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BmcKind {
    /// Redfish by the book.
    Redfish,
    Supermicro,
    Dell,
    Hpe,
    Lenovo,
}

/// Where a secret is kept; never the secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretRef {
    /// Environment variable of the process that deploys.
    Env(String),
    /// File beside nodes.toml, or absolute.
    File(String),
    /// The same, encrypted with age.
    Age(String),
}

/// Why a text is not a reference to a secret. The text itself is left out: it may be the secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretRefError {
    #[error("not a reference to a secret")]
    Form,
    #[error("the reference names nothing after '{0}:'")]
    Empty(&'static str),
    #[error("not the name of an environment variable")]
    Variable,
}

impl FromStr for SecretRef {
    type Err = SecretRefError;

    /// `env:NAME`, `file:PATH` or `age:PATH`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once(':').ok_or(SecretRefError::Form)?;
        let scheme = ["env", "file", "age"].into_iter().find(|s| *s == scheme).ok_or(SecretRefError::Form)?;
        if rest.is_empty() {
            return Err(SecretRefError::Empty(scheme));
        }
        if rest.chars().any(char::is_control) {
            return Err(SecretRefError::Form);
        }
        match scheme {
            "file" => Ok(SecretRef::File(rest.to_owned())),
            "age" => Ok(SecretRef::Age(rest.to_owned())),
            _ if rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !rest.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                Ok(SecretRef::Env(rest.to_owned()))
            }
            _ => Err(SecretRefError::Variable),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{path}"),
            SecretRef::Age(path) => write!(f, "age:{path}"),
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A node with nothing but its identity.
    pub(crate) fn node(hostname: &str, mac: &str, address: &str) -> Node {
        Node {
            hostname: hostname.parse().unwrap(),
            mac: mac.parse().unwrap(),
            address: address.parse().unwrap(),
            address6: None,
            addresses: BTreeMap::new(),
            memory: None,
            secure_boot: false,
            install: None,
            disk: None,
            bmc: None,
            bios: None,
            roles: BTreeSet::new(),
            dhcp_options: BTreeMap::new(),
        }
    }

    pub(crate) fn dhcp_options(written: &[(&str, &str)]) -> BTreeMap<DhcpOption, DhcpValue> {
        let option = |(option, value): &(&str, &str)| {
            let option: DhcpOption = option.parse().unwrap();
            (option, option.value(value).unwrap())
        };
        written.iter().map(option).collect()
    }

    #[test]
    fn a_reference_is_never_the_secret() {
        assert_eq!("env:BMC_NODE1".parse(), Ok(SecretRef::Env("BMC_NODE1".to_owned())));
        assert_eq!("file:secrets/node1".parse(), Ok(SecretRef::File("secrets/node1".to_owned())));
        assert_eq!("age:secrets/node1.age".parse::<SecretRef>().unwrap().to_string(), "age:secrets/node1.age");
        for bad in ["ADMIN:hunter2", "hunter2", "", "file:", "env:1X", "env:A B", "file:a\nb"] {
            let error = bad.parse::<SecretRef>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_inventory_survives_json() {
        let inventory = Inventory {
            nodes: vec![Node {
                hostname: "node1".parse().unwrap(),
                mac: "ac:1f:6b:6c:5a:76".parse().unwrap(),
                address: Ipv4Addr::new(10, 10, 1, 21),
                address6: Some("fd00::21/64".parse().unwrap()),
                addresses: BTreeMap::from([("ceph".to_owned(), Ipv4Addr::new(10, 20, 0, 21))]),
                memory: Some(64 << 30),
                secure_boot: true,
                install: Some("ubuntu-24-04".to_owned()),
                disk: Some(DiskSelector { serial: Some("S3Z*".to_owned()), ..DiskSelector::default() }),
                bmc: Some(Bmc {
                    address: Ipv4Addr::new(10, 10, 1, 11),
                    mac: None,
                    port: 8443,
                    kind: BmcKind::Supermicro,
                    system: Some("1".to_owned()),
                    credentials: Some(SecretRef::File("secrets/node1".to_owned())),
                }),
                bios: Some("supermicro-x11".to_owned()),
                roles: BTreeSet::from(["storage".to_owned()]),
                dhcp_options: dhcp_options(&[("42", "10.10.1.1")]),
            }],
        };
        let json = serde_json::to_string(&inventory).unwrap();
        assert_eq!(serde_json::from_str::<Inventory>(&json).unwrap(), inventory);
    }
}
