//! What the daemon remembers: one SQLite database on the state disk.
//!
//! Write-ahead log with `synchronous = FULL`: a transaction that was acknowledged is on the disk, whether the daemon is killed or
//! the machine loses its power ("Write-Ahead Logging" and "PRAGMA synchronous" in SQLite's documentation). Everything is
//! written in short immediate transactions by one connection behind a lock; whoever holds a [`Store`] may block for the time of
//! one flush.

mod audit;
mod nodes;
mod operations;
mod pins;
mod schema;
mod tokens;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

pub use audit::{AuditFault, AuditLine, Audited};
pub use nodes::StoredNode;
pub use operations::{Operation, OperationError, StoredOperation};
pub use pins::Pin;
pub use tokens::{Grant, Purpose, Token};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: {source}", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    /// Nothing is repaired by guessing: what a node may do depends on it.
    #[error(
        "{}: the database is damaged ({reason}): move it away or put a copy back; without it every node starts at its own disk",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    #[error("{}: another provd uses this database", path.display())]
    InUse { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Lock { path: PathBuf, source: std::io::Error },
    #[error(
        "{}: the database is one of a newer provd (version {taken}, this one knows {known}): start the newer image again, or \
         move the database away",
        path.display()
    )]
    Newer { path: PathBuf, taken: i64, known: i64 },
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
        Self::connect(path).map_err(|error| match error {
            StoreError::Sqlite(source) if damaged(&source) => {
                StoreError::Damaged { path: path.to_owned(), reason: source.to_string() }
            }
            StoreError::Sqlite(source) => StoreError::Open { path: path.to_owned(), source },
            other => other,
        })
    }

    fn connect(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.execute_batch(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA cache_size = -2048; PRAGMA trusted_schema = OFF;",
        )?;
        connection.set_prepared_statement_cache_capacity(64);
        // Reads every page once: a damaged one is found now, and not when a node asks.
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            let reason = found.lines().last().unwrap_or_default().to_owned();
            return Err(StoreError::Damaged { path: path.to_owned(), reason });
        }
        schema::migrate(&mut connection, path)?;
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

fn damaged(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// Keeps other daemons away from a database for as long as it lives, also where this one is killed: two would each have a
/// memory of their own.
pub struct Claim {
    _file: File,
}

impl Claim {
    /// Locks the file beside the database.
    ///
    /// # Errors
    /// Another daemon has it, or the file cannot be made.
    pub fn of(database: &Path) -> Result<Self, StoreError> {
        let path = database.with_extension("lock");
        let lock = |source| StoreError::Lock { path: path.clone(), source };
        let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Claim { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: database.to_owned() }),
            Err(TryLockError::Error(source)) => Err(lock(source)),
        }
    }
}

/// A column that is stored as text.
pub(crate) fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| StoreError::Content(format!("'{text}': {error}")))
}
