//! nodes.toml -> [`Inventory`], and what must hold between the nodes and the profile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use ipnet::Ipv6Net;
use netboot::{Bmc, BmcKind, Hostname, Inventory, MacAddr, Node, Program, SecretRef};

use super::bios;
use super::disk::{self, Selected};
use super::fault::Fault;
use super::identities::Identities;
use super::installers::Facts;
use super::network::{Decoded, between};
use super::reader::{At, Decoding, Section};
use super::source::Span;
use super::suggest;
use super::word::*;
use crate::vocab::ByteSize;

/// Memory that an installer needs beside its ISO.
const MARGIN: u64 = 1 << 30;

/// Bytes of memory that a node needs to install from an ISO of so many, that is loaded into memory and unpacked from there.
pub fn memory_for(iso: u64) -> u64 {
    iso.saturating_mul(2).saturating_add(MARGIN)
}

/// What the nodes are checked against.
pub(super) struct Surroundings<'a> {
    pub(super) network: &'a Decoded,
    pub(super) hostname: Option<&'a str>,
    /// All installers, sound or not.
    pub(super) installers: &'a BTreeMap<String, Facts>,
    /// All BIOS settings, sound or not.
    pub(super) bios: &'a BTreeMap<String, bios::Facts>,
    /// Part of the profile could not be read: an installer that seems to be missing may stand there.
    pub(super) partial: bool,
    /// Place that stands for the profile's own name and addresses where these are derived.
    pub(super) profile: Span,
}

/// What is said once, however many nodes it is about: where it was first seen, and how often.
#[derive(Debug, Default)]
struct Tally(Option<(Span, usize)>);

impl Tally {
    fn add(&mut self, span: Span) {
        let (_, count) = self.0.get_or_insert((span, 0));
        *count += 1;
    }
}

/// What is collected while the nodes are read.
#[derive(Default)]
struct Collected {
    identities: Identities,
    /// Installers that nodes name.
    used: BTreeSet<String>,
    /// BIOS settings that nodes name.
    bios: BTreeSet<String>,
    /// Disks that are named exactly.
    disks: HashMap<(&'static str, String), Span>,
    /// BMCs that nodes reach without any router in between, while the filter is off.
    reachable: Tally,
    /// Reservations that nobody serves.
    unserved: Tally,
    /// Reservations of BMCs that are not in the subnet that the appliance serves.
    elsewhere: Tally,
    /// DHCP options that nobody serves.
    unserved_options: Tally,
}

pub(super) fn inventory(cx: &mut Decoding, root: Option<&Section<'_>>, around: &Surroundings<'_>) -> Inventory {
    let mut collected = Collected::default();
    appliance(cx, &mut collected.identities, around);
    for (host, places) in &around.network.hosts {
        let owner = format!("the host '{}'", host.name);
        collected.identities.name(cx, &host.name, places.name, &owner);
        collected.identities.address(cx, host.address, places.address, &owner);
        if let (Some(mac), Some(span)) = (host.mac, places.mac) {
            collected.identities.mac(cx, mac, span, &owner);
            collected.unserved.add(span);
        }
        in_subnet(cx, around, host.address, places.address, &owner);
    }
    let tables = root.map(|root| root.tables("node")).unwrap_or_default();
    let nodes = tables.iter().filter_map(|table| node(cx, table, around, &mut collected)).collect();
    at_the_end(cx, around, &collected);
    Inventory { nodes }
}

fn appliance(cx: &mut Decoding, identities: &mut Identities, around: &Surroundings<'_>) {
    if let Some(hostname) = around.hostname {
        identities.name(cx, hostname, around.profile, "the appliance");
    }
    for mac in &around.network.macs {
        identities.mac(cx, mac.value, mac.span, "the appliance");
    }
    if let Some(network) = &around.network.network {
        for derived in [network.uplink.mac, network.provisioning.mac] {
            if around.network.macs.iter().all(|mac| mac.value != derived) {
                identities.mac(cx, derived, around.profile, "the appliance, derived from its name");
            }
        }
    }
    if let Some(address) = &around.network.address {
        identities.address(cx, address.value.addr(), address.span, "the appliance");
    }
    if let Some(address) = &around.network.uplink {
        identities.address(cx, address.value.addr(), address.span, "the appliance's uplink");
    }
}

fn node(
    cx: &mut Decoding,
    section: &Section<'_>,
    around: &Surroundings<'_>,
    collected: &mut Collected,
) -> Option<Node> {
    let hostname = section.word::<Hostname>(cx, "hostname");
    let mac = section.word::<MacAddr>(cx, "mac");
    let address = section.word::<Ipv4Addr>(cx, "address");
    let address6 = section.word::<Ipv6Net>(cx, "address6");
    let further = section.map::<Ipv4Addr>(cx, "addresses", "network");
    let memory = section.word::<ByteSize>(cx, "memory");
    let secure_boot = section.flag(cx, "secure-boot").unwrap_or(around.network.secure_boot);
    let install = section.word::<Name>(cx, "install");
    let disk = disk::disk(cx, section);
    let bmc = bmc(cx, section);
    let roles = section.words::<Name>(cx, "roles").into_iter().map(|at| at.value.0).collect();
    let dhcp_options = section.map::<Line>(cx, "dhcp-options", "option");

    let identities = &mut collected.identities;
    let owner = match &hostname {
        Some(hostname) => format!("the node '{}'", hostname.value),
        None => "a node without a sound name".to_owned(),
    };
    if let Some(hostname) = &hostname {
        identities.name(cx, &hostname.value, hostname.span, &owner);
    }
    if let Some(mac) = &mac {
        identities.mac(cx, mac.value, mac.span, &owner);
    }
    if let Some(address) = &address {
        identities.address(cx, address.value, address.span, &owner);
        in_subnet(cx, around, address.value, address.span, &owner);
        not_the_gateway(cx, around, address, &owner);
    }
    if let Some(at) = &address6 {
        identities.address6(cx, at.value.addr(), at.span, &owner);
        if at.value.addr() == at.value.network() && at.value.prefix_len() < 127 {
            let fault = Fault::at(at.span, format!("{} is the subnet itself, not an address in it", at.value.addr()));
            cx.fault(fault.help("write the node's own address, as in \"fd00:10::21/64\""));
        }
    }
    for (network, at) in &further {
        let owner = format!("the network '{network}' of {owner}");
        identities.address(cx, at.value, at.span, &owner);
        not_dynamic(cx, around, at.value, at.span, &owner);
        if let Some(hostname) = &hostname {
            identities.derived_name(cx, &hostname.value, network, at.span, &owner);
        }
    }
    if let Some(BmcAt { bmc, address, mac }) = &bmc {
        let owner = format!("the BMC of {owner}");
        identities.bmc_address(cx, bmc.address, *address, &owner);
        if let Some(hostname) = &hostname {
            identities.derived_name(cx, &hostname.value, "bmc", *address, &owner);
        }
        if let (Some(value), Some(span)) = (bmc.mac, mac) {
            identities.mac(cx, value, *span, &owner);
            match &around.network.address {
                Some(own) if !own.value.contains(&bmc.address) => collected.elsewhere.add(*span),
                _ => collected.unserved.add(*span),
            }
        }
        bmc_place(cx, around, bmc.address, *address, &owner, &mut collected.reachable);
    }
    if let Some(at) = dhcp_options.values().next() {
        collected.unserved_options.add(at.span);
    }
    for (what, at) in disk.iter().flat_map(|disk| &disk.exact) {
        match collected.disks.get(&(*what, at.value.clone())) {
            Some(before) => disk::named_twice(cx, what, at, *before),
            None => {
                collected.disks.insert((*what, at.value.clone()), at.span);
            }
        }
    }
    if let Some(install) = &install
        && let Some(facts) = known_installer(cx, around, install)
    {
        collected.used.insert(install.value.0.clone());
        fits(cx, &owner, memory.as_ref(), disk.as_ref(), &install.value.0, facts);
    }
    let bios = bios::of_node(cx, section, around.bios, around.partial, &owner);
    collected.bios.extend(bios.clone());
    Some(Node {
        hostname: hostname?.value,
        mac: mac?.value,
        address: address?.value,
        address6: address6.map(|at| at.value),
        addresses: further.into_iter().map(|(network, at)| (network, at.value)).collect(),
        memory: memory.map(|at| at.bytes()),
        secure_boot,
        install: install.map(|at| at.value.0),
        disk: disk.map(|disk| disk.selector),
        bmc: bmc.map(|at| at.bmc),
        bios,
        roles,
        dhcp_options: dhcp_options.into_iter().map(|(option, at)| (option, at.value.0)).collect(),
    })
}

fn known_installer<'a>(cx: &mut Decoding, around: &Surroundings<'a>, install: &At<Name>) -> Option<&'a Facts> {
    let name = install.value.0.as_str();
    if let Some(facts) = around.installers.get(name) {
        return Some(facts);
    }
    let known = || around.installers.keys().map(String::as_str);
    let help = match suggest::nearest(name, known()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if around.partial => return None,
        None if around.installers.is_empty() => format!("the profile has no installers: add [installer.{name}]"),
        None => format!("the profile has: {}", known().take(10).collect::<Vec<_>>().join(", ")),
    };
    cx.fault(Fault::at(install.span, format!("the profile has no installer '{name}'")).help(help));
    None
}

/// The node can do what its installer asks of it.
fn fits(
    cx: &mut Decoding,
    owner: &str,
    memory: Option<&At<ByteSize>>,
    disk: Option<&Selected>,
    installer: &str,
    facts: &Facts,
) {
    if let (Some(disk), Some(needs)) = (disk, &facts.needs) {
        disk::holds(cx, disk, needs, installer);
    }
    // Ubuntu's installer loads the whole ISO into memory (`url=`) and unpacks from it there. debian-installer fetches its
    // parts one by one.
    let (Some(memory), Some(release), Some(medium)) = (memory, facts.release, &facts.medium) else { return };
    if release.traits().program != Program::Subiquity {
        return;
    }
    let iso = medium.bytes.unwrap_or(release.traits().typical_medium);
    let needed = memory_for(iso);
    if memory.bytes() < needed {
        let message = format!(
            "{owner} has {} of memory, and installing '{installer}' takes {}: twice the ISO's {} and {}",
            gibibytes(memory.bytes()),
            gibibytes(needed),
            gibibytes(iso),
            gibibytes(MARGIN)
        );
        let text = if medium.bytes.is_some() { "the ISO" } else { "the ISO, of the size that such a one usually has" };
        let fault = Fault::new(message).label(memory.span, "").label(medium.span, text);
        cx.fault(
            fault.help("the ISO is loaded into memory; install such a node from a smaller ISO, or with more memory"),
        );
    }
}

/// Rounded up to hundredths: a bound is not shown smaller than it is.
pub(super) fn gibibytes(bytes: u64) -> String {
    let hundredths = (u128::from(bytes) * 100).div_ceil(1 << 30);
    format!("{}.{:02} GiB", hundredths / 100, hundredths % 100)
}

/// A machine of the provisioning network: inside the subnet, outside the dynamic range.
fn in_subnet(cx: &mut Decoding, around: &Surroundings<'_>, address: Ipv4Addr, span: Span, owner: &str) {
    let Some(own) = &around.network.address else { return };
    let net = own.value.trunc();
    if !net.contains(&address) {
        let fault = Fault::new(format!("the address {address} of {owner} lies outside the subnet {net}"));
        cx.fault(fault.label(span, "").label(own.span, "the provisioning subnet").help(between(net)));
    } else if address == net.network() || address == net.broadcast() {
        let fault = Fault::at(span, format!("{address} is the network or broadcast address of {net}"));
        cx.fault(fault.help(between(net)));
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

/// A host of the profile may be the router, which thereby has a name; a node is none.
fn not_the_gateway(cx: &mut Decoding, around: &Surroundings<'_>, address: &At<Ipv4Addr>, owner: &str) {
    if let (Some(gateway), Some(own)) = (&around.network.gateway, &around.network.address)
        && gateway.value == address.value
        && own.value.addr() != address.value
    {
        let fault = Fault::new(format!("the address {} of {owner} is the gateway's", address.value));
        let fault = fault.label(address.span, "").label(gateway.span, "the nodes' router");
        cx.fault(fault.help("give the node another address"));
    }
}

/// A BMC lives on the provisioning network or, better, on one of its own.
fn bmc_place(
    cx: &mut Decoding,
    around: &Surroundings<'_>,
    address: Ipv4Addr,
    span: Span,
    owner: &str,
    reachable: &mut Tally,
) {
    match (&around.network.address, &around.network.bmc_subnet) {
        (Some(own), _) if own.value.contains(&address) => {
            in_subnet(cx, around, address, span, owner);
            reachable.add(span);
        }
        (_, Some(subnet)) if !subnet.value.contains(&address) => {
            let fault = Fault::new(format!("the address {address} of {owner} lies outside the BMC subnet"));
            let fault = fault.label(span, "").label(subnet.span, format!("the subnet is {}", subnet.value.trunc()));
            cx.fault(fault.help(between(subnet.value.trunc())));
        }
        _ => {}
    }
}

/// What is about all nodes together, or about the installers that they use.
fn at_the_end(cx: &mut Decoding, around: &Surroundings<'_>, collected: &Collected) {
    let more = |count: usize| match count {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    if let (Some(filter), Some((first, count))) = (around.network.unfiltered, collected.reachable.0) {
        let fault = Fault::new("BMCs on the nodes' own network, without the filter: every node could control them");
        let fault = fault.label(filter, "switched off here").label(first, format!("a BMC{}", more(count)));
        cx.fault(fault.help("leave `filter` out, or give the BMCs a subnet of their own"));
    }
    if let Some(mode) = around.network.proxy {
        let unserved = [(&collected.unserved, "reservation"), (&collected.unserved_options, "DHCP option")];
        for (tally, what) in unserved {
            if let Some((first, count)) = tally.0 {
                let warning = Fault::new(format!("no {what} is served: the site keeps its DHCP server"));
                let warning = warning.label(first, format!("has no effect{}", more(count)));
                cx.warn(warning.label(mode, "the mode").help("set it in the site's DHCP server"));
            }
        }
    }
    if let (Some((first, count)), Some(own)) = (collected.elsewhere.0, &around.network.address) {
        let warning = Fault::new("no reservation is served outside the provisioning subnet");
        let warning = warning.label(first, format!("has no effect{}", more(count)));
        let warning = warning.label(own.span, "the provisioning subnet");
        cx.warn(warning.help("such a BMC has its address from somewhere else: leave `mac` out"));
    }
    bios::unused(cx, around.bios, |name| collected.bios.contains(name));
    for name in &collected.used {
        let Some(facts) = around.installers.get(name) else { continue };
        match facts.medium {
            // Seeds and scripts are made all the same, and a node that is started from a CD can use them. No warning:
            // this is how a new site begins, and how the shipped profiles are, which name no ISO.
            None => {
                let note = Fault::at(
                    facts.name,
                    format!("the installer '{name}' has no medium: no node can be armed with it"),
                );
                cx.note(note.help("add `iso` or `netboot` once you have chosen a point release"));
            }
            // With a medium it is meant: then what it installs should have a way in.
            Some(_) if facts.locked => {
                let warning =
                    Fault::at(facts.name, format!("nobody can log in to what '{name}' installs: no key, no password"));
                cx.warn(
                    warning.help("add `account.ssh-keys`, or a user of the appliance with keys: nodes take them over"),
                );
            }
            Some(_) => {}
        }
    }
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
    let port = section.integer::<u16>(cx, "port");
    let system = section.word::<Line>(cx, "system").map(|at| at.value.0);
    let credentials = section.word::<SecretRef>(cx, "credentials").map(|at| at.value);
    let address = address?;
    let (span, mac_span) = (address.span, mac.as_ref().map(|at| at.span));
    let bmc = Bmc {
        address: address.value,
        mac: mac.map(|at| at.value),
        port: port?.value,
        kind: kind?.value,
        system,
        credentials,
    };
    Some(BmcAt { bmc, address: span, mac: mac_span })
}
