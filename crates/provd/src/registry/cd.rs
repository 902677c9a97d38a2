//! A node's answers as a CD that its BMC reads: for machines that are not started from the network.
//!
//! In: an armed node with a BMC. Out: a token, and behind it the NoCloud image. Invariants: making the CD is the one handing out of the
//! answers, so it uses the arming up: no boot request is given an installer after it, and no other token reads the answers. The images are
//! in memory only: with a restart of the daemon they are gone.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use netboot::{Bmc, MacAddr, Node, Program, SeedError, seed_files};

use super::boot::REPORTS;
use super::report::{Phase, digest_of, keep};
use super::{Actor, Change, Registry, ReportedEvent};
use crate::registry::Refused;
use crate::state::{Active, Armed, Attempt, Installing, Stalled, State};
use crate::store::{Grant, Purpose, StoreError, StoredNode, Token};

/// The time of everything in an image, 1980-01-01: no reader shows a date before its epoch.
const TIME: u32 = 315_532_800;
/// Images at a time, of a few hundred KB each.
const MOST: usize = 64;

/// Why there is no CD.
#[derive(Debug, thiserror::Error)]
pub enum CdError {
    #[error("there is no node '{0}'")]
    NoSuchNode(String),
    #[error("{0} has no BMC: set `bmc` in nodes.toml")]
    NoBmc(String),
    #[error("{hostname} is {state}: its seed is put on a CD only while it is armed")]
    NotArmed { hostname: String, state: &'static str },
    #[error("the arming of {0} has expired: arm it again")]
    Expired(String),
    #[error("{0} installs Debian, which reads a preseed file and no seed CD: install it from the network")]
    Preseed(String),
    #[error("the seed CD of {hostname} cannot be made: {reason}")]
    Image { hostname: String, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A CD as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadCd {
    pub hostname: String,
    pub image: Arc<[u8]>,
}

/// The images, the oldest first.
#[derive(Default)]
pub(super) struct Cds {
    kept: Mutex<VecDeque<Kept>>,
}

struct Kept {
    /// Of the token.
    hash: String,
    mac: MacAddr,
    expires: Timestamp,
    image: Arc<[u8]>,
}

impl Cds {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, kept: Kept) {
        let mut all = self.lock();
        all.push_back(kept);
        while all.len() > MOST {
            all.pop_front();
        }
    }

    fn find(&self, token: &Token) -> Option<Arc<[u8]>> {
        let hash = token.hash();
        self.lock().iter().find(|kept| kept.hash == hash).map(|kept| Arc::clone(&kept.image))
    }

    pub(super) fn forget(&self, mac: MacAddr) {
        self.lock().retain(|kept| kept.mac != mac);
    }

    pub(super) fn expire(&self, now: Timestamp) {
        self.lock().retain(|kept| now < kept.expires);
    }
}

/// What a CD is made of.
struct Wanted<'a> {
    node: &'a Node,
    bmc: &'a Bmc,
    armed: Armed,
}

impl Registry {
    /// Whether a CD would be made now.
    ///
    /// # Errors
    /// Why not.
    pub fn cd_allowed(&self, mac: MacAddr, now: Timestamp) -> Result<(), CdError> {
        let Wanted { node, armed, .. } = self.wanted(&self.lock(), mac, now)?;
        self.image(node, &armed.attempt, &Token::new()).map(|_| ())
    }

    /// Hands the answers of an armed node out on a CD for its BMC: the token that reads it. The arming is used up by it, as by any reading of the answers.
    ///
    /// # Errors
    /// Nothing was handed out. A node that was armed for it is disarmed if the store failed in the middle.
    pub fn seed_cd(&self, mac: MacAddr, actor: &Actor, now: Timestamp) -> Result<Token, CdError> {
        let mut memory = self.lock();
        let Wanted { node, bmc, armed } = self.wanted(&memory, mac, now)?;
        let attempt = armed.attempt.clone();
        let (token, report) = (Token::new(), Token::new());
        let image = self.image(node, &attempt, &report)?;
        let cd = Grant {
            mac,
            attempt: attempt.number,
            address: IpAddr::from(bmc.address),
            expires: attempt.expires,
            revoked: false,
        };
        let expires = now + SignedDuration::from_secs(REPORTS);
        let reports = Grant { address: IpAddr::from(node.address), expires, ..cd.clone() };
        let text = format!("its answers are handed out on a CD, to its BMC at {}", bmc.address);
        self.commit(&mut memory, mac, armed.boot(&text), actor, now, |transaction| {
            // A loader may have read GRUB's script already: the answers are not given twice.
            Grant::revoke(transaction, mac, Some(Purpose::Seed))?;
            cd.add(transaction, &token, Purpose::Cd)
        })?;
        let event = ReportedEvent {
            mac,
            hostname: node.hostname.to_string(),
            attempt: attempt.number,
            at: now,
            kind: Phase::Note.name().to_owned(),
            name: "cidata".to_owned(),
            text,
            result: None,
        };
        let booting = match memory.get(&mac).map(|stored| stored.state.clone()) {
            Some(State::Booting(booting)) => booting,
            // Nobody else has the lock.
            other => return Err(StoreError::Content(format!("{mac} is {:?}", other.map(|is| is.name()))).into()),
        };
        let handed_out = self.commit(&mut memory, mac, booting.answers_on_cd(), actor, now, |transaction| {
            reports.add(transaction, &report, Purpose::Report)?;
            keep(transaction, &event, &digest_of(&event, now)).map(|_| ())
        });
        if let Err(error) = handed_out {
            self.take_back(&mut memory, mac, attempt.number, actor, "its seed CD could not be made", now)?;
            return Err(error.into());
        }
        self.cds.keep(Kept { hash: token.hash(), mac, expires: attempt.expires, image });
        self.tell(Change::Reported(event));
        Ok(token)
    }

    /// Ends an attempt whose CD did not come to its BMC: one that is armed still, or whose answers are on a CD of which no installer has
    /// reported. Whether it was so.
    ///
    /// # Errors
    /// The store cannot be written; the node stays as it is.
    pub(crate) fn withdraw_cd(
        &self,
        mac: MacAddr,
        attempt: u64,
        actor: &Actor,
        why: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.take_back(&mut self.lock(), mac, attempt, actor, why, now)
    }

    fn take_back(
        &self,
        memory: &mut BTreeMap<MacAddr, StoredNode>,
        mac: MacAddr,
        attempt: u64,
        actor: &Actor,
        why: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let state = memory.get(&mac).map(|stored| stored.state.clone());
        let Some(state) = state.filter(|state| state.attempt().is_some_and(|is| is.number == attempt)) else {
            return Ok(false);
        };
        let unread = match &state {
            State::Armed(_) => true,
            // Not one that was started from the network meanwhile.
            State::Booting(_) | State::Installing(_) | State::Stalled(_) => {
                self.store.read(|c| Grant::is_open(c, mac, attempt, Purpose::Cd))?
            }
            _ => false,
        };
        let Some(step) = unread.then(|| state.disarm(why)).flatten() else { return Ok(false) };
        self.commit(memory, mac, step, actor, now, |_| Ok(()))?;
        Ok(true)
    }

    /// The CD behind a token: until the first report of its node, or the end of the arming.
    ///
    /// # Errors
    /// A token that is unknown, of another address, used up; an image that a daemon before this one has made.
    pub fn cd(&self, token: &Token, from: IpAddr, now: Timestamp) -> Result<ReadCd, Refused> {
        let memory = self.lock();
        let grant = self.store.read(|c| Grant::find(c, token, Purpose::Cd))?.ok_or(Refused::Token)?;
        if grant.address != from {
            return Err(Refused::Address);
        }
        let node = self.declared_node(grant.mac).ok_or(Refused::Gone)?;
        let state = memory.get(&grant.mac).map(|stored| &stored.state).ok_or(Refused::Gone)?;
        let current = state.attempt().is_some_and(|attempt| attempt.number == grant.attempt && attempt.open(now));
        // Nothing is heard of a machine until it is started from the CD: it may count as silent before.
        let waits = match state {
            State::Installing(Installing { .. }) => true,
            State::Stalled(Stalled { during }) => matches!(during, Active::Installing(_)),
            _ => false,
        };
        if grant.revoked || grant.expires <= now || !current || !waits {
            return Err(Refused::Gone);
        }
        let image = self.cds.find(token).ok_or(Refused::Gone)?;
        Ok(ReadCd { hostname: node.hostname.to_string(), image })
    }

    fn wanted(
        &self,
        memory: &BTreeMap<MacAddr, StoredNode>,
        mac: MacAddr,
        now: Timestamp,
    ) -> Result<Wanted<'_>, CdError> {
        let node = self.declared_node(mac).ok_or_else(|| CdError::NoSuchNode(mac.to_string()))?;
        let hostname = || node.hostname.to_string();
        let bmc = node.bmc.as_ref().ok_or_else(|| CdError::NoBmc(hostname()))?;
        let armed = match memory.get(&mac).map(|stored| stored.state.clone()) {
            Some(State::Armed(armed)) => armed,
            other => {
                let state = other.map_or("unknown", |state| state.name());
                return Err(CdError::NotArmed { hostname: hostname(), state });
            }
        };
        match armed.attempt.open(now) {
            true => Ok(Wanted { node, bmc, armed }),
            false => Err(CdError::Expired(hostname())),
        }
    }

    fn image(&self, node: &Node, attempt: &Attempt, report: &Token) -> Result<Arc<[u8]>, CdError> {
        let hostname = || node.hostname.to_string();
        let cannot = |reason: String| CdError::Image { hostname: hostname(), reason };
        let installer = self.declared.installers.get(&attempt.installer);
        let installer = installer.ok_or_else(|| cannot(format!("there is no installer '{}'", attempt.installer)))?;
        if installer.system.release.traits().program != Program::Subiquity {
            return Err(CdError::Preseed(hostname()));
        }
        let site = self.declared.site();
        let url = format!("{}/report/{}", site.url(), report.reveal());
        let files = seed_files(node, &installer.system, &site, Some(&url));
        let files = files.map_err(|error: SeedError| cannot(error.to_string()))?;
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        let image = netboot::cidata(&files, TIME).map_err(|error| cannot(error.to_string()))?;
        Ok(image.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_image_goes_where_there_are_too_many() {
        let cds = Cds::default();
        let tokens: Vec<Token> = (0..=MOST).map(|_| Token::new()).collect();
        for (index, token) in tokens.iter().enumerate() {
            let mac = MacAddr::from_bytes([0, 0, 0, 0, 0, index as u8]);
            cds.keep(Kept { hash: token.hash(), mac, expires: Timestamp::MAX, image: vec![index as u8].into() });
        }
        assert!(cds.find(&tokens[0]).is_none());
        assert!((1..=MOST).all(|index| cds.find(&tokens[index]).is_some_and(|image| image[..] == [index as u8])));
        cds.forget(MacAddr::from_bytes([0, 0, 0, 0, 0, 5]));
        assert!(cds.find(&tokens[5]).is_none() && cds.find(&tokens[6]).is_some());
    }
}
