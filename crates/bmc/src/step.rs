//! What is done now, for whoever waits.

use std::fmt;

/// One step of a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Nothing was asked for yet.
    Connecting,
    /// A reset of this type was sent, and may have arrived: the machine's power is touched from here on. One that was refused, or that
    /// reached nobody, is none.
    Reset(&'a str),
    /// In a few words.
    Doing(&'a str),
}

/// Who is told.
pub type Steps<'a> = dyn Fn(Step<'_>) + Send + Sync + 'a;

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Connecting => f.write_str("connecting"),
            Step::Reset(kind) => write!(f, "reset sent: {kind}"),
            Step::Doing(text) => f.write_str(text),
        }
    }
}
