//! vCenter, or a single ESXi host, by the vSphere API.

use secrecy::SecretString;

use super::error::{DeployError, Kind};
use super::site::Site;
use crate::profile;

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
        Err(DeployError::new(Kind::Hypervisor, "not written yet"))
    }

    /// What of the settings makes another machine, for [`super::Release::new`].
    pub fn settings(&self) -> String {
        let profile::Vsphere { uplink, provisioning, .. } = self.settings;
        format!("vsphere {uplink:?} {provisioning:?}")
    }
}
