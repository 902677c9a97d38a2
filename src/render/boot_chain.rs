//! From the firmware to the kernel: signed shim -> signed GRUB -> signed kernel.
//!
//! ```text
//! ESP   EFI/BOOT/BOOTX64.EFI    shim, found by firmware without a boot entry (UEFI 2.10, section 3.5.1.1)
//!       EFI/BOOT/grubx64.efi    GRUB, started by shim from its own directory
//!       EFI/BOOT/mmx64.efi      MokManager
//!       EFI/DISTRIBUTION/...    the same for a boot entry, and grub.cfg: the signed GRUB looks for it here
//! root  /boot/grub/grub.cfg     the menu, in the root file system that the stub finds by UUID
//! ```

use std::cmp::Ordering;

use netboot::grub_quote;

use super::Fault;
use super::canvas::Canvas;
use crate::profile::{DistributionName, Profile};
use crate::tree::{Node, Tree};
use crate::vocab::{DiskIds, ImagePath};

/// Where the distributions keep a signed binary, first match wins: Ubuntu's shim has its name by update-alternatives.
pub(super) const SHIM: &[&str] = &["/usr/lib/shim/shimx64.efi.signed", "/usr/lib/shim/shimx64.efi.signed.latest"];
pub(super) const MOK_MANAGER: &[&str] = &["/usr/lib/shim/mmx64.efi.signed", "/usr/lib/shim/mmx64.efi"];
const GRUB: &[&str] = &["/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"];

pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile, ids: &DiskIds) -> Tree {
    let kernels = kernels(canvas);
    let Some(package) = &profile.distribution.kernel else { return Tree::new() };
    if kernels.is_empty() {
        canvas.faults.push(Fault::NoKernel { package: package.clone() });
    }
    for version in &kernels {
        let initrd = format!("/boot/initrd.img-{version}");
        if canvas.resolve(&initrd).is_none() {
            let kernel = ImagePath::literal(&format!("/boot/vmlinuz-{version}"));
            canvas.faults.push(Fault::NoInitrd { kernel, initrd: ImagePath::literal(&initrd) });
        }
    }
    canvas.file("/boot/grub/grub.cfg", menu(profile, ids, &kernels));
    esp(canvas, profile, ids)
}

fn esp(canvas: &mut Canvas<'_>, profile: &Profile, ids: &DiskIds) -> Tree {
    let mut tree = Tree::new();
    let vendor = match profile.distribution.name {
        DistributionName::Ubuntu => "ubuntu",
        DistributionName::Debian => "debian",
    };
    let shim = signed(canvas, SHIM, "shim-signed", true);
    let grub = signed(canvas, GRUB, "grub-efi-amd64-signed", true);
    let mok_manager = signed(canvas, MOK_MANAGER, "shim-signed", false);
    for (directory, shim_name) in [("BOOT", "BOOTX64.EFI"), (vendor, "shimx64.efi")] {
        for (name, node) in [(shim_name, &shim), ("grubx64.efi", &grub), ("mmx64.efi", &mok_manager)] {
            if let Some(node) = node {
                tree.insert_with_parents(ImagePath::literal(&format!("/EFI/{directory}/{name}")), node.clone());
            }
        }
    }
    let stub = Node::file(canvas.contents.add(stub(ids)));
    tree.insert_with_parents(ImagePath::literal(&format!("/EFI/{vendor}/grub.cfg")), stub);
    tree
}

fn signed(canvas: &mut Canvas<'_>, candidates: &[&'static str], package: &'static str, required: bool) -> Option<Node> {
    let found = candidates.iter().find_map(|path| canvas.base.tree.content(&canvas.resolve(path)?));
    if found.is_none() && required {
        let path = candidates[0].to_owned();
        canvas.faults.push(Fault::Missing { path, need: "booting the image", package });
    }
    found.map(Node::file)
}

/// Versions of the kernels in /boot, newest first.
fn kernels(canvas: &Canvas<'_>) -> Vec<String> {
    let boot = ImagePath::literal("/boot");
    let mut versions: Vec<String> = canvas
        .base
        .tree
        .below(&boot)
        .filter(|(path, _)| path.parent().as_ref() == Some(&boot) && canvas.base.tree.content(path).is_some())
        .filter_map(|(path, _)| Some(path.file_name().strip_prefix("vmlinuz-")?.to_owned()))
        .collect();
    versions.sort_by(|a, b| by_number(b, a));
    versions
}

/// Runs of digits compare as numbers: 6.12 is newer than 6.8.
fn by_number(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        let mut parts = vec![(0_u64, String::new())];
        for c in text.chars() {
            match c.to_digit(10) {
                Some(digit) => {
                    if parts.last().is_some_and(|(_, word)| !word.is_empty()) {
                        parts.push((0, String::new()));
                    }
                    if let Some((number, _)) = parts.last_mut() {
                        *number = number.saturating_mul(10).saturating_add(u64::from(digit));
                    }
                }
                None => {
                    if let Some((_, word)) = parts.last_mut() {
                        word.push(c);
                    }
                }
            }
        }
        parts
    };
    parts(a).cmp(&parts(b))
}

/// By UUID: a search by file name may find another disk's file.
fn stub(ids: &DiskIds) -> String {
    format!("search.fs_uuid {} root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n", ids.root_fs)
}

fn menu(profile: &Profile, ids: &DiskIds, kernels: &[String]) -> String {
    let extra: String =
        profile.appliance.kernel_parameters.iter().map(|word| format!(" {}", grub_quote(word))).collect();
    let arguments = format!("root=UUID={} ro console=tty0 console=ttyS0,115200{extra}", ids.root_fs);
    let mut text = format!(
        "# Rendered from the profile; a new kernel comes with a new image.
set default=0
set timeout=2
search --no-floppy --fs-uuid --set=root {}
",
        ids.root_fs
    );
    for (suffix, more) in [("", ""), (", verbose", " loglevel=7 systemd.log_level=debug")] {
        for version in kernels {
            text += &format!(
                "
menuentry '{} (Linux {version}{suffix})' {{
\tlinux /boot/vmlinuz-{version} {arguments}{more}
\tinitrd /boot/initrd.img-{version}
}}
",
                profile.name
            );
        }
    }
    text + "
menuentry 'Firmware setup' {
\tfwsetup
}
"
}

#[cfg(test)]
mod tests {
    use super::by_number;
    use std::cmp::Ordering;

    #[test]
    fn newer_kernels_are_greater() {
        assert_eq!(by_number("6.12.117+deb13-cloud-amd64", "6.8.0-31-generic"), Ordering::Greater);
        assert_eq!(by_number("6.8.0-9-generic", "6.8.0-31-generic"), Ordering::Less);
        assert_eq!(by_number("6.8.0-31-generic", "6.8.0-31-generic"), Ordering::Equal);
    }
}
