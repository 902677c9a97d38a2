//! Programs of VMware Workstation, and WSL's translation of paths for those of Windows.
//!
//! In: a program, its arguments, how long it may take. Out: whether it succeeded and what it said, on either of its outputs: vmrun puts its
//! errors on the standard output. Invariant: a call ends in time, whatever the program does.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::vocab::Remedy;

/// More than this no program of VMware says.
const LONGEST: u64 = 1 << 20;

/// Why a program cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum VmwareError {
    #[error("cannot start {}: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("{} has not ended in {} s, and was ended", program.display(), patience.as_secs())]
    Endless { program: PathBuf, patience: Duration },
    #[error("{}: {source}", program.display())]
    Io { program: PathBuf, source: io::Error },
}

impl Remedy for VmwareError {
    fn help(&self) -> Option<String> {
        match self {
            VmwareError::Endless { .. } => {
                Some("look whether VMware Workstation waits for an answer, or its services do not run".into())
            }
            _ => None,
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub success: bool,
    /// As the system calls its end ("exit status: 255").
    pub status: String,
    pub text: String,
}

/// Runs a program to its end, or to that of the patience with it.
pub fn call(program: &Path, arguments: &[&OsStr], patience: Duration) -> Result<Said, VmwareError> {
    let failed = |source| VmwareError::Io { program: program.to_owned(), source };
    // A file and no pipe: a machine's own process may keep the output open for as long as the machine runs.
    let output = memfd_create(c"said", MFdFlags::MFD_CLOEXEC).map_err(|errno| failed(errno.into()))?;
    let mut output = File::from(output);
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(failed)?)
        .stderr(output.try_clone().map_err(failed)?)
        // Ctrl-C in the terminal is for provbuild, not for the machine that is being started.
        .process_group(0)
        .spawn()
        .map_err(|source| VmwareError::Start { program: program.to_owned(), source })?;
    let status = wait(child, patience).map_err(failed)?;
    let status = status.ok_or_else(|| VmwareError::Endless { program: program.to_owned(), patience })?;
    output.rewind().map_err(failed)?;
    let mut bytes = Vec::new();
    output.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Said {
        success: status.success(),
        status: status.to_string(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// `None`: it had to be killed. What it started itself lives on; that may be a machine.
fn wait(mut child: Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= patience {
            // It may have ended by itself in this moment.
            let _ = child.kill();
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// WSL's translator of paths.
pub const WSLPATH: &str = "wslpath";
const WSLPATH_PATIENCE: Duration = Duration::from_secs(20);

/// The way to a file as Windows has it (`C:\vm`, or `\\wsl.localhost\...`), or back; the file must exist.
pub fn translate_path(wslpath: &Path, to: PathStyle, path: &OsStr) -> Result<Option<String>, VmwareError> {
    let option = match to {
        PathStyle::Windows => "-w",
        PathStyle::Linux => "-u",
    };
    let said = call(wslpath, &[option.as_ref(), path], WSLPATH_PATIENCE)?;
    let text = said.text.trim_end_matches(['\r', '\n']);
    Ok((said.success && !text.is_empty()).then(|| text.to_owned()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathStyle {
    Windows,
    Linux,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> Result<Said, VmwareError> {
        call(Path::new("/bin/sh"), &["-c".as_ref(), script.as_ref()], patience)
    }

    #[test]
    fn both_outputs_are_heard_in_their_order() {
        let said = shell("echo Error: one; echo two >&2; exit 255", Duration::from_secs(20)).unwrap();
        assert_eq!((said.success, said.text.as_str()), (false, "Error: one\ntwo\n"));
        assert!(said.status.contains("255"), "{}", said.status);
    }

    #[test]
    fn a_program_that_never_ends_is_ended() {
        let begun = Instant::now();
        let failed = shell("exec sleep 60", Duration::from_millis(200)).unwrap_err();
        assert!(matches!(failed, VmwareError::Endless { .. }), "{failed}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn what_a_program_leaves_running_does_not_hold_the_call_up() {
        let begun = Instant::now();
        let said = shell("sleep 30 & echo started $!", Duration::from_secs(25)).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20));
        let child = said.text.trim().strip_prefix("started ").unwrap().parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let failed = call(Path::new("/nowhere/vmrun"), &[], Duration::from_secs(1)).unwrap_err();
        assert!(failed.to_string().starts_with("cannot start /nowhere/vmrun: "), "{failed}");
    }
}
