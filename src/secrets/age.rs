//! Files encrypted with age (age-encryption.org/v1), binary or armored, to X25519 identities.

use std::io::Read as _;
use std::path::Path;

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor, Identity, IdentityFile};
use netboot::SecretRef;
use secrecy::zeroize::Zeroizing;

use super::SecretError;
use super::file::{self, Access};

pub(super) fn decrypt(
    path: &Path,
    reference: &SecretRef,
    identities: Option<&Path>,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let bytes = file::read(path, reference, Access::Any)?;
    let not_age = || SecretError::NotAge { reference: reference.clone(), path: path.to_owned() };
    let damaged = || SecretError::Damaged { reference: reference.clone(), path: path.to_owned() };
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(&bytes[..])).map_err(|_| not_age())?;
    if decryptor.is_scrypt() {
        return Err(SecretError::Passphrase { reference: reference.clone(), path: path.to_owned() });
    }
    let from = identities.ok_or_else(|| SecretError::NoIdentities { reference: reference.clone() })?;
    let known = read_identities(from, reference)?;
    let known = known.iter().map(|identity| identity.as_ref() as &dyn Identity);
    let mut reader = match decryptor.decrypt(known) {
        Ok(reader) => reader,
        Err(DecryptError::NoMatchingKeys) => {
            return Err(SecretError::OtherIdentity {
                reference: reference.clone(),
                path: path.to_owned(),
                identities: from.to_owned(),
            });
        }
        Err(_) => return Err(damaged()),
    };
    // No longer than what is encrypted: it does not grow.
    let mut secret = Zeroizing::new(Vec::with_capacity(bytes.len() + 1));
    reader.read_to_end(&mut secret).map_err(|_| damaged())?;
    Ok(secret)
}

fn read_identities(path: &Path, reference: &SecretRef) -> Result<Vec<Box<dyn Identity>>, SecretError> {
    let none = |line| SecretError::NoIdentity { reference: reference.clone(), path: path.to_owned(), line };
    let bytes = file::read(path, reference, Access::Private).map_err(|error| match error {
        SecretError::Read { reference, path, error } => SecretError::Identities { reference, path, error },
        other => other,
    })?;
    if bytes.starts_with(b"age-encryption.org/") || bytes.starts_with(b"-----BEGIN AGE") {
        return Err(SecretError::LockedIdentities { reference: reference.clone(), path: path.to_owned() });
    }
    // The library's own message has the number of the line inside a text.
    let comment = |line: &[u8]| line.is_empty() || line.starts_with(b"#");
    let wrong = bytes.split(|byte| *byte == b'\n').position(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        !comment(line) && !line.starts_with(b"AGE-SECRET-KEY-1")
    });
    if wrong.is_some() {
        return Err(none(wrong.map(|line| line + 1)));
    }
    let file = IdentityFile::from_buffer(&bytes[..]).map_err(|_| none(None))?;
    let identities = file.into_identities().map_err(|_| none(None))?;
    if identities.is_empty() {
        return Err(none(None));
    }
    Ok(identities)
}
