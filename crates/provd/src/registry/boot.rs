//! What a node is given on its way into the installer: its script, then its answers.

use std::net::IpAddr;
use std::sync::PoisonError;

use jiff::Timestamp;
use netboot::{
    Armed, Decision, Installation, MacAddr, MediaPaths, Node, Reason, grub_node_script, node_script, seed_files,
};

use super::{Actor, Refused, Registry, TOKENS_PER_ATTEMPT, boots_installer};
use crate::state::State;
use crate::store::{Grant, Purpose, StoreError, Token};

/// Seconds for which a report is taken: the longest installation and its first boot.
pub(super) const REPORTS: i64 = 7 * 24 * 3600;

/// The two scripts of a node, for the one decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootAnswer {
    pub ipxe: String,
    pub grub: String,
    /// For the log: what was decided, and why.
    pub verdict: String,
}

/// An armed node that was sent to its own disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedBoot {
    pub from: IpAddr,
    pub reason: Reason,
    pub at: Timestamp,
}

/// One file of a node's seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    pub hostname: String,
    pub text: String,
}

impl Registry {
    /// What a machine boots that asks with this MAC. `None` for one that is in no inventory.
    ///
    /// # Errors
    /// The store cannot be written: the machine must then boot its own disk.
    pub fn boot(&self, mac: MacAddr, from: IpAddr, now: Timestamp) -> Result<Option<BootAnswer>, StoreError> {
        let Some(node) = self.declared_node(mac) else { return Ok(None) };
        let mut memory = self.lock();
        let own = from == IpAddr::from(node.address);
        let Some(stored) = memory.get(&mac) else { return Ok(None) };
        let state = stored.state.clone();
        if own && !is_reporting(&state) {
            Self::heard(&mut memory, mac, from, now);
        }
        let attempt = state.attempt().cloned().filter(|attempt| boots_installer(&state) && attempt.open(now));
        let Some(attempt) = attempt else {
            let verdict = format!("its own disk: {}", state.name());
            return Ok(Some(self.own_disk(node, Reason::NotArmed, verdict)));
        };
        let refuse = |reason: Reason| {
            self.refused(mac, RefusedBoot { from, reason, at: now });
            Ok(Some(self.own_disk(node, reason, format!("its own disk: {reason}"))))
        };
        // A machine that asks in another's name is not the node.
        if !own {
            return refuse(Reason::OtherAddress);
        }
        let failed = |error: StoreError| {
            self.refused(mac, RefusedBoot { from, reason: Reason::NoStore, at: now });
            error
        };
        let asked = self.store.read(|c| Grant::count(c, mac, attempt.number, Purpose::Seed)).map_err(failed)?;
        if asked >= TOKENS_PER_ATTEMPT {
            return refuse(Reason::TooOften);
        }
        let token = Token::new();
        let Some(answer) = self.installer_scripts(node, &attempt.installer, &token) else {
            return refuse(match self.media_ready(&attempt.installer) {
                true => Reason::NoInstaller,
                false => Reason::NoMedium,
            });
        };
        let grant = Grant { mac, attempt: attempt.number, address: from, expires: attempt.expires, revoked: false };
        match state {
            State::Armed(armed) => {
                let step = armed.boot("it asked for its boot script");
                let actor = Actor::node(from);
                self.commit(&mut memory, mac, step, &actor, now, |t| grant.add(t, &token, Purpose::Seed))
            }
            _ => self.store.write(|t| grant.add(t, &token, Purpose::Seed)),
        }
        .map_err(failed)?;
        Ok(Some(answer))
    }

    /// Keeps why an armed node was not given its installer: the last time for each node, until it is armed again.
    fn refused(&self, mac: MacAddr, refused: RefusedBoot) {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).insert(mac, refused);
    }

    pub(super) fn last_refusal(&self, mac: MacAddr) -> Option<RefusedBoot> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).get(&mac).copied()
    }

    pub(super) fn forget_refusal(&self, mac: MacAddr) {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).remove(&mac);
    }

    /// A loader has read its script by TFTP, where nobody could be asked: the same as a request for it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn script_was_read(&self, mac: MacAddr, from: IpAddr, now: Timestamp) -> Result<(), StoreError> {
        let Some(node) = self.declared_node(mac).filter(|node| from == IpAddr::from(node.address)) else {
            return Ok(());
        };
        let mut memory = self.lock();
        let state = memory.get(&mac).map(|stored| stored.state.clone());
        if !state.as_ref().is_some_and(is_reporting) {
            Self::heard(&mut memory, node.mac, from, now);
        }
        match state {
            Some(State::Armed(armed)) if armed.attempt.open(now) => {
                let step = armed.boot("it read its boot script by TFTP");
                self.commit(&mut memory, mac, step, &Actor::node(from), now, |_| Ok(()))
            }
            _ => Ok(()),
        }
    }

    /// One file behind a token. The file with the answers is the single use of an arming: once it was handed out, boot requests
    /// get the node's own disk. It can be read again by the same token until the installer reports.
    ///
    /// # Errors
    /// A token that is unknown, of another address, used up; a file that is not there.
    pub fn seed(&self, token: &Token, file: &str, from: IpAddr, now: Timestamp) -> Result<Seed, Refused> {
        let mut memory = self.lock();
        let grant = self.store.read(|c| Grant::find(c, token, Purpose::Seed))?.ok_or(Refused::Token)?;
        if grant.address != from {
            return Err(Refused::Address);
        }
        let node = self.declared_node(grant.mac).ok_or(Refused::Gone)?;
        let state = memory.get(&grant.mac).map(|stored| stored.state.clone()).ok_or(Refused::Gone)?;
        let attempt = state.attempt().filter(|attempt| attempt.number == grant.attempt).cloned();
        let (Some(attempt), false) = (attempt, grant.revoked || grant.expires <= now) else {
            return Err(Refused::Gone);
        };
        let open = matches!(state, State::Installing(_)) || boots_installer(&state) && attempt.open(now);
        if !open {
            return Err(Refused::Gone);
        }
        let installer = self.declared.installers.get(&attempt.installer).ok_or(Refused::Gone)?;

        // What is thrown away again for the other files costs 16 random bytes.
        let report = Token::new();
        let site = self.declared.site();
        let url = format!("{}/report/{}", site.url(), report.reveal());
        let files = seed_files(node, &installer.system, &site, Some(&url)).map_err(|e| Refused::Seed(e.to_string()))?;
        let text = files.into_iter().find(|(name, _)| *name == file).map(|(_, text)| text).ok_or(Refused::File)?;
        let seed = Seed { hostname: node.hostname.to_string(), text };
        if !seed.text.contains(&url) {
            Self::heard(&mut memory, grant.mac, from, now);
            return Ok(seed);
        }
        let given = self.store.read(|c| Grant::count(c, grant.mac, grant.attempt, Purpose::Report))?;
        if given >= TOKENS_PER_ATTEMPT {
            return Err(Refused::Limit);
        }
        Self::heard(&mut memory, grant.mac, from, now);
        let expires = now + jiff::SignedDuration::from_secs(REPORTS);
        let reports = Grant { expires, ..grant.clone() };
        let actor = Actor::node(from);
        if let State::Armed(armed) = state {
            // Its script was read by TFTP, and nobody told us.
            self.commit(&mut memory, grant.mac, armed.boot("it reads its answers"), &actor, now, |_| Ok(()))?;
        }
        match memory.get(&grant.mac).map(|stored| stored.state.clone()) {
            Some(State::Booting(booting)) => {
                let step = booting.answers_read();
                self.commit(&mut memory, grant.mac, step, &actor, now, |t| reports.add(t, &report, Purpose::Report))?;
            }
            _ => self.store.write(|t| reports.add(t, &report, Purpose::Report))?,
        }
        Ok(seed)
    }

    /// The scripts that install, if the installer's files are there.
    pub(super) fn installer_scripts(&self, node: &Node, installer: &str, token: &Token) -> Option<BootAnswer> {
        let declared = self.declared.installers.get(installer).filter(|_| self.media_ready(installer))?;
        let site = self.declared.site();
        let paths = MediaPaths::of(installer, declared.system.release);
        let seed = format!("seed/{}", token.reveal());
        let installation = Installation::of(node, &declared.system, &paths, &site, &seed).ok()?;
        let decision = Decision::of(Some(node), &Armed::of([node.mac]), Some(&installation));
        Some(self.scripts_of(node, &decision, format!("installs {installer}")))
    }

    fn own_disk(&self, node: &Node, reason: Reason, verdict: String) -> BootAnswer {
        self.scripts_of(node, &Decision::LocalDisk(reason), verdict)
    }

    fn scripts_of(&self, node: &Node, decision: &Decision<'_>, verdict: String) -> BootAnswer {
        let server = self.declared.site().url();
        BootAnswer { ipxe: node_script(node, decision, &server), grub: grub_node_script(node, decision), verdict }
    }
}

/// States in which a sign of life is a report: a machine that only starts again and again is not getting on.
fn is_reporting(state: &State) -> bool {
    matches!(state, State::Installing(_) | State::Installed(_))
}
