//! The certificate that a BMC is known by, beside the one that it shows now.

use std::sync::{Arc, Mutex, PoisonError};

use bmc::{Credentials, Endpoint, Fingerprint, Machine, PinError, Pins, Trust, Verb};
use jiff::Timestamp;
use netboot::Node;

use super::claim::Claim;
use super::{ControlError, READING};
use crate::app::Shared;
use crate::registry::{Actor, Note};
use crate::store::{OperationError, Pin};

/// What is known of a BMC's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub endpoint: String,
    pub pinned: Option<Pin>,
    /// What it shows now, or why that is not known.
    pub shown: Result<String, OperationError>,
}

/// Keeps nothing, and ends the connection before anybody logs in.
#[derive(Default)]
struct Probe(Mutex<Option<Fingerprint>>);

impl Pins for Probe {
    fn pinned(&self, _: &str) -> Result<Option<Fingerprint>, PinError> {
        Ok(None)
    }

    fn pin(&self, _: &str, fingerprint: Fingerprint) -> Result<(), PinError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
        Err(PinError("it was only looked at".to_owned()))
    }
}

/// Looks at both. No credentials are sent, nor read.
///
/// # Errors
/// The node has no BMC, or it is not the time to ask it.
pub async fn certificate(app: &Shared, node: &Node) -> Result<Certificate, ControlError> {
    let hostname = node.hostname.to_string();
    let bmc = node.bmc.as_ref().ok_or_else(|| ControlError::NoBmc(hostname.clone()))?;
    let _claim = Claim::read(app, node.mac, &hostname)?;
    let endpoint = Endpoint::of(bmc);
    let name = endpoint.to_string();
    let pinned = {
        let (app, name) = (Arc::clone(app), name.clone());
        let read =
            tokio::task::spawn_blocking(move || app.registry.store().read(|connection| Pin::of(connection, &name)));
        read.await.map_err(|error| crate::store::StoreError::Content(error.to_string()))??
    };
    let probe = Arc::new(Probe::default());
    // Whatever this is, it is not sent: the connection ends when the certificate is to be pinned.
    let Ok(credentials) = Credentials::parse("nobody:nothing") else {
        return Err(ControlError::NoBmc(hostname));
    };
    let machine = Machine {
        endpoint,
        kind: bmc.kind,
        system: None,
        credentials,
        trust: Trust::FirstUse(Arc::clone(&probe) as Arc<dyn Pins>),
        patience: app.control.settings.patience.clone(),
        bios: None,
        sum: None,
    };
    let asked = tokio::time::timeout(READING, machine.run(&Verb::Status {}, &|_| {})).await;
    let seen = *probe.0.lock().unwrap_or_else(PoisonError::into_inner);
    let shown = match (seen, asked) {
        (Some(fingerprint), _) => Ok(fingerprint.to_string()),
        (None, Ok(Err(error))) => Err(error.into()),
        (None, _) => Err(OperationError::surroundings("it did not show a certificate in time")),
    };
    Ok(Certificate { endpoint: name, pinned, shown })
}

/// Forgets the pinned certificate, so that the next one that is shown is pinned. Whether there was one. May block.
///
/// # Errors
/// The node has no BMC, or the store cannot be written.
pub fn forget(app: &Shared, node: &Node, actor: &Actor, now: Timestamp) -> Result<bool, ControlError> {
    let bmc = node.bmc.as_ref().ok_or_else(|| ControlError::NoBmc(node.hostname.to_string()))?;
    let endpoint = Endpoint::of(bmc).to_string();
    Ok(app.registry.note(node.mac, actor, now, |transaction| {
        let Some(pin) = Pin::of(transaction, &endpoint)? else { return Ok((false, None)) };
        Pin::forget(transaction, &endpoint)?;
        let detail = format!("certificate of the BMC at {endpoint}: {}", pin.fingerprint);
        Ok((true, Some(Note { detail, why: "forgotten: the next one that is shown is pinned".to_owned() })))
    })?)
}
