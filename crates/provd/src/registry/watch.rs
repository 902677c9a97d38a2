//! What time does: armings expire, silent nodes count as stalled.

use jiff::{SignedDuration, Timestamp};
use netboot::MacAddr;

use super::{Actor, Registry};
use crate::state::{Active, State, Transition};
use crate::store::{StoreError, StoredNode};

impl Registry {
    /// Looks at every node; to be called every few seconds.
    ///
    /// # Errors
    /// The store cannot be written; what was not done is done at the next call.
    pub fn tick(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut memory = self.lock();
        let due: Vec<(MacAddr, Transition)> =
            memory.values().filter_map(|stored| Some((stored.mac, self.due(stored, now)?))).collect();
        for (mac, step) in due {
            self.commit(&mut memory, mac, step, &Actor::daemon(), now, |_| Ok(()))?;
        }
        Ok(())
    }

    /// Writes when each node was heard, which is not worth a flush of the disk at each word.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn remember(&self) -> Result<(), StoreError> {
        let memory = self.lock();
        self.store.write(|transaction| memory.values().try_for_each(|stored| stored.write(transaction)))
    }

    fn due(&self, stored: &StoredNode, now: Timestamp) -> Option<Transition> {
        let control = &self.declared.control;
        let heard = stored.heard.unwrap_or(stored.since).max(stored.since).max(self.started);
        let silent =
            |limit: u64| now.duration_since(heard) > SignedDuration::from_secs(limit.min(i32::MAX as u64) as i64);
        match stored.state.clone() {
            State::Armed(armed) if armed.attempt.expires <= now => Some(armed.expire()),
            State::Booting(booting) if booting.attempt.expires <= now => Some(Active::Booting(booting).fall_silent()),
            State::Installing(state) if silent(control.silence) => Some(Active::Installing(state).fall_silent()),
            State::Installed(state) if silent(control.first_boot) => Some(Active::Installed(state).fall_silent()),
            _ => None,
        }
    }
}
