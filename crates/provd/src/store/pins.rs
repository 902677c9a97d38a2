//! The certificates that BMCs showed first, by where they listen.
//!
//! In: endpoints and fingerprints as text. Out: the same. Invariant: a certificate that is pinned stays until it is forgotten.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{StoreError, parsed};

/// A certificate that was seen first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// As [`bmc::Fingerprint`] is written.
    pub fingerprint: String,
    pub seen: Timestamp,
}

impl Pin {
    pub(crate) fn of(connection: &Connection, endpoint: &str) -> Result<Option<Pin>, StoreError> {
        let row: Option<(String, String)> = connection
            .prepare_cached("SELECT fingerprint, seen FROM pins WHERE endpoint = ?")?
            .query_row([endpoint], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        row.map(|(fingerprint, seen)| Ok(Pin { fingerprint, seen: parsed(&seen)? })).transpose()
    }

    /// Keeps it, unless another one was kept before. Whether it is kept now.
    pub(crate) fn add(&self, transaction: &Transaction<'_>, endpoint: &str) -> Result<bool, StoreError> {
        let added = transaction
            .prepare_cached("INSERT INTO pins (endpoint, fingerprint, seen) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")?
            .execute(params![endpoint, self.fingerprint, self.seen.to_string()])?;
        Ok(added > 0)
    }

    /// Whether there was one.
    pub(crate) fn forget(transaction: &Transaction<'_>, endpoint: &str) -> Result<bool, StoreError> {
        Ok(transaction.prepare_cached("DELETE FROM pins WHERE endpoint = ?")?.execute([endpoint])? > 0)
    }
}
