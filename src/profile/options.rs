//! Every option that profile.toml and nodes.toml know: where it stands, what it holds, its default, what it is for.
//!
//! This table is the only description: the check of unknown keys and types, the defaults, `provbuild options` and the
//! JSON Schema all read it, and a test holds the decoder to it. In a path `<word>` is a key that the user chooses and
//! `[]` an array of tables.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use ipnet::{Ipv4Net, Ipv6Net};
use netboot::{BmcKind, Hostname, MacAddr, SecretRef};
use url::Url;

use super::word::*;
use super::{DhcpRange, DistributionName, Media, OutputFormat};
use crate::vocab::{ByteSize, Digest, ImagePath, Mode};

/// What an option holds.
#[derive(Debug)]
pub(super) enum Kind {
    Flag,
    Integer {
        low: i64,
        high: i64,
    },
    Word(&'static WordType),
    /// A text, a whole number or true/false, kept as text.
    Scalar(&'static WordType),
    List(&'static Kind),
}

/// What holds where the option is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fallback {
    /// It must be written (where the table around it is).
    Required,
    /// Nothing.
    Absent,
    /// A value, in TOML.
    Value(&'static str),
    /// Something that follows from the rest, told in words.
    Derived(&'static str),
}

/// One option.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Fallback,
    pub(super) doc: &'static str,
}

const fn word<T: Word>() -> Kind {
    Kind::Word(&T::TYPE)
}

const fn list(of: &'static Kind) -> Kind {
    Kind::List(of)
}

const fn option(path: &'static str, kind: Kind, default: Fallback, doc: &'static str) -> Spec {
    Spec { path, kind, default, doc }
}

use Fallback::{Absent, Derived, Required, Value};

const NONE: Fallback = Value("[]");

/// The options of a profile and of what it imports.
pub(super) static PROFILE: &[Spec] = &[
    option(
        "imports",
        list(&word::<FilePath>()),
        NONE,
        "Profiles that this one builds on, relative to this file. This file wins over its imports, a later import over an earlier one; tables merge, lists follow one another (write `key = { replace = [...] }` to start a list anew).",
    ),
    option(
        "nodes",
        word::<FilePath>(),
        Derived("nodes.toml beside the profile, where there is one"),
        "The inventory of nodes, relative to the file that names it.",
    ),
    // appliance
    option("appliance.name", word::<Name>(), Required, "Names the output directory and everything in it."),
    option("appliance.hostname", word::<Hostname>(), Derived("the name"), "Host name of the appliance."),
    option(
        "appliance.memory",
        word::<ByteSize>(),
        Value("\"2GiB\""),
        "Memory of the virtual machine, a multiple of 4 MiB.",
    ),
    option("appliance.cpus", Kind::Integer { low: 1, high: 128 }, Value("2"), "Virtual processors."),
    option(
        "appliance.disk",
        word::<ByteSize>(),
        Value("\"25GiB\""),
        "Size of the system disk, a multiple of 1 MiB. Images are sparse: what is unused costs nothing.",
    ),
    option("appliance.timezone", word::<Timezone>(), Value("\"Etc/UTC\""), "IANA time zone."),
    option("appliance.locale", word::<Locale>(), Value("\"C.UTF-8\""), "System locale."),
    option(
        "appliance.secure-boot",
        Kind::Flag,
        Value("true"),
        "The virtual machine's firmware enforces UEFI Secure Boot.",
    ),
    option(
        "appliance.kernel-parameters",
        list(&word::<KernelParameter>()),
        NONE,
        "Parameters added to the kernel's command line.",
    ),
    option(
        "appliance.sysctl.<setting>",
        Kind::Scalar(&<Line as Word>::TYPE),
        Absent,
        "Kernel settings, as in sysctl.d(5); quote the name, it has dots.",
    ),
    option("appliance.ssh.port", Kind::Integer { low: 1, high: 65535 }, Value("22"), "Port of the ssh server."),
    option(
        "appliance.ssh.password-authentication",
        Kind::Flag,
        Value("false"),
        "Accept passwords beside keys. Root never logs in.",
    ),
    option(
        "appliance.users.<user>.ssh-keys",
        list(&word::<SshKey>()),
        NONE,
        "Public keys, one authorized_keys line each.",
    ),
    option("appliance.users.<user>.sudo", Kind::Flag, Value("false"), "May become root by sudo without a password."),
    option(
        "appliance.users.<user>.password-hash",
        word::<PasswordHash>(),
        Absent,
        "crypt(3) hash of a password, for the console. Whoever holds the image can read it and guess: prefer keys.",
    ),
    // distribution
    option("distribution.name", word::<DistributionName>(), Required, "The appliance's distribution."),
    option("distribution.release", word::<ReleaseName>(), Required, "Its release, by version or codename."),
    option("distribution.architecture", word::<ArchiveWord>(), Value("\"amd64\""), "dpkg architecture."),
    option(
        "distribution.components",
        list(&word::<ArchiveWord>()),
        Derived("main; on Ubuntu main and universe"),
        "Components of the archive to take packages from.",
    ),
    option(
        "distribution.pockets",
        list(&word::<ArchiveWord>()),
        Derived("updates and security"),
        "Pockets beside the release itself.",
    ),
    option(
        "distribution.mirrors",
        list(&word::<Url>()),
        Derived("the mirror of the host's own apt where it runs this distribution, then the built-in list"),
        "Mirrors, best first: https, http or file.",
    ),
    option(
        "distribution.security-mirrors",
        list(&word::<Url>()),
        Derived("as for mirrors"),
        "Mirrors of the security pocket, best first.",
    ),
    option(
        "distribution.snapshot",
        word::<Snapshot>(),
        Absent,
        "State of the archive to take, from the distribution's snapshot service.",
    ),
    option(
        "distribution.keyring",
        word::<FilePath>(),
        Derived("the distribution's archive keys, built in"),
        "OpenPGP keyring that signs the archive, relative to the file that names it.",
    ),
    option(
        "distribution.packages",
        list(&word::<PackageName>()),
        NONE,
        "Packages to install; what they depend on follows.",
    ),
    option("distribution.exclude", list(&word::<PackageName>()), NONE, "Packages that must not be installed."),
    option("distribution.recommends", Kind::Flag, Value("false"), "Install recommended packages as well."),
    option(
        "distribution.kernel",
        word::<PackageName>(),
        Derived("the release's kernel for virtual machines"),
        "Kernel package; \"none\" makes an image that cannot boot by itself.",
    ),
    // network
    option(
        "network.uplink.mac",
        word::<MacAddr>(),
        Derived("from the name, in VMware's static range"),
        "MAC address of the NIC towards the site.",
    ),
    option("network.uplink.address", word::<Ipv4Net>(), Derived("by DHCP"), "Static address with prefix length."),
    option("network.uplink.gateway", word::<Ipv4Addr>(), Absent, "Default gateway; required with a static address."),
    option(
        "network.uplink.dns",
        list(&word::<IpAddr>()),
        NONE,
        "Name servers that the appliance itself asks; with a static address.",
    ),
    option(
        "network.uplink.allow-tcp",
        list(&Kind::Integer { low: 1, high: 65535 }),
        Derived("the ssh port"),
        "TCP ports open towards the site; everything else is dropped there.",
    ),
    option(
        "network.provisioning.mac",
        word::<MacAddr>(),
        Derived("from the name, in VMware's static range"),
        "MAC address of the NIC towards the nodes.",
    ),
    option(
        "network.provisioning.address",
        word::<Ipv4Net>(),
        Required,
        "The appliance's address on the provisioning network, with the subnet's prefix length.",
    ),
    option(
        "network.provisioning.mode",
        word::<DhcpMode>(),
        Value("\"authoritative\""),
        "\"authoritative\": the appliance is the subnet's DHCP server. \"proxy\": the site keeps its own, the appliance adds the boot information only.",
    ),
    option(
        "network.provisioning.dhcp.range",
        word::<DhcpRange>(),
        Derived("none: only known machines get an address"),
        "Addresses for machines that are not in nodes.toml, first and last.",
    ),
    option("network.provisioning.dhcp.lease", word::<LeaseTime>(), Value("\"12h\""), "How long a lease lasts."),
    option("network.provisioning.domain", word::<Domain>(), Value("\"lab.internal\""), "DNS domain of the nodes."),
    option(
        "network.provisioning.dns",
        list(&word::<IpAddr>()),
        Derived("those of the uplink"),
        "Name servers that the appliance forwards the nodes' questions to.",
    ),
    option(
        "network.provisioning.nat",
        Kind::Flag,
        Value("true"),
        "Nodes reach the site's network through the appliance.",
    ),
    option(
        "network.provisioning.gateway",
        word::<Ipv4Addr>(),
        Derived("the appliance where it masquerades, else none"),
        "The nodes' router.",
    ),
    option(
        "network.provisioning.secure-boot",
        Kind::Flag,
        Value("false"),
        "Start machines that are not in nodes.toml, and nodes that do not say otherwise, through the signed shim and GRUB.",
    ),
    option(
        "network.provisioning.host[].name",
        word::<Hostname>(),
        Required,
        "Name of a machine that is not a node: a switch, a storage box.",
    ),
    option("network.provisioning.host[].address", word::<Ipv4Addr>(), Required, "Its address."),
    option("network.provisioning.host[].mac", word::<MacAddr>(), Absent, "Its MAC address, if it asks by DHCP."),
    option(
        "network.bmc.subnet",
        word::<Ipv4Net>(),
        Absent,
        "Subnet of the nodes' BMCs where they have one of their own; nodes cannot reach it through the appliance.",
    ),
    option(
        "network.bmc.filter",
        Kind::Flag,
        Value("true"),
        "Keep the nodes off the BMCs: the appliance forwards nothing to their addresses.",
    ),
    // files
    option("files.<path>.text", word::<Text>(), Absent, "Content of a file that is added to the image."),
    option(
        "files.<path>.source",
        word::<FilePath>(),
        Absent,
        "File to copy it from instead, relative to the file that names it; at most 16 MiB.",
    ),
    option("files.<path>.mode", word::<Mode>(), Value("\"0644\""), "Its mode; it belongs to root."),
    // installers
    option("installer.<installer>.distribution", word::<DistributionName>(), Required, "What it installs."),
    option("installer.<installer>.release", word::<ReleaseName>(), Required, "Which release."),
    option("installer.<installer>.iso.url", word::<Url>(), Absent, "The installer's ISO: where it is fetched from."),
    option(
        "installer.<installer>.iso.path",
        word::<FilePath>(),
        Absent,
        "The installer's ISO: a file of this machine instead, relative to the file that names it.",
    ),
    option("installer.<installer>.iso.sha256", word::<Digest>(), Required, "Its SHA-256 digest."),
    option(
        "installer.<installer>.iso.size",
        word::<ByteSize>(),
        Derived("the file's size, or what such an ISO usually has"),
        "Its size, for the check that a node's memory can hold it.",
    ),
    option(
        "installer.<installer>.iso.sums",
        word::<FilePath>(),
        Absent,
        "SHA256SUMS that must list the digest: URL, or file relative to the file that names it.",
    ),
    option(
        "installer.<installer>.iso.signature",
        word::<FilePath>(),
        Absent,
        "SHA256SUMS.gpg, its signature: URL or file.",
    ),
    option(
        "installer.<installer>.iso.keyring",
        word::<FilePath>(),
        Derived("the keys that sign the distribution's media, built in"),
        "OpenPGP keyring that signs it, relative to the file that names it.",
    ),
    option(
        "installer.<installer>.netboot.url",
        word::<Url>(),
        Absent,
        "debian-installer's netboot.tar.gz: where it is fetched from.",
    ),
    option(
        "installer.<installer>.netboot.path",
        word::<FilePath>(),
        Absent,
        "debian-installer's netboot.tar.gz: a file of this machine instead, relative to the file that names it.",
    ),
    option("installer.<installer>.netboot.sha256", word::<Digest>(), Required, "Its SHA-256 digest."),
    option(
        "installer.<installer>.media",
        word::<Media>(),
        Value("\"fetch\""),
        "\"fetch\": the appliance fetches and verifies the medium onto its state disk. \"bake\": it is part of the image.",
    ),
    option("installer.<installer>.locale", word::<Locale>(), Derived("the appliance's"), "Locale of the nodes."),
    option("installer.<installer>.timezone", word::<Timezone>(), Derived("the appliance's"), "Their IANA time zone."),
    option(
        "installer.<installer>.keyboard.layout",
        word::<KeyboardWord>(),
        Value("\"us\""),
        "Keyboard layout, as in keyboard(5).",
    ),
    option("installer.<installer>.keyboard.variant", word::<KeyboardWord>(), Absent, "Its variant."),
    option(
        "installer.<installer>.account.name",
        word::<UserName>(),
        Derived("the appliance's first user with sudo, else \"ubuntu\" or \"debian\""),
        "The account of the nodes; it becomes root by sudo.",
    ),
    option(
        "installer.<installer>.account.password-hash",
        word::<PasswordHash>(),
        Absent,
        "crypt(3) hash of its password, for the console. It stands in the seed that the node reads: prefer keys.",
    ),
    option(
        "installer.<installer>.account.ssh-keys",
        list(&word::<SshKey>()),
        Derived("the keys of all users of the appliance"),
        "Public keys that open it, one authorized_keys line each.",
    ),
    option(
        "installer.<installer>.addressing",
        word::<NodeAddressing>(),
        Value("\"dhcp\""),
        "\"dhcp\": nodes ask the network for their address at each boot. \"static\": it is written into their configuration.",
    ),
    option(
        "installer.<installer>.storage.layout",
        word::<StorageLayout>(),
        Value("\"direct\""),
        "How a node's disk is divided.",
    ),
    option(
        "installer.<installer>.storage.sizing",
        word::<VolumeSizing>(),
        Value("\"all\""),
        "With \"lvm\": the root volume takes \"all\" of the disk, or is \"scaled\" and leaves room for others.",
    ),
    option(
        "installer.<installer>.storage.partition[].mount",
        word::<ImagePath>(),
        Absent,
        "With \"partitions\": mount point. One partition has \"/\"; swap has none.",
    ),
    option(
        "installer.<installer>.storage.partition[].size",
        word::<ByteSize>(),
        Absent,
        "Its size; the last partition may leave it out and take the rest of the disk.",
    ),
    option(
        "installer.<installer>.storage.partition[].format",
        word::<PartitionFormat>(),
        Value("\"ext4\""),
        "Its file system, or \"swap\".",
    ),
    option(
        "installer.<installer>.mirror",
        word::<Url>(),
        Derived("the distribution's own"),
        "Archive that nodes install packages from: http or https.",
    ),
    option(
        "installer.<installer>.packages",
        list(&word::<PackageName>()),
        NONE,
        "Packages that a node gets beside the installer's own.",
    ),
    option(
        "installer.<installer>.early-commands",
        list(&word::<Line>()),
        NONE,
        "Shell commands before the disk is touched.",
    ),
    option(
        "installer.<installer>.late-commands",
        list(&word::<Line>()),
        NONE,
        "Shell commands at the end of an installation, with the new system at /target.",
    ),
    option(
        "installer.<installer>.kernel-parameters",
        list(&word::<KernelParameter>()),
        NONE,
        "Added to the kernel's command line, of the installer and of the installed system.",
    ),
    // outputs
    option("outputs.formats", list(&word::<OutputFormat>()), Value("[\"ova\", \"vmdk\", \"vmx\"]"), "Files to write."),
];

/// The options of nodes.toml.
pub(super) static NODES: &[Spec] = &[
    option("node[].hostname", word::<Hostname>(), Required, "Host name, unique."),
    option(
        "node[].mac",
        word::<MacAddr>(),
        Required,
        "MAC address of the NIC that boots and that the operating system uses.",
    ),
    option(
        "node[].address",
        word::<Ipv4Addr>(),
        Required,
        "Address of that NIC, in the provisioning subnet and outside its dynamic range.",
    ),
    option(
        "node[].address6",
        word::<Ipv6Net>(),
        Absent,
        "Its IPv6 address with the subnet's prefix length: answered by name, and configured where addressing is static.",
    ),
    option(
        "node[].addresses.<network>",
        word::<Ipv4Addr>(),
        Absent,
        "Its address on a further network, as in `ceph = \"10.20.0.21\"`; answered as HOSTNAME-NETWORK.",
    ),
    option(
        "node[].memory",
        word::<ByteSize>(),
        Absent,
        "Its memory: an installer that is loaded into memory must fit.",
    ),
    option(
        "node[].secure-boot",
        Kind::Flag,
        Derived("network.provisioning.secure-boot"),
        "Its firmware enforces Secure Boot: it is started through the signed shim and GRUB.",
    ),
    option(
        "node[].install",
        word::<Name>(),
        Absent,
        "Installer to use, by its name in the profile; without one the node is only known.",
    ),
    option(
        "node[].disk.serial",
        word::<Line>(),
        Absent,
        "The disk to install on, by serial number; a shell glob, as the next ones.",
    ),
    option("node[].disk.model", word::<Line>(), Absent, "By model."),
    option("node[].disk.vendor", word::<Line>(), Absent, "By vendor."),
    option("node[].disk.wwn", word::<Line>(), Absent, "By World Wide Name."),
    option("node[].disk.path", word::<ImagePath>(), Absent, "By device path."),
    option("node[].disk.min-size", word::<ByteSize>(), Absent, "At least this large."),
    option("node[].disk.max-size", word::<ByteSize>(), Absent, "At most this large."),
    option("node[].disk.ssd", Kind::Flag, Absent, "Solid state or rotating."),
    option("node[].bmc.address", word::<Ipv4Addr>(), Required, "Address of the node's BMC."),
    option(
        "node[].bmc.mac",
        word::<MacAddr>(),
        Absent,
        "MAC address of the BMC, if the appliance gives it its address.",
    ),
    option("node[].bmc.kind", word::<BmcKind>(), Value("\"redfish\""), "Whose BMC it is."),
    option(
        "node[].bmc.credentials",
        word::<SecretRef>(),
        Absent,
        "Where user and password are kept: \"env:NAME\", \"file:PATH\" or \"age:PATH\".",
    ),
    option("node[].roles", list(&word::<Name>()), NONE, "Words to group nodes by."),
    option(
        "node[].dhcp-options.<option>",
        word::<Line>(),
        Absent,
        "Further DHCP options for this node, by number or dnsmasq's name.",
    ),
];

/// The option at a path of either table.
pub(super) fn spec(path: &str) -> Option<&'static Spec> {
    static BY_PATH: LazyLock<HashMap<&'static str, &'static Spec>> =
        LazyLock::new(|| PROFILE.iter().chain(NODES).map(|spec| (spec.path, spec)).collect());
    BY_PATH.get(path).copied()
}

/// What a user's own key must look like, by the word between `<` and `>`.
pub(super) fn key_type(word: &str) -> &'static WordType {
    match word {
        "user" => &<UserName as Word>::TYPE,
        "path" => &<ImagePath as Word>::TYPE,
        "setting" => &<Setting as Word>::TYPE,
        "option" => &<DhcpOption as Word>::TYPE,
        _ => &<Name as Word>::TYPE,
    }
}

/// The table of options as a tree.
#[derive(Debug)]
pub(super) enum Shape {
    Leaf(&'static Spec),
    Table(BTreeMap<&'static str, Shape>),
    /// A table whose keys the user chooses.
    Map {
        key: &'static str,
        value: Box<Shape>,
    },
    /// An array of tables.
    Tables(Box<Shape>),
}

pub(super) static PROFILE_SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::of(PROFILE));
pub(super) static NODES_SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::of(NODES));

impl Shape {
    fn of(specs: &'static [Spec]) -> Shape {
        let mut root = Shape::Table(BTreeMap::new());
        for spec in specs {
            root.insert(spec.path, spec);
        }
        root
    }

    fn insert(&mut self, path: &'static str, spec: &'static Spec) {
        let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
        let fresh = |rest: Option<&'static str>| match rest {
            None => Shape::Leaf(spec),
            Some(rest) => match rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
                Some((key, _)) => Shape::Map { key, value: Box::new(Shape::Table(BTreeMap::new())) },
                None => Shape::Table(BTreeMap::new()),
            },
        };
        let child = match self {
            Shape::Table(children) => match head.strip_suffix("[]") {
                Some(name) => match children.entry(name).or_insert_with(|| Shape::Tables(Box::new(fresh(rest)))) {
                    Shape::Tables(item) => &mut **item,
                    _ => unreachable!("an option is either an array of tables or not"),
                },
                None => children.entry(head).or_insert_with(|| fresh(rest)),
            },
            Shape::Map { value, .. } => {
                if rest.is_none() {
                    **value = Shape::Leaf(spec);
                }
                &mut **value
            }
            _ => unreachable!("no option stands below another"),
        };
        if let Some(rest) = rest {
            child.insert(rest, spec);
        }
    }
}
