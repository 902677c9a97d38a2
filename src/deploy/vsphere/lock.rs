//! One process deploys at a time, whatever machine it runs on: a directory in the datastore, and a sign of life in it.
//!
//! vSphere has no locks for clients. Making a directory either succeeds or says that there is one: that decides who has the deployment. Whoever
//! has it writes a new number into `lock/owner` every few seconds; a number that stays the same for long belongs to somebody who is gone, and
//! the lock is taken over. No clock is compared. In: the store. Out: a [`Lock`] that is released when it is dropped.
//!
//! Limits: a process that is stopped or cut off from the server for longer than [`GONE`] loses the lock without being told at once; it notices
//! when it next saves the record, which it does before each step, and ends there. Two that take over a dead lock in the same instant are told
//! apart by what is in the file that was moved away.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::super::error::{DeployError, Kind};
use super::soap::Failure;
use super::store::Store;

const DIRECTORY: &str = "lock";
const OWNER: &str = "lock/owner";
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(3);
/// Without a sign of life for so long: its owner is gone.
const GONE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(500);
const LONGEST_OWNER: usize = 200;

pub(super) struct Lock {
    store: Store,
    id: String,
    stop: Option<Sender<()>>,
    beats: Option<JoinHandle<()>>,
}

impl Lock {
    /// # Errors
    /// Another process has it, or the datastore cannot be written to.
    pub(super) fn take(store: &Store) -> Result<Self, DeployError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| DeployError::new(Kind::Io, format!("no random numbers: {error}")))?;
        let id = hex::encode(random);
        store.make()?;
        loop {
            match store.make_inner(DIRECTORY) {
                Ok(()) => break,
                Err(failure) if failure.is(&["FileAlreadyExists", "DuplicateName"]) => wait_for_end(store, &id)?,
                Err(failure) => return Err(failure.into()),
            }
        }
        store.put(OWNER, format!("{id} 0").as_bytes())?;
        let (stop, stopped) = mpsc::channel();
        let (beating, name) = (store.clone(), id.clone());
        let beats = thread::spawn(move || {
            let mut number = 0_u64;
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                number += 1;
                // Only what is still ours is renewed; a beat that fails is made up for by the next one.
                if owner(&beating).is_ok_and(|now| now.is_some_and(|now| now.starts_with(&name))) {
                    let _ = beating.put(OWNER, format!("{name} {number}").as_bytes());
                }
            }
        });
        Ok(Lock { store: store.clone(), id, stop: Some(stop), beats: Some(beats) })
    }

    /// # Errors
    /// Somebody has taken it over.
    pub(super) fn check(&self) -> Result<(), DeployError> {
        match owner(&self.store)? {
            Some(now) if now.starts_with(&self.id) => Ok(()),
            _ => Err(taken().help("this process was cut off from vSphere for too long; deploy again")),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(beats) = self.beats.take() {
            let _ = beats.join();
        }
        if self.check().is_ok() {
            let _ = self.store.delete(DIRECTORY);
        }
    }
}

fn taken() -> DeployError {
    DeployError::new(Kind::Io, "another process deploys this appliance")
}

fn owner(store: &Store) -> Result<Option<String>, DeployError> {
    let bytes = store.get(OWNER, LONGEST_OWNER)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Waits until a lock shows that its owner lives, which is an error, or does not; then the lock is removed.
fn wait_for_end(store: &Store, id: &str) -> Result<(), DeployError> {
    let first = owner(store)?;
    let begun = Instant::now();
    while begun.elapsed() < GONE {
        thread::sleep(LOOK);
        let now = owner(store)?;
        match (&first, &now) {
            // It was released, or has just been taken and not yet signed.
            (Some(_), None) => return Ok(()),
            (first, now) if first == now => {}
            _ => return Err(taken().help("wait until it has finished; where none is, try again in a minute")),
        }
    }
    // Moved away first: of two who do this, one finds nothing more.
    let aside = format!("lock-{id}");
    match store.rename(DIRECTORY, &aside) {
        Ok(()) => {}
        Err(failure) if failure.is(&["FileNotFound"]) => return Ok(()),
        Err(failure) => return Err(failure.into()),
    }
    let moved = store.get(&format!("{aside}/owner"), LONGEST_OWNER)?;
    let moved = moved.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if moved != first {
        // It was somebody's new one.
        let back: Result<(), Failure> = store.rename(&aside, DIRECTORY);
        back?;
        return Err(taken().help("wait until it has finished"));
    }
    store.delete(&aside)?;
    Ok(())
}
