//! Installing a node from here: armed, told to boot from the network once, and its power cycled.
//!
//! Invariant: whatever fails before the power was touched leaves the node disarmed; after that it stays armed, and whoever asked is told
//! how to follow it and how to take it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bmc::{BootMode, BootTarget, Kind, Manner, Outcome, PowerAction, Step, Verb};
use jiff::Timestamp;

use super::writing::Work;
use super::{WRITING, machine};
use crate::registry::ArmError;
use crate::store::{OperationError, StoredOperation};

/// The step from which on an installation is not taken back by itself; on the disk before the power is touched.
pub(super) const POWER: &str = "power cycle";

pub(super) async fn install(work: &Work) -> Result<Outcome, OperationError> {
    let Work { app, node, machine, .. } = work;
    work.step("arming");
    let attempt = {
        let (app, actor, reason, mac, id) =
            (Arc::clone(app), work.actor.clone(), work.reason.clone(), node.mac, work.id);
        let why = if reason.is_empty() { "installed from here".to_owned() } else { reason };
        let armed = tokio::task::spawn_blocking(move || {
            app.registry.arm_and(mac, &actor, &why, Timestamp::now(), |transaction, attempt| {
                StoredOperation::armed(transaction, id, attempt)
            })
        });
        let armed = armed.await;
        match armed.map_err(|error| OperationError::surroundings(error.to_string()))? {
            Ok(attempt) => attempt.number,
            Err(ArmError::Store(error)) => return Err(OperationError::surroundings(error.to_string())),
            Err(error) => return Err(OperationError::new(Kind::Input, error.to_string(), None)),
        }
    };
    let once = Verb::BootOnce { target: BootTarget::Pxe, mode: BootMode::Uefi };
    if let Err(error) = machine::run(app, node, machine, &once, WRITING, &|step| work.step(&step.to_string())).await {
        return Err(taken_back(work, attempt, error).await);
    }
    if let Err(error) = work.keep_step(POWER).await {
        return Err(taken_back(work, attempt, error).await);
    }
    let touched = AtomicBool::new(false);
    let cycle = Verb::Power { action: PowerAction::Cycle, manner: Manner::Forced };
    let steps = |step: Step<'_>| {
        touched.fetch_or(matches!(step, Step::Reset(_)), Ordering::Relaxed);
        work.step(&format!("{POWER}: {step}"));
    };
    match machine::run(app, node, machine, &cycle, WRITING, &steps).await {
        Ok(outcome) => Ok(outcome),
        Err(error) if touched.load(Ordering::Relaxed) => {
            let hostname = &node.hostname;
            let stays = format!(
                "{hostname} stays armed: follow it with `provd show {hostname}`, take it back with `provd disarm {hostname}`"
            );
            let help = error.help.map_or(stays.clone(), |help| format!("{help}; {stays}"));
            Err(OperationError { help: Some(help), ..error })
        }
        Err(error) => Err(taken_back(work, attempt, error).await),
    }
}

/// Disarms the node again, takes its boot from the network back, and says what of it was not done.
async fn taken_back(work: &Work, attempt: u64, error: OperationError) -> OperationError {
    let (app, actor, mac) = (Arc::clone(&work.app), work.actor.clone(), work.node.mac);
    let withdrawn = tokio::task::spawn_blocking(move || {
        let why = "its installation did not begin: the BMC did not do its part";
        app.registry.withdraw(mac, attempt, &actor, why, Timestamp::now())
    });
    let hostname = &work.node.hostname;
    let said = match withdrawn.await {
        Ok(Ok(true)) => "it is disarmed again".to_owned(),
        Ok(Ok(false)) => format!("it is not armed any more: `provd show {hostname}`"),
        Ok(Err(_)) | Err(_) => format!("it could not be disarmed: `provd disarm {hostname}`"),
    };
    let text = format!("{}; {said}", error.text);
    if boots_as_always(work, &error).await {
        return OperationError { text, ..error };
    }
    let left = format!("it may boot from the network once: `provd node boot once none {hostname}`");
    let help = error.help.map_or(left.clone(), |help| format!("{help}; {left}"));
    OperationError { text, help: Some(help), ..error }
}

/// Takes back what the BMC may have kept of [`BootTarget::Pxe`]. One that did not answer, or that is not trusted, is not asked again.
async fn boots_as_always(work: &Work, error: &OperationError) -> bool {
    if [Kind::Unreachable, Kind::Trust].iter().any(|kind| kind.name() == error.kind) {
        return false;
    }
    let Work { app, node, machine, .. } = work;
    let none = Verb::BootOnce { target: BootTarget::None, mode: BootMode::Keep };
    machine::run(app, node, machine, &none, WRITING, &|step| work.step(&format!("taking back: {step}"))).await.is_ok()
}
