//! Nodes: read, arm, disarm, reinstall.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use netboot::MacAddr;

use super::model::{ArmRequest, DisarmRequest, NodeDetail, NodeRow, NodesQuery, TimelineEntry};
use crate::admin::Admin;
use crate::admin::act::{Action, find, perform};
use crate::admin::auth::Caller;
use crate::admin::failure::{ErrorBody, Failure, blocking};
use crate::app::App;
use crate::state;
use crate::store::Audited;

/// Lines of each kind in a timeline.
const TIMELINE: usize = 500;

/// Every node, in the order of the inventory.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes", params(NodesQuery), responses(
    (status = 200, body = Vec<NodeRow>),
    (status = 400, description = "There is no such state", body = ErrorBody)))]
pub(in crate::admin) async fn nodes(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<NodesQuery>, QueryRejection>,
) -> Result<Json<Vec<NodeRow>>, Failure> {
    let Query(NodesQuery { state }) = query.map_err(|error| Failure::bad(error.body_text()))?;
    if state.as_ref().is_some_and(|state| !state::State::NAMES.contains(&state.as_str())) {
        return Err(Failure::bad(format!("there is no such state: there are {}", state::State::NAMES.join(", "))));
    }
    blocking(move || {
        let nodes = admin.app.registry.nodes();
        let wanted = nodes.iter().filter(|node| state.as_deref().is_none_or(|name| name == node.stored.state.name()));
        Ok(Json(wanted.map(NodeRow::of).collect()))
    })
    .await
}

/// One node, by host name or MAC address.
#[utoipa::path(get, path = "/api/v1/nodes/{node}", tag = "nodes", params(("node" = String, Path)), responses(
    (status = 200, body = NodeDetail), (status = 404, body = ErrorBody)))]
pub(in crate::admin) async fn node(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Json<NodeDetail>, Failure> {
    blocking(move || Ok(Json(NodeDetail::of(&find(&admin.app.registry, &name)?)))).await
}

/// What happened to a node: changes of its state and reports of its installers, newest first, the last 500 of each.
#[utoipa::path(get, path = "/api/v1/nodes/{node}/timeline", tag = "nodes", params(("node" = String, Path)), responses(
    (status = 200, body = Vec<TimelineEntry>), (status = 404, body = ErrorBody)))]
pub(in crate::admin) async fn timeline(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Json<Vec<TimelineEntry>>, Failure> {
    blocking(move || {
        let mac = find(&admin.app.registry, &name)?.stored.mac;
        Ok(Json(timeline_of(&admin.app, mac)?))
    })
    .await
}

pub(in crate::admin) fn timeline_of(app: &App, mac: MacAddr) -> Result<Vec<TimelineEntry>, Failure> {
    let registry = &app.registry;
    let lines = registry.store().read(|connection| Audited::before(connection, Some(mac), u64::MAX, TIMELINE))?;
    let mut attempt = registry.node(mac).map_or(0, |node| node.stored.attempts);
    let mut entries: Vec<TimelineEntry> = Vec::new();
    for audited in lines {
        let (from, to) = (audited.line.from.clone(), audited.line.to.clone());
        // A step within a state stands in the installer's own reports.
        if from != to {
            entries.push(TimelineEntry::transition(audited, attempt));
        }
        // What comes next in this loop was before the arming.
        if to == "armed" && from != to {
            attempt = attempt.saturating_sub(1);
        }
    }
    entries.extend(registry.events(mac, TIMELINE)?.into_iter().rev().map(TimelineEntry::event));
    entries.sort_by_key(|entry| std::cmp::Reverse((entry.attempt, entry.at)));
    Ok(entries)
}

/// The end of the log that the node's last failed installation left.
#[utoipa::path(get, path = "/api/v1/nodes/{node}/log", tag = "nodes", params(("node" = String, Path)), responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = 404, description = "There is no such node, or it left no log", body = ErrorBody)))]
pub(in crate::admin) async fn log(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let text = blocking(move || {
        let node = find(&admin.app.registry, &name)?;
        let log = admin.app.registry.log(node.stored.mac)?;
        log.ok_or_else(|| Failure::not_found(format!("{} has left no log", node.stored.hostname)))
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// Lets a node install at its next boot from the network, once, until the arming expires. Its disk will be erased.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/arm", tag = "nodes", params(("node" = String, Path)),
    request_body = ArmRequest, responses(
    (status = 200, description = "It is armed", body = NodeDetail),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, description = "It cannot be armed now", body = ErrorBody),
    (status = 415, body = ErrorBody),
    (status = 422, description = "Not confirmed by its host name, or not such a body", body = ErrorBody)))]
pub(in crate::admin) async fn arm(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    caller: Caller,
    body: Result<Json<ArmRequest>, JsonRejection>,
) -> Result<Json<NodeDetail>, Failure> {
    let Json(ArmRequest { reason, confirm }) = body.map_err(bad_body)?;
    act(admin, caller, name, Action::Arm, reason, Some(confirm)).await
}

/// Takes an arming back. A node that installs already counts as failed then: its disk may be half written.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/disarm", tag = "nodes", params(("node" = String, Path)),
    request_body = DisarmRequest, responses(
    (status = 200, description = "It is disarmed", body = NodeDetail),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, description = "There is nothing to disarm", body = ErrorBody),
    (status = 415, body = ErrorBody), (status = 422, description = "Not such a body", body = ErrorBody)))]
pub(in crate::admin) async fn disarm(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    caller: Caller,
    body: Result<Json<DisarmRequest>, JsonRejection>,
) -> Result<Json<NodeDetail>, Failure> {
    let Json(DisarmRequest { reason }) = body.map_err(bad_body)?;
    act(admin, caller, name, Action::Disarm, reason, None).await
}

/// Disarms a node where an attempt goes on, and arms it. Its disk will be erased.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/reinstall", tag = "nodes", params(("node" = String, Path)),
    request_body = ArmRequest, responses(
    (status = 200, description = "It is armed", body = NodeDetail),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, description = "It cannot be armed now", body = ErrorBody),
    (status = 415, body = ErrorBody),
    (status = 422, description = "Not confirmed by its host name, or not such a body", body = ErrorBody)))]
pub(in crate::admin) async fn reinstall(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    caller: Caller,
    body: Result<Json<ArmRequest>, JsonRejection>,
) -> Result<Json<NodeDetail>, Failure> {
    let Json(ArmRequest { reason, confirm }) = body.map_err(bad_body)?;
    act(admin, caller, name, Action::Reinstall, reason, Some(confirm)).await
}

async fn act(
    admin: Arc<Admin>,
    caller: Caller,
    name: String,
    action: Action,
    reason: String,
    confirm: Option<String>,
) -> Result<Json<NodeDetail>, Failure> {
    blocking(move || {
        perform(&admin.app, &caller.actor, &name, action, &reason, confirm.as_deref(), Timestamp::now())?;
        Ok(Json(NodeDetail::of(&find(&admin.app.registry, &name)?)))
    })
    .await
}

pub(super) fn bad_body(rejection: JsonRejection) -> Failure {
    Failure::new(rejection.status(), rejection.body_text())
}
