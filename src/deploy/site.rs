//! What a target can do: the few verbs that the engine puts together.
//!
//! Invariants that each target keeps: every verb may be repeated, and a verb that was cut off in the middle is made good by its repetition;
//! nothing but `remove_state` removes a state disk, and nothing writes to one.

use std::net::IpAddr;
use std::time::Duration;

use super::error::DeployError;
use super::record::{Generation, Record};
use super::release::Release;
use crate::vocab::{ByteSize, Progress};

/// What is there, whatever the record says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The target knows the machine.
    pub exists: bool,
    pub running: bool,
    /// Number of the generation whose system disk the machine is configured with.
    pub configured: Option<u32>,
    /// Numbers of the generations whose system disk is whole.
    pub staged: Vec<u32>,
    /// The state disk is there.
    pub state: bool,
    /// A medium with secrets is attached, or lies about.
    pub seed: bool,
}

/// What the machine is to be at its next start.
#[derive(Debug, Clone, Copy)]
pub struct Configuration<'a> {
    pub record: &'a Record,
    pub generation: &'a Generation,
    /// With the seed medium, that `write_seed` has put in its place.
    pub seed: bool,
}

/// A place where a deployment lives: a directory of VMware Workstation, a folder of vSphere.
pub trait Site {
    /// The target in a few words, for messages ("VMware Workstation in /srv/vm/mylab").
    fn title(&self) -> String;

    /// Takes the deployment for this process until the site is dropped.
    ///
    /// # Errors
    /// Another process has it.
    fn lock(&mut self) -> Result<(), DeployError>;

    /// `None` where nothing was ever deployed.
    fn load(&self) -> Result<Option<Record>, DeployError>;

    /// Keeps the record, whole or not at all; it is on the disk when this returns.
    fn save(&mut self, record: &Record) -> Result<(), DeployError>;

    /// Changes nothing.
    fn observe(&self, record: Option<&Record>) -> Result<Observed, DeployError>;

    /// Whether what is there may be changed: it is ours, and nothing stands in the way that only shows later. Changes nothing.
    ///
    /// # Errors
    /// It is somebody else's machine, or has snapshots.
    fn check(&self) -> Result<(), DeployError> {
        Ok(())
    }

    /// Puts the system disk of a build in its place, verified; gives what [`Generation::disk`] is to say of it.
    fn stage(
        &mut self,
        record: &Record,
        number: u32,
        release: &Release,
        progress: &dyn Progress,
    ) -> Result<String, DeployError>;

    /// Makes an empty state disk where there is none. One that is there stays as it is.
    fn make_state(&mut self, record: &Record, size: ByteSize) -> Result<(), DeployError>;

    /// Puts the medium with the secrets where the next configuration attaches it from; readable by nobody else.
    fn write_seed(&mut self, record: &Record, image: &[u8]) -> Result<(), DeployError>;

    /// Detaches the medium, overwrites it and removes it. The machine may be running.
    fn wipe_seed(&mut self, record: &Record) -> Result<(), DeployError>;

    /// Makes the machine, which is stopped or not there yet, what it is to be.
    fn configure(&mut self, configuration: Configuration<'_>) -> Result<(), DeployError>;

    /// Starts the machine; one that runs is left alone.
    fn start(&mut self, record: &Record) -> Result<(), DeployError>;

    /// Stops the machine: asks the guest, and after `patience` switches it off. One that does not run is left alone.
    fn stop(&mut self, record: &Record, patience: Duration) -> Result<(), DeployError>;

    /// The guest's address on the uplink, once its tools have told it.
    ///
    /// # Errors
    /// The machine has stopped, or the target cannot be asked.
    fn address(&self, record: &Record) -> Result<Option<IpAddr>, DeployError>;

    /// Removes the system disk of a generation that the machine is not configured with; also one that the record does not know, as a crash may leave it.
    fn remove_generation(&mut self, record: &Record, number: u32) -> Result<(), DeployError>;

    /// Removes the stopped machine, every system disk and the seed medium; the state disk and the record stay.
    fn remove_machine(&mut self, record: &Record) -> Result<(), DeployError>;

    /// Removes the state disk of a machine that is gone, and the record.
    fn remove_state(&mut self, record: &Record) -> Result<(), DeployError>;
}
