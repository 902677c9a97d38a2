//! The `[network]` tables -> [`Network`], and what must hold between addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use netboot::{Hostname, MacAddr};

use super::fault::Fault;
use super::reader::{At, Decoding, Section};
use super::source::Span;
use super::word::*;
use super::*;
use crate::vocab::Digest;

/// TCP port of the management page and the API.
const PAGE: u16 = 443;

/// A network and the places of what other checks compare with.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// `None` where a fault was reported.
    pub(super) network: Option<Network>,
    pub(super) address: Option<At<Ipv4Net>>,
    pub(super) range: Option<At<DhcpRange>>,
    pub(super) bmc_subnet: Option<At<Ipv4Net>>,
    /// Where the filter between nodes and BMCs is switched off.
    pub(super) unfiltered: Option<Span>,
    /// Where the profile says that the site keeps its DHCP server.
    pub(super) proxy: Option<Span>,
    pub(super) gateway: Option<At<Ipv4Addr>>,
    pub(super) uplink: Option<At<Ipv4Net>>,
    /// The router of the uplink's network.
    pub(super) uplink_gateway: Option<At<Ipv4Addr>>,
    pub(super) hosts: Vec<(ExtraHost, HostPlaces)>,
    /// The appliance's own, where they are written.
    pub(super) macs: Vec<At<MacAddr>>,
    /// What nodes do that do not say otherwise.
    pub(super) secure_boot: bool,
}

#[derive(Debug)]
pub(super) struct HostPlaces {
    pub(super) name: Span,
    pub(super) address: Span,
    pub(super) mac: Option<Span>,
}

pub(super) fn network(cx: &mut Decoding, root: &Section<'_>, name: Option<&str>, ssh_port: Option<u16>) -> Decoded {
    let section = root.section("network");
    let UplinkAt { uplink, mac: uplink_mac, address: uplink_net, gateway: uplink_gateway } =
        uplink(cx, &section.section("uplink"), name, ssh_port);
    let provisioning = section.section("provisioning");
    let mac = provisioning.word::<MacAddr>(cx, "mac");
    let address = provisioning.word::<Ipv4Net>(cx, "address");
    let mode = provisioning.word::<DhcpMode>(cx, "mode");
    let dhcp = provisioning.section("dhcp");
    let range = dhcp.word::<DhcpRange>(cx, "range");
    let lease = dhcp.word::<LeaseTime>(cx, "lease");
    let domain = provisioning.word::<Domain>(cx, "domain");
    let dns = provisioning.words::<IpAddr>(cx, "dns");
    let nat = provisioning.flag(cx, "nat");
    let gateway = provisioning.word::<Ipv4Addr>(cx, "gateway");
    let secure_boot = provisioning.flag(cx, "secure-boot");
    let hosts = hosts(cx, &provisioning);
    let bmc = section.section("bmc");
    let bmc_subnet = bmc.word::<Ipv4Net>(cx, "subnet");
    let bmc_filter = bmc.flag(cx, "filter");

    let proxy = mode.as_ref().filter(|mode| mode.value == DhcpMode::Proxy).map(|mode| mode.span);
    for (key, what) in [("range", "a range"), ("lease", "a lease time")] {
        // What comes from an import cannot be taken back by a profile that chooses another mode: it is passed over.
        if let (Some(mode), Some(span)) = (proxy, dhcp.key(key))
            && mode.file == span.file
        {
            let fault = Fault::new(format!("{what} has no meaning where the site keeps its DHCP server"));
            let fault = fault.label(span, "").label(mode, "this mode leaves addresses to the site");
            cx.fault(fault.help(format!("remove `{key}`, or use mode = \"authoritative\"")));
        }
    }
    let range = range.filter(|_| proxy.is_none());

    let address = address.filter(|address| usable(cx, address));
    if let Some(address) = &address {
        for (other, what) in [(&uplink_net, "uplink"), (&bmc_subnet, "BMC network")] {
            if let Some(other) = other
                && (other.value.contains(&address.value.network()) || address.value.contains(&other.value.network()))
            {
                let fault = Fault::new(format!("the provisioning network and the {what} overlap"));
                let fault = fault.label(address.span, "provisioning").label(other.span, what);
                cx.fault(fault.help("give each its own subnet"));
            }
        }
    }
    if let (Some(range), Some(address)) = (&range, &address) {
        check_range(cx, range, address);
    }
    if let (Some(gateway), Some(address)) = (&gateway, &address) {
        check_gateway(cx, gateway, address, range.as_ref());
    }
    let unfiltered = bmc.key("filter").filter(|_| bmc_filter == Some(false));
    let macs = [&uplink_mac, &mac].into_iter().flatten().cloned().collect();
    let derived = |role| name.map(|name| derived_mac(name, role));
    let mac = mac.map(|at| at.value).or_else(|| derived(Role::Provisioning));
    let network = || {
        Some(Network {
            uplink: uplink?,
            provisioning: Provisioning {
                mac: mac?,
                address: address.as_ref()?.value,
                dhcp: match mode?.value {
                    DhcpMode::Proxy => Dhcp::Proxy,
                    DhcpMode::Authoritative => {
                        Dhcp::Authoritative { range: range.as_ref().map(|at| at.value), lease_seconds: lease?.value.0 }
                    }
                },
                domain: domain?.value.0,
                dns: dns.into_iter().map(|at| at.value).collect(),
                nat: nat?,
                gateway: gateway.as_ref().map(|at| at.value).or_else(|| nat?.then_some(address.as_ref()?.value.addr())),
                secure_boot: secure_boot?,
                hosts: hosts.iter().map(|(host, _)| host.clone()).collect(),
            },
            bmc_subnet: bmc_subnet.as_ref().map(|at| at.value.trunc()),
            bmc_filter: bmc_filter?,
        })
    };
    Decoded {
        network: network(),
        address,
        range,
        bmc_subnet,
        unfiltered,
        proxy,
        gateway,
        uplink: uplink_net,
        uplink_gateway,
        hosts,
        macs,
        secure_boot: secure_boot.unwrap_or(false),
    }
}

/// The uplink, where it is sound, and what other checks compare with.
struct UplinkAt {
    uplink: Option<Uplink>,
    mac: Option<At<MacAddr>>,
    address: Option<At<Ipv4Net>>,
    gateway: Option<At<Ipv4Addr>>,
}

fn uplink(cx: &mut Decoding, section: &Section<'_>, name: Option<&str>, ssh_port: Option<u16>) -> UplinkAt {
    let mac = section.word::<MacAddr>(cx, "mac");
    let address = section.word::<Ipv4Net>(cx, "address");
    let gateway = section.word::<Ipv4Addr>(cx, "gateway");
    let dns = section.words::<IpAddr>(cx, "dns");
    let allow_tcp: BTreeSet<u16> = section.integers::<u16>(cx, "allow-tcp").into_iter().map(|at| at.value).collect();

    let written = address.is_some();
    let address = address.filter(|address| usable(cx, address));
    let mut neighbour = None;
    if let Some(address) = &address {
        match &gateway {
            None if section.key("gateway").is_none() => {
                let fault = Fault::at(address.span, "a static uplink address needs a gateway");
                cx.fault(fault.help("add `gateway = \"...\"`, an address of the same subnet"));
            }
            Some(gateway) if !address.value.contains(&gateway.value) || gateway.value == address.value.addr() => {
                let fault =
                    Fault::new(format!("the gateway {} is not a neighbour of the uplink's address", gateway.value));
                let net = address.value.trunc();
                let fault = fault.label(gateway.span, "").label(address.span, format!("the subnet is {net}"));
                cx.fault(fault.help(between(net, Some(address.value.addr()))));
            }
            _ => neighbour = gateway.clone(),
        }
    } else if section.key("address").is_none() {
        for key in ["gateway", "dns"] {
            if let Some(span) = section.key(key) {
                let fault = Fault::at(span, format!("`{key}` has no effect where the uplink's address comes by DHCP"));
                cx.fault(fault.help("add `address = \"...\"`, or leave it out"));
            }
        }
    }
    let allow_tcp = match section.key("allow-tcp") {
        Some(span) => {
            if let Some(port) = ssh_port
                && !allow_tcp.contains(&port)
            {
                let warning = Fault::at(span, format!("the ssh port {port} is closed towards the site"));
                cx.warn(warning.help(format!("add {port} unless the appliance is managed from the provisioning side")));
            }
            if !allow_tcp.contains(&PAGE) {
                let warning = Fault::at(span, format!("the management page's port {PAGE} is closed towards the site"));
                let help = format!("add {PAGE}: page and API answer on the uplink only, the nodes' side has neither");
                cx.warn(warning.help(help));
            }
            allow_tcp
        }
        None => ssh_port.into_iter().chain([PAGE]).collect(),
    };
    let addressing = match (&address, gateway) {
        (Some(address), Some(gateway)) => Some(Addressing::Static {
            address: address.value,
            gateway: gateway.value,
            dns: dns.into_iter().map(|at| at.value).collect(),
        }),
        (Some(_), None) => None,
        (None, _) if written => None,
        (None, _) => Some(Addressing::Dhcp),
    };
    let value = mac.as_ref().map(|at| at.value).or_else(|| Some(derived_mac(name?, Role::Uplink)));
    let uplink = || Some(Uplink { mac: value?, addressing: addressing?, allow_tcp });
    UplinkAt { uplink: uplink(), mac, address, gateway: neighbour }
}

fn hosts(cx: &mut Decoding, provisioning: &Section<'_>) -> Vec<(ExtraHost, HostPlaces)> {
    let mut hosts = Vec::new();
    for section in provisioning.tables("host") {
        let name = section.word::<Hostname>(cx, "name");
        let address = section.word::<Ipv4Addr>(cx, "address");
        let mac = section.word::<MacAddr>(cx, "mac");
        if let (Some(name), Some(address)) = (name, address) {
            let places = HostPlaces { name: name.span, address: address.span, mac: mac.as_ref().map(|at| at.span) };
            let mac = mac.map(|at| at.value);
            hosts.push((ExtraHost { name: name.value, address: address.value, mac }, places));
        }
    }
    hosts
}

/// An interface's own address is neither the subnet's first nor its last. `false` where it is no machine's at all: then nothing
/// else is compared with it.
fn usable(cx: &mut Decoding, address: &At<Ipv4Net>) -> bool {
    let (net, own) = (address.value, address.value.addr());
    if own.is_loopback() || own.is_multicast() || own.is_unspecified() || own.is_broadcast() {
        let fault = Fault::at(address.span, format!("{own} is not the address of a machine"));
        cx.fault(fault.help("write the appliance's own address in that network, as in \"10.10.1.1/24\""));
        return false;
    }
    if own == net.network() || own == net.broadcast() {
        let which = if own == net.network() { "network" } else { "broadcast" };
        let fault = Fault::at(address.span, format!("{own} is the {which} address of {}", net.trunc()));
        let first = Ipv4Addr::from_bits(net.network().to_bits() + 1);
        cx.fault(fault.help(format!("write the machine's own address, for example \"{first}/{}\"", net.prefix_len())));
    }
    true
}

/// What to choose in a subnet, where `taken` is somebody's already.
pub(super) fn between(net: Ipv4Net, taken: Option<Ipv4Addr>) -> String {
    let (mut first, mut last) = (net.network().to_bits() + 1, net.broadcast().to_bits() - 1);
    let taken = taken.filter(|taken| net.contains(taken));
    match taken.map(Ipv4Addr::to_bits) {
        Some(taken) if taken == first => first += 1,
        Some(taken) if taken == last => last -= 1,
        Some(taken) => {
            let [first, last, taken] = [first, last, taken].map(Ipv4Addr::from_bits);
            return format!("choose from {first} to {last}, but not {taken}");
        }
        None => {}
    }
    format!("choose from {} to {}", Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(last))
}

fn check_range(cx: &mut Decoding, range: &At<DhcpRange>, address: &At<Ipv4Net>) {
    let (net, DhcpRange { first, last }) = (address.value.trunc(), range.value);
    let own = Some(address.value.addr());
    let both = |message: String, text: &str| Fault::new(message).label(range.span, "").label(address.span, text);
    if !net.contains(&first) || !net.contains(&last) {
        cx.fault(
            both(format!("the range {first}-{last} leaves the subnet {net}"), "the subnet").help(between(net, own)),
        );
    } else if (first..=last).contains(&address.value.addr()) {
        let fault = both("the range contains the appliance's own address".to_owned(), "this address");
        cx.fault(fault.help("start the range behind it, or end it before"));
    } else if first == net.network() || last == net.broadcast() {
        let fault = Fault::at(range.span, format!("the range contains the network or broadcast address of {net}"));
        cx.fault(fault.help(between(net, own)));
    }
}

/// The nodes' router is a neighbour of theirs, and nobody else gets its address.
fn check_gateway(cx: &mut Decoding, gateway: &At<Ipv4Addr>, address: &At<Ipv4Net>, range: Option<&At<DhcpRange>>) {
    let (net, router) = (address.value.trunc(), gateway.value);
    if !net.contains(&router) {
        let fault = Fault::new(format!("the gateway {router} lies outside the subnet {net}"));
        let fault = fault.label(gateway.span, "").label(address.span, "the provisioning subnet");
        cx.fault(fault.help("nodes reach a router only inside their own subnet"));
    } else if router == net.network() || router == net.broadcast() {
        let fault = Fault::at(gateway.span, format!("{router} is the network or broadcast address of {net}"));
        cx.fault(fault.help(between(net, None)));
    } else if let Some(range) = range
        && (range.value.first..=range.value.last).contains(&router)
    {
        let fault = Fault::new(format!("the gateway {router} lies inside the dynamic range"));
        let fault = fault.label(gateway.span, "").label(range.span, "given to machines that are not listed");
        cx.fault(fault.help("write the router's own address, or end the range before it"));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Uplink,
    Provisioning,
}

/// An address in VMware's range for addresses set by hand, 00:50:56:00:00:00 to 00:50:56:3f:ff:ff. The name decides on
/// 21 bits, the role on the last one: the two of an appliance never clash.
fn derived_mac(name: &str, role: Role) -> MacAddr {
    let digest = Digest::of(format!("provbuild mac {name}").as_bytes());
    let [a, b, c, ..] = *digest.as_bytes();
    MacAddr::from_bytes([0x00, 0x50, 0x56, a & 0x3f, b, c & 0xfe | u8::from(role == Role::Provisioning)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_addresses_are_stable_and_stay_in_vmwares_range() {
        for name in ["mylab", "ubuntu", "x", ""] {
            let (uplink, provisioning) = (derived_mac(name, Role::Uplink), derived_mac(name, Role::Provisioning));
            assert_ne!(uplink, provisioning);
            for mac in [uplink, provisioning] {
                assert_eq!(mac.bytes()[..3], [0x00, 0x50, 0x56]);
                assert!(mac.bytes()[3] <= 0x3f, "{mac}");
            }
        }
        assert_eq!(derived_mac("mylab", Role::Uplink), derived_mac("mylab", Role::Uplink));
        assert_ne!(derived_mac("mylab", Role::Uplink), derived_mac("mylab2", Role::Uplink));
    }
}
