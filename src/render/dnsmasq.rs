//! dnsmasq: DHCP by MAC, boot files by client architecture, TFTP, and DNS for the provisioning network.

use netboot::{Leases, NamedHost, boot_lines, host_lines};

use super::canvas::Canvas;
use super::network::{COLLECTED_DNS, PROVISIONING, upstream};
use super::storage::STATE_UNIT;
use super::{SERVED, STATE, provd, units};
use crate::profile::{Dhcp, Profile};

const CONFIGURATION: &str = "/etc/dnsmasq.d/provbuild.conf";

/// For whom the configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// `daemon`: provd is told of what happens.
    Appliance { daemon: bool },
    /// Some other server, that has the provisioning address.
    Own,
}

pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile, daemon: bool) {
    if !canvas.has("/usr/sbin/dnsmasq", "DHCP, TFTP and DNS", "dnsmasq") {
        return;
    }
    canvas.file(CONFIGURATION, configuration(profile, Site::Appliance { daemon }));
    if !canvas.has("/usr/lib/systemd/system/dnsmasq.service", "DHCP, TFTP and DNS", "dnsmasq") {
        return;
    }
    canvas.file("/etc/systemd/system/dnsmasq.service.d/10-provbuild.conf", drop_in());
    units::enable(canvas, "dnsmasq.service");
}

/// The packages' wrapper scripts differ between releases and hand 127.0.0.1 to resolvconf; dnsmasq is started directly.
/// It refuses to start without the directory of its resolv-file, which systemd-resolved makes.
///
/// Where there must be a state disk and is none it does not start: with leases on the system disk it would give out addresses that
/// machines have already. Where none is expected it does (see `provd::directory`).
fn drop_in() -> String {
    format!(
        "[Unit]
Wants=systemd-resolved.service
Requires={STATE_UNIT}
After=systemd-resolved.service {STATE_UNIT} var-lib-provbuild.mount

[Service]
RuntimeDirectory=dnsmasq
ExecStartPre=
ExecStartPre=/usr/bin/install -d -m 0755 {STATE}/dnsmasq
ExecStart=
ExecStart=/usr/sbin/dnsmasq --conf-file={CONFIGURATION} --pid-file=/run/dnsmasq/dnsmasq.pid
ExecStartPost=
ExecStop=
Restart=on-failure
RestartSec=2
"
    )
}

pub(super) fn configuration(profile: &Profile, site: Site) -> String {
    let provisioning = &profile.network.provisioning;
    let parts = [
        listening(profile, site),
        names(profile, site),
        match &provisioning.dhcp {
            Dhcp::Authoritative { .. } => authoritative(profile, site),
            Dhcp::Proxy => proxy(profile),
        },
        boot_lines(provisioning.address.addr(), provisioning.secure_boot, leases(profile)),
        hosts(profile),
    ];
    parts.join("\n")
}

fn listening(profile: &Profile, site: Site) -> String {
    let address = profile.network.provisioning.address.addr();
    let place = match site {
        // The daemon is told of leases and of files sent, by a script that need not be root's.
        Site::Appliance { daemon: false } => format!("interface={PROVISIONING}\nuser=dnsmasq"),
        Site::Appliance { daemon: true } => format!(
            "interface={PROVISIONING}\nuser=dnsmasq\ndhcp-script={}\ndhcp-scriptuser=dnsmasq",
            provd::DHCP_SCRIPT
        ),
        Site::Own => format!("listen-address={address}"),
    };
    format!(
        "# The interface and its address may come and go.
bind-dynamic
{place}
enable-tftp
tftp-root={SERVED}/tftp
"
    )
}

fn names(profile: &Profile, site: Site) -> String {
    let domain = &profile.network.provisioning.domain;
    let subnet = profile.network.provisioning.address.trunc();
    let upstream = match (upstream(profile), site) {
        (Some(servers), _) => {
            let servers: String = servers.iter().map(|server| format!("\nserver={server}")).collect();
            format!("no-resolv{servers}")
        }
        (None, Site::Appliance { .. }) => format!("resolv-file={COLLECTED_DNS}"),
        (None, Site::Own) => "# Upstream servers are those of /etc/resolv.conf.".to_owned(),
    };
    format!(
        "# Names of this network are answered here and asked nowhere else.
domain={domain},{subnet},local
local=/{domain}/
no-hosts
domain-needed
bogus-priv
dns-loop-detect
cache-size=2000
{upstream}
"
    )
}

fn authoritative(profile: &Profile, site: Site) -> String {
    let provisioning = &profile.network.provisioning;
    let (address, subnet) = (provisioning.address.addr(), provisioning.address.trunc());
    let Dhcp::Authoritative { range, lease_seconds } = &provisioning.dhcp else { return String::new() };
    let (network, mask) = (subnet.network(), subnet.netmask());
    let range = match range {
        Some(range) => format!("{},{},{mask}", range.first, range.last),
        // Only machines with a reservation get an address.
        None => format!("{network},static,{mask}"),
    };
    let router = match provisioning.gateway {
        Some(gateway) => format!("option:router,{gateway}"),
        None => "option:router".to_owned(),
    };
    let leases = match site {
        Site::Appliance { .. } => format!("dhcp-leasefile={STATE}/dnsmasq/leases\n"),
        Site::Own => String::new(),
    };
    format!(
        "dhcp-authoritative
dhcp-range={range},{lease_seconds}
{leases}dhcp-option={router}
dhcp-option=option:dns-server,{address}

"
    )
}

/// The site's DHCP server gives the addresses.
fn proxy(profile: &Profile) -> String {
    let subnet = profile.network.provisioning.address.trunc();
    format!("dhcp-range={},proxy,{}\n", subnet.network(), subnet.netmask())
}

fn leases(profile: &Profile) -> Leases {
    match profile.network.provisioning.dhcp {
        Dhcp::Authoritative { .. } => Leases::Served,
        Dhcp::Proxy => Leases::Elsewhere,
    }
}

fn hosts(profile: &Profile) -> String {
    let provisioning = &profile.network.provisioning;
    let own = NamedHost { name: profile.appliance.hostname.as_str(), address: provisioning.address.addr(), mac: None };
    let others = provisioning.hosts.iter().map(|host| NamedHost {
        name: host.name.as_str(),
        address: host.address,
        mac: host.mac,
    });
    let all: Vec<_> = [own].into_iter().chain(others).collect();
    host_lines(&profile.inventory, &all, &provisioning.domain, leases(profile))
}
