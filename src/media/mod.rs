//! Installers' media: fetched or copied, verified, and their kernel and initrd taken out.
//!
//! In: the profile's [`Installer`]s. Out: a [`Medium`] each, whose bytes lie in the store. Invariants: nothing is read from
//! a medium that has not the digest of the profile (and, where the profile names a signed list, is not on it); a medium
//! that holds another release than the installer is for is refused.
//!
//! [`sum`] reads Supermicro's SUM, another file that a user may bring.
//!
//! ```text
//! URL or file ─ digest, signed list ─► object ─ iso | archive: kernel, initrd, what it says it is ─► objects
//! ```

mod archive;
mod error;
mod iso;
pub mod sum;
mod sums;

use std::fs::File;
use std::io::{self, Read};

use netboot::Traits;
use serde::{Deserialize, Serialize};

use crate::fetch::{FileFetcher, FileRequest, Store};
use crate::profile::{self, Installer, MediumKind, Place};
use crate::tree::{Content, Contents};
use crate::vocab::{Digest, Epoch};

pub use error::{MediaError, Reason};

/// Upper bound of a kernel, an initrd or a text on a medium; the largest real initrd has some 150 MB.
const FILE_LIMIT: u64 = 1 << 30;
/// Upper bound of a text that says what a medium is.
const TEXT_LIMIT: u64 = 64 << 10;

/// An installer's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Medium {
    pub kernel: Content,
    pub initrd: Content,
    /// The file itself.
    pub whole: Content,
}

/// What was found on a medium, kept in the store so that it is read once.
#[derive(Serialize, Deserialize)]
struct Remembered {
    kernel: (Digest, u64),
    initrd: (Digest, u64),
}

/// Checks that the digest of an installer's medium is on the publisher's signed list, where the profile names one. Whoever fetches the medium
/// afterwards, also an appliance, needs the digest alone. `now` judges the keys.
pub fn verify(
    name: &str,
    installer: &Installer,
    source: &profile::Medium,
    fetcher: &FileFetcher<'_>,
    now: Epoch,
) -> Result<(), MediaError> {
    match &source.signed {
        Some(signed) => sums::verify(source, signed, installer, fetcher, now).map_err(|reason| of(name, reason)),
        None => Ok(()),
    }
}

fn of(name: &str, reason: Reason) -> MediaError {
    MediaError { medium: format!("installer '{name}'"), reason }
}

/// Gets an installer's medium ready, after [`verify`]. `name` is the installer's in the profile.
pub fn prepare(
    name: &str,
    installer: &Installer,
    source: &profile::Medium,
    fetcher: &FileFetcher<'_>,
) -> Result<Medium, MediaError> {
    let fault = |reason: Reason| of(name, reason);
    let traits = installer.system.release.traits();
    let title = format!("the medium of installer '{name}'");
    let request =
        FileRequest { name: &title, sha256: source.sha256, size: source.size, diagnose: diagnosis(source.kind) };
    let path = match &source.place {
        Place::Url(url) => fetcher.download(url, &request),
        Place::File(path) => fetcher.copy(path, &request),
    };
    let path = path.map_err(|error| fault(error.into()))?;
    let store = fetcher.store();
    let size = std::fs::metadata(&path).map_err(|source| fault(Reason::Read(source)))?.len();
    let whole = Content { digest: source.sha256, size };

    let key = format!("medium-{}-{}-{}.json", source.sha256, traits.distribution, traits.version);
    let known = store.recall(&key).map_err(|error| fault(error.into()))?;
    let known = known.and_then(|text| serde_json::from_str::<Remembered>(&text).ok());
    if let Some(Remembered { kernel, initrd }) = known {
        let content = |(digest, size)| Content { digest, size };
        let (kernel, initrd) = (content(kernel), content(initrd));
        if [kernel, initrd].iter().all(|file| store.object_of_size(&file.digest, file.size).is_some()) {
            return Ok(Medium { kernel, initrd, whole });
        }
    }
    let mut file = File::open(&path).map_err(|source| fault(Reason::Read(source)))?;
    let found = match source.kind {
        MediumKind::Iso => iso::read(&mut file, size, traits),
        MediumKind::Netboot => archive::read(&mut file, traits),
    };
    let found = found.map_err(fault)?;
    for (path, bytes) in [(traits.kernel, &found.kernel), (traits.initrd, &found.initrd)] {
        if bytes.is_empty() {
            return Err(fault(Reason::Empty(path.to_owned())));
        }
    }
    let add = |bytes: &[u8]| {
        let digest = store.add(bytes).map_err(|error| fault(error.into()))?;
        Ok(Content { digest, size: bytes.len() as u64 })
    };
    let (kernel, initrd) = (add(&found.kernel)?, add(&found.initrd)?);
    let remembered = Remembered { kernel: (kernel.digest, kernel.size), initrd: (initrd.digest, initrd.size) };
    let text = serde_json::to_string(&remembered).map_err(|error| fault(Reason::Read(error.into())))?;
    store.remember(&key, &text).map_err(|error| fault(error.into()))?;
    Ok(Medium { kernel, initrd, whole })
}

/// Files that were read from a medium.
struct Found {
    kernel: Vec<u8>,
    initrd: Vec<u8>,
}

/// Checks what a medium says of itself. `text`: its identity file.
fn identify(text: &[u8], traits: &Traits) -> Result<(), Reason> {
    let Some((_, expected)) = traits.identity else { return Ok(()) };
    let text = String::from_utf8_lossy(text);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    match text.lines().any(|line| line.trim_start().starts_with(expected)) {
        true => Ok(()),
        false => Err(Reason::OtherRelease { says: shorten(line), expected }),
    }
}

/// The first words of something that a stranger wrote.
fn shorten(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn diagnosis(kind: MediumKind) -> fn(&mut File) -> Option<String> {
    match kind {
        MediumKind::Iso => iso::diagnose,
        MediumKind::Netboot => archive::diagnose,
    }
}

/// The store's objects as contents of a tree.
pub struct Objects<'a>(pub &'a Store);

impl Contents for Objects<'_> {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.0.object_of_size(&content.digest, content.size) {
            Some(path) => Ok(Box::new(File::open(path)?)),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is not in the store", content.digest))),
        }
    }
}
