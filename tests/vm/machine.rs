//! A virtual machine in a lab: QEMU with UEFI or BIOS firmware, its console in a file, ssh and the management page through
//! forwarded ports.
//!
//! KVM is used where a guest really runs under it (opening /dev/kvm proves nothing), else TCG: many times slower, so every
//! deadline here is generous and every wait ends as soon as the console shows that the boot has failed. The machine
//! writes to its disk image only where a test lets it ([`Spec::own_disks`]). It is killed when it is dropped and when the test dies.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::lab::Lab;

/// What the console shows when waiting longer is of no use.
const HOPELESS: [&str; 7] = [
    "Kernel panic",
    "You are in emergency mode",
    "Give root password for maintenance",
    "grub rescue>",
    "ALERT!",
    "Security Violation",
    "BdsDxe: No bootable option",
];

const PFLASH: &str = "if=pflash,format=raw,file=";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Firmware {
    /// SeaBIOS; its network ROM is QEMU's, an iPXE.
    Bios,
    Uefi,
    /// With Microsoft's and the distributions' keys enrolled and Secure Boot on.
    SecureBoot,
}

/// What the firmware tries first; the disk, where there is one, comes after the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    Disk,
    Pxe,
    /// UEFI HTTP boot, with OVMF's PXE switched off.
    HttpBoot,
}

/// OVMF boots from these two; it has no driver for VMware's PVSCSI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bus {
    Nvme,
    Ahci,
}

/// What a network card is connected to.
#[derive(Debug, Clone)]
pub(crate) enum Link {
    /// QEMU's user network with its DHCP server; the guest's ssh and https ports are forwarded from the lab.
    Uplink,
    /// A port of the lab's bridge.
    Tap(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// `None`: a machine that has nothing to boot but the network.
    pub(crate) disk: Option<PathBuf>,
    pub(crate) bus: Bus,
    /// Disks that the machine writes to, with their serial numbers: NVMe, and booted from in this order, after all else.
    pub(crate) own_disks: Vec<(PathBuf, &'static str)>,
    pub(crate) firmware: Firmware,
    pub(crate) first: First,
    pub(crate) memory_mib: u32,
    pub(crate) nics: Vec<(Link, String)>,
    /// Who logs in by ssh.
    pub(crate) user: &'static str,
}

pub(crate) struct Machine<'a> {
    lab: &'a Lab,
    process: Child,
    pub(crate) console: PathBuf,
    ssh_port: u16,
    https_port: u16,
    started: Instant,
    name: &'static str,
    user: &'static str,
}

/// Whether the firmware runs under KVM here, with the very options that the machines get. (There are hosts on which
/// /dev/kvm opens and a few instructions run, and the firmware makes QEMU abort or the virtual CPU stop.)
fn kvm_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        let works = Path::new("/dev/kvm").exists() && firmware_runs_under_kvm();
        eprintln!("virtual machines run under {}", if works { "KVM" } else { "TCG (no usable KVM here)" });
        works
    })
}

fn firmware_runs_under_kvm() -> bool {
    let directory = tempfile::tempdir().unwrap();
    let (console, said) = (directory.path().join("console"), directory.path().join("said"));
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-machine", "q35", "-accel", "kvm", "-cpu", "host", "-smp", "2", "-m", "256"]);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none"]);
    command.arg("-serial").arg(format!("file:{}", console.display()));
    command.arg("-drive").arg(format!("{PFLASH}{},readonly=on", firmware_file("OVMF_CODE_4M.fd").display()));
    command.arg("-drive").arg(format!("{PFLASH}{},snapshot=on", firmware_file("OVMF_VARS_4M.fd").display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&said).unwrap());
    let mut process = command.spawn().expect("qemu-system-x86_64 cannot be run: install qemu-system-x86");
    let begin = Instant::now();
    let works = loop {
        if read(&console).contains("BdsDxe") {
            break true;
        }
        let ended = process.try_wait().unwrap().is_some();
        if ended || read(&said).contains("KVM internal error") || begin.elapsed() > Duration::from_secs(20) {
            break false;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    // It may have ended by itself: then there is nothing to kill.
    let _ = process.kill();
    let _ = process.wait();
    works
}

/// A file of the firmware: in `$PROVBUILD_OVMF`, else where Debian and Ubuntu have it.
fn firmware_file(name: &str) -> PathBuf {
    let directory = std::env::var_os("PROVBUILD_OVMF").map_or(PathBuf::from("/usr/share/OVMF"), PathBuf::from);
    let path = directory.join(name);
    assert!(path.exists(), "{} is missing: install ovmf", path.display());
    path
}

fn format_of(disk: &Path) -> &'static str {
    match disk.extension().and_then(|extension| extension.to_str()) {
        Some("vmdk") => "vmdk",
        Some("qcow2") => "qcow2",
        _ => "raw",
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl<'a> Machine<'a> {
    pub(crate) fn start(lab: &'a Lab, spec: &Spec) -> Machine<'a> {
        let (name, directory) = (spec.name, &lab.directory);
        let console = directory.join(format!("{name}.console"));
        let (ssh_port, https_port) = (free_port(), free_port());
        let mut command = lab.command("qemu-system-x86_64");
        let (accelerator, cpu) = if kvm_works() { ("kvm", "host") } else { ("tcg,thread=multi", "max") };
        let secure = spec.firmware == Firmware::SecureBoot;
        command.args(["-name", name, "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none"]);
        command.args(["-machine", if secure { "q35,smm=on" } else { "q35" }, "-accel", accelerator, "-cpu", cpu]);
        command.args(["-smp", "2", "-m", &spec.memory_mib.to_string(), "-device", "virtio-rng-pci"]);
        command.arg("-serial").arg(format!("file:{}", console.display()));

        let files = match spec.firmware {
            Firmware::Bios => None,
            Firmware::Uefi => Some(("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd")),
            Firmware::SecureBoot => Some(("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.ms.fd")),
        };
        if secure {
            command.args([
                "-global",
                "driver=cfi.pflash01,property=secure,value=on",
                "-global",
                "ICH9-LPC.disable_s3=1",
            ]);
        }
        if let Some((code, variables)) = files {
            let own_variables = directory.join(format!("{name}.vars"));
            std::fs::copy(firmware_file(variables), &own_variables).unwrap();
            command.arg("-drive").arg(format!("{PFLASH}{},readonly=on", firmware_file(code).display()));
            command.arg("-drive").arg(format!("{PFLASH}{}", own_variables.display()));
        }
        // OVMF's switches (OvmfPkg/RUNTIME_CONFIG.md). IPv6 would only cost time: nothing answers it here.
        let off: &[&str] = match spec.first {
            First::Disk => &[],
            First::Pxe => &["IPv6PXESupport"],
            First::HttpBoot => &["IPv6PXESupport", "IPv4PXESupport"],
        };
        for switch in off {
            command.args(["-fw_cfg", &format!("name=opt/org.tianocore/{switch},string=n")]);
        }

        if let Some(disk) = &spec.disk {
            let drive = format!("if=none,id=system,format={},file={},snapshot=on", format_of(disk), disk.display());
            command.arg("-drive").arg(drive);
            let index = if spec.first == First::Disk { 1 } else { 2 };
            match spec.bus {
                Bus::Nvme => command.args(["-device", &format!("nvme,drive=system,serial=system,bootindex={index}")]),
                Bus::Ahci => command.args(["-device", &format!("ide-hd,drive=system,bus=ide.0,bootindex={index}")]),
            };
        }
        for (index, (disk, serial)) in spec.own_disks.iter().enumerate() {
            // Nothing of it must outlive the host.
            let drive =
                format!("if=none,id=own{index},format={},file={},cache=unsafe", format_of(disk), disk.display());
            let device = format!("nvme,drive=own{index},serial={serial},bootindex={}", 3 + index);
            command.args(["-drive", &drive, "-device", &device]);
        }
        for (index, (link, mac)) in spec.nics.iter().enumerate() {
            let backend = match link {
                Link::Uplink => {
                    let forward = |port: u16, guest: u16| format!("hostfwd=tcp:127.0.0.1:{port}-:{guest}");
                    format!("user,id=net{index},{},{}", forward(ssh_port, 22), forward(https_port, 443))
                }
                Link::Tap(port) => format!("tap,id=net{index},ifname=tap{port},script=no,downscript=no"),
            };
            // Without QEMU's own ROM (which is an iPXE) the firmware's PXE client runs, as it would on a server.
            let rom = if spec.firmware == Firmware::Bios { "" } else { ",romfile=" };
            let boot = if spec.first == First::Disk { "" } else { ",bootindex=1" };
            let card = format!("virtio-net-pci,netdev=net{index},mac={mac}{rom}{boot}");
            command.args(["-netdev", &backend, "-device", &card]);
        }
        let log = std::fs::File::create(directory.join(format!("{name}.qemu"))).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        // SAFETY: prctl is async-signal-safe and touches nothing of the parent's.
        unsafe {
            command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?));
        }
        let process = command.spawn().expect("nsenter cannot be run: install util-linux");
        Machine { lab, process, console, ssh_port, https_port, started: Instant::now(), name, user: spec.user }
    }

    pub(crate) fn console_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// Waits until the console shows `text`. Panics after `limit`, when the boot has visibly failed, or when QEMU has ended.
    pub(crate) fn wait_for(&mut self, text: &str, limit: Duration) {
        self.wait_until(&format!("{text:?} on the console"), limit, |machine| machine.console_text().contains(text));
    }

    /// Waits until the ssh server runs a command.
    pub(crate) fn wait_for_ssh(&mut self, key: &Path, limit: Duration) {
        self.wait_until("ssh", limit, |machine| machine.ssh(key, "true").is_ok());
    }

    /// Waits until a condition holds.
    pub(crate) fn wait_until(&mut self, what: &str, limit: Duration, mut holds: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            let text = self.console_text();
            let fault = if let Some(status) = self.process.try_wait().unwrap() {
                // It may have held just before the end.
                if holds(self) {
                    break;
                }
                let log = self.lab.directory.join(format!("{}.qemu", self.name));
                Some(format!("QEMU ended ({status}): {}", std::fs::read_to_string(log).unwrap_or_default()))
            } else if let Some(sign) = HOPELESS.iter().find(|sign| text.contains(**sign)) {
                Some(format!("the console shows {sign:?}"))
            } else if begin.elapsed() > limit {
                Some(format!("not within {} s", limit.as_secs()))
            } else {
                None
            };
            if let Some(fault) = fault {
                let lines: Vec<&str> = text.lines().collect();
                let tail = lines[lines.len().saturating_sub(40)..].join("\n");
                panic!("{}: waiting for {what}: {fault}\n{}:\n{tail}", self.name, self.console.display());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        eprintln!("{}: {what} after {} s", self.name, self.started.elapsed().as_secs());
    }

    /// What the management page answers to somebody on the uplink's side; `Err` where there is no answer, or no success.
    pub(crate) fn page(&self, path: &str) -> Result<String, String> {
        let url = format!("https://127.0.0.1:{}{path}", self.https_port);
        let output =
            self.lab.try_run("curl", &["--silent", "--show-error", "--fail", "--insecure", "--max-time", "60", &url]);
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(format!("{url}: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// Runs a command in the guest; `Err` has what ssh or the command said.
    pub(crate) fn ssh(&self, key: &Path, command: &str) -> Result<String, String> {
        let port = self.ssh_port.to_string();
        let key = key.to_str().unwrap();
        let mut arguments = vec!["120", "ssh", "-q", "-F", "/dev/null", "-i", key, "-p", &port, "-o", "BatchMode=yes"];
        for option in
            ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=60", "IdentitiesOnly=yes"]
        {
            arguments.extend(["-o", option]);
        }
        let login = format!("{}@127.0.0.1", self.user);
        arguments.extend([login.as_str(), command]);
        let output = self.lab.try_run("timeout", &arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            Err(format!("{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr)))
        }
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
