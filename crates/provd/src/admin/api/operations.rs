//! Nodes' BMCs: verbs, what became of them, and the certificates that BMCs are known by.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bmc::Verb;
use jiff::Timestamp;
use netboot::Node;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::ArmRequest;
use super::nodes::bad_body;
use crate::admin::Admin;
use crate::admin::act::{find, reason_of};
use crate::admin::auth::Caller;
use crate::admin::failure::{ErrorBody, Failure, blocking};
use crate::control::{self, Asked, ControlError, Job};
use crate::store::{Operation, OperationError, StoredOperation};

/// Operations of one node in an answer: as many as are kept.
const LIMIT: usize = 50;

/// What is asked of a node's BMC.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct OperationRequest {
    /// `{"verb": NAME, ...}`: `status`, `power` (action, manner), `boot-once` (target, mode), `boot-order-get`, `boot-order-set` (order),
    /// `bios-get` (attributes), `bios-plan`, `bios-apply` (restart), `bios-diff`, `sensors`, `inventory`, `media-insert` (image),
    /// `media-eject`, `raw` (path).
    #[schema(value_type = Object)]
    verb: Verb,
    /// Also where this ends an installation that goes on.
    #[serde(default)]
    force: bool,
    /// For the audit log: one line of at most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    reason: String,
}

/// Something that is, or was, done with a node's BMC.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::admin) struct OperationRow {
    /// Null for a reading, which is not kept.
    #[schema(required)]
    pub(in crate::admin) id: Option<u64>,
    /// The node's host name.
    pub(in crate::admin) node: String,
    pub(in crate::admin) mac: String,
    /// As it was asked; `{"verb":"install"}` for an installation.
    #[schema(value_type = Object)]
    pub(in crate::admin) verb: serde_json::Value,
    /// As a person says it: "power cycle".
    pub(in crate::admin) title: String,
    pub(in crate::admin) who: String,
    /// An address, or "local".
    pub(in crate::admin) origin: String,
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::admin) started: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub(in crate::admin) ended: Option<Timestamp>,
    /// "running", "done" or "failed".
    pub(in crate::admin) state: String,
    /// What is, or was last, done.
    pub(in crate::admin) step: String,
    /// One line, of one that went well.
    #[schema(required)]
    pub(in crate::admin) summary: Option<String>,
    /// What was found or done: `{"outcome": NAME, "result": {...}}`.
    #[schema(value_type = Option<Object>, required)]
    pub(in crate::admin) outcome: Option<serde_json::Value>,
    #[schema(required)]
    pub(in crate::admin) error: Option<ErrorRow>,
}

/// Why an operation failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::admin) struct ErrorRow {
    /// "input", "unreachable", "trust", "refused", "not-applied", "surroundings" or "interrupted".
    pub(in crate::admin) kind: String,
    /// One line.
    pub(in crate::admin) message: String,
    /// What to do.
    #[schema(required)]
    pub(in crate::admin) help: Option<String>,
}

impl From<OperationError> for ErrorRow {
    fn from(error: OperationError) -> Self {
        let OperationError { kind, text: message, help } = error;
        ErrorRow { kind, message, help }
    }
}

impl OperationRow {
    fn of(id: Option<u64>, operation: Operation) -> Self {
        let state = operation.state().to_owned();
        let Operation { mac, hostname: node, verb, title, who, origin, started, ended, step, .. } = operation;
        let Operation { summary, outcome, error, .. } = operation;
        let (mac, error) = (mac.to_string(), error.map(ErrorRow::from));
        OperationRow { id, node, mac, verb, title, who, origin, started, ended, state, step, summary, outcome, error }
    }
}

impl From<StoredOperation> for OperationRow {
    fn from(StoredOperation { id, operation }: StoredOperation) -> Self {
        OperationRow::of(Some(id), operation)
    }
}

/// The certificate of a BMC.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct CertificateRow {
    /// Address, and port where it is not 443.
    endpoint: String,
    /// SHA-256 of the certificate that was seen first.
    #[schema(required)]
    pinned: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    seen: Option<Timestamp>,
    /// SHA-256 of the one that it shows now.
    #[schema(required)]
    shown: Option<String>,
    /// Why none is shown.
    #[schema(required)]
    error: Option<ErrorRow>,
}

/// A node of the inventory; one that has left it has no BMC any more.
pub(in crate::admin) async fn declared(admin: &Arc<Admin>, name: String) -> Result<Node, Failure> {
    let admin = Arc::clone(admin);
    blocking(move || {
        let view = find(&admin.app.registry, &name)?;
        Ok(view.declared.ok_or(ControlError::NoBmc(view.stored.hostname))?)
    })
    .await
}

/// Asks a node's BMC for something. What only reads is answered when it was read; what writes goes on by itself: ask for the operation.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/operations", tag = "operations", params(("node" = String, Path)),
    request_body = OperationRequest, responses(
    (status = 200, description = "It was read, or could not be read: see `error`", body = OperationRow),
    (status = 202, description = "It has begun", body = OperationRow),
    (status = 400, body = ErrorBody), (status = 403, description = "May only read; `raw` counts as acting", body = ErrorBody),
    (status = 404, body = ErrorBody),
    (status = 409, description = "It has no BMC, another operation goes on, or it installs", body = ErrorBody),
    (status = 415, body = ErrorBody), (status = 422, description = "Not such a body", body = ErrorBody),
    (status = 429, description = "Too many at a time", body = ErrorBody)))]
pub(in crate::admin) async fn operate(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    caller: Caller,
    body: Result<Json<OperationRequest>, JsonRejection>,
) -> Result<Response, Failure> {
    let body = body.map_err(|rejection| match caller.may_act {
        true => bad_body(rejection),
        false => Failure::forbidden("this login may only read"),
    });
    let Json(OperationRequest { verb, force, reason }) = body?;
    if !caller.may_act && !may_be_read(&verb) {
        return Err(Failure::forbidden("this login may only read"));
    }
    let node = declared(&admin, name).await?;
    if verb.reads() {
        let operation = control::read(&admin.app, &node, verb, &caller.actor).await?;
        return Ok(Json(OperationRow::of(None, operation)).into_response());
    }
    let asked = Asked { job: Job::Verb(verb), force, reason };
    let row = begin(&admin, node, asked, &caller).await?;
    Ok((StatusCode::ACCEPTED, Json(row)).into_response())
}

/// What somebody may ask who may not act. A raw resource may hold anything: accounts, logs, keys of licences.
fn may_be_read(verb: &Verb) -> bool {
    verb.reads() && !matches!(verb, Verb::Raw { .. })
}

/// A reason that was not given is none here.
fn given(reason: &str) -> Result<String, Failure> {
    if reason.trim().is_empty() { Ok(String::new()) } else { reason_of(reason) }
}

pub(in crate::admin) async fn begin(
    admin: &Arc<Admin>,
    node: Node,
    asked: Asked,
    caller: &Caller,
) -> Result<OperationRow, Failure> {
    let asked = Asked { reason: given(&asked.reason)?, ..asked };
    let (app, actor) = (Arc::clone(&admin.app), caller.actor.clone());
    blocking(move || Ok(OperationRow::from(control::start(&app, &node, asked, &actor)?))).await
}

/// Arms a node, lets it boot from the network once, and cycles its power. Its disk will be erased. A failure before the power was
/// touched disarms it again; after that the node's state tells how it goes on.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/install", tag = "operations", params(("node" = String, Path)),
    request_body = ArmRequest, responses(
    (status = 202, description = "It has begun", body = OperationRow),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, description = "It cannot be armed now, has no BMC, or another operation goes on", body = ErrorBody),
    (status = 415, body = ErrorBody),
    (status = 422, description = "Not confirmed by its host name, or not such a body", body = ErrorBody),
    (status = 429, description = "Too many at a time", body = ErrorBody)))]
pub(in crate::admin) async fn install(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    caller: Caller,
    body: Result<Json<ArmRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<OperationRow>), Failure> {
    let Json(ArmRequest { reason, confirm }) = body.map_err(bad_body)?;
    let node = declared(&admin, name).await?;
    let row = begin_install(&admin, node, &confirm, &reason, &caller).await?;
    Ok((StatusCode::ACCEPTED, Json(row)))
}

pub(in crate::admin) async fn begin_install(
    admin: &Arc<Admin>,
    node: Node,
    confirm: &str,
    reason: &str,
    caller: &Caller,
) -> Result<OperationRow, Failure> {
    if confirm.trim() != node.hostname.as_str() {
        return Err(Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "its disk will be erased: confirm by giving the node's host name",
        ));
    }
    begin(admin, node, Asked { job: Job::Install, force: false, reason: reason.to_owned() }, caller).await
}

/// What was asked of a node's BMC, newest first: what writes, the last 50.
#[utoipa::path(get, path = "/api/v1/nodes/{node}/operations", tag = "operations", params(("node" = String, Path)), responses(
    (status = 200, body = Vec<OperationRow>), (status = 404, body = ErrorBody)))]
pub(in crate::admin) async fn operations(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Json<Vec<OperationRow>>, Failure> {
    blocking(move || {
        let mac = find(&admin.app.registry, &name)?.stored.mac;
        Ok(Json(newest(&admin, mac, LIMIT)?))
    })
    .await
}

pub(in crate::admin) fn newest(
    admin: &Admin,
    mac: netboot::MacAddr,
    limit: usize,
) -> Result<Vec<OperationRow>, Failure> {
    let store = admin.app.registry.store();
    let found = store.read(|connection| StoredOperation::newest(connection, mac, limit))?;
    Ok(found.into_iter().map(OperationRow::from).collect())
}

/// One operation, by its number.
#[utoipa::path(get, path = "/api/v1/operations/{id}", tag = "operations", params(("id" = u64, Path)), responses(
    (status = 200, body = OperationRow), (status = 404, body = ErrorBody)))]
pub(in crate::admin) async fn operation(
    State(admin): State<Arc<Admin>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<OperationRow>, Failure> {
    let none = || Failure::not_found("there is no such operation, or it is older than the node's last 50");
    let Path(id) = id.map_err(|_| none())?;
    blocking(move || {
        let found = admin.app.registry.store().read(|connection| StoredOperation::find(connection, id))?;
        Ok(Json(found.ok_or_else(none)?.into()))
    })
    .await
}

/// The certificate that a BMC is known by, and the one that it shows now. No credentials are sent.
#[utoipa::path(get, path = "/api/v1/nodes/{node}/certificate", tag = "operations", params(("node" = String, Path)), responses(
    (status = 200, body = CertificateRow), (status = 404, body = ErrorBody),
    (status = 409, description = "It has no BMC", body = ErrorBody),
    (status = 429, description = "Too many at a time", body = ErrorBody)))]
pub(in crate::admin) async fn certificate(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Json<CertificateRow>, Failure> {
    let node = declared(&admin, name).await?;
    let control::Certificate { endpoint, pinned, shown } = control::certificate(&admin.app, &node).await?;
    let (pinned, seen) = pinned.map(|pin| (pin.fingerprint, pin.seen)).unzip();
    let (shown, error) = match shown {
        Ok(shown) => (Some(shown), None),
        Err(error) => (None, Some(error.into())),
    };
    Ok(Json(CertificateRow { endpoint, pinned, seen, shown, error }))
}

/// Forgets the certificate that a BMC is known by: the next one that it shows is pinned.
#[utoipa::path(delete, path = "/api/v1/nodes/{node}/certificate", tag = "operations", params(("node" = String, Path)), responses(
    (status = 204, description = "It is forgotten"), (status = 403, body = ErrorBody),
    (status = 404, description = "There is no such node, or none is pinned", body = ErrorBody),
    (status = 409, description = "It has no BMC", body = ErrorBody)))]
pub(in crate::admin) async fn forget(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<StatusCode, Failure> {
    let node = declared(&admin, name).await?;
    blocking(move || match control::forget(&admin.app, &node, &caller.actor, Timestamp::now())? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::not_found(format!("no certificate of {}'s BMC is pinned", node.hostname))),
    })
    .await
}
