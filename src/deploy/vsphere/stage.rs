//! A system disk's way into the datastore: imported with a carrier, a machine that never starts, then moved to its place.
//!
//! ```text
//! OVA ─import─► carrier NAME-generation-N ─detach─► its file ─move─► NAME-disks/system-N.vmdk      (carrier destroyed)
//! ```
//! The API takes compressed disks with an import only. In: a verified package. Out: the path of the disk. Invariants: the disk has its final name
//! only when it is whole, and what the descriptor asks for lies beside it by then; of the machines in the way only those are destroyed that
//! carry this deployment's keys and are switched off.

use super::super::error::{DeployError, Kind};
use super::super::record::Record;
use super::machine::{CARRIER, DEPLOYMENT, Hardware, Machine};
use super::ova::Package;
use super::soap::Failure;
use super::{VsphereSite, lease, system_disk, system_hardware};
use crate::vocab::Progress;

impl VsphereSite {
    pub(super) fn import_disk(
        &self,
        record: &Record,
        number: u32,
        package: &Package,
        progress: &dyn Progress,
    ) -> Result<String, Failure> {
        self.remove_carrier(record, number)?;
        self.store.make()?;
        if self.store.list()?.contains(&system_disk(number)) {
            self.unused(record, &system_disk(number))?;
            self.store.delete_disk(&system_disk(number))?;
        }
        let marks = [(DEPLOYMENT, record.deployment.clone()), (CARRIER, number.to_string())];
        let carrier =
            lease::import(&self.session, &self.places, package, &self.carrier_name(number), &marks, progress)?;
        let machine = Machine::read(&self.session, &carrier)?;
        let files: Vec<String> = machine.disks().filter_map(|disk| disk.file.clone()).collect();
        let [file] = files.as_slice() else {
            return Err(Failure::nonsense(format!("an import with {} disks", files.len())));
        };
        let hardware = Hardware { guest: machine.guest.clone(), version: machine.version.clone() };
        let text = serde_json::to_vec(&hardware).map_err(|error| Failure::nonsense(error.to_string()))?;
        self.store.put(&system_hardware(number), &text)?;
        if let Some(specification) = machine.without_disks() {
            self.session.task(&carrier.call("ReconfigVM_Task").with(specification))?;
        }
        self.store.take_disk(file, &system_disk(number))?;
        self.remove_carrier(record, number)?;
        Ok(self.store.path(&system_disk(number)))
    }

    pub(super) fn carrier_name(&self, number: u32) -> String {
        format!("{}-generation-{number}", self.name)
    }

    /// Removes what an import has left, with the disk that it still has.
    pub(super) fn remove_carrier(&self, record: &Record, number: u32) -> Result<(), Failure> {
        let name = self.carrier_name(number);
        let Some(of) = self.by_name(&name)? else { return Ok(()) };
        let machine = Machine::read(&self.session, &of)?;
        let key = |key: &str| machine.extra.get(key).map(String::as_str);
        let ours = key(DEPLOYMENT) == Some(&record.deployment) && key(CARRIER) == Some(&number.to_string());
        if !ours || !machine.is_off() {
            let error = DeployError::new(
                Kind::Refused,
                format!("there is a machine '{name}' that this deployment did not make, or that runs"),
            );
            return Err(error.help("rename or remove it: a new system disk is imported under that name").into());
        }
        // The state disk, and every disk that is in its place, is somebody else's: never a carrier's.
        if machine.disks().any(|disk| disk.file.as_ref().is_some_and(|file| file.starts_with(&self.store.path("")))) {
            return Err(DeployError::new(
                Kind::Refused,
                format!("the machine '{name}' has a disk of the deployment's own directory"),
            )
            .help("remove that disk from it, keeping its file, then deploy again")
            .into());
        }
        self.session.task(&of.call("Destroy_Task"))?;
        // A disk that was detached and not yet moved is not the machine's any more, and stays in its directory.
        match machine.file.rsplit_once('/') {
            Some((directory, _)) if directory.ends_with(&format!("] {name}")) => self.store.delete_at(directory),
            _ => Ok(()),
        }
    }
}
