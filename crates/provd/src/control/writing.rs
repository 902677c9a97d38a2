//! Verbs that write: begun with a line in the audit log, carried out in a task of their own, ended with another line.

use std::sync::Arc;

use bmc::{Machine, Outcome, Verb};
use jiff::Timestamp;
use netboot::{Bmc, Node};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::claim::Claim;
use super::underway::Going;
use super::{Asked, ControlError, Job, WRITING, install, machine, media, restart};
use crate::app::Shared;
use crate::registry::{Actor, Note};
use crate::state::State;
use crate::store::{Operation, OperationError, StoreError, StoredOperation};

/// Begins an operation. It goes on whatever becomes of the one who asked. May block; to be called within the runtime.
///
/// # Errors
/// It does not begin; nothing was sent.
pub fn start(app: &Shared, node: &Node, asked: Asked, actor: &Actor) -> Result<StoredOperation, ControlError> {
    let hostname = node.hostname.to_string();
    let bmc = node.bmc.clone().ok_or_else(|| ControlError::NoBmc(hostname.clone()))?;
    let title = asked.job.title();
    let going = app.control.underway.begin()?;
    let claim = Claim::write(app, (node.mac, &hostname), &title, &actor.who)?;
    // Before anything of it is written down: an address may hold a password.
    if let Job::Verb(verb) = &asked.job
        && !media::is_word(verb)
    {
        verb.check().map_err(ControlError::Request)?;
    }
    judge(app, node, &asked)?;
    let now = Timestamp::now();
    let operation = Operation::begun((node.mac, hostname), asked.job.json(), title, actor, now);
    let id = app.registry.note(node.mac, actor, now, |transaction| {
        let id = operation.begin(transaction)?;
        let asked_for = if asked.force { "asked for, whatever goes on" } else { "asked for" };
        let why = if asked.reason.is_empty() { asked_for.to_owned() } else { format!("{asked_for}: {}", asked.reason) };
        Ok((id, Some(Note { detail: detail(id, &operation), why })))
    })?;
    app.registry.tell(operation.change(Some(id)));
    let stored = StoredOperation { id, operation };
    let task = Task {
        app: Arc::clone(app),
        node: node.clone(),
        bmc,
        actor: actor.clone(),
        asked,
        stored: stored.clone(),
        claim,
        _going: going,
    };
    Handle::current().spawn(task.run());
    Ok(stored)
}

/// The end of a line of the audit log.
fn detail(id: u64, operation: &Operation) -> String {
    format!("{} by the BMC (operation {id})", operation.title)
}

fn judge(app: &Shared, node: &Node, asked: &Asked) -> Result<(), ControlError> {
    let hostname = || node.hostname.to_string();
    let state = app.registry.node(node.mac).map(|view| view.stored.state);
    let installing =
        state.as_ref().filter(|state| matches!(state, State::Booting(_) | State::Installing(_) | State::Installed(_)));
    if asked.job == Job::Install {
        if let Some(state) = installing.or(state.as_ref().filter(|state| matches!(state, State::Armed(_)))) {
            return Err(ControlError::Installing { hostname: hostname(), state: state.name() });
        }
        app.registry.installable(node.mac)?;
    } else if asked.job.is_cidata() {
        app.registry.cd_allowed(node.mac, Timestamp::now())?;
    } else if let Some(state) = installing.filter(|_| asked.job.interrupts() && !asked.force) {
        let title = asked.job.title();
        return Err(ControlError::Interrupts { hostname: hostname(), state: state.name(), title });
    }
    Ok(())
}

struct Task {
    app: Shared,
    node: Node,
    bmc: Bmc,
    actor: Actor,
    asked: Asked,
    stored: StoredOperation,
    claim: Claim,
    /// Until the end is written.
    _going: Going,
}

/// What a task needs to carry its job out.
pub(super) struct Work {
    pub(super) app: Shared,
    pub(super) node: Node,
    pub(super) actor: Actor,
    pub(super) reason: String,
    pub(super) machine: Machine,
    /// The operation's number.
    pub(super) id: u64,
    steps: UnboundedSender<Step>,
}

/// What is done now, and who waits until it is on the disk.
struct Step {
    text: String,
    kept: Option<oneshot::Sender<bool>>,
}

impl Work {
    pub(super) fn step(&self, text: &str) {
        // Whoever listens ends after this.
        let _ = self.steps.send(Step { text: text.to_owned(), kept: None });
    }

    /// The step is on the disk, after all before it, when this returns.
    pub(super) async fn keep_step(&self, text: &str) -> Result<(), OperationError> {
        let (kept, is_kept) = oneshot::channel();
        let _ = self.steps.send(Step { text: text.to_owned(), kept: Some(kept) });
        match is_kept.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => {
                Err(OperationError::surroundings("the database cannot be written: see provd's journal"))
            }
        }
    }
}

impl Task {
    async fn run(mut self) {
        let (steps, mut told) = unbounded_channel();
        // In a task within the task: one that panics has an end like any other.
        let mut work = tokio::spawn(carry_out(
            (Arc::clone(&self.app), self.node.clone(), self.bmc.clone(), self.actor.clone()),
            self.asked.clone(),
            (self.stored.id, steps),
        ));
        let result = loop {
            tokio::select! {
                biased;
                Some(step) = told.recv() => self.step(step).await,
                result = &mut work => break result,
            }
        };
        let result = match result {
            Ok(result) => result,
            Err(error) => {
                tracing::error!("operation {} has failed: {error}", self.stored.id);
                restart::withdraw_unless_powered(&self.app, &self.stored);
                Err(OperationError::surroundings("this operation has failed: see provd's journal"))
            }
        };
        let ended = tokio::task::spawn_blocking(move || self.end(result)).await;
        match ended {
            Ok(Ok(())) => {}
            // It has no end in the database: the next start of the daemon gives it one.
            Ok(Err(error)) => tracing::error!("the end of an operation cannot be written: {error}"),
            Err(error) => tracing::error!("the end of an operation cannot be written: {error}"),
        }
    }

    async fn step(&mut self, Step { text, kept }: Step) {
        let operation = &mut self.stored.operation;
        if operation.step == text && kept.is_none() {
            return;
        }
        operation.step = super::cut(text);
        self.claim.step(&operation.step);
        let (app, id, step) = (Arc::clone(&self.app), self.stored.id, operation.step.clone());
        let written = tokio::task::spawn_blocking(move || {
            let store = app.registry.store();
            store.write(|transaction| StoredOperation::step(transaction, id, &step))
        });
        let written = match written.await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!("a step of an operation cannot be written: {error}");
                false
            }
            Err(error) => {
                tracing::error!("a step of an operation cannot be written: {error}");
                false
            }
        };
        if let Some(kept) = kept {
            let _ = kept.send(written);
        }
        self.app.registry.tell(operation.change(Some(self.stored.id)));
    }

    fn end(mut self, result: Result<Outcome, OperationError>) -> Result<(), StoreError> {
        let now = Timestamp::now();
        self.stored.operation.finish(result, now);
        self.stored.operation.leave_out_what_is_too_long();
        self.app.control.see(self.node.mac, None);
        end(&self.app, &self.stored, &self.actor, Some(self.claim), now)?;
        self.app.registry.tell(self.stored.operation.change(Some(self.stored.id)));
        Ok(())
    }
}

/// Writes the end of an operation, and its line. The claim ends with it: whoever sees that the operation has ended may ask for the next
/// one, whose line comes after this.
pub(super) fn end(
    app: &Shared,
    StoredOperation { id, operation }: &StoredOperation,
    actor: &Actor,
    claim: Option<Claim>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let why = match (&operation.error, &operation.summary) {
        (Some(error), _) => format!("failed ({}): {}", error.kind, error.text),
        (None, summary) => format!("done: {}", summary.as_deref().unwrap_or_default()),
    };
    app.registry.note(operation.mac, actor, now, |transaction| {
        operation.end(transaction, *id)?;
        drop(claim);
        Ok(((), Some(Note { detail: detail(*id, operation), why: bmc::plain(&why) })))
    })
}

async fn carry_out(
    (app, node, bmc, actor): (Shared, Node, Bmc, Actor),
    asked: Asked,
    (id, steps): (u64, UnboundedSender<Step>),
) -> Result<Outcome, OperationError> {
    // Before anything can fail: whatever does leaves no node armed that was to have its answers.
    let attempt = asked.job.is_cidata().then(|| media::armed(&app, &node)).flatten();
    let (withdraws, of, by) = (Arc::clone(&app), node.clone(), actor.clone());
    match (work((app, node, bmc, actor), asked, (id, steps)).await, attempt) {
        (Err(error), Some(attempt)) => Err(media::taken_back(&withdraws, &of, &by, attempt, error).await),
        (result, _) => result,
    }
}

async fn work(
    (app, node, bmc, actor): (Shared, Node, Bmc, Actor),
    asked: Asked,
    (id, steps): (u64, UnboundedSender<Step>),
) -> Result<Outcome, OperationError> {
    let patience = app.control.settings.patience.clone();
    let machine = {
        let (app, node, actor) = (Arc::clone(&app), node.clone(), actor.clone());
        let made = tokio::task::spawn_blocking(move || machine::of_node(&app, &node, &bmc, &actor, patience)).await;
        made.map_err(|error| OperationError::surroundings(error.to_string()))??
    };
    let work = Work { app, node, actor, reason: asked.reason, machine, id, steps };
    match asked.job {
        Job::Verb(Verb::MediaInsert { image }) if image == media::CIDATA => media::insert_cidata(&work).await,
        Job::Verb(verb) => {
            machine::run(&work.app, &work.node, &work.machine, &verb, WRITING, &|step| work.step(&step.to_string()))
                .await
        }
        Job::Install => install::install(&work).await,
    }
}
