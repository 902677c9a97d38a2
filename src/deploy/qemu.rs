//! The appliance in QEMU: the same image and MACs as on VMware, with forwarded ports.
//!
//! The image itself is never written: QEMU gets an overlay of its own, which is gone with the machine unless it is kept.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::exec::qemu::{self, Acceleration, Firmware, QemuError};
use crate::manifest::{Manifest, ManifestError};
use crate::vocab::{Digest, Remedy};

/// What `run` is asked for.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Host port to guest port of the uplink, on the loopback address.
    pub forwards: Vec<(u16, u16)>,
    /// A qcow2 file that keeps what the machine writes; made when it is missing. `None`: nothing is kept.
    pub keep: Option<PathBuf>,
    /// Where the provisioning NIC is plugged in, in the words of QEMU's -netdev; `None`: a hub with nothing else in it.
    pub provisioning: Option<String>,
    /// Firmware enforces Secure Boot; `None`: as the profile says.
    pub secure_boot: Option<bool>,
    /// Only print the command line.
    pub print: bool,
}

/// Why the machine does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{}: none of its artifacts is a disk that QEMU boots (qcow2, raw, vmdk)", .0.display())]
    NoDisk(PathBuf),
    #[error(transparent)]
    Qemu(#[from] QemuError),
    #[error("{step}: {source}")]
    Io { step: String, source: io::Error },
    #[error("{}: it was kept from another build of this appliance", .0.display())]
    OtherBase(PathBuf),
    #[error("qemu ended with {0}")]
    Ended(String),
}

impl Remedy for RunError {
    fn help(&self) -> Option<String> {
        match self {
            RunError::NoDisk(_) => Some("add \"qcow2\" to outputs.formats and build again".into()),
            RunError::Qemu(error) => error.help(),
            RunError::OtherBase(_) => Some(
                "name another file, or remove this one and the .base file beside it: what it kept is lost then".into(),
            ),
            RunError::Manifest(_) => Some("build the profile first".into()),
            _ => None,
        }
    }
}

/// Boots the build in a directory and waits for the machine's end. The serial console is the terminal; Ctrl-a x ends it.
pub fn run(directory: &Path, options: &RunOptions) -> Result<(), RunError> {
    let manifest = Manifest::read(directory)?;
    let disk = disk_of(directory, &manifest)?;
    let scratch = tempfile::Builder::new()
        .prefix("provbuild-run-")
        .tempdir()
        .map_err(|source| RunError::Io { step: "make a temporary directory".into(), source })?;
    let overlay = options.keep.clone().unwrap_or_else(|| scratch.path().join("system.qcow2"));
    prepare_overlay(&overlay, &disk)?;
    let firmware = Firmware::find(options.secure_boot.unwrap_or(manifest.machine.secure_boot))?;
    let variables = scratch.path().join("efi-variables.fd");
    std::fs::copy(&firmware.variables, &variables)
        .map_err(|source| RunError::Io { step: format!("copy {}", firmware.variables.display()), source })?;
    let acceleration = Acceleration::probe(&firmware, &variables);
    let arguments = arguments(&manifest, &overlay, &firmware, &variables, acceleration, options);
    if options.print {
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        println!("{} {}", qemu::PROGRAM, words.join(" "));
        // The command names files of this directory: it stays for whoever runs it.
        let _ = scratch.keep();
        return Ok(());
    }
    let status = Command::new(qemu::PROGRAM)
        .args(&arguments)
        .stdin(Stdio::inherit())
        .status()
        .map_err(|error| RunError::Qemu(QemuError::missing(qemu::PROGRAM, error)))?;
    if status.success() { Ok(()) } else { Err(RunError::Ended(status.to_string())) }
}

/// Makes the overlay, or checks that a kept one belongs to this very disk: over another one it would be a broken file system.
fn prepare_overlay(overlay: &Path, disk: &BaseDisk) -> Result<(), RunError> {
    let mut note = overlay.as_os_str().to_owned();
    note.push(".base");
    let note = PathBuf::from(note);
    if !overlay.exists() {
        qemu::make_overlay(&disk.path, disk.format, overlay)?;
        return std::fs::write(&note, disk.sha256.to_string())
            .map_err(|source| RunError::Io { step: format!("write {}", note.display()), source });
    }
    let base = std::fs::read_to_string(&note)
        .map_err(|source| RunError::Io { step: format!("read {}", note.display()), source })?;
    if base.trim() == disk.sha256.to_string() { Ok(()) } else { Err(RunError::OtherBase(overlay.to_owned())) }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:,=+@%".contains(&b);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// A finished disk that must not be written.
struct BaseDisk {
    path: PathBuf,
    /// As qemu-img calls it.
    format: &'static str,
    sha256: Digest,
}

/// The first disk that QEMU can use as a backing file, with its format's name.
fn disk_of(directory: &Path, manifest: &Manifest) -> Result<BaseDisk, RunError> {
    for (kind, format) in [("qcow2", "qcow2"), ("raw", "raw"), ("vmdk", "vmdk")] {
        if let Some(artifact) = manifest.artifacts.iter().find(|artifact| artifact.kind == kind) {
            return Ok(BaseDisk { path: directory.join(&artifact.file), format, sha256: artifact.sha256 });
        }
    }
    Err(RunError::NoDisk(directory.to_owned()))
}

fn arguments(
    manifest: &Manifest,
    overlay: &Path,
    firmware: &Firmware,
    variables: &Path,
    acceleration: Acceleration,
    options: &RunOptions,
) -> Vec<String> {
    let machine = &manifest.machine;
    let forwards: String =
        options.forwards.iter().map(|(host, guest)| format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}")).collect();
    let provisioning = options.provisioning.clone().unwrap_or_else(|| "hubport,hubid=1".to_owned());
    let mut arguments: Vec<String> = acceleration.arguments().map(str::to_owned).to_vec();
    arguments.extend(firmware.arguments(variables));
    let rest = [
        "-name".to_owned(),
        manifest.name.clone(),
        "-m".to_owned(),
        format!("{}M", machine.memory_bytes >> 20),
        "-smp".to_owned(),
        machine.cpus.to_string(),
        "-drive".to_owned(),
        format!("file={},format=qcow2,if=none,id=system,cache=unsafe,discard=unmap", qemu::escape(overlay)),
        "-device".to_owned(),
        "nvme,drive=system,serial=system".to_owned(),
        "-netdev".to_owned(),
        format!("user,id=uplink{forwards}"),
        "-device".to_owned(),
        format!("virtio-net-pci,netdev=uplink,mac={},romfile=", machine.uplink_mac),
        "-netdev".to_owned(),
        format!("{provisioning},id=provisioning"),
        "-device".to_owned(),
        format!("virtio-net-pci,netdev=provisioning,mac={},romfile=", machine.provisioning_mac),
        "-device".to_owned(),
        "virtio-rng-pci".to_owned(),
        "-display".to_owned(),
        "none".to_owned(),
        "-serial".to_owned(),
        "mon:stdio".to_owned(),
    ];
    arguments.extend(rest);
    arguments
}
