//! Operations that a daemon before this one did not end.

use jiff::Timestamp;

use super::{install, media, writing};
use crate::app::Shared;
use crate::registry::Actor;
use crate::state::State;
use crate::store::{OperationError, StoreError, StoredOperation};

/// Gives each its end; to be called once, before anything is asked. A node whose installation had not come to its power yet is disarmed, and
/// so is one whose answers were being put on a CD.
///
/// # Errors
/// The store cannot be read or written.
pub fn recover(app: &Shared) -> Result<(), StoreError> {
    for mut stored in app.registry.store().read(StoredOperation::open)? {
        let now = Timestamp::now();
        let withdrawn = withdraw_unless_powered(app, &stored);
        let operation = &mut stored.operation;
        operation.ended = Some(now.max(operation.started));
        let mut text = "provd was restarted meanwhile".to_owned();
        if withdrawn {
            text += "; the node is disarmed again";
        }
        let hostname = &operation.hostname;
        let mut help = format!("ask for its status: provd node status {hostname}");
        if operation.verb["verb"] == "install" && !withdrawn {
            help += &format!("; it may install now: provd show {hostname}");
        }
        operation.error = Some(OperationError { kind: "interrupted".to_owned(), text, help: Some(help) });
        writing::end(app, &stored, &Actor::daemon(), None, now)?;
        let (node, title) = (&stored.operation.hostname, &stored.operation.title);
        tracing::warn!(node, "an operation was interrupted: {title}");
    }
    Ok(())
}

/// Disarms a node whose seed CD may not have come to its BMC, and
/// a node that an installation from here has armed, and that was not restarted by it. Whether it was.
pub(super) fn withdraw_unless_powered(app: &Shared, stored: &StoredOperation) -> bool {
    let operation = &stored.operation;
    if operation.verb["verb"] == "media-insert" && operation.verb["image"] == media::CIDATA {
        return withdraw_cd(app, stored);
    }
    let kept = app.registry.store().read(|connection| StoredOperation::find(connection, stored.id));
    let step = kept.ok().flatten().map_or_else(|| operation.step.clone(), |kept| kept.operation.step);
    if operation.verb["verb"] != "install" || step.starts_with(install::POWER) {
        return false;
    }
    let state = app.registry.node(operation.mac).map(|view| view.stored.state);
    let Some(State::Armed(_) | State::Booting(_)) = &state else { return false };
    let attempt = state.as_ref().and_then(State::attempt).filter(|attempt| attempt.armed >= operation.started);
    let Some(attempt) = attempt else { return false };
    let why = "provd ended before its installation began";
    let withdrawn = app.registry.withdraw(operation.mac, attempt.number, &Actor::daemon(), why, Timestamp::now());
    withdrawn.unwrap_or_else(|error| {
        tracing::error!("{} cannot be disarmed: {error}", operation.hostname);
        false
    })
}

fn withdraw_cd(app: &Shared, stored: &StoredOperation) -> bool {
    let operation = &stored.operation;
    let state = app.registry.node(operation.mac).map(|view| view.stored.state);
    // It was armed when this began, or nothing would have begun.
    let attempt = state.as_ref().and_then(State::attempt).filter(|attempt| attempt.armed <= operation.started);
    let Some(attempt) = attempt else { return false };
    let why = "provd ended before its seed CD was inserted";
    let withdrawn = app.registry.withdraw_cd(operation.mac, attempt.number, &Actor::daemon(), why, Timestamp::now());
    withdrawn.unwrap_or_else(|error| {
        tracing::error!("{} cannot be disarmed: {error}", operation.hostname);
        false
    })
}
