//! Starts, stops and asks the machine, by whichever of VMware's two ways.

use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::super::error::{DeployError, Kind};
use super::vmrest::Vmrest;
use super::vmrun::Vmrun;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between two looks.
    pub(super) look: Duration,
    /// A question to VMware.
    pub(super) call: Duration,
    pub(super) start: Duration,
    /// A guest that will not be asked to shut down may still be booting.
    pub(super) deaf: Duration,
    /// From switching off until the machine is off, and its disks are let go.
    pub(super) off: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            look: Duration::from_secs(1),
            call: Duration::from_secs(60),
            start: Duration::from_secs(180),
            deaf: Duration::from_secs(30),
            off: Duration::from_secs(30),
        }
    }
}

/// Whether a guest shuts down now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Accepted,
    /// Its tools do not run, for one.
    Refused,
}

pub(super) enum Control {
    Vmrun(Vmrun),
    Vmrest(Vmrest),
}

impl Control {
    pub(super) fn running(&self, vmx: &Path) -> Result<bool, DeployError> {
        match self {
            Control::Vmrun(vmrun) => vmrun.running(vmx),
            Control::Vmrest(vmrest) => vmrest.running(vmx),
        }
    }

    /// Starts the machine; one that runs is left alone.
    pub(super) fn start(&self, vmx: &Path) -> Result<(), DeployError> {
        if self.running(vmx)? {
            return Ok(());
        }
        let started = match self {
            Control::Vmrun(vmrun) => vmrun.start(vmx),
            Control::Vmrest(vmrest) => vmrest.start(vmx),
        };
        match started {
            // Somebody else has started it meanwhile, or it is slow: its health is looked at anyway.
            Err(_) if self.running(vmx)? => Ok(()),
            started => started,
        }
    }

    /// Asks the guest to shut down, and switches the machine off when the patience is over.
    pub(super) fn stop(&self, vmx: &Path, patience: Duration, pace: &Pace) -> Result<(), DeployError> {
        let begun = Instant::now();
        let mut asked = Asked::Refused;
        while self.running(vmx)? {
            let waited = begun.elapsed();
            if waited >= patience || asked == Asked::Refused && waited >= pace.deaf {
                return self.switch_off(vmx, pace);
            }
            if asked == Asked::Refused {
                asked = match self {
                    Control::Vmrun(vmrun) => vmrun.shut_down(vmx, patience - waited)?,
                    Control::Vmrest(vmrest) => vmrest.shut_down(vmx)?,
                };
                if asked == Asked::Accepted {
                    continue;
                }
            }
            thread::sleep(pace.look);
        }
        Ok(())
    }

    fn switch_off(&self, vmx: &Path, pace: &Pace) -> Result<(), DeployError> {
        let said = match self {
            Control::Vmrun(vmrun) => vmrun.switch_off(vmx),
            Control::Vmrest(vmrest) => vmrest.switch_off(vmx),
        };
        let begun = Instant::now();
        while self.running(vmx)? {
            if begun.elapsed() >= pace.off {
                said?;
                let message = format!("{} still runs, though it was switched off", vmx.display());
                return Err(DeployError::new(Kind::Hypervisor, message).help("switch it off in VMware Workstation"));
            }
            thread::sleep(pace.look);
        }
        // A machine that is off was stopped, whatever was said about it.
        Ok(())
    }

    /// The guest's address; `mac` is of the adapter that is meant, where that can be chosen.
    pub(super) fn address(&self, vmx: &Path, mac: Option<&str>) -> Result<Option<IpAddr>, DeployError> {
        let address = match self {
            Control::Vmrun(vmrun) => vmrun.address(vmx)?,
            Control::Vmrest(vmrest) => vmrest.address(vmx, mac)?,
        };
        match address {
            // No answer, and no machine that could give one.
            None if !self.running(vmx)? => {
                let message = format!("the machine {} has stopped", vmx.display());
                Err(DeployError::new(Kind::Hypervisor, message).help("look at vmware.log beside it"))
            }
            address => Ok(address),
        }
    }

    /// Takes a medium out of a drive of the running machine, as far as that is possible: a guest may hold on to it, and vmrest has no call
    /// for it. The caller does not rely on it.
    pub(super) fn eject(&self, vmx: &Path, device: &str) {
        match self {
            Control::Vmrun(vmrun) => vmrun.eject(vmx, device),
            Control::Vmrest(_) => {}
        }
    }
}

/// An address at which others may reach the guest, out of what the tools say first. They say none of its own loopback.
pub(super) fn usable(address: IpAddr) -> Option<IpAddr> {
    let useless = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local(),
    };
    (!useless).then_some(address)
}
