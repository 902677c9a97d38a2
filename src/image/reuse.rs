//! Compressed grains of an earlier build, so that a small change costs a small compression.
//!
//! ```text
//! NAME.grains   JSON: format, compressor, the file that holds the grains (NAME.vmdk, or NAME.ova when no VMDK was kept)
//!               and per grain: key, offset and length of its zlib data, SHA-256 of that data
//! ```
//! In: the directory of an earlier build. Out: zlib data by key, where a key says what the grain is made of. Invariant:
//! what is reused are the bytes that compressing would give: same compressor, same grain, data checked by digest. So the
//! images do not depend on it, and anything wrong with the earlier files only means that more is compressed.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ImageError;
use super::disk::GRAIN;
use super::output::Output;
use crate::vocab::Digest;

const FORMAT: u32 = 1;
/// What made the bytes; a test holds it against Cargo.lock.
pub(super) const COMPRESSOR: &str = "libdeflate-sys 1.26.1";

/// Where a grain's zlib data lies, and its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// SHA-256 of what the grain is made of.
    pub(super) key: Digest,
    /// In bytes from the start of the VMDK.
    pub(super) offset: u64,
    /// In bytes.
    pub(super) length: u32,
    pub(super) sha256: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    format: u32,
    compressor: String,
    level: i32,
    file: String,
    /// Offset of the VMDK in the file, in bytes.
    base: u64,
    grains: Vec<Stored>,
}

/// Grains of an earlier build, opened for reading.
pub(super) struct Reuse {
    file: File,
    base: u64,
    grains: HashMap<Digest, Stored>,
}

impl Reuse {
    /// Opens what an earlier build of the machine left in a directory; `None` where nothing there can be used.
    pub(super) fn open(directory: &Path, name: &str, level: i32) -> Option<Self> {
        let text = std::fs::read(directory.join(index_name(name))).ok()?;
        let index: Index = serde_json::from_slice(&text).ok()?;
        let known = [format!("{name}.vmdk"), format!("{name}.ova")];
        if index.format != FORMAT
            || index.compressor != COMPRESSOR
            || index.level != level
            || !known.contains(&index.file)
        {
            return None;
        }
        let file = File::open(directory.join(&index.file)).ok()?;
        let grains = index.grains.into_iter().map(|stored| (stored.key, stored)).collect();
        Some(Reuse { file, base: index.base, grains })
    }

    /// The zlib data of the grain with this key, with its digest.
    pub(super) fn get(&self, key: &Digest) -> Option<(Vec<u8>, Digest)> {
        let stored = self.grains.get(key)?;
        if u64::from(stored.length) > 2 * GRAIN {
            return None;
        }
        let mut bytes = vec![0; stored.length as usize];
        self.file.read_exact_at(&mut bytes, self.base.checked_add(stored.offset)?).ok()?;
        (Digest::of(&bytes) == stored.sha256).then_some((bytes, stored.sha256))
    }
}

/// Leaves the index for a later build: the grains lie in `file`, in whose byte `base` the VMDK starts.
pub(super) fn write_index(
    directory: &Path,
    name: &str,
    level: i32,
    (file, base): (String, u64),
    grains: Vec<Stored>,
) -> Result<(), ImageError> {
    let path = directory.join(index_name(name));
    let index = Index { format: FORMAT, compressor: COMPRESSOR.to_owned(), level, file, base, grains };
    let text = serde_json::to_vec(&index).map_err(|error| ImageError::io(&path, error.into()))?;
    let mut out = Output::create(&path)?;
    out.write(&text)?;
    out.finish()?;
    Ok(())
}

fn index_name(name: &str) -> String {
    format!("{name}.grains")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compressors_name_is_that_of_the_lock_file() {
        let lock = include_str!("../../Cargo.lock");
        let (name, version) = COMPRESSOR.split_once(' ').unwrap();
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(
            lock.contains(&entry),
            "another compressor makes other bytes: change COMPRESSOR to what Cargo.lock has"
        );
    }
}
