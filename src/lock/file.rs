//! The lock file: TOML, written by the tool, read by people in reviews.
//!
//! In and out: a [`Lock`] and its text. Invariants: writing is canonical (equal locks, equal bytes); reading checks
//! format, digest of the request and every word that later becomes a path or an argument.

use super::error::LockError;
use super::model::{LOCK_FORMAT, Lock};
use super::universe::is_safe_package;

const HEADER: &str = "\
# Written by `provbuild lock`: the exact packages that images are built from. Keep it under version control.
# Do not edit; change the profile and run `provbuild lock` again.

";

impl Lock {
    /// The file's text.
    pub fn to_toml(&self) -> Result<String, LockError> {
        let body = toml::to_string(self).map_err(|error| LockError::Format(error.to_string()))?;
        Ok(format!("{HEADER}{body}"))
    }

    /// Reads the file's text.
    pub fn from_toml(text: &str) -> Result<Lock, LockError> {
        #[derive(serde::Deserialize)]
        struct Head {
            format: u32,
        }
        let unreadable = |error: toml::de::Error| LockError::Format(error.message().to_owned());
        // The format first: a newer file would only give puzzling complaints about fields.
        let head: Head = toml::from_str(text).map_err(unreadable)?;
        if head.format != LOCK_FORMAT {
            return Err(LockError::Version { found: head.format, supported: LOCK_FORMAT });
        }
        let lock: Lock = toml::from_str(text).map_err(unreadable)?;
        if lock.requested.digest() != lock.request {
            return Err(LockError::Edited("`requested` does not fit the digest in `request`".to_owned()));
        }
        if let Some(package) = lock.packages.iter().find(|package| !is_safe_package(package)) {
            return Err(LockError::Edited(format!("package '{}' has a malformed field", package.name)));
        }
        if !lock.packages.is_sorted_by(|left, right| left.name < right.name) {
            return Err(LockError::Edited("the packages are not sorted by name, each once".to_owned()));
        }
        let unknown = |package: &&super::LockedPackage| lock.suites.iter().all(|suite| suite.suite != package.suite);
        if let Some(package) = lock.packages.iter().find(unknown) {
            return Err(LockError::Edited(format!("package '{}' names no suite of the lock", package.name)));
        }
        Ok(lock)
    }
}
