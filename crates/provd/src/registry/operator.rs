//! What people and programs do: arm, disarm, read.

use jiff::{SignedDuration, Timestamp};
use netboot::MacAddr;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Actor, Registry, ReportedEvent, boots_installer};
use crate::state::Attempt;
use crate::store::{Audited, StoreError};

/// Attempts of one node whose events, log and tokens are kept. The audit log is kept whole.
const ATTEMPTS_KEPT: u64 = 10;

/// Why a node cannot be armed.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    #[error("there is no node '{0}'")]
    NoSuchNode(String),
    #[error("{hostname} has no installer: set `install` in nodes.toml")]
    NoInstaller { hostname: String },
    /// Nothing will ever put its files there.
    #[error(
        "installer '{installer}' has no medium: add `iso` or `netboot` to [installer.{installer}] in the profile and build the \
         appliance again"
    )]
    NoMediumDeclared { installer: String },
    #[error("the medium of installer '{installer}' is not there yet: systemctl status provbuild-medium-{installer}")]
    NoMedium { installer: String },
    #[error("{hostname} is {state}: disarm it first")]
    Busy { hostname: String, state: &'static str },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Registry {
    /// The installer that a node would be armed with, whatever goes on with the node now.
    ///
    /// # Errors
    /// The node has none, or the installer's files are not there.
    pub fn installable(&self, mac: MacAddr) -> Result<&str, ArmError> {
        let node = self.declared_node(mac).ok_or_else(|| ArmError::NoSuchNode(mac.to_string()))?;
        let none = || ArmError::NoInstaller { hostname: node.hostname.to_string() };
        let (installer, declared) = self.installer_of(node).ok_or_else(none)?;
        let installer = installer.as_str();
        // Somebody may have put the files of one without a medium there by hand.
        match (self.media_ready(installer), declared.medium) {
            (true, _) => Ok(installer),
            (false, true) => Err(ArmError::NoMedium { installer: installer.to_owned() }),
            (false, false) => Err(ArmError::NoMediumDeclared { installer: installer.to_owned() }),
        }
    }

    /// Lets a node install at its next boot from the network, once, until the arming expires.
    ///
    /// # Errors
    /// A node that cannot or must not install now; nothing has changed then.
    pub fn arm(&self, mac: MacAddr, actor: &Actor, why: &str, now: Timestamp) -> Result<Attempt, ArmError> {
        self.arm_and(mac, actor, why, now, |_, _| Ok(()))
    }

    /// The same; `also` writes what belongs to the attempt with this number, with it or not at all.
    pub(crate) fn arm_and(
        &self,
        mac: MacAddr,
        actor: &Actor,
        why: &str,
        now: Timestamp,
        also: impl FnOnce(&Transaction<'_>, u64) -> Result<(), StoreError>,
    ) -> Result<Attempt, ArmError> {
        let node = self.declared_node(mac).ok_or_else(|| ArmError::NoSuchNode(mac.to_string()))?;
        let hostname = || node.hostname.to_string();
        let installer = self.installable(mac)?;
        let mut memory = self.lock();
        let stored = memory.get(&mac).ok_or_else(|| ArmError::NoSuchNode(hostname()))?;
        let number = stored.attempts + 1;
        let idle = stored.state.clone().idle().map_err(|state| ArmError::Busy { hostname: hostname(), state })?;
        let lasts = SignedDuration::from_secs(self.declared.control.arming.min(i32::MAX as u64) as i64);
        let (installer, meaning) = (installer.to_owned(), self.meaning(node));
        let attempt = Attempt { number, installer, expires: now + lasts, armed: now, meaning };
        self.commit(&mut memory, mac, idle.arm(attempt.clone(), why), actor, now, |transaction| {
            also(transaction, number)?;
            forget_attempts(transaction, mac, (number + 1).saturating_sub(ATTEMPTS_KEPT))
        })?;
        self.forget_refusal(mac);
        self.publish(&memory, mac, now);
        Ok(attempt)
    }

    /// Takes back what [`Registry::arm`] asked for. Whether there was anything to take back.
    ///
    /// # Errors
    /// The store cannot be written; the node stays as it is.
    pub fn disarm(&self, mac: MacAddr, actor: &Actor, why: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut memory = self.lock();
        let Some(step) = memory.get(&mac).and_then(|stored| stored.state.clone().disarm(why)) else {
            return Ok(false);
        };
        self.commit(&mut memory, mac, step, actor, now, |_| Ok(()))?;
        Ok(true)
    }

    /// Disarms a node whose attempt with this number has not read its answers yet. Whether it was so.
    ///
    /// # Errors
    /// The store cannot be written; the node stays as it is.
    pub(crate) fn withdraw(
        &self,
        mac: MacAddr,
        attempt: u64,
        actor: &Actor,
        why: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut memory = self.lock();
        let state = memory.get(&mac).map(|stored| stored.state.clone()).filter(boots_installer);
        let state = state.filter(|state| state.attempt().is_some_and(|is| is.number == attempt));
        let Some(step) = state.and_then(|state| state.disarm(why)) else { return Ok(false) };
        self.commit(&mut memory, mac, step, actor, now, |_| Ok(()))?;
        Ok(true)
    }

    /// The last `limit` events of a node's installers, oldest first.
    pub fn events(&self, mac: MacAddr, limit: usize) -> Result<Vec<ReportedEvent>, StoreError> {
        let hostname = self.declared_node(mac).map(|node| node.hostname.to_string()).unwrap_or_default();
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT attempt, at, kind, name, text, result FROM
                 (SELECT * FROM events WHERE mac = ? ORDER BY id DESC LIMIT ?) ORDER BY id",
            )?;
            let mut rows = statement.query(params![mac.to_string(), limit as i64])?;
            let mut events = Vec::new();
            while let Some(row) = rows.next()? {
                events.push(ReportedEvent {
                    mac,
                    hostname: hostname.clone(),
                    attempt: row.get::<_, i64>(0)? as u64,
                    at: crate::store::parsed(&row.get::<_, String>(1)?)?,
                    kind: row.get(2)?,
                    name: row.get(3)?,
                    text: row.get(4)?,
                    result: row.get(5)?,
                });
            }
            Ok(events)
        })
    }

    /// Audit lines after the one numbered `after`, of one node or of all.
    pub fn audit(&self, mac: Option<MacAddr>, after: u64, limit: usize) -> Result<Vec<Audited>, StoreError> {
        self.store.read(|connection| Audited::after(connection, mac, after, limit))
    }

    /// The end of the log that a failed installation left, of the node's last attempt that did.
    pub fn log(&self, mac: MacAddr) -> Result<Option<String>, StoreError> {
        self.store.read(|connection| {
            Ok(connection
                .prepare_cached("SELECT text FROM logs WHERE mac = ? ORDER BY attempt DESC LIMIT 1")?
                .query_row([mac.to_string()], |row| row.get(0))
                .optional()?)
        })
    }
}

/// Removes what a node's attempts before the one with this number have left.
fn forget_attempts(transaction: &Transaction<'_>, mac: MacAddr, first: u64) -> Result<(), StoreError> {
    for delete in [
        "DELETE FROM events WHERE mac = ? AND attempt < ?",
        "DELETE FROM logs WHERE mac = ? AND attempt < ?",
        "DELETE FROM tokens WHERE mac = ? AND attempt < ?",
    ] {
        transaction.prepare_cached(delete)?.execute(params![mac.to_string(), first as i64])?;
    }
    Ok(())
}
