//! The inventory as dnsmasq options: reservations by MAC and DNS records with their reverse.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::{Inventory, MacAddr};

/// Whether dnsmasq gives out addresses itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leases {
    Served,
    /// Another server does (proxy mode): only DNS records are written.
    Elsewhere,
}

/// A machine with a name that is not a node: the appliance, a switch, a BMC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedHost<'a> {
    pub name: &'a str,
    pub address: Ipv4Addr,
    /// With it the host has a DHCP reservation.
    pub mac: Option<MacAddr>,
}

/// dnsmasq options for all nodes, their BMCs ("NODE-bmc") and the other hosts, in their order.
///
/// `host-record` makes the A record and the PTR record of the address; it does so whether or not the machine holds a lease.
pub fn host_lines(inventory: &Inventory, others: &[NamedHost<'_>], domain: &str, leases: Leases) -> String {
    let mut lines = String::new();
    let mut host = |name: &str, address: Ipv4Addr, mac: Option<MacAddr>, tag: Option<&str>| {
        if let (Some(mac), Leases::Served) = (mac, leases) {
            let tag = tag.map(|tag| format!("set:{tag},")).unwrap_or_default();
            let _ = writeln!(lines, "dhcp-host={mac},{tag}{address},{name}");
        }
        let _ = writeln!(lines, "host-record={name}.{domain},{name},{address}");
    };
    for other in others {
        host(other.name, other.address, other.mac, None);
    }
    for node in &inventory.nodes {
        let name = node.hostname.as_str();
        // The prefix keeps a node's tag apart from the tags of the configuration ("ipxe", "bios").
        let tag = format!("node-{name}");
        host(name, node.address, Some(node.mac), (!node.dhcp_options.is_empty()).then_some(&tag));
        if let Some(bmc) = &node.bmc {
            host(&format!("{name}-bmc"), bmc.address, bmc.mac, None);
        }
    }
    if leases == Leases::Served {
        for node in &inventory.nodes {
            for (option, value) in &node.dhcp_options {
                let number = option.bytes().all(|b| b.is_ascii_digit());
                let option = if number { option.clone() } else { format!("option:{option}") };
                let _ = writeln!(lines, "dhcp-option=tag:node-{},{option},{value}", node.hostname);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::tests::node;
    use crate::{Bmc, BmcKind};

    fn inventory() -> Inventory {
        let mut one = node("node1", "ac:1f:6b:6c:5a:76", "10.10.1.21");
        one.dhcp_options.insert("ntp-server".to_owned(), "10.10.1.1".to_owned());
        one.dhcp_options.insert("26".to_owned(), "9000".to_owned());
        one.bmc = Some(Bmc {
            address: "10.10.1.11".parse().unwrap(),
            mac: Some("ac:1f:6b:6c:58:31".parse().unwrap()),
            kind: BmcKind::Supermicro,
            credentials: None,
        });
        Inventory { nodes: vec![one, node("node2", "ac:1f:6b:6c:5a:77", "10.10.1.22")] }
    }

    #[test]
    fn reservations_and_records() {
        let appliance = NamedHost { name: "mylab", address: "10.10.1.1".parse().unwrap(), mac: None };
        insta::assert_snapshot!(host_lines(&inventory(), &[appliance], "lab.example", Leases::Served), @"
        host-record=mylab.lab.example,mylab,10.10.1.1
        dhcp-host=ac:1f:6b:6c:5a:76,set:node-node1,10.10.1.21,node1
        host-record=node1.lab.example,node1,10.10.1.21
        dhcp-host=ac:1f:6b:6c:58:31,10.10.1.11,node1-bmc
        host-record=node1-bmc.lab.example,node1-bmc,10.10.1.11
        dhcp-host=ac:1f:6b:6c:5a:77,10.10.1.22,node2
        host-record=node2.lab.example,node2,10.10.1.22
        dhcp-option=tag:node-node1,26,9000
        dhcp-option=tag:node-node1,option:ntp-server,10.10.1.1
        ");
    }

    #[test]
    fn a_proxy_gives_no_address() {
        let lines = host_lines(&inventory(), &[], "lab.example", Leases::Elsewhere);
        assert!(!lines.contains("dhcp-"), "{lines}");
        assert_eq!(lines.lines().count(), 3);
    }
}
