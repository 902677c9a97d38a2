//! From a node of the inventory to a BMC that can be talked to.

use std::sync::Arc;
use std::time::Duration;

use bmc::{Endpoint, Kind, Machine, Outcome, Patience, Steps, SumTool, Trust, Verb};
use netboot::{Bmc, Node};

use super::pins::StorePins;
use super::{credentials, media};
use crate::app::Shared;
use crate::registry::Actor;
use crate::store::OperationError;

/// With the credentials of this moment. May block for a file.
pub(super) fn of_node(
    app: &Shared,
    node: &Node,
    bmc: &Bmc,
    actor: &Actor,
    patience: Patience,
) -> Result<Machine, OperationError> {
    let settings = &app.control.settings;
    let credentials = credentials::of_node(&settings.secrets, node.hostname.as_str())?;
    let pins = StorePins { app: Arc::clone(app), mac: node.mac, actor: actor.clone() };
    let bios = node.bios.as_ref().and_then(|name| app.registry.declared().bios.get(name)).cloned();
    let sum = settings.sum.is_file().then(|| SumTool { program: settings.sum.clone() });
    Ok(Machine {
        endpoint: Endpoint::of(bmc),
        kind: bmc.kind,
        system: bmc.system.clone(),
        credentials,
        trust: Trust::FirstUse(Arc::new(pins)),
        patience,
        bios,
        sum,
    })
}

/// Carries a verb out, within `limit`.
pub(super) async fn run(
    app: &Shared,
    node: &Node,
    machine: &Machine,
    verb: &Verb,
    limit: Duration,
    steps: &Steps<'_>,
) -> Result<Outcome, OperationError> {
    let verb = media::resolved(app, node, verb)?;
    match tokio::time::timeout(limit, machine.run(&verb, steps)).await {
        Ok(result) => media::shown(result),
        Err(_) => Err(OperationError::new(
            Kind::Unreachable,
            format!("{} did not come to an end within {}", machine.endpoint, crate::spelling::spell(limit.as_secs())),
            Some("ask for its status: what was asked may have been done".to_owned()),
        )),
    }
}
