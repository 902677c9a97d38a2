//! Who was let in: codes that become a session once, sessions of the page, tokens of programs.
//!
//! In: secrets as they are shown. Out: whose they are, and whether he may act. Invariant: the database holds the SHA-256 of
//! each secret only, and a secret is good for one kind of use.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::store::{Store, StoreError, Token};

/// From `provd login` until its code must have been used.
pub(super) const CODE: SignedDuration = SignedDuration::from_mins(10);
/// How long a session lasts.
pub(super) const SESSION: SignedDuration = SignedDuration::from_hours(12);
/// Small steps of a clock that is set by the network.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_mins(5);
/// Codes, sessions and tokens at a time: far more than a site has, far less than a disk.
const LIMIT: i64 = 1000;
/// Before the name of a program, so that its lines in the audit log are never a person's.
const PROGRAM: &str = "token:";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Session,
    Token,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Code => "code",
            Kind::Session => "session",
            Kind::Token => "token",
        }
    }
}

/// Whose a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    /// A person's name on the appliance, or "token:" and the name of a program.
    pub(super) name: String,
    pub(super) may_act: bool,
    pub(super) made: Timestamp,
    /// `None` for a token that lasts until it is revoked.
    pub(super) expires: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum AccessError {
    #[error("there is a token of this name: revoke it first")]
    Taken,
    #[error("too many codes, sessions and tokens at a time")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for AccessError {
    fn from(error: rusqlite::Error) -> Self {
        AccessError::Store(error.into())
    }
}

/// A code for one login, in a person's name.
pub(super) fn make_code(store: &Store, name: &str, may_act: bool, now: Timestamp) -> Result<Token, AccessError> {
    let holder = Holder { name: name.to_owned(), may_act, made: now, expires: Some(now + CODE) };
    write(store, |transaction| add(transaction, Kind::Code, &holder, now))
}

/// A token for a program.
pub(super) fn make_token(
    store: &Store,
    name: &str,
    may_act: bool,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> Result<Token, AccessError> {
    let holder = Holder { name: format!("{PROGRAM}{name}"), may_act, made: now, expires };
    write(store, |transaction| {
        clean(transaction, now)?;
        let taken: i64 = transaction.query_row(
            "SELECT count(*) FROM access WHERE kind = 'token' AND name = ?",
            [&holder.name],
            |row| row.get(0),
        )?;
        if taken > 0 { Err(AccessError::Taken) } else { add(transaction, Kind::Token, &holder, now) }
    })
}

/// Makes a session of a code, which is used up by it, or of a program's token, which is not.
pub(super) fn log_in(store: &Store, secret: &Token, now: Timestamp) -> Result<Option<(Token, Holder)>, AccessError> {
    write(store, |transaction| {
        let found = match find(transaction, Kind::Code, secret, now)? {
            Some(holder) => {
                transaction.execute("DELETE FROM access WHERE hash = ?", [secret.hash()])?;
                // The code ends in minutes; what it stands for does not.
                Some(Holder { expires: None, ..holder })
            }
            None => find(transaction, Kind::Token, secret, now)?,
        };
        let Some(holder) = found else { return Ok(None) };
        let end = now + SESSION;
        let session = Holder { made: now, expires: Some(holder.expires.map_or(end, |e| e.min(end))), ..holder };
        Ok(Some((add(transaction, Kind::Session, &session, now)?, session)))
    })
}

pub(super) fn session(store: &Store, secret: &Token, now: Timestamp) -> Result<Option<Holder>, StoreError> {
    store.read(|connection| find(connection, Kind::Session, secret, now))
}

pub(super) fn program(store: &Store, secret: &Token, now: Timestamp) -> Result<Option<Holder>, StoreError> {
    store.read(|connection| find(connection, Kind::Token, secret, now))
}

pub(super) fn log_out(store: &Store, session: &Token) -> Result<(), StoreError> {
    store.write(|transaction| {
        transaction.execute("DELETE FROM access WHERE kind = 'session' AND hash = ?", [session.hash()])?;
        Ok(())
    })
}

/// The programs' tokens, without the secret, which nobody knows any more.
pub(super) fn tokens(store: &Store, now: Timestamp) -> Result<Vec<Holder>, StoreError> {
    store.read(|connection| {
        let mut statement = connection
            .prepare_cached("SELECT name, may_act, made, expires FROM access WHERE kind = 'token' ORDER BY name")?;
        let mut rows = statement.query([])?;
        let mut holders = Vec::new();
        while let Some(row) = rows.next()? {
            let mut holder = holder_of(row)?;
            holder.name = holder.name.trim_start_matches(PROGRAM).to_owned();
            holders.push(holder);
        }
        holders.retain(|holder| holder.expires.is_none_or(|expires| expires > now));
        Ok(holders)
    })
}

/// Ends a program's token and the sessions that it made. Whether there was one.
pub(super) fn revoke(store: &Store, name: &str) -> Result<bool, StoreError> {
    store.write(|transaction| {
        let name = format!("{PROGRAM}{name}");
        let revoked = transaction.execute("DELETE FROM access WHERE kind = 'token' AND name = ?", [&name])?;
        transaction.execute("DELETE FROM access WHERE kind = 'session' AND name = ?", [&name])?;
        Ok(revoked > 0)
    })
}

/// [`Store::write`] with further kinds of error, after which nothing is written either.
fn write<T>(store: &Store, work: impl FnOnce(&Transaction<'_>) -> Result<T, AccessError>) -> Result<T, AccessError> {
    let mut refused = None;
    let written = store.write(|transaction| {
        work(transaction).map_err(|error| match error {
            AccessError::Store(error) => error,
            other => {
                let text = other.to_string();
                refused = Some(other);
                StoreError::Content(text)
            }
        })
    });
    match (written, refused) {
        (Ok(value), _) => Ok(value),
        (Err(_), Some(refused)) => Err(refused),
        (Err(error), None) => Err(error.into()),
    }
}

fn clean(transaction: &Transaction<'_>, now: Timestamp) -> Result<(), StoreError> {
    // Every time is written by the same code in the same form, whose order as text is that of time to the second.
    transaction.execute("DELETE FROM access WHERE expires IS NOT NULL AND expires <= ?", [now.to_string()])?;
    Ok(())
}

fn add(transaction: &Transaction<'_>, kind: Kind, holder: &Holder, now: Timestamp) -> Result<Token, AccessError> {
    clean(transaction, now)?;
    let count: i64 = transaction.query_row("SELECT count(*) FROM access", [], |row| row.get(0))?;
    if count >= LIMIT {
        return Err(AccessError::Full);
    }
    let token = Token::new();
    let expires = holder.expires.map(|expires| expires.to_string());
    transaction
        .prepare_cached("INSERT INTO access (hash, kind, name, may_act, made, expires) VALUES (?, ?, ?, ?, ?, ?)")?
        .execute(params![token.hash(), kind.name(), holder.name, holder.may_act, holder.made.to_string(), expires])?;
    Ok(token)
}

fn find(connection: &Connection, kind: Kind, secret: &Token, now: Timestamp) -> Result<Option<Holder>, StoreError> {
    let holder = connection
        .prepare_cached("SELECT name, may_act, made, expires FROM access WHERE hash = ? AND kind = ?")?
        .query_row([secret.hash().as_str(), kind.name()], |row| Ok(holder_of(row)))
        .optional()?
        .transpose()?;
    // What was made in the future was made before the clock was set back: how long it lasts is not known any more.
    let past = |holder: &Holder| holder.made.duration_since(now) <= CLOCK_SLACK;
    Ok(holder.filter(|holder| holder.expires.is_none_or(|expires| expires > now && past(holder))))
}

fn holder_of(row: &rusqlite::Row<'_>) -> Result<Holder, StoreError> {
    let expires: Option<String> = row.get(3)?;
    Ok(Holder {
        name: row.get(0)?,
        may_act: row.get(1)?,
        made: crate::store::parsed(&row.get::<_, String>(2)?)?,
        expires: expires.as_deref().map(crate::store::parsed).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("state.db")).unwrap();
        (directory, store)
    }

    #[test]
    fn a_code_is_good_once_and_for_ten_minutes() {
        let (_directory, store) = store();
        let late = make_code(&store, "ada", true, NOW).unwrap();
        assert!(log_in(&store, &late, NOW + CODE).unwrap().is_none());
        let code = make_code(&store, "ada", true, NOW).unwrap();
        // A code is no session and no program's token.
        assert!(session(&store, &code, NOW).unwrap().is_none());
        assert!(program(&store, &code, NOW).unwrap().is_none());
        let (token, holder) = log_in(&store, &code, NOW).unwrap().unwrap();
        assert_eq!((holder.name.as_str(), holder.may_act, holder.expires), ("ada", true, Some(NOW + SESSION)));
        assert!(log_in(&store, &code, NOW).unwrap().is_none());
        assert!(session(&store, &token, NOW).unwrap().is_some());
        assert!(log_in(&store, &token, NOW).unwrap().is_none());
        assert!(session(&store, &token, NOW + SESSION).unwrap().is_none());
        log_out(&store, &token).unwrap();
        assert!(session(&store, &token, NOW).unwrap().is_none());
    }

    #[test]
    fn a_revoked_token_takes_its_sessions_along() {
        let (_directory, store) = store();
        let soon = NOW + SignedDuration::from_hours(1);
        let token = make_token(&store, "ci", false, Some(soon), NOW).unwrap();
        assert!(matches!(make_token(&store, "ci", true, None, NOW), Err(AccessError::Taken)));
        let (session_token, holder) = log_in(&store, &token, NOW).unwrap().unwrap();
        assert_eq!((holder.name.as_str(), holder.may_act, holder.expires), ("token:ci", false, Some(soon)));
        assert!(program(&store, &token, NOW).unwrap().is_some());
        assert_eq!(tokens(&store, NOW).unwrap().len(), 1);
        assert!(revoke(&store, "ci").unwrap());
        assert!(!revoke(&store, "ci").unwrap());
        assert!(program(&store, &token, NOW).unwrap().is_none());
        assert!(session(&store, &session_token, NOW).unwrap().is_none());
    }

    #[test]
    fn codes_do_not_fill_the_disk() {
        let (_directory, store) = store();
        for _ in 0..LIMIT {
            make_code(&store, "ada", true, NOW).unwrap();
        }
        assert!(matches!(make_code(&store, "ada", true, NOW), Err(AccessError::Full)));
        make_code(&store, "ada", true, NOW + CODE).unwrap();
    }
}
