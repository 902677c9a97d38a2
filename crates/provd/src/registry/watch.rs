//! What time does: armings expire, silent nodes count as stalled.

use std::sync::atomic::Ordering;

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
        // A clock that was set back: nobody has been heard in the future.
        self.started.fetch_min(now.as_second(), Ordering::Relaxed);
        for stored in memory.values_mut() {
            stored.since = stored.since.min(now);
            stored.heard = stored.heard.map(|heard| heard.min(now));
        }
        self.cds.expire(now);
        let due: Vec<(MacAddr, Transition)> =
            memory.values().filter_map(|stored| Some((stored.mac, self.due(stored, now)?))).collect();
        // One that cannot be written does not keep the others.
        let mut result = Ok(());
        for (mac, step) in due {
            result = result.and(self.commit(&mut memory, mac, step, &Actor::daemon(), now, |_| Ok(())));
        }
        result
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
        let started = Timestamp::from_second(self.started.load(Ordering::Relaxed)).unwrap_or(now);
        let heard = stored.heard.unwrap_or(stored.since).max(stored.since).max(started);
        let silent =
            |limit: u64| now.duration_since(heard) > SignedDuration::from_secs(limit.min(i32::MAX as u64) as i64);
        match stored.state.clone() {
            State::Armed(armed) if !armed.attempt.open(now) => Some(armed.expire()),
            State::Booting(booting) if !booting.attempt.open(now) => Some(Active::Booting(booting).fall_silent()),
            State::Installing(state) if silent(control.silence) => Some(Active::Installing(state).fall_silent()),
            State::Installed(state) if silent(control.first_boot) => Some(Active::Installed(state).fall_silent()),
            _ => None,
        }
    }
}
