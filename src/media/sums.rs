//! The publisher's signed list of digests.

use std::fs;

use super::{Installer, Reason};
use crate::fetch::FileFetcher;
use crate::lock::{Keyring, verify_detached};
use crate::profile::{DistributionName, Medium, Place, SignedSums};
use crate::vocab::Epoch;

/// Upper bound of SHA256SUMS and of its signature.
const LIMIT: u64 = 1 << 20;

/// Checks that a trusted key signed a list with the medium's digest. A verdict is kept in the store: the list is asked
/// for once.
pub(super) fn verify(
    medium: &Medium,
    signed: &SignedSums,
    installer: &Installer,
    fetcher: &FileFetcher<'_>,
    now: Epoch,
) -> Result<(), Reason> {
    let keyring_bytes = match &signed.keyring {
        Some(path) => Some(fs::read(path).map_err(|source| Reason::File { path: path.clone(), source })?),
        None => None,
    };
    let keyring = match &keyring_bytes {
        Some(bytes) => Keyring::parse(bytes)?,
        None => Keyring::builtin_media(match installer.system.release.traits().distribution {
            "debian" => DistributionName::Debian,
            _ => DistributionName::Ubuntu,
        })?,
    };
    let keys = crate::vocab::Digest::of(keyring_bytes.as_deref().unwrap_or_default());
    let key = format!("signed-{}-{}.txt", medium.sha256, keys.short());
    if fetcher.store().recall(&key)?.is_some() {
        return Ok(());
    }
    let text = read(&signed.sums, fetcher)?;
    let signature = read(&signed.signature, fetcher)?;
    let signer = verify_detached(&text, &signature, &keyring, now).map_err(Reason::Signature)?;
    let text = String::from_utf8_lossy(&text);
    // Lines as sha256sum writes them: digest, blank, blank or `*`, name.
    let lines = || text.lines().filter_map(|line| line.split_once(' '));
    let wanted = medium.sha256.to_string();
    if !lines().any(|(digest, _)| digest.eq_ignore_ascii_case(&wanted)) {
        let name =
            |name: &str| name.trim_start_matches([' ', '*']).chars().filter(|c| !c.is_control()).take(80).collect();
        let listed = lines().map(|(_, rest)| name(rest)).collect();
        return Err(Reason::NotListed { wanted: medium.sha256, listed });
    }
    Ok(fetcher.store().remember(&key, &signer)?)
}

fn read(place: &Place, fetcher: &FileFetcher<'_>) -> Result<Vec<u8>, Reason> {
    match place {
        Place::Url(url) => Ok(fetcher.text(url, LIMIT)?),
        Place::File(path) => fs::read(path).map_err(|source| Reason::File { path: path.clone(), source }),
    }
}
