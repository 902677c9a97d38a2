//! A profile as it is meant: checked, merged with its imports, every default filled in.
//!
//! Invariant: whoever holds a [`Profile`] need not check it again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

pub use super::deploy::{Controller, Deploy, Link, Rest, Vsphere, Workstation};
use crate::vocab::{ByteSize, Digest, ImagePath, Mode};
pub use netboot::{BiosSettings, Control, Hostname, Inventory};

/// Everything that a build is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Names the output directory and the files in it: lowercase letters, digits, `-`.
    pub name: String,
    pub appliance: Appliance,
    pub distribution: Distribution,
    pub network: Network,
    /// Installers by name, as nodes refer to them ("ubuntu-24-04").
    pub installers: BTreeMap<String, Installer>,
    pub outputs: BTreeSet<OutputFormat>,
    /// Files that the profile adds to the image.
    pub files: BTreeMap<ImagePath, ExtraFile>,
    pub inventory: Inventory,
    /// How the appliance's daemon watches over installations.
    pub control: Control,
    /// BIOS settings by name, as nodes refer to them ("supermicro-x11").
    pub bios: BTreeMap<String, BiosSettings>,
    /// Supermicro's SUM: the archive that the user supplies.
    pub sum: Option<SumArchive>,
    /// Where the appliance runs is no part of what is built.
    #[serde(skip)]
    pub deploy: Deploy,
}

/// The archive of Supermicro Update Manager for Linux, as Supermicro gives it out (tar.gz).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SumArchive {
    /// Where it lies is no part of the profile's meaning: the digest says what it is.
    #[serde(skip)]
    pub path: PathBuf,
    pub sha256: Digest,
}

/// The virtual machine and its operating system's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Appliance {
    pub hostname: Hostname,
    pub memory: ByteSize,
    pub cpus: u32,
    /// Size of the system disk, a multiple of 1 MiB.
    pub disk: ByteSize,
    /// IANA name ("Etc/UTC").
    pub timezone: String,
    /// As in locale.gen(5) ("C.UTF-8").
    pub locale: String,
    /// Sorted by name.
    pub users: Vec<User>,
    pub ssh: Ssh,
    /// Kernel settings, as in sysctl.d(5).
    pub sysctl: BTreeMap<String, String>,
    /// Arguments added to the kernel's command line.
    pub kernel_parameters: Vec<String>,
    /// The virtual machine's firmware enforces Secure Boot.
    pub secure_boot: bool,
}

/// The ssh server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ssh {
    pub port: u16,
    /// Passwords are accepted beside keys; root never logs in.
    pub password_authentication: bool,
}

/// A file that the profile adds, owned by root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExtraFile {
    #[serde(serialize_with = "as_digest")]
    pub content: Vec<u8>,
    pub mode: Mode,
}

/// The meaning of a profile depends on what a file holds: its digest says that in few bytes.
fn as_digest<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    Digest::of(bytes).serialize(serializer)
}

/// A login account of the appliance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    pub name: String,
    /// May become root by sudo without a password.
    pub sudo: bool,
    /// crypt(3) hash; a user without one can log in by key only.
    pub password_hash: Option<String>,
    /// authorized_keys lines, checked.
    pub ssh_keys: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DistributionName {
    Ubuntu,
    Debian,
}

impl DistributionName {
    /// As people write it.
    pub fn title(self) -> &'static str {
        match self {
            DistributionName::Ubuntu => "Ubuntu",
            DistributionName::Debian => "Debian",
        }
    }
}

/// Which packages, from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Distribution {
    pub name: DistributionName,
    /// Version as people say it ("24.04", "13").
    pub release: String,
    /// Name in the archive ("noble", "trixie").
    pub codename: String,
    /// dpkg architecture ("amd64").
    pub architecture: String,
    pub components: Vec<String>,
    /// Mirrors given by the profile, best first; empty means the host's own and the built-in list.
    pub mirrors: Vec<url::Url>,
    /// Mirrors for the security pocket; empty as above.
    pub security_mirrors: Vec<url::Url>,
    /// Snapshot id, `YYYYMMDDTHHMMSSZ`.
    pub snapshot: Option<String>,
    /// Pockets beside the release itself ("updates", "security").
    pub pockets: Vec<String>,
    /// Keyring file instead of the distribution's own built-in one. Where it lies is no part of the profile's meaning:
    /// the lock pins who signed.
    #[serde(skip)]
    pub keyring: Option<PathBuf>,
    /// Packages asked for: the appliance's base, the kernel, what the profile adds, and what fetches the installers' media.
    pub packages: BTreeSet<String>,
    /// Packages that must not be installed.
    pub exclude: BTreeSet<String>,
    /// Follow Recommends.
    pub recommends: bool,
    /// Kernel package; `None` makes an image without a kernel, that cannot boot by itself.
    pub kernel: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Network {
    pub uplink: Uplink,
    pub provisioning: Provisioning,
    /// The nodes' management controllers, where they have a subnet of their own: nodes are kept out of it.
    pub bmc_subnet: Option<Ipv4Net>,
    /// The appliance forwards nothing from nodes to BMCs.
    pub bmc_filter: bool,
}

/// The side towards the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uplink {
    pub mac: netboot::MacAddr,
    pub addressing: Addressing,
    /// TCP ports open to the site; everything else is dropped there.
    pub allow_tcp: BTreeSet<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addressing {
    Dhcp,
    Static { address: Ipv4Net, gateway: std::net::Ipv4Addr, dns: Vec<std::net::IpAddr> },
}

/// The side towards the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provisioning {
    pub mac: netboot::MacAddr,
    /// The appliance's own address with the subnet's prefix ("10.10.1.1/24").
    pub address: Ipv4Net,
    pub dhcp: Dhcp,
    pub domain: String,
    /// Upstream name servers; empty means those that the uplink's DHCP gave.
    pub dns: Vec<std::net::IpAddr>,
    /// Masquerade the nodes' traffic behind the uplink.
    pub nat: bool,
    /// The nodes' router: the profile's, or the appliance where it masquerades.
    pub gateway: Option<std::net::Ipv4Addr>,
    /// Machines that are not in nodes.toml are started through shim and GRUB, as nodes whose firmware enforces Secure Boot.
    pub secure_boot: bool,
    /// Machines beside the nodes that the appliance gives a name, and an address where their MAC is known.
    pub hosts: Vec<ExtraHost>,
}

/// A switch, a BMC, a storage box: anything on the provisioning network that is not a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExtraHost {
    pub name: Hostname,
    pub address: std::net::Ipv4Addr,
    /// With it the host gets its address by DHCP; without it only a DNS record.
    pub mac: Option<netboot::MacAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dhcp {
    /// dnsmasq is the subnet's DHCP server.
    Authoritative { range: Option<DhcpRange>, lease_seconds: u32 },
    /// The site keeps its DHCP server; dnsmasq adds the boot information only (proxyDHCP).
    Proxy,
}

/// First and last dynamic address, both inside the subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DhcpRange {
    pub first: std::net::Ipv4Addr,
    pub last: std::net::Ipv4Addr,
}

/// What a node can be told to install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installer {
    pub system: netboot::System,
    /// Without one the seeds are made, but no node can be armed.
    pub medium: Option<Medium>,
    pub media: Media,
}

/// The installer's files, as somebody publishes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Medium {
    pub kind: MediumKind,
    pub place: Place,
    pub sha256: Digest,
    /// Bytes, where the profile says so or the file lies here.
    pub size: Option<u64>,
    pub signed: Option<SignedSums>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MediumKind {
    /// ISO 9660 image of Ubuntu's server installer.
    Iso,
    /// debian-installer's netboot.tar.gz.
    Netboot,
}

/// Where a file of the installer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    Url(url::Url),
    /// On this machine. Where it lies is no part of the profile's meaning: the digest says what it is.
    File(#[serde(skip)] PathBuf),
}

/// A signed list of digests that the medium must stand in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedSums {
    /// SHA256SUMS
    pub sums: Place,
    /// SHA256SUMS.gpg
    pub signature: Place,
    /// Keyring file instead of the distribution's own built-in one.
    #[serde(skip)]
    pub keyring: Option<PathBuf>,
}

/// How an installer's medium reaches the appliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Media {
    /// Part of the image.
    Bake,
    /// Fetched and verified by the appliance onto its state disk.
    Fetch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// Open Virtualization Format archive: descriptor, manifest, streamOptimized disk.
    Ova,
    /// streamOptimized VMDK.
    Vmdk,
    /// VMware Workstation machine: .vmx and the writable (monolithicSparse) disk it names.
    Vmx,
    Qcow2,
    /// Sparse raw disk.
    Raw,
}
