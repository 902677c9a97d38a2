//! A BMC's user and password: one file for each node, read anew for each operation.
//!
//! In: `SECRETS/bmc/HOSTNAME` with one line `USER:PASSWORD`. Out: [`Credentials`], or an error that names the file. Invariant: nothing of
//! the file is in an error, and a file that others than the daemon may read is not used: the group `provd` is
//! that of the people who use the command line.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use bmc::{Credentials, Kind};

use crate::store::OperationError;

/// Bytes of the longest file.
const LONGEST: u64 = 4096;
/// Opening a pipe would wait for its other end (open(2)).
const O_NONBLOCK: i32 = 0o4000;

pub(super) fn of_node(secrets: &Path, hostname: &str) -> Result<Credentials, OperationError> {
    let path = secrets.join("bmc").join(hostname);
    let name = path.display();
    let remedy = || {
        Some(format!("put one line USER:PASSWORD there: `sudo install -m 0600 -o provd -g provd /dev/stdin {name}`"))
    };
    let file = File::options().read(true).custom_flags(O_NONBLOCK).open(&path);
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            OperationError::new(Kind::Surroundings, format!("{name}: there are no credentials for this BMC"), remedy())
        }
        _ => OperationError::new(Kind::Surroundings, format!("{name}: {error}"), remedy()),
    })?;
    let failed = |error: io::Error| OperationError::surroundings(format!("{name}: {error}"));
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(OperationError::new(Kind::Surroundings, format!("{name}: it is no file"), remedy()));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        let help = format!("sudo chmod 0600 {name}; and change the password, which may be known");
        return Err(OperationError::new(
            Kind::Surroundings,
            format!("{name}: others than the daemon may read it"),
            Some(help),
        ));
    }
    let mut text = String::new();
    let read = file.take(LONGEST + 1).read_to_string(&mut text);
    let bad = |why: &str| OperationError::new(Kind::Surroundings, format!("{name}: {why}"), remedy());
    match read {
        Ok(length) if length as u64 > LONGEST => return Err(bad("it is too long for a user and a password")),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(bad("it is no text")),
        Err(error) => return Err(failed(error)),
    }
    Credentials::parse(&text).map_err(|error| bad(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn fault(content: Option<&[u8]>, mode: u32) -> OperationError {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bmc")).unwrap();
        let path = directory.path().join("bmc/node1");
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let error = of_node(directory.path(), "node1").unwrap_err();
        assert!(error.text.starts_with(&format!("{}: ", path.display())), "{}", error.text);
        error
    }

    #[test]
    fn faults_name_the_file_and_nothing_of_what_is_in_it() {
        for (content, mode, why) in [
            (None, 0, "there are no credentials"),
            (Some(&b"geheim"[..]), 0o600, "no ':'"),
            (Some(b"root:geheim\nmore"), 0o600, "more than one line"),
            (Some(b"root:"), 0o600, "the password is empty"),
            (Some(b":geheim"), 0o600, "name is empty"),
            (Some(b"root:geheim\xff"), 0o600, "it is no text"),
            (Some(b"root:geheim\n"), 0o644, "others than the daemon may read it"),
            (Some(b"root:geheim\n"), 0o601, "others than the daemon may read it"),
            (Some(b"root:geheim\n"), 0o640, "others than the daemon may read it"),
            (Some([b"root:geheim".as_slice(), &[b'x'; 5000]].concat().as_slice()), 0o600, "too long"),
        ] {
            let error = fault(content, mode);
            assert!(error.text.contains(why), "{error:?}");
            assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
            assert!(error.help.is_some());
        }
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bmc")).unwrap();
        symlink("/dev/zero", directory.path().join("bmc/node1")).unwrap();
        assert!(of_node(directory.path(), "node1").unwrap_err().text.contains("it is no file"));
        fs::create_dir(directory.path().join("bmc/node2")).unwrap();
        assert!(of_node(directory.path(), "node2").unwrap_err().text.contains("it is no file"));
    }

    #[test]
    fn one_line_for_the_daemon_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bmc")).unwrap();
        let path = directory.path().join("bmc/node1");
        fs::write(&path, "ada:a:b\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(of_node(directory.path(), "node1").unwrap().user(), "ada");
    }
}
