//! Downloads of files whose digest, and mostly size, are known beforehand.
//!
//! In: a [`Wanted`] file and the mirrors that may have it. Out: an object of the store. Invariants: no more bytes are
//! written than the known size, or than the mirror announces; only a file with the right digest becomes an object; what a broken transfer left is
//! continued, by whoever asks for the same digest next.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use url::Url;

use super::error::{FetchError, MirrorError, Tried};
use super::mirrors::shown;
use super::store::Store;
use super::transport::Transport;
use crate::vocab::{Digest, Event, Hasher, Progress, Stage};

/// Tries per mirror where trying again can help.
const ATTEMPTS: u32 = 3;
/// Pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// Slower than this, over the time that a mirror may be silent, is as good as silent.
const SLOWEST: u64 = 1024;
/// Bytes between two progress events.
const REPORT: u64 = 256 << 10;

/// A file to have.
pub(super) struct Wanted {
    /// For people.
    pub name: String,
    pub sha256: Digest,
    /// Bytes, where they are known beforehand; otherwise the mirror's word holds until the digest decides.
    pub size: Option<u64>,
    /// What else can be said of a file that has another digest.
    pub diagnose: fn(&mut File) -> Option<String>,
    /// Mirrors and paths below them, in order of preference.
    pub sources: Vec<(Url, String)>,
}

impl Wanted {
    fn in_store(&self, store: &Store) -> Option<PathBuf> {
        match self.size {
            Some(size) => store.object_of_size(&self.sha256, size),
            None => store.object(&self.sha256),
        }
    }
}

/// Why a file is not there: mirrors, or this machine.
pub(super) enum Failed {
    Mirrors(Tried),
    Local(FetchError),
}

impl From<FetchError> for Failed {
    fn from(error: FetchError) -> Self {
        Failed::Local(error)
    }
}

pub(super) struct Downloader<'a> {
    pub store: &'a Store,
    pub transport: &'a Transport,
    pub progress: &'a dyn Progress,
    /// Mirrors that did not answer at all: they are asked last from then on.
    silent: Mutex<BTreeSet<String>>,
}

impl<'a> Downloader<'a> {
    pub(super) fn new(store: &'a Store, transport: &'a Transport, progress: &'a dyn Progress) -> Self {
        Downloader { store, transport, progress, silent: Mutex::default() }
    }

    /// Gets all files, at most `jobs` at a time. The answers are in the order of `wanted`; after a failure that would
    /// meet every file (no mirror answers, the disk is full) the rest is not tried and has no answer.
    pub(super) fn all(&self, wanted: &[Wanted], jobs: usize) -> Vec<Option<Result<PathBuf, Failed>>> {
        let bytes = wanted.iter().filter_map(|file| file.size).sum();
        self.progress.event(Event::TransferStarted { stage: Stage::Fetch, files: wanted.len(), bytes });
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let results: Vec<Mutex<Option<Result<PathBuf, Failed>>>> = wanted.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            while !stop.load(Ordering::Relaxed)
                && let Some(file) = wanted.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let result = self.one(file);
                let hopeless = match &result {
                    Ok(_) => false,
                    Err(Failed::Local(_)) => true,
                    Err(Failed::Mirrors(tried)) => !tried.is_about_the_file(),
                };
                if hopeless {
                    stop.store(true, Ordering::Relaxed);
                }
                let at = wanted.iter().position(|other| std::ptr::eq(other, file)).unwrap_or_default();
                *lock(&results[at]) = Some(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..jobs.clamp(1, wanted.len().max(1)) {
                scope.spawn(work);
            }
        });
        self.progress.event(Event::TransferFinished);
        results.into_iter().map(|slot| slot.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())).collect()
    }

    /// Gets one file.
    fn one(&self, wanted: &Wanted) -> Result<PathBuf, Failed> {
        let path = self.store.partial_path(&wanted.sha256);
        let Some(mut file) = self.claim(wanted)? else {
            return Ok(self.store.object(&wanted.sha256).unwrap_or(path));
        };
        let mut sources: Vec<&(Url, String)> = wanted.sources.iter().collect();
        sources.sort_by_key(|(mirror, _)| lock(&self.silent).contains(mirror.as_str()));
        let mut tried = Tried::default();
        for (mirror, remote) in sources {
            let attempts = if mirror.scheme() == "file" { 1 } else { ATTEMPTS };
            let mut attempt = 0;
            loop {
                attempt += 1;
                match self.transfer(&mut file, wanted, mirror, remote)? {
                    Ok(()) => {
                        let object = self.store.adopt(&path, &wanted.sha256)?;
                        let _ = fs::remove_file(validator_path(&path));
                        let bytes = fs::metadata(&object).map_or(0, |meta| meta.len());
                        self.progress.event(Event::TransferFile { name: wanted.name.clone(), bytes });
                        return Ok(object);
                    }
                    Err(error) if error.is_transient() && attempt < attempts => {
                        std::thread::sleep(PAUSE * (1 << (attempt - 1)));
                    }
                    Err(error) => {
                        if matches!(error, MirrorError::Unreachable(_)) {
                            lock(&self.silent).insert(mirror.to_string());
                        }
                        self.progress.note(Stage::Fetch, format!("{}: {} {error}", wanted.name, shown(mirror)));
                        tried.add(mirror, error);
                        break;
                    }
                }
            }
        }
        Err(Failed::Mirrors(tried))
    }

    /// Opens and locks the partial file; `None` when the object is there by now.
    fn claim(&self, wanted: &Wanted) -> Result<Option<Flock<File>>, FetchError> {
        let path = self.store.partial_path(&wanted.sha256);
        loop {
            if wanted.in_store(self.store).is_some() {
                return Ok(None);
            }
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(FetchError::io("open", &path))?;
            let file = match Flock::lock(file, FlockArg::LockExclusive) {
                Ok(file) => file,
                Err((_, nix::errno::Errno::EINTR)) => continue,
                Err((_, errno)) => return Err(FetchError::io("lock", &path)(errno.into())),
            };
            // Whoever held it may have completed it and given it its name meanwhile.
            let ours = file.metadata().map_err(FetchError::io("read", &path))?.ino();
            if fs::metadata(&path).is_ok_and(|there| there.ino() == ours) {
                if wanted.in_store(self.store).is_some() {
                    fs::remove_file(&path).map_err(FetchError::io("remove", &path))?;
                    return Ok(None);
                }
                return Ok(Some(file));
            }
        }
    }

    /// One request to one mirror: continues `file` to the full size and checks its digest.
    fn transfer(
        &self,
        file: &mut File,
        wanted: &Wanted,
        mirror: &Url,
        remote: &str,
    ) -> Result<Result<(), MirrorError>, FetchError> {
        let path = self.store.partial_path(&wanted.sha256);
        let read = || FetchError::io("read", &path);
        let write = || FetchError::io("write", &path);
        let restart = |file: &mut File| -> Result<(), FetchError> {
            file.set_len(0).and_then(|()| file.rewind()).map_err(write())
        };

        let mut have = file.metadata().map_err(read())?.len();
        if wanted.size.is_some_and(|size| have > size) {
            restart(file)?;
            have = 0;
        }
        file.rewind().map_err(read())?;
        let mut hasher = Hasher::new();
        hash_into(&mut hasher, &mut (&mut *file).take(have)).map_err(read())?;
        if have > 0 && wanted.size.is_none_or(|size| have == size) {
            if hasher.clone().finish() == wanted.sha256 {
                return Ok(Ok(()));
            }
            if wanted.size.is_some() {
                restart(file)?;
                (have, hasher) = (0, Hasher::new());
            }
        }
        let resumed_from = have;
        let validator = (have > 0).then(|| recall_validator(&path, mirror)).flatten();
        let answer = match self.transport.open(mirror, remote, have, validator.as_deref())? {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, MirrorError::Status(416)) {
                    // The mirror's file is shorter than what is here: one of the two is wrong.
                    restart(file)?;
                }
                return Ok(Err(error));
            }
        };
        if answer.start == 0 && have > 0 {
            restart(file)?;
            (have, hasher) = (0, Hasher::new());
        }
        if let Some(validator) = &answer.validator {
            fs::write(validator_path(&path), format!("{mirror}\n{validator}\n")).map_err(write())?;
        }
        file.seek(SeekFrom::Start(have)).map_err(write())?;
        // Without any word on the length only the end of the stream tells it.
        let size = wanted.size.or(answer.total);
        if wanted.size.is_none()
            && let Some(size) = size
        {
            self.progress.event(Event::TransferGrew { bytes: size.saturating_sub(have) });
        }

        let mut reader = answer.reader;
        let mut buffer = vec![0; 64 << 10];
        let mut unreported = 0;
        let mut report = |bytes: u64, force: bool| {
            unreported += bytes;
            if unreported >= REPORT || (force && unreported > 0) {
                self.progress.event(Event::TransferAdvanced { bytes: unreported });
                unreported = 0;
            }
        };
        let mut window = (Instant::now(), 0);
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    report(0, true);
                    return Ok(Err(MirrorError::Interrupted { received: have, reason: reason(&error) }));
                }
            };
            if let Some(limit) = size.filter(|size| have + count as u64 > *size) {
                restart(file)?;
                return Ok(Err(MirrorError::TooLarge { limit }));
            }
            file.write_all(&buffer[..count]).map_err(write())?;
            hasher.update(&buffer[..count]);
            have += count as u64;
            report(count as u64, false);
            window.1 += count as u64;
            let patience = self.transport.network().patience();
            if window.0.elapsed() >= patience {
                if window.1 < SLOWEST * patience.as_secs().max(1) && size.is_none_or(|size| have < size) {
                    return Ok(Err(MirrorError::Slow { limit: SLOWEST }));
                }
                window = (Instant::now(), 0);
            }
        }
        report(0, true);
        if let Some(size) = size.filter(|size| have < *size) {
            return Ok(Err(MirrorError::Truncated { found: have, wanted: size }));
        }
        let found = hasher.finish();
        if found == wanted.sha256 {
            return Ok(Ok(()));
        }
        let note = (wanted.diagnose)(file);
        restart(file)?;
        if resumed_from > 0 {
            // The part that was there may have been the bad one.
            return self.transfer(file, wanted, mirror, remote);
        }
        Ok(Err(MirrorError::Altered { found, wanted: wanted.sha256, note }))
    }

    /// A small file without known digest, wholly into memory; at most `limit` bytes.
    pub(super) fn small(
        &self,
        mirror: &Url,
        path: &str,
        limit: u64,
    ) -> Result<Result<Vec<u8>, MirrorError>, FetchError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.transport.open(mirror, path, 0, None)? {
                Err(error) => error,
                Ok(answer) => {
                    let mut bytes = Vec::new();
                    match answer.reader.take(limit + 1).read_to_end(&mut bytes) {
                        Ok(_) if bytes.len() as u64 > limit => return Ok(Err(MirrorError::TooLarge { limit })),
                        Ok(_) => return Ok(Ok(bytes)),
                        Err(error) => MirrorError::Interrupted { received: bytes.len() as u64, reason: reason(&error) },
                    }
                }
            };
            if !error.is_transient() || attempt == ATTEMPTS || mirror.scheme() == "file" {
                return Ok(Err(error));
            }
            std::thread::sleep(PAUSE * (1 << (attempt - 1)));
        }
    }
}

impl Tried {
    /// A mirror that was asked by digest and by name, and has neither, stands here once.
    pub(super) fn add(&mut self, mirror: &Url, error: MirrorError) {
        let mirror = shown(mirror);
        let said = matches!(self.0.last(), Some((last, MirrorError::Missing)) if *last == mirror);
        if !(said && matches!(error, MirrorError::Missing)) {
            self.0.push((mirror, error));
        }
    }

    /// Whether the mirrors work but do not have this one file as it should be.
    fn is_about_the_file(&self) -> bool {
        self.0.iter().any(|(_, error)| {
            matches!(
                error,
                MirrorError::Missing
                    | MirrorError::Altered { .. }
                    | MirrorError::TooLarge { .. }
                    | MirrorError::Truncated { .. }
            )
        })
    }
}

fn hash_into(hasher: &mut Hasher, file: &mut dyn Read) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn validator_path(partial: &std::path::Path) -> PathBuf {
    partial.with_extension("from")
}

/// The validator of the part that is there, if it came from the same mirror: others have other tags.
fn recall_validator(partial: &std::path::Path, mirror: &Url) -> Option<String> {
    let text = fs::read_to_string(validator_path(partial)).ok()?;
    let (from, validator) = text.split_once('\n')?;
    (from == mirror.as_str()).then(|| validator.trim_end().to_owned())
}

fn reason(error: &io::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A poisoned lock holds plain data here; the panic that poisoned it is reported by the scope.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
