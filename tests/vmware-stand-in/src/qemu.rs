//! The machine of a VMX under QEMU: its command line, its start.
//!
//! NVMe disks and vmxnet3 cards are QEMU's own devices of that kind. Disks on SCSI adapters hang on AHCI instead, since OVMF has no driver
//! for PVSCSI: `notes` in the machine's directory says so. The process has a session of its own and outlives the stub.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::machine::{Bus, Link, Machine};
use crate::qmp::{Monitor, SOCKET};
use crate::state::{Process, State};
use crate::{Refusal, Settings};

const PROGRAM: &str = "qemu-system-x86_64";
/// What QEMU and the guest's serial console say, in the machine's directory.
pub(crate) const LOG: &str = "qemu.log";
pub(crate) const CONSOLE: &str = "console";
/// From its start to its monitor's first word.
const MONITOR: Duration = Duration::from_secs(60);
const QUIT: Duration = Duration::from_secs(20);

fn broken(what: &str, error: impl std::fmt::Display) -> Refusal {
    Refusal::new("Unknown error").because(&format!("stand-in: {what}: {error}"))
}

/// A path within one of QEMU's comma-separated options.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// QEMU's name of a device: no colons.
pub(crate) fn device_id(device: &str) -> String {
    device.replace(':', "-")
}

fn firmware_file(settings: &Settings, name: &str) -> Result<PathBuf, Refusal> {
    let path = settings.firmware.join(name);
    if path.is_file() { Ok(path) } else { Err(broken(&path.display().to_string(), "missing: install ovmf")) }
}

fn pflash(file: &Path, more: &str) -> String {
    format!("if=pflash,format=raw,file={}{more}", escaped(file))
}

/// Whether the firmware runs under KVM here. (There are hosts on which /dev/kvm opens, and the firmware makes QEMU abort or the virtual
/// CPU stop.) Tried once for a stand-in's directory.
fn kvm_works(settings: &Settings) -> bool {
    let kept = settings.directory.join("accelerator");
    let known = settings.accelerator.clone().or_else(|| std::fs::read_to_string(&kept).ok());
    match known.as_deref().map(str::trim) {
        Some("kvm") => true,
        Some("tcg") => false,
        _ => {
            let works = Path::new("/dev/kvm").exists() && firmware_runs_under_kvm(settings).unwrap_or(false);
            // It is only found out again.
            let _ = crate::replace(&kept, if works { b"kvm" } else { b"tcg" });
            works
        }
    }
}

fn firmware_runs_under_kvm(settings: &Settings) -> io::Result<bool> {
    let name = |what: &str| settings.directory.join(format!("kvm-{what}.{}", std::process::id()));
    let (console, said) = (name("console"), name("said"));
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let mut command = Command::new(PROGRAM);
    command.args(["-machine", "q35", "-accel", "kvm", "-cpu", "host", "-smp", "2", "-m", "256"]);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none"]);
    command.arg("-serial").arg(format!("file:{}", escaped(&console)));
    command.arg("-drive").arg(pflash(&settings.firmware.join("OVMF_CODE_4M.fd"), ",readonly=on"));
    command.arg("-drive").arg(pflash(&settings.firmware.join("OVMF_VARS_4M.fd"), ",snapshot=on"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said)?);
    let mut process = command.spawn()?;
    let begin = Instant::now();
    let works = loop {
        if read(&console).contains("BdsDxe") {
            break true;
        }
        let ended = process.try_wait()?.is_some();
        if ended || read(&said).contains("KVM internal error") || begin.elapsed() > Duration::from_secs(20) {
            break false;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    // It may have ended by itself.
    let _ = process.kill();
    let _ = process.wait();
    for file in [console, said] {
        let _ = std::fs::remove_file(file);
    }
    Ok(works)
}

struct Line {
    command: Command,
    notes: Vec<String>,
    /// Ports of AHCI that are taken.
    ports: u8,
    boot_index: u32,
}

impl Line {
    fn args<const N: usize>(&mut self, words: [&str; N]) {
        self.command.args(words);
    }

    fn port(&mut self) -> Result<u8, Refusal> {
        let port = self.ports;
        self.ports += 1;
        if port < 6 { Ok(port) } else { Err(broken("AHCI", "more than six disks and CDs")) }
    }

    fn firmware(&mut self, settings: &Settings, machine: &Machine) -> Result<(), Refusal> {
        self.args(["-machine", if machine.secure_boot { "q35,smm=on" } else { "q35" }]);
        if !machine.efi {
            return Ok(());
        }
        let (code, variables) = match machine.secure_boot {
            true => ("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.ms.fd"),
            false => ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
        };
        if machine.secure_boot {
            self.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
            self.args(["-global", "ICH9-LPC.disable_s3=1"]);
        }
        let code = firmware_file(settings, code)?;
        if !machine.nvram.exists() {
            let template = firmware_file(settings, variables)?;
            std::fs::copy(&template, &machine.nvram).map_err(|error| broken("NVRAM", error))?;
        }
        self.args(["-drive", &pflash(&code, ",readonly=on"), "-drive", &pflash(&machine.nvram, "")]);
        // Nothing answers there, and each try costs a minute.
        for switch in ["IPv4PXESupport", "IPv6PXESupport"] {
            self.args(["-fw_cfg", &format!("name=opt/org.tianocore/{switch},string=n")]);
        }
        Ok(())
    }

    fn storage(&mut self, machine: &Machine) -> Result<(), Refusal> {
        let mut controllers = Vec::new();
        for disk in &machine.disks {
            let id = device_id(&disk.device);
            let drive = format!("if=none,id=drive-{id},format=vmdk,cache=unsafe,file={}", escaped(&disk.file));
            self.args(["-drive", &drive]);
            self.boot_index += 1;
            let index = self.boot_index;
            if disk.bus == Bus::Nvme {
                let controller = format!("nvme{}", disk.controller);
                if !controllers.contains(&controller) {
                    self.args(["-device", &format!("nvme,id={controller},serial=VMware{controller}")]);
                    controllers.push(controller.clone());
                }
                let space = u32::from(disk.unit) + 1;
                let device =
                    format!("nvme-ns,id={id},drive=drive-{id},bus={controller},nsid={space},bootindex={index}");
                self.args(["-device", &device]);
            } else {
                if disk.bus == Bus::Scsi {
                    self.notes.push(format!("{}: on AHCI: OVMF has no driver for VMware's SCSI adapters", disk.device));
                }
                let port = self.port()?;
                self.args(["-device", &format!("ide-hd,id={id},drive=drive-{id},bus=ide.{port},bootindex={index}")]);
            }
        }
        for cd in &machine.cds {
            let id = device_id(&cd.device);
            let medium = if cd.connected { format!(",format=raw,file={}", escaped(&cd.file)) } else { String::new() };
            self.args(["-drive", &format!("if=none,id=drive-{id},media=cdrom,readonly=on{medium}")]);
            let port = self.port()?;
            self.args(["-device", &format!("ide-cd,id={id},drive=drive-{id},bus=ide.{port}")]);
        }
        Ok(())
    }

    fn cards(&mut self, settings: &Settings, machine: &Machine, state: &State) {
        let (mut uplink, mut provisioning) = (true, settings.provisioning.as_deref());
        for (index, card) in machine.cards.iter().enumerate() {
            let backend = match card.link {
                _ if !card.connected => format!("hubport,hubid={}", index + 1),
                Link::Nat => {
                    let more = settings.uplink.as_ref().map_or(String::new(), |more| format!(",{more}"));
                    let forward = |port: u16| format!(",hostfwd=tcp:{}:{port}-:{port}", state.address);
                    let forwards = if uplink { forward(22) + &forward(443) } else { String::new() };
                    uplink = false;
                    format!("user{forwards}{more}")
                }
                Link::Other => match provisioning.take() {
                    Some(backend) => backend.to_owned(),
                    None => format!("hubport,hubid={}", index + 1),
                },
            };
            let model = if card.model == "vlance" { "pcnet" } else { &card.model };
            let device = format!("{model},netdev=net{index},mac={},romfile=", card.mac);
            self.args(["-netdev", &format!("{backend},id=net{index}"), "-device", &device]);
        }
    }
}

/// Starts it; QEMU's process, once its monitor answers.
pub(crate) fn start(
    settings: &Settings,
    directory: &Path,
    machine: &Machine,
    state: &State,
) -> Result<Process, Refusal> {
    std::fs::create_dir_all(directory).map_err(|error| broken("directory", error))?;
    let mut line = Line { command: Command::new(PROGRAM), notes: Vec::new(), ports: 0, boot_index: 0 };
    let name = device_id(&crate::state::identity(&machine.vmx));
    line.args(["-name", &name, "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none"]);
    line.firmware(settings, machine)?;
    let (accelerator, cpu) = if kvm_works(settings) { ("kvm", "host") } else { ("tcg,thread=multi", "max") };
    let memory = settings.memory.map_or(machine.memory_mib, |most| most.min(machine.memory_mib));
    line.args(["-accel", accelerator, "-cpu", cpu, "-smp", &machine.cpus.to_string(), "-m", &memory.to_string()]);
    line.args(["-device", "virtio-rng-pci"]);
    let console = machine.serial.clone().unwrap_or_else(|| directory.join(CONSOLE));
    line.args(["-serial", &format!("file:{}", escaped(&console))]);
    line.args(["-qmp", &format!("unix:{SOCKET},server=on,wait=off")]);
    line.storage(machine)?;
    line.cards(settings, machine, state);

    // What an earlier one has left.
    let _ = std::fs::remove_file(directory.join(SOCKET));
    let log = File::create(directory.join(LOG)).map_err(|error| broken(LOG, error))?;
    note(directory, &line.notes);
    note(directory, &[format!("{:?}", line.command)]);
    let errors = log.try_clone().map_err(|error| broken(LOG, error))?;
    line.command.current_dir(directory).stdin(Stdio::null()).stdout(log).stderr(errors);
    // SAFETY: setsid is async-signal-safe and touches nothing of the parent's.
    unsafe {
        line.command.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?));
    }
    let child = line.command.spawn().map_err(|error| broken(PROGRAM, error))?;
    wait_for_monitor(child, directory)
}

fn wait_for_monitor(mut child: Child, directory: &Path) -> Result<Process, Refusal> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| broken(PROGRAM, error))? {
            let said = std::fs::read_to_string(directory.join(LOG)).unwrap_or_default();
            return Err(match said.contains("Failed to get") && said.contains("lock") {
                true => Refusal::new("Cannot open the disk. Reason: Failed to lock the file.").because(&said),
                false => broken(&format!("qemu ended ({status})"), said),
            });
        }
        let process = i32::try_from(child.id()).ok().and_then(Process::of);
        if let (Ok(_), Some(process)) = (Monitor::connect(directory), process) {
            return Ok(process);
        }
        if begin.elapsed() > MONITOR {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            return Err(broken(PROGRAM, "its monitor does not answer"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Switches it off, whatever it is doing.
pub(crate) fn quit(directory: &Path, process: Process) {
    // Where the monitor does not answer, the process is killed.
    let _ = Monitor::connect(directory).and_then(|mut monitor| monitor.execute("quit", serde_json::json!({})));
    let begin = Instant::now();
    while process.lives() && begin.elapsed() < QUIT {
        std::thread::sleep(Duration::from_millis(50));
    }
    process.kill();
}

/// A line for whoever reads a failed test.
fn note(directory: &Path, lines: &[String]) {
    if let Ok(mut file) = File::options().create(true).append(true).open(directory.join("notes")) {
        for line in lines {
            // Only a help.
            let _ = writeln!(file, "{line}");
        }
    }
}
