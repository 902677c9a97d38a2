//! Verbs that only read: answered to whoever asks, kept nowhere but for the last status.

use std::sync::Arc;
use std::time::Duration;

use bmc::{Outcome, Patience, Verb};
use jiff::Timestamp;
use netboot::{Bmc, Node};

use super::claim::Claim;
use super::{ControlError, READING, Seen, machine};
use crate::app::Shared;
use crate::registry::Actor;
use crate::store::{Operation, OperationError};

/// A reading waits less for a BMC that is busy: somebody waits for it.
const BUSY: Duration = Duration::from_secs(60);

/// Reads, beside whatever else goes on with the node. The operation that is given back has ended.
///
/// # Errors
/// It does not begin; that it fails stands in the operation.
pub async fn read(app: &Shared, node: &Node, verb: Verb, actor: &Actor) -> Result<Operation, ControlError> {
    let hostname = node.hostname.to_string();
    let bmc = node.bmc.clone().ok_or_else(|| ControlError::NoBmc(hostname.clone()))?;
    let claim = Claim::read(app, node.mac, &hostname)?;
    let job = super::Job::Verb(verb.clone()).json();
    let mut operation = Operation::begun((node.mac, hostname), job, verb.title(), actor, Timestamp::now());
    let (app, node, actor) = (Arc::clone(app), node.clone(), actor.clone());
    // A client that hangs up does not leave a session open in the BMC.
    let work = tokio::spawn(async move {
        let result = carry_out(&app, &node, &bmc, &verb, &actor).await;
        let now = Timestamp::now();
        if let Verb::Status {} = verb {
            let status = match &result {
                Ok(Outcome::Status(status)) => Some(Ok(status.clone())),
                Ok(_) => None,
                Err(error) => Some(Err(error.clone())),
            };
            app.control.see(node.mac, status.map(|status| Seen { at: now, status }));
        }
        drop(claim);
        (result, now, app)
    });
    let (result, now, app) = match work.await {
        Ok((result, now, app)) => (result, now, Some(app)),
        Err(error) => {
            tracing::error!("a reading has failed: {error}");
            (Err(OperationError::surroundings("this reading has failed: see provd's journal")), Timestamp::now(), None)
        }
    };
    operation.finish(result, now);
    if let Some(app) = app {
        app.registry.tell(operation.change(None));
    }
    Ok(operation)
}

async fn carry_out(
    app: &Shared,
    node: &Node,
    bmc: &Bmc,
    verb: &Verb,
    actor: &Actor,
) -> Result<Outcome, OperationError> {
    let patience = &app.control.settings.patience;
    let patience = Patience { busy: patience.busy.min(BUSY), ..patience.clone() };
    let machine = {
        let (app, node, bmc, actor) = (Arc::clone(app), node.clone(), bmc.clone(), actor.clone());
        let made = tokio::task::spawn_blocking(move || machine::of_node(&app, &node, &bmc, &actor, patience)).await;
        made.map_err(|error| OperationError::surroundings(error.to_string()))??
    };
    machine::run(app, node, &machine, verb, READING, &|_| {}).await
}

impl Operation {
    /// Its end.
    pub(super) fn finish(&mut self, result: Result<Outcome, OperationError>, now: Timestamp) {
        self.ended = Some(now.max(self.started));
        match result {
            Ok(outcome) => {
                self.summary = Some(super::cut(outcome.summary()));
                self.outcome = serde_json::to_value(&outcome).ok();
            }
            Err(error) => self.error = Some(error),
        }
    }
}
