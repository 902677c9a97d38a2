//! The options of profile.toml and of what it imports, the installers' apart.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use netboot::{Hostname, MacAddr, SecretRef};
use url::Url;

use super::Fallback::{Absent, Derived, Required, Value};
use super::{Kind, NONE, Spec, list, option, word};
use crate::profile::bios::AttributeText;
use crate::profile::control::{Duration, Webhook};
use crate::profile::deploy::CertificateDigest;
use crate::profile::word::*;
use crate::profile::{Controller, DhcpRange, DistributionName, Link, OutputFormat};
use crate::vocab::{ByteSize, Digest, Mode};

pub(super) static OPTIONS: &[Spec] = &[
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
        Value("\"4GiB\""),
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
        Derived("the ssh port and 443, the management page"),
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
    // control
    option(
        "control.arming",
        word::<Duration>(),
        Value("\"1h\""),
        "From arming a node until it must have read its answers; then the arming is over.",
    ),
    option(
        "control.silence",
        word::<Duration>(),
        Value("\"30min\""),
        "Without a word from a node that installs, until it counts as stalled.",
    ),
    option(
        "control.first-boot",
        word::<Duration>(),
        Value("\"30min\""),
        "From the end of an installation until the installed system must have reported.",
    ),
    option(
        "control.webhooks",
        list(&word::<Webhook>()),
        NONE,
        "Where every change of a node's state is posted to, as JSON. Whoever holds the image can read these addresses.",
    ),
    // bios
    option(
        "bios.<set>.settings.<attribute>",
        Kind::Plain(&<AttributeText as Word>::TYPE),
        Absent,
        "What a BIOS attribute is to be, by Redfish's name of it: text, whole number, or true or false. Where the board adds a suffix to its names (QuietBoot_0038), with it or without.",
    ),
    option(
        "bios.<set>.sum.<menu>",
        word::<Line>(),
        Absent,
        "What a setting that Redfish does not reach is to be, by its place in the setup's menus (\"Menu|Submenu|Setting\"): Supermicro's SUM applies it, on Supermicro's boards only.",
    ),
    option(
        "sum.path",
        word::<FilePath>(),
        Required,
        "Supermicro's archive of SUM for Linux (sum_*_Linux_x86_64_*.tar.gz), relative to the file that names it. It becomes part of the image.",
    ),
    option("sum.sha256", word::<Digest>(), Required, "Its SHA-256 digest."),
    // deploy
    option(
        "deploy.keep",
        Kind::Integer { low: 0, high: 100 },
        Value("2"),
        "Earlier generations that are kept to roll back to.",
    ),
    option(
        "deploy.health-timeout",
        word::<Duration>(),
        Value("\"10min\""),
        "From the machine's start until it must have said that it runs the new build; then the build before it is started again.",
    ),
    option(
        "deploy.stop-timeout",
        word::<Duration>(),
        Value("\"12min\""),
        "For the guest to shut down by itself, before it is switched off. Its daemon first ends what it does with BMCs, which may take ten minutes.",
    ),
    option(
        "deploy.state-disk",
        word::<ByteSize>(),
        Value("\"20GiB\""),
        "Size of the state disk, a multiple of 1 MiB. It is made at the first deployment and keeps its size.",
    ),
    option(
        "deploy.webhook-key",
        word::<SecretRef>(),
        Absent,
        "Key that webhooks are signed with: \"env:NAME\", \"file:PATH\" or \"age:PATH\", relative to the file that names it.",
    ),
    option(
        "deploy.workstation.directory",
        word::<FilePath>(),
        Derived("~/vmware; from WSL it must be named, on a drive of Windows"),
        "Where VMware Workstation has its machines, relative to the file that names it; the appliance gets a directory of its name in it.",
    ),
    option("deploy.workstation.controller", word::<Controller>(), Value("\"pvscsi\""), "What the disks hang on."),
    option(
        "deploy.workstation.networks.uplink",
        word::<Link>(),
        Value("\"nat\""),
        "The network towards the site: \"nat\", \"bridged\", \"hostonly\" or a name such as \"vmnet8\".",
    ),
    option(
        "deploy.workstation.networks.provisioning",
        word::<Link>(),
        Value("\"bridged\""),
        "The network towards the nodes.",
    ),
    option(
        "deploy.workstation.vmrun",
        word::<FilePath>(),
        Derived("found in PATH and where VMware installs it"),
        "The program vmrun.",
    ),
    option("deploy.workstation.gui", Kind::Flag, Value("false"), "Show the machine's window."),
    option(
        "deploy.workstation.rest.url",
        word::<Url>(),
        Required,
        "Control the machine by vmrest, which answers at this address, instead of vmrun.",
    ),
    option(
        "deploy.workstation.rest.credentials",
        word::<SecretRef>(),
        Required,
        "Its user and password (\"user:password\"), by reference.",
    ),
    option("deploy.vsphere.url", word::<Url>(), Required, "vCenter, or a single ESXi host: https://HOST."),
    option(
        "deploy.vsphere.credentials",
        word::<SecretRef>(),
        Required,
        "User and password (\"user:password\"), by reference: \"env:NAME\", \"file:PATH\" or \"age:PATH\".",
    ),
    option(
        "deploy.vsphere.certificate",
        word::<CertificateDigest>(),
        Derived("an authority that this host trusts has signed it"),
        "SHA-256 fingerprint of the server's certificate.",
    ),
    option(
        "deploy.vsphere.authorities",
        word::<FilePath>(),
        Absent,
        "Certificate authorities of the site's own (PEM), relative to the file that names it.",
    ),
    option(
        "deploy.vsphere.datacenter",
        word::<Line>(),
        Derived("the only one"),
        "Datacenter, by its name or its path in the inventory.",
    ),
    option("deploy.vsphere.compute", word::<Line>(), Derived("the only one"), "Cluster or host."),
    option(
        "deploy.vsphere.resource-pool",
        word::<Line>(),
        Derived("that of the cluster or host"),
        "Resource pool below it.",
    ),
    option("deploy.vsphere.folder", word::<Line>(), Derived("the datacenter's"), "Folder of virtual machines."),
    option("deploy.vsphere.datastore", word::<Line>(), Required, "Datastore that the disks lie on."),
    option("deploy.vsphere.networks.uplink", word::<Line>(), Required, "Port group towards the site."),
    option("deploy.vsphere.networks.provisioning", word::<Line>(), Required, "Port group towards the nodes."),
    // files
    option("files.<path>.text", word::<Text>(), Absent, "Content of a file that is added to the image."),
    option(
        "files.<path>.source",
        word::<FilePath>(),
        Absent,
        "File to copy it from instead, relative to the file that names it; at most 16 MiB.",
    ),
    option("files.<path>.mode", word::<Mode>(), Value("\"0644\""), "Its mode; it belongs to root."),
    // outputs
    option("outputs.formats", list(&word::<OutputFormat>()), Value("[\"ova\", \"vmdk\", \"vmx\"]"), "Files to write."),
];
