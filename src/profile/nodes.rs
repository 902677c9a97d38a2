//! nodes.toml -> [`Inventory`], and what must hold between the nodes and the profile.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::Ipv4Addr;

use ipnet::Ipv6Net;
use netboot::{Bmc, BmcKind, DiskSelector, Hostname, Inventory, MacAddr, Node, SecretRef};

use super::fault::Fault;
use super::network::Decoded;
use super::reader::{At, Decoding, Section};
use super::source::Span;
use super::suggest;
use super::word::*;
use crate::vocab::{ByteSize, ImagePath};

/// What the nodes are checked against.
pub(super) struct Surroundings<'a> {
    pub(super) network: &'a Decoded,
    pub(super) hostname: Option<&'a str>,
    /// Names of all installers, sound or not.
    pub(super) installers: Vec<At<&'a str>>,
    /// Part of the profile could not be read: an installer that seems to be missing may stand there.
    pub(super) partial: bool,
    /// Place that stands for the profile's own name and addresses where these are derived.
    pub(super) profile: Span,
}

/// Who holds each identity, and where that was written.
struct Taken<K>(HashMap<K, (Span, String)>);

impl<K: Hash + Eq + std::fmt::Display> Taken<K> {
    fn take(&mut self, cx: &mut Decoding, what: &str, key: K, span: Span, owner: &str) {
        if let Some((before, other)) = self.0.get(&key) {
            let fault = Fault::new(format!("the {what} {key} is used twice"));
            cx.fault(fault.label(span, format!("here by {owner}")).label(*before, format!("first by {other}")));
            return;
        }
        self.0.insert(key, (span, owner.to_owned()));
    }
}

pub(super) fn inventory(cx: &mut Decoding, root: Option<&Section<'_>>, around: &Surroundings<'_>) -> Inventory {
    let mut names = Taken(HashMap::new());
    let mut macs = Taken(HashMap::new());
    let mut addresses = Taken(HashMap::new());
    if let Some(hostname) = around.hostname {
        names.take(cx, "host name", hostname.to_owned(), around.profile, "the appliance");
    }
    for mac in &around.network.macs {
        macs.take(cx, "MAC address", mac.value, mac.span, "the appliance");
    }
    if let Some(address) = &around.network.address {
        addresses.take(cx, "address", address.value.addr(), address.span, "the appliance");
    }
    for (host, places) in &around.network.hosts {
        let owner = format!("the host '{}'", host.name);
        names.take(cx, "host name", host.name.to_string(), places.name, &owner);
        addresses.take(cx, "address", host.address, places.address, &owner);
        if let (Some(mac), Some(span)) = (host.mac, places.mac) {
            macs.take(cx, "MAC address", mac, span, &owner);
        }
        in_subnet(cx, around, host.address, places.address, &owner);
    }
    let mut nodes = Vec::new();
    for section in root.map(|root| root.tables("node")).unwrap_or_default() {
        let hostname = section.word::<Hostname>(cx, "hostname");
        let mac = section.word::<MacAddr>(cx, "mac");
        let address = section.word::<Ipv4Addr>(cx, "address");
        let address6 = section.word::<Ipv6Net>(cx, "address6").map(|at| at.value);
        let further = section.map::<Ipv4Addr>(cx, "addresses", "network");
        let memory = section.word::<ByteSize>(cx, "memory").map(|at| at.bytes());
        let secure_boot = section.flag(cx, "secure-boot").unwrap_or(around.network.secure_boot);
        let install = section.word::<Name>(cx, "install");
        let disk = disk(cx, &section);
        let bmc = bmc(cx, &section);
        let roles = section.words::<Name>(cx, "roles").into_iter().map(|at| at.value.0).collect();
        let dhcp_options = section.map::<Line>(cx, "dhcp-options", "option");

        let owner = match &hostname {
            Some(hostname) => format!("the node '{}'", hostname.value),
            None => "another node".to_owned(),
        };
        if let Some(hostname) = &hostname {
            names.take(cx, "host name", hostname.value.to_string(), hostname.span, &owner);
        }
        if let Some(mac) = &mac {
            macs.take(cx, "MAC address", mac.value, mac.span, &owner);
        }
        if let Some(address) = &address {
            addresses.take(cx, "address", address.value, address.span, &owner);
            in_subnet(cx, around, address.value, address.span, &owner);
        }
        if let Some(install) = &install {
            known_installer(cx, around, install);
        }
        if let Some(BmcAt { bmc, address, mac }) = &bmc {
            let owner = format!("the BMC of {owner}");
            addresses.take(cx, "address", bmc.address, *address, &owner);
            if let (Some(value), Some(span)) = (bmc.mac, mac) {
                macs.take(cx, "MAC address", value, *span, &owner);
            }
            bmc_place(cx, around, bmc.address, *address, &owner);
        }
        if let (Some(hostname), Some(mac), Some(address)) = (hostname, mac, address) {
            nodes.push(Node {
                hostname: hostname.value,
                mac: mac.value,
                address: address.value,
                address6,
                addresses: further,
                memory,
                secure_boot,
                install: install.map(|at| at.value.0),
                disk,
                bmc: bmc.map(|at| at.bmc),
                roles,
                dhcp_options: dhcp_options.into_iter().map(|(option, value)| (option, value.0)).collect(),
            });
        }
    }
    Inventory { nodes }
}

fn known_installer(cx: &mut Decoding, around: &Surroundings<'_>, install: &At<Name>) {
    let name = install.value.0.as_str();
    if around.installers.iter().any(|known| known.value == name) {
        return;
    }
    let known = || around.installers.iter().map(|known| known.value);
    let help = match suggest::nearest(name, known()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if around.partial => return,
        None if around.installers.is_empty() => format!("the profile has no installers: add [installer.{name}]"),
        None => format!("the profile has: {}", known().take(10).collect::<Vec<_>>().join(", ")),
    };
    cx.fault(Fault::at(install.span, format!("the profile has no installer '{name}'")).help(help));
}

/// A machine of the provisioning network: inside the subnet, outside the dynamic range.
fn in_subnet(cx: &mut Decoding, around: &Surroundings<'_>, address: Ipv4Addr, span: Span, owner: &str) {
    let Some(own) = &around.network.address else { return };
    let net = own.value.trunc();
    if !net.contains(&address) {
        let fault = Fault::new(format!("the address {address} of {owner} lies outside the subnet {net}"));
        cx.fault(fault.label(span, "").label(own.span, "the provisioning subnet"));
    } else if address == net.network() || address == net.broadcast() {
        cx.fault(Fault::at(span, format!("{address} is the network or broadcast address of {net}")));
    } else {
        not_dynamic(cx, around, address, span, owner);
    }
}

fn not_dynamic(cx: &mut Decoding, around: &Surroundings<'_>, address: Ipv4Addr, span: Span, owner: &str) {
    if let Some(range) = &around.network.range
        && (range.value.first..=range.value.last).contains(&address)
    {
        let fault = Fault::new(format!("the address {address} of {owner} lies inside the dynamic range"));
        let fault = fault.label(span, "").label(range.span, "given to machines that are not listed");
        cx.fault(fault.help("choose an address outside the range, or make the range smaller"));
    }
}

/// A BMC lives on the provisioning network or, better, on one of its own.
fn bmc_place(cx: &mut Decoding, around: &Surroundings<'_>, address: Ipv4Addr, span: Span, owner: &str) {
    match (&around.network.address, &around.network.bmc_subnet) {
        (Some(own), _) if own.value.contains(&address) => not_dynamic(cx, around, address, span, owner),
        (_, Some(subnet)) if !subnet.value.contains(&address) => {
            let fault = Fault::new(format!("the address {address} of {owner} lies outside the BMC subnet"));
            cx.fault(fault.label(span, "").label(subnet.span, format!("the subnet is {}", subnet.value.trunc())));
        }
        _ => {}
    }
}

fn disk(cx: &mut Decoding, node: &Section<'_>) -> Option<DiskSelector> {
    let section = node.written("disk")?;
    let line = |cx: &mut Decoding, key: &str| section.word::<Line>(cx, key).map(|at| at.value.0);
    let min_size = section.word::<ByteSize>(cx, "min-size");
    let max_size = section.word::<ByteSize>(cx, "max-size");
    if let (Some(min), Some(max)) = (&min_size, &max_size)
        && min.value > max.value
    {
        let fault = Fault::new("no disk can match: the smallest size is larger than the largest");
        cx.fault(fault.label(min.span, "at least").label(max.span, "at most"));
    }
    let selector = DiskSelector {
        serial: line(cx, "serial"),
        model: line(cx, "model"),
        vendor: line(cx, "vendor"),
        wwn: line(cx, "wwn"),
        path: section.word::<ImagePath>(cx, "path").map(|at| at.value.to_string()),
        min_size: min_size.map(|at| at.bytes()),
        max_size: max_size.map(|at| at.bytes()),
        ssd: section.flag(cx, "ssd"),
    };
    if section.is_empty() {
        let fault = Fault::at(section.span, "the disk selector is empty: it would match any disk");
        cx.fault(fault.help("give it at least one of serial, model, vendor, wwn, path, min-size, max-size, ssd"));
    }
    Some(selector)
}

struct BmcAt {
    bmc: Bmc,
    address: Span,
    mac: Option<Span>,
}

fn bmc(cx: &mut Decoding, node: &Section<'_>) -> Option<BmcAt> {
    let section = node.written("bmc")?;
    let address = section.word::<Ipv4Addr>(cx, "address");
    let mac = section.word::<MacAddr>(cx, "mac");
    let kind = section.word::<BmcKind>(cx, "kind");
    let credentials = section.word::<SecretRef>(cx, "credentials").map(|at| at.value);
    let address = address?;
    let (span, mac_span) = (address.span, mac.as_ref().map(|at| at.span));
    let bmc = Bmc { address: address.value, mac: mac.map(|at| at.value), kind: kind?.value, credentials };
    Some(BmcAt { bmc, address: span, mac: mac_span })
}
