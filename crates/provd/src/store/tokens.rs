//! Tokens of one attempt: 128 random bits, good from one address, for one purpose, until they expire or are revoked.
//!
//! The database holds their SHA-256 only. A token is a lookup by hash: comparing takes the same time whatever was guessed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::Timestamp;
use netboot::MacAddr;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sha2::{Digest as _, Sha256};

use super::{StoreError, parsed};

/// A secret of 128 bits, written as 32 lowercase hexadecimal digits. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 16]);

/// Why a text is no token. The text is left out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a token")]
pub struct NotAToken;

impl Token {
    /// A new one, from the kernel's generator.
    ///
    /// # Panics
    /// If the kernel has no randomness to give, which it always has once it has booted.
    pub fn new() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the kernel's random generator");
        Token(bytes)
    }

    /// The text, for the one place where it must stand.
    pub fn reveal(&self) -> String {
        hex::encode(self.0)
    }

    /// What is stored.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.0))
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let lowercase = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let mut bytes = [0; 16];
        match lowercase && hex::decode_to_slice(text, &mut bytes).is_ok() {
            true => Ok(Token(bytes)),
            false => Err(NotAToken),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Reads the answers.
    Seed,
    /// Reports progress.
    Report,
    /// Reads the answers as a CD; a BMC's.
    Cd,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Purpose::Seed => "seed",
            Purpose::Report => "report",
            Purpose::Cd => "cd",
        }
    }
}

/// What a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub mac: MacAddr,
    pub attempt: u64,
    pub address: IpAddr,
    pub expires: Timestamp,
    pub revoked: bool,
}

impl Grant {
    pub(crate) fn add(&self, transaction: &Transaction<'_>, token: &Token, purpose: Purpose) -> Result<(), StoreError> {
        transaction
            .prepare_cached(
                "INSERT INTO tokens (hash, purpose, mac, attempt, address, expires, revoked) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                token.hash(),
                purpose.name(),
                self.mac.to_string(),
                self.attempt as i64,
                self.address.to_string(),
                self.expires.to_string(),
                self.revoked,
            ])?;
        Ok(())
    }

    pub(crate) fn find(connection: &Connection, token: &Token, purpose: Purpose) -> Result<Option<Grant>, StoreError> {
        let row: Option<(String, i64, String, String, bool)> = connection
            .prepare_cached(
                "SELECT mac, attempt, address, expires, revoked FROM tokens WHERE hash = ? AND purpose = ?",
            )?
            .query_row(params![token.hash(), purpose.name()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })
            .optional()?;
        let Some((mac, attempt, address, expires, revoked)) = row else { return Ok(None) };
        Ok(Some(Grant {
            mac: parsed(&mac)?,
            attempt: attempt as u64,
            address: parsed(&address)?,
            expires: parsed(&expires)?,
            revoked,
        }))
    }

    /// How many tokens an attempt has been given for a purpose.
    pub(crate) fn count(
        connection: &Connection,
        mac: MacAddr,
        attempt: u64,
        purpose: Purpose,
    ) -> Result<u64, StoreError> {
        let count: i64 = connection
            .prepare_cached("SELECT count(*) FROM tokens WHERE mac = ? AND attempt = ? AND purpose = ?")?
            .query_row(params![mac.to_string(), attempt as i64, purpose.name()], |row| row.get(0))?;
        Ok(count as u64)
    }

    /// Whether an attempt has a token for a purpose that was not ended.
    pub(crate) fn is_open(
        connection: &Connection,
        mac: MacAddr,
        attempt: u64,
        purpose: Purpose,
    ) -> Result<bool, StoreError> {
        Ok(connection
            .prepare_cached("SELECT 1 FROM tokens WHERE mac = ? AND attempt = ? AND purpose = ? AND revoked = 0")?
            .exists(params![mac.to_string(), attempt as i64, purpose.name()])?)
    }

    /// Ends all tokens of a node, of one purpose or of all.
    pub(crate) fn revoke(
        transaction: &Transaction<'_>,
        mac: MacAddr,
        purpose: Option<Purpose>,
    ) -> Result<(), StoreError> {
        transaction
            .prepare_cached(
                "UPDATE tokens SET revoked = 1 WHERE mac = ?1 AND revoked = 0 AND (?2 IS NULL OR purpose = ?2)",
            )?
            .execute(params![mac.to_string(), purpose.map(Purpose::name)])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form_and_is_not_shown() {
        let token = Token::new();
        assert_eq!(token.reveal().parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains(&token.reveal()[..4]));
        assert_ne!(token, Token::new());
        for bad in ["", "00", &token.reveal()[1..], &token.reveal().replace(|_: char| true, "A"), "../../etc/passwd"] {
            assert_eq!(bad.parse::<Token>(), Err(NotAToken), "{bad}");
        }
    }
}
