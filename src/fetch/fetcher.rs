//! The driver of downloads: verified indices for a lock, packages of a lock.
//!
//! In: mirrors, a keyring, a reference time, a lock. Out: [`VerifiedIndices`], paths of objects. Invariant: nothing
//! leaves this module that was not verified; the store alone is enough when it has everything.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::download::{Downloader, Failed, Wanted};
use super::error::{FailedPackage, FetchError, MirrorError, Tried};
use super::mirrors::Mirrors;
use super::store::Store;
use super::transport::{Network, Transport};
use crate::lock::{
    Expectation, IndexFile, Keyring, Lock, LockedPackage, UnverifiedRelease, VerifiedIndex, VerifiedIndices,
    VerifiedRelease, distribution_name,
};
use crate::profile::Distribution;
use crate::vocab::{Digest, Epoch, Progress, Stage};

/// Downloads at a time; more gained nothing in measurements.
pub const DEFAULT_JOBS: usize = 4;
/// Upper bound of a Release file; the largest real ones have 300 KB.
const RELEASE_LIMIT: u64 = 8 << 20;

/// A locked package and its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedPackage {
    pub locked: LockedPackage,
    pub path: PathBuf,
}

pub struct Fetcher<'a> {
    store: &'a Store,
    mirrors: Mirrors,
    transport: Transport,
    progress: &'a dyn Progress,
    jobs: usize,
}

/// The last verified Release file of a suite, kept in `indices/`.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// Object with the InRelease or Release file.
    release: Digest,
    /// Object with Release.gpg.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Digest>,
    date: Epoch,
    signer: String,
}

/// What all suites of one call share.
struct Search<'s> {
    distribution: &'s Distribution,
    keyring: &'s Keyring,
    /// Reference time for the keys: the snapshot's day for a snapshot.
    at: Epoch,
    now: Option<Epoch>,
    previous: Option<&'s Lock>,
}

impl<'a> Fetcher<'a> {
    pub fn new(store: &'a Store, mirrors: Mirrors, network: Network, progress: &'a dyn Progress, jobs: usize) -> Self {
        Fetcher { store, mirrors, transport: Transport::new(network), progress, jobs }
    }

    /// Verified package indices of every suite of the distribution.
    ///
    /// `now` judges `Valid-Until` and the keys' lifetimes; with a snapshot, the snapshot's own time stands for it. An
    /// index older than the one of `previous`, or than the last one in the store, is a rollback.
    pub fn indices(
        &self,
        distribution: &Distribution,
        keyring: &Keyring,
        now: Epoch,
        previous: Option<&Lock>,
    ) -> Result<VerifiedIndices, FetchError> {
        let snapshot = distribution.snapshot.as_deref();
        let search = Search {
            distribution,
            keyring,
            at: snapshot.and_then(snapshot_time).unwrap_or(now),
            now: snapshot.is_none().then_some(now),
            previous,
        };
        let mut releases = Vec::new();
        for suite in suites(distribution) {
            releases.push(self.release(&search, &suite)?);
        }
        let files: Vec<&IndexFile> = releases.iter().flat_map(VerifiedRelease::indices).collect();
        let missing: Vec<&IndexFile> = files
            .iter()
            .copied()
            .filter(|file| self.store.object_of_size(file.sha256(), file.size()).is_none())
            .collect();
        if self.transport.network().offline
            && let Some(file) = missing.first()
        {
            return Err(FetchError::Offline(format!("the package index {} of {}", file.path(), file.suite())));
        }
        let wanted: Vec<Wanted> = missing
            .iter()
            .map(|file| {
                let by_hash =
                    releases.iter().any(|release| release.locked().suite == file.suite() && release.by_hash());
                let below = |path: &str| format!("dists/{}/{path}", file.suite());
                let mut sources = Vec::new();
                for mirror in &self.mirrors.of_suite(file.suite()).indices {
                    if by_hash {
                        sources.push((mirror.clone(), below(&file.by_hash_path())));
                    }
                    sources.push((mirror.clone(), below(file.path())));
                }
                Wanted {
                    name: format!("{} {}", file.suite(), file.path()),
                    sha256: *file.sha256(),
                    size: Some(file.size()),
                    diagnose: |_| None,
                    sources,
                }
            })
            .collect();
        if !wanted.is_empty() {
            for (file, result) in missing.iter().zip(self.downloader().all(&wanted, self.jobs)) {
                match result {
                    Some(Err(Failed::Local(error))) => return Err(error),
                    Some(Err(Failed::Mirrors(tried))) => {
                        return Err(FetchError::Index { suite: file.suite().to_owned(), tried });
                    }
                    // Not tried, because another one failed: that one is reported.
                    Some(Ok(_)) | None => {}
                }
            }
        }
        let texts = self.open_indices(&files)?;
        let mut texts = texts.into_iter();
        let mut indices = VerifiedIndices::default();
        for release in &releases {
            indices.add(release, texts.by_ref().take(release.indices().len()).collect());
        }
        Ok(indices)
    }

    /// Verifies and decompresses in parallel; the order stays.
    fn open_indices(&self, files: &[&IndexFile]) -> Result<Vec<VerifiedIndex>, FetchError> {
        use rayon::prelude::*;
        files
            .par_iter()
            .map(|file| {
                let path = self
                    .store
                    .object(file.sha256())
                    .ok_or_else(|| FetchError::Stored(format!("{} of {} is missing", file.path(), file.suite())))?;
                let bytes = std::fs::read(&path).map_err(FetchError::io("read", &path))?;
                VerifiedIndex::new(file, &bytes).map_err(|error| {
                    // A damaged object would be met again and again.
                    let _ = std::fs::remove_file(&path);
                    FetchError::Stored(error.to_string())
                })
            })
            .collect()
    }

    fn release(&self, search: &Search, suite: &str) -> Result<VerifiedRelease, FetchError> {
        let name = remembered_name(search.distribution, suite);
        let remembered: Option<Remembered> = self.store.recall(&name)?.and_then(|text| toml::from_str(&text).ok());
        if self.transport.network().offline {
            return self.release_from_store(search, suite, remembered);
        }
        let mirrors = &self.mirrors.of_suite(suite).indices;
        if mirrors.is_empty() {
            return Err(FetchError::NoMirrors(suite.to_owned()));
        }
        let mut tried = Tried::default();
        for mirror in mirrors {
            match self.release_from(mirror, search, suite, remembered.as_ref())? {
                Ok((release, file)) => {
                    self.keep(&name, &release, &file)?;
                    return Ok(release);
                }
                Err(error) => {
                    self.progress.note(Stage::Lock, format!("{suite}: {}: {error}", super::mirrors::shown(mirror)));
                    tried.add(mirror, error);
                }
            }
        }
        Err(FetchError::Index { suite: suite.to_owned(), tried })
    }

    fn release_from(
        &self,
        mirror: &Url,
        search: &Search,
        suite: &str,
        remembered: Option<&Remembered>,
    ) -> Result<Result<(VerifiedRelease, UnverifiedRelease), MirrorError>, FetchError> {
        let downloader = self.downloader();
        let get = |name: &str| downloader.small(mirror, &format!("dists/{suite}/{name}"), RELEASE_LIMIT);
        let file = match get("InRelease")? {
            Ok(file) => UnverifiedRelease::Inline(file),
            Err(MirrorError::Missing) => match (get("Release")?, get("Release.gpg")?) {
                (Ok(release), Ok(signature)) => UnverifiedRelease::Detached { release, signature },
                (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
            },
            Err(error) => return Ok(Err(error)),
        };
        let verified = verify(&file, search, suite, remembered);
        Ok(verified.map(|release| (release, file)).map_err(MirrorError::from))
    }

    fn release_from_store(
        &self,
        search: &Search,
        suite: &str,
        remembered: Option<Remembered>,
    ) -> Result<VerifiedRelease, FetchError> {
        let offline = || FetchError::Offline(format!("the index of {suite}"));
        let remembered = remembered.ok_or_else(offline)?;
        let read = |digest: &Digest| {
            let path = self.store.object(digest).ok_or_else(offline)?;
            std::fs::read(&path).map_err(FetchError::io("read", path))
        };
        let release = read(&remembered.release)?;
        let file = match &remembered.signature {
            None => UnverifiedRelease::Inline(release),
            Some(signature) => UnverifiedRelease::Detached { release, signature: read(signature)? },
        };
        // Without a network there is nothing fresher to be had.
        let search = Search { now: None, ..*search };
        verify(&file, &search, suite, None).map_err(|error| FetchError::Stored(error.to_string()))
    }

    fn keep(&self, name: &str, release: &VerifiedRelease, file: &UnverifiedRelease) -> Result<(), FetchError> {
        let (main, signature) = match file {
            UnverifiedRelease::Inline(file) => (self.store.add(file)?, None),
            UnverifiedRelease::Detached { release, signature } => {
                (self.store.add(release)?, Some(self.store.add(signature)?))
            }
        };
        let locked = release.locked();
        let remembered = Remembered { release: main, signature, date: locked.date, signer: locked.signer.clone() };
        let text = toml::to_string(&remembered).map_err(|error| FetchError::Stored(error.to_string()))?;
        self.store.remember(name, &text)
    }

    /// The files of all packages of a lock, in its order. What is in the store already is not read again: its size is
    /// compared; [`Store::verify`] compares digests.
    pub fn packages(&self, lock: &Lock) -> Result<Vec<FetchedPackage>, FetchError> {
        let missing: Vec<&LockedPackage> = lock
            .packages
            .iter()
            .filter(|package| self.store.object_of_size(&package.sha256, package.size).is_none())
            .collect();
        if self.transport.network().offline
            && let Some(package) = missing.first()
        {
            return Err(FetchError::Offline(format!("package {} {}", package.name, package.version)));
        }
        let mut wanted = Vec::new();
        for package in &missing {
            let mut mirrors = self.mirrors.of_suite(&package.suite).packages.clone();
            if lock.distribution == "ubuntu" {
                // Ubuntu copies its security pocket to the main archive.
                mirrors.extend(self.mirrors.main.packages.iter().cloned());
            }
            let mut sources: Vec<(Url, String)> = Vec::new();
            for mirror in mirrors {
                if sources.iter().all(|(known, _)| *known != mirror) {
                    sources.push((mirror, package.path.clone()));
                }
            }
            if sources.is_empty() {
                return Err(FetchError::NoMirrors(package.suite.clone()));
            }
            let name = format!("{} {}", package.name, package.version);
            wanted.push(Wanted { name, sha256: package.sha256, size: Some(package.size), diagnose: |_| None, sources });
        }
        let mut failed = Vec::new();
        if !wanted.is_empty() {
            for (package, result) in missing.iter().zip(self.downloader().all(&wanted, self.jobs)) {
                match result {
                    Some(Err(Failed::Local(error))) => return Err(error),
                    Some(Err(Failed::Mirrors(tried))) => failed.push(FailedPackage {
                        name: package.name.clone(),
                        version: package.version.clone(),
                        tried,
                    }),
                    Some(Ok(_)) | None => {}
                }
            }
        }
        if !failed.is_empty() {
            return Err(FetchError::Packages { failed, locked: lock.epoch });
        }
        let fetched = |package: &LockedPackage| {
            let path = self
                .store
                .object_of_size(&package.sha256, package.size)
                .ok_or_else(|| FetchError::Stored(format!("package {} vanished from the store", package.name)))?;
            Ok(FetchedPackage { locked: package.clone(), path })
        };
        lock.packages.iter().map(fetched).collect()
    }

    fn downloader(&self) -> Downloader<'_> {
        Downloader::new(self.store, &self.transport, self.progress)
    }
}

fn verify(
    file: &UnverifiedRelease,
    search: &Search,
    suite: &str,
    remembered: Option<&Remembered>,
) -> Result<VerifiedRelease, crate::lock::ReleaseError> {
    let signed = file.verify(suite, search.keyring, search.at)?;
    // Another archive of the same name, signed by another key, has its own history.
    let stored = remembered.filter(|known| known.signer == signed.signer()).map(|known| known.date);
    let locked = search
        .previous
        .filter(|lock| lock.distribution == distribution_name(search.distribution.name))
        .and_then(|lock| lock.suites.iter().find(|locked| locked.suite == suite))
        .map(|locked| locked.date);
    signed.accept(&Expectation {
        suite,
        architecture: &search.distribution.architecture,
        components: &search.distribution.components,
        now: search.now,
        // A snapshot is old by intention.
        newest_seen: if search.distribution.snapshot.is_some() { None } else { stored.max(locked) },
    })
}

/// The release itself and its pockets, in the order in which equal versions are taken.
fn suites(distribution: &Distribution) -> Vec<String> {
    let mut suites = vec![distribution.codename.clone()];
    suites.extend(distribution.pockets.iter().map(|pocket| format!("{}-{pocket}", distribution.codename)));
    suites
}

fn remembered_name(distribution: &Distribution, suite: &str) -> String {
    let snapshot = distribution.snapshot.as_deref().unwrap_or("current");
    let name = format!("{}-{suite}-{snapshot}.toml", distribution_name(distribution.name));
    name.replace(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c)), "_")
}

/// "20260912T000000Z".
fn snapshot_time(id: &str) -> Option<Epoch> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", id).ok()?;
    let seconds = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    u32::try_from(seconds).ok().map(Epoch)
}
