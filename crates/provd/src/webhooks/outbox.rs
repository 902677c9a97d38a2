//! The outbox: what waits for a URL, in the order in which it happened.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{DROPPED, LIMIT};
use crate::store::{Audited, StoreError, parsed};

/// One line that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) id: i64,
    pub(super) body: String,
    /// How often it was posted in vain.
    pub(super) tries: u32,
    /// Not before this.
    pub(super) next: Timestamp,
}

/// Puts a line of the audit log into the outbox, for each URL; where too many wait already, the oldest goes.
pub(crate) fn enqueue(
    transaction: &Transaction<'_>,
    urls: &[String],
    audited: &Audited,
    now: Timestamp,
) -> Result<(), StoreError> {
    if urls.is_empty() {
        return Ok(());
    }
    let body = serde_json::to_string(audited).map_err(|error| StoreError::Content(error.to_string()))?;
    let mut insert = transaction.prepare_cached("INSERT INTO outbox (url, body, next) VALUES (?, ?, ?)")?;
    let mut bound = transaction.prepare_cached(
        "DELETE FROM outbox WHERE url = ?1
         AND id <= (SELECT id FROM outbox WHERE url = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )?;
    for (at, url) in urls.iter().enumerate() {
        // One URL that is named twice is told once.
        if urls[..at].contains(url) {
            continue;
        }
        insert.execute(params![url, body, now.to_string()])?;
        let dropped = bound.execute(params![url, LIMIT])?;
        if dropped > 0 {
            DROPPED.fetch_add(dropped as u64, Ordering::Relaxed);
            tracing::warn!("more than {LIMIT} lines wait for the webhook at {}: dropped the oldest", host(url));
        }
    }
    Ok(())
}

/// The oldest line for a URL.
pub(super) fn first(connection: &Connection, url: &str) -> Result<Option<Letter>, StoreError> {
    let row: Option<(i64, String, u32, String)> = connection
        .prepare_cached("SELECT id, body, tries, next FROM outbox WHERE url = ? ORDER BY id LIMIT 1")?
        .query_row([url], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((id, body, tries, next)) = row else { return Ok(None) };
    Ok(Some(Letter { id, body, tries, next: parsed(&next)? }))
}

pub(super) fn taken(transaction: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    transaction.prepare_cached("DELETE FROM outbox WHERE id = ?")?.execute([id])?;
    Ok(())
}

pub(super) fn postpone(transaction: &Transaction<'_>, id: i64, tries: u32, next: Timestamp) -> Result<(), StoreError> {
    transaction.prepare_cached("UPDATE outbox SET tries = ?, next = ? WHERE id = ?")?.execute(params![
        tries,
        next.to_string(),
        id
    ])?;
    Ok(())
}

/// Drops what waits for other URLs than these. Returns how many lines.
pub(super) fn keep_only(transaction: &Transaction<'_>, urls: &[String]) -> Result<usize, StoreError> {
    let list = serde_json::to_string(urls).map_err(|error| StoreError::Content(error.to_string()))?;
    Ok(transaction.execute("DELETE FROM outbox WHERE url NOT IN (SELECT value FROM json_each(?))", [list])?)
}

pub(super) fn waiting(connection: &Connection) -> Result<u64, StoreError> {
    let count: i64 = connection.prepare_cached("SELECT count(*) FROM outbox")?.query_row([], |row| row.get(0))?;
    Ok(count as u64)
}

/// What may be shown of a URL: paths of webhooks are often secrets.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}
