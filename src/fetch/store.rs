//! The store: everything that was downloaded or computed, under the digest of its content or of its inputs.
//!
//! ```text
//! ROOT/format                   "provbuild store 1"
//!      lock                     flock: shared by every user of the store, exclusive for cleaning up
//!      objects/ab/abcd...       files by SHA-256, read-only
//!      partial/abcd...          downloads under way, one per digest, kept for resuming; locked by their writer
//!      indices/NAME             the last verified index set of a suite
//!      stages/KEY/              results of build stages, by the digest of their inputs
//!      tmp/                     being written; of no value after a crash
//! ```
//!
//! Invariants: a name below `objects` or `stages` appears by rename, when its content is complete and verified, so a
//! process may be killed at any moment, and two may work at once. There is no fsync: after a power cut an object can be
//! short; its size is checked at every use and `verify` checks digests.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::error::FetchError;
use crate::vocab::Digest;

const FORMAT: &str = "provbuild store 1";

/// An open store. It may be used from several threads.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Held shared as long as the store is open: nobody cleans up under a running build.
    _users: Flock<File>,
}

impl Store {
    /// Opens the store, makes it where there is none, and removes what killed processes left behind.
    pub fn open(root: &Path) -> Result<Store, FetchError> {
        fs::create_dir_all(root).map_err(FetchError::io("create", root))?;
        let format = root.join("format");
        match fs::read_to_string(&format) {
            Ok(found) if found.trim_end() == FORMAT => {}
            Ok(found) if !found.is_empty() => {
                let (path, found) = (root.to_owned(), found.trim_end().chars().take(40).collect());
                return Err(FetchError::StoreFormat { path, found, supported: FORMAT });
            }
            // Empty: somebody was killed just here, or is writing it now.
            Ok(_) => write_aside(&format, FORMAT)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let ours = ["lock", "format.new"];
                let mut entries = fs::read_dir(root).map_err(FetchError::io("read", root))?;
                let foreign = entries.any(|entry| {
                    entry.is_ok_and(|entry| {
                        !ours.iter().any(|name| entry.file_name().to_string_lossy().starts_with(name))
                    })
                });
                // Another process may have made the store since the look at `format`.
                if foreign && !format.exists() {
                    return Err(FetchError::NotAStore(root.to_owned()));
                }
                write_aside(&format, FORMAT)?;
            }
            Err(error) => return Err(FetchError::io("read", format)(error)),
        }
        for name in ["objects", "partial", "indices", "stages", "tmp"] {
            let path = root.join(name);
            fs::create_dir_all(&path).map_err(FetchError::io("create", path))?;
        }
        let path = root.join("lock");
        let open = || {
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(FetchError::io("open", &path))
        };
        if let Ok(alone) = Flock::lock(open()?, FlockArg::LockExclusiveNonblock) {
            clear(&root.join("tmp"))?;
            drop(alone);
        }
        let users = Flock::lock(open()?, FlockArg::LockShared)
            .map_err(|(_, errno)| FetchError::io("lock", &path)(errno.into()))?;
        Ok(Store { root: root.to_owned(), _users: users })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where an object lies, if it is there.
    pub fn object(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.object_path(digest);
        path.is_file().then_some(path)
    }

    /// As [`Store::object`], for a known size in bytes: an object of another size is damaged and counts as absent.
    pub fn object_of_size(&self, digest: &Digest, size: u64) -> Option<PathBuf> {
        let path = self.object_path(digest);
        let meta = fs::metadata(&path).ok()?;
        (meta.is_file() && meta.len() == size).then_some(path)
    }

    fn object_path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join("objects").join(&name[..2]).join(name)
    }

    /// Adds bytes from memory.
    pub fn add(&self, bytes: &[u8]) -> Result<Digest, FetchError> {
        let digest = Digest::of(bytes);
        if self.object_of_size(&digest, bytes.len() as u64).is_none() {
            let tmp = self.temporary_file()?;
            let (mut file, path) = tmp.into_parts();
            file.write_all(bytes).map_err(FetchError::io("write", path.to_path_buf()))?;
            drop(file);
            self.adopt(&path, &digest)?;
        }
        Ok(digest)
    }

    /// Gives a complete, verified file on the store's file system its name among the objects.
    pub(super) fn adopt(&self, file: &Path, digest: &Digest) -> Result<PathBuf, FetchError> {
        let path = self.object_path(digest);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(FetchError::io("create", parent))?;
        }
        fs::set_permissions(file, fs::Permissions::from_mode(0o444)).map_err(FetchError::io("change mode of", file))?;
        fs::rename(file, &path).map_err(FetchError::io("rename", file))?;
        Ok(path)
    }

    /// A file in `tmp/`, removed when it is dropped.
    pub fn temporary_file(&self) -> Result<tempfile::NamedTempFile, FetchError> {
        let tmp = self.root.join("tmp");
        tempfile::NamedTempFile::new_in(&tmp).map_err(FetchError::io("create a file in", tmp))
    }

    /// An empty directory in `tmp/`, removed when it is dropped.
    pub fn temporary_dir(&self) -> Result<tempfile::TempDir, FetchError> {
        let tmp = self.root.join("tmp");
        tempfile::TempDir::new_in(&tmp).map_err(FetchError::io("create a directory in", tmp))
    }

    /// Result directory of a stage, if the stage was completed for this key.
    pub fn stage_dir(&self, key: &Digest) -> Option<PathBuf> {
        let path = self.root.join("stages").join(key.to_string());
        path.is_dir().then_some(path)
    }

    /// Runs a stage unless its result is there: `work` fills an empty directory, which then gets the key's name.
    ///
    /// Two processes with the same key do not work twice: the second waits for the first. The answer says whether the
    /// result was there before.
    pub fn stage<E: From<FetchError>>(
        &self,
        key: &Digest,
        work: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(PathBuf, bool), E> {
        if let Some(path) = self.stage_dir(key) {
            return Ok((path, true));
        }
        let _turn = self.turn(&format!("stage-{key}"))?;
        if let Some(path) = self.stage_dir(key) {
            return Ok((path, true));
        }
        let dir = self.temporary_dir()?;
        work(dir.path())?;
        let path = self.root.join("stages").join(key.to_string());
        // tempfile makes directories for the owner alone; the rename takes the mode along.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))
            .and_then(|()| fs::rename(dir.path(), &path))
            .map_err(FetchError::io("rename", dir.path()))?;
        // The name that `dir` would remove is gone; forget it without a look at the disk.
        let _ = dir.keep();
        Ok((path, false))
    }

    /// Waits for the right to do the thing of that name; given back on drop.
    pub(super) fn turn(&self, name: &str) -> Result<Flock<File>, FetchError> {
        let path = self.root.join("partial").join(format!("{name}.lock"));
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(FetchError::io("open", &path))?;
            match Flock::lock(file, FlockArg::LockExclusive) {
                Ok(lock) => return Ok(lock),
                Err((_, nix::errno::Errno::EINTR)) => {}
                Err((_, errno)) => return Err(FetchError::io("lock", &path)(errno.into())),
            }
        }
    }

    pub(super) fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(digest.to_string())
    }

    /// Text kept under a name (`indices/`), written aside.
    pub fn remember(&self, name: &str, text: &str) -> Result<(), FetchError> {
        let path = self.root.join("indices").join(name);
        let tmp = self.temporary_file()?;
        fs::write(tmp.path(), text).map_err(FetchError::io("write", tmp.path()))?;
        tmp.persist(&path).map_err(|error| FetchError::io("rename", path)(error.error))?;
        Ok(())
    }

    /// What was kept under a name.
    pub fn recall(&self, name: &str) -> Result<Option<String>, FetchError> {
        let path = self.root.join("indices").join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FetchError::io("read", path)(error)),
        }
    }

    /// Reads every object; damaged ones are removed (they will be fetched again) and named.
    pub fn verify(&self) -> Result<Vec<Digest>, FetchError> {
        let mut damaged = Vec::new();
        for (digest, path) in self.objects()? {
            let mut file = File::open(&path).map_err(FetchError::io("open", &path))?;
            let (found, _) = Digest::of_reader(&mut file).map_err(FetchError::io("read", &path))?;
            if found != digest {
                fs::remove_file(&path).map_err(FetchError::io("remove", &path))?;
                damaged.push(digest);
            }
        }
        Ok(damaged)
    }

    /// Removes objects and stages that `keep` does not want, unfinished downloads and leftovers. The answer is the
    /// number of bytes of objects that were freed; `None` when another process uses the store.
    pub fn gc(self, keep: &dyn Fn(&Digest) -> bool) -> Result<Option<u64>, FetchError> {
        let root = self.root.clone();
        let path = root.join("lock");
        drop(self);
        let file = OpenOptions::new().write(true).open(&path).map_err(FetchError::io("open", &path))?;
        let Ok(_alone) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
            return Ok(None);
        };
        let mut freed = 0;
        for (digest, path) in objects_below(&root)? {
            if !keep(&digest) {
                freed += fs::metadata(&path).map_err(FetchError::io("read", &path))?.len();
                fs::remove_file(&path).map_err(FetchError::io("remove", &path))?;
            }
        }
        for entry in list(&root.join("stages"))? {
            let wanted = entry.file_name().and_then(|name| name.to_str()?.parse().ok()).is_some_and(|key| keep(&key));
            if !wanted {
                remove(&entry)?;
            }
        }
        clear(&root.join("tmp"))?;
        clear(&root.join("partial"))?;
        Ok(Some(freed))
    }

    fn objects(&self) -> Result<Vec<(Digest, PathBuf)>, FetchError> {
        objects_below(&self.root)
    }
}

fn objects_below(root: &Path) -> Result<Vec<(Digest, PathBuf)>, FetchError> {
    let mut found = Vec::new();
    for shelf in list(&root.join("objects"))? {
        for path in list(&shelf)? {
            if let Some(digest) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) {
                found.push((digest, path));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, FetchError> {
    let entries = fs::read_dir(dir).map_err(FetchError::io("read", dir))?;
    entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>().map_err(FetchError::io("read", dir))
}

fn clear(dir: &Path) -> Result<(), FetchError> {
    list(dir)?.iter().try_for_each(|path| remove(path))
}

fn remove(path: &Path) -> Result<(), FetchError> {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let result = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FetchError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// For the first file of a store, when there is no `tmp/` yet.
fn write_aside(path: &Path, text: &str) -> Result<(), FetchError> {
    let aside = path.with_extension(format!("new{}", std::process::id()));
    fs::write(&aside, format!("{text}\n")).map_err(FetchError::io("write", &aside))?;
    fs::rename(&aside, path).map_err(FetchError::io("rename", aside))
}
