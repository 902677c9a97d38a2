//! Operations that a daemon before this one did not end.

use bmc::{PowerAction, Verb};
use jiff::Timestamp;

use super::{install, media, writing};
use crate::app::Shared;
use crate::registry::Actor;
use crate::state::State;
use crate::store::{Operation, OperationError, StoreError, StoredOperation};

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
        if was_switched_off(operation) {
            text += "; the machine may be off";
        }
        let hostname = &operation.hostname;
        let mut help = format!("ask for its status: provd node status {hostname}");
        if is_to_be_on(operation) {
            help += &format!("; if it is off: provd node power on {hostname}");
        }
        if operation.verb["verb"] == "install" {
            help += &match withdrawn {
                true => format!("; it may boot from the network once: provd node boot once none {hostname}"),
                false => format!("; it may install now: provd show {hostname}"),
            };
        }
        operation.error = Some(OperationError { kind: "interrupted".to_owned(), text, help: Some(help) });
        writing::end(app, &stored, &Actor::daemon(), None, now)?;
        let (node, title) = (&stored.operation.hostname, &stored.operation.title);
        tracing::warn!(node, "an operation was interrupted: {title}");
    }
    Ok(())
}

/// Whether the machine runs when this has come to its end, whatever it was before.
fn is_to_be_on(operation: &Operation) -> bool {
    match serde_json::from_value(operation.verb.clone()) {
        Ok(Verb::Power { action, .. }) => action != PowerAction::Off,
        Ok(Verb::BiosApply { restart }) => restart,
        Ok(_) => false,
        // No verb of a BMC: an installation.
        Err(_) => true,
    }
}

/// Whether the last that was done of it is switching off.
fn was_switched_off(operation: &Operation) -> bool {
    let last = operation.step.rsplit(": ").next().unwrap_or_default();
    is_to_be_on(operation)
        && (["ForceOff", "GracefulShutdown", "PushPowerButton", "PowerCycle"].contains(&last)
            || last.starts_with("waiting for the operating system"))
}

/// Disarms a node whose seed CD may not have come to its BMC, and a node that an installation from here has armed and that was not
/// restarted by it. Whether it was.
pub(super) fn withdraw_unless_powered(app: &Shared, stored: &StoredOperation) -> bool {
    let verb = &stored.operation.verb;
    if verb["verb"] == "media-insert" && verb["image"] == media::CIDATA {
        return withdraw_cd(app, stored);
    }
    let kept = app.registry.store().read(|connection| StoredOperation::find(connection, stored.id));
    let kept = kept.ok().flatten();
    let operation = kept.as_ref().map_or(&stored.operation, |kept| &kept.operation);
    let Some(attempt) = operation.attempt.filter(|_| !operation.step.starts_with(install::POWER)) else { return false };
    let why = "provd ended before its installation began";
    let withdrawn = app.registry.withdraw(operation.mac, attempt, &Actor::daemon(), why, Timestamp::now());
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_switched_off_to_be_switched_on_may_be_off() {
        let of = |verb: serde_json::Value, step: &str| {
            let node = (netboot::MacAddr::from_bytes([2, 0, 0, 0, 0, 1]), "node1".to_owned());
            let operation = Operation::begun(node, verb, String::new(), &Actor::daemon(), Timestamp::UNIX_EPOCH);
            was_switched_off(&Operation { step: step.to_owned(), ..operation })
        };
        let power = |action: &str| json!({"verb": "power", "action": action, "manner": "forced"});
        assert!(of(power("cycle"), "reset: ForceOff"));
        assert!(of(power("reset"), "waiting for the operating system to end"));
        assert!(of(json!({"verb": "bios-apply", "restart": true}), "reset: GracefulShutdown"));
        assert!(of(json!({"verb": "install"}), "power cycle: reset: ForceOff"));
        assert!(!of(json!({"verb": "install"}), "power cycle"));
        assert!(!of(power("cycle"), "reset: On"));
        // It is what was asked for.
        assert!(!of(power("off"), "reset: ForceOff"));
        assert!(!of(json!({"verb": "boot-once", "target": "pxe"}), "reset: ForceOff"));
    }
}
