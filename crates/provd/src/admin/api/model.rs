//! What the API answers, as programs see it: every field is described in the OpenAPI document.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::act::Action;
use crate::pen::{Pen, Stranger};
use crate::registry::{NodeView, RefusedBoot, ReportedEvent};
use crate::state::{Attempt, State};
use crate::store::Audited;

/// A node in one line.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::admin) struct NodeRow {
    pub(in crate::admin) hostname: String,
    pub(in crate::admin) mac: String,
    /// Its address by the inventory; null for one that has left the inventory.
    #[schema(required)]
    pub(in crate::admin) address: Option<String>,
    /// "unknown", "disk", "armed", "booting", "installing", "installed", "verified", "failed" or "stalled".
    pub(in crate::admin) state: String,
    /// One line about the state: the installer's step, the reason of a failure.
    pub(in crate::admin) detail: String,
    /// How far the attempt is, from 0 (nothing goes on) over 1 (armed) to 5 (verified).
    #[schema(maximum = 5)]
    pub(in crate::admin) stage: u8,
    /// Since when the node is in this state.
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::admin) since: Timestamp,
    /// When the node itself was heard last.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub(in crate::admin) heard: Option<Timestamp>,
    #[schema(required)]
    pub(in crate::admin) installer: Option<String>,
    /// Whether the installer's files are at hand.
    pub(in crate::admin) media_ready: bool,
    /// Attempts so far.
    pub(in crate::admin) attempts: u64,
    /// Whether the inventory has it.
    pub(in crate::admin) declared: bool,
    /// Whether the inventory has its baseboard management controller.
    pub(in crate::admin) has_bmc: bool,
    /// What can be done to it now: "arm", "disarm", "reinstall".
    pub(in crate::admin) actions: Vec<String>,
}

impl NodeRow {
    pub(in crate::admin) fn of(node: &NodeView) -> Self {
        let NodeView { declared, stored, media_ready, refused: _ } = node;
        NodeRow {
            hostname: stored.hostname.clone(),
            mac: stored.mac.to_string(),
            address: declared.as_ref().map(|node| node.address.to_string()),
            state: stored.state.name().to_owned(),
            detail: stored.state.detail(),
            stage: stage(&stored.state),
            since: stored.since,
            heard: stored.heard,
            installer: declared.as_ref().and_then(|node| node.install.clone()),
            media_ready: *media_ready,
            attempts: stored.attempts,
            declared: declared.is_some(),
            has_bmc: declared.as_ref().is_some_and(|node| node.bmc.is_some()),
            actions: Action::offered(node).into_iter().map(|action| action.name().to_owned()).collect(),
        }
    }
}

fn stage(state: &State) -> u8 {
    match state {
        State::Unknown(_) | State::Disk(_) => 0,
        State::Armed(_) => 1,
        State::Booting(_) => 2,
        State::Installing(_) | State::Failed(_) => 3,
        State::Installed(_) => 4,
        State::Verified(_) => 5,
        State::Stalled(stalled) => match stalled.during.name() {
            "booting" => 2,
            "installed" => 4,
            _ => 3,
        },
    }
}

/// All that is known of a node but its timeline.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::admin) struct NodeDetail {
    pub(in crate::admin) node: NodeRow,
    /// The attempt that goes on, or the last one.
    #[schema(required)]
    pub(in crate::admin) attempt: Option<AttemptRow>,
    /// Where its last request came from.
    #[schema(required)]
    pub(in crate::admin) heard_from: Option<String>,
    /// Why it was sent to its own disk although it was armed, the last time since it was armed and the daemon was started.
    #[schema(required)]
    pub(in crate::admin) refused: Option<RefusedRow>,
    /// What the verified system gave, as in known_hosts, without the host's name.
    pub(in crate::admin) host_keys: Vec<String>,
    /// The disk that is installed on, by the inventory; null means the only one.
    #[schema(value_type = Option<Object>, required)]
    pub(in crate::admin) disk: Option<serde_json::Value>,
    #[schema(required)]
    pub(in crate::admin) address6: Option<String>,
    /// Address of its baseboard management controller.
    #[schema(required)]
    pub(in crate::admin) bmc: Option<String>,
    pub(in crate::admin) secure_boot: bool,
    pub(in crate::admin) roles: Vec<String>,
}

/// A boot request that was not answered with an installer.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::admin) struct RefusedRow {
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::admin) at: Timestamp,
    /// The address that asked.
    pub(in crate::admin) from: String,
    pub(in crate::admin) reason: String,
}

impl From<RefusedBoot> for RefusedRow {
    fn from(refused: RefusedBoot) -> Self {
        let RefusedBoot { from, reason, at } = refused;
        RefusedRow { at, from: from.to_string(), reason: reason.to_string() }
    }
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::admin) struct AttemptRow {
    /// Counts a node's attempts, from 1.
    pub(in crate::admin) number: u64,
    pub(in crate::admin) installer: String,
    /// Until when the node must have read its answers.
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::admin) expires: Timestamp,
}

impl From<&Attempt> for AttemptRow {
    fn from(attempt: &Attempt) -> Self {
        let Attempt { number, installer, expires, .. } = attempt.clone();
        AttemptRow { number, installer, expires }
    }
}

impl NodeDetail {
    pub(in crate::admin) fn of(view: &NodeView) -> Self {
        let declared = view.declared.as_ref();
        let host_keys = match &view.stored.state {
            State::Verified(verified) => verified.host_keys.clone(),
            _ => Vec::new(),
        };
        let disk = declared.and_then(|node| node.disk.as_ref()).and_then(|disk| {
            let mut disk = serde_json::to_value(disk).ok()?;
            disk.as_object_mut()?.retain(|_, value| !value.is_null());
            Some(disk)
        });
        NodeDetail {
            node: NodeRow::of(view),
            attempt: view.stored.state.attempt().map(AttemptRow::from),
            heard_from: view.stored.address.map(|address| address.to_string()),
            refused: view.refused.map(RefusedRow::from),
            host_keys,
            disk,
            address6: declared.and_then(|node| node.address6).map(|address| address.to_string()),
            bmc: declared.and_then(|node| node.bmc.as_ref()).map(|bmc| bmc.address.to_string()),
            secure_boot: declared.is_some_and(|node| node.secure_boot),
            roles: declared.map(|node| node.roles.iter().cloned().collect()).unwrap_or_default(),
        }
    }
}

/// One line of the audit log; `hash` is the SHA-256 of the hash before it, a newline, and the line as JSON without its hash.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::admin) struct AuditEntry {
    pub(in crate::admin) seq: u64,
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::admin) at: Timestamp,
    pub(in crate::admin) mac: String,
    pub(in crate::admin) hostname: String,
    /// "node", "provd", a person's name, or "token:" and a program's.
    pub(in crate::admin) who: String,
    /// An address, or "local".
    pub(in crate::admin) origin: String,
    pub(in crate::admin) from: String,
    pub(in crate::admin) to: String,
    pub(in crate::admin) detail: String,
    pub(in crate::admin) why: String,
    pub(in crate::admin) hash: String,
}

impl From<Audited> for AuditEntry {
    fn from(audited: Audited) -> Self {
        let Audited { line, hash } = audited;
        let crate::store::AuditLine { seq, at, mac, hostname, who, origin, from, to, detail, why } = line;
        AuditEntry { seq, at, mac: mac.to_string(), hostname, who, origin, from, to, detail, why, hash }
    }
}

/// What was found by going through the whole audit log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::admin) struct Verification {
    pub(in crate::admin) valid: bool,
    /// Lines, where it is valid.
    pub(in crate::admin) lines: u64,
    /// The last line's hash, to be kept elsewhere.
    pub(in crate::admin) hash: String,
    /// Where the chain is broken.
    #[schema(required)]
    pub(in crate::admin) fault: Option<String>,
}

/// One line of a node's timeline: a change of its state, or a report of its installer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::admin) struct TimelineEntry {
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::admin) at: Timestamp,
    /// "transition" or "event".
    pub(in crate::admin) kind: String,
    /// The attempt that it belongs to; 0 before the first.
    pub(in crate::admin) attempt: u64,
    /// The new state, or the installer's step.
    pub(in crate::admin) title: String,
    pub(in crate::admin) text: String,
    /// Who caused it, and from where.
    pub(in crate::admin) by: String,
    /// "start", "finish" or "note" of an event; empty for a transition.
    pub(in crate::admin) phase: String,
    /// "SUCCESS", "WARN" or "FAIL", of an event that has one.
    #[schema(required)]
    pub(in crate::admin) result: Option<String>,
}

impl TimelineEntry {
    pub(in crate::admin) fn transition(audited: Audited, attempt: u64) -> Self {
        let line = audited.line;
        let text = match (line.detail.is_empty(), line.detail == line.why) {
            (true, _) | (_, true) => line.why,
            (false, false) => format!("{} ({})", line.detail, line.why),
        };
        let by = format!("{} ({})", line.who, line.origin);
        let kind = "transition".to_owned();
        TimelineEntry { at: line.at, kind, attempt, title: line.to, text, by, phase: String::new(), result: None }
    }

    pub(in crate::admin) fn event(event: ReportedEvent) -> Self {
        let ReportedEvent { attempt, at, kind: phase, name: title, text, result, .. } = event;
        let (kind, by) = ("event".to_owned(), "installer".to_owned());
        TimelineEntry { at, kind, attempt, title, text, by, phase, result }
    }
}

/// A machine that is in no inventory.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::admin) struct StrangerRow {
    pub(in crate::admin) mac: String,
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::admin) first_seen: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::admin) last_seen: Timestamp,
    #[schema(required)]
    pub(in crate::admin) address: Option<String>,
    /// DHCP option 55: the numbers of the options that it asks for, with commas.
    #[schema(required)]
    pub(in crate::admin) fingerprint: Option<String>,
    /// DHCP option 60.
    #[schema(required)]
    pub(in crate::admin) vendor: Option<String>,
    /// DHCP option 12. The machine says it, and may say anything.
    #[schema(required)]
    pub(in crate::admin) hostname: Option<String>,
    /// For nodes.toml.
    pub(in crate::admin) stanza: String,
}

impl From<Stranger> for StrangerRow {
    fn from(stranger: Stranger) -> Self {
        let stanza = Pen::stanza(&stranger);
        let Stranger { mac, first_seen, last_seen, address, fingerprint, vendor, hostname, .. } = stranger;
        let (mac, address) = (mac.to_string(), address.map(|address| address.to_string()));
        StrangerRow { mac, first_seen, last_seen, address, fingerprint, vendor, hostname, stanza }
    }
}

/// What arming and reinstalling need.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct ArmRequest {
    /// For the audit log: one line of at most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub(in crate::admin) reason: String,
    /// The node's host name: its disk will be erased.
    pub(in crate::admin) confirm: String,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct DisarmRequest {
    /// For the audit log: one line of at most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub(in crate::admin) reason: String,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::admin) struct SessionRow {
    pub(in crate::admin) name: String,
    pub(in crate::admin) may_act: bool,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub(in crate::admin) expires: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::admin) struct NodesQuery {
    /// Only the nodes in this state.
    pub(in crate::admin) state: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::admin) struct AuditQuery {
    /// Lines after the one with this number, oldest first. Without it: the last lines, newest first.
    pub(in crate::admin) after: Option<u64>,
    /// Lines before the one with this number, newest first.
    pub(in crate::admin) before: Option<u64>,
    /// How many lines at most: 100 unless said, 1000 at most.
    #[param(minimum = 1, maximum = 1000)]
    pub(in crate::admin) limit: Option<usize>,
    /// Only the lines of this node, by host name or MAC address.
    pub(in crate::admin) node: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::admin) struct StreamQuery {
    /// First what has changed after this line of the audit log. A `Last-Event-ID` goes before it.
    pub(in crate::admin) after: Option<u64>,
}
