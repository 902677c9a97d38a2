//! What was asked of nodes' BMCs, and what became of it.
//!
//! In: an operation that begins, its steps, its end. Out: the newest of a node. Invariant: one that has no end goes on in this
//! process: those of a process before it are ended when the daemon starts.

use jiff::Timestamp;
use netboot::MacAddr;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::Value;

use super::{StoreError, parsed};

/// Of each node.
const KEPT: i64 = 50;
const COLUMNS: &str =
    "mac, hostname, verb, title, who, origin, started, ended, step, summary, outcome, kind, error, help, id, attempt";

/// Something that is done with a node's BMC.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub mac: MacAddr,
    pub hostname: String,
    /// As it was asked: [`bmc::Verb`], or `{"verb":"install"}`.
    pub verb: Value,
    /// As a person says it.
    pub title: String,
    pub who: String,
    pub origin: String,
    pub started: Timestamp,
    /// `None` while it goes on.
    pub ended: Option<Timestamp>,
    /// What is, or was last, done.
    pub step: String,
    /// One line, of one that went well.
    pub summary: Option<String>,
    /// [`bmc::Outcome`]
    pub outcome: Option<Value>,
    pub error: Option<OperationError>,
    /// Of an installation: the attempt that it has armed, from that moment on.
    pub attempt: Option<u64>,
}

/// Why it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationError {
    /// The name of a [`bmc::Kind`].
    pub kind: String,
    pub text: String,
    /// What to do.
    pub help: Option<String>,
}

/// One that is kept, by its number.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredOperation {
    pub id: u64,
    pub operation: Operation,
}

impl Operation {
    /// Keeps one that begins; the node's oldest go. Its number.
    pub(crate) fn begin(&self, transaction: &Transaction<'_>) -> Result<u64, StoreError> {
        transaction
            .prepare_cached(
                "INSERT INTO operations (mac, hostname, verb, title, who, origin, started) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                self.mac.to_string(),
                self.hostname,
                self.verb.to_string(),
                self.title,
                self.who,
                self.origin,
                self.started.to_string(),
            ])?;
        let id = transaction.last_insert_rowid();
        transaction
            .prepare_cached(
                "DELETE FROM operations WHERE mac = ?1 AND ended IS NOT NULL
                 AND id <= (SELECT id FROM operations WHERE mac = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![self.mac.to_string(), KEPT])?;
        Ok(id as u64)
    }

    /// Writes its end.
    pub(crate) fn end(&self, transaction: &Transaction<'_>, id: u64) -> Result<(), StoreError> {
        let error = self.error.as_ref();
        transaction
            .prepare_cached(
                "UPDATE operations SET ended = ?, step = ?, summary = ?, outcome = ?, kind = ?, error = ?, help = ?
                 WHERE id = ?",
            )?
            .execute(params![
                self.ended.map(|at| at.to_string()),
                self.step,
                self.summary,
                self.outcome.as_ref().map(Value::to_string),
                error.map(|error| &error.kind),
                error.map(|error| &error.text),
                error.and_then(|error| error.help.as_ref()),
                id as i64,
            ])?;
        Ok(())
    }

    fn of(row: &Row<'_>) -> Result<Self, StoreError> {
        let text = |column: usize| row.get::<_, String>(column);
        let maybe = |column: usize| row.get::<_, Option<String>>(column);
        let json = |text: &str| serde_json::from_str(text).map_err(|error| StoreError::Content(error.to_string()));
        let error = match (maybe(11)?, maybe(12)?) {
            (Some(kind), Some(text)) => Some(OperationError { kind, text, help: maybe(13)? }),
            _ => None,
        };
        Ok(Operation {
            mac: parsed(&text(0)?)?,
            hostname: text(1)?,
            verb: json(&text(2)?)?,
            title: text(3)?,
            who: text(4)?,
            origin: text(5)?,
            started: parsed(&text(6)?)?,
            ended: maybe(7)?.as_deref().map(parsed).transpose()?,
            step: text(8)?,
            summary: maybe(9)?,
            outcome: maybe(10)?.as_deref().map(json).transpose()?,
            error,
            attempt: row.get::<_, Option<i64>>(15)?.map(|number| number as u64),
        })
    }
}

impl StoredOperation {
    pub(crate) fn step(transaction: &Transaction<'_>, id: u64, step: &str) -> Result<(), StoreError> {
        transaction.prepare_cached("UPDATE operations SET step = ? WHERE id = ?")?.execute(params![step, id as i64])?;
        Ok(())
    }

    /// Keeps which attempt it has armed.
    pub(crate) fn armed(transaction: &Transaction<'_>, id: u64, attempt: u64) -> Result<(), StoreError> {
        let sql = "UPDATE operations SET attempt = ? WHERE id = ?";
        transaction.prepare_cached(sql)?.execute(params![attempt as i64, id as i64])?;
        Ok(())
    }

    pub(crate) fn find(connection: &Connection, id: u64) -> Result<Option<StoredOperation>, StoreError> {
        connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM operations WHERE id = ?"))?
            .query_row([id.min(i64::MAX as u64) as i64], |row| Ok(Self::of(row)))
            .optional()?
            .transpose()
    }

    /// A node's, newest first.
    pub(crate) fn newest(
        connection: &Connection,
        mac: MacAddr,
        limit: usize,
    ) -> Result<Vec<StoredOperation>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM operations WHERE mac = ? ORDER BY id DESC LIMIT ?");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![mac.to_string(), limit as i64])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(Self::of(row)?);
        }
        Ok(found)
    }

    /// Those that have no end.
    pub(crate) fn open(connection: &Connection) -> Result<Vec<StoredOperation>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM operations WHERE ended IS NULL ORDER BY id");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(Self::of(row)?);
        }
        Ok(found)
    }

    fn of(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(StoredOperation { id: row.get::<_, i64>(14)? as u64, operation: Operation::of(row)? })
    }
}
