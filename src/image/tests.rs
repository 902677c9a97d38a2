//! What several test modules of the stage share.

use super::MachineSpec;
use crate::profile::DistributionName;
use crate::vocab::ByteSize;

pub(super) fn machine() -> MachineSpec {
    MachineSpec {
        name: "mylab".into(),
        description: "provbuild appliance mylab, \"Ubuntu\" <24.04>".into(),
        memory: ByteSize::gib(4),
        cpus: 2,
        distribution: DistributionName::Ubuntu,
        uplink_mac: netboot::MacAddr::from_bytes([0x00, 0x50, 0x56, 0x00, 0x00, 0x01]),
        provisioning_mac: netboot::MacAddr::from_bytes([0x00, 0x50, 0x56, 0x00, 0x00, 0x02]),
        secure_boot: true,
    }
}
