//! README.md of the boot tree: how to serve it with one's own servers, and who would be installed by it.

use netboot::Armed;

use super::SERVED;
use crate::profile::{Dhcp, Profile};

pub(super) fn text(profile: &Profile, armed: &Armed) -> String {
    let provisioning = &profile.network.provisioning;
    let (address, name) = (provisioning.address, &profile.name);
    format!(
        "# Boot tree of {name}

{armed}
## Serving it with your own servers

The appliance serves its own copy of this tree, in which nobody is armed. To serve this one from another machine, give
that machine the address {address} on the nodes' network, install dnsmasq, nginx and nftables, and run as root:

    rm -rf {SERVED}/tftp {SERVED}/http && install -d -m 755 {SERVED} && cp -r --preserve=mode tftp http {SERVED}/
    cp dnsmasq.conf /etc/dnsmasq.d/provbuild.conf
    cp nginx.conf /etc/nginx/sites-enabled/provbuild.conf
    systemctl restart dnsmasq nginx

The old files go first: what a former tree has armed would else stay armed beside the new one.

`nftables.conf` filters and, where the profile says so, masquerades the nodes' traffic. It replaces only the table
`inet provbuild`. Set the two interface names on its first lines, read it, then load it with `nft -f nftables.conf`;
forwarding also needs `sysctl net.ipv4.ip_forward=1`.

dnsmasq takes port 53 of the address above only. Another service there (systemd-resolved's stub listener, for one) goes
on beside it as long as it does not take that address.

## DHCP

{dhcp}
## Secure Boot

Firmware that enforces Secure Boot refuses iPXE, which nobody signed. Nodes with `secure-boot = true` in nodes.toml, and
machines that are not listed where the profile has `network.provisioning.secure-boot = true`, get the distribution's
signed shim instead. shim loads grubx64.efi from the same place; GRUB reads grub/grub.cfg there, and from it the script
of the NIC that booted. Everything comes from the server that shim came from, by TFTP or, after UEFI HTTP boot, by HTTP.
",
        armed = who(profile, armed),
        dhcp = dhcp(&provisioning.dhcp),
    )
}

fn who(profile: &Profile, armed: &Armed) -> String {
    let nodes: Vec<_> = profile.inventory.nodes.iter().filter(|node| armed.contains(node.mac)).collect();
    if nodes.is_empty() {
        return "Every node boots its own disk: nothing here installs. `provbuild build --arm NODE` makes a tree that does.\n"
            .to_owned();
    }
    let list: String = nodes
        .iter()
        .map(|node| format!("- {} ({}), with {}\n", node.hostname, node.mac, node.install.as_deref().unwrap_or("-")))
        .collect();
    format!(
        "**ARMED. When one of these boots from the network, it installs and its disk is erased:**

{list}
Files do not change by themselves: this arming neither expires nor ends when a node has been installed. A node that
boots from the network again installs again. To disarm, run `provbuild build` without `--arm` and replace the files that
you serve; for one node it is enough to remove `http/nodes/MAC.ipxe`, `http/grub/nodes/MAC.cfg` and
`tftp/grub/nodes/MAC.cfg`.
"
    )
}

fn dhcp(dhcp: &Dhcp) -> &'static str {
    match dhcp {
        Dhcp::Authoritative { .. } => {
            "`dnsmasq.conf` is the subnet's only DHCP server. Where another one answers too, use `mode = \"proxy\"` in the
profile and build again.
"
        }
        Dhcp::Proxy => {
            "The site's DHCP server keeps giving out the addresses; `dnsmasq.conf` only adds what to boot (proxyDHCP). Reserve
the nodes' addresses of nodes.toml there. A proxy reaches PXE clients alone: UEFI HTTP boot takes its URL from the
server that gives the address, so there let nodes boot by PXE, or set the URL in the site's server.
"
        }
    }
}
