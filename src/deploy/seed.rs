//! The seed medium: what an appliance is told at its first boots, and its secrets.

use std::collections::BTreeMap;

use netboot::SecretRef;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::error::DeployError;
use super::record::Record;
use crate::profile::Profile;
use crate::secrets::SecretError;
use crate::vocab::Epoch;

pub type Unresolved = Vec<(String, SecretError)>;

pub fn collect(
    _: &Profile,
    _: &dyn Fn(&SecretRef) -> Result<SecretString, SecretError>,
) -> Result<BTreeMap<String, SecretString>, Vec<(String, SecretError)>> {
    Ok(BTreeMap::new())
}

pub fn medium(
    _: &Record,
    _: u32,
    _: &BTreeMap<String, SecretString>,
    _: Epoch,
) -> Result<Zeroizing<Vec<u8>>, DeployError> {
    Ok(Zeroizing::new(Vec::new()))
}
