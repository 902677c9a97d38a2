//! The two network interfaces, by MAC: systemd-networkd, name resolution, kernel settings.
//!
//! Interfaces are named after their role, whatever bus they sit on. Names are resolved through dnsmasq on 127.0.0.1,
//! which asks the profile's servers, or those that systemd-resolved collected from the uplink. systemd-resolved answers
//! nobody itself: port 53 is dnsmasq's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::canvas::Canvas;
use super::{Fault, units};
use crate::profile::{Addressing, Profile};

pub(super) const UPLINK: &str = "uplink";
pub(super) const PROVISIONING: &str = "provisioning";

/// Where systemd-resolved writes the uplink's name servers, in resolv.conf(5) form.
pub(super) const COLLECTED_DNS: &str = "/run/systemd/resolve/resolv.conf";

pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile) {
    let network = &profile.network;
    for (role, mac) in [(UPLINK, network.uplink.mac), (PROVISIONING, network.provisioning.mac)] {
        canvas.file(&format!("/etc/systemd/network/10-{role}.link"), link(role, &mac.to_string()));
    }
    canvas.file(&format!("/etc/systemd/network/20-{UPLINK}.network"), uplink(profile));
    canvas.file(&format!("/etc/systemd/network/20-{PROVISIONING}.network"), provisioning(profile));
    if canvas.has("/usr/lib/systemd/systemd-networkd", "the network", "systemd") {
        units::enable(canvas, "systemd-networkd.service");
    }

    let domain = &network.provisioning.domain;
    canvas.file("/etc/resolv.conf", format!("nameserver 127.0.0.1\nsearch {domain}\n"));
    if canvas.resolve("/usr/lib/systemd/systemd-resolved").is_some() {
        canvas.file("/etc/systemd/resolved.conf.d/10-provbuild.conf", resolved());
        units::enable(canvas, "systemd-resolved.service");
    } else if upstream(profile).is_none() && profile.distribution.kernel.is_some() {
        canvas.faults.push(Fault::NoResolver);
    }

    // One clock service: chrony where the profile asks for it.
    if canvas.resolve("/usr/sbin/chronyd").is_some() {
        units::enable(canvas, "chrony.service");
    } else if canvas.has("/usr/lib/systemd/systemd-timesyncd", "the clock", "systemd-timesyncd") {
        units::enable(canvas, "systemd-timesyncd.service");
    }
    canvas.file("/etc/sysctl.d/90-provbuild.conf", sysctl(profile));
}

/// Name servers that the profile names; `None` where the uplink's DHCP server is to name them.
pub(super) fn upstream(profile: &Profile) -> Option<&[IpAddr]> {
    match (&profile.network.provisioning.dns[..], &profile.network.uplink.addressing) {
        ([], Addressing::Dhcp) => None,
        ([], Addressing::Static { dns, .. }) => Some(dns),
        (given, _) => Some(given),
    }
}

fn link(role: &str, mac: &str) -> String {
    format!("[Match]\nMACAddress={mac}\nType=ether\n\n[Link]\nDescription={role}\nName={role}\n")
}

fn uplink(profile: &Profile) -> String {
    let uplink = &profile.network.uplink;
    let head = format!("[Match]\nMACAddress={}\nType=ether\n\n[Network]\n", uplink.mac);
    match &uplink.addressing {
        // By MAC: the site's server knows the virtual machine by the MAC in the profile, and a replaced system disk
        // (another machine-id, hence another DUID) keeps its address.
        Addressing::Dhcp => format!("{head}DHCP=yes\n\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=no\n"),
        Addressing::Static { address, gateway, dns } => {
            let dns: String = dns.iter().map(|server| format!("DNS={server}\n")).collect();
            format!("{head}Address={address}\nGateway={gateway}\n{dns}")
        }
    }
}

/// The address is there without a cable, and before the first node is: services can bind to it.
fn provisioning(profile: &Profile) -> String {
    let provisioning = &profile.network.provisioning;
    format!(
        "[Match]
MACAddress={}
Type=ether

[Link]
RequiredForOnline=no

[Network]
Address={}
ConfigureWithoutCarrier=yes
LinkLocalAddressing=no
IPv6AcceptRA=no
",
        provisioning.mac, provisioning.address
    )
}

fn resolved() -> &'static str {
    "[Resolve]\nDNSStubListener=no\nLLMNR=no\nMulticastDNS=no\nFallbackDNS=\n"
}

fn sysctl(profile: &Profile) -> String {
    let mut settings = BTreeMap::from([
        // nginx binds the provisioning address, which may appear after it has started.
        ("net.ipv4.ip_nonlocal_bind", "1"),
    ]);
    if profile.network.provisioning.nat {
        settings.insert("net.ipv4.ip_forward", "1");
    }
    settings.extend(profile.appliance.sysctl.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    settings.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
}
