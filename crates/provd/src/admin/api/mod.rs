//! The API for programs, below `/api/v1`, and its description.
//!
//! In: JSON. Out: JSON; every refusal is a status and one line, `{"error": "..."}`. The description is made of the same types and
//! handlers; a test goes through the routes below and holds answers against it.

mod local;
pub(super) mod model;
pub(super) mod nodes;
pub(super) mod operations;
pub(super) mod record;
mod stream;

use std::sync::Arc;

use axum::routing::{delete, get, post};
use axum::{Json, Router};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::auth::{COOKIE, Caller};
use super::{Admin, failure, health};
use model::SessionRow;

/// What is answered to whoever has shown who he is.
pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/api/v1/nodes", get(nodes::nodes))
        .route("/api/v1/nodes/{node}", get(nodes::node))
        .route("/api/v1/nodes/{node}/timeline", get(nodes::timeline))
        .route("/api/v1/nodes/{node}/log", get(nodes::log))
        .route("/api/v1/nodes/{node}/arm", post(nodes::arm))
        .route("/api/v1/nodes/{node}/disarm", post(nodes::disarm))
        .route("/api/v1/nodes/{node}/reinstall", post(nodes::reinstall))
        .route("/api/v1/nodes/{node}/install", post(operations::install))
        .route("/api/v1/operations/{id}", get(operations::operation))
        .route("/api/v1/strangers", get(record::strangers))
        .route("/api/v1/strangers/{mac}", delete(record::forget))
        .route("/api/v1/audit", get(record::audit))
        .route("/api/v1/audit/verification", get(record::verification))
        .route("/api/v1/events", get(stream::events))
        .route("/api/v1/services", get(health::services))
        .route("/api/v1/media", get(health::media))
        .route("/api/v1/session", get(session))
        .route("/openapi.json", get(openapi))
}

/// What waits for a BMC, and may take longer than everything else.
pub(super) fn slow_routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/api/v1/nodes/{node}/operations", get(operations::operations).post(operations::operate))
        .route("/api/v1/nodes/{node}/certificate", get(operations::certificate).delete(operations::forget))
}

/// What is answered on the local socket only.
pub(super) fn local_routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/api/v1/logins", post(local::login))
        .route("/api/v1/tokens", get(local::tokens).post(local::make_token))
        .route("/api/v1/tokens/{name}", delete(local::revoke_token))
}

/// Who asks, and what he may do.
#[utoipa::path(get, path = "/api/v1/session", tag = "health", responses((status = 200, body = SessionRow)))]
async fn session(caller: Caller) -> Json<SessionRow> {
    Json(SessionRow { name: caller.actor.who, may_act: caller.may_act, expires: caller.expires })
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = 200, body = Object)))]
async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

/// Every request needs a session or a token, unless it says otherwise; whoever asks without one gets status 401.
#[derive(OpenApi)]
#[openapi(
    info(title = "provd", description = "The appliance's daemon: what each node boots, how its installation goes on, who asked for it. \
        Every refusal is a status and one line, `{\"error\": \"...\"}`; 401 without a session or a token, 403 where it may only read."),
    paths(
        nodes::nodes, nodes::node, nodes::timeline, nodes::log, nodes::arm, nodes::disarm, nodes::reinstall,
        operations::operations, operations::operate, operations::operation, operations::install,
        operations::certificate, operations::forget,
        record::strangers, record::forget, record::audit, record::verification,
        stream::events, health::services, health::media, health::healthz, session, openapi,
        local::login, local::tokens, local::make_token, local::revoke_token,
    ),
    components(schemas(failure::ErrorBody, stream::TransitionItem, stream::ReportItem, stream::OperationItem)),
    security(("token" = []), ("session" = [])),
    modifiers(&Locks),
)]
pub(super) struct Description;

struct Locks;

impl Modify for Locks {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE))));
    }
}

/// The OpenAPI document, as the daemon serves it.
pub(crate) fn document() -> String {
    Description::openapi().to_pretty_json().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Path templates in the text of this file, and in the description.
    #[test]
    fn every_route_is_described_and_nothing_else() {
        let text = include_str!("mod.rs").split("#[cfg(test)]").next().unwrap();
        let routes = text.split(".route(\"").skip(1).filter_map(|rest| {
            let (path, methods) = rest.split_once('"')?;
            Some((path, methods.lines().next()?))
        });
        let mut written = BTreeSet::from([("/healthz".to_owned(), "get".to_owned())]);
        for (path, methods) in routes {
            for method in ["get", "post", "delete", "put", "patch"] {
                if methods.contains(&format!("{method}(")) {
                    written.insert((path.to_owned(), method.to_owned()));
                }
            }
        }
        let document: serde_json::Value = serde_json::from_str(&document()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())))
            .collect();
        assert!(written.len() > 15);
        assert_eq!(written, described);
    }
}
