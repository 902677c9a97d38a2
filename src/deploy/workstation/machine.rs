//! The verbs of a site, as operations on the deployment's directory and calls of VMware's programs.
//!
//! Invariants: NAME.vmx is written only while the machine is off, and only if it is ours: its first disk is a generation's, its second one
//! the state disk itself, and it has no other. A snapshot made in Workstation puts another file over a disk; a NAME.vmx written anew would
//! lose what is in there, so such a machine is left alone until the snapshots are gone, also where NAME.vmx itself is lost.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bmc::plain;

use super::super::error::{DeployError, Kind, at};
use super::super::record::Record;
use super::super::release::Release;
use super::super::site::{Configuration, Observed, Site};
use super::configuration::{SEED_DEVICE, Wanted, compose, other_disk, state_disk, system_disk, without_seed};
use super::control::{Control, Pace};
use super::deltas::{delta, is_delta};
use super::layout::{
    self, BASE, Layout, Lock, STATE, SYSTEM, names, part, remove_directory, remove_file, remove_tree, rename_new,
    sync_directory, write_whole,
};
use super::locks::held_disk;
use super::seed;
use super::stage::stage;
use super::vmx::Dictionary;
use crate::image::{name_vmdk, write_blank_vmdk};
use crate::profile;
use crate::vocab::{ByteSize, Digest, Progress};

const WITHOUT_SNAPSHOTS: &str = "delete its snapshots in VMware Workstation; the disks' contents are kept then";

pub(super) struct Machine {
    pub(super) layout: Layout,
    pub(super) settings: profile::Workstation,
    pub(super) control: Control,
    pub(super) pace: Pace,
    /// When this host was booted, where VMware's programs run on it.
    pub(super) booted: Option<SystemTime>,
    pub(super) lock: Option<Lock>,
    /// What this process has configured last.
    pub(super) configured: Option<u32>,
}

impl Machine {
    /// The machine's file; `None` where there is none, or an empty one that a crash of the host has left.
    fn vmx(&self) -> Result<Option<Dictionary>, DeployError> {
        let path = self.layout.vmx();
        match fs::read(&path) {
            Ok(bytes) if bytes.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace()) => Ok(None),
            Ok(bytes) => Ok(Some(Dictionary::parse(&bytes).0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DeployError::io("read", &path, &error)),
        }
    }

    fn configured_generation(&self, vmx: &Dictionary) -> Option<u32> {
        system_disk(vmx).and_then(|file| self.layout.generation_of(file))
    }

    /// Only what provbuild has made may be changed or removed by it. Gives the generation.
    fn check_ours(&self, vmx: &Dictionary) -> Result<u32, DeployError> {
        let path = self.layout.vmx();
        let refused = |reason: &str| DeployError::new(Kind::Refused, format!("{}: {reason}", path.display()));
        if vmx.get("encryption.keySafe").is_some() {
            return Err(refused("the machine is encrypted").help("remove the encryption in VMware Workstation"));
        }
        let system = system_disk(vmx).unwrap_or_default();
        let file_name = |file: &str| file.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        let state = state_disk(vmx).map(file_name);
        if is_delta(&file_name(system), SYSTEM) || state.as_deref().is_some_and(|state| is_delta(state, STATE)) {
            return Err(refused("the machine has snapshots").help(WITHOUT_SNAPSHOTS));
        }
        match self.layout.generation_of(system) {
            Some(number) if state.as_deref() == Some(STATE) => Ok(number),
            _ => Err(refused("this is another machine, or its disks were changed by hand")
                .help("move it elsewhere, or deploy to another directory: deploy.workstation.directory")),
        }
    }

    /// The machine is ours, and has nothing that a new configuration would take away with somebody's data.
    fn check_replaceable(&self, vmx: &Dictionary) -> Result<(), DeployError> {
        self.check_ours(vmx)?;
        let Some((device, file)) = other_disk(vmx) else { return Ok(()) };
        let message = format!(
            "{}: {} is a disk that provbuild has not given it: {}",
            self.layout.vmx().display(),
            plain(device),
            plain(file)
        );
        Err(DeployError::new(Kind::Refused, message).help(
            "remove the disk from the machine in VMware Workstation, which keeps its file; what the appliance is to keep belongs on the state disk",
        ))
    }

    /// Whatever NAME.vmx says: without it, or with an empty one, a snapshot's files are all that tells.
    fn check_no_snapshots(&self) -> Result<(), DeployError> {
        let Some(delta) = delta(&self.layout)? else { return Ok(()) };
        let failed = DeployError::new(Kind::Refused, format!("{}: the machine has snapshots", delta.display()));
        Err(match self.vmx()? {
            Some(_) => failed.help(WITHOUT_SNAPSHOTS),
            None => failed.help(format!(
                "{} is missing or empty: put it back and delete the snapshots in VMware Workstation, or remove that file if what was \
                 written since the snapshot is not wanted",
                self.layout.vmx().display()
            )),
        })
    }

    /// The record does not say that this generation's disk is there: nothing may be using what is there under its number.
    fn check_unused(&self, number: u32) -> Result<(), DeployError> {
        let directory = self.layout.generation(number);
        self.check_no_snapshots()?;
        let configured = self.vmx()?.and_then(|vmx| self.configured_generation(&vmx));
        if configured != Some(number) && held_disk(std::slice::from_ref(&directory), self.booted)?.is_none() {
            return Ok(());
        }
        let message = format!("{} is in use, and the record does not know it", directory.display());
        Err(DeployError::new(Kind::Refused, message).help(format!(
            "restore {}; without it, remove the deployment first: provbuild destroy keeps the state disk",
            self.layout.record().display()
        )))
    }

    fn check_off(&self, what: &str) -> Result<(), DeployError> {
        match self.control.running(&self.layout.vmx())? {
            false => Ok(()),
            true => {
                Err(DeployError::new(Kind::Hypervisor, format!("cannot {what}: {} runs", self.layout.vmx().display())))
            }
        }
    }

    /// A machine that has just been stopped lets its disks go in a moment; a program that this user's `list` does not show may hold them.
    fn wait_for_disks(&self) -> Result<(), DeployError> {
        let begun = Instant::now();
        while let Some(held) = self.held_disk()? {
            if begun.elapsed() >= self.pace.off {
                let message =
                    format!("{} is held: a program of VMware, maybe another user's, uses the disk", held.display());
                return Err(DeployError::new(Kind::Hypervisor, message).help(format!(
                    "close the machine there; if no program of VMware runs on this host, remove {}",
                    held.display()
                )));
            }
            thread::sleep(self.pace.look.min(Duration::from_millis(500)));
        }
        Ok(())
    }

    fn held_disk(&self) -> Result<Option<PathBuf>, DeployError> {
        held_disk(&layout::directories(&self.layout)?, self.booted)
    }

    fn uplink_mac<'a>(&self, record: &'a Record) -> Option<&'a str> {
        let number = record.pending.map(|pending| pending.generation).or(record.current)?;
        record.generation(number).map(|generation| generation.machine.uplink_mac.as_str())
    }
}

impl Site for Machine {
    fn title(&self) -> String {
        format!("VMware Workstation in {}", self.layout.root.display())
    }

    fn lock(&mut self) -> Result<(), DeployError> {
        if self.lock.is_none() {
            self.lock = Some(Lock::take(&self.layout)?);
        }
        Ok(())
    }

    fn load(&self) -> Result<Option<Record>, DeployError> {
        let path = self.layout.record();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(at("read", &path))?,
        };
        Record::parse(&text).map(Some).map_err(|reason| {
            DeployError::new(Kind::Io, format!("{} is no record of a deployment: {reason}", path.display())).help(
                "use the provbuild that wrote it, or restore the file; without it nothing in this directory is touched",
            )
        })
    }

    fn save(&mut self, record: &Record) -> Result<(), DeployError> {
        layout::make_directory(&self.layout.root)?;
        write_whole(&self.layout.record(), record.to_text().as_bytes())
    }

    fn observe(&self, _: Option<&Record>) -> Result<Observed, DeployError> {
        let vmx = self.vmx()?;
        let path = self.layout.vmx();
        Ok(Observed {
            // An empty file is Workstation's to complain about, and ours to replace.
            exists: vmx.is_some(),
            running: path.exists() && self.control.running(&path)?,
            configured: vmx.as_ref().and_then(|vmx| self.configured_generation(vmx)),
            staged: self.layout.staged()?,
            state: self.layout.state().exists(),
            seed: seed::is_there(&self.layout.seed())?,
        })
    }

    fn check(&self) -> Result<(), DeployError> {
        self.check_no_snapshots()?;
        self.vmx()?.map_or(Ok(()), |vmx| self.check_replaceable(&vmx))
    }

    fn stage(
        &mut self,
        record: &Record,
        number: u32,
        release: &Release,
        progress: &dyn Progress,
    ) -> Result<String, DeployError> {
        let known = record.generation(number).is_some_and(|generation| generation.disk.is_some());
        if !known {
            self.check_unused(number)?;
        }
        stage(&self.layout, number, known, release, progress)?;
        Ok(Layout::system_in_vmx(number))
    }

    fn make_state(&mut self, record: &Record, size: ByteSize) -> Result<(), DeployError> {
        let path = self.layout.state();
        let aside = part(&path);
        // No machine has ever seen it: what is complete has the other name.
        remove_file(&aside)?;
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
        layout::make_directory(&self.layout.root)?;
        let identity = Digest::of(format!("state disk of {}", record.deployment).as_bytes());
        // A disk's own description names its file.
        write_blank_vmdk(&aside, size, &identity).and_then(|()| name_vmdk(&aside, STATE)).map_err(|error| {
            DeployError::new(Kind::Io, format!("cannot make the state disk {}: {error}", aside.display()))
        })?;
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&aside, owner_only).map_err(at("write", &aside))?;
        fs::File::open(&aside).and_then(|file| file.sync_all()).map_err(at("write", &aside))?;
        rename_new(&aside, &path)?;
        sync_directory(&self.layout.root)
    }

    fn write_seed(&mut self, _: &Record, image: &[u8]) -> Result<(), DeployError> {
        layout::make_directory(&self.layout.root)?;
        seed::write(&self.layout.seed(), image)
    }

    fn wipe_seed(&mut self, _: &Record) -> Result<(), DeployError> {
        let (path, medium) = (self.layout.vmx(), self.layout.seed());
        let running = if path.exists() { self.control.running(&path) } else { Ok(false) };
        if matches!(running, Ok(true)) && seed::is_there(&medium)? {
            self.control.eject(&path, SEED_DEVICE);
        }
        // First the bytes: nothing that fails later may leave them.
        seed::wipe(&medium)?;
        if running? {
            return Ok(());
        }
        if let Some(vmx) = self.vmx()?
            && self.check_ours(&vmx).is_ok()
            && let Some(without) = without_seed(&vmx)
        {
            write_whole(&path, without.to_text().as_bytes())?;
        }
        seed::remove(&medium)
    }

    fn configure(&mut self, configuration: Configuration<'_>) -> Result<(), DeployError> {
        let path = self.layout.vmx();
        let Configuration { generation, seed, .. } = configuration;
        let former = self.vmx()?;
        if path.exists() {
            self.check_off("configure the machine")?;
        }
        self.check_no_snapshots()?;
        if let Some(former) = &former {
            self.check_replaceable(former)?;
        }
        self.wait_for_disks()?;
        let directory = self.layout.generation(generation.number);
        let needed = [directory.join(SYSTEM), self.layout.state()];
        let missing = |file: &Path| DeployError::new(Kind::Io, format!("{} is missing", file.display()));
        if let Some(file) = needed.iter().find(|file| !file.is_file()) {
            return Err(missing(file));
        }
        if seed && !seed::is_there(&self.layout.seed())? {
            return Err(missing(&self.layout.seed()));
        }
        let base = directory.join(BASE);
        let (base_vmx, faults) = Dictionary::parse(&fs::read(&base).map_err(at("read", &base))?);
        if let Some(fault) = faults.first() {
            let message = format!("{}: line {}: {}", base.display(), fault.line, fault.reason);
            return Err(DeployError::new(Kind::Settings, message).help("build the profile again and deploy that"));
        }
        let wanted = Wanted {
            name: &self.layout.name,
            generation: generation.number,
            machine: &generation.machine,
            settings: &self.settings,
            seed,
        };
        let vmx = compose(&base_vmx, former.as_ref(), &wanted);
        write_whole(&path, vmx.to_text().as_bytes())?;
        self.configured = Some(generation.number);
        // Nothing names it any more.
        if seed { Ok(()) } else { seed::remove(&self.layout.seed()) }
    }

    fn start(&mut self, _: &Record) -> Result<(), DeployError> {
        let path = self.layout.vmx();
        self.check_no_snapshots()?;
        self.control.start(&path)?;
        // A window that shows the machine may have written the file back as it had it.
        let vmx = self.vmx()?;
        let found = vmx.as_ref().and_then(|vmx| self.configured_generation(vmx));
        match self.configured {
            Some(wanted) if found != Some(wanted) => {
                let message = format!("VMware Workstation has undone the change of {}", path.display());
                Err(DeployError::new(Kind::Hypervisor, message)
                    .help("close the machine's tab in Workstation's window, and deploy again"))
            }
            _ => Ok(()),
        }
    }

    fn stop(&mut self, _: &Record, patience: Duration) -> Result<(), DeployError> {
        let path = self.layout.vmx();
        // Before somebody else's machine is stopped, or one that cannot be configured afterwards.
        self.check_no_snapshots()?;
        if !path.exists() {
            return Ok(());
        }
        if let Some(vmx) = self.vmx()? {
            self.check_replaceable(&vmx)?;
        }
        self.control.stop(&path, patience, &self.pace)
    }

    fn address(&self, record: &Record) -> Result<Option<IpAddr>, DeployError> {
        self.control.address(&self.layout.vmx(), self.uplink_mac(record))
    }

    fn remove_generation(&mut self, _: &Record, number: u32) -> Result<(), DeployError> {
        let directory = self.layout.generation(number);
        self.check_no_snapshots()?;
        if let Some(vmx) = self.vmx()?
            && self.check_ours(&vmx)? == number
        {
            let message =
                format!("generation {number} is the one that {} is configured with", self.layout.vmx().display());
            return Err(DeployError::new(Kind::Refused, message));
        }
        remove_tree(&part(&directory))?;
        remove_directory(&directory)
    }

    fn remove_machine(&mut self, _: &Record) -> Result<(), DeployError> {
        let path = self.layout.vmx();
        if path.exists() {
            self.check_off("remove the machine")?;
        }
        self.check_no_snapshots()?;
        if let Some(vmx) = self.vmx()? {
            self.check_replaceable(&vmx)?;
        }
        self.wait_for_disks()?;
        seed::remove(&self.layout.seed())?;
        remove_directory(&self.layout.generations())?;
        for name in names(&self.layout.root)?.iter().filter(|name| is_of_machine(name, &self.layout.name)) {
            let file = self.layout.root.join(name);
            match file.is_dir() {
                true => remove_tree(&file)?,
                false => remove_file(&file)?,
            }
        }
        // The last: as long as it is there, the machine is not gone.
        remove_file(&part(&path))?;
        remove_file(&path)?;
        match self.layout.root.exists() {
            true => sync_directory(&self.layout.root),
            false => Ok(()),
        }
    }

    fn remove_state(&mut self, _: &Record) -> Result<(), DeployError> {
        if self.layout.vmx().exists() {
            let message = format!("the state disk belongs to {}, which still exists", self.layout.vmx().display());
            return Err(DeployError::new(Kind::Refused, message).help("remove the machine first"));
        }
        if !self.layout.root.exists() {
            return Ok(());
        }
        self.check_no_snapshots()?;
        self.wait_for_disks()?;
        remove_file(&part(&self.layout.state()))?;
        remove_file(&self.layout.state())?;
        sync_directory(&self.layout.root)?;
        remove_file(&part(&self.layout.record()))?;
        remove_file(&self.layout.record())?;
        remove_file(&self.layout.lock())?;
        match fs::remove_dir(&self.layout.root) {
            // Files that somebody else has put there.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            result => result.map_err(at("remove", &self.layout.root)),
        }
    }
}

/// What Workstation puts beside a machine's file; of disks it has none.
fn is_of_machine(name: &str, machine: &str) -> bool {
    let own = name.strip_prefix(machine).is_some_and(|rest| {
        rest.starts_with(['.', '-'])
            && [".nvram", ".vmsd", ".vmxf", ".vmss", ".vmem", ".vmsn", ".scoreboard", ".vmx~"]
                .iter()
                .any(|end| rest.ends_with(end))
    });
    let log = ["vmware", "mksSandbox", "vprintproxy"].iter().any(|log| name.starts_with(log)) && name.ends_with(".log");
    own || log || matches!(name, "caches" | "vmmcores.gz" | "vmware-vmx.dmp")
}
