//! Package indices whose digest a verified Release file vouches for.
//!
//! In: an [`IndexFile`] of a [`VerifiedRelease`] and the bytes that a mirror gave for it. Out: a [`VerifiedIndex`], the
//! decompressed text. Invariant: a text gets in only after its compressed bytes had the signed size and digest;
//! decompression stops at the signed size.

use std::io::Read;

use super::model::LockedSuite;
use super::release::{Compression, IndexFile, VerifiedRelease};
use crate::vocab::{Digest, Remedy};

/// Upper bound of a decompressed index whose plain size is not listed; the largest real ones have about 80 MB.
const PLAIN_LIMIT: u64 = 512 << 20;

/// The package list of one component.
#[derive(Debug, Clone)]
pub struct VerifiedIndex {
    text: String,
}

/// Why an index file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    #[error("the package index {path} of {suite} is not the one that was signed: its SHA-256 is {found}, not {wanted}")]
    Digest { suite: String, path: String, found: String, wanted: String },
    #[error("the package index {path} of {suite} has {found} bytes instead of the signed {wanted}")]
    Size { suite: String, path: String, found: u64, wanted: u64 },
    #[error("the package index {path} of {suite} decompresses to more than {limit} bytes")]
    TooLarge { suite: String, path: String, limit: u64 },
    #[error("the package index {path} of {suite} cannot be decompressed: {reason}")]
    Decompress { suite: String, path: String, reason: String },
}

impl Remedy for IndexError {
    fn help(&self) -> Option<String> {
        Some("the mirror may be in the middle of an update: try again later, or use another mirror".to_owned())
    }
}

impl VerifiedIndex {
    /// Verifies and decompresses.
    pub fn new(file: &IndexFile, bytes: &[u8]) -> Result<VerifiedIndex, IndexError> {
        let (suite, path) = (|| file.suite.clone(), || file.path.clone());
        let found = bytes.len() as u64;
        if found != file.size {
            return Err(IndexError::Size { suite: suite(), path: path(), found, wanted: file.size });
        }
        let digest = Digest::of(bytes);
        if digest != file.sha256 {
            let (found, wanted) = (digest.to_string(), file.sha256.to_string());
            return Err(IndexError::Digest { suite: suite(), path: path(), found, wanted });
        }
        let decompress = |reason: String| IndexError::Decompress { suite: suite(), path: path(), reason };
        let limit = file.plain_size.unwrap_or(PLAIN_LIMIT).min(PLAIN_LIMIT);
        let mut plain = Vec::new();
        if file.plain_size.is_some() {
            plain
                .try_reserve_exact(usize::try_from(limit).unwrap_or(usize::MAX))
                .map_err(|e| decompress(e.to_string()))?;
        }
        let reader: Box<dyn Read> = match file.compression {
            Compression::Xz => Box::new(liblzma::read::XzDecoder::new_multi_decoder(bytes)),
            Compression::Zstd => {
                Box::new(zstd::stream::read::Decoder::new(bytes).map_err(|e| decompress(e.to_string()))?)
            }
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
            Compression::None => Box::new(bytes),
        };
        reader.take(limit + 1).read_to_end(&mut plain).map_err(|e| decompress(e.to_string()))?;
        if plain.len() as u64 > limit {
            return Err(IndexError::TooLarge { suite: suite(), path: path(), limit });
        }
        let text = String::from_utf8(plain).map_err(|_| decompress("it is not UTF-8".to_owned()))?;
        Ok(VerifiedIndex { text })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// One suite with all its package lists.
#[derive(Debug, Clone)]
pub struct VerifiedSuite {
    pub(super) locked: LockedSuite,
    pub(super) indices: Vec<VerifiedIndex>,
}

/// Everything that a lock is resolved from: the suites in order of preference for equal versions.
#[derive(Debug, Clone, Default)]
pub struct VerifiedIndices {
    pub(super) suites: Vec<VerifiedSuite>,
}

impl VerifiedIndices {
    pub fn add(&mut self, release: &VerifiedRelease, indices: Vec<VerifiedIndex>) {
        self.suites.push(VerifiedSuite { locked: release.locked().clone(), indices });
    }

    pub fn suites(&self) -> impl Iterator<Item = &LockedSuite> {
        self.suites.iter().map(|suite| &suite.locked)
    }
}
