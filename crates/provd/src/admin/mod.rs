//! What people and programs may ask: the page, the API, metrics and health; behind nginx, on the management side.
//!
//! ```text
//! request ──► gate (who asks, may he) ──► page  ──┐
//!        └──► /healthz /metrics /login    api   ──┴─► act ──► registry
//! ```
//! Invariant: nothing but health, metrics, the login and the page's own files is answered to somebody who did not show who he is,
//! and no answer holds a secret of a node: not its seed, not a token, not its account.

mod access;
mod act;
mod api;
mod auth;
mod failure;
mod health;
mod limit;
pub mod metrics;
mod page;

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::Semaphore;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::app::Shared;
use failure::Failure;

pub(crate) use api::document;
pub use auth::Peer;

/// Bytes of a request's body.
const BODY_LIMIT: usize = 16 * 1024;
/// Streams of events at a time.
const STREAMS: usize = 128;
/// For everything but the body of a stream.
const PATIENCE: Duration = Duration::from_secs(30);
/// For what waits for a BMC: longer than any reading of one.
const BMC_PATIENCE: Duration = Duration::from_secs(180);
/// Nothing from outside, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What these front ends share.
struct Admin {
    app: Shared,
    limit: limit::Limit,
    probes: health::Probes,
    streams: Arc<Semaphore>,
}

impl Admin {
    fn new(app: Shared) -> Arc<Self> {
        LazyLock::force(&metrics::STARTED);
        let streams = Arc::new(Semaphore::new(STREAMS));
        Arc::new(Admin { app, limit: limit::Limit::default(), probes: health::Probes::default(), streams })
    }

    fn watchers(&self) -> usize {
        STREAMS.saturating_sub(self.streams.available_permits())
    }
}

/// For the page and for programs, behind nginx: whoever asks must show who he is.
pub fn router(app: Shared) -> Router {
    let admin = Admin::new(app);
    let gated = within(PATIENCE, api::routes().merge(page::routes()))
        .merge(within(BMC_PATIENCE, api::slow_routes().merge(page::slow_routes())))
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), auth::gate));
    finish(within(PATIENCE, open_routes().merge(page::open_routes())).merge(gated), admin)
}

/// For the command line on the appliance itself: whoever may open the socket may act, in the name that the kernel gives.
/// Serve it with [`Peer`] as connect info.
pub fn local_router(app: Shared) -> Router {
    let gated = within(PATIENCE, api::routes().merge(api::local_routes()))
        .merge(within(BMC_PATIENCE, api::slow_routes()))
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        .layer(middleware::from_fn(auth::local));
    finish(within(PATIENCE, open_routes()).merge(gated), Admin::new(app))
}

fn open_routes() -> Router<Arc<Admin>> {
    Router::new().route("/healthz", get(health::healthz)).route("/metrics", get(metrics::metrics))
}

fn within(patience: Duration, router: Router<Arc<Admin>>) -> Router<Arc<Admin>> {
    router.layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, patience))
}

fn finish(router: Router<Arc<Admin>>, admin: Arc<Admin>) -> Router {
    let set = |name: header::HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    router
        .with_state(admin)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(set(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // Not "no-referrer", with which browsers send forms with the origin "null".
        .layer(set(header::REFERRER_POLICY, "same-origin"))
        .layer(set(header::CACHE_CONTROL, "no-store"))
        .layer(set(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
}

async fn nothing(request: Request) -> Response {
    let failure = Failure::not_found("there is nothing here");
    if page::is_page(request.method(), request.uri().path()) { page::failed(failure) } else { failure.into_response() }
}

async fn not_so() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this cannot be asked in this way")
}
