//! vCenter, or a single ESXi host, by the vSphere API (SOAP, version 6.5 and later).
//!
//! ```text
//! tls ─► session ─► inventory ─► site: lock, store (files and disks), machine (configuration), power
//!          soap ◄─► xml              ova ─► stage ─► lease (import)
//! ```
//! In: what the profile says, a build's OVA. Out: one machine NAME whose BIOS UUID is the deployment's number, and a directory
//! `[DATASTORE] NAME-disks` with the record and every disk (`store`). Invariants: the machine's own directory has no disk in it, so that nothing
//! that removes a machine removes a disk; every disk is detached before a machine is destroyed; what the server says is bounded and never
//! believed where it would lead elsewhere.

mod inventory;
mod lease;
mod lock;
mod machine;
mod ova;
mod power;
mod session;
mod soap;
mod stage;
mod store;
mod tls;
mod xml;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::error::{DeployError, Kind, at};
use super::record::Record;
use super::release::Release;
use super::site::{Configuration, Observed, Site};
use crate::profile;
use crate::vocab::{ByteSize, Progress};
use inventory::Places;
use lock::Lock;
use machine::{DEPLOYMENT, Hardware, Machine, Wanted};
use ova::Package;
use session::Session;
use soap::{Failure, Moref, said};
use store::Store;
use tls::Trust;

const RECORD: &str = "deployment.json";
const RECORD_ASIDE: &str = "deployment.json.new";
const STATE: &str = "state.vmdk";
const SEED: &str = "seed.iso";
const LONGEST_RECORD: usize = 1 << 20;
const LONGEST_HARDWARE: usize = 4096;

/// What the profile says, and what the surroundings add to it.
pub struct Vsphere<'a> {
    /// Name of the appliance, and of the machine.
    pub name: &'a str,
    pub settings: &'a profile::Vsphere,
    /// "user:password"
    pub credentials: SecretString,
    /// Certificate authorities of this host (PEM).
    pub authorities: Option<Vec<u8>>,
}

impl Vsphere<'_> {
    /// Logs in and finds every place that the settings name; changes nothing.
    ///
    /// # Errors
    /// It cannot be reached, is not trusted, refuses the credentials, or lacks what the settings name.
    pub fn open(&self) -> Result<Box<dyn Site>, DeployError> {
        let settings = self.settings;
        let pinned = settings.certificate.as_deref().map(str::parse).transpose();
        let pinned =
            pinned.map_err(|error| DeployError::new(Kind::Settings, format!("deploy.vsphere.certificate: {error}")))?;
        let mut authorities: Vec<Vec<u8>> = self.authorities.iter().cloned().collect();
        if let Some(path) = &settings.authorities {
            authorities.push(std::fs::read(path).map_err(at("read", path))?);
        }
        let session = Arc::new(Session::open(&settings.url, &self.credentials, Trust { pinned, authorities })?);
        let places = inventory::find(&session, settings)?;
        let store = Store::new(&session, &places, self.name);
        Ok(Box::new(VsphereSite { name: self.name.to_owned(), session, places, store, lock: None, gone: false }))
    }

    /// What of the settings makes another machine, for [`super::Release::new`].
    pub fn settings(&self) -> String {
        let profile::Vsphere { uplink, provisioning, .. } = self.settings;
        format!("vsphere {uplink:?} {provisioning:?}")
    }
}

struct VsphereSite {
    name: String,
    session: Arc<Session>,
    places: Places,
    store: Store,
    lock: Option<Lock>,
    /// Nothing is left but the directory.
    gone: bool,
}

fn system_disk(number: u32) -> String {
    format!("system-{number}.vmdk")
}

fn system_hardware(number: u32) -> String {
    format!("system-{number}.json")
}

/// The number in the name of a system disk.
fn number_of(file: &str) -> Option<u32> {
    let number: u32 = file.strip_prefix("system-")?.strip_suffix(".vmdk")?.parse().ok()?;
    (system_disk(number) == file).then_some(number)
}

/// The deployment's 128 bits as vSphere writes UUIDs.
fn uuid(record: &Record) -> Result<String, DeployError> {
    let digits = &record.deployment;
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(DeployError::new(Kind::Hypervisor, "the record's deployment is not 32 hexadecimal digits"));
    }
    let digits = digits.to_ascii_lowercase();
    Ok([&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-"))
}

impl VsphereSite {
    /// A machine by name, in the folder that the profile names.
    fn by_name(&self, name: &str) -> Result<Option<Moref>, Failure> {
        let call = self.session.services.search.call("FindChild").with(self.places.folder.element("entity"));
        let found = self.session.call(&call.leaf("name", name))?.child("returnval").and_then(Moref::of);
        Ok(found.filter(|of| of.kind == "VirtualMachine"))
    }

    /// The deployment's machine, wherever in the datacenter somebody has moved it, and whatever it is called now.
    ///
    /// # Errors
    /// There are several, or it does not carry the deployment's key: a copy has the same number as what it was copied from.
    fn ours(&self, record: &Record) -> Result<Option<Machine>, Failure> {
        let call = self.session.services.search.call("FindAllByUuid");
        let call = call.with(self.places.datacenter.element("datacenter"));
        let call = call.leaf("uuid", uuid(record)?).leaf("vmSearch", true).leaf("instanceUuid", false);
        let found = self.session.call(&call)?;
        let mut found: Vec<Moref> = found.all("returnval").filter_map(Moref::of).collect();
        found.sort();
        let machines: Result<Vec<_>, _> = found.iter().map(|of| Machine::read(&self.session, of)).collect();
        let mut machines = machines?;
        let marked = |machine: &Machine| {
            machine.extra.get(DEPLOYMENT).is_some_and(|mark| mark.eq_ignore_ascii_case(&record.deployment))
        };
        if machines.len() <= 1 && machines.iter().all(marked) {
            return Ok(machines.pop());
        }
        let named: Vec<String> =
            machines.iter().map(|machine| format!("'{}' ({})", said(&machine.name), said(&machine.file))).collect();
        let number = uuid(record)?;
        let text = match machines.len() {
            1 => format!("{} has this deployment's number {number}, and not its key {DEPLOYMENT}", named[0]),
            _ => format!("several machines have this deployment's number {number}: {}", named.join(", ")),
        };
        let help = "leave the one that provbuild made, and give each other one another uuid.bios, or unregister it; \
                    a machine that was restored from a backup stands for the one that it was made from";
        Err(DeployError::new(Kind::Refused, text).help(help).into())
    }

    fn needed(&self, record: &Record) -> Result<Machine, DeployError> {
        let missing = || {
            DeployError::new(Kind::Hypervisor, format!("the machine '{}' is not there", self.name)).help("deploy again")
        };
        self.ours(record)?.ok_or_else(missing)
    }

    /// The machine, if there is one, before anything is done to it or for it.
    ///
    /// # Errors
    /// It could not be changed afterwards.
    fn fit(&self, record: &Record) -> Result<Option<Machine>, DeployError> {
        let machine = self.ours(record)?;
        if let Some(machine) = &machine {
            machine.untouched(|file| self.is_our_disk(file))?;
        }
        Ok(machine)
    }

    /// The same, and its memory is dropped where it is suspended: that belongs to what the machine was.
    fn fit_and_awake(&self, record: &Record) -> Result<Option<Machine>, DeployError> {
        match self.fit(record)? {
            Some(machine) if machine.is_suspended() => {
                self.power_off(&machine.of)?;
                Ok(self.ours(record)?)
            }
            machine => Ok(machine),
        }
    }

    fn is_our_disk(&self, file: &str) -> bool {
        let name = file.strip_prefix(&self.store.path(""));
        name.is_some_and(|name| name == STATE || number_of(name).is_some())
    }

    /// # Errors
    /// Another process may deploy by now.
    fn still_ours(&self) -> Result<(), DeployError> {
        self.lock.as_ref().map_or(Ok(()), Lock::check)
    }

    /// # Errors
    /// A machine other than this deployment's has the name.
    fn name_is_free(&self) -> Result<(), Failure> {
        match self.by_name(&self.name)? {
            None => Ok(()),
            Some(_) => Err(DeployError::new(
                Kind::Refused,
                format!("there is a machine '{}' that this deployment did not make", self.name),
            )
            .help("rename or remove it, give the profile another name, or another deploy.vsphere.folder")
            .into()),
        }
    }

    /// # Errors
    /// A file of ours is a disk of the deployment's machine, or of another one with its name.
    fn unused(&self, record: &Record, file: &str) -> Result<(), Failure> {
        let path = self.store.path(file);
        let named = self.by_name(&self.name)?.map(|of| Machine::read(&self.session, &of)).transpose()?;
        for machine in [self.ours(record)?, named].into_iter().flatten() {
            if machine.disks().any(|disk| disk.file.as_ref() == Some(&path)) {
                let text = format!("the machine '{}' is configured with {path}", said(&machine.name));
                return Err(DeployError::new(Kind::Refused, text).into());
            }
        }
        Ok(())
    }

    fn configured(&self, machine: &Machine) -> Option<u32> {
        let directory = self.store.path("");
        machine.disks().find_map(|disk| number_of(disk.file.as_ref()?.strip_prefix(&directory)?))
    }

    fn reconfigure(&self, machine: &Moref, specification: xml::Element) -> Result<(), Failure> {
        let call = machine.call("ReconfigVM_Task").with(specification);
        self.session.task_with(&call, &mut || self.question(machine)).map(drop)
    }

    fn read_record(&self, file: &str) -> Result<Option<Result<Record, String>>, DeployError> {
        let bytes = self.store.get(file, LONGEST_RECORD)?;
        Ok(bytes.map(|bytes| Record::parse(&String::from_utf8_lossy(&bytes))))
    }

    fn hardware(&self, number: u32) -> Result<Hardware, DeployError> {
        let file = system_hardware(number);
        let bytes = self.store.get(&file, LONGEST_HARDWARE)?;
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| {
            DeployError::new(Kind::Hypervisor, format!("{} is missing or damaged", self.store.path(&file)))
                .help("deploy the build again under another generation: change the profile, or destroy and deploy")
        })
    }

    /// Takes the medium off the machine, which may be running.
    fn eject(&self, record: &Record) -> Result<(), Failure> {
        let path = self.store.path(SEED);
        let Some(machine) = self.ours(record)? else { return Ok(()) };
        let Some(removal) = machine.without_cds(&path) else { return Ok(()) };
        match self.reconfigure(&machine.of, removal) {
            // A running machine keeps its devices on some versions: then the drive is emptied, and goes with the next configuration.
            Err(failure) if !machine.is_off() && matches!(failure, Failure::Fault(_)) => {
                match Machine::read(&self.session, &machine.of)?.with_empty_cds(&path) {
                    Some(emptied) => self.reconfigure(&machine.of, emptied),
                    None => Ok(()),
                }
            }
            done => done,
        }
    }
}

impl Site for VsphereSite {
    fn title(&self) -> String {
        format!("{} at {}, datastore {}", self.session.services.title, self.session.host(), self.places.datastore_name)
    }

    fn lock(&mut self) -> Result<(), DeployError> {
        if self.lock.is_none() {
            self.lock = Some(Lock::take(&self.store)?);
        }
        Ok(())
    }

    fn load(&self) -> Result<Option<Record>, DeployError> {
        let broken = |why: String| {
            DeployError::new(Kind::Io, format!("{} cannot be read: {why}", self.store.path(RECORD)))
                .help("restore it from a backup of the datastore, or deploy with the provbuild that wrote it")
        };
        match self.read_record(RECORD)? {
            Some(record) => record.map(Some).map_err(broken),
            // An answer that there is none is not believed where the directory has one.
            None if self.store.list()?.iter().any(|file| file == RECORD) => {
                Err(broken("vSphere lists it, and says that it is not there".to_owned()))
            }
            // Where the server removes the old one before it gives the new one its name, this is all that a crash leaves. One that was not
            // sent whole is no JSON, and there never was another.
            None => Ok(self.read_record(RECORD_ASIDE)?.and_then(Result::ok)),
        }
    }

    fn save(&mut self, record: &Record) -> Result<(), DeployError> {
        self.still_ours()?;
        self.gone = false;
        self.store.make()?;
        self.store.replace(RECORD, record.to_text().as_bytes())
    }

    fn observe(&self, record: Option<&Record>) -> Result<Observed, DeployError> {
        let files = self.store.list()?;
        let mut observed = Observed {
            staged: files.iter().filter_map(|file| number_of(file)).collect(),
            state: files.iter().any(|file| file == STATE),
            seed: files.iter().any(|file| file == SEED),
            ..Observed::default()
        };
        observed.staged.sort_unstable();
        let machine = match record {
            Some(record) => self.ours(record)?,
            None => {
                let found = self.by_name(&self.name)?;
                let found = found.map(|of| Machine::read(&self.session, &of)).transpose()?;
                // Without a record there is no number to go by: what has the name, and a key or a disk of a deployment.
                let disk = |machine: &Machine| {
                    machine.disks().any(|disk| disk.file.as_deref().is_some_and(|file| self.is_our_disk(file)))
                };
                found.filter(|machine| machine.extra.contains_key(DEPLOYMENT) || disk(machine))
            }
        };
        if let Some(machine) = machine {
            observed.exists = true;
            observed.running = machine.runs();
            observed.configured = self.configured(&machine);
            let seed = self.store.path(SEED);
            observed.seed |= machine.cds().any(|cd| cd.file.as_ref() == Some(&seed));
        }
        Ok(observed)
    }

    fn stage(
        &mut self,
        record: &Record,
        number: u32,
        release: &Release,
        progress: &dyn Progress,
    ) -> Result<String, DeployError> {
        self.still_ours()?;
        let artifact = release.artifact("ova", ".ova").ok_or_else(|| {
            DeployError::new(Kind::Settings, "the build has no OVA")
                .help("add \"ova\" to outputs.formats and build again")
        })?;
        let package = Package::open(&release.path(artifact), artifact.sha256)?;
        Ok(self.import_disk(record, number, &package, progress)?)
    }

    fn make_state(&mut self, _: &Record, size: ByteSize) -> Result<(), DeployError> {
        self.still_ours()?;
        self.store.make()?;
        if !self.store.list()?.iter().any(|file| file == STATE) {
            self.store.create_disk(STATE, size)?;
        }
        Ok(())
    }

    fn write_seed(&mut self, record: &Record, image: &[u8]) -> Result<(), DeployError> {
        self.still_ours()?;
        self.fit_and_awake(record)?;
        // A host keeps a medium for itself that a running machine has.
        self.eject(record)?;
        self.store.make()?;
        self.store.put(SEED, image)
    }

    fn wipe_seed(&mut self, record: &Record) -> Result<(), DeployError> {
        self.still_ours()?;
        self.eject(record)?;
        self.store.wipe(SEED)
    }

    fn configure(&mut self, Configuration { record, generation, seed }: Configuration<'_>) -> Result<(), DeployError> {
        self.still_ours()?;
        let there = self.fit_and_awake(record)?;
        let hardware = self.hardware(generation.number)?;
        let manifest = &generation.machine;
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let seed_path = self.store.path(SEED);
        let wanted = Wanted {
            hardware: &hardware,
            memory_mib: number(manifest.memory_bytes >> 20),
            cpus: i64::from(manifest.cpus),
            firmware: if manifest.firmware == "bios" { "bios" } else { "efi" },
            secure_boot: manifest.secure_boot,
            disks: [self.store.path(&system_disk(generation.number)), self.store.path(STATE)],
            adapters: [
                (&manifest.uplink_mac, &self.places.uplink),
                (&manifest.provisioning_mac, &self.places.provisioning),
            ],
            seed: seed.then(|| seed_path.clone()),
            seed_path,
            deployment: &record.deployment,
        };
        let of = match there {
            Some(machine) => machine.of,
            None => {
                self.name_is_free()?;
                let config = machine::new_machine(&self.name, &uuid(record)?, &self.places, &wanted);
                let call = self.places.folder.call("CreateVM_Task").with(config).with(self.places.pool.element("pool"));
                let call = match &self.places.host {
                    Some(host) => call.with(host.element("host")),
                    None => call,
                };
                let made = self.session.task(&call)?.as_ref().and_then(Moref::of);
                made.ok_or_else(|| Failure::nonsense("a machine was made, and not said which"))?
            }
        };
        let machine = Machine::read(&self.session, &of)?;
        machine.changeable()?;
        machine.untouched(|file| self.is_our_disk(file))?;
        if let Some(specification) = machine.towards(&wanted) {
            self.reconfigure(&of, specification)?;
            let now = Machine::read(&self.session, &of)?;
            let there = |file: &String| now.disks().any(|disk| disk.file.as_ref() == Some(file));
            if now.disks().count() != 2 || !wanted.disks.iter().all(there) {
                return Err(DeployError::new(
                    Kind::Hypervisor,
                    "vSphere has accepted the configuration, and shows other disks",
                )
                .help("deploy again; if it stays so, look at the machine's events in vSphere's client"));
            }
        }
        Ok(())
    }

    fn start(&mut self, record: &Record) -> Result<(), DeployError> {
        self.still_ours()?;
        Ok(self.power_on(&self.needed(record)?.of)?)
    }

    fn stop(&mut self, record: &Record, patience: Duration) -> Result<(), DeployError> {
        self.still_ours()?;
        // What could not be changed afterwards goes on running.
        match self.fit(record)? {
            Some(machine) => Ok(self.shut_down(&machine.of, patience)?),
            None => Ok(()),
        }
    }

    fn address(&self, record: &Record) -> Result<Option<IpAddr>, DeployError> {
        let machine = self.needed(record)?;
        // Of the generation that the machine has now: another one may have other addresses.
        let configured = self.configured(&machine);
        let Some(generation) = configured.and_then(|number| record.generation(number)) else { return Ok(None) };
        let macs = &generation.machine;
        Ok(self.guest_address(&machine.of, &macs.uplink_mac, &macs.provisioning_mac)?)
    }

    fn remove_generation(&mut self, record: &Record, number: u32) -> Result<(), DeployError> {
        self.still_ours()?;
        if let Some(machine) = self.ours(record)?
            && self.configured(&machine) == Some(number)
        {
            return Err(DeployError::new(Kind::Refused, format!("the machine is configured with generation {number}")));
        }
        self.remove_carrier(record, number)?;
        self.unused(record, &system_disk(number))?;
        self.store.delete_disk(&system_disk(number))?;
        self.store.delete(&system_hardware(number))?;
        Ok(())
    }

    fn remove_machine(&mut self, record: &Record) -> Result<(), DeployError> {
        self.still_ours()?;
        if let Some(machine) = self.fit_and_awake(record)? {
            machine.changeable()?;
            self.eject(record)?;
            let machine = Machine::read(&self.session, &machine.of)?;
            machine.untouched(|file| self.is_our_disk(file))?;
            if let Some(specification) = machine.without_disks() {
                self.reconfigure(&machine.of, specification)?;
            }
            // Looked at again: what is attached now would be deleted with it.
            if Machine::read(&self.session, &machine.of)?.disks().next().is_some() {
                return Err(DeployError::new(Kind::Hypervisor, "the machine keeps its disks; it is not removed")
                    .help("detach them in vSphere's client, keeping their files, then try again"));
            }
            self.session.task(&machine.of.call("Destroy_Task"))?;
        }
        for number in record.generations.iter().map(|generation| generation.number) {
            self.remove_carrier(record, number)?;
        }
        self.store.wipe(SEED)?;
        for number in self.store.list()?.iter().filter_map(|file| number_of(file)) {
            self.unused(record, &system_disk(number))?;
            self.store.delete_disk(&system_disk(number))?;
        }
        for file in self.store.list()?.iter().filter(|file| file.starts_with("system-") && file.ends_with(".json")) {
            self.store.delete(file)?;
        }
        Ok(())
    }

    fn remove_state(&mut self, record: &Record) -> Result<(), DeployError> {
        self.still_ours()?;
        if self.ours(record)?.is_some() {
            return Err(DeployError::new(Kind::Refused, format!("the machine '{}' is still there", self.name))
                .help("remove it first"));
        }
        self.unused(record, STATE)?;
        if self.store.list()?.iter().any(|file| file == STATE) {
            self.store.delete_disk(STATE)?;
        }
        self.store.delete(RECORD)?;
        self.store.delete(RECORD_ASIDE)?;
        self.gone = true;
        Ok(())
    }
}

impl Drop for VsphereSite {
    fn drop(&mut self) {
        drop(self.lock.take());
        if self.gone {
            // Only an empty directory goes.
            let _ = self.store.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_system_disks() {
        assert_eq!(number_of(&system_disk(12)), Some(12));
        for name in ["system-01.vmdk", "system-1-flat.vmdk", "system-.vmdk", "state.vmdk", "system-1.vmdk.new"] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }

    #[test]
    fn the_deployment_is_the_machines_uuid() {
        let record = Record::new("mylab", "5D0E0000111122223333444455556666".to_owned());
        assert_eq!(uuid(&record).unwrap(), "5d0e0000-1111-2222-3333-444455556666");
        assert!(uuid(&Record::new("mylab", "x".to_owned())).is_err());
    }
}
