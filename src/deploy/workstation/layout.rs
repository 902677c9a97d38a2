//! The directory of a deployment, and files that are there whole or not at all.
//!
//! ```text
//! DIR/NAME/
//!   NAME.vmx          the machine; Workstation puts files of its own beside it
//!   deployment.json   the record
//!   .lock             held by whoever deploys
//!   state.vmdk        the state disk
//!   seed.iso          the seed medium, until it is wiped
//!   generations/N/    system.vmdk and base.vmx of one build
//! ```
//! What is called *.part is half made and nobody's; *.gone is half removed. Both are done anew by the next who comes.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};

use super::super::error::{DeployError, Kind, at};

/// System disk and configuration inside a generation's directory.
pub(super) const SYSTEM: &str = "system.vmdk";
pub(super) const BASE: &str = "base.vmx";
/// The files that NAME.vmx names, below its directory.
pub(super) const STATE: &str = "state.vmdk";
pub(super) const SEED: &str = "seed.iso";

#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) root: PathBuf,
    pub(super) name: String,
}

impl Layout {
    pub(super) fn new(directory: &Path, name: &str) -> Self {
        Layout { root: directory.join(name), name: name.to_owned() }
    }

    pub(super) fn vmx(&self) -> PathBuf {
        self.root.join(format!("{}.vmx", self.name))
    }

    pub(super) fn record(&self) -> PathBuf {
        self.root.join("deployment.json")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join(".lock")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.root.join(STATE)
    }

    pub(super) fn seed(&self) -> PathBuf {
        self.root.join(SEED)
    }

    pub(super) fn generations(&self) -> PathBuf {
        self.root.join("generations")
    }

    pub(super) fn generation(&self, number: u32) -> PathBuf {
        self.generations().join(number.to_string())
    }

    /// The system disk as NAME.vmx names it: relative, with the slashes that Windows takes as well.
    pub(super) fn system_in_vmx(number: u32) -> String {
        format!("generations/{number}/{SYSTEM}")
    }

    /// The generation whose system disk a .vmx file names; Workstation may have made its own kind of slashes of it, or the whole path.
    pub(super) fn generation_of(&self, file_name: &str) -> Option<u32> {
        let path = file_name.replace('\\', "/");
        let mut parts = path.rsplit('/');
        let (system, number, generations) = (parts.next()?, parts.next()?, parts.next()?);
        let number = number.parse::<u32>().ok().filter(|parsed| parsed.to_string() == number)?;
        let in_place = match parts.next() {
            None | Some(".") => true,
            // An absolute path is this deployment's only below its own directory.
            Some(root) => root.eq_ignore_ascii_case(&self.name),
        };
        (system == SYSTEM && generations == "generations" && in_place).then_some(number)
    }

    /// Numbers of the generations that are there whole, ascending.
    pub(super) fn staged(&self) -> Result<Vec<u32>, DeployError> {
        let mut found = Vec::new();
        for name in names(&self.generations())? {
            let number = name.parse::<u32>().ok().filter(|number| number.to_string() == name);
            found.extend(number.filter(|number| self.is_staged(*number)));
        }
        found.sort_unstable();
        Ok(found)
    }

    pub(super) fn is_staged(&self, number: u32) -> bool {
        let directory = self.generation(number);
        directory.join(SYSTEM).is_file() && directory.join(BASE).is_file()
    }
}

/// Names in a directory, sorted; none where there is no directory.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, DeployError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(at("read", directory))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(at("read", directory))?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// As [`names`], of what may go or be no directory while it is looked at, as VMware's locks.
pub(super) fn names_in(directory: &Path) -> Result<Vec<String>, DeployError> {
    match directory.is_dir() {
        true => names(directory),
        false => Ok(Vec::new()),
    }
}

/// Every directory with disks in it: the deployment's own, and each generation's.
pub(super) fn directories(layout: &Layout) -> Result<Vec<PathBuf>, DeployError> {
    let generations = layout.generations();
    let below = names_in(&generations)?.into_iter().map(|name| generations.join(name));
    Ok([layout.root.clone()].into_iter().chain(below).collect())
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn part(path: &Path) -> PathBuf {
    with_suffix(path, ".part")
}

/// A directory for nobody but its owner, with those above it: disks hold what secrets protect.
pub(super) fn make_directory(path: &Path) -> Result<(), DeployError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("make the directory", path))
}

/// A new file for nobody but its owner.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// What is renamed or removed in a directory is so on the disk, too.
pub(super) fn sync_directory(path: &Path) -> Result<(), DeployError> {
    match File::open(path).and_then(|directory| directory.sync_all()) {
        // Drives of Windows have no such thing.
        Err(error) if matches!(error.raw_os_error(), Some(code) if unsupported(Errno::from_raw(code))) => Ok(()),
        result => result.map_err(at("write", path)),
    }
}

/// Writes a file beside its place, and puts it there when it is on the disk.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DeployError> {
    let aside = part(path);
    remove_file(&aside)?;
    let mut file = create_private(&aside).map_err(at("write", &aside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at("write", &aside))?;
    drop(file);
    fs::rename(&aside, path).map_err(at("write", path))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Removes a file, if it is there.
pub(super) fn remove_file(path: &Path) -> Result<(), DeployError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(at("remove", path)),
    }
}

/// Removes a directory with everything in it, if it is there: under another name first, so that half of it is never taken for the whole.
pub(super) fn remove_directory(path: &Path) -> Result<(), DeployError> {
    let gone = with_suffix(path, ".gone");
    remove_tree(&gone)?;
    match fs::rename(path, &gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(at("remove", path))?,
    }
    path.parent().map_or(Ok(()), sync_directory)?;
    remove_tree(&gone)
}

pub(super) fn remove_tree(path: &Path) -> Result<(), DeployError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(at("remove", path)),
    }
}

fn unsupported(errno: Errno) -> bool {
    matches!(errno, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM | Errno::ENOTTY | Errno::EISDIR)
}

/// Gives a finished file its name, unless something has it: that stays as it is.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<(), DeployError> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => Ok(()),
        // A file system that cannot do this (shared folders, drives of Windows in WSL) may know links, which replace nothing either.
        Err(errno) if unsupported(errno) => match fs::hard_link(from, to) {
            Ok(()) => remove_file(from),
            // Nor links. Nobody but the holder of the lock makes this file.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !to.exists() => {
                fs::rename(from, to).map_err(at("write", to))
            }
            Err(error) => Err(DeployError::io("write", to, &error)),
        },
        Err(errno) => Err(DeployError::io("write", to, &errno.into())),
    }
}

/// The deployment, for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Flock<File>,
}

impl Lock {
    pub(super) fn take(layout: &Layout) -> Result<Self, DeployError> {
        let path = layout.lock();
        loop {
            make_directory(&layout.root)?;
            let open = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
            let file = match open {
                // Somebody has removed the whole deployment between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file.map_err(at("open", &path))?,
            };
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((_, Errno::EWOULDBLOCK)) => {
                    let message = format!("another provbuild deploys to {}", layout.root.display());
                    return Err(DeployError::new(Kind::Io, message).help("wait for it to finish"));
                }
                Err((_, errno)) => return Err(DeployError::io("lock", &path, &errno.into())),
            };
            // A lock on a file that has no name any more keeps nobody out.
            let held = file.metadata().map_err(at("read", &path))?;
            match fs::metadata(&path) {
                Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => return Ok(Lock { _file: file }),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(DeployError::io("read", &path, &error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn scratch() -> (tempfile::TempDir, Layout) {
        let scratch = tempfile::tempdir().unwrap();
        let layout = Layout::new(scratch.path(), "lab");
        (scratch, layout)
    }

    #[test]
    fn one_at_a_time() {
        let (_scratch, layout) = scratch();
        let first = Lock::take(&layout).unwrap();
        let refused = Lock::take(&layout).unwrap_err();
        assert_eq!(refused.message, format!("another provbuild deploys to {}", layout.root.display()));
        drop(first);
        Lock::take(&layout).unwrap();
    }

    #[test]
    fn a_lock_that_was_removed_is_made_anew() {
        let (_scratch, layout) = scratch();
        let old = Lock::take(&layout).unwrap();
        fs::remove_dir_all(&layout.root).unwrap();
        let _new = Lock::take(&layout).unwrap();
        drop(old);
        Lock::take(&layout).unwrap_err();
    }

    #[test]
    fn nothing_is_renamed_over_a_file() {
        let (scratch, _) = scratch();
        let (from, to) = (scratch.path().join("a.part"), scratch.path().join("a"));
        fs::write(&from, "new").unwrap();
        rename_new(&from, &to).unwrap();
        fs::write(&from, "newer").unwrap();
        rename_new(&from, &to).unwrap_err();
        assert_eq!(fs::read_to_string(&to).unwrap(), "new");
    }

    #[test]
    fn files_are_written_whole_and_for_their_owner() {
        let (scratch, _) = scratch();
        let path = scratch.path().join("a");
        fs::write(part(&path), "half of something").unwrap();
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!part(&path).exists());
    }

    #[test]
    fn only_whole_generations_count() {
        let (_scratch, layout) = scratch();
        for name in ["10", "2", "2.part", "3", "04", "x"] {
            let directory = layout.generations().join(name);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(SYSTEM), "").unwrap();
            if name != "3" {
                fs::write(directory.join(BASE), "").unwrap();
            }
        }
        assert_eq!(layout.staged().unwrap(), [2, 10]);
    }

    #[test]
    fn a_system_disk_is_known_by_its_path() {
        let (_scratch, layout) = scratch();
        assert_eq!(layout.generation_of(&Layout::system_in_vmx(12)), Some(12));
        assert_eq!(layout.generation_of("generations\\3\\system.vmdk"), Some(3));
        assert_eq!(layout.generation_of("C:\\vm\\lab\\generations\\3\\system.vmdk"), Some(3));
        for other in
            ["generations/03/system.vmdk", "generations/3/system-000001.vmdk", "/vm/x/generations/3/system.vmdk", ""]
        {
            assert_eq!(layout.generation_of(other), None, "{other}");
        }
    }
}
