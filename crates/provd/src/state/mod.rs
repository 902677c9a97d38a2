//! What the daemon knows of a node: one of nine states, and the only ways from one to the next.
//!
//! ```text
//!            arm            script asked        answers read
//!   disk ───────────► armed ───────────► booting ───────────► installing ──┐ step
//!    ▲  ◄───────────────┘ ◄─────────────────┘ disarm, expiry      │ ▲  ◄───┘
//!    │                                                            ▼ │ report
//!   (any)  forget ─► unknown ─► disk           failed ◄──── … ─► stalled
//!                                                                 │
//!                        verified ◄─────── installed ◄────────────┘
//! ```
//!
//! Each state is a type, and each way a method that consumes it: what has no method cannot be written. The methods give a
//! [`Transition`]; nothing else makes one, and the store takes nothing else. The invariant that protects data: from the moment
//! at which the answers are handed out ([`Booting::answers_read`], [`Booting::answers_on_cd`]) no state answers a boot request with an installer, until a
//! person arms the node again.

#[cfg(test)]
mod tests;
mod transition;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use transition::Transition;

/// One installation of a node, from arming on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counts a node's attempts, from 1.
    pub number: u64,
    /// Name of the installer.
    pub installer: String,
    /// Until when the answers can be read.
    pub expires: Timestamp,
    /// When the node was armed.
    pub armed: Timestamp,
    /// Digest of what was asked for: the installer, its system, the disk's selector. An image that means something else ends
    /// the arming.
    pub meaning: String,
}

/// How far the clock may go back without ending an arming: small steps of a clock that is set by the network.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_mins(5);

impl Attempt {
    /// Whether the answers may be read now. A clock that was set back far ends it as its expiry does: an hour must not become
    /// a year.
    pub fn open(&self, now: Timestamp) -> bool {
        now < self.expires && self.armed.duration_since(now) <= CLOCK_SLACK
    }
}

/// A node's state, as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// In no inventory, or no longer.
    Unknown(Unknown),
    /// Boots its own disk, and nobody asked for anything else.
    Disk(Disk),
    /// Installs at its next boot from the network.
    Armed(Armed),
    /// Has its boot script and has not yet read its answers.
    Booting(Booting),
    /// Has read its answers: its disk may be erased from here on.
    Installing(Installing),
    /// The installer has ended well; the new system has not reported yet.
    Installed(Installed),
    /// The new system has reported, and is the one that was meant.
    Verified(Verified),
    Failed(Failed),
    /// Silent for longer than its limit.
    Stalled(Stalled),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    pub attempt: Attempt,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booting {
    pub attempt: Attempt,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installing {
    pub attempt: Attempt,
    /// What the installer said last, in its own words ("subiquity/Install/install/curtin_install").
    pub step: String,
    /// When it said so, by its own clock: what it said before that and arrives later is no step back.
    pub said: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    pub attempt: Attempt,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    pub attempt: Attempt,
    /// Public ssh host keys that the system gave, as in known_hosts, without the host's name.
    pub host_keys: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub attempt: Attempt,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stalled {
    /// What it was doing when it fell silent.
    pub during: Active,
}

/// The states that end by themselves or by silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Active {
    Booting(Booting),
    Installing(Installing),
    Installed(Installed),
}

/// A state in which a node may be armed: nothing is going on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle(State);

impl State {
    /// As it is written in tables, in the API and in the log.
    pub fn name(&self) -> &'static str {
        match self {
            State::Unknown(_) => "unknown",
            State::Disk(_) => "disk",
            State::Armed(_) => "armed",
            State::Booting(_) => "booting",
            State::Installing(_) => "installing",
            State::Installed(_) => "installed",
            State::Verified(_) => "verified",
            State::Failed(_) => "failed",
            State::Stalled(_) => "stalled",
        }
    }

    pub const NAMES: [&'static str; 9] =
        ["unknown", "disk", "armed", "booting", "installing", "installed", "verified", "failed", "stalled"];

    /// The attempt that goes on, or that ended here.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            State::Unknown(_) | State::Disk(_) => None,
            State::Armed(Armed { attempt })
            | State::Booting(Booting { attempt })
            | State::Installing(Installing { attempt, .. })
            | State::Installed(Installed { attempt })
            | State::Verified(Verified { attempt, .. })
            | State::Failed(Failed { attempt, .. }) => Some(attempt),
            State::Stalled(Stalled { during }) => Some(during.attempt()),
        }
    }

    /// One line about it: the step, the reason, what stalled.
    pub fn detail(&self) -> String {
        match self {
            State::Installing(Installing { step, .. }) => step.clone(),
            State::Failed(Failed { reason, .. }) => reason.clone(),
            State::Stalled(Stalled { during }) => match during {
                Active::Installing(Installing { step, .. }) => format!("silent while installing: {step}"),
                other => format!("silent while {}", other.name()),
            },
            State::Armed(Armed { attempt }) => format!("installs {} at its next network boot", attempt.installer),
            _ => String::new(),
        }
    }

    /// The node, if it may be armed now.
    ///
    /// # Errors
    /// The state's name, where an attempt goes on (it must be disarmed first) or the node is in no inventory.
    pub fn idle(self) -> Result<Idle, &'static str> {
        match self {
            State::Disk(_) | State::Verified(_) | State::Installed(_) | State::Failed(_) | State::Stalled(_) => {
                Ok(Idle(self))
            }
            other => Err(other.name()),
        }
    }

    /// What goes on. A node that has fallen silent must [resume](Stalled::resume) first.
    pub fn active(self) -> Option<Active> {
        match self {
            State::Booting(state) => Some(Active::Booting(state)),
            State::Installing(state) => Some(Active::Installing(state)),
            State::Installed(state) => Some(Active::Installed(state)),
            State::Unknown(_)
            | State::Disk(_)
            | State::Armed(_)
            | State::Verified(_)
            | State::Failed(_)
            | State::Stalled(_) => None,
        }
    }
}

impl Active {
    pub fn name(&self) -> &'static str {
        match self {
            Active::Booting(_) => "booting",
            Active::Installing(_) => "installing",
            Active::Installed(_) => "installed",
        }
    }

    pub fn attempt(&self) -> &Attempt {
        match self {
            Active::Booting(Booting { attempt })
            | Active::Installing(Installing { attempt, .. })
            | Active::Installed(Installed { attempt }) => attempt,
        }
    }
}

impl From<Active> for State {
    fn from(active: Active) -> Self {
        match active {
            Active::Booting(state) => State::Booting(state),
            Active::Installing(state) => State::Installing(state),
            Active::Installed(state) => State::Installed(state),
        }
    }
}
