//! The tables, and how an older database becomes the one of this version.
//!
//! `PRAGMA user_version` counts the steps of [`STEPS`] that were taken (SQLite, "PRAGMA user_version"). A step is never changed
//! once released; a new one is added. A database of a newer daemon is refused: after a rollback of the appliance the old daemon
//! must not guess.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

const STEPS: &[&str] = &[
    r#"
CREATE TABLE nodes (
    mac        TEXT PRIMARY KEY,
    hostname   TEXT NOT NULL,
    state      TEXT NOT NULL,              -- State as JSON
    since      TEXT NOT NULL,              -- of the state's name, not of its step
    attempts   INTEGER NOT NULL DEFAULT 0, -- attempts so far
    heard      TEXT,                       -- last word from the node itself
    address    TEXT                        -- it came from
) STRICT;

CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY,        -- from 1, without gaps
    at         TEXT NOT NULL,
    mac        TEXT NOT NULL,
    hostname   TEXT NOT NULL,
    who        TEXT NOT NULL,
    origin     TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    detail     TEXT NOT NULL,
    why        TEXT NOT NULL,
    hash       TEXT NOT NULL
) STRICT;
CREATE INDEX audit_of_a_node ON audit (mac, seq);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- Tokens by their SHA-256: who reads the database cannot use them.
CREATE TABLE tokens (
    hash       TEXT PRIMARY KEY,
    purpose    TEXT NOT NULL,              -- 'seed', 'report' or 'cd'
    mac        TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    address    TEXT NOT NULL,              -- the only one it is good from
    expires    TEXT NOT NULL,
    revoked    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX tokens_of_a_node ON tokens (mac, attempt);

-- What installers report, for the timeline.
CREATE TABLE events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: it counts them, those that were removed as well
    mac        TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    at         TEXT NOT NULL,              -- when it came
    kind       TEXT NOT NULL,              -- 'start', 'finish' or 'note'
    name       TEXT NOT NULL,
    text       TEXT NOT NULL,
    result     TEXT,
    digest     TEXT NOT NULL UNIQUE        -- of what the node said, with its time: the same again is the same event
) STRICT;
CREATE INDEX events_of_a_node ON events (mac, id);
CREATE INDEX events_of_an_attempt ON events (mac, attempt);

-- The end of an installer's log, one for each attempt.
CREATE TABLE logs (
    mac        TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    at         TEXT NOT NULL,
    text       TEXT NOT NULL,
    PRIMARY KEY (mac, attempt)
) STRICT;

-- Machines that are not in the inventory.
CREATE TABLE pen (
    mac         TEXT PRIMARY KEY,
    first_seen  TEXT NOT NULL,
    last_seen   TEXT NOT NULL,
    address     TEXT,
    fingerprint TEXT,                      -- DHCP option 55, numbers with commas
    vendor      TEXT,                      -- DHCP option 60
    hostname    TEXT                       -- DHCP option 12
) STRICT;

-- Who may act: sessions of the page, tokens of programs, and codes that become a session once.
CREATE TABLE access (
    hash       TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,              -- 'code', 'session' or 'token'
    name       TEXT NOT NULL,
    may_act    INTEGER NOT NULL,
    made       TEXT NOT NULL,
    expires    TEXT
) STRICT;

-- Changes that a webhook has not taken yet.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY,
    url        TEXT NOT NULL,
    body       TEXT NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    next       TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_of_a_url ON outbox (url, id);
"#,
    r#"
-- What was asked of nodes' BMCs: writes only, the newest of each node.
CREATE TABLE operations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    mac        TEXT NOT NULL,
    hostname   TEXT NOT NULL,
    verb       TEXT NOT NULL,              -- as it was asked, JSON
    title      TEXT NOT NULL,
    who        TEXT NOT NULL,
    origin     TEXT NOT NULL,
    started    TEXT NOT NULL,
    ended      TEXT,                       -- NULL while it goes on
    step       TEXT NOT NULL DEFAULT '',   -- what is, or was last, done
    summary    TEXT,                       -- one line, of one that went well
    outcome    TEXT,                       -- bmc::Outcome as JSON
    kind       TEXT,                       -- of the failure
    error      TEXT,
    help       TEXT
) STRICT;
CREATE INDEX operations_of_a_node ON operations (mac, id);
CREATE INDEX operations_that_go_on ON operations (id) WHERE ended IS NULL;

-- The certificates that BMCs showed first.
CREATE TABLE pins (
    endpoint    TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,             -- SHA-256 of the certificate
    seen        TEXT NOT NULL
) STRICT;
"#,
    r#"
-- The attempt that an installation from here has armed.
ALTER TABLE operations ADD COLUMN attempt INTEGER;
"#,
];

/// Brings the database to this version, in one transaction.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let taken: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = STEPS.len() as i64;
    if taken > known {
        return Err(StoreError::Newer { path: path.to_owned(), taken, known });
    }
    if taken == known {
        // Nothing is written: a full disk does not keep the daemon from showing what it knows.
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for step in &STEPS[taken as usize..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}
