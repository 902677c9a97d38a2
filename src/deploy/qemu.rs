//! The appliance in QEMU: the same image and MACs as on VMware, with forwarded ports.
//!
//! The image itself is never written: QEMU gets an overlay of its own, which is gone with the machine unless it is kept. A state disk is a
//! file of the user's: made empty where it is missing, formatted by the appliance, never removed. The secrets are in a seed medium of
//! this run, which is overwritten and removed when the machine has ended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use netboot::SeedState;
use secrecy::SecretString;

use super::error::DeployError;
use super::libvirt::{self, Domain};
use super::seed;
use crate::exec::qemu::{self, Acceleration, Firmware, QemuError};
use crate::manifest::{Manifest, ManifestError};
use crate::vocab::{ByteSize, Digest, Epoch, Remedy};

/// Of everything on a seed medium that no deployment made: the same secrets give the same bytes.
const TIME: Epoch = Epoch(315_532_800);

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
    /// A disk for what must outlive the image.
    pub state: Option<State>,
    /// Only print the command line.
    pub print: bool,
}

/// A state disk, and what goes to the appliance with it.
#[derive(Debug, Clone)]
pub struct State {
    /// qcow2; made when it is missing.
    pub file: PathBuf,
    /// Of one that is made.
    pub size: ByteSize,
    /// By the names that the appliance knows them by.
    pub secrets: BTreeMap<String, SecretString>,
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
    #[error("{}: {reason}", path.display())]
    State { path: PathBuf, reason: String, help: &'static str },
    #[error(transparent)]
    Seed(#[from] DeployError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Secrets(Vec<seed::SecretFault>),
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
            RunError::State { help, .. } => Some((*help).to_owned()),
            RunError::Seed(error) => error.help(),
            RunError::Secrets(faults) => faults.iter().find_map(Remedy::help),
            _ => None,
        }
    }
}

/// Boots the build in a directory and waits for the machine's end. The serial console is the terminal; Ctrl-a x ends it.
///
/// With `options.print` nothing is started, and the command that would start it is given.
pub fn run(directory: &Path, options: &RunOptions) -> Result<Option<String>, RunError> {
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
    let mut medium = None;
    if let Some(state) = &options.state {
        prepare_state(state)?;
        medium = Some(Medium::write(&scratch.path().join("seed.iso"), state)?);
    }
    let acceleration = Acceleration::probe(&firmware, &variables);
    let mut arguments = arguments(&manifest, &overlay, &firmware, &variables, acceleration, options);
    if let (Some(state), Some(medium)) = (&options.state, &medium) {
        arguments.extend(state_arguments(&state.file, &medium.path));
    }
    if options.print {
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        // The command names files of this directory: it stays for whoever runs it.
        let _ = scratch.keep();
        medium.into_iter().for_each(Medium::keep);
        return Ok(Some(format!("{} {}", qemu::PROGRAM, words.join(" "))));
    }
    let status = Command::new(qemu::PROGRAM)
        .args(&arguments)
        .stdin(Stdio::inherit())
        .status()
        .map_err(|error| RunError::Qemu(QemuError::missing(qemu::PROGRAM, error)))?;
    if status.success() { Ok(None) } else { Err(RunError::Ended(status.to_string())) }
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

/// The XML of a libvirt domain for the build in a directory; `state` as for [`run`], with the seed medium in a file beside it.
///
/// # Errors
/// As [`run`].
pub fn domain(directory: &Path, options: &RunOptions, provisioning: &str) -> Result<String, RunError> {
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|source| RunError::Io { step: format!("find the directory of {}", path.display()), source })
    };
    let manifest = Manifest::read(directory)?;
    let disk = disk_of(directory, &manifest)?;
    let disk_path = absolute(&disk.path)?;
    let state = options.state.as_ref().map(|state| absolute(&state.file)).transpose()?;
    let mut medium = None;
    if let (Some(state), Some(file)) = (&options.state, &state) {
        prepare_state(state)?;
        let path = libvirt::seed_of(file);
        Medium::write(&path, state)?.keep();
        medium = Some(path);
    }
    Ok(libvirt::domain(&Domain {
        manifest: &manifest,
        disk: &disk_path,
        format: disk.format,
        state: state.as_deref(),
        seed: medium.as_deref(),
        provisioning,
        secure_boot: options.secure_boot.unwrap_or(manifest.machine.secure_boot),
    }))
}

/// Makes the state disk, or checks that what is there is one: nothing else is ever handed to a machine that writes.
fn prepare_state(state: &State) -> Result<(), RunError> {
    let path = &state.file;
    let step = |what: &str| format!("{what} {}", path.display());
    let refused = |reason: String, help| RunError::State { path: path.clone(), reason, help };
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(qemu::make_disk(path, state.size.bytes())?);
        }
        Err(source) => return Err(RunError::Io { step: step("open"), source }),
        Ok(file) => {
            let mut magic = Vec::new();
            file.take(4).read_to_end(&mut magic).map_err(|source| RunError::Io { step: step("read"), source })?;
            if magic != b"QFI\xfb" {
                let help = "name a file that is not there yet, and it is made; a disk of another format: qemu-img convert -O qcow2";
                return Err(refused("it is no qcow2 disk".to_owned(), help));
            }
        }
    }
    match qemu::size_of_disk(path) {
        Ok(size) if size < ByteSize::gib(1).bytes() => {
            Err(refused(format!("a state disk of {} is too small", ByteSize(size)), "the smallest is 1GiB"))
        }
        Ok(_) => Ok(()),
        Err(QemuError::Failed { reason, .. }) if reason.contains("lock") => Err(refused(
            "another machine uses it".to_owned(),
            "end that one first: two machines on one disk destroy it",
        )),
        Err(error) => Err(error.into()),
    }
}

/// A seed medium in a file: overwritten and removed in the end, however this ends but for a signal.
struct Medium {
    path: PathBuf,
    /// It stays for whoever runs what was printed.
    kept: bool,
}

impl Medium {
    /// The file is nobody else's from its beginning. The appliance formats an empty disk only: one in use stays as it is.
    fn write(path: &Path, state: &State) -> Result<Self, RunError> {
        let failed = |source| RunError::Io { step: format!("write {}", path.display()), source };
        let deployment = Digest::of(format!("run {}", state.file.display()).as_bytes()).to_string();
        let image = seed::of(&deployment[..32], 1, SeedState::New, &state.secrets, TIME)?;
        // One that was kept for a domain, or that a run left behind that was killed.
        match wipe(path).and_then(|()| fs::remove_file(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        let medium = Medium { path: path.to_owned(), kept: false };
        file.write_all(&image).map_err(failed)?;
        Ok(medium)
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // Nobody is left to tell; what cannot be overwritten is removed all the same.
        let _ = wipe(&self.path);
        let _ = fs::remove_file(&self.path);
    }
}

/// Overwrites a file with zeros, on the disk when this returns. A link's file is somebody else's.
fn wipe(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    let mut file = File::options().write(true).open(path)?;
    let length = file.metadata()?.len();
    io::copy(&mut io::repeat(0).take(length), &mut file)?;
    file.sync_all()
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

/// The second disk, and the seed medium as a CD. What is written to the state disk is to survive the host, too: no `cache=unsafe`.
fn state_arguments(state: &Path, medium: &Path) -> [String; 8] {
    [
        "-drive".to_owned(),
        format!("file={},format=qcow2,if=none,id=state,discard=unmap", qemu::escape(state)),
        "-device".to_owned(),
        "nvme,drive=state,serial=state".to_owned(),
        "-drive".to_owned(),
        format!("file={},format=raw,if=none,id=seed,media=cdrom,readonly=on", qemu::escape(medium)),
        "-device".to_owned(),
        "ide-cd,drive=seed".to_owned(),
    ]
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn state(file: PathBuf) -> State {
        let secrets = BTreeMap::from([("webhook".to_owned(), SecretString::from("geheim"))]);
        State { file, size: ByteSize::gib(2), secrets }
    }

    #[test]
    fn a_medium_is_the_owners_alone_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("seed.iso"), directory.path().join("link"));
        let (former, elsewhere) = (directory.path().join("former"), directory.path().join("elsewhere"));
        fs::write(&path, "of a run that was killed").unwrap();
        fs::hard_link(&path, &former).unwrap();
        let medium = Medium::write(&path, &state(directory.path().join("state"))).unwrap();
        assert_eq!(fs::read(&former).unwrap(), [0; 24]);
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
        let seed = netboot::Seed::read(&mut File::open(&path).unwrap()).unwrap();
        assert_eq!((seed.state, seed.secrets.len()), (SeedState::New, 1));
        // Another name of the same file shows what became of it.
        fs::hard_link(&path, &link).unwrap();
        drop(medium);
        assert!(!path.exists());
        let left = fs::read(&link).unwrap();
        assert!(left.len() as u64 == metadata.size() && left.iter().all(|byte| *byte == 0));
        // What a link leads to is left alone.
        fs::write(&elsewhere, "not ours").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        Medium::write(&path, &state(directory.path().join("state"))).unwrap().keep();
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "not ours");
    }

    #[test]
    fn no_other_file_becomes_a_state_disk() {
        let directory = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"QFI", b"not a disk at all"] {
            let state = state(directory.path().join("state"));
            fs::write(&state.file, content).unwrap();
            let error = prepare_state(&state).unwrap_err();
            assert!(error.to_string().ends_with("it is no qcow2 disk") && error.help().is_some(), "{error}");
            assert_eq!(fs::read(&state.file).unwrap(), content);
        }
        let error = prepare_state(&state(directory.path().to_owned())).unwrap_err();
        assert!(matches!(error, RunError::Io { .. }), "{error}");
    }

    #[test]
    #[ignore = "needs qemu-img and qemu-io"]
    fn judge_a_state_disk_is_made_once_and_not_used_twice() {
        let directory = tempfile::tempdir().unwrap();
        let state = state(directory.path().join("a:b,c.qcow2"));
        prepare_state(&state).unwrap();
        let made = fs::metadata(&state.file).unwrap();
        assert_eq!((made.permissions().mode() & 0o7777, qemu::size_of_disk(&state.file).unwrap()), (0o600, 2 << 30));
        prepare_state(&State { size: ByteSize::gib(9), ..state.clone() }).unwrap();
        assert_eq!(fs::metadata(&state.file).unwrap().ino(), made.ino());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

        // A program that has it open as a machine has.
        let file = format!(
            "json:{{\"driver\": \"qcow2\", \"file\": {{\"driver\": \"file\", \"filename\": {:?}}}}}",
            state.file
        );
        let mut user = Command::new("qemu-io").arg(file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        user.stdin.as_mut().unwrap().write_all(b"length\n").unwrap();
        user.stdout.as_mut().unwrap().read_exact(&mut [0; 1]).unwrap();
        let error = prepare_state(&state).unwrap_err();
        drop(user.stdin.take());
        user.wait().unwrap();
        assert!(error.to_string().ends_with("another machine uses it"), "{error}");
        prepare_state(&state).unwrap();

        let small = State { file: directory.path().join("small"), size: ByteSize::mib(1), ..state };
        qemu::make_disk(&small.file, small.size.bytes()).unwrap();
        let error = prepare_state(&small).unwrap_err();
        assert!(error.to_string().contains("too small"), "{error}");
        File::options().write(true).open(&small.file).unwrap().write_all_at(b"QFI\xfb\0\0\0\x63", 0).unwrap();
        prepare_state(&small).unwrap_err();
    }
}
