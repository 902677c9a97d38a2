//! What the image stage is asked for.

use std::path::PathBuf;

use crate::profile::OutputFormat;
use crate::tree::{Contents, Tree};
use crate::vocab::{ByteSize, Digest, DiskIds, Epoch};

/// One disk: GPT with an EFI system partition (FAT32) and a root file system (ext4) that fills the rest.
pub struct DiskSpec<'a> {
    /// Root file system.
    pub root: &'a Tree,
    /// EFI system partition: directories and regular files only; modes and owners are ignored.
    pub esp: &'a Tree,
    pub contents: &'a dyn Contents,
    /// Size of the disk; the images are sparse.
    pub size: ByteSize,
    pub ids: DiskIds,
    pub epoch: Epoch,
}

/// The virtual machine that OVF and VMX describe.
pub struct MachineSpec {
    /// Base name of all files: NAME.ova, NAME.vmdk, ...
    pub name: String,
    /// For people ("provbuild appliance mylab, Ubuntu 24.04").
    pub description: String,
    pub memory: ByteSize,
    pub cpus: u32,
    /// OVF/VMX guest identifiers follow from it.
    pub distribution: crate::profile::DistributionName,
    pub uplink_mac: netboot::MacAddr,
    pub provisioning_mac: netboot::MacAddr,
    pub secure_boot: bool,
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub format: OutputFormat,
    pub path: PathBuf,
    /// Length in bytes.
    pub size: u64,
    pub sha256: Digest,
}
