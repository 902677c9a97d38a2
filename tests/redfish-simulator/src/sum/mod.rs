//! What the STUB of Supermicro's SUM keeps on the disk, for the stub itself and for tests that prepare it and look at it.
//!
//! SUM is proprietary and not here. The stub (`src/bin/stub-sum`) has its command line, exit codes and files, as far as public sources tell
//! them. Input: a directory; output: [`StubSum`]. Invariant: the directory holds all that the stub knows; it talks to no BMC.

mod bios;
mod text;
mod xml;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use bios::{Bios, Constraint, Refusal, Setting};
pub use text::{read as read_text, write as write_text};
pub use xml::{read as read_xml, write as write_xml};

/// A value that a file asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub menu: Vec<String>,
    pub name: String,
    pub order: Option<u32>,
    pub value: String,
    /// As the file says it: `Option`, `CheckBox`, `Numeric`, `String`; text files say none.
    pub kind: Option<String>,
}

/// Format of the BIOS configuration: XML for X11 and later, text before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    #[default]
    Xml,
    Text,
}

/// What the stub is told, in `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub user: String,
    pub password: String,
    /// False: exit code 80.
    pub licensed: bool,
    /// False: exit code 145.
    pub reachable: bool,
    /// Sleeps so long before it does anything.
    pub hang_seconds: u64,
    /// Ends with this exit code instead of doing what it was asked, with an error block; 0: no.
    pub fail: u8,
    /// Changes are accepted, and lost at the reboot.
    pub loses_changes: bool,
    pub format: Format,
    pub bios: Bios,
    /// What the next reboot applies: values by the settings' keys.
    pub pending: std::collections::BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            user: "ADMIN".into(),
            password: "sup3r-s3cret-pw".into(),
            licensed: true,
            reachable: true,
            hang_seconds: 0,
            fail: 0,
            loses_changes: false,
            format: Format::Xml,
            bios: Bios::x11(),
            pending: Default::default(),
        }
    }
}

/// A handle on the stub's directory.
pub struct StubSum {
    directory: PathBuf,
}

impl StubSum {
    /// Environment variable with the directory.
    pub const STATE: &str = "STUB_SUM_STATE";

    pub fn at(directory: &Path) -> StubSum {
        StubSum { directory: directory.into() }
    }

    /// The executable beside the test that runs: `cargo build -p redfish-simulator` with the same profile makes it.
    pub fn executable() -> Option<PathBuf> {
        let own = std::env::current_exe().ok()?;
        own.ancestors().skip(1).take(2).map(|at| at.join("stub-sum")).find(|path| path.is_file())
    }

    /// What the stub is told; the defaults if there is nothing yet.
    ///
    /// # Errors
    /// Where the file cannot be read or is not one of these.
    pub fn settings(&self) -> io::Result<Settings> {
        match fs::read(self.directory.join("state.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Settings::default()),
            Err(error) => Err(error),
        }
    }

    pub fn save(&self, settings: &Settings) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let aside = self.directory.join("state.json.new");
        fs::write(&aside, serde_json::to_vec_pretty(settings).map_err(io::Error::other)?)?;
        fs::rename(aside, self.directory.join("state.json"))
    }

    pub fn change(&self, change: impl FnOnce(&mut Settings)) -> io::Result<()> {
        let mut settings = self.settings()?;
        change(&mut settings);
        self.save(&settings)
    }

    /// The machine reboots: what is pending is applied. Give this to `Simulator::on_boot`.
    pub fn reboot(&self) -> io::Result<()> {
        self.change(|settings| {
            let pending = std::mem::take(&mut settings.pending);
            if settings.loses_changes {
                return;
            }
            for setting in &mut settings.bios.settings {
                if let Some(value) = pending.get(&setting.key()) {
                    setting.value.clone_from(value);
                }
            }
        })
    }

    pub fn record(&self, arguments: &[String]) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let mut log = OpenOptions::new().create(true).append(true).open(self.directory.join("argv.log"))?;
        writeln!(log, "{}", serde_json::to_string(arguments).map_err(io::Error::other)?)
    }

    /// The arguments of each call, oldest first.
    pub fn calls(&self) -> io::Result<Vec<Vec<String>>> {
        match fs::read_to_string(self.directory.join("argv.log")) {
            Ok(text) => text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
