//! What the builder declares to the appliance's daemon: one file inside the image, `/etc/provbuild/provd.json`.
//!
//! ```text
//! format        version of this format
//! name          the appliance
//! site          the network around the nodes
//! inventory     every node, as nodes.toml has it
//! installers    what nodes install, by name
//! control       how long an arming lasts, when silence becomes a stall, who is told
//! bios          what nodes' BIOSes are to be, by name
//! ```
//! Invariant: no secret value is in here but the hash of the nodes' account, where the profile has one; the file is readable
//! by root and the daemon only. It is the declared truth: what the daemon remembers is compared with it at every start.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::{BiosSettings, Inventory, Site, System};

/// Where the file lies inside the image.
pub const DECLARED_PATH: &str = "/etc/provbuild/provd.json";
/// Supermicro's SUM inside the image, where the profile has its archive.
pub const SUM_PROGRAM: &str = "/usr/lib/provbuild/sum/sum";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Declared {
    /// [`Declared::FORMAT`]
    pub format: u32,
    pub name: String,
    pub site: DeclaredSite,
    pub inventory: Inventory,
    /// By name, as nodes refer to them.
    pub installers: BTreeMap<String, DeclaredInstaller>,
    pub control: Control,
    /// BIOS settings by name, as nodes refer to them.
    #[serde(default)]
    pub bios: BTreeMap<String, BiosSettings>,
}

/// [`Site`] with its own texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeclaredSite {
    pub server: Ipv4Addr,
    pub subnet: Ipv4Net,
    pub domain: String,
    pub gateway: Option<Ipv4Addr>,
    /// First and last address that DHCP gives to machines that are in no inventory.
    #[serde(default)]
    pub dynamic: Option<[Ipv4Addr; 2]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeclaredInstaller {
    pub system: System,
    /// Whether the profile names a medium; whether its files are there is seen below the boot server's root.
    pub medium: bool,
    /// Digest of the medium that the appliance fetches by itself; what an image before this one fetched may still lie there.
    pub sha256: Option<String>,
}

/// How the daemon watches over installations. Durations are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Control {
    /// From arming until the node must have read its answers.
    pub arming: u64,
    /// Without a word from a node that installs, until it counts as stalled.
    pub silence: u64,
    /// From the end of the installation until the installed system must have reported.
    pub first_boot: u64,
    /// Where every change of a node's state is posted to: http or https URLs.
    pub webhooks: Vec<String>,
}

impl Default for Control {
    fn default() -> Self {
        Control { arming: 3600, silence: 1800, first_boot: 1800, webhooks: Vec::new() }
    }
}

impl Declared {
    pub const FORMAT: u32 = 1;

    pub fn site(&self) -> Site<'_> {
        let DeclaredSite { server, subnet, domain, gateway, .. } = &self.site;
        Site { server: *server, subnet: *subnet, domain, gateway: *gateway }
    }
}
