//! The seed medium's file, which holds secrets: made for its owner only, overwritten before it goes.
//!
//! A medium that was wiped while its machine runs stays as a file of zeros: the running machine's configuration, which Workstation holds in
//! memory and writes back when the machine stops, still names it, and a power-on without it would stop at a question. The next
//! configuration drops it and removes the file. A file of zeros is no seed medium, to whoever looks for secrets as well as to the guest.
//! Overwriting in place also works where Workstation on Windows holds the file open, and reaches what is read through that. File
//! systems that write elsewhere (btrfs, ZFS, snapshots) and flash may keep the old blocks: then the secrets are as safe as the disk is.
//!
//! "For its owner only" is what the file system makes of it. A drive of Windows, as WSL mounts it unless /etc/wsl.conf says `metadata`, takes
//! the mode without an error and keeps none: there the file has the access list that the directory in Windows hands down, and whoever
//! else may read that directory may read the medium until it is wiped. Refusing would leave no place at all in WSL's default, since
//! Workstation on Windows needs such a drive: choose a directory below one's own profile (`/mnt/c/Users/NAME/vm`), which Windows keeps to
//! its owner and administrators.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc::O_NOFOLLOW;

use super::super::error::{DeployError, at};
use super::layout::{create_private, part, remove_file, sync_directory};

/// Puts a medium in its place. A former one is overwritten first.
pub(super) fn write(path: &Path, image: &[u8]) -> Result<(), DeployError> {
    let aside = part(path);
    destroy(&aside)?;
    blank(path)?;
    let mut file = create_private(&aside).map_err(at("write", &aside))?;
    file.write_all(image).and_then(|()| file.sync_all()).map_err(at("write", &aside))?;
    drop(file);
    match fs::rename(&aside, path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        // Windows renames nothing over a file that a machine has open.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ResourceBusy) => {
            let mut file = open(path).map_err(at("write", path))?;
            let written = file.write_all(image).and_then(|()| file.set_len(image.len() as u64));
            written.and_then(|()| file.sync_all()).map_err(at("write", path))?;
            destroy(&aside)
        }
        Err(error) => Err(DeployError::io("write", path, &error)),
    }
}

/// Whether there is anything but zeros in the medium, or in one that was not finished.
pub(super) fn is_there(path: &Path) -> Result<bool, DeployError> {
    Ok(holds_anything(path)? || holds_anything(&part(path))?)
}

/// Overwrites the medium where it is; the file stays, with its length.
pub(super) fn wipe(path: &Path) -> Result<(), DeployError> {
    destroy(&part(path))?;
    blank(path)
}

/// Overwrites and removes the medium.
pub(super) fn remove(path: &Path) -> Result<(), DeployError> {
    destroy(&part(path))?;
    destroy(path)
}

fn destroy(path: &Path) -> Result<(), DeployError> {
    blank(path)?;
    remove_file(path)
}

fn blank(path: &Path) -> Result<(), DeployError> {
    let overwritten = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
        Ok(mut file) => file.metadata().and_then(|metadata| {
            io::copy(&mut io::repeat(0).take(metadata.len()), &mut file)?;
            file.sync_all()
        }),
    };
    overwritten.map_err(at("overwrite", path))
}

/// For writing in place; not through a link, which might lead to a file of somebody else.
fn open(path: &Path) -> io::Result<File> {
    File::options().write(true).custom_flags(O_NOFOLLOW).open(path)
}

fn holds_anything(path: &Path) -> Result<bool, DeployError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(at("read", path))?,
    };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).map_err(at("read", path))? {
            0 => return Ok(false),
            length if buffer[..length].iter().any(|byte| *byte != 0) => return Ok(true),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_medium_comes_and_goes() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("seed.iso");
        assert!(!is_there(&path).unwrap());
        write(&path, b"secret").unwrap();
        assert!(is_there(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        wipe(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), [0; 6]);
        assert!(!is_there(&path).unwrap());
        wipe(&path).unwrap();
        write(&path, b"another one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"another one");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn whoever_has_it_open_sees_zeros() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("seed.iso");
        write(&path, b"secret").unwrap();
        let mut held = File::open(&path).unwrap();
        write(&path, b"later").unwrap();
        let mut seen = Vec::new();
        held.read_to_end(&mut seen).unwrap();
        assert_eq!(seen, [0; 6]);
    }

    #[test]
    fn what_a_crash_left_is_found_and_wiped() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("seed.iso");
        fs::write(part(&path), "sec").unwrap();
        assert!(is_there(&path).unwrap());
        wipe(&path).unwrap();
        assert!(!is_there(&path).unwrap() && !part(&path).exists());
        fs::write(part(&path), "sec").unwrap();
        write(&path, b"secret").unwrap();
        assert!(!part(&path).exists());
        // Half overwritten.
        fs::write(&path, b"\0\0\0ret").unwrap();
        assert!(is_there(&path).unwrap());
    }
}
