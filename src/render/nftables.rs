//! The packet filter: what each network may reach.
//!
//! One table of our own: loading it again replaces it and leaves other tables alone, on the appliance and on any other
//! machine. The rules match interfaces by name, so they load before the interfaces exist (network-pre.target).

use std::fmt::Write as _;

use super::canvas::Canvas;
use super::network::{PROVISIONING, UPLINK};
use super::units;
use crate::profile::{Dhcp, Profile};

pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile) {
    if !canvas.has("/usr/sbin/nft", "the packet filter", "nftables") {
        return;
    }
    let text = ruleset(profile, UPLINK, PROVISIONING);
    canvas.file_with("/etc/nftables.conf", text, |node| node.with_mode(crate::vocab::Mode::EXECUTABLE));
    units::enable(canvas, "nftables.service");
}

/// The whole file, for nft -f.
pub(super) fn ruleset(profile: &Profile, uplink: &str, provisioning: &str) -> String {
    let network = &profile.network;
    let subnet = network.provisioning.address.trunc();
    let open: Vec<String> = network.uplink.allow_tcp.iter().map(u16::to_string).collect();
    let open = match open.is_empty() {
        true => String::new(),
        false => format!("\t\tiifname $uplink tcp dport {{ {} }} accept\n", open.join(", ")),
    };
    // A proxyDHCP client asks for its boot file on port 4011 (PXE 2.1, section 2.2.5).
    let udp = match network.provisioning.dhcp {
        Dhcp::Authoritative { .. } => "53, 67, 69",
        Dhcp::Proxy => "53, 67, 69, 4011",
    };
    let ssh = profile.appliance.ssh.port;

    // Only the routed way to the BMCs can be filtered here: inside one Ethernet segment nothing passes this machine.
    let mut bmcs: Vec<String> = profile
        .inventory
        .nodes
        .iter()
        .filter_map(|node| node.bmc.as_ref())
        .map(|bmc| bmc.address.to_string())
        .collect();
    bmcs.sort();
    bmcs.dedup();
    // Of single machines only: in the whole subnet of the BMCs there may be people, who need the page and ssh.
    let single = bmcs.join(", ");
    bmcs.extend(network.bmc_subnet.map(|subnet| subnet.trunc().to_string()));
    bmcs.sort();
    bmcs.dedup();
    let (mut set, mut keep_off, mut media) = (String::new(), String::new(), String::new());
    if !bmcs.is_empty() {
        // A BMC that is not in the nodes' network fetches its media by the uplink. The way to the BMCs themselves is this machine's
        // own, which nothing here filters.
        media.push_str("\t\tiifname $uplink ip saddr @bmc tcp dport 80 accept\n");
        if !single.is_empty() {
            // A BMC that was taken over reaches neither ssh nor the page.
            let _ = writeln!(media, "\t\tiifname $uplink ip saddr {{ {single} }} drop");
        }
        let _ = write!(
            set,
            "\tset bmc {{
\t\ttype ipv4_addr
\t\tflags interval
\t\tauto-merge
\t\telements = {{ {} }}
\t}}

",
            bmcs.join(", ")
        );
    }
    if network.bmc_filter && !bmcs.is_empty() {
        // Before the rule for known connections: neither side may begin one, and none may go on.
        keep_off
            .push_str("\t\tiifname $provisioning ip daddr @bmc drop\n\t\toifname $provisioning ip saddr @bmc drop\n");
    }

    let (mut forward, mut nat) = (String::new(), String::new());
    if network.provisioning.nat {
        let _ = writeln!(forward, "\t\tiifname $provisioning oifname $uplink ip saddr {subnet} accept");
        let _ = write!(
            nat,
            "
\tchain postrouting {{
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t\toifname $uplink ip saddr {subnet} masquerade
\t}}
"
        );
    }
    format!(
        "#!/usr/sbin/nft -f
define uplink = \"{uplink}\"
define provisioning = \"{provisioning}\"

table inet provbuild
delete table inet provbuild

table inet provbuild {{
{set}\tchain input {{
\t\ttype filter hook input priority filter; policy drop;
\t\tct state established,related accept
\t\tct state invalid drop
\t\tiif lo accept
\t\tmeta l4proto {{ icmp, ipv6-icmp }} accept
\t\tiifname $uplink udp dport {{ 68, 546 }} accept
{media}{open}\t\tiifname $provisioning udp dport {{ {udp} }} accept
\t\tiifname $provisioning tcp dport {{ 53, 80, {ssh} }} accept
\t}}

\tchain forward {{
\t\ttype filter hook forward priority filter; policy drop;
{keep_off}\t\tct state established,related accept
\t\tct state invalid drop
{forward}\t}}
{nat}}}
"
    )
}
