//! What nodes may ask: their boot script, their answers, their reports; behind nginx, on the provisioning network.

use axum::Router;

use crate::app::Shared;

/// Header in which nginx gives the client's address; nginx replaces what the client sends under this name.
pub const CLIENT_ADDRESS: &str = "x-provbuild-address";

pub fn router(app: Shared) -> Router {
    Router::new().with_state(app)
}
