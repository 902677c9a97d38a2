//! The network section: netplan, version 2, as the installed system gets it.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use ipnet::IpNet;

use super::document::Sections;
use super::report::Report;
use super::shape::{self, Key, Keys, Others, Shape, check_keys, key, key_shown, shown};
use super::yaml::{Entry, Node, Value};
use crate::suggest::nearest;

/// netplan's own keys; `version` and the device types are looked at apart.
const NETPLAN: Keys = Keys {
    known: &[
        key("version", Shape::Int),
        key("renderer", Shape::Choice(&["networkd", "NetworkManager", "sriov"])),
        key("ethernets", Shape::Mapping),
        key("wifis", Shape::Mapping),
        key("bridges", Shape::Mapping),
        key("bonds", Shape::Mapping),
        key("tunnels", Shape::Mapping),
        key("vlans", Shape::Mapping),
        key("modems", Shape::Mapping),
        key("vrfs", Shape::Mapping),
        key("dummy-devices", Shape::Mapping),
        key("virtual-ethernets", Shape::Mapping),
        key("nm-devices", Shape::Mapping),
        key("openvswitch", Shape::Mapping),
    ],
    others: Others::Refused("netplan"),
};

/// Device types whose entries share netplan's common keys.
const DEVICES: &[&str] = &["ethernets", "wifis", "bridges", "bonds", "vlans", "tunnels", "vrfs", "dummy-devices"];

const ETHERNET: Keys = Keys { known: ETHERNET_KEYS, others: Others::Refused("netplan") };

const ETHERNET_KEYS: &[Key] = &[
    key("match", Shape::Keys(&MATCH)),
    key("set-name", Shape::Text),
    key("wakeonlan", Shape::Switch),
    key("emit-lldp", Shape::Switch),
    key("receive-checksum-offload", Shape::Switch),
    key("transmit-checksum-offload", Shape::Switch),
    key("tcp-segmentation-offload", Shape::Switch),
    key("tcp6-segmentation-offload", Shape::Switch),
    key("generic-segmentation-offload", Shape::Switch),
    key("generic-receive-offload", Shape::Switch),
    key("large-receive-offload", Shape::Switch),
    key("infiniband-mode", Shape::Text),
    key("link", Shape::Text),
    key("virtual-function-count", Shape::Any),
    key("embedded-switch-mode", Shape::Text),
    key("delay-virtual-functions-rebind", Shape::Switch),
    key("renderer", Shape::Choice(&["networkd", "NetworkManager", "sriov"])),
    key("dhcp4", Shape::Switch),
    key("dhcp6", Shape::Switch),
    key("ipv6-mtu", Shape::Any),
    key("ipv6-privacy", Shape::Switch),
    key("link-local", Shape::List),
    key("ignore-carrier", Shape::Switch),
    key("critical", Shape::Switch),
    key("dhcp-identifier", Shape::Text),
    key("dhcp4-overrides", Shape::Mapping),
    key("dhcp6-overrides", Shape::Mapping),
    key("accept-ra", Shape::Switch),
    key("ra-overrides", Shape::Mapping),
    key("addresses", Shape::List),
    key("ipv6-address-generation", Shape::Text),
    key("ipv6-address-token", Shape::Text),
    key("gateway", Shape::Unknown("netplan", |gateway| default_route(gateway.text().unwrap_or("")))),
    key("gateway4", Shape::Text),
    key("gateway6", Shape::Text),
    key("nameservers", Shape::Keys(&NAMESERVERS)),
    key("macaddress", Shape::Text),
    key("mtu", Shape::Any),
    key("optional", Shape::Switch),
    key("optional-addresses", Shape::List),
    key("activation-mode", Shape::Choice(&["manual", "off"])),
    key("routes", Shape::List),
    key("routing-policy", Shape::List),
    key("neigh-suppress", Shape::Switch),
    key("auth", Shape::Mapping),
    key("openvswitch", Shape::Mapping),
    key("networkmanager", Shape::Mapping),
];

const MATCH: Keys = Keys {
    known: &[key("name", Shape::Text), key("macaddress", Shape::Text), key("driver", Shape::Any)],
    others: Others::Refused("netplan"),
};

const NAMESERVERS: Keys =
    Keys { known: &[key("search", Shape::List), key("addresses", Shape::List)], others: Others::Refused("netplan") };

/// What subiquity asks of an interface that is called `match`.
const NAMED_MATCH: Keys = Keys {
    known: &[key("name", Shape::Text), key("macaddress", Shape::Text), key("driver", Shape::Text)],
    others: Others::Refused("the installer"),
};

pub(super) fn check(sections: &Sections<'_>, report: &mut Report<'_>) {
    let Some(network) = sections.get("network").filter(|network| network.map().is_some()) else { return };
    let Some(inner) = network.entry("network") else {
        return check_netplan(network, &sections.at("network"), report);
    };
    let at = &inner.key.range;
    if network.entry("version").is_some() {
        report
            .error(at, "'network' is there twice, one inside the other, with keys beside it: the installer refuses the section")
            .help("remove the inner 'network:' and put its keys one level up");
    } else {
        report
            .warning(at, "'network' is there twice, one inside the other: only the installer of 20.04 needed that")
            .help("remove the inner 'network:' and put its keys one level up");
        let beside = network.map().unwrap_or_default().iter().filter(|entry| entry.name() != Some("network"));
        for entry in beside {
            report
                .error(
                    &entry.key.range,
                    format!("'{}' stands beside the inner 'network' and is ignored", key_shown(entry)),
                )
                .help("put it beside 'version'");
        }
    }
    match inner.value.map() {
        Some(_) => check_netplan(&inner.value, at, report),
        None => {
            report.error(at, format!("'network.network' is {}, and must be a mapping", inner.value.kind()));
        }
    }
}

fn check_netplan(netplan: &Node, at: &Range<usize>, report: &mut Report<'_>) {
    check_keys(report, "network", at, netplan, &NETPLAN);
    match netplan.entry("version") {
        None => {
            report.error(at, "'network' has no 'version'").help("add 'version: 2'");
        }
        Some(version) if version.value.integer().is_some_and(|number| number != 2) => {
            report
                .error(&version.value.range, "'network.version' must be 2: the installer takes only netplan's format")
                .help("write 'version: 2', and the devices as netplan has them");
        }
        Some(_) => {}
    }
    for kind in DEVICES {
        for entry in netplan.get(kind).and_then(Node::map).unwrap_or_default() {
            check_device(kind, entry, report);
        }
    }
    check_references(netplan, report);
}

/// Devices that others stand on: netplan refuses a name that is defined nowhere, an interface of the kernel's too.
fn check_references(netplan: &Node, report: &mut Report<'_>) {
    // Patch ports are defined apart, in a form of their own.
    if netplan.entry("openvswitch").is_some() {
        return;
    }
    let all = netplan.map().unwrap_or_default().iter().filter_map(|kind| Some((kind.name()?, kind.value.map()?)));
    let defined: Vec<&str> = all.clone().flat_map(|(_, devices)| devices).filter_map(Entry::name).collect();
    let known: HashSet<&str> = defined.iter().copied().collect();
    for (kind, devices) in all {
        let key = match kind {
            "vlans" => "link",
            "bridges" | "bonds" | "vrfs" => "interfaces",
            _ => continue,
        };
        for device in devices {
            let Some(value) = device.value.get(key) else { continue };
            let one = std::slice::from_ref(&value).iter().copied().filter(|value| value.list().is_none());
            let many = value.list().unwrap_or_default().iter().map(AsRef::as_ref);
            for reference in one.chain(many) {
                let Some(name) = reference.text().filter(|name| !known.contains(name)) else { continue };
                report
                    .warning(
                        &reference.range,
                        format!(
                            "'network.{kind}.{}.{key}' names '{}', which is no device of this section: netplan refuses it",
                            key_shown(device),
                            shown(name)
                        ),
                    )
                    .help(match nearest(name, defined.iter().copied()) {
                        Some(near) => format!("did you mean '{near}'?"),
                        None => format!("add '{}: {{}}' to 'ethernets'", shown(name)),
                    });
            }
        }
    }
}

fn check_device(kind: &str, entry: &Entry, report: &mut Report<'_>) {
    let Some(name) = entry.name() else {
        report
            .error(&entry.key.range, format!("a name in 'network.{kind}' is {}, and must be a text", entry.key.kind()))
            .help("put it in quotes");
        return;
    };
    let (device, path) = (entry.value.as_ref(), format!("network.{kind}.{}", shown(name)));
    if device.map().is_none() {
        if device.value != Value::Null || kind == "vlans" {
            report.error(&entry.key.range, format!("'{path}' is {}, and must be a mapping", device.kind()));
        }
        return;
    }
    match kind {
        "ethernets" | "wifis" if name == "match" => {
            check_keys(report, &path, &entry.key.range, device, &NAMED_MATCH);
            report
                .error(&entry.key.range, format!("'{path}' is read as a device called 'match'"))
                .help("write a name of your choice below it, and 'match' below that name");
            return;
        }
        "ethernets" => check_keys(report, &path, &entry.key.range, device, &ETHERNET),
        _ => check_common(report, &path, device),
    }
    if let Some(set) = device.entry("set-name").filter(|_| device.entry("match").is_none()) {
        report
            .error(&set.key.range, format!("'{path}.set-name' needs 'match': netplan refuses it"))
            .help("add 'match'");
    }
    if let Some(matched) = device.entry("match").filter(|matched| matched.value.map().is_some_and(<[_]>::is_empty)) {
        report
            .warning(&matched.key.range, format!("'{path}.match' is empty and fits every device"))
            .help("match by 'macaddress' or 'name'");
    }
    check_mac(device.get("macaddress"), report);
    check_mac(device.get("match").and_then(|matched| matched.get("macaddress")), report);
    check_addresses(&path, device, report);
}

/// The keys of every kind of device that are looked at below.
fn check_common(report: &mut Report<'_>, path: &str, device: &Node) {
    for entry in device.map().unwrap_or_default() {
        let Some(known) = ETHERNET_KEYS.iter().find(|key| entry.name() == Some(key.name)) else { continue };
        if !matches!(known.name, "link" | "match") {
            shape::check(report, &format!("{path}.{}", known.name), &entry.key.range, &entry.value, &known.shape);
        }
    }
}

fn check_mac(mac: Option<&Node>, report: &mut Report<'_>) {
    let Some((node, text)) = mac.and_then(|node| Some((node, node.text()?))) else { return };
    // Words such as "permanent" and globs are netplan's to judge.
    if text.contains([':', '-']) && !text.contains(['*', '?', '[']) && text.parse::<crate::MacAddr>().is_err() {
        report
            .error(&node.range, format!("'{}' is not a MAC address", shown(text)))
            .help("write it as '52:54:00:12:34:56'");
    }
}

/// What netplan has instead of a key for the gateway.
fn default_route(gateway: &str) -> String {
    let via = if gateway.parse::<IpAddr>().is_ok() { gateway } else { "ADDRESS" };
    format!("write 'routes: [{{to: default, via: {via}}}]'")
}

fn check_addresses(path: &str, device: &Node, report: &mut Report<'_>) {
    for address in device.get("addresses").and_then(Node::list).unwrap_or_default() {
        // "ADDRESS/PREFIX", or that as the key of options.
        let named = match address.map() {
            Some([entry]) => entry.key.as_ref(),
            _ => address.as_ref(),
        };
        let Some(text) = named.text() else {
            report
                .error(&named.range, format!("an address of '{path}' is {}, and must be a text", named.kind()))
                .help("write it as '10.10.1.21/24'");
            continue;
        };
        if text.parse::<IpNet>().is_ok() {
            continue;
        }
        match text.parse::<IpAddr>() {
            Ok(ip) => {
                let prefix = if ip.is_ipv4() { 24 } else { 64 };
                report
                    .error(&named.range, format!("the address '{text}' has no prefix: netplan refuses it"))
                    .help(format!("write the subnet's length after it, as in '{text}/{prefix}'"));
            }
            Err(_) => {
                report
                    .error(&named.range, format!("'{}' is not an address with a prefix", shown(text)))
                    .help("write it as '10.10.1.21/24'");
            }
        }
    }
    for (name, is_address) in [
        ("gateway4", (|text| text.parse::<Ipv4Addr>().is_ok()) as fn(&str) -> bool),
        ("gateway6", |text| text.parse::<Ipv6Addr>().is_ok()),
    ] {
        let Some(gateway) = device.entry(name) else { continue };
        let text = gateway.value.text().unwrap_or("");
        report
            .warning(
                &gateway.key.range,
                format!("'{name}' is deprecated: netplan warns, and refuses it beside a default route"),
            )
            .help(default_route(text));
        if !text.is_empty() && !is_address(text) {
            report.error(&gateway.value.range, format!("'{}' is not an address of this kind", shown(text)));
        }
    }
    let servers = device.get("nameservers").and_then(|servers| servers.get("addresses"));
    for server in servers.and_then(Node::list).unwrap_or_default() {
        if server.text().is_none_or(|text| text.parse::<IpAddr>().is_err()) {
            report
                .error(&server.range, format!("a name server of '{path}' is not an IP address"))
                .help("write the plain address, without a prefix");
        }
    }
    for route in device.get("routes").and_then(Node::list).unwrap_or_default() {
        for name in ["to", "via"].iter().filter(|name| route.entry(name).is_none()) {
            let needed = *name == "to" || !["scope", "type"].iter().any(|other| route.entry(other).is_some());
            if needed {
                report
                    .error(&route.range, format!("a route of '{path}' has no '{name}'"))
                    .help(format!("add '{name}: ...'"));
            }
        }
    }
}
