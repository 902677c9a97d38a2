//! The certificates of BMCs: pinned in the database at the first sight, with a line in the audit log.

use bmc::{Fingerprint, PinError, Pins};
use jiff::Timestamp;
use netboot::MacAddr;

use crate::app::Shared;
use crate::registry::{Actor, Note};
use crate::store::{Pin, StoreError};

/// The pins, and in whose name one is kept.
pub(super) struct StorePins {
    pub(super) app: Shared,
    pub(super) mac: MacAddr,
    pub(super) actor: Actor,
}

impl Pins for StorePins {
    fn pinned(&self, endpoint: &str) -> Result<Option<Fingerprint>, PinError> {
        let pin = self.app.registry.store().read(|connection| Pin::of(connection, endpoint)).map_err(failed)?;
        pin.map(|pin| pin.fingerprint.parse().map_err(|_| PinError("what is kept is no fingerprint".to_owned())))
            .transpose()
    }

    fn pin(&self, endpoint: &str, fingerprint: Fingerprint) -> Result<(), PinError> {
        let now = Timestamp::now();
        let pin = Pin { fingerprint: fingerprint.to_string(), seen: now };
        let written = self.app.registry.note(self.mac, &self.actor, now, |transaction| {
            let note = Note {
                detail: format!("certificate of the BMC at {endpoint}: {fingerprint}"),
                why: "seen for the first time, and pinned".to_owned(),
            };
            let added = pin.add(transaction, endpoint)?;
            Ok(((), added.then_some(note)))
        });
        written.map_err(failed)
    }
}

fn failed(error: StoreError) -> PinError {
    tracing::error!("{error}");
    PinError("the database cannot be used now: see provd's journal".to_owned())
}
