//! One process deploys at a time, whatever machine it runs on: numbered directories in the datastore, and a sign of life in them.
//!
//! ```text
//! lock-7/ID      whoever has the deployment; a new number is written into it every few seconds
//! lock-8/OTHER   somebody who saw that number stay the same for long
//! ```
//! vSphere has no locks for clients. Making a directory either succeeds or says that there is one: that decides who has a number, and the highest
//! number has the deployment. Nobody ever writes into another one's directory or moves it, so that a sign of life that arrives late renews nothing
//! but itself. In: the store. Out: a [`Lock`] that is released when it is dropped. Invariant: whoever had no sign of life acknowledged for
//! [`HELD`], by its own clock, has lost the right for good; that is less than [`GONE`], after which another takes it. No two clocks are compared.
//!
//! What remains: a request that was sent while the right was held is not called back; where it reaches vSphere later than the next owner's first,
//! both are carried out. A host that sleeps does not count the time: there [`Lock::check`] sees the other's directory.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::super::error::{DeployError, Kind};
use super::store::Store;

const PREFIX: &str = "lock-";
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(3);
/// For one sign of life to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);
/// Without a sign of life of our own for so long: the right is lost.
const HELD: Duration = Duration::from_secs(30);
/// Without a sign of life of another one for so long: it is gone.
const GONE: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(500);
const LONGEST_SIGN: usize = 200;
/// Times that a lock is released while it is looked at.
const MOST_RELEASES: usize = 10;

pub(super) struct Lock {
    store: Store,
    directory: String,
    sign: String,
    held: Arc<Held>,
    stop: Option<Sender<()>>,
    beats: Option<JoinHandle<()>>,
}

/// When the last sign of life was sent that has arrived; `None` once the right is lost.
struct Held(Mutex<Option<Instant>>);

impl Held {
    fn is(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = last.filter(|sent| sent.elapsed() < HELD);
        last.is_some()
    }

    /// A sign that was sent then has arrived; it may have taken too long.
    fn renew(&self, sent: Instant) {
        if self.is() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
        }
    }
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
        let dead = dead(store)?;
        let number = dead.iter().filter_map(|name| number_of(name)).max().unwrap_or(0).saturating_add(1);
        let directory = format!("{PREFIX}{number}");
        let sign = format!("{directory}/{id}");
        // From before anybody can see it.
        let held = Arc::new(Held(Mutex::new(Some(Instant::now()))));
        match store.make_inner(&directory) {
            Err(failure) if failure.is(&["FileAlreadyExists", "DuplicateName"]) => return Err(busy()),
            made => made?,
        }
        let (stop, stopped) = mpsc::channel();
        let mut lock = Lock { store: store.clone(), directory, sign, held, stop: Some(stop), beats: None };
        store.put_within(&lock.sign, b"0", ARRIVAL)?;
        // Looked at after it was made: of two who do so at once, one at least sees the other.
        if locks(store)?.iter().any(|other| *other != lock.directory && !dead.contains(other)) {
            if lock.held.is() {
                let _ = store.delete(&lock.directory);
            }
            return Err(busy());
        }
        if !lock.held.is() {
            return Err(lost());
        }
        for name in &dead {
            store.delete(name)?;
        }
        let (beating, sign, held) = (store.clone(), lock.sign.clone(), Arc::clone(&lock.held));
        lock.beats = Some(thread::spawn(move || {
            let mut number = 0_u64;
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) && held.is() {
                number += 1;
                let sent = Instant::now();
                match beating.put_within(&sign, number.to_string().as_bytes(), ARRIVAL) {
                    Ok(()) => held.renew(sent),
                    // The next one makes up for it; a call renews a session that has ended, which a transfer cannot.
                    Err(_) => drop(beating.list()),
                }
            }
        }));
        Ok(lock)
    }

    /// # Errors
    /// The right is lost, or cannot be looked at.
    pub(super) fn check(&self) -> Result<(), DeployError> {
        let signed = || Ok::<bool, DeployError>(self.store.get(&self.sign, LONGEST_SIGN)?.is_some());
        if self.held.is() && number(&locks(&self.store)?) == number_of(&self.directory) && signed()? && self.held.is() {
            Ok(())
        } else {
            // For good, also where it comes back to a host that has slept.
            *self.held.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
            Err(lost())
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(beats) = self.beats.take() {
            let _ = beats.join();
        }
        // Our own: where the right was lost, the directory may be another one's by now.
        if self.check().is_ok() {
            let _ = self.store.delete(&self.directory);
        } else {
            let _ = self.store.delete(&self.sign);
        }
    }
}

fn busy() -> DeployError {
    DeployError::new(Kind::Io, "another process deploys this appliance")
        .help("wait until it has finished; where none is, try again in a minute")
}

fn lost() -> DeployError {
    DeployError::new(
        Kind::Io,
        "this process was cut off from vSphere for too long; another process may deploy this appliance now",
    )
    .help("deploy again: what was begun is taken up")
}

fn number_of(name: &str) -> Option<u64> {
    let number: u64 = name.strip_prefix(PREFIX)?.parse().ok()?;
    (format!("{PREFIX}{number}") == name).then_some(number)
}

fn number(locks: &[String]) -> Option<u64> {
    locks.iter().filter_map(|name| number_of(name)).max()
}

fn locks(store: &Store) -> Result<Vec<String>, DeployError> {
    let mut names = store.list()?;
    names.retain(|name| number_of(name).is_some());
    Ok(names)
}

/// The locks that are there and dead, once that is certain: their signs of life are watched for as long as it takes.
fn dead(store: &Store) -> Result<Vec<String>, DeployError> {
    for _ in 0..MOST_RELEASES {
        let names = locks(store)?;
        if names.is_empty() || are_dead(store, &names)? {
            return Ok(names);
        }
    }
    Err(busy())
}

/// `false`: one was released meanwhile.
fn are_dead(store: &Store, names: &[String]) -> Result<bool, DeployError> {
    let begun = Instant::now();
    let mut first = BTreeMap::new();
    for name in names {
        for sign in store.list_in(name)? {
            let sign = format!("{name}/{sign}");
            first.insert(sign.clone(), store.get(&sign, LONGEST_SIGN)?);
        }
    }
    while begun.elapsed() < GONE {
        thread::sleep(LOOK);
        for (sign, before) in &first {
            match store.get(sign, LONGEST_SIGN)? {
                None => return Ok(false),
                now if now == *before => {}
                Some(_) => return Err(busy()),
            }
        }
        if first.is_empty() {
            // One that has just been made, and not been signed: its owner has so long for it, and no longer.
            let signed = names
                .iter()
                .try_fold(false, |signed, name| Ok::<_, DeployError>(signed || !store.list_in(name)?.is_empty()))?;
            if signed {
                return Err(busy());
            }
            if locks(store)? != names {
                return Ok(false);
            }
        }
    }
    // One that came meanwhile is alive.
    if locks(store)?.iter().any(|name| !names.contains(name)) { Err(busy()) } else { Ok(true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_that_was_lost_stays_lost() {
        let now = Instant::now();
        let held = Held(Mutex::new(Some(now)));
        assert!(held.is());
        let Some(long_ago) = now.checked_sub(HELD) else { return };
        held.renew(long_ago);
        assert!(!held.is(), "a sign that took too long to arrive");
        held.renew(Instant::now());
        assert!(!held.is());
        assert!(HELD + ARRIVAL <= GONE);
    }

    #[test]
    fn numbers_of_locks() {
        assert_eq!(number_of("lock-12"), Some(12));
        for name in ["lock", "lock-", "lock-01", "lock-x", "lock--1"] {
            assert_eq!(number_of(name), None, "{name}");
        }
        assert_eq!(number(&["lock-9".to_owned(), "lock-10".to_owned()]), Some(10));
    }
}
