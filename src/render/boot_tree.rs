//! The static boot tree: what the appliance serves from /srv/provbuild and what any other server can serve.
//!
//! ```text
//! tftp/undionly.kpxe, snponly.efi, ipxe.efi   iPXE, from the distribution's package
//! http/boot.ipxe                              every client's first script
//! http/nodes/MAC.ipxe                         a node's script: its own disk, nothing is armed in an image
//! http/seed/HOSTNAME/                         what a node's installer reads: NoCloud seed or preseed
//! http/snponly.efi                            for UEFI HTTP boot
//! dnsmasq.conf nginx.conf nftables.conf README.md
//! ```

use netboot::{Armed, Decision, Site, entry_script, node_script, node_script_path, seed_files};

use super::canvas::Canvas;
use super::{Fault, Request, SERVED, dnsmasq, nftables, nginx};
use crate::profile::Profile;
use crate::tree::{Change, Node, Tree};
use crate::vocab::ImagePath;

const IPXE: [&str; 3] = ["undionly.kpxe", "snponly.efi", "ipxe.efi"];

/// Renders the tree and puts what is served into the appliance's overlay as well.
pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile, _request: &Request<'_>) -> Tree {
    let mut tree = Tree::new();
    tree.insert(ImagePath::literal("/tftp"), Node::directory());
    tree.insert(ImagePath::literal("/http"), Node::directory());
    loaders(canvas, &mut tree);
    scripts(canvas, profile, &mut tree);
    seeds(canvas, profile, &mut tree);
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_root()) {
        let served = ImagePath::literal(&format!("{SERVED}{path}"));
        canvas.overlay.change(served, Change::Replace(node.clone()));
    }
    let own = [
        ("/dnsmasq.conf", dnsmasq::configuration(profile, dnsmasq::Site::Own)),
        ("/nginx.conf", nginx::server(profile)),
        ("/nftables.conf", nftables::ruleset(profile, "eth0", "eth1")),
        ("/README.md", readme(profile)),
    ];
    for (path, text) in own {
        add(canvas, &mut tree, path, text);
    }
    tree
}

fn add(canvas: &mut Canvas<'_>, tree: &mut Tree, path: &str, text: impl Into<Vec<u8>>) {
    let node = Node::file(canvas.contents.add(text));
    tree.insert_with_parents(ImagePath::literal(path), node);
}

fn loaders(canvas: &mut Canvas<'_>, tree: &mut Tree) {
    for name in IPXE {
        let path = format!("/usr/lib/ipxe/{name}");
        if !canvas.has(&path, "netboot clients", "ipxe") {
            continue;
        }
        let Some(content) = canvas.resolve(&path).and_then(|path| canvas.base.tree.content(&path)) else { continue };
        tree.insert(ImagePath::literal(&format!("/tftp/{name}")), Node::file(content));
        if name.ends_with(".efi") {
            tree.insert(ImagePath::literal(&format!("/http/{name}")), Node::file(content));
        }
    }
}

fn server_url(profile: &Profile) -> String {
    format!("http://{}", profile.network.provisioning.address.addr())
}

fn scripts(canvas: &mut Canvas<'_>, profile: &Profile, tree: &mut Tree) {
    let server = server_url(profile);
    add(canvas, tree, "/http/boot.ipxe", entry_script(&server));
    // The image arms nobody; only a person does, at the moment when a node is to be installed.
    let armed = Armed::none();
    for node in &profile.inventory.nodes {
        let decision = Decision::of(Some(node), &armed, None);
        add(canvas, tree, &format!("/http/{}", node_script_path(node.mac)), node_script(node, &decision, &server));
    }
}

/// The nodes' surroundings, as the profile has them.
fn site(profile: &Profile) -> Site<'_> {
    profile.site()
}

fn seeds(canvas: &mut Canvas<'_>, profile: &Profile, tree: &mut Tree) {
    let site = site(profile);
    for node in &profile.inventory.nodes {
        let Some(installer) = node.install.as_ref().and_then(|name| profile.installers.get(name)) else { continue };
        match seed_files(node, &installer.system, &site) {
            Ok(seed) => {
                for (name, text) in seed {
                    add(canvas, tree, &format!("/http/seed/{}/{name}", node.hostname), text);
                }
            }
            Err(error) => {
                canvas.faults.push(Fault::Seed { node: node.hostname.to_string(), reason: error.to_string() });
            }
        }
    }
}

fn readme(profile: &Profile) -> String {
    let address = profile.network.provisioning.address;
    format!(
        "# Boot tree of {name}

The appliance serves this tree by itself. To serve it from another machine, give that machine the address
{address} on the nodes' network, install dnsmasq, nginx and nftables, and run as root:

    mkdir -p {SERVED} && cp -r tftp http {SERVED}/
    cp dnsmasq.conf /etc/dnsmasq.d/provbuild.conf
    cp nginx.conf /etc/nginx/sites-enabled/provbuild.conf
    systemctl restart dnsmasq nginx

`nftables.conf` filters and, where the profile says so, masquerades the nodes' traffic. It replaces only the table
`inet provbuild`. Set the two interface names on its first lines, read it, then load it with `nft -f nftables.conf`;
forwarding also needs `sysctl net.ipv4.ip_forward=1`.

Another service on port 53 (systemd-resolved's stub listener, for one) listens beside dnsmasq as long as it does not
take the address above.

Every node boots its own disk: nothing here installs.
",
        name = profile.name
    )
}
