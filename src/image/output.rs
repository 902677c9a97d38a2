//! One file of the output with its SHA-256.
//!
//! In: bytes. Out: the file. Invariant of [`Output`]: bytes go out in order, each is hashed once while it is written, stretches of
//! zeros are hashed but left as holes. [`LateHeadOutput`] is for files whose beginning is known last; it hashes at the end.

use std::fs::{File, OpenOptions};
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

/// A file whose head is written after what follows it. A digest starts with the head, so the whole file is read for it
/// once more at the end.
pub(super) struct LateHeadOutput {
    path: PathBuf,
    file: File,
    position: u64,
}

impl LateHeadOutput {
    /// Makes the file, or empties it, with room for a head of so many bytes; what is not written of it is zero.
    pub(super) fn create(path: &Path, head: u64) -> Result<Self, ImageError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.map_err(|error| ImageError::io(path, error))?;
        Ok(LateHeadOutput { path: path.to_owned(), file, position: head })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Offset of the next byte behind the head.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.file.write_all_at(bytes, self.position).map_err(|error| ImageError::io(&self.path, error))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Writes into the head.
    pub(super) fn write_head(&self, offset: u64, bytes: &[u8]) -> Result<(), ImageError> {
        self.file.write_all_at(bytes, offset).map_err(|error| ImageError::io(&self.path, error))
    }

    /// Ends the file at the current position.
    pub(super) fn finish(self) -> Result<Written, ImageError> {
        let digest = self.file.set_len(self.position).and_then(|()| self.digest());
        let sha256 = digest.map_err(|error| ImageError::io(&self.path, error))?;
        Ok(Written { path: self.path, size: self.position, sha256 })
    }

    fn digest(&self) -> std::io::Result<Digest> {
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        let mut position = 0;
        while position < self.position {
            let length = (self.position - position).min(buffer.len() as u64) as usize;
            self.file.read_exact_at(&mut buffer[..length], position)?;
            hasher.update(&buffer[..length]);
            position += length as u64;
        }
        Ok(hasher.finish())
    }
}
