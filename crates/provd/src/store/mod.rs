//! What the daemon remembers: one SQLite database on the state disk.
//!
//! Write-ahead log with `synchronous = FULL`: a transaction that was acknowledged is on the disk, whether the daemon is killed or
//! the machine loses its power ("Write-Ahead Logging" and "PRAGMA synchronous" in SQLite's documentation). Everything is
//! written in short immediate transactions by one connection behind a lock; whoever holds a [`Store`] may block for the time of
//! one flush.

mod audit;
mod nodes;
mod schema;
mod tokens;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

pub use audit::{AuditFault, AuditLine, Audited};
pub use nodes::StoredNode;
pub use tokens::{Grant, Purpose, Token};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: {source}", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("the database is one of a newer provd (version {taken}, this one knows {known})")]
    Newer { taken: i64, known: i64 },
    #[error("the database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the database holds what this provd cannot read: {0}")]
    Content(String),
}

pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens or makes the database.
    ///
    /// # Errors
    /// It cannot be opened, is damaged, or is one of a newer daemon.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let at = |source| StoreError::Open { path: path.to_owned(), source };
        let mut connection = Connection::open_with_flags(path, flags).map_err(at)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA busy_timeout = 5000; PRAGMA cache_size = -2048; PRAGMA trusted_schema = OFF;",
            )
            .map_err(at)?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut connection)?;
        Ok(Store { connection: Mutex::new(connection) })
    }

    /// Runs one transaction; what it wrote is on the disk when this returns, and nothing of it after an error.
    pub fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        work(&self.lock())
    }

    /// A panic in the middle of a transaction has rolled it back: the connection is as good as before.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A column that is stored as text.
pub(crate) fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| StoreError::Content(format!("'{text}': {error}")))
}
