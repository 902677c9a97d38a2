//! VMware Workstation on this host, or on the Windows around this WSL.
//!
//! ```text
//! find (vmrun) ─► control: vmrun or vmrest ─┐
//! layout (directory), seed, stage ──────────┤
//! deltas, locks (VMware's files) ───────────┼─► machine: Site
//! vmx (syntax) ─► configuration (keys) ─────┘
//! ```
//! In: the profile's settings and what the process knows of its host. Out: a [`Site`] in `DIR/NAME`.

mod configuration;
mod control;
mod deltas;
mod find;
mod layout;
mod locks;
mod machine;
mod paths;
mod seed;
mod stage;
mod vmrest;
mod vmrun;
mod vmx;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use secrecy::SecretString;

use super::error::{DeployError, Kind};
use super::site::Site;
use crate::exec::vmware::{PathStyle, WSLPATH, translate_path};
use crate::image::LARGEST_WRITABLE_VMDK;
use crate::profile;
use crate::vocab::ByteSize;
use control::{Control, Pace};
pub use find::WINDOWS_VARIABLES;
use find::{Host, Places, find};
use layout::Layout;
pub use locks::boot_time;
use machine::Machine;
use paths::Paths;
use vmrest::Vmrest;
use vmrun::Vmrun;

/// What the profile says, and what the surroundings add to it.
pub struct Workstation<'a> {
    /// Name of the appliance.
    pub name: &'a str,
    pub settings: &'a profile::Workstation,
    pub state_disk: ByteSize,
    /// vmrest's "user:password", where it is configured.
    pub rest_credentials: Option<SecretString>,
    /// Home directory and PATH of whoever deploys.
    pub home: Option<PathBuf>,
    pub path: Option<std::ffi::OsString>,
    /// Text of /proc/sys/kernel/osrelease, in which WSL is recognised.
    pub os_release: Option<String>,
    /// Bytes of /etc/vmware/config, in which Workstation on Linux says where its programs are.
    pub vmware_config: Option<Vec<u8>>,
    /// Values of [`WINDOWS_VARIABLES`], as far as they are set.
    pub windows_variables: BTreeMap<String, String>,
}

impl Workstation<'_> {
    /// Finds Workstation; touches nothing.
    ///
    /// # Errors
    /// It is not there, with every place that was looked at.
    pub fn open(&self) -> Result<Box<dyn Site>, DeployError> {
        self.open_since(None)
    }

    /// As [`Self::open`], on a host that was booted at a known time ([`boot_time`]): VMware's locks on disks that are older are those of a
    /// host that has lost its power, and hold nothing.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_since(&self, booted: Option<SystemTime>) -> Result<Box<dyn Site>, DeployError> {
        if self.state_disk > LARGEST_WRITABLE_VMDK {
            let message = format!("a state disk of {} is too large for VMware Workstation's files", self.state_disk);
            return Err(DeployError::new(Kind::Settings, message)
                .help(format!("set deploy.state-disk to at most {LARGEST_WRITABLE_VMDK}")));
        }
        let host = Host::of(self.os_release.as_deref());
        let layout = Layout::new(&self.directory(host)?, self.name);
        let pace = Pace::default();
        let control = match &self.settings.rest {
            None => {
                let program = self.vmrun(host)?;
                let paths = paths_of(host, Some(&program));
                paths.outward(&layout.root)?;
                Control::Vmrun(Vmrun { program, paths, gui: self.settings.gui, pace })
            }
            Some(rest) => {
                let credentials = self.rest_credentials.as_ref().ok_or_else(|| {
                    DeployError::new(Kind::Settings, "there are no credentials for deploy.workstation.rest")
                })?;
                let paths = paths_of(host, None);
                paths.outward(&layout.root)?;
                Control::Vmrest(Vmrest::new(&rest.url, credentials, paths, self.name, &pace)?)
            }
        };
        let settings = self.settings.clone();
        // WSL is booted, and gets its clock, by itself: that says nothing of Windows' programs.
        let booted = booted.filter(|_| host == Host::Linux);
        Ok(Box::new(Machine { layout, settings, control, pace, booted, lock: None, configured: None }))
    }

    /// What of the settings makes another machine, for [`super::Release::new`].
    pub fn settings(&self) -> String {
        let profile::Workstation { controller, uplink, provisioning, .. } = self.settings;
        format!("workstation {controller:?} {uplink:?} {provisioning:?}")
    }

    fn directory(&self, host: Host) -> Result<PathBuf, DeployError> {
        if let Some(named) = &self.settings.directory {
            return Ok(named.clone());
        }
        let key = "deploy.workstation.directory";
        match (host, &self.home) {
            // Of the user's directories on Windows nothing is known here, and the home of WSL is none that VMware could use.
            (Host::Wsl, _) => Err(DeployError::new(Kind::Settings, format!("{key} is not set, and this is WSL"))
                .help(format!("set {key} to a directory on a drive of Windows, such as \"/mnt/c/vm\""))),
            (_, Some(home)) => Ok(home.join("vmware")),
            (_, None) => Err(DeployError::new(Kind::Settings, format!("{key} is not set, and HOME neither"))),
        }
    }

    fn vmrun(&self, host: Host) -> Result<PathBuf, DeployError> {
        let config = self.vmware_config.as_ref().map(|bytes| vmx::Dictionary::parse(bytes).0);
        let drive = match host {
            // Its place can be changed in /etc/wsl.conf.
            Host::Wsl => translate_path(Path::new(WSLPATH), PathStyle::Linux, "C:\\".as_ref()).ok().flatten(),
            Host::Linux | Host::Windows => None,
        };
        let places = Places {
            host,
            path: self.path.as_deref(),
            variables: &self.windows_variables,
            system_drive: Path::new(drive.as_deref().unwrap_or("/mnt/c")),
            bindir: config.as_ref().and_then(|config| config.get("bindir")),
            exists: &|path| path.is_file(),
        };
        find("vmrun", self.settings.vmrun.as_deref(), &places)
    }
}

/// Programs of Windows take Windows' paths; one of Linux, even inside WSL, takes those of Linux. vmrest is where Workstation is.
fn paths_of(host: Host, program: Option<&Path>) -> Paths {
    let windows = |program: &Path| program.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("exe"));
    match host == Host::Wsl && program.is_none_or(windows) {
        true => Paths::Wsl { wslpath: WSLPATH.into() },
        false => Paths::Native,
    }
}
