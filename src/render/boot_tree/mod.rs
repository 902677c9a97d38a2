//! The static boot tree: what the appliance serves from /srv/provbuild and what any other server can serve.
//!
//! ```text
//! tftp/undionly.kpxe, snponly.efi, ipxe.efi     iPXE, from the distribution's package
//! tftp/shimx64.efi, grubx64.efi, mmx64.efi      the signed chain for Secure Boot
//! tftp/grub/grub.cfg                            every GRUB's first script
//! tftp/grub/nodes/MAC.cfg                       a node's script for GRUB
//! http/boot.ipxe                                every iPXE's first script
//! http/nodes/MAC.ipxe                           a node's script for iPXE
//! http/seed/HOSTNAME/                           the answers of a node with an installer
//! http/*.efi, http/grub/                        the same as in tftp/, for UEFI HTTP boot
//! tftp/media/INSTALLER/, http/media/INSTALLER/  vmlinuz and initrd; the ISO by HTTP
//! dnsmasq.conf nginx.conf nftables.conf README.md
//! ```
//!
//! There are two of them. The one inside the image holds no node's script and no answers: provd gives them there, by HTTP
//! itself, and to TFTP by the directory that `tftp/grub/nodes` leads to. The invariant: the one inside the image arms nobody,
//! whatever is asked for; only the one beside the image may hold scripts that install.

mod readme;

use std::collections::BTreeMap;

use netboot::{
    Armed, Decision, GRUB, GRUB_CONFIGURATIONS, IPXE_BIOS, IPXE_UEFI, Installation, MOK_MANAGER, MediaPaths, Program,
    SHIM, entry_script, grub_entry_script, grub_node_script, grub_node_script_path, node_script, node_script_path,
    seed_files, static_seed_path,
};

use super::canvas::Canvas;
use super::{Fault, InstallerFiles, Request, SERVED, boot_chain, dnsmasq, nftables, nginx, provd};
use crate::profile::{Installer, Media, Profile};
use crate::tree::{Change, Content, Node, Tree};
use crate::vocab::ImagePath;

/// `ipxe.efi` has drivers of its own: for machines whose firmware's network driver fails under `snponly.efi`.
const IPXE: [&str; 3] = [IPXE_BIOS, IPXE_UEFI, "ipxe.efi"];
/// The network GRUB, signed like the other one. Its name is the same on Debian and Ubuntu.
const NETWORK_GRUB: &[&str] = &["/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"];
/// Both roots, as far as a machine's first files go: PXE asks by TFTP, UEFI HTTP boot by HTTP.
const ROOTS: [&str; 2] = ["tftp", "http"];

/// Where a tree is served from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Inside the image: media that the appliance fetches by itself are links to where it keeps them.
    Image,
    /// Beside it: only what is at hand.
    Beside,
}

/// Renders both trees: the appliance's into its overlay, the other one as the result. `daemon`: whether provd answers there.
pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile, request: &Request<'_>, daemon: bool) -> Tree {
    let mut common = Tree::new();
    for root in ROOTS {
        common.insert(ImagePath::literal(&format!("/{root}")), Node::directory());
    }
    loaders(canvas, &mut common);
    entries(canvas, profile, &mut common);
    let mut installations = installations(canvas, profile);
    for node in profile.inventory.nodes.iter().filter(|node| request.armed.contains(node.mac)) {
        can_be_armed(canvas, profile, request, node);
    }
    installations.retain(|_, (installer, _)| request.media.contains_key(installer));

    let mut served = common.clone();
    media(canvas, profile, request.media, Place::Image, &mut served);
    if daemon {
        let scripts = ImagePath::literal("/tftp/grub/nodes");
        served.insert_with_parents(scripts, Node::symlink(provd::GRUB_NODES));
    }
    for (path, node) in served.iter().filter(|(path, _)| !path.is_root()) {
        let served = ImagePath::literal(&format!("{SERVED}{path}"));
        canvas.overlay.change(served, Change::Replace(node.clone()));
    }

    let mut beside = common;
    seeds(canvas, profile, &mut beside);
    media(canvas, profile, request.media, Place::Beside, &mut beside);
    scripts(canvas, profile, &installations, request.armed, &mut beside);
    let own = [
        ("/dnsmasq.conf", dnsmasq::configuration(profile, dnsmasq::Site::Own)),
        ("/nginx.conf", nginx::server(profile)),
        ("/nftables.conf", nftables::ruleset(profile, "eth0", "eth1")),
        ("/README.md", readme::text(profile, request.armed)),
    ];
    for (path, text) in own {
        add(canvas, &mut beside, path, text);
    }
    beside
}

fn add(canvas: &mut Canvas<'_>, tree: &mut Tree, path: &str, text: impl Into<Vec<u8>>) {
    let node = Node::file(canvas.contents.add(text));
    tree.insert_with_parents(ImagePath::literal(path), node);
}

fn place(tree: &mut Tree, path: &str, content: Content) {
    tree.insert_with_parents(ImagePath::literal(path), Node::file(content));
}

fn loaders(canvas: &mut Canvas<'_>, tree: &mut Tree) {
    for name in IPXE {
        let path = format!("/usr/lib/ipxe/{name}");
        if !canvas.has(&path, "netboot clients", "ipxe") {
            continue;
        }
        let Some(content) = canvas.resolve(&path).and_then(|path| canvas.base.tree.content(&path)) else { continue };
        for root in if name == IPXE_BIOS { &ROOTS[..1] } else { &ROOTS[..] } {
            place(tree, &format!("/{root}/{name}"), content);
        }
    }
    let signed = [
        (SHIM, boot_chain::SHIM, "shim-signed", true),
        (GRUB, NETWORK_GRUB, "grub-efi-amd64-signed", true),
        (MOK_MANAGER, boot_chain::MOK_MANAGER, "shim-signed", false),
    ];
    for (name, candidates, package, required) in signed {
        let found = candidates.iter().find_map(|path| canvas.base.tree.content(&canvas.resolve(path)?));
        match found {
            Some(content) => ROOTS.iter().for_each(|root| place(tree, &format!("/{root}/{name}"), content)),
            None if required => {
                // Reports it where the image must be complete.
                canvas.has(candidates[0], "netboot clients with Secure Boot", package);
            }
            None => {}
        }
    }
}

fn installer_of<'a>(profile: &'a Profile, node: &netboot::Node) -> Option<(&'a String, &'a Installer)> {
    profile.installers.get_key_value(node.install.as_ref()?)
}

/// What each node would install, with its installer's name, whether the files are there or not.
fn installations(canvas: &mut Canvas<'_>, profile: &Profile) -> BTreeMap<netboot::MacAddr, (String, Installation)> {
    let site = profile.site();
    let mut found = BTreeMap::new();
    for node in &profile.inventory.nodes {
        let Some((name, installer)) = installer_of(profile, node) else { continue };
        let paths = MediaPaths::of(name, installer.system.release);
        match Installation::of(node, &installer.system, &paths, &site, &static_seed_path(node)) {
            Ok(installation) => {
                found.insert(node.mac, (name.clone(), installation));
            }
            Err(error) => {
                canvas.faults.push(Fault::Loader { installer: name.clone(), reason: error.to_string() });
            }
        }
    }
    // Nodes of one installer share its parameters, and so their faults.
    canvas.faults.dedup();
    found
}

fn can_be_armed(canvas: &mut Canvas<'_>, profile: &Profile, request: &Request<'_>, node: &netboot::Node) {
    let hostname = node.hostname.to_string();
    match installer_of(profile, node) {
        None => canvas.faults.push(Fault::ArmedWithoutInstaller { node: hostname }),
        Some((name, installer)) => match request.media.get(name) {
            None => canvas.faults.push(Fault::ArmedWithoutMedia { node: hostname, installer: name.clone() }),
            Some(files) if files.iso.is_none() && installer.system.release.traits().program == Program::Subiquity => {
                canvas.faults.push(Fault::ArmedWithoutMedia { node: hostname, installer: name.clone() });
            }
            Some(_) => {}
        },
    }
}

/// Every loader's first script: the same for all machines.
fn entries(canvas: &mut Canvas<'_>, profile: &Profile, tree: &mut Tree) {
    add(canvas, tree, "/http/boot.ipxe", entry_script(&profile.site().url()));
    for root in ROOTS {
        for path in GRUB_CONFIGURATIONS {
            add(canvas, tree, &format!("/{root}/{path}"), grub_entry_script());
        }
    }
}

fn scripts(
    canvas: &mut Canvas<'_>,
    profile: &Profile,
    installations: &BTreeMap<netboot::MacAddr, (String, Installation)>,
    armed: &Armed,
    tree: &mut Tree,
) {
    let server = profile.site().url();
    for node in &profile.inventory.nodes {
        let installation = installations.get(&node.mac).map(|(_, installation)| installation);
        let decision = Decision::of(Some(node), armed, installation);
        add(canvas, tree, &format!("/http/{}", node_script_path(node.mac)), node_script(node, &decision, &server));
        for root in ROOTS {
            let path = format!("/{root}/{}", grub_node_script_path(node.mac));
            add(canvas, tree, &path, grub_node_script(node, &decision));
        }
    }
}

/// The installers' files. In the image, those that the appliance fetches are a link to its state; kernel and initrd of the
/// others lie there once, and TFTP reaches them by links.
fn media(
    canvas: &mut Canvas<'_>,
    profile: &Profile,
    at_hand: &BTreeMap<String, InstallerFiles>,
    tree_place: Place,
    tree: &mut Tree,
) {
    for (name, installer) in profile.installers.iter().filter(|(_, installer)| installer.medium.is_some()) {
        if tree_place == Place::Image && installer.media == Media::Fetch {
            for root in ROOTS {
                let link = ImagePath::literal(&format!("/{root}/media/{name}"));
                tree.insert_with_parents(link, Node::symlink(super::media::fetched(name)));
            }
            continue;
        }
        let Some(files) = at_hand.get(name) else {
            if tree_place == Place::Image {
                canvas.faults.push(Fault::NoMedia { installer: name.clone() });
            }
            continue;
        };
        let paths = MediaPaths::of(name, installer.system.release);
        for (path, content) in [(&paths.kernel, files.kernel), (&paths.initrd, files.initrd)] {
            place(tree, &format!("/http/{path}"), content);
            let by_tftp = ImagePath::literal(&format!("/tftp/{path}"));
            let node = match tree_place {
                Place::Image => Node::symlink(format!("{SERVED}/http/{path}")),
                Place::Beside => Node::file(content),
            };
            tree.insert_with_parents(by_tftp, node);
        }
        if let (Some(path), Some(content)) = (&paths.iso, files.iso) {
            place(tree, &format!("/http/{path}"), content);
        }
    }
}

fn seeds(canvas: &mut Canvas<'_>, profile: &Profile, tree: &mut Tree) {
    let site = profile.site();
    for node in &profile.inventory.nodes {
        let Some((_, installer)) = installer_of(profile, node) else { continue };
        match seed_files(node, &installer.system, &site, None) {
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
