//! Why a verb was not carried out.

use crate::client::Message;
use crate::trust::{Fingerprint, PinError};

/// What went wrong. Texts of the BMC in here are [`plain`](crate::plain), and none holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{endpoint} cannot be reached: {reason}")]
    Unreachable { endpoint: String, reason: String },
    /// It stopped in the middle of an answer, or gave none in time. What was asked may have been done.
    #[error("{endpoint} broke off its answer to {request}: {reason}")]
    Cut { endpoint: String, request: String, reason: String },
    #[error("{endpoint} was busy for {seconds} seconds: {said}")]
    Busy { endpoint: String, seconds: u64, said: String },
    #[error("{endpoint} shows another certificate than before: {seen}, not {pinned}")]
    CertificateChanged { endpoint: String, pinned: Fingerprint, seen: Fingerprint },
    /// Its TLS is too old or too odd to be talked to. Nothing was sent.
    #[error("{endpoint} cannot be talked to: {reason}")]
    NoTls { endpoint: String, reason: String, help: String },
    #[error(transparent)]
    Pins(#[from] PinError),
    #[error("{endpoint} refuses the user name or the password{}", listed(.said))]
    Credentials { endpoint: String, said: Vec<Message> },
    /// Nothing else is possible before. `account` is its URI, where the BMC says it.
    #[error("{endpoint} wants the account's password changed before anything else")]
    PasswordChange { endpoint: String, account: Option<String> },
    /// The account may not do this.
    #[error("the account may not {what}{}", listed(.said))]
    Forbidden { what: String, said: Vec<Message> },
    #[error("the board has no licence to {what}{}", listed(.said))]
    Licence { what: String, said: Vec<Message> },
    #[error("this BMC cannot {what}: {reason}")]
    Unsupported { what: String, reason: String },
    #[error("the BMC refused to {what} (status {status}){}", listed(.said))]
    Refused { what: String, status: u16, said: Vec<Message> },
    /// Found out before anything was sent.
    #[error("{message}")]
    Input { message: String, help: Option<String> },
    /// It said yes, and did not do it.
    #[error("asked for {what} = {asked}, and the BMC accepted it, but there is {found}")]
    NotApplied { what: String, asked: String, found: String },
    /// The same of the one-time boot, and how the machine was `left`.
    #[error("asked for {what} = {asked}, {}, but there is {found}", answered(.refused))]
    OverrideNotApplied {
        what: &'static str,
        asked: String,
        found: String,
        /// What the BMC said, where it refused.
        refused: Option<String>,
        left: String,
    },
    /// An answer that is not what the standard or any known BMC gives.
    #[error("{endpoint} gave an answer to {request} that makes no sense: {reason}")]
    Nonsense { endpoint: String, request: String, reason: String },
    /// Supermicro's program has failed in a way that is none of the above.
    #[error("SUM failed to {what} (exit code {code}): {said}")]
    Sum { what: String, code: i32, said: String },
    /// In the middle of switching off and on.
    #[error("{0}; the machine was being switched off and on, and is off or may go off")]
    LeftOff(Box<Error>),
    /// Of this process's own surroundings: a file, a program.
    #[error("{0}")]
    Surroundings(String),
}

/// What kind of failure it is, for exit codes and programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What was asked for makes no sense; nothing was sent.
    Input,
    Unreachable,
    /// Certificate or credentials.
    Trust,
    /// The BMC cannot, may not or would not.
    Refused,
    /// It accepted, and reading back shows something else.
    NotApplied,
    /// Of this process's own surroundings.
    Surroundings,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Input => "input",
            Kind::Unreachable => "unreachable",
            Kind::Trust => "trust",
            Kind::Refused => "refused",
            Kind::NotApplied => "not-applied",
            Kind::Surroundings => "surroundings",
        }
    }
}

impl Error {
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Error::Input { message: message.into(), help: None }
    }

    pub(crate) fn unsupported(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Unsupported { what: what.into(), reason: reason.into() }
    }

    /// Of something that failed between off and on.
    pub(crate) fn left_off(self) -> Self {
        Error::LeftOff(Box::new(self))
    }

    /// Whether it may be over in a moment, while the machine's power changes or it is in POST.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Cut { .. } | Error::Busy { .. } | Error::Nonsense { .. } => true,
            // A resource that is not there now: 404.
            Error::Unsupported { .. } => true,
            Error::Refused { status, .. } => *status >= 500,
            _ => false,
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Error::Unreachable { .. }
            | Error::NoTls { .. }
            | Error::Cut { .. }
            | Error::Busy { .. }
            | Error::Nonsense { .. } => Kind::Unreachable,
            Error::CertificateChanged { .. } | Error::Credentials { .. } | Error::PasswordChange { .. } => Kind::Trust,
            Error::Forbidden { .. }
            | Error::Licence { .. }
            | Error::Unsupported { .. }
            | Error::Refused { .. }
            | Error::Sum { .. } => Kind::Refused,
            Error::LeftOff(error) => error.kind(),
            Error::Input { .. } => Kind::Input,
            Error::NotApplied { .. } | Error::OverrideNotApplied { .. } => Kind::NotApplied,
            Error::Pins(_) | Error::Surroundings(_) => Kind::Surroundings,
        }
    }

    /// What to do.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Error::Unreachable { .. } => {
                "is its address right, is it powered, is there a way to its network from here?"
            }
            Error::Cut { request, .. } if request.starts_with("GET ") => "nothing was changed; try again",
            Error::Cut { .. } => "ask for its status: what was asked may have been done",
            Error::Busy { .. } => "look at the machine's console: it may wait in POST; then try again",
            Error::CertificateChanged { .. } => {
                "was the BMC replaced or its certificate renewed? Compare the fingerprint on the spot, then forget the old one"
            }
            Error::Credentials { .. } => {
                "check what the node's `credentials` name; some BMCs lock an account after a few tries"
            }
            Error::Forbidden { .. } => "give the account the Operator or Administrator role in the BMC",
            Error::Licence { .. } => "activate the licence that the message names on this board, or do without",
            Error::NotApplied { what, .. } => return Some(not_applied(what).to_owned()),
            Error::OverrideNotApplied { what, left, .. } => {
                let mode = "; `--mode keep` leaves the mode to the machine";
                return Some(format!("{left}{}", if what.ends_with("Mode") { mode } else { "" }));
            }
            Error::NoTls { help, .. } => return Some(help.clone()),
            Error::PasswordChange { account, .. } => {
                let also = account.as_ref().map(|uri| format!(" (or PATCH Password of {uri})")).unwrap_or_default();
                return Some(format!(
                    "change it in the BMC's own web page{also}, then write the new one where the node's `credentials` point"
                ));
            }
            Error::LeftOff(_) => "power on, when the BMC answers again; its console shows how far it is",
            Error::Input { help, .. } => return help.clone(),
            Error::Refused { said, .. } => {
                return said.iter().find_map(|message| message.resolution.clone());
            }
            Error::Unsupported { .. }
            | Error::Sum { .. }
            | Error::Nonsense { .. }
            | Error::Pins(_)
            | Error::Surroundings(_) => {
                return None;
            }
        };
        Some(text.to_owned())
    }
}

/// What to do about something that was accepted and not done.
fn not_applied(what: &str) -> &'static str {
    match what {
        "PowerState" | "a restart" => {
            "an operating system may ignore a graceful request: --force cuts the power where it does not end in time; where that was ignored too, look at the console, or reset the BMC"
        }
        "BootOrder" | "FixedBootOrder" => "set it in the BIOS setup by hand, or update the BMC's firmware",
        _ => "update the BMC's firmware, or do it by hand on the spot",
    }
}

fn answered(refused: &Option<String>) -> String {
    match refused {
        Some(said) => format!("which the BMC refuses ({said})"),
        None => "and the BMC accepted it".to_owned(),
    }
}

fn listed(messages: &[Message]) -> String {
    messages.iter().map(|message| format!(": {}", message.text)).collect()
}
