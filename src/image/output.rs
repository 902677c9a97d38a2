//! One file of the output, hashed while it is written.
//!
//! Invariant: bytes go out in order, each is hashed once, stretches of zeros are hashed but left as holes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::ImageError;
use crate::vocab::{Digest, Hasher};

static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

pub(super) struct Output {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    position: u64,
}

/// A file that was written to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    /// Length in bytes.
    pub(super) size: u64,
    pub(super) sha256: Digest,
}

impl Output {
    /// Makes the file, or empties it.
    pub(super) fn create(path: &Path) -> Result<Self, ImageError> {
        let file = File::create(path).map_err(|error| ImageError::io(path, error))?;
        Ok(Output { path: path.to_owned(), file, hasher: Hasher::new(), position: 0 })
    }

    /// Offset of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.file.write_all_at(bytes, self.position).map_err(|error| ImageError::io(&self.path, error))?;
        self.hasher.update(bytes);
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Moves on to an offset; the bytes on the way are zero.
    pub(super) fn zeros_until(&mut self, offset: u64) {
        debug_assert!(offset >= self.position);
        while self.position < offset {
            let length = (offset - self.position).min(ZEROS.len() as u64);
            self.hasher.update(&ZEROS[..length as usize]);
            self.position += length;
        }
    }

    /// Moves on to a multiple of `unit` bytes.
    pub(super) fn align(&mut self, unit: u64) {
        self.zeros_until(self.position.next_multiple_of(unit));
    }

    /// Ends the file at the current position.
    pub(super) fn finish(self) -> Result<Written, ImageError> {
        self.file.set_len(self.position).map_err(|error| ImageError::io(&self.path, error))?;
        Ok(Written { path: self.path, size: self.position, sha256: self.hasher.finish() })
    }
}
