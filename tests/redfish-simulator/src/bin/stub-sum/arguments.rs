//! The command line, as SUM has it.
//!
//! Input: arguments; output: [`Arguments`] or a failure with SUM's exit code. Invariant: `-p` is refused, whatever else stands there.

use std::path::{Path, PathBuf};

use crate::outcome::Failure;

pub(crate) const HELP: &str = "\
stub-sum: a STUB of sum (Supermicro Update Manager), for tests only.
It is not SUM and contains nothing of it. It keeps a BIOS in a directory ($STUB_SUM_STATE) and talks to no BMC.

  -i <address>        the BMC
  -u <user>           its user
  -f <file>           file with the password, readable by its owner only
  -p <password>       refused: arguments are visible to everybody
  -c <command>        GetCurrentBiosCfg [--file F [--overwrite]]
                      ChangeBiosCfg --file F [--reboot] [--skip_unknown]
  --no_banner, --no_progress, --journal_level <n>, -v, -h
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    GetCurrentBiosCfg,
    ChangeBiosCfg,
}

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) help: bool,
    pub(crate) no_banner: bool,
    pub(crate) overwrite: bool,
    pub(crate) reboot: bool,
    pub(crate) skip_unknown: bool,
    pub(crate) file: Option<PathBuf>,
    host: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    command: Option<String>,
}

impl Arguments {
    pub(crate) fn parse(given: &[String]) -> Result<Arguments, Failure> {
        let mut arguments = Arguments::default();
        let mut rest = given.iter();
        while let Some(option) = rest.next() {
            let mut value =
                || rest.next().cloned().ok_or_else(|| Failure::new(3, format!("{option} needs an argument")));
            match option.as_str() {
                "-p" => return Err(Failure::new(2, "stub-sum: a password in the arguments is refused: use -f".into())),
                "-h" | "--help" => arguments.help = true,
                "-v" | "--no_progress" | "--skip_bbs" | "--post_complete" => {}
                "--no_banner" => arguments.no_banner = true,
                "--overwrite" => arguments.overwrite = true,
                "--reboot" => arguments.reboot = true,
                "--skip_unknown" => arguments.skip_unknown = true,
                "-i" => arguments.host = Some(value()?),
                "-u" => arguments.user = Some(value()?),
                "-f" => arguments.password_file = Some(value()?.into()),
                "-c" => arguments.command = Some(value()?),
                "--file" => arguments.file = Some(value()?.into()),
                "--journal_level" => drop(value()?),
                other => return Err(Failure::new(2, format!("unknown option {other}"))),
            }
        }
        Ok(arguments)
    }

    pub(crate) fn command(&self) -> Result<Command, Failure> {
        let name = self.command.as_deref().ok_or_else(|| Failure::new(5, "-c is missing".into()))?;
        match name.to_ascii_lowercase().as_str() {
            "getcurrentbioscfg" => Ok(Command::GetCurrentBiosCfg),
            "changebioscfg" => Ok(Command::ChangeBiosCfg),
            _ => Err(Failure::new(6, format!("unknown command {name}"))),
        }
    }

    pub(crate) fn host(&self) -> Result<&str, Failure> {
        self.host.as_deref().ok_or_else(|| Failure::new(4, "-i is missing".into()))
    }

    pub(crate) fn user(&self) -> Result<&str, Failure> {
        self.user.as_deref().ok_or_else(|| Failure::new(4, "-u is missing".into()))
    }

    pub(crate) fn password_file(&self) -> Result<&Path, Failure> {
        self.password_file.as_deref().ok_or_else(|| Failure::new(4, "-f is missing".into()))
    }
}
