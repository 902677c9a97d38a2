//! Network configuration, version 2 (netplan's format), of one node: for the installer's own network and for the installed
//! system.
//!
//! The NIC is found by its MAC alone and keeps the name that the kernel and udev give it: with `set-name`, netplan would
//! also rename whatever shares the MAC (a VLAN, a bridge).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use crate::{Addressing, Node, Site, System};

#[derive(Debug, Serialize)]
pub(crate) struct Netplan<'a> {
    version: u32,
    ethernets: BTreeMap<&'static str, Ethernet<'a>>,
}

impl<'a> Netplan<'a> {
    pub(crate) fn of(node: &Node, system: &System, site: &Site<'a>) -> Self {
        let mut ethernet = Ethernet {
            matching: MatchMac { macaddress: node.mac.to_string() },
            dhcp4: system.addressing == Addressing::Dhcp,
            dhcp_identifier: None,
            addresses: Vec::new(),
            routes: Vec::new(),
            nameservers: None,
        };
        match system.addressing {
            // By MAC, not by DUID: the server's reservation is for the MAC.
            Addressing::Dhcp => ethernet.dhcp_identifier = Some("mac"),
            Addressing::Static => {
                ethernet.addresses.push(format!("{}/{}", node.address, site.subnet.prefix_len()));
                // Not `gateway4`: netplan has deprecated it, and with two of them the route is not defined.
                ethernet.routes.extend(site.gateway.map(|via| Route { to: "default", via }));
                ethernet.nameservers = Some(Nameservers { addresses: [site.server], search: [site.domain] });
            }
        }
        ethernet.addresses.extend(node.address6.map(|address| address.to_string()));
        Netplan { version: 2, ethernets: BTreeMap::from([("provisioning", ethernet)]) }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Ethernet<'a> {
    #[serde(rename = "match")]
    matching: MatchMac,
    dhcp4: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dhcp_identifier: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nameservers: Option<Nameservers<'a>>,
}

#[derive(Debug, Serialize)]
struct MatchMac {
    macaddress: String,
}

#[derive(Debug, Serialize)]
struct Route {
    to: &'static str,
    via: Ipv4Addr,
}

#[derive(Debug, Serialize)]
struct Nameservers<'a> {
    addresses: [Ipv4Addr; 1],
    search: [&'a str; 1],
}
