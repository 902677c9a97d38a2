//! provbuild started again inside fresh user, mount, pid, net, ipc and uts namespaces.
//!
//! ```text
//! parent                     child (namespaces)                    grandchild (pid 1, root = tmpfs)
//! spawn self __sandbox  ──►  open the files that it will need
//!                            unshare(user)
//!   write the id maps   ◄──  "map me"
//!                       ──►  become root inside, unshare the rest
//!                            fork, wait                       ──►  mounts, pivot_root, work
//!   events, last word   ◄────────────────────────────────────────
//! ```
//! The root is a tmpfs of the child's own mount namespace: nothing of the tree ever has a name on the host, and when the
//! processes are gone, so is every file, however the build ended.

mod enter;
mod ids;
mod restrict;

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::vocab::Remedy;

pub use enter::{Inside, enter, give_up};
pub use restrict::Restrictions;

/// First argument of provbuild when it is started as the sandbox's inside.
pub const ENTRY: &str = "__sandbox";

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("cannot start {}: {source}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("this user may not create user namespaces: {reason}")]
    Forbidden { reason: String, remedy: String },
    #[error("user '{user}' has no range of 65536 subordinate ids in {file}")]
    NoSubordinateIds { user: String, file: &'static str },
    #[error("{program} failed: {reason}")]
    Mapping { program: &'static str, reason: String },
    #[error("sandbox: {step}: {source}")]
    Setup { step: String, source: io::Error },
    #[error("the sandbox ended without a word ({status})")]
    Died { status: String },
    #[error("the sandbox sent a line that is no message: {line}")]
    Protocol { line: String },
}

impl Remedy for SandboxError {
    fn help(&self) -> Option<String> {
        match self {
            SandboxError::Forbidden { remedy, .. } => Some(remedy.clone()),
            SandboxError::NoSubordinateIds { user, .. } => Some(format!(
                "give the user a range, as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
            )),
            SandboxError::Mapping { program, .. } => {
                Some(format!("install {program} (package uidmap), or run provbuild as root"))
            }
            SandboxError::Setup { step, .. } if step.contains("proc") => {
                Some("a container that masks /proc forbids this: run provbuild outside of it, or unmask /proc".into())
            }
            SandboxError::Died { .. } => {
                Some("the kernel may have ended it for lack of memory (see dmesg): free memory and build again".into())
            }
            _ => None,
        }
    }
}

/// What the inside says, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// The user namespace exists; its id maps are wanted.
    MapMe,
    /// A step of the work begins.
    Step(String),
    /// The work is done.
    Done,
    /// The work failed; the payload is the work's own.
    Failed(serde_json::Value),
    /// The sandbox itself could not be set up.
    Setup { step: String, errno: i32 },
}

/// A running sandbox, seen from outside.
pub struct Sandbox {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Sandbox {
    /// Starts `program` (provbuild itself) inside and hands it a request.
    ///
    /// The caller's thread must live as long as the sandbox: the kernel ends the sandbox when that thread ends.
    pub fn start(program: &Path, request: &impl Serialize) -> Result<Self, SandboxError> {
        let spawn_error = |source| SandboxError::Spawn { program: program.to_owned(), source };
        let mut child = Command::new(program)
            .arg(ENTRY)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(spawn_error)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| spawn_error(io::Error::other("no pipes")))?;
        let mut sandbox = Sandbox { child, stdin, stdout: BufReader::new(stdout) };
        let line = serde_json::to_string(request).map_err(|error| spawn_error(error.into()))?;
        sandbox.say(&line).map_err(spawn_error)?;
        match sandbox.hear()? {
            Message::MapMe => {
                ids::write_maps(sandbox.child.id())?;
                sandbox.say("mapped").map_err(spawn_error)?;
                Ok(sandbox)
            }
            Message::Setup { step, errno } => Err(ids::explain(step, io::Error::from_raw_os_error(errno))),
            other => Err(SandboxError::Protocol { line: format!("{other:?}") }),
        }
    }

    /// Follows the work to its end; `step` hears of each step. `Err(value)` carries the work's own failure.
    pub fn finish(mut self, mut step: impl FnMut(&str)) -> Result<Result<(), serde_json::Value>, SandboxError> {
        let verdict = loop {
            match self.hear()? {
                Message::Step(name) => step(&name),
                Message::Done => break Ok(()),
                Message::Failed(value) => break Err(value),
                Message::Setup { step, errno } => {
                    return Err(ids::explain(step, io::Error::from_raw_os_error(errno)));
                }
                Message::MapMe => return Err(SandboxError::Protocol { line: "map-me twice".into() }),
            }
        };
        self.child.wait().map_err(|source| SandboxError::Setup { step: "wait for the sandbox".into(), source })?;
        Ok(verdict)
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.stdin.write_all(line.as_bytes())?;
        self.stdin.write_all(b"\n")?;
        self.stdin.flush()
    }

    fn hear(&mut self) -> Result<Message, SandboxError> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line) {
            Ok(0) => {
                let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                Err(SandboxError::Died { status })
            }
            Ok(_) => serde_json::from_str(&line).map_err(|_| SandboxError::Protocol { line }),
            Err(source) => Err(SandboxError::Setup { step: "listen to the sandbox".into(), source }),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Ends a sandbox that was given up; one that has ended already makes both calls fail, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
