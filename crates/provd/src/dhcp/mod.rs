//! What dnsmasq tells: leases of machines, and files that TFTP has sent.

use axum::Router;

use crate::app::Shared;

pub fn router(app: Shared) -> Router {
    Router::new().with_state(app)
}
