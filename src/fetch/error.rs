//! Why files could not be had.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::lock::{IndexError, KeyringError, ReleaseError};
use crate::vocab::{Digest, Epoch, Remedy};

/// What one mirror answered.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    #[error("it has no such file (404)")]
    Missing,
    #[error("it answers with HTTP status {0}")]
    Status(u16),
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("the transfer broke off after {received} bytes: {reason}")]
    Interrupted { received: u64, reason: String },
    #[error("it sends less than {limit} bytes per second")]
    Slow { limit: u64 },
    #[error("it sends more than the {limit} bytes that may come")]
    TooLarge { limit: u64 },
    #[error("it gives {found} bytes instead of {wanted}")]
    Truncated { found: u64, wanted: u64 },
    #[error("it gives other content: SHA-256 {found} instead of {wanted}{}", note_text(.note))]
    Altered { found: Digest, wanted: Digest, note: Option<String> },
    #[error("{0}")]
    Release(#[from] ReleaseError),
    #[error("{0}")]
    Index(#[from] IndexError),
    #[error("its address is of no use: {0}")]
    Address(String),
}

fn note_text(note: &Option<String>) -> String {
    note.as_ref().map(|note| format!("; {note}")).unwrap_or_default()
}

impl MirrorError {
    /// Whether asking the same mirror again can help.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            MirrorError::Status(status) => *status >= 500 || *status == 429,
            MirrorError::Unreachable(_) | MirrorError::Interrupted { .. } | MirrorError::Truncated { .. } => true,
            _ => false,
        }
    }
}

fn is_altered(error: &MirrorError) -> bool {
    matches!(error, MirrorError::Altered { .. } | MirrorError::TooLarge { .. })
}

/// The mirrors that were tried for one file, in order, each with its answer.
#[derive(Debug, Default)]
pub struct Tried(pub Vec<(String, MirrorError)>);

impl Tried {
    /// Whether some mirror answered that it does not have the file, and none had it in another state.
    fn is_missing(&self) -> bool {
        self.0.iter().any(|(_, error)| matches!(error, MirrorError::Missing))
            && !self.0.iter().any(|(_, error)| is_altered(error))
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (mirror, error)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "  {mirror}: {error}")?;
        }
        Ok(())
    }
}

/// A package that no mirror gave.
#[derive(Debug)]
pub struct FailedPackage {
    pub name: String,
    pub version: String,
    pub tried: Tried,
}

fn show_failed(failed: &[FailedPackage]) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    for (at, package) in failed.iter().take(SHOWN).enumerate() {
        let line_break = if at > 0 { "\n" } else { "" };
        let FailedPackage { name, version, tried } = package;
        text += &format!("{line_break}package {name} {version} cannot be had from any mirror\n{tried}");
    }
    if failed.len() > SHOWN {
        text += &format!("\nand {} more packages", failed.len() - SHOWN);
    }
    text
}

/// A file of this machine that is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{} is not {name}: its SHA-256 is {found}, the profile says {wanted}{}", .path.display(), note_text(.note))]
pub struct OtherFile {
    pub name: String,
    pub path: PathBuf,
    pub found: Digest,
    pub wanted: Digest,
    pub note: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("no mirror gives a usable index of {suite}\n{tried}")]
    Index { suite: String, tried: Tried },
    #[error("{}", show_failed(.failed))]
    Packages {
        failed: Vec<FailedPackage>,
        /// The time of the lock that names them.
        locked: Epoch,
    },
    #[error("{name} cannot be had\n{tried}")]
    File { name: String, tried: Tried },
    #[error(transparent)]
    OtherFile(Box<OtherFile>),
    #[error("no mirror is known for {0}")]
    NoMirrors(String),
    #[error("{0} is not in the store, and the network may not be used")]
    Offline(String),
    #[error("no space left for {}", .0.display())]
    DiskFull(PathBuf),
    #[error("cannot {action} {}: {source}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is a store of format '{found}'; this provbuild uses '{supported}'", .path.display())]
    StoreFormat { path: PathBuf, found: String, supported: &'static str },
    #[error("{} is no store: it holds other files", .0.display())]
    NotAStore(PathBuf),
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
    #[error("{0}")]
    Keyring(#[from] KeyringError),
    #[error("a stored index is not usable any more: {0}")]
    Stored(String),
}

impl FetchError {
    /// Wraps a local error; a full disk is told apart.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> FetchError {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                FetchError::DiskFull(path)
            }
            _ => FetchError::Io { action, path, source },
        }
    }
}

impl Remedy for FetchError {
    fn help(&self) -> Option<String> {
        Some(match self {
            FetchError::Index { tried, .. } => {
                // What a mirror said about its content is a better lead than that another was silent.
                let verdict = tried.0.iter().find_map(|(_, error)| match error {
                    MirrorError::Release(error) => error.help(),
                    MirrorError::Index(error) => error.help(),
                    _ => None,
                });
                verdict.unwrap_or_else(|| {
                    "check the network and http_proxy; name a mirror that can be reached in `distribution.mirrors`; set \
                     `distribution.snapshot`; or build the other distribution's profile if its archive can be reached"
                        .to_owned()
                })
            }
            FetchError::Packages { failed, locked } if failed.iter().any(|package| package.tried.is_missing()) => {
                let snapshot = snapshot_id(*locked);
                format!(
                    "the archive has moved on since the lock was made: run `provbuild lock` to pin what it offers now, or \
                     set `distribution.snapshot = \"{snapshot}\"` (the time of the lock) to get the old files"
                )
            }
            FetchError::Packages { .. } => {
                "run the build again, what arrived is kept; if a mirror goes on failing, name another one in \
                 `distribution.mirrors`"
                    .to_owned()
            }
            FetchError::File { tried, .. } if tried.0.iter().any(|(_, error)| is_altered(error)) => {
                "check the digest in the profile against the publisher's SHA256SUMS, and that the address is that of the \
                 same point release"
                    .to_owned()
            }
            FetchError::File { tried, .. } if tried.is_missing() => {
                "the publisher has moved or replaced it: look up the address and digest of the current point release"
                    .to_owned()
            }
            FetchError::File { .. } => {
                "run the build again, what arrived is kept and continued; or download it by other means and name the file \
                 with `path`"
                    .to_owned()
            }
            FetchError::OtherFile(_) => {
                "download it again, or write the digest that the publisher's SHA256SUMS has for it".to_owned()
            }
            FetchError::NoMirrors(_) => "name one in `distribution.mirrors`".to_owned(),
            FetchError::Offline(_) => "run once without the offline option".to_owned(),
            FetchError::DiskFull(_) => {
                "make room, run `provbuild gc`, or put the store elsewhere; what is stored so far is intact".to_owned()
            }
            FetchError::Io { .. } => "check that the directory exists and may be written".to_owned(),
            FetchError::StoreFormat { .. } | FetchError::NotAStore(_) => {
                "use another directory for the store".to_owned()
            }
            FetchError::Client(_) => "check the proxy settings in the environment".to_owned(),
            FetchError::Keyring(_) => "check the file in `distribution.keyring`".to_owned(),
            FetchError::Stored(_) => "run `provbuild lock` with a network".to_owned(),
        })
    }
}

/// The id of the snapshot of a moment.
fn snapshot_id(epoch: Epoch) -> String {
    jiff::Timestamp::from_second(i64::from(epoch.0))
        .map_or_else(|_| String::new(), |time| time.strftime("%Y%m%dT%H%M%SZ").to_string())
}
