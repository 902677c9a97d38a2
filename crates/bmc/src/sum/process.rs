//! One run of the program: its directory, its password, its end.
//!
//! Invariants: the directory is readable by its user only and is removed with [`Run`], whatever happens; the process and all that it
//! started are killed when the time is over, and when nobody waits for it any more.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::exit;
use super::{Sum, config};
use crate::error::Error;

/// Bytes of stdout and of stderr that are kept; the rest is read and dropped.
const KEPT: usize = 256 << 10;

/// Runs of the program at the same time, in this process: each takes as much memory as all the rest.
static RUNS: Semaphore = Semaphore::const_new(2);

/// For a killed process to be gone.
const DYING: std::time::Duration = std::time::Duration::from_secs(2);

/// A private directory with the password in a file, for one command.
pub(super) struct Run<'a> {
    sum: &'a Sum<'a>,
    command: &'static str,
    what: &'static str,
    directory: TempDir,
}

impl<'a> Run<'a> {
    pub(super) fn prepare(sum: &'a Sum<'a>, command: &'static str, what: &'static str) -> Result<Run<'a>, Error> {
        let failed = |error: std::io::Error| Error::Surroundings(format!("a private directory for SUM: {error}"));
        let mut builder = tempfile::Builder::new();
        let directory = builder.prefix("sum-").permissions(Permissions::from_mode(0o700)).tempdir().map_err(failed)?;
        let run = Run { sum, command, what, directory };
        run.put(&run.path("password"), format!("{}\n", sum.credentials.password()).as_bytes())?;
        Ok(run)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file that only its user reads.
    pub(super) fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let written = file.and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| Error::Surroundings(format!("a file for SUM: {error}")))
    }

    /// Reads a file that the program wrote.
    pub(super) fn take(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let failed = |reason: String| Error::Sum { what: self.what.to_owned(), code: 0, said: reason };
        // A link would lead elsewhere.
        let about = fs::symlink_metadata(path).map_err(|_| failed("it wrote no file".to_owned()))?;
        if !about.is_file() || about.len() > config::LONGEST {
            return Err(failed(format!("its file is none of at most {} MiB", config::LONGEST >> 20)));
        }
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(config::LONGEST).read_to_end(&mut bytes));
        read.map_err(|error| failed(error.to_string()))?;
        Ok(bytes)
    }

    /// Runs the command with `--file` until it has ended.
    pub(super) async fn go(&self, file: &Path, more: &[&str]) -> Result<(), Error> {
        let Sum { tool, endpoint, credentials, limit } = self.sum;
        // A closed semaphore there is none: it is never closed.
        let _turn = RUNS.acquire().await.map_err(|error| Error::Surroundings(format!("SUM: {error}")))?;
        // It is started in another directory.
        let program = std::path::absolute(&tool.program).map_err(|error| self.not_started(&error))?;
        let mut command = Command::new(program);
        command.args(["-i", &endpoint.address.to_string(), "-u", credentials.user(), "-f"]);
        command.arg(self.path("password")).args(["-c", self.command, "--file"]).arg(file).args(more);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        // Its journal and settings go where they are removed with the rest.
        command.env("HOME", self.directory.path()).current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ended = async { tokio::join!(child.wait(), kept(stdout), kept(stderr)) };
        let Ok((status, stdout, stderr)) = tokio::time::timeout(*limit, ended).await else {
            drop(group);
            // Its directory goes next, and nothing may write into that any more.
            let _ = tokio::time::timeout(DYING, child.wait()).await;
            return Err(Error::Cut {
                endpoint: endpoint.to_string(),
                request: format!("SUM's {}", self.command),
                reason: format!("it did not end in {} seconds, and was killed", limit.as_secs()),
            });
        };
        // Everything of it has closed its output and the process is reaped: its number may be another's soon.
        group.0 = None;
        let status = status.map_err(|error| Error::Surroundings(format!("SUM: {error}")))?;
        let said = exit::Said::of(&stdout, &stderr);
        match status.code() {
            Some(0) => Ok(()),
            Some(code) => Err(exit::error(code, &said, self.what, &endpoint.to_string())),
            None => Err(Error::Sum { what: self.what.to_owned(), code: -1, said: format!("{status}; {}", said.text) }),
        }
    }

    fn not_started(&self, error: &std::io::Error) -> Error {
        let program = self.sum.tool.program.display();
        let reason = match error.kind() {
            ErrorKind::NotFound => "it is not there".to_owned(),
            _ => error.to_string(),
        };
        Error::Surroundings(format!("SUM cannot be started ({program}): {reason}"))
    }
}

/// The process group of a program that runs; killed with this.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself just now.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Reads to the end, and keeps the beginning.
async fn kept(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let room = KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
    kept
}
