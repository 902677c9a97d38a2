//! What is recorded beside the nodes' states: the audit log, and the machines that are in no inventory.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use netboot::MacAddr;

use super::model::{AuditEntry, AuditQuery, StrangerRow, Verification};
use crate::admin::Admin;
use crate::admin::act::find;
use crate::admin::auth::Caller;
use crate::admin::failure::{ErrorBody, Failure, blocking};
use crate::registry::Change;
use crate::store::Audited;

const LINES: usize = 100;
const LINES_AT_MOST: usize = 1000;

/// Lines of the audit log.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery), responses(
    (status = 200, body = Vec<AuditEntry>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(in crate::admin) async fn audit(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Json<Vec<AuditEntry>>, Failure> {
    let Query(query) = query.map_err(|error| Failure::bad(error.body_text()))?;
    blocking(move || Ok(Json(lines(&admin, &query)?))).await
}

pub(in crate::admin) fn lines(admin: &Admin, query: &AuditQuery) -> Result<Vec<AuditEntry>, Failure> {
    let AuditQuery { after, before, limit, node } = query;
    let limit = limit.unwrap_or(LINES);
    if !(1..=LINES_AT_MOST).contains(&limit) {
        return Err(Failure::bad(format!("a limit is a number from 1 to {LINES_AT_MOST}")));
    }
    let registry = &admin.app.registry;
    let mac = node.as_deref().map(|name| find(registry, name)).transpose()?.map(|node| node.stored.mac);
    let lines = match (after, before) {
        (Some(_), Some(_)) => return Err(Failure::bad("give `after` or `before`, not both")),
        (Some(after), None) => registry.audit(mac, *after, limit)?,
        (None, before) => {
            let before = before.unwrap_or(u64::MAX);
            registry.store().read(|connection| Audited::before(connection, mac, before, limit))?
        }
    };
    Ok(lines.into_iter().map(AuditEntry::from).collect())
}

/// Goes through the whole audit log and checks every hash.
#[utoipa::path(get, path = "/api/v1/audit/verification", tag = "audit", responses((status = 200, body = Verification)))]
pub(in crate::admin) async fn verification(State(admin): State<Arc<Admin>>) -> Result<Json<Verification>, Failure> {
    blocking(move || Ok(Json(verify(&admin)?))).await
}

pub(in crate::admin) fn verify(admin: &Admin) -> Result<Verification, Failure> {
    Ok(match Audited::verify(admin.app.registry.store())? {
        Ok((lines, hash)) => Verification { valid: true, lines, hash, fault: None },
        Err(fault) => {
            tracing::error!("the audit log is not what was written: {fault}");
            Verification { valid: false, lines: 0, hash: String::new(), fault: Some(fault.to_string()) }
        }
    })
}

/// Machines that were seen and are in no inventory, the last seen first.
#[utoipa::path(get, path = "/api/v1/strangers", tag = "strangers", responses((status = 200, body = Vec<StrangerRow>)))]
pub(in crate::admin) async fn strangers(State(admin): State<Arc<Admin>>) -> Result<Json<Vec<StrangerRow>>, Failure> {
    blocking(move || Ok(Json(strangers_of(&admin)?))).await
}

pub(in crate::admin) fn strangers_of(admin: &Admin) -> Result<Vec<StrangerRow>, Failure> {
    Ok(admin.app.pen.all()?.into_iter().map(StrangerRow::from).collect())
}

/// Forgets a machine; it comes back when it is seen again.
#[utoipa::path(delete, path = "/api/v1/strangers/{mac}", tag = "strangers", params(("mac" = String, Path)), responses(
    (status = 204, description = "It is forgotten"),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(in crate::admin) async fn forget(
    State(admin): State<Arc<Admin>>,
    Path(mac): Path<String>,
    caller: Caller,
) -> Result<StatusCode, Failure> {
    blocking(move || forget_stranger(&admin, &mac, &caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(in crate::admin) fn forget_stranger(admin: &Admin, mac: &str, caller: &Caller) -> Result<(), Failure> {
    let none = || Failure::not_found("no such machine was seen");
    let mac: MacAddr = mac.parse().map_err(|_| none())?;
    if !admin.app.pen.forget(mac)? {
        return Err(none());
    }
    admin.app.registry.tell(Change::Pen { mac });
    tracing::info!(%mac, who = caller.actor.who, origin = caller.actor.origin, "a stranger is forgotten");
    Ok(())
}
