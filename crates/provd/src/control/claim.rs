//! Who has a node: one operation that writes, and a few readings beside it.
//!
//! In: a node's MAC. Out: a claim, good until it is dropped. Invariant: a claim ends with the task that has it, however that ends.

use std::sync::{Arc, PoisonError};

use netboot::MacAddr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ControlError, READINGS};
use crate::app::Shared;

/// What goes on with one node.
#[derive(Debug, Default)]
pub(super) struct Busy {
    write: Option<Write>,
    readings: usize,
}

#[derive(Debug, Clone)]
struct Write {
    title: String,
    who: String,
    step: String,
}

/// Keeps a node, and one of the places that there are for all of its kind.
pub(super) struct Claim {
    app: Shared,
    mac: MacAddr,
    writes: bool,
    _permit: OwnedSemaphorePermit,
}

impl Claim {
    pub(super) fn write(
        app: &Shared,
        (mac, hostname): (MacAddr, &str),
        title: &str,
        who: &str,
    ) -> Result<Claim, ControlError> {
        let permit = permit(&app.control.writes)?;
        let mut all = app.control.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = all.entry(mac).or_default();
        if let Some(Write { title, who, step }) = busy.write.clone() {
            return Err(ControlError::Busy { hostname: hostname.to_owned(), title, who, step });
        }
        busy.write = Some(Write { title: title.to_owned(), who: who.to_owned(), step: "it begins".to_owned() });
        Ok(Claim { app: Arc::clone(app), mac, writes: true, _permit: permit })
    }

    pub(super) fn read(app: &Shared, mac: MacAddr, hostname: &str) -> Result<Claim, ControlError> {
        let permit = permit(&app.control.readings)?;
        let mut all = app.control.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = all.entry(mac).or_default();
        if busy.readings >= READINGS {
            return Err(ControlError::Readings(hostname.to_owned()));
        }
        busy.readings += 1;
        Ok(Claim { app: Arc::clone(app), mac, writes: false, _permit: permit })
    }

    /// What is done now, for whoever asks for the node meanwhile.
    pub(super) fn step(&self, text: &str) {
        let mut all = self.app.control.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(write) = all.get_mut(&self.mac).and_then(|busy| busy.write.as_mut()) {
            write.step = text.to_owned();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut all = self.app.control.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(busy) = all.get_mut(&self.mac) else { return };
        if self.writes {
            busy.write = None;
        } else {
            busy.readings = busy.readings.saturating_sub(1);
        }
        if busy.write.is_none() && busy.readings == 0 {
            all.remove(&self.mac);
        }
    }
}

fn permit(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ControlError> {
    Arc::clone(places).try_acquire_owned().map_err(|_| ControlError::Full)
}
