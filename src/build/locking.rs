//! The lock beside the profile: obeyed when it is there, written when it is not.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::BuildError;
use super::pipeline::Build;
use crate::fetch::Store;
use crate::lock::{self, Keyring, Lock, LockDiff, LockError};
use crate::profile::Profile;
use crate::vocab::{Digest, Stage};

/// A lock with the digest of its text.
#[derive(Debug, Clone)]
pub(super) struct Locked {
    pub(super) lock: Lock,
    pub(super) digest: Digest,
}

/// What `provbuild lock` did.
#[derive(Debug)]
pub struct LockOutcome {
    pub path: PathBuf,
    pub packages: usize,
    /// Against the lock that was there before.
    pub diff: Option<LockDiff>,
}

/// `profiles/debian.toml` -> `profiles/debian.lock`.
pub(super) fn path_of(profile: &Path) -> PathBuf {
    profile.with_extension("lock")
}

/// Reads the lock; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Locked>, BuildError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let lock = Lock::from_toml(&text).map_err(|source| BuildError::Lock { path: path.to_owned(), source })?;
            Ok(Some(Locked { lock, digest: Digest::of(text.as_bytes()) }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BuildError::Io { path: path.to_owned(), source }),
    }
}

/// Reads the lock and insists that it covers the profile.
pub(super) fn covering(path: &Path, profile: &Profile) -> Result<Option<Locked>, BuildError> {
    let locked = read(path)?;
    if let Some(Locked { lock, .. }) = &locked
        && let Some(drift) = lock.drift(&profile.distribution)
    {
        return Err(BuildError::Drift { path: path.to_owned(), drift });
    }
    Ok(locked)
}

/// Asks the archive and writes a new lock.
pub(super) fn write(
    build: &Build<'_>,
    store: &Store,
    path: &Path,
    profile: &Profile,
    previous: Option<&Lock>,
) -> Result<Locked, BuildError> {
    let fault = |source: LockError| BuildError::Lock { path: path.to_owned(), source };
    let keyring = match &profile.distribution.keyring {
        Some(file) => {
            let bytes = fs::read(file).map_err(|source| BuildError::Io { path: file.clone(), source })?;
            Keyring::parse(&bytes)
        }
        None => Keyring::builtin(profile.distribution.name),
    };
    let keyring = keyring.map_err(|error| BuildError::Fetch(error.into()))?;
    let fetcher = build.fetcher(store, profile);
    let indices = fetcher.indices(&profile.distribution, &keyring, build.now, previous)?;
    build.progress.note(Stage::Lock, "resolve".into());
    let lock = lock::resolve(&profile.distribution, &indices).map_err(fault)?;
    let text = lock.to_toml().map_err(fault)?;
    write_aside(path, text.as_bytes()).map_err(|source| BuildError::Io { path: path.to_owned(), source })?;
    Ok(Locked { lock, digest: Digest::of(text.as_bytes()) })
}

fn write_aside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".lock-").tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
