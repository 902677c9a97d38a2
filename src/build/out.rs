//! `out/NAME`: made aside, then swapped in whole.
//!
//! ```text
//! out/.lock              held while a build writes below out/
//! out/.NAME.new-PID      a build in progress; what a killed build left is removed by the next one
//! out/NAME               the last finished build
//! ```
//! Invariant: `out/NAME` is the complete result of one build at every moment, or absent (a file system that cannot exchange
//! two directories has a moment without one).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};
use serde::{Deserialize, Serialize};

use crate::manifest::Manifest;
use crate::vocab::Digest;

/// The output root, locked against other builds.
pub(super) struct OutRoot {
    root: PathBuf,
    _lock: Flock<File>,
}

/// A path and what went wrong with it.
pub(super) type PathFault = (PathBuf, io::Error);

fn at(path: &Path) -> impl FnOnce(io::Error) -> PathFault {
    let path = path.to_owned();
    move |error| (path, error)
}

impl OutRoot {
    /// Waits for other builds that write below the same root.
    pub(super) fn lock(root: &Path) -> Result<Self, PathFault> {
        fs::create_dir_all(root).map_err(at(root))?;
        let path = root.join(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(at(&path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| (path, errno.into()))?;
        Ok(OutRoot { root: root.to_owned(), _lock: lock })
    }

    /// An empty directory beside the final one; earlier ones of the same name are removed.
    pub(super) fn begin(&self, name: &str) -> Result<Staging, PathFault> {
        let prefix = format!(".{name}.new-");
        for entry in fs::read_dir(&self.root).map_err(at(&self.root))? {
            let path = entry.map_err(at(&self.root))?.path();
            if path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&prefix)) {
                fs::remove_dir_all(&path).map_err(at(&path))?;
            }
        }
        let directory = self.root.join(format!("{prefix}{}", std::process::id()));
        fs::create_dir(&directory).map_err(at(&directory))?;
        Ok(Staging { directory, target: self.root.join(name), done: false })
    }
}

/// A directory that becomes `out/NAME`, or vanishes.
pub(super) struct Staging {
    directory: PathBuf,
    target: PathBuf,
    done: bool,
}

impl Staging {
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Puts the directory in place; a former one is removed after the swap.
    pub(super) fn commit(mut self) -> Result<PathBuf, PathFault> {
        if self.target.exists() {
            match renameat2(AT_FDCWD, &self.directory, AT_FDCWD, &self.target, RenameFlags::RENAME_EXCHANGE) {
                Ok(()) => fs::remove_dir_all(&self.directory).map_err(at(&self.directory))?,
                // Network and shared file systems cannot exchange: the old one goes first.
                Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                    fs::remove_dir_all(&self.target).map_err(at(&self.target))?;
                    fs::rename(&self.directory, &self.target).map_err(at(&self.target))?;
                }
                Err(errno) => return Err((self.target.clone(), errno.into())),
            }
        } else {
            fs::rename(&self.directory, &self.target).map_err(at(&self.target))?;
        }
        self.done = true;
        Ok(self.target.clone())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.done {
            // What cannot be removed now is removed by the next build.
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// What `out/NAME` looked like when it was finished: lets the next build see that nothing was touched, without reading it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    key: Digest,
    /// Host names of the nodes that the boot tree installs.
    #[serde(default)]
    armed: BTreeSet<String>,
    /// Path below the directory, length, modification time in nanoseconds.
    files: Vec<(String, u64, i128)>,
}

impl Stamp {
    /// Looks at the files that the manifest names, and at the manifest itself.
    pub(super) fn of(directory: &Path, manifest: &Manifest, key: Digest, armed: &BTreeSet<String>) -> io::Result<Self> {
        let names = manifest.artifacts.iter().map(|artifact| artifact.file.as_str());
        let files = names.chain([crate::manifest::FILE_NAME]).map(|name| {
            let meta = fs::symlink_metadata(directory.join(name))?;
            let time = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
            Ok((name.to_owned(), meta.len(), time))
        });
        Ok(Stamp { key, armed: armed.clone(), files: files.collect::<io::Result<_>>()? })
    }

    /// Whom the boot tree installs.
    pub(super) fn armed(&self) -> &BTreeSet<String> {
        &self.armed
    }
}
