//! Reading and writing single files of the tree after packages' scripts have run.
//!
//! A script may have put a link where a file was, and the process that comes after it holds files of the host open: a
//! link to /proc/self/fd would hand them over. So nothing here follows a magic link, and a file is replaced by rename, never
//! written through its old name.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};

use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

/// Reads a regular file. Ordinary links are followed: they cannot leave the tree.
pub(super) fn read(path: &str) -> io::Result<Vec<u8>> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let mut file = File::from(openat2(AT_FDCWD, path, how)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(format!("{path} is no regular file")));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a file of these bytes in place of whatever has the name; `adjust` sets owner, mode and times before it appears.
pub(super) fn replace(path: &str, bytes: &[u8], adjust: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let aside = format!("{path}.provbuild");
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    adjust(&file)?;
    fs::rename(&aside, path)
}

/// [`replace`] that keeps owner, mode and time of the file that is there.
pub(super) fn rewrite(path: &str, bytes: &[u8]) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    replace(path, bytes, |file| keep(file, &meta))
}

/// Gives a file the owner, mode and modification time of another one.
pub(super) fn keep(file: &File, meta: &fs::Metadata) -> io::Result<()> {
    fchown(file, Some(meta.uid()), Some(meta.gid()))?;
    file.set_permissions(fs::Permissions::from_mode(meta.mode() & 0o7777))?;
    file.set_modified(meta.modified()?)
}

/// [`replace`] with a mode, owned by root.
pub(super) fn write(path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, |file| file.set_permissions(fs::Permissions::from_mode(mode)))
}
