//! Operations on nodes' BMCs: who may ask for what at the same time, and what becomes of it.
//!
//! ```text
//! API, page ──► start ──► claim ──► audit line, row ──► task ──► machine ──► BMC
//!          └──► read  ──► claim ──────────────────────► task ──┘    │
//!                                   audit line, row ◄── outcome ◄───┘
//! ```
//! In: a node, a verb, who asks. Out: an operation: running, done or failed. Invariants: one operation that writes per node at a time;
//! each goes on to its end whatever its client does, and is in the audit log before anything is sent; a password is in memory for the
//! time of one operation only, and in nothing that is kept, told or logged.

mod claim;
mod credentials;
mod install;
mod machine;
mod media;
mod pins;
mod reading;
mod restart;
mod trust;
mod underway;
mod writing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bmc::{Patience, Status, Verb};
use jiff::Timestamp;
use netboot::MacAddr;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::registry::{Actor, ArmError, CdError, Change, OperationChange};
use crate::store::{Operation, OperationError, StoreError};
use claim::Busy;
use underway::Underway;

pub use reading::read;
pub use restart::recover;
pub use trust::{Certificate, certificate, forget};
pub use writing::start;

/// Below it: `bmc/HOSTNAME`.
pub const SECRETS: &str = "/var/lib/provbuild/secrets";
/// Operations at a time, and as many readings beside them: answers of a BMC may be long.
const AT_ONCE: usize = 64;
/// Readings of one node at a time.
const READINGS: usize = 3;
/// For one reading, whatever the BMC does.
pub(crate) const READING: Duration = Duration::from_secs(150);
/// For one verb that writes: no node is kept for ever.
const WRITING: Duration = Duration::from_secs(2 * 3600);
/// Bytes of one text that comes from a BMC: it goes to the database, to everybody who watches, and into every answer.
const LONGEST: usize = 4096;
/// Bytes of an outcome that is kept.
const LARGEST: usize = 256 << 10;

/// What the daemon is told about BMCs when it is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory of the credentials.
    pub secrets: PathBuf,
    pub patience: Patience,
    /// Supermicro's SUM, where it is there.
    pub sum: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { secrets: SECRETS.into(), patience: Patience::default(), sum: netboot::SUM_PROGRAM.into() }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    Verb(Verb),
    /// Arm, boot from the network once, cycle the power.
    Install,
}

impl Job {
    pub fn title(&self) -> String {
        match self {
            Job::Verb(verb) => verb.title(),
            Job::Install => "install".to_owned(),
        }
    }

    fn interrupts(&self) -> bool {
        match self {
            Job::Verb(verb) => verb.interrupts(),
            Job::Install => true,
        }
    }

    /// Whether it shows the machine its own answers.
    fn is_cidata(&self) -> bool {
        matches!(self, Job::Verb(Verb::MediaInsert { image }) if image == media::CIDATA)
    }

    fn json(&self) -> serde_json::Value {
        match self {
            // A verb is plain data with text keys.
            Job::Verb(verb) => serde_json::to_value(verb).unwrap_or_default(),
            Job::Install => json!({ "verb": "install" }),
        }
    }
}

/// A request that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub job: Job,
    /// Also where an installation goes on.
    pub force: bool,
    /// For the audit log.
    pub reason: String,
}

/// Why an operation does not begin. Nothing was sent then.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("{0} has no BMC: set `bmc` in nodes.toml")]
    NoBmc(String),
    #[error("{hostname} is busy: {who} asked for {title}, which goes on ({step})")]
    Busy { hostname: String, title: String, who: String, step: String },
    #[error("{hostname} is {state}: {title} would end its installation; `force` means it")]
    Interrupts { hostname: String, state: &'static str, title: String },
    #[error("{hostname} is {state}: disarm it first")]
    Installing { hostname: String, state: &'static str },
    #[error("too many readings of {0} at a time: wait for one to end")]
    Readings(String),
    #[error("too many operations at a time: wait for some to end")]
    Full,
    #[error("provd is stopping: it ends what goes on, and begins nothing; ask again when it is back")]
    Stopping,
    /// The request makes no sense, whatever the BMC.
    #[error("{0}")]
    Request(bmc::Error),
    #[error(transparent)]
    Arm(#[from] ArmError),
    #[error(transparent)]
    Cd(#[from] CdError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a node was the last time that somebody asked its BMC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub at: Timestamp,
    pub status: Result<Status, OperationError>,
}

/// What goes on with the BMCs.
pub struct Control {
    settings: Settings,
    writes: Arc<Semaphore>,
    /// A place of their own: whoever may only read keeps nobody from switching a machine off.
    readings: Arc<Semaphore>,
    underway: Arc<Underway>,
    busy: Mutex<BTreeMap<MacAddr, Busy>>,
    /// At most one for each declared node.
    seen: Mutex<BTreeMap<MacAddr, Seen>>,
}

impl Control {
    pub fn new(settings: Settings) -> Self {
        let places = || Arc::new(Semaphore::new(AT_ONCE));
        Control {
            settings,
            writes: places(),
            readings: places(),
            underway: Arc::default(),
            busy: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// Since this daemon began, and since the node was changed by an operation.
    pub fn seen(&self, mac: MacAddr) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&mac).cloned()
    }

    fn see(&self, mac: MacAddr, seen: Option<Seen>) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen {
            Some(seen) => drop(all.insert(mac, seen)),
            None => drop(all.remove(&mac)),
        }
    }
}

impl Operation {
    /// One that begins now.
    fn begun(node: (MacAddr, String), verb: Value, title: String, actor: &Actor, now: Timestamp) -> Self {
        let (mac, hostname) = node;
        Operation {
            mac,
            hostname,
            verb,
            title,
            who: actor.who.clone(),
            origin: actor.origin.clone(),
            started: now,
            ended: None,
            step: String::new(),
            summary: None,
            outcome: None,
            error: None,
            attempt: None,
        }
    }

    /// "running", "done" or "failed".
    pub fn state(&self) -> &'static str {
        match (self.ended, &self.error) {
            (None, _) => "running",
            (Some(_), None) => "done",
            (Some(_), Some(_)) => "failed",
        }
    }

    /// For one that is kept: the node's last 50 are, for good.
    fn leave_out_what_is_too_long(&mut self) {
        let long = self.outcome.as_ref().is_some_and(|outcome| outcome.to_string().len() > LARGEST);
        if long {
            self.outcome = None;
            let note = "what was read back is too long to keep";
            self.summary = Some(self.summary.take().map_or(note.to_owned(), |summary| format!("{summary}; {note}")));
        }
    }

    fn change(&self, id: Option<u64>) -> Change {
        let text = match (&self.error, &self.summary) {
            (Some(error), _) => error.text.clone(),
            (None, Some(summary)) => summary.clone(),
            (None, None) => self.step.clone(),
        };
        let (hostname, title) = (self.hostname.clone(), self.title.clone());
        Change::Operation(OperationChange { id, mac: self.mac, hostname, title, state: self.state(), text })
    }
}

impl From<bmc::Error> for OperationError {
    fn from(error: bmc::Error) -> Self {
        OperationError {
            kind: error.kind().name().to_owned(),
            text: cut(error.to_string()),
            help: error.help().map(cut),
        }
    }
}

impl OperationError {
    fn new(kind: bmc::Kind, text: impl Into<String>, help: Option<String>) -> Self {
        OperationError { kind: kind.name().to_owned(), text: text.into(), help }
    }

    fn surroundings(text: impl Into<String>) -> Self {
        OperationError::new(bmc::Kind::Surroundings, text, None)
    }
}

/// Not more than [`LONGEST`] of it.
fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST - '…'.len_utf8()).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use bmc::{BootOverride, Outcome};

    use super::*;

    #[test]
    fn nothing_that_a_bmc_says_is_kept_without_bound() {
        let long = "ä".repeat(LONGEST);
        let error = OperationError::from(bmc::Error::NotApplied {
            what: "the boot order".to_owned(),
            asked: long.clone(),
            found: long.clone(),
        });
        assert!(error.text.len() <= LONGEST && error.text.ends_with('…'), "{}", error.text.len());
        assert_eq!(cut("ä".repeat(LONGEST / 2)).len(), LONGEST);
        let node = (MacAddr::from_bytes([2, 0, 0, 0, 0, 1]), "node1".to_owned());
        let verb = json!({"verb": "boot-once", "target": "pxe"});
        let mut operation = Operation::begun(node, verb, String::new(), &Actor::daemon(), Timestamp::UNIX_EPOCH);
        let notes = |count: usize| BootOverride { notes: vec![long.clone(); count], ..BootOverride::default() };
        operation.finish(Ok(Outcome::BootOnce(notes(3))), Timestamp::UNIX_EPOCH);
        operation.leave_out_what_is_too_long();
        assert!(operation.outcome.is_some() && operation.summary.as_ref().unwrap().len() <= LONGEST);
        operation.finish(Ok(Outcome::BootOnce(notes(40))), Timestamp::UNIX_EPOCH);
        operation.leave_out_what_is_too_long();
        assert_eq!(operation.outcome, None);
        assert!(operation.summary.unwrap().ends_with("; what was read back is too long to keep"));
    }
}
