//! The audit log: one line for each transition, chained by hashes.
//!
//! A line's hash is the SHA-256 (FIPS 180-4) of the hash before it, a newline, and the line as JSON without its hash; the first
//! follows 64 zeros. Whoever changes, removes or inserts a line breaks every hash after it. Cutting lines off the end leaves a
//! valid chain: to notice that, keep the last hash elsewhere (`/healthz` and each webhook carry it).

use std::fmt;

use jiff::Timestamp;
use netboot::MacAddr;
use rusqlite::{Connection, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Store, StoreError, parsed};

/// What comes before the first line.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A line without its hash, in the order in which it is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    pub seq: u64,
    pub at: Timestamp,
    pub mac: MacAddr,
    pub hostname: String,
    /// Who caused it: "node", "provd", or a person's or program's name.
    pub who: String,
    /// From where: an address, or "local".
    pub origin: String,
    pub from: String,
    pub to: String,
    /// One line about the new state.
    pub detail: String,
    pub why: String,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Audited {
    pub line: AuditLine,
    /// 64 hexadecimal digits.
    pub hash: String,
}

/// A line as programs get it: its own fields, in the order in which they are hashed, and the hash.
#[derive(Serialize, Deserialize)]
struct Written {
    seq: u64,
    at: Timestamp,
    mac: MacAddr,
    hostname: String,
    who: String,
    origin: String,
    from: String,
    to: String,
    detail: String,
    why: String,
    hash: String,
}

impl From<Audited> for Written {
    fn from(Audited { line, hash }: Audited) -> Self {
        let AuditLine { seq, at, mac, hostname, who, origin, from, to, detail, why } = line;
        Written { seq, at, mac, hostname, who, origin, from, to, detail, why, hash }
    }
}

impl From<Written> for Audited {
    fn from(written: Written) -> Self {
        let Written { seq, at, mac, hostname, who, origin, from, to, detail, why, hash } = written;
        Audited { line: AuditLine { seq, at, mac, hostname, who, origin, from, to, detail, why }, hash }
    }
}

/// Where the chain is broken.
#[derive(Debug, PartialEq, Eq)]
pub enum AuditFault {
    /// A line is missing before the one with this number.
    Gap { seq: u64 },
    /// This line is not the one that was written.
    Hash { seq: u64 },
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditFault::Gap { seq } => write!(f, "lines are missing before line {seq}"),
            AuditFault::Hash { seq } => write!(f, "line {seq}, or one before it, was changed"),
        }
    }
}

fn chained(previous: &str, line: &AuditLine) -> Result<String, StoreError> {
    let json = serde_json::to_string(line).map_err(|error| StoreError::Content(error.to_string()))?;
    Ok(hex::encode(Sha256::new().chain_update(previous).chain_update("\n").chain_update(json).finalize()))
}

impl Audited {
    /// Appends a line; its number and hash follow from the last one. The number given is replaced.
    pub(crate) fn append(transaction: &Transaction<'_>, mut line: AuditLine) -> Result<Audited, StoreError> {
        let (last, previous) = Self::head(transaction)?;
        line.seq = last + 1;
        let hash = chained(&previous, &line)?;
        transaction
            .prepare_cached(
                "INSERT INTO audit (seq, at, mac, hostname, who, origin, from_state, to_state, detail, why, hash)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                line.seq as i64,
                line.at.to_string(),
                line.mac.to_string(),
                line.hostname,
                line.who,
                line.origin,
                line.from,
                line.to,
                line.detail,
                line.why,
                hash,
            ])?;
        Ok(Audited { line, hash })
    }

    /// Number and hash of the last line; 0 and 64 zeros where there is none.
    pub fn head(connection: &Connection) -> Result<(u64, String), StoreError> {
        let mut statement = connection.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?;
        let mut rows = statement.query([])?;
        Ok(match rows.next()? {
            Some(row) => (row.get::<_, i64>(0)? as u64, row.get(1)?),
            None => (0, GENESIS.to_owned()),
        })
    }

    /// Up to `limit` lines after the one numbered `after`, of one node or of all, oldest first.
    pub fn after(
        connection: &Connection,
        mac: Option<MacAddr>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Audited>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT seq, at, mac, hostname, who, origin, from_state, to_state, detail, why, hash FROM audit
             WHERE seq > ?1 AND (?2 IS NULL OR mac = ?2) ORDER BY seq LIMIT ?3",
        )?;
        let after = after.min(i64::MAX as u64) as i64;
        let mut rows = statement.query(params![after, mac.map(|mac| mac.to_string()), limit as i64])?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            lines.push(Self::of(row)?);
        }
        Ok(lines)
    }

    /// Up to `limit` lines before the one numbered `before`, of one node or of all, newest first.
    pub fn before(
        connection: &Connection,
        mac: Option<MacAddr>,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Audited>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT seq, at, mac, hostname, who, origin, from_state, to_state, detail, why, hash FROM audit
             WHERE seq < ?1 AND (?2 IS NULL OR mac = ?2) ORDER BY seq DESC LIMIT ?3",
        )?;
        let before = before.min(i64::MAX as u64) as i64;
        let mut rows = statement.query(params![before, mac.map(|mac| mac.to_string()), limit as i64])?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            lines.push(Self::of(row)?);
        }
        Ok(lines)
    }

    fn of(row: &Row<'_>) -> Result<Audited, StoreError> {
        let text = |column: usize| row.get::<_, String>(column);
        Ok(Audited {
            line: AuditLine {
                seq: row.get::<_, i64>(0)? as u64,
                at: parsed(&text(1)?)?,
                mac: parsed(&text(2)?)?,
                hostname: text(3)?,
                who: text(4)?,
                origin: text(5)?,
                from: text(6)?,
                to: text(7)?,
                detail: text(8)?,
                why: text(9)?,
            },
            hash: text(10)?,
        })
    }

    /// Checks the whole chain. Gives the number of lines and the last hash, or the first fault.
    pub fn verify(store: &Store) -> Result<Result<(u64, String), AuditFault>, StoreError> {
        let (mut seq, mut hash) = (0, GENESIS.to_owned());
        loop {
            // Page by page: nodes that ask meanwhile do not wait for the whole log.
            let lines = store.read(|connection| Self::after(connection, None, seq, 500))?;
            if lines.is_empty() {
                return Ok(Ok((seq, hash)));
            }
            for audited in lines {
                if audited.line.seq != seq + 1 {
                    return Ok(Err(AuditFault::Gap { seq: audited.line.seq }));
                }
                if chained(&hash, &audited.line)? != audited.hash {
                    return Ok(Err(AuditFault::Hash { seq: audited.line.seq }));
                }
                (seq, hash) = (audited.line.seq, audited.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_as_it_is_sent_is_the_line_that_is_hashed_and_its_hash() {
        let line = AuditLine {
            seq: 7,
            at: Timestamp::UNIX_EPOCH,
            mac: MacAddr::from_bytes([0x52, 0x54, 0, 0, 0, 1]),
            hostname: "node1".to_owned(),
            who: "node".to_owned(),
            origin: "10.10.1.21".to_owned(),
            from: "armed".to_owned(),
            to: "booting".to_owned(),
            detail: String::new(),
            why: "it asked".to_owned(),
        };
        let audited = Audited { hash: chained(GENESIS, &line).unwrap(), line };
        let sent = serde_json::to_string(&audited).unwrap();
        let (hashed, hash) = (serde_json::to_string(&audited.line).unwrap(), &audited.hash);
        assert_eq!(sent, hashed.replace('}', &format!(",\"hash\":\"{hash}\"}}")));
        assert_eq!(serde_json::from_str::<Audited>(&sent).unwrap(), audited);
    }
}
