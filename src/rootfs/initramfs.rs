//! The initramfs, made once per kernel by the target's own mkinitramfs.
//!
//! Only the modules that a virtual appliance needs: its disk may hang on VMware's, KVM's, Hyper-V's or a common
//! controller. `MODULES=list` and the list are configuration of the image, so that an initramfs made later on the
//! appliance itself holds the same modules.

use std::fs;
use std::io;

use super::configure::Runner;
use super::failure::Failure;
use super::in_tree;

/// Modules by what they drive. mkinitramfs passes over those that a kernel has built in or does not have.
const MODULES: [(&str, &[&str]); 6] = [
    ("VMware", &["vmw_pvscsi", "mptspi", "vmxnet3"]),
    ("KVM, QEMU", &["virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "virtio_net", "virtio_console"]),
    ("Hyper-V", &["hv_vmbus", "hv_storvsc", "hv_netvsc", "hyperv_keyboard", "pci_hyperv"]),
    ("Xen", &["xen_blkfront", "xen_netfront"]),
    (
        "common controllers",
        &[
            "ahci",
            "ata_piix",
            "nvme",
            "sd_mod",
            "sr_mod",
            "megaraid_sas",
            "mpt3sas",
            "xhci_pci",
            "usb_storage",
            "uas",
            "usbhid",
        ],
    ),
    ("file systems", &["ext4", "vfat", "nls_cp437", "nls_ascii", "isofs"]),
];

/// Writes the configuration and one `/boot/initrd.img-VERSION` per kernel.
pub(super) fn make(runner: &Runner) -> Result<(), Failure> {
    let versions = kernels().map_err(Failure::io("look for kernels in /boot"))?;
    if versions.is_empty() || fs::symlink_metadata("/usr/sbin/mkinitramfs").is_err() {
        return Ok(());
    }
    let put = |path: &str, text: String| {
        in_tree::write(path, text.as_bytes(), 0o644).map_err(Failure::io(format!("write {path}")))
    };
    put(
        "/etc/initramfs-tools/conf.d/provbuild",
        "# Written by provbuild: the modules in ../modules are all that the appliance needs to find its root.\n\
         MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=3\nRESUME=none\n"
            .to_owned(),
    )?;
    put("/etc/initramfs-tools/modules", module_list())?;
    for version in &versions {
        runner.run("mkinitramfs", &["-o", &format!("/boot/initrd.img-{version}"), version])?;
    }
    Ok(())
}

fn module_list() -> String {
    let mut text = String::from("# Written by provbuild: one module per line, loaded in this order.\n");
    for (what, modules) in MODULES {
        text.push_str(&format!("# {what}\n{}\n", modules.join("\n")));
    }
    text
}

/// Kernel versions in /boot, sorted.
fn kernels() -> io::Result<Vec<String>> {
    let mut versions = Vec::new();
    for entry in fs::read_dir("/boot")? {
        let name = entry?.file_name();
        if let Some(version) = name.to_str().and_then(|name| name.strip_prefix("vmlinuz-")) {
            versions.push(version.to_owned());
        }
    }
    versions.sort();
    Ok(versions)
}
