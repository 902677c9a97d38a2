//! The ways from one state to the next. Every method consumes a state; none exists for what must not happen.

use jiff::Timestamp;

use super::{
    Active, Armed, Attempt, Booting, Disk, Failed, Idle, Installed, Installing, Stalled, State, Unknown, Verified,
};

/// A step from one state to the next, with the reason that the audit log gives. Only the methods of the states make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    from: State,
    to: State,
    why: String,
}

impl Transition {
    pub fn from(&self) -> &State {
        &self.from
    }

    pub fn to(&self) -> &State {
        &self.to
    }

    pub fn why(&self) -> &str {
        &self.why
    }

    fn new(from: impl Into<State>, to: impl Into<State>, why: impl Into<String>) -> Self {
        Transition { from: from.into(), to: to.into(), why: why.into() }
    }
}

macro_rules! into_state {
    ($($state:ident)*) => {$(
        impl From<$state> for State {
            fn from(state: $state) -> Self {
                State::$state(state)
            }
        }
    )*};
}
into_state!(Unknown Disk Armed Booting Installing Installed Verified Failed Stalled);

impl State {
    /// The node left the inventory. Its attempt, if one goes on, ends here.
    pub fn forget(self) -> Option<Transition> {
        match self {
            State::Unknown(_) => None,
            known => Some(Transition::new(known, Unknown {}, "not in the inventory any more")),
        }
    }

    /// A person takes back what was asked: of an armed or booting node nothing happens to its disk; of one that installs the
    /// attempt counts as failed, since its disk may be half written. `None` where nothing goes on.
    pub fn disarm(self, why: &str) -> Option<Transition> {
        match self {
            State::Armed(_) | State::Booting(_) => Some(Transition::new(self, Disk {}, why)),
            State::Stalled(Stalled { during: Active::Booting(_) }) => Some(Transition::new(self, Disk {}, why)),
            State::Installing(_) | State::Installed(_) | State::Stalled(_) => {
                let failed = Failed { attempt: self.attempt()?.clone(), reason: format!("given up: {why}") };
                Some(Transition::new(self, failed, why))
            }
            State::Unknown(_) | State::Disk(_) | State::Verified(_) | State::Failed(_) => None,
        }
    }
}

impl Unknown {
    /// The node is in the inventory.
    pub fn declare(self) -> Transition {
        Transition::new(self, Disk {}, "in the inventory")
    }
}

impl Idle {
    pub fn arm(self, attempt: Attempt, why: &str) -> Transition {
        Transition::new(self.0, Armed { attempt }, why)
    }
}

impl Armed {
    /// Its boot script was handed out.
    pub fn boot(self, why: &str) -> Transition {
        Transition::new(self.clone(), Booting { attempt: self.attempt }, why)
    }

    pub fn expire(self) -> Transition {
        Transition::new(self, Disk {}, "the arming has expired")
    }
}

impl Booting {
    /// Its answers were handed out: the single use of the arming.
    pub fn answers_read(self) -> Transition {
        self.handed_out("reads its answers", "the answers were read")
    }

    /// Its answers were handed out on a CD: the single use of the arming, as well.
    pub fn answers_on_cd(self) -> Transition {
        self.handed_out("its answers are on a CD", "the answers were handed out on a CD")
    }

    fn handed_out(self, step: &str, why: &str) -> Transition {
        let installing = Installing { attempt: self.attempt.clone(), step: step.to_owned(), said: None };
        Transition::new(self, installing, why)
    }
}

impl Installing {
    /// The installer has gone on, as it said at `said` by its own clock. `None` where it says the same again, or said it before
    /// what is known already.
    pub fn step(self, step: &str, said: Option<Timestamp>) -> Option<Transition> {
        let late = matches!((said, self.said), (Some(said), Some(before)) if said < before);
        if self.step == step || late {
            return None;
        }
        let to = Installing { attempt: self.attempt.clone(), step: step.to_owned(), said: said.or(self.said) };
        Some(Transition::new(self, to, "the installer's report"))
    }

    pub fn finish(self) -> Transition {
        Transition::new(self.clone(), Installed { attempt: self.attempt }, "the installer has ended")
    }

    pub fn fail(self, reason: &str) -> Transition {
        Active::Installing(self).fail(reason)
    }
}

impl Installed {
    /// The new system reported, and is the one that was meant.
    pub fn verify(self, host_keys: Vec<String>) -> Transition {
        let verified = Verified { attempt: self.attempt.clone(), host_keys };
        Transition::new(self, verified, "the installed system has reported")
    }

    /// The new system reported, and is another one than was meant.
    pub fn mismatch(self, reason: &str) -> Transition {
        Active::Installed(self).fail(reason)
    }
}

impl Active {
    pub fn fail(self, reason: &str) -> Transition {
        let failed = Failed { attempt: self.attempt().clone(), reason: reason.to_owned() };
        Transition::new(self, failed, reason)
    }

    pub fn fall_silent(self) -> Transition {
        Transition::new(self.clone(), Stalled { during: self }, "silent for too long")
    }
}

impl Stalled {
    /// It has reported again.
    pub fn resume(self) -> Transition {
        Transition::new(self.clone(), self.during, "reported again")
    }
}
