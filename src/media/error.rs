//! Why an installer's medium, or SUM's archive, cannot be used.

use std::io;
use std::path::PathBuf;

use super::sum::SumFault;
use crate::fetch::FetchError;
use crate::lock::{KeyringError, SignatureError};
use crate::vocab::{Digest, Remedy};

#[derive(Debug, thiserror::Error)]
#[error("{medium}: {reason}")]
pub struct MediaError {
    /// What it is, for people: "installer 'ubuntu-24-04'".
    pub medium: String,
    #[source]
    pub reason: Reason,
}

#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the medium cannot be read: {0}")]
    Read(#[source] io::Error),
    #[error("the medium is not an ISO 9660 image: {0}")]
    NotIso(String),
    #[error("the medium is not a gzip-compressed tar archive: {0}")]
    NotArchive(String),
    #[error("the medium is damaged: {0}")]
    Damaged(#[source] io::Error),
    #[error("the ISO is cut off: it says that it has {expected} bytes, the file has {found}")]
    Truncated { expected: u64, found: u64 },
    #[error("the medium holds no '{path}': it is not {expected}")]
    Missing { path: String, expected: String },
    #[error("'{0}' on the medium is empty")]
    Empty(String),
    #[error("'{0}' on the medium is larger than any kernel or initrd")]
    TooLarge(String),
    #[error("the medium says that it is '{says}', not '{expected}...'")]
    OtherRelease { says: String, expected: &'static str },
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the keyring: {0}")]
    Keyring(#[from] KeyringError),
    #[error("the signature of SHA256SUMS: {0}")]
    Signature(SignatureError),
    #[error("the signed SHA256SUMS does not list the digest {wanted}{}", names(.listed))]
    NotListed { wanted: Digest, listed: Vec<String> },
    #[error("the ISO has {size} bytes, and these nodes have less memory than the {needed} that it takes to install from it: {}", .nodes.join(", "))]
    Memory { size: u64, needed: u64, nodes: Vec<String> },
    #[error(transparent)]
    Sum(#[from] SumFault),
}

fn names(listed: &[String]) -> String {
    match listed {
        [] => "; it lists nothing".to_owned(),
        names => format!("; it lists {}", names.iter().take(4).cloned().collect::<Vec<_>>().join(", ")),
    }
}

impl Remedy for MediaError {
    fn help(&self) -> Option<String> {
        Some(match &self.reason {
            Reason::Fetch(error) => return error.help(),
            Reason::Read(_) | Reason::Damaged(_) | Reason::Truncated { .. } | Reason::Empty(_) | Reason::TooLarge(_) => {
                "download the medium again, and check the digest in the profile against the publisher's SHA256SUMS"
                    .to_owned()
            }
            Reason::NotIso(_) => {
                "`iso` takes the live-server ISO; Debian's netboot.tar.gz stands under `netboot`".to_owned()
            }
            Reason::NotArchive(_) => "`netboot` takes debian-installer's netboot.tar.gz".to_owned(),
            Reason::Missing { .. } => {
                "take the live-server ISO for Ubuntu, netboot.tar.gz (not the graphical one) for Debian".to_owned()
            }
            Reason::OtherRelease { .. } => "make the installer's `release` and its medium agree".to_owned(),
            Reason::File { .. } => "check that the file exists and can be read".to_owned(),
            Reason::Keyring(_) => "check the file in `iso.keyring`".to_owned(),
            Reason::Signature(_) => {
                "take SHA256SUMS and SHA256SUMS.gpg from the same directory of the publisher, or set `iso.keyring` to the \
                 key that signs them"
                    .to_owned()
            }
            Reason::NotListed { .. } => {
                "the digest in the profile belongs to another point release, or to another file: copy it from SHA256SUMS"
                    .to_owned()
            }
            Reason::Memory { .. } => {
                "the ISO is loaded into memory: install such nodes from a smaller ISO, or with more memory; with `iso.size` the check knows it \
                 before anything is fetched"
                    .to_owned()
            }
            Reason::Sum(SumFault::OtherFile { .. }) => {
                "take the archive whose digest you wrote into [sum], or write down the digest of this one once you know that \
                 it is what Supermicro gives out"
                    .to_owned()
            }
            Reason::Sum(_) => {
                "[sum] takes Supermicro's archive for Linux as it is: sum_VERSION_Linux_x86_64_DATE.tar.gz".to_owned()
            }
        })
    }
}
