//! VMware Workstation on this host, or on the Windows around this WSL.

use std::path::PathBuf;

use secrecy::SecretString;

use super::error::{DeployError, Kind};
use super::site::Site;
use crate::profile;
use crate::vocab::ByteSize;

/// What the profile says, and what the surroundings add to it.
pub struct Workstation<'a> {
    /// Name of the appliance.
    pub name: &'a str,
    pub settings: &'a profile::Workstation,
    pub state_disk: ByteSize,
    /// vmrest's "user:password", where it is configured.
    pub rest_credentials: Option<SecretString>,
    /// Home directory and PATH of whoever deploys.
    pub home: Option<PathBuf>,
    pub path: Option<std::ffi::OsString>,
}

impl Workstation<'_> {
    /// Finds Workstation; touches nothing.
    ///
    /// # Errors
    /// It is not there, with every place that was looked at.
    pub fn open(&self) -> Result<Box<dyn Site>, DeployError> {
        Err(DeployError::new(Kind::Hypervisor, "not written yet"))
    }

    /// What of the settings makes another machine, for [`super::Release::new`].
    pub fn settings(&self) -> String {
        let profile::Workstation { controller, uplink, provisioning, .. } = self.settings;
        format!("workstation {controller:?} {uplink:?} {provisioning:?}")
    }
}
