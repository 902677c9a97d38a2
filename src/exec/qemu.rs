//! QEMU as it is installed on the host: its programs, its firmware, its acceleration.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::vocab::Remedy;

pub const PROGRAM: &str = "qemu-system-x86_64";
const IMAGE_PROGRAM: &str = "qemu-img";

/// UEFI firmware builds as Debian, Ubuntu, Fedora and Arch install them: (code, variables), best first.
const PLAIN: [(&str, &str); 4] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
];
/// The same with Secure Boot enforced and Microsoft's keys enrolled.
const SECURE: [(&str, &str); 2] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"),
];

/// What the firmware's boot manager calls itself on the console.
const BOOT_MANAGER: &[u8] = b"BdsDxe";
/// How long the firmware may take to its boot manager under KVM: it takes two seconds.
const PROBE: Duration = Duration::from_secs(15);

/// Why QEMU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    #[error("cannot start {program}: {source}")]
    Missing { program: &'static str, source: io::Error },
    #[error("{program} failed: {reason}")]
    Failed { program: &'static str, reason: String },
    #[error("no UEFI firmware{} for virtual machines is installed; looked for {}", if *secure { " with Secure Boot" } else { "" }, looked.join(", "))]
    NoFirmware { secure: bool, looked: Vec<&'static str> },
}

impl QemuError {
    pub(crate) fn missing(program: &'static str, source: io::Error) -> Self {
        QemuError::Missing { program, source }
    }
}

impl Remedy for QemuError {
    fn help(&self) -> Option<String> {
        match self {
            QemuError::Missing { .. } => {
                Some("Debian, Ubuntu: sudo apt-get install qemu-system-x86 qemu-utils ovmf".into())
            }
            QemuError::NoFirmware { .. } => Some("Debian, Ubuntu: sudo apt-get install ovmf".into()),
            QemuError::Failed { .. } => None,
        }
    }
}

/// How the guest's processor is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceleration {
    Kvm,
    /// Emulation: some twenty times slower.
    Tcg,
}

impl Acceleration {
    /// Finds out by running the firmware as a machine would, without a disk: there are hosts on which /dev/kvm opens and a few
    /// instructions run, and the firmware makes QEMU abort or the virtual processor stop.
    ///
    /// `variables` is a variable store that may be written.
    pub fn probe(firmware: &Firmware, variables: &Path) -> Self {
        if File::options().read(true).write(true).open("/dev/kvm").is_err() {
            return Acceleration::Tcg;
        }
        let spawned = Command::new(PROGRAM)
            .args(Acceleration::Kvm.arguments())
            .args(firmware.arguments(variables))
            .args(["-smp", "2", "-m", "256", "-nodefaults", "-display", "none", "-serial", "stdio"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = spawned else { return Acceleration::Tcg };
        let (sender, receiver) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            // Ends with the guest: then there is nothing more to read.
            thread::spawn(move || {
                let mut lines = BufReader::new(stdout).split(b'\n').map_while(Result::ok);
                let reached = lines.any(|line| line.windows(BOOT_MANAGER.len()).any(|window| window == BOOT_MANAGER));
                // The probe may have stopped listening.
                let _ = sender.send(reached);
            });
        }
        let works = receiver.recv_timeout(PROBE).unwrap_or(false);
        // A guest that has ended by itself makes both fail.
        let _ = child.kill();
        let _ = child.wait();
        if works { Acceleration::Kvm } else { Acceleration::Tcg }
    }

    pub fn arguments(self) -> [&'static str; 4] {
        match self {
            Acceleration::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Acceleration::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }
}

/// A pair of firmware files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    pub code: PathBuf,
    /// Template of the variable store; a machine writes to a copy.
    pub variables: PathBuf,
    pub secure: bool,
}

impl Firmware {
    pub fn find(secure: bool) -> Result<Self, QemuError> {
        let pairs: &[(&'static str, &'static str)] = if secure { &SECURE } else { &PLAIN };
        pairs
            .iter()
            .find(|(code, variables)| Path::new(code).exists() && Path::new(variables).exists())
            .map(|(code, variables)| Firmware { code: code.into(), variables: variables.into(), secure })
            .ok_or_else(|| QemuError::NoFirmware { secure, looked: pairs.iter().map(|pair| pair.0).collect() })
    }

    /// Arguments that start the firmware with a variable store of the machine's own.
    pub fn arguments(&self, variables: &Path) -> Vec<String> {
        let smm = if self.secure { ",smm=on" } else { "" };
        let mut arguments = vec!["-machine".to_owned(), format!("q35{smm}")];
        if self.secure {
            arguments.extend(["-global", "driver=cfi.pflash01,property=secure,value=on"].map(str::to_owned));
        }
        let flash = |unit: u8, file: &Path, read_only: &str| {
            format!("if=pflash,format=raw,unit={unit},file={}{read_only}", escape(file))
        };
        arguments.extend(["-drive".to_owned(), flash(0, &self.code, ",readonly=on")]);
        arguments.extend(["-drive".to_owned(), flash(1, variables, "")]);
        arguments
    }
}

/// A path as a value inside one of QEMU's comma-separated options.
pub fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// Makes an empty qcow2 disk of `bytes`, whole or not at all; nobody else reads it.
pub fn make_disk(path: &Path, bytes: u64) -> Result<(), QemuError> {
    let failed = |error: io::Error| QemuError::Failed {
        program: IMAGE_PROGRAM,
        reason: format!("cannot make {}: {error}", path.display()),
    };
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    // qemu-img writes into a file that is there, and keeps its mode.
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    let file = options.open(&aside).map_err(failed)?;
    image(&["create", "-q", "-f", "qcow2"], &aside, &[&bytes.to_string()])?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&aside, path).map_err(failed)
}

/// Bytes that a qcow2 disk shows its machine. One that a running machine has is a failure.
pub fn size_of_disk(path: &Path) -> Result<u64, QemuError> {
    let said = image(&["info", "-f", "qcow2", "--output=json"], path, &[])?;
    let size = serde_json::from_slice::<serde_json::Value>(&said).ok().and_then(|said| said["virtual-size"].as_u64());
    size.ok_or_else(|| QemuError::Failed {
        program: IMAGE_PROGRAM,
        reason: format!("it does not say how large {} is", path.display()),
    })
}

/// Runs qemu-img on a file; what it printed.
fn image(before: &[&str], path: &Path, after: &[&str]) -> Result<Vec<u8>, QemuError> {
    // A name with a colon would be read as a protocol, one with a hyphen as an option.
    let path = std::path::absolute(path).map_err(|source| QemuError::missing(IMAGE_PROGRAM, source))?;
    let output = Command::new(IMAGE_PROGRAM)
        .args(before)
        .arg(path)
        .args(after)
        .output()
        .map_err(|source| QemuError::missing(IMAGE_PROGRAM, source))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(QemuError::Failed {
            program: IMAGE_PROGRAM,
            reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}

/// Makes a qcow2 overlay over a disk that must not be written.
pub fn make_overlay(backing: &Path, format: &str, overlay: &Path) -> Result<(), QemuError> {
    let backing = backing.canonicalize().map_err(|source| QemuError::missing(IMAGE_PROGRAM, source))?;
    let output = Command::new(IMAGE_PROGRAM)
        .args(["create", "-q", "-f", "qcow2", "-F", format, "-b"])
        .args([&backing, overlay])
        .output()
        .map_err(|source| QemuError::missing(IMAGE_PROGRAM, source))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(QemuError::Failed {
            program: IMAGE_PROGRAM,
            reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}
