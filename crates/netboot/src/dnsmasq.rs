//! The inventory as dnsmasq options: reservations by MAC, boot files by machine, and DNS records with their reverse.
//!
//! Nothing here depends on who is armed: what a machine is given first is its loader, and the loader asks.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use crate::clients::{ARCHITECTURES, Way};
use crate::{Inventory, MacAddr};

/// Whether dnsmasq gives out addresses itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leases {
    Served,
    /// Another server does (proxy mode): dnsmasq adds boot files and DNS records only.
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

/// Tag of the nodes whose firmware enforces Secure Boot.
const SECURE: &str = "secure";

/// dnsmasq options for all nodes, their BMCs ("NODE-bmc") and the other hosts, in their order.
///
/// `host-record` makes the A, AAAA and PTR records; it does so whether or not the machine holds a lease.
pub fn host_lines(inventory: &Inventory, others: &[NamedHost<'_>], domain: &str, leases: Leases) -> String {
    let mut lines = String::new();
    for other in others {
        if let (Some(mac), Leases::Served) = (other.mac, leases) {
            let _ = writeln!(lines, "dhcp-host={mac},{},{}", other.address, other.name);
        }
        record(&mut lines, other.name, &[other.address.into()], domain);
    }
    for node in &inventory.nodes {
        let name = node.hostname.as_str();
        let mut tags = String::new();
        if !node.dhcp_options.is_empty() && leases == Leases::Served {
            // The prefix keeps a node's tag apart from the tags of the configuration ("ipxe", "bios").
            let _ = write!(tags, ",set:node-{name}");
        }
        if node.secure_boot {
            let _ = write!(tags, ",set:{SECURE}");
        }
        let _ = match leases {
            Leases::Served => writeln!(lines, "dhcp-host={}{tags},{},{name}", node.mac, node.address),
            // Without an address it makes the node known, and says how it boots.
            Leases::Elsewhere => writeln!(lines, "dhcp-host={}{tags},{name}", node.mac),
        };
        let mut addresses = vec![IpAddr::from(node.address)];
        addresses.extend(node.address6.map(|net| IpAddr::from(net.addr())));
        record(&mut lines, name, &addresses, domain);
        for (network, address) in &node.addresses {
            record(&mut lines, &format!("{name}-{network}"), &[(*address).into()], domain);
        }
        if let Some(bmc) = &node.bmc {
            let name = format!("{name}-bmc");
            if let (Some(mac), Leases::Served) = (bmc.mac, leases) {
                let _ = writeln!(lines, "dhcp-host={mac},{},{name}", bmc.address);
            }
            record(&mut lines, &name, &[bmc.address.into()], domain);
        }
    }
    if leases == Leases::Served {
        for node in &inventory.nodes {
            for (option, value) in &node.dhcp_options {
                let _ = writeln!(lines, "dhcp-option=tag:node-{},{}", node.hostname, option.words(value));
            }
        }
    }
    lines
}

/// Names may be given with and without the domain; the first one is what the address is called.
fn record(lines: &mut String, name: &str, addresses: &[IpAddr], domain: &str) {
    let _ = write!(lines, "host-record={name}.{domain},{name}");
    for address in addresses {
        let _ = write!(lines, ",{address}");
    }
    lines.push('\n');
}

/// What each machine is given to boot. iPXE is known by its user class and by its option 175, gets its script, and never
/// gets iPXE again. `server` is the boot server; `strangers_secure` starts machines that are not listed through shim.
pub fn boot_lines(server: Ipv4Addr, strangers_secure: bool, leases: Leases) -> String {
    let mut lines = String::new();
    for architecture in &ARCHITECTURES {
        if let Some(way) = architecture.way {
            let _ = writeln!(lines, "dhcp-match=set:{},option:client-arch,{}", way.tag(), architecture.number);
        }
    }
    let unserved: Vec<String> = ARCHITECTURES
        .iter()
        .filter(|architecture| architecture.way.is_none())
        .map(|architecture| format!("{} ({})", architecture.number, architecture.name))
        .collect();
    let _ = writeln!(lines, "# No loader for: {}.", unserved.join(", "));
    lines.push_str("dhcp-userclass=set:ipxe,iPXE\ndhcp-match=set:ipxe,175\n");
    let script = format!("http://{server}/boot.ipxe");
    let _ = writeln!(lines, "dhcp-boot=tag:ipxe,{script}");
    match leases {
        Leases::Served => lines += &authoritative(server, strangers_secure),
        Leases::Elsewhere => lines += &proxy(strangers_secure, &script),
    }
    lines
}

/// Whom a choice is for, as tags: machines that get shim, or that do not. `known` is dnsmasq's own tag for machines that
/// have a `dhcp-host` line.
fn choices(way: Way, strangers_secure: bool) -> Vec<(&'static str, &'static str)> {
    match (way, strangers_secure) {
        (Way::Bios, _) => vec![("", way.loader(false))],
        (_, false) => vec![("tag:secure,", way.loader(true)), ("tag:!secure,", way.loader(false))],
        (_, true) => vec![
            ("tag:secure,", way.loader(true)),
            ("tag:!known,", way.loader(true)),
            ("tag:known,tag:!secure,", way.loader(false)),
        ],
    }
}

fn authoritative(server: Ipv4Addr, strangers_secure: bool) -> String {
    let mut lines = String::new();
    for way in Way::ALL {
        let place = if way == Way::UefiHttp { format!("http://{server}/") } else { String::new() };
        for (tags, loader) in choices(way, strangers_secure) {
            let _ = writeln!(lines, "dhcp-boot=tag:!ipxe,tag:{},{tags}{place}{loader}", way.tag());
        }
    }
    lines
        + "# UEFI HTTP boot takes an answer only from a server that calls itself HTTPClient.
dhcp-option-force=tag:!ipxe,tag:http,option:vendor-class,HTTPClient
# iPXE need not wait for a proxyDHCP server.
dhcp-option=tag:ipxe,encap:175,176,1b
"
}

/// PXE clients are answered by `pxe-service` lines; architectures by number, as dnsmasq's names for 7 and 9 have changed
/// between releases. HTTP boot is not PXE: dnsmasq's proxy does not answer it.
fn proxy(strangers_secure: bool, script: &str) -> String {
    let mut lines = String::new();
    for architecture in &ARCHITECTURES {
        let (Some(way), number) = (architecture.way, architecture.number) else { continue };
        if way == Way::UefiHttp {
            continue;
        }
        for (tags, loader) in choices(way, strangers_secure) {
            let _ = writeln!(lines, "pxe-service=tag:!ipxe,{tags}{number},\"{loader}\",{loader}");
        }
        let _ = writeln!(lines, "pxe-service=tag:ipxe,{number},\"boot.ipxe\",{script}");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::tests::{dhcp_options, node};
    use crate::{Bmc, BmcKind};

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 10, 1, 1);

    fn inventory() -> Inventory {
        let mut one = node("node1", "ac:1f:6b:6c:5a:76", "10.10.1.21");
        one.dhcp_options = dhcp_options(&[("ntp-server", "10.10.1.1"), ("26", "9000")]);
        one.address6 = Some("fd00::21/64".parse().unwrap());
        one.bmc = Some(Bmc {
            address: "10.10.1.11".parse().unwrap(),
            mac: Some("ac:1f:6b:6c:58:31".parse().unwrap()),
            port: Bmc::PORT,
            kind: BmcKind::Supermicro,
            system: None,
            credentials: None,
        });
        let mut two = node("node2", "ac:1f:6b:6c:5a:77", "10.10.1.22");
        two.secure_boot = true;
        two.addresses.insert("ceph".to_owned(), "10.20.0.22".parse().unwrap());
        Inventory { nodes: vec![one, two] }
    }

    #[test]
    fn reservations_and_records() {
        let appliance = NamedHost { name: "mylab", address: SERVER, mac: None };
        let switch = NamedHost {
            name: "switch1",
            address: "10.10.1.2".parse().unwrap(),
            mac: Some("ac:1f:6b:6c:00:01".parse().unwrap()),
        };
        insta::assert_snapshot!(host_lines(&inventory(), &[appliance, switch], "lab.example", Leases::Served), @"
        host-record=mylab.lab.example,mylab,10.10.1.1
        dhcp-host=ac:1f:6b:6c:00:01,10.10.1.2,switch1
        host-record=switch1.lab.example,switch1,10.10.1.2
        dhcp-host=ac:1f:6b:6c:5a:76,set:node-node1,10.10.1.21,node1
        host-record=node1.lab.example,node1,10.10.1.21,fd00::21
        dhcp-host=ac:1f:6b:6c:58:31,10.10.1.11,node1-bmc
        host-record=node1-bmc.lab.example,node1-bmc,10.10.1.11
        dhcp-host=ac:1f:6b:6c:5a:77,set:secure,10.10.1.22,node2
        host-record=node2.lab.example,node2,10.10.1.22
        host-record=node2-ceph.lab.example,node2-ceph,10.20.0.22
        dhcp-option=tag:node-node1,option:mtu,9000
        dhcp-option=tag:node-node1,option:ntp-server,10.10.1.1
        ");
    }

    #[test]
    fn a_proxy_gives_no_address_but_knows_who_boots_how() {
        let lines = host_lines(&inventory(), &[], "lab.example", Leases::Elsewhere);
        let dhcp: Vec<_> = lines.lines().filter(|line| line.starts_with("dhcp-")).collect();
        assert_eq!(dhcp, ["dhcp-host=ac:1f:6b:6c:5a:76,node1", "dhcp-host=ac:1f:6b:6c:5a:77,set:secure,node2"]);
        assert_eq!(lines.lines().count(), 6);
    }

    #[test]
    fn loaders_by_machine() {
        insta::assert_snapshot!(boot_lines(SERVER, false, Leases::Served), @"
        dhcp-match=set:bios,option:client-arch,0
        dhcp-match=set:efi,option:client-arch,7
        dhcp-match=set:efi,option:client-arch,9
        dhcp-match=set:http,option:client-arch,16
        # No loader for: 6 (x86 UEFI), 10 (ARM 32 UEFI), 11 (ARM 64 UEFI), 15 (x86 UEFI HTTP boot), 18 (ARM 32 UEFI HTTP boot), 19 (ARM 64 UEFI HTTP boot), 27 (RISC-V 64 UEFI), 39 (LoongArch 64 UEFI).
        dhcp-userclass=set:ipxe,iPXE
        dhcp-match=set:ipxe,175
        dhcp-boot=tag:ipxe,http://10.10.1.1/boot.ipxe
        dhcp-boot=tag:!ipxe,tag:bios,undionly.kpxe
        dhcp-boot=tag:!ipxe,tag:efi,tag:secure,shimx64.efi
        dhcp-boot=tag:!ipxe,tag:efi,tag:!secure,snponly.efi
        dhcp-boot=tag:!ipxe,tag:http,tag:secure,http://10.10.1.1/shimx64.efi
        dhcp-boot=tag:!ipxe,tag:http,tag:!secure,http://10.10.1.1/snponly.efi
        # UEFI HTTP boot takes an answer only from a server that calls itself HTTPClient.
        dhcp-option-force=tag:!ipxe,tag:http,option:vendor-class,HTTPClient
        # iPXE need not wait for a proxyDHCP server.
        dhcp-option=tag:ipxe,encap:175,176,1b
        ");
    }

    #[test]
    fn strangers_start_through_shim_where_the_network_says_so() {
        let lines = boot_lines(SERVER, true, Leases::Served);
        let efi: Vec<_> = lines.lines().filter(|line| line.contains(",tag:efi,")).collect();
        let expected = [
            "dhcp-boot=tag:!ipxe,tag:efi,tag:secure,shimx64.efi",
            "dhcp-boot=tag:!ipxe,tag:efi,tag:!known,shimx64.efi",
            "dhcp-boot=tag:!ipxe,tag:efi,tag:known,tag:!secure,snponly.efi",
        ];
        assert_eq!(efi, expected);
    }

    #[test]
    fn a_proxy_offers_services_by_number() {
        let lines = boot_lines(SERVER, false, Leases::Elsewhere);
        let services: Vec<_> = lines.lines().filter(|line| line.starts_with("pxe-service=")).collect();
        let expected = [
            "pxe-service=tag:!ipxe,0,\"undionly.kpxe\",undionly.kpxe",
            "pxe-service=tag:ipxe,0,\"boot.ipxe\",http://10.10.1.1/boot.ipxe",
            "pxe-service=tag:!ipxe,tag:secure,7,\"shimx64.efi\",shimx64.efi",
            "pxe-service=tag:!ipxe,tag:!secure,7,\"snponly.efi\",snponly.efi",
            "pxe-service=tag:ipxe,7,\"boot.ipxe\",http://10.10.1.1/boot.ipxe",
            "pxe-service=tag:!ipxe,tag:secure,9,\"shimx64.efi\",shimx64.efi",
            "pxe-service=tag:!ipxe,tag:!secure,9,\"snponly.efi\",snponly.efi",
            "pxe-service=tag:ipxe,9,\"boot.ipxe\",http://10.10.1.1/boot.ipxe",
        ];
        assert_eq!(services, expected);
        assert!(!lines.lines().any(|line| line.starts_with("dhcp-boot=tag:!ipxe")));
    }
}
