//! The program vmrun, in English as it always speaks.
//!
//! It puts errors on its standard output and ends with 255; what they mean is recognised by parts of them. Its `deleteVM` removes every disk
//! in the machine's file, the state disk with the rest: it is never called.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bmc::plain;

use super::super::error::{DeployError, Kind};
use super::control::{Asked, Pace, usable};
use super::paths::Paths;
use crate::exec::vmware::{Said, VmwareError, call};
use crate::vocab::Remedy as _;

pub(super) struct Vmrun {
    pub(super) program: PathBuf,
    pub(super) paths: Paths,
    /// With the machine's window.
    pub(super) gui: bool,
    pub(super) pace: Pace,
}

impl Vmrun {
    pub(super) fn running(&self, vmx: &Path) -> Result<bool, DeployError> {
        let said = self.say(&["list".as_ref()], self.pace.call).map_err(unasked)?;
        let mut lines = said.text.lines().map(str::trim).filter(|line| !line.is_empty());
        if !said.success || !lines.next().is_some_and(|first| first.starts_with("Total running VMs:")) {
            return Err(refused("list the machines that run", &said));
        }
        for line in lines {
            if self.paths.same(line, vmx)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn start(&self, vmx: &Path) -> Result<(), DeployError> {
        let window = if self.gui { "gui" } else { "nogui" };
        let said = self.on("start", vmx, &[window], self.pace.start)?.map_err(unasked)?;
        if said.success { Ok(()) } else { Err(refused(&format!("start {}", vmx.display()), &said)) }
    }

    /// vmrun waits for the guest.
    pub(super) fn shut_down(&self, vmx: &Path, patience: Duration) -> Result<Asked, DeployError> {
        match self.on("stop", vmx, &["soft"], patience)? {
            Ok(said) if said.success => Ok(Asked::Accepted),
            // It was asked, and takes its time.
            Err(VmwareError::Endless { .. }) => Ok(Asked::Accepted),
            Ok(_) => Ok(Asked::Refused),
            Err(error) => Err(unasked(error)),
        }
    }

    pub(super) fn switch_off(&self, vmx: &Path) -> Result<(), DeployError> {
        let said = self.on("stop", vmx, &["hard"], self.pace.call)?.map_err(unasked)?;
        if said.success { Ok(()) } else { Err(refused(&format!("switch {} off", vmx.display()), &said)) }
    }

    /// Without `-wait`, which waits for ever.
    pub(super) fn address(&self, vmx: &Path) -> Result<Option<IpAddr>, DeployError> {
        let said = self.on("getGuestIPAddress", vmx, &[], self.pace.call)?.map_err(unasked)?;
        if said.success {
            let mut addresses = said.text.lines().filter_map(|line| line.trim().parse().ok());
            return Ok(addresses.next_back().and_then(usable));
        }
        let text = said.text.to_ascii_lowercase();
        // "not powered on" is also said of a machine that another service has not told vmrun about: the caller asks the list.
        let not_yet = ["tools are not running", "unable to get the ip", "not powered on", "unknown"];
        match not_yet.iter().any(|part| text.contains(part)) {
            true => Ok(None),
            false => Err(refused(&format!("tell the address of {}", vmx.display()), &said)),
        }
    }

    pub(super) fn eject(&self, vmx: &Path, device: &str) {
        // Some versions take only USB devices here. The medium's bytes are overwritten all the same.
        let _ = self.on("disconnectNamedDevice", vmx, &[device], self.pace.call.min(Duration::from_secs(20)));
    }

    fn on(
        &self,
        verb: &str,
        vmx: &Path,
        rest: &[&str],
        patience: Duration,
    ) -> Result<Result<Said, VmwareError>, DeployError> {
        let vmx = self.paths.outward(vmx)?;
        let words: Vec<&OsStr> = [OsStr::new(verb), &vmx].into_iter().chain(rest.iter().map(OsStr::new)).collect();
        Ok(self.say(&words, patience))
    }

    fn say(&self, words: &[&OsStr], patience: Duration) -> Result<Said, VmwareError> {
        let words: Vec<&OsStr> = ["-T", "ws"].into_iter().map(OsStr::new).chain(words.iter().copied()).collect();
        call(&self.program, &words, patience)
    }
}

fn unasked(error: VmwareError) -> DeployError {
    let help = error.help();
    let failed = DeployError::new(Kind::Hypervisor, plain(&error.to_string()));
    match help {
        Some(help) => failed.help(help),
        None => failed,
    }
}

/// What vmrun says, made harmless and one line.
fn refused(what: &str, said: &Said) -> DeployError {
    let text = plain(&said.text);
    let text = text.strip_prefix("Error: ").unwrap_or(&text);
    let text = if text.is_empty() { &said.status } else { text };
    let failed = DeployError::new(Kind::Hypervisor, format!("vmrun cannot {what}: {text}"));
    let lower = text.to_ascii_lowercase();
    if lower.contains("already in use") || lower.contains("lock") {
        return failed.help("another VMware program, or another user's, has the machine; close it there");
    }
    if lower.contains("cannot open vm") || lower.contains("cannot be found") {
        return failed.help("look at vmware.log beside the machine's file");
    }
    failed
}
