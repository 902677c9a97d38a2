//! The appliance's configuration and its boot trees, from the profile and the distribution's tree.
//!
//! In: a checked [`Profile`], the configured base tree, the disk's identities, the epoch. Out: an [`Overlay`] to lay over
//! the base, the tree of the EFI system partition, and the static boot tree that any other server can serve as well.
//! Pure: only contents of the base are read. All faults are found in one run.
//!
//! One module per service; [`canvas`] is what they write on. Texts that the appliance's daemon needs as well are in
//! `netboot`.

mod accounts;
mod boot_chain;
mod boot_tree;
mod canvas;
mod dnsmasq;
mod error;
mod identity;
mod media;
mod network;
mod nftables;
mod nginx;
mod provd;
mod ssh;
mod storage;
mod sum;
#[cfg(test)]
mod tests;
mod units;
mod vmware;

use std::collections::BTreeMap;

use netboot::Armed;

use crate::profile::Profile;
use crate::tree::{Change, Content, Contents, MemoryContents, Node, Overlay, Tree};
use crate::vocab::{DiskIds, Epoch};

pub use error::{Fault, RenderError};

/// Where the appliance keeps what must outlive its system disk: a mounted state disk, or a directory of the root where
/// there is none.
const STATE: &str = "/var/lib/provbuild";
/// File inside the image that names the digest of its tree; `build` writes it, last of all.
pub const IMAGE_DIGEST: &str = "/usr/lib/provbuild/image-digest";
/// Where the appliance serves the boot tree from.
const SERVED: &str = "/srv/provbuild";

/// The configured distribution tree.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    pub tree: &'a Tree,
    pub contents: &'a dyn Contents,
}

/// Files of an installer's medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstallerFiles {
    pub kernel: Content,
    pub initrd: Content,
    /// The ISO itself, for installers that load it.
    pub iso: Option<Content>,
}

/// What is rendered for, beside the profile.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub base: Base<'a>,
    pub ids: &'a DiskIds,
    pub epoch: Epoch,
    /// The media at hand, by the installer's name. Those of the profile that it bakes must be here.
    pub media: &'a BTreeMap<String, InstallerFiles>,
    /// Who is installed by the boot tree beside the image. The image itself arms nobody.
    pub armed: &'a Armed,
    /// The appliance's daemon, a program file. An image that is to boot must have it.
    pub daemon: Option<&'a [u8]>,
    /// Supermicro's SUM, where the profile has its archive: the program is `/sum`. Whoever writes the image has the contents.
    pub sum: Option<&'a Tree>,
}

/// Everything that configuration adds.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Laid over the base's tree it gives the root file system.
    pub overlay: Overlay,
    /// Tree of the EFI system partition; empty where the base has no kernel.
    pub esp: Tree,
    /// `out/NAME/boot/`: tftp/, http/, and configuration for one's own servers.
    pub boot: Tree,
    /// Contents that were made here; the rest of the nodes above name contents of the base.
    pub contents: MemoryContents,
}

/// Renders a profile over a base.
///
/// # Errors
/// Every file that is missing, unreadable or defined twice.
pub fn render(profile: &Profile, request: &Request<'_>) -> Result<Rendered, RenderError> {
    let Request { base, ids, epoch, daemon, .. } = request;
    let mut canvas = canvas::Canvas::new(base, profile.distribution.kernel.is_some());
    identity::render(&mut canvas, profile);
    // First whether it is there: its account and what others say to it depend on that.
    let daemon = provd::is_wanted(&mut canvas, *daemon);
    accounts::render(&mut canvas, profile, *epoch, daemon.is_some());
    storage::render(&mut canvas, ids, daemon.is_some());
    network::render(&mut canvas, profile);
    vmware::render(&mut canvas);
    ssh::render(&mut canvas, profile);
    nftables::render(&mut canvas, profile);
    let boot = boot_tree::render(&mut canvas, profile, request, daemon.is_some());
    media::render(&mut canvas, profile);
    dnsmasq::render(&mut canvas, profile, daemon.is_some());
    nginx::render(&mut canvas, profile, daemon.is_some());
    if let Some(program) = daemon {
        provd::render(&mut canvas, profile, program);
    }
    if let Some(files) = request.sum {
        sum::render(&mut canvas, files);
    }
    let esp = boot_chain::render(&mut canvas, profile, ids);
    units::render(&mut canvas);
    extra_files(&mut canvas, profile);
    let canvas::Canvas { overlay, contents, faults, .. } = canvas;
    if !faults.is_empty() {
        return Err(RenderError { faults });
    }
    Ok(Rendered { overlay, esp, boot, contents })
}

/// Files of the profile: they win over packages' files, never over what is rendered.
fn extra_files(canvas: &mut canvas::Canvas<'_>, profile: &Profile) {
    for (path, file) in &profile.files {
        if canvas.overlay.get(path).is_some() {
            canvas.faults.push(Fault::TwiceDefined { path: path.clone() });
            continue;
        }
        let node = Node::file(canvas.contents.add(file.content.as_slice())).with_mode(file.mode);
        canvas.overlay.change(path.clone(), Change::Replace(node));
    }
}
