//! A request that is not granted: its status, and one line of JSON.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::store::StoreError;

/// `why` is told to the client; `detail` only to the log, and never has a token.
#[derive(Debug)]
pub struct Refusal {
    pub(super) status: StatusCode,
    pub(super) why: &'static str,
    pub(super) detail: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: &'static str) -> Self {
        Refusal { status, why, detail: String::new() }
    }

    pub(super) fn bad(why: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// What only the log says.
    pub(super) fn about(self, detail: impl std::fmt::Display) -> Self {
        Refusal { detail: format!("({detail})"), ..self }
    }

    /// The state of things is not known: nobody may act on a guess.
    pub(super) fn store(error: StoreError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not now").about(error)
    }

    pub(super) fn fault(error: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "not now").about(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // Our own words: nothing in them needs to be escaped.
        let body = format!("{{\"error\":\"{}\"}}\n", self.why);
        (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}
