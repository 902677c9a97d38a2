//! The virtual machine in VMware's words: what OVF and VMX have in common.

use super::{ImageError, MachineSpec};
use crate::profile::DistributionName;

/// ESXi 7.0, Workstation 16: EFI with Secure Boot, PVSCSI, vmxnet3; nothing newer is needed.
pub(super) const HARDWARE_VERSION: u32 = 17;

/// Identifiers of a guest operating system.
pub(super) struct Guest {
    /// CIM_OperatingSystem.OsType, as `ovf:id`.
    pub(super) cim: u32,
    /// VirtualMachineGuestOsIdentifier of vSphere.
    pub(super) vsphere: &'static str,
    /// `guestOS` of a .vmx file.
    pub(super) vmx: &'static str,
    pub(super) description: &'static str,
}

impl Guest {
    pub(super) fn of(distribution: DistributionName) -> Self {
        match distribution {
            DistributionName::Ubuntu => {
                Guest { cim: 94, vsphere: "ubuntu64Guest", vmx: "ubuntu-64", description: "Ubuntu Linux (64-bit)" }
            }
            // Debian 11's identifier is the newest one that this hardware version knows; VMware treats its successors alike.
            DistributionName::Debian => Guest {
                cim: 96,
                vsphere: "debian11_64Guest",
                vmx: "debian11-64",
                description: "Debian GNU/Linux 11 or later (64-bit)",
            },
        }
    }
}

impl MachineSpec {
    /// The network adapters in their order: name of the network, what it is, address.
    pub(super) fn adapters(&self) -> [(&'static str, &'static str, netboot::MacAddr); 2] {
        [
            ("uplink", "The side towards the site and the Internet", self.uplink_mac),
            ("provisioning", "The side towards the nodes that are installed", self.provisioning_mac),
        ]
    }

    /// Memory in MiB, VMware's unit.
    pub(super) fn memory_mib(&self) -> u64 {
        self.memory.bytes() >> 20
    }

    pub(super) fn check(&self) -> Result<(), ImageError> {
        let fault = |field, value: String, reason| Err(ImageError::Machine { field, value, reason });
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || self.name.len() > 100 || self.name.starts_with('.') || !self.name.chars().all(plain)
        {
            return fault("name", self.name.clone(), "it names files: letters, digits, '-', '_' and '.', at most 100");
        }
        if self.memory.bytes() == 0 || !self.memory.bytes().is_multiple_of(4 << 20) {
            return fault("memory", self.memory.to_string(), "VMware wants a multiple of 4MiB");
        }
        if self.cpus == 0 {
            return fault("cpus", self.cpus.to_string(), "it needs at least one");
        }
        Ok(())
    }
}
