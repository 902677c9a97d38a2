//! Supermicro Update Manager (SUM), for what a board's Redfish cannot do. The program is Supermicro's and comes from the user.
//!
//! ```text
//! GetCurrentBiosCfg ─► Config (xml or text) ─► plan ─► ChangeBiosCfg with what differs, in the format that was read
//! ```
//! Sources: the SUM User's Guide, "BIOS management" and "Exit codes". Invariants: the password is in a file that only this process's
//! user reads, never in argv or the environment; nothing of it is left behind; a menu's setting that could be two is none.

mod config;
mod exit;
mod process;
mod text;
mod xml;

use std::path::PathBuf;

use netboot::Bmc;

use crate::bios::BiosChange;
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::machine::Talk;
pub(crate) use config::Config;
use process::Run;

/// Where the program lies, unpacked with the files that belong beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumTool {
    pub program: PathBuf,
}

/// SUM for one board.
pub(crate) struct Sum<'a> {
    tool: &'a SumTool,
    endpoint: Endpoint,
    credentials: &'a Credentials,
    /// For one run of the program.
    limit: std::time::Duration,
}

impl<'a> Sum<'a> {
    /// # Errors
    /// The profile has no SUM, or it cannot be used with this BMC.
    pub(crate) fn of(talk: &Talk<'a>) -> Result<Sum<'a>, Error> {
        let machine = talk.machine;
        const WHAT: &str = "be asked by SUM";
        let Some(tool) = &machine.sum else {
            return Err(Error::Input {
                message: "these BIOS settings are for SUM, and there is no SUM".to_owned(),
                help: Some("give the profile Supermicro's archive: [sum] path, sha256".to_owned()),
            });
        };
        if machine.endpoint.port != Bmc::PORT {
            let reason = format!("SUM knows port {} only, and its port is {}", Bmc::PORT, machine.endpoint.port);
            return Err(Error::unsupported(WHAT, reason));
        }
        let limit = machine.patience.busy;
        Ok(Sum { tool, endpoint: machine.endpoint, credentials: &machine.credentials, limit })
    }

    /// What is in force now.
    pub(crate) async fn read(&self) -> Result<Config, Error> {
        const WHAT: &str = "read the BIOS settings";
        let run = Run::prepare(self, "GetCurrentBiosCfg", WHAT)?;
        let file = run.path("current");
        run.go(&file, &["--overwrite"]).await?;
        let bytes = run.take(&file)?;
        Config::parse(&bytes).map_err(|reason| Error::Nonsense {
            endpoint: self.endpoint.to_string(),
            request: "SUM's GetCurrentBiosCfg".to_owned(),
            reason,
        })
    }

    /// Changes these settings of a configuration that was read just now. They are in force after a restart.
    pub(crate) async fn change(&self, config: &Config, changes: &[BiosChange]) -> Result<(), Error> {
        let run = Run::prepare(self, "ChangeBiosCfg", "change the BIOS settings")?;
        let file = run.path("change");
        run.put(&file, &config.change_file(changes)?)?;
        run.go(&file, &[]).await
    }
}

#[cfg(test)]
mod tests;
