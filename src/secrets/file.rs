//! Small files that only their owner reads.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use netboot::SecretRef;
use secrecy::zeroize::Zeroizing;

use super::SecretError;

/// Bytes of a secret, or of a file with identities.
const LONGEST: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Others must not be able to read it.
    Private,
    /// It is encrypted.
    Any,
}

/// Reads it into memory that is cleared, which never grows: no copy is left behind.
pub(super) fn read(path: &Path, reference: &SecretRef, access: Access) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let failed = |error| SecretError::Read { reference: reference.clone(), path: path.to_owned(), error };
    // A pipe without a writer would not be opened otherwise.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    // As ssh does it with private keys: a group may read what somebody else gave it.
    let mine = metadata.uid() == nix::unistd::geteuid().as_raw();
    let mode = metadata.mode() & 0o777;
    if access == Access::Private && mode & if mine { 0o077 } else { 0o007 } != 0 {
        return Err(SecretError::Open { reference: reference.clone(), path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > LONGEST {
        return Err(SecretError::TooLong { reference: reference.clone(), path: path.to_owned() });
    }
    Ok(bytes)
}
