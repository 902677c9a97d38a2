//! The pen: machines that are in no inventory, as DHCP and boot requests show them.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use netboot::MacAddr;
use serde::Serialize;

use crate::store::{Store, StoreError};

/// A machine that is in no inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stranger {
    pub mac: MacAddr,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub address: Option<IpAddr>,
    /// DHCP option 55, numbers with commas.
    pub fingerprint: Option<String>,
    /// DHCP option 60.
    pub vendor: Option<String>,
    /// DHCP option 12.
    pub hostname: Option<String>,
}

/// What was seen of one, at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sighting {
    pub address: Option<IpAddr>,
    pub fingerprint: Option<String>,
    pub vendor: Option<String>,
    pub hostname: Option<String>,
}

pub struct Pen {
    store: Arc<Store>,
}

impl Pen {
    pub fn new(store: Arc<Store>) -> Self {
        Pen { store }
    }

    /// Notes a machine; whether it is new.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn note(&self, _mac: MacAddr, _seen: &Sighting, _now: Timestamp) -> Result<bool, StoreError> {
        let _ = &self.store;
        Ok(false)
    }

    /// All of them, the last seen first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn all(&self) -> Result<Vec<Stranger>, StoreError> {
        Ok(Vec::new())
    }

    /// The stanza for nodes.toml.
    pub fn stanza(stranger: &Stranger) -> String {
        format!("[[node]]\nmac = \"{}\"\n", stranger.mac)
    }
}
