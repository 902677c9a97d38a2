//! Nodes and their states.

use std::net::IpAddr;

use jiff::Timestamp;
use netboot::MacAddr;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{StoreError, parsed};
use crate::state::State;

/// A node as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredNode {
    pub mac: MacAddr,
    pub hostname: String,
    pub state: State,
    /// When the state got its name.
    pub since: Timestamp,
    /// Attempts so far.
    pub attempts: u64,
    /// When the node itself was heard last.
    pub heard: Option<Timestamp>,
    pub address: Option<IpAddr>,
}

impl StoredNode {
    pub(crate) fn all(connection: &Connection) -> Result<Vec<StoredNode>, StoreError> {
        let mut statement =
            connection.prepare_cached("SELECT mac, hostname, state, since, attempts, heard, address FROM nodes")?;
        let mut rows = statement.query([])?;
        let mut nodes = Vec::new();
        while let Some(row) = rows.next()? {
            let text = |column: usize| row.get::<_, String>(column);
            let heard: Option<String> = row.get(5)?;
            let address: Option<String> = row.get(6)?;
            nodes.push(StoredNode {
                mac: parsed(&text(0)?)?,
                hostname: text(1)?,
                state: serde_json::from_str(&text(2)?).map_err(|error| StoreError::Content(error.to_string()))?,
                since: parsed(&text(3)?)?,
                attempts: row.get::<_, i64>(4)?.try_into().unwrap_or_default(),
                heard: heard.as_deref().map(parsed).transpose()?,
                address: address.as_deref().map(parsed).transpose()?,
            });
        }
        Ok(nodes)
    }

    pub(crate) fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let state = serde_json::to_string(&self.state).map_err(|error| StoreError::Content(error.to_string()))?;
        transaction
            .prepare_cached(
                "INSERT INTO nodes (mac, hostname, state, since, attempts, heard, address) VALUES (?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (mac) DO UPDATE SET hostname = excluded.hostname, state = excluded.state,
                     since = excluded.since, attempts = excluded.attempts, heard = excluded.heard,
                     address = excluded.address",
            )?
            .execute(params![
                self.mac.to_string(),
                self.hostname,
                state,
                self.since.to_string(),
                self.attempts as i64,
                self.heard.map(|at| at.to_string()),
                self.address.map(|address| address.to_string()),
            ])?;
        Ok(())
    }

    /// The state as it is on the disk now; the daemon's memory must agree with it.
    pub(crate) fn state_of(connection: &Connection, mac: MacAddr) -> Result<Option<State>, StoreError> {
        let text: Option<String> = connection
            .prepare_cached("SELECT state FROM nodes WHERE mac = ?")?
            .query_row([mac.to_string()], |row| row.get(0))
            .optional()?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| StoreError::Content(error.to_string()))).transpose()
    }
}
