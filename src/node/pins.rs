//! The certificates that BMCs and the appliance showed when they were seen first, in a file.
//!
//! ```text
//! # a comment
//! 10.0.0.11 SHA256:64 hexadecimal digits
//! 10.0.0.12:8443 SHA256:...
//! https://appliance.example SHA256:...
//! ```
//! Invariants: a line that cannot be read is an error, since what is left out would be trusted anew; lines of others and comments
//! stay; the file is written aside and renamed, under a lock of its own, so that two processes do not lose each other's lines.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bmc::{Fingerprint, PinError, Pins};

/// The record, and what this process has added to it.
#[derive(Debug)]
pub struct PinFile {
    path: PathBuf,
    added: Mutex<Vec<(String, Fingerprint)>>,
}

impl PinFile {
    pub fn new(path: PathBuf) -> Self {
        PinFile { path, added: Mutex::default() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was seen for the first time since this was asked last.
    pub fn take_added(&self) -> Vec<(String, Fingerprint)> {
        std::mem::take(&mut self.added.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leaves an endpoint out from now on; what was kept for it.
    ///
    /// # Errors
    /// The record cannot be read or written.
    pub fn forget(&self, endpoint: &str) -> Result<Option<Fingerprint>, PinError> {
        self.change(|text| {
            let Some(known) = self.find(text, endpoint)? else { return Ok((None, None)) };
            let rest = text.split_inclusive('\n').filter(|line| line.split_whitespace().next() != Some(endpoint));
            Ok((Some(known), Some(rest.collect())))
        })
    }

    fn text(&self) -> Result<String, PinError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(self.failed("read", &error)),
        }
    }

    fn failed(&self, what: &str, error: &dyn std::fmt::Display) -> PinError {
        PinError(format!("cannot {what} {}: {error}", self.path.display()))
    }

    fn find(&self, text: &str, endpoint: &str) -> Result<Option<Fingerprint>, PinError> {
        let mut found = None;
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split_whitespace();
            let Some(name) = words.next().filter(|word| !word.starts_with('#')) else { continue };
            let fingerprint = words.next().and_then(|word| word.parse().ok());
            let Some(fingerprint) = fingerprint.filter(|_| words.next().is_none_or(|word| word.starts_with('#')))
            else {
                return Err(PinError(format!(
                    "{}:{}: not an endpoint and a fingerprint: mend the line, or take it out",
                    self.path.display(),
                    number + 1
                )));
            };
            if name == endpoint {
                found.get_or_insert(fingerprint);
            }
        }
        Ok(found)
    }

    /// `act` is given the text, and gives the new one where it is to change.
    fn change<T>(&self, act: impl FnOnce(&str) -> Result<(T, Option<String>), PinError>) -> Result<T, PinError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let write = |error: io::Error| self.failed("write", &error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(write)?;
        // The file itself is replaced, so its own lock would be that of a file that is gone.
        let mut options = File::options();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(self.path.with_extension("lock")).map_err(write)?;
        lock.lock().map_err(write)?;
        let (result, text) = act(&self.text()?)?;
        if let Some(text) = text {
            let mut file = tempfile::Builder::new()
                .permissions(fs::Permissions::from_mode(0o600))
                .tempfile_in(directory)
                .map_err(write)?;
            file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(write)?;
            file.persist(&self.path).map_err(|error| write(error.error))?;
        }
        drop(lock);
        Ok(result)
    }
}

impl Pins for PinFile {
    fn pinned(&self, endpoint: &str) -> Result<Option<Fingerprint>, PinError> {
        self.find(&self.text()?, endpoint)
    }

    fn pin(&self, endpoint: &str, fingerprint: Fingerprint) -> Result<(), PinError> {
        let added = self.change(|text| {
            if self.find(text, endpoint)?.is_some() {
                return Ok((false, None));
            }
            let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            Ok((true, Some(format!("{text}{gap}{endpoint} {fingerprint}\n"))))
        })?;
        if added {
            self.added.lock().unwrap_or_else(PoisonError::into_inner).push((endpoint.to_owned(), fingerprint));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(text: &str) -> Fingerprint {
        Fingerprint::of(text.as_bytes())
    }

    fn file(directory: &Path) -> PinFile {
        PinFile::new(directory.join("provbuild/bmc-certificates"))
    }

    #[test]
    fn what_was_seen_first_stays_until_it_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let pins = file(directory.path());
        assert_eq!(pins.pinned("10.0.0.1").unwrap(), None);
        pins.pin("10.0.0.1", fingerprint("a")).unwrap();
        pins.pin("10.0.0.1", fingerprint("b")).unwrap();
        assert_eq!(pins.take_added(), [("10.0.0.1".to_owned(), fingerprint("a"))]);
        let again = file(directory.path());
        assert_eq!(again.pinned("10.0.0.1").unwrap(), Some(fingerprint("a")));
        assert_eq!(again.pinned("10.0.0.1:8443").unwrap(), None);
        assert_eq!(again.forget("10.0.0.1").unwrap(), Some(fingerprint("a")));
        assert_eq!(again.forget("10.0.0.1").unwrap(), None);
        assert_eq!(again.pinned("10.0.0.1").unwrap(), None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(again.path()), mode(again.path().parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn comments_and_the_lines_of_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let pins = file(directory.path());
        fs::create_dir(directory.path().join("provbuild")).unwrap();
        let text =
            format!("# rack 4\n10.0.0.1 {}  # replaced in May\n\n10.0.0.2 {}", fingerprint("a"), fingerprint("b"));
        fs::write(pins.path(), &text).unwrap();
        pins.pin("https://appliance.example", fingerprint("c")).unwrap();
        let line = format!("https://appliance.example {}\n", fingerprint("c"));
        assert_eq!(fs::read_to_string(pins.path()).unwrap(), format!("{text}\n{line}"));
        assert_eq!(pins.forget("10.0.0.2").unwrap(), Some(fingerprint("b")));
        let rest = format!("# rack 4\n10.0.0.1 {}  # replaced in May\n\n{line}", fingerprint("a"));
        assert_eq!(fs::read_to_string(pins.path()).unwrap(), rest);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_not_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let pins = file(directory.path());
        fs::create_dir(directory.path().join("provbuild")).unwrap();
        for line in ["10.0.0.1 SHA256:12", "10.0.0.1", "10.0.0.1 SHA1:ab cd"] {
            fs::write(pins.path(), format!("# one\n{line}\n")).unwrap();
            let error = pins.pinned("10.0.0.9").unwrap_err().to_string();
            assert!(error.contains("bmc-certificates:2: "), "{error}");
            assert!(pins.pin("10.0.0.9", fingerprint("a")).is_err());
        }
    }

    #[test]
    fn many_at_once_lose_no_line() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..40 {
                let pins = file(directory.path());
                scope.spawn(move || pins.pin(&format!("10.0.0.{number}"), fingerprint("a")).unwrap());
            }
        });
        assert_eq!(fs::read_to_string(file(directory.path()).path()).unwrap().lines().count(), 40);
    }
}
