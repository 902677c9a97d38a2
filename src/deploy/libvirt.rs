//! The appliance as a libvirt domain: the same image and MACs as everywhere.
//!
//! In: a build's manifest, its disk, the user's state disk and seed medium. Out: the domain's XML, for `virsh define`. Pure. The system
//! disk is the build's own file and `<transient/>`: libvirt puts an overlay over it for as long as the machine runs, and the next start
//! boots whatever build is there by then. What must stay is on the state disk. libvirt's schema (11.3) knows no NVMe disks: virtio.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use quick_xml::escape::escape;
use uuid::Uuid;

use crate::manifest::Manifest;

/// Of libvirt's own, by NAT and with DHCP.
const UPLINK: &str = "default";
/// The namespace of the domains' UUIDs: one name is one machine, and `virsh define` replaces what it has of it.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_91b3_53a0_4f0e_9f0b_6f4c_2f5f_0b6d);

pub(super) struct Domain<'a> {
    pub(super) manifest: &'a Manifest,
    /// Absolute, as all paths here.
    pub(super) disk: &'a Path,
    /// As libvirt calls it.
    pub(super) format: &'a str,
    pub(super) state: Option<&'a Path>,
    pub(super) seed: Option<&'a Path>,
    /// libvirt's network behind the provisioning card.
    pub(super) provisioning: &'a str,
    pub(super) secure_boot: bool,
}

/// Where the seed medium of a state disk lies.
pub(super) fn seed_of(state: &Path) -> PathBuf {
    let mut path = state.as_os_str().to_owned();
    path.push(".seed.iso");
    path.into()
}

pub(super) fn domain(domain: &Domain<'_>) -> String {
    let Domain { manifest, disk, format, state, seed, provisioning, secure_boot } = *domain;
    let machine = &manifest.machine;
    let name = escape(&manifest.name);
    let uuid = Uuid::new_v5(&NAMESPACE, manifest.name.as_bytes());
    let (memory, cpus) = (machine.memory_bytes >> 10, machine.cpus);
    let secure = if secure_boot { "yes" } else { "no" };
    // libvirt chooses the firmware files by these features, and adds SMM where Secure Boot needs it.
    let mut text = format!(
        "<domain type='kvm'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='KiB'>{memory}</memory>
  <vcpu>{cpus}</vcpu>
  <os firmware='efi'>
    <type arch='x86_64' machine='q35'>hvm</type>
    <firmware>
      <feature enabled='{secure}' name='secure-boot'/>
      <feature enabled='{secure}' name='enrolled-keys'/>
    </firmware>
    <boot dev='hd'/>
  </os>
  <features>
    <acpi/>
    <apic/>
  </features>
  <cpu mode='host-passthrough'/>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
"
    );
    let path = |path: &Path| escape(path.to_string_lossy()).into_owned();
    let _ = write!(
        text,
        "    <disk type='file' device='disk'>
      <driver name='qemu' type='{format}' discard='unmap'/>
      <source file='{}'/>
      <target dev='vda' bus='virtio'/>
      <transient/>
      <serial>system</serial>
    </disk>
",
        path(disk)
    );
    if let Some(state) = state {
        let _ = write!(
            text,
            "    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/>
      <source file='{}'/>
      <target dev='vdb' bus='virtio'/>
      <serial>state</serial>
    </disk>
",
            path(state)
        );
    }
    if let Some(seed) = seed {
        let _ = write!(
            text,
            "    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source file='{}' startupPolicy='optional'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
",
            path(seed)
        );
    }
    for (network, mac) in [(UPLINK, &machine.uplink_mac), (provisioning, &machine.provisioning_mac)] {
        let _ = write!(
            text,
            "    <interface type='network'>
      <mac address='{}'/>
      <source network='{}'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
",
            escape(mac),
            escape(network)
        );
    }
    text.push_str(
        "    <serial type='pty'/>
    <console type='pty'/>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
    </rng>
  </devices>
</domain>
",
    );
    text
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::manifest::{FORMAT, Inputs, Machine, Tool};
    use crate::vocab::{Digest, Epoch};

    fn manifest(name: &str) -> Manifest {
        let digest = Digest::of(b"x");
        Manifest {
            format: FORMAT,
            name: name.to_owned(),
            tool: Tool { version: "0".into(), source: "0".into() },
            inputs: Inputs { profile: digest, lock: digest, epoch: Epoch(0) },
            stages: Vec::new(),
            machine: Machine {
                memory_bytes: 4 << 30,
                cpus: 2,
                disk_bytes: 25 << 30,
                firmware: "efi".into(),
                secure_boot: false,
                uplink_mac: "00:50:56:11:22:33".into(),
                provisioning_mac: "00:50:56:11:22:34".into(),
            },
            daemon: None,
            image_digest: digest,
            artifacts: Vec::new(),
        }
    }

    /// The plainest and the fullest, with names that XML has other uses for.
    fn both() -> [String; 2] {
        let manifest = manifest("mylab");
        let domains = [
            Domain {
                manifest: &manifest,
                disk: Path::new("/srv/out/mylab/mylab.qcow2"),
                format: "qcow2",
                state: None,
                seed: None,
                provisioning: "provisioning",
                secure_boot: false,
            },
            Domain {
                manifest: &manifest,
                disk: Path::new("/srv/it's <out> & \"in\"/mylab-disk.vmdk"),
                format: "vmdk",
                state: Some(Path::new("/srv/state.qcow2")),
                seed: Some(Path::new("/srv/state.qcow2.seed.iso")),
                provisioning: "lab & co",
                secure_boot: true,
            },
        ];
        domains.each_ref().map(domain)
    }

    #[test]
    fn the_domains_are_known() {
        let [plain, full] = both();
        insta::assert_snapshot!("plain", plain);
        insta::assert_snapshot!("full", full);
        assert_eq!(seed_of(Path::new("/srv/state.qcow2")), Path::new("/srv/state.qcow2.seed.iso"));
    }

    #[test]
    #[ignore = "needs libvirt-clients, libvirt0 and libxml2-utils"]
    fn judge_libvirts_schema_accepts_the_domains() {
        let directory = tempfile::tempdir().unwrap();
        let validate = |text: &str| {
            let path = directory.path().join("domain.xml");
            std::fs::write(&path, text).unwrap();
            let output = Command::new("virt-xml-validate").arg(&path).arg("domain").output();
            output.expect("virt-xml-validate cannot be run: scripts/install-test-tools installs libvirt-clients")
        };
        for text in both() {
            let output = validate(&text);
            assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        }
        // It can tell.
        assert!(!validate(&both()[0].replace("bus='virtio'", "bus='nvme'")).status.success());
    }
}
