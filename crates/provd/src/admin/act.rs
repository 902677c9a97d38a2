//! What a person does to a node: one way for the API and the page.

use jiff::Timestamp;
use netboot::MacAddr;

use super::failure::Failure;
use crate::app::App;
use crate::registry::{Actor, NodeView, Registry};
use crate::state::Attempt;

/// Characters of a reason.
const REASON: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Arm,
    Disarm,
    Reinstall,
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Action::Arm => "arm",
            Action::Disarm => "disarm",
            Action::Reinstall => "reinstall",
        }
    }

    /// Whether the node's disk is erased in the end.
    pub(super) fn erases(self) -> bool {
        self != Action::Disarm
    }

    /// The one that a node is offered in its state. `None` where nothing can be done.
    pub(super) fn offered(node: &NodeView) -> Vec<Action> {
        let installable = node.declared.as_ref().is_some_and(|declared| declared.install.is_some());
        let mut actions = Vec::new();
        match node.stored.state.name() {
            "disk" | "failed" if installable => actions.push(Action::Arm),
            "verified" if installable => actions.push(Action::Reinstall),
            "installed" | "installing" | "stalled" if installable => {
                actions.extend([Action::Disarm, Action::Reinstall]);
            }
            "armed" | "booting" | "installing" | "installed" | "stalled" => actions.push(Action::Disarm),
            _ => {}
        }
        actions
    }
}

/// A node by host name or MAC address; also one that has left the inventory, by its MAC address.
pub(super) fn find(registry: &Registry, name: &str) -> Result<NodeView, Failure> {
    let mac = registry.find(name).or_else(|| name.parse::<MacAddr>().ok());
    // What was asked for is not repeated: it may be anything.
    mac.and_then(|mac| registry.node(mac)).ok_or_else(|| Failure::not_found("there is no such node"))
}

/// Does it. The attempt, where the node is armed now.
pub(super) fn perform(
    app: &App,
    actor: &Actor,
    name: &str,
    action: Action,
    reason: &str,
    confirm: Option<&str>,
    now: Timestamp,
) -> Result<Option<Attempt>, Failure> {
    let registry = &app.registry;
    let node = find(registry, name)?;
    let mac = node.stored.mac;
    let hostname = node.stored.hostname.clone();
    if action.erases() && confirm.map(str::trim) != Some(hostname.as_str()) {
        return Err(Failure::new(
            axum::http::StatusCode::UNPROCESSABLE_ENTITY,
            "its disk will be erased: confirm by giving the node's host name",
        ));
    }
    let reason = reason_of(reason)?;
    match action {
        Action::Disarm => match registry.disarm(mac, actor, &reason, now)? {
            true => Ok(None),
            false => Err(Failure::conflict(format!(
                "{hostname} is {}: there is nothing to disarm",
                node.stored.state.name()
            ))),
        },
        Action::Arm => Ok(Some(registry.arm(mac, actor, &reason, now)?)),
        Action::Reinstall => {
            // What arming would refuse is found out before the attempt that goes on is given up.
            registry.installable(mac)?;
            registry.disarm(mac, actor, &reason, now)?;
            Ok(Some(registry.arm(mac, actor, &reason, now)?))
        }
    }
}

/// One line for the audit log.
pub(super) fn reason_of(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if text.chars().count() > REASON || text.chars().any(char::is_control) {
        return Err(Failure::bad(format!("a reason is one line of at most {REASON} characters")));
    }
    Ok(if text.is_empty() { "no reason given".to_owned() } else { text.to_owned() })
}
