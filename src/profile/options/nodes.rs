//! The options of nodes.toml.

use std::net::Ipv4Addr;

use ipnet::Ipv6Net;
use netboot::{BmcKind, Hostname, MacAddr, SecretRef};

use super::Fallback::{Absent, Derived, Required, Value};
use super::{Kind, NONE, Spec, list, option, word};
use crate::profile::word::*;
use crate::vocab::ByteSize;

pub(super) static OPTIONS: &[Spec] = &[
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
    option(
        "node[].disk.wwn",
        word::<Line>(),
        Absent,
        "By World Wide Name, as udev writes it: \"0x...\", for NVMe \"eui....\".",
    ),
    option("node[].disk.path", word::<DevicePath>(), Absent, "By device path: a whole disk below /dev."),
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
    option(
        "node[].bmc.port",
        Kind::Integer { low: 1, high: 65535 },
        Value("443"),
        "TCP port of the BMC's Redfish service.",
    ),
    option("node[].bmc.kind", word::<BmcKind>(), Value("\"redfish\""), "Whose BMC it is."),
    option(
        "node[].bmc.system",
        word::<Line>(),
        Absent,
        "Which system is the node (id, UUID or name), where the BMC answers for several.",
    ),
    option(
        "node[].bmc.credentials",
        word::<SecretRef>(),
        Absent,
        "Where user and password are kept: \"env:NAME\", \"file:PATH\" or \"age:PATH\".",
    ),
    option(
        "node[].bios",
        word::<Name>(),
        Absent,
        "BIOS settings that its board is to have, by their name in the profile ([bios.NAME]).",
    ),
    option("node[].roles", list(&word::<Name>()), NONE, "Words to group nodes by."),
    option(
        "node[].dhcp-options.<option>",
        Kind::Scalar(&<DhcpText as Word>::TYPE),
        Absent,
        "Further DHCP options for this node, by number or dnsmasq's name (`dnsmasq --help dhcp`), as in `ntp-server = \"10.10.1.1\"`.",
    ),
];
