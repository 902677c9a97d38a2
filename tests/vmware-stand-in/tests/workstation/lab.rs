//! A directory with a stand-in and a machine that Workstation would start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vmware_stand_in::{Bench, Mode};

pub(crate) struct Lab {
    pub(crate) bench: Bench,
    directory: tempfile::TempDir,
}

/// What vmrun has said, and its exit code.
pub(crate) type Said = (i32, String);

impl Lab {
    pub(crate) fn new(mode: Mode) -> Lab {
        let directory = tempfile::tempdir().unwrap();
        let bench =
            Bench::new(&directory.path().join("stand-in"), mode, Path::new(env!("CARGO_BIN_EXE_stub-vmrun"))).unwrap();
        let lab = Lab { bench, directory };
        fs::write(lab.path("seed.iso"), vec![0; 4096]).unwrap();
        fs::write(lab.path("system.vmdk"), sparse(3)).unwrap();
        fs::write(lab.path("state.vmdk"), sparse(3)).unwrap();
        fs::write(lab.path("stream.vmdk"), sparse(0x30001)).unwrap();
        fs::write(lab.vmx(), VMX).unwrap();
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn vmx(&self) -> PathBuf {
        self.path("lab.vmx")
    }

    /// The machine with some text replaced.
    pub(crate) fn with(&self, from: &str, to: &str) {
        assert!(VMX.contains(from), "{from}");
        fs::write(self.vmx(), VMX.replace(from, to)).unwrap();
    }

    pub(crate) fn vmrun(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(self.bench.vmrun());
        let output = command.args(["-T", "ws"]).args(arguments).env_clear().output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors, "", "vmrun says everything on stdout");
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    /// A command about the machine.
    pub(crate) fn asked(&self, command: &str, more: &[&str]) -> Said {
        let vmx = self.vmx();
        self.vmrun(&[&[command, vmx.to_str().unwrap()], more].concat())
    }
}

/// The header of a sparse VMDK, with its flags.
fn sparse(flags: u32) -> Vec<u8> {
    let mut bytes = b"KDMV\x01\0\0\0".to_vec();
    bytes.extend(flags.to_le_bytes());
    bytes.resize(1 << 16, 0);
    bytes
}

pub(crate) const VMX: &str = r#"#!/usr/bin/vmware
.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "17"
displayName = "lab"
guestOS = "debian11-64"
memsize = "512"
numvcpus = "2"
firmware = "efi"
uefi.secureBoot.enabled = "FALSE"
pciBridge4.present = "TRUE"
pciBridge4.virtualDev = "pcieRootPort"
pciBridge4.functions = "8"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "system.vmdk"
scsi0:1.present = "TRUE"
scsi0:1.fileName = "state.vmdk"
sata0.present = "TRUE"
sata0:1.present = "TRUE"
sata0:1.deviceType = "cdrom-image"
sata0:1.fileName = "seed.iso"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.connectionType = "nat"
ethernet0.addressType = "static"
ethernet0.address = "00:50:56:00:00:01"
ethernet1.present = "TRUE"
ethernet1.virtualDev = "vmxnet3"
ethernet1.connectionType = "custom"
ethernet1.vnet = "vmnet2"
ethernet1.addressType = "static"
ethernet1.address = "00:50:56:3F:00:02"
"#;
