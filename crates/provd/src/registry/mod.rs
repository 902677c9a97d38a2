//! The one door to the nodes' states: every request of a node, every action of a person and every limit of time comes
//! through here.
//!
//! In: the declared inventory, the store. Out: answers to the front ends, and [`Change`]s for whoever watches. A change is
//! first on the disk (state, audit line, webhooks' outbox and tokens in one transaction), then in memory, then told. Time comes
//! in as an argument. All methods may block for a flush of the disk; call them off the asynchronous threads.

mod boot;
mod cd;
mod operator;
mod report;
mod scripts;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use netboot::{Declared, DeclaredInstaller, MacAddr, MediaPaths, Node};
use rusqlite::Transaction;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast;

use crate::state::{Active, Disk, State, Transition, Unknown};
use crate::store::{AuditLine, Audited, Grant, Store, StoreError, StoredNode};

pub use boot::{BootAnswer, RefusedBoot, Seed};
pub use cd::{CdError, ReadCd};
pub use operator::ArmError;
pub(crate) use report::without_tokens;
pub use report::{FirstBoot, Outcome, Phase, Progress, Report};
pub use scripts::Scripts;

/// Who asks for something, from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// "node", "provd", or a person's or program's name.
    pub who: String,
    /// An address, or "local".
    pub origin: String,
}

impl Actor {
    pub fn node(from: IpAddr) -> Self {
        Actor { who: "node".to_owned(), origin: from.to_string() }
    }

    pub fn daemon() -> Self {
        Actor { who: "provd".to_owned(), origin: "local".to_owned() }
    }
}

/// Something that watchers want to know.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// A state has changed.
    Transition(Audited),
    /// An installer has reported; its node's state may be the same as before.
    Reported(ReportedEvent),
    /// A machine outside the inventory was seen.
    Pen { mac: MacAddr },
    /// Something goes on with a node's BMC, or has ended.
    Operation(OperationChange),
}

/// How far an operation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationChange {
    /// `None` for a reading, which is not kept.
    pub id: Option<u64>,
    pub mac: MacAddr,
    pub hostname: String,
    /// "power cycle"
    pub title: String,
    /// "running", "done" or "failed".
    pub state: &'static str,
    /// What is done now, or one line about what became of it.
    pub text: String,
}

/// What a line of the audit log says that is about no change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) detail: String,
    pub(crate) why: String,
}

/// One line of a node's timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportedEvent {
    pub mac: MacAddr,
    pub hostname: String,
    pub attempt: u64,
    /// When it came, by this daemon's clock.
    pub at: Timestamp,
    /// "start", "finish" or "note".
    pub kind: String,
    /// In the installer's words ("subiquity/Network/apply_autoinstall_config").
    pub name: String,
    pub text: String,
    /// "SUCCESS", "WARN" or "FAIL", of a finish.
    pub result: Option<String>,
}

/// Why a node is not given what it asks for. None of these changes a state.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nobody was given this token, or for another purpose.
    #[error("this token is not known")]
    Token,
    #[error("this token belongs to another address")]
    Address,
    /// It was good once.
    #[error("this token is used up")]
    Gone,
    #[error("there is no such file in this node's seed")]
    File,
    #[error("too many requests of this attempt")]
    Limit,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("this node's seed cannot be made: {0}")]
    Seed(String),
}

/// A node as it is declared and as it is.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// `None` for one that left the inventory.
    pub declared: Option<Node>,
    pub stored: StoredNode,
    /// Whether its installer's files are at hand.
    pub media_ready: bool,
    /// Why it was not given its installer although it was armed, the last time, if that was since this daemon began.
    pub refused: Option<RefusedBoot>,
}

/// Where things are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The boot server's root, as nginx serves it (holds `media/INSTALLER/`).
    pub served: PathBuf,
    /// Directory for GRUB's scripts, that TFTP serves as `grub/nodes/`.
    pub grub_nodes: Option<PathBuf>,
}

/// Changes that a watcher may lag behind before it misses some, and must read anew.
const BACKLOG: usize = 1024;
/// Boot scripts with an installer, and readings of the answers, in one attempt.
const TOKENS_PER_ATTEMPT: u64 = 32;

pub struct Registry {
    declared: Declared,
    by_mac: BTreeMap<MacAddr, usize>,
    by_hostname: BTreeMap<String, MacAddr>,
    places: Places,
    scripts: Scripts,
    store: Arc<Store>,
    /// When this daemon began to listen: silence before that says nothing.
    /// Seconds since 1970; goes back with the clock.
    started: AtomicI64,
    memory: Mutex<BTreeMap<MacAddr, StoredNode>>,
    /// At most one for each declared node.
    refusals: Mutex<BTreeMap<MacAddr, RefusedBoot>>,
    cds: cd::Cds,
    changes: broadcast::Sender<Change>,
}

impl Registry {
    /// Compares what is remembered with what is declared: new nodes begin at their own disk, nodes that left the inventory are
    /// disarmed, those that came back begin anew.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub fn open(declared: Declared, places: Places, store: Arc<Store>, now: Timestamp) -> Result<Self, StoreError> {
        let nodes = &declared.inventory.nodes;
        let by_mac = nodes.iter().enumerate().map(|(index, node)| (node.mac, index)).collect();
        let by_hostname = nodes.iter().map(|node| (node.hostname.to_string(), node.mac)).collect();
        let remembered = store.read(StoredNode::all)?;
        let memory = Mutex::new(remembered.into_iter().map(|node| (node.mac, node)).collect());
        let (changes, _) = broadcast::channel(BACKLOG);
        let scripts = Scripts::new(places.grub_nodes.clone());
        let refusals = Mutex::default();
        let registry = Registry {
            declared,
            by_mac,
            by_hostname,
            places,
            scripts,
            store,
            started: AtomicI64::new(now.as_second()),
            memory,
            refusals,
            cds: cd::Cds::default(),
            changes,
        };
        registry.reconcile(now)?;
        Ok(registry)
    }

    fn reconcile(&self, now: Timestamp) -> Result<(), StoreError> {
        self.scripts.clear();
        let mut memory = self.lock();
        let declared = self.declared.inventory.nodes.iter();
        let missing: Vec<&Node> = declared.filter(|node| !memory.contains_key(&node.mac)).collect();
        for node in missing {
            let stored = StoredNode {
                mac: node.mac,
                hostname: node.hostname.to_string(),
                state: State::Unknown(Unknown {}),
                since: now,
                attempts: 0,
                heard: None,
                address: None,
            };
            memory.insert(node.mac, stored);
        }
        let macs: Vec<MacAddr> = memory.keys().copied().collect();
        for mac in macs {
            let Some(stored) = memory.get_mut(&mac) else { continue };
            match self.declared_node(mac) {
                None => {
                    if let Some(step) = stored.state.clone().forget() {
                        self.commit(&mut memory, mac, step, &Actor::daemon(), now, |_| Ok(()))?;
                    }
                }
                Some(node) => {
                    stored.hostname = node.hostname.to_string();
                    if let State::Unknown(unknown) = stored.state.clone() {
                        self.commit(&mut memory, mac, unknown.declare(), &Actor::daemon(), now, |_| Ok(()))?;
                    }
                    self.end_what_changed(&mut memory, node, now)?;
                    self.publish(&memory, mac, now);
                }
            }
        }
        Ok(())
    }

    /// Disarms a node that was armed for something else than this image would install.
    fn end_what_changed(
        &self,
        memory: &mut BTreeMap<MacAddr, StoredNode>,
        node: &Node,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(state) = memory.get(&node.mac).map(|stored| stored.state.clone()).filter(boots_installer) else {
            return Ok(());
        };
        if state.attempt().is_some_and(|attempt| attempt.meaning == self.meaning(node)) {
            return Ok(());
        }
        let Some(step) = state.disarm("this image would install something else than what was armed") else {
            return Ok(());
        };
        self.commit(memory, node.mac, step, &Actor::daemon(), now, |_| Ok(()))
    }

    /// Digest of what arming this node asks for.
    fn meaning(&self, node: &Node) -> String {
        // Plain data with text keys: writing it cannot fail, and an empty text would only end an arming.
        let text = serde_json::to_string(&(self.installer_of(node), &node.disk)).unwrap_or_default();
        hex::encode(Sha256::digest(text))
    }

    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub fn declared_node(&self, mac: MacAddr) -> Option<&Node> {
        self.by_mac.get(&mac).map(|index| &self.declared.inventory.nodes[*index])
    }

    /// A node by host name or MAC address.
    pub fn find(&self, name: &str) -> Option<MacAddr> {
        let by_name = self.by_hostname.get(name).copied();
        by_name.or_else(|| name.parse().ok().filter(|mac| self.by_mac.contains_key(mac)))
    }

    /// Every node that is declared or remembered, in the order of the inventory, then the others.
    pub fn nodes(&self) -> Vec<NodeView> {
        let stored: Vec<StoredNode> = self.lock().values().cloned().collect();
        // The disk is asked without the lock that every boot request needs, and once for each installer.
        let ready = |name: &String| self.media_ready(name).then(|| name.clone());
        let ready: BTreeSet<String> = self.declared.installers.keys().filter_map(ready).collect();
        let mut nodes: Vec<NodeView> =
            stored.into_iter().map(|stored| self.view_of(stored, |installer| ready.contains(installer))).collect();
        nodes.sort_by_key(|node| self.by_mac.get(&node.stored.mac).copied().unwrap_or(usize::MAX));
        nodes
    }

    pub fn node(&self, mac: MacAddr) -> Option<NodeView> {
        let stored = self.lock().get(&mac).cloned()?;
        Some(self.view_of(stored, |installer| self.media_ready(installer)))
    }

    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Tells the watchers something that the registry itself does not keep.
    pub fn tell(&self, change: Change) {
        // Nobody listening is no fault.
        let _ = self.changes.send(change);
    }

    fn view_of(&self, stored: StoredNode, ready: impl Fn(&str) -> bool) -> NodeView {
        let declared = self.declared_node(stored.mac).cloned();
        let media_ready = declared.as_ref().and_then(|node| node.install.as_deref()).is_some_and(ready);
        let refused = self.last_refusal(stored.mac);
        NodeView { declared, stored, media_ready, refused }
    }

    fn installer_of(&self, node: &Node) -> Option<(&String, &DeclaredInstaller)> {
        self.declared.installers.get_key_value(node.install.as_ref()?)
    }

    /// Whether an installer's files are all below the boot server's root: those of this image's medium, where the appliance
    /// fetches them. They get their names only once they are verified, and their digest stands beside them.
    pub fn media_ready(&self, installer: &str) -> bool {
        let Some(declared) = self.declared.installers.get(installer) else { return false };
        let MediaPaths { kernel, initrd, iso } = MediaPaths::of(installer, declared.system.release);
        let at = |path: &str| self.places.served.join(path);
        let same = declared.sha256.as_ref().is_none_or(|sha256| {
            std::fs::read_to_string(at(&format!("media/{installer}/sha256"))).is_ok_and(|is| is.trim() == sha256)
        });
        same && [Some(kernel), Some(initrd), iso].iter().flatten().all(|path| at(path).is_file())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MacAddr, StoredNode>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one step: on the disk with its audit line and `more`, then in memory, then told. Where the step takes the installer
    /// away, its script and the node's tokens go first.
    fn commit(
        &self,
        memory: &mut BTreeMap<MacAddr, StoredNode>,
        mac: MacAddr,
        step: Transition,
        actor: &Actor,
        now: Timestamp,
        more: impl FnOnce(&Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(before) = memory.get(&mac) else {
            return Err(StoreError::Content(format!("{mac} has no state")));
        };
        if !boots_installer(step.to()) {
            self.scripts.remove(mac);
        }
        let mut after = before.clone();
        after.state = step.to().clone();
        if step.from().name() != step.to().name() {
            after.since = now;
        }
        if matches!(step.to(), State::Armed(_)) {
            after.attempts += 1;
        }
        let line = AuditLine {
            seq: 0,
            at: now,
            mac,
            hostname: after.hostname.clone(),
            who: actor.who.clone(),
            origin: actor.origin.clone(),
            from: step.from().name().to_owned(),
            to: step.to().name().to_owned(),
            detail: step.to().detail(),
            why: step.why().to_owned(),
        };
        let audited = self.store.write(|transaction| {
            // A node that is new has no row yet.
            let stored = StoredNode::state_of(transaction, mac)?;
            if stored.as_ref().is_some_and(|stored| stored != step.from()) {
                return Err(StoreError::Content(format!("{mac} is in another state than this daemon made")));
            }
            after.write(transaction)?;
            if ends_attempt(step.to()) {
                Grant::revoke(transaction, mac, None)?;
            }
            more(transaction)?;
            let audited = Audited::append(transaction, line)?;
            crate::webhooks::enqueue(transaction, &self.declared.control.webhooks, &audited, now)?;
            Ok(audited)
        })?;
        if ends_attempt(step.to()) {
            self.cds.forget(mac);
        }
        memory.insert(mac, after);
        self.tell(Change::Transition(audited));
        Ok(())
    }

    /// Writes a line about a node that stays in its state, and `more` in the same transaction; `more` says what the line is about, or
    /// nothing where there is nothing to write.
    ///
    /// # Errors
    /// The store cannot be written; nothing is.
    pub(crate) fn note<T>(
        &self,
        mac: MacAddr,
        actor: &Actor,
        now: Timestamp,
        more: impl FnOnce(&Transaction<'_>) -> Result<(T, Option<Note>), StoreError>,
    ) -> Result<T, StoreError> {
        // The lock keeps the lines in the order in which they are told.
        let memory = self.lock();
        let stored = memory.get(&mac);
        let state = stored.map_or("unknown", |stored| stored.state.name());
        let (value, audited) = self.store.write(|transaction| {
            let (value, note) = more(transaction)?;
            let Some(Note { detail, why }) = note else { return Ok((value, None)) };
            let line = AuditLine {
                seq: 0,
                at: now,
                mac,
                hostname: stored.map(|stored| stored.hostname.clone()).unwrap_or_default(),
                who: actor.who.clone(),
                origin: actor.origin.clone(),
                from: state.to_owned(),
                to: state.to_owned(),
                detail,
                why,
            };
            Ok((value, Some(Audited::append(transaction, line)?)))
        })?;
        if let Some(audited) = audited {
            self.tell(Change::Transition(audited));
        }
        Ok(value)
    }

    /// Notes that a node was heard; on the disk with its next step, or by [`Registry::tick`].
    fn heard(memory: &mut BTreeMap<MacAddr, StoredNode>, mac: MacAddr, from: IpAddr, now: Timestamp) {
        if let Some(stored) = memory.get_mut(&mac) {
            stored.heard = Some(now);
            stored.address = Some(from);
        }
    }
}

/// The states that answer a boot request with an installer.
fn boots_installer(state: &State) -> bool {
    matches!(state, State::Armed(_) | State::Booting(_))
}

/// The states in which no token of the attempt before is good any more.
fn ends_attempt(state: &State) -> bool {
    match state {
        State::Unknown(_) | State::Disk(Disk {}) | State::Armed(_) | State::Verified(_) | State::Failed(_) => true,
        State::Booting(_) | State::Installing(_) | State::Installed(_) => false,
        State::Stalled(stalled) => matches!(stalled.during, Active::Booting(_)),
    }
}
