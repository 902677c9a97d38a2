//! What ends a command early, and how it is told: to people on stderr; with `--json` to programs as well, by the last
//! object on stdout.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::cidata;
use super::exit::Exit;
use super::output::{counted, finding, object, tell};
use crate::build::BuildError;
use crate::deploy::DeployError;
use crate::deploy::qemu::RunError;
use crate::profile::{Faults, Finding};
use crate::vocab::Remedy;

pub(super) enum Failure {
    Build(BuildError),
    Run(RunError),
    Cidata(cidata::Failure),
    Deploy(DeployError),
    /// Something of the process's own surroundings: what, and why.
    Surroundings(String, io::Error),
    /// The command line's own.
    Plain {
        exit: Exit,
        message: String,
        help: Option<String>,
    },
    /// People were told already; `message` sums up for a program.
    Reported {
        exit: Exit,
        message: String,
    },
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Failure::Build(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Failure::Run(error)
    }
}

impl From<cidata::Failure> for Failure {
    fn from(error: cidata::Failure) -> Self {
        Failure::Cidata(error)
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        Failure::Deploy(error)
    }
}

impl Failure {
    pub(super) fn plain(exit: Exit, message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::Plain { exit, message: message.into(), help: Some(help.into()) }
    }
}

/// A profile that is named by its directory: what `init` makes has one.
pub(super) fn named_file(profile: &Path) -> Result<(), Failure> {
    match profile.is_dir() {
        false => Ok(()),
        true => Err(Failure::plain(
            Exit::Profile,
            format!("{} is a directory", profile.display()),
            format!("name the profile in it, as in {}", profile.join("profile.toml").display()),
        )),
    }
}

pub(super) fn report(failure: &Failure, json: bool, color: bool) -> Exit {
    let (message, help, exit) = match failure {
        Failure::Build(BuildError::Profile(faults)) | Failure::Cidata(cidata::Failure::Profile(faults)) => {
            tell(&faults.render(color));
            if json {
                // Whoever reads may be gone: the exit code is all that is left then.
                let _ = objects(faults).iter().try_for_each(object);
            }
            (counted(faults.count(), "fault"), None, Exit::Profile)
        }
        Failure::Reported { exit, message } => (message.clone(), None, *exit),
        Failure::Build(error) => told(error.to_string(), error.help(), error.into(), color),
        Failure::Run(error) => told(error.to_string(), error.help(), error.into(), color),
        Failure::Cidata(error) => told(error.to_string(), error.help(), error.exit(), color),
        Failure::Deploy(error) => told(error.to_string(), error.help(), error.kind.into(), color),
        Failure::Plain { exit, message, help } => told(message.clone(), help.clone(), *exit, color),
        Failure::Surroundings(what, error) => {
            told(format!("cannot {what}: {error}"), remedy(what, error.kind()), Exit::Io, color)
        }
    };
    if json {
        let _ = object(&last(exit, &message, help.as_deref()));
    }
    exit
}

/// The last object of a command that failed.
pub(super) fn last(exit: Exit, message: &str, help: Option<&str>) -> Value {
    json!({ "event": "error", "code": exit as u8, "message": message, "help": help })
}

/// Every fault and every warning of a run.
pub(super) fn objects(faults: &Faults) -> Vec<Value> {
    let all = faults.findings().map(|fault| finding("fault", &fault));
    all.chain(faults.warnings().map(|warning| finding("warning", &warning))).collect()
}

fn told(message: String, help: Option<String>, exit: Exit, color: bool) -> (String, Option<String>, Exit) {
    tell(&text("error", "\x1b[1;31m", &message, help.as_deref(), color));
    (message, help, exit)
}

/// A warning that has no place in a file.
pub(super) fn warn(message: &str, help: &str, json: bool, color: bool) -> Result<(), Failure> {
    tell(&text("warning", "\x1b[1;33m", message, Some(help), color));
    let about = Finding { path: None, line: None, column: None, message, help: Some(help) };
    if json { object(&finding("warning", &about)) } else { Ok(()) }
}

fn text(word: &str, paint: &str, message: &str, help: Option<&str>, color: bool) -> String {
    let (paint, cyan, reset) = if color { (paint, "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
    let help = help.map(|help| format!("{cyan}help{reset}: {help}\n")).unwrap_or_default();
    format!("{paint}{word}{reset}: {message}\n{help}")
}

/// What to do about an error of the file system, by what was done.
fn remedy(what: &str, kind: io::ErrorKind) -> Option<String> {
    let reads = what.starts_with("read ");
    let help = match kind {
        io::ErrorKind::AlreadyExists => {
            "what is there is left as it is: choose another name, or move it out of the way first"
        }
        io::ErrorKind::NotFound if reads => "look at the path: nothing is there",
        io::ErrorKind::NotFound if what.starts_with("write ") || what.starts_with("make ") => {
            "its directory does not exist: make it, or choose another path"
        }
        io::ErrorKind::IsADirectory if reads => "it is a directory: name a file in it",
        io::ErrorKind::PermissionDenied => "look at whose it is, and who may use it (`ls -l`)",
        io::ErrorKind::StorageFull => "make room on the disk",
        _ => return None,
    };
    Some(help.to_owned())
}
