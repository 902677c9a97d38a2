//! What people and programs may ask: the page, the API, metrics and health; behind nginx, on the management side.

use axum::Router;

use crate::app::Shared;

/// For the page and for programs, behind nginx: whoever asks must show who he is.
pub fn router(app: Shared) -> Router {
    Router::new().with_state(app)
}

/// For the command line on the appliance itself: whoever may open the socket may act, in the name that the kernel gives.
pub fn local_router(app: Shared) -> Router {
    Router::new().with_state(app)
}
