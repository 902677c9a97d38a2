//! What a deployment will do: pure, from the record, what is there, and the build.
//!
//! In: [`Record`], [`Observed`], a build's id. Out: the steps in their order. Nothing is decided while they are carried out, but for one thing: a
//! generation that does not become healthy leads back to the one before it.

use std::fmt;

use super::error::{DeployError, Kind};
use super::record::{Fate, Generation, Pending, Record, StateDisk};
use super::site::Observed;
use crate::vocab::{ByteSize, Digest};

/// One step; `engine` carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Note that the change to a generation has begun.
    Begin(Pending),
    /// Copy the build's system disk.
    Stage {
        number: u32,
    },
    /// Make an empty state disk.
    MakeState {
        size: ByteSize,
    },
    /// Note that the secrets are to be delivered again.
    NoteRenewal,
    Stop,
    /// Put the secrets on a medium.
    WriteSeed {
        number: u32,
    },
    /// Swap the system disk.
    Configure {
        number: u32,
        seed: bool,
    },
    Start,
    /// Wait until the appliance says that it runs this generation.
    Await {
        number: u32,
    },
    /// It is the current one.
    Settle {
        number: u32,
    },
    /// Detach and wipe the medium with the secrets.
    WipeSeed,
    /// Remove a system disk that is no longer wanted.
    Prune {
        number: u32,
    },
}

/// Steps in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The generation that is to run in the end.
    pub target: u32,
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether anything at all is changed.
    pub fn changes(&self) -> bool {
        self.steps.iter().any(|step| !matches!(step, Step::Await { .. }))
    }

    pub(super) fn has(&self, wanted: impl Fn(&Step) -> bool) -> bool {
        self.steps.iter().any(wanted)
    }
}

/// What a deployment is asked for, beside the build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wishes {
    pub(super) state_disk: ByteSize,
    /// Earlier generations to keep.
    pub(super) keep: u32,
    /// Deliver the secrets again.
    pub(super) renew_secrets: bool,
}

/// The steps to a build.
///
/// # Errors
/// The state disk is gone.
pub(super) fn deploy(record: &Record, there: &Observed, id: Digest, wishes: Wishes) -> Result<Plan, DeployError> {
    state_is_there(record, there)?;
    let usable = |generation: &&Generation| generation.id == id && !matches!(generation.fate, Fate::Unhealthy(_));
    let whole = |generation: &&Generation| there.staged.contains(&generation.number);
    let current = record.current.and_then(|number| record.generation(number)).filter(usable).filter(whole);
    let pending = record.pending.and_then(|pending| record.generation(pending.generation)).filter(usable);
    let target = match (current, pending) {
        // A change to another build was cut off: this one is still whole.
        (Some(current), _) => current.number,
        (None, Some(pending)) => pending.number,
        (None, None) => record.next,
    };
    let mut steps = Vec::new();
    let change = Pending { generation: target, from: record.current.filter(|from| *from != target) };
    let fresh = current.is_none();
    if fresh && record.pending != Some(change) || current.is_some() && record.pending.is_some() {
        steps.push(Step::Begin(change));
    }
    let known = record.generation(target).is_some_and(|generation| generation.disk.is_some());
    if !known || !there.staged.contains(&target) {
        steps.push(Step::Stage { number: target });
    }
    if !there.state {
        steps.push(Step::MakeState { size: wishes.state_disk });
    }
    let runs = there.running && there.configured == Some(target);
    // A fresh generation that runs was started with its medium, which is still attached.
    let renew = wishes.renew_secrets || record.renew_secrets;
    let seed = fresh && !(runs && there.seed) || renew;
    if wishes.renew_secrets && !record.renew_secrets {
        steps.push(Step::NoteRenewal);
    }
    if seed || !runs {
        if there.running {
            steps.push(Step::Stop);
        }
        // Not before: a hypervisor may hold the medium that a running machine has.
        if seed {
            steps.push(Step::WriteSeed { number: target });
        }
        if seed || there.configured != Some(target) || there.seed {
            steps.push(Step::Configure { number: target, seed });
        }
        steps.push(Step::Start);
    }
    steps.push(Step::Await { number: target });
    if fresh || renew || record.pending.is_some() || record.current != Some(target) {
        steps.push(Step::Settle { number: target });
    }
    if seed || there.seed {
        steps.push(Step::WipeSeed);
    }
    let obsolete = obsolete(record, there, target, wishes.keep);
    steps.extend(obsolete.into_iter().map(|number| Step::Prune { number }));
    Ok(Plan { target, steps })
}

/// The steps back to an earlier generation: the newest healthy one before the current, or the one that is named.
///
/// # Errors
/// There is none.
pub(super) fn rollback(record: &Record, there: &Observed, to: Option<u32>) -> Result<Plan, DeployError> {
    state_is_there(record, there)?;
    let refuse = |message: String| {
        let list = "`provbuild generations` lists what is kept";
        Err(DeployError::new(Kind::Settings, message).help(list))
    };
    let Some(current) = record.current else {
        return refuse("no generation has been healthy yet: there is nothing to go back to".to_owned());
    };
    // A change that was cut off, or that failed: back is where it came from.
    let forward = record.pending.filter(|pending| pending.generation >= current);
    let target = match to {
        Some(number) => number,
        None if forward.is_some() || there.configured.is_some_and(|number| number > current) => current,
        None => {
            let kept = record.generations.iter().filter(|generation| {
                generation.number < current
                    && generation.fate == Fate::Healthy
                    && there.staged.contains(&generation.number)
            });
            match kept.map(|generation| generation.number).max() {
                Some(number) => number,
                None => return refuse(format!("there is no healthy generation before {current}")),
            }
        }
    };
    if record.generation(target).is_none() || !there.staged.contains(&target) {
        return refuse(format!("there is no generation {target}"));
    }
    let mut steps = Vec::new();
    let change = Pending { generation: target, from: Some(current).filter(|from| *from != target) };
    let runs = there.running && there.configured == Some(target) && !there.seed;
    if runs && record.current == Some(target) && record.pending.is_none() {
        return Ok(Plan { target, steps: vec![Step::Await { number: target }] });
    }
    steps.push(Step::Begin(change));
    if !runs {
        if there.running {
            steps.push(Step::Stop);
        }
        steps.extend([Step::Configure { number: target, seed: false }, Step::Start]);
    }
    steps.extend([Step::Await { number: target }, Step::Settle { number: target }]);
    if there.seed {
        steps.push(Step::WipeSeed);
    }
    Ok(Plan { target, steps })
}

fn state_is_there(record: &Record, there: &Observed) -> Result<(), DeployError> {
    if record.state != StateDisk::InUse || there.state {
        return Ok(());
    }
    let message = format!("the state disk of {} is gone: node states, leases and host keys are on it", record.name);
    Err(DeployError::new(Kind::Refused, message).help(
        "put it back where it was; to start with an empty one, remove the deployment first: provbuild destroy --with-state",
    ))
}

/// System disks that are kept no longer once `target` is the current generation: everything but the newest healthy ones.
fn obsolete(record: &Record, there: &Observed, target: u32, keep: u32) -> Vec<u32> {
    let others = || record.generations.iter().rev().filter(|generation| generation.number != target);
    let of = |fate: Fate| {
        others().filter(move |generation| generation.fate == fate && there.staged.contains(&generation.number))
    };
    // Ones that somebody went back from may be wanted again, after those that a way back leads to.
    let kept = of(Fate::Healthy).chain(of(Fate::Withdrawn)).take(keep as usize);
    let kept: Vec<u32> = kept.map(|generation| generation.number).collect();
    let mut obsolete: Vec<u32> = others()
        .map(|generation| generation.number)
        // What a crash left without a line in the record.
        .chain(there.staged.iter().copied().filter(|number| record.generation(*number).is_none()))
        .filter(|number| *number != target && !kept.contains(number))
        .collect();
    obsolete.sort_unstable();
    obsolete
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Begin(Pending { generation, from: Some(from) }) => {
                write!(f, "note in the record that generation {from} is replaced by {generation}")
            }
            Step::Begin(Pending { generation, from: None }) => {
                write!(f, "note in the record that generation {generation} is deployed")
            }
            Step::Stage { number } => write!(f, "copy the build's system disk as generation {number}"),
            Step::MakeState { size } => write!(f, "make an empty state disk of {size}"),
            Step::NoteRenewal => f.write_str("note in the record that the secrets are delivered again"),
            Step::WriteSeed { number } => write!(f, "write the seed medium of generation {number}, with the secrets"),
            Step::Stop => f.write_str("stop the machine"),
            Step::Configure { number, seed: true } => {
                write!(f, "configure the machine with the system disk of generation {number} and the seed medium")
            }
            Step::Configure { number, seed: false } => {
                write!(f, "configure the machine with the system disk of generation {number}")
            }
            Step::Start => f.write_str("start the machine"),
            Step::Await { number } => {
                write!(f, "wait until the appliance says that it runs the image of generation {number}")
            }
            Step::Settle { number } => write!(f, "note in the record that generation {number} is the current one"),
            Step::WipeSeed => f.write_str("detach and wipe the seed medium"),
            Step::Prune { number } => write!(f, "remove the system disk of generation {number}"),
        }
    }
}
