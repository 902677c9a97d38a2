//! The ways out of the command line: data to stdout, talk to stderr, objects for programs, whole files.
//!
//! Whoever reads may go away at any time (`| head`, a terminal that is closed). That ends the talk and never the work:
//! `print!` and `eprint!` would panic, so that the crate denies them. What cannot be written to stdout for any other
//! reason, a full disk for one, is an error.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::failure::Failure;
use crate::profile::Finding;

/// Writes data to stdout.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// As [`print`]: to the last byte, also where no line ends there.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Surroundings("write to stdout".into(), error))
        }
        _ => Ok(()),
    }
}

/// One object on a line of stdout, for a program. Each has `event`.
pub(super) fn object(object: &Value) -> Result<(), Failure> {
    print(&format!("{object}\n"))
}

/// Writes to stderr.
pub(super) fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// A fault, warning or note of a profile or an inventory, as an object.
pub(super) fn finding(event: &str, finding: &Finding<'_>) -> Value {
    let Finding { path, line, column, message, help } = finding;
    // A path that is no UTF-8 is shown as people see it.
    let path = path.map(|path| path.display().to_string());
    json!({ "event": event, "path": path, "line": line, "column": column, "message": message, "help": help })
}

/// "1 node", "2 nodes".
pub(super) fn counted(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Replaced,
    Refused,
}

/// Writes a file, aside first: who reads the path sees what was there before, or the whole new one. Of `mode` the umask
/// leaves what it does.
pub(super) fn file(path: &Path, bytes: &[u8], mode: u32, existing: Existing) -> io::Result<()> {
    let write = || match existing {
        Existing::Replaced => replace(path, bytes, mode),
        Existing::Refused => aside(path, bytes, mode)?.persist_noclobber(path).map(drop).map_err(|error| error.error),
    };
    // tempfile's own errors name the file aside, which nobody knows and which is gone.
    write().map_err(|error| if error.raw_os_error().is_none() { error.kind().into() } else { error })
}

/// What is no file (a drive with a stick in it, a pipe) is written itself.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(there) if !there.is_file() => {
            let mut there = std::fs::OpenOptions::new().write(true).open(path)?;
            there.write_all(bytes)?;
            return match there.sync_all() {
                // A pipe or a terminal has nothing to sync.
                Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => Ok(()),
                other => other,
            };
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A link stays one: its target is replaced.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    aside(path, bytes, mode)?.persist(path).map(drop).map_err(|error| error.error)
}

fn aside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::metadata(directory)?;
    let mode = Permissions::from_mode(mode);
    let mut file = tempfile::Builder::new().prefix(".provbuild-").permissions(mode).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_links_and_pipes_pipes() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        file(&link, b"new", 0o600, Existing::Replaced).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read(pipe).unwrap()
        });
        file(&pipe, b"new", 0o600, Existing::Replaced).unwrap();
        assert_eq!((reader.join().unwrap(), pipe.metadata().unwrap().is_file()), (b"new".to_vec(), false));
        let refused = file(&target, b"x", 0o666, Existing::Refused).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    }
}
