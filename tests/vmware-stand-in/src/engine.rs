//! The machines: started, stopped, asked, as Workstation does it behind vmrun and vmrest.
//!
//! Each call reads and writes the machines' files under one lock; waiting is done without it. Whoever asks first notices that a machine has
//! ended by itself. A machine that runs has Workstation's lock directories beside its files.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use crate::faults::Faults;
use crate::machine::{self, Machine};
use crate::qmp::Monitor;
use crate::state::{self, Device, Running, State};
use crate::{Mode, Refusal, Settings, guest, now, qemu, watch};

pub struct Engine {
    settings: Settings,
    faults: Faults,
}

fn broken(error: impl std::fmt::Display) -> Refusal {
    Refusal::new("Unknown error").because(&format!("stand-in: {error}"))
}

fn not_powered_on(vmx: &Path) -> Refusal {
    Refusal::new(format!("The virtual machine is not powered on: {}", vmx.display()))
}

fn no_tools(vmx: &Path) -> Refusal {
    Refusal::new(format!("The VMware Tools are not running in the virtual machine: {}", vmx.display()))
}

/// `X.vmdk` -> `X.vmdk.lck`, a directory.
fn lock_directory(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".lck");
    name.into()
}

impl Engine {
    /// # Errors
    /// Its directory cannot be made.
    pub fn new(settings: Settings) -> io::Result<Engine> {
        std::fs::create_dir_all(settings.directory.join("machines"))?;
        let faults = Faults::new(&settings);
        Ok(Engine { settings, faults })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    fn lock(&self) -> Result<Flock<File>, Refusal> {
        let path = self.settings.directory.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(broken)?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| broken(error))
    }

    fn directory(&self, vmx: &Path) -> PathBuf {
        self.settings.directory.join("machines").join(state::identity(vmx))
    }

    /// As it is now.
    fn state(&self, vmx: &Path) -> Result<State, Refusal> {
        let directory = self.directory(vmx);
        let mut state =
            State::load(&directory).map_err(broken)?.unwrap_or_else(|| State::new(vmx, self.settings.network));
        let Some(running) = &state.running else { return Ok(state) };
        let due = running.dies_at.is_some_and(|at| at <= now());
        match running.process {
            Some(process) if process.lives() && !due => return Ok(state),
            Some(process) => process.kill(),
            None if !due => return Ok(state),
            None => {}
        }
        self.ended(&mut state)?;
        Ok(state)
    }

    /// A machine that ran does no more.
    fn ended(&self, state: &mut State) -> Result<(), Refusal> {
        state.running = None;
        for file in state.disks.iter().chain([&state.vmx]) {
            // It may be gone with the whole directory.
            let _ = std::fs::remove_dir_all(lock_directory(file));
        }
        rewrite(&state.vmx, &[("cleanShutdown", "TRUE"), ("softPowerOff", "TRUE")]);
        state.save(&self.directory(&state.vmx)).map_err(broken)
    }

    /// The machines that run, by path.
    ///
    /// # Errors
    /// The stand-in's files cannot be read.
    pub fn running(&self) -> Result<Vec<State>, Refusal> {
        let _lock = self.lock()?;
        self.all_running()
    }

    fn all_running(&self) -> Result<Vec<State>, Refusal> {
        let mut running = Vec::new();
        for entry in std::fs::read_dir(self.settings.directory.join("machines")).map_err(broken)? {
            let directory = entry.map_err(broken)?.path();
            let Some(known) = State::load(&directory).map_err(broken)? else { continue };
            let state = self.state(&known.vmx)?;
            if state.running.is_some() {
                running.push(state);
            }
        }
        running.sort_by(|one, two| one.vmx.cmp(&two.vmx));
        Ok(running)
    }

    /// # Errors
    /// Why Workstation refuses.
    pub fn start(&self, vmx: &Path, gui: bool) -> Result<(), Refusal> {
        let _lock = self.lock()?;
        let mut state = self.state(vmx)?;
        let machine = Machine::read(vmx)?;
        if state.running.is_some() {
            return Err(Refusal::new("The file is already in use"));
        }
        let mut disks = Vec::new();
        for disk in &machine.disks {
            disks.push(disk.file.canonicalize().map_err(broken)?);
        }
        for other in self.all_running()? {
            if let Some(file) = disks.iter().find(|file| other.disks.contains(file)) {
                let text = format!("Cannot open the disk '{}' or one of the snapshot disks", file.display());
                let text = format!("{text} it depends on. Reason: Failed to lock the file.");
                return Err(Refusal::new(text).because(&format!("{} has it", other.vmx.display())));
            }
        }
        vmx.clone_into(&mut state.vmx);
        state.disks = disks;
        state.devices = machine
            .cds
            .iter()
            .map(|cd| (cd.device.clone(), Device { file: cd.file.clone(), connected: cd.connected }))
            .collect();
        state.variables.clear();
        let directory = self.directory(vmx);
        let process = match self.settings.mode {
            Mode::Paper => None,
            Mode::Qemu => Some(qemu::start(&self.settings, &directory, &machine, &state)?),
        };
        if let (Some(owner), Some(process)) = (self.settings.owner, process) {
            watch::spawn(owner, process);
        }
        let dies_at = self.faults.dies_after_start().map(|seconds| now() + seconds);
        state.running = Some(Running { process, since: now(), dies_at, gui });
        state.starts += 1;
        state.save(&directory).map_err(broken)?;
        for file in state.disks.iter().chain([&state.vmx]) {
            let lock = lock_directory(file);
            std::fs::create_dir_all(&lock)
                .and_then(|()| std::fs::write(lock.join("M00001.lck"), ""))
                .map_err(broken)?;
        }
        power_on_keys(vmx, &machine);
        Ok(())
    }

    /// # Errors
    /// It does not run, has no tools, or does not go down.
    pub fn stop(&self, vmx: &Path, hard: bool) -> Result<(), Refusal> {
        let lock = self.lock()?;
        machine::dictionary(vmx)?;
        let mut state = self.state(vmx)?;
        let Some(running) = state.running.clone() else { return Err(not_powered_on(vmx)) };
        if hard {
            if let Some(process) = running.process {
                qemu::quit(&self.directory(vmx), process);
            }
            return self.ended(&mut state);
        }
        drop(lock);
        if !self.tools_run(&state) {
            return Err(no_tools(vmx));
        }
        let ignored = self.faults.soft_stop_ignored();
        match running.process {
            _ if ignored => {}
            None => return self.ended(&mut state),
            Some(_) => Monitor::connect(&self.directory(vmx))
                .and_then(|mut monitor| monitor.execute("system_powerdown", serde_json::json!({})))
                .map_err(broken)?,
        }
        let begin = Instant::now();
        while begin.elapsed() < self.settings.soft_stop {
            std::thread::sleep(Duration::from_millis(200));
            let _lock = self.lock()?;
            if self.state(vmx)?.running.is_none() {
                return Ok(());
            }
        }
        Err(Refusal::new("The operation was canceled").because("stand-in: the guest did not shut down in time"))
    }

    /// # Errors
    /// It does not run.
    pub fn reset(&self, vmx: &Path) -> Result<(), Refusal> {
        let _lock = self.lock()?;
        let state = self.runs(vmx)?;
        match state.running.and_then(|running| running.process) {
            None => Ok(()),
            Some(_) => Monitor::connect(&self.directory(vmx))
                .and_then(|mut monitor| monitor.execute("system_reset", serde_json::json!({})))
                .map_err(broken),
        }
    }

    fn runs(&self, vmx: &Path) -> Result<State, Refusal> {
        machine::dictionary(vmx)?;
        let state = self.state(vmx)?;
        if state.running.is_some() { Ok(state) } else { Err(not_powered_on(vmx)) }
    }

    /// The guest's address, whether it answers or not; in paper mode what the test says, if it does.
    fn guest_address(&self, state: &State) -> Option<IpAddr> {
        match self.settings.mode {
            Mode::Qemu => Some(state.address),
            Mode::Paper => match std::fs::read_to_string(self.settings.directory.join("address")) {
                Ok(text) => text.trim().parse().ok(),
                Err(_) => self.settings.address,
            },
        }
    }

    fn tools_run(&self, state: &State) -> bool {
        if state.running.is_none() || self.faults.tools_never() {
            return false;
        }
        match (self.settings.mode, self.guest_address(state)) {
            (_, None) => false,
            (Mode::Paper, Some(_)) => true,
            (Mode::Qemu, Some(address)) => guest::answers(address),
        }
    }

    /// # Errors
    /// It does not run, or its tools do not. With `wait` the latter is waited for, for ever.
    pub fn address(&self, vmx: &Path, wait: bool) -> Result<IpAddr, Refusal> {
        loop {
            let state = {
                let _lock = self.lock()?;
                self.runs(vmx)?
            };
            match self.guest_address(&state) {
                Some(address) if self.tools_run(&state) => return Ok(address),
                _ if !wait => return Err(no_tools(vmx)),
                _ => std::thread::sleep(Duration::from_millis(500)),
            }
        }
    }

    /// "unknown", "installed" or "running".
    ///
    /// # Errors
    /// There is no such machine.
    pub fn tools(&self, vmx: &Path) -> Result<&'static str, Refusal> {
        let state = {
            let _lock = self.lock()?;
            machine::dictionary(vmx)?;
            self.state(vmx)?
        };
        Ok(match state.running {
            None => "unknown",
            Some(_) if self.tools_run(&state) => "running",
            Some(_) => "installed",
        })
    }

    /// Connects a CD or ejects it.
    ///
    /// # Errors
    /// The machine does not run or has no such device.
    pub fn connect(&self, vmx: &Path, device: &str, connected: bool) -> Result<(), Refusal> {
        let _lock = self.lock()?;
        let mut state = self.runs(vmx)?;
        let name = device.to_ascii_lowercase();
        let found = state.devices.get_mut(&name);
        let found = found.ok_or_else(|| Refusal::new(format!("The specified device '{device}' was not found")))?;
        if connected && !found.file.is_file() {
            return Err(Refusal::new("A file was not found"));
        }
        if state.running.as_ref().is_some_and(|running| running.process.is_some()) && found.connected != connected {
            let id = qemu::device_id(&name);
            let mut monitor = Monitor::connect(&self.directory(vmx)).map_err(broken)?;
            let done = match connected {
                false => monitor.execute("eject", serde_json::json!({ "id": id, "force": true })),
                true => monitor.execute(
                    "blockdev-change-medium",
                    serde_json::json!({ "id": id, "filename": found.file, "format": "raw", "read-only-mode": "read-only", "force": true }),
                ),
            };
            done.map_err(broken)?;
        }
        found.connected = connected;
        state.save(&self.directory(vmx)).map_err(broken)
    }

    /// Removes the machine with its disks, as Workstation does.
    ///
    /// # Errors
    /// It runs, or is not there.
    pub fn delete(&self, vmx: &Path) -> Result<(), Refusal> {
        let _lock = self.lock()?;
        let found = machine::dictionary(vmx)?;
        if self.state(vmx)?.running.is_some() {
            return Err(Refusal::new("The virtual machine should not be powered on. It is already running."));
        }
        let directory = vmx.parent().unwrap_or(Path::new("/"));
        let disks = found.names().filter(|name| {
            let device = name.split_once('.').map(|(device, _)| device).unwrap_or_default();
            let cd = found
                .get(&format!("{device}.deviceType"))
                .is_some_and(|kind| kind.to_ascii_lowercase().contains("cdrom"));
            name.to_ascii_lowercase().ends_with(".filename") && device.contains(':') && !cd
        });
        let mut files: Vec<PathBuf> =
            disks.filter_map(|name| found.get(name)).map(|name| directory.join(name)).collect();
        files.extend([vmx.with_extension("nvram"), vmx.with_extension("vmsd"), vmx.with_extension("vmxf")]);
        files.push(vmx.to_owned());
        for file in files {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(broken(error)),
                _ => {}
            }
        }
        // Workstation removes the directory as well, if nothing else is in it.
        let _ = std::fs::remove_dir(directory);
        std::fs::remove_dir_all(self.directory(vmx)).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(broken(error)),
        })
    }

    /// A key of the configuration, or what the guest or a program has said about it.
    ///
    /// # Errors
    /// There is no such machine, or guest variables are asked of one that does not run.
    pub fn variable(&self, vmx: &Path, guest: bool, name: &str) -> Result<String, Refusal> {
        if guest && name == "ip" {
            return self.address(vmx, false).map(|address| address.to_string());
        }
        let _lock = self.lock()?;
        let found = machine::dictionary(vmx)?;
        if !guest {
            return Ok(found.get(name).unwrap_or_default().to_owned());
        }
        let state = self.runs(vmx)?;
        let value = state.variables.get(name).map(String::as_str);
        Ok(value.or_else(|| found.get(&format!("guestinfo.{name}"))).unwrap_or_default().to_owned())
    }

    /// # Errors
    /// The machine does not run.
    pub fn set_variable(&self, vmx: &Path, name: &str, value: &str) -> Result<(), Refusal> {
        let _lock = self.lock()?;
        let mut state = self.runs(vmx)?;
        state.variables.insert(name.to_owned(), value.to_owned());
        state.save(&self.directory(vmx)).map_err(broken)
    }
}

/// Changes keys of a .vmx. One that is gone, or is none, stays as it is.
fn rewrite(vmx: &Path, keys: &[(&str, &str)]) {
    let Ok(mut found) = machine::dictionary(vmx) else { return };
    for (name, value) in keys {
        found.set(name, value);
    }
    // As it was, then: Workstation does not fail for it either.
    let _ = crate::replace(vmx, found.to_text().as_bytes());
}

/// What Workstation adds to the file when it powers a machine on.
fn power_on_keys(vmx: &Path, machine: &Machine) {
    let number = crate::hash(vmx.as_os_str().as_encoded_bytes());
    let bytes: Vec<String> = number.to_be_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let uuid = format!("56 4d {}-{}", bytes[..6].join(" "), bytes.join(" "));
    let nvram = machine.nvram.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut keys: Vec<(String, String)> = [
        ("uuid.location", uuid.as_str()),
        ("nvram", &nvram),
        ("cleanShutdown", "FALSE"),
        ("softPowerOff", "FALSE"),
        ("monitor.phys_bits_used", "45"),
        ("pciBridge0.pciSlotNumber", "17"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if machine.dictionary.get("uuid.bios").is_none() {
        keys.push(("uuid.bios".into(), uuid.clone()));
    }
    for index in 0..machine.cards.len() {
        keys.push((format!("ethernet{index}.pciSlotNumber"), (160 + 32 * index).to_string()));
    }
    let keys: Vec<(&str, &str)> = keys.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    rewrite(vmx, &keys);
}
